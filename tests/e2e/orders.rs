//! A day in the shop: from the first look to the refund, over HTTP, with the payment provider as a process.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    accounts::{self, PASSWORD, Person},
    client::{Answer, Client},
    shop::{ON_HAND, Service, Shop},
};

const PATIENCE: Duration = Duration::from_secs(30);
pub(crate) const CEP: &str = "01310100";

/// Somebody who buys: a client with a cart's token or an access token.
#[derive(Clone)]
pub(crate) struct Buyer {
    pub(crate) client: Client,
    pub(crate) cart_token: Option<String>,
}

impl Buyer {
    pub(crate) fn guest(shop: &Shop, gateway: usize) -> Self {
        Self { client: shop.client(gateway), cart_token: None }
    }

    pub(crate) fn user(shop: &Shop, gateway: usize, token: &str) -> Self {
        Self { client: shop.client(gateway).with_bearer(token.to_owned()), cart_token: None }
    }

    /// Sends a request under this idempotency key, if there is one; remembers the cart's token.
    pub(crate) async fn send(
        &mut self,
        method: Method,
        path: &str,
        key: Option<&str>,
        body: &Value,
    ) -> Answer {
        let mut request = self.client.request(method, path);
        if let Some(token) = &self.cart_token {
            request = request.header("x-cart-token", token);
        }
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        if !body.is_null() {
            request = request.json(body);
        }
        let answer = Client::send(request).await;
        if let Some(minted) = answer.headers.get("x-cart-token") {
            self.cart_token = Some(minted.to_str().unwrap().to_owned());
        }
        answer
    }

    /// The same, again and again while the shop says that it is busy: under a key that does no harm.
    pub(crate) async fn insist(&mut self, method: Method, path: &str, key: &str, body: &Value) -> Answer {
        let until = Instant::now() + PATIENCE * 2;
        loop {
            let answer = self.send(method.clone(), path, Some(key), body).await;
            let is_busy = [503, 504].contains(&answer.status.as_u16())
                || (answer.status == 409 && answer.json()["code"] == "idempotency_in_flight");
            if !is_busy || Instant::now() > until {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(fastrand::u64(50..500))).await;
        }
    }

    pub(crate) async fn get(&mut self, path: &str) -> Answer {
        self.insist(Method::GET, path, "a-read", &Value::Null).await
    }

    pub(crate) async fn post(&mut self, path: &str, key: &str, body: &Value) -> Answer {
        self.send(Method::POST, path, Some(key), body).await
    }

    /// Adds to the cart and answers it.
    pub(crate) async fn add(&mut self, variant: i64, quantity: i64) -> Value {
        let body = json!({ "variant_id": variant, "quantity": quantity });
        let key = format!("add-{:016x}", fastrand::u64(..));
        let answer = self.insist(Method::POST, "/api/v1/cart/items", &key, &body).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        answer.json()["data"]["cart"].clone()
    }

    /// The body of a checkout of what is in the cart now.
    pub(crate) async fn checkout_body(&mut self) -> Value {
        let cart = self.get("/api/v1/cart").await;
        assert_eq!(cart.status, 200, "{}", cart.text());
        let key = format!("quotes-{:016x}", fastrand::u64(..));
        let quotes = self.insist(Method::POST, "/api/v1/shipping/quotes", &key, &json!({ "cep": CEP })).await;
        assert_eq!(quotes.status, 200, "{}", quotes.text());
        json!({
            "cart_version": cart.json()["data"]["cart"]["version"],
            "shipping_quote_id": quotes.json()["data"]["quotes"][0]["id"],
            "shipping_address": {
                "recipient": "Ana Souza", "line1": "Avenida Paulista 1000", "city": "São Paulo", "state": "SP",
                "postal_code": CEP, "country": "BR",
            },
        })
    }

    /// Checks out what is in the cart; guests leave this address.
    pub(crate) async fn check_out(&mut self, key: &str, email: Option<&str>) -> Value {
        let mut body = self.checkout_body().await;
        if let Some(email) = email {
            body["email"] = json!(email);
        }
        let answer = self.insist(Method::POST, "/api/v1/checkout", key, &body).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        answer.json()["data"]["checkout"].clone()
    }

    pub(crate) async fn order(&mut self, order: i64) -> Value {
        let answer = self.get(&format!("/api/v1/orders/{order}")).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()["data"]["order"].clone()
    }

    /// Waits until the order has this status.
    pub(crate) async fn wait_for(&mut self, order: i64, status: &str) -> Value {
        testkit::eventually(PATIENCE, &format!("order {order} is {status}"), async || {
            let order = self.order(order).await;
            (order["status"] == status).then_some(order)
        })
        .await
    }
}

/// The first variant of a product.
pub(crate) async fn variant_of(shop: &Shop, product: i64) -> i64 {
    let answer = shop.client(0).get(&format!("/api/v1/products/{product}")).await;
    answer.json()["data"]["product"]["variants"][0]["id"].as_i64().unwrap()
}

/// What the provider knows of an order's money.
pub(crate) async fn ledger(shop: &Shop, order: i64) -> Value {
    let url = format!("http://{}/__sandbox/ledger?order_id={order}", shop.sandbox);
    reqwest::get(url).await.unwrap().json().await.unwrap()
}

/// The sum of an order's captures or refunds, as the provider knows them.
pub(crate) fn sum(ledger: &Value, kind: &str) -> i64 {
    ledger[kind].as_array().unwrap().iter().map(|entry| entry["amount"].as_i64().unwrap()).sum()
}

/// Something that a person does at the provider.
pub(crate) async fn at_provider(shop: &Shop, path: &str) {
    let url = format!("http://{}/__sandbox/{path}", shop.sandbox);
    let answer = reqwest::Client::new().post(&url).send().await.unwrap();
    assert!(answer.status().is_success() || answer.status().is_redirection(), "{url}: {answer:?}");
}

/// The provider's name of an order's latest attempt.
async fn intent(shop: &Shop, order: i64) -> String {
    let database = shop.orders_database.as_ref().unwrap();
    sqlx::query_scalar(
        "SELECT provider_ref FROM orders.payments WHERE order_id = $1 ORDER BY attempt DESC LIMIT 1",
    )
    .bind(order)
    .fetch_one(&mut database.admin().await)
    .await
    .unwrap()
}

fn amount(money: &Value) -> i64 {
    money["amount"].as_i64().unwrap_or_else(|| panic!("no money: {money}"))
}

async fn mail_about(shop: &Shop, email: &str, words: &str) -> Value {
    testkit::eventually(PATIENCE, &format!("a mail to {email} about {words}"), async || {
        let mails = accounts::mails(shop, email).await;
        mails.into_iter().find(|mail| mail["text"].as_str().is_some_and(|text| text.contains(words)))
    })
    .await
}

#[tokio::test]
async fn a_guest_becomes_a_customer_pays_by_card_and_gets_money_back() {
    let shop = Shop::open_with_everybody().await;
    let mut guest = Buyer::guest(&shop, 0);
    assert_eq!(guest.get("/api/v1/products").await.status, 200);
    let (first, second) = (variant_of(&shop, 1).await, variant_of(&shop, 2).await);
    guest.add(first, 2).await;
    let cart = guest.add(second, 1).await;
    assert_eq!(cart["items"].as_array().unwrap().len(), 2, "{cart}");

    let Person { email, .. } = accounts::join(&shop, "ana").await;
    let body = json!({ "email": email, "password": PASSWORD, "cart_merge": "sum" });
    let signed_in = guest.send(Method::POST, "/api/v1/auth/login", None, &body).await;
    assert_eq!(signed_in.json()["data"]["cart_merge"]["moved"], 2, "{}", signed_in.text());
    let ana = accounts::person(&email, &signed_in);
    let mut buyer = Buyer::user(&shop, 1, &ana.token);
    let cart = buyer.get("/api/v1/cart").await.json()["data"]["cart"].clone();
    assert_eq!(cart["items"].as_array().unwrap().len(), 2, "{cart}");

    let placed = buyer.check_out("um-dia-1", None).await;
    let order = placed["order_id"].as_i64().unwrap();
    assert_eq!(placed["status"], "pending_payment", "{placed}");
    let paying = json!({
        "method": "card", "payment_method": "pm_card_authenticationRequired",
        "return_url": "http://localhost:3000/retorno",
    });
    let asked = buyer.post(&format!("/api/v1/checkout/{order}/payments"), "um-dia-2", &paying).await;
    assert_eq!(asked.status, 202, "{}", asked.text());
    let action = &asked.json()["data"]["payment"]["next_action"];
    assert_eq!(action["type"], "redirect", "{action}");
    at_provider(&shop, &format!("3ds/{}/approve", intent(&shop, order).await)).await;
    let paid = buyer.wait_for(order, "paid").await;

    let number = paid["number"].as_str().unwrap().to_owned();
    testkit::eventually(PATIENCE, "the customer is told", async || {
        let told = buyer.get("/api/notifications").await.json();
        told.as_array()
            .unwrap()
            .iter()
            .any(|one| one["kind"] == "order" && one.to_string().contains(&number))
            .then_some(())
    })
    .await;
    mail_about(&shop, &email, &number).await;

    let cancelling = json!({ "reason": "comprei demais", "lines": [{ "line": 1, "quantity": 1 }] });
    let cancelled = buyer.post(&format!("/api/v1/orders/{order}/cancel"), "um-dia-3", &cancelling).await;
    assert_eq!(cancelled.status, 200, "{}", cancelled.text());
    let unit = amount(&paid["items"][0]["unit_price"]);
    let refunded = testkit::eventually(PATIENCE, "the money is back", async || {
        let order = buyer.order(order).await;
        (amount(&order["totals"]["refunded"]) > 0).then_some(order)
    })
    .await;
    assert_eq!(refunded["status"], "paid", "{refunded}");
    assert_eq!(amount(&refunded["totals"]["refunded"]), unit, "{refunded}");
    let money = ledger(&shop, order).await;
    assert_eq!(sum(&money, "captures"), amount(&paid["totals"]["total"]), "{money}");
    assert_eq!(sum(&money, "refunds"), unit, "{money}");
    assert_eq!(on_hand(&shop, first).await, ON_HAND - 1);
    assert_eq!(on_hand(&shop, second).await, ON_HAND - 1);
}

async fn on_hand(shop: &Shop, variant: i64) -> i32 {
    let database = shop.orders_database.as_ref().unwrap();
    sqlx::query_scalar("SELECT on_hand FROM orders.stock_levels WHERE variant_id = $1")
        .bind(variant)
        .fetch_one(&mut database.admin().await)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_guest_pays_by_pix_after_the_order_has_expired_and_still_gets_it() {
    let shop = Shop::open_with_everybody().await;
    let mut guest = Buyer::guest(&shop, 0);
    let variant = variant_of(&shop, 3).await;
    guest.add(variant, 1).await;
    let placed = guest.check_out("pix-1", Some("guest@mestrescafe.dev")).await;
    let order = placed["order_id"].as_i64().unwrap();
    let token = placed["order_token"].as_str().expect("a guest's way back").to_owned();
    let asked =
        guest.post(&format!("/api/v1/checkout/{order}/payments"), "pix-2", &json!({ "method": "pix" })).await;
    assert_eq!(asked.status, 202, "{}", asked.text());
    let action = asked.json()["data"]["payment"]["next_action"].clone();
    assert_eq!(action["type"], "pix", "{action}");
    assert!(action["copy_paste"].as_str().is_some_and(|text| text.starts_with("000201")), "{action}");

    let pix = intent(&shop, order).await;
    at_provider(&shop, &format!("pix/{pix}/expire")).await;
    let database = shop.orders_database.as_ref().unwrap();
    sqlx::query(
        "UPDATE orders.reservations SET expires_at = now() - interval '1 minute' WHERE order_id = $1",
    )
    .bind(order)
    .execute(&mut database.admin().await)
    .await
    .unwrap();
    guest.wait_for(order, "expired").await;
    assert_eq!(on_hand(&shop, variant).await, ON_HAND);

    at_provider(&shop, &format!("pix/{pix}/pay")).await;
    guest.wait_for(order, "paid").await;
    assert_eq!(on_hand(&shop, variant).await, ON_HAND - 1);
    let mail = mail_about(&shop, "guest@mestrescafe.dev", placed["order_number"].as_str().unwrap()).await;
    assert!(mail["text"].as_str().unwrap().contains(&token), "the mail opens the order: {mail}");

    // With the token of the mail and nothing else.
    let stranger = shop.client(1);
    let opened = Client::send(
        stranger.request(Method::GET, &format!("/api/v1/orders/{order}")).header("x-order-token", &token),
    )
    .await;
    assert_eq!(opened.status, 200, "{}", opened.text());
    assert_eq!(stranger.get(&format!("/api/v1/orders/{order}")).await.status, 401);
    assert!(!shop.log(Service::Gateway(0)).contains(&token) && !shop.log(Service::Orders).contains(&token));
}
