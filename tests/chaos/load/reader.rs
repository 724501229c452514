//! Looking: at products, at one's own orders, and at what is none of one's business.

use super::{REPRICED, Visitor};
use crate::client::{Ask, Who};
use crate::history::Read;

impl Visitor {
    pub(super) async fn read(&mut self) {
        let is_user = matches!(self.client.who, Who::User(_));
        match self.client.draw.u8(0..20) {
            0..5 => {
                let product = self.client.draw.i64(1..=REPRICED);
                self.look_at_price(product).await;
            }
            5..9 => {
                let index = self.client.draw.usize(0..self.world.variants.len());
                let path = format!("/api/v1/products/{}", self.world.variants[index].product);
                self.client.ask(&Ask::get("product", &path)).await;
            }
            9..12 => {
                let path = format!("/api/v1/products?page={}", self.client.draw.u8(1..3));
                self.client.ask(&Ask::get("products", &path)).await;
            }
            12 => {
                self.client.ask(&Ask::get("categories", "/api/v1/categories?tree=true")).await;
            }
            13 => {
                self.client.ask(&Ask::get("featured", "/api/v1/products/featured")).await;
            }
            14 | 15 => self.look_at_cart().await,
            16 if is_user => self.list_orders().await,
            17 => self.look_at_own_order().await,
            18 => self.look_at_any_order().await,
            _ if is_user => {
                let reply = self.client.ask(&Ask::get("notifications", "/api/notifications")).await;
                self.world.owners_in(&self.client.name(), "notifications", &reply.json);
            }
            _ => {}
        }
    }

    /// One of the products whose prices change: what is seen here is compared with what staff were told.
    async fn look_at_price(&mut self, product: i64) {
        let path = format!("/api/v1/products/{product}");
        let reply = self.client.ask(&Ask::get("price", &path)).await;
        let amount = reply.json["data"]["product"]["variants"][0]["price"]["amount"].as_i64();
        if let (true, Some(amount)) = (reply.is_ok(), amount) {
            let reader = self.client.name();
            let (begun, ended) = (reply.begun, reply.ended);
            self.client.history.lock().reads.push(Read { reader, product, amount, begun, ended });
        }
    }

    async fn look_at_cart(&mut self) {
        let reply = self.client.ask(&Ask::get("cart", "/api/v1/cart")).await;
        let viewer = self.client.name();
        if let Some(cart) = reply.json["data"]["cart"]["id"].as_str().filter(|id| !id.is_empty()) {
            self.world.seen(&viewer, "cart", &format!("cart {cart}"));
        }
        self.world.owners_in(&viewer, "cart", &reply.json);
    }

    async fn list_orders(&mut self) {
        let reply = self.client.ask(&Ask::get("orders", "/api/v1/orders?per_page=20")).await;
        let viewer = self.client.name();
        for order in reply.json["data"]["orders"].as_array().into_iter().flatten() {
            self.world.seen(&viewer, "orders", &format!("order {}", order["id"]));
        }
        self.world.owners_in(&viewer, "orders", &reply.json);
    }

    async fn look_at_own_order(&mut self) {
        let all = self.orders.len() + self.unpaid.len();
        if all == 0 {
            return;
        }
        let index = self.client.draw.usize(0..all);
        let order = *self.orders.iter().chain(&self.unpaid).nth(index).expect("one of all");
        let path = format!("/api/v1/orders/{order}");
        let reply = self.client.ask(&Ask::get("order", &path)).await;
        if reply.is_ok() {
            let viewer = self.client.name();
            self.world.seen(&viewer, "order", &format!("order {}", reply.json["data"]["order"]["id"]));
            self.world.owners_in(&viewer, "order", &reply.json);
        }
    }

    /// Ids are easy to guess; what they name is shown to nobody but its owner, who may be the one that guesses.
    async fn look_at_any_order(&mut self) {
        let order = self.client.draw.i64(1..200);
        let path = format!("/api/v1/orders/{order}");
        let reply = self.client.ask(&Ask::get("any_order", &path)).await;
        if reply.is_ok() {
            let viewer = self.client.name();
            self.world.seen(&viewer, "order by a guessed id", &format!("order {order}"));
            self.world.owners_in(&viewer, "order by a guessed id", &reply.json);
        }
    }
}
