//! A shop with something of everything, so that every change has an object and every read an answer.

use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    agenda,
    client::{Answer, Client},
    orders::Buyer,
    shop::{Cast, Options, Shop},
};

/// Who reads and writes: a customer, and the other side of a report.
pub(super) const USER: i64 = 41;
pub(super) const OTHER: i64 = 42;
/// The demo product that is bought.
pub(super) const BOUGHT: i64 = 5;

/// The writer's gateway, the reader's, and one without a cache: what it says is the truth.
pub(super) const WRITER: usize = 0;
pub(super) const READER: usize = 1;
pub(super) const ORIGIN: usize = 2;

/// Something of everything, so that every change has an object.
pub(super) struct World {
    pub(super) shop: Shop,
    /// One per gateway, in the name of the user.
    readers: [Client; 3],
    pub(super) writer: Client,
    pub(super) staff: Client,
    pub(super) event: i64,
    pub(super) professional: i64,
    pub(super) report: i64,
    pub(super) product: i64,
    pub(super) address: i64,
    /// Of the demo shop, to be bought.
    pub(super) variant: i64,
    pub(super) order: i64,
    /// What the next deletion is for.
    pub(super) doomed: i64,
    /// Idempotency keys used so far.
    pub(super) keys: u32,
}

impl World {
    pub(super) async fn open() -> Self {
        let shop = Shop::open_with(Options {
            gateways: 2,
            uncached_gateways: 1,
            cast: Cast::Everybody,
            ..Options::default()
        })
        .await;
        crate::accounts::customer(&shop, USER).await;
        let readers =
            [WRITER, READER, ORIGIN].map(|gateway| shop.client(gateway).with_bearer(shop.customer(USER)));
        let writer = readers[WRITER].clone();
        let staff = shop.client(WRITER).with_bearer(shop.token("staff"));
        let product = created(&crate::freshness::create(&staff, "cafe-mutante", 2).await, "/data/product/id");
        let mut world = Self {
            shop,
            readers,
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
    pub(super) async fn quiet(&self) {
        let turned = json!({ "preferences": [{ "kind": "order", "in_app": false, "email": false }] });
        let answer = self.writer.write(Method::PUT, "/api/v1/notifications/preferences", None, &turned).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }

    pub(super) fn buyer(&self) -> Buyer {
        Buyer::user(&self.shop, WRITER, &self.shop.customer(USER))
    }

    pub(super) fn key(&mut self) -> String {
        self.keys += 1;
        format!("mutations-{}", self.keys)
    }

    pub(super) async fn place_order(&mut self) -> i64 {
        let key = self.key();
        let mut buyer = self.buyer();
        buyer.add(self.variant, 2).await;
        buyer.check_out(&key, None).await["order_id"].as_i64().unwrap()
    }

    /// The first line of the cart.
    pub(super) async fn cart_item(&self) -> String {
        let cart = self.reader(ORIGIN, None).get("/api/v1/cart").await.json();
        format!("/api/v1/cart/items/{}", cart["data"]["cart"]["items"][0]["id"])
    }

    pub(super) async fn keyed(&mut self, client: &Client, path: &str, body: &Value) -> Answer {
        let key = self.key();
        Client::send(client.request(Method::POST, path).header("idempotency-key", key).json(body)).await
    }

    pub(super) async fn wait_for_notifications(&self, count: usize) {
        let origin = self.reader(ORIGIN, None);
        testkit::eventually(std::time::Duration::from_secs(15), "the notifications", async || {
            let all = origin.get("/api/notifications?limit=100").await.json();
            (all.as_array().unwrap().len() >= count).then_some(())
        })
        .await;
    }

    pub(super) fn reader(&self, gateway: usize, token: Option<&str>) -> Client {
        let client = self.readers[gateway].clone();
        match token {
            Some(token) => client.with_cache_token(token),
            None => client,
        }
    }

    pub(super) async fn create_professional(&self, name: &str) -> i64 {
        let body = json!({ "name": name, "specialty": "barista" });
        created(&self.writer.write(Method::POST, "/api/professionals", None, &body).await, "/id")
    }

    pub(super) async fn create_event(&self, day: u32) -> i64 {
        let body = agenda::event("Degustação", Some(self.professional), day);
        created(&self.writer.write(Method::POST, "/api/events", None, &body).await, "/id")
    }

    pub(super) async fn create_report(&self) -> i64 {
        let body = agenda::report(OTHER, "enviado");
        created(&self.writer.write(Method::POST, "/api/reports", None, &body).await, "/id")
    }

    pub(super) async fn add_address(&self) -> Answer {
        let body = json!({
            "recipient": "Ana", "line1": "Rua A, 1", "city": "São Paulo", "state": "SP",
            "postal_code": "01310100"
        });
        self.writer.write(Method::POST, "/api/v1/me/addresses", None, &body).await
    }

    /// Every cached read there is, as the user would ask for it.
    pub(super) fn reads(&self) -> Vec<String> {
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
}

#[track_caller]
pub(super) fn created_at_all(answer: &Answer) {
    assert_eq!(answer.status, 201, "{}", answer.text());
}

/// The id in the answer of a creation.
#[track_caller]
pub(super) fn created(answer: &Answer, pointer: &str) -> i64 {
    assert_eq!(answer.status, 201, "{}", answer.text());
    answer.json().pointer(pointer).and_then(Value::as_i64).unwrap_or_else(|| panic!("{}", answer.text()))
}
