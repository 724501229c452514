//! What the provider tells: believed when signed, applied once, in whatever order.

use serde_json::json;
use tonic::Code;

use super::{card, now, pix, sign};
use crate::app::{ANA, TestApp, WEBHOOK_SECRET, refusal};

#[tokio::test]
async fn events_thrice_and_shuffled_have_one_effect() {
    let app = TestApp::start().await;
    app.shelf(1, 1_500, 10).await;
    let order = app.order_of(ANA, &[(1, 1)]).await;
    app.pay(ANA, card(order.id, "pm_card_authenticationRequired")).await.unwrap();
    app.happens(&format!("3ds/{}/approve", app.intent_of(order.id).await)).await;
    let mut events = app.events_of(order.id).await;
    assert!(events.len() >= 2, "{events:?}");
    events.reverse();
    for _ in 0..3 {
        for event in &events {
            app.told(event).await.unwrap();
        }
    }
    app.reaches(order.id, "paid").await;
    // Now those of the capture too, and the old ones once more.
    let mut all = app.events_of(order.id).await;
    fastrand::Rng::with_seed(3).shuffle(&mut all);
    for event in all.iter().chain(&all) {
        app.told(event).await.unwrap();
    }
    app.becomes("SELECT count(*) FROM payment_events WHERE processed_at IS NULL", "0").await;
    assert_eq!(app.value("SELECT count(*) FROM payment_events").await, all.len().to_string());
    assert_eq!(app.ledger(order.id).await.captures, [order.total_amount]);
    assert_eq!(app.seen(ANA, order.id).await.status, "paid");
    assert_eq!(app.issues().await, "");
    app.check_books().await;
}

#[tokio::test]
async fn what_the_provider_did_not_sign_lately_is_not_believed() {
    let app = TestApp::start_with(|config| {
        config.payments.webhook_secrets = vec!["whsec_new".to_owned(), WEBHOOK_SECRET.to_owned()];
    })
    .await;
    let event = json!({ "id": "evt_1", "type": "payout.paid", "data": { "object": { "object": "payout" } } });
    let body = event.to_string().into_bytes();
    let refused = [
        String::new(),
        "nonsense".to_owned(),
        sign("whsec_guess", now(), &body),
        sign(WEBHOOK_SECRET, now() - 301, &body),
        sign(WEBHOOK_SECRET, now() + 310, &body),
        sign(WEBHOOK_SECRET, now(), b"{}"),
    ];
    for signature in refused {
        let answer = refusal(app.told_with(body.clone(), signature.clone()).await);
        assert_eq!(
            (answer.0, answer.1.as_str()),
            (Code::InvalidArgument, "invalid_signature"),
            "{signature}"
        );
    }
    let garbage = b"not json".to_vec();
    let signature = sign(WEBHOOK_SECRET, now(), &garbage);
    assert_eq!(refusal(app.told_with(garbage, signature).await).0, Code::InvalidArgument);
    let request = proto::orders::v1::ReceivePaymentEventRequest {
        provider: "paypal".to_owned(),
        signature: sign(WEBHOOK_SECRET, now(), &body),
        body: body.clone(),
    };
    assert!(app.receive_payment_event(crate::app::Who::Nobody, request).await.is_err());
    assert_eq!(app.value("SELECT count(*) FROM payment_events").await, "0");

    // During a rotation both secrets are known.
    for secret in ["whsec_new", WEBHOOK_SECRET] {
        app.told_with(body.clone(), sign(secret, now(), &body)).await.unwrap();
    }
    app.becomes("SELECT string_agg(outcome, ' ') FROM payment_events", "ignored").await;
}

#[tokio::test]
async fn an_event_that_contradicts_what_was_asked_for_is_not_followed() {
    let app = TestApp::start().await;
    app.shelf(1, 1_500, 10).await;
    let order = app.order_of(ANA, &[(1, 1)]).await;
    app.pay(ANA, pix(order.id)).await.unwrap();
    let true_event = app.events_of(order.id).await.pop().unwrap();
    type Lie = fn(&mut serde_json::Value);
    let lies: [Lie; 3] = [
        |object| object["amount"] = json!(1),
        |object| object["currency"] = json!("usd"),
        |object| object["metadata"]["order_id"] = json!("999"),
    ];
    for (index, lie) in lies.into_iter().enumerate() {
        let mut event = true_event.clone();
        event["id"] = json!(format!("evt_lie_{index}"));
        event["type"] = json!("payment_intent.succeeded");
        event["data"]["object"]["status"] = json!("succeeded");
        lie(&mut event["data"]["object"]);
        app.told(&event).await.unwrap();
    }
    app.becomes("SELECT count(*) FROM payment_events WHERE outcome = 'mismatch'", "3").await;
    assert_eq!(app.issues().await, "event_mismatch");
    assert_eq!(app.seen(ANA, order.id).await.status, "pending_payment");
    assert_eq!(app.attempt_of(order.id).await, "requires_action");
}

#[tokio::test]
async fn a_signed_lie_about_money_pays_nothing() {
    let app = TestApp::start().await;
    app.shelf(1, 1_500, 10).await;
    let order = app.order_of(ANA, &[(1, 1)]).await;
    app.pay(ANA, pix(order.id)).await.unwrap();
    let mut event = app.events_of(order.id).await.pop().unwrap();
    event["id"] = json!("evt_too_early");
    event["type"] = json!("payment_intent.succeeded");
    event["data"]["object"]["status"] = json!("succeeded");
    event["data"]["object"]["amount_received"] = json!(order.total_amount);
    app.told(&event).await.unwrap();
    app.becomes("SELECT outcome FROM payment_events", "applied").await;
    assert_eq!(app.seen(ANA, order.id).await.status, "pending_payment", "the intent itself was asked");
}

#[tokio::test]
async fn an_intent_that_nobody_made_is_kept_for_people() {
    let app = TestApp::start().await;
    let event = json!({
        "id": "evt_1",
        "type": "payment_intent.succeeded",
        "data": { "object": { "object": "payment_intent", "id": "pi_foreign", "amount": 100, "currency": "brl",
                              "metadata": { "order_id": "1", "payment_id": uuid::Uuid::nil().to_string() } } },
    });
    app.told(&event).await.unwrap();
    app.becomes("SELECT outcome FROM payment_events", "unknown_intent").await;
    assert_eq!(app.issues().await, "unknown_intent");
}

#[tokio::test]
async fn an_event_is_tried_four_times_and_then_left_to_people() {
    let app = TestApp::start().await;
    app.shelf(1, 1_500, 10).await;
    let order = app.order_of(ANA, &[(1, 1)]).await;
    app.pay(ANA, pix(order.id)).await.unwrap();
    // The provider does not know the intent that it tells of.
    app.sql("UPDATE payments SET provider_ref = 'pi_gone', next_check_at = now() + interval '1 hour'").await;
    let mut event = app.events_of(order.id).await.pop().unwrap();
    event["data"]["object"]["id"] = json!("pi_gone");
    app.told(&event).await.unwrap();
    for failures in 1..=3 {
        app.becomes("SELECT failures FROM payment_events WHERE processed_at IS NULL", &failures.to_string())
            .await;
        let wait = app.value("SELECT next_try_at > now() + interval '30 seconds' FROM payment_events").await;
        assert_eq!(wait, "true");
        app.sql("UPDATE payment_events SET next_try_at = now()").await;
    }
    app.becomes("SELECT outcome FROM payment_events", "given_up").await;
    assert_eq!(app.issues().await, "event_unworkable");
}

#[tokio::test]
async fn an_event_waits_for_a_provider_that_is_away() {
    let app = TestApp::start().await;
    app.shelf(1, 1_500, 10).await;
    let order = app.order_of(ANA, &[(1, 1)]).await;
    app.pay(ANA, pix(order.id)).await.unwrap();
    let event = app.events_of(order.id).await.pop().unwrap();
    app.provider_is(super::faults("reset_connection", 1)).await;
    app.told(&event).await.unwrap();
    for _ in 0..5 {
        app.becomes("SELECT next_try_at > now() + interval '30 seconds' FROM payment_events", "true").await;
        app.sql("UPDATE payment_events SET next_try_at = now()").await;
    }
    let counted = app.value("SELECT concat(failures, ' ', processed_at) FROM payment_events").await;
    assert_eq!(counted, "0 ");
    app.provider_is(json!({})).await;
    app.becomes("SELECT count(*) FROM payment_events WHERE next_try_at > now()", "1").await;
    app.sql("UPDATE payment_events SET next_try_at = now()").await;
    app.becomes("SELECT outcome FROM payment_events", "applied").await;
    assert_eq!(app.issues().await, "");
}

#[tokio::test]
async fn an_authorisation_of_an_attempt_that_is_over_is_given_up_however_long_it_takes() {
    let app = TestApp::start().await;
    app.shelf(1, 1_500, 10).await;
    let order = app.order_of(ANA, &[(1, 1)]).await;
    app.pay(ANA, card(order.id, "pm_card_authenticationRequired")).await.unwrap();
    let intent = app.intent_of(order.id).await;
    app.sql("UPDATE payments SET status = 'failed', status_rank = 9").await;
    app.happens(&format!("3ds/{intent}/approve")).await;
    let is_of = |event: &serde_json::Value, kind: &str| event["type"] == kind;
    let events = app.events_of(order.id).await;
    let event = events.iter().find(|event| is_of(event, "payment_intent.amount_capturable_updated")).unwrap();
    // Nothing can be changed at the provider, and the key remembers that.
    app.provider_is(super::faults("before_effect", 1)).await;
    app.told(event).await.unwrap();
    app.becomes("SELECT next_try_at > now() + interval '30 seconds' FROM payment_events", "true").await;
    assert_eq!(app.value("SELECT processed_at FROM payment_events").await, "");
    app.provider_is(json!({})).await;
    app.sql("UPDATE payment_events SET next_try_at = now()").await;
    app.becomes("SELECT outcome FROM payment_events", "applied").await;
    let events = app.events_of(order.id).await;
    assert!(events.iter().any(|event| is_of(event, "payment_intent.canceled")), "{events:?}");
}
