//! What every change has to survive: fixed seeds on one system, one after the other.

use anyhow::Result;

use super::run::{Options, phase};
use crate::report;
use crate::session::Session;

/// Of each: what goes wrong, and for how many seconds people shop meanwhile.
const PHASES: [(&str, u64); 4] = [
    // Nothing: what fails here is no fault's fault.
    ("none", 10),
    (
        "1s kill orders 0s; 3s provider lossy 12s; 4s kill gateway-0 1s; 6s kill nats 2s; 9s kill orders 1s; \
      11s kill redis 1s; 13s arm orders pay.after_call_before_T2=abort*1 2s; 16s kill provider 500ms",
        20,
    ),
    (
        "1s cut orders>catalog 2s; 3s hold-answers orders>provider 3s; 7s latency orders>postgres 100ms 40ms 3s; \
      11s reset orders>postgres 1 500ms; 13s stop notifications 2s; 15s kill invalidator 1s",
        20,
    ),
    ("1s storm 7 5s; 8s kill postgres 500ms; 13s provider failing 4s; 14s swallow gateway>orders 2s", 20),
];
const USERS: usize = 16;

/// Answers the number of violations.
pub(crate) async fn run() -> Result<usize> {
    let session = Session::start("smoke").await?;
    let mut violations = 0;
    for (index, (plan, secs)) in PHASES.into_iter().enumerate() {
        let seed = index as u64 + 1;
        let options = Options { seed, plan: Some(plan.to_owned()), secs, users: USERS };
        violations += phase(&session, &options, &options.plan()?).await?;
        if violations > 0 {
            report::say(&format!("phase {} of {} is where it went wrong", index + 1, PHASES.len()));
            break;
        }
    }
    Ok(violations)
}
