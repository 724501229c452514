//! The end of one of the caller's sessions.

use proto::accounts::v1::{RevokeSessionRequest, RevokeSessionResponse};
use uuid::Uuid;

use super::{Call, now};
use crate::domain::Invalid;
use crate::error::{Error, Missing};
use crate::revoke::{self, Ending};
use crate::store::sessions;

/// Another user's session is none; one of the caller's that had ended before stays so.
pub(crate) async fn revoke_session(
    call: &Call,
    request: RevokeSessionRequest,
) -> Result<RevokeSessionResponse, Error> {
    let oneself = call.oneself()?;
    let session = Uuid::try_parse(&request.session_id)
        .map_err(|_malformed| Invalid::value("session_id", "must be a UUID"))?;
    let now = now();
    let revocations = call
        .write(oneself, move |tx| {
            Box::pin(async move {
                let ended = revoke::session(tx, oneself.id, session, Ending::Revoked, now).await?;
                if ended.is_empty() && !sessions::exists(tx, oneself.id, session).await? {
                    return Err(Error::NotFound(Missing::Session));
                }
                Ok(ended)
            })
        })
        .await?
        .value;
    call.resources.announce(&revocations);
    Ok(RevokeSessionResponse { revocations })
}
