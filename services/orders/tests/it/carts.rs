//! Carts: what goes in, what it costs, and whose it is.

use futures_util::future::join_all;
use proto::orders::v1::*;
use tonic::Code;

use crate::app::{ANA, BIA, GUEST, OTHER_GUEST, TestApp, Who, refusal};
use crate::buying::patiently;

#[tokio::test]
async fn a_guest_fills_a_cart_that_nobody_else_sees() {
    let app = TestApp::start().await;
    app.shelf(1, 4_290, 100).await;
    app.shelf(2, 1_000, 3).await;
    let empty = app.cart(GUEST).await;
    assert_eq!((empty.id.as_str(), empty.version, empty.items.len()), ("", 0, 0));

    app.put(GUEST, 1, 2).await;
    let cart = app.put(GUEST, 2, 3).await;
    assert_eq!((cart.version, cart.state.as_str(), cart.currency.as_str()), (2, "active", "BRL"));
    let first = &cart.items[0];
    assert_eq!((first.variant_id, first.product_id, first.quantity), (1, 10, 2));
    assert_eq!((first.name.as_str(), first.sku.as_str(), first.weight_g), ("Café 1", "MC-00001", 250));
    assert_eq!((first.unit_amount, first.seen_unit_amount, first.line_amount), (4_290, 4_290, 8_580));
    assert_eq!((first.stock_band.as_str(), first.available), ("in", true));
    assert_eq!(cart.items[1].stock_band, "low");
    let totals = cart.totals.unwrap();
    assert_eq!((totals.items_amount, totals.discount_amount, totals.total_amount), (11_580, 0, 11_580));
    // 18 % of it, as in the shop's state.
    assert_eq!((totals.tax_amount, totals.shipping_amount), (2_084, None));
    assert_eq!(cart.warnings, ["low_stock"]);
    assert_eq!(app.cart(GUEST).await, cart);

    for other in [OTHER_GUEST, ANA, Who::Nobody] {
        assert_eq!(app.cart(other).await.items.len(), 0, "{other:?}");
    }
    let line = RemoveItemRequest { item_id: first.id };
    app.put(BIA, 1, 1).await;
    let answer = app.remove_item(BIA, line).await;
    assert_eq!(refusal(answer), (Code::NotFound, "cart_item_not_found".to_owned(), String::new()));
}

#[tokio::test]
async fn every_change_raises_the_version_once_and_says_so() {
    let app = TestApp::start().await;
    for variant in [1, 2] {
        app.shelf(variant, 1_000, 100).await;
    }
    app.sql("INSERT INTO coupons (code, kind, value) VALUES ('DEZ', 'percent', 1000)").await;
    let one = app.put(ANA, 1, 1).await;
    let two = app.put(ANA, 2, 1).await;
    let (first, second) = (two.items[0].id, two.items[1].id);
    let set = |item_id, quantity| SetItemQuantityRequest { item_id, quantity, expected_cart_version: None };
    let reply = app.set_item_quantity(ANA, set(first, 5)).await.unwrap();
    assert_eq!(reply.cart.as_ref().unwrap().version, 3);
    assert_eq!(reply.receipts.len(), 1);
    assert_eq!(reply.receipts[0].tags, ["cart:user:42"]);
    // The same again changes nothing.
    let reply = app.set_item_quantity(ANA, set(first, 5)).await.unwrap();
    assert_eq!((reply.cart.unwrap().version, reply.receipts.len()), (3, 0));
    let coupon = || SetCouponRequest { code: "dez".to_owned() };
    assert_eq!(app.set_coupon(ANA, coupon()).await.unwrap().cart.unwrap().version, 4);
    assert_eq!(app.set_coupon(ANA, coupon()).await.unwrap().cart.unwrap().version, 4);
    assert_eq!(
        app.remove_item(ANA, RemoveItemRequest { item_id: second }).await.unwrap().cart.unwrap().version,
        5
    );
    assert_eq!(app.remove_coupon(ANA, RemoveCouponRequest {}).await.unwrap().cart.unwrap().version, 6);
    assert_eq!(app.remove_coupon(ANA, RemoveCouponRequest {}).await.unwrap().cart.unwrap().version, 6);
    let cleared = app.clear_cart(ANA, ClearCartRequest {}).await.unwrap().cart.unwrap();
    assert_eq!((cleared.version, cleared.items.len(), cleared.id), (7, 0, one.id.clone()));
    assert_eq!(app.clear_cart(ANA, ClearCartRequest {}).await.unwrap().cart.unwrap().version, 7);

    let told = app
        .value("SELECT string_agg(aggregate_version || ' ' || subject, ', ' ORDER BY aggregate_version) FROM outbox")
        .await;
    let expected: Vec<String> =
        (1..=7).map(|version| format!("{version} mc.orders.cart.updated.{}", one.id)).collect();
    assert_eq!(told, expected.join(", "));
}

#[tokio::test]
async fn a_hundred_additions_at_once_are_all_there_and_the_one_too_many_is_refused() {
    let app = TestApp::start_with_many_writers().await;
    app.shelf(1, 1_000, 1_000).await;
    let adding =
        (0..100).map(|_| patiently(|| app.add_item(GUEST, AddItemRequest { variant_id: 1, quantity: 1 })));
    let answers = join_all(adding).await;
    let (added, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    assert_eq!(added.len(), 99);
    for answer in refused {
        assert_eq!(
            refusal(answer),
            (Code::InvalidArgument, "line_quantity".to_owned(), "quantity".to_owned())
        );
    }
    let cart = app.cart(GUEST).await;
    assert_eq!((cart.items.len(), cart.items[0].quantity, cart.version), (1, 99, 99));
    assert_eq!(app.value("SELECT count(*) FROM outbox").await, "99");
}

#[tokio::test]
async fn a_cart_holds_fifty_lines() {
    let app = TestApp::start().await;
    for variant in 1..=51 {
        app.shelf(variant, 1_000, 10).await;
    }
    for variant in 1..=50 {
        app.put(ANA, variant, 1).await;
    }
    let full = app.add_item(ANA, AddItemRequest { variant_id: 51, quantity: 1 }).await;
    assert_eq!(refusal(full), (Code::Aborted, "cart_full".to_owned(), String::new()));
    // More of what is there is no new line.
    assert_eq!(app.put(ANA, 50, 1).await.items.len(), 50);
}

#[tokio::test]
async fn prices_are_todays_and_a_change_is_shown_until_it_was_seen() {
    let app = TestApp::start().await;
    app.shelf(1, 1_000, 10).await;
    app.put(ANA, 1, 2).await;
    app.catalog.sells(1, 1_200);
    let cart = app.cart(ANA).await;
    assert_eq!((cart.items[0].unit_amount, cart.items[0].seen_unit_amount), (1_200, 1_000));
    assert_eq!(cart.totals.unwrap().items_amount, 2_400);
    assert_eq!(cart.warnings, ["price_changed"]);
    // Whoever sets the line has seen the new price, even when the quantity stays.
    let set = SetItemQuantityRequest { item_id: cart.items[0].id, quantity: 2, expected_cart_version: None };
    let cart = app.set_item_quantity(ANA, set).await.unwrap().cart.unwrap();
    assert_eq!((cart.items[0].seen_unit_amount, cart.warnings.len()), (1_200, 0));

    app.catalog.stops_selling(1);
    let cart = app.cart(ANA).await;
    assert!(!cart.items[0].available);
    assert_eq!(cart.totals.unwrap().total_amount, 0);
    assert_eq!(cart.warnings, ["unavailable"]);
    let answer = app.add_item(ANA, AddItemRequest { variant_id: 1, quantity: 1 }).await;
    assert_eq!(
        refusal(answer),
        (Code::InvalidArgument, "variant_not_found".to_owned(), "variant_id".to_owned())
    );
}

#[tokio::test]
async fn without_the_catalog_a_cart_still_works_at_the_prices_that_were_seen() {
    let app = TestApp::start().await;
    app.shelf(1, 1_000, 10).await;
    app.catalog.sells(2, 500);
    let before = app.put(ANA, 1, 1).await;
    app.catalog.leaves();
    let cart = app.put(ANA, 1, 1).await;
    assert_eq!((cart.items[0].quantity, cart.items[0].unit_amount), (2, 1_000));
    assert_eq!(cart.items[0].name, "Café 1");
    assert_eq!(cart.warnings, ["prices_unconfirmed"]);
    let set =
        SetItemQuantityRequest { item_id: before.items[0].id, quantity: 1, expected_cart_version: None };
    app.set_item_quantity(ANA, set).await.unwrap();
    // What nobody has asked about before cannot be put in.
    let answer = app.add_item(ANA, AddItemRequest { variant_id: 2, quantity: 1 }).await;
    assert_eq!(refusal(answer), (Code::Unavailable, "catalog_unavailable".to_owned(), String::new()));
    app.catalog.returns();
    assert!(app.put(ANA, 2, 1).await.warnings.contains(&"unavailable".to_owned()), "it has no stock");
}

#[tokio::test]
async fn a_cart_in_checkout_stays_as_it_is() {
    let app = TestApp::start().await;
    app.shelf(1, 1_000, 10).await;
    let cart = app.put(ANA, 1, 1).await;
    app.sql("UPDATE carts SET state = 'locked'").await;
    let item_id = cart.items[0].id;
    let locked = (Code::Aborted, "cart_locked".to_owned(), String::new());
    assert_eq!(refusal(app.add_item(ANA, AddItemRequest { variant_id: 1, quantity: 1 }).await), locked);
    let set = SetItemQuantityRequest { item_id, quantity: 3, expected_cart_version: None };
    assert_eq!(refusal(app.set_item_quantity(ANA, set).await), locked);
    assert_eq!(refusal(app.remove_item(ANA, RemoveItemRequest { item_id }).await), locked);
    assert_eq!(refusal(app.clear_cart(ANA, ClearCartRequest {}).await), locked);
    assert_eq!(refusal(app.remove_coupon(ANA, RemoveCouponRequest {}).await), locked);
    app.sql("INSERT INTO coupons (code, kind, value) VALUES ('DEZ', 'percent', 1000)").await;
    assert_eq!(refusal(app.set_coupon(ANA, SetCouponRequest { code: "DEZ".to_owned() }).await), locked);
    let cart = app.cart(ANA).await;
    assert_eq!((cart.state.as_str(), cart.version, cart.items[0].quantity), ("locked", 1, 1));
}

#[tokio::test]
async fn what_makes_no_sense_is_refused() {
    let app = TestApp::start().await;
    app.shelf(1, 1_000, 10).await;
    for quantity in [0, -1, 100, i32::MAX] {
        let answer = app.add_item(ANA, AddItemRequest { variant_id: 1, quantity }).await;
        assert_eq!(
            refusal(answer),
            (Code::InvalidArgument, "line_quantity".to_owned(), "quantity".to_owned())
        );
    }
    let answer = app.add_item(ANA, AddItemRequest { variant_id: 0, quantity: 1 }).await;
    assert_eq!(refusal(answer).2, "variant_id");
    let answer = app.add_item(ANA, AddItemRequest { variant_id: 77, quantity: 1 }).await;
    assert_eq!(refusal(answer).1, "variant_not_found");
    let answer = app.add_item(Who::Nobody, AddItemRequest { variant_id: 1, quantity: 1 }).await;
    assert_eq!(refusal(answer).0, Code::Unauthenticated);
    let answer = app.add_item(Who::Service("gateway"), AddItemRequest { variant_id: 1, quantity: 1 }).await;
    assert_eq!(refusal(answer).0, Code::PermissionDenied);

    let cart = app.put(ANA, 1, 99).await;
    let item_id = cart.items[0].id;
    let set =
        |quantity, version| SetItemQuantityRequest { item_id, quantity, expected_cart_version: version };
    assert_eq!(refusal(app.set_item_quantity(ANA, set(0, None)).await).1, "line_quantity");
    assert_eq!(refusal(app.set_item_quantity(ANA, set(1, Some(7))).await).1, "version_mismatch");
    assert_eq!(refusal(app.set_item_quantity(BIA, set(1, None)).await).1, "cart_item_not_found");
    assert_eq!(app.set_item_quantity(ANA, set(1, Some(1))).await.unwrap().cart.unwrap().version, 2);
    assert_eq!(app.value("SELECT count(*) FROM outbox").await, "2");
}

#[tokio::test]
async fn a_repeated_request_adds_once() {
    let app = TestApp::start_with_many_writers().await;
    app.shelf(1, 1_000, 100).await;
    let add = || {
        let message = AddItemRequest { variant_id: 1, quantity: 2 };
        app.keyed(GUEST, message, "POST /api/v1/cart/items", "k-1")
    };
    let first = app.carts.clone().add_item(add()).await.unwrap();
    assert!(first.metadata().get("mc-idempotent-replayed").is_none());
    let first = first.into_inner();
    app.put(GUEST, 1, 5).await;
    for _ in 0..3 {
        let again = app.carts.clone().add_item(add()).await.unwrap();
        assert_eq!(again.metadata().get("mc-idempotent-replayed").unwrap(), "true");
        assert_eq!(again.into_inner().cart, first.cart);
    }
    assert_eq!(app.cart(GUEST).await.items[0].quantity, 7);
}

#[tokio::test]
async fn carts_that_nobody_touches_end() {
    let app = TestApp::start().await;
    app.shelf(1, 1_000, 10).await;
    let old = app.put(GUEST, 1, 1).await;
    app.put(ANA, 1, 1).await;
    app.sql("UPDATE carts SET expires_at = now() - interval '1 second' WHERE user_id IS NULL").await;
    testkit::eventually(std::time::Duration::from_secs(20), "the cart is ended", async || {
        (app.cart(GUEST).await.items.is_empty()).then_some(())
    })
    .await;
    let told = app
        .value(&format!(
            "SELECT string_agg(subject || ' ' || aggregate_version || ' ' || array_to_string(tags, ' '), ', ')
               FROM outbox WHERE aggregate_id = '{}' AND aggregate_version > 1",
            old.id
        ))
        .await;
    assert_eq!(told, format!("mc.orders.cart.expired.{} 2 cart:token:{}", old.id, "aa".repeat(32)));
    assert_eq!(app.cart(ANA).await.items.len(), 1);
    // The next one is new.
    assert_ne!(app.put(GUEST, 1, 1).await.id, old.id);
}
