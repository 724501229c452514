//! Orders that nobody pays in time.

use futures_util::future::join_all;
use proto::orders::v1::*;

use crate::app::{ANA, BIA, TestApp, Who, refusal};
use crate::buying::{WITHIN, patiently, whole};

/// The time of these orders is over.
async fn time_passes(app: &TestApp) {
    app.sql("UPDATE reservations SET expires_at = now() - interval '1 second' WHERE state = 'held'").await;
}

#[tokio::test]
async fn goods_and_coupon_of_an_unpaid_order_are_free_again() {
    let app = TestApp::start().await;
    app.shelf(1, 1_000, 5).await;
    app.sql("INSERT INTO coupons (code, kind, value, usage_limit) VALUES ('UM', 'fixed', 100, 1)").await;
    app.put(ANA, 1, 5).await;
    let wish = PlaceOrderRequest { coupon_code: Some("UM".into()), ..app.wish(ANA).await };
    let order = app.place_order(ANA, wish).await.unwrap().order.unwrap();
    assert_eq!(app.stock(1).await, (5, 5));
    time_passes(&app).await;
    app.reaches(order.id, "expired").await;
    assert_eq!(app.stock(1).await, (5, 0));
    assert_eq!(app.value("SELECT used FROM coupons").await, "0");
    let seen = app.seen(ANA, order.id).await;
    assert_eq!((seen.version, seen.reserved_until), (2, None));
    let last = seen.history.last().unwrap();
    assert_eq!((last.actor.as_str(), last.to_status.as_str()), ("system", "expired"));
    let checkout = app.get_checkout(ANA, GetCheckoutRequest { order_id: order.id }).await.unwrap();
    assert_eq!(checkout.remaining_s, 0);
    assert_eq!(refusal(app.cancel_order(ANA, whole(order.id)).await).1, "illegal_transition");
    let told = app.value("SELECT count(*) FROM outbox WHERE subject ~ 'stock.band_changed'").await;
    assert_eq!(told, "2", "out, and in or low again");
    app.check_books().await;
}

#[tokio::test]
async fn orders_whose_money_is_in_flight_are_left_alone() {
    let app = TestApp::start().await;
    app.shelf(1, 1_000, 50).await;
    let waiting = app.order_of(ANA, &[(1, 1)]).await;
    let overdue = app.order_of(BIA, &[(1, 1)]).await;
    app.sql(&format!(
        "INSERT INTO payments (id, order_id, user_id, attempt, provider, provider_key, method, status, status_rank, amount,
                               currency, next_check_at)
         VALUES (gen_random_uuid(), {}, 42, 1, 'sandbox', 'k', 'pix', 'unknown', 1, 1, 'BRL', now() + interval '1 hour')",
        waiting.id
    ))
    .await;
    time_passes(&app).await;
    app.reaches(overdue.id, "expired").await;
    // It comes first and was looked at before.
    assert_eq!(app.seen(ANA, waiting.id).await.status, "pending_payment");
    assert_eq!(app.stock(1).await, (50, 1));
    assert_eq!(refusal(app.cancel_order(ANA, whole(waiting.id)).await).1, "payment_in_flight");
    app.sql("UPDATE payments SET status = 'failed', status_rank = 9").await;
    app.reaches(waiting.id, "expired").await;
    assert_eq!(app.stock(1).await, (50, 0));
    app.check_books().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_pays_while_the_time_ends_has_paid_or_may_not() {
    let app = TestApp::start_with_many_writers().await;
    app.shelf(1, 1_000, 100).await;
    let users: Vec<i64> = (6_001..6_021).collect();
    let mut orders = Vec::new();
    for user in &users {
        orders.push(app.order_of(Who::User(*user), &[(1, 1)]).await.id);
    }
    let pay = async |user: i64, order_id: i64| {
        let request = PayRequest {
            order_id,
            method: "card".into(),
            payment_method: "pm_card_visa".into(),
            expected_total_amount: None,
            return_url: "https://shop.example/back".into(),
        };
        patiently(async || app.pay(Who::User(user), request.clone()).await).await
    };
    let paying = join_all(users.iter().zip(&orders).map(|(user, order)| pay(*user, *order)));
    let (answers, ()) = tokio::join!(paying, time_passes(&app));
    for (answer, order) in answers.iter().zip(&orders) {
        testkit::eventually(WITHIN, "the order is settled", async || {
            let status = app.value(&format!("SELECT status FROM orders WHERE id = {order}")).await;
            ["paid", "expired", "refunded"].contains(&status.as_str()).then_some(())
        })
        .await;
        let status = app.value(&format!("SELECT status FROM orders WHERE id = {order}")).await;
        if let Err(refused) = answer {
            assert_eq!(status, "expired", "{refused:?}");
        }
    }
    app.check_books().await;
}

#[tokio::test]
async fn many_whose_money_is_in_flight_do_not_stand_in_the_way() {
    let app = TestApp::start().await;
    app.shelf(1, 1_000, 1_000).await;
    app.sql(
        "INSERT INTO carts (id, user_id, state, expires_at)
         SELECT gen_random_uuid(), u, 'converted', now() + interval '1 day' FROM generate_series(5001, 5250) u;
         INSERT INTO orders (number, user_id, cart_id, items_amount, shipping_amount, tax_amount, total_amount,
                             shipping_service)
         SELECT concat('T-', user_id), user_id, id, 1000, 0, 0, 1000, 'PAC' FROM carts;
         INSERT INTO reservations (order_id, variant_id, quantity, expires_at)
         SELECT id, 1, 0, now() - interval '1 minute' FROM orders;
         INSERT INTO payments (id, order_id, user_id, attempt, provider, provider_key, method, status, status_rank, amount,
                               currency, next_check_at)
         SELECT gen_random_uuid(), id, user_id, 1, 'sandbox', concat('k-', id), 'pix', 'unknown', 1, 1, 'BRL',
                now() + interval '1 hour' FROM orders",
    )
    .await;
    let overdue = app.order_of(BIA, &[(1, 1)]).await;
    time_passes(&app).await;
    app.reaches(overdue.id, "expired").await;
}
