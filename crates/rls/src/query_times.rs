//! How long each named statement takes, for `/metrics`.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;

/// Upper bounds of the buckets, in microseconds: round figures around the 500 ms budget.
const BOUNDS_US: [u64; 14] = [
    250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000,
];

/// Durations of one named statement. Recording is two relaxed additions.
#[derive(Debug, Default)]
pub(crate) struct QueryTimes {
    /// One count per bound, and one for what is slower.
    counts: [AtomicU64; BOUNDS_US.len() + 1],
    sum_us: AtomicU64,
}

impl QueryTimes {
    pub(crate) fn record(&self, took: Duration) {
        let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = BOUNDS_US.partition_point(|bound| *bound < took_us);
        self.counts[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum_us.fetch_add(took_us, Ordering::Relaxed);
    }
}

/// The times of every statement, by name. Names are literals in the code, hence few.
#[derive(Debug, Default)]
pub(crate) struct Queries {
    by_name: ArcSwap<HashMap<&'static str, Arc<QueryTimes>>>,
}

impl Queries {
    /// The times of the statement `name`: one load and one look-up once it is known.
    pub(crate) fn of(&self, name: &'static str) -> Arc<QueryTimes> {
        if let Some(times) = self.by_name.load().get(name) {
            return Arc::clone(times);
        }
        self.by_name.rcu(|known| {
            let mut grown = HashMap::clone(known);
            grown.entry(name).or_default();
            grown
        });
        Arc::clone(&self.by_name.load()[name])
    }

    /// Statements run so far.
    pub(crate) fn total(&self) -> u64 {
        let known = self.by_name.load();
        known.values().flat_map(|times| &times.counts).map(|count| count.load(Ordering::Relaxed)).sum()
    }

    /// Appends `database_query_duration_seconds{query}` in the Prometheus text format.
    pub(crate) fn prometheus(&self, out: &mut String) {
        const NAME: &str = "database_query_duration_seconds";
        let known = self.by_name.load();
        let mut sorted: Vec<_> = known.iter().collect();
        sorted.sort_by_key(|(name, _)| **name);
        let _ = writeln!(out, "# HELP {NAME} Duration of each named SQL statement.");
        let _ = writeln!(out, "# TYPE {NAME} histogram");
        for (query, times) in sorted {
            let mut sum = 0;
            for (bound, count) in BOUNDS_US.iter().zip(&times.counts) {
                sum += count.load(Ordering::Relaxed);
                let le = Duration::from_micros(*bound).as_secs_f64();
                let _ = writeln!(out, "{NAME}_bucket{{query=\"{query}\",le=\"{le}\"}} {sum}");
            }
            sum += times.counts[BOUNDS_US.len()].load(Ordering::Relaxed);
            let seconds = Duration::from_micros(times.sum_us.load(Ordering::Relaxed)).as_secs_f64();
            let _ = writeln!(out, "{NAME}_bucket{{query=\"{query}\",le=\"+Inf\"}} {sum}");
            let _ = writeln!(out, "{NAME}_sum{{query=\"{query}\"}} {seconds}");
            let _ = writeln!(out, "{NAME}_count{{query=\"{query}\"}} {sum}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_cumulative_and_inclusive() {
        let queries = Queries::default();
        queries.of("SELECT products").record(Duration::from_micros(250));
        queries.of("SELECT products").record(Duration::from_micros(251));
        queries.of("SELECT products").record(Duration::from_secs(60));
        let mut text = String::new();
        queries.prometheus(&mut text);
        for line in [
            r#"database_query_duration_seconds_bucket{query="SELECT products",le="0.00025"} 1"#,
            r#"database_query_duration_seconds_bucket{query="SELECT products",le="0.0005"} 2"#,
            r#"database_query_duration_seconds_bucket{query="SELECT products",le="5"} 2"#,
            r#"database_query_duration_seconds_bucket{query="SELECT products",le="+Inf"} 3"#,
            r#"database_query_duration_seconds_sum{query="SELECT products"} 60.000501"#,
            r#"database_query_duration_seconds_count{query="SELECT products"} 3"#,
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
        }
        assert_eq!(queries.total(), 3);
    }
}
