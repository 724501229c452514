//! Tells the aggregator what a recorder has counted. No request ever waits for it or knows of it.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use proto::metrics::v1::{
    Hello, ReportRequest, ReportResponse, SlotState, metrics_service_client::MetricsServiceClient,
    report_request::Kind,
};
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
    time::{sleep, timeout},
};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;

use crate::{
    backlog::{Backlog, Next, Sent},
    cut::{Cutter, End, SLOT_S},
    layout,
    process::ProcessClock,
    prometheus,
    recorder::Recorder,
};

/// Time between two states of the open slot, unless the aggregator asks for another.
const FLUSH_EVERY: Duration = Duration::from_secs(2);

/// Bounds of what the aggregator may ask for.
const FLUSH_EVERY_MS: std::ops::RangeInclusive<u32> = 1_000..=5_000;

/// A stream lasts as long as its slot, and is given up soon after.
const STREAM_DEADLINE: Duration = Duration::from_secs(20);

/// Time for the answer once everything is sent.
const ANSWER_DEADLINE: Duration = Duration::from_secs(5);

/// Time for the last state when the process stops.
const STOP_DEADLINE: Duration = Duration::from_secs(2);

/// Messages of a stream under way to the connection.
const MESSAGES_IN_FLIGHT_MAX: usize = 4;

/// A clock that is further from the aggregator's than this is corrected.
const CLOCK_OFFSET_TOLERATED: Duration = Duration::from_secs(2);

const RECONNECT_MIN: Duration = Duration::from_millis(100);
const RECONNECT_MAX: Duration = Duration::from_secs(5);

/// Who reports.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Name of the service, for example `gateway`.
    pub service: String,
    /// Name of this process among those of the service.
    pub instance: String,
    /// Version of the service.
    pub version: String,
}

/// Reports one recorder until it is told to stop.
///
/// Every two seconds it sends the total of the open ten-second slot, and once more when the slot closes. While the
/// aggregator is away it keeps the totals of the last hour, at most 16 MB, and sends them newest first when it is back.
/// A process that is killed loses at most the last two seconds.
#[derive(Debug)]
pub struct Reporter {
    shared: Arc<Shared>,
    tasks: [JoinHandle<()>; 2],
}

/// Numbers about the reporting itself. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ReporterGauges(Arc<Shared>);

struct Shared {
    identity: Identity,
    boot_id: [u8; 16],
    backlog: Mutex<Backlog>,
    /// Counts the changes of the backlog.
    changed: watch::Sender<u64>,
    status: Mutex<Status>,
}

#[derive(Clone, Copy, Debug)]
struct Status {
    /// What to add to our clock to get the aggregator's, in nanoseconds; 0 while the difference is tolerated.
    correction_ns: i64,
    /// The difference as last measured.
    offset_ns: i64,
    flush_every: Duration,
    streams_completed: u64,
    streams_failed: u64,
    last_cut: Duration,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("identity", &self.identity).finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Reporter {
    /// Starts reporting `recorder` through `channel`, until `shutdown` is cancelled: cancel it after the last request.
    ///
    /// `connections` says how many database connections the process uses and may use; `|| (0, 0)` without a database.
    /// There may be one reporter per recorder.
    pub fn spawn(
        recorder: Recorder,
        channel: Channel,
        identity: Identity,
        connections: impl Fn() -> (u32, u32) + Send + Sync + 'static,
        shutdown: CancellationToken,
    ) -> Reporter {
        let shared = Arc::new(Shared {
            identity,
            boot_id: std::array::from_fn(|_| fastrand::u8(..)),
            backlog: Mutex::default(),
            changed: watch::Sender::new(0),
            status: Mutex::new(Status {
                correction_ns: 0,
                offset_ns: 0,
                flush_every: FLUSH_EVERY,
                streams_completed: 0,
                streams_failed: 0,
                last_cut: Duration::ZERO,
            }),
        });
        let process = ProcessClock::new(Box::new(connections));
        let cutting = tokio::spawn(Arc::clone(&shared).cut_slots(recorder, process, shutdown.clone()));
        let sending = tokio::spawn(Arc::clone(&shared).send(MetricsServiceClient::new(channel), shutdown));
        Reporter { shared, tasks: [cutting, sending] }
    }

    /// Numbers about the reporting, for this process's own exposition.
    pub fn gauges(&self) -> ReporterGauges {
        ReporterGauges(Arc::clone(&self.shared))
    }

    /// Waits for the end, at most two seconds after the shutdown was asked for.
    pub async fn stopped(self) {
        for task in self.tasks {
            if let Err(error) = task.await {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "reporting of timings ended abnormally"
                );
            }
        }
    }
}

impl ReporterGauges {
    /// Appends the numbers as Prometheus text.
    pub fn prometheus(&self, out: &mut String) {
        let status = *lock(&self.0.status);
        let (backlog_slots, expired) = {
            let backlog = lock(&self.0.backlog);
            (backlog.closed_len(), backlog.expired)
        };
        let mut sample = |name, kind, help, value: f64| {
            prometheus::header(out, name, kind, help);
            prometheus::line(out, name, &[], value);
        };
        sample(
            "metrics_backlog_slots",
            "gauge",
            "Closed slots the aggregator has not stored",
            backlog_slots as f64,
        );
        sample("metrics_expired_slots_total", "counter", "Slots given up", expired.slots as f64);
        sample(
            "metrics_expired_requests_total",
            "counter",
            "Requests of the slots given up",
            expired.requests as f64,
        );
        sample(
            "metrics_clock_offset_seconds",
            "gauge",
            "Aggregator's clock minus ours",
            status.offset_ns as f64 / 1e9,
        );
        sample(
            "metrics_flush_duration_seconds",
            "gauge",
            "Time the last cut took",
            status.last_cut.as_secs_f64(),
        );
        let completed = status.streams_completed as f64;
        sample(
            "metrics_streams_completed_total",
            "counter",
            "Streams the aggregator has answered",
            completed,
        );
        let failed = status.streams_failed as f64;
        sample("metrics_streams_failed_total", "counter", "Streams that broke or were refused", failed);
    }
}

impl Shared {
    async fn cut_slots(
        self: Arc<Shared>,
        recorder: Recorder,
        mut process: ProcessClock,
        shutdown: CancellationToken,
    ) {
        let mut cutter = Cutter::new(recorder, slot_of(self.now_ms()));
        let mut running = true;
        while running {
            tokio::select! {
                () = shutdown.cancelled() => running = false,
                () = sleep(self.until_next_cut(cutter.slot_start_s())) => {}
            }
            let began = Instant::now();
            // A clock that went back does not open a closed slot again.
            let slot_now_s = slot_of(self.now_ms()).max(cutter.slot_start_s());
            let mut closed = None;
            if slot_now_s > cutter.slot_start_s() {
                closed = Some(cutter.cut(End::Closed, process.state(), slot_now_s));
                process.begin_slot();
            }
            let end = if running { End::NotYet } else { End::Stopped { len_s: self.reached_s(slot_now_s) } };
            let state = cutter.cut(end, process.state(), slot_now_s);
            {
                let mut backlog = lock(&self.backlog);
                backlog.define(cutter.dictionary_len(), || cutter.dictionary());
                for state in closed.into_iter().chain([state]) {
                    if state.r#final { backlog.close(state, began) } else { backlog.open(state) }
                }
                if !running {
                    backlog.stop();
                }
            }
            lock(&self.status).last_cut = began.elapsed();
            self.changed.send_modify(|changes| *changes += 1);
        }
    }

    /// Length that the slot has reached, less than a whole one: this is how the aggregator tells that we stop.
    fn reached_s(&self, slot_start_s: u32) -> u32 {
        let reached_s = (self.now_ms() / 1_000).saturating_sub(u64::from(slot_start_s));
        u32::try_from(reached_s).map_or(SLOT_S - 1, |s| s.clamp(1, SLOT_S - 1))
    }

    async fn send(self: Arc<Shared>, client: MetricsServiceClient<Channel>, shutdown: CancellationToken) {
        let stop_limit = async {
            shutdown.cancelled().await;
            sleep(STOP_DEADLINE).await;
        };
        tokio::select! {
            () = self.send_until_stopped(client, &shutdown) => {}
            () = stop_limit => tracing::warn!("the last timings did not reach the aggregator"),
        }
    }

    async fn send_until_stopped(&self, client: MetricsServiceClient<Channel>, shutdown: &CancellationToken) {
        let mut changed = self.changed.subscribe();
        // Nothing to say before the first cut. The sender lives as long as we do.
        drop(changed.wait_for(|changes| *changes > 0).await);
        let mut failures = 0_u32;
        loop {
            match self.stream(client.clone(), &mut changed).await {
                Ok(()) => {
                    if failures > 0 {
                        tracing::info!(failures, "timings reach the aggregator again");
                    }
                    failures = 0;
                    lock(&self.status).streams_completed += 1;
                    if lock(&self.backlog).is_done(Instant::now()) {
                        return;
                    }
                }
                Err(error) => {
                    failures = failures.saturating_add(1);
                    if failures == 1 {
                        let error = &error as &dyn std::error::Error;
                        tracing::warn!(error, "timings do not reach the aggregator; keeping them");
                    }
                    lock(&self.status).streams_failed += 1;
                    lock(&self.backlog).send_all_again(Instant::now());
                    if shutdown.is_cancelled() {
                        sleep(RECONNECT_MIN).await;
                    } else {
                        let stopping = shutdown.cancelled();
                        tokio::select! { () = sleep(backoff(failures)) => {}, () = stopping => {} }
                    }
                }
            }
        }
    }

    /// One stream: from now to the end of the open slot, and its answer.
    async fn stream(
        &self,
        mut client: MetricsServiceClient<Channel>,
        changed: &mut watch::Receiver<u64>,
    ) -> Result<(), tonic::Status> {
        let (sender, receiver) = mpsc::channel(MESSAGES_IN_FLIGHT_MAX);
        let mut request = tonic::Request::new(ReceiverStream::new(receiver));
        request.set_timeout(STREAM_DEADLINE);
        let mut sent = lock(&self.backlog).begin();
        let answer = async {
            let response = timeout(STREAM_DEADLINE, client.report(request)).await;
            response.map_err(|_elapsed| tonic::Status::deadline_exceeded("the aggregator did not answer"))?
        };
        tokio::pin!(answer);
        let response = tokio::select! {
            early = &mut answer => {
                early?;
                // What was under way is not in such an answer. Sending all of it again changes nothing.
                return Err(tonic::Status::aborted("the aggregator ended the stream"));
            }
            () = self.feed(sender, &mut sent, changed) => {
                let rest = timeout(ANSWER_DEADLINE, answer).await;
                rest.map_err(|_elapsed| tonic::Status::deadline_exceeded("the aggregator did not answer"))??
            }
        };
        self.learn(&sent, &response.into_inner());
        Ok(())
    }

    async fn feed(
        &self,
        sender: mpsc::Sender<ReportRequest>,
        sent: &mut Sent,
        changed: &mut watch::Receiver<u64>,
    ) {
        loop {
            changed.mark_unchanged();
            let next = lock(&self.backlog).next(sent, Instant::now());
            let kind = match next {
                Next::Define(series) => Kind::Hello(Hello {
                    boot_id: self.boot_id.to_vec(),
                    service: self.identity.service.clone(),
                    instance: self.identity.instance.clone(),
                    version: self.identity.version.clone(),
                    layout: layout::LAYOUT,
                    sent_unix_ns: u64::try_from(unix_now().as_nanos()).unwrap_or(u64::MAX),
                    series,
                }),
                Next::Send(state) => Kind::Slot(SlotState::clone(&state)),
                Next::Wait => {
                    // The sender of changes lives as long as we do.
                    let _change = changed.changed().await;
                    continue;
                }
                Next::End => return,
            };
            if sender.send(ReportRequest { kind: Some(kind) }).await.is_err() {
                // The call is over; its result says why.
                return std::future::pending().await;
            }
        }
    }

    fn learn(&self, sent: &Sent, response: &ReportResponse) {
        lock(&self.backlog).acknowledge(sent, &response.acks, Instant::now());
        let mut status = lock(&self.status);
        if FLUSH_EVERY_MS.contains(&response.next_flush_ms) {
            status.flush_every = Duration::from_millis(u64::from(response.next_flush_ms));
        }
        if response.server_unix_ns > 0 {
            let ours = i128::try_from(unix_now().as_nanos()).unwrap_or(i128::MAX);
            let offset_ns = i64::try_from(i128::from(response.server_unix_ns) - ours).unwrap_or(0);
            let tolerated = offset_ns.unsigned_abs() <= CLOCK_OFFSET_TOLERATED.as_nanos() as u64;
            if !tolerated && status.correction_ns == 0 {
                tracing::warn!(
                    offset_ms = offset_ns / 1_000_000,
                    "clock differs from the aggregator's; correcting slots"
                );
            }
            status.offset_ns = offset_ns;
            status.correction_ns = if tolerated { 0 } else { offset_ns };
        }
    }

    /// Unix time by the aggregator's clock, in milliseconds.
    fn now_ms(&self) -> u64 {
        let corrected = unix_now().as_millis() as i64 + lock(&self.status).correction_ns / 1_000_000;
        corrected.max(0) as u64
    }

    /// Cuts fall on multiples of the flush interval, and on the end of each slot.
    fn until_next_cut(&self, slot_start_s: u32) -> Duration {
        let now_ms = self.now_ms();
        let every_ms = lock(&self.status).flush_every.as_millis() as u64;
        let next_ms = (now_ms / every_ms + 1) * every_ms;
        let slot_end_ms = u64::from(slot_start_s + SLOT_S) * 1_000;
        let next_ms = if slot_end_ms > now_ms { next_ms.min(slot_end_ms) } else { next_ms };
        Duration::from_millis(next_ms - now_ms)
    }
}

fn unix_now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

fn slot_of(unix_ms: u64) -> u32 {
    let unix_s = u32::try_from(unix_ms / 1_000).unwrap_or(u32::MAX);
    unix_s - unix_s % SLOT_S
}

/// Exponential with full jitter, so that sources do not come back all at once.
fn backoff(failures: u32) -> Duration {
    let most = RECONNECT_MIN.saturating_mul(1 << failures.saturating_sub(1).min(10)).min(RECONNECT_MAX);
    RECONNECT_MIN.mul_f64(0.5) + most.mul_f64(fastrand::f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backoff_is_bounded() {
        for failures in 1..10_000 {
            assert!(backoff(failures) >= RECONNECT_MIN / 2);
            assert!(backoff(failures) <= RECONNECT_MAX + RECONNECT_MIN);
        }
    }

    #[test]
    fn slots_are_cut_at_multiples_of_ten() {
        assert_eq!(slot_of(0), 0);
        assert_eq!(slot_of(9_999), 0);
        assert_eq!(slot_of(10_000), 10);
        assert_eq!(slot_of(1_700_000_019_999), 1_700_000_010);
    }
}
