//! Every change against every cached read: after a change, its writer's next read on another gateway says what
//! the origin says.
//!
//! The pairs are generated: each route that the cache answers times each route that changes something. A route
//! that is added without a line here fails the test of completeness below.

use std::collections::{BTreeMap, BTreeSet};

use gateway::routes::{Route, Source};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    agenda,
    client::{Answer, Client},
    orders::Buyer,
    shop::{Cast, Options, Shop},
};

/// The writer's gateway, the reader's, and one without a cache: what it says is the truth.
const WRITER: usize = 0;
const READER: usize = 1;
const ORIGIN: usize = 2;

/// Who reads and writes: a customer, and the other side of a report.
const USER: i64 = 41;
const OTHER: i64 = 42;
/// The demo product that is bought.
const BOUGHT: i64 = 5;

/// Routes that change nothing that a cached answer shows; the reason beside each.
const NOT_SHOWN: [(&str, &str); 37] = [
    ("/api/v1/auth/register", "nobody shows who has an account"),
    ("/api/v1/auth/login", "a session is no cached resource"),
    ("/api/v1/auth/refresh", "a session is no cached resource"),
    ("/api/v1/auth/logout", "a session is no cached resource"),
    ("/api/v1/auth/logout-all", "a session is no cached resource"),
    ("/api/v1/auth/password/forgot", "sends a mail"),
    ("/api/v1/auth/password/reset", "passwords are not shown"),
    ("/api/v1/auth/email/verify", "tested with its mail in accounts.rs"),
    ("/api/v1/auth/step-up", "a session is no cached resource"),
    ("/api/v1/me/password", "passwords are not shown"),
    ("/api/v1/me/totp", "a secret that is not in force yet"),
    ("/api/v1/me/totp/confirm", "tested with its code in accounts.rs"),
    ("/api/v1/me/totp/disable", "tested with its code in accounts.rs"),
    ("/api/v1/me/sessions/{id}", "sessions are never cached"),
    ("/api/v1/me/data", "jobs are never cached"),
    ("/api/v1/admin/users/{id}", "tested with a fresh login in accounts.rs"),
    ("/api/v1/admin/users/{id}/lock", "tested with a fresh login in accounts.rs"),
    ("/api/v1/admin/webhooks", "endpoints are never cached"),
    ("/api/v1/admin/webhooks/{id}", "endpoints are never cached"),
    ("/api/v1/admin/webhooks/{id}/test", "endpoints are never cached"),
    ("/api/v1/admin/webhooks/{id}/rotate-secret", "endpoints are never cached"),
    ("/api/v1/admin/webhooks/deliveries/{id}/redeliver", "deliveries are never cached"),
    ("/api/v1/agenda/events", "the same handler as /api/events"),
    ("/api/v1/agenda/events/{id}", "the same handler as /api/events/{id}"),
    ("/api/v1/agenda/professionals", "the same handler as /api/professionals"),
    ("/api/v1/agenda/reports", "the same handler as /api/reports"),
    ("/api/v1/agenda/reports/{id}", "the same handler as /api/reports/{id}"),
    ("/api/v1/agenda/professionals/{id}", "the same handler as /api/professionals/{id}"),
    ("/api/v1/cart/merge", "tested with a guest's cart in orders.rs"),
    ("/api/v1/checkout/{id}/cancel", "an order is cancelled below by the other route"),
    ("/api/v1/orders/{id}/returns", "needs a delivered order; tested in the orders service"),
    ("/api/v1/payments/webhooks/{provider}", "applied later, by a worker"),
    ("/api/v1/shipping/quotes", "changes nothing"),
    ("/api/v1/admin/orders/{id}/refunds", "the money goes back later, by a worker"),
    ("/api/v1/admin/orders/{id}/notes", "only staff see notes, and what staff see is never cached"),
    ("/api/v1/admin/coupons", "what staff see is never cached"),
    ("/api/v1/admin/coupons/{code}", "what staff see is never cached"),
];

/// A change that a test can make again and again.
struct Change {
    name: &'static str,
    /// The routes and methods it goes through.
    covers: &'static [(&'static str, &'static str)],
}

const CHANGES: [Change; 33] = [
    Change { name: "create event", covers: &[("POST", "/api/events")] },
    Change { name: "update event", covers: &[("PUT", "/api/events/{id}")] },
    Change { name: "delete event", covers: &[("DELETE", "/api/events/{id}")] },
    Change { name: "create professional", covers: &[("POST", "/api/professionals")] },
    Change { name: "rename professional", covers: &[("PUT", "/api/professionals/{id}")] },
    Change { name: "delete professional", covers: &[("DELETE", "/api/professionals/{id}")] },
    Change { name: "send report", covers: &[("POST", "/api/reports")] },
    Change { name: "edit report", covers: &[("PUT", "/api/reports/{id}")] },
    Change { name: "delete report", covers: &[("DELETE", "/api/reports/{id}")] },
    Change { name: "read notification", covers: &[("PUT", "/api/notifications/{id}")] },
    Change { name: "read all notifications", covers: &[("POST", "/api/notifications/read-all")] },
    Change { name: "delete notification", covers: &[("DELETE", "/api/notifications/{id}")] },
    Change { name: "change preferences", covers: &[("PUT", "/api/v1/notifications/preferences")] },
    Change { name: "rename user", covers: &[("PATCH", "/api/v1/me")] },
    Change { name: "add address", covers: &[("POST", "/api/v1/me/addresses")] },
    Change { name: "edit address", covers: &[("PATCH", "/api/v1/me/addresses/{id}")] },
    Change { name: "delete address", covers: &[("DELETE", "/api/v1/me/addresses/{id}")] },
    Change { name: "create product", covers: &[("POST", "/api/v1/admin/products")] },
    Change {
        name: "edit product",
        covers: &[
            ("PUT", "/api/v1/admin/products/{id}"),
            ("PATCH", "/api/v1/admin/products/{id}"),
            ("PUT", "/api/v1/admin/products/{id}/prices"),
        ],
    },
    Change { name: "delete product", covers: &[("DELETE", "/api/v1/admin/products/{id}")] },
    Change { name: "add to cart", covers: &[("POST", "/api/v1/cart/items")] },
    Change { name: "change quantity", covers: &[("PATCH", "/api/v1/cart/items/{id}")] },
    Change { name: "put coupon", covers: &[("PUT", "/api/v1/cart/coupon")] },
    Change { name: "remove coupon", covers: &[("DELETE", "/api/v1/cart/coupon")] },
    Change { name: "remove from cart", covers: &[("DELETE", "/api/v1/cart/items/{id}")] },
    Change { name: "clear cart", covers: &[("DELETE", "/api/v1/cart")] },
    Change { name: "place order", covers: &[("POST", "/api/v1/checkout")] },
    Change { name: "pay", covers: &[("POST", "/api/v1/checkout/{id}/payments")] },
    Change { name: "process order", covers: &[("PATCH", "/api/v1/admin/orders/{id}")] },
    Change { name: "reorder", covers: &[("POST", "/api/v1/orders/{id}/reorder")] },
    Change { name: "ship order", covers: &[("POST", "/api/v1/admin/orders/{id}/shipments")] },
    Change { name: "cancel order", covers: &[("POST", "/api/v1/orders/{id}/cancel")] },
    Change { name: "adjust stock", covers: &[("POST", "/api/v1/admin/stock/adjust")] },
];

/// Something of everything, so that every change has an object.
struct World {
    shop: Shop,
    writer: Client,
    staff: Client,
    event: i64,
    professional: i64,
    report: i64,
    product: i64,
    address: i64,
    /// Of the demo shop, to be bought.
    variant: i64,
    order: i64,
    /// What the next deletion is for.
    doomed: i64,
    /// Idempotency keys used so far.
    keys: u32,
}

impl World {
    async fn open() -> Self {
        let shop = Shop::open_with(Options {
            gateways: 2,
            uncached_gateways: 1,
            cast: Cast::Everybody,
            ..Options::default()
        })
        .await;
        crate::accounts::customer(&shop, USER).await;
        let writer = shop.client(WRITER).with_bearer(shop.customer(USER));
        let staff = shop.client(WRITER).with_bearer(shop.token("staff"));
        let product = created(&crate::freshness::create(&staff, "cafe-mutante", 2).await, "/data/product/id");
        let mut world = Self {
            shop,
            writer,
            staff,
            event: 0,
            professional: 0,
            report: 0,
            product,
            address: 0,
            variant: 0,
            order: 0,
            doomed: 0,
            keys: 0,
        };
        world.quiet().await;
        world.variant = crate::orders::variant_of(&world.shop, BOUGHT).await;
        world.order = world.place_order().await;
        let coupon = json!({ "code": "MUTANTE", "kind": "fixed", "value": 100, "per_customer_limit": 10 });
        created_at_all(&world.staff.write(Method::POST, "/api/v1/admin/coupons", None, &coupon).await);
        world.professional = world.create_professional("Ana").await;
        world.event = world.create_event(1).await;
        world.report = world.create_report().await;
        world.address = created(&world.add_address().await, "/data/address/id");
        // Two notifications, from reports of the other one.
        let other = world.shop.client(WRITER).with_bearer(world.shop.customer(OTHER));
        for _ in 0..3 {
            let report = agenda::report(USER, "recebido");
            assert_eq!(other.write(Method::POST, "/api/reports", None, &report).await.status, 201);
        }
        world.wait_for_notifications(3).await;
        world
    }

    /// Whoever is told of orders would be told while reads are compared.
    async fn quiet(&self) {
        let turned = json!({ "preferences": [{ "kind": "order", "in_app": false, "email": false }] });
        let answer = self.writer.write(Method::PUT, "/api/v1/notifications/preferences", None, &turned).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }

    fn buyer(&self) -> Buyer {
        Buyer::user(&self.shop, WRITER, &self.shop.customer(USER))
    }

    fn key(&mut self) -> String {
        self.keys += 1;
        format!("mutations-{}", self.keys)
    }

    async fn place_order(&mut self) -> i64 {
        let key = self.key();
        let mut buyer = self.buyer();
        buyer.add(self.variant, 2).await;
        buyer.check_out(&key, None).await["order_id"].as_i64().unwrap()
    }

    /// The first line of the cart.
    async fn cart_item(&self) -> String {
        let cart = self.reader(ORIGIN, None).get("/api/v1/cart").await.json();
        format!("/api/v1/cart/items/{}", cart["data"]["cart"]["items"][0]["id"])
    }

    async fn keyed(&mut self, client: &Client, path: &str, body: &Value) -> Answer {
        let key = self.key();
        Client::send(client.request(Method::POST, path).header("idempotency-key", key).json(body)).await
    }

    async fn wait_for_notifications(&self, count: usize) {
        let origin = self.reader(ORIGIN, None);
        testkit::eventually(std::time::Duration::from_secs(15), "the notifications", async || {
            let all = origin.get("/api/notifications?limit=100").await.json();
            (all.as_array().unwrap().len() >= count).then_some(())
        })
        .await;
    }

    fn reader(&self, gateway: usize, token: Option<&str>) -> Client {
        let client = self.shop.client(gateway).with_bearer(self.shop.customer(USER));
        match token {
            Some(token) => client.with_cache_token(token),
            None => client,
        }
    }

    async fn create_professional(&self, name: &str) -> i64 {
        let body = json!({ "name": name, "specialty": "barista" });
        created(&self.writer.write(Method::POST, "/api/professionals", None, &body).await, "/id")
    }

    async fn create_event(&self, day: u32) -> i64 {
        let body = agenda::event("Degustação", Some(self.professional), day);
        created(&self.writer.write(Method::POST, "/api/events", None, &body).await, "/id")
    }

    async fn create_report(&self) -> i64 {
        let body = agenda::report(OTHER, "enviado");
        created(&self.writer.write(Method::POST, "/api/reports", None, &body).await, "/id")
    }

    async fn add_address(&self) -> Answer {
        let body = json!({
            "recipient": "Ana", "line1": "Rua A, 1", "city": "São Paulo", "state": "SP",
            "postal_code": "01310100"
        });
        self.writer.write(Method::POST, "/api/v1/me/addresses", None, &body).await
    }

    /// Every cached read there is, as the user would ask for it.
    fn reads(&self) -> Vec<String> {
        let Self { event, professional, report, product, order, .. } = self;
        let mut reads: Vec<String> = [
            "/api/events",
            "/api/events?page=2&limit=1",
            "/api/events?kind=degustacao",
            "/api/events.ics",
            "/api/professionals",
            "/api/professionals?specialty=barista",
            "/api/reports",
            "/api/reports?role=sender",
            "/api/reports?role=receiver",
            "/api/notifications",
            "/api/notifications?unread=true",
            "/api/v1/notifications",
            "/api/v1/notifications/preferences",
            "/api/v1/agenda/events",
            "/api/v1/agenda/professionals",
            "/api/v1/agenda/reports",
            "/api/v1/me",
            "/api/v1/me/addresses",
            "/api/v1/products",
            "/api/v1/products?sort=price",
            "/api/v1/products?search=mutante",
            "/api/v1/products/featured",
            "/api/v1/products/new",
            "/api/v1/products/by-slug/cafe-mutante",
            "/api/v1/categories",
            "/api/v1/categories/2",
            "/api/v1/cart",
            "/api/v1/orders",
            "/api/v1/orders?status=paid",
            "/api/v1/cep/01310100",
        ]
        .map(str::to_owned)
        .to_vec();
        reads.push(format!("/api/events/{event}"));
        reads.push(format!("/api/v1/agenda/events/{event}"));
        reads.push(format!("/api/professionals/{professional}"));
        reads.push(format!("/api/v1/agenda/professionals/{professional}"));
        reads.push(format!("/api/reports/{report}"));
        reads.push(format!("/api/v1/agenda/reports/{report}"));
        reads.push(format!("/api/v1/products/{product}"));
        reads.push(format!("/api/v1/products/{BOUGHT}/availability"));
        reads.push(format!("/api/v1/orders/{order}"));
        reads.push(format!("/api/v1/orders/{order}/confirmation"));
        reads
    }

    /// What must be there before the reads, for a change to be seen in them.
    async fn prepare(&mut self, change: &str) {
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
    async fn make(&mut self, change: &str) -> Answer {
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

#[track_caller]
fn created_at_all(answer: &Answer) {
    assert_eq!(answer.status, 201, "{}", answer.text());
}

/// The id in the answer of a creation.
#[track_caller]
fn created(answer: &Answer, pointer: &str) -> i64 {
    assert_eq!(answer.status, 201, "{}", answer.text());
    answer.json().pointer(pointer).and_then(Value::as_i64).unwrap_or_else(|| panic!("{}", answer.text()))
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

/// What an answer says, without what may differ between two answers that say the same.
fn said(answer: &Answer) -> (u16, String) {
    let status = answer.status.as_u16();
    match serde_json::from_slice::<Value>(&answer.body) {
        Ok(mut json) => {
            if let Some(search) = json.pointer_mut("/data/search") {
                search["took_ms"] = Value::Null;
            }
            if let Some(problem) = json.as_object_mut() {
                problem.remove("request_id");
            }
            (status, json.to_string())
        }
        // The calendar says when it was made.
        Err(_) => {
            let text = answer.text();
            let lines = text.lines().filter(|line| !line.starts_with("DTSTAMP"));
            (status, lines.collect::<Vec<_>>().join("\n"))
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_every_change_every_cached_read_says_what_the_origin_says() {
    let mut world = Box::pin(World::open()).await;
    let mut pairs = 0;
    for change in &CHANGES {
        Box::pin(world.prepare(change.name)).await;
        let reads = world.reads();
        let mut before = BTreeMap::new();
        for read in &reads {
            // Twice: what is compared below must have been in the cache.
            let reader = world.reader(READER, None);
            reader.get(read).await;
            let held = reader.get(read).await;
            assert!(held.is_hit(), "{read} is not cached: {:?} {}", held.headers, held.text());
            before.insert(read.clone(), said(&held));
        }
        let changed = Box::pin(world.make(change.name)).await;
        assert!(changed.status.is_success(), "{}: {} {}", change.name, changed.status, changed.text());
        let token = changed.header("x-cache-token").to_owned();
        let mut visible = 0;
        for read in &reads {
            let now = said(&world.reader(READER, Some(&token)).get(read).await);
            let truth = said(&world.reader(ORIGIN, None).get(read).await);
            assert_eq!(now, truth, "{read} is stale after: {}", change.name);
            visible += usize::from(before[read] != truth);
            pairs += 1;
        }
        assert!(visible > 0, "{} changed nothing that a read shows", change.name);
    }
    assert!(pairs > 500, "{pairs}");
}

/// Whoever adds a cached read or a change must add it above.
#[tokio::test(flavor = "multi_thread")]
async fn no_route_is_forgotten() {
    let changes: BTreeSet<(&str, &str)> =
        CHANGES.iter().flat_map(|change| change.covers.iter().copied()).collect();
    let not_shown: BTreeSet<&str> = NOT_SHOWN.iter().map(|(path, _reason)| *path).collect();
    for route in Route::ALL {
        let spec = route.spec();
        for method in spec.methods.iter().filter(|method| **method != "GET") {
            let known = changes.contains(&(*method, spec.template)) || not_shown.contains(spec.template);
            assert!(known, "{method} {} is compared with no read", spec.template);
        }
    }
    for template in &not_shown {
        assert!(
            Route::ALL.iter().any(|route| route.spec().template == *template),
            "{template} is no route any more"
        );
    }
    // Reads are found the way a request finds its route.
    let sample = [
        "/api/events",
        "/api/events.ics",
        "/api/events/1",
        "/api/professionals",
        "/api/professionals/1",
        "/api/reports",
        "/api/reports/1",
        "/api/notifications",
        "/api/v1/notifications",
        "/api/v1/notifications/preferences",
        "/api/v1/agenda/events",
        "/api/v1/agenda/events/1",
        "/api/v1/agenda/professionals",
        "/api/v1/agenda/professionals/1",
        "/api/v1/agenda/reports",
        "/api/v1/agenda/reports/1",
        "/api/v1/agenda/events.ics",
        "/api/v1/me",
        "/api/v1/me/addresses",
        "/api/v1/products",
        "/api/v1/products/featured",
        "/api/v1/products/new",
        "/api/v1/products/1",
        "/api/v1/products/by-slug/a",
        "/api/v1/categories",
        "/api/v1/categories/1",
        "/api/v1/cart",
        "/api/v1/orders",
        "/api/v1/orders/1",
        "/api/v1/orders/1/confirmation",
        "/api/v1/cep/01310100",
        "/api/v1/products/1/availability",
        // Content addressed: no change can make it stale.
        "/images/a.svg",
    ];
    let read: Vec<Route> =
        sample.iter().map(|path| Route::find(path).unwrap_or_else(|| panic!("{path}")).0).collect();
    let cached =
        |route: &&Route| matches!(route.spec().source, Source::Shared | Source::Own | Source::Shopper);
    for route in Route::ALL.iter().filter(cached) {
        assert!(read.contains(route), "{} is cached and read by no test", route.spec().template);
    }
}
