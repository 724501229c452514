//! One user, for administrators.

use proto::accounts::v1::{GetUserRequest, GetUserResponse};
use rls::UserId;

use super::Call;
use crate::domain;
use crate::error::{Error, Missing};
use crate::store::profile;
use crate::wire;

pub(crate) async fn get_user(call: &Call, request: GetUserRequest) -> Result<GetUserResponse, Error> {
    let administrator = call.admin()?;
    let id = UserId(domain::id("id", request.id)?);
    let user = call
        .read(administrator, move |tx| Box::pin(async move { Ok(profile::profile(tx, id).await?) }))
        .await?;
    let user = user.ok_or(Error::NotFound(Missing::User))?;
    Ok(GetUserResponse { user: Some(wire::user(user)) })
}
