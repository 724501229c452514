//! Publishing rows: pipelined over aggregates, in order within each.

use std::collections::{HashMap, VecDeque};

use async_nats::HeaderMap;
use async_nats::jetstream::context::{PublishAckFuture, PublishError};
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::publish::PublishAck;
use bootstrap::trace::{self, Edge, Parent};
use opentelemetry::KeyValue;
use opentelemetry::trace::SpanKind;
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use super::pending::PendingRow;
use super::{ACK_DEADLINE, Relay};
use crate::outbox::{MESSAGE_BYTES_MAX, message_bytes};
use crate::{headers, streams};

/// What became of the rows of one round.
#[derive(Debug, Default)]
pub(super) struct Published {
    /// Rows with their sequence in the stream.
    pub(super) acknowledged: Vec<(Uuid, i64)>,
    /// Rows that no stream will ever take.
    pub(super) oversize: Vec<Uuid>,
    /// The highest sequence seen.
    pub(super) high: u64,
    /// The stream numbered a new message below one it had numbered before: it lost messages.
    pub(super) regressed: bool,
    /// How many rows are still pending, and one reason.
    pub(super) unacknowledged: Option<(usize, Option<async_nats::Error>)>,
}

/// A message on the wire.
struct InFlight {
    row: PendingRow,
    later: VecDeque<PendingRow>,
    ack: PublishAckFuture,
    /// The producer's span ends with the acknowledgement.
    edge: Option<Edge>,
}

impl Relay {
    /// Publishes `rows`, oldest first, in waves: the first row of every aggregate, then the second of
    /// those whose first was acknowledged, and so on. An unacknowledged row holds up its own
    /// aggregate only. `known_high` is the highest sequence seen before.
    pub(super) async fn publish(&self, rows: Vec<PendingRow>, known_high: u64) -> Published {
        let mut published = Published { high: known_high, ..Published::default() };
        let mut left = 0;
        let mut reason = None;
        let mut wave = by_aggregate(rows);
        while !wave.is_empty() {
            let by = Instant::now() + ACK_DEADLINE;
            let mut in_flight = Vec::with_capacity(wave.len());
            for mut aggregate in wave {
                let Some(row) = next_that_fits(&mut aggregate, &mut published.oversize) else { continue };
                match self.send(&row, by).await {
                    Ok((ack, edge)) => in_flight.push(InFlight { row, later: aggregate, ack, edge }),
                    Err(error) => {
                        left += 1 + aggregate.len();
                        reason = Some(error);
                    }
                }
            }
            if let Err(injected) = failpoints::hit("rl.after_publish_before_ack").await {
                left += in_flight.iter().map(|sent| 1 + sent.later.len()).sum::<usize>();
                reason = Some(injected.into());
                in_flight.clear();
            }
            let mut next = Vec::with_capacity(in_flight.len());
            for InFlight { row, later, ack, edge } in in_flight {
                match acknowledgement(ack, by).await {
                    Ok(ack) => {
                        if !ack.duplicate {
                            published.regressed |= ack.sequence <= published.high;
                            published.high = published.high.max(ack.sequence);
                        }
                        published
                            .acknowledged
                            .push((row.id, i64::try_from(ack.sequence).unwrap_or(i64::MAX)));
                        if !later.is_empty() {
                            next.push(later);
                        }
                    }
                    Err(error) => {
                        if let Some(edge) = edge {
                            edge.fail("unacknowledged");
                        }
                        left += 1 + later.len();
                        reason = Some(error);
                    }
                }
            }
            wave = next;
        }
        published.unacknowledged = (left > 0).then_some((left, reason));
        published
    }

    async fn send(
        &self,
        row: &PendingRow,
        by: Instant,
    ) -> Result<(PublishAckFuture, Option<Edge>), async_nats::Error> {
        let edge = row.traceparent.as_deref().map(|traceparent| {
            let cause = trace::context_of(traceparent);
            Edge::start(SpanKind::Producer, "publish MC_MUTATIONS", Parent::Sampled(&cause), || {
                vec![
                    KeyValue::new("messaging.system", "nats"),
                    KeyValue::new("messaging.operation.type", "send"),
                    KeyValue::new("messaging.destination.name", streams::MUTATIONS),
                    KeyValue::new("messaging.message.id", row.id.to_string()),
                ]
            })
        });
        let traceparent = edge.as_ref().and_then(|edge| {
            let _current = edge.context().attach();
            trace::traceparent()
        });
        let mut head = HeaderMap::new();
        head.insert(headers::AGGREGATE_VERSION, row.aggregate_version.to_string());
        head.insert(headers::COMMIT_LSN, row.commit_lsn.to_string());
        head.insert(headers::TAGS, row.tags.len().to_string());
        for tag in &row.tags {
            head.append(headers::TAG, tag.as_str());
        }
        if let Some(traceparent) = traceparent {
            head.insert(trace::TRACEPARENT, traceparent);
        }
        let message = PublishMessage::build()
            .payload(row.payload.clone().into())
            .headers(head)
            .message_id(row.id.to_string())
            .expected_stream(streams::MUTATIONS);
        let sent = timeout_at(by, self.jetstream.send_publish(row.subject.clone(), message)).await;
        Ok((sent??, edge))
    }
}

async fn acknowledgement(ack: PublishAckFuture, by: Instant) -> Result<PublishAck, async_nats::Error> {
    let ack: Result<PublishAck, PublishError> = timeout_at(by, ack.into_future()).await?;
    Ok(ack?)
}

/// The next row that the stream can take; longer ones are put aside with an alert, they never block.
fn next_that_fits(aggregate: &mut VecDeque<PendingRow>, oversize: &mut Vec<Uuid>) -> Option<PendingRow> {
    loop {
        let row = aggregate.pop_front()?;
        let bytes = message_bytes(row.payload.len(), &row.tags);
        if bytes <= MESSAGE_BYTES_MAX {
            return Some(row);
        }
        tracing::error!(event.id = %row.id, row.subject, bytes, "event too long for the stream, quarantined");
        oversize.push(row.id);
    }
}

/// The rows of each aggregate in order; aggregates in the order of their first row.
fn by_aggregate(rows: Vec<PendingRow>) -> Vec<VecDeque<PendingRow>> {
    let mut index: HashMap<(String, String), usize> = HashMap::new();
    let mut aggregates: Vec<VecDeque<PendingRow>> = Vec::new();
    for row in rows {
        let place = *index.entry(row.aggregate.clone()).or_insert_with(|| {
            aggregates.push(VecDeque::new());
            aggregates.len() - 1
        });
        aggregates[place].push_back(row);
    }
    aggregates
}
