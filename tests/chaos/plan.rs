//! What goes wrong when, as a text that can be read, printed and run again.
//!
//! `2s kill orders; 4s stop redis 3s; 6s cut orders>provider 2s`: each step says when it begins, what happens and,
//! at the end, how long it lasts. Steps run beside each other.

mod draw;
mod fault;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

pub(crate) use fault::{Ailment, Fault, Mood, Target};

/// Steps by the time they begin.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Plan(pub(crate) Vec<Step>);

/// One thing that goes wrong for a while.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Step {
    /// Since the run began.
    pub(crate) at: Duration,
    pub(crate) fault: Fault,
    /// Afterwards it is undone.
    pub(crate) lasting: Duration,
}

impl Plan {
    /// A plan of `length`, the same for the same seed.
    pub(crate) fn draw(seed: u64, length: Duration) -> Self {
        draw::plan(seed, length)
    }
}

impl FromStr for Plan {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let steps = text.split(';').map(str::trim).filter(|step| !step.is_empty());
        let mut steps: Vec<Step> = steps.map(str::parse).collect::<Result<_>>()?;
        steps.sort_by_key(|step| step.at);
        Ok(Self(steps))
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, step) in self.0.iter().enumerate() {
            write!(f, "{}{step}", if index == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}

impl FromStr for Step {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let step = || format!("`{text}` is no step of a plan");
        let words: Vec<&str> = text.split_whitespace().collect();
        let [at, what @ .., lasting] = words.as_slice() else { bail!(step()) };
        Ok(Self {
            at: duration(at).with_context(step)?,
            fault: Fault::parse(what).with_context(step)?,
            lasting: duration(lasting).with_context(step)?,
        })
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", Told(self.at), self.fault, Told(self.lasting))
    }
}

/// `2s` or `1500ms`.
pub(crate) fn duration(text: &str) -> Result<Duration> {
    let parsed = match (text.strip_suffix("ms"), text.strip_suffix('s')) {
        (Some(ms), _) => ms.parse().map(Duration::from_millis),
        (None, Some(s)) => s.parse().map(Duration::from_secs),
        (None, None) => bail!("`{text}` is not a time such as 2s or 300ms"),
    };
    parsed.with_context(|| format!("`{text}` is not a time such as 2s or 300ms"))
}

/// A duration as [`duration`] reads it.
pub(crate) struct Told(pub(crate) Duration);

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_millis() {
            ms if ms % 1_000 == 0 => write!(f, "{}s", ms / 1_000),
            ms => write!(f, "{ms}ms"),
        }
    }
}

/// What the self-test asks of plans.
pub(crate) fn check() -> Result<()> {
    let text = "500ms kill orders 0s; 2s stop redis 3s; 3s cut orders>provider 2s; \
                3s latency gateway>orders 200ms 50ms 5s; 4s reset orders>postgres 1 1500ms; \
                4s arm orders ck.after_reserve=abort*1 4s; 5s storm 7 6s; 6s provider lossy 10s; \
                7s bandwidth gateway>catalog 65536 2s; 8s hold-answers orders>nats 2s; 9s stop postgres 1s";
    let plan: Plan = text.parse()?;
    anyhow::ensure!(plan.to_string() == text, "a plan reads back as {plan}");
    for wrong in
        ["kill orders 1s", "2s kill nobody 1s", "2s kill orders", "2s cut orders 1s", "2s arm orders 1s", "x"]
    {
        anyhow::ensure!(wrong.parse::<Plan>().is_err(), "`{wrong}` is taken for a plan");
    }
    for seed in 0..200 {
        let drawn = Plan::draw(seed, Duration::from_secs(30));
        anyhow::ensure!(drawn == Plan::draw(seed, Duration::from_secs(30)), "seed {seed} draws two plans");
        anyhow::ensure!(!drawn.0.is_empty(), "seed {seed} draws nothing");
        anyhow::ensure!(
            drawn.to_string().parse::<Plan>()? == drawn,
            "seed {seed} does not read back: {drawn}"
        );
        let end = drawn.0.iter().map(|step| step.at + step.lasting).max().unwrap_or_default();
        anyhow::ensure!(end <= Duration::from_secs(30), "seed {seed} is not over in time: {drawn}");
    }
    Ok(())
}
