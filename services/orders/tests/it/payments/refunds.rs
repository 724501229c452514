//! Money that goes back: never more than came, once for each promise.

use proto::orders::v1::*;
use serde_json::json;
use tonic::{Code, Status};

use super::Ledger;
use crate::app::{ANA, STAFF, TestApp, refusal};
use crate::buying::units;

impl TestApp {
    async fn refunded(&self, order_id: i64, amount: Option<i64>) -> Result<RefundOrderResponse, Status> {
        let reason = "damaged".to_owned();
        self.refund_order(STAFF, RefundOrderRequest { order_id, amount, reason, lines: Vec::new() }).await
    }
}

#[tokio::test]
async fn all_of_it_goes_back_once() {
    let app = TestApp::start().await;
    app.shelf(1, 1_500, 10).await;
    let order = app.paid(ANA, &[(1, 2)]).await;
    let refund = app.refunded(order.id, None).await.unwrap().refund.unwrap();
    assert_eq!((refund.amount, refund.status.as_str()), (order.total_amount, "pending"));
    app.reaches(order.id, "refunded").await;
    let total = order.total_amount;
    assert_eq!(app.ledger(order.id).await, Ledger { captures: vec![total], refunds: vec![total] });
    assert_eq!(app.booked(order.id).await, format!("authorize {total}, capture {total}, refund {total}"));
    let again = refusal(app.refunded(order.id, None).await);
    assert_eq!((again.0, again.1.as_str()), (Code::Aborted, "illegal_transition"));
    let said =
        app.value("SELECT concat(action, ' ', actor_id) FROM audit_chain ORDER BY id DESC LIMIT 1").await;
    assert_eq!(said, "order.refunded 7");
    app.check_books().await;
}

#[tokio::test]
async fn a_part_leaves_the_order_as_it_is_until_it_is_delivered() {
    let app = TestApp::start().await;
    app.shelf(1, 1_500, 10).await;
    let order = app.paid(ANA, &[(1, 3)]).await;
    let request = RefundOrderRequest {
        order_id: order.id,
        amount: Some(1_500),
        reason: "one was broken".to_owned(),
        lines: vec![units(1, 1)],
    };
    app.refund_order(STAFF, request.clone()).await.unwrap();
    app.becomes(&format!("SELECT refunded_amount FROM orders WHERE id = {}", order.id), "1500").await;
    let seen = app.seen(ANA, order.id).await;
    assert_eq!((seen.status.as_str(), seen.items[0].refunded), ("paid", 1));

    for status in ["processing", "shipped", "delivered"] {
        app.moved(order.id, status).await;
    }
    app.refund_order(STAFF, request).await.unwrap();
    app.reaches(order.id, "partially_refunded").await;
    app.refunded(order.id, None).await.unwrap();
    app.reaches(order.id, "refunded").await;
    assert_eq!(app.ledger(order.id).await.refunds, [1_500, 1_500, order.total_amount - 3_000]);
    app.check_books().await;
}

#[tokio::test]
async fn a_hundred_at_once_give_back_what_came_and_no_more() {
    let app = TestApp::start_with_many_writers().await;
    app.shelf(1, 1_500, 10).await;
    let order = app.paid(ANA, &[(1, 2)]).await;
    let all = (0..100).map(|_| app.refunded(order.id, Some(order.total_amount)));
    let answers = futures_util::future::join_all(all).await;
    let taken = answers.iter().filter(|answer| answer.is_ok()).count();
    assert_eq!(taken, 1);
    for answer in answers.into_iter().filter(Result::is_err) {
        let (code, reason, _) = refusal(answer);
        let expected = (code, reason.as_str());
        let known = [(Code::Aborted, "illegal_transition"), (Code::Unavailable, "database_busy")];
        assert!(known.contains(&expected), "{expected:?}");
    }
    app.reaches(order.id, "refunded").await;
    assert_eq!(app.ledger(order.id).await.refunds, [order.total_amount]);
    app.check_books().await;
}

#[tokio::test]
async fn what_was_not_paid_is_not_given_back() {
    let app = TestApp::start().await;
    app.shelf(1, 1_500, 10).await;
    let order = app.paid(ANA, &[(1, 1)]).await;
    let over = refusal(app.refunded(order.id, Some(order.total_amount + 1)).await);
    assert_eq!((over.0, over.2.as_str()), (Code::InvalidArgument, "amount"));
    assert_eq!(refusal(app.refunded(order.id, Some(0)).await).2, "amount");
    let foreign = RefundOrderRequest {
        order_id: order.id,
        amount: Some(1),
        reason: "x".to_owned(),
        lines: vec![units(9, 1)],
    };
    assert_eq!(refusal(app.refund_order(STAFF, foreign.clone()).await).2, "lines");
    let many = RefundOrderRequest { lines: vec![units(1, 2)], ..foreign.clone() };
    assert_eq!(refusal(app.refund_order(STAFF, many).await).2, "lines");
    let silent = RefundOrderRequest { reason: String::new(), lines: Vec::new(), ..foreign.clone() };
    assert_eq!(refusal(app.refund_order(STAFF, silent).await).2, "reason");
    assert_eq!(refusal(app.refund_order(ANA, foreign).await).0, Code::PermissionDenied);
    let unpaid = app.order_of(ANA, &[(1, 1)]).await;
    assert_eq!(refusal(app.refunded(unpaid.id, None).await).1, "illegal_transition");
    assert_eq!(app.value("SELECT count(*) FROM refunds").await, "0");
    app.check_books().await;
}

#[tokio::test]
async fn a_refund_whose_answer_is_lost_is_made_once() {
    let app = TestApp::start().await;
    app.shelf(1, 1_500, 10).await;
    let order = app.paid(ANA, &[(1, 1)]).await;
    app.provider_is(json!({ "faults": { "after_effect_before_answer": 1.0 }, "lost_answer": "error" })).await;
    app.refunded(order.id, Some(500)).await.unwrap();
    app.becomes("SELECT max(checks) > 0 FROM refunds", "true").await;
    app.provider_is(json!({})).await;
    app.becomes("SELECT status FROM refunds", "succeeded").await;
    assert_eq!(app.ledger(order.id).await.refunds, [500]);
    app.check_books().await;
}

#[tokio::test]
async fn a_refund_that_fails_before_anything_is_asked_for_again() {
    let app = TestApp::start().await;
    app.shelf(1, 1_500, 10).await;
    let order = app.paid(ANA, &[(1, 1)]).await;
    app.provider_is(super::faults("before_effect", 1)).await;
    app.refunded(order.id, Some(500)).await.unwrap();
    app.becomes("SELECT max(checks) > 0 FROM refunds", "true").await;
    app.provider_is(json!({})).await;
    app.becomes("SELECT status FROM refunds", "succeeded").await;
    assert_eq!(app.ledger(order.id).await.refunds, [500]);
    app.check_books().await;
}

#[tokio::test]
async fn a_refund_may_take_its_time() {
    let app = TestApp::start().await;
    app.shelf(1, 1_500, 10).await;
    let order = app.paid(ANA, &[(1, 1)]).await;
    app.provider_is(json!({ "refund_pending_ms": 3_000 })).await;
    app.refunded(order.id, None).await.unwrap();
    app.becomes("SELECT count(provider_ref) FROM refunds WHERE status = 'pending'", "1").await;
    assert_eq!(app.seen(ANA, order.id).await.status, "paid");
    app.reaches(order.id, "refunded").await;
    assert_eq!(app.ledger(order.id).await.refunds, [order.total_amount]);
}

#[tokio::test]
async fn a_cancelled_order_gets_its_money_back() {
    let app = TestApp::start().await;
    app.shelf(1, 1_500, 10).await;
    let order = app.paid(ANA, &[(1, 3)]).await;
    let some = CancelOrderRequest { order_id: order.id, reason: None, lines: vec![units(1, 1)] };
    app.cancel_order(ANA, some).await.unwrap();
    app.becomes(&format!("SELECT refunded_amount FROM orders WHERE id = {}", order.id), "1500").await;
    app.cancel_order(ANA, crate::buying::whole(order.id)).await.unwrap();
    app.reaches(order.id, "refunded").await;
    assert_eq!(app.ledger(order.id).await.refunds, [1_500, order.total_amount - 1_500]);
    assert_eq!(app.stock(1).await, (10, 0));
    app.check_books().await;
}
