//! Sends what is due. Several workers may run: each mail is one worker's at a time.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use rls::{Caller, Class, Database, DatabaseError, Tx};
use tokio_util::sync::CancellationToken;

use super::outbound::{Outbound, Unsent};
use super::{Addressee, Content, Mails};
use crate::accounts::Accounts;
use crate::domain::letter::Letter;
use crate::domain::locale::Locale;
use crate::error::Error;
use crate::store::emails::{self, Claimed};

/// Mails under way at the same time.
const AT_ONCE: i64 = 4;
/// Longer than a mail may take: asking for the address, sending, and noting the outcome.
const LEASE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_secs(5);
const ATTEMPTS_MAX: i32 = 8;
/// No pause is longer.
const RETRY_MAX: Duration = Duration::from_secs(24 * 60 * 60);
const DEADLINE: Duration = Duration::from_secs(4);

/// The worker of one process.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) db: Database,
    pub(crate) mails: Mails,
    pub(crate) accounts: Accounts,
    pub(crate) outbound: Outbound,
    /// The shop's address, for links.
    pub(crate) shop_url: String,
    /// Pause before the second attempt.
    pub(crate) first_retry: Duration,
    pub(crate) counts: Counts,
}

/// How mails went, since the process began. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counts {
    inner: Arc<[AtomicU64; 3]>,
}

impl Counts {
    const NAMES: [&'static str; 3] = ["sent", "failed", "dead"];

    fn add(&self, outcome: usize) {
        self.inner[outcome].fetch_add(1, Ordering::Relaxed);
    }

    /// Appends the counters in the Prometheus text format.
    pub(crate) fn prometheus(&self, out: &mut String) {
        let _ = writeln!(out, "# HELP notifications_emails_total Attempts to send a mail, by outcome.");
        let _ = writeln!(out, "# TYPE notifications_emails_total counter");
        for (name, count) in Self::NAMES.iter().zip(self.inner.iter()) {
            let count = count.load(Ordering::Relaxed);
            let _ = writeln!(out, "notifications_emails_total{{outcome=\"{name}\"}} {count}");
        }
    }
}

/// How an attempt ended.
enum Outcome {
    Sent,
    Failed { reason: String, pause: Duration },
    Dead { reason: String },
}

impl Worker {
    /// Sends until `shutdown`, then finishes what is under way.
    pub(crate) async fn run(self, shutdown: CancellationToken) {
        while !shutdown.is_cancelled() {
            let pause = match self.round().await {
                Ok(0) => POLL,
                Ok(_) => continue,
                Err(error) => {
                    tracing::warn!(%error, "mails wait for the database");
                    PAUSE
                }
            };
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = self.mails.due.notified() => {}
                () = tokio::time::sleep(pause.mul_f64(0.5 + fastrand::f64() / 2.0)) => {}
            }
        }
    }

    /// Takes what is due, sends it, and answers how many that were.
    async fn round(&self) -> Result<usize, Error> {
        let claimed = self
            .transaction(|tx| {
                Box::pin(async move { Ok(emails::claim(tx, AT_ONCE, LEASE.as_secs_f64()).await?) })
            })
            .await?;
        let count = claimed.len();
        let noted = join_all(claimed.into_iter().map(|email| self.handle(email))).await;
        noted.into_iter().collect::<Result<(), Error>>()?;
        Ok(count)
    }

    async fn handle(&self, email: Claimed) -> Result<(), Error> {
        let (id, attempts) = (email.id, email.attempts);
        let outcome = if attempts > ATTEMPTS_MAX {
            // The process that had the last attempt ended in it.
            Outcome::Dead { reason: "the last attempt was cut off".to_owned() }
        } else {
            match self.attempt(email).await {
                Ok(()) => Outcome::Sent,
                Err(Unsent::Later(reason)) if attempts < ATTEMPTS_MAX => {
                    Outcome::Failed { reason, pause: pause(self.first_retry, attempts) }
                }
                Err(Unsent::Later(reason) | Unsent::Never(reason)) => Outcome::Dead { reason },
            }
        };
        match &outcome {
            Outcome::Sent => self.counts.add(0),
            Outcome::Failed { reason, pause } => {
                self.counts.add(1);
                tracing::warn!(email.id = %id, attempt = attempts, reason, "mail not sent, trying again in {pause:?}");
            }
            Outcome::Dead { reason } => {
                self.counts.add(2);
                tracing::error!(email.id = %id, attempt = attempts, reason, "mail given up");
            }
        }
        if matches!(outcome, Outcome::Sent) {
            failpoints::hit("cs.after_mail_before_mark").await.map_err(DatabaseError::from)?;
        }
        self.transaction(move |tx| {
            Box::pin(async move {
                match outcome {
                    Outcome::Sent => emails::sent(tx, id, attempts).await?,
                    Outcome::Failed { reason, pause } => {
                        emails::failed(tx, id, attempts, &reason, pause.as_secs_f64()).await?;
                    }
                    Outcome::Dead { reason } => emails::dead(tx, id, attempts, &reason).await?,
                }
                Ok(())
            })
        })
        .await
    }

    async fn attempt(&self, email: Claimed) -> Result<(), Unsent> {
        let opened = email.sealed.as_deref().and_then(|sealed| self.mails.sealer.open(email.id, sealed));
        let content = opened.and_then(|content| serde_json::from_slice::<Content>(&content).ok());
        let Some(Content { to, variables }) = content else {
            return Err(Unsent::Never("the content does not open with this key".to_owned()));
        };
        let letter = Letter::parse(&email.template, Locale::or_default(&email.locale), variables)
            .map_err(|invalid| Unsent::Never(format!("the letter cannot be written: {}", invalid.reason)))?;
        let to = match (to, email.user_id) {
            (Some(to), _) => to,
            (None, Some(user_id)) => self.own_address(user_id).await?,
            (None, None) => return Err(Unsent::Never("the user is gone".to_owned())),
        };
        let rendered = letter.render(&to.name, &self.shop_url);
        self.outbound.send(email.id, email.message_id, &to, rendered).await
    }

    /// The user's address, if it is proven to be theirs.
    async fn own_address(&self, user_id: i64) -> Result<Addressee, Unsent> {
        match self.accounts.contact(user_id).await {
            Ok(Some(contact)) if contact.email_verified => {
                Ok(Addressee { email: contact.email, name: contact.name })
            }
            Ok(Some(_)) => Err(Unsent::Never("the address is not verified".to_owned())),
            Ok(None) => Err(Unsent::Never("the user is gone".to_owned())),
            Err(status) => Err(Unsent::Later(format!("accounts does not answer: {:?}", status.code()))),
        }
    }

    async fn transaction<T, W>(&self, work: W) -> Result<T, Error>
    where
        T: Send + 'static,
        W: for<'t> FnOnce(&'t mut Tx) -> rls::BoxFuture<'t, Result<T, Error>> + Send + 'static,
    {
        Ok(self.db.run(&Caller::Service, Class::Worker, DEADLINE, work).await?.value)
    }
}

/// The pause after attempt `attempts`: four times the one before, give or take a quarter.
fn pause(first: Duration, attempts: i32) -> Duration {
    let exponent = attempts.clamp(1, ATTEMPTS_MAX) - 1;
    first.mul_f64(4_f64.powi(exponent)).min(RETRY_MAX).mul_f64(0.75 + fastrand::f64() / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_stay_bounded() {
        let first = Duration::from_secs(15);
        for (attempts, expected_s) in [(1, 15.0), (2, 60.0), (3, 240.0), (7, 61_440.0), (100, 86_400.0)] {
            let pause = pause(first, attempts).as_secs_f64();
            assert!((0.75 * expected_s..=1.25 * expected_s).contains(&pause), "{attempts}: {pause}");
        }
    }
}
