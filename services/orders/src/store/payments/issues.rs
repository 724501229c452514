//! What no program may decide: kept once for a person to look at.

use rls::Tx;
use uuid::Uuid;

rls::statements! {
    /// Something for a person, once per kind and reference; nothing when it is known already and not dealt with yet.
    RAISE =
        "INSERT INTO payment_issues (kind, order_id, payment_id, ref, detail) VALUES ($1, $2, $3, $4, left($5, 1000))
         ON CONFLICT (kind, ref) WHERE resolved_at IS NULL DO NOTHING";
}

/// Something for a person.
#[derive(Clone, Debug)]
pub(crate) struct Issue {
    pub(crate) kind: &'static str,
    pub(crate) order_id: Option<i64>,
    pub(crate) payment_id: Option<Uuid>,
    /// What it is about; the same thing is raised once.
    pub(crate) reference: String,
    pub(crate) detail: String,
}

/// Raises an issue; `false` when it was raised before.
pub(crate) async fn raise(tx: &mut Tx, issue: &Issue) -> Result<bool, sqlx::Error> {
    let raised = sqlx::query(RAISE)
        .bind(issue.kind)
        .bind(issue.order_id)
        .bind(issue.payment_id)
        .bind(&issue.reference)
        .bind(&issue.detail)
        .execute(&mut *tx.statement("INSERT payment_issues"))
        .await?;
    Ok(raised.rows_affected() == 1)
}
