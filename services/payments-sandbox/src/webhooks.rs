//! What happens by itself: events are sent, a Pix expires, a refund arrives.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::sandbox::{Sandbox, now_ms};
use crate::signature;
use crate::world::{Delivery, Sending};

/// Sendings under way at once.
const SENDINGS_MAX: usize = 64;
/// What the receiver may take.
const DEADLINE: Duration = Duration::from_secs(5);
/// Nothing is looked at more rarely.
const TICK_MAX_MS: i64 = 1000;

/// Where events are sent, and what they are signed with.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) url: String,
    pub(crate) secret: String,
}

/// Goes on until `stop`; what was not sent by then stays in the state file.
pub(crate) async fn run(
    sandbox: Sandbox,
    target: Option<Target>,
    client: reqwest::Client,
    stop: CancellationToken,
) {
    let mut sendings = JoinSet::new();
    loop {
        let now = now_ms();
        sandbox.pass_time(now);
        while sendings.len() < SENDINGS_MAX {
            let Some(message) = next_message(&sandbox, target.as_ref(), now) else { break };
            let (sandbox, client) = (sandbox.clone(), client.clone());
            sendings.spawn(async move {
                let delivered = message.send(&client).await;
                settle(&sandbox, message.delivery, delivered);
            });
        }
        let next = sandbox.world().next_due_ms().unwrap_or(i64::MAX);
        let wait_ms = next.saturating_sub(now_ms()).clamp(1, TICK_MAX_MS);
        let room = sendings.len() < SENDINGS_MAX;
        tokio::select! {
            () = stop.cancelled() => break,
            () = sandbox.woken(), if room => {}
            Some(_ended) = sendings.join_next() => {}
            () = tokio::time::sleep(Duration::from_millis(wait_ms.unsigned_abs())), if room => {}
        }
    }
    sendings.shutdown().await;
}

/// One request to be made.
struct Message {
    delivery: Delivery,
    url: String,
    signature: String,
    body: String,
}

impl Message {
    async fn send(&self, client: &reqwest::Client) -> bool {
        let request = client
            .post(&self.url)
            .timeout(DEADLINE)
            .header("Content-Type", "application/json; charset=utf-8")
            .header("Stripe-Signature", &self.signature)
            .body(self.body.clone());
        match request.send().await {
            Ok(response) => response.status().is_success(),
            Err(error) => {
                tracing::debug!(error = %error.without_url(), "an event could not be sent");
                false
            }
        }
    }
}

/// The next copy whose time has come, written and signed.
fn next_message(sandbox: &Sandbox, target: Option<&Target>, now_ms: i64) -> Option<Message> {
    let mut world = sandbox.world();
    loop {
        let delivery = world.deliveries.take(now_ms)?;
        let Some(event) = world.events.get(delivery.event) else { continue };
        let (mut json, subject) = (event.json(), format!("{} {}", event.kind, event.subject));
        let Some(target) = target else {
            world.delivered(delivery.event);
            world.save();
            continue;
        };
        let knobs = world.knobs.clone();
        let forged =
            world.chance.draws(knobs.seed, "sign", &subject).f64() < knobs.webhooks.wrong_signature_rate;
        alter(&mut json["data"]["object"], delivery.sending);
        let body = json.to_string();
        let secret = if forged { "whsec_somebody_else" } else { &target.secret };
        let signature = signature::header(secret, now_ms.div_euclid(1000), body.as_bytes());
        return Some(Message { delivery, url: target.url.clone(), signature, body });
    }
}

/// Tells something that did not happen.
fn alter(object: &mut Value, sending: Sending) {
    match sending {
        Sending::Truth => {}
        Sending::OtherOrder => {
            let order: i64 =
                object["metadata"]["order_id"].as_str().and_then(|id| id.parse().ok()).unwrap_or(0);
            object["metadata"]["order_id"] = json!((order + 1).to_string());
        }
        Sending::OtherAmount => {
            for name in ["amount", "amount_received", "amount_capturable", "amount_captured"] {
                if let Some(amount) = object[name].as_i64().filter(|amount| *amount > 0) {
                    object[name] = json!(amount + 1);
                }
            }
        }
    }
}

/// Done, or once more later, or given up.
fn settle(sandbox: &Sandbox, delivery: Delivery, delivered: bool) {
    let mut world = sandbox.world();
    let (attempts, backoff_ms) = (world.knobs.webhooks.attempts, world.knobs.webhooks.backoff_ms);
    if !delivered && delivery.attempt < attempts {
        let wait_ms = backoff_ms.saturating_mul(1 << (delivery.attempt - 1).min(10));
        let again = Delivery { attempt: delivery.attempt + 1, ..delivery.clone() };
        if world.deliveries.put(now_ms(), wait_ms, again) {
            return;
        }
    }
    if !delivered {
        tracing::info!(attempts = delivery.attempt, "a copy of an event is given up");
    }
    world.delivered(delivery.event);
    world.save();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_altered_copy_names_another_order_or_amount() {
        let truth = json!({ "amount": 100, "amount_received": 0, "metadata": { "order_id": "17" } });
        let altered = |sending| {
            let mut object = truth.clone();
            alter(&mut object, sending);
            object
        };
        assert_eq!(altered(Sending::Truth), truth);
        assert_eq!(altered(Sending::OtherOrder)["metadata"]["order_id"], "18");
        let amounts = altered(Sending::OtherAmount);
        assert_eq!((&amounts["amount"], &amounts["amount_received"]), (&json!(101), &json!(0)));
    }
}
