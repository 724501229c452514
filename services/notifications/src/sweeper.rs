//! Keeps what is kept within bounds: overfull feeds, and mails that were finished long ago.

use std::time::Duration;

use rls::{Caller, Class, Database, Tx};
use tokio_util::sync::CancellationToken;

use crate::error::Error;
use crate::feed;
use crate::handlers::now;
use crate::store::{emails, feeds};

/// Feeds looked at per sweep; the rest waits for the next one.
const FEEDS_MAX: i64 = 200;
const EMAIL_DAYS: i32 = 30;
const EMAILS_MAX: i64 = 1_000;
const DEADLINE: Duration = Duration::from_secs(5);

/// The sweeper of one process; several do each other no harm.
#[derive(Debug)]
pub(crate) struct Sweeper {
    pub(crate) db: Database,
    pub(crate) every: Duration,
}

impl Sweeper {
    /// Sweeps now and then until `shutdown`.
    pub(crate) async fn run(self, shutdown: CancellationToken) {
        loop {
            // Jittered, so that replicas do not step together.
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(self.every.mul_f64(0.5 + fastrand::f64() / 2.0)) => {}
            }
            if let Err(error) = self.sweep(&shutdown).await {
                tracing::warn!(%error, "the sweep was not finished");
            }
        }
    }

    async fn sweep(&self, shutdown: &CancellationToken) -> Result<(), Error> {
        let overfull =
            self.transaction(|tx| Box::pin(async move { Ok(feeds::overfull(tx, FEEDS_MAX).await?) })).await?;
        for user_id in overfull {
            while !shutdown.is_cancelled() && self.trim(user_id).await? > 0 {}
        }
        self.transaction(|tx| Box::pin(async move { Ok(emails::forget(tx, EMAIL_DAYS, EMAILS_MAX).await?) }))
            .await
            .map(drop)
    }

    async fn trim(&self, user_id: i64) -> Result<usize, Error> {
        self.transaction(move |tx| {
            Box::pin(async move {
                match feeds::lock(tx, user_id).await? {
                    Some(mut feed) => feed::trim(tx, now(), &mut feed).await,
                    None => Ok(0),
                }
            })
        })
        .await
    }

    async fn transaction<T, W>(&self, work: W) -> Result<T, Error>
    where
        T: Send + 'static,
        W: for<'t> FnOnce(&'t mut Tx) -> rls::BoxFuture<'t, Result<T, Error>> + Send + 'static,
    {
        Ok(self.db.run(&Caller::Service, Class::Worker, DEADLINE, work).await?.value)
    }
}
