//! Cancelling an order whose payment still waits for its buyer: nothing is given up for a cancellation that is refused.

use proto::orders::v1::*;

use crate::app::{ANA, STAFF, TestApp, refusal};
use crate::buying::{units, whole};
use crate::payments::pix;

#[tokio::test]
async fn staff_cancel_what_waits_for_its_pix() {
    let app = TestApp::start().await;
    app.shelf(1, 1_500, 10).await;
    let order = app.order_of(ANA, &[(1, 1)]).await;
    app.pay(ANA, pix(order.id)).await.unwrap();
    let seen = app.seen(ANA, order.id).await;
    let change = |expected_version| ChangeOrderStatusRequest {
        order_id: order.id,
        expected_version,
        status: "cancelled".into(),
        reason: Some("asked by phone".into()),
    };
    // Whoever has not seen the order as it is does not cost its buyer the code.
    let stale = app.change_order_status(STAFF, change(seen.version + 5)).await;
    assert_eq!(refusal(stale).1, "version_mismatch");
    assert_eq!(app.attempt_of(order.id).await, "requires_action");

    let ask = async || {
        let request = app.keyed(STAFF, change(seen.version), "PATCH /api/v1/admin/orders/1", "k");
        app.desk.clone().change_order_status(request).await.unwrap()
    };
    let first = ask().await;
    let cancelled = first.get_ref().order.clone().unwrap();
    assert_eq!(cancelled.status, "cancelled");
    let last = cancelled.history.last().unwrap();
    assert_eq!((last.actor.as_str(), last.reason.as_deref()), ("staff", Some("asked by phone")));
    assert_eq!(app.attempt_of(order.id).await, "canceled");
    assert_eq!(app.stock(1).await, (10, 0));
    let again = ask().await;
    assert_eq!(again.get_ref().order, first.get_ref().order);
    assert_eq!(again.metadata().get("mc-idempotent-replayed").unwrap(), "true");
    app.check_books().await;
}

#[tokio::test]
async fn a_cancellation_that_is_refused_leaves_the_payment_alone() {
    let app = TestApp::start().await;
    app.shelf(1, 1_500, 10).await;
    let order = app.order_of(ANA, &[(1, 2)]).await;
    app.pay(ANA, pix(order.id)).await.unwrap();
    let seen = app.seen(ANA, order.id).await;
    let ask = async |message: CancelOrderRequest, key: &str| {
        let request = app.keyed(ANA, message, "POST /api/v1/orders/1/cancel", key);
        app.orders.clone().cancel_order(request).await
    };
    let some = CancelOrderRequest { lines: vec![units(1, 1)], ..whole(order.id) };
    assert_eq!(refusal(app.cancel_order(ANA, some.clone()).await).1, "illegal_transition");
    assert_eq!(refusal(ask(some, "k").await).1, "illegal_transition");
    // The key is another request's.
    assert_eq!(refusal(ask(whole(order.id), "k").await).1, "idempotency_key_reused");
    assert_eq!(app.attempt_of(order.id).await, "requires_action");
    assert_eq!(app.seen(ANA, order.id).await, seen);

    let cancelled = ask(whole(order.id), "other").await.unwrap().into_inner().order.unwrap();
    assert_eq!(cancelled.status, "cancelled");
    assert_eq!(app.attempt_of(order.id).await, "canceled");
    app.check_books().await;
}
