//! How each change is made.

use reqwest::Method;
use serde_json::{Value, json};

use super::world::{ORIGIN, OTHER, USER, World, created};
use crate::{
    agenda,
    client::{Answer, Client},
};

impl World {
    /// What must be there before the reads, for a change to be seen in them.
    pub(super) async fn prepare(&mut self, change: &str) {
        match change {
            "delete event" => self.doomed = self.create_event(25).await,
            "delete professional" => self.doomed = self.create_professional("Caio").await,
            "change quantity" | "put coupon" | "remove coupon" | "remove from cart" | "clear cart"
            | "place order" => {
                self.buyer().add(self.variant, 1).await;
            }
            "cancel order" => self.order = self.place_order().await,
            _ => {}
        }
    }

    /// Makes a change on the writer's gateway.
    pub(super) async fn make(&mut self, change: &str) -> Answer {
        let Self { event, professional, report, product, address, doomed, .. } = *self;
        let writer = self.writer.clone();
        match change {
            "create event" => {
                let body = agenda::event("Aula nova", None, 20);
                writer.write(Method::POST, "/api/events", None, &body).await
            }
            "update event" => {
                let body = agenda::event("Aula mudada", Some(professional), 2);
                edit(&writer, &format!("/api/events/{event}"), Method::PUT, &body).await
            }
            "delete event" => delete(&writer, &format!("/api/events/{doomed}")).await,
            "create professional" => {
                let body = json!({ "name": "Bia", "specialty": "produtor" });
                writer.write(Method::POST, "/api/professionals", None, &body).await
            }
            "rename professional" => {
                let body = json!({ "name": "Ana Maria", "specialty": "q_grader" });
                edit(&writer, &format!("/api/professionals/{professional}"), Method::PUT, &body).await
            }
            "delete professional" => delete(&writer, &format!("/api/professionals/{doomed}")).await,
            "send report" => {
                writer.write(Method::POST, "/api/reports", None, &agenda::report(OTHER, "mais um")).await
            }
            "edit report" => {
                let body = agenda::report_fields("mudado");
                edit(&writer, &format!("/api/reports/{report}"), Method::PUT, &body).await
            }
            "delete report" => delete(&writer, &format!("/api/reports/{report}")).await,
            "read notification" | "delete notification" => {
                let unread = if change == "read notification" { "?unread=true" } else { "" };
                let all = self.reader(ORIGIN, None).get(&format!("/api/notifications{unread}")).await.json();
                let path = format!("/api/notifications/{}", all[0]["id"]);
                if change == "read notification" {
                    writer.write(Method::PUT, &path, None, &json!({ "read": true })).await
                } else {
                    Client::send(writer.request(Method::DELETE, &path)).await
                }
            }
            "read all notifications" => {
                writer.write(Method::POST, "/api/notifications/read-all", None, &json!({})).await
            }
            "change preferences" => {
                let path = "/api/v1/notifications/preferences";
                let now = writer.get(path).await.json()["data"]["preferences"].clone();
                let first = &now[0];
                let turned = json!({ "preferences": [{
                    "kind": first["kind"],
                    "in_app": first["in_app"],
                    "email": !first["email"].as_bool().unwrap(),
                }] });
                writer.write(Method::PUT, path, None, &turned).await
            }
            "rename user" => {
                let version = writer.get("/api/v1/me").await.json()["data"]["user"]["version"].clone();
                let tag = format!("\"u-{USER}-v{version}\"");
                writer.write(Method::PATCH, "/api/v1/me", Some(&tag), &json!({ "name": "Outra" })).await
            }
            "add address" => self.add_address().await,
            "edit address" => {
                let path = format!("/api/v1/me/addresses/{address}");
                writer.write(Method::PATCH, &path, None, &json!({ "line1": "Rua B, 2" })).await
            }
            "delete address" => {
                let path = format!("/api/v1/me/addresses/{address}");
                Client::send(writer.request(Method::DELETE, &path)).await
            }
            "create product" => crate::freshness::create(&self.staff, "cafe-mutante-2", 2).await,
            "edit product" => {
                let path = format!("/api/v1/admin/products/{product}");
                let renamed =
                    edit(&self.staff, &path, Method::PATCH, &json!({ "name": "Mutante mudado" })).await;
                assert_eq!(renamed.status, 200, "{}", renamed.text());
                self.staff.change_price(product, 4_321).await
            }
            "add to cart" => {
                let body = json!({ "variant_id": self.variant, "quantity": 1 });
                writer.write(Method::POST, "/api/v1/cart/items", None, &body).await
            }
            "change quantity" => {
                writer.write(Method::PATCH, &self.cart_item().await, None, &json!({ "quantity": 7 })).await
            }
            "put coupon" => {
                writer.write(Method::PUT, "/api/v1/cart/coupon", None, &json!({ "code": "MUTANTE" })).await
            }
            "remove coupon" => Client::send(writer.request(Method::DELETE, "/api/v1/cart/coupon")).await,
            "remove from cart" => Client::send(writer.request(Method::DELETE, &self.cart_item().await)).await,
            "clear cart" => Client::send(writer.request(Method::DELETE, "/api/v1/cart")).await,
            "place order" => {
                let body = self.buyer().checkout_body().await;
                let answer = self.keyed(&writer, "/api/v1/checkout", &body).await;
                self.order = created(&answer, "/data/checkout/order_id");
                answer
            }
            "pay" => {
                let body = json!({ "method": "card", "payment_method": "pm_card_visa" });
                let path = format!("/api/v1/checkout/{}/payments", self.order);
                self.keyed(&writer, &path, &body).await
            }
            "process order" => {
                let path = format!("/api/v1/admin/orders/{}", self.order);
                edit(&self.staff, &path, Method::PATCH, &json!({ "status": "processing" })).await
            }
            "reorder" => {
                let path = format!("/api/v1/orders/{}/reorder", self.order);
                self.keyed(&writer, &path, &json!({})).await
            }
            "ship order" => {
                let order = format!("/api/v1/admin/orders/{}", self.order);
                let tag = agenda::version_tag(&self.staff, &order).await;
                let body = json!({ "carrier": "Correios", "service": "PAC", "tracking_code": "BR123" });
                self.staff.write(Method::POST, &format!("{order}/shipments"), Some(&tag), &body).await
            }
            "cancel order" => {
                let path = format!("/api/v1/orders/{}/cancel", self.order);
                self.keyed(&writer, &path, &json!({ "reason": "engano" })).await
            }
            "adjust stock" => {
                let staff = self.staff.clone();
                let body = json!([{ "variant_id": self.variant, "delta": -990, "reason": "quebra" }]);
                self.keyed(&staff, "/api/v1/admin/stock/adjust", &body).await
            }
            "delete product" => delete(&self.staff, &format!("/api/v1/admin/products/{product}")).await,
            unknown => panic!("nobody knows how to {unknown}"),
        }
    }
}

/// Reads the version and writes for it.
async fn edit(client: &Client, path: &str, method: Method, body: &Value) -> Answer {
    let tag = agenda::version_tag(client, path).await;
    client.write(method, path, Some(&tag), body).await
}

async fn delete(client: &Client, path: &str) -> Answer {
    let tag = agenda::version_tag(client, path).await;
    Client::send(client.request(Method::DELETE, path).header("if-match", tag)).await
}
