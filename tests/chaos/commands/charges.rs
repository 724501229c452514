//! Must show: whatever becomes of answers and webhooks, an order that is paid was charged once, and no other was.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use clap::Args;
use tokio::task::JoinSet;

use super::replay;
use super::sweep::points;
use crate::client::{Client, Who};
use crate::load::{Visitor, World};
use crate::plan::{Mood, Target};
use crate::session::Session;
use crate::system::{Database, Part};
use crate::{provider, report};

/// How long `orders` runs with a point armed: until it died there and bought on for a while.
const ARMED: Duration = Duration::from_secs(8);

#[derive(Debug, Args)]
pub(crate) struct Options {
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Checkouts in all
    #[arg(long, default_value_t = 10_000)]
    checkouts: u64,
    /// Buyers at once
    #[arg(long, default_value_t = 24)]
    users: usize,
    /// Leave the processes alone
    #[arg(long)]
    no_kills: bool,
}

/// Answers the number of violations.
pub(crate) async fn run(options: &Options) -> Result<usize> {
    let session = Session::start("charges").await?;
    let world = World::look(&session.system, &session.history).await?;
    // Enough for everybody: here it is about money.
    sqlx::query("UPDATE orders.stock_levels SET on_hand = 1000000")
        .execute(&mut session.system.admin(Database::Orders).await?)
        .await?;
    crate::invariants::remember_stock(&mut session.system.admin(Database::Orders).await?).await?;
    provider::set_mood(&session.system, Some(Mood::Lossy), options.seed).await?;
    let left = Arc::new(AtomicU64::new(options.checkouts));
    let begun = Instant::now();
    let mut buyers = JoinSet::new();
    for index in 0..options.users {
        let who = if index % 4 == 3 {
            Who::Guest(index)
        } else {
            Who::User(i64::try_from(index).context("too many")? + 2)
        };
        let client = Client::new(who, options.seed * 1_000 + index as u64, &session.system, &session.history);
        let visitor = Visitor { world: Arc::clone(&world), client, orders: Vec::new(), unpaid: Vec::new() };
        buyers.spawn(Box::pin(buy(visitor, Arc::clone(&left))));
    }
    if !options.no_kills {
        kill_at_every_failpoint(&session, &left).await?;
    }
    while let Some(buyer) = buyers.join_next().await {
        buyer.context("a buyer was lost")?;
    }
    let took = begun.elapsed();
    let kills = if options.no_kills { " --no-kills" } else { "" };
    let again = replay(&format!(
        "charges --seed {} --checkouts {} --users {}{kills}",
        options.seed, options.checkouts, options.users
    ));
    let settling = Instant::now();
    let violations = session.judge(options.seed, &again).await?.len();
    let (orders, paid): (i64, i64) = sqlx::query_as(
        "SELECT count(*), count(*) FILTER (WHERE status IN ('paid', 'processing')) FROM orders.orders",
    )
    .fetch_one(&mut session.system.admin(Database::Orders).await?)
    .await?;
    let movements = provider::ledger(&session.system).await?;
    let captures = movements.iter().filter(|movement| movement.kind == "capture").count();
    if !options.no_kills {
        let log = session.system.log(Part::Orders);
        let points = points::of(Part::Orders);
        let (died, lived): (Vec<_>, Vec<_>) =
            points.into_iter().partition(|point| log.contains(&format!("ABORT {point}")));
        report::say(&format!("orders died at {} points; nobody came to: {}", died.len(), lived.join(", ")));
    }
    report::say(&format!(
        "{} checkouts by {} buyers in {:.1} s: {orders} orders, {paid} paid, {captures} captures and {} refunds at the provider; \
         judged {:.1} s after the end",
        options.checkouts,
        options.users,
        took.as_secs_f64(),
        movements.len() - captures,
        settling.elapsed().as_secs_f64()
    ));
    Ok(violations)
}

async fn buy(mut visitor: Visitor, left: Arc<AtomicU64>) {
    let take_one = |left: u64| left.checked_sub(1);
    while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take_one).is_ok() {
        let variant = visitor.world.variants[visitor.client.draw.usize(0..visitor.world.variants.len())];
        visitor.add(variant, 1).await;
        if let Some(order) = visitor.check_out().await {
            visitor.pay(order).await;
        }
        // An order that is not settled yet is left to the recovery; a few more of them and nobody may order.
        for order in std::mem::take(&mut visitor.unpaid) {
            visitor.pay_by_card(order, "pm_card_visa").await;
        }
        visitor.orders.clear();
    }
}

/// Kills `orders` at each of its failpoints in turn, until nobody buys any more.
async fn kill_at_every_failpoint(session: &Session, left: &AtomicU64) -> Result<()> {
    let points = points::of(Part::Orders);
    for point in points.iter().cycle() {
        if left.load(Ordering::Relaxed) == 0 {
            break;
        }
        session.history.note(format!("kill orders at {point}"));
        session.system.kill(Target::Part(Part::Orders)).await?;
        session.system.bring_back(Target::Part(Part::Orders), Some(&format!("{point}=abort*1"))).await?;
        tokio::time::sleep(ARMED).await;
    }
    session.system.kill(Target::Part(Part::Orders)).await?;
    session.system.bring_back(Target::Part(Part::Orders), None).await
}
