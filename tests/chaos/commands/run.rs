//! A mixed load under a plan of faults, then the invariants.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use clap::Args;

use super::replay;
use crate::plan::Plan;
use crate::session::Session;
use crate::{faults, load, report};

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Decides what visitors do, and the plan when none is given
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Such as `2s kill orders 0s; 4s stop redis 3s`; drawn from the seed when absent, `none` for no faults
    #[arg(long)]
    pub(crate) plan: Option<String>,
    /// Length of the load
    #[arg(long, default_value_t = 30)]
    pub(crate) secs: u64,
    /// Visitors at once
    #[arg(long, default_value_t = 24)]
    pub(crate) users: usize,
}

impl Options {
    /// The plan, given or drawn.
    pub(crate) fn plan(&self) -> Result<Plan> {
        match self.plan.as_deref() {
            None => Ok(Plan::draw(self.seed, Duration::from_secs(self.secs))),
            Some("none") => Ok(Plan::default()),
            Some(text) => text.parse(),
        }
    }
}

/// Answers the number of violations.
pub(crate) async fn run(options: &Options) -> Result<usize> {
    let plan = options.plan()?;
    let session = Session::start(&format!("run-{}", options.seed)).await?;
    phase(&session, options, &plan).await
}

/// One load, its faults and its verdict on a system that may have seen others.
pub(crate) async fn phase(session: &Session, options: &Options, plan: &Plan) -> Result<usize> {
    report::say(&format!(
        "seed {}, {} s, {} visitors\nplan: {plan}",
        options.seed, options.secs, options.users
    ));
    let world = load::World::look(&session.system, &session.history).await?;
    let visitors = {
        let (world, seed, users) = (Arc::clone(&world), options.seed, options.users);
        tokio::spawn(async move { load::run(&world, seed, users).await })
    };
    let carried_out = faults::carry_out(plan, &session.system, &session.history, options.seed);
    let (carried_out, ()) = tokio::join!(carried_out, tokio::time::sleep(Duration::from_secs(options.secs)));
    session.history.note("all faults are over");
    world.end();
    visitors.await??;
    carried_out?;
    let again = replay(&format!(
        "run --seed {} --plan \"{}\" --secs {} --users {}",
        options.seed,
        if plan.0.is_empty() { "none".to_owned() } else { plan.to_string() },
        options.secs,
        options.users
    ));
    Ok(session.judge(options.seed, &again).await?.len())
}
