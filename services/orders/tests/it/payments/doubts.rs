//! Answers that are lost, providers that fail, processes that die: nobody is charged twice, and nothing is left open.

use std::time::{Duration, Instant};

use proto::orders::v1::checkout_service_client::CheckoutServiceClient;
use serde_json::json;
use tonic::Code;

use super::{card, faults, route};
use crate::app::{ANA, TestApp, Who, refusal};

#[tokio::test]
async fn an_answer_that_never_comes_is_asked_for_again() {
    let app = TestApp::start().await;
    app.shelf(1, 1_500, 10).await;
    let order = app.order_of(ANA, &[(1, 1)]).await;
    let asked = Instant::now();
    let answer = app.pay(ANA, card(order.id, "pm_sandbox_timeout_after_charge")).await.unwrap();
    assert!(asked.elapsed() < Duration::from_secs(4), "{:?}", asked.elapsed());
    assert_eq!(answer.payment.unwrap().status, "unknown");
    assert_eq!(answer.order.unwrap().status, "pending_payment");
    let second = refusal(app.pay(ANA, card(order.id, "pm_card_visa")).await);
    assert_eq!(second.1, "payment_in_flight", "no second attempt while one is unsettled");

    app.reaches(order.id, "paid").await;
    assert_eq!(app.ledger(order.id).await.captures, [order.total_amount]);
    app.check_books().await;
}

#[tokio::test]
async fn an_error_after_the_charge_is_looked_up() {
    let app = TestApp::start().await;
    app.shelf(1, 1_500, 10).await;
    let order = app.order_of(ANA, &[(1, 1)]).await;
    let answer = app.pay(ANA, card(order.id, "pm_sandbox_500_after_charge")).await.unwrap();
    assert_eq!(answer.payment.unwrap().status, "unknown");
    app.attempt_becomes(order.id, "succeeded").await;
    assert_eq!(app.ledger(order.id).await.captures, [order.total_amount]);
    app.check_books().await;
}

#[tokio::test]
async fn an_error_before_the_charge_proves_itself_in_time() {
    let app = TestApp::start().await;
    app.shelf(1, 1_500, 10).await;
    let order = app.order_of(ANA, &[(1, 1)]).await;
    app.provider_is(faults("before_effect", 1)).await;
    let answer = app.pay(ANA, card(order.id, "pm_card_visa")).await.unwrap();
    assert_eq!(answer.payment.unwrap().status, "unknown");
    app.provider_is(json!({})).await;
    app.attempt_becomes(order.id, "failed").await;
    assert_eq!(app.value("SELECT failure_code FROM payments").await, "provider_error");
    app.pay(ANA, card(order.id, "pm_card_visa")).await.unwrap();
    assert_eq!(app.ledger(order.id).await.captures, [order.total_amount]);
    app.check_books().await;
}

#[tokio::test]
async fn lost_answers_charge_nobody_twice() {
    let app = TestApp::start().await;
    app.shelf(1, 1_500, 100).await;
    app.provider_is(json!({
        "seed": 7,
        "faults": { "after_effect_before_answer": 0.4, "reset_connection": 0.1 },
        "lost_answer": "reset",
    }))
    .await;
    let mut orders = Vec::new();
    for user in 100..112 {
        let order = app.order_of(Who::User(user), &[(1, 1)]).await;
        match app.pay(Who::User(user), card(order.id, "pm_card_visa")).await {
            Ok(_) => orders.push(order),
            // The breaker: then nothing was written.
            Err(status) => assert_eq!(refusal::<()>(Err(status)).1, "payments_unavailable"),
        }
    }
    assert!(!orders.is_empty());
    app.provider_is(json!({})).await;
    for order in &orders {
        app.attempt_becomes(order.id, "succeeded").await;
        assert_eq!(app.ledger(order.id).await.captures, [order.total_amount]);
    }
    app.check_books().await;
}

#[tokio::test]
async fn a_provider_that_fails_is_left_alone() {
    let app = TestApp::start().await;
    app.shelf(1, 1_500, 100).await;
    let mut placed = Vec::new();
    for user in 100..107 {
        placed.push((Who::User(user), app.order_of(Who::User(user), &[(1, 1)]).await));
    }
    app.provider_is(faults("reset_connection", 1)).await;
    let mut doubtful = Vec::new();
    let mut refused = 0;
    for (who, order) in &placed {
        match app.pay(*who, card(order.id, "pm_card_visa")).await {
            Ok(answer) => {
                assert_eq!(answer.payment.unwrap().status, "unknown");
                doubtful.push(order);
            }
            Err(status) => {
                let (code, reason, _) = refusal::<()>(Err(status));
                assert_eq!((code, reason.as_str()), (Code::Unavailable, "payments_unavailable"));
                refused += 1;
                let written =
                    app.value(&format!("SELECT count(*) FROM payments WHERE order_id = {}", order.id)).await;
                assert_eq!(written, "0");
            }
        }
    }
    assert!(doubtful.len() <= 5, "five failures open the breaker");
    assert!(refused >= 2);

    // What was begun is settled although buyers are still turned away.
    app.provider_is(json!({})).await;
    for order in doubtful {
        app.attempt_becomes(order.id, "succeeded").await;
        assert_eq!(app.ledger(order.id).await.captures, [order.total_amount]);
    }
}

#[tokio::test]
async fn what_a_dead_process_began_another_one_ends() {
    let mut kept = None;
    let app = TestApp::start_with(|config| kept = Some(config.clone())).await;
    app.shelf(1, 1_500, 10).await;
    let order = app.order_of(ANA, &[(1, 1)]).await;
    app.provider_is(json!({ "latency": { "kind": "fixed", "ms": 900 } })).await;

    // A process of its own: when its runtime goes, all that it was doing goes.
    let victim = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let config = kept.unwrap();
    let (ready, addr) = tokio::sync::oneshot::channel();
    victim.spawn(async move {
        let app = orders::App::build(config).await.unwrap();
        ready.send(app.grpc_addr()).unwrap();
        app.run(bootstrap::Shutdown::manual()).await
    });
    let channel = bootstrap::grpc::channel(&format!("http://{}", addr.await.unwrap())).unwrap();
    let request = app.keyed(ANA, card(order.id, "pm_card_visa"), &route(order.id), "k-1");
    let asking = tokio::spawn(async move { CheckoutServiceClient::new(channel).pay(request).await });
    app.becomes("SELECT count(*) FROM payments", "1").await;
    victim.shutdown_background();
    assert!(asking.await.unwrap().is_err(), "the process died before it could answer");

    app.provider_is(json!({})).await;
    app.attempt_becomes(order.id, "succeeded").await;
    assert_eq!(app.ledger(order.id).await.captures, [order.total_amount]);

    // Whoever asks again with the same key is told what became of it, once the dead attempt's claim is over.
    app.sql("UPDATE idempotency_keys SET locked_until = now()").await;
    let request = app.keyed(ANA, card(order.id, "pm_card_visa"), &route(order.id), "k-1");
    let answer = app.checkouts.clone().pay(request).await.unwrap().into_inner();
    assert_eq!(answer.payment.unwrap().status, "succeeded");
    assert_eq!(answer.order.unwrap().status, "paid");
    assert_eq!(app.value("SELECT count(*) FROM payments").await, "1");
    app.check_books().await;
}

#[tokio::test]
async fn an_attempt_of_yesterday_is_left_to_people_until_the_provider_says_what_became_of_it() {
    let app = TestApp::start().await;
    app.shelf(1, 1_500, 10).await;
    let order = app.order_of(ANA, &[(1, 1)]).await;
    app.provider_is(faults("reset_connection", 1)).await;
    let answer = app.pay(ANA, card(order.id, "pm_card_visa")).await.unwrap();
    assert_eq!(answer.payment.unwrap().status, "unknown");
    app.sql("UPDATE payments SET created_at = now() - interval '23 hours 10 minutes', next_check_at = now()")
        .await;
    app.becomes("SELECT string_agg(kind, ' ') FROM payment_issues", "payment_unsettled").await;
    assert_eq!(app.attempt_of(order.id).await, "unknown");
    assert_eq!(refusal(app.pay(ANA, card(order.id, "pm_card_visa")).await).1, "payment_in_flight");

    // It is looked for, and never asked for again: its key may be forgotten.
    app.provider_is(json!({})).await;
    app.sql("UPDATE payments SET next_check_at = now()").await;
    app.attempt_becomes(order.id, "failed").await;
    assert_eq!(app.seen(ANA, order.id).await.status, "payment_failed");
    assert!(app.events_of(order.id).await.is_empty(), "the provider never heard of it");
}

#[tokio::test]
async fn what_a_search_does_not_find_yet_the_list_does() {
    let app = TestApp::start().await;
    app.shelf(1, 1_500, 10).await;
    app.provider_is(json!({ "search_lag_ms": 60_000 })).await;
    let order = app.order_of(ANA, &[(1, 1)]).await;
    let answer = app.pay(ANA, card(order.id, "pm_sandbox_500_after_charge")).await.unwrap();
    assert_eq!(answer.payment.unwrap().status, "unknown");
    app.attempt_becomes(order.id, "succeeded").await;
    assert_eq!(app.ledger(order.id).await.captures, [order.total_amount]);
    app.check_books().await;
}

#[tokio::test]
async fn who_was_answered_before_is_told_the_same_while_the_provider_is_away() {
    let app = TestApp::start().await;
    app.shelf(1, 1_500, 100).await;
    let order = app.order_of(ANA, &[(1, 1)]).await;
    let ask = async || {
        let request = app.keyed(ANA, card(order.id, "pm_card_visa"), &route(order.id), "k-1");
        app.checkouts.clone().pay(request).await
    };
    let first = ask().await.unwrap().into_inner();
    app.provider_is(faults("reset_connection", 1)).await;
    for user in 100..120 {
        let other = app.order_of(Who::User(user), &[(1, 1)]).await;
        let Err(refused) = app.pay(Who::User(user), card(other.id, "pm_card_visa")).await else { continue };
        assert_eq!(refusal::<()>(Err(refused)).1, "payments_unavailable");
        let again = ask().await.unwrap();
        assert_eq!(again.metadata().get("mc-idempotent-replayed").unwrap(), "true");
        assert_eq!(again.into_inner().payment, first.payment);
        return;
    }
    panic!("the breaker never opened");
}
