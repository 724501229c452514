//! How much each principal may ask for (S213, S214, S218, S220).
//!
//! A limit is a token bucket kept as one number, the time at which it will be full again (GCRA, the "virtual
//! scheduling" form of ITU-T I.371). The gateway decides by its own buckets, in well under a microsecond and before
//! a body is read; what each principal used is told to Redis ten times a second, and what others let through comes
//! back ([`fleet`]). So a principal gets its rate from the fleet as a whole, at most one burst per gateway may slip
//! through in between, and when Redis is gone every gateway grants its share: never everything.

mod bucket;
mod fleet;

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use quick_cache::sync::Cache;
use rls::UserId;
use tokio::time::Instant;

use bucket::Bucket;
pub(crate) use bucket::Verdict;
pub(crate) use fleet::Fleet;

/// Principals remembered: the least used are forgotten first, which only ever grants them a burst.
const BUCKETS_MAX: usize = 100_000;

/// Whom a limit counts under.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Principal {
    /// A user, wherever the requests come from.
    User(UserId),
    /// Whoever is behind an address. Of IPv6 the network: a household has 2^64 addresses.
    Address(IpAddr),
}

impl Principal {
    /// An anonymous client.
    pub(crate) fn address(address: IpAddr) -> Self {
        Self::Address(match address.to_canonical() {
            IpAddr::V4(v4) => IpAddr::V4(v4),
            IpAddr::V6(v6) => {
                let [a, b, c, d, ..] = v6.segments();
                IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
            }
        })
    }
}

/// What is limited, and how far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Limit {
    /// The API for whoever is not signed in: 10 requests a second, 20 at once (S213, S218).
    Public,
    /// The API for users: 50 a second, 100 at once.
    User,
    /// Attempts to sign in, per address whoever tries: 1 a second, 5 at once (S214, S220).
    Login,
    /// What a provider of payments tells us, per address: 500 a second, 1,000 at once. It says everything again
    /// until it is heard, and signs it.
    Provider,
}

impl Limit {
    /// All of them, in their order.
    const ALL: [Self; 4] = [Self::Public, Self::User, Self::Login, Self::Provider];

    /// For the headers.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::User => "user",
            Self::Login => "login",
            Self::Provider => "provider",
        }
    }

    /// Tokens that a full bucket holds.
    pub(crate) const fn burst(self) -> u64 {
        match self {
            Self::Public => 20,
            Self::User => 100,
            Self::Login => 5,
            Self::Provider => 1_000,
        }
    }

    /// Microseconds in which one token comes back.
    const fn interval_us(self) -> u64 {
        match self {
            Self::Public => 100_000,
            Self::User => 20_000,
            Self::Login => 1_000_000,
            Self::Provider => 2_000,
        }
    }

    /// Seconds in which an empty bucket is full again.
    #[cfg(test)]
    pub(crate) const fn window_s(self) -> u64 {
        self.burst() * self.interval_us() / 1_000_000
    }
}

/// A bucket's name: the same principal has one for each limit.
type Key = (Limit, Principal);

/// All buckets of this gateway. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Limits {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    buckets: Cache<Key, Arc<Bucket>>,
    /// Buckets used since the last report to the fleet.
    used: Mutex<Vec<Key>>,
    /// Among how many gateways a rate is divided: 1 while the fleet counts together.
    shares: AtomicU32,
    refused: [AtomicU64; Limit::ALL.len()],
    started: Instant,
}

/// More than this many principals in a tenth of a second are reported in turns.
const USED_MAX: usize = 10_000;

impl Limits {
    /// Full buckets for everybody. Until the fleet is heard, rates are divided by `shares`.
    pub(crate) fn new(shares: u32) -> Self {
        Self {
            inner: Arc::new(Inner {
                buckets: Cache::new(BUCKETS_MAX),
                used: Mutex::new(Vec::new()),
                shares: AtomicU32::new(shares.max(1)),
                refused: Default::default(),
                started: Instant::now(),
            }),
        }
    }

    /// Takes `cost` tokens, or says how long to wait for them.
    pub(crate) fn take(&self, limit: Limit, principal: Principal, cost: u64) -> Verdict {
        let key = (limit, principal);
        let bucket = self.bucket(key);
        let interval_us = limit.interval_us() * u64::from(self.inner.shares.load(Ordering::Relaxed));
        let taken = bucket.take(self.now_us(), cost, interval_us, limit.burst());
        if let Verdict::Refused { .. } = taken {
            self.inner.refused[limit as usize].fetch_add(1, Ordering::Relaxed);
        } else if bucket.note(cost) == bucket::Noted::First {
            let mut used = self.used();
            if used.len() < USED_MAX {
                used.push(key);
            } else {
                // Reported with its next use.
                bucket.forget_notes();
            }
        }
        taken
    }

    fn bucket(&self, key: Key) -> Arc<Bucket> {
        self.inner
            .buckets
            .get_or_insert_with(&key, || Ok::<_, std::convert::Infallible>(Arc::default()))
            .unwrap_or_else(|never| match never {})
    }

    fn used(&self) -> std::sync::MutexGuard<'_, Vec<Key>> {
        // Its holders only push and take.
        self.inner.used.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn now_us(&self) -> u64 {
        let elapsed = self.inner.started.elapsed() + Duration::from_secs(3600);
        u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX)
    }

    /// How many requests each limit refused, for Prometheus.
    pub(crate) fn prometheus(&self, text: &mut String) {
        use std::fmt::Write as _;
        text.push_str("# TYPE rate_limited_total counter\n");
        for limit in Limit::ALL {
            let refused = self.inner.refused[limit as usize].load(Ordering::Relaxed);
            let _ = writeln!(text, "rate_limited_total{{limit=\"{}\"}} {refused}", limit.name());
        }
        let shares = self.inner.shares.load(Ordering::Relaxed);
        text.push_str("# TYPE rate_limit_shares gauge\n");
        let _ = writeln!(text, "rate_limit_shares {shares}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_household_of_ipv6_addresses_is_one_principal() {
        let of = |text: &str| Principal::address(text.parse().unwrap());
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff::9"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_eq!(of("::ffff:10.0.0.1"), of("10.0.0.1"));
        assert_ne!(of("10.0.0.1"), of("10.0.0.2"));
    }

    #[tokio::test(start_paused = true)]
    async fn each_principal_has_its_own_bucket_for_each_limit() {
        let limits = Limits::new(1);
        let (a, b) = (Principal::User(UserId(1)), Principal::User(UserId(2)));
        let granted = |limit, who| {
            (0..1_000).take_while(|_| matches!(limits.take(limit, who, 1), Verdict::Taken { .. })).count()
        };
        assert_eq!(granted(Limit::User, a), 100);
        assert_eq!(granted(Limit::User, a), 0);
        assert_eq!(granted(Limit::User, b), 100);
        assert_eq!(granted(Limit::Login, a), 5);
        tokio::time::advance(Duration::from_millis(1_000)).await;
        assert_eq!(granted(Limit::User, a), 50, "50 a second come back");
        assert_eq!(granted(Limit::Login, a), 1);
        tokio::time::advance(Duration::from_secs(3_600)).await;
        assert_eq!(granted(Limit::User, a), 100, "and never more than a burst");
    }

    #[tokio::test(start_paused = true)]
    async fn without_the_fleet_a_gateway_grants_its_share() {
        let limits = Limits::new(2);
        let who = Principal::User(UserId(1));
        let granted = || {
            (0..).take_while(|_| matches!(limits.take(Limit::User, who, 1), Verdict::Taken { .. })).count()
        };
        granted();
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(granted(), 25);
    }
}
