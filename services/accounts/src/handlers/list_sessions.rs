//! Where the caller is signed in.

use proto::accounts::v1::{ListSessionsRequest, ListSessionsResponse, Session};

use super::{Call, now};
use crate::error::Error;
use crate::store::sessions;
use crate::wire;

pub(crate) async fn list_sessions(
    call: &Call,
    _: ListSessionsRequest,
) -> Result<ListSessionsResponse, Error> {
    let oneself = call.oneself()?;
    let now = now();
    let rows = call
        .read(oneself, move |tx| Box::pin(async move { sessions::live(tx, oneself.id, now).await }))
        .await?;
    let session = |row: sessions::SessionRow| Session {
        id: row.id.to_string(),
        user_agent: row.user_agent,
        address: row.address,
        created_at: Some(wire::timestamp(row.created_at)),
        last_used_at: Some(wire::timestamp(row.last_used_at)),
        expires_at: Some(wire::timestamp(row.expires_at)),
        current: row.id == oneself.session,
    };
    Ok(ListSessionsResponse { sessions: rows.into_iter().map(session).collect() })
}
