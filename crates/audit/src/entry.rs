//! Writing down what was done.

use rls::{Caller, Tx};
use serde_json::Value;
use time::OffsetDateTime;

use crate::chain::{Link, ORIGIN};
use crate::store;

/// The longest `before` and `after`, as JSON text in bytes.
const VALUE_BYTES_MAX: usize = 64 * 1024;
const REQUEST_ID_CHARS_MAX: usize = 128;

/// One thing that somebody did. No personal data besides ids, and no secrets.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Who did it. Not always whom the transaction is opened for: what staff order, the service does.
    pub actor: Caller,
    /// What was done, such as `order.status_changed`.
    pub action: &'static str,
    /// To what kind of thing, such as `order`.
    pub entity: &'static str,
    /// To which one.
    pub entity_id: String,
    /// What of it was different before; `None` when it is new.
    pub before: Option<Value>,
    /// What is different now; `None` when it is gone.
    pub after: Option<Value>,
    /// The request by which it was done; empty when there was none.
    pub request_id: String,
}

/// Appends `entry` to the chain, in the transaction of the change. Other transactions that append wait until this one
/// ends, so call it last, when all rows are locked.
///
/// # Errors
/// When the row cannot be written: `tx` is not opened for staff or the service, or `before` or `after` is longer than
/// 64 KiB.
pub async fn record(tx: &mut Tx, entry: &Entry) -> Result<(), sqlx::Error> {
    let before = entry.before.as_ref().map(text).transpose()?;
    let after = entry.after.as_ref().map(text).transpose()?;
    store::lock(tx).await?;
    let last = store::last(tx).await?;
    let (last_id, prev_sha256) = last.unwrap_or((0, ORIGIN));
    let now = OffsetDateTime::now_utc();
    let link = Link {
        id: last_id + 1,
        // As finely as the database keeps it.
        at: now
            .replace_nanosecond(now.microsecond() * 1_000)
            .expect("a whole microsecond is a valid nanosecond"),
        actor_id: entry.actor.id(),
        actor_role: entry.actor.role().to_owned(),
        action: entry.action.to_owned(),
        entity: entry.entity.to_owned(),
        entity_id: entry.entity_id.clone(),
        before,
        after,
        request_id: entry.request_id.chars().take(REQUEST_ID_CHARS_MAX).collect(),
        prev_sha256,
    };
    store::insert(tx, &link, link.sha256()).await
}

/// Members of objects come in the order of their names.
fn text(value: &Value) -> Result<String, sqlx::Error> {
    let text = value.to_string();
    if text.len() > VALUE_BYTES_MAX {
        return Err(sqlx::Error::Encode(
            format!("an audit entry of {} bytes is too long", text.len()).into(),
        ));
    }
    Ok(text)
}
