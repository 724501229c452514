//! The end of a supervised service whose supervisor is gone.
//!
//! The supervisor holds the other end of our standard input and never writes to it. The system closes it with
//! the supervisor, even when that was killed, and so nothing is left running.

use std::io::Read;
use std::time::Duration;

use anyhow::Context as _;
use bootstrap::Shutdown;
use tokio::sync::oneshot;

/// Set by the supervisor for the services it starts.
pub(crate) const SUPERVISED: &str = "MESTRES_SUPERVISED";

/// Nobody waits for our answers once the supervisor is gone; its data plane goes too.
const DRAIN_WITHIN: Duration = Duration::from_secs(1);
const DROP_WITHIN: Duration = Duration::from_secs(1);

/// Drains when `input` ends, drops what is left a second later, and ends the process after another.
pub(super) fn follow(input: impl Read + Send + 'static, shutdown: Shutdown) -> anyhow::Result<()> {
    let ended = end_of(input)?;
    tokio::spawn(async move {
        // Without an answer the reading thread is gone, which means the same.
        let _how = ended.await;
        shutdown.drain.cancel();
        tokio::time::sleep(DRAIN_WITHIN).await;
        shutdown.hard.cancel();
        tokio::time::sleep(DROP_WITHIN).await;
        std::process::exit(1);
    });
    Ok(())
}

/// A thread of its own: a blocking read on the runtime would keep the runtime from ending.
fn end_of(mut input: impl Read + Send + 'static) -> anyhow::Result<oneshot::Receiver<()>> {
    let (sender, receiver) = oneshot::channel();
    let wait_for_the_end = move || {
        let _read_or_failed = std::io::copy(&mut input, &mut std::io::sink());
        let _nobody_waits = sender.send(());
    };
    std::thread::Builder::new().name("lifeline".to_owned()).spawn(wait_for_the_end).context("no thread")?;
    Ok(receiver)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_service_drains_when_the_supervisor_lets_go_and_not_before() {
        let (ours, supervisors) = std::io::pipe().unwrap();
        let shutdown = Shutdown::manual();
        let mut ended = end_of(ours).unwrap();
        assert!(ended.try_recv().is_err());
        assert!(!shutdown.drain.is_cancelled());

        drop(supervisors);

        tokio::time::timeout(Duration::from_secs(5), ended).await.expect("within 5 s").unwrap();
    }
}
