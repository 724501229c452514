//! Statistics over a window.

use std::{cmp::Reverse, collections::BTreeMap, sync::Arc};

use latency::{Sketch, Sum, layout};
use proto::metrics::v1::{QueryRequest, QueryResponse, RouteStats, Stats};

use super::{Aggregator, SLOT_S, SLOTS, oldest_slot, source::SeriesKey};
use crate::error::Error;

/// A question that can be answered.
#[derive(Debug)]
pub(crate) struct Question {
    slots: u32,
    service: Option<String>,
    except_route_prefix: Option<String>,
    rows: Rows,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rows {
    TotalOnly,
    ByRoute,
}

impl Question {
    /// Checks a request.
    pub(crate) fn parse(request: QueryRequest) -> Result<Question, Error> {
        if !(1..=60).contains(&request.window_minutes) {
            return Err(Error::Invalid("window_minutes must be 1 to 60"));
        }
        Ok(Question {
            slots: request.window_minutes * 60 / SLOT_S,
            service: Some(request.service).filter(|service| !service.is_empty()),
            except_route_prefix: Some(request.except_route_prefix).filter(|prefix| !prefix.is_empty()),
            rows: if request.by_route { Rows::ByRoute } else { Rows::TotalOnly },
        })
    }
}

/// Rows of one answer; the least used routes are left out, and are in the total all the same.
const ROWS_MAX: usize = 1_000;

impl Aggregator {
    /// Answers from memory. CPU work of milliseconds for a busy hour.
    pub(crate) fn answer(&mut self, question: &Question, now_s: u32) -> QueryResponse {
        self.expire(now_s);
        let service = question.service.as_deref();
        let except = question.except_route_prefix.as_deref();
        let asked = |key: &&Arc<SeriesKey>| {
            service.is_none_or(|service| key.service == service)
                && except.is_none_or(|prefix| !key.route.starts_with(prefix))
        };
        let mut routes = BTreeMap::<(&str, &str), Vec<&Arc<SeriesKey>>>::new();
        for key in self.hour.keys().filter(asked) {
            routes.entry((&key.route, &key.method)).or_default().push(key);
        }

        let (mut total, mut total_hits) = (Sum::default(), 0);
        let mut rows = Vec::new();
        for ((route, method), keys) in routes {
            let (sketch, hits) = self.over(&keys, question.slots, now_s);
            total.add(&sketch);
            total_hits += hits;
            if question.rows == Rows::ByRoute && !sketch.is_empty() {
                let stats = Some(stats(&sketch, hits));
                rows.push(RouteStats { route: route.to_owned(), method: method.to_owned(), stats });
            }
        }
        rows.sort_by_key(|row| Reverse(row.stats.map_or(0, |stats| stats.requests)));
        rows.truncate(ROWS_MAX);

        QueryResponse {
            total: Some(stats(&total.total(), total_hits)),
            routes: rows,
            coverage: Some(self.coverage(now_s, question.slots, service)),
            process: self.process(now_s),
        }
    }

    /// Timings of these series over a window, and how many of them the cache served.
    fn over(&self, keys: &[&Arc<SeriesKey>], slots: u32, now_s: u32) -> (Sketch, u64) {
        let (mut sum, mut hits, mut max_ns) = (Sum::default(), 0, 0);
        let mut add = |key: &SeriesKey, sketch: &Sketch| {
            sum.add(sketch);
            hits += if key.cache.is_hit() { sketch.count() } else { 0 };
        };
        for key in keys {
            let in_slots = self.slots.range(oldest_slot(now_s, slots)..);
            for sketch in in_slots.filter_map(|(_, slot)| slot.merged.get(*key)) {
                max_ns = max_ns.max(sketch.max_ns);
                if slots < SLOTS {
                    add(key, sketch);
                }
            }
            if slots >= SLOTS
                && let Some(sketch) = self.hour.get(*key)
            {
                add(key, sketch);
            }
        }
        // What has expired took its counts along, but not the longest duration.
        let mut sketch = sum.total();
        sketch.max_ns = max_ns;
        (sketch, hits)
    }
}

fn stats(sketch: &Sketch, cache_hits: u64) -> Stats {
    Stats {
        requests: sketch.count(),
        sum_ns: sketch.sum_ns,
        p50_ns: sketch.quantile(0.5),
        p95_ns: sketch.quantile(0.95),
        p99_ns: sketch.quantile(0.99),
        p999_ns: sketch.quantile(0.999),
        max_ns: sketch.max_ns,
        slow: sketch.slow,
        cache_hits,
        status_2xx: sketch.codes().total_of(200..300),
        status_5xx: sketch.codes().total_of(500..600),
        error_bound: layout::ERROR_BOUND,
    }
}
