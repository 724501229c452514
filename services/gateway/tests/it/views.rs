//! Money, time, and the verdict of `/health/performance`.

use gateway::handlers::performance::{PerformanceStatus, judge};
use gateway::views::{formatted, rfc3339};
use proto::metrics::v1::{Coverage, QueryResponse, Stats};
use time::OffsetDateTime;

#[test]
fn money_is_written_as_in_brazil() {
    fn check(amount: i64, expected: &str) {
        assert_eq!(formatted(amount, "BRL"), expected);
    }
    check(4290, "R$ 42,90");
    check(0, "R$ 0,00");
    check(5, "R$ 0,05");
    check(100, "R$ 1,00");
    check(99_999, "R$ 999,99");
    check(100_000, "R$ 1.000,00");
    check(123_456_789, "R$ 1.234.567,89");
    check(-4290, "-R$ 42,90");
    check(i64::MIN, "-R$ 92.233.720.368.547.758,08");
    assert_eq!(formatted(100, "USD"), "USD 1,00");
}

#[test]
fn time_is_utc_with_milliseconds() {
    let at = OffsetDateTime::from_unix_timestamp_nanos(1_764_959_400_007_999_999).expect("in range");
    assert_eq!(rfc3339(at), "2025-12-05T18:30:00.007Z");
    let brt = time::UtcOffset::from_hms(-3, 0, 0).expect("in range");
    assert_eq!(rfc3339(at.to_offset(brt)), "2025-12-05T18:30:00.007Z");
}

#[test]
fn health_is_never_good_by_silence_and_errors_win() {
    fn check(requests: u64, p95_ms: u64, status_5xx: u64, coverage: f64, expected: PerformanceStatus) {
        let total = Stats { requests, p95_ns: p95_ms * 1_000_000, status_5xx, ..Stats::default() };
        let coverage = Coverage { ratio: coverage, ..Coverage::default() };
        let reply =
            QueryResponse { total: Some(total), coverage: Some(coverage), ..QueryResponse::default() };
        assert_eq!(judge(&reply, OffsetDateTime::UNIX_EPOCH).status(), expected);
    }
    check(100, 500, 5, 1.0, PerformanceStatus::Healthy);
    check(100, 501, 5, 1.0, PerformanceStatus::Degraded);
    check(100, 501, 6, 1.0, PerformanceStatus::Unhealthy);
    check(0, 0, 0, 1.0, PerformanceStatus::Unknown);
    check(100, 1, 0, 0.0, PerformanceStatus::Unknown);
    let nothing = judge(&QueryResponse::default(), OffsetDateTime::UNIX_EPOCH);
    assert_eq!(nothing.status(), PerformanceStatus::Unknown);
}
