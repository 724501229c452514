//! Saying four times a second how far behind the outbox is.

use std::sync::atomic::Ordering;
use std::time::Duration;

use prost::Message as _;
use proto::events::v1::RelayHeartbeat;
use rls::{Caller, Class};
use sqlx::Row as _;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::leader::HeartbeatDuty;
use super::{Relay, RelayError};

/// How often a heartbeat is sent.
const INTERVAL: Duration = Duration::from_millis(250);
/// A heartbeat that cannot be made in time is not sent: silence says the same.
const DEADLINE: Duration = Duration::from_millis(500);

/// The core NATS subject of a service's heartbeats.
pub fn subject(service: &str) -> String {
    format!("hb.relay.{service}")
}

/// Which transactions are finished *and* published.
///
/// A snapshot's xmin says what is finished; that its events are out is known once no row is pending
/// that was pending then. So each candidate waits for a later look at the outbox.
#[derive(Debug, Default)]
struct Horizon {
    published_xmin: u64,
    candidate: Option<(u64, i64)>,
}

/// One look at the outbox.
#[derive(Debug, Clone, Copy)]
struct Look {
    xmin: u64,
    /// First and last pending row.
    pending: Option<(i64, i64)>,
    oldest_ms: u64,
}

impl Horizon {
    fn see(&mut self, look: Look) {
        match (look.pending, self.candidate) {
            (None, _) => {
                self.published_xmin = self.published_xmin.max(look.xmin);
                self.candidate = None;
            }
            (Some((first, last)), Some((xmin, high))) if first > high => {
                self.published_xmin = self.published_xmin.max(xmin);
                self.candidate = Some((look.xmin, last));
            }
            (Some((_, last)), None) => self.candidate = Some((look.xmin, last)),
            (Some(_), Some(_)) => {}
        }
    }
}

impl Relay {
    /// Sends heartbeats while this relay has the duty, until `shutdown`.
    pub(super) async fn heartbeats(
        &self,
        mut duty: watch::Receiver<HeartbeatDuty>,
        shutdown: CancellationToken,
    ) {
        let mut ticks = tokio::time::interval(INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut horizon = Horizon::default();
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                _ = ticks.tick() => {}
            }
            if *duty.borrow_and_update() == HeartbeatDuty::Off {
                continue;
            }
            match self.look().await {
                Ok(look) => {
                    horizon.see(look);
                    self.send_heartbeat(look, horizon.published_xmin).await;
                }
                Err(error) => tracing::debug!(service = self.config.service, %error, "no heartbeat"),
            }
        }
    }

    #[expect(clippy::disallowed_methods, reason = "a heartbeat is worth nothing later, so it is not stored")]
    async fn send_heartbeat(&self, look: Look, published_xmin: u64) {
        if self.nats.connection_state() != async_nats::connection::State::Connected {
            // The client would keep it and send it later, when it is no longer true.
            return;
        }
        let beat = RelayHeartbeat {
            service: self.config.service.to_owned(),
            stream_seq: self.stream_seq.load(Ordering::Acquire),
            oldest_pending_ms: look.oldest_ms,
            published_xmin,
        };
        if let Err(error) = self.nats.publish(subject(self.config.service), beat.encode_to_vec().into()).await
        {
            tracing::debug!(%error, "heartbeat not sent");
        }
    }

    /// First and last pending row of each shard by the index, whatever the number of rows.
    async fn look(&self) -> Result<Look, RelayError> {
        let look = self.db.run(&Caller::Service, Class::Worker, DEADLINE, |tx| {
            Box::pin(async move {
                let row = sqlx::query(
                    "SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint, min(first.seq), max(last.seq),
                            coalesce(extract(epoch FROM clock_timestamp() - min(first.created_at)) * 1000, 0)::bigint
                       FROM generate_series(0, 7) AS shards (shard)
                      CROSS JOIN LATERAL (SELECT seq, created_at FROM outbox
                                           WHERE outbox.shard = shards.shard AND published_at IS NULL
                                           ORDER BY seq LIMIT 1) AS first
                      CROSS JOIN LATERAL (SELECT seq FROM outbox
                                           WHERE outbox.shard = shards.shard AND published_at IS NULL
                                           ORDER BY seq DESC LIMIT 1) AS last",
                )
                .fetch_one(&mut *tx.statement("SELECT outbox age"))
                .await?;
                let first: Option<i64> = row.try_get(1)?;
                let last: Option<i64> = row.try_get(2)?;
                let oldest_ms: i64 = row.try_get(3)?;
                let xmin: i64 = row.try_get(0)?;
                Ok::<_, RelayError>(Look {
                    xmin: xmin.unsigned_abs(),
                    pending: first.zip(last),
                    oldest_ms: u64::try_from(oldest_ms).unwrap_or(0),
                })
            })
        });
        Ok(look.await?.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(xmin: u64, pending: Option<(i64, i64)>) -> Look {
        Look { xmin, pending, oldest_ms: 0 }
    }

    #[test]
    fn the_horizon_waits_for_what_was_pending_when_it_was_seen() {
        let mut horizon = Horizon::default();
        horizon.see(look(100, None));
        assert_eq!(horizon.published_xmin, 100);

        horizon.see(look(110, Some((5, 8))));
        assert_eq!(horizon.published_xmin, 100, "rows 5 to 8 are not out");
        horizon.see(look(120, Some((8, 20))));
        assert_eq!(horizon.published_xmin, 100, "row 8 is not out");
        horizon.see(look(130, Some((9, 30))));
        assert_eq!(horizon.published_xmin, 110, "rows 5 to 8 are out, later ones are not");
        horizon.see(look(140, Some((31, 40))));
        assert_eq!(horizon.published_xmin, 130);
        horizon.see(look(150, None));
        assert_eq!(horizon.published_xmin, 150);
    }
}
