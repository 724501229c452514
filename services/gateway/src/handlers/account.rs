//! A user's own profile and addresses.

use proto::accounts::v1::{GetProfileRequest, ListAddressesRequest};
use serde::Serialize;
use utoipa::ToSchema;

use super::{Found, Origin};
use crate::error::Error;
use crate::upstream::{READ_DEADLINE, read};
use crate::views::{self, Address, User};

/// One user.
#[derive(Debug, Serialize, ToSchema)]
pub struct UserAnswer {
    pub(crate) user: User,
}

/// All addresses of a user.
#[derive(Debug, Serialize, ToSchema)]
pub struct AddressList {
    addresses: Vec<Address>,
}

/// The signed-in user.
#[utoipa::path(
    get,
    path = "/api/v1/me",
    tag = "me",
    responses(
        (status = 200, description = "The user; `version` makes the `If-Match` of a change: `\"u-<id>-v<version>\"`", body = views::Data<UserAnswer>),
        (status = 304, description = "The answer of `If-None-Match` is still the same"),
        (status = 401, description = "unauthenticated", body = super::openapi::ProblemDocument)
    ),
    security(("bearer" = []), ("cookie" = []))
)]
pub(crate) async fn profile(origin: Origin) -> Result<Found, Error> {
    let reply = read(GetProfileRequest {}, READ_DEADLINE, origin.bearer(), |request| {
        let mut accounts = origin.upstream.accounts.clone();
        async move { accounts.get_profile(request).await }
    })
    .await?;
    let user = reply.user.ok_or(Error::Internal)?;
    Ok(Found::text(views::envelope(UserAnswer { user: User::of(&user) })))
}

/// The signed-in user's addresses, the default one first.
#[utoipa::path(
    get,
    path = "/api/v1/me/addresses",
    tag = "me",
    responses(
        (status = 200, description = "At most 50", body = views::Data<AddressList>),
        (status = 304, description = "The answer of `If-None-Match` is still the same"),
        (status = 401, description = "unauthenticated", body = super::openapi::ProblemDocument)
    ),
    security(("bearer" = []), ("cookie" = []))
)]
pub(crate) async fn addresses(origin: Origin) -> Result<Found, Error> {
    let reply = read(ListAddressesRequest {}, READ_DEADLINE, origin.bearer(), |request| {
        let mut accounts = origin.upstream.accounts.clone();
        async move { accounts.list_addresses(request).await }
    })
    .await?;
    let addresses = reply.addresses.iter().map(Address::of).collect();
    Ok(Found::text(views::envelope(AddressList { addresses })))
}
