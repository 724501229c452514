//! What happens to an order, as it happens, to a browser that keeps listening (server-sent events).
//!
//! Each stream watches the order at the orders service from the last entry of its timeline that was passed on.
//! Whatever happens between the two, the gateway watches again from there; and so does the browser, with
//! `Last-Event-ID`. So nothing is lost and nothing comes twice.

use std::cell::Cell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName};
use actix_web::{HttpRequest, HttpResponse};
use bytes::Bytes;
use futures_util::stream;
use proto::orders::v1::{TimelineEntry, WatchOrderRequest};
use tokio::time::{Instant, Interval, MissedTickBehavior};
use tonic::Streaming;

use super::ORDERS;
use super::openapi::ProblemDocument;
use crate::auth::Authenticated;
use crate::cache_policy::path_id;
use crate::error::{Call, Error};
use crate::gate::Gate;
use crate::guest::ORDER_TOKEN;
use crate::query::{Query, digits};
use crate::routes::Route;
use crate::views;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// So that proxies and browsers know that the stream lives.
const HEARTBEAT_EVERY: Duration = Duration::from_secs(15);
/// How soon a stream ends after its session, or after the gateway began to drain.
const LOOK_EVERY: Duration = Duration::from_secs(3);
/// How long a browser waits before it comes back.
const RETRY_MS: u32 = 2_000;
/// A watch is renewed before the connection under it grows too old; at random, so that they do not all come at
/// once.
const WATCH_S: std::ops::Range<u64> = 180..230;
/// For the service to take a watch.
const OPEN_DEADLINE: Duration = Duration::from_secs(3);
/// Between two attempts while the service is away.
const REOPEN_MS: std::ops::Range<u64> = 200..1_500;
/// Streams of one worker: its connection for them carries 1,024.
const STREAMS_MAX: usize = 1_000;

thread_local! {
    static OPEN: Rc<Cell<usize>> = Rc::default();
}

/// A place among the streams of this worker; given back when dropped.
struct Place(Rc<Cell<usize>>);

impl Place {
    fn take() -> Result<Self, Error> {
        let open = OPEN.with(Rc::clone);
        if open.get() >= STREAMS_MAX {
            return Err(Error::Overloaded);
        }
        open.set(open.get() + 1);
        Ok(Self(open))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

/// The timeline of an order as server-sent events: `id` is the entry's number, `event` is `order`.
#[utoipa::path(
    get,
    path = "/api/v1/orders/{id}/events",
    tag = "orders",
    params(
        ("id" = i64, Path),
        ("Last-Event-ID" = Option<u64>, Header, description = "Number of the last entry received; those after it come first"),
        ("last_event_id" = Option<u64>, Query, description = "The same for clients that cannot send the header"),
        ("order_token" = Option<String>, Query, description = "Opens a guest's order")
    ),
    responses(
        (status = 200, description = "The stream", content_type = "text/event-stream", body = String),
        (status = 401, description = "Neither a user nor a token", body = ProblemDocument),
        (status = 404, description = "No such order, or somebody else's", body = ProblemDocument)
    ),
    security(("bearer" = []), ("cookie" = []), ("cart_token" = []), ("order_token" = []))
)]
pub(crate) async fn stream(request: HttpRequest) -> Result<HttpResponse, Error> {
    let gate = Gate::of(&request);
    let caller = gate.shopper(&request)?.ok_or(Error::Unauthenticated)?;
    let (_, segment) = Route::find(request.path()).ok_or(Error::NotFound)?;
    let order_id = path_id(segment)?;
    let after = last_event_id(&request)?;
    let place = Place::take()?;
    let watcher = Watcher::open(gate, caller, order_id, after, place).await?;
    Ok(HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, "text/event-stream"))
        .insert_header((CACHE_CONTROL, "private, no-store"))
        // Proxies that collect answers would hold every event back.
        .insert_header((HeaderName::from_static("x-accel-buffering"), "no"))
        .streaming(stream::unfold(watcher, |mut watcher| async move {
            let piece = watcher.next().await?;
            Some((Ok::<_, Error>(piece), watcher))
        })))
}

/// The last entry that the browser has; 0 for none. No order has more of them than 31 bits can count.
fn last_event_id(request: &HttpRequest) -> Result<i64, Error> {
    const MAX: u64 = i32::MAX.unsigned_abs() as u64;
    let mut query = Query::parse(request.query_string())?;
    let by_query = query.integer("last_event_id", 0..=MAX)?;
    query.take(ORDER_TOKEN);
    query.finish()?;
    let Some(header) = request.headers().get(LAST_EVENT_ID) else {
        return Ok(by_query.unwrap_or_default().cast_signed());
    };
    let seq = header.to_str().ok().and_then(|text| digits(text.trim())).filter(|seq| *seq <= MAX);
    let wrong = || Error::parameter("Last-Event-ID", "o número de um evento", "the number of an event");
    seq.map(u64::cast_signed).ok_or_else(wrong)
}

/// One browser's stream.
struct Watcher {
    gate: Rc<Gate>,
    caller: Authenticated,
    order_id: i64,
    /// The last entry passed on.
    passed: i64,
    timeline: Option<Streaming<TimelineEntry>>,
    /// The next attempt to watch.
    reopen_at: Instant,
    looks: Interval,
    spoke: Instant,
    waiting: VecDeque<Bytes>,
    _place: Place,
}

impl Watcher {
    async fn open(
        gate: Rc<Gate>,
        caller: Authenticated,
        order_id: i64,
        after: i64,
        place: Place,
    ) -> Result<Self, Error> {
        let timeline = watch(&gate, &caller, order_id, after).await?;
        let mut looks = tokio::time::interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Ok(Self {
            gate,
            caller,
            order_id,
            passed: after,
            timeline: Some(timeline),
            reopen_at: Instant::now(),
            looks,
            spoke: Instant::now(),
            waiting: VecDeque::from([Bytes::from(format!("retry: {RETRY_MS}\n: open\n\n"))]),
            _place: place,
        })
    }

    /// The next bytes for the browser; `None` ends the stream.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(piece) = self.waiting.pop_front() {
                self.spoke = Instant::now();
                return Some(piece);
            }
            let Some(timeline) = &mut self.timeline else {
                self.reopen().await?;
                continue;
            };
            tokio::select! {
                message = timeline.message() => self.take(message),
                _ = self.looks.tick() => self.look()?,
            }
        }
    }

    /// Passes an entry on, or notes that the order has to be watched anew.
    fn take(&mut self, message: Result<Option<TimelineEntry>, tonic::Status>) {
        match message {
            Ok(Some(entry)) if entry.seq > self.passed => {
                self.passed = entry.seq;
                let json = serde_json::to_string(&views::TimelineEntry::of(&entry)).unwrap_or_default();
                let event = format!("id: {}\nevent: order\ndata: {json}\n\n", entry.seq);
                self.waiting.push_back(Bytes::from(event));
            }
            // It was told already.
            Ok(Some(_)) => {}
            Ok(None) => self.timeline = None,
            Err(status) => {
                tracing::debug!(code = ?status.code(), "a watch ended");
                self.timeline = None;
            }
        }
    }

    /// Ends the stream with its session or its gateway; else says now and then that it lives.
    fn look(&mut self) -> Option<()> {
        if self.gate.is_draining() || !self.caller.session_holds(&self.gate) {
            return None;
        }
        if self.spoke.elapsed() + LOOK_EVERY > HEARTBEAT_EVERY {
            self.waiting.push_back(Bytes::from_static(b": \n\n"));
        }
        Some(())
    }

    /// Watches again from the last entry, after a pause, for as long as it takes.
    async fn reopen(&mut self) -> Option<()> {
        tokio::select! {
            () = tokio::time::sleep_until(self.reopen_at) => {}
            _ = self.looks.tick() => return self.look(),
        }
        self.reopen_at = Instant::now() + Duration::from_millis(fastrand::u64(REOPEN_MS));
        // A stream may be older than what the list of revocations remembers.
        match self.caller.session_stands(&self.gate).await {
            Ok(()) => {}
            Err(Error::Unauthenticated) => return None,
            Err(error) => {
                tracing::debug!(%error, "a session cannot be checked now");
                return Some(());
            }
        }
        match watch(&self.gate, &self.caller, self.order_id, self.passed).await {
            Ok(timeline) => self.timeline = Some(timeline),
            // It is the caller's no longer.
            Err(Error::NotFound | Error::Unauthenticated | Error::Forbidden) => return None,
            Err(error) => tracing::debug!(%error, "an order cannot be watched now"),
        }
        Some(())
    }
}

async fn watch(
    gate: &Gate,
    caller: &Authenticated,
    order_id: i64,
    after_seq: i64,
) -> Result<Streaming<TimelineEntry>, Error> {
    let assertion = caller.assertion(gate, ORDERS);
    let until = Duration::from_secs(fastrand::u64(WATCH_S));
    let message = WatchOrderRequest { order_id, after_seq };
    let request = bootstrap::grpc::request(message, until, assertion.as_deref());
    let mut timelines = gate.upstream().timelines.clone();
    let opened = tokio::time::timeout(OPEN_DEADLINE, timelines.watch_order(request)).await;
    let opened = opened.map_err(|_elapsed| Error::Timeout)?;
    opened.map(tonic::Response::into_inner).map_err(|status| Error::from_status(&status, Call::Read))
}
