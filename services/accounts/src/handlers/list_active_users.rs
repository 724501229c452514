//! Who used the shop last, for those who prepare their next visit.

use proto::accounts::v1::{ListActiveUsersRequest, ListActiveUsersResponse};

use super::{Call, now};
use crate::domain::Invalid;
use crate::error::Error;
use crate::store::sessions;

const LIMIT_MAX: u32 = 10_000;

pub(crate) async fn list_active_users(
    call: &Call,
    request: ListActiveUsersRequest,
) -> Result<ListActiveUsersResponse, Error> {
    let backstage = call.service()?;
    let limit = request.limit;
    if !(1..=LIMIT_MAX).contains(&limit) {
        return Err(Invalid::value("limit", format!("must be from 1 to {LIMIT_MAX}")).into());
    }
    let now = now();
    let user_ids = call
        .read(backstage, move |tx| Box::pin(async move { sessions::active_users(tx, limit, now).await }))
        .await?;
    Ok(ListActiveUsersResponse { user_ids })
}
