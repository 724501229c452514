//! From a cart to an order: what it becomes, and what is refused.

use prost::Message as _;
use proto::events::v1::event::Fact;
use proto::orders::v1::*;
use tonic::Code;

use crate::app::{ANA, BIA, GUEST, OTHER_GUEST, STAFF, TestApp, Who, blamed, refusal};
use crate::buying::{address, units, whole, wish};

#[tokio::test]
async fn a_cart_becomes_an_order() {
    let app = TestApp::start().await;
    app.shelf(1, 4_290, 100).await;
    app.shelf(2, 1_005, 6).await;
    app.sql("INSERT INTO coupons (code, kind, value, usage_limit) VALUES ('DEZ', 'percent', 1000, 5)").await;
    app.put(ANA, 1, 2).await;
    app.put(ANA, 2, 3).await;
    app.set_coupon(ANA, SetCouponRequest { code: "dez".into() }).await.unwrap();
    let wish = app.wish(ANA).await;
    let quote = app.quote(ANA).await;
    let reply = app.place_order(ANA, wish).await.unwrap();
    assert_eq!(reply.order_token, "", "a user needs no token");
    let order = reply.order.unwrap();

    let year: String = order.number.chars().skip(3).take(4).collect();
    assert_eq!(order.number, format!("MC-{year}-{:06}", order.id));
    assert_eq!((order.status.as_str(), order.version, order.user_id), ("pending_payment", 1, Some(42)));
    assert_eq!((order.items_amount, order.discount_amount), (8_580 + 3_015, 1_159));
    assert_eq!(order.shipping_amount, quote.amount);
    assert_eq!(order.total_amount, 8_580 + 3_015 - 1_159 + quote.amount);
    assert_eq!(order.tax_amount, order.taxes.iter().map(|tax| tax.amount).sum::<i64>());
    assert_eq!(order.items.iter().map(|item| item.discount_amount).sum::<i64>(), 1_159);
    assert_eq!((order.items[0].line, order.items[0].variant_id, order.items[0].quantity), (1, 1, 2));
    assert_eq!(order.items[1].name, "Café 2, 250 g");
    assert_eq!(order.shipping_address, Some(address()));
    assert_eq!((order.coupon_code.as_deref(), order.shipping_service.as_str()), (Some("DEZ"), "PAC"));
    assert_eq!(order.history.len(), 1);
    assert_eq!((order.history[0].seq, order.history[0].to_status.as_str()), (1, "pending_payment"));
    // As it was answered, so it is.
    assert_eq!(app.seen(ANA, order.id).await, order);

    // Fifteen minutes are left, the goods are promised, the coupon is used, and the cart is gone.
    let checkout = app.get_checkout(ANA, GetCheckoutRequest { order_id: order.id }).await.unwrap();
    assert!((800..=900).contains(&checkout.remaining_s), "{}", checkout.remaining_s);
    assert_eq!((checkout.order, checkout.payment), (Some(order.clone()), None));
    assert_eq!((app.stock(1).await, app.stock(2).await), ((100, 2), (6, 3)));
    assert_eq!(app.value("SELECT used FROM coupons").await, "1");
    assert_eq!(app.value("SELECT customer_key FROM coupon_redemptions").await, "user:42");
    assert_eq!(app.cart(ANA).await.id, "");

    // What is told, in the order in which it happened.
    let told: Vec<(String, i64)> = sqlx::query_as(
        "SELECT subject, aggregate_version FROM outbox WHERE aggregate <> 'cart' ORDER BY seq",
    )
    .fetch_all(&mut app.admin().await)
    .await
    .unwrap();
    let id = order.id;
    let expected = [
        (format!("mc.orders.order.placed.{id}"), 1),
        ("mc.orders.stock.changed.1".to_owned(), 2),
        ("mc.orders.stock.changed.2".to_owned(), 2),
        ("mc.orders.stock.band_changed.2".to_owned(), 2),
    ];
    assert_eq!(told, expected);
    let tags: Vec<&str> =
        reply.receipts.iter().flat_map(|receipt| &receipt.tags).map(String::as_str).collect();
    for tag in ["orders:user:42", "cart:user:42", "stock:variant:1", "stock:variant:2", "product:20"] {
        assert!(tags.contains(&tag), "{tag}: {tags:?}");
    }
    assert!(!tags.contains(&"product:10"), "a sale within the band makes no page stale: {tags:?}");
    let payload: Vec<u8> = sqlx::query_scalar("SELECT payload FROM outbox WHERE subject ~ 'order.placed'")
        .fetch_one(&mut app.admin().await)
        .await
        .unwrap();
    let event = proto::events::v1::Event::decode(&*payload).unwrap();
    let Some(Fact::OrderPlaced(placed)) = event.fact else { panic!("{event:?}") };
    assert_eq!((placed.total_amount, placed.lines.len()), (order.total_amount, 2));
    assert_eq!(event.actor.unwrap().id, Some(42));
    app.check_books().await;
}

#[tokio::test]
async fn a_guest_orders_and_finds_the_order_by_two_tokens() {
    let app = TestApp::start().await;
    app.shelf(1, 4_290, 100).await;
    app.put(GUEST, 1, 1).await;
    let wish = app.wish(GUEST).await;
    let reply = app.place_order(GUEST, wish).await.unwrap();
    let order = reply.order.unwrap();
    assert_eq!((order.user_id, reply.order_token.len()), (None, 43));
    assert_eq!(app.seen(GUEST, order.id).await, order);
    let by_order_token = Who::Guest(sha2_of(&reply.order_token));
    assert_eq!(app.seen(by_order_token, order.id).await, order);
    // Nobody else has such an order, not even one who asks for it by its number.
    let get = GetOrderRequest { order_id: order.id };
    let gone = GetOrderRequest { order_id: order.id + 1 };
    for other in [OTHER_GUEST, ANA, STAFF] {
        let (theirs, nobodys) = (app.get_order(other, get).await, app.get_order(other, gone).await);
        let (theirs, nobodys) = (theirs.unwrap_err(), nobodys.unwrap_err());
        assert_eq!(theirs.code(), Code::NotFound);
        assert_eq!(theirs.message(), nobodys.message());
        let told = |status: &tonic::Status| {
            let mut headers = status.metadata().clone().into_headers();
            headers.remove("date");
            format!("{headers:?}")
        };
        assert_eq!(told(&theirs), told(&nobodys));
    }
    assert_eq!(refusal(app.get_order(Who::Nobody, get).await).0, Code::Unauthenticated);

    // Whoever writes to the guest learns where, and by which token the guest gets back.
    let ask = GetOrderForNoticeRequest { order_id: order.id };
    let notice = app.get_order_for_notice(Who::Service("notifications"), ask).await.unwrap();
    assert_eq!(notice.email.as_deref(), Some("guest@example.com"));
    assert_eq!((notice.order_token, notice.locale), (Some(reply.order_token.clone()), "pt-BR".to_owned()));
    assert_eq!(notice.order.unwrap(), order);
    for who in [GUEST, ANA, STAFF] {
        assert!(app.get_order_for_notice(who, ask).await.is_err(), "{who:?}");
    }
    let kept = app.value("SELECT count(*) FROM orders WHERE order_token_sha256 IS NOT NULL").await;
    assert_eq!(kept, "1");
    assert!(!app.value("SELECT string_agg(o::text, ' ') FROM orders o").await.contains(&reply.order_token));

    // The address is part of what a coupon counts.
    let cancel = CancelCheckoutRequest { order_id: order.id };
    app.cancel_checkout(by_order_token, cancel).await.unwrap();
    assert_eq!(app.cart(GUEST).await.items[0].quantity, 1);
    app.check_books().await;
}

fn sha2_of(token: &str) -> [u8; 32] {
    use sha2::Digest as _;
    sha2::Sha256::digest(token).into()
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_named() {
    let app = TestApp::start().await;
    app.shelf(1, 4_290, 100).await;
    app.put(ANA, 1, 1).await;
    app.put(GUEST, 1, 1).await;
    let good = app.wish(ANA).await;
    let state = "SELECT concat((SELECT count(*) FROM orders), (SELECT string_agg(c::text, ' ' ORDER BY c) FROM carts c),
                               (SELECT string_agg(s::text, ' ') FROM stock_levels s), (SELECT count(*) FROM outbox))";
    let before = app.value(state).await;

    let check = async |who: Who, change: &dyn Fn(&mut PlaceOrderRequest), reason: &str, field: &str| {
        let mut wish = good.clone();
        change(&mut wish);
        let refused = refusal(app.place_order(who, wish).await);
        assert_eq!((refused.1.as_str(), refused.2.as_str()), (reason, field));
    };
    let at = |change: fn(&mut Address)| {
        move |wish: &mut PlaceOrderRequest| change(wish.shipping_address.as_mut().unwrap())
    };
    let invalid = "invalid_value";
    check(Who::Nobody, &|_| (), "unauthenticated", "").await;
    check(Who::Service("gateway"), &|_| (), "permission_denied", "").await;
    check(ANA, &|wish| wish.cart_version = 0, "version_required", "cart_version").await;
    check(ANA, &|wish| wish.cart_version = -1, invalid, "cart_version").await;
    check(ANA, &|wish| wish.cart_version = 99, "version_mismatch", "expected_version").await;
    check(ANA, &|wish| wish.shipping_address = None, invalid, "shipping_address").await;
    check(ANA, &at(|to| to.country = "PT".into()), invalid, "shipping_address.country").await;
    check(ANA, &at(|to| to.state = "XX".into()), invalid, "shipping_address.state").await;
    check(ANA, &at(|to| to.state = "RJ".into()), invalid, "shipping_address.state").await;
    check(ANA, &at(|to| to.postal_code = "123".into()), invalid, "shipping_address.postal_code").await;
    check(ANA, &at(|to| to.recipient = " ".into()), invalid, "shipping_address.recipient").await;
    check(ANA, &at(|to| to.line1 = "x".repeat(201)), invalid, "shipping_address.line1").await;
    check(ANA, &at(|to| to.city = "a\nb".into()), invalid, "shipping_address.city").await;
    check(ANA, &|wish| wish.locale = "fr".into(), invalid, "locale").await;
    check(ANA, &|wish| wish.coupon_code = Some("não".into()), invalid, "coupon_code").await;
    check(ANA, &|wish| wish.coupon_code = Some("NONE".into()), "coupon_not_found", "").await;
    check(GUEST, &|wish| wish.email = None, invalid, "email").await;
    check(GUEST, &|wish| wish.email = Some("a\r\nBcc: b@example.com".into()), invalid, "email").await;
    // A quote for elsewhere, for other goods, of somebody's own making, and of yesterday.
    let elsewhere = |wish: &mut PlaceOrderRequest| {
        let to = wish.shipping_address.as_mut().unwrap();
        (to.postal_code, to.state) = ("20040002".into(), "RJ".into());
    };
    check(ANA, &elsewhere, invalid, "shipping_quote_id").await;
    let heavier = app.quote_of(1, 2).await.id;
    check(ANA, &|wish| wish.shipping_quote_id.clone_from(&heavier), invalid, "shipping_quote_id").await;
    check(ANA, &|wish| wish.shipping_quote_id.push('x'), invalid, "shipping_quote_id").await;
    check(BIA, &|_| (), "cart_empty", "cart_version").await;
    assert_eq!(app.value(state).await, before, "nothing was done");

    app.clear_cart(ANA, ClearCartRequest {}).await.unwrap();
    let cleared = PlaceOrderRequest { cart_version: app.cart(ANA).await.version, ..good };
    assert_eq!(refusal(app.place_order(ANA, cleared).await).1, "cart_empty");
}

#[tokio::test]
async fn a_price_that_the_buyer_has_not_seen_is_not_charged() {
    let app = TestApp::start().await;
    app.shelf(1, 4_290, 100).await;
    app.shelf(2, 1_000, 100).await;
    app.put(ANA, 1, 1).await;
    app.put(ANA, 2, 1).await;
    let mut wish = app.wish(ANA).await;
    app.catalog.sells(2, 1_100);
    let answer = app.place_order(ANA, wish.clone()).await;
    assert_eq!(answer.as_ref().unwrap_err().code(), Code::Aborted);
    let lines = blamed(answer);
    let [line] = &lines[..] else { panic!("{lines:?}") };
    assert_eq!((line.index, line.variant_id, line.unit_amount), (1, 2, 1_100));
    assert_eq!(line.code, "price_changed");
    // Whoever names the new total has seen it; any other total is not agreed on.
    let total = 4_290 + 1_100 + app.quote(ANA).await.amount;
    wish.expected_total_amount = Some(total - 100);
    assert_eq!(refusal(app.place_order(ANA, wish.clone()).await).1, "price_changed");
    wish.expected_total_amount = Some(total);
    let order = app.place_order(ANA, wish).await.unwrap().order.unwrap();
    assert_eq!((order.total_amount, order.items[1].unit_amount), (total, 1_100));
}

#[tokio::test]
async fn goods_that_are_gone_are_named_with_what_is_left() {
    let app = TestApp::start().await;
    app.shelf(1, 4_290, 100).await;
    app.shelf(2, 1_000, 3).await;
    app.put(ANA, 1, 1).await;
    app.put(ANA, 2, 3).await;
    let wish = app.wish(ANA).await;
    app.sql("UPDATE stock_levels SET on_hand = 2 WHERE variant_id = 2").await;
    let answer = app.place_order(ANA, wish.clone()).await;
    assert_eq!(crate::buying::reason(answer.as_ref().unwrap_err()), "out_of_stock");
    let lines = blamed(answer);
    let [line] = &lines[..] else { panic!("{lines:?}") };
    assert_eq!((line.index, line.variant_id, line.available, line.code.as_str()), (1, 2, 2, "out_of_stock"));
    assert_eq!(app.stock(1).await, (100, 0), "all lines or none");

    app.sql("UPDATE stock_levels SET on_hand = 3 WHERE variant_id = 2").await;
    app.catalog.stops_selling(1);
    let answer = app.place_order(ANA, wish.clone()).await;
    let lines = blamed(answer);
    assert_eq!((lines[0].index, lines[0].code.as_str()), (0, "unavailable"));
    app.catalog.leaves();
    let answer = refusal(app.place_order(ANA, wish.clone()).await);
    assert_eq!(answer, (Code::Unavailable, "catalog_unavailable".into(), String::new()));
    app.catalog.returns();
    app.catalog.sells(1, 4_290);
    app.place_order(ANA, wish).await.unwrap();
    app.check_books().await;
}

#[tokio::test]
async fn a_coupon_gives_what_it_says_or_is_refused() {
    let app = TestApp::start().await;
    app.shelf(1, 4_290, 100).await;
    app.sql(
        "INSERT INTO coupons (code, kind, value, rules, usage_limit, starts_at, ends_at) VALUES
            ('ONCE', 'fixed', 1000, '{}', 1, NULL, NULL),
            ('OVER', 'fixed', 1000, '{}', NULL, NULL, now() - interval '1 second'),
            ('LATER', 'fixed', 1000, '{}', NULL, now() + interval '1 day', NULL),
            ('BIG', 'percent', 5000, '{\"min_items_amount\": 100000}', NULL, NULL, NULL),
            ('GRATIS', 'percent', 10000, '{}', NULL, NULL, NULL)",
    )
    .await;
    app.put(ANA, 1, 1).await;
    app.put(BIA, 1, 1).await;
    let with = async |who: Who, code: &str| {
        let wish = PlaceOrderRequest { coupon_code: Some(code.into()), ..app.wish(who).await };
        app.place_order(who, wish).await
    };
    assert_eq!(refusal(with(ANA, "OVER").await).1, "coupon_exhausted");
    assert_eq!(refusal(with(ANA, "LATER").await).1, "coupon_exhausted");
    assert_eq!(refusal(with(ANA, "BIG").await).1, "coupon_not_applicable");
    let order = with(ANA, "once").await.unwrap().order.unwrap();
    assert_eq!((order.discount_amount, order.coupon_code.as_deref()), (1_000, Some("ONCE")));
    assert_eq!(refusal(with(BIA, "ONCE").await).1, "coupon_exhausted");

    // When the first order comes to nothing, the coupon is there for the next.
    app.cancel_order(ANA, whole(order.id)).await.unwrap();
    let order = with(BIA, "ONCE").await.unwrap().order.unwrap();
    assert_eq!(order.discount_amount, 1_000);
    // One and the same customer uses it once, whatever the limit of all.
    app.sql("UPDATE coupons SET usage_limit = 9 WHERE code = 'ONCE'").await;
    app.put(BIA, 1, 1).await;
    assert_eq!(refusal(with(BIA, "ONCE").await).1, "coupon_exhausted");
    app.check_books().await;
}

#[tokio::test]
async fn an_order_that_costs_nothing_is_paid_at_once() {
    let app = TestApp::start().await;
    app.shelf(1, 4_290, 100).await;
    app.sql("INSERT INTO coupons (code, kind, value) VALUES ('GRATIS', 'percent', 10000)").await;
    app.put(ANA, 1, 2).await;
    let cart = app.cart(ANA).await;
    // In the shop's own town.
    let home = Address { state: "MG".into(), postal_code: "35400000".into(), ..address() };
    let request = QuoteShippingRequest { cep: home.postal_code.clone(), items: Vec::new() };
    let quotes = app.quote_shipping(ANA, request).await.unwrap().quotes;
    let Some(pickup) = quotes.iter().find(|quote| quote.amount == 0) else {
        panic!("goods can be fetched for nothing: {quotes:?}")
    };
    let wish = PlaceOrderRequest {
        coupon_code: Some("GRATIS".into()),
        shipping_address: Some(home),
        ..wish(cart.version, pickup)
    };
    let order = app.place_order(ANA, wish).await.unwrap().order.unwrap();
    assert_eq!((order.total_amount, order.status.as_str(), order.version), (0, "paid", 2));
    let seen = app.seen(ANA, order.id).await;
    assert_eq!((seen.status, seen.version, seen.history.len()), (order.status, 2, order.history.len()));
    assert_eq!(app.stock(1).await, (98, 0));
    let back = app.cancel_order(ANA, whole(order.id)).await.unwrap().order.unwrap();
    assert_eq!((back.status.as_str(), app.stock(1).await), ("cancelled", (100, 0)));
    app.check_books().await;
}

#[tokio::test]
async fn three_orders_may_wait_to_be_paid() {
    let app = TestApp::start().await;
    app.shelf(1, 4_290, 100).await;
    for who in [ANA, GUEST] {
        let mut first = None;
        for _ in 0..3 {
            let order = app.order_of(who, &[(1, 1)]).await;
            first.get_or_insert(order.id);
        }
        app.put(who, 1, 1).await;
        let wish = app.wish(who).await;
        let refused = refusal(app.place_order(who, wish.clone()).await);
        assert_eq!((refused.0, refused.1.as_str()), (Code::ResourceExhausted, "too_many_unpaid_orders"));
        app.cancel_order(who, whole(first.unwrap())).await.unwrap();
        app.place_order(who, wish).await.unwrap();
    }
    app.check_books().await;
}

#[tokio::test]
async fn leaving_the_checkout_fills_the_cart_again() {
    let app = TestApp::start().await;
    for variant in 1..=3 {
        app.shelf(variant, 1_000, 100).await;
    }
    let order = app.order_of(ANA, &[(1, 2), (2, 60)]).await;
    // Meanwhile something else is chosen.
    app.put(ANA, 2, 50).await;
    app.put(ANA, 3, 1).await;
    let cancel = CancelCheckoutRequest { order_id: order.id };
    for other in [BIA, GUEST] {
        assert_eq!(refusal(app.cancel_checkout(other, cancel).await).1, "order_not_found");
    }
    let reply = app.cancel_checkout(ANA, cancel).await.unwrap();
    let cancelled = reply.order.unwrap();
    assert_eq!((cancelled.status.as_str(), cancelled.version), ("cancelled", 2));
    assert_eq!(cancelled.items[0].cancelled, 2);
    assert_eq!(cancelled.reserved_until, None);
    assert!(reply.receipts.iter().any(|receipt| receipt.tags.contains(&"cart:user:42".to_owned())));
    let cart = app.cart(ANA).await;
    let mut lines: Vec<_> = cart.items.iter().map(|item| (item.variant_id, item.quantity)).collect();
    lines.sort_unstable();
    assert_eq!(lines, [(1, 2), (2, 99), (3, 1)]);
    assert_eq!((app.stock(1).await, app.stock(2).await), ((100, 0), (100, 0)));
    // Once more there is nothing to cancel.
    assert_eq!(refusal(app.cancel_checkout(ANA, cancel).await).1, "illegal_transition");
    let some = CancelOrderRequest { order_id: order.id, reason: None, lines: vec![units(1, 1)] };
    assert_eq!(refusal(app.cancel_order(ANA, some).await).1, "illegal_transition");

    // All of it comes back, also into a cart that holds something else by now; what is there is added to.
    let goods: Vec<(i64, i32)> = (100..150).map(|variant| (variant, 1)).collect();
    for (variant, _) in &goods {
        app.shelf(*variant, 500, 10).await;
    }
    app.clear_cart(ANA, ClearCartRequest {}).await.unwrap();
    let order = app.order_of(ANA, &goods).await;
    assert_eq!(order.items.len(), 50);
    app.put(ANA, 1, 1).await;
    app.put(ANA, 100, 1).await;
    app.cancel_checkout(ANA, CancelCheckoutRequest { order_id: order.id }).await.unwrap();
    let cart = app.cart(ANA).await;
    assert_eq!(cart.items.len(), 51);
    assert_eq!(cart.items.iter().find(|item| item.variant_id == 100).unwrap().quantity, 2);
    app.check_books().await;
}
