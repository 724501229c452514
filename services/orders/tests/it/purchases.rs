//! A buyer's orders: listed, shown, cancelled, sent back, bought again, watched, exported.

use futures_util::StreamExt as _;
use proto::orders::v1::*;
use tonic::Code;

use crate::app::{ANA, BIA, GUEST, OTHER_GUEST, STAFF, TestApp, Who, refusal};
use crate::buying::{WITHIN, units, whole};

fn page(page: u32, per_page: u32) -> ListOrdersRequest {
    ListOrdersRequest { page, per_page, ..Default::default() }
}

/// So many old orders of a user, one a minute, each with two lines.
async fn history_of(app: &TestApp, user: i64, count: i64) {
    app.sql(&format!(
        "INSERT INTO carts (id, user_id, state, expires_at)
         SELECT gen_random_uuid(), {user}, 'converted', now() FROM generate_series(1, {count});
         INSERT INTO orders (number, user_id, cart_id, status, items_amount, shipping_amount, tax_amount, total_amount,
                             shipping_service, created_at)
         SELECT concat('OLD-', {user}, '-', row_number() OVER ()), {user}, c.id,
                CASE row_number() OVER () % 2 WHEN 0 THEN 'delivered' ELSE 'expired' END, 2000, 0, 0, 2000, 'PAC',
                '2026-01-01Z'::timestamptz + row_number() OVER () * interval '1 minute'
           FROM carts c WHERE c.user_id = {user} AND c.state = 'converted';
         INSERT INTO order_items (order_id, user_id, line, product_id, variant_id, sku, name, weight_g, quantity,
                                  unit_amount, total_amount)
         SELECT o.id, {user}, l, l, l, 'S', 'N', 1, 1, 1000, 1000 FROM orders o, generate_series(1, 2) l
          WHERE o.user_id = {user}"
    ))
    .await;
}

#[tokio::test]
async fn a_list_is_read_by_pages_and_by_cursors() {
    let app = TestApp::start().await;
    history_of(&app, 42, 25).await;
    history_of(&app, 43, 3).await;
    let first = app.list_orders(ANA, page(1, 10)).await.unwrap();
    assert_eq!((first.total, first.orders.len()), (25, 10));
    assert_eq!((first.orders[0].number.as_str(), first.orders[0].items_count), ("OLD-42-25", 2));
    assert!(first.prev_cursor.is_none());
    let third = app.list_orders(ANA, page(3, 10)).await.unwrap();
    assert_eq!((third.orders.len(), third.next_cursor.clone()), (5, None));
    assert_eq!(third.orders[4].number, "OLD-42-1");
    assert!(app.list_orders(ANA, page(4, 10)).await.unwrap().orders.is_empty());

    // To the end by cursors and back again: the same pages.
    let go = async |cursor: Option<String>| {
        let request = ListOrdersRequest { cursor, ..page(0, 10) };
        app.list_orders(ANA, request).await.unwrap()
    };
    let second = go(first.next_cursor.clone()).await;
    let last = go(second.next_cursor.clone()).await;
    assert_eq!(last.orders, third.orders);
    assert!(last.next_cursor.is_none());
    let back = go(last.prev_cursor).await;
    assert_eq!(back.orders, second.orders);
    let front = go(back.prev_cursor).await;
    assert_eq!((front.orders, front.prev_cursor), (first.orders, None));
    assert_eq!(front.next_cursor, first.next_cursor);

    let delivered = ListOrdersRequest { statuses: vec!["delivered".into()], ..page(1, 100) };
    let delivered = app.list_orders(ANA, delivered).await.unwrap();
    assert_eq!((delivered.total, delivered.orders.len()), (12, 12));
    let at = |minute: i64| Some(prost_types::Timestamp { seconds: 1_767_225_600 + 60 * minute, nanos: 0 });
    let span = ListOrdersRequest { from: at(5), to: at(8), ..page(1, 100) };
    assert_eq!(app.list_orders(ANA, span).await.unwrap().total, 3);

    // A cursor is good for its own list only.
    let cursor = first.next_cursor;
    for (who, request) in [
        (BIA, ListOrdersRequest { cursor: cursor.clone(), ..page(1, 10) }),
        (ANA, ListOrdersRequest { cursor: cursor.clone(), statuses: vec!["paid".into()], ..page(1, 10) }),
        (ANA, ListOrdersRequest { cursor: Some("nonsense".into()), ..page(1, 10) }),
    ] {
        assert_eq!(refusal(app.list_orders(who, request).await).1, "invalid_cursor");
    }
    for (request, reason) in [
        (page(0, 10), "invalid_value"),
        (page(1, 0), "invalid_value"),
        (page(1, 101), "invalid_value"),
        (page(101, 100), "offset_too_deep"),
        (ListOrdersRequest { statuses: vec!["lost".into()], ..page(1, 10) }, "invalid_value"),
    ] {
        assert_eq!(refusal(app.list_orders(ANA, request).await).1, reason);
    }
    assert_eq!(app.list_orders(BIA, page(1, 10)).await.unwrap().total, 3);
    assert_eq!(app.list_orders(GUEST, page(1, 10)).await.unwrap().total, 0);
    assert_eq!(app.list_orders(STAFF, page(1, 10)).await.unwrap().total, 0, "an employee's own");
    assert_eq!(refusal(app.list_orders(Who::Nobody, page(1, 10)).await).0, Code::Unauthenticated);
}

#[tokio::test]
async fn some_units_are_cancelled_and_refunded() {
    let app = TestApp::start().await;
    app.shelf(1, 1_000, 100).await;
    app.shelf(2, 333, 100).await;
    app.sql("INSERT INTO coupons (code, kind, value) VALUES ('DEZ', 'percent', 1000)").await;
    app.put(ANA, 1, 2).await;
    app.put(ANA, 2, 3).await;
    let wish = PlaceOrderRequest { coupon_code: Some("DEZ".into()), ..app.wish(ANA).await };
    let order = app.place_order(ANA, wish).await.unwrap().order.unwrap();
    app.pay_by_card(ANA, order.id).await;
    assert_eq!((app.stock(1).await, app.stock(2).await), ((98, 0), (97, 0)));

    let some = |lines: Vec<OrderLine>| CancelOrderRequest {
        order_id: order.id,
        reason: Some("too much".into()),
        lines,
    };
    for (lines, reason) in [
        (vec![units(3, 1)], "invalid_value"),
        (vec![units(1, 3)], "invalid_value"),
        (vec![units(1, 0)], "invalid_value"),
        (vec![units(1, 1), units(1, 1)], "invalid_value"),
    ] {
        assert_eq!(refusal(app.cancel_order(ANA, some(lines)).await).1, reason);
    }
    assert_eq!(refusal(app.cancel_order(BIA, some(vec![units(1, 1)])).await).1, "order_not_found");

    let after = app.cancel_order(ANA, some(vec![units(1, 1), units(2, 1)])).await.unwrap().order.unwrap();
    assert_eq!(after.status, "paid", "the rest is still to be sent");
    assert_eq!((after.items[0].cancelled, after.items[1].cancelled), (1, 1));
    assert_eq!((app.stock(1).await, app.stock(2).await), ((99, 0), (98, 0)));
    let (first, second) = (&order.items[0], &order.items[1]);
    let worth = first.total_amount / 2 + second.total_amount / 3;
    assert_eq!(app.value("SELECT sum(amount) FROM refunds").await, worth.to_string());
    testkit::eventually(WITHIN, "the money is back", async || {
        (app.seen(ANA, order.id).await.refunded_amount == worth).then_some(())
    })
    .await;

    // The rest makes it whole: shipping goes back too, and so does the coupon.
    let rest = vec![units(1, 1), units(2, 2)];
    let after = app.cancel_order(ANA, some(rest)).await.unwrap().order.unwrap();
    assert_eq!(after.status, "cancelled");
    app.reaches(order.id, "refunded").await;
    assert_eq!(app.value("SELECT sum(amount) FROM refunds").await, order.total_amount.to_string());
    assert_eq!(app.value("SELECT used FROM coupons").await, "0");
    assert_eq!((app.stock(1).await, app.stock(2).await), ((100, 0), (100, 0)));
    assert_eq!(refusal(app.cancel_order(ANA, whole(order.id)).await).1, "illegal_transition");
    app.check_books().await;
}

#[tokio::test]
async fn a_paid_order_is_cancelled_as_long_as_it_is_here() {
    let app = TestApp::start().await;
    app.shelf(1, 1_000, 100).await;
    let order = app.paid(ANA, &[(1, 2)]).await;
    app.moved(order.id, "processing").await;
    let cancelled = app.cancel_order(ANA, whole(order.id)).await.unwrap().order.unwrap();
    assert_eq!(cancelled.status, "cancelled");
    app.reaches(order.id, "refunded").await;
    let seen = app.seen(ANA, order.id).await;
    assert_eq!(seen.refunded_amount, order.total_amount);
    let steps: Vec<&str> = seen.history.iter().map(|entry| entry.to_status.as_str()).collect();
    assert_eq!(steps, ["pending_payment", "paid", "processing", "cancelled", "refunded"]);
    assert_eq!(app.stock(1).await, (100, 0));

    let sent = app.paid(ANA, &[(1, 1)]).await;
    app.moved(sent.id, "processing").await;
    app.moved(sent.id, "shipped").await;
    assert_eq!(refusal(app.cancel_order(ANA, whole(sent.id)).await).1, "illegal_transition");
    app.check_books().await;
}

#[tokio::test]
async fn what_was_delivered_may_be_sent_back() {
    let app = TestApp::start().await;
    app.shelf(1, 1_000, 100).await;
    app.shelf(2, 500, 100).await;
    let order = app.paid(ANA, &[(1, 3), (2, 1)]).await;
    let back = |lines: Vec<OrderLine>| RequestReturnRequest { order_id: order.id, lines };
    assert_eq!(refusal(app.request_return(ANA, back(vec![])).await).1, "illegal_transition");
    for status in ["processing", "shipped", "delivered"] {
        app.moved(order.id, status).await;
    }
    assert_eq!(refusal(app.request_return(BIA, back(vec![])).await).1, "order_not_found");
    assert_eq!(refusal(app.request_return(ANA, back(vec![units(1, 4)])).await).2, "lines");
    let broken = OrderLine { line: 1, quantity: 2, reason: Some("broken".into()) };
    let asked = app.request_return(ANA, back(vec![broken])).await.unwrap().order.unwrap();
    assert_eq!(asked.status, "return_requested");

    // Turned down, then asked for again, then taken.
    app.moved(order.id, "delivered").await;
    let asked = app.request_return(ANA, back(vec![units(1, 1), units(2, 1)])).await.unwrap();
    assert_eq!(asked.order.unwrap().status, "return_requested");
    assert_eq!((app.stock(1).await, app.stock(2).await), ((97, 0), (99, 0)));
    let returned = app.moved(order.id, "returned").await;
    assert_eq!(returned.status, "returned");
    assert_eq!((app.stock(1).await, app.stock(2).await), ((98, 0), (100, 0)));
    let units = app.value("SELECT string_agg(returned::text, ' ' ORDER BY line) FROM order_items").await;
    assert_eq!(units, "1 1");
    app.check_books().await;
}

#[tokio::test]
async fn an_order_is_bought_again_at_todays_prices() {
    let app = TestApp::start().await;
    for variant in 1..=4 {
        app.shelf(variant, 1_000, 200).await;
    }
    let order = app.order_of(ANA, &[(1, 2), (2, 60), (3, 1), (4, 5)]).await;
    app.catalog.sells(1, 1_200);
    app.catalog.stops_selling(3);
    app.sql("UPDATE stock_levels SET on_hand = reserved + 2 WHERE variant_id = 4").await;
    app.put(ANA, 2, 50).await;
    let again = ReorderRequest { order_id: order.id };
    for other in [BIA, OTHER_GUEST] {
        assert_eq!(refusal(app.reorder(other, again).await).1, "order_not_found");
    }
    let reply = app.reorder(ANA, again).await.unwrap();
    assert_eq!((reply.unavailable_variant_ids, reply.capped_variant_ids), (vec![3, 4], vec![2]));
    let mut lines: Vec<_> = reply
        .cart
        .unwrap()
        .items
        .iter()
        .map(|item| (item.variant_id, item.quantity, item.seen_unit_amount))
        .collect();
    lines.sort_unstable();
    assert_eq!(lines, [(1, 2, 1_200), (2, 99, 1_000), (4, 5, 1_000)]);
    assert!(reply.receipts.iter().any(|receipt| receipt.tags == ["cart:user:42"]));
    app.check_books().await;
}

#[tokio::test]
async fn whoever_watches_hears_of_every_step() {
    let mut app = TestApp::start().await;
    app.shelf(1, 1_000, 100).await;
    let order = app.order_of(ANA, &[(1, 1)]).await;
    let watch = |after_seq| WatchOrderRequest { order_id: order.id, after_seq };
    let status = app.orders.clone().watch_order(app.request(BIA, watch(0))).await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound);

    let mut stream = app.orders.clone().watch_order(app.request(ANA, watch(0))).await.unwrap().into_inner();
    let mut next = async || {
        let entry = tokio::time::timeout(WITHIN, stream.next()).await.expect("an entry comes");
        entry.map(|entry| entry.map(|entry| (entry.seq, entry.to_status)))
    };
    assert_eq!(next().await.unwrap().unwrap(), (1, "pending_payment".to_owned()));
    app.pay_by_card(ANA, order.id).await;
    assert_eq!(next().await.unwrap().unwrap(), (2, "paid".to_owned()));
    // What another process does is found by looking.
    app.sql(&format!("SELECT move({}, 'processing', 'staff', NULL)", order.id)).await;
    assert_eq!(next().await.unwrap().unwrap(), (3, "processing".to_owned()));
    // Whoever comes back hears what they missed.
    let mut back = app.orders.clone().watch_order(app.request(ANA, watch(1))).await.unwrap().into_inner();
    assert_eq!(back.next().await.unwrap().unwrap().to_status, "paid");
    drop(back);

    // Too many windows.
    let mut open = Vec::new();
    let refused = loop {
        match app.orders.clone().watch_order(app.request(ANA, watch(9))).await {
            Ok(stream) => open.push(stream),
            Err(status) => break status,
        }
        assert!(open.len() < 10, "there is a bound for each buyer");
    };
    assert_eq!(crate::buying::reason(&refused), "too_many_streams");
    // Nobody else's places are taken.
    let other = app.order_of(BIA, &[(1, 1)]).await;
    let other = WatchOrderRequest { order_id: other.id, after_seq: 9 };
    app.orders.clone().watch_order(app.request(BIA, other)).await.unwrap();
    drop(open);
    testkit::eventually(WITHIN, "places are given back", async || {
        app.orders.clone().watch_order(app.request(ANA, watch(9))).await.ok().map(drop)
    })
    .await;

    let ending = tokio::spawn(async move { app.stop().await });
    let last = next().await.unwrap().unwrap_err();
    assert_eq!(last.code(), Code::Unavailable, "{last:?}");
    ending.await.unwrap();
}

#[tokio::test]
async fn an_export_holds_everything_of_one_user_and_nothing_of_others() {
    let app = TestApp::start().await;
    app.shelf(1, 1_000, 100).await;
    let order = app.paid(ANA, &[(1, 2)]).await;
    app.cancel_order(
        ANA,
        CancelOrderRequest {
            order_id: order.id,
            reason: Some("one is enough".into()),
            lines: vec![units(1, 1)],
        },
    )
    .await
    .unwrap();
    app.put(ANA, 1, 5).await;
    app.order_of(BIA, &[(1, 7)]).await;
    let ask = ExportUserDataRequest { user_id: 42 };
    for who in [ANA, STAFF, Who::Nobody] {
        assert!(app.export_user_data(who, ask).await.is_err(), "{who:?}");
    }
    let json = app.export_user_data(Who::Service("accounts"), ask).await.unwrap().json;
    let kept: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(kept["orders"].as_array().unwrap().len(), 1);
    let exported = &kept["orders"][0];
    assert_eq!(exported["number"], order.number.as_str());
    assert_eq!(exported["items"][0]["cancelled"], 1);
    assert_eq!(exported["payments"][0]["amount"], order.total_amount);
    assert_eq!(exported["refunds"][0]["reason"], "one is enough");
    assert_eq!(exported["shipping_address"]["recipient"], "Ana Souza");
    assert_eq!(exported["history"][0]["to_status"], "pending_payment");
    assert_eq!(kept["carts"].as_array().unwrap().len(), 2);
    let refused =
        refusal(app.export_user_data(Who::Service("accounts"), ExportUserDataRequest { user_id: 0 }).await);
    assert_eq!(refused.2, "user_id");
}
