//! Following a feed: nothing lost whatever the messages do, nothing twice, nobody else's.
//!
//! Messages only say that a feed has grown, and up to where. What is sent is read from the database, in order,
//! under the follower's own identity. A message that is lost is made up for by comparing all followed feeds with
//! the database, in one statement, now and then.

mod listener;
mod stream;

pub(crate) use listener::Listener;
pub(crate) use stream::Following;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use rls::{Caller, Database};
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::error::Error;

/// Streams of one user on this process.
const STREAMS_PER_USER_MAX: usize = 5;
/// Streams of this process.
const STREAMS_MAX: usize = 20_000;
/// Followers that read at the same time: callers who wait for an answer have the other connections.
const READS_MAX: usize = 2;

/// Everybody who follows a feed on this process. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Followers {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    db: Database,
    followed: Mutex<Followed>,
    reads: Semaphore,
    draining: CancellationToken,
    streams: TaskTracker,
}

#[derive(Debug, Default)]
struct Followed {
    feeds: HashMap<i64, Head>,
    streams: usize,
}

/// How far a feed is known to be, and how many follow it.
#[derive(Debug)]
struct Head {
    seq: watch::Sender<u64>,
    streams: usize,
}

/// A place among the followers; given back when dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    followers: Followers,
    user_id: i64,
    head: watch::Receiver<u64>,
}

impl Followers {
    /// Nobody yet.
    pub(crate) fn new(db: Database) -> Self {
        Self {
            inner: Arc::new(Inner {
                db,
                followed: Mutex::default(),
                reads: Semaphore::new(READS_MAX),
                draining: CancellationToken::new(),
                streams: TaskTracker::new(),
            }),
        }
    }

    /// A place for one more stream of the user.
    ///
    /// # Errors
    /// When the user, or this process, has as many as there may be, or when the process drains.
    pub(crate) fn join(&self, user_id: i64) -> Result<Seat, Error> {
        if self.inner.draining.is_cancelled() {
            return Err(Error::Draining);
        }
        let mut followed = self.followed();
        if followed.streams >= STREAMS_MAX {
            return Err(Error::StreamsFull);
        }
        let head =
            followed.feeds.entry(user_id).or_insert_with(|| Head { seq: watch::Sender::new(0), streams: 0 });
        if head.streams >= STREAMS_PER_USER_MAX {
            return Err(Error::TooManyStreams);
        }
        head.streams += 1;
        let head = head.seq.subscribe();
        followed.streams += 1;
        drop(followed);
        Ok(Seat { followers: self.clone(), user_id, head })
    }

    /// Starts the stream of this seat: all after position `after`, of a feed that is at `last_seq`.
    pub(crate) fn follow(&self, seat: Seat, caller: Caller, after: u64, last_seq: u64) -> Following {
        self.advance(seat.user_id, last_seq);
        stream::start(seat, caller, after, last_seq)
    }

    /// The feed is known to be at `seq`; earlier news is no news.
    pub(crate) fn advance(&self, user_id: i64, seq: u64) {
        if let Some(head) = self.followed().feeds.get(&user_id) {
            head.seq.send_if_modified(|known| {
                let further = seq > *known;
                *known = seq.max(*known);
                further
            });
        }
    }

    /// Whose feeds are followed.
    pub(crate) fn users(&self) -> Vec<i64> {
        self.followed().feeds.keys().copied().collect()
    }

    /// Streams that are open.
    pub(crate) fn streams(&self) -> usize {
        self.followed().streams
    }

    /// Ends every stream with UNAVAILABLE, and waits until they have.
    pub(crate) async fn drain(&self) {
        self.inner.draining.cancel();
        self.inner.streams.close();
        self.inner.streams.wait().await;
    }

    fn followed(&self) -> MutexGuard<'_, Followed> {
        self.inner.followed.lock().expect("nobody panics while holding it")
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut followed = self.followers.followed();
        followed.streams -= 1;
        if let Some(head) = followed.feeds.get_mut(&self.user_id) {
            head.streams -= 1;
            if head.streams == 0 {
                followed.feeds.remove(&self.user_id);
            }
        }
    }
}
