//! The aggregator as a state that only its states decide, not their way to it.

use latency::{CacheState, layout};
use proptest::prelude::*;
use proto::metrics::v1::{
    CodeCount, Hello, ProcessState, QueryRequest, QueryResponse, SeriesDef, SeriesState, SlotState, Stats,
};

use super::{
    Aggregator, Definitions, Origin, Parsed, Question, SLOT_S, SLOTS, SourceId, aggregator::SOURCES_MAX,
    source::SERIES_TOTAL_MAX,
};
use crate::error::Error;

/// A moment in the middle of a slot.
const NOW_S: u32 = 1_700_000_005;
const OPEN_S: u32 = 1_700_000_000;

const HIT: u32 = 1;
const MISS: u32 = 2;

fn hello(source: u8, service: &str) -> Hello {
    let series = |id, cache: CacheState| SeriesDef {
        id,
        route: "/api/v1/products".to_owned(),
        method: "GET".to_owned(),
        cache_state: cache as u32,
        ..SeriesDef::default()
    };
    Hello {
        boot_id: vec![source; 16],
        service: service.to_owned(),
        instance: format!("{service}-{source}"),
        layout: 1,
        series: vec![series(HIT, CacheState::HitL1), series(MISS, CacheState::Miss)],
        ..Hello::default()
    }
}

fn define(aggregator: &mut Aggregator, hello: Hello) -> Result<SourceId, Error> {
    aggregator.define(Definitions::parse(hello)?, NOW_S)
}

fn series(id: u32, requests: &[(u64, u32)]) -> SeriesState {
    let mut state = SeriesState { id, ..SeriesState::default() };
    let mut indexes: Vec<u16> = requests.iter().map(|request| layout::index(request.0)).collect();
    indexes.sort_unstable();
    let mut previous = 0;
    for group in indexes.chunk_by(|a, b| a == b) {
        state.gap.push(u32::from(group[0] - previous));
        state.count.push(group.len() as u32);
        previous = group[0];
    }
    let mut codes: Vec<u32> = requests.iter().map(|request| request.1).collect();
    codes.sort_unstable();
    state.code = codes
        .chunk_by(|a, b| a == b)
        .map(|group| CodeCount { code: group[0], n: group.len() as u32 })
        .collect();
    state.sum_ns = requests.iter().map(|request| request.0).sum();
    state.max_ns = requests.iter().map(|request| request.0).max().unwrap_or(0);
    state.slow = requests.iter().filter(|request| request.0 > 500_000_000).count() as u64;
    state
}

fn slot(slot_start_s: u32, version: u64, series: Vec<SeriesState>) -> SlotState {
    SlotState { slot_start_s, slot_len_s: SLOT_S, version, series, ..SlotState::default() }
}

fn accept(
    aggregator: &mut Aggregator,
    source: SourceId,
    state: &SlotState,
    now_s: u32,
) -> Result<Option<u64>, Error> {
    aggregator.accept(source, Parsed::parse(state)?, now_s, Origin::Source)
}

fn ask(aggregator: &mut Aggregator, window_minutes: u32, service: &str, now_s: u32) -> QueryResponse {
    let request = QueryRequest {
        window_minutes,
        service: service.to_owned(),
        by_route: true,
        ..QueryRequest::default()
    };
    aggregator.answer(&Question::parse(request).expect("a good question"), now_s)
}

fn total(aggregator: &mut Aggregator, window_minutes: u32, now_s: u32) -> Stats {
    ask(aggregator, window_minutes, "", now_s).total.expect("always there")
}

fn ratio(aggregator: &mut Aggregator, window_minutes: u32, now_s: u32) -> f64 {
    ask(aggregator, window_minutes, "", now_s).coverage.expect("always there").ratio
}

#[test]
fn statistics_of_one_slot() {
    let mut aggregator = Aggregator::default();
    let source = define(&mut aggregator, hello(1, "gateway")).unwrap();
    let hits = series(HIT, &[(1_000_000, 200), (2_000_000, 200), (3_000_000, 304)]);
    let misses = series(MISS, &[(600_000_000, 200), (900_000_000, 503)]);
    accept(&mut aggregator, source, &slot(OPEN_S, 1, vec![hits, misses]), NOW_S).unwrap();

    let answer = ask(&mut aggregator, 60, "", NOW_S);
    let stats = answer.total.unwrap();
    assert_eq!((stats.requests, stats.cache_hits, stats.slow), (5, 3, 2));
    assert_eq!((stats.status_2xx, stats.status_5xx), (3, 1));
    assert_eq!((stats.sum_ns, stats.max_ns), (1_506_000_000, 900_000_000));
    let near = |got: u64, exact: u64| assert!(got.abs_diff(exact) * 256 <= exact, "{got} instead of {exact}");
    near(stats.p50_ns, 3_000_000);
    near(stats.p95_ns, 900_000_000);
    assert_eq!(answer.routes.len(), 1);
    assert_eq!(answer.routes[0].stats, answer.total);
    assert_eq!(ask(&mut aggregator, 60, "catalog", NOW_S).total.unwrap().requests, 0);
}

#[test]
fn routes_can_be_left_out() {
    let mut aggregator = Aggregator::default();
    let mut hello = hello(1, "gateway");
    hello.series[1].route = "/health/performance".to_owned();
    let source = define(&mut aggregator, hello).unwrap();
    let pages = series(HIT, &[(1_000_000, 200)]);
    let probes = series(MISS, &[(1_000_000, 503), (1_000_000, 503)]);
    accept(&mut aggregator, source, &slot(OPEN_S, 1, vec![pages, probes]), NOW_S).unwrap();

    let request = QueryRequest {
        window_minutes: 60,
        by_route: true,
        except_route_prefix: "/health/".to_owned(),
        ..QueryRequest::default()
    };
    let answer = aggregator.answer(&Question::parse(request).unwrap(), NOW_S);
    let stats = answer.total.unwrap();
    assert_eq!((stats.requests, stats.status_5xx, answer.routes.len()), (1, 0, 1));
    assert_eq!(total(&mut aggregator, 60, NOW_S).requests, 3);
}

#[test]
fn without_data_there_is_no_coverage() {
    let mut aggregator = Aggregator::default();
    let answer = ask(&mut aggregator, 60, "", NOW_S);
    assert_eq!(answer.coverage.unwrap().ratio, 0.0);
    assert_eq!(answer.coverage.unwrap().sources_expected, 0);
    assert_eq!(answer.total.unwrap().requests, 0);
}

#[test]
fn what_is_not_of_this_hour_is_refused_and_counted() {
    let mut aggregator = Aggregator::default();
    let source = define(&mut aggregator, hello(1, "gateway")).unwrap();
    let mut check = |slot_start_s, expected| {
        let got = accept(&mut aggregator, source, &slot(slot_start_s, 1, vec![]), NOW_S).unwrap();
        assert_eq!(got, expected, "slot {slot_start_s}");
    };
    check(OPEN_S, Some(1));
    check(OPEN_S + 10, Some(1));
    check(OPEN_S + 20, None);
    check(OPEN_S - 3_590, Some(1));
    check(OPEN_S - 3_600, None);
    check(0, None);
    let counters = aggregator.counters();
    assert_eq!((counters.refused_early, counters.refused_late), (1, 2));
}

#[test]
fn refusals_name_their_reason() {
    let mut aggregator = Aggregator::default();
    fn check<T: std::fmt::Debug>(result: Result<T, Error>, expected: &str) {
        assert_eq!(result.unwrap_err().to_string(), expected);
    }
    check(define(&mut aggregator, Hello { layout: 2, ..hello(1, "a") }), "bucket layout 2 is unknown here");
    check(define(&mut aggregator, Hello { boot_id: vec![1], ..hello(1, "a") }), "boot_id must have 16 bytes");
    check(define(&mut aggregator, hello(1, "")), "service and instance must be named");
    let source = define(&mut aggregator, hello(1, "a")).unwrap();
    check(define(&mut aggregator, hello(1, "b")), "a source cannot change its service or instance");
    let mut many = hello(2, "a");
    many.series = (0..2_001).map(|id| SeriesDef { id, ..SeriesDef::default() }).collect();
    check(define(&mut aggregator, many), "more than 2000 series of one source");

    let unknown = slot(OPEN_S, 1, vec![series(7, &[(5, 200)])]);
    check(accept(&mut aggregator, source, &unknown, NOW_S), "series 7 is not in the dictionary");
    let malformed = SeriesState { id: HIT, gap: vec![1], ..SeriesState::default() };
    let malformed = slot(OPEN_S, 1, vec![malformed]);
    check(accept(&mut aggregator, source, &malformed, NOW_S), "series 1: 1 gaps but 0 counts");
    let crooked = slot(OPEN_S + 1, 1, vec![]);
    let reason = "a slot starts at a multiple of ten seconds and has at most ten";
    check(accept(&mut aggregator, source, &crooked, NOW_S), reason);
    assert_eq!(total(&mut aggregator, 60, NOW_S).requests, 0, "a refused state leaves nothing behind");

    for window_minutes in [0, 61, u32::MAX] {
        let request = QueryRequest { window_minutes, ..QueryRequest::default() };
        check(Question::parse(request), "window_minutes must be 1 to 60");
    }
}

#[test]
fn sources_are_bounded_and_make_room_when_they_expire() {
    let mut aggregator = Aggregator::default();
    let numbered = |n: usize| {
        let mut hello = hello(0, "gateway");
        hello.boot_id[..8].copy_from_slice(&n.to_be_bytes());
        hello
    };
    for n in 0..SOURCES_MAX {
        let source = define(&mut aggregator, numbered(n)).unwrap();
        accept(&mut aggregator, source, &slot(OPEN_S, 1, vec![]), NOW_S).unwrap();
    }
    let error = define(&mut aggregator, numbered(SOURCES_MAX)).unwrap_err();
    assert_eq!(error.to_string(), "more than 512 sources");
    define(&mut aggregator, numbered(0)).expect("a known source may always come again");
    let later = Definitions::parse(numbered(SOURCES_MAX)).unwrap();
    aggregator.define(later, NOW_S + 3_600).expect("the others have expired");
}

#[test]
fn a_source_that_has_just_come_survives_the_end_of_others() {
    let mut aggregator = Aggregator::default();
    let old = define(&mut aggregator, hello(1, "gateway")).unwrap();
    accept(&mut aggregator, old, &slot(OPEN_S, 1, vec![]), NOW_S).unwrap();
    let later_s = NOW_S + 3_600;
    let new = aggregator.define(Definitions::parse(hello(2, "gateway")).unwrap(), later_s).unwrap();
    let held = accept(&mut aggregator, new, &slot(OPEN_S + 3_600, 1, vec![]), later_s).unwrap();
    assert_eq!((held, aggregator.counters().sources), (Some(1), 1));
}

#[test]
fn series_beyond_the_limit_count_together() {
    let mut aggregator = Aggregator::default();
    for n in 0..=(SERIES_TOTAL_MAX / 2_000) as u8 {
        let mut hello = hello(n, "gateway");
        let route = |id| format!("/{n}/{id}");
        hello.series =
            (0..2_000).map(|id| SeriesDef { id, route: route(id), ..SeriesDef::default() }).collect();
        let source = define(&mut aggregator, hello).unwrap();
        let states = (0..2_000).map(|id| series(id, &[(5, 200)])).collect();
        accept(&mut aggregator, source, &slot(OPEN_S, 1, states), NOW_S).unwrap();
    }
    assert_eq!(total(&mut aggregator, 60, NOW_S).requests, 22_000);
    assert_eq!(aggregator.counters().series, SERIES_TOTAL_MAX + 1);
}

#[test]
fn an_hour_later_nothing_is_left() {
    let mut aggregator = Aggregator::default();
    let source = define(&mut aggregator, hello(1, "gateway")).unwrap();
    for n in 0..SLOTS {
        let state = slot(OPEN_S - n * SLOT_S, 1, vec![series(HIT, &[(u64::from(n) * 1_000_000, 200)])]);
        accept(&mut aggregator, source, &state, NOW_S).unwrap();
    }
    assert_eq!(total(&mut aggregator, 60, NOW_S).requests, 360);
    assert_eq!(total(&mut aggregator, 60, NOW_S).max_ns, 359_000_000);
    assert_eq!(total(&mut aggregator, 1, NOW_S).requests, 6);
    assert_eq!(total(&mut aggregator, 60, NOW_S + 1_800).requests, 180);
    assert_eq!(total(&mut aggregator, 60, NOW_S + 1_800).max_ns, 179_000_000, "the longest expires too");
    assert_eq!(
        total(&mut aggregator, 60, NOW_S + 3_600),
        Stats { error_bound: 1.0 / 256.0, ..Stats::default() }
    );
    let counters = aggregator.counters();
    assert_eq!((counters.sources, counters.slots, counters.series, counters.unsaved), (0, 0, 0, 0));
}

mod coverage {
    use super::*;

    /// A source that reported these slots, counted back from the open one.
    fn reported(aggregator: &mut Aggregator, hello: Hello, slots_ago: impl Iterator<Item = u32>) -> SourceId {
        let source = define(aggregator, hello).unwrap();
        for ago in slots_ago {
            accept(aggregator, source, &slot(OPEN_S - ago * SLOT_S, 1, vec![]), NOW_S).unwrap();
        }
        source
    }

    #[test]
    fn a_source_is_expected_from_its_first_slot() {
        let mut aggregator = Aggregator::default();
        reported(&mut aggregator, hello(1, "gateway"), 0..12);
        assert_eq!(ratio(&mut aggregator, 60, NOW_S), 1.0);
    }

    #[test]
    fn missing_slots_are_missing() {
        let mut aggregator = Aggregator::default();
        reported(&mut aggregator, hello(1, "gateway"), (0..100).filter(|n| n % 4 != 2));
        assert_eq!(ratio(&mut aggregator, 60, NOW_S), 0.75);
    }

    #[test]
    fn silence_lowers_coverage_until_nothing_is_left() {
        let mut aggregator = Aggregator::default();
        reported(&mut aggregator, hello(1, "gateway"), 0..360);
        let mut last = 1.1;
        for minutes in [0, 10, 20, 30, 40, 50, 59, 60, 61] {
            let coverage = ratio(&mut aggregator, 60, NOW_S + minutes * 60);
            assert!(coverage < last || coverage == 0.0, "{coverage} after {minutes} minutes");
            last = coverage;
        }
        assert_eq!(last, 0.0);
    }

    #[test]
    fn silence_of_a_short_window_is_no_data() {
        let mut aggregator = Aggregator::default();
        reported(&mut aggregator, hello(1, "gateway"), 0..60);
        let answer = ask(&mut aggregator, 5, "", NOW_S + 600);
        let coverage = answer.coverage.unwrap();
        assert_eq!((coverage.ratio, coverage.oldest_slot_s, coverage.newest_slot_s), (0.0, 0, 0));
        assert_eq!((coverage.sources_expected, coverage.sources_seen), (1, 0));
    }

    #[test]
    fn a_source_that_said_goodbye_is_not_missed() {
        let mut aggregator = Aggregator::default();
        let source = reported(&mut aggregator, hello(1, "gateway"), 31..60);
        let last = SlotState { r#final: true, slot_len_s: 4, ..slot(OPEN_S - 300, 2, vec![]) };
        accept(&mut aggregator, source, &last, NOW_S).unwrap();
        reported(&mut aggregator, hello(2, "gateway"), 0..60);
        let answer = ask(&mut aggregator, 60, "", NOW_S);
        assert_eq!(answer.coverage.unwrap().ratio, 1.0);
        assert_eq!(answer.coverage.unwrap().sources_expected, 1);
    }

    #[test]
    fn a_restart_under_the_same_name_takes_over() {
        let mut aggregator = Aggregator::default();
        reported(&mut aggregator, hello(1, "gateway"), 30..60);
        let restarted = Hello { instance: "gateway-1".to_owned(), ..hello(2, "gateway") };
        reported(&mut aggregator, restarted, 0..29);
        assert_eq!(ratio(&mut aggregator, 60, NOW_S), 1.0);
    }

    #[test]
    fn a_killed_source_is_missed_for_ten_minutes_while_others_go_on() {
        let mut aggregator = Aggregator::default();
        reported(&mut aggregator, hello(1, "gateway"), 200..300);
        reported(&mut aggregator, hello(2, "gateway"), 0..300);
        let expected = f64::from(100 + 299) / f64::from(100 + 60 + 299);
        let got = ratio(&mut aggregator, 60, NOW_S);
        assert!((got - expected).abs() < 0.01, "{got} instead of {expected}");
    }

    #[test]
    fn only_the_service_asked_for_counts() {
        let mut aggregator = Aggregator::default();
        reported(&mut aggregator, hello(1, "gateway"), 0..30);
        reported(&mut aggregator, hello(2, "catalog"), (0..30).step_by(2));
        assert_eq!(ask(&mut aggregator, 60, "gateway", NOW_S).coverage.unwrap().ratio, 1.0);
        assert!(ask(&mut aggregator, 60, "catalog", NOW_S).coverage.unwrap().ratio < 0.6);
        assert_eq!(ask(&mut aggregator, 60, "orders", NOW_S).coverage.unwrap().ratio, 0.0);
    }
}

#[test]
fn processes_are_those_of_now() {
    let mut aggregator = Aggregator::default();
    let process = |cpu_us, wall_us| ProcessState {
        cpu_us,
        wall_us,
        cpus: 2,
        rss_bytes: 100,
        memory_total_bytes: 1_000,
        database_connections_active: 3,
        database_connections_max: 8,
    };
    for n in [1, 2] {
        let source = define(&mut aggregator, hello(n, "gateway")).unwrap();
        let closed =
            SlotState { process: Some(process(5_000_000, 10_000_000)), ..slot(OPEN_S - 10, 1, vec![]) };
        accept(&mut aggregator, source, &closed, NOW_S).unwrap();
        // Too short to say anything of CPU use.
        let open = SlotState { process: Some(process(1_000, 1_000)), ..slot(OPEN_S, 1, vec![]) };
        accept(&mut aggregator, source, &open, NOW_S).unwrap();
    }
    let process = ask(&mut aggregator, 5, "", NOW_S).process.unwrap();
    assert_eq!((process.cpu_percent, process.memory_percent), (50.0, 20.0));
    assert_eq!((process.database_connections_active, process.database_connections_max), (6, 16));
    let asked_of_another = ask(&mut aggregator, 5, "catalog", NOW_S).process;
    assert_eq!(asked_of_another, Some(process), "whatever service is asked for");
    let later = ask(&mut aggregator, 5, "", NOW_S + 60).process;
    assert_eq!(later, None, "of silent processes nothing is known");
}

#[test]
fn a_lost_store_is_written_again() {
    let mut aggregator = Aggregator::default();
    let source = define(&mut aggregator, hello(1, "gateway")).unwrap();
    accept(&mut aggregator, source, &slot(OPEN_S, 1, vec![]), NOW_S).unwrap();
    let unsaved = aggregator.unsaved(10);
    assert_eq!(unsaved.len(), 1);
    assert!(unsaved[0].definitions.is_some(), "the dictionary comes with the first state");
    accept(&mut aggregator, source, &slot(OPEN_S, 2, vec![]), NOW_S).unwrap();
    aggregator.saved(&unsaved);
    assert!(aggregator.is_saved(OPEN_S, source, 1) && !aggregator.is_saved(OPEN_S, source, 2));
    let unsaved = aggregator.unsaved(10);
    assert_eq!((unsaved.len(), unsaved[0].version), (1, 2), "what came while the first was written");
    assert!(unsaved[0].definitions.is_none());
    aggregator.saved(&unsaved);
    assert_eq!(aggregator.unsaved(10).len(), 0);

    aggregator.nothing_is_saved();
    assert!(!aggregator.is_saved(OPEN_S, source, 2));
    assert!(aggregator.unsaved(10)[0].definitions.is_some());
}

/// A state whose content follows from its place, so that every delivery of it is the same.
fn state_of(source: u8, slot_number: u32, version: u64) -> SlotState {
    let requests = |n: u64| -> Vec<(u64, u32)> {
        let ns = |k| 1_000 * (u64::from(source) + 1) * (u64::from(slot_number) + 1) * k * k * k;
        (1..=n).map(|k| (ns(k), if k % 3 == 0 { 500 } else { 200 })).collect()
    };
    let mut states = vec![series(HIT, &requests(version))];
    if version > 2 {
        states.push(series(MISS, &requests(version * 2)));
    }
    slot(OPEN_S - slot_number * 7 * SLOT_S, version, states)
}

proptest! {
    /// Duplicates, retries and reordering change nothing, nor does it matter who delivered.
    #[test]
    fn only_the_newest_states_count(
        deliveries in proptest::collection::vec((0..3_u8, 0..5_u32, 1..6_u64, any::<bool>()), 1..60),
        later_s in 0..600_u32,
    ) {
        let (mut by_deliveries, mut by_newest) = (Aggregator::default(), Aggregator::default());
        let sources: Vec<SourceId> = (0..3)
            .map(|n| {
                define(&mut by_deliveries, hello(n, "gateway")).unwrap();
                define(&mut by_newest, hello(n, "gateway")).unwrap()
            })
            .collect();
        let mut newest = std::collections::BTreeMap::new();
        for &(source, slot_number, version, from_store) in &deliveries {
            let origin = if from_store { Origin::Store } else { Origin::Source };
            let parsed = Parsed::parse(&state_of(source, slot_number, version)).unwrap();
            let known: &mut u64 = newest.entry((source, slot_number)).or_default();
            *known = (*known).max(version);
            let held = by_deliveries.accept(sources[usize::from(source)], parsed, NOW_S, origin).unwrap();
            prop_assert_eq!(held, Some(*known));
        }
        for (&(source, slot_number), &version) in newest.iter().rev() {
            let state = state_of(source, slot_number, version);
            accept(&mut by_newest, sources[usize::from(source)], &state, NOW_S).unwrap();
        }
        for window_minutes in [1, 3, 60] {
            for now_s in [NOW_S, NOW_S + later_s] {
                prop_assert_eq!(
                    ask(&mut by_deliveries, window_minutes, "", now_s),
                    ask(&mut by_newest, window_minutes, "", now_s)
                );
            }
        }
    }

    /// The running sum of the hour is what its slots add up to, whatever was replaced and expired.
    #[test]
    fn the_hour_is_the_sum_of_its_slots(
        deliveries in proptest::collection::vec((0..3_u8, 0..5_u32, 1..6_u64, 0..200_u32), 1..40),
    ) {
        let mut aggregator = Aggregator::default();
        let sources: Vec<SourceId> =
            (0..3).map(|n| define(&mut aggregator, hello(n, "gateway")).unwrap()).collect();
        let mut now_s = NOW_S;
        for (source, slot_number, version, pause_s) in deliveries {
            now_s += pause_s;
            // Expired sources come back under their old id.
            aggregator.define(Definitions::parse(hello(source, "gateway")).unwrap(), now_s).unwrap();
            accept(&mut aggregator, sources[usize::from(source)], &state_of(source, slot_number, version), now_s).unwrap();
            let mut sum = super::aggregator::Merged::new();
            for slot in aggregator.slots.values() {
                for (key, sketch) in &slot.merged {
                    sum.entry(std::sync::Arc::clone(key)).or_default().merge(sketch);
                }
            }
            prop_assert_eq!(sum.len(), aggregator.hour.len());
            for (key, mut sketch) in sum {
                let hour = &aggregator.hour[&key];
                prop_assert!(hour.max_ns >= sketch.max_ns);
                sketch.max_ns = hour.max_ns;
                prop_assert_eq!(hour, &sketch);
            }
        }
    }
}
