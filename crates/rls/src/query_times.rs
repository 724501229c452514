//! How long each named statement takes, for `/metrics`.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use latency::Histogram;

/// Upper edges of the buckets shown, in microseconds: a statement is fast below a millisecond and late
/// beyond a hundred.
const EDGES_US: [u64; 14] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    2_000_000,
];

/// The times of every statement, by name. Names are literals in the code, hence few.
#[derive(Debug, Default)]
pub(crate) struct Queries {
    by_name: ArcSwap<HashMap<&'static str, Arc<Histogram>>>,
}

impl Queries {
    /// The times of the statement `name`: one load and one look-up once it is known.
    pub(crate) fn of(&self, name: &'static str) -> Arc<Histogram> {
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
        self.by_name.load().values().map(|times| times.snapshot().count()).sum()
    }

    /// Appends `database_query_duration_seconds{query}` in the Prometheus text format.
    pub(crate) fn prometheus(&self, out: &mut String) {
        const NAME: &str = "database_query_duration_seconds";
        latency::prometheus::header(out, NAME, "histogram", "Duration of each named SQL statement");
        let known = self.by_name.load();
        let mut sorted: Vec<_> = known.iter().collect();
        sorted.sort_by_key(|(name, _)| **name);
        for (query, times) in sorted {
            let sketch = times.snapshot();
            for edge_us in EDGES_US {
                let le = Duration::from_micros(edge_us).as_secs_f64();
                let below = sketch.count_up_to(edge_us * 1_000);
                let _ = writeln!(out, "{NAME}_bucket{{query=\"{query}\",le=\"{le}\"}} {below}");
            }
            let count = sketch.count();
            let seconds = Duration::from_nanos(sketch.sum_ns).as_secs_f64();
            let _ = writeln!(out, "{NAME}_bucket{{query=\"{query}\",le=\"+Inf\"}} {count}");
            let _ = writeln!(out, "{NAME}_sum{{query=\"{query}\"}} {seconds}");
            let _ = writeln!(out, "{NAME}_count{{query=\"{query}\"}} {count}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_counted_by_name_and_time() {
        let queries = Queries::default();
        queries.of("SELECT products").record(Duration::from_micros(200));
        queries.of("SELECT products").record(Duration::from_micros(300));
        queries.of("SELECT products").record(Duration::from_secs(60));
        queries.of("SELECT images").record(Duration::from_millis(1));
        let mut text = String::new();
        queries.prometheus(&mut text);
        for line in [
            r#"database_query_duration_seconds_bucket{query="SELECT products",le="0.00025"} 1"#,
            r#"database_query_duration_seconds_bucket{query="SELECT products",le="0.0005"} 2"#,
            r#"database_query_duration_seconds_bucket{query="SELECT products",le="2"} 2"#,
            r#"database_query_duration_seconds_bucket{query="SELECT products",le="+Inf"} 3"#,
            r#"database_query_duration_seconds_sum{query="SELECT products"} 60.0005"#,
            r#"database_query_duration_seconds_count{query="SELECT products"} 3"#,
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
        }
        assert_eq!(queries.total(), 4);
    }
}
