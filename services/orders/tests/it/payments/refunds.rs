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
    assert_eq!(app.stock(1).await, (10, 0), "what nobody will send off is for sale again");
    assert_eq!(app.seen(ANA, order.id).await.items[0].cancelled, 2);
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

#[tokio::test]
async fn two_that_ask_for_a_refund_by_the_next_key_make_one() {
    let app = TestApp::start().await;
    app.shelf(1, 1_500, 10).await;
    let order = app.paid(ANA, &[(1, 1)]).await;
    app.provider_is(super::faults("before_effect", 1)).await;
    app.refunded(order.id, Some(500)).await.unwrap();
    app.becomes("SELECT max(checks) > 0 FROM refunds", "true").await;
    app.sql("UPDATE refunds SET checks = 1, next_check_at = now() + interval '1 hour'").await;
    assert_eq!(app.value("SELECT generation FROM refunds").await, "0");

    // Another process found the first key burned too, and is late with the next one.
    app.provider_is(json!({ "latency": { "kind": "fixed", "ms": 4_000 } })).await;
    let key = app.value("SELECT concat(provider_key, ':1') FROM refunds").await;
    let form = [
        ("payment_intent", app.intent_of(order.id).await),
        ("amount", "500".to_owned()),
        ("reason", "requested_by_customer".to_owned()),
        ("metadata[order_id]", order.id.to_string()),
        ("metadata[payment_id]", app.value("SELECT payment_id FROM refunds").await),
        ("metadata[refund_id]", app.value("SELECT id FROM refunds").await),
    ];
    let asked = reqwest::Client::new()
        .post(format!("{}/v1/refunds", app.sandbox))
        .bearer_auth(crate::app::PAYMENTS_SECRET)
        .header("idempotency-key", key)
        .form(&form);
    let late = tokio::spawn(asked.try_clone().unwrap().send());
    testkit::eventually(super::SETTLED_WITHIN, "the key is in use", async || {
        let again = asked.try_clone().unwrap().timeout(std::time::Duration::from_millis(300)).send().await;
        again.is_ok_and(|again| again.status() == 409).then_some(())
    })
    .await;
    app.provider_is(json!({})).await;
    app.sql("UPDATE refunds SET next_check_at = now()").await;
    app.becomes("SELECT generation FROM refunds", "1").await;
    assert!(late.await.unwrap().unwrap().status().is_success());
    app.becomes("SELECT status FROM refunds", "succeeded").await;
    assert_eq!(app.ledger(order.id).await.refunds, [500]);
    assert_eq!(app.issues().await, "");
}

#[tokio::test]
async fn a_refund_that_comes_back_days_later_is_left_to_people() {
    let app = TestApp::start().await;
    app.shelf(1, 1_500, 10).await;
    let order = app.paid(ANA, &[(1, 1)]).await;
    app.refunded(order.id, None).await.unwrap();
    app.reaches(order.id, "refunded").await;
    let refund = app.value("SELECT provider_ref FROM refunds").await;
    app.happens(&format!("refunds/{refund}/fail")).await;
    for event in app.events_of(order.id).await {
        app.told(&event).await.unwrap();
    }
    app.becomes("SELECT string_agg(kind, ' ') FROM payment_issues", "refund_failed_late").await;
    // Somebody dealt with it; should it be told again, it is news again.
    app.sql("UPDATE payment_issues SET resolved_at = now(); UPDATE payment_events SET processed_at = NULL")
        .await;
    app.becomes("SELECT count(*) FROM payment_issues", "2").await;
}

#[tokio::test]
async fn a_refund_that_the_provider_cannot_make_now_stays_promised() {
    let app = TestApp::start().await;
    app.shelf(1, 1_500, 10).await;
    let order = app.paid(ANA, &[(1, 1)]).await;
    app.provider_is(json!({ "refund_refusal": "balance_insufficient" })).await;
    app.refunded(order.id, Some(500)).await.unwrap();
    app.becomes("SELECT generation FROM refunds", "1").await;
    assert_eq!(app.issues().await, "refund_refused");
    let waits =
        app.value("SELECT concat(status, ' ', next_check_at > now() + interval '5 minutes') FROM refunds");
    assert_eq!(waits.await, "pending t");
    app.provider_is(json!({})).await;
    app.sql("UPDATE refunds SET next_check_at = now()").await;
    app.becomes("SELECT status FROM refunds", "succeeded").await;
    assert_eq!(app.ledger(order.id).await.refunds, [500]);
    app.check_books().await;
}

#[tokio::test]
async fn units_that_were_refunded_before_do_not_keep_an_order_from_being_cancelled() {
    let app = TestApp::start().await;
    app.shelf(1, 1_500, 10).await;
    let order = app.paid(ANA, &[(1, 3)]).await;
    let request = RefundOrderRequest {
        order_id: order.id,
        amount: Some(1_500),
        reason: "one was broken".to_owned(),
        lines: vec![units(1, 1)],
    };
    app.refund_order(STAFF, request).await.unwrap();
    app.becomes(&format!("SELECT refunded_amount FROM orders WHERE id = {}", order.id), "1500").await;
    app.cancel_order(ANA, crate::buying::whole(order.id)).await.unwrap();
    app.reaches(order.id, "refunded").await;
    assert_eq!(app.ledger(order.id).await.refunds, [1_500, order.total_amount - 1_500]);
    assert_eq!(app.seen(ANA, order.id).await.items[0].refunded, 3);
    assert_eq!(app.stock(1).await, (10, 0));
    app.check_books().await;
}

#[tokio::test]
async fn an_order_on_its_way_is_refunded_when_it_arrives() {
    let app = TestApp::start().await;
    app.shelf(1, 1_500, 10).await;
    let order = app.paid(ANA, &[(1, 1)]).await;
    for status in ["processing", "shipped"] {
        app.moved(order.id, status).await;
    }
    app.refunded(order.id, None).await.unwrap();
    let all = order.total_amount.to_string();
    app.becomes(&format!("SELECT refunded_amount FROM orders WHERE id = {}", order.id), &all).await;
    assert_eq!(app.seen(ANA, order.id).await.status, "shipped");
    app.moved(order.id, "delivered").await;
    assert_eq!(app.seen(ANA, order.id).await.status, "refunded");
    app.check_books().await;
}
