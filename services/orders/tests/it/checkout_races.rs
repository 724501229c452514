//! Many buyers at once: nothing is sold twice, nothing is used twice, nobody deadlocks.

use std::sync::atomic::{AtomicI64, Ordering};

use futures_util::future::join_all;
use proto::orders::v1::*;
use tonic::{Code, Status};

use crate::app::{ANA, BIA, TestApp, Who};
use crate::buying::{is_undone, patiently, reason, whole, wish};

const ROUTE: &str = "POST /api/v1/checkout";

/// How many of each outcome there were, by its word; `ok` for orders.
fn outcomes(answers: &[Result<PlaceOrderResponse, Status>]) -> Vec<(String, usize)> {
    let mut counts = std::collections::BTreeMap::new();
    for answer in answers {
        let word = match answer {
            Ok(_) => "ok".to_owned(),
            Err(status) => reason(status).to_owned(),
        };
        *counts.entry(word).or_insert(0) += 1;
    }
    counts.into_iter().collect()
}

fn counted(expected: &[(&str, usize)]) -> Vec<(String, usize)> {
    expected.iter().map(|(word, count)| ((*word).to_owned(), *count)).collect()
}

/// Ends the service, so that all of its connections have told what they know, and counts deadlocks.
async fn end_without_deadlock(mut app: TestApp) {
    let mut admin = app.admin().await;
    app.stop().await;
    let deadlocks: i64 =
        sqlx::query_scalar("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
            .fetch_one(&mut admin)
            .await
            .unwrap();
    assert_eq!(deadlocks, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_unit_goes_to_one_of_two_hundred() {
    let app = TestApp::start_with_many_writers().await;
    app.shelf(1, 4_290, 1).await;
    app.crowd(1_001, 200, 1, 4_290).await;
    let wish = wish(1, &app.quote_of(1, 1).await);
    let answers = join_all((1_001..1_201).map(|user| app.place_patiently(Who::User(user), &wish))).await;
    assert_eq!(outcomes(&answers), counted(&[("ok", 1), ("out_of_stock", 199)]));
    assert_eq!(app.stock(1).await, (1, 1));
    app.check_books().await;
    end_without_deadlock(app).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sixty_four_clients_sell_fifty_units_and_no_more() {
    const CLIENTS: i64 = 64;
    const ATTEMPTS: i64 = 600;
    let app = TestApp::start_with_many_writers().await;
    app.shelf(1, 4_290, 50).await;
    app.crowd(10_001, ATTEMPTS, 1, 4_290).await;
    let wish = wish(1, &app.quote_of(1, 1).await);
    let next = AtomicI64::new(10_001);
    let clients = (0..CLIENTS).map(async |_| {
        let mut answers = Vec::new();
        loop {
            let user = next.fetch_add(1, Ordering::Relaxed);
            if user >= 10_001 + ATTEMPTS {
                return answers;
            }
            answers.push(app.place_patiently(Who::User(user), &wish).await);
        }
    });
    let answers: Vec<_> = join_all(clients).await.into_iter().flatten().collect();
    assert_eq!(outcomes(&answers), counted(&[("ok", 50), ("out_of_stock", 550)]));
    assert_eq!(app.stock(1).await, (50, 50));
    app.check_books().await;
    end_without_deadlock(app).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_of_the_same_goods_in_any_order_do_not_deadlock() {
    let app = TestApp::start_with_many_writers().await;
    for variant in 1..=4 {
        app.shelf(variant, 1_000, 10_000).await;
    }
    // Each cart holds all four, put in in another order.
    app.sql(
        "INSERT INTO carts (id, user_id, expires_at)
         SELECT gen_random_uuid(), u, now() + interval '1 day' FROM generate_series(3001, 3120) u;
         INSERT INTO cart_items (cart_id, variant_id, product_id, quantity, seen_unit_amount)
         SELECT c.id, v, v * 10, 1, 1000 FROM carts c, generate_series(1, 4) v ORDER BY c.user_id, (v * c.user_id) % 5",
    )
    .await;
    let items = (1..=4).map(|variant_id| QuoteItem { variant_id, quantity: 1 }).collect();
    let request = QuoteShippingRequest { cep: crate::buying::CEP.to_owned(), items };
    let quotes = app.quote_shipping(Who::Nobody, request).await.unwrap().quotes;
    let wish = wish(1, quotes.iter().find(|quote| quote.service == "PAC").unwrap());
    // Half of them change their mind at once, while others still order.
    let all = (3_001..3_121).map(async |user| {
        let order = app.place_patiently(Who::User(user), &wish).await?.order.unwrap();
        if user % 2 == 0 {
            let cancel = CancelCheckoutRequest { order_id: order.id };
            patiently(async || app.cancel_checkout(Who::User(user), cancel).await).await?;
        }
        Ok::<(), Status>(())
    });
    for answer in join_all(all).await {
        answer.unwrap();
    }
    assert_eq!(app.stock(1).await, (10_000, 60));
    app.check_books().await;
    end_without_deadlock(app).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_coupon_for_one_is_used_by_one_of_two_hundred() {
    let app = TestApp::start_with_many_writers().await;
    app.shelf(1, 4_290, 1_000).await;
    app.sql("INSERT INTO coupons (code, kind, value, usage_limit) VALUES ('UM', 'fixed', 1000, 1)").await;
    app.crowd(1_001, 200, 1, 4_290).await;
    let wish = PlaceOrderRequest { coupon_code: Some("UM".to_owned()), ..wish(1, &app.quote_of(1, 1).await) };
    let answers = join_all((1_001..1_201).map(|user| app.place_patiently(Who::User(user), &wish))).await;
    assert_eq!(outcomes(&answers), counted(&[("coupon_exhausted", 199), ("ok", 1)]));
    assert_eq!(app.stock(1).await, (1_000, 1), "who was refused holds nothing");
    app.check_books().await;
    end_without_deadlock(app).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_cart_in_two_tabs_is_one_order() {
    let app = TestApp::start_with_many_writers().await;
    app.shelf(1, 4_290, 1_000).await;
    app.put(ANA, 1, 1).await;
    let wish = app.wish(ANA).await;
    let answers = join_all((0..20).map(|_| app.place_patiently(ANA, &wish))).await;
    assert_eq!(outcomes(&answers), counted(&[("cart_empty", 19), ("ok", 1)]));
    assert_eq!(app.stock(1).await, (1_000, 1));
    app.check_books().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_key_is_one_order_and_one_answer() {
    let app = TestApp::start_with_many_writers().await;
    app.shelf(1, 4_290, 1_000).await;
    app.put(ANA, 1, 1).await;
    let wish = app.wish(ANA).await;
    let ask = async || {
        let request = app.keyed(ANA, wish.clone(), ROUTE, "key-1");
        app.checkouts.clone().place_order(request).await
    };
    let answers = join_all((0..100).map(|_| ask())).await;
    let (done, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    assert!(!done.is_empty());
    for refused in refused {
        let status = refused.unwrap_err();
        assert!(is_undone(&status) || reason(&status) == "idempotency_in_flight", "{status:?}");
    }
    let mut orders: Vec<_> =
        done.into_iter().map(|answer| answer.unwrap().into_inner().order.unwrap()).collect();
    orders.dedup();
    let [order] = &orders[..] else { panic!("{orders:#?}") };
    // Much later it is still the same, whatever became of the order meanwhile.
    app.cancel_order(ANA, whole(order.id)).await.unwrap();
    let again = ask().await.unwrap();
    assert_eq!(again.metadata().get("mc-idempotent-replayed").unwrap(), "true");
    assert_eq!(again.get_ref().order.as_ref(), Some(order));
    assert!(!again.get_ref().receipts.is_empty(), "whoever hears it first purges");
    assert_eq!(app.value("SELECT count(*) FROM orders").await, "1");
    // Another body, another user.
    let mut other = wish.clone();
    other.locale = "en".to_owned();
    let request = app.keyed(ANA, other, ROUTE, "key-1");
    let status = app.checkouts.clone().place_order(request).await.unwrap_err();
    assert_eq!(reason(&status), "idempotency_key_reused");
    let request = app.keyed(BIA, wish.clone(), ROUTE, "key-1");
    let status = app.checkouts.clone().place_order(request).await.unwrap_err();
    assert_eq!(reason(&status), "cart_empty");
    // Neither the address nor a token is kept with the answer.
    let kept: Vec<u8> = sqlx::query_scalar("SELECT reply FROM idempotency_keys WHERE scope = 'user:42'")
        .fetch_one(&mut app.admin().await)
        .await
        .unwrap();
    assert!(!String::from_utf8_lossy(&kept).contains("Paulista"));
    app.check_books().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_repeated_as_it_was() {
    let app = TestApp::start().await;
    app.shelf(1, 4_290, 1).await;
    app.put(ANA, 1, 1).await;
    let wish = app.wish(ANA).await;
    app.sql("UPDATE stock_levels SET on_hand = 0").await;
    let ask = async || {
        let request = app.keyed(ANA, wish.clone(), ROUTE, "key-2");
        app.checkouts.clone().place_order(request).await.unwrap_err()
    };
    let first = ask().await;
    assert_eq!(reason(&first), "out_of_stock");
    app.sql("UPDATE stock_levels SET on_hand = 9").await;
    let second = ask().await;
    assert_eq!((second.code(), second.message()), (first.code(), first.message()));
    assert_eq!(second.metadata().get_bin("mc-lines-bin"), first.metadata().get_bin("mc-lines-bin"));
    assert_eq!(second.metadata().get("mc-idempotent-replayed").unwrap(), "true");
    // With a key of its own the same request succeeds.
    let request = app.keyed(ANA, wish.clone(), ROUTE, "key-3");
    app.checkouts.clone().place_order(request).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_one_state_of_its_cart() {
    let app = TestApp::start_with_many_writers().await;
    for variant in 1..=10 {
        app.shelf(variant, 1_000, 1_000).await;
    }
    // Twenty buyers each put things in, and change prices and coupons, while they order.
    app.sql("INSERT INTO coupons (code, kind, value) VALUES ('DEZ', 'percent', 1000)").await;
    let buyers = (5_001..5_021).map(async |user| {
        let who = Who::User(user);
        let first = AddItemRequest { variant_id: 1, quantity: 1 };
        patiently(async || app.add_item(who, first).await).await.unwrap();
        let wish = app.wish(who).await;
        let add = async |variant: i64| {
            let add = AddItemRequest { variant_id: variant, quantity: 1 };
            patiently(async || app.add_item(who, add).await).await.map(drop)
        };
        let coupon = async || app.set_coupon(who, SetCouponRequest { code: "DEZ".into() }).await.map(drop);
        let (placed, ..) = tokio::join!(app.place_patiently(who, &wish), add(2), add(3), coupon(), add(4));
        match placed {
            Ok(reply) => {
                let order = reply.order.unwrap();
                // What was in the cart when its version was read, and nothing else.
                let lines: Vec<_> = order.items.iter().map(|item| (item.variant_id, item.quantity)).collect();
                assert_eq!(lines, [(1, 1)]);
                assert_eq!((order.coupon_code.as_deref(), order.items_amount), (None, 1_000));
                "ok"
            }
            Err(status) => {
                assert_eq!(status.code(), Code::Aborted, "{status:?}");
                assert_eq!(reason(&status), "version_mismatch", "{status:?}");
                "changed"
            }
        }
    });
    let outcomes = join_all(buyers).await;
    // Nothing is lost: what is not ordered is in the cart.
    let lost = app
        .value(
            "SELECT count(*) FROM (SELECT u FROM generate_series(5001, 5020) u
              WHERE (SELECT coalesce(sum(i.quantity), 0) FROM orders o JOIN order_items i ON i.order_id = o.id
                      WHERE o.user_id = u)
                  + (SELECT coalesce(sum(i.quantity), 0) FROM carts c JOIN cart_items i ON i.cart_id = c.id
                      WHERE c.user_id = u AND c.state = 'active') < 1) lost",
        )
        .await;
    assert_eq!(lost, "0", "{outcomes:?}");
    app.check_books().await;
    end_without_deadlock(app).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_writers_lose_no_update() {
    let app = TestApp::start_with_many_writers().await;
    app.shelf(1, 1_000, 1_000).await;
    let order = app.paid(ANA, &[(1, 90)]).await;
    // Each takes one unit away: none may be lost, none taken twice.
    let cancel = async || {
        let lines = vec![OrderLine { line: 1, quantity: 1, reason: None }];
        let request = CancelOrderRequest { order_id: order.id, reason: None, lines };
        patiently(async || app.cancel_order(ANA, request.clone()).await).await
    };
    let answers = join_all((0..200).map(|_| cancel())).await;
    let done = answers.iter().filter(|answer| answer.is_ok()).count();
    assert_eq!(done, 90);
    for refused in answers.into_iter().filter_map(Result::err) {
        assert_eq!(reason(&refused), "illegal_transition");
    }
    let promised = app.value("SELECT sum(amount) FROM refunds WHERE status <> 'failed'").await;
    assert_eq!(promised, order.total_amount.to_string(), "with the last unit the shipping goes back");
    app.reaches(order.id, "refunded").await;
    assert_eq!(app.stock(1).await, (1_000, 0));
    app.check_books().await;
}
