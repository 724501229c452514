//! Buying: a cart, a checkout, a payment, second thoughts.

use reqwest::Method;
use serde_json::{Value, json};

use super::{Variant, Visitor};
use crate::client::{Ask, Reply, Who};
use crate::provider;

pub(crate) const CEP: &str = "01310100";
/// A buyer may have so many orders without money.
const UNPAID_MAX: usize = 2;

impl Visitor {
    /// Adds to the cart most of the time, changes or removes a line otherwise.
    pub(super) async fn change_cart(&mut self) {
        if self.client.draw.u8(0..10) < 6 {
            let variant = self.world.variants[self.client.draw.usize(0..self.world.variants.len())];
            let quantity = self.client.draw.i64(1..4);
            self.add(variant, quantity).await;
            return;
        }
        let cart = self.client.ask(&Ask::get("cart", "/api/v1/cart")).await;
        let Some(item) = cart.json["data"]["cart"]["items"][0]["id"].as_i64() else { return };
        let path = format!("/api/v1/cart/items/{item}");
        let mut ask = Ask::new("cart_change", Method::PATCH, &path);
        if self.client.draw.bool() {
            ask.body = json!({ "quantity": self.client.draw.i64(1..6) });
        } else {
            ask.method = Method::DELETE;
        }
        self.client.ask(&ask).await;
    }

    /// Puts something into the cart.
    pub(crate) async fn add(&mut self, variant: Variant, quantity: i64) -> Reply {
        let body = json!({ "variant_id": variant.id, "quantity": quantity });
        let reply = self.client.ask_surely(Ask::post("cart_add", "/api/v1/cart/items", body)).await;
        if let Some(cart) = reply.json["data"]["cart"]["id"].as_str() {
            self.world.belongs(format!("cart {cart}"), &self.client.name());
        }
        reply
    }

    /// Buys what is in the cart, or first finishes what waits for money.
    pub(super) async fn buy(&mut self) {
        if self.unpaid.len() >= UNPAID_MAX {
            let order = self.unpaid[0];
            if self.client.draw.u8(0..4) == 0 {
                self.give_up(order).await;
            } else {
                self.pay(order).await;
            }
            return;
        }
        let variant = self.world.variants[self.client.draw.usize(0..self.world.variants.len())];
        self.add(variant, 1).await;
        if let Some(order) = self.check_out().await {
            self.pay(order).await;
        }
        if self.client.draw.u8(0..10) == 0
            && let Some(order) = self.orders.pop()
        {
            self.have_second_thoughts(order).await;
        }
        // The next order of a guest is another guest's.
        if matches!(self.client.who, Who::Guest(_)) && self.unpaid.is_empty() && self.client.draw.bool() {
            self.client.forget_cart();
            self.orders.clear();
        }
    }

    /// Makes an order of the cart.
    pub(crate) async fn check_out(&mut self) -> Option<i64> {
        let body = self.checkout_body().await?;
        let reply = self.client.ask_surely(Ask::post("checkout", "/api/v1/checkout", body)).await;
        let order = reply.json["data"]["checkout"]["order_id"].as_i64()?;
        self.world.belongs(format!("order {order}"), &self.client.name());
        self.unpaid.push(order);
        Some(order)
    }

    /// What a checkout of the cart as it is now says.
    pub(crate) async fn checkout_body(&mut self) -> Option<Value> {
        let cart = self.client.ask(&Ask::get("cart", "/api/v1/cart")).await;
        let version = cart.json["data"]["cart"]["version"].as_i64()?;
        let quoting = Ask::post("quote", "/api/v1/shipping/quotes", json!({ "cep": CEP }));
        let quotes = self.client.ask(&quoting).await;
        let quote = quotes.json["data"]["quotes"][0]["id"].as_str()?;
        let mut body = json!({
            "cart_version": version,
            "shipping_quote_id": quote,
            "shipping_address": {
                "recipient": "Ana Souza", "line1": "Avenida Paulista 1000", "city": "São Paulo", "state": "SP",
                "postal_code": CEP, "country": "BR",
            },
        });
        if let Who::Guest(number) = self.client.who {
            body["email"] = json!(format!("guest-{number}@mestrescafe.dev"));
        }
        Some(body)
    }

    /// Pays an order by one of the ways that there are.
    pub(crate) async fn pay(&mut self, order: i64) {
        match self.client.draw.u8(0..20) {
            0..12 => self.pay_by_card(order, "pm_card_visa").await,
            12 | 13 => self.pay_by_card(order, "pm_card_chargeDeclined").await,
            14 => self.pay_by_card(order, "pm_sandbox_timeout_after_charge").await,
            15 => self.pay_by_card(order, "pm_sandbox_500_after_charge").await,
            16 => self.pay_at_the_bank(order).await,
            _ => self.pay_by_pix(order).await,
        };
    }

    /// Pays by the card of that name.
    pub(crate) async fn pay_by_card(&mut self, order: i64, card: &str) -> Reply {
        self.ask_to_pay(order, json!({ "method": "card", "payment_method": card })).await
    }

    /// Pays by Pix; three of ten change their mind.
    pub(crate) async fn pay_by_pix(&mut self, order: i64) -> Reply {
        let reply = self.ask_to_pay(order, json!({ "method": "pix" })).await;
        if reply.status == 202 {
            let is_paid = self.client.draw.u8(0..10) < 7;
            let action = if is_paid { provider::Action::PayPix } else { provider::Action::ExpirePix };
            provider::act(self.client.system(), order, action).await;
            self.unpaid.retain(|unpaid| *unpaid != order);
        }
        reply
    }

    /// Pays by a card whose bank wants to see its holder; three of ten are not who they should be.
    async fn pay_at_the_bank(&mut self, order: i64) -> Reply {
        let reply = self.pay_by_card(order, "pm_card_threeDSecure2Required").await;
        if reply.status == 202 {
            let is_holder = self.client.draw.u8(0..10) < 7;
            let action = if is_holder { provider::Action::Approve } else { provider::Action::Reject };
            provider::act(self.client.system(), order, action).await;
            self.unpaid.retain(|unpaid| *unpaid != order);
        }
        reply
    }

    async fn ask_to_pay(&mut self, order: i64, paying: Value) -> Reply {
        let path = format!("/api/v1/checkout/{order}/payments");
        let reply = self.client.ask_surely(Ask::post("pay", &path, paying)).await;
        if reply.status == 200 {
            self.unpaid.retain(|unpaid| *unpaid != order);
            self.orders.push(order);
        } else if matches!(reply.code(), "illegal_transition" | "checkout_expired" | "conflict") {
            // Somebody, such as a late word of the provider, was faster.
            self.unpaid.retain(|unpaid| *unpaid != order);
        }
        reply
    }

    /// Leaves an order that nobody has paid.
    async fn give_up(&mut self, order: i64) {
        let path = format!("/api/v1/checkout/{order}/cancel");
        let reply = self.client.ask_surely(Ask::post("checkout_cancel", &path, json!({}))).await;
        if reply.status != 0 {
            self.unpaid.retain(|unpaid| *unpaid != order);
        }
    }

    /// Cancels an order that was paid, or one unit of it.
    async fn have_second_thoughts(&mut self, order: i64) {
        let path = format!("/api/v1/orders/{order}/cancel");
        let mut body = json!({ "reason": "mudei de ideia" });
        if self.client.draw.bool() {
            body["lines"] = json!([{ "line": 1, "quantity": 1 }]);
        }
        self.client.ask_surely(Ask::post("order_cancel", &path, body)).await;
    }
}
