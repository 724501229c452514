//! Which new traces are sampled: a share of them, and never more than a number per second.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use opentelemetry::{
    Context, KeyValue, TraceId,
    trace::{Link, SpanKind, TraceState},
};
use opentelemetry_sdk::trace::{Sampler, SamplingDecision, SamplingResult, ShouldSample};

/// The ratio decides by trace id, then the budget refuses what is over so many per second.
#[derive(Debug, Clone)]
pub(super) struct Budgeted {
    ratio: Sampler,
    budget: Arc<Mutex<Budget>>,
}

/// A bucket that holds one second's worth of traces and refills evenly.
#[derive(Debug)]
struct Budget {
    per_s: f64,
    left: f64,
    refilled: Instant,
}

impl Budgeted {
    pub(super) fn new(ratio: f64, per_s: u32) -> Self {
        let per_s = f64::from(per_s);
        let budget = Budget { per_s, left: per_s, refilled: Instant::now() };
        Self { ratio: Sampler::TraceIdRatioBased(ratio), budget: Arc::new(Mutex::new(budget)) }
    }
}

impl ShouldSample for Budgeted {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        trace_id: TraceId,
        name: &str,
        kind: &SpanKind,
        attributes: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        let mut result = self.ratio.should_sample(parent, trace_id, name, kind, attributes, links);
        // Only what the ratio lets through takes the lock: one request in twenty by default.
        if result.decision == SamplingDecision::RecordAndSample {
            let mut budget = self.budget.lock().unwrap_or_else(PoisonError::into_inner);
            if !budget.take(Instant::now()) {
                result = SamplingResult {
                    decision: SamplingDecision::Drop,
                    attributes: Vec::new(),
                    trace_state: TraceState::NONE,
                };
            }
        }
        result
    }
}

impl Budget {
    fn take(&mut self, now: Instant) -> bool {
        let elapsed: Duration = now.saturating_duration_since(self.refilled);
        self.left = (self.left + elapsed.as_secs_f64() * self.per_s).min(self.per_s);
        self.refilled = now;
        let granted = self.left >= 1.0;
        if granted {
            self.left -= 1.0;
        }
        granted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sampled_of(sampler: &Budgeted, count: u128) -> usize {
        // Spread over the whole range, as random ids are.
        (0..count)
            .map(|i| TraceId::from((i * (u128::MAX / count)).swap_bytes() | 1))
            .filter(|&id| {
                let result = sampler.should_sample(None, id, "request", &SpanKind::Server, &[], &[]);
                result.decision == SamplingDecision::RecordAndSample
            })
            .count()
    }

    #[test]
    fn the_budget_bounds_new_traces_whatever_the_ratio() {
        let sampler = Budgeted::new(1.0, 50);
        let sampled = sampled_of(&sampler, 10_000);
        // What refills while the loop runs depends on the machine; a second of it is a generous bound.
        assert!((50..=100).contains(&sampled), "{sampled}");
    }

    #[test]
    fn a_ratio_of_zero_samples_nothing() {
        assert_eq!(sampled_of(&Budgeted::new(0.0, 50), 10_000), 0);
    }

    #[test]
    fn the_budget_refills_evenly_and_holds_one_second() {
        let start = Instant::now();
        let mut budget = Budget { per_s: 10.0, left: 0.0, refilled: start };
        assert!(!budget.take(start + Duration::from_millis(50)));
        assert!(budget.take(start + Duration::from_millis(110)));
        let later = start + Duration::from_secs(3600);
        let granted = (0..100).filter(|_| budget.take(later)).count();
        assert_eq!(granted, 10);
    }
}
