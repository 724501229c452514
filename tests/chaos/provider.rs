//! The payment provider's other side: how it behaves, what people do there, and what it knows of the money.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};

use crate::plan::Mood;
use crate::system::{Database, System};

const PATIENCE: Duration = Duration::from_secs(10);
/// Of a thousand payments each.
const PAGES_MAX: usize = 1_000;

/// What a person does at the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    PayPix,
    ExpirePix,
    /// The holder of a card says so to their bank.
    Approve,
    /// Or says no.
    Reject,
}

/// A movement of money, as the provider's own books have it.
#[derive(Debug, Clone)]
pub(crate) struct Movement {
    /// The payment intent that it belongs to.
    pub(crate) charge: String,
    pub(crate) order: i64,
    /// capture or refund; hold for money that was authorized, and is neither taken nor released.
    pub(crate) kind: &'static str,
    pub(crate) amount: i64,
}

/// Makes it behave; `None` makes it behave well.
pub(crate) async fn set_mood(system: &System, mood: Option<Mood>, seed: u64) -> Result<()> {
    let body = match mood {
        None => json!({ "seed": seed }),
        Some(Mood::Lossy) => json!({
            "seed": seed,
            "faults": { "after_effect_before_answer": 0.2 },
            "webhooks": { "copies": 3, "reorder_within_ms": 1500, "drop_rate": 0.1 },
        }),
        Some(Mood::Slow) => {
            json!({ "seed": seed, "latency": { "kind": "distribution", "p50_ms": 300, "p95_ms": 1200 } })
        }
        Some(Mood::Failing) => {
            json!({ "seed": seed, "faults": { "before_effect": 0.2, "reset_connection": 0.1 } })
        }
        Some(Mood::Hanging) => json!({ "seed": seed, "latency": { "kind": "hang" } }),
        Some(Mood::Declining) => json!({ "seed": seed, "decline_rate": 0.33 }),
        Some(Mood::Lying) => json!({
            "seed": seed,
            "webhooks": {
                "copies": 2, "wrong_signature_rate": 0.3, "wrong_metadata_rate": 0.2, "wrong_amount_rate": 0.2,
            },
        }),
    };
    configure(system, &body).await
}

/// Sets all of its knobs.
pub(crate) async fn configure(system: &System, knobs: &Value) -> Result<()> {
    let answer =
        http()?.put(url(system, "config")).json(knobs).send().await.context("the provider is away")?;
    let status = answer.status();
    ensure!(status.is_success(), "the provider refuses {knobs}: {status} {}", answer.text().await?);
    Ok(())
}

/// Does something with the latest payment of an order. A provider that is away right now has seen nobody.
pub(crate) async fn act(system: &System, order: i64, action: Action) {
    // What fails here leaves a payment that waits for somebody; the end of the run settles it.
    let _left = try_to_act(system, order, action).await;
}

async fn try_to_act(system: &System, order: i64, action: Action) -> Result<()> {
    let intent: Option<String> = sqlx::query_scalar(
        "SELECT provider_ref FROM orders.payments WHERE order_id = $1 ORDER BY attempt DESC LIMIT 1",
    )
    .bind(order)
    .fetch_one(&mut system.admin(Database::Orders).await?)
    .await?;
    act_on_intent(system, &intent.context("not known to the provider yet")?, action).await
}

/// Does something with a payment.
pub(crate) async fn act_on_intent(system: &System, intent: &str, action: Action) -> Result<()> {
    let path = match action {
        Action::PayPix => format!("pix/{intent}/pay"),
        Action::ExpirePix => format!("pix/{intent}/expire"),
        Action::Approve => format!("3ds/{intent}/approve"),
        Action::Reject => format!("3ds/{intent}/fail"),
    };
    http()?.post(url(system, &path)).send().await.context("the provider is away")?;
    Ok(())
}

/// Everything that was ever moved.
pub(crate) async fn ledger(system: &System) -> Result<Vec<Movement>> {
    let http = http()?;
    let mut movements = Vec::new();
    let mut after = 0;
    for _ in 0..PAGES_MAX {
        let url = format!("{}?after={after}", url(system, "ledger"));
        let page: Value = http.get(url).send().await.context("the provider is away")?.json().await?;
        for (list, kind) in [("captures", "capture"), ("refunds", "refund"), ("charges", "hold")] {
            for movement in page[list].as_array().with_context(|| format!("no {list} in {page}"))? {
                movements.extend(Movement::read(movement, kind)?);
            }
        }
        match page["next"].as_u64() {
            Some(next) => after = next,
            None => return Ok(movements),
        }
    }
    bail!("the provider's ledger has no end")
}

impl Movement {
    /// None when it failed or was called off: nothing was moved, nothing is held.
    fn read(movement: &Value, kind: &'static str) -> Result<Option<Self>> {
        let status = movement["status"].as_str();
        let is_none = match kind {
            "hold" => status != Some("authorized"),
            _ => matches!(status, Some("failed" | "canceled")),
        };
        if is_none {
            return Ok(None);
        }
        let order = &movement["order_id"];
        let order = order.as_i64().or_else(|| order.as_str()?.parse().ok());
        Ok(Some(Self {
            charge: movement["payment_intent"].as_str().unwrap_or_default().to_owned(),
            // Money without an order is a violation, not an error.
            order: order.unwrap_or_default(),
            kind,
            amount: movement["amount"].as_i64().context("a movement without an amount")?,
        }))
    }
}

fn http() -> Result<reqwest::Client> {
    reqwest::Client::builder().timeout(PATIENCE).build().context("no client")
}

fn url(system: &System, path: &str) -> String {
    format!("http://{}/__sandbox/{path}", system.provider)
}
