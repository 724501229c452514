//! Cards: authorised, goods taken, captured; once.

use proto::orders::v1::*;
use tonic::Code;

use super::{Ledger, card, declined, route};
use crate::app::{ANA, BIA, GUEST, TestApp, Who, refusal};

#[tokio::test]
async fn a_card_is_charged_once_when_the_goods_are_taken() {
    let app = TestApp::start().await;
    app.shelf(1, 1_500, 10).await;
    let order = app.order_of(ANA, &[(1, 3)]).await;

    let answer = app.pay(ANA, card(order.id, "pm_card_visa")).await.unwrap();
    let (payment, paid) = (answer.payment.unwrap(), answer.order.unwrap());
    assert_eq!((payment.status.as_str(), payment.captured_amount), ("succeeded", order.total_amount));
    assert_eq!((paid.id, paid.status.as_str()), (order.id, "paid"));
    assert!(!answer.receipts.is_empty(), "whoever asked can purge what became stale");

    let total = order.total_amount;
    assert_eq!(app.ledger(order.id).await, Ledger { captures: vec![total], refunds: vec![] });
    assert_eq!(app.booked(order.id).await, format!("authorize {total}, capture {total}"));
    assert_eq!(app.stock(1).await, (7, 0));
    let told = app
        .value(&format!(
            "SELECT string_agg(split_part(subject, '.', 4), ' ' ORDER BY aggregate_version) FROM outbox
              WHERE aggregate = 'payment' AND aggregate_id = '{}'",
            payment.id
        ))
        .await;
    assert_eq!(told, "created authorized captured");
    let kept = app.value("SELECT count(*) FROM payments WHERE request IS NOT NULL").await;
    assert_eq!(kept, "0", "the token is forgotten");
    app.check_books().await;

    let again = refusal(app.pay(ANA, card(order.id, "pm_card_visa")).await);
    assert_eq!(again, (Code::Aborted, "illegal_transition".to_owned(), String::new()));

    let request = GetPaymentRequest { payment_id: payment.id.clone() };
    let seen = app.get_payment(ANA, request.clone()).await.unwrap().payment.unwrap();
    assert_eq!((seen.status.as_str(), seen.attempt), ("succeeded", 1));
    for stranger in [BIA, GUEST, Who::Nobody] {
        assert!(app.get_payment(stranger, request.clone()).await.is_err(), "{stranger:?}");
    }
}

#[tokio::test]
async fn a_guest_pays_with_the_token_of_the_cart() {
    let app = TestApp::start().await;
    app.shelf(1, 1_500, 10).await;
    let order = app.order_of(GUEST, &[(1, 1)]).await;
    let answer = app.pay(GUEST, card(order.id, "pm_card_visa")).await.unwrap();
    assert_eq!(answer.order.unwrap().status, "paid");
    let id = answer.payment.unwrap().id;
    let seen = app.get_payment(GUEST, GetPaymentRequest { payment_id: id }).await.unwrap();
    assert_eq!(seen.payment.unwrap().status, "succeeded");
}

#[tokio::test]
async fn a_declined_card_leaves_the_order_to_another_one() {
    let app = TestApp::start().await;
    app.shelf(1, 1_500, 10).await;
    let order = app.order_of(ANA, &[(1, 1)]).await;
    for (attempt, (token, code, retryable)) in [
        ("pm_card_chargeDeclined", "generic_decline", "true"),
        ("pm_card_chargeDeclinedInsufficientFunds", "insufficient_funds", "true"),
        ("pm_card_chargeDeclinedStolenCard", "generic_decline", "false"),
        ("pm_card_chargeDeclinedExpiredCard", "expired_card", "true"),
    ]
    .into_iter()
    .enumerate()
    {
        let answer = app.pay(ANA, card(order.id, token)).await;
        let refused = answer.clone().unwrap_err();
        let stale =
            refused.metadata().get_bin("mc-receipts-bin").expect("what is stale is said").to_bytes().unwrap();
        let stale = <PayResponse as prost::Message>::decode(stale).unwrap().receipts;
        let tag = format!("order:{}", order.id);
        assert!(
            stale.iter().any(|receipt| receipt.commit_lsn > 0 && receipt.tags.contains(&tag)),
            "{stale:?}"
        );
        assert_eq!(declined(answer), (code.to_owned(), retryable.to_owned()), "{token}");
        let state = app
            .value(&format!(
                "SELECT concat(o.status, ' ', p.status, ' ', p.attempt) FROM orders o JOIN payments p ON p.order_id = o.id
                  WHERE o.id = {} ORDER BY p.attempt DESC LIMIT 1",
                order.id
            ))
            .await;
        assert_eq!(state, format!("payment_failed failed {}", attempt + 1));
    }
    assert_eq!(app.stock(1).await, (10, 1), "the goods are still kept");

    app.pay(ANA, card(order.id, "pm_card_visa")).await.unwrap();
    assert_eq!(app.ledger(order.id).await.captures, [order.total_amount]);
    assert_eq!(app.seen(ANA, order.id).await.status, "paid");
    app.check_books().await;
}

#[tokio::test]
async fn a_repeat_is_told_the_same() {
    let app = TestApp::start().await;
    app.shelf(1, 1_500, 10).await;
    let order = app.order_of(ANA, &[(1, 1)]).await;
    let ask = async |token: &str, key: &str| {
        let request = app.keyed(ANA, card(order.id, token), &route(order.id), key);
        app.checkouts.clone().pay(request).await
    };
    let no = ask("pm_card_chargeDeclined", "k-1").await.unwrap_err();
    let same = ask("pm_card_chargeDeclined", "k-1").await.unwrap_err();
    assert_eq!((no.code(), no.message()), (same.code(), same.message()));
    assert_eq!(same.metadata().get("mc-idempotent-replayed").unwrap(), "true");
    assert_eq!(app.value("SELECT count(*) FROM payments").await, "1");

    let reused = refusal(ask("pm_card_visa", "k-1").await.map(|_| ()));
    assert_eq!(reused.1, "idempotency_key_reused");

    let first = ask("pm_card_visa", "k-2").await.unwrap();
    let second = ask("pm_card_visa", "k-2").await.unwrap();
    assert_eq!(second.metadata().get("mc-idempotent-replayed").unwrap(), "true");
    let (first, second) = (first.into_inner(), second.into_inner());
    assert_eq!((first.payment, first.order), (second.payment, second.order));
    let ids = |reply: Vec<proto::events::v1::PurgeReceipt>| {
        let mut ids: Vec<String> = reply.into_iter().map(|receipt| receipt.event_id).collect();
        ids.sort();
        ids
    };
    assert_eq!(ids(first.receipts), ids(second.receipts), "a repeat purges the same");
    assert_eq!(app.ledger(order.id).await.captures, [order.total_amount]);
    app.check_books().await;
}

#[tokio::test]
async fn two_tabs_pay_once() {
    let app = TestApp::start_with_many_writers().await;
    app.shelf(1, 1_500, 10).await;
    let order = app.order_of(ANA, &[(1, 1)]).await;
    let tabs = (0..8).map(|_| app.pay(ANA, card(order.id, "pm_sandbox_slow_700")));
    let answers = futures_util::future::join_all(tabs).await;
    let paid = answers.iter().filter(|answer| answer.is_ok()).count();
    assert_eq!(paid, 1, "{answers:?}");
    for answer in answers.into_iter().filter(Result::is_err) {
        let (code, reason, _) = refusal(answer);
        assert_eq!(code, Code::Aborted);
        assert!(["payment_in_flight", "illegal_transition"].contains(&reason.as_str()), "{reason}");
    }
    app.reaches(order.id, "paid").await;
    assert_eq!(app.ledger(order.id).await.captures, [order.total_amount]);
    assert_eq!(app.value("SELECT count(*) FROM payments").await, "1");
}

#[tokio::test]
async fn a_bank_may_want_to_see_the_holder() {
    let app = TestApp::start().await;
    app.shelf(1, 1_500, 10).await;
    let order = app.order_of(ANA, &[(1, 1)]).await;
    let answer = app.pay(ANA, card(order.id, "pm_card_authenticationRequired")).await.unwrap();
    let payment = answer.payment.unwrap();
    assert_eq!(payment.status, "requires_action");
    let action = payment.next_action.unwrap();
    assert_eq!(action.r#type, "redirect");
    assert!(action.redirect_url.starts_with(&app.sandbox), "{}", action.redirect_url);
    let second = refusal(app.pay(ANA, card(order.id, "pm_card_visa")).await);
    assert_eq!(second.1, "payment_in_flight");

    let intent = app.intent_of(order.id).await;
    app.happens(&format!("3ds/{intent}/approve")).await;
    for event in app.events_of(order.id).await {
        app.told(&event).await.unwrap();
    }
    app.reaches(order.id, "paid").await;
    assert_eq!(app.ledger(order.id).await.captures, [order.total_amount]);
    app.check_books().await;
}

#[tokio::test]
async fn a_holder_whom_the_bank_does_not_know_may_try_again() {
    let app = TestApp::start().await;
    app.shelf(1, 1_500, 10).await;
    let order = app.order_of(ANA, &[(1, 1)]).await;
    app.pay(ANA, card(order.id, "pm_card_authenticationRequired")).await.unwrap();
    app.happens(&format!("3ds/{}/fail", app.intent_of(order.id).await)).await;
    for event in app.events_of(order.id).await {
        app.told(&event).await.unwrap();
    }
    app.reaches(order.id, "payment_failed").await;
    app.pay(ANA, card(order.id, "pm_card_visa")).await.unwrap();
    assert_eq!(app.ledger(order.id).await.captures, [order.total_amount]);
}

#[tokio::test]
async fn what_cannot_be_paid_is_not_written_down() {
    let app = TestApp::start().await;
    app.shelf(1, 1_500, 10).await;
    let order = app.order_of(ANA, &[(1, 1)]).await;
    let with = |change: fn(&mut PayRequest)| {
        let mut request = card(order.id, "pm_card_visa");
        change(&mut request);
        request
    };
    for (who, request, code, named) in [
        (ANA, with(|r| r.method = "boleto".to_owned()), Code::InvalidArgument, "method"),
        (
            ANA,
            with(|r| r.payment_method = "4242424242424242".to_owned()),
            Code::InvalidArgument,
            "payment_method",
        ),
        (
            ANA,
            with(|r| r.payment_method = "pm_1NXpQuLkdIwHu7ix".to_owned()),
            Code::InvalidArgument,
            "payment_method",
        ),
        (ANA, with(|r| r.return_url = "javascript:alert(1)".to_owned()), Code::InvalidArgument, "return_url"),
        (ANA, with(|r| r.order_id = 0), Code::InvalidArgument, "order_id"),
        (ANA, with(|r| r.order_id = 999_999), Code::NotFound, ""),
        (BIA, with(|_| ()), Code::NotFound, ""),
        (GUEST, with(|_| ()), Code::NotFound, ""),
        (Who::Nobody, with(|_| ()), Code::Unauthenticated, ""),
        (Who::Service("gateway"), with(|_| ()), Code::PermissionDenied, ""),
    ] {
        let refused = refusal(app.pay(who, request).await);
        assert_eq!((refused.0, refused.2.as_str()), (code, named), "{who:?}");
    }
    let mut shown = card(order.id, "pm_card_visa");
    shown.expected_total_amount = Some(order.total_amount - 1);
    assert_eq!(refusal(app.pay(ANA, shown).await).1, "price_changed");
    let unknown = declined(app.pay(ANA, card(order.id, "pm_card_unknown")).await);
    assert_eq!(unknown.1, "true", "the provider does not know the token");
    assert_eq!(app.ledger(order.id).await.captures, [0_i64; 0]);
    assert_eq!(app.value("SELECT count(*) FROM payments").await, "1");
}
