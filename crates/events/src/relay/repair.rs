//! When the stream lost what it had acknowledged: the outbox still has it.
//!
//! NATS may lose the last moments before a power failure, or everything. The outbox keeps seven days,
//! so the loss is found by comparing, and mended by publishing again under the same ids.

use std::sync::atomic::Ordering;

use async_nats::jetstream::context::GetStreamErrorKind;
use async_nats::jetstream::stream::{RawMessageErrorKind, Stream};
use rls::{Caller, Class};
use sqlx::Row as _;
use time::OffsetDateTime;
use tokio::time::Instant;
use uuid::Uuid;

use super::{COMPARE_EVERY, DATABASE_DEADLINE, Relay, RelayError};
use crate::streams;

/// Rows that become pending again per statement.
const BATCH: i64 = 5_000;

/// What the relay knows about the end of the stream.
#[derive(Debug, Default)]
pub(super) struct Tail {
    created: Option<OffsetDateTime>,
    high: u64,
    /// Connections counted by the client at the last comparison.
    connects: u64,
    compare_due: Option<Instant>,
}

impl Tail {
    /// The highest sequence seen.
    pub(super) fn high(&self) -> u64 {
        self.high
    }

    pub(super) fn saw(&mut self, high: u64) {
        self.high = self.high.max(high);
    }

    /// Compare before anything else is published.
    pub(super) fn doubt(&mut self) {
        self.compare_due = None;
    }

    fn is_trusted(&self, connects: u64) -> bool {
        self.connects == connects && self.compare_due.is_some_and(|due| Instant::now() < due)
    }
}

/// What the stream lost of what it had acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Loss {
    Nothing,
    /// Its end.
    Tail,
    /// It is another stream.
    Everything,
}

impl Relay {
    /// Compares the stream with the outbox after every connection, every failure, and every ten
    /// seconds; makes the stream again if it is gone, and what it lost pending again.
    pub(super) async fn compare(&self, tail: &mut Tail) -> Result<(), RelayError> {
        let connects = self.nats.statistics().connects.load(Ordering::Relaxed);
        if tail.is_trusted(connects) {
            return Ok(());
        }
        let stream = self.stream().await?;
        let info = stream.cached_info();
        let loss = if tail.created.is_some_and(|created| created != info.created) {
            Loss::Everything
        } else if info.state.last_sequence < tail.high {
            Loss::Tail
        } else {
            self.loss_of_the_newest(&stream).await?
        };
        // Of a stream that went back, what is above its end is gone; of a new one, everything is.
        let kept = match loss {
            Loss::Nothing => None,
            Loss::Tail => Some(info.state.last_sequence),
            Loss::Everything => Some(0),
        };
        if let Some(kept) = kept {
            let again = self.make_pending_again(kept).await?;
            tracing::error!(
                service = self.config.service,
                stream.last_sequence = info.state.last_sequence,
                stream.high = tail.high,
                "the stream lost messages, publishing {again} events again"
            );
        }
        self.stream_seq.store(info.state.last_sequence, Ordering::Release);
        *tail = Tail {
            created: Some(info.created),
            high: info.state.last_sequence,
            connects,
            compare_due: Some(Instant::now() + COMPARE_EVERY),
        };
        Ok(())
    }

    async fn stream(&self) -> Result<Stream, RelayError> {
        match self.jetstream.get_stream(streams::MUTATIONS).await {
            Ok(stream) => Ok(stream),
            Err(error) => {
                let gone =
                    matches!(error.kind(), GetStreamErrorKind::JetStream(error) if error.code() == 404);
                if !gone {
                    return Err(RelayError::Stream(error.into()));
                }
                tracing::warn!(stream = streams::MUTATIONS, "the stream does not exist, making it");
                streams::declare(&self.jetstream, self.config.stream_replicas)
                    .await
                    .map_err(|error| RelayError::Stream(error.into()))?;
                self.jetstream
                    .get_stream(streams::MUTATIONS)
                    .await
                    .map_err(|error| RelayError::Stream(error.into()))
            }
        }
    }

    /// Whether the newest acknowledged row is where the stream said it put it. Finds a stream that
    /// went back, or was made again, while no relay was running.
    async fn loss_of_the_newest(&self, stream: &Stream) -> Result<Loss, RelayError> {
        let newest = self.db.run(&Caller::Service, Class::Worker, DATABASE_DEADLINE, |tx| {
            Box::pin(async move {
                let row = sqlx::query(
                    "SELECT id, stream_seq, published_at FROM outbox
                      WHERE stream_seq IS NOT NULL ORDER BY stream_seq DESC LIMIT 1",
                )
                .fetch_optional(&mut *tx.statement("SELECT outbox newest"))
                .await?;
                let newest: Option<(Uuid, i64, OffsetDateTime)> = row
                    .map(|row| Ok::<_, sqlx::Error>((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?)))
                    .transpose()?;
                Ok::<_, RelayError>(newest)
            })
        });
        let Some((id, seq, published_at)) = newest.await?.value else { return Ok(Loss::Nothing) };
        let seq = seq.unsigned_abs();
        let info = stream.cached_info();
        let loss = if info.created > published_at { Loss::Everything } else { Loss::Tail };
        if seq > info.state.last_sequence {
            return Ok(loss);
        }
        if seq < info.state.first_sequence {
            // Older than the stream keeps.
            return Ok(Loss::Nothing);
        }
        match stream.get_raw_message(seq).await {
            Ok(message) => {
                let found = message.headers.get("Nats-Msg-Id").map(|id| id.as_str().to_owned());
                Ok(if found == Some(id.to_string()) { Loss::Nothing } else { loss })
            }
            Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => Ok(loss),
            Err(error) => Err(RelayError::Stream(error.into())),
        }
    }

    /// What the stream cannot have any more (above `last_seq`) or may have lost (published within the
    /// duplicate window, where a second copy is dropped) becomes pending. Answers how many rows.
    async fn make_pending_again(&self, last_seq: u64) -> Result<u64, RelayError> {
        let last_seq = i64::try_from(last_seq).unwrap_or(i64::MAX);
        let started = OffsetDateTime::now_utc();
        let mut again = 0;
        loop {
            let batch = self.db.run(&Caller::Service, Class::Worker, 5 * DATABASE_DEADLINE, move |tx| {
                Box::pin(async move {
                    let updated = sqlx::query(
                        "UPDATE outbox SET published_at = NULL, stream_seq = NULL
                          WHERE id IN (
                                SELECT id FROM outbox
                                 WHERE published_at < 'infinity'
                                   AND (stream_seq > $1 OR published_at > $2 - interval '10 minutes')
                                 LIMIT $3)",
                    )
                    .bind(last_seq)
                    .bind(started)
                    .bind(BATCH)
                    .execute(&mut *tx.statement("UPDATE outbox pending again"))
                    .await?;
                    Ok::<_, RelayError>(updated.rows_affected())
                })
            });
            let updated = batch.await?.value;
            again += updated;
            if updated < BATCH.unsigned_abs() {
                return Ok(again);
            }
        }
    }
}
