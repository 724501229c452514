//! How to reach a user: the only way by which a mail address leaves this service.

use proto::accounts::v1::{GetContactRequest, GetContactResponse};
use rls::UserId;

use super::Call;
use crate::domain;
use crate::error::{Error, Missing};
use crate::store::profile;

pub(crate) async fn get_contact(
    call: &Call,
    request: GetContactRequest,
) -> Result<GetContactResponse, Error> {
    let backstage = call.service_of(&["gateway", "notifications"])?;
    let id = UserId(domain::id("user_id", request.user_id)?);
    let contact =
        call.read(backstage, move |tx| Box::pin(async move { Ok(profile::contact(tx, id).await?) })).await?;
    let contact = contact.ok_or(Error::NotFound(Missing::User))?;
    Ok(GetContactResponse {
        email: contact.email,
        name: contact.name,
        locale: contact.locale,
        email_verified: contact.email_verified,
    })
}
