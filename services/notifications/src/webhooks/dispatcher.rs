//! Sends what is due.
//!
//! Several dispatchers may run, one per process: a delivery is under way with whoever holds its lease. A process that
//! dies between the receiver's answer and our note of it leaves the lease to run out, and the message is sent once
//! more: at least once, under the same `webhook-id`, by which receivers tell repetitions.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rls::{Caller, Class, DatabaseError};
use time::OffsetDateTime;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::Webhooks;
use super::endpoints::ENDPOINTS_MAX;
use super::schedule::pause;
use super::sender::{ATTEMPT_DEADLINE, Envelope, Outcome, Verdict};
use crate::store::webhooks::dispatch::{self, Claim, Claimed, Settled};
use crate::store::webhooks::endpoints;

/// Dead deliveries in a row that switch an endpoint off.
const FAILURES_MAX: i32 = 5;
/// Attempts under way per endpoint, in the whole fleet.
const PER_ENDPOINT: i64 = 2;
/// Attempts under way in this process: room for every endpoint's share, so that none waits for another.
const UNDER_WAY_MAX: i64 = PER_ENDPOINT * ENDPOINTS_MAX;
/// How long a delivery belongs to who took it: an attempt, and ample time to note how it went.
const LEASE: time::Duration = time::Duration::seconds(60);
/// How often the database is asked what is due, when nothing says that something is.
const LOOK_EVERY: Duration = Duration::from_secs(1);
const CLAIM_DEADLINE: Duration = Duration::from_secs(2);
const SETTLE_DEADLINE: Duration = Duration::from_secs(5);
const SETTLE_TRIES: u32 = 3;
const SETTLE_PAUSE: Duration = Duration::from_millis(200);
/// How long attempts under way may take when the process ends.
const FINISH_DEADLINE: Duration = Duration::from_secs(8);
/// How long deliveries are remembered; longer than the whole schedule.
const REMEMBERED: time::Duration = time::Duration::days(30);
const FORGET_EVERY: time::Duration = time::Duration::hours(1);
const FORGET_BATCH: i64 = 1_000;

const GONE: &str = "the receiver answered 410 Gone";
const FAILING: &str = "5 deliveries in a row failed for good";

/// Attempts by how they went. Clones count together.
#[derive(Debug, Clone, Default)]
pub(crate) struct Counts(Arc<[AtomicU64; 3]>);

impl Counts {
    /// Appends the counters in the Prometheus text format.
    pub(crate) fn prometheus(&self, out: &mut String) {
        let _ =
            writeln!(out, "# HELP webhook_attempts_total Webhook attempts by what became of the delivery.");
        let _ = writeln!(out, "# TYPE webhook_attempts_total counter");
        for (status, count) in ["delivered", "failed", "dead"].iter().zip(self.0.iter()) {
            let count = count.load(Ordering::Relaxed);
            let _ = writeln!(out, "webhook_attempts_total{{status=\"{status}\"}} {count}");
        }
    }

    fn count(&self, next: &Next) {
        let index = match next {
            Next::Delivered => 0,
            Next::Again(_) => 1,
            Next::Dead | Next::Gone => 2,
        };
        self.0[index].fetch_add(1, Ordering::Relaxed);
    }
}

/// Sends what is due until it is told to stop.
#[derive(Debug, Clone)]
pub(crate) struct Dispatcher {
    pub(crate) webhooks: Webhooks,
    pub(crate) counts: Counts,
}

/// What follows from an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Delivered,
    Again(OffsetDateTime),
    Dead,
    Gone,
}

impl Dispatcher {
    /// Works until `stop`; then gives attempts under way 8 s. What is cut off is sent again when its lease is over.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut under_way = JoinSet::new();
        let mut forgotten_at = self.webhooks.clock.now();
        while !stop.is_cancelled() {
            match self.claim(&under_way).await {
                Ok((lease, claimed)) => {
                    for claimed in claimed {
                        under_way.spawn(self.clone().attempt(lease, claimed));
                    }
                }
                Err(error) => tracing::warn!(%error, "the database did not say which webhooks are due"),
            }
            if self.webhooks.clock.now() - forgotten_at >= FORGET_EVERY {
                forgotten_at = self.webhooks.clock.now();
                self.forget().await;
            }
            tokio::select! {
                () = stop.cancelled() => {}
                Some(ended) = under_way.join_next() => {
                    noted(ended);
                    // Those that ended meanwhile make room together.
                    while let Some(ended) = under_way.try_join_next() {
                        noted(ended);
                    }
                }
                () = self.webhooks.due.notified() => {}
                () = self.webhooks.clock.turned() => {}
                () = sleep(LOOK_EVERY) => {}
            }
        }
        let finished = timeout(FINISH_DEADLINE, async {
            while let Some(ended) = under_way.join_next().await {
                noted(ended);
            }
        });
        if finished.await.is_err() {
            tracing::info!(count = under_way.len(), "webhooks under way are left to the next process");
        }
    }

    /// What is due and whose turn it is, under a new lease.
    async fn claim(&self, under_way: &JoinSet<()>) -> Result<(Uuid, Vec<Claimed>), DatabaseError> {
        let lease = Uuid::now_v7();
        let limit = UNDER_WAY_MAX - i64::try_from(under_way.len()).unwrap_or(UNDER_WAY_MAX);
        if limit <= 0 {
            return Ok((lease, Vec::new()));
        }
        let now = self.webhooks.clock.now();
        let claim = Claim { lease, now, until: now + LEASE, per_endpoint: PER_ENDPOINT, limit };
        let committed = self.webhooks.db.run(&Caller::Service, Class::Worker, CLAIM_DEADLINE, move |tx| {
            Box::pin(async move { Ok::<_, DatabaseError>(dispatch::claim(tx, claim).await?) })
        });
        Ok((lease, committed.await?.value))
    }

    /// One attempt and the note of how it went.
    async fn attempt(self, lease: Uuid, claimed: Claimed) {
        let now = self.webhooks.clock.now();
        let outcome = match self.webhooks.secrets(claimed.endpoint_id, &claimed.addressee, now) {
            Ok(secrets) => {
                let envelope = Envelope {
                    url: claimed.addressee.url,
                    secrets,
                    id: claimed.event_id,
                    body: claimed.body,
                };
                self.webhooks.sender.send(&envelope, now, ATTEMPT_DEADLINE).await
            }
            Err(unopened) => {
                tracing::error!(endpoint.id = claimed.endpoint_id, error = %unopened, "webhook not signed");
                let verdict = Verdict::Failed { retry_after: None };
                Outcome {
                    verdict,
                    status: None,
                    error: Some("the message could not be signed".to_owned()),
                    latency_ms: 0,
                }
            }
        };
        let now = self.webhooks.clock.now();
        let attempts = u32::try_from(claimed.attempts).unwrap_or(u32::MAX).saturating_add(1);
        let next = next(outcome.verdict, attempts, now, fastrand::f64() * 2.0 - 1.0);
        let (status, next_attempt_at) = match next {
            Next::Delivered => ("delivered", None),
            Next::Again(at) => ("failed", Some(at)),
            Next::Dead | Next::Gone => ("dead", None),
        };
        let settled = Settled {
            id: claimed.id,
            lease,
            status,
            next_attempt_at,
            last_status: outcome.status,
            last_error: outcome.error,
            last_latency_ms: outcome.latency_ms,
            delivered_at: (next == Next::Delivered).then_some(now),
        };
        self.counts.count(&next);
        self.settle(claimed.endpoint_id, Arc::new(settled), next).await;
    }

    /// Notes how an attempt went. When the database does not take the note, the message is sent again.
    async fn settle(&self, endpoint_id: i64, settled: Arc<Settled>, next: Next) {
        for tried in 1..=SETTLE_TRIES {
            let note = Arc::clone(&settled);
            let noted = self.webhooks.db.run(&Caller::Service, Class::Worker, SETTLE_DEADLINE, move |tx| {
                Box::pin(async move {
                    // The endpoint first, as whoever deletes one: else both could wait for the other.
                    if !matches!(next, Next::Again(_)) && endpoints::lock(tx, endpoint_id).await?.is_none() {
                        return Ok(true);
                    }
                    // Somebody else has it by now, or wants it sent anew: this attempt counts no more.
                    if !dispatch::settle(tx, &note).await? {
                        return Ok(true);
                    }
                    match next {
                        Next::Delivered => dispatch::succeeded(tx, endpoint_id).await?,
                        Next::Again(_) => {}
                        Next::Dead => {
                            let active = dispatch::died(tx, endpoint_id, FAILURES_MAX, FAILING).await?;
                            return Ok::<_, DatabaseError>(active.unwrap_or(true));
                        }
                        Next::Gone => {
                            dispatch::gone(tx, endpoint_id, GONE).await?;
                            return Ok(false);
                        }
                    }
                    Ok(true)
                })
            });
            match noted.await {
                Ok(committed) => {
                    if !committed.value {
                        tracing::warn!(endpoint.id = endpoint_id, "a webhook endpoint is switched off");
                    }
                    return;
                }
                Err(error) => {
                    tracing::warn!(endpoint.id = endpoint_id, %error, tried, "a webhook attempt was not noted");
                }
            }
            sleep(SETTLE_PAUSE).await;
        }
    }

    async fn forget(&self) {
        let before = self.webhooks.clock.now() - REMEMBERED;
        let until = Instant::now() + SETTLE_DEADLINE;
        loop {
            let forgotten =
                self.webhooks.db.run(&Caller::Service, Class::Worker, SETTLE_DEADLINE, move |tx| {
                    Box::pin(async move {
                        Ok::<_, DatabaseError>(dispatch::forget(tx, before, FORGET_BATCH).await?)
                    })
                });
            match forgotten.await {
                // The rest an hour later: deliveries that are due wait meanwhile.
                Ok(committed) if committed.value == FORGET_BATCH.unsigned_abs() && Instant::now() < until => {
                }
                Ok(_) => return,
                Err(error) => {
                    tracing::warn!(%error, "old webhook deliveries were not forgotten");
                    return;
                }
            }
        }
    }
}

/// What follows from the verdict of attempt number `attempts`.
fn next(verdict: Verdict, attempts: u32, now: OffsetDateTime, sway: f64) -> Next {
    match verdict {
        Verdict::Delivered => Next::Delivered,
        Verdict::Gone => Next::Gone,
        Verdict::Failed { retry_after } => match pause(attempts, sway, retry_after) {
            Some(pause) => Next::Again(now + pause),
            None => Next::Dead,
        },
    }
}

fn noted(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "an attempt of a webhook did not come to its end");
    }
}
