//! What people read: what was done, how it went, what must not be.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result};

use crate::history::{History, Logs, Outcome};
use crate::invariants::Violation;

/// More of one kind tell nothing new.
const SHOWN_PER_INVARIANT: usize = 8;

/// One line for whoever started this.
#[expect(clippy::print_stdout, reason = "this program's answer")]
pub(crate) fn say(line: &str) {
    println!("{line}");
}

/// Counts, latencies and violations; everything else goes to files beside the logs.
pub(crate) fn verdict(
    history: &History,
    violations: &[Violation],
    replay: &str,
    folder: &Path,
) -> Result<()> {
    let logs = history.lock().clone();
    std::fs::write(folder.join("history.txt"), history_text(&logs)).context("cannot write the history")?;
    say(&timeline(&logs));
    say(&summary(&logs));
    if violations.is_empty() {
        say("no violations");
        return Ok(());
    }
    let mut by_invariant: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for violation in violations {
        by_invariant.entry(&violation.invariant).or_default().push(&violation.what);
    }
    say(&format!("VIOLATIONS: {}", violations.len()));
    for (invariant, all) in by_invariant {
        say(&format!("  {invariant}: {}", all.len()));
        for what in all.iter().take(SHOWN_PER_INVARIANT) {
            say(&format!("    {what}"));
        }
    }
    say(&format!("logs and history: {}", folder.display()));
    say(&format!("again: {replay}"));
    Ok(())
}

fn timeline(logs: &Logs) -> String {
    let mut lines = String::from("timeline:");
    for (at, what) in &logs.timeline {
        let _ = write!(lines, "\n  {at:7.2} s  {what}");
    }
    lines
}

/// Of each kind of operation: how many, how they ended, how long they took.
pub(crate) fn summary(logs: &Logs) -> String {
    let mut kinds: BTreeMap<&str, Vec<_>> = BTreeMap::new();
    for operation in &logs.operations {
        kinds.entry(operation.kind).or_default().push(operation);
    }
    let mut lines = format!("{} operations", logs.operations.len());
    for (kind, operations) in kinds {
        let count = |outcome| operations.iter().filter(|operation| operation.outcome == outcome).count();
        let mut times: Vec<f64> =
            operations.iter().map(|operation| (operation.ended - operation.begun) * 1_000.0).collect();
        times.sort_by(f64::total_cmp);
        let quantile = |share: usize| times[(times.len() - 1) * share / 100];
        let mut refusals: BTreeMap<(u16, &str), usize> = BTreeMap::new();
        for operation in operations.iter().filter(|operation| operation.outcome != Outcome::Ok) {
            *refusals.entry((operation.status, &operation.code)).or_default() += 1;
        }
        let refusals: Vec<String> =
            refusals.into_iter().map(|((status, code), count)| format!("{count}x{status} {code}")).collect();
        let _ = write!(
            lines,
            "\n  {kind:<16} {:>6}  ok {:>6}  fail {:>5}  unknown {:>5}   p50 {:>6.0}  p95 {:>6.0}  max {:>6.0} ms  {}",
            operations.len(),
            count(Outcome::Ok),
            count(Outcome::Fail),
            count(Outcome::Unknown),
            quantile(50),
            quantile(95),
            quantile(100),
            refusals.join(", ")
        );
    }
    lines
}

fn history_text(logs: &Logs) -> String {
    let mut text = String::new();
    for operation in &logs.operations {
        let _ = writeln!(
            text,
            "{:9.3} {:9.3} {:<16} {:<8} {:>3} {:<28} order={} key={} sha={}",
            operation.begun,
            operation.ended,
            operation.kind,
            operation.outcome.name(),
            operation.status,
            operation.code,
            operation.order.unwrap_or_default(),
            operation.key.as_deref().unwrap_or("-"),
            operation.body_sha256.as_deref().map_or("-", |sha| &sha[..16]),
        );
    }
    text
}
