//! Orders, stock and coupons by HTTP, as staff read and change them.

use proto::orders::v1::LineProblem;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::carts::{Market, json_of, send};
use crate::scripted_orders::blaming;
use crate::shop::{check_problem, header};

fn staff(market: &Market, method: Method, target: &str) -> RequestBuilder {
    market.shop.request_as("staff", method, target)
}

const ROUTES: [(&str, &str); 11] = [
    ("GET", "/api/v1/admin/orders"),
    ("GET", "/api/v1/admin/orders/5"),
    ("PATCH", "/api/v1/admin/orders/5"),
    ("POST", "/api/v1/admin/orders/5/refunds"),
    ("POST", "/api/v1/admin/orders/5/shipments"),
    ("POST", "/api/v1/admin/orders/5/notes"),
    ("GET", "/api/v1/admin/stock"),
    ("POST", "/api/v1/admin/stock/adjust"),
    ("GET", "/api/v1/admin/coupons"),
    ("POST", "/api/v1/admin/coupons"),
    ("PUT", "/api/v1/admin/coupons/NATAL-10"),
];

/// X4: for staff only, whatever else is wrong with the request.
#[tokio::test(flavor = "multi_thread")]
async fn staff_only() {
    let market = Market::open().await;
    for (method, target) in ROUTES {
        let method: Method = method.parse().expect("a method");
        let nobody = send(market.request(method.clone(), target).json(&json!({}))).await;
        check_problem(nobody, 401, "unauthenticated").await;
        let guest = market.request(method.clone(), target).header("x-cart-token", "A".repeat(43));
        check_problem(send(guest).await, 401, "unauthenticated").await;
        let customer = send(market.as_user(method, target).json(&json!({}))).await;
        check_problem(customer, 403, "forbidden").await;
    }
    assert!(market.orders.calls().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_are_changed_in_the_version_that_was_read() {
    let market = Market::open().await;
    let list = "/api/v1/admin/orders?status=paid&user_id=7&number=MC-2026-000005&per_page=5";
    let page = json_of(send(staff(&market, Method::GET, list)).await).await["data"].clone();
    assert_eq!((&page["orders"][0]["user_id"], &page["orders"][0]["version"]), (&json!(7), &json!(3)));
    assert_eq!(
        (&page["pagination"]["total"], &page["pagination"]["total_exact"]),
        (&json!(70_000), &json!(false))
    );
    for query in ["?status=x", "?cursor=a", "?user_id=0", "?x=1"] {
        let answer = send(staff(&market, Method::GET, &format!("/api/v1/admin/orders{query}"))).await;
        check_problem(answer, 400, "invalid_parameter").await;
    }

    let order = "/api/v1/admin/orders/5";
    let read = send(staff(&market, Method::GET, order)).await;
    assert_eq!(header(&read, "etag"), "\"o-5-v3\"");
    assert_eq!(json_of(read).await["data"]["order"]["notes"][0]["body"], "cliente antigo");
    let again = send(staff(&market, Method::GET, order).header("if-none-match", "\"o-5-v3\"")).await;
    assert_eq!(again.status(), 304);

    let parcel = json!({"carrier": "Correios", "service": "PAC", "tracking_code": "BR1"});
    let step = json!({"status": "shipped", "reason": "saiu"});
    for (method, target, body) in
        [(Method::PATCH, order.to_owned(), step), (Method::POST, format!("{order}/shipments"), parcel)]
    {
        let ask = || staff(&market, method.clone(), &target).json(&body);
        check_problem(send(ask()).await, 428, "precondition_required").await;
        for stale in ["\"o-5-v2\"", "\"o-6-v3\"", "W/\"o-5-v3\"", "\"p-5-v3\""] {
            let answer = send(ask().header("if-match", stale)).await;
            assert_eq!(header(&answer, "etag"), "\"o-5-v3\"", "{stale}");
            let problem = check_problem(answer, 412, "precondition_failed").await;
            assert_eq!(problem["current"]["order"]["id"], 5);
        }
        assert!(send(ask().header("if-match", "\"o-5-v3\"")).await.status().is_success());
        assert!(send(ask().header("if-match", "*")).await.status().is_success());
    }
    let odd = staff(&market, Method::PATCH, order).header("if-match", "*").json(&json!({"status": "lost"}));
    check_problem(send(odd).await, 422, "validation_failed").await;
    let note = staff(&market, Method::POST, "/api/v1/admin/orders/5/notes").json(&json!({"body": "ligou"}));
    assert_eq!(send(note).await.status(), 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn refunds_say_how_much_and_why() {
    let market = Market::open().await;
    let key = std::cell::Cell::new(0);
    let refund = |body: Value| {
        key.set(key.get() + 1);
        let request = staff(&market, Method::POST, "/api/v1/admin/orders/5/refunds");
        send(request.header("idempotency-key", format!("k-{}", key.get())).json(&body))
    };
    let refunded = refund(json!({"amount":1000,"reason":"moída"})).await;
    assert_eq!((refunded.status().as_u16(), header(&refunded, "etag")), (201, "\"o-5-v3\""));
    let data = json_of(refunded).await["data"].clone();
    assert_eq!(
        (&data["refund"]["amount"]["formatted"], &data["refund"]["status"]),
        (&json!("R$ 10,00"), &json!("pending"))
    );
    assert_eq!(data["order"]["id"], 5);
    for body in [
        json!({"amount":1}),
        json!({"reason":"x","amount":0}),
        json!({"reason":"x","amount":1.5}),
        json!({"reason":"x","currency":"BRL"}),
    ] {
        check_problem(refund(body).await, 422, "validation_failed").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stock_is_adjusted_row_by_row_or_not_at_all() {
    let market = Market::open().await;
    let listed = staff(&market, Method::GET, "/api/v1/admin/stock?variant_id=10,20&band=low");
    assert_eq!(json_of(send(listed).await).await["data"]["levels"][1]["variant_id"], 20);
    for query in ["?variant_id=a", "?variant_id=", "?band=full", "?cursor=a"] {
        let answer = send(staff(&market, Method::GET, &format!("/api/v1/admin/stock{query}"))).await;
        check_problem(answer, 400, "invalid_parameter").await;
    }
    let key = std::cell::Cell::new(0);
    let adjust = |body: Value| {
        key.set(key.get() + 1);
        let request = staff(&market, Method::POST, "/api/v1/admin/stock/adjust");
        send(request.header("idempotency-key", format!("k-{}", key.get())).json(&body))
    };
    let rows = json!([
        {"variant_id": 10, "delta": -2, "reason": "quebra"},
        {"variant_id": 20, "location_id": 1, "from": 12, "to": 40, "reason": "contagem"},
    ]);
    let adjusted = json_of(adjust(rows.clone()).await).await;
    assert_eq!(adjusted["data"]["levels"][1]["on_hand"], 40);
    for (body, pointer) in [
        (json!([{"variant_id": 10, "reason": "x"}]), "/0/delta"),
        (json!([{"variant_id": 10, "delta": 1, "to": 2, "reason": "x"}]), "/0/delta"),
        (json!([{"variant_id": 10, "from": 1, "reason": "x"}]), "/0/delta"),
        (json!([rows[0], {"variant_id": 10, "delta": 1.5, "reason": "x"}]), "/1/delta"),
        (json!([{"variant_id": 10, "delta": 1}]), "/0/reason"),
        (json!([{"variant_id": 10, "delta": 1, "reason": "x", "on_hand": 3}]), "/0/on_hand"),
        (json!([]), ""),
        (json!({"adjustments": []}), ""),
    ] {
        let problem = check_problem(adjust(body.clone()).await, 422, "validation_failed").await;
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{body}");
    }
    let line = LineProblem {
        index: 1,
        variant_id: 20,
        code: "stock_changed".to_owned(),
        available: 11,
        unit_amount: 0,
    };
    market.orders.refuse_with(blaming("stock_conflict", vec![line]));
    let problem = check_problem(adjust(rows).await, 409, "conflict").await;
    let error = &problem["errors"][0];
    assert_eq!(
        (&error["pointer"], &error["code"], &error["available"]),
        (&json!("/1"), &json!("stock_changed"), &json!(11))
    );
    // A thousand rows with all their members are one request.
    let row =
        |variant: i64| json!({"variant_id": variant, "location_id": 1, "from": 1, "to": 2, "reason": "x"});
    let many: Vec<Value> = (1..=1_000).map(row).collect();
    assert_eq!(adjust(Value::Array(many.clone())).await.status(), 200);
    let more: Vec<Value> = many.into_iter().chain([row(1_001)]).collect();
    check_problem(adjust(Value::Array(more)).await, 422, "validation_failed").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn coupons_by_code_and_version() {
    let market = Market::open().await;
    let coupons = "/api/v1/admin/coupons";
    let page = json_of(send(staff(&market, Method::GET, coupons)).await).await;
    assert_eq!(page["data"]["coupons"][0]["code"], "NATAL-10");
    let body = json!({"code": "UMAVEZ", "kind": "fixed", "value": 500, "usage_limit": 1, "per_customer_limit": 1,
        "rules": {"min_items_amount": 1000, "product_ids": [1, 2]}, "starts_at": "2026-01-01T00:00:00Z"});
    let made = send(staff(&market, Method::POST, coupons).json(&body)).await;
    assert_eq!((made.status().as_u16(), header(&made, "etag")), (201, "\"cp-UMAVEZ-v1\""));
    assert_eq!(header(&made, "location"), "/api/v1/admin/coupons/UMAVEZ");
    let shown = json_of(made).await["data"]["coupon"].clone();
    assert_eq!((&shown["is_active"], &shown["rules"]["product_ids"]), (&json!(true), &json!([1, 2])));
    assert_eq!(shown["starts_at"], "2026-01-01T00:00:00.000Z");

    let one = "/api/v1/admin/coupons/NATAL-10";
    let read = send(staff(&market, Method::GET, one)).await;
    assert_eq!(header(&read, "etag"), "\"cp-NATAL-10-v2\"");
    let put = |if_match: Option<&'static str>, body: Value| {
        let request = staff(&market, Method::PUT, one).json(&body);
        send(match if_match {
            Some(if_match) => request.header("if-match", if_match),
            None => request,
        })
    };
    let change = json!({"kind": "percent", "value": 2000, "is_active": false});
    check_problem(put(None, change.clone()).await, 428, "precondition_required").await;
    for stale in ["\"cp-NATAL-10-v1\"", "\"cp-NATAL-v2\"", "\"o-10-v2\""] {
        let answer = put(Some(stale), change.clone()).await;
        assert_eq!(header(&answer, "etag"), "\"cp-NATAL-10-v2\"", "{stale}");
        check_problem(answer, 412, "precondition_failed").await;
    }
    let put_again = put(Some("\"cp-NATAL-10-v2\""), change).await;
    assert_eq!((put_again.status().as_u16(), header(&put_again, "etag")), (200, "\"cp-NATAL-10-v3\""));
    for (body, pointer) in [
        (json!({"kind": "gift"}), "/kind"),
        (json!({"kind": "fixed", "code": "OUTRO"}), "/code"),
        (json!({"kind": "fixed", "value": -1}), "/value"),
        (json!({"kind": "fixed", "used": 0}), "/used"),
        (json!({"kind": "fixed", "rules": {"product_ids": ["1"]}}), "/rules/product_ids"),
        (json!({"kind": "fixed", "ends_at": "amanhã"}), "/ends_at"),
    ] {
        let problem = check_problem(put(Some("*"), body.clone()).await, 422, "validation_failed").await;
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{body}");
    }
    check_problem(send(staff(&market, Method::GET, "/api/v1/admin/coupons/NADA")).await, 404, "not_found")
        .await;
}
