//! How often something may be tried: a few times at once, then after growing delays, never forbidden for good.
//!
//! The count is in the database, so that it holds for all processes. Each process remembers for a moment what
//! was refused, so that a storm on one account costs the database nothing.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use quick_cache::sync::Cache;
use rls::{Tx, UserId};
use time::OffsetDateTime;
use tokio::time::Instant;

use crate::error::Error;
use crate::secrets::{Secrets, Sha256Hash};
use crate::store::throttles;

/// Refusals remembered by a process.
const REFUSALS_MAX: usize = 100_000;
/// For so long at most: an owner who has proved to be one by mail must not wait for what we remember.
const REMEMBERED_FOR: Duration = Duration::from_secs(5);

/// So many attempts at once, then one after a delay that doubles, until nothing was tried for a while.
#[derive(Debug)]
pub(crate) struct Allowance {
    pub(crate) at_once: i32,
    pub(crate) first_delay: Duration,
    pub(crate) longest_delay: Duration,
    pub(crate) forgotten_after: Duration,
}

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Passwords and codes of one account: five, then one after 1, 2, 4, 8 and every 15 minutes.
static CREDENTIALS: Allowance = Allowance {
    at_once: 5,
    first_delay: MINUTE,
    longest_delay: Duration::from_secs(15 * 60),
    forgotten_after: DAY,
};
/// Wrong passwords from one address, whomever they are for. Many people can share one.
static ADDRESS: Allowance = Allowance {
    at_once: 100,
    first_delay: Duration::from_secs(2),
    longest_delay: MINUTE,
    forgotten_after: HOUR,
};
/// Mails that strangers can have sent to one address.
static MAILS: Allowance = Allowance {
    at_once: 3,
    first_delay: Duration::from_secs(5 * 60),
    longest_delay: HOUR,
    forgotten_after: DAY,
};

/// What attempts are counted for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subject {
    key: [u8; 32],
    allowance: &'static Allowance,
}

/// Whether there may be another attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reservation {
    /// It is counted.
    Granted,
    /// It is not looked at.
    Refused { retry_after: Duration },
}

/// Counts attempts. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Attempts {
    secrets: Arc<Secrets>,
    refusals: Arc<Cache<[u8; 32], Instant>>,
}

impl Attempts {
    pub(crate) fn new(secrets: Arc<Secrets>) -> Self {
        Self { secrets, refusals: Arc::new(Cache::new(REFUSALS_MAX)) }
    }

    /// Logins to whatever account there is or is not under a mail address.
    pub(crate) fn account(&self, email: &str) -> Subject {
        self.subject("account", email, &CREDENTIALS)
    }

    /// Logins to an account on a device that its user has signed in on before.
    pub(crate) fn device(&self, user: UserId, device: &Sha256Hash) -> Subject {
        let hex: String = device.iter().map(|byte| format!("{byte:02x}")).collect();
        self.subject("device", &format!("{}:{hex}", user.0), &CREDENTIALS)
    }

    /// Logins from a network address.
    pub(crate) fn address(&self, address: &str) -> Subject {
        self.subject("address", &network(address), &ADDRESS)
    }

    /// Codes of a user's second factor.
    pub(crate) fn second_factor(&self, user: UserId) -> Subject {
        self.subject("second factor", &user.0.to_string(), &CREDENTIALS)
    }

    /// Passwords that a signed-in user is asked for again.
    pub(crate) fn step_up(&self, user: UserId) -> Subject {
        self.subject("step up", &user.0.to_string(), &CREDENTIALS)
    }

    /// Mails to an address that anybody can ask for.
    pub(crate) fn mails(&self, email: &str) -> Subject {
        self.subject("mails", email, &MAILS)
    }

    fn subject(&self, kind: &str, subject: &str, allowance: &'static Allowance) -> Subject {
        Subject { key: self.secrets.throttle_key(kind, subject), allowance }
    }

    /// What is remembered; asks nobody.
    ///
    /// # Errors
    /// [`Error::Throttled`] when it was refused a moment ago.
    pub(crate) fn recall(&self, subject: &Subject) -> Result<(), Error> {
        let Some(until) = self.refusals.get(&subject.key) else { return Ok(()) };
        let retry_after = until.saturating_duration_since(Instant::now());
        if retry_after.is_zero() {
            self.refusals.remove(&subject.key);
            return Ok(());
        }
        Err(Error::Throttled { retry_after })
    }

    /// Counts one attempt, before it is looked at, unless it comes too early. The transaction must commit.
    pub(crate) async fn reserve(
        &self,
        tx: &mut Tx,
        subject: &Subject,
        now: OffsetDateTime,
    ) -> Result<Reservation, Error> {
        if throttles::reserve(tx, &subject.key, subject.allowance, now).await? {
            return Ok(Reservation::Granted);
        }
        let next_at = throttles::next_at(tx, &subject.key).await?;
        let wait = next_at.map_or(Duration::ZERO, |at| (at - now).try_into().unwrap_or(Duration::ZERO));
        // Never "at once": that would be a busy loop of an obedient client.
        let retry_after = wait.max(Duration::from_secs(1));
        self.refusals.insert(subject.key, Instant::now() + retry_after.min(REMEMBERED_FOR));
        Ok(Reservation::Refused { retry_after })
    }

    /// Forgets all attempts: it was the user.
    pub(crate) async fn forget(&self, tx: &mut Tx, subject: &Subject) -> Result<(), Error> {
        self.refusals.remove(&subject.key);
        throttles::forget(tx, &subject.key).await
    }

    /// Takes back the count of one attempt that turned out to be right.
    pub(crate) async fn refund(&self, tx: &mut Tx, subject: &Subject) -> Result<(), Error> {
        throttles::refund(tx, &subject.key).await
    }
}

/// An IPv4 address, or the /64 network of an IPv6 address, which is what one customer has.
fn network(address: &str) -> String {
    match address.parse() {
        Ok(IpAddr::V6(v6)) => match v6.to_ipv4_mapped() {
            Some(v4) => v4.to_string(),
            None => {
                let [a, b, c, d, ..] = v6.segments();
                Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).to_string()
            }
        },
        Ok(IpAddr::V4(v4)) => v4.to_string(),
        Err(_no_address) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_customer_is_a_network() {
        assert_eq!(network("2001:db8:1:2:3:4:5:6"), network("2001:db8:1:2::ffff"));
        assert_ne!(network("2001:db8:1:2::1"), network("2001:db8:1:3::1"));
        assert_eq!(network("::ffff:192.0.2.1"), network("192.0.2.1"));
        assert_ne!(network("192.0.2.1"), network("192.0.2.2"));
        assert_eq!(network("somewhere"), network(""));
    }
}
