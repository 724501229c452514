//! CPU time and memory of this process, from `/proc`.
//!
//! Where there is no `/proc`, the values are 0 and the aggregator says nothing about the process.

use std::time::{Duration, Instant};

use proto::metrics::v1::ProcessState;

/// Kernel ticks per second in `/proc/self/stat`: 100 on every Linux that Rust's standard library knows.
const TICKS_PER_S: u64 = 100;

/// Opened and most connections of the process's database pool.
pub(crate) type Connections = dyn Fn() -> (u32, u32) + Send + Sync;

/// Measures the process from one slot to the next.
pub(crate) struct ProcessClock {
    connections: Box<Connections>,
    cpus: u32,
    memory_total_bytes: u64,
    slot_began: Instant,
    cpu_at_begin: Duration,
}

impl ProcessClock {
    pub(crate) fn new(connections: Box<Connections>) -> ProcessClock {
        ProcessClock {
            connections,
            cpus: std::thread::available_parallelism()
                .map_or(1, |cpus| u32::try_from(cpus.get()).unwrap_or(1)),
            memory_total_bytes: memory_total_bytes(),
            slot_began: Instant::now(),
            cpu_at_begin: cpu_time(),
        }
    }

    /// The process since the slot began.
    pub(crate) fn state(&self) -> ProcessState {
        let (active, max) = (self.connections)();
        ProcessState {
            cpu_us: micros(cpu_time().saturating_sub(self.cpu_at_begin)),
            wall_us: micros(self.slot_began.elapsed()),
            cpus: self.cpus,
            rss_bytes: rss_bytes(),
            memory_total_bytes: self.memory_total_bytes,
            database_connections_active: active,
            database_connections_max: max,
        }
    }

    /// Begins the next slot.
    pub(crate) fn begin_slot(&mut self) {
        self.slot_began = Instant::now();
        self.cpu_at_begin = cpu_time();
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// CPU time of all threads since the start, user and system.
fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The second field is the program's name in parentheses, which may itself hold spaces and parentheses.
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks =
        after_name.split_ascii_whitespace().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok());
    Duration::from_millis(ticks.sum::<u64>() * 1_000 / TICKS_PER_S)
}

fn rss_bytes() -> u64 {
    kibibytes_of("/proc/self/status", "VmRSS:") * 1_024
}

/// Memory of the machine, or of the control group when that is less.
fn memory_total_bytes() -> u64 {
    let machine = kibibytes_of("/proc/meminfo", "MemTotal:") * 1_024;
    let group = std::fs::read_to_string("/sys/fs/cgroup/memory.max").unwrap_or_default();
    // The file says `max` when there is no limit.
    group.trim().parse::<u64>().map_or(machine, |limit| limit.min(machine))
}

fn kibibytes_of(file: &str, field: &str) -> u64 {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(field)).unwrap_or_default();
    line.split_ascii_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sees_itself_work() {
        let mut clock = ProcessClock::new(Box::new(|| (3, 8)));
        let memory = vec![1_u8; 32 << 20];
        let mut sum = 0_u64;
        while clock.state().cpu_us < 30_000 && clock.slot_began.elapsed() < Duration::from_secs(10) {
            sum = memory.iter().fold(sum, |sum, byte| sum.wrapping_add(u64::from(*byte)));
        }
        let state = clock.state();
        assert!(state.cpu_us >= 30_000, "{state:?}, {sum}");
        assert!(state.wall_us > 0 && state.cpus > 0, "{state:?}");
        assert!(state.rss_bytes >= 32 << 20 && state.rss_bytes < state.memory_total_bytes, "{state:?}");
        assert_eq!((state.database_connections_active, state.database_connections_max), (3, 8));

        clock.begin_slot();
        assert!(clock.state().cpu_us < state.cpu_us);
    }
}
