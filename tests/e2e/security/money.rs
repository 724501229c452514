//! Rows X60 to X73: carts, coupons, checkout and payments under everything at once.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures_util::future::join_all;
use hmac::{Hmac, Mac as _};
use reqwest::Method;
use serde_json::{Value, json};
use sha2::Sha256;

use super::{World, refused};
use crate::{
    client::{Answer, Client},
    orders::{Buyer, ledger, sum, variant_of},
    shop::{Shop, WEBHOOK_SECRET},
};

const PATIENCE: Duration = Duration::from_secs(40);

/// Buyers at once: 200 with `MESTRES_SECURITY_PARALLEL=200`. By default fewer, for a machine that is busy with tests.
fn parallel() -> usize {
    bootstrap::config::parsed("MESTRES_SECURITY_PARALLEL", 40).unwrap()
}

/// How many answers have this status.
fn count(answers: &[Answer], status: u16) -> usize {
    answers.iter().filter(|answer| answer.status == status).count()
}

async fn sql(shop: &Shop, statement: &'static str) {
    let database = shop.orders_database.as_ref().unwrap();
    sqlx::raw_sql(statement).execute(&mut database.admin().await).await.unwrap();
}

async fn number(shop: &Shop, question: &'static str) -> i64 {
    let database = shop.orders_database.as_ref().unwrap();
    sqlx::query_scalar(question).fetch_one(&mut database.admin().await).await.unwrap()
}

/// Guests with this variant in their carts, ready to check out.
async fn ready(shop: &Shop, variant: i64, guests: usize) -> Vec<(Buyer, Value)> {
    let mut ready = Vec::new();
    // A few at a time: getting ready is not what is tried.
    for chunk in (0..guests).collect::<Vec<_>>().chunks(20) {
        let some = chunk.iter().map(|index| async move {
            let mut buyer = Buyer::guest(shop, index % 2);
            buyer.add(variant, 1).await;
            let mut body = buyer.checkout_body().await;
            body["email"] = json!(format!("guest-{index}@mestrescafe.dev"));
            (buyer, body)
        });
        ready.extend(join_all(some).await);
    }
    ready
}

/// All of them check out at once. Whoever is turned away asks again under the same key, as often as it takes.
///
/// A shop that turns somebody away says when to come back. It does not run into its own deadline as a rule, and never
/// fails.
#[expect(clippy::print_stdout, reason = "how crowded it was is worth knowing")]
async fn check_out_all(ready: Vec<(Buyer, Value)>, name: &str) -> Vec<Answer> {
    let begun = Instant::now();
    let all = ready.into_iter().enumerate().map(|(index, (mut buyer, body))| async move {
        let key = format!("{name}-{index}");
        let mut turned_away = Vec::new();
        loop {
            let answer = buyer.post("/api/v1/checkout", &key, &body).await;
            let is_busy = [503, 504].contains(&answer.status.as_u16());
            if !is_busy || begun.elapsed() > PATIENCE * 2 {
                return (answer, turned_away);
            }
            if answer.status == 503 {
                let seconds: u64 = answer.header("retry-after").parse().unwrap();
                assert!((1..=3).contains(&seconds), "{seconds}");
            }
            turned_away.push(answer.status.as_u16());
            tokio::time::sleep(Duration::from_millis(fastrand::u64(50..500))).await;
        }
    });
    let (answers, turned_away): (Vec<_>, Vec<_>) = join_all(all).await.into_iter().unzip();
    let rounds = turned_away.iter().map(Vec::len).max().unwrap_or_default() + 1;
    let late = turned_away.iter().flatten().filter(|status| **status == 504).count();
    let away = turned_away.iter().flatten().count();
    println!(
        "{name}: {} buyers settled after {:?} and {rounds} rounds; {away} times turned away, {late} of them late",
        answers.len(),
        begun.elapsed(),
    );
    assert!(late <= answers.len() / 10, "{late} times late: {turned_away:?}");
    answers
}

pub(super) async fn x60(world: &World) {
    let variant = variant_of(&world.shop, 11).await;
    let ready = ready(&world.shop, variant, parallel()).await;
    sql(&world.shop, "UPDATE orders.stock_levels SET on_hand = reserved + 1 WHERE product_id = 11").await;
    let answers = check_out_all(ready, "x60").await;
    assert_eq!(count(&answers, 201), 1);
    for answer in answers.iter().filter(|answer| answer.status != 201) {
        refused(answer, 409, "out_of_stock");
    }
    assert_eq!(
        number(
            &world.shop,
            "SELECT count(*) FROM orders.stock_levels WHERE reserved > on_hand AND NOT backorder"
        )
        .await,
        0
    );
}

pub(super) async fn x61(world: &World) {
    let coupon = json!({
        "code": "UMAVEZ", "kind": "fixed", "value": 500, "usage_limit": 1, "per_customer_limit": 1,
    });
    let created = world.by(&world.staff).write(Method::POST, "/api/v1/admin/coupons", None, &coupon).await;
    assert_eq!(created.status, 201, "{}", created.text());
    let variant = variant_of(&world.shop, 12).await;
    let mut ready = ready(&world.shop, variant, parallel()).await;
    for (_, body) in &mut ready {
        body["coupon_code"] = json!("UMAVEZ");
    }
    let answers = check_out_all(ready, "x61").await;
    assert_eq!(count(&answers, 201), 1);
    for answer in answers.iter().filter(|answer| answer.status != 201) {
        refused(answer, 409, "coupon_exhausted");
    }
    assert_eq!(number(&world.shop, "SELECT used::bigint FROM orders.coupons WHERE code = 'UMAVEZ'").await, 1);
}

pub(super) async fn x62(world: &World) {
    let variant = variant_of(&world.shop, 13).await;
    let other = variant_of(&world.shop, 14).await;
    for round in 0..10 {
        let mut buyer = Buyer::guest(&world.shop, 0);
        buyer.add(variant, 1).await;
        let mut body = buyer.checkout_body().await;
        body["email"] = json!("x62@mestrescafe.dev");
        let (mut adder, mut payer) = (buyer.clone(), buyer);
        let key = format!("x62-{round}");
        let adding = json!({ "variant_id": other, "quantity": 1 });
        let (placed, added) = tokio::join!(
            payer.post("/api/v1/checkout", &key, &body),
            adder.send(Method::POST, "/api/v1/cart/items", None, &adding),
        );
        // What came later is in a cart of its own, or was refused.
        assert!(added.status == 201 || added.status == 409, "{}", added.text());
        if placed.status == 201 {
            let items = placed.json()["data"]["checkout"]["items"].clone();
            assert_eq!(
                items.as_array().unwrap().len(),
                1,
                "the cart that was seen is what is ordered: {items}"
            );
        } else {
            assert!(placed.status == 409 || placed.status == 412, "{}", placed.text());
        }
    }
    let mut buyer = Buyer::guest(&world.shop, 0);
    buyer.add(variant, 1).await;
    let mut body = buyer.checkout_body().await;
    body["email"] = json!("x62@mestrescafe.dev");
    let staff = world.by(&world.staff);
    let price = staff.change_price(13, 9_999).await;
    assert_eq!(price.status, 200);
    refused(&buyer.post("/api/v1/checkout", "x62-price", &body).await, 409, "price_changed");
}

pub(super) async fn x63(world: &World) {
    let variant = variant_of(&world.shop, 15).await;
    let mut buyer = Buyer::guest(&world.shop, 0);
    buyer.add(variant, 1).await;
    let placed = buyer.check_out("x63", Some("x63@mestrescafe.dev")).await;
    let order = placed["order_id"].as_i64().unwrap();
    let path = format!("/api/v1/checkout/{order}/payments");
    let paying = json!({ "method": "card", "payment_method": "pm_card_visa" });
    let tabs = (0..20).map(|tab| {
        let (mut buyer, path, paying) = (buyer.clone(), path.clone(), paying.clone());
        async move { buyer.post(&path, &format!("x63-{tab}"), &paying).await }
    });
    let answers = join_all(tabs).await;
    assert!(answers.iter().all(|answer| [200, 202, 409].contains(&answer.status.as_u16())), "{answers:#?}");
    buyer.wait_for(order, "paid").await;
    let money = ledger(&world.shop, order).await;
    assert_eq!(money["captures"].as_array().unwrap().len(), 1, "{money}");
}

pub(super) async fn x64(world: &World) {
    let variant = variant_of(&world.shop, 16).await;
    let mut buyer = Buyer::guest(&world.shop, 0);
    buyer.add(variant, 1).await;
    let order = buyer.check_out("x64", Some("x64@mestrescafe.dev")).await["order_id"].as_i64().unwrap();
    let paying = json!({ "method": "card", "payment_method": "pm_card_visa" });
    buyer.insist(Method::POST, &format!("/api/v1/checkout/{order}/payments"), "x64-pay", &paying).await;
    let paid = buyer.wait_for(order, "paid").await;
    let staff = world.by(&world.staff);
    let path = format!("/api/v1/admin/orders/{order}/refunds");
    let body = json!({ "amount": paid["totals"]["total"]["amount"], "reason": "x64" });
    let refunds = (0..100).map(|attempt| {
        let request = staff.request(Method::POST, &path).header("idempotency-key", format!("x64-{attempt}"));
        Client::send(request.json(&body))
    });
    let answers = join_all(refunds).await;
    assert!(answers.iter().filter(|answer| answer.status.is_success()).count() >= 1);
    buyer.wait_for(order, "refunded").await;
    let money = ledger(&world.shop, order).await;
    assert_eq!(sum(&money, "captures"), sum(&money, "refunds"), "{money}");
    assert_eq!(money["refunds"].as_array().unwrap().len(), 1, "{money}");
}

pub(super) async fn x65(world: &World) {
    let variant = variant_of(&world.shop, 17).await;
    let mut buyer = Buyer::guest(&world.shop, 0);
    for quantity in
        [json!(0), json!(-1), json!(1.5), json!(2_147_483_648_i64), json!("1"), Value::Null, json!(100)]
    {
        let body = json!({ "variant_id": variant, "quantity": quantity });
        let answer = buyer.send(Method::POST, "/api/v1/cart/items", None, &body).await;
        assert!(answer.status == 422 || answer.status == 400, "{quantity}: {}", answer.text());
    }
    for extra in ["amount", "currency", "unit_price", "unit_amount", "price"] {
        let mut body = json!({ "variant_id": variant, "quantity": 1 });
        body[extra] = json!(1);
        let answer = buyer.send(Method::POST, "/api/v1/cart/items", None, &body).await;
        refused(&answer, 422, "validation_failed");
    }
    let shown = world.shop.client(0).get("/api/v1/products/17").await.first_variant_amount();
    let cart = buyer.add(variant, 1).await;
    assert_eq!(cart["items"][0]["unit_price"]["amount"], shown);
}

pub(super) async fn x66(world: &World) {
    let variant = variant_of(&world.shop, 18).await;
    let mut buyer = Buyer::guest(&world.shop, 0);
    // A checkout of nothing, a payment of nothing.
    let empty = json!({ "cart_version": 1, "email": "x66@mestrescafe.dev", "shipping_quote_id": "x",
        "shipping_address": { "recipient": "A", "line1": "B", "city": "C", "state": "SP", "postal_code": "01310100", "country": "BR" } });
    let answer = buyer.post("/api/v1/checkout", "x66-1", &empty).await;
    assert!([401, 404, 409, 412, 422].contains(&answer.status.as_u16()), "{}", answer.text());
    buyer.add(variant, 1).await;
    let mut stranger = Buyer::guest(&world.shop, 0);
    stranger.add(variant, 2).await;
    let mut body = stranger.checkout_body().await;
    body["email"] = json!("x66@mestrescafe.dev");
    // Another's quote, of another weight.
    let mut mixed = buyer.checkout_body().await;
    mixed["email"] = json!("x66@mestrescafe.dev");
    mixed["shipping_quote_id"] = body["shipping_quote_id"].clone();
    let answer = buyer.post("/api/v1/checkout", "x66-2", &mixed).await;
    assert!([404, 409, 422].contains(&answer.status.as_u16()), "{}", answer.text());
    // A forged one.
    mixed["shipping_quote_id"] = json!("PAC:01310100:250:0:1:9999999999:AAAA");
    let answer = buyer.post("/api/v1/checkout", "x66-3", &mixed).await;
    assert!([404, 409, 422].contains(&answer.status.as_u16()), "{}", answer.text());
    // Another's order.
    let order = stranger.check_out("x66-4", Some("x66@mestrescafe.dev")).await["order_id"].as_i64().unwrap();
    let paying = json!({ "method": "card", "payment_method": "pm_card_visa" });
    refused(
        &buyer.post(&format!("/api/v1/checkout/{order}/payments"), "x66-5", &paying).await,
        404,
        "not_found",
    );
    refused(&buyer.get(&format!("/api/v1/orders/{order}")).await, 404, "not_found");
    // Shipped before it is paid.
    let staff = world.by(&world.staff);
    let seen = staff.get(&format!("/api/v1/admin/orders/{order}")).await;
    let patch = json!({ "status": "shipped" });
    let path = format!("/api/v1/admin/orders/{order}");
    refused(
        &staff.write(Method::PATCH, &path, Some(seen.header("etag")), &patch).await,
        409,
        "illegal_transition",
    );
}

pub(super) async fn x67(world: &World) {
    let variant = variant_of(&world.shop, 19).await;
    let mut buyer = Buyer::guest(&world.shop, 0);
    buyer.add(variant, 1).await;
    let mut body = buyer.checkout_body().await;
    body["email"] = json!("x67@mestrescafe.dev");
    let before = number(&world.shop, "SELECT count(*) FROM orders.orders").await;
    let repeats = (0..5 * parallel()).map(|_| {
        let (mut buyer, body) = (buyer.clone(), body.clone());
        async move { buyer.post("/api/v1/checkout", "x67", &body).await }
    });
    let mut answers = join_all(repeats).await;
    let last = buyer.insist(Method::POST, "/api/v1/checkout", "x67", &body).await;
    answers.push(last);
    assert_eq!(number(&world.shop, "SELECT count(*) FROM orders.orders").await, before + 1);
    let placed: Vec<_> = answers.iter().filter(|answer| answer.status == 201).collect();
    assert!(!placed.is_empty(), "{:?}", answers[0]);
    assert!(placed.iter().all(|answer| answer.body == placed[0].body), "replays are the same bytes");
    for answer in answers.iter().filter(|answer| answer.status != 201) {
        assert!(
            [503, 504].contains(&answer.status.as_u16()) || answer.json()["code"] == "idempotency_in_flight",
            "{}",
            answer.text()
        );
    }

    let mut other = body.clone();
    other["email"] = json!("outra@mestrescafe.dev");
    refused(&buyer.post("/api/v1/checkout", "x67", &other).await, 422, "idempotency_key_reused");
    let mut stranger = Buyer::guest(&world.shop, 0);
    stranger.add(variant, 1).await;
    stranger.check_out("x67", Some("x67@mestrescafe.dev")).await;
    let elsewhere = json!({ "variant_id": variant, "quantity": 1 });
    assert_eq!(buyer.post("/api/v1/cart/items", "x67", &elsewhere).await.status, 201);
    refused(&buyer.post("/api/v1/checkout", &"k".repeat(256), &body).await, 400, "invalid_parameter");
    refused(&buyer.post("/api/v1/checkout", "ol\u{e1}", &body).await, 400, "invalid_parameter");
    let missing = buyer.send(Method::POST, "/api/v1/checkout", None, &body).await;
    refused(&missing, 428, "precondition_required");
}

pub(super) async fn x68(world: &World) {
    let variant = variant_of(&world.shop, 20).await;
    let mut buyer = Buyer::guest(&world.shop, 0);
    for index in 0..3 {
        buyer.add(variant, 1).await;
        buyer.check_out(&format!("x68-{index}"), Some("x68@mestrescafe.dev")).await;
    }
    buyer.add(variant, 1).await;
    let mut body = buyer.checkout_body().await;
    body["email"] = json!("x68@mestrescafe.dev");
    refused(&buyer.post("/api/v1/checkout", "x68-4", &body).await, 429, "too_many_unpaid_orders");
    // What is never paid is given back.
    sql(
        &world.shop,
        "UPDATE orders.reservations SET expires_at = now() - interval '1 second'
          WHERE variant_id IN (SELECT variant_id FROM orders.stock_levels WHERE product_id = 20)",
    )
    .await;
    testkit::eventually(PATIENCE, "the stock is back", async || {
        let held = "SELECT sum(reserved) FROM orders.stock_levels WHERE product_id = 20";
        (number(&world.shop, held).await == 0).then_some(())
    })
    .await;
}

/// A signed word of the provider.
fn signed(body: &str, at: i64, secret: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any length");
    mac.update(format!("{at}.{body}").as_bytes());
    let digest: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("t={at},v1={digest}")
}

fn now() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap()
}

async fn tell(world: &World, body: String, signature: Option<String>) -> Answer {
    let client = world.nobody();
    let mut request = client
        .request(Method::POST, "/api/v1/payments/webhooks/sandbox")
        .header("content-type", "application/json");
    if let Some(signature) = signature {
        request = request.header("stripe-signature", signature);
    }
    Client::send(request.body(body)).await
}

fn word(event: &str, intent: &Value) -> String {
    json!({
        "id": event, "object": "event", "type": "payment_intent.succeeded", "created": now(),
        "data": { "object": intent },
    })
    .to_string()
}

pub(super) async fn x70(world: &World) {
    let body =
        word("evt_x70", &json!({ "id": "pi_nobody", "object": "payment_intent", "status": "succeeded" }));
    refused(&tell(world, body.clone(), None).await, 400, "invalid_signature");
    refused(
        &tell(world, body.clone(), Some(signed(&body, now(), "whsec_other"))).await,
        400,
        "invalid_signature",
    );
    refused(
        &tell(world, body.clone(), Some(signed(&body, now() - 301, WEBHOOK_SECRET))).await,
        400,
        "invalid_signature",
    );
    let edited = body.replace("succeeded", "canceled");
    refused(&tell(world, edited, Some(signed(&body, now(), WEBHOOK_SECRET))).await, 400, "invalid_signature");
    let huge = "x".repeat(10 * 1024 * 1024);
    let signature = signed(&huge, now(), WEBHOOK_SECRET);
    let request = world.nobody().request(Method::POST, "/api/v1/payments/webhooks/sandbox");
    match Client::try_send(request.header("stripe-signature", signature).body(huge)).await {
        Ok(answer) => refused(&answer, 413, "payload_too_large"),
        // Cut off while it still sent.
        Err(error) => assert!(error.is_request() || error.is_body(), "{error:?}"),
    }
    assert_eq!(tell(world, body.clone(), Some(signed(&body, now(), WEBHOOK_SECRET))).await.status, 200);
}

pub(super) async fn x71(world: &World) {
    let variant = variant_of(&world.shop, 21).await;
    let mut buyer = Buyer::guest(&world.shop, 0);
    buyer.add(variant, 1).await;
    let order = buyer.check_out("x71", Some("x71@mestrescafe.dev")).await["order_id"].as_i64().unwrap();
    let paying = json!({ "method": "card", "payment_method": "pm_card_visa" });
    buyer.insist(Method::POST, &format!("/api/v1/checkout/{order}/payments"), "x71-pay", &paying).await;
    let paid = buyer.wait_for(order, "paid").await;
    let money = ledger(&world.shop, order).await;
    let intent = json!({ "id": money["captures"][0]["payment_intent"], "object": "payment_intent", "status": "succeeded" });
    let body = word("evt_x71", &intent);
    let signature = signed(&body, now(), WEBHOOK_SECRET);
    for _ in 0..10 {
        let words = (0..100).map(|_| tell(world, body.clone(), Some(signature.clone())));
        assert!(join_all(words).await.iter().all(|answer| answer.status == 200));
    }
    assert_eq!(
        number(&world.shop, "SELECT count(*) FROM orders.payment_events WHERE event_id = 'evt_x71'").await,
        1
    );
    testkit::eventually(PATIENCE, "the word is heard", async || {
        let open =
            "SELECT count(*) FROM orders.payment_events WHERE event_id = 'evt_x71' AND processed_at IS NULL";
        (number(&world.shop, open).await == 0).then_some(())
    })
    .await;
    let after = buyer.order(order).await;
    assert_eq!(after["version"], paid["version"], "nothing happened twice");
}

pub(super) async fn x72(world: &World) {
    let variant = variant_of(&world.shop, 22).await;
    let mut buyer = Buyer::guest(&world.shop, 0);
    buyer.add(variant, 1).await;
    let order = buyer.check_out("x72", Some("x72@mestrescafe.dev")).await["order_id"].as_i64().unwrap();
    let pix = buyer
        .post(&format!("/api/v1/checkout/{order}/payments"), "x72-pay", &json!({ "method": "pix" }))
        .await;
    assert_eq!(pix.status, 202, "{}", pix.text());
    let reference: String = {
        let database = world.shop.orders_database.as_ref().unwrap();
        sqlx::query_scalar("SELECT provider_ref FROM orders.payments WHERE order_id = $1")
            .bind(order)
            .fetch_one(&mut database.admin().await)
            .await
            .unwrap()
    };
    // It says that one centavo is the price. The intent itself, when it is asked, is not paid at all.
    let lie = json!({
        "id": reference, "object": "payment_intent", "status": "succeeded", "amount": 1, "amount_received": 1,
        "currency": "usd", "metadata": { "order_id": order.to_string() },
    });
    let body = word("evt_x72", &lie);
    assert_eq!(tell(world, body.clone(), Some(signed(&body, now(), WEBHOOK_SECRET))).await.status, 200);
    testkit::eventually(PATIENCE, "the word is looked into", async || {
        let heard = "SELECT count(*) FROM orders.payment_events WHERE event_id = 'evt_x72' AND processed_at IS NOT NULL";
        (number(&world.shop, heard).await == 1).then_some(())
    })
    .await;
    assert_eq!(buyer.order(order).await["status"], "pending_payment");
}

pub(super) async fn x73(world: &World) {
    let unknown =
        json!({ "id": "pi_of_nobody", "object": "payment_intent", "status": "succeeded", "metadata": {} });
    let body = word("evt_x73", &unknown);
    assert_eq!(tell(world, body.clone(), Some(signed(&body, now(), WEBHOOK_SECRET))).await.status, 200);
    assert_eq!(
        number(&world.shop, "SELECT count(*) FROM orders.payment_events WHERE event_id = 'evt_x73'").await,
        1
    );
    testkit::eventually(PATIENCE, "somebody is told", async || {
        let noted =
            "SELECT count(*) FROM orders.payment_events WHERE event_id = 'evt_x73' AND outcome IS NOT NULL";
        (number(&world.shop, noted).await == 1).then_some(())
    })
    .await;
}
