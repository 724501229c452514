//! What access tokens no longer prove, for those who check them.

use proto::accounts::v1::revocation::What;
use proto::accounts::v1::{ListRevocationsRequest, ListRevocationsResponse, Revocation, RoleChange};

use super::{Call, now};
use crate::domain::user;
use crate::error::Error;
use crate::store::revocations::{self, RevocationRow};
use crate::wire;

/// In the order of commits: whoever has seen a number has seen all that come before it.
pub(crate) async fn list_revocations(
    call: &Call,
    request: ListRevocationsRequest,
) -> Result<ListRevocationsResponse, Error> {
    let backstage = call.service()?;
    let after = i64::try_from(request.after_seq).unwrap_or(i64::MAX);
    let now = now();
    let rows = call
        .read(backstage, move |tx| Box::pin(async move { revocations::after(tx, after, now).await }))
        .await?;
    let revocations = rows.into_iter().map(revocation).collect::<Result<_, _>>()?;
    Ok(ListRevocationsResponse { revocations })
}

fn revocation(row: RevocationRow) -> Result<Revocation, Error> {
    let what = match (row.session_id, row.role) {
        (Some(session), _) => What::SessionId(session.to_string()),
        (None, role) => {
            let role = user::role("role", role.as_deref().unwrap_or_default())?;
            What::RoleChange(RoleChange { user_id: row.user_id, role: wire::role(role).into() })
        }
    };
    Ok(Revocation { seq: row.seq.unsigned_abs(), until_s: row.until.unix_timestamp(), what: Some(what) })
}
