//! What drives every attempt, event and refund that is not at its end. Several processes share the work by leases.

use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream;
use rls::{Caller, Class, DatabaseError};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::Payments;
use super::inquiry::Recovered;
use super::settle::WORK_DEADLINE;
use crate::error::Error;
use crate::store::payments::issues::{self, Issue};
use crate::store::payments::{self as store, Due};

/// How often what is due is looked for, give or take a fifth.
const LOOK_EVERY: Duration = Duration::from_secs(2);
const SWAY: f64 = 0.2;
/// Attempts taken at once, and asked for side by side.
const BATCH: i64 = 16;
const SIDE_BY_SIDE: usize = 8;
/// How long after the start the books are compared for the first time, at most.
const COMPARE_FIRST: Duration = Duration::from_secs(120);
/// How long requests that are under way may take when the process ends.
const FINISH_DEADLINE: Duration = Duration::from_secs(4);

impl Payments {
    /// Works until `stop`, then waits for requests that are under way.
    pub(crate) async fn run(self, stop: CancellationToken) {
        tokio::join!(
            self.recover_due(&stop),
            self.work_events(&stop),
            self.work_refunds(&stop),
            self.compare_books(&stop),
        );
        self.inner.tasks.close();
        if tokio::time::timeout(FINISH_DEADLINE, self.inner.tasks.wait()).await.is_err() {
            tracing::info!("payments under way are left to the workers of the next process");
        }
    }

    async fn recover_due(&self, stop: &CancellationToken) {
        let never = Notify::new();
        // A provider that does not answer is tried with one attempt at a time.
        let mut batch = BATCH;
        while !stop.is_cancelled() {
            let due = match self.take_due(batch).await {
                Ok(due) => due,
                Err(error) => {
                    tracing::warn!(%error, "the database did not say which payments are due");
                    Vec::new()
                }
            };
            let full = i64::try_from(due.len()).is_ok_and(|count| count == BATCH);
            let asked = stream::iter(due.into_iter().map(|due| async move {
                let id = due.id;
                self.recover(due).await.unwrap_or_else(|error| {
                    tracing::warn!(payment.id = %id, %error, "a payment was not carried on");
                    Recovered::Answered
                })
            }));
            let answers: Vec<Recovered> = asked.buffer_unordered(SIDE_BY_SIDE).collect().await;
            let silent = !answers.is_empty() && answers.iter().all(|answer| *answer == Recovered::Silence);
            batch = if silent { 1 } else { BATCH };
            if silent || !full {
                pause(stop, LOOK_EVERY, &never).await;
            }
        }
    }

    async fn work_events(&self, stop: &CancellationToken) {
        while !stop.is_cancelled() {
            match self.work_some_events().await {
                Ok(0) => {}
                Ok(_) => continue,
                Err(error) => {
                    tracing::warn!(%error, "events of the payment provider were not worked through");
                }
            }
            pause(stop, LOOK_EVERY, &self.inner.events_due).await;
        }
    }

    async fn work_refunds(&self, stop: &CancellationToken) {
        while !stop.is_cancelled() {
            match self.work_some_refunds().await {
                Ok(0) => {}
                Ok(_) => continue,
                Err(error) => tracing::warn!(%error, "refunds were not worked through"),
            }
            pause(stop, LOOK_EVERY, &self.inner.refunds_due).await;
        }
    }

    async fn compare_books(&self, stop: &CancellationToken) {
        let never = Notify::new();
        let mut next = Instant::now() + sway(self.inner.compare_every.min(COMPARE_FIRST));
        while !stop.is_cancelled() {
            let until = next.saturating_duration_since(Instant::now());
            pause(stop, until.min(Duration::from_secs(60)), &never).await;
            if Instant::now() < next || stop.is_cancelled() {
                continue;
            }
            next = Instant::now() + sway(self.inner.compare_every);
            if let Err(error) = self.reconcile().await {
                tracing::warn!(%error, "the books were not compared with the payment provider's");
            }
        }
    }

    async fn take_due(&self, batch: i64) -> Result<Vec<Due>, DatabaseError> {
        let provider = self.provider().name();
        let taken = self.inner.db.run(&Caller::Service, Class::Worker, WORK_DEADLINE, move |tx| {
            Box::pin(async move { Ok::<_, DatabaseError>(store::take_due(tx, batch, provider).await?) })
        });
        Ok(taken.await?.value)
    }

    /// Asks for an attempt's state so much later.
    pub(crate) async fn put_off(&self, id: Uuid, by: time::Duration) -> Result<(), Error> {
        let put_off = self.inner.db.run(&Caller::Service, Class::Worker, WORK_DEADLINE, move |tx| {
            Box::pin(async move { Ok::<_, DatabaseError>(store::put_off(tx, id, by).await?) })
        });
        Ok(put_off.await.map(drop)?)
    }

    /// An attempt that nobody could settle for so long that the provider forgets its key.
    pub(crate) async fn leave_to_people(&self, due: &Due) -> Result<(), Error> {
        let issue = Issue {
            kind: "payment_unsettled",
            order_id: Some(due.order_id),
            payment_id: Some(due.id),
            reference: due.provider_key.clone(),
            detail: format!("{} after 23 hours; no further attempt is made", due.status.as_str()),
        };
        self.put_off(due.id, time::Duration::HOUR).await?;
        self.raise(issue).await
    }

    /// Raises an issue in a transaction of its own.
    pub(crate) async fn raise(&self, issue: Issue) -> Result<(), Error> {
        let (kind, reference) = (issue.kind, issue.reference.clone());
        let raised = self.inner.db.run(&Caller::Service, Class::Worker, WORK_DEADLINE, move |tx| {
            Box::pin(async move { Ok::<_, DatabaseError>(issues::raise(tx, &issue).await?) })
        });
        if raised.await?.value {
            self.inner.counts.issue();
            tracing::error!(kind, reference, "something about payments needs a person");
        }
        Ok(())
    }
}

fn sway(time: Duration) -> Duration {
    time.mul_f64(1.0 + SWAY * (fastrand::f64() * 2.0 - 1.0))
}

/// Waits until it is time, there is something to do, or the process ends.
async fn pause(stop: &CancellationToken, time: Duration, due: &Notify) {
    tokio::select! {
        () = stop.cancelled() => {}
        () = due.notified() => {}
        () = sleep(sway(time)) => {}
    }
}
