//! The caller made unrecognisable, in the background.

use idempotency::Done;
use proto::accounts::v1::{RequestErasureRequest, RequestErasureResponse};
use rls::UserRole;

use super::{Call, now, request_job};
use crate::domain::data_job::DataJobKind;
use crate::error::Error;
use crate::store::admin;

pub(crate) async fn request_erasure(
    call: &Call,
    _: RequestErasureRequest,
) -> Result<Done<RequestErasureResponse>, Error> {
    let oneself = call.oneself()?;
    oneself.require_fresh(now())?;
    if oneself.role == UserRole::Admin {
        // The worker looks again: by then others may have gone.
        let admins = call
            .write(oneself.backstage(), |tx| Box::pin(async move { Ok(admin::lock_admins(tx).await?) }))
            .await?;
        if admins.value == [oneself.id] {
            return Err(Error::LastAdmin);
        }
    }
    let reply = |job| RequestErasureResponse { job: Some(job) };
    request_job::request_job(call, oneself, DataJobKind::Erasure, reply).await
}
