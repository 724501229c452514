//! An order's timeline after an entry, then each new entry, until the caller's time is over.

use std::pin::Pin;
use std::time::Duration;

use futures_util::Stream;
use proto::orders::v1::{TimelineEntry, WatchOrderRequest};
use rls::{Caller, Class};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use crate::domain::{Invalid, OrderId};
use crate::error::{Error, Missing};
use crate::grpc;
use crate::handlers::{Call, Shared};
use crate::store::orders;
use crate::timelines::Seat;
use crate::wire;

/// What a watcher may be behind before sending waits for it.
const WAITING_MAX: usize = 16;
/// How long a watcher may let sending wait before it is cut.
const SLOW_READER: Duration = Duration::from_secs(5);
const READ_DEADLINE: Duration = Duration::from_secs(2);
const HISTORY_MAX: i64 = 200;

/// The stream of one watcher, as the transport sends it.
pub(crate) type Watching = Pin<Box<dyn Stream<Item = Result<TimelineEntry, Status>> + Send + 'static>>;

pub(crate) async fn watch_order(call: &Call, request: WatchOrderRequest) -> Result<Watching, Error> {
    let buyer = call.buyer()?;
    let caller = buyer.caller();
    let id = OrderId::parse("order_id", request.order_id)?;
    let after = i32::try_from(request.after_seq)
        .ok()
        .filter(|seq| *seq >= 0)
        .ok_or_else(|| Invalid::value("after_seq", "must be an entry's number, or 0"))?;
    call.require_own(id).await?;
    // Before the first look: what happens from here on wakes the stream.
    let seat = call.shared.timelines.join(id, buyer.who)?;
    let (entries, received) = mpsc::channel(WAITING_MAX);
    let watcher = Watcher { shared: call.shared.clone(), caller, id, after, entries };
    let until = Instant::now() + call.within;
    call.shared.timelines.streams().spawn(async move {
        // Whoever's time is over is told so by the transport.
        let _over = tokio::time::timeout_at(until, watcher.serve(seat)).await;
    });
    Ok(Box::pin(ReceiverStream::new(received)))
}

struct Watcher {
    shared: Shared,
    caller: Caller,
    id: OrderId,
    /// The last entry that was sent, or that was not asked for.
    after: i32,
    entries: mpsc::Sender<Result<TimelineEntry, Status>>,
}

impl Watcher {
    /// Sends entries until nobody reads, or the process drains.
    async fn serve(mut self, mut seat: Seat) {
        loop {
            match self.read().await {
                Ok(Some(rows)) => {
                    for row in rows {
                        self.after = row.seq;
                        if self.entries.send_timeout(Ok(wire::order::entry(row)), SLOW_READER).await.is_err()
                        {
                            return;
                        }
                    }
                }
                // The order is not the caller's any more: an account was erased.
                Ok(None) => return self.end(Error::NotFound(Missing::Order)),
                Err(error) => return self.end(error),
            }
            let goes_on = tokio::select! {
                goes_on = seat.changed() => goes_on,
                () = self.entries.closed() => return,
            };
            if !goes_on {
                return self.end(Error::Draining);
            }
        }
    }

    /// The next entries, with the watcher's own eyes; `None` when it may not see the order any more.
    async fn read(&self) -> Result<Option<Vec<orders::EntryRow>>, Error> {
        let (id, after) = (self.id, self.after);
        let read = self.shared.db.run(&self.caller, Class::Read, READ_DEADLINE, move |tx| {
            Box::pin(async move {
                let rows = orders::history(tx, id, after, HISTORY_MAX).await?;
                if rows.is_empty() && orders::last_entry(tx, id).await?.is_none() {
                    return Ok(None);
                }
                Ok::<_, Error>(Some(rows))
            })
        });
        Ok(read.await?.value)
    }

    /// The last word, if there is room for it.
    fn end(self, error: Error) {
        let _left = self.entries.try_send(Err(grpc::status(error, self.caller)));
    }
}
