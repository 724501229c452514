//! Pix: paid by code within its time, too late, or never.

use proto::orders::v1::{CancelCheckoutRequest, PlaceOrderRequest, RefundOrderRequest};

use super::{Ledger, card, pix};
use crate::app::{ANA, BIA, STAFF, TestApp, refusal};

impl TestApp {
    /// All that the provider has to tell of an order is told.
    async fn all_told(&self, order_id: i64) {
        for event in self.events_of(order_id).await {
            self.told(&event).await.unwrap();
        }
    }

    /// The order's time is over, and so is its Pix.
    async fn runs_out(&self, order_id: i64) {
        self.happens(&format!("pix/{}/expire", self.intent_of(order_id).await)).await;
        self.all_told(order_id).await;
        self.reaches(order_id, "payment_failed").await;
        self.sql("UPDATE reservations SET expires_at = now() - interval '1 second'").await;
        self.reaches(order_id, "expired").await;
    }
}

#[tokio::test]
async fn a_code_is_shown_and_paid() {
    let app = TestApp::start().await;
    app.shelf(1, 1_500, 10).await;
    let order = app.order_of(ANA, &[(1, 2)]).await;
    let payment = app.pay(ANA, pix(order.id)).await.unwrap().payment.unwrap();
    assert_eq!(payment.status, "requires_action");
    let action = payment.next_action.unwrap();
    assert_eq!(action.r#type, "pix");
    assert!(action.pix_copy_paste.starts_with("000201"), "{}", action.pix_copy_paste);
    let kept = app.value("SELECT min(expires_at) > now() + interval '29 minutes' FROM reservations").await;
    assert_eq!(kept, "true", "the goods are kept as long as the code can be paid");

    app.happens(&format!("pix/{}/pay", app.intent_of(order.id).await)).await;
    app.all_told(order.id).await;
    app.reaches(order.id, "paid").await;
    let total = order.total_amount;
    assert_eq!(app.ledger(order.id).await.captures, [total]);
    assert_eq!(app.booked(order.id).await, format!("capture {total}"));
    assert_eq!(app.stock(1).await, (8, 0));
    app.check_books().await;
}

#[tokio::test]
async fn a_code_that_nobody_pays_gives_the_order_back() {
    let app = TestApp::start().await;
    app.shelf(1, 1_500, 10).await;
    let order = app.order_of(ANA, &[(1, 1)]).await;
    app.pay(ANA, pix(order.id)).await.unwrap();
    app.happens(&format!("pix/{}/expire", app.intent_of(order.id).await)).await;
    app.all_told(order.id).await;
    app.reaches(order.id, "payment_failed").await;
    app.pay(ANA, card(order.id, "pm_card_visa")).await.unwrap();
    assert_eq!(app.ledger(order.id).await.captures, [order.total_amount]);
    app.check_books().await;
}

#[tokio::test]
async fn money_that_comes_late_buys_what_is_still_there() {
    let app = TestApp::start().await;
    app.shelf(1, 1_500, 10).await;
    let order = app.order_of(ANA, &[(1, 1)]).await;
    app.pay(ANA, pix(order.id)).await.unwrap();
    app.runs_out(order.id).await;
    assert_eq!(app.stock(1).await, (10, 0));

    app.happens(&format!("pix/{}/pay", app.intent_of(order.id).await)).await;
    app.all_told(order.id).await;
    app.reaches(order.id, "paid").await;
    assert_eq!(app.stock(1).await, (9, 0));
    let total = order.total_amount;
    assert_eq!(app.ledger(order.id).await, Ledger { captures: vec![total], refunds: vec![] });
    app.check_books().await;
}

#[tokio::test]
async fn money_that_comes_too_late_goes_back() {
    let app = TestApp::start().await;
    app.shelf(1, 1_500, 1).await;
    let order = app.order_of(ANA, &[(1, 1)]).await;
    app.pay(ANA, pix(order.id)).await.unwrap();
    app.runs_out(order.id).await;
    app.sql("UPDATE stock_levels SET on_hand = 0").await;

    app.happens(&format!("pix/{}/pay", app.intent_of(order.id).await)).await;
    app.all_told(order.id).await;
    app.reaches(order.id, "refunded").await;
    let total = order.total_amount;
    assert_eq!(app.ledger(order.id).await, Ledger { captures: vec![total], refunds: vec![total] });
    assert_eq!(app.booked(order.id).await, format!("capture {total}, refund {total}"));
    assert_eq!(app.value("SELECT provider_key FROM refunds").await, format!("mc:{}:1:refund:auto", order.id));
    app.check_books().await;
}

#[tokio::test]
async fn money_for_an_order_that_another_card_paid_goes_back() {
    let app = TestApp::start().await;
    app.shelf(1, 1_500, 10).await;
    let order = app.order_of(ANA, &[(1, 1)]).await;
    app.pay(ANA, pix(order.id)).await.unwrap();
    let code = app.intent_of(order.id).await;
    app.happens(&format!("pix/{code}/expire")).await;
    app.all_told(order.id).await;
    app.reaches(order.id, "payment_failed").await;
    app.pay(ANA, card(order.id, "pm_card_visa")).await.unwrap();

    app.happens(&format!("pix/{code}/pay")).await;
    app.all_told(order.id).await;
    app.becomes("SELECT status FROM refunds", "succeeded").await;
    let total = order.total_amount;
    assert_eq!(app.ledger(order.id).await, Ledger { captures: vec![total, total], refunds: vec![total] });
    let seen = app.seen(ANA, order.id).await;
    assert_eq!((seen.status.as_str(), seen.refunded_amount), ("paid", 0), "the order keeps what it cost");
    assert_eq!(app.issues().await, "paid_twice");
    app.check_books().await;
}

#[tokio::test]
async fn a_checkout_that_is_left_cannot_be_paid_any_more() {
    let app = TestApp::start().await;
    app.shelf(1, 1_500, 10).await;
    let order = app.order_of(ANA, &[(1, 1)]).await;
    app.pay(ANA, pix(order.id)).await.unwrap();
    app.cancel_checkout(ANA, CancelCheckoutRequest { order_id: order.id }).await.unwrap();
    assert_eq!(app.attempt_of(order.id).await, "canceled");
    assert_eq!(app.seen(ANA, order.id).await.status, "cancelled");
    assert_eq!(app.stock(1).await, (10, 0));
    assert_eq!(refusal(app.pay(ANA, pix(order.id)).await).1, "illegal_transition");
    app.check_books().await;
}

#[tokio::test]
async fn money_paid_twice_that_does_not_go_back_by_itself_can_be_given_back() {
    let app = TestApp::start().await;
    app.shelf(1, 1_500, 10).await;
    let order = app.order_of(ANA, &[(1, 1)]).await;
    app.pay(ANA, pix(order.id)).await.unwrap();
    let code = app.intent_of(order.id).await;
    app.happens(&format!("pix/{code}/expire")).await;
    app.all_told(order.id).await;
    app.reaches(order.id, "payment_failed").await;
    app.pay(ANA, card(order.id, "pm_card_visa")).await.unwrap();
    app.provider_is(serde_json::json!({ "refund_refusal": "charge_disputed" })).await;
    app.happens(&format!("pix/{code}/pay")).await;
    app.all_told(order.id).await;
    app.becomes("SELECT status FROM refunds", "failed").await;
    assert_eq!(app.issues().await, "paid_twice refund_refused");

    app.provider_is(serde_json::json!({})).await;
    let request = RefundOrderRequest {
        order_id: order.id,
        amount: None,
        reason: "paid twice".to_owned(),
        lines: Vec::new(),
    };
    app.refund_order(STAFF, request).await.unwrap();
    app.becomes("SELECT count(*) FROM refunds WHERE status = 'succeeded'", "1").await;
    assert_eq!(app.ledger(order.id).await.refunds, [order.total_amount]);
    let seen = app.seen(ANA, order.id).await;
    assert_eq!((seen.status.as_str(), seen.refunded_amount), ("paid", 0), "the order keeps what it cost");
    app.check_books().await;
}

#[tokio::test]
async fn money_that_comes_late_buys_at_its_price_only_with_its_coupon() {
    let app = TestApp::start().await;
    app.shelf(1, 1_500, 10).await;
    app.sql("INSERT INTO coupons (code, kind, value, usage_limit) VALUES ('UM', 'fixed', 100, 1)").await;
    let mut late = Vec::new();
    for who in [ANA, BIA] {
        app.put(who, 1, 1).await;
        let wish = PlaceOrderRequest { coupon_code: Some("UM".into()), ..app.wish(who).await };
        let order = app.place_order(who, wish).await.unwrap().order.unwrap();
        app.pay(who, pix(order.id)).await.unwrap();
        app.runs_out(order.id).await;
        assert_eq!(app.value("SELECT used FROM coupons").await, "0");
        late.push(order.id);
    }
    for order in &late {
        app.happens(&format!("pix/{}/pay", app.intent_of(*order).await)).await;
        app.all_told(*order).await;
        let status = if *order == late[0] { "paid" } else { "refunded" };
        app.reaches(*order, status).await;
    }
    assert_eq!(app.value("SELECT used FROM coupons").await, "1");
    assert_eq!(app.stock(1).await, (9, 0));
    app.check_books().await;
}
