//! What the scripted orders service knows: a cart for everybody, and one order under any number.

use std::collections::BTreeMap;

use events::tags;
use proto::events::v1::PurgeReceipt;
use proto::orders::v1 as pb;
use tonic::Status;
use uuid::Uuid;

use super::{Called, ORDER_TOKEN, sha256_hex};

/// Everything it knows.
#[derive(Default)]
pub(super) struct State {
    pub(super) carts: BTreeMap<String, pb::Cart>,
    pub(super) calls: Vec<Called>,
    pub(super) kept: BTreeMap<(String, String, String), Kept>,
    pub(super) refusal: Option<Status>,
    pub(super) warnings: Vec<String>,
    pub(super) payment: pb::Payment,
    pub(super) price: i64,
}

/// What was answered under a key.
pub(super) struct Kept {
    pub(super) sha256: Vec<u8>,
    pub(super) request_id: String,
    pub(super) answer: Result<Vec<u8>, Status>,
}

impl State {
    /// The cart of whoever asks, at today's prices.
    pub(super) fn cart(&mut self, who: &str) -> &mut pb::Cart {
        let price = self.price;
        let warnings = self.warnings.clone();
        let cart = self.carts.entry(who.to_owned()).or_insert_with(|| pb::Cart {
            state: "active".to_owned(),
            currency: "BRL".to_owned(),
            ..pb::Cart::default()
        });
        cart.warnings = warnings;
        let mut items_amount = 0;
        for item in &mut cart.items {
            item.unit_amount = price;
            item.line_amount = price * i64::from(item.quantity);
            items_amount += item.line_amount;
        }
        cart.totals =
            Some(pb::CartTotals { items_amount, total_amount: items_amount, ..pb::CartTotals::default() });
        cart
    }

    /// The same after a change.
    pub(super) fn changed(&mut self, who: &str, change: impl FnOnce(&mut pb::Cart)) -> pb::CartResponse {
        let cart = self.cart(who);
        change(cart);
        cart.version += 1;
        cart.id = "0190a5a0-0000-7000-8000-0000000000cc".to_owned();
        let cart = self.cart(who).clone();
        pb::CartResponse { cart: Some(cart), receipts: receipts(vec![cart_tag(who)]) }
    }

    /// The one order there is, under any number.
    pub(super) fn order(&self, id: i64) -> pb::Order {
        let address = pb::Address { recipient: "Ana".to_owned(), ..pb::Address::default() };
        pb::Order {
            id,
            number: format!("MC-2026-{id:06}"),
            user_id: (id != 9).then_some(7),
            status: "paid".to_owned(),
            currency: "BRL".to_owned(),
            items_amount: 4290,
            total_amount: 4290,
            version: 3,
            shipping_address: Some(address),
            items: vec![pb::OrderItem {
                line: 1,
                quantity: 1,
                unit_amount: 4290,
                ..pb::OrderItem::default()
            }],
            history: vec![entry(1), entry(2)],
            payments: vec![self.payment.clone()],
            notes: vec![pb::Note { id: 1, body: "cliente antigo".to_owned(), ..pb::Note::default() }],
            ..pb::Order::default()
        }
    }
}

pub(super) fn entry(seq: i64) -> pb::TimelineEntry {
    pb::TimelineEntry {
        seq,
        to_status: if seq == 1 { "pending_payment" } else { "paid" }.to_owned(),
        actor: "customer".to_owned(),
        at: at(1_760_000_000 + seq),
        ..pb::TimelineEntry::default()
    }
}

pub(crate) fn at(seconds: i64) -> Option<prost_types::Timestamp> {
    Some(prost_types::Timestamp { seconds, nanos: 0 })
}

pub(super) fn cart_tag(who: &str) -> String {
    match who.split_once(':') {
        Some(("guest", hash)) => tags::cart_token(hash),
        _ => format!("cart:{who}"),
    }
}

pub(crate) fn receipts(tags: Vec<String>) -> Vec<PurgeReceipt> {
    vec![PurgeReceipt { event_id: Uuid::now_v7().to_string(), tags, commit_lsn: 1 }]
}

/// Who may see an order: 9 is a guest's, the others belong to user 7.
pub(super) fn own(who: &str, id: i64) -> Result<(), Status> {
    let opened = format!("guest:{}", sha256_hex(ORDER_TOKEN));
    let owner = if id == 9 { opened.as_str() } else { "user:7" };
    if who == owner { Ok(()) } else { Err(Status::not_found("order_not_found: as for everybody else")) }
}
