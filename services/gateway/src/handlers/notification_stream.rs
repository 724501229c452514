//! Notifications as they are made, to a browser that keeps listening (server-sent events).
//!
//! Each stream follows the user's own feed at the notifications service, by position. Whatever happens between the
//! two, be it a restart, a deadline or another replica, the gateway follows again from the last position that it has
//! passed on; and the browser does the same with `Last-Event-ID` when it loses the gateway. So nothing is lost and
//! nothing comes twice.

use std::cell::Cell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName};
use actix_web::{HttpRequest, HttpResponse};
use bytes::Bytes;
use futures_util::stream;
use proto::notifications::v1::follow_notifications_response::Item;
use proto::notifications::v1::{FollowNotificationsRequest, FollowNotificationsResponse};
use tokio::time::{Instant, Interval, MissedTickBehavior};
use tonic::Streaming;

use crate::auth::Authenticated;
use crate::error::{Call, Error};
use crate::gate::Gate;
use crate::query::{Query, digits};
use crate::views::Notification;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// So that proxies and browsers know that the stream lives.
const HEARTBEAT_EVERY: Duration = Duration::from_secs(15);
/// How soon a stream ends after its session, or after the gateway began to drain.
const LOOK_EVERY: Duration = Duration::from_secs(3);
/// How long a browser waits before it comes back.
const RETRY_MS: u32 = 2_000;
/// A follow is renewed before the connection under it grows too old; at random, so that they do not all
/// come at once.
const FOLLOW_S: std::ops::Range<u64> = 180..230;
/// For the first word of a follow.
const OPEN_DEADLINE: Duration = Duration::from_secs(3);
/// Between two attempts while the service is away.
const REOPEN_MS: std::ops::Range<u64> = 200..1_500;
/// Streams of one worker: its connection to the notifications service carries 1,024.
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

/// Notifications as server-sent events: `id` is the position to come back with, `event` is `notification`.
#[utoipa::path(
    get,
    path = "/api/v1/notifications/stream",
    tag = "notifications",
    params(
        ("Last-Event-ID" = Option<u64>, Header, description = "Position of the last event received; those after it come first"),
        ("last_event_id" = Option<u64>, Query, description = "The same for clients that cannot send the header")
    ),
    responses(
        (status = 200, description = "The stream", content_type = "text/event-stream", body = String),
        (status = 401, description = "unauthenticated", body = super::openapi::ProblemDocument),
        (status = 429, description = "The user has five streams already", body = super::openapi::ProblemDocument)
    ),
    security(("bearer" = []), ("cookie" = []))
)]
pub(crate) async fn stream(request: HttpRequest) -> Result<HttpResponse, Error> {
    let gate = Gate::of(&request);
    let caller = gate.authenticate(&request)?.user()?;
    let after = last_event_id(&request)?;
    let place = Place::take()?;
    let follower = Follower::open(gate, caller, after, place).await?;
    Ok(HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, "text/event-stream"))
        .insert_header((CACHE_CONTROL, "private, no-store"))
        // Proxies that collect answers would hold every event back.
        .insert_header((HeaderName::from_static("x-accel-buffering"), "no"))
        .streaming(stream::unfold(follower, |mut follower| async move {
            let piece = follower.next().await?;
            Some((Ok::<_, Error>(piece), follower))
        })))
}

fn last_event_id(request: &HttpRequest) -> Result<Option<u64>, Error> {
    let mut query = Query::parse(request.query_string())?;
    let by_query = query.integer("last_event_id", 0..=u64::MAX)?;
    query.finish()?;
    let Some(header) = request.headers().get(LAST_EVENT_ID) else { return Ok(by_query) };
    let position = header.to_str().ok().and_then(|text| digits(text.trim()));
    let wrong = || Error::parameter("Last-Event-ID", "a posição de um evento", "the position of an event");
    position.map(Some).ok_or_else(wrong)
}

/// One browser's stream.
struct Follower {
    gate: Rc<Gate>,
    caller: Authenticated,
    /// The last position passed on.
    passed: u64,
    feed: Option<Streaming<FollowNotificationsResponse>>,
    /// The next attempt to follow.
    reopen_at: Instant,
    looks: Interval,
    spoke: Instant,
    waiting: VecDeque<Bytes>,
    _place: Place,
}

impl Follower {
    async fn open(
        gate: Rc<Gate>,
        caller: Authenticated,
        after: Option<u64>,
        place: Place,
    ) -> Result<Self, Error> {
        let (mut feed, mut last) = follow(&gate, &caller, after).await?;
        if after.is_some_and(|after| after > last) {
            // Not a position of this feed: nothing could ever come after it.
            (feed, last) = follow(&gate, &caller, None).await?;
        }
        let mut looks = tokio::time::interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Ok(Self {
            gate,
            caller,
            passed: after.map_or(last, |after| after.min(last)),
            feed: Some(feed),
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
            let Some(feed) = &mut self.feed else {
                self.reopen().await?;
                continue;
            };
            tokio::select! {
                message = feed.message() => self.take(message),
                _ = self.looks.tick() => self.look()?,
            }
        }
    }

    /// Passes a notification on, or notes that the feed has to be followed anew.
    fn take(&mut self, message: Result<Option<FollowNotificationsResponse>, tonic::Status>) {
        match message {
            Ok(Some(FollowNotificationsResponse { item: Some(Item::Notification(notification)) })) => {
                if notification.seq > self.passed {
                    self.passed = notification.seq;
                    let json = serde_json::to_string(&Notification::of(&notification)).unwrap_or_default();
                    let event = format!("id: {}\nevent: notification\ndata: {json}\n\n", notification.seq);
                    self.waiting.push_back(Bytes::from(event));
                }
            }
            Ok(Some(FollowNotificationsResponse { item: Some(Item::Opened(_)) | None })) => {}
            Ok(None) => self.feed = None,
            Err(status) => {
                tracing::debug!(code = ?status.code(), "a feed ended");
                self.feed = None;
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

    /// Follows again from the last position, after a pause, for as long as it takes.
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
        match follow(&self.gate, &self.caller, Some(self.passed)).await {
            Ok((feed, _last)) => self.feed = Some(feed),
            Err(error) => tracing::debug!(%error, "a feed cannot be followed now"),
        }
        Some(())
    }
}

/// Follows the caller's feed; with it comes the feed's last position.
async fn follow(
    gate: &Gate,
    caller: &Authenticated,
    after: Option<u64>,
) -> Result<(Streaming<FollowNotificationsResponse>, u64), Error> {
    let assertion = caller.assertion(gate, "notifications");
    let message = FollowNotificationsRequest { after_seq: after };
    let until = Duration::from_secs(fastrand::u64(FOLLOW_S));
    let request = bootstrap::grpc::request(message, until, assertion.as_deref());
    let mut feeds = gate.upstream().feeds.clone();
    let opening = async {
        let mut feed = feeds.follow_notifications(request).await?.into_inner();
        let first = feed.message().await?;
        Ok::<_, tonic::Status>((feed, first))
    };
    let opened = tokio::time::timeout(OPEN_DEADLINE, opening).await.map_err(|_elapsed| Error::Timeout)?;
    let (feed, first) = opened.map_err(|status| Error::from_status(&status, Call::Read))?;
    match first.and_then(|first| first.item) {
        Some(Item::Opened(opened)) => Ok((feed, opened.last_seq)),
        Some(Item::Notification(_)) | None => {
            tracing::error!("a feed did not begin with its position");
            Err(Error::Internal)
        }
    }
}
