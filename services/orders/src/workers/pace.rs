//! When workers look again.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

/// Waits between half of `every` and all of it, so that processes that started together do not look together.
/// Answers whether there is reason to go on.
pub(crate) async fn pause(every: Duration, stop: &CancellationToken) -> bool {
    tokio::select! {
        () = stop.cancelled() => false,
        () = tokio::time::sleep(every.mul_f64(0.5 + fastrand::f64() / 2.0)) => true,
    }
}
