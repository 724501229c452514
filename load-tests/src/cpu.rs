//! CPU time of another process, as the kernel accounts it.

use std::{fs, time::Duration};

use anyhow::Context;

/// User and system time that the process has used since it started, to 10 ms (one kernel tick).
pub(crate) fn cpu_time(pid: u32) -> anyhow::Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).with_context(|| format!("process {pid}"))?;
    // The second field is the command in parentheses and may hold spaces.
    let fields: Vec<_> = stat.rsplit(") ").next().context("an odd /proc stat line")?.split(' ').collect();
    let ticks = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
    Ok(Duration::from_millis(ticks * 10))
}
