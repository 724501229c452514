//! One follower: waits for the feed to grow, reads what is new, sends it.

use std::pin::Pin;
use std::time::Duration;

use futures_util::{Stream, StreamExt as _};
use proto::notifications::v1::follow_notifications_response::Item;
use proto::notifications::v1::{FollowNotificationsResponse, Opened};
use rls::{Caller, Class};
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::Seat;
use crate::error::Error;
use crate::grpc;
use crate::store::notifications::{self, Notification};
use crate::wire;

/// What a follower may be behind before sending waits for it.
const WAITING_MAX: usize = 32;
/// How long a follower may let sending wait before it is cut.
const SLOW_READER: Duration = Duration::from_secs(5);
/// Notifications read at a time.
const PAGE: i64 = 100;
const READ_DEADLINE: Duration = Duration::from_secs(2);
/// Pauses while the database does not answer.
const PAUSE_MIN: Duration = Duration::from_millis(200);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// The stream of one follower, as the transport sends it.
pub(crate) type Following =
    Pin<Box<dyn Stream<Item = Result<FollowNotificationsResponse, Status>> + Send + 'static>>;

/// Why a stream ended.
enum End {
    /// Nobody reads any more.
    Left,
    Draining,
    TooSlow,
}

pub(super) fn start(seat: Seat, caller: Caller, after: u64, last_seq: u64) -> Following {
    let (items, received) = mpsc::channel(WAITING_MAX);
    let (ended, end) = oneshot::channel();
    let streams = seat.followers.inner.streams.clone();
    streams.spawn(async move {
        let follower = Follower { seat, caller, last: after, items };
        let status = match follower.run(last_seq).await {
            End::Left => return,
            End::Draining => grpc::status(Error::Draining, caller),
            End::TooSlow => grpc::slow_reader(),
        };
        // Whoever has left does not mind.
        let _left = ended.send(status);
    });
    let last_word = futures_util::stream::once(end).filter_map(|end| async { end.ok().map(Err) });
    Box::pin(ReceiverStream::new(received).map(Ok).chain(last_word))
}

struct Follower {
    seat: Seat,
    caller: Caller,
    /// Everything up to here is sent, or was not asked for.
    last: u64,
    items: mpsc::Sender<FollowNotificationsResponse>,
}

impl Follower {
    async fn run(mut self, last_seq: u64) -> End {
        match self.serve(last_seq).await {
            Ok(never) => match never {},
            Err(end) => end,
        }
    }

    async fn serve(&mut self, last_seq: u64) -> Result<std::convert::Infallible, End> {
        self.send(Item::Opened(Opened { last_seq })).await?;
        loop {
            let head = self.grown().await?;
            // Asked after the head was known: whatever is up to there is committed, hence seen.
            let rows = self.read().await?;
            let all = i64::try_from(rows.len()).is_ok_and(|count| count < PAGE);
            for row in rows {
                let seq = row.seq.unsigned_abs();
                self.send(Item::Notification(wire::notification(row))).await?;
                self.last = seq;
            }
            if all {
                // What is missing up to the head was deleted.
                self.last = self.last.max(head);
            }
        }
    }

    /// Waits until the feed is further than what was sent.
    async fn grown(&mut self) -> Result<u64, End> {
        let last = self.last;
        let Seat { followers, head, .. } = &mut self.seat;
        tokio::select! {
            biased;
            () = followers.inner.draining.cancelled() => Err(End::Draining),
            () = self.items.closed() => Err(End::Left),
            grown = head.wait_for(|head| *head > last) => {
                Ok(*grown.expect("the feed is followed as long as the seat is there"))
            }
        }
    }

    /// The next page, under the follower's own identity; waits for a database that is away.
    async fn read(&self) -> Result<Vec<Notification>, End> {
        let inner = &self.seat.followers.inner;
        let (user_id, last) = (self.seat.user_id, i64::try_from(self.last).unwrap_or(i64::MAX));
        let mut pause = PAUSE_MIN;
        loop {
            let page = async {
                let _turn = inner.reads.acquire().await.expect("the semaphore is never closed");
                inner
                    .db
                    .run(&self.caller, Class::Read, READ_DEADLINE, move |tx| {
                        Box::pin(async move {
                            Ok::<_, Error>(notifications::after(tx, user_id, last, PAGE).await?)
                        })
                    })
                    .await
            };
            let wait = async {
                match page.await {
                    Ok(committed) => Some(committed.value),
                    Err(error) => {
                        tracing::warn!(%error, "a follower waits for the database");
                        tokio::time::sleep(pause.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
                        None
                    }
                }
            };
            tokio::select! {
                biased;
                () = inner.draining.cancelled() => return Err(End::Draining),
                () = self.items.closed() => return Err(End::Left),
                read = wait => match read {
                    Some(rows) => return Ok(rows),
                    None => pause = (pause * 2).min(PAUSE_MAX),
                },
            }
        }
    }

    async fn send(&self, item: Item) -> Result<(), End> {
        let item = FollowNotificationsResponse { item: Some(item) };
        self.items.send_timeout(item, SLOW_READER).await.map_err(|refused| match refused {
            mpsc::error::SendTimeoutError::Timeout(_) => End::TooSlow,
            mpsc::error::SendTimeoutError::Closed(_) => End::Left,
        })
    }
}
