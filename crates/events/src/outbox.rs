//! Writing an event in the transaction that makes it true.

use rls::Tx;

use crate::event::Event;

/// An event's message is at most this long, headers included; the stream refuses longer ones.
pub(crate) const MESSAGE_BYTES_MAX: usize = 64 * 1024;
/// Aggregates are spread over so many shards; each is relayed in order.
pub(crate) const SHARDS: u64 = 8;

/// Writes `event` to the outbox and leaves the receipt of what it makes stale. It is published if,
/// and only if, the transaction commits.
///
/// Call it after the aggregate's row is locked and its version raised: the order of the outbox is
/// then the order of commits, per aggregate.
///
/// # Errors
/// When the row cannot be written (the same version of the aggregate was recorded before, say), or
/// the event is longer than 64 KiB.
pub async fn record(tx: &mut Tx, event: &Event) -> Result<(), sqlx::Error> {
    let aggregate = event.aggregate();
    let payload = event.encode();
    let tags = event.stale_tags();
    if message_bytes(payload.len(), &tags) > MESSAGE_BYTES_MAX {
        let reason =
            format!("event {} {} is longer than {MESSAGE_BYTES_MAX} bytes", aggregate.kind, aggregate.id);
        return Err(sqlx::Error::Encode(reason.into()));
    }
    let traceparent = bootstrap::trace::traceparent();
    sqlx::query(
        "INSERT INTO outbox (id, subject, aggregate, aggregate_id, aggregate_version, shard, payload, tags, traceparent)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(event.id())
    .bind(event.subject())
    .bind(aggregate.kind)
    .bind(&aggregate.id)
    .bind(aggregate.version)
    .bind(shard(aggregate.kind, &aggregate.id))
    .bind(&payload)
    .bind(&tags)
    .bind(traceparent)
    .execute(&mut *tx.statement("INSERT outbox"))
    .await?;
    tx.stale(event.id(), tags);
    Ok(())
}

/// An upper bound of a message's length with its headers.
pub(crate) fn message_bytes(payload: usize, tags: &[String]) -> usize {
    const FIXED_HEADERS: usize = 512;
    const PER_TAG: usize = "mc-tag: \r\n".len();
    payload + FIXED_HEADERS + tags.iter().map(|tag| PER_TAG + tag.len()).sum::<usize>()
}

/// The shard of an aggregate: FNV-1a, because it must be the same in every version of the product.
fn shard(kind: &str, id: &str) -> i16 {
    let bytes = kind.bytes().chain([0]).chain(id.bytes());
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    i16::try_from(hash % SHARDS).expect("less than the number of shards")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_never_change() {
        // Rows written by another version of the product must stay in order with ours.
        assert_eq!([shard("product", "1"), shard("product", "2"), shard("price", "1")], [7, 2, 5]);
    }

    #[test]
    fn shards_are_all_used() {
        let used: std::collections::HashSet<i16> =
            (0..200).map(|id| shard("product", &id.to_string())).collect();
        assert_eq!(used.len(), 8);
    }
}
