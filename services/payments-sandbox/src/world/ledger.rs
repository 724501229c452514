//! The money, for assertions: who was charged, what was taken, what went back, and by which key.

use serde_json::{Value, json};

use super::World;
use crate::intent::{ChargeState, Intent};

/// Orders of one answer without a filter.
const PAGE_MAX: usize = 1000;

impl World {
    /// The ledger of one order.
    pub(crate) fn ledger_of(&self, order_id: &str) -> Value {
        let serials = self.by_order.get(order_id).map_or(&[][..], Vec::as_slice);
        ledger(serials.iter().filter_map(|serial| self.intents.get(serial)), None)
    }

    /// The ledger of everything, a page of intents at a time; `next` continues it.
    pub(crate) fn ledger_after(&self, serial: u64) -> Value {
        let mut intents = self.intents.range(serial.saturating_add(1)..).map(|(_, intent)| intent);
        let page: Vec<&Intent> = intents.by_ref().take(PAGE_MAX).collect();
        let next = intents.next().and(page.last()).map(|intent| intent.serial);
        ledger(page.into_iter(), next)
    }
}

fn ledger<'i>(intents: impl Iterator<Item = &'i Intent>, next: Option<u64>) -> Value {
    let (mut charges, mut captures, mut refunds) = (Vec::new(), Vec::new(), Vec::new());
    for intent in intents {
        let order = intent.order_id();
        for charge in &intent.charges {
            charges.push(json!({
                "id": charge.id,
                "payment_intent": intent.id,
                "order_id": order,
                "metadata": intent.metadata,
                "method": intent.method,
                "amount": charge.amount,
                "amount_captured": charge.amount_captured,
                "amount_refunded": intent.amount_refunded_of(&charge.id),
                "currency": intent.currency,
                "status": charge.state,
                "provider_key": charge.provider_key,
                "created": charge.created,
            }));
            if charge.state == ChargeState::Succeeded {
                captures.push(json!({
                    "charge": charge.id,
                    "payment_intent": intent.id,
                    "order_id": order,
                    "amount": charge.amount_captured,
                    "currency": intent.currency,
                    "provider_key": charge.capture_key,
                    "created": charge.captured_at,
                }));
            }
        }
        for refund in &intent.refunds {
            refunds.push(json!({
                "id": refund.id,
                "charge": refund.charge,
                "payment_intent": intent.id,
                "order_id": order,
                "amount": refund.amount,
                "currency": intent.currency,
                "status": refund.state,
                "provider_key": refund.provider_key,
                "created": refund.created,
            }));
        }
    }
    json!({ "charges": charges, "captures": captures, "refunds": refunds, "next": next })
}
