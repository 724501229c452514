//! `Idempotency-Key`: where it is, where it must be, what services hear of it, and what clients hear again (X67).

use gateway::handlers::openapi::Contract;
use gateway::routes::{Repeats, Route};
use reqwest::{Method, Response};
use serde_json::{Value, json};
use tonic::Code;
use utoipa::OpenApi;

use crate::carts::{CART_ITEMS, Market, item, send};
use crate::scripted_orders::{blaming, sha256_hex};
use crate::shop::{check_problem, header};

const CHECKOUT: &str = "/api/v1/checkout";

fn checkout() -> Value {
    json!({"cart_version": 3, "shipping_quote_id": "q", "shipping_address": {
        "recipient": "Ana", "line1": "Rua A, 1", "city": "São Paulo", "state": "SP", "postal_code": "01310100",
    }})
}

async fn post(market: &Market, key: &str, body: &Value) -> Response {
    send(market.as_user(Method::POST, CHECKOUT).header("idempotency-key", key).json(body)).await
}

/// The parts of an answer that a repetition must give again.
async fn kept(answer: Response) -> (u16, Vec<String>, Vec<u8>) {
    let headers = ["content-type", "etag", "location", "cache-control"];
    let headers = headers.iter().map(|name| header(&answer, name).to_owned()).collect();
    (answer.status().as_u16(), headers, answer.bytes().await.expect("a body").to_vec())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_request_is_answered_with_the_same_bytes() {
    let market = Market::open().await;
    let first = post(&market, "k", &checkout()).await;
    assert_eq!(header(&first, "idempotent-replayed"), "");
    let first = kept(first).await;
    for _ in 0..3 {
        let again = post(&market, "k", &checkout()).await;
        assert_eq!(header(&again, "idempotent-replayed"), "true");
        assert_eq!(kept(again).await, first);
    }
    let mut other = checkout();
    other["cart_version"] = json!(4);
    let reused = post(&market, "k", &other).await;
    assert_eq!(header(&reused, "idempotent-replayed"), "");
    check_problem(reused, 422, "idempotency_key_reused").await;
    // The same meaning in other bytes is another request.
    let spaced = market.as_user(Method::POST, CHECKOUT).header("idempotency-key", "k");
    let spaced = spaced.header("content-type", "application/json").body(format!("{} ", checkout()));
    check_problem(send(spaced).await, 422, "idempotency_key_reused").await;

    let calls = market.orders.calls();
    assert!(calls.iter().all(|call| call.key.as_deref() == Some("k")));
    assert!(calls.iter().all(|call| call.route.as_deref() == Some("POST /api/v1/checkout")));
    let sha256: String = calls[0].sha256.iter().flatten().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(sha256, sha256_hex(&checkout().to_string()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_repeated_word_for_word() {
    let market = Market::open().await;
    let line = proto::orders::v1::LineProblem { code: "out_of_stock".to_owned(), ..Default::default() };
    market.orders.refuse_with(blaming("out_of_stock", vec![line]));
    let ask = |id: &'static str| {
        let request = market.as_user(Method::POST, CHECKOUT).header("idempotency-key", "k");
        send(request.header("x-request-id", id).json(&checkout()))
    };
    let first = ask("the-first").await;
    assert_eq!((first.status().as_u16(), header(&first, "idempotent-replayed")), (409, ""));
    let first = kept(first).await;
    assert!(String::from_utf8_lossy(&first.2).contains("\"request_id\":\"the-first\""));
    let again = ask("the-second").await;
    assert_eq!(
        (header(&again, "idempotent-replayed"), header(&again, "x-request-id")),
        ("true", "the-second")
    );
    assert_eq!(kept(again).await, first, "the document names the request that was refused");

    // What was nobody's fault is tried again.
    market.orders.refuse(Code::Unavailable, "catalog_unavailable");
    check_problem(post(&market, "other", &checkout()).await, 503, "upstream_unavailable").await;
    assert_eq!(post(&market, "other", &checkout()).await.status(), 201);
    market.orders.refuse(Code::Aborted, "idempotency_in_flight");
    let busy = post(&market, "third", &checkout()).await;
    assert_eq!(header(&busy, "retry-after"), "1");
    check_problem(busy, 409, "idempotency_in_flight").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_odd_shapes() {
    let market = Market::open().await;
    let ask = async |target: &str, key: &[u8]| {
        let key = reqwest::header::HeaderValue::from_bytes(key).expect("a header value");
        send(market.as_user(Method::POST, target).header("idempotency-key", key).json(&item())).await
    };
    for key in [vec![b'k'; 256], "olá".into(), b"a b".to_vec(), Vec::new()] {
        for target in [CHECKOUT, CART_ITEMS, "/api/events", "/api/v1/me/addresses"] {
            let problem = check_problem(ask(target, &key).await, 400, "invalid_parameter").await;
            assert_eq!(problem["parameter"], "Idempotency-Key");
        }
    }
    assert_eq!(ask(CART_ITEMS, &[b'k'; 255]).await.status(), 201);
    let twice = market.as_user(Method::POST, CART_ITEMS).header("idempotency-key", "a");
    let twice = send(twice.header("idempotency-key", "b").json(&item())).await;
    check_problem(twice, 400, "invalid_parameter").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_it_must_be_it_is_missed_after_who_asks_is_known() {
    let market = Market::open().await;
    let must: Vec<&str> = Route::ALL
        .into_iter()
        .filter(|route| route.repeats() == Repeats::Must)
        .map(|route| route.spec().template)
        .collect();
    assert_eq!(
        must,
        [
            CHECKOUT,
            "/api/v1/checkout/{id}/payments",
            "/api/v1/admin/orders/{id}/refunds",
            "/api/v1/admin/stock/adjust"
        ]
    );
    for target in must {
        let target = target.replace("{id}", "5");
        let missing = send(market.shop.request_as("staff", Method::POST, &target).json(&json!({}))).await;
        let problem = check_problem(missing, 428, "precondition_required").await;
        assert_eq!(problem["parameter"], "Idempotency-Key");
        check_problem(
            send(market.request(Method::POST, &target).json(&json!({}))).await,
            401,
            "unauthenticated",
        )
        .await;
    }
    assert!(market.orders.calls().is_empty());
}

/// Each principal, route and method has keys of its own, and what takes none hears of none.
#[tokio::test(flavor = "multi_thread")]
async fn keys_are_told_for_posts_and_patches_only() {
    let market = Market::open().await;
    let (one, other) = (market.guest().await, market.guest().await);
    for token in [&one, &other] {
        let add = market.request(Method::POST, CART_ITEMS).header("x-cart-token", token);
        let answer = send(add.header("idempotency-key", "k").json(&item())).await;
        assert_eq!((answer.status().as_u16(), header(&answer, "idempotent-replayed")), (201, ""));
    }
    let patch = market.request(Method::PATCH, "/api/v1/cart/items/1").header("x-cart-token", &one);
    assert_eq!(send(patch.header("idempotency-key", "k").json(&json!({"quantity": 3}))).await.status(), 200);
    let routes: Vec<_> = market.orders.calls().into_iter().filter_map(|call| call.route).collect();
    assert_eq!(routes, ["POST /api/v1/cart/items", "POST /api/v1/cart/items", "PATCH /api/v1/cart/items/1"]);

    let put = market.request(Method::PUT, "/api/v1/cart/coupon").header("x-cart-token", &one);
    assert_eq!(send(put.header("idempotency-key", "").json(&json!({"code": "X"}))).await.status(), 200);
    let delete = market.request(Method::DELETE, "/api/v1/cart").header("x-cart-token", &one);
    assert_eq!(send(delete.header("idempotency-key", "k")).await.status(), 204);
    assert!(market.orders.calls().iter().all(|call| call.key.is_none()));
    let login = market.request(Method::POST, "/api/v1/auth/logout").header("idempotency-key", "olá");
    check_problem(send(login).await, 401, "unauthenticated").await;
}

#[test]
fn the_contract_shows_the_key() {
    let contract: Value = serde_json::to_value(Contract::openapi()).expect("the contract is JSON");
    for route in Route::ALL {
        for method in route.spec().methods {
            let operation = &contract["paths"][route.spec().template][method.to_lowercase()];
            let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
            let key = parameters.iter().find(|parameter| parameter["name"] == "Idempotency-Key");
            let expected = match (*method, route.repeats()) {
                ("POST" | "PATCH", Repeats::May) => Some(false),
                ("POST" | "PATCH", Repeats::Must) => Some(true),
                _ => None,
            };
            assert_eq!(key.map(|key| key["required"] == true), expected, "{method} {route:?}");
        }
    }
}
