//! One request being timed.

use std::time::Duration;

use crate::{
    clock::Reading,
    recorder::Recorder,
    series::{CacheState, EndpointId},
};

/// Status of a request whose client left before the last byte.
pub const CANCELLED: u16 = 499;

/// A request from its first byte to its last.
///
/// Keep it in the response body and [`finish`](Timing::finish) it after the last byte. Dropped before that, it counts
/// the request as cancelled (499) with the time it had taken: a handler that is dropped because its client gave up
/// is measured like any other.
#[derive(Debug)]
#[must_use = "dropping a timing counts the request as cancelled"]
pub struct Timing {
    recorder: Recorder,
    started: Reading,
    endpoint: EndpointId,
    status: u16,
    cache: CacheState,
}

impl Timing {
    #[inline]
    pub(crate) fn new(recorder: Recorder, endpoint: EndpointId, started: Reading) -> Timing {
        Timing { recorder, started, endpoint, status: CANCELLED, cache: CacheState::None }
    }

    /// Names the endpoint, when routing happens after the first byte.
    #[inline]
    pub fn set_endpoint(&mut self, endpoint: EndpointId) {
        self.endpoint = endpoint;
    }

    /// Says how the request is being answered. Counted only when it is finished.
    #[inline]
    pub fn set(&mut self, status: u16, cache: CacheState) {
        self.status = status;
        self.cache = cache;
    }

    /// Time since the first byte.
    #[inline]
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Counts the request under the status that was set, and says how long it took.
    #[inline]
    pub fn finish(self) -> Duration {
        let ns = self.started.elapsed_ns();
        self.recorder.record(self.endpoint, self.status, self.cache, ns);
        std::mem::forget(self);
        Duration::from_nanos(ns)
    }
}

impl Drop for Timing {
    fn drop(&mut self) {
        self.recorder.record(self.endpoint, CANCELLED, self.cache, self.started.elapsed_ns());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::series::Endpoint;

    fn recorder() -> Recorder {
        Recorder::new(vec![Endpoint { route: "/a", method: "GET", threshold: Duration::from_secs(1) }])
    }

    fn codes(recorder: &Recorder) -> Vec<(u16, u64)> {
        recorder.snapshot().codes().iter().collect()
    }

    #[test]
    fn finished_counts_once_under_its_status() {
        let recorder = recorder();
        let mut timing = recorder.start(recorder.other(), Reading::now());
        timing.set(404, CacheState::HitL1);
        let took = timing.finish();
        assert_eq!(codes(&recorder), [(404, 1)]);
        assert_eq!(u128::from(recorder.snapshot().sum_ns), took.as_nanos());
    }

    #[test]
    fn dropped_counts_as_cancelled_whatever_was_set() {
        let recorder = recorder();
        let mut timing = recorder.start(recorder.other(), Reading::now());
        timing.set(200, CacheState::Miss);
        drop(timing);
        assert_eq!(codes(&recorder), [(CANCELLED, 1)]);
    }

    #[tokio::test]
    async fn an_abandoned_handler_counts_as_cancelled() {
        let recorder = recorder();
        let endpoint = recorder.endpoint("GET", "/a").expect("just given");
        let handler = async {
            let mut timing = recorder.start(endpoint, Reading::now());
            std::future::pending::<()>().await;
            timing.set(200, CacheState::None);
            timing.finish();
        };
        tokio::time::timeout(Duration::from_millis(1), handler).await.expect_err("it never ends");
        assert_eq!(codes(&recorder), [(CANCELLED, 1)]);
    }
}
