//! What can go wrong.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

use super::{Told, duration};
use crate::system::{Part, Server, is_link};

/// One thing that goes wrong.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Fault {
    /// SIGKILL; started again when it is undone.
    Kill(Target),
    /// SIGSTOP of all its processes, SIGCONT when it is undone.
    Stop(Target),
    /// Something is wrong with the network between two.
    Link(String, Ailment),
    /// Started again with these failpoints; without them when it is undone.
    Arm(Part, String),
    /// SIGKILL of any service every 200 to 800 ms, drawn from this seed.
    Storm(u64),
    /// The payment provider is in a bad mood.
    Provider(Mood),
}

/// What can be killed and stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    Part(Part),
    Server(Server),
}

/// What is wrong with a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ailment {
    /// Connections break, new ones are refused.
    Cut,
    /// Nothing arrives, connections stay.
    Hold,
    /// What is asked arrives, no answer does.
    HoldAnswers,
    /// What is sent is taken and lost.
    Swallow,
    /// Later by the first, give or take the second.
    Latency(Duration, Duration),
    /// Bytes per second.
    Bandwidth(u64),
    /// Connections are reset after so many bytes of answers.
    Reset(u64),
    /// Connections are closed in order after so many bytes of answers.
    Limit(u64),
    /// Nobody hears that the other has closed.
    HalfOpen,
}

/// How the payment provider behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    /// 20 % of answers lost after the effect; webhooks three times, shuffled, 10 % dropped.
    Lossy,
    /// Most calls take 300 ms, some over a second.
    Slow,
    /// 20 % of calls answered by 500 before anything is done, and again by the same 500.
    Failing,
    /// Nothing is answered.
    Hanging,
    /// A third of the cards are declined.
    Declining,
    /// Webhooks with wrong signatures, orders and amounts.
    Lying,
}

const MOODS: [(Mood, &str); 6] = [
    (Mood::Lossy, "lossy"),
    (Mood::Slow, "slow"),
    (Mood::Failing, "failing"),
    (Mood::Hanging, "hanging"),
    (Mood::Declining, "declining"),
    (Mood::Lying, "lying"),
];

impl Fault {
    pub(super) fn parse(words: &[&str]) -> Result<Self> {
        let link = |name: &str| {
            ensure!(is_link(name), "there is no link `{name}`");
            Ok(name.to_owned())
        };
        Ok(match *words {
            ["kill", whom] => Self::Kill(whom.parse()?),
            ["stop", whom] => Self::Stop(whom.parse()?),
            ["arm", part, points] => {
                ensure!(points.contains('='), "`{points}` arms nothing");
                Self::Arm(part.parse()?, points.to_owned())
            }
            ["storm", seed] => Self::Storm(seed.parse().context("a storm has a seed")?),
            ["provider", mood] => Self::Provider(mood.parse()?),
            ["cut", name] => Self::Link(link(name)?, Ailment::Cut),
            ["hold", name] => Self::Link(link(name)?, Ailment::Hold),
            ["hold-answers", name] => Self::Link(link(name)?, Ailment::HoldAnswers),
            ["swallow", name] => Self::Link(link(name)?, Ailment::Swallow),
            ["half-open", name] => Self::Link(link(name)?, Ailment::HalfOpen),
            ["latency", name, mean, jitter] => {
                Self::Link(link(name)?, Ailment::Latency(duration(mean)?, duration(jitter)?))
            }
            ["bandwidth", name, bytes] => Self::Link(link(name)?, Ailment::Bandwidth(bytes.parse()?)),
            ["reset", name, bytes] => Self::Link(link(name)?, Ailment::Reset(bytes.parse()?)),
            ["limit", name, bytes] => Self::Link(link(name)?, Ailment::Limit(bytes.parse()?)),
            _ => bail!("nothing that can go wrong"),
        })
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kill(whom) => write!(f, "kill {whom}"),
            Self::Stop(whom) => write!(f, "stop {whom}"),
            Self::Arm(part, points) => write!(f, "arm {part} {points}"),
            Self::Storm(seed) => write!(f, "storm {seed}"),
            Self::Provider(mood) => write!(f, "provider {mood}"),
            Self::Link(link, ailment) => match ailment {
                Ailment::Cut => write!(f, "cut {link}"),
                Ailment::Hold => write!(f, "hold {link}"),
                Ailment::HoldAnswers => write!(f, "hold-answers {link}"),
                Ailment::Swallow => write!(f, "swallow {link}"),
                Ailment::HalfOpen => write!(f, "half-open {link}"),
                Ailment::Latency(mean, jitter) => {
                    write!(f, "latency {link} {} {}", Told(*mean), Told(*jitter))
                }
                Ailment::Bandwidth(bytes) => write!(f, "bandwidth {link} {bytes}"),
                Ailment::Reset(bytes) => write!(f, "reset {link} {bytes}"),
                Ailment::Limit(bytes) => write!(f, "limit {link} {bytes}"),
            },
        }
    }
}

impl FromStr for Target {
    type Err = anyhow::Error;

    fn from_str(name: &str) -> Result<Self> {
        name.parse().map(Self::Server).or_else(|_no_server: anyhow::Error| Ok(Self::Part(name.parse()?)))
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Part(part) => part.fmt(f),
            Self::Server(server) => server.fmt(f),
        }
    }
}

impl FromStr for Mood {
    type Err = anyhow::Error;

    fn from_str(name: &str) -> Result<Self> {
        let known = MOODS.into_iter().find(|(_, known)| *known == name);
        known.map(|(mood, _)| mood).with_context(|| format!("the provider has no mood `{name}`"))
    }
}

impl fmt::Display for Mood {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = MOODS.into_iter().find(|(mood, _)| mood == self);
        f.write_str(known.map_or("?", |(_, name)| name))
    }
}
