//! What is left of carts: how much they may hold at all, what comes back into them, and when the old ones go.

use proto::orders::v1::*;

use crate::app::{ANA, GUEST, TestApp, refusal};
use crate::buying::{WITHIN, units};

#[tokio::test]
async fn a_cart_that_holds_too_much_takes_more_of_what_it_holds() {
    let app = TestApp::start().await;
    for variant in 1..=2 {
        app.shelf(variant, 1_000, 100).await;
    }
    app.put(ANA, 1, 1).await;
    app.sql(
        "INSERT INTO cart_items (cart_id, variant_id, product_id, quantity, seen_unit_amount)
         SELECT c.id, v, v, 1, 100 FROM carts c, generate_series(1000, 1194) v",
    )
    .await;
    let added = app.put(ANA, 1, 1).await;
    assert_eq!(added.items.iter().find(|item| item.variant_id == 1).unwrap().quantity, 2);
    let other = app.add_item(ANA, AddItemRequest { variant_id: 2, quantity: 1 }).await;
    assert_eq!(refusal(other).1, "cart_full");

    // A merge fills it up to what a cart may hold at all, and names the rest.
    for variant in 2000..2010 {
        app.shelf(variant, 1_000, 100).await;
        app.put(GUEST, variant, 1).await;
    }
    let merge = MergeCartsRequest { cart_token_sha256: vec![0xaa; 32], strategy: "sum".into() };
    let merged = app.merge_carts(ANA, merge).await.unwrap();
    let report = merged.report.unwrap();
    assert_eq!((merged.cart.unwrap().items.len(), report.moved), (200, 4));
    assert_eq!(report.dropped_variant_ids, (2004..2010).collect::<Vec<i64>>());
}

#[tokio::test]
async fn the_coupon_follows_the_cart_that_stays() {
    let app = TestApp::start().await;
    app.shelf(1, 1_000, 100).await;
    app.sql("INSERT INTO coupons (code, kind, value) VALUES ('DELA', 'fixed', 100), ('DELE', 'fixed', 200)")
        .await;
    for (strategy, coupon) in [("guest", Some("DELE")), ("customer", Some("DELA")), ("sum", Some("DELA"))] {
        app.put(GUEST, 1, 1).await;
        app.put(ANA, 1, 1).await;
        app.set_coupon(GUEST, SetCouponRequest { code: "DELE".into() }).await.unwrap();
        app.set_coupon(ANA, SetCouponRequest { code: "DELA".into() }).await.unwrap();
        let merge = MergeCartsRequest { cart_token_sha256: vec![0xaa; 32], strategy: strategy.into() };
        let cart = app.merge_carts(ANA, merge).await.unwrap().cart.unwrap();
        assert_eq!(cart.coupon.as_ref().map(|coupon| coupon.code.as_str()), coupon, "{strategy}");
    }
}

#[tokio::test]
async fn a_checkout_that_is_left_gives_its_coupon_back_too() {
    let app = TestApp::start().await;
    app.shelf(1, 1_000, 100).await;
    app.sql("INSERT INTO coupons (code, kind, value) VALUES ('UM', 'fixed', 100)").await;
    app.put(ANA, 1, 1).await;
    app.set_coupon(ANA, SetCouponRequest { code: "UM".into() }).await.unwrap();
    let order = app.placed(ANA).await;
    assert_eq!(order.coupon_code.as_deref(), Some("UM"));
    app.cancel_checkout(ANA, CancelCheckoutRequest { order_id: order.id }).await.unwrap();
    let cart = app.cart(ANA).await;
    assert_eq!(cart.coupon.as_ref().map(|coupon| coupon.code.as_str()), Some("UM"));
    let again = app.placed(ANA).await;
    assert_eq!(again.total_amount, order.total_amount);

    // One that is over meanwhile would only be in the way.
    app.sql("UPDATE coupons SET is_active = false").await;
    app.cancel_checkout(ANA, CancelCheckoutRequest { order_id: again.id }).await.unwrap();
    assert_eq!(app.cart(ANA).await.coupon, None);
    app.check_books().await;
}

#[tokio::test]
async fn old_carts_go_and_orders_keep_theirs_without_lines() {
    let app = TestApp::start().await;
    app.shelf(1, 1_000, 100).await;
    app.order_of(ANA, &[(1, 1)]).await;
    app.put(ANA, 1, 1).await;
    app.sql(
        "UPDATE carts SET updated_at = now() - interval '31 days' WHERE state = 'converted';
         INSERT INTO carts (id, user_id, state, expires_at, updated_at)
         SELECT gen_random_uuid(), u, 'expired', now(), now() - u * interval '1 day' FROM generate_series(20, 50) u;
         INSERT INTO carts (id, token_sha256, state, merged_into, expires_at, updated_at)
         SELECT gen_random_uuid(), sha256('x'), 'merged', id, now(), now() - interval '40 days' FROM carts WHERE user_id = 50;
         INSERT INTO cart_items (cart_id, variant_id, product_id, quantity, seen_unit_amount)
         SELECT id, 1, 10, 1, 1000 FROM carts WHERE state IN ('expired', 'merged')",
    )
    .await;
    let left = "SELECT string_agg(state || ' ' || n, ', ' ORDER BY state) FROM
        (SELECT concat(c.state, ' ', count(i.*)) AS state, count(DISTINCT c.id) AS n
           FROM carts c LEFT JOIN cart_items i ON i.cart_id = c.id GROUP BY c.state) t";
    testkit::eventually(WITHIN, "old carts are gone", async || {
        // The merged one goes first, then the one that it went into.
        let is = app.value(left).await;
        (is == "active 1 1, converted 0 1, expired 11 11").then_some(())
    })
    .await;
    app.check_books().await;
}

#[tokio::test]
async fn every_short_line_is_named() {
    let app = TestApp::start().await;
    for (variant, left) in [(1, 10), (2, 3), (3, 10), (4, 1)] {
        app.shelf(variant, 1_000, left).await;
    }
    let order = app.order_of(ANA, &[(1, 1)]).await;
    // What a checkout meets that was late: asked of the function itself, because the look before finds it first.
    let reserve =
        format!("SELECT * FROM reserve({}, '{{5,4,3,2}}', '{{1,2,2,5}}', interval '1 hour')", order.id);
    let refused =
        sqlx::raw_sql(sqlx::AssertSqlSafe(reserve)).execute(&mut app.admin().await).await.unwrap_err();
    let refused = refused.into_database_error().unwrap();
    let refused = refused.downcast_ref::<sqlx::postgres::PgDatabaseError>();
    assert_eq!((refused.code(), refused.detail(), refused.hint()), ("MC409", Some("2,4,5"), Some("3,1,0")));
    app.check_books().await;
}

#[tokio::test]
async fn the_first_parcel_of_an_order_is_told_of() {
    let app = TestApp::start().await;
    app.shelf(1, 1_000, 10).await;
    let order = app.paid(ANA, &[(1, 2)]).await;
    let shipment = CreateShipmentRequest {
        order_id: order.id,
        expected_version: order.version,
        carrier: "Correios".into(),
        service: "PAC".into(),
        tracking_code: Some("BR1".into()),
        lines: vec![units(1, 1)],
    };
    app.create_shipment(crate::app::STAFF, shipment).await.unwrap();
    let told = "SELECT string_agg(split_part(subject, '.', 4) || ' ' || aggregate_version, ', ' ORDER BY seq) FROM outbox
                 WHERE aggregate = 'order' AND aggregate_version > 2";
    assert_eq!(app.value(told).await, "processing 3, updated 4");
    app.check_books().await;
}
