//! Carries a plan out: every step begins when it is due and is undone when its time is over.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use crate::history::History;
use crate::plan::{Fault, Plan, Step, Target};
use crate::provider;
use crate::system::{Part, System};

/// Between two kills of a storm.
const GUST_MS: std::ops::Range<u64> = 200..800;
/// One that is not undone by itself, such as a half-finished restart, is undone by force.
const UNDO_WITHIN: Duration = Duration::from_secs(30);

/// Answers when every step is over and undone.
pub(crate) async fn carry_out(
    plan: &Plan,
    system: &Arc<System>,
    history: &Arc<History>,
    seed: u64,
) -> Result<()> {
    let begun = Instant::now();
    let mut steps = JoinSet::new();
    for step in plan.0.clone() {
        let (system, history) = (Arc::clone(system), Arc::clone(history));
        steps.spawn(async move {
            sleep_until(begun + step.at).await;
            history.note(step.to_string());
            one(&step, &system, seed).await.with_context(|| step.to_string())
        });
    }
    let mut outcome = Ok(());
    while let Some(step) = steps.join_next().await {
        // The others go on: half a plan leaves a broken network.
        outcome = outcome.and(step.context("a step was lost")?);
    }
    outcome
}

async fn one(step: &Step, system: &System, seed: u64) -> Result<()> {
    match &step.fault {
        Fault::Kill(whom) => {
            system.kill(*whom).await?;
            sleep(step.lasting).await;
            undo(system.bring_back(*whom, None)).await
        }
        Fault::Stop(whom) => {
            system.stop(*whom).await?;
            sleep(step.lasting).await;
            undo(system.go_on(*whom)).await
        }
        Fault::Link(link, ailment) => {
            system.spoil(link, *ailment);
            sleep(step.lasting).await;
            system.heal(link);
            Ok(())
        }
        Fault::Arm(part, points) => {
            system.kill(Target::Part(*part)).await?;
            system.bring_back(Target::Part(*part), Some(points)).await?;
            sleep(step.lasting).await;
            system.kill(Target::Part(*part)).await?;
            undo(system.bring_back(Target::Part(*part), None)).await
        }
        Fault::Storm(seed) => storm(*seed, step.lasting, system).await,
        Fault::Provider(mood) => {
            // One that is away now is not in this mood.
            let _away = provider::set_mood(system, Some(*mood), seed).await;
            sleep(step.lasting).await;
            let _away = provider::set_mood(system, None, seed).await;
            Ok(())
        }
    }
}

async fn undo(undoing: impl Future<Output = Result<()>>) -> Result<()> {
    tokio::time::timeout(UNDO_WITHIN, undoing).await.context("it does not come back")?
}

async fn storm(seed: u64, lasting: Duration, system: &System) -> Result<()> {
    let mut draw = fastrand::Rng::with_seed(seed);
    let end = Instant::now() + lasting;
    while Instant::now() < end {
        let part = Target::Part(Part::ALL[draw.usize(0..Part::ALL.len())]);
        system.kill(part).await?;
        system.bring_back(part, None).await?;
        sleep(Duration::from_millis(draw.u64(GUST_MS))).await;
    }
    Ok(())
}
