//! The end of every session of the user who asks.

use proto::accounts::v1::{LogoutAllRequest, LogoutAllResponse};

use super::{Call, now};
use crate::error::Error;
use crate::revoke::{self, Ending};

pub(crate) async fn logout_all(call: &Call, _: LogoutAllRequest) -> Result<LogoutAllResponse, Error> {
    let oneself = call.oneself()?;
    let now = now();
    let revocations = call
        .write(oneself, move |tx| {
            Box::pin(async move { revoke::sessions(tx, oneself.id, None, Ending::LogoutAll, now).await })
        })
        .await?
        .value;
    call.resources.announce(&revocations);
    Ok(LogoutAllResponse { revocations })
}
