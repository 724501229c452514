//! The provider's books against ours.

use proto::orders::v1::RefundOrderRequest;

use super::pix;
use crate::app::{ANA, STAFF, TestApp};

#[tokio::test]
async fn every_difference_is_found() {
    let app =
        TestApp::start_with(|config| config.payments.compare_every = std::time::Duration::from_secs(1)).await;
    app.shelf(1, 1_500, 10).await;
    let good = app.paid(ANA, &[(1, 1)]).await;
    let missing = app.paid(ANA, &[(1, 1)]).await;
    let overlooked = app.order_of(ANA, &[(1, 1)]).await;
    app.pay(ANA, pix(overlooked.id)).await.unwrap();

    // Our books lost a capture, and an attempt was given up although its money came.
    let intent = app.intent_of(overlooked.id).await;
    app.sql(&format!(
        "DELETE FROM ledger WHERE order_id = {} AND kind = 'capture';
         UPDATE payments SET status = 'failed', status_rank = 9 WHERE order_id = {};
         UPDATE payments SET updated_at = now() - interval '10 minutes'",
        missing.id, overlooked.id
    ))
    .await;
    app.happens(&format!("pix/{intent}/pay")).await;

    app.reaches(overlooked.id, "paid").await;
    app.becomes("SELECT count(*) FROM payment_issues WHERE kind = 'reconciliation'", "2").await;
    let of = app
        .value("SELECT string_agg(DISTINCT order_id::text, ' ' ORDER BY order_id::text) FROM ledger")
        .await;
    assert_eq!(of, format!("{} {} {}", good.id, missing.id, overlooked.id));
    let named = app
        .value(&format!(
            "SELECT count(*) FROM payment_issues i JOIN payments p ON p.provider_ref = i.ref WHERE p.order_id = {}",
            good.id
        ))
        .await;
    assert_eq!(named, "0", "what agrees is not named");
}

#[tokio::test]
async fn a_refund_that_failed_unheard_of_is_found_whatever_the_age_of_its_order() {
    let app =
        TestApp::start_with(|config| config.payments.compare_every = std::time::Duration::from_secs(1)).await;
    app.shelf(1, 1_500, 10).await;
    let order = app.paid(ANA, &[(1, 1)]).await;
    let reason = "damaged".to_owned();
    let request = RefundOrderRequest { order_id: order.id, amount: Some(500), reason, lines: Vec::new() };
    app.refund_order(STAFF, request).await.unwrap();
    app.becomes("SELECT status FROM refunds", "succeeded").await;
    app.happens(&format!("refunds/{}/fail", app.value("SELECT provider_ref FROM refunds").await)).await;
    app.becomes("SELECT count(*) FROM payment_issues WHERE kind = 'refund_failed_late'", "1").await;
}
