//! A buyer's orders by HTTP: whose they are, what the cache keeps, and how a timeline is followed.

use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::carts::{Market, json_of, send};
use crate::scripted_orders::{ORDER_TOKEN, sha256_hex};
use crate::shop::{check_problem, header};

/// Well formed, and nobody's.
const OTHER_TOKEN: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

async fn get(market: &Market, target: &str) -> Response {
    send(market.as_user(Method::GET, target)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_sees_their_own_from_the_cache_until_something_happens() {
    let market = Market::open().await;
    for state in ["MISS", "L1"] {
        for target in ["/api/v1/orders", "/api/v1/orders/5", "/api/v1/orders/5/confirmation"] {
            let answer = get(&market, target).await;
            assert_eq!((answer.status().as_u16(), header(&answer, "x-cache")), (200, state), "{target}");
            assert_eq!(header(&answer, "cache-control"), "private, no-store");
        }
    }
    let order = json_of(get(&market, "/api/v1/orders/5").await).await["data"]["order"].clone();
    assert_eq!((&order["number"], &order["version"]), (&json!("MC-2026-000005"), &json!(3)));
    assert_eq!(order["items"][0]["unit_price"]["amount"], 4290);
    assert_eq!((order.get("history"), order.get("payments"), order.get("notes")), (None, None, None));
    let more = json_of(get(&market, "/api/v1/orders/5?include=payments,history").await).await;
    let more = &more["data"]["order"];
    assert_eq!((&more["history"][0]["seq"], more.get("shipments")), (&json!(1), None));
    let same = get(&market, "/api/v1/orders/5?include=history,payments").await;
    assert_eq!(header(&same, "x-cache"), "L1", "order means nothing");
    let confirmation =
        json_of(get(&market, "/api/v1/orders/5/confirmation").await).await["data"]["confirmation"].clone();
    assert_eq!(confirmation["next_steps"], json!(["await_shipment"]));
    assert_eq!(confirmation["email"], json!({"kind": "order_paid", "status": "scheduled"}));
    assert_eq!(confirmation["order"].get("notes"), None);

    let patch = market.shop.request_as("staff", Method::PATCH, "/api/v1/admin/orders/5");
    let patched = send(patch.header("if-match", "\"o-5-v3\"").json(&json!({"status": "shipped"}))).await;
    assert_eq!((patched.status().as_u16(), header(&patched, "etag")), (200, "\"o-5-v4\""));
    for target in ["/api/v1/orders", "/api/v1/orders/5", "/api/v1/orders/5/confirmation"] {
        assert_eq!(header(&get(&market, target).await, "x-cache"), "MISS", "{target}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_in_one_canonical_form() {
    let market = Market::open().await;
    let answer =
        get(&market, "/api/v1/orders?status=shipped,paid&from=2026-01-01T00:00:00-03:00&per_page=5").await;
    let page = json_of(answer).await["data"].clone();
    assert_eq!(page["orders"][0]["items_count"], 1);
    assert_eq!(page["orders"][0].get("user_id"), None, "for staff only");
    let pagination = json!({"page": 1, "per_page": 5, "total": 1, "total_exact": true, "pages": 1,
        "next_cursor": "after-5", "prev_cursor": null});
    assert_eq!(page["pagination"], pagination);
    let same =
        get(&market, "/api/v1/orders?limit=5&from=2026-01-01T03:00:00Z&status=paid,shipped,paid").await;
    assert_eq!(header(&same, "x-cache"), "L1");
    let call = market.orders.calls().pop().expect("it was asked");
    assert!(call.message.contains("statuses: [\"paid\", \"shipped\"]"), "{}", call.message);
    let other = get(&market, "/api/v1/orders?cursor=after-5").await;
    assert_eq!(header(&other, "x-cache"), "MISS");
    for query in ["?status=gone", "?page=0", "?cursor=a&page=1", "?from=yesterday", "?include=notes", "?x=1"]
    {
        let answer = get(&market, &format!("/api/v1/orders{query}")).await;
        check_problem(answer, 400, "invalid_parameter").await;
    }
    check_problem(get(&market, "/api/v1/orders?page=1000&per_page=100").await, 400, "offset_too_deep").await;
    check_problem(get(&market, "/api/v1/orders/5?include=notes").await, 400, "invalid_parameter").await;
}

/// Whoever is not the buyer sees nothing, and neither does the cache help them.
#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_its_buyers_only() {
    let market = Market::open().await;
    assert_eq!(get(&market, "/api/v1/orders/5").await.status(), 200);
    let stranger = async |target: &str| {
        let bearer = market.shop.gateway.keys.bearer("customer", 8);
        send(market.request(Method::GET, target).header("authorization", bearer)).await
    };
    for target in
        ["/api/v1/orders/5", "/api/v1/orders/5/confirmation", "/api/v1/orders/5/events", "/api/v1/checkout/5"]
    {
        check_problem(stranger(target).await, 404, "not_found").await;
        check_problem(send(market.request(Method::GET, target)).await, 401, "unauthenticated").await;
        for token in [ORDER_TOKEN, OTHER_TOKEN] {
            let guest = market.request(Method::GET, target).header("x-order-token", token);
            check_problem(send(guest).await, 404, "not_found").await;
        }
    }
    for (method, target) in [
        (Method::POST, "/api/v1/orders/5/cancel"),
        (Method::POST, "/api/v1/orders/5/reorder"),
        (Method::POST, "/api/v1/checkout/5/cancel"),
    ] {
        let bearer = market.shop.gateway.keys.bearer("customer", 8);
        let answer = send(market.request(method.clone(), target).header("authorization", bearer)).await;
        check_problem(answer, 404, "not_found").await;
        check_problem(send(market.request(method, target)).await, 401, "unauthenticated").await;
    }
    // A token opens an order, and no list.
    for name in ["x-cart-token", "x-order-token"] {
        let list = market.request(Method::GET, "/api/v1/orders").header(name, ORDER_TOKEN);
        check_problem(send(list).await, 401, "unauthenticated").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_opens_an_order_with_its_token_and_nothing_shows_it() {
    let market = Market::open().await;
    let by_query = format!("/api/v1/orders/9?order_token={ORDER_TOKEN}&include=history");
    for state in ["MISS", "L1"] {
        let answer = send(market.request(Method::GET, &by_query)).await;
        assert_eq!((answer.status().as_u16(), header(&answer, "x-cache")), (200, state));
        assert_eq!(
            header(&answer, "vary"),
            "accept-encoding, authorization, cookie, x-cart-token, x-order-token"
        );
    }
    let by_header =
        market.request(Method::GET, "/api/v1/orders/9?include=history").header("x-order-token", ORDER_TOKEN);
    assert_eq!(header(&send(by_header).await, "x-cache"), "L1", "the same guest");
    let call = market.orders.calls().pop().expect("it was asked");
    assert_eq!(call.who, format!("guest:{}", sha256_hex(ORDER_TOKEN)));
    // It wins over whoever is signed in: the link in the mail is for this order.
    assert_eq!(get(&market, &by_query).await.status(), 200);

    // Another's, a cart's and a broken one, after the right one is in the cache.
    let others = market.request(Method::GET, &format!("/api/v1/orders/9?order_token={OTHER_TOKEN}"));
    let problem = check_problem(send(others).await, 404, "not_found").await;
    assert_eq!(problem["instance"], "/api/v1/orders/9");
    let broken = market.request(Method::GET, &format!("/api/v1/orders/9?order_token={ORDER_TOKEN}x"));
    let problem = check_problem(send(broken).await, 400, "invalid_parameter").await;
    assert!(!problem.to_string().contains(ORDER_TOKEN), "{problem}");
    let elsewhere = market.request(Method::GET, &format!("/api/v1/products?order_token={ORDER_TOKEN}"));
    let problem = check_problem(send(elsewhere).await, 400, "invalid_parameter").await;
    assert!(!problem.to_string().contains(ORDER_TOKEN), "{problem}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_buyers_do_to_their_orders() {
    let market = Market::open().await;
    let post = async |target: &str, body: Option<Value>| {
        let request = market.as_user(Method::POST, target);
        send(match body {
            Some(body) => request.json(&body),
            None => request,
        })
        .await
    };
    assert_eq!(get(&market, "/api/v1/orders/5").await.status(), 200);
    assert_eq!(post("/api/v1/orders/5/cancel", None).await.status(), 200);
    assert_eq!(
        header(&get(&market, "/api/v1/orders/5").await, "x-cache"),
        "MISS",
        "purged before the answer"
    );
    let some = json!({"reason": "demais", "lines": [{"line": 1, "quantity": 1}]});
    assert_eq!(post("/api/v1/orders/5/cancel", Some(some)).await.status(), 200);
    let lines = json!({"lines": [{"line": 1, "quantity": 1, "reason": "moída"}]});
    assert_eq!(post("/api/v1/orders/5/returns", Some(lines)).await.status(), 201);
    let again = json_of(post("/api/v1/orders/5/reorder", None).await).await;
    assert_eq!((&again["data"]["unavailable"], &again["data"]["capped"]), (&json!([77]), &json!([])));
    for (target, body, pointer) in [
        ("/api/v1/orders/5/cancel", json!({"lines": []}), "/lines"),
        ("/api/v1/orders/5/cancel", json!({"lines": [{"line": 1, "quantity": 0}]}), "/lines/0/quantity"),
        ("/api/v1/orders/5/cancel", json!({"reason": "x".repeat(501)}), "/reason"),
        ("/api/v1/orders/5/cancel", json!({"amount": 1}), "/amount"),
        ("/api/v1/orders/5/returns", json!({}), "/lines"),
        ("/api/v1/orders/5/returns", json!({"lines": [{"line": 0, "quantity": 1}]}), "/lines/0/line"),
    ] {
        let problem = check_problem(post(target, Some(body)).await, 422, "validation_failed").await;
        assert_eq!(problem["errors"][0]["pointer"], pointer);
    }
}

/// The service breaks every watch after two entries: whoever listens does not notice.
#[tokio::test(flavor = "multi_thread")]
async fn a_timeline_goes_on_where_it_was() {
    let market = Market::open().await;
    let listen = async |headers: &[(&str, &str)], target: &str| {
        let mut request = market.as_user(Method::GET, target);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut answer = send(request).await;
        assert_eq!(answer.status(), 200);
        assert_eq!(header(&answer, "content-type"), "text/event-stream");
        assert_eq!(header(&answer, "cache-control"), "private, no-store");
        let mut text = String::new();
        while text.matches("event: order").count() < 4 {
            let piece = answer.chunk().await.expect("the stream goes on").expect("it has no end");
            text.push_str(std::str::from_utf8(&piece).expect("UTF-8"));
        }
        let ids = text.lines().filter_map(|line| line.strip_prefix("id: ")).map(str::to_owned);
        ids.take(4).collect::<Vec<_>>()
    };
    assert_eq!(listen(&[], "/api/v1/orders/5/events").await, ["1", "2", "3", "4"]);
    assert_eq!(listen(&[("last-event-id", "7")], "/api/v1/orders/5/events").await, ["8", "9", "10", "11"]);
    assert_eq!(listen(&[], "/api/v1/orders/5/events?last_event_id=2").await, ["3", "4", "5", "6"]);
    let asked: Vec<_> =
        market.orders.calls().into_iter().filter(|call| call.message.contains("after_seq: 9")).collect();
    assert_eq!(asked.len(), 1, "watched again from the last entry");
    for (name, value) in [("last-event-id", "x"), ("last-event-id", "-1"), ("last-event-id", "99999999999")] {
        let answer = send(market.as_user(Method::GET, "/api/v1/orders/5/events").header(name, value)).await;
        check_problem(answer, 400, "invalid_parameter").await;
    }
    let guest = market.request(Method::GET, &format!("/api/v1/orders/9/events?order_token={ORDER_TOKEN}"));
    assert_eq!(send(guest).await.status(), 200);
}
