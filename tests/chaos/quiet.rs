//! Whether everything that was begun is finished.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use crate::client::{Ask, Client};
use crate::history::{History, Unanswered};
use crate::invariants::CHECKED;
use crate::provider::{self, Action};
use crate::system::{Database, System};

/// What is not quiet by then never is.
const WITHIN: Duration = Duration::from_secs(60);
/// Background work is tried again after a minute (S170): so long, and a look, waits what a killed process had taken.
const TRIED_AGAIN_WITHIN: Duration = Duration::from_secs(75);
/// After a storm of orders, whoever only passes news on may need longer: no money waits for them.
const NEWS_WITHIN: Duration = Duration::from_secs(240);
const LOOK_EVERY: Duration = Duration::from_millis(250);
const ASKING_AT_ONCE: usize = 8;

/// Waits until nothing is under way, once all faults are undone; the error names what still is.
///
/// Whoever was still to do something at the bank does not; reservations that nobody pays for run out.
pub(crate) async fn wait(system: &Arc<System>, history: &Arc<History>, seed: u64) -> Result<()> {
    provider::set_mood(system, None, seed).await?;
    system.wait_until_ready().await?;
    let begun = Instant::now();
    let finished = until_finished(system, "settling").await?;
    history.note(format!(
        "money settled after {:.1} s, everything after {:.1} s, at last {}",
        finished.money_after.as_secs_f64(),
        begun.elapsed().as_secs_f64(),
        finished.last
    ));
    if ask_again(system, history).await {
        until_finished(system, "answering").await?;
    }
    let begun = Instant::now();
    let mut orders = system.admin(Database::Orders).await?;
    sqlx::query(
        "UPDATE orders.reservations SET expires_at = now() - interval '1 second' WHERE state = 'held'",
    )
    .execute(&mut orders)
    .await?;
    until_finished(system, "expiring").await?;
    history.note(format!("reservations expired after {:.1} s", begun.elapsed().as_secs_f64()));
    Ok(())
}

/// How everything came to its end.
struct Finished {
    /// When no payment and no refund was left open.
    money_after: Duration,
    /// What was finished last.
    last: String,
}

async fn until_finished(system: &System, step: &str) -> Result<Finished> {
    let begun = Instant::now();
    let mut finished = Finished { money_after: Duration::ZERO, last: "nothing".to_owned() };
    loop {
        // Those whose payment begins only now, since somebody was asked what became of it, do not show up either.
        let sent_away = send_waiting_away(system).await;
        let busy = match sent_away.and(under_way(system, step).await) {
            Ok(busy) if busy.is_empty() => return Ok(finished),
            Ok(busy) => busy,
            // A server that has just come back may need a moment.
            Err(error) => vec![Busy { about: About::Money, within: WITHIN, what: format!("{error:#}") }],
        };
        let late: Vec<&str> =
            busy.iter().filter(|busy| begun.elapsed() > busy.within).map(|busy| busy.what.as_str()).collect();
        let after = begun.elapsed().as_secs();
        ensure!(late.is_empty(), "not quiet {after} s after all faults ({step}): {}", late.join("; "));
        if busy.iter().any(|busy| busy.about == About::Money) {
            finished.money_after = begun.elapsed() + LOOK_EVERY;
        }
        finished.last = busy.into_iter().map(|busy| busy.what).collect::<Vec<_>>().join("; ");
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Something that is not finished, and until when it may be.
struct Busy {
    about: About,
    within: Duration,
    what: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum About {
    /// Payments, refunds and reservations.
    Money,
    /// What others are told.
    News,
}

/// Whoever has heard nothing under a key asks again under it, and must be answered. Answers whether anybody did.
async fn ask_again(system: &Arc<System>, history: &Arc<History>) -> bool {
    let unanswered = std::mem::take(&mut history.lock().unanswered);
    let count = unanswered.len();
    let asking = unanswered.into_iter().map(|left| insist(left, system, history));
    stream::iter(asking).buffer_unordered(ASKING_AT_ONCE).collect::<()>().await;
    history.lock().unanswered.clear();
    if count > 0 {
        history.note(format!("{count} that had heard nothing final asked again"));
    }
    count > 0
}

async fn insist(left: Unanswered, system: &Arc<System>, history: &Arc<History>) {
    let mut client = Client::back(&left, system, history);
    let mut ask = Ask::post(left.kind, &left.path, left.body.clone());
    ask.method = left.method.clone();
    ask.key = Some(left.key.clone());
    let deadline = Instant::now() + TRIED_AGAIN_WITHIN;
    let mut reply = client.ask_surely(ask.clone()).await;
    while !reply.is_an_answer() && Instant::now() < deadline {
        reply = client.ask_surely(ask.clone()).await;
    }
    if !reply.is_an_answer() {
        let (kind, key, status) = (left.kind, &left.key, reply.status);
        history.violation(format!("{kind} under {key} is never answered: {status} {}", reply.code()));
    }
}

/// Whoever has not paid by Pix yet never does, and nobody shows up at the bank any more.
async fn send_waiting_away(system: &System) -> Result<()> {
    let mut orders = system.admin(Database::Orders).await?;
    let waiting: Vec<(String, String)> = sqlx::query_as(
        "SELECT provider_ref, method FROM orders.payments
          WHERE status = 'requires_action' AND provider_ref IS NOT NULL",
    )
    .fetch_all(&mut orders)
    .await?;
    for (intent, method) in waiting {
        let action = if method == "pix" { Action::ExpirePix } else { Action::Reject };
        provider::act_on_intent(system, &intent, action).await?;
    }
    Ok(())
}

async fn under_way(system: &System, step: &str) -> Result<Vec<Busy>> {
    let mut busy = Vec::new();
    let money = |what| Busy { about: About::Money, within: WITHIN, what };
    let news = |within, what| Busy { about: About::News, within, what };
    for database in CHECKED {
        let question =
            format!("SELECT count(*) FROM {}.outbox WHERE published_at IS NULL", database.schema());
        let pending: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(question))
            .fetch_one(&mut system.admin(database).await?)
            .await
            .context("an outbox")?;
        if pending > 0 {
            let what = format!("{pending} events of {} are not published", database.schema());
            busy.push(news(NEWS_WITHIN, what));
        }
    }
    let held = if step == "expiring" { "held" } else { "nothing" };
    let unsettled: Vec<(String, i64)> = sqlx::query_as(
        "SELECT what, count(*) FROM (
             SELECT 'payments that are ' || status AS what FROM orders.payments
              WHERE status IN ('created', 'processing', 'requires_action', 'requires_capture', 'unknown')
             UNION ALL SELECT 'refunds that are pending' FROM orders.refunds WHERE status = 'pending'
             UNION ALL SELECT 'reservations past their time' FROM orders.reservations WHERE state = $1) AS left_over
          GROUP BY what",
    )
    .bind(held)
    .fetch_all(&mut system.admin(Database::Orders).await?)
    .await
    .context("what is unsettled")?;
    busy.extend(unsettled.into_iter().map(|(what, count)| money(format!("{count} {what}"))));
    let unheard: i64 =
        sqlx::query_scalar("SELECT count(*) FROM orders.payment_events WHERE processed_at IS NULL")
            .fetch_one(&mut system.admin(Database::Orders).await?)
            .await
            .context("words of the provider")?;
    if unheard > 0 {
        let what = format!("{unheard} words of the provider not heard");
        busy.push(news(TRIED_AGAIN_WITHIN, what));
    }
    let mails: i64 =
        sqlx::query_scalar("SELECT count(*) FROM notifications.emails WHERE status IN ('queued', 'sending')")
            .fetch_one(&mut system.admin(Database::Notifications).await?)
            .await
            .context("mails")?;
    if mails > 0 {
        busy.push(news(NEWS_WITHIN, format!("{mails} mails are not sent")));
    }
    busy.extend(consumers_behind(system).await?.into_iter().map(|what| news(NEWS_WITHIN, what)));
    Ok(busy)
}

/// Durable consumers of the mutations that have something left.
async fn consumers_behind(system: &System) -> Result<Vec<String>> {
    let nats = async_nats::connect(system.nats_url()).await.context("NATS")?;
    let stream = async_nats::jetstream::new(nats)
        .get_stream(events::streams::MUTATIONS)
        .await
        .context("the stream")?;
    let mut consumers = stream.consumers();
    let mut behind = Vec::new();
    while let Some(consumer) = consumers.try_next().await.context("consumers")? {
        let left = consumer.num_pending + consumer.num_ack_pending as u64;
        if left > 0 && consumer.config.durable_name.is_some() {
            behind.push(format!("{} is {left} events behind", consumer.name));
        }
    }
    Ok(behind)
}
