//! Work that nobody waits for: what people ask of their data, and mails on their way.
//!
//! Both queues are tables. A worker leases what is due, so that any number of processes share the work and
//! whatever a dead one held is taken up by another; every step may therefore run twice.

mod data_jobs;
mod erasure;
mod export;
mod mails;
mod peers;

use std::sync::Arc;
use std::time::Duration;

use rls::Database;
use tokio_util::sync::CancellationToken;

pub(crate) use self::peers::Peers;
use crate::announcer::Announcer;
use crate::counters::Counters;
use crate::domain::data_job::DataJobKind;
use crate::secrets::Secrets;

/// What is to be done when nothing is due: look again after this, give or take a quarter.
const PAUSE: Duration = Duration::from_millis(500);
const RETRY_FIRST: Duration = Duration::from_secs(1);
const RETRY_LAST: Duration = Duration::from_secs(600);

/// What the workers work with. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Workshop {
    pub(crate) db: Database,
    pub(crate) secrets: Arc<Secrets>,
    pub(crate) announcer: Announcer,
    pub(crate) counters: Arc<Counters>,
    pub(crate) peers: Peers,
    /// The shop's address in mails, without a slash at the end.
    pub(crate) public_url: Arc<str>,
}

/// Whether a worker found something to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    Work,
    Nothing,
}

/// Works until `stop`. What is under way then is left to the next process when its lease ends.
pub(crate) async fn run(workshop: Workshop, stop: CancellationToken) {
    tokio::select! {
        () = stop.cancelled() => {}
        () = work_on(&workshop, DataJobKind::Export) => {}
        () = work_on(&workshop, DataJobKind::Erasure) => {}
        () = send_mails(&workshop) => {}
    }
}

/// Goes on until it is dropped. Each kind has its turn: whoever wants to be forgotten does not wait for a service
/// that is slow to tell what somebody else wants to know.
async fn work_on(workshop: &Workshop, kind: DataJobKind) {
    loop {
        let found = data_jobs::once(workshop, kind).await;
        rest(found).await;
    }
}

/// Goes on until it is dropped.
async fn send_mails(workshop: &Workshop) {
    loop {
        let found = mails::once(workshop).await;
        rest(found).await;
    }
}

async fn rest(found: Found) {
    match found {
        Found::Work => tokio::task::yield_now().await,
        Found::Nothing => tokio::time::sleep(PAUSE.mul_f64(0.75 + fastrand::f64() / 2.0)).await,
    }
}

/// How long to wait after so many failed attempts: doubling, bounded, spread.
fn pause_after(attempts: i32) -> Duration {
    let doublings = u32::try_from(attempts - 1).unwrap_or(0).min(16);
    let ceiling = RETRY_FIRST.saturating_mul(1 << doublings).min(RETRY_LAST);
    ceiling.mul_f64(0.5 + fastrand::f64() / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_stay_bounded() {
        for attempts in [i32::MIN + 1, 0, 1, 2, 11, 1_000, i32::MAX] {
            let pause = pause_after(attempts);
            assert!((RETRY_FIRST / 2..=RETRY_LAST).contains(&pause), "{attempts}: {pause:?}");
        }
        assert!(pause_after(1) <= RETRY_FIRST);
        assert!(pause_after(20) >= RETRY_LAST / 2);
    }
}
