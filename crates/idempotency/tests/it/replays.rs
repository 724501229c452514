//! The same request again, and requests that only look the same.

use idempotency::{Answer as _, Refused};
use rls::{Caller, UserId};

use crate::app::{ANA, BIA, Error, GUEST, TestApp, request, request_at, work_at};

#[tokio::test]
async fn a_repeat_gets_the_same_reply_and_purges_again() {
    let app = TestApp::start().await;
    for caller in [ANA, GUEST] {
        let before = app.effects().await;
        let asked = request(&caller, "k-1", 1);
        let first = app.work(caller, &asked).await.expect("done");
        let second = app.work(caller, &asked).await.expect("replayed");
        assert!(!first.replayed && second.replayed);
        assert_eq!(app.effects().await, before + 1);

        let [told] = &first.reply.receipts[..] else { panic!("one receipt: {first:?}") };
        let [again] = &second.reply.receipts[..] else { panic!("one receipt: {second:?}") };
        assert_eq!((&told.event_id, &told.tags), (&again.event_id, &again.tags));
        assert!(!told.tags.is_empty());
        assert!(again.commit_lsn >= told.commit_lsn && told.commit_lsn > 0, "{told:?} {again:?}");

        assert!(first.into_response().metadata().get(idempotency::REPLAYED).is_none());
        let marked = second.into_response();
        assert_eq!(marked.metadata().get(idempotency::REPLAYED).expect("marked"), "true");
    }
}

#[tokio::test]
async fn another_body_is_refused_and_changes_nothing() {
    let app = TestApp::start().await;
    app.work(ANA, &request(&ANA, "k-1", 1)).await.expect("done");
    for _ in 0..2 {
        let other = app.work(ANA, &request(&ANA, "k-1", 2)).await;
        assert!(matches!(other, Err(Error::Refused(Refused::OtherRequest))), "{other:?}");
    }
    assert!(app.work(ANA, &request(&ANA, "k-1", 1)).await.expect("as before").replayed);
    assert_eq!((app.effects().await, app.keys().await), (1, 1));
}

#[tokio::test]
async fn another_route_or_principal_or_key_is_another_request() {
    let app = TestApp::start().await;
    let other_guest = Caller::Guest { cart_token_sha256: [8; 32] };
    let requests = [
        (ANA, request(&ANA, "k-1", 1)),
        (ANA, request(&ANA, "k-2", 1)),
        (ANA, request_at(&ANA, "k-1", 1, "POST /api/v1/orders/7/cancel")),
        (ANA, request_at(&ANA, "k-1", 1, "POST /api/v1/orders/8/cancel")),
        (BIA, request(&BIA, "k-1", 1)),
        (GUEST, request(&GUEST, "k-1", 1)),
        (other_guest, request(&other_guest, "k-1", 1)),
    ];
    for (caller, request) in &requests {
        assert!(!app.work(*caller, request).await.expect("done").replayed, "{request:?}");
    }
    assert_eq!(app.effects().await, 7);
    for (caller, request) in &requests {
        assert!(app.work(*caller, request).await.expect("replayed").replayed, "{request:?}");
    }
    assert_eq!(app.effects().await, 7);
}

#[tokio::test]
async fn the_service_works_under_its_callers_key_and_strangers_do_not() {
    let app = TestApp::start().await;
    let asked = request(&ANA, "k-1", 1);
    app.work(Caller::Service, &asked).await.expect("the service may");
    assert!(app.work(ANA, &asked).await.expect("replayed").replayed);
    // Row level security: a handler that takes the wrong principal's key gets nowhere.
    for stranger in [BIA, GUEST, Caller::Anonymous, Caller::Staff(UserId(9))] {
        let refused = app.work(stranger, &asked).await;
        assert!(matches!(refused, Err(Error::Database(_))), "{stranger:?}: {refused:?}");
    }
    assert_eq!(app.effects().await, 1);
}

#[tokio::test]
async fn without_a_key_every_request_is_done() {
    let app = TestApp::start().await;
    for _ in 0..3 {
        let done = work_at(&app.db, ANA, None).await.expect("done");
        assert!(!done.replayed);
        assert_eq!(done.reply.receipts.len(), 1);
    }
    assert_eq!((app.effects().await, app.keys().await), (3, 0));
}

#[tokio::test]
async fn keeping_a_reply_costs_two_statements() {
    let app = TestApp::start().await;
    let asked = request(&ANA, "k-1", 1);
    let before = app.db.statements();
    work_at(&app.db, ANA, None).await.expect("done");
    let plain = app.db.statements();
    app.work(ANA, &asked).await.expect("done");
    let kept = app.db.statements();
    app.work(ANA, &asked).await.expect("replayed");
    let replayed = app.db.statements();
    assert_eq!((kept - plain, replayed - kept), (plain - before + 2, 1));
}

#[tokio::test]
async fn after_a_day_a_key_is_as_good_as_new() {
    let app = TestApp::start().await;
    app.work(ANA, &request(&ANA, "k-1", 1)).await.expect("done");
    app.as_superuser("UPDATE shop.idempotency_keys SET expires_at = now()").await;
    let other = app.work(ANA, &request(&ANA, "k-1", 2)).await.expect("done anew");
    assert!(!other.replayed);
    assert!(app.work(ANA, &request(&ANA, "k-1", 2)).await.expect("replayed").replayed);
    assert_eq!((app.effects().await, app.keys().await), (2, 1));
}
