//! Tells gateways about revocations at once; those who miss it find it when they next ask.

use std::sync::Arc;
use std::time::Duration;

use prost::Message as _;
use proto::accounts::v1::Revocation;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// The core NATS subject; nothing on it is stored.
pub(crate) const SUBJECT: &str = "accounts.revoked";
/// Revocations waiting to be published; beyond that they are left to those who ask.
const WAITING_MAX: usize = 4096;
/// How long one may wait for a connection that is going away.
const PUBLISH_DEADLINE: Duration = Duration::from_secs(1);

/// Hands revocations over for publication. Cheap to clone; never waits.
#[derive(Clone, Debug)]
pub(crate) struct Announcer {
    queue: mpsc::Sender<Revocation>,
}

/// The other end of the queue.
#[derive(Debug)]
pub(crate) struct Announcements {
    queue: mpsc::Receiver<Revocation>,
    nats: Arc<async_nats::Client>,
}

/// An announcer and what publishes for it.
pub(crate) fn announcer(nats: async_nats::Client) -> (Announcer, Announcements) {
    let (sender, receiver) = mpsc::channel(WAITING_MAX);
    (Announcer { queue: sender }, Announcements { queue: receiver, nats: Arc::new(nats) })
}

impl Announcer {
    /// Publishes these soon. Call it after the commit.
    pub(crate) fn announce(&self, revocations: &[Revocation]) {
        for revocation in revocations {
            if self.queue.try_send(revocation.clone()).is_err() {
                tracing::debug!("a revocation is left to those who ask for it");
            }
        }
    }
}

impl Announcements {
    /// Publishes until `stop`, and then what is still waiting.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                revocation = self.queue.recv() => match revocation {
                    Some(revocation) => self.publish(&revocation).await,
                    None => return,
                },
            }
        }
        let rest = async {
            while let Ok(revocation) = self.queue.try_recv() {
                self.publish(&revocation).await;
            }
            // What the client has buffered is sent before the process goes, if there is a server.
            self.nats.flush().await
        };
        if tokio::time::timeout(PUBLISH_DEADLINE, rest).await.is_err() {
            tracing::debug!("NATS did not take the last revocations in time");
        }
    }

    #[expect(clippy::disallowed_methods, reason = "a hint that is never stored; the list is in the database")]
    async fn publish(&self, revocation: &Revocation) {
        let published = self.nats.publish(SUBJECT, revocation.encode_to_vec().into());
        match tokio::time::timeout(PUBLISH_DEADLINE, published).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "a revocation was not published"),
            Err(_late) => tracing::debug!("a revocation was not published in time"),
        }
    }
}
