//! One attempt to take money: authorised, captured, released or refused.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Intent;

/// A charge.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Charge {
    pub(crate) id: String,
    pub(crate) created: i64,
    pub(crate) amount: i64,
    pub(crate) amount_captured: i64,
    pub(crate) state: ChargeState,
    pub(crate) failure_code: Option<String>,
    pub(crate) failure_message: Option<String>,
    /// The idempotency key of the request that made it; none when the payer did.
    pub(crate) provider_key: Option<String>,
    /// That of the request that captured it.
    pub(crate) capture_key: Option<String>,
    pub(crate) captured_at: Option<i64>,
    pub(crate) disputed: bool,
}

/// How far it got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ChargeState {
    Authorized,
    /// The money is ours.
    Succeeded,
    /// Authorised once, never captured.
    Released,
    Failed,
}

impl Charge {
    /// The charge as the provider tells it: an authorised one has succeeded, it is only not captured.
    pub(crate) fn json(&self, intent: &Intent) -> Value {
        let failed = self.state == ChargeState::Failed;
        let refunded = match self.state {
            ChargeState::Released => self.amount,
            ChargeState::Authorized | ChargeState::Succeeded | ChargeState::Failed => {
                intent.amount_refunded_of(&self.id)
            }
        };
        json!({
            "id": self.id,
            "object": "charge",
            "amount": self.amount,
            "amount_captured": self.amount_captured,
            "amount_refunded": refunded,
            "balance_transaction": null,
            "captured": self.state == ChargeState::Succeeded,
            "created": self.created,
            "currency": intent.currency,
            "customer": null,
            "description": intent.description,
            "disputed": self.disputed,
            "failure_code": self.failure_code,
            "failure_message": self.failure_message,
            "livemode": false,
            "metadata": intent.metadata,
            "paid": !failed,
            "payment_intent": intent.id,
            "payment_method": intent.payment_method,
            "payment_method_details": { "type": intent.method },
            "refunded": !failed && refunded >= self.amount,
            "status": if failed { "failed" } else { "succeeded" },
        })
    }
}
