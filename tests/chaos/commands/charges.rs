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

/// Users who buy by turns.
const USERS: usize = 5_000;

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
        buyers.spawn(Box::pin(buy(
            Arc::clone(&world),
            options.seed,
            index,
            options.users,
            Arc::clone(&left),
        )));
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

/// One checkout after the other, each by somebody else: users by turns, and guests who were never here.
async fn buy(world: Arc<World>, seed: u64, index: usize, users: usize, left: Arc<AtomicU64>) {
    let take_one = |left: u64| left.checked_sub(1);
    let mut number = index;
    while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take_one).is_ok() {
        let who = if number % 4 == 3 { Who::Guest(number) } else { Who::User(user(number)) };
        let client = Client::new(who, (seed << 32) + number as u64, &world.system, &world.history);
        let mut visitor =
            Visitor { world: Arc::clone(&world), client, orders: Vec::new(), unpaid: Vec::new() };
        let variant = world.variants[visitor.client.draw.usize(0..world.variants.len())];
        visitor.add(variant, 1).await;
        if let Some(order) = visitor.check_out().await {
            visitor.pay(order).await;
        }
        // What was declined is tried once more. An order that is not settled yet is left to the recovery.
        for order in std::mem::take(&mut visitor.unpaid) {
            visitor.pay_by_card(order, "pm_card_visa").await;
        }
        number += users;
    }
}

/// One of the thousands who have an account; `number` is that of the checkout.
fn user(number: usize) -> i64 {
    i64::try_from(number % USERS).expect("a small number") + 2
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
