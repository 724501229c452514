//! One direction of one connection.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use super::Network;
use super::toxics::{Early, Flow, Schedule, Toxics};

const CHUNK_BYTES: usize = 64 * 1024;
/// What may be under way in one direction before the sender feels it.
const CHUNKS_UNDER_WAY: usize = 256;

/// Passes bytes on, each piece when its time has come and the network is open.
///
/// Answers when the sender has closed or one of both is gone; the other direction notices at its next read or
/// write.
pub(super) async fn pump(
    from: ReadHalf<'_>,
    to: WriteHalf<'_>,
    network: watch::Receiver<Network>,
    toxics: watch::Receiver<Toxics>,
    seed: u64,
) -> Result<(), Early> {
    let (queue, due) = mpsc::channel(CHUNKS_UNDER_WAY);
    tokio::try_join!(read(from, queue, toxics.clone(), seed), write(due, to, network, toxics))?;
    Ok(())
}

/// A piece, or the end: what has arrived when it ends early.
enum Due {
    Piece(Instant, Vec<u8>),
    End(Early),
}

async fn read(
    mut from: ReadHalf<'_>,
    queue: mpsc::Sender<Due>,
    mut toxics: watch::Receiver<Toxics>,
    seed: u64,
) -> Result<(), Early> {
    let mut schedule = Schedule::new(seed);
    let mut buffer = vec![0; CHUNK_BYTES];
    let mut passed = 0_u64;
    let mut has_lost = false;
    loop {
        let read = tokio::select! {
            biased;
            changed = toxics.changed() => {
                if changed.is_err() {
                    return Ok(());
                }
                passed = 0;
                if has_lost && toxics.borrow_and_update().flow != Flow::Swallowed {
                    return Err(Early::Reset);
                }
                continue;
            }
            read = from.read(&mut buffer) => read,
        };
        // A closed or broken sender ends the direction.
        let Ok(length @ 1..) = read else { return Ok(()) };
        let bad = toxics.borrow().clone();
        let (keep, end) = match bad.flow {
            Flow::Swallowed => {
                has_lost = true;
                continue;
            }
            Flow::ResetAfter(mark) => up_to(mark, passed, length, Early::Reset),
            Flow::ClosedAfter(mark) => up_to(mark, passed, length, Early::Closed),
            Flow::Open | Flow::Held | Flow::HalfOpen => (length, None),
        };
        passed += length as u64;
        for piece in buffer[..keep].chunks(bad.slice_bytes.unwrap_or(CHUNK_BYTES).max(1)) {
            let at = schedule.arrival(&bad, piece.len());
            if queue.send(Due::Piece(at, piece.to_vec())).await.is_err() {
                return Ok(());
            }
        }
        if let Some(early) = end {
            // In its turn, after what was still to arrive. A writer that is gone has ended already.
            let _ = queue.send(Due::End(early)).await;
            return Ok(());
        }
    }
}

/// How many of `length` bytes arrive, and whether the connection ends then.
fn up_to(mark: u64, passed: u64, length: usize, early: Early) -> (usize, Option<Early>) {
    let left = usize::try_from(mark.saturating_sub(passed)).unwrap_or(usize::MAX);
    if length >= left { (left, Some(early)) } else { (length, None) }
}

async fn write(
    mut due: mpsc::Receiver<Due>,
    mut to: WriteHalf<'_>,
    mut network: watch::Receiver<Network>,
    mut toxics: watch::Receiver<Toxics>,
) -> Result<(), Early> {
    while let Some(next) = due.recv().await {
        let (at, piece) = match next {
            Due::Piece(at, piece) => (at, piece),
            Due::End(early) => return Err(early),
        };
        sleep_until(at).await;
        // The proxy is gone when nobody can say any more that the network is open.
        if network.wait_for(|network| *network == Network::Open).await.is_err() {
            return Ok(());
        }
        if toxics.wait_for(|toxics| toxics.flow != Flow::Held).await.is_err() {
            return Ok(());
        }
        if to.write_all(&piece).await.is_err() {
            return Ok(());
        }
    }
    if toxics.wait_for(|toxics| toxics.flow != Flow::HalfOpen).await.is_ok() {
        // A receiver that is gone needs no goodbye.
        let _ = to.shutdown().await;
    }
    Ok(())
}
