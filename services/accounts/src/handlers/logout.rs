//! The end of the session that asks.

use proto::accounts::v1::{LogoutRequest, LogoutResponse};
use rls::DatabaseError;

use super::{Call, now};
use crate::error::Error;
use crate::revoke::{self, Ending};

/// A session that had ended before ends no second time, and that is fine.
pub(crate) async fn logout(call: &Call, _: LogoutRequest) -> Result<LogoutResponse, Error> {
    let oneself = call.oneself()?;
    let now = now();
    let revocations = call
        .write(oneself, move |tx| {
            Box::pin(
                async move { revoke::session(tx, oneself.id, oneself.session, Ending::Logout, now).await },
            )
        })
        .await?
        .value;
    failpoints::hit("au.after_logout_before_broadcast").await.map_err(DatabaseError::from)?;
    call.resources.announce(&revocations);
    Ok(LogoutResponse { revocations })
}
