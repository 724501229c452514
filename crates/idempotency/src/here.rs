//! Which requests this process works on: a repeat is told so without asking the database.
//!
//! A thousand repeats at once would otherwise queue for the few connections that writers have. Other processes find out
//! by the lock in the database.

use std::collections::HashSet;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use crate::request::Request;

/// Database, principal, route and key of what is worked on; no longer than there are calls under way.
type Working = HashSet<(u64, String, String, String)>;

static WORKING: LazyLock<Mutex<Working>> = LazyLock::new(Mutex::default);

/// A request's turn in this process; ends when dropped.
#[derive(Debug)]
pub(crate) struct Turn((u64, String, String, String));

impl Turn {
    /// `None` while another call of this process works on the same.
    pub(crate) fn take(database: u64, request: &Request) -> Option<Self> {
        let what = (database, request.scope.clone(), request.route.clone(), request.key.clone());
        let is_new = working().insert(what.clone());
        // Only who has the turn may end it: not even for a moment is there another one.
        if is_new { Some(Self(what)) } else { None }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        working().remove(&self.0);
    }
}

/// A set that was only ever added to or removed from is whole, whoever panicked beside it.
fn working() -> MutexGuard<'static, Working> {
    WORKING.lock().unwrap_or_else(PoisonError::into_inner)
}
