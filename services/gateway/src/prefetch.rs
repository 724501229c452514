//! A user's first pages, filled before they are asked for (S83, S84).
//!
//! Whoever signs in opens the same three pages next; the gateway that signed them in fills those at once, and
//! through the shared tier for every other gateway too, so that nobody needs to listen for sign-ins. At boot the
//! pages of the users with the latest sessions are filled. Both go through the cache like any request, so that
//! nothing is asked twice and nothing is kept that a purge has overtaken.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::join_all;
use proto::accounts::v1::{ListActiveUsersRequest, Role, User};
use rls::{AssertedUser, UserId, UserRole};
use tag_cache::{CacheState, Mode};
use time::OffsetDateTime;
use tokio::sync::Semaphore;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::cache_policy::{Form, Personal, Question, Read, Shown};
use crate::error::Error;
use crate::gate::{Gate, Shared};
use crate::handlers::{self, Origin};
use crate::pages::{EventFilter, Pages};
use crate::upstream::{READ_DEADLINE, read};

/// Users whose pages are filled at once after sign-ins. More wait for nobody: they are answered as they ask.
const SIGN_INS_MAX: usize = 32;
/// For one user's pages.
const FILL_MAX: Duration = Duration::from_secs(3);
/// Users whose pages are filled at once at boot: few, since requests come first.
const WARM_AT_ONCE: usize = 4;
/// For everything at boot, from the moment at which purges are known to arrive.
const WARM_MAX: Duration = Duration::from_secs(30);
/// For purges to be known to arrive; without them nothing that is filled could be served for sure.
const LIVE_WAIT_MAX: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Between questions to accounts, which may start after us.
const ASK_EVERY: Duration = Duration::from_secs(1);

/// How many users are being filled in, and how it went. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Prefetch {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    places: Arc<Semaphore>,
    /// Answers asked of the services.
    filled: AtomicU64,
    /// Answers that were there already.
    held: AtomicU64,
    failed: AtomicU64,
    /// Users left out because too many signed in at once.
    skipped: AtomicU64,
}

impl Default for Prefetch {
    fn default() -> Self {
        let inner = Inner {
            places: Arc::new(Semaphore::new(SIGN_INS_MAX)),
            filled: AtomicU64::new(0),
            held: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            skipped: AtomicU64::new(0),
        };
        Self { inner: Arc::new(inner) }
    }
}

impl Prefetch {
    /// What was filled so far, in the Prometheus text format.
    pub(crate) fn prometheus(&self, text: &mut String) {
        use std::fmt::Write as _;
        text.push_str("# TYPE prefetch_answers_total counter\n");
        let inner = &self.inner;
        for (outcome, count) in [("filled", &inner.filled), ("held", &inner.held), ("failed", &inner.failed)]
        {
            let count = count.load(Ordering::Relaxed);
            // Writing to a `String` cannot fail.
            let _ = writeln!(text, "prefetch_answers_total{{outcome=\"{outcome}\"}} {count}");
        }
        text.push_str("# TYPE prefetch_users_skipped_total counter\n");
        let _ = writeln!(text, "prefetch_users_skipped_total {}", inner.skipped.load(Ordering::Relaxed));
    }
}

/// Fills the first pages of somebody who has just signed in, behind their back: returns at once.
pub(crate) fn user(gate: &Gate, user: &User, session_id: &str) {
    let user = signed_in(user, session_id);
    let shared = Arc::clone(&gate.shared);
    let counts = &shared.prefetch.inner;
    let Ok(place) = Arc::clone(&counts.places).try_acquire_owned() else {
        counts.skipped.fetch_add(1, Ordering::Relaxed);
        return;
    };
    let (running, runtime) = (shared.changes.running.clone(), shared.changes.runtime.clone());
    running.spawn_on(
        async move {
            let pages = first_pages().map(|question| fill(&shared, &user, question));
            if tokio::time::timeout(FILL_MAX, join_all(pages)).await.is_err() {
                tracing::debug!("a user's first pages were not filled in time");
            }
            drop(place);
        },
        &runtime,
    );
}

/// Somebody who has just proved who they are.
pub(crate) fn signed_in(user: &User, session_id: &str) -> AssertedUser {
    AssertedUser {
        id: UserId(user.id),
        role: match user.role() {
            Role::Unspecified | Role::Customer => UserRole::Customer,
            Role::Staff => UserRole::Staff,
            Role::Admin => UserRole::Admin,
        },
        session_id: session_id.to_owned(),
        auth_time: OffsetDateTime::now_utc().unix_timestamp(),
    }
}

/// Fills the first pages of the users with the latest sessions, once, and ends.
pub(crate) async fn warm(shared: Arc<Shared>, users_max: u32, end: CancellationToken) {
    if users_max == 0 {
        return;
    }
    tokio::select! {
        () = end.cancelled() => {}
        () = warm_once(&shared, users_max) => {}
    }
}

async fn warm_once(shared: &Arc<Shared>, users_max: u32) {
    if tokio::time::timeout(LIVE_WAIT_MAX, live(shared)).await.is_err() {
        tracing::warn!("no pages of active users were filled: purges do not arrive");
        return;
    }
    let started = Instant::now();
    let deadline = started + WARM_MAX;
    let Ok(users) = tokio::time::timeout_at(deadline, active_users(shared, users_max)).await else {
        tracing::warn!("no pages of active users were filled: accounts does not answer");
        return;
    };
    let known = users.len();
    let mut counts = Counts::default();
    let mut filling = futures_util::stream::iter(users)
        .map(|id| async move {
            let mut counts = Counts::default();
            let user = absent(id);
            for question in first_pages() {
                counts.add(fill(shared, &user, question).await);
            }
            counts
        })
        .buffer_unordered(WARM_AT_ONCE);
    let mut users = 0_usize;
    while let Ok(Some(one)) = tokio::time::timeout_at(deadline, filling.next()).await {
        users += 1;
        counts.filled += one.filled;
        counts.held += one.held;
        counts.failed += one.failed;
    }
    tracing::info!(
        users,
        users.left = known - users,
        answers.filled = counts.filled,
        answers.held = counts.held,
        answers.failed = counts.failed,
        took_ms = started.elapsed().as_millis(),
        "[CACHE] pages of active users are warm"
    );
}

/// Returns when purges are known to arrive.
async fn live(shared: &Shared) {
    let mut ticks = tokio::time::interval(LOOK_EVERY);
    while shared.cache.mode() != Mode::Live {
        ticks.tick().await;
    }
}

/// The users with the latest sessions, asked until accounts answers.
async fn active_users(shared: &Shared, users_max: u32) -> Vec<i64> {
    let mut ticks = tokio::time::interval(ASK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let assertion = shared.asserter.service("accounts", &Uuid::now_v7().to_string());
        let message = ListActiveUsersRequest { limit: users_max };
        let reply = read(message, READ_DEADLINE, Some(&assertion), |request| {
            let mut accounts = shared.changes.upstream.accounts.clone();
            async move { accounts.list_active_users(request).await }
        })
        .await;
        match reply {
            Ok(reply) => return reply.user_ids.into_iter().take(users_max as usize).collect(),
            Err(error) => tracing::debug!(%error, "active users cannot be asked for"),
        }
    }
}

/// A user who is not there: no session, and long since anything was proved, so that nothing beyond their own
/// pages could be read in their name.
fn absent(id: i64) -> AssertedUser {
    let session_id = Uuid::nil().to_string();
    AssertedUser { id: UserId(id), role: UserRole::Customer, session_id, auth_time: 0 }
}

/// What a user sees first: the same entries as the pages' own addresses without parameters.
fn first_pages() -> [Question; 3] {
    [
        Question::Events { pages: Pages::FIRST, filter: EventFilter::default() },
        Question::Notifications { pages: Pages::FIRST, shown: Shown::All },
        Question::Professionals { pages: Pages::FIRST, specialty: None },
    ]
}

#[derive(Debug, Default)]
struct Counts {
    filled: u64,
    held: u64,
    failed: u64,
}

/// How one answer was filled.
#[derive(Debug, Clone, Copy)]
enum Outcome {
    Filled,
    Held,
    Failed,
}

impl Counts {
    fn add(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Filled => self.filled += 1,
            Outcome::Held => self.held += 1,
            Outcome::Failed => self.failed += 1,
        }
    }
}

async fn fill(shared: &Shared, user: &AssertedUser, question: Question) -> Outcome {
    let personal = Personal { user: user.id, question, form: Form::Bare };
    let assertion = shared.asserter.user(personal.service(), user, &Uuid::now_v7().to_string());
    let origin = Origin { upstream: shared.changes.upstream.clone(), assertion: Some(assertion) };
    let read = Read::Personal(personal);
    let mut key = String::with_capacity(64);
    read.key(&mut key);
    let asked = read.clone();
    let fetch = move |stamp| handlers::fetch(asked, origin, stamp);
    let served: Result<_, Error> = shared.cache.get_or_fill(&read.lookup(&key, None), fetch).await;
    let counts = &shared.prefetch.inner;
    let (outcome, count) = match served {
        Ok(served) if matches!(served.state, CacheState::Miss | CacheState::Bypass) => {
            (Outcome::Filled, &counts.filled)
        }
        Ok(_) => (Outcome::Held, &counts.held),
        Err(error) => {
            tracing::debug!(%error, key, "a user's page was not filled");
            (Outcome::Failed, &counts.failed)
        }
    };
    count.fetch_add(1, Ordering::Relaxed);
    outcome
}
