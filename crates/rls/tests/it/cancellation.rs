//! A caller that goes away leaves no open transaction and no identity behind.

use std::time::Duration;

use rls::{Caller, Class, DatabaseError, UserId};
use testkit::{FaultProxy, eventually};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

use crate::app::{ALICE, BOB, PATIENCE, TestApp, connect, insert, write};

async fn behind_proxy(app: &TestApp) -> (FaultProxy, rls::Database) {
    let server =
        app.database.url.split_once('@').and_then(|(_, rest)| rest.split_once('/')).expect("a URL").0;
    let proxy = FaultProxy::start(server.parse().expect("an address")).await;
    let db = connect(&proxy.url(&app.database.url)).await;
    (proxy, db)
}

#[tokio::test]
async fn a_mutation_survives_the_caller_who_leaves() {
    let app = TestApp::start().await;
    let (started, has_started) = oneshot::channel();
    let (go_on, waiting) = oneshot::channel::<()>();
    let db = app.db.clone();
    let caller = tokio::spawn(async move {
        db.run(&ALICE, Class::Write, PATIENCE, |tx| {
            Box::pin(async move {
                insert(tx, 1).await?;
                let _ = started.send(());
                let _ = waiting.await;
                insert(tx, 2).await
            })
        })
        .await
    });
    has_started.await.expect("the work has started");
    caller.abort();
    assert!(caller.await.expect_err("aborted").is_cancelled());
    go_on.send(()).expect("the work goes on without its caller");

    eventually(PATIENCE, "both rows are committed", async || {
        (app.truth().await == [(1, 1), (2, 1)]).then_some(())
    })
    .await;
}

/// The recipe by which sqlx 0.9 lends a connection that is still inside somebody's transaction: the
/// caller leaves while the answer to BEGIN is on the wire.
#[tokio::test]
async fn leaving_during_begin_costs_the_next_caller_nothing() {
    let app = TestApp::start().await;
    let (proxy, db) = behind_proxy(&app).await;
    write(&db, ALICE, 0).await.expect("one connection is open");

    for round in 1..=8 {
        proxy.delay_to_client(Duration::from_millis(100));
        let left = timeout(Duration::from_millis(50), write(&db, ALICE, 100 + round)).await;
        assert!(left.is_err(), "the caller left before BEGIN was answered");
        proxy.heal();

        write(&db, BOB, round).await.expect("bob may write");
        let truth = app.truth().await;
        assert!(truth.contains(&(round, 2)), "round {round}: an acknowledged row is missing from {truth:?}");
    }
    eventually(PATIENCE, "nothing is left open", async || (app.open_transactions().await == 0).then_some(()))
        .await;
}

#[tokio::test]
async fn five_hundred_callers_who_leave_at_any_moment_leak_nothing() {
    const CALLERS: i64 = 500;
    let app = TestApp::start().await;
    let (proxy, db) = behind_proxy(&app).await;
    proxy.delay(Duration::from_millis(1));
    write(&db, Caller::User(UserId(1_000 + CALLERS)), CALLERS).await.expect("a connection is open");
    let started = Instant::now();
    write(&db, Caller::User(UserId(1_001 + CALLERS)), CALLERS + 1).await.expect("anybody may write");
    let usual = started.elapsed();

    let mut acknowledged = Vec::new();
    for id in 0..CALLERS {
        // Every caller is somebody else; each leaves at another moment of acquire, BEGIN, work and COMMIT,
        // or waits long enough.
        let caller = Caller::User(UserId(1_000 + id));
        let leaves_after = usual.mul_f64((id * 7_919 % 1_000) as f64 / 400.0);
        if let Ok(Ok(_)) = timeout(leaves_after, write(&db, caller, id)).await {
            acknowledged.push(id);
        }
    }
    proxy.heal();

    eventually(PATIENCE, "nothing is left open", async || (app.open_transactions().await == 0).then_some(()))
        .await;
    let truth = app.truth().await;
    for id in &acknowledged {
        assert!(truth.iter().any(|(found, _)| found == id), "acknowledged row {id} is missing");
    }
    for (id, owner) in &truth {
        assert_eq!(*owner, 1_000 + id, "row {id} was written with another caller's identity");
    }
    // The two from the beginning were acknowledged, too.
    assert!(!acknowledged.is_empty(), "everybody left too early for the test to say anything");
    assert!(acknowledged.len() + 2 < truth.len(), "everybody left too late for the test to say anything");

    // Every connection of the pool: whose identity does it carry?
    for _ in 0..16 {
        let carried = db.run(&Caller::Anonymous, Class::Read, PATIENCE, |tx| {
            Box::pin(async move {
                let settings = sqlx::query_as(
                    "SELECT current_user::text, current_setting('app.user_id'), current_setting('app.cart_token_sha256')",
                );
                let carried: (String, String, String) = settings.fetch_one(&mut *tx.statement("SELECT settings")).await?;
                Ok::<_, DatabaseError>(carried)
            })
        });
        let carried = carried.await.expect("anybody may ask").value;
        assert_eq!(carried, ("mc_anon".to_owned(), String::new(), String::new()));
    }
}
