//! Writing an event in the transaction that makes it true.

use rls::Tx;
use uuid::Uuid;

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
    let row = Row::of(event)?;
    sqlx::query(
        "INSERT INTO outbox (id, subject, aggregate, aggregate_id, aggregate_version, shard, payload, tags, traceparent)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(row.id)
    .bind(row.subject)
    .bind(row.aggregate)
    .bind(row.aggregate_id)
    .bind(row.aggregate_version)
    .bind(row.shard)
    .bind(row.payload)
    .bind(&row.tags)
    .bind(bootstrap::trace::traceparent())
    .execute(&mut *tx.statement("INSERT outbox"))
    .await?;
    tx.stale(row.id, row.tags);
    Ok(())
}

/// The same for many events of one transaction, in their order and in one statement: what an order does to each of
/// its goods must not cost a statement each.
///
/// # Errors
/// As [`record`]; then none of them is written.
pub async fn record_all(tx: &mut Tx, events: &[Event]) -> Result<(), sqlx::Error> {
    if events.is_empty() {
        return Ok(());
    }
    let rows = events.iter().map(Row::of).collect::<Result<Vec<_>, _>>()?;
    let column = |of: fn(&Row) -> &str| rows.iter().map(of).collect::<Vec<&str>>();
    // An array of arrays must be a rectangle, which tags are not. They travel as one list that says whose each is.
    let (owners, tags): (Vec<i32>, Vec<&str>) = (1..)
        .zip(&rows)
        .flat_map(|(owner, row)| row.tags.iter().map(move |tag| (owner, tag.as_str())))
        .unzip();
    sqlx::query(
        "INSERT INTO outbox (id, subject, aggregate, aggregate_id, aggregate_version, shard, payload, tags, traceparent)
         SELECT e.id, e.subject, e.aggregate, e.aggregate_id, e.aggregate_version, e.shard, e.payload,
                ARRAY(SELECT t.tag FROM unnest($8::int[], $9::text[]) WITH ORDINALITY AS t (owner, tag, place)
                       WHERE t.owner = e.place ORDER BY t.place),
                $10
           FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::smallint[], $7::bytea[])
                WITH ORDINALITY AS e (id, subject, aggregate, aggregate_id, aggregate_version, shard, payload, place)
          ORDER BY e.place",
    )
    .bind(rows.iter().map(|row| row.id).collect::<Vec<_>>())
    .bind(column(|row| &row.subject))
    .bind(column(|row| row.aggregate))
    .bind(column(|row| &row.aggregate_id))
    .bind(rows.iter().map(|row| row.aggregate_version).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.shard).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.payload.as_slice()).collect::<Vec<_>>())
    .bind(owners)
    .bind(tags)
    .bind(bootstrap::trace::traceparent())
    .execute(&mut *tx.statement("INSERT outbox"))
    .await?;
    for row in rows {
        tx.stale(row.id, row.tags);
    }
    Ok(())
}

/// An event as the outbox keeps it.
#[derive(Debug)]
struct Row {
    id: Uuid,
    subject: String,
    aggregate: &'static str,
    aggregate_id: String,
    aggregate_version: i64,
    shard: i16,
    payload: Vec<u8>,
    tags: Vec<String>,
}

impl Row {
    fn of(event: &Event) -> Result<Self, sqlx::Error> {
        let aggregate = event.aggregate();
        let payload = event.encode();
        let tags = event.stale_tags();
        if message_bytes(payload.len(), &tags) > MESSAGE_BYTES_MAX {
            let reason =
                format!("event {} {} is longer than {MESSAGE_BYTES_MAX} bytes", aggregate.kind, aggregate.id);
            return Err(sqlx::Error::Encode(reason.into()));
        }
        Ok(Self {
            id: event.id(),
            subject: event.subject(),
            aggregate: aggregate.kind,
            shard: shard(aggregate.kind, &aggregate.id),
            aggregate_id: aggregate.id,
            aggregate_version: aggregate.version,
            payload,
            tags,
        })
    }
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
