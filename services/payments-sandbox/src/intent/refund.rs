//! Money given back.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Act, Fact, Intent, Status, new_id};
use crate::error::Refusal;

/// More refunds of one intent than that make no sense.
const REFUNDS_MAX: usize = 100;

/// A refund.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Refund {
    /// Place in the order of creation.
    pub(crate) serial: u64,
    pub(crate) id: String,
    pub(crate) charge: String,
    pub(crate) created: i64,
    pub(crate) amount: i64,
    pub(crate) state: RefundState,
    pub(crate) reason: Option<String>,
    pub(crate) metadata: BTreeMap<String, String>,
    pub(crate) provider_key: Option<String>,
}

/// How far it got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RefundState {
    Pending,
    Succeeded,
    Failed,
}

/// What a refund was asked with.
#[derive(Clone, Debug)]
pub(crate) struct RefundRequest {
    /// All that is left when absent.
    pub(crate) amount: Option<i64>,
    pub(crate) reason: Option<String>,
    pub(crate) metadata: BTreeMap<String, String>,
    /// When it stays pending for a while, when that ends, in milliseconds.
    pub(crate) settles_at_ms: Option<i64>,
}

impl Refund {
    pub(crate) fn json(&self, intent: &Intent) -> Value {
        json!({
            "id": self.id,
            "object": "refund",
            "amount": self.amount,
            "balance_transaction": null,
            "charge": self.charge,
            "created": self.created,
            "currency": intent.currency,
            "destination_details": { "type": intent.method },
            "metadata": self.metadata,
            "payment_intent": intent.id,
            "reason": self.reason,
            "receipt_number": null,
            "source_transfer_reversal": null,
            "status": self.state,
            "transfer_reversal": null,
        })
    }
}

impl Intent {
    /// What was given back of a charge, or will be.
    pub(crate) fn amount_refunded_of(&self, charge: &str) -> i64 {
        let counts = |refund: &&Refund| refund.charge == charge && refund.state != RefundState::Failed;
        self.refunds.iter().filter(counts).map(|refund| refund.amount).sum()
    }

    /// Gives back some of what was captured, and never more.
    pub(crate) fn refund(
        &mut self,
        serial: u64,
        request: RefundRequest,
        act: &Act<'_>,
    ) -> Result<(Refund, Vec<Fact>), Refusal> {
        let succeeded = self.status == Status::Succeeded;
        let charge = self.charges.iter().rev().find(|charge| succeeded && charge.amount_captured > 0);
        let Some(charge) = charge.cloned() else {
            return Err(Refusal::unexpected_state(
                "payment_intent_unexpected_state",
                format!("This PaymentIntent ({}) does not have a successful charge to refund.", self.id),
                self.json(),
            ));
        };
        let left = charge.amount_captured - self.amount_refunded_of(&charge.id);
        if left == 0 {
            return Err(Refusal::unexpected_state(
                "charge_already_refunded",
                format!("Charge {} has already been refunded.", charge.id),
                self.json(),
            ));
        }
        let amount = request.amount.unwrap_or(left);
        if amount > left {
            return Err(Refusal::unexpected_state(
                "amount_too_large",
                format!("Refund amount ({amount}) is greater than unrefunded amount on charge ({left})."),
                self.json(),
            ));
        }
        if self.refunds.len() == REFUNDS_MAX {
            return Err(Refusal::too_many());
        }
        let state = match request.settles_at_ms {
            Some(_) => RefundState::Pending,
            None => RefundState::Succeeded,
        };
        self.due_ms = request.settles_at_ms.or(self.due_ms);
        let refund = Refund {
            serial,
            id: new_id("re"),
            charge: charge.id.clone(),
            created: act.seconds(),
            amount,
            state,
            reason: request.reason,
            metadata: request.metadata,
            provider_key: act.key(),
        };
        self.refunds.push(refund.clone());
        let facts =
            vec![self.refund_fact("refund.created", &refund), self.charge_fact("charge.refunded", &charge)];
        Ok((refund, facts))
    }

    /// The money of a refund came back: the buyer's bank did not take it, which may be known days later.
    pub(crate) fn refund_failed(&mut self, id: &str) -> Result<Vec<Fact>, Refusal> {
        let found =
            self.refunds.iter().position(|refund| refund.id == id && refund.state != RefundState::Failed);
        let Some(index) = found else {
            return Err(Refusal::unexpected_state(
                "refund_unexpected_state",
                format!("Refund {id} has failed already."),
                self.json(),
            ));
        };
        self.refunds[index].state = RefundState::Failed;
        let refund = &self.refunds[index];
        Ok(vec![self.refund_fact("refund.failed", refund), self.refund_fact("charge.refund.updated", refund)])
    }

    /// Pending refunds have arrived.
    pub(crate) fn settle_refunds(&mut self) -> Vec<Fact> {
        let pending: Vec<usize> = (0..self.refunds.len())
            .filter(|index| self.refunds[*index].state == RefundState::Pending)
            .collect();
        let mut facts = Vec::new();
        for index in pending {
            self.refunds[index].state = RefundState::Succeeded;
            facts.push(self.refund_fact("refund.updated", &self.refunds[index]));
            facts.push(self.refund_fact("charge.refund.updated", &self.refunds[index]));
        }
        facts
    }
}
