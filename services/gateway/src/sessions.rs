//! What access tokens no longer prove.
//!
//! An access token is good for five minutes by itself, whoever is away. What ends before, a session or a role, is
//! a revocation; accounts pushes each by NATS, and the gateway asks for the list every five seconds all the same
//! ([`Follower`]). Every authenticated request looks here, so looking takes no lock.

mod follower;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use proto::accounts::v1::revocation::What;
use proto::accounts::v1::{Revocation, Role};
use rls::UserId;
use tokio::time::Instant;

pub(crate) use self::follower::Follower;

/// Without news for so long, nothing that must be sure of a session goes on.
const NEWS_MAX_AGE: Duration = Duration::from_secs(30);
/// Tokens are accepted for so long after their end, hence revocations too.
const LEEWAY_S: i64 = 30;
/// No access token lives longer; a revocation that claims to matter longer is cut down to this.
const UNTIL_MAX_S: i64 = 3600;
/// A change copies its shard only.
const SHARDS: usize = 64;

/// The revocations that still matter. Clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Revocations {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    sessions: Box<[ArcSwap<Ended>]>,
    roles: ArcSwap<Limits>,
    /// Held while something is added or dropped; readers do not know it.
    changing: Mutex<()>,
    started: Instant,
    /// Milliseconds from `started` to the newest news, plus one; 0 is never.
    news_ms: AtomicU64,
}

/// Unix seconds until which a session's end matters.
type Ended = HashMap<SessionHash, i64>;
/// By user.
type Limits = HashMap<i64, Limit>;
/// Of a session's id, whatever it looks like.
type SessionHash = [u8; 16];

/// The newest change of a user's role: it is what the user is now, whatever tokens of before say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Limit {
    seq: u64,
    rank: Rank,
    /// Unix seconds at which the last token issued before the change has expired.
    until: i64,
}

/// Roles of people, the mightier the greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Rank {
    Customer,
    Staff,
    Admin,
}

impl Rank {
    /// The rank of a role on the wire; `None` for one that this release does not know.
    pub(crate) fn of(role: Role) -> Option<Self> {
        match role {
            Role::Unspecified => None,
            Role::Customer => Some(Self::Customer),
            Role::Staff => Some(Self::Staff),
            Role::Admin => Some(Self::Admin),
        }
    }
}

/// What a token states that has been verified.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stated<'t> {
    pub(crate) user: UserId,
    pub(crate) rank: Rank,
    pub(crate) session_id: &'t str,
    /// Unix seconds.
    pub(crate) expires_at: i64,
}

impl Default for Inner {
    fn default() -> Self {
        Self {
            sessions: (0..SHARDS).map(|_| ArcSwap::default()).collect(),
            roles: ArcSwap::default(),
            changing: Mutex::default(),
            started: Instant::now(),
            news_ms: AtomicU64::new(0),
        }
    }
}

impl Revocations {
    /// What is left of the rank that a token states; nothing when its session has ended.
    pub(crate) fn left(&self, stated: Stated<'_>) -> Option<Rank> {
        let session = hash(stated.session_id);
        if self.shard(&session).load().contains_key(&session) {
            return None;
        }
        // A token issued after the change lives longer than every token issued before.
        let limits = self.inner.roles.load();
        let limit = limits.get(&stated.user.0).filter(|limit| stated.expires_at <= limit.until);
        Some(limit.map_or(stated.rank, |limit| limit.rank.min(stated.rank)))
    }

    /// Takes in revocations, in any order and however often.
    pub(crate) fn apply(&self, revocations: &[Revocation], now_s: i64) {
        let changing = self.inner.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut ended: HashMap<usize, Vec<(SessionHash, i64)>> = HashMap::new();
        let mut limits = Vec::new();
        for revocation in revocations {
            let until = revocation.until_s.min(now_s + UNTIL_MAX_S);
            match &revocation.what {
                Some(What::SessionId(session)) => {
                    let session = hash(session);
                    ended.entry(shard_of(&session)).or_default().push((session, until));
                }
                Some(What::RoleChange(change)) => {
                    // A role that this release does not know is no right that it could grant.
                    let rank = Rank::of(change.role()).unwrap_or(Rank::Customer);
                    limits.push((change.user_id, Limit { seq: revocation.seq, rank, until }));
                }
                None => tracing::warn!(seq = revocation.seq, "a revocation of something unknown"),
            }
        }
        for (shard, sessions) in ended {
            let shard = &self.inner.sessions[shard];
            let mut all = Ended::clone(&shard.load());
            for (session, until) in sessions {
                let known = all.entry(session).or_insert(until);
                *known = until.max(*known);
            }
            shard.store(Arc::new(all));
        }
        if !limits.is_empty() {
            let mut all = Limits::clone(&self.inner.roles.load());
            for (user, limit) in limits {
                let known = all.entry(user).or_insert(limit);
                if known.seq < limit.seq {
                    *known = limit;
                }
            }
            self.inner.roles.store(Arc::new(all));
        }
        drop(changing);
    }

    /// Drops what no token can claim any more.
    pub(crate) fn forget_expired(&self, now_s: i64) {
        let _changing = self.inner.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let matters = |until: i64| until + LEEWAY_S >= now_s;
        for shard in &self.inner.sessions {
            retain(shard, |until| matters(*until));
        }
        retain(&self.inner.roles, |limit| matters(limit.until));
    }

    /// Notes that accounts answered a question asked at `asked`.
    pub(crate) fn heard(&self, asked: Instant) {
        let since_start = asked.saturating_duration_since(self.inner.started).as_millis();
        let news_ms = u64::try_from(since_start).unwrap_or(u64::MAX - 1) + 1;
        self.inner.news_ms.fetch_max(news_ms, Ordering::Relaxed);
    }

    /// Whether the list can be trusted while accounts is away.
    pub(crate) fn is_fresh(&self) -> bool {
        let Some(news_ms) = self.inner.news_ms.load(Ordering::Relaxed).checked_sub(1) else { return false };
        self.inner.started.elapsed().saturating_sub(Duration::from_millis(news_ms)) < NEWS_MAX_AGE
    }

    /// Appends the size of the list, and whether it can be trusted.
    pub(crate) fn prometheus(&self, text: &mut String) {
        use std::fmt::Write as _;
        // Writing to a `String` cannot fail.
        let _ = writeln!(text, "# TYPE revocations gauge\nrevocations {}", self.len());
        let fresh = u8::from(self.is_fresh());
        let _ = writeln!(text, "# TYPE revocations_fresh gauge\nrevocations_fresh {fresh}");
    }

    /// Sessions and roles on the list.
    fn len(&self) -> usize {
        let sessions: usize = self.inner.sessions.iter().map(|shard| shard.load().len()).sum();
        sessions + self.inner.roles.load().len()
    }

    fn shard(&self, session: &SessionHash) -> &ArcSwap<Ended> {
        &self.inner.sessions[shard_of(session)]
    }
}

fn shard_of(session: &SessionHash) -> usize {
    usize::from(session[0]) % SHARDS
}

fn hash(session_id: &str) -> SessionHash {
    let mut hash = SessionHash::default();
    hash.copy_from_slice(&blake3::hash(session_id.as_bytes()).as_bytes()[..16]);
    hash
}

/// Leaves what `matters`; copies the map only when something does not.
fn retain<K, V>(map: &ArcSwap<HashMap<K, V>>, matters: impl Fn(&V) -> bool)
where
    K: Copy + Eq + std::hash::Hash,
    V: Copy,
{
    let known = map.load();
    if !known.values().all(&matters) {
        let left = known.iter().filter(|(_, value)| matters(value)).map(|(key, value)| (*key, *value));
        map.store(Arc::new(left.collect()));
    }
}

#[cfg(test)]
mod tests {
    use proto::accounts::v1::RoleChange;

    use super::*;

    const NOW: i64 = 1_800_000_000;

    fn session(id: &str, until_s: i64) -> Revocation {
        Revocation { seq: 1, until_s, what: Some(What::SessionId(id.to_owned())) }
    }

    fn role(seq: u64, user_id: i64, role: Role, until_s: i64) -> Revocation {
        let change = RoleChange { user_id, role: role.into() };
        Revocation { seq, until_s, what: Some(What::RoleChange(change)) }
    }

    fn left(revocations: &Revocations, session_id: &str, rank: Rank, expires_at: i64) -> Option<Rank> {
        revocations.left(Stated { user: UserId(7), rank, session_id, expires_at })
    }

    #[test]
    fn an_ended_session_proves_nothing_until_its_tokens_are_gone() {
        let revocations = Revocations::default();
        revocations.apply(&[session("a", NOW + 300), session("b", NOW + 100), session("a", NOW + 10)], NOW);
        assert_eq!(left(&revocations, "a", Rank::Admin, NOW + 1), None);
        assert_eq!(left(&revocations, "c", Rank::Admin, NOW + 1), Some(Rank::Admin));
        revocations.forget_expired(NOW + 100 + LEEWAY_S);
        assert_eq!(left(&revocations, "b", Rank::Customer, NOW + 1), None);
        revocations.forget_expired(NOW + 101 + LEEWAY_S);
        assert_eq!(left(&revocations, "b", Rank::Customer, NOW + 1), Some(Rank::Customer));
        assert_eq!(left(&revocations, "a", Rank::Customer, NOW + 1), None, "the later end wins");
        assert_eq!(revocations.len(), 1);
    }

    #[test]
    fn a_lowered_role_caps_the_tokens_of_before() {
        let revocations = Revocations::default();
        revocations.apply(&[role(4, 7, Role::Staff, NOW + 300)], NOW);
        assert_eq!(left(&revocations, "s", Rank::Admin, NOW + 300), Some(Rank::Staff));
        assert_eq!(left(&revocations, "s", Rank::Customer, NOW + 300), Some(Rank::Customer));
        assert_eq!(left(&revocations, "s", Rank::Admin, NOW + 301), Some(Rank::Admin), "issued after");
        // The newest change counts, in whatever order they arrive.
        revocations
            .apply(&[role(6, 7, Role::Unspecified, NOW + 400), role(5, 7, Role::Admin, NOW + 350)], NOW);
        assert_eq!(left(&revocations, "s", Rank::Admin, NOW + 400), Some(Rank::Customer));
        revocations.apply(&[role(8, 7, Role::Admin, NOW + 500)], NOW);
        assert_eq!(
            left(&revocations, "s", Rank::Admin, NOW + 400),
            Some(Rank::Admin),
            "what the user is now"
        );
        assert_eq!(
            left(&revocations, "s", Rank::Staff, NOW + 400),
            Some(Rank::Staff),
            "no more than the token"
        );
    }

    #[test]
    fn nothing_is_remembered_for_ever() {
        let revocations = Revocations::default();
        revocations.apply(&[session("a", i64::MAX), role(1, 7, Role::Staff, i64::MAX)], NOW);
        revocations.forget_expired(NOW + UNTIL_MAX_S + LEEWAY_S + 1);
        assert_eq!(revocations.len(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn news_are_fresh_for_thirty_seconds() {
        let revocations = Revocations::default();
        assert!(!revocations.is_fresh(), "nothing was heard yet");
        revocations.heard(Instant::now());
        tokio::time::advance(Duration::from_millis(29_999)).await;
        assert!(revocations.is_fresh());
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(!revocations.is_fresh());
        let asked = Instant::now();
        tokio::time::advance(Duration::from_secs(10)).await;
        revocations.heard(asked);
        revocations.heard(asked - Duration::from_secs(20));
        tokio::time::advance(Duration::from_millis(19_999)).await;
        assert!(revocations.is_fresh(), "counted from the question");
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(!revocations.is_fresh());
    }
}
