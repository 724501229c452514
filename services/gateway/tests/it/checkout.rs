//! Checkout and payments by HTTP: what is asked of the service, what its refusals become, and the provider's words.

use proto::events::v1::PurgeReceipt;
use proto::orders::v1::{LineProblem, NextAction, PayResponse};
use reqwest::{Method, Response};
use serde_json::{Value, json};
use tonic::Code;
use tonic::metadata::MetadataValue;

use crate::carts::{Market, json_of, send};
use crate::scripted_orders::{ORDER_TOKEN, PAYMENT, at, blaming, refusal};
use crate::shop::{check_problem, header};

const CHECKOUT: &str = "/api/v1/checkout";
const PAYMENTS: &str = "/api/v1/checkout/5/payments";
const WEBHOOK: &str = "/api/v1/payments/webhooks/sandbox";

fn address() -> Value {
    json!({"recipient": "Ana", "line1": "Rua A, 1", "city": "São Paulo", "state": "SP", "postal_code": "01310100"})
}

fn checkout() -> Value {
    json!({"cart_version": 3, "shipping_quote_id": "PAC.x", "shipping_address": address()})
}

fn card() -> Value {
    json!({"method": "card", "payment_method": "pm_card_visa"})
}

/// A request of user 7 with a key of its own.
async fn post(market: &Market, target: &str, body: &Value) -> Response {
    let key = format!("k-{}", fastrand::u64(..));
    send(market.as_user(Method::POST, target).header("idempotency-key", key).json(body)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cart_becomes_an_order_that_waits_for_payment() {
    let market = Market::open().await;
    let mut body = checkout();
    body["expected_total"] = json!({"amount": 4290, "currency": "BRL", "formatted": "R$ 42,90"});
    body["coupon_code"] = json!("NATAL-10");
    let answer = post(&market, CHECKOUT, &body).await;
    assert_eq!(answer.status(), 201);
    assert_eq!(header(&answer, "location"), "/api/v1/checkout/5");
    assert_eq!(header(&answer, "cache-control"), "private, no-store");
    let placed = json_of(answer).await["data"]["checkout"].clone();
    assert_eq!((&placed["order_id"], &placed["order_number"]), (&json!(5), &json!("MC-2026-000005")));
    assert_eq!(
        (&placed["status"], &placed["payment_methods"]),
        (&json!("pending_payment"), &json!(["card", "pix"]))
    );
    assert_eq!(placed["totals"]["total"]["amount"], 4290);
    assert_eq!(placed["reserved_until"], "2025-10-09T09:08:20.000Z");
    assert_eq!(placed.get("order_token"), None);
    let call = market.orders.calls().pop().expect("it was asked");
    for part in [
        "cart_version: 3",
        "expected_total_amount: Some(4290)",
        "Some(\"NATAL-10\")",
        "locale: \"pt-BR\"",
        "country: \"BR\"",
    ] {
        assert!(call.message.contains(part), "{part}: {}", call.message);
    }

    // A guest gets the order's token, once, and is written to in the language that was asked for.
    let token = market.guest().await;
    let mut body = checkout();
    body["email"] = json!("ana@example.com");
    let guest = market.request(Method::POST, CHECKOUT).header("x-cart-token", &token);
    let guest = guest.header("idempotency-key", "g").header("accept-language", "en").json(&body);
    let placed = json_of(send(guest).await).await["data"]["checkout"].clone();
    assert_eq!(placed["order_token"], ORDER_TOKEN);
    let call = market.orders.calls().pop().expect("it was asked");
    assert!(call.message.contains("locale: \"en\"") && call.message.contains("ana@example.com"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_of_the_account_is_looked_up() {
    let market = Market::open().await;
    let made = market.as_user(Method::POST, "/api/v1/me/addresses");
    let made =
        send(made.json(&json!({"recipient": "Ana", "line1": "Rua A, 1", "postal_code": "01310100"}))).await;
    assert_eq!(made.status(), 201);
    let body = |id: i64| json!({"cart_version": 3, "shipping_quote_id": "q", "address_id": id});
    assert_eq!(post(&market, CHECKOUT, &body(1)).await.status(), 201);
    let call = market.orders.calls().pop().expect("it was asked");
    assert!(call.message.contains("line1: \"Rua A, 1\""), "{}", call.message);
    let problem = check_problem(post(&market, CHECKOUT, &body(9)).await, 422, "validation_failed").await;
    assert_eq!(problem["errors"][0]["pointer"], "/address_id");
    let guest = market.request(Method::POST, CHECKOUT).header("x-cart-token", ORDER_TOKEN);
    let guest = send(guest.header("idempotency-key", "g").json(&body(1))).await;
    check_problem(guest, 422, "validation_failed").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_checkout_may_say() {
    let market = Market::open().await;
    let refused = async |change: fn(&mut Value), pointer: &str| {
        let mut body = checkout();
        change(&mut body);
        let problem = check_problem(post(&market, CHECKOUT, &body).await, 422, "validation_failed").await;
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{body}");
    };
    refused(|body| body["cart_version"] = json!(0), "/cart_version").await;
    refused(|body| body["cart_version"] = json!("3"), "/cart_version").await;
    refused(|body| body["shipping_quote_id"] = Value::Null, "/shipping_quote_id").await;
    refused(|body| body["shipping_address"] = Value::Null, "/shipping_address").await;
    refused(|body| body["address_id"] = json!(1), "/shipping_address").await;
    refused(|body| body["shipping_address"]["postal_code"] = json!("1"), "/shipping_address/postal_code")
        .await;
    refused(|body| body["shipping_address"]["country"] = json!("US"), "/shipping_address/country").await;
    refused(|body| body["shipping_address"]["x"] = json!(1), "/shipping_address/x").await;
    for total in [json!("4290"), json!(42.9), json!(-1), json!({"currency": "BRL"}), json!(true)] {
        let mut body = checkout();
        body["expected_total"] = total;
        check_problem(post(&market, CHECKOUT, &body).await, 422, "validation_failed").await;
    }
    for extra in ["total", "amount", "currency", "items", "shipping_amount", "discount"] {
        let mut body = checkout();
        body[extra] = json!(1);
        let problem = check_problem(post(&market, CHECKOUT, &body).await, 422, "validation_failed").await;
        assert_eq!(problem["errors"][0]["pointer"], format!("/{extra}"));
    }
    // Whoever is nobody has no cart.
    let nobody = market.request(Method::POST, CHECKOUT).header("idempotency-key", "k").json(&checkout());
    check_problem(send(nobody).await, 401, "unauthenticated").await;
    assert!(market.orders.calls().is_empty());
}

/// Every reason of the service has its status, its code and its words.
#[tokio::test(flavor = "multi_thread")]
async fn refusals_of_the_shop() {
    let market = Market::open().await;
    for (code, reason, status, shown) in [
        (Code::Aborted, "price_changed", 409, "price_changed"),
        (Code::Aborted, "out_of_stock", 409, "out_of_stock"),
        (Code::Aborted, "unavailable", 409, "unavailable"),
        (Code::Aborted, "cart_locked", 409, "cart_locked"),
        (Code::Aborted, "cart_conflict", 409, "conflict"),
        (Code::Aborted, "checkout_expired", 409, "checkout_expired"),
        (Code::Aborted, "coupon_exhausted", 409, "coupon_exhausted"),
        (Code::Aborted, "illegal_transition", 409, "illegal_transition"),
        (Code::Aborted, "payment_in_flight", 409, "payment_in_flight"),
        (Code::Aborted, "idempotency_in_flight", 409, "idempotency_in_flight"),
        (Code::Aborted, "version_mismatch", 409, "conflict"),
        (Code::FailedPrecondition, "idempotency_key_reused", 422, "idempotency_key_reused"),
        (Code::FailedPrecondition, "idempotency_reply_not_kept", 409, "idempotency_reply_not_kept"),
        (Code::ResourceExhausted, "too_many_unpaid_orders", 429, "too_many_unpaid_orders"),
        (Code::Unavailable, "catalog_unavailable", 503, "upstream_unavailable"),
        (Code::Unavailable, "payments_unavailable", 503, "upstream_unavailable"),
        (Code::NotFound, "order_not_found", 404, "not_found"),
        (Code::Unauthenticated, "unauthenticated", 401, "unauthenticated"),
    ] {
        market.orders.refuse(code, reason);
        let answer = post(&market, CHECKOUT, &checkout()).await;
        let retry_after = header(&answer, "retry-after").to_owned();
        let problem = check_problem(answer, status, shown).await;
        assert_eq!(
            retry_after == "1",
            reason == "idempotency_in_flight" || (status == 503 && retry_after == "1")
        );
        assert_eq!(problem["instance"], CHECKOUT);
        market.orders.refuse(code, reason);
        let english = market.as_user(Method::POST, CHECKOUT).header("accept-language", "en");
        let english = json_of(send(english.header("idempotency-key", reason).json(&checkout())).await).await;
        assert_ne!(english["title"], problem["title"], "{reason} in both languages");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_to_blame_are_named() {
    let market = Market::open().await;
    let line = |index, code: &str| LineProblem {
        index,
        variant_id: 10,
        code: code.to_owned(),
        available: 2,
        unit_amount: 4990,
    };
    let lines = vec![
        line(0, "out_of_stock"),
        line(2, "price_changed"),
        line(3, "unavailable"),
        line(-1, "out_of_stock"),
    ];
    market.orders.refuse_with(blaming("out_of_stock", lines));
    let problem = check_problem(post(&market, CHECKOUT, &checkout()).await, 409, "out_of_stock").await;
    let errors = problem["errors"].as_array().expect("lines");
    let pointers: Vec<_> = errors.iter().map(|error| error["pointer"].as_str().unwrap_or_default()).collect();
    assert_eq!(pointers, ["/items/0/quantity", "/items/2/quantity", "/items/3/quantity", "/items"]);
    assert_eq!((&errors[0]["available"], errors[0].get("price")), (&json!(2), None));
    assert_eq!(errors[1]["price"]["formatted"], "R$ 49,90");
    assert_eq!((errors[2].get("available"), errors[2].get("price")), (None, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_is_paid_pending_or_declined() {
    let market = Market::open().await;
    let answer = post(&market, PAYMENTS, &card()).await;
    assert_eq!(answer.status(), 200);
    let paid = json_of(answer).await["data"].clone();
    assert_eq!((&paid["payment"]["status"], &paid["order"]["id"]), (&json!("succeeded"), &json!(5)));
    let call = market.orders.calls().pop().expect("it was asked");
    let own = format!("return_url: \"http://{}/pedidos/5\"", market.shop.gateway.addr);
    assert!(call.message.contains(&own), "{}", call.message);

    for status in ["created", "processing", "requires_capture", "unknown"] {
        market.orders.pay_as(|payment| payment.status = status.to_owned());
        assert_eq!(post(&market, PAYMENTS, &card()).await.status(), 202, "{status} is no outcome");
    }
    market.orders.pay_as(|payment| {
        payment.status = "requires_action".to_owned();
        payment.next_action = Some(NextAction {
            r#type: "pix".to_owned(),
            pix_copy_paste: "000201".to_owned(),
            expires_at: at(1_760_000_000),
            ..NextAction::default()
        });
    });
    let answer = post(&market, PAYMENTS, &json!({"method": "pix"})).await;
    assert_eq!(answer.status(), 202);
    let action = json_of(answer).await["data"]["payment"]["next_action"].clone();
    let expected = json!({"type": "pix", "copy_paste": "000201", "expires_at": "2025-10-09T08:53:20.000Z"});
    assert_eq!(action, expected);

    market.orders.pay_as(|payment| {
        payment.status = "failed".to_owned();
        payment.failure_code = Some("insufficient_funds".to_owned());
        payment.retryable = true;
    });
    let problem = check_problem(post(&market, PAYMENTS, &card()).await, 402, "payment_declined").await;
    assert_eq!(
        (&problem["decline_code"], &problem["retryable"]),
        (&json!("insufficient_funds"), &json!(true))
    );
    let mut declined = refusal(Code::FailedPrecondition, "payment_declined");
    declined.metadata_mut().insert("mc-decline-code", "stolen_card".parse().expect("ASCII"));
    declined.metadata_mut().insert("mc-retryable", "false".parse().expect("ASCII"));
    market.orders.refuse_with(declined.clone());
    let problem = check_problem(post(&market, PAYMENTS, &card()).await, 402, "payment_declined").await;
    assert_eq!((&problem["decline_code"], &problem["retryable"]), (&json!("stolen_card"), &json!(false)));

    // The order is another one all the same: whoever pays reads it as it is now.
    let receipt = PurgeReceipt {
        event_id: uuid::Uuid::now_v7().to_string(),
        tags: vec!["order:17".to_owned()],
        commit_lsn: 4_000_000,
    };
    let stale = PayResponse { receipts: vec![receipt], ..PayResponse::default() };
    let stale = prost::Message::encode_to_vec(&stale);
    declined.metadata_mut().insert_bin("mc-receipts-bin", MetadataValue::from_bytes(&stale));
    market.orders.refuse_with(declined);
    let answer = post(&market, PAYMENTS, &card()).await;
    assert!(!header(&answer, "x-cache-token").is_empty());
    check_problem(answer, 402, "payment_declined").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_payment_may_say() {
    let market = Market::open().await;
    for (body, pointer) in [
        (json!({"method": "boleto"}), "/method"),
        (json!({}), "/method"),
        (json!({"method": "card"}), "/payment_method"),
        (json!({"method": "pix", "payment_method": "pm_x"}), "/payment_method"),
        (json!({"method": "card", "payment_method": "pm_x", "amount": 1}), "/amount"),
        (json!({"method": "card", "payment_method": "pm_x", "number": "4242424242424242"}), "/number"),
        (json!({"method": "pix", "return_url": "https://evil.example/x"}), "/return_url"),
        (json!({"method": "pix", "return_url": "javascript:alert(1)"}), "/return_url"),
        (json!({"method": "pix", "return_url": "http://localhost@evil.example/"}), "/return_url"),
        (json!({"method": "pix", "return_url": "//evil.example"}), "/return_url"),
    ] {
        let problem = check_problem(post(&market, PAYMENTS, &body).await, 422, "validation_failed").await;
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{body}");
    }
    assert!(market.orders.calls().is_empty());
    let own = format!("http://{}/retorno?pedido=5", market.shop.gateway.addr);
    for url in [own.as_str(), "http://localhost:5173/retorno"] {
        let body = json!({"method": "pix", "return_url": url});
        assert_eq!(post(&market, PAYMENTS, &body).await.status(), 200, "{url}");
        assert!(market.orders.calls().pop().is_some_and(|call| call.message.contains(url)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkout_is_looked_at_and_given_up() {
    let market = Market::open().await;
    let state = json_of(send(market.as_user(Method::GET, "/api/v1/checkout/5")).await).await;
    assert_eq!(
        (&state["data"]["checkout"]["remaining_s"], &state["data"]["checkout"]["order_id"]),
        (&json!(77), &json!(5))
    );
    let payment =
        json_of(send(market.as_user(Method::GET, &format!("/api/v1/payments/{PAYMENT}"))).await).await;
    assert_eq!(payment["data"]["payment"]["id"], PAYMENT);
    for missing in ["/api/v1/checkout/9", "/api/v1/payments/5", "/api/v1/payments/0190a5a0"] {
        check_problem(send(market.as_user(Method::GET, missing)).await, 404, "not_found").await;
    }
    let cancelled = send(market.as_user(Method::POST, "/api/v1/checkout/5/cancel")).await;
    assert_eq!(json_of(cancelled).await["data"]["order"]["id"], 5);
    for target in ["/api/v1/checkout/5", "/api/v1/payments/0190a5a0-0000-7000-8000-0000000000aa"] {
        check_problem(send(market.request(Method::GET, target)).await, 401, "unauthenticated").await;
    }
    // A guest opens theirs with the order's token, in either way.
    let opened = market.request(Method::GET, "/api/v1/checkout/9").header("x-order-token", ORDER_TOKEN);
    assert_eq!(send(opened).await.status(), 200);
    let opened = market.request(Method::GET, &format!("/api/v1/checkout/9?order_token={ORDER_TOKEN}"));
    assert_eq!(send(opened).await.status(), 200);
    let pay = market.request(Method::POST, &format!("/api/v1/checkout/9/payments?order_token={ORDER_TOKEN}"));
    assert_eq!(send(pay.header("idempotency-key", "k").json(&card())).await.status(), 200);
}

/// X70: what the provider says arrives byte for byte, signed, and of bounded length.
#[tokio::test(flavor = "multi_thread")]
async fn words_of_the_provider() {
    let market = Market::open().await;
    let tell = async |target: &str, signature: Option<&str>, body: Vec<u8>| {
        let mut request = market.request(Method::POST, target).body(body);
        if let Some(signature) = signature {
            request = request.header("stripe-signature", signature);
        }
        send(request).await
    };
    let good = Some("t=1,v1=good");
    let odd = b"{ \"id\":\"evt_1\", \"a\":1, \"a\":2 }\xff".to_vec();
    let answer = tell(WEBHOOK, good, odd.clone()).await;
    assert_eq!((answer.status().as_u16(), header(&answer, "ratelimit-policy")), (200, ""));
    let call = market.orders.calls().pop().expect("it was asked");
    assert_eq!(call.who, "service");
    assert!(call.message.contains(&format!("body: {odd:?}")), "{}", call.message);
    check_problem(tell(WEBHOOK, None, odd.clone()).await, 400, "invalid_signature").await;
    assert!(market.orders.calls().is_empty(), "unsigned words are not even passed on");
    check_problem(tell(WEBHOOK, Some("t=1,v1=bad"), odd.clone()).await, 400, "invalid_signature").await;
    check_problem(tell(WEBHOOK, Some(&"x".repeat(1_025)), odd.clone()).await, 400, "invalid_signature").await;
    market.orders.calls();
    assert_eq!(tell(WEBHOOK, good, vec![b'x'; 256 * 1024]).await.status(), 200);
    check_problem(tell(WEBHOOK, good, vec![b'x'; 256 * 1024 + 1]).await, 413, "payload_too_large").await;
    for provider in ["Sandbox", "a1", "an-odd-name", &"x".repeat(33)] {
        let answer = tell(&format!("/api/v1/payments/webhooks/{provider}"), good, odd.clone()).await;
        check_problem(answer, 404, "not_found").await;
    }
    // It is not the client's fault when nobody is there to keep it: the provider says it again.
    market.orders.refuse(Code::Unavailable, "database_unavailable");
    check_problem(tell(WEBHOOK, good, odd).await, 503, "upstream_unavailable").await;
}
