//! Must show: many buyers, one variant of which there are not enough, and exactly as many sold as there were.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use serde_json::Value;
use tokio::task::JoinSet;

use super::replay;
use crate::client::{Ask, Client, Who};
use crate::load::{Variant, Visitor, World};
use crate::plan::Target;
use crate::session::Session;
use crate::system::{Database, Part, Server};
use crate::{invariants, report};

/// An order that is still without its money then has been lost.
const PAID_WITHIN: Duration = Duration::from_secs(60);

#[derive(Debug, Args)]
pub(crate) struct Options {
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Buyers at once
    #[arg(long, default_value_t = 64)]
    clients: usize,
    /// Units that there are
    #[arg(long, default_value_t = 500)]
    stock: i32,
    /// Checkouts that are tried
    #[arg(long, default_value_t = 10_000)]
    attempts: u64,
    /// How often `orders` is killed meanwhile; then Redis and NATS are restarted too
    #[arg(long, default_value_t = 0)]
    kills: u64,
}

/// What all buyers count together.
#[derive(Debug, Default)]
struct Counts {
    tried: AtomicU64,
    placed: AtomicU64,
    paid: AtomicU64,
    sold_out: AtomicU64,
}

/// Answers the number of violations.
pub(crate) async fn run(options: &Options) -> Result<usize> {
    let session = Session::start("oversell").await?;
    let world = World::look(&session.system, &session.history).await?;
    let variant = world.variants[0];
    let mut orders = session.system.admin(Database::Orders).await?;
    sqlx::query("UPDATE orders.stock_levels SET on_hand = $2 WHERE variant_id = $1")
        .bind(variant.id)
        .bind(options.stock)
        .execute(&mut orders)
        .await?;
    invariants::remember_stock(&mut orders).await?;
    let counts = Arc::new(Counts::default());
    let begun = Instant::now();
    let mut buyers = JoinSet::new();
    for index in 0..options.clients {
        let who = Who::User(i64::try_from(index).context("too many")? + 2);
        let client = Client::new(who, options.seed * 1_000 + index as u64, &session.system, &session.history);
        let visitor = Visitor { world: Arc::clone(&world), client, orders: Vec::new(), unpaid: Vec::new() };
        buyers.spawn(Box::pin(buy(visitor, variant, Arc::clone(&counts), options.attempts)));
    }
    break_things(options, &session, &counts).await?;
    while let Some(buyer) = buyers.join_next().await {
        buyer.context("a buyer was lost")??;
    }
    let took = begun.elapsed();
    let again = replay(&format!(
        "oversell --seed {} --clients {} --stock {} --attempts {} --kills {}",
        options.seed, options.clients, options.stock, options.attempts, options.kills
    ));
    let mut violations = session.judge(options.seed, &again).await?.len();
    let (on_hand, reserved, committed): (i32, i32, i64) = sqlx::query_as(
        "SELECT on_hand, reserved, (SELECT coalesce(sum(quantity), 0) FROM orders.reservations r
                                     WHERE r.variant_id = s.variant_id AND state = 'committed')
           FROM orders.stock_levels s WHERE variant_id = $1",
    )
    .bind(variant.id)
    .fetch_one(&mut session.system.admin(Database::Orders).await?)
    .await?;
    let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
    report::say(&format!(
        "{} clients, {} units, {} attempts, {} kills: {} placed, {} paid, {} refused as sold out, in {:.1} s; \
         sold {committed}, on hand {on_hand}, reserved {reserved}",
        options.clients,
        options.stock,
        read(&counts.tried),
        options.kills,
        read(&counts.placed),
        read(&counts.paid),
        read(&counts.sold_out),
        took.as_secs_f64()
    ));
    let is_enough = options.attempts > 2 * u64::try_from(options.stock).unwrap_or_default();
    if committed > i64::from(options.stock)
        || (is_enough && (committed, on_hand, reserved) != (i64::from(options.stock), 0, 0))
    {
        report::say(&format!("VIOLATION: not exactly {} sold", options.stock));
        violations += 1;
    }
    Ok(violations)
}

async fn buy(mut visitor: Visitor, variant: Variant, counts: Arc<Counts>, attempts: u64) -> Result<()> {
    let mut ready: Option<Value> = None;
    while counts.tried.fetch_add(1, Ordering::Relaxed) < attempts {
        if ready.is_none() {
            visitor.add(variant, 1).await;
            ready = visitor.checkout_body().await;
        }
        let Some(body) = ready.clone() else { continue };
        let asked = Ask::post("checkout", "/api/v1/checkout", body);
        let reply = visitor.client.ask_surely(asked).await;
        match (reply.json["data"]["checkout"]["order_id"].as_i64(), reply.code()) {
            (Some(order), _) => {
                counts.placed.fetch_add(1, Ordering::Relaxed);
                ready = None;
                insist(&mut visitor, order).await;
                counts.paid.fetch_add(1, Ordering::Relaxed);
            }
            (None, "out_of_stock") => {
                counts.sold_out.fetch_add(1, Ordering::Relaxed);
            }
            // The cart is not as it was, or nobody knows.
            (None, _) => ready = None,
        }
    }
    counts.tried.fetch_sub(1, Ordering::Relaxed);
    // What was placed without an answer is the buyer's too.
    for order in unpaid_orders(&visitor).await? {
        insist(&mut visitor, order).await;
        counts.paid.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

/// Pays until the order is paid.
async fn insist(visitor: &mut Visitor, order: i64) {
    let deadline = Instant::now() + PAID_WITHIN;
    while Instant::now() < deadline {
        let reply = visitor.pay_by_card(order, "pm_card_visa").await;
        if reply.status == 200 {
            return;
        }
        let path = format!("/api/v1/orders/{order}");
        let seen = visitor.client.ask(&Ask::get("order", &path)).await;
        match seen.json["data"]["order"]["status"].as_str() {
            Some("paid") => return,
            Some("pending_payment" | "payment_failed") | None => {}
            Some(other) => {
                visitor.client.history.violation(format!("order {order} is {other} instead of paid"));
                return;
            }
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    visitor.client.history.violation(format!("order {order} is not paid after {PAID_WITHIN:?}"));
}

/// Their owner may have heard nothing of them.
async fn unpaid_orders(visitor: &Visitor) -> Result<Vec<i64>> {
    let Who::User(user) = visitor.client.who else { return Ok(Vec::new()) };
    let mut orders = visitor.client.system().admin(Database::Orders).await?;
    sqlx::query_scalar(
        "SELECT id FROM orders.orders WHERE user_id = $1 AND status IN ('pending_payment', 'payment_failed')",
    )
    .bind(user)
    .fetch_all(&mut orders)
    .await
    .context("unpaid orders")
}

/// Kills by the number of attempts, so that they fall between them whatever the machine's speed.
async fn break_things(options: &Options, session: &Session, counts: &Counts) -> Result<()> {
    ensure!(options.kills < options.attempts, "there are more kills than attempts");
    for kill in 0..options.kills {
        let due = options.attempts * (kill + 1) / (options.kills + 1);
        while counts.tried.load(Ordering::Relaxed) < due {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let mut targets = vec![Target::Part(Part::Orders)];
        match kill % 4 {
            1 => targets.push(Target::Server(Server::Redis)),
            3 => targets.push(Target::Server(Server::Nats)),
            _ => {}
        }
        for target in targets {
            session.history.note(format!("kill {target}"));
            session.system.kill(target).await?;
            session.system.bring_back(target, None).await?;
        }
    }
    Ok(())
}
