//! The same counters as Prometheus text.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt::Write,
    time::{Duration, Instant},
};

use crate::{
    grpc,
    recorder::{OTHER, Recorder},
    series::CacheState,
    sketch::Sketch,
};

/// Upper edges of the classic histograms, in nanoseconds and as a label. Cut at the thresholds that the service levels
/// name. A request within 0.4 % of an edge may be counted on either side of it.
const EDGES: [(u64, &str); 14] = [
    (5_000_000, "0.005"),
    (10_000_000, "0.01"),
    (25_000_000, "0.025"),
    (50_000_000, "0.05"),
    (100_000_000, "0.1"),
    (150_000_000, "0.15"),
    (200_000_000, "0.2"),
    (300_000_000, "0.3"),
    (500_000_000, "0.5"),
    (800_000_000, "0.8"),
    (1_000_000_000, "1"),
    (2_000_000_000, "2"),
    (3_000_000_000, "3"),
    (5_000_000_000, "5"),
];

/// Time that `cache_hit_rate` looks back.
const HIT_RATE_WINDOW: Duration = Duration::from_secs(300);

/// Readings that `cache_hit_rate` keeps are at least this far apart, whoever asks and how often.
const HIT_RATE_STEP: Duration = Duration::from_secs(5);

/// Appends what a recorder has counted.
///
/// These are `http_requests_total` (S235) with the exact HTTP code, `http_request_duration_seconds` (S236),
/// `cache_hit_rate` (S238), `cache_requests_total` by cache state, and `http_server_request_duration_seconds` under the
/// labels of the OpenTelemetry conventions. For a recorder of gRPC calls it leaves out the cache, which there is none
/// of.
pub fn prometheus(recorder: &Recorder, out: &mut String) {
    let series = recorder.series();
    let mut codes = BTreeMap::<(&str, &str, u16), u64>::new();
    let mut endpoints = BTreeMap::<(&str, &str), Sketch>::new();
    let mut classes = BTreeMap::<(&str, &str, &str), Sketch>::new();
    let mut states = CacheState::ALL.map(|state| (state, 0_u64));
    for (id, sketch) in &series {
        let endpoint = recorder.endpoint_of(*id);
        for (code, n) in sketch.codes().iter() {
            *codes.entry((endpoint.method, endpoint.route, code)).or_default() += n;
        }
        endpoints.entry((endpoint.method, endpoint.route)).or_default().merge(sketch);
        classes.entry((endpoint.method, endpoint.route, id.class().as_str())).or_default().merge(sketch);
        states[id.cache() as usize].1 += sketch.count();
    }

    header(out, "http_requests_total", "counter", "Total HTTP requests");
    for ((method, route, code), n) in codes {
        line(
            out,
            "http_requests_total",
            &[("method", method), ("endpoint", route), ("status", &code.to_string())],
            n,
        );
    }
    header(out, "http_request_duration_seconds", "histogram", "HTTP request duration");
    for ((method, route), sketch) in endpoints {
        histogram(out, "http_request_duration_seconds", &[("method", method), ("endpoint", route)], &sketch);
    }
    header(out, "http_server_request_duration_seconds", "histogram", "Duration of HTTP server requests");
    for ((method, route, class), sketch) in classes {
        let labels = [("http_request_method", method), ("http_route", route), ("status_class", class)];
        histogram(out, "http_server_request_duration_seconds", &labels, &sketch);
    }
    if !recorder.endpoints().any(|(_, endpoint)| endpoint.method != OTHER && endpoint.method != grpc::METHOD)
    {
        return;
    }
    header(out, "cache_requests_total", "counter", "Requests by what the cache did for them");
    for (state, n) in states {
        line(out, "cache_requests_total", &[("state", state.as_str())], n);
    }
    let requests = states.iter().map(|state| state.1).sum();
    let hits = states.iter().filter(|state| state.0.is_hit()).map(|state| state.1).sum();
    let rate = recorder.hit_rate().advance(Instant::now(), requests, hits);
    header(
        out,
        "cache_hit_rate",
        "gauge",
        "Share of requests served from cache in the last five minutes, 0 to 1",
    );
    line(out, "cache_hit_rate", &[], rate);
}

/// Appends `# HELP` and `# TYPE` of a metric.
pub fn header(out: &mut String, name: &str, kind: &str, help: &str) {
    // Writing to a `String` cannot fail, here and below.
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

/// Appends one sample.
pub fn line(out: &mut String, name: &str, labels: &[(&str, &str)], value: impl std::fmt::Display) {
    out.push_str(name);
    write_labels(out, labels, None);
    let _ = writeln!(out, " {value}");
}

/// Appends the buckets, sum and count of one histogram, in seconds.
pub fn histogram(out: &mut String, name: &str, labels: &[(&str, &str)], sketch: &Sketch) {
    let count = sketch.count();
    for (edge_ns, edge) in EDGES {
        let _ = write!(out, "{name}_bucket");
        write_labels(out, labels, Some(edge));
        let _ = writeln!(out, " {}", sketch.count_up_to(edge_ns));
    }
    let _ = write!(out, "{name}_bucket");
    write_labels(out, labels, Some("+Inf"));
    let _ = writeln!(out, " {count}");
    let _ = write!(out, "{name}_sum");
    write_labels(out, labels, None);
    let _ = writeln!(out, " {}", sketch.sum_ns as f64 / 1e9);
    let _ = write!(out, "{name}_count");
    write_labels(out, labels, None);
    let _ = writeln!(out, " {count}");
}

fn write_labels(out: &mut String, labels: &[(&str, &str)], edge: Option<&str>) {
    let labels = labels.iter().copied().chain(edge.map(|edge| ("le", edge)));
    let mut separator = '{';
    for (name, value) in labels {
        let _ = write!(out, "{separator}{name}=\"");
        for c in value.chars() {
            match c {
                '\\' => out.push_str("\\\\"),
                '"' => out.push_str("\\\""),
                '\n' => out.push_str("\\n"),
                c => out.push(c),
            }
        }
        out.push('"');
        separator = ',';
    }
    if separator == ',' {
        out.push('}');
    }
}

/// Requests and hits at earlier moments, to tell the rate of the last minutes from counters of all time.
#[derive(Debug)]
pub(crate) struct HitRate {
    readings: VecDeque<(Instant, u64, u64)>,
}

impl HitRate {
    pub(crate) fn starting(now: Instant) -> HitRate {
        HitRate { readings: VecDeque::from([(now, 0, 0)]) }
    }

    /// Takes the counters now; the rate since the newest reading that is five minutes old, or since the start. NaN
    /// without requests: no data is not a rate.
    fn advance(&mut self, now: Instant, requests: u64, hits: u64) -> f64 {
        while self.readings.get(1).is_some_and(|second| now.duration_since(second.0) >= HIT_RATE_WINDOW) {
            self.readings.pop_front();
        }
        let (_, requests_before, hits_before) = self.readings.front().copied().unwrap_or((now, 0, 0));
        if self.readings.back().is_none_or(|last| now.duration_since(last.0) >= HIT_RATE_STEP) {
            self.readings.push_back((now, requests, hits));
        }
        let requests = requests.saturating_sub(requests_before);
        let hits = hits.saturating_sub(hits_before);
        hits as f64 / requests as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::series::Endpoint;

    #[test]
    fn names_and_labels_of_the_requirements() {
        let threshold = Duration::from_millis(500);
        let recorder =
            Recorder::new(vec![Endpoint { route: "/api/v1/products/{id}", method: "GET", threshold }]);
        let endpoint = recorder.endpoint("GET", "/api/v1/products/{id}").expect("just given");
        recorder.record(endpoint, 200, CacheState::HitL1, 4_000_000);
        recorder.record(endpoint, 200, CacheState::Miss, 250_000_000);
        recorder.record(endpoint, 404, CacheState::Miss, 6_000_000);
        recorder.record(endpoint, 503, CacheState::Error, 7_000_000_000);
        let mut text = String::new();
        prometheus(&recorder, &mut text);

        fn check(text: &str, sample: &str) {
            assert!(text.lines().any(|line| line == sample), "{sample} is not in\n{text}");
        }
        let labels = r#"method="GET",endpoint="/api/v1/products/{id}""#;
        check(&text, &format!(r#"http_requests_total{{{labels},status="200"}} 2"#));
        check(&text, &format!(r#"http_requests_total{{{labels},status="404"}} 1"#));
        check(&text, &format!(r#"http_requests_total{{{labels},status="503"}} 1"#));
        for (edge, n) in [("0.005", 1), ("0.01", 2), ("0.2", 2), ("0.3", 3), ("5", 3), ("+Inf", 4)] {
            check(&text, &format!(r#"http_request_duration_seconds_bucket{{{labels},le="{edge}"}} {n}"#));
        }
        check(&text, &format!("http_request_duration_seconds_sum{{{labels}}} 7.26"));
        check(&text, &format!("http_request_duration_seconds_count{{{labels}}} 4"));
        check(&text, r#"cache_requests_total{state="miss"} 2"#);
        check(&text, "cache_hit_rate 0.25");
        check(&text, "# TYPE http_requests_total counter");
        check(&text, "# TYPE http_request_duration_seconds histogram");
    }

    #[test]
    fn label_values_are_escaped() {
        let mut text = String::new();
        line(&mut text, "x", &[("a", "\"\\\n")], 1);
        assert_eq!(text, "x{a=\"\\\"\\\\\\n\"} 1\n");
    }

    #[test]
    fn hit_rate_forgets_what_is_older_than_its_window() {
        let start = Instant::now();
        let at = |s| start + Duration::from_secs(s);
        let mut rate = HitRate::starting(start);
        assert!(rate.advance(at(0), 0, 0).is_nan(), "no data");
        assert_eq!(rate.advance(at(1), 10, 0), 0.0);
        assert_eq!(rate.advance(at(100), 100, 50), 0.5);
        // The ninety misses and hits up to second 100 have left the window.
        assert_eq!(rate.advance(at(400), 200, 150), 1.0);
        assert!(rate.advance(at(1_000), 200, 150).is_nan(), "no data lately");
    }

    #[test]
    fn asking_often_keeps_few_readings() {
        let start = Instant::now();
        let mut rate = HitRate::starting(start);
        for ms in (0..1_000_000).step_by(100) {
            rate.advance(start + Duration::from_millis(ms), ms, 0);
        }
        assert!(rate.readings.len() <= 62, "{}", rate.readings.len());
    }
}
