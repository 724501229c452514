//! Whose turn it is: a message waits until every earlier one of its aggregate is finished.
//!
//! The stream itself says which messages came before, and the inbox which of them are finished: handled, or among
//! the dead letters. Both are the same for every replica, so no replica needs to know what another is doing.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use async_nats::HeaderMap;
use async_nats::jetstream;
use async_nats::jetstream::stream::{RawMessageErrorKind, Stream};
use rls::{Caller, Class, Database, DatabaseError};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};

use super::REQUEST_DEADLINE;
use crate::{headers, streams};

/// Between two looks for whether it is one's turn: doubles from the first to the second.
const LOOK_AGAIN_MIN: Duration = Duration::from_millis(10);
const LOOK_AGAIN_MAX: Duration = Duration::from_secs(1);
/// How far the durable is acknowledged is asked no more often than this.
const FLOOR_AGE_MAX: Duration = Duration::from_secs(1);
/// Bounds each statement on the inbox.
const INBOX_DEADLINE: Duration = Duration::from_secs(5);
/// Aggregates whose progress is remembered; beyond that it is asked anew.
const LINES_MAX: usize = 4_096;

/// The order of one consumer's messages, per aggregate.
#[derive(Debug)]
pub(super) struct Order {
    db: Database,
    durable: &'static str,
    filter_subject: String,
    stream: Stream<()>,
    state: Mutex<State>,
    /// A message of this process has left the line.
    left: Notify,
}

#[derive(Debug, Default)]
struct State {
    lines: HashMap<String, BTreeSet<(u64, u64)>>,
    tickets: u64,
    /// Up to here, all of a line's messages are finished.
    finished: HashMap<String, u64>,
    /// Up to here, all messages are acknowledged, and when that was known.
    floor: Option<(u64, Instant)>,
}

/// The place of a message among those of its aggregate in this process; left on drop.
#[derive(Debug)]
pub(super) struct Place<'o> {
    order: &'o Order,
    line: String,
    at: (u64, u64),
}

impl Order {
    pub(super) async fn new(
        db: Database,
        durable: &'static str,
        filter_subject: String,
        jetstream: &jetstream::Context,
    ) -> anyhow::Result<Self> {
        let stream = jetstream.get_stream_no_info(streams::MUTATIONS).await.context("opening the stream")?;
        Ok(Self { db, durable, filter_subject, stream, state: Mutex::default(), left: Notify::new() })
    }

    /// Lines up a message. `None` for one whose subject names no aggregate: it waits for nobody.
    pub(super) fn enter(&self, subject: &str, stream_seq: u64) -> Option<Place<'_>> {
        let line = line_of(subject)?;
        let mut state = self.state();
        state.tickets += 1;
        let at = (stream_seq, state.tickets);
        state.lines.entry(line.clone()).or_default().insert(at);
        Some(Place { order: self, line, at })
    }

    /// Notes that `message_id` is handled. Its handler may have said so already, in its own transaction.
    pub(super) async fn finish(&self, message_id: String) -> Result<(), DatabaseError> {
        let consumer = self.durable;
        let noted = self.db.run(&Caller::Service, Class::Worker, INBOX_DEADLINE, move |tx| {
            Box::pin(async move {
                crate::inbox::first_time(tx, consumer, &message_id).await?;
                Ok::<_, DatabaseError>(())
            })
        });
        noted.await.map(drop)
    }

    pub(super) async fn is_finished(&self, message_id: &str, stream_seq: u64) -> Result<bool, DatabaseError> {
        let consumer = self.durable;
        let ids = vec![message_id.to_owned(), dead(message_id, stream_seq)];
        let found = self.db.run(&Caller::Service, Class::Worker, INBOX_DEADLINE, move |tx| {
            Box::pin(async move {
                sqlx::query_scalar::<_, bool>(
                    "SELECT EXISTS (SELECT FROM inbox WHERE consumer = $1 AND message_id = ANY ($2))",
                )
                .bind(consumer)
                .bind(ids)
                .fetch_one(&mut *tx.statement("SELECT inbox"))
                .await
                .map_err(DatabaseError::from)
            })
        });
        Ok(found.await?.value)
    }

    /// Up to where the durable is acknowledged without a gap; at most a second old.
    async fn floor(&self) -> anyhow::Result<u64> {
        if let Some((floor, at)) = self.state().floor
            && at.elapsed() < FLOOR_AGE_MAX
        {
            return Ok(floor);
        }
        let info = timeout(REQUEST_DEADLINE, self.stream.consumer_info(self.durable)).await??;
        let floor = info.ack_floor.stream_sequence;
        self.state().floor = Some((floor, Instant::now()));
        Ok(floor)
    }

    /// Whether all messages of `line` before `stream_seq` are finished.
    async fn is_turn(&self, line: &str, stream_seq: u64) -> anyhow::Result<bool> {
        let floor = self.floor().await?;
        let mut from = self.state().finished.get(line).copied().unwrap_or(0).max(floor) + 1;
        while from < stream_seq {
            let asked = self.stream.raw_message_builder().sequence(from).next_by_subject(line).send();
            let earlier = match timeout(REQUEST_DEADLINE, asked).await? {
                Ok(message) if message.sequence < stream_seq => message,
                Ok(_itself_or_later) => break,
                Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => break,
                Err(error) => return Err(error).context("looking for earlier messages"),
            };
            let awaited = matches(&self.filter_subject, &earlier.subject)
                && is_for(&earlier.headers, self.durable)
                && match event_id(&earlier.headers) {
                    Some(id) => !self.is_finished(&id, earlier.sequence).await?,
                    // Nobody can tell, and nobody orders what is not from our relays.
                    None => false,
                };
            if awaited {
                return Ok(false);
            }
            from = earlier.sequence + 1;
            self.remember(line, earlier.sequence);
        }
        self.remember(line, stream_seq - 1);
        Ok(true)
    }

    fn remember(&self, line: &str, finished: u64) {
        let mut state = self.state();
        if state.finished.len() >= LINES_MAX && !state.finished.contains_key(line) {
            state.finished.clear();
        }
        state.finished.insert(line.to_owned(), finished);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change is one step; a panic leaves nothing half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place<'_> {
    /// Returns when every earlier message of the aggregate is finished, wherever it is handled.
    pub(super) async fn turn(&self) {
        let mut pause = LOOK_AGAIN_MIN;
        loop {
            let left = self.order.left.notified();
            if self.is_first_here() {
                match self.order.is_turn(&self.line, self.at.0).await {
                    Ok(true) => return,
                    Ok(false) => {}
                    Err(error) => {
                        tracing::warn!(
                            consumer = self.order.durable,
                            error = format!("{error:#}"),
                            "cannot tell whose turn it is"
                        );
                    }
                }
                tokio::select! {
                    () = left => {}
                    () = sleep(pause) => {}
                }
                pause = (pause * 2).min(LOOK_AGAIN_MAX);
            } else {
                left.await;
            }
        }
    }

    /// Notes that the message is handled: the next one need not ask.
    pub(super) fn done(&self) {
        self.order.remember(&self.line, self.at.0);
    }

    fn is_first_here(&self) -> bool {
        let state = self.order.state();
        let first = state.lines.get(&self.line).and_then(BTreeSet::first);
        first.is_none_or(|first| first.0 == self.at.0)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut state = self.order.state();
        if let Some(line) = state.lines.get_mut(&self.line) {
            line.remove(&self.at);
            if line.is_empty() {
                state.lines.remove(&self.line);
            }
        }
        drop(state);
        self.order.left.notify_waiters();
    }
}

/// What the inbox calls a message that was given up. Not its own id: should it be delivered once more by hand, its
/// effect is still to come. With its place, so that a second burial is another one.
pub(super) fn dead(message_id: &str, stream_seq: u64) -> String {
    format!("dead:{message_id}:{stream_seq}")
}

/// The id of the event that a message carries; a message that was delivered again by hand has an id of its own.
pub(super) fn event_id(headers: &HeaderMap) -> Option<String> {
    let header = headers.get(headers::EVENT_ID).or_else(|| headers.get("Nats-Msg-Id"))?;
    Some(header.as_str().to_owned())
}

/// Whether `durable` is to handle a message: those that were delivered again by hand are for one consumer only.
pub(super) fn is_for(headers: &HeaderMap, durable: &str) -> bool {
    headers.get(headers::ONLY_FOR).is_none_or(|only| only.as_str() == durable)
}

/// The subjects of one aggregate's messages: `mc.<service>.<aggregate>.<verb>.<id>` with any verb.
fn line_of(subject: &str) -> Option<String> {
    let mut words = subject.splitn(5, '.');
    let (product, service, aggregate, _verb, id) =
        (words.next()?, words.next()?, words.next()?, words.next()?, words.next()?);
    Some(format!("{product}.{service}.{aggregate}.*.{id}"))
}

/// Whether a subject is one of those that `filter` names, by the rules of NATS.
fn matches(filter: &str, subject: &str) -> bool {
    let (mut filter, mut subject) = (filter.split('.'), subject.split('.'));
    loop {
        match (filter.next(), subject.next()) {
            (Some(">"), Some(_)) | (None, None) => return true,
            (Some("*"), Some(_)) => {}
            (Some(expected), Some(word)) if expected == word => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verbs_of_one_aggregate_share_a_line() {
        assert_eq!(line_of("mc.catalog.product.created.42").as_deref(), Some("mc.catalog.product.*.42"));
        assert_eq!(line_of("mc.catalog.product.deleted.42"), line_of("mc.catalog.product.updated.42"));
        assert_ne!(line_of("mc.catalog.product.updated.42"), line_of("mc.catalog.product.updated.4"));
        assert_eq!(line_of("mc.catalog.product.created"), None);
    }

    #[test]
    fn filters_match_as_the_server_does() {
        for (filter, subject, expected) in [
            ("mc.>", "mc.a.b.c.1", true),
            ("mc.>", "mc", false),
            ("mc.a.*.c.1", "mc.a.b.c.1", true),
            ("mc.a.*.c", "mc.a.b.c.1", false),
            ("mc.a.b.c.1", "mc.a.b.c.1", true),
            ("mc.a.b.c.1.2", "mc.a.b.c.1", false),
            ("mc.a.b.d.>", "mc.a.b.c.1", false),
        ] {
            assert_eq!(matches(filter, subject), expected, "{filter} {subject}");
        }
    }
}
