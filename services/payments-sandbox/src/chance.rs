//! Seeded luck: the same requests have the same luck in every run, whatever their order and timing.

use std::collections::HashMap;
use std::time::Duration;

use fastrand::Rng;
use sha2::{Digest as _, Sha256};

use crate::knobs::{Knobs, Latency, WAIT_MAX};
use crate::token::Decline;

/// More subjects than that, and counting starts again.
const SUBJECTS_MAX: usize = 200_000;

/// Counts how often something was asked about, so that a repetition has luck of its own.
#[derive(Debug, Default)]
pub(crate) struct Chance {
    asked: HashMap<u64, u32>,
}

/// What one request meets.
#[derive(Clone, Debug)]
pub(crate) struct Luck {
    pub(crate) reset_connection: bool,
    pub(crate) before_effect: bool,
    pub(crate) answer_lost: bool,
    pub(crate) decline: Option<Decline>,
    pub(crate) wait: Wait,
}

/// How long a request waits before anything is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    For(Duration),
    UntilChanged,
}

impl Chance {
    /// The luck of one more request of that kind about that subject.
    pub(crate) fn luck(&mut self, knobs: &Knobs, operation: &str, subject: &str) -> Luck {
        let mut draws = self.draws(knobs.seed, operation, subject);
        // Always all of them and in this order, so that turning one knob leaves the others' luck alone.
        let reset_connection = draws.f64() < knobs.faults.reset_connection;
        let before_effect = draws.f64() < knobs.faults.before_effect;
        let answer_lost = draws.f64() < knobs.faults.after_effect_before_answer;
        let declined = draws.f64() < knobs.decline_rate;
        let which = draws.usize(..knobs.decline_codes.len().max(1));
        let code = knobs.decline_codes.get(which).map_or("generic_decline", String::as_str);
        let decline = if declined { Decline::named(code) } else { None };
        let wait = wait(&knobs.latency, &mut draws);
        Luck { reset_connection, before_effect, answer_lost, decline, wait }
    }

    /// A source for one more question about that subject.
    pub(crate) fn draws(&mut self, seed: u64, operation: &str, subject: &str) -> Rng {
        let name = hashed(seed, operation, subject, 0);
        if self.asked.len() >= SUBJECTS_MAX && !self.asked.contains_key(&name) {
            self.asked.clear();
        }
        let times = self.asked.entry(name).or_default();
        *times += 1;
        Rng::with_seed(hashed(seed, operation, subject, *times))
    }
}

fn hashed(seed: u64, operation: &str, subject: &str, times: u32) -> u64 {
    let mut hash = Sha256::new();
    hash.update(seed.to_be_bytes());
    hash.update(times.to_be_bytes());
    hash.update((operation.len() as u64).to_be_bytes());
    hash.update(operation);
    hash.update(subject);
    let bytes = hash.finalize();
    u64::from_be_bytes(std::array::from_fn(|index| bytes[index]))
}

fn wait(latency: &Latency, draws: &mut Rng) -> Wait {
    match *latency {
        Latency::None => Wait::For(Duration::ZERO),
        Latency::Fixed { ms } => Wait::For(Duration::from_millis(ms)),
        Latency::Hang => Wait::UntilChanged,
        Latency::Distribution { p50_ms, p95_ms } => {
            /// The 95th percentile of the normal distribution.
            const Z95: f64 = 1.644_853_6;
            let (p50, p95) = (p50_ms as f64, p95_ms as f64);
            let sigma = (p95 / p50).ln() / Z95;
            // Box and Muller: two even draws make a normal one. The first is never 0.
            let (radius, angle) = (1.0 - draws.f64(), draws.f64() * std::f64::consts::TAU);
            let normal = (-2.0 * radius.ln()).sqrt() * angle.cos();
            let ms = (p50 * (sigma * normal).exp()).min(WAIT_MAX.as_millis() as f64);
            Wait::For(Duration::from_secs_f64(ms / 1000.0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn knobs(json: &str) -> Knobs {
        Knobs::parse(json.as_bytes()).expect("knobs")
    }

    #[test]
    fn luck_depends_on_the_subject_and_not_on_the_order() {
        let knobs = knobs(r#"{"seed":7,"faults":{"after_effect_before_answer":0.5}}"#);
        let fates = |order: &[&str]| {
            let mut chance = Chance::default();
            let mut fates: Vec<_> = order
                .iter()
                .map(|key| (key.to_string(), chance.luck(&knobs, "create", key).answer_lost))
                .collect();
            fates.sort();
            fates
        };
        let keys: Vec<String> = (0..100).map(|key| key.to_string()).collect();
        let forward: Vec<&str> = keys.iter().map(String::as_str).collect();
        let backward: Vec<&str> = forward.iter().rev().copied().collect();
        assert_eq!(fates(&forward), fates(&backward));
        let lost = fates(&forward).iter().filter(|(_, lost)| *lost).count();
        assert!((25..=75).contains(&lost), "{lost} of 100 lost");
    }

    #[test]
    fn a_repetition_has_luck_of_its_own() {
        let knobs = knobs(r#"{"faults":{"reset_connection":0.5}}"#);
        let mut chance = Chance::default();
        let fates: Vec<bool> = (0..64).map(|_| chance.luck(&knobs, "create", "k").reset_connection).collect();
        assert!(fates.contains(&true) && fates.contains(&false));
    }

    #[test]
    fn half_are_faster_than_the_median_and_one_in_twenty_slower_than_the_other_point() {
        let knobs = knobs(r#"{"latency":{"kind":"distribution","p50_ms":80,"p95_ms":300}}"#);
        let mut chance = Chance::default();
        let waits: Vec<u128> = (0..4000)
            .map(|key| match chance.luck(&knobs, "create", &key.to_string()).wait {
                Wait::For(wait) => wait.as_millis(),
                Wait::UntilChanged => panic!("no hang was asked for"),
            })
            .collect();
        let above = |bound| waits.iter().filter(|wait| **wait > bound).count();
        assert!((1800..=2200).contains(&above(80)), "{}", above(80));
        assert!((130..=280).contains(&above(300)), "{}", above(300));
    }
}
