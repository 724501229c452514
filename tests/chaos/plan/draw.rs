//! Plans drawn from a seed.

use std::time::Duration;

use super::{Ailment, Fault, Mood, Plan, Step, Target};
use crate::system::{LINKS, Part, Server};

/// The end of a run without new faults.
const CALM: Duration = Duration::from_secs(2);
/// Between the beginnings of two faults.
const PAUSE_MS: std::ops::Range<u64> = 800..3_000;
const LASTING_MS: std::ops::Range<u64> = 500..4_000;

pub(super) fn plan(seed: u64, length: Duration) -> Plan {
    let mut draw = fastrand::Rng::with_seed(seed);
    let mut steps = Vec::new();
    let mut at = Duration::from_secs(1);
    // Two faults of one kind on one target at once would undo each other; so there is one of each at a time.
    let mut busy: Vec<(String, Duration)> = Vec::new();
    while at + CALM < length {
        let fault = fault(&mut draw);
        let left = length.saturating_sub(at);
        let lasting = match &fault {
            Fault::Storm(_) => Duration::from_secs(draw.u64(3..8)),
            Fault::Provider(_) => Duration::from_secs(draw.u64(4..12)),
            // Back at once, most of the time.
            Fault::Kill(_) if draw.f64() < 0.6 => Duration::ZERO,
            Fault::Kill(_) | Fault::Stop(_) | Fault::Link(..) | Fault::Arm(..) => {
                Duration::from_millis(draw.u64(LASTING_MS))
            }
        };
        let lasting = lasting.min(left);
        let subject = subject(&fault);
        busy.retain(|(_, until)| *until > at);
        if !busy.iter().any(|(taken, _)| *taken == subject) {
            busy.push((subject, at + lasting));
            steps.push(Step { at, fault, lasting });
        }
        at += Duration::from_millis(draw.u64(PAUSE_MS));
    }
    Plan(steps)
}

fn fault(draw: &mut fastrand::Rng) -> Fault {
    match draw.u32(0..100) {
        0..30 => Fault::Kill(Target::Part(part(draw))),
        30..38 => Fault::Stop(Target::Part(part(draw))),
        38..48 => Fault::Kill(Target::Server(*pick(draw, &[Server::Redis, Server::Nats, Server::Postgres]))),
        48..54 => Fault::Stop(Target::Server(*pick(draw, &[Server::Redis, Server::Nats, Server::Postgres]))),
        54..78 => Fault::Link((*pick(draw, &LINKS)).to_owned(), ailment(draw)),
        78..82 => Fault::Storm(draw.u64(0..1_000)),
        _ => Fault::Provider(*pick(
            draw,
            &[
                Mood::Lossy,
                Mood::Lossy,
                Mood::Slow,
                Mood::Failing,
                Mood::Hanging,
                Mood::Declining,
                Mood::Lying,
            ],
        )),
    }
}

/// Orders oftener than others: there the money is.
fn part(draw: &mut fastrand::Rng) -> Part {
    if draw.bool() { Part::Orders } else { *pick(draw, &Part::ALL) }
}

fn ailment(draw: &mut fastrand::Rng) -> Ailment {
    match draw.u32(0..9) {
        0 | 1 => Ailment::Cut,
        2 => Ailment::Hold,
        3 => Ailment::HoldAnswers,
        4 => Ailment::Swallow,
        5 => {
            Ailment::Latency(Duration::from_millis(draw.u64(20..300)), Duration::from_millis(draw.u64(0..50)))
        }
        6 => Ailment::Bandwidth(draw.u64(16..256) * 1_024),
        7 => Ailment::Reset(draw.u64(1..20_000)),
        _ => Ailment::Limit(draw.u64(1..20_000)),
    }
}

fn subject(fault: &Fault) -> String {
    match fault {
        Fault::Kill(whom) | Fault::Stop(whom) => whom.to_string(),
        Fault::Arm(part, _) => part.to_string(),
        Fault::Link(link, _) => link.clone(),
        Fault::Storm(_) => "storm".to_owned(),
        Fault::Provider(_) => "mood".to_owned(),
    }
}

fn pick<'s, T>(draw: &mut fastrand::Rng, some: &'s [T]) -> &'s T {
    &some[draw.usize(0..some.len())]
}
