//! Whether a session still stands, and what its user is now.

use proto::accounts::v1::{CheckSessionRequest, CheckSessionResponse, Role};
use rls::UserId;
use uuid::Uuid;

use super::begin_session::token_role;
use super::{Call, now};
use crate::domain::{self, Invalid, user};
use crate::error::Error;
use crate::store::sessions;
use crate::wire;

/// Sessions that are not known count as revoked in production. In development they do not: `mestres token`
/// signs tokens that no login began.
pub(crate) async fn check_session(
    call: &Call,
    request: CheckSessionRequest,
) -> Result<CheckSessionResponse, Error> {
    let backstage = call.service()?;
    let user = UserId(domain::id("user_id", request.user_id)?);
    let session = Uuid::try_parse(&request.session_id)
        .map_err(|_malformed| Invalid::value("session_id", "must be a UUID"))?;
    let now = now();
    let checked = call
        .read(backstage, move |tx| Box::pin(async move { sessions::check(tx, user, session, now).await }))
        .await?;
    let Some(checked) = checked else {
        return Ok(CheckSessionResponse { revoked: true, role: Role::Unspecified.into() });
    };
    let live = checked.live.unwrap_or_else(|| call.resources.unknown_sessions.are_live());
    let role = token_role(&call.resources, user::role("role", &checked.role)?, checked.totp_enabled);
    Ok(CheckSessionResponse { revoked: checked.barred || !live, role: wire::role(role).into() })
}
