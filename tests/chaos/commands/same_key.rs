//! Must show: a thousand simultaneous requests with one key have one effect, and everybody hears the same bytes,
//! also after the cache is empty and the processes are new.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::replay;
use crate::client::{Ask, Client, Reply, Who};
use crate::load::{Visitor, World};
use crate::plan::Target;
use crate::report;
use crate::session::Session;
use crate::system::{Database, Part};

const BUYER: i64 = 77;

#[derive(Debug, Args)]
pub(crate) struct Options {
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Requests at once
    #[arg(long, default_value_t = 1_000)]
    requests: u64,
}

/// Answers the number of violations.
pub(crate) async fn run(options: &Options) -> Result<usize> {
    let session = Session::start("same-key").await?;
    let world = World::look(&session.system, &session.history).await?;
    let client = Client::new(Who::User(BUYER), options.seed, &session.system, &session.history);
    let mut buyer = Visitor { world: Arc::clone(&world), client, orders: Vec::new(), unpaid: Vec::new() };
    let mut violations = Vec::new();

    let adding = json!({ "variant_id": world.variants[1].id, "quantity": 1 });
    let added =
        storm(&session, options, "cart_add", "/api/v1/cart/items", &adding, 201, &mut violations).await?;
    let checkout = buyer.checkout_body().await.context("no cart to check out")?;
    let placed =
        storm(&session, options, "checkout", "/api/v1/checkout", &checkout, 201, &mut violations).await?;
    let order = placed.json["data"]["checkout"]["order_id"].as_i64().context("no order")?;
    let payments = format!("/api/v1/checkout/{order}/payments");
    let paying = json!({ "method": "card", "payment_method": "pm_card_visa" });
    let paid = storm(&session, options, "pay", &payments, &paying, 200, &mut violations).await?;

    forget(&session).await?;
    for (kind, path, body, first) in [
        ("cart_add", "/api/v1/cart/items", &adding, &added),
        ("checkout", "/api/v1/checkout", &checkout, &placed),
        ("pay", payments.as_str(), &paying, &paid),
    ] {
        let mut ask = Ask::post(kind, path, body.clone());
        ask.key = Some(key(kind));
        let again = buyer.client.ask_surely(ask).await;
        if again.body != first.body {
            let said = String::from_utf8_lossy(&again.body).into_owned();
            violations
                .push(format!("{kind} after new processes and an empty cache: {} {said}", again.status));
        }
    }
    let (orders, units): (i64, i64) = sqlx::query_as(
        "SELECT (SELECT count(*) FROM orders.orders WHERE user_id = $1),
                (SELECT coalesce(sum(quantity), 0) FROM orders.order_items WHERE user_id = $1)::bigint",
    )
    .bind(BUYER)
    .fetch_one(&mut session.system.admin(Database::Orders).await?)
    .await?;
    if (orders, units) != (1, 1) {
        violations.push(format!("{orders} orders of {units} units instead of one of one"));
    }
    for violation in &violations {
        session.history.violation(violation);
    }
    let again = replay(&format!("same-key --seed {} --requests {}", options.seed, options.requests));
    Ok(session.judge(options.seed, &again).await?.len())
}

fn key(kind: &str) -> String {
    format!("same-key-{kind}")
}

/// All of them at once, through both gateways; then once more, for the answer.
async fn storm(
    session: &Session,
    options: &Options,
    kind: &'static str,
    path: &str,
    body: &Value,
    success: u16,
    violations: &mut Vec<String>,
) -> Result<Reply> {
    let mut asking = JoinSet::new();
    for index in 0..options.requests {
        let mut client =
            Client::new(Who::User(BUYER), options.seed + index, &session.system, &session.history);
        let (path, body) = (path.to_owned(), body.clone());
        asking.spawn(async move {
            let mut ask = Ask::post(kind, &path, body);
            ask.key = Some(key(kind));
            client.ask(&ask).await
        });
    }
    let mut replies = Vec::new();
    while let Some(reply) = asking.join_next().await {
        replies.push(reply.context("a request was lost")?);
    }
    let mut client = Client::new(Who::User(BUYER), options.seed, &session.system, &session.history);
    let mut ask = Ask::post(kind, path, body.clone());
    ask.key = Some(key(kind));
    let last = client.ask_surely(ask).await;
    ensure!(last.status == success, "{kind}: {} {}", last.status, String::from_utf8_lossy(&last.body));
    let mut counts: BTreeMap<(u16, String), usize> = BTreeMap::new();
    for reply in &replies {
        *counts.entry((reply.status, reply.code().to_owned())).or_default() += 1;
        let is_busy =
            reply.code() == "idempotency_in_flight" || matches!(reply.status, 0 | 202 | 429 | 503 | 504);
        if reply.status == success && reply.body != last.body {
            violations.push(format!("{kind}: a replay differs: {}", String::from_utf8_lossy(&reply.body)));
        } else if reply.status != success && !is_busy {
            violations.push(format!("{kind}: {} {}", reply.status, String::from_utf8_lossy(&reply.body)));
        }
    }
    let counts: Vec<String> =
        counts.into_iter().map(|((status, code), count)| format!("{count}x {status} {code}")).collect();
    report::say(&format!("{kind}: {} at once: {}", options.requests, counts.join(", ")));
    Ok(last)
}

/// Nothing is left in memory: an empty cache, new processes.
async fn forget(session: &Session) -> Result<()> {
    let redis = redis::Client::open(session.system.redis_url())?;
    let mut connection = redis.get_multiplexed_async_connection().await.context("Redis")?;
    redis::cmd("FLUSHALL").exec_async(&mut connection).await.context("flushing Redis")?;
    for part in [Part::Orders, Part::Gateway0, Part::Gateway1] {
        session.system.kill(Target::Part(part)).await?;
        session.system.bring_back(Target::Part(part), None).await?;
    }
    session.system.wait_until_ready().await
}
