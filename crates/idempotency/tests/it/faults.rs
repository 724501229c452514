//! Work that ends in the middle leaves nothing; work that was done stays done.

use std::sync::Arc;

use idempotency::{Refused, once};
use rls::{Class, DatabaseError};
use testkit::eventually;
use tokio::sync::{Semaphore, oneshot};

use crate::app::{ANA, Error, PATIENCE, Reply, TestApp, effect, request};

#[tokio::test]
async fn a_panic_leaves_nothing() {
    let app = TestApp::start().await;
    let asked = request(&ANA, "k-1", 1);
    let (db, panicking) = (app.db.clone(), asked.clone());
    let panicked = tokio::spawn(async move {
        once::<Reply, Error, _>(&db, &ANA, Class::Write, PATIENCE, Some(&panicking), |tx| {
            Box::pin(async move {
                effect(tx).await?;
                panic!("on purpose")
            })
        })
        .await
    });
    assert!(panicked.await.expect_err("it panics").is_panic());
    let again = retry(&app, &asked).await;
    assert!(!again, "done anew");
    assert_eq!((app.effects().await, app.keys().await), (1, 1));
}

#[tokio::test]
async fn a_connection_killed_in_the_middle_leaves_nothing() {
    let app = TestApp::start().await;
    let asked = request(&ANA, "k-1", 1);
    let (tell, told) = oneshot::channel();
    let working = once::<Reply, Error, _>(&app.db, &ANA, Class::Write, PATIENCE, Some(&asked), |tx| {
        Box::pin(async move {
            effect(tx).await?;
            let pid: i32 =
                sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut *tx.statement("pid")).await?;
            tell.send(pid).expect("the test waits for it");
            sqlx::query("SELECT pg_sleep(20)").execute(&mut *tx.statement("sleep")).await?;
            Ok(Reply::default())
        })
    });
    let killing = async {
        let pid = told.await.expect("the work says so");
        let mut admin = app.database.admin().await;
        let kill = sqlx::query("SELECT pg_terminate_backend($1)").bind(pid);
        kill.execute(&mut admin).await.expect("the superuser may");
    };
    let (killed, ()) = tokio::join!(working, killing);
    assert!(matches!(killed, Err(Error::Database(DatabaseError::Unavailable(_)))), "{killed:?}");
    assert_eq!((app.effects().await, app.keys().await), (0, 0));
    assert!(!retry(&app, &asked).await, "done anew");
    assert_eq!(app.effects().await, 1);
}

#[tokio::test]
async fn what_is_done_for_a_caller_who_left_is_replayed_to_one_who_comes_back() {
    let app = TestApp::start().await;
    let asked = request(&ANA, "k-1", 1);
    let (go, begun) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let leaving = {
        let (db, asked, go, begun) = (app.db.clone(), asked.clone(), Arc::clone(&go), Arc::clone(&begun));
        tokio::spawn(async move {
            once::<Reply, Error, _>(&db, &ANA, Class::Write, PATIENCE, Some(&asked), move |tx| {
                Box::pin(async move {
                    effect(tx).await?;
                    begun.add_permits(1);
                    go.acquire().await.expect("never closed").forget();
                    Ok(Reply::default())
                })
            })
            .await
        })
    };
    begun.acquire().await.expect("never closed").forget();
    leaving.abort();
    assert!(leaving.await.expect_err("it left").is_cancelled());
    // The work goes on without its caller.
    let early = app.work(ANA, &asked).await;
    assert!(matches!(early, Err(Error::Refused(Refused::InFlight))), "{early:?}");
    go.add_permits(1);
    assert!(retry(&app, &asked).await, "replayed");
    assert_eq!(app.effects().await, 1);
}

#[tokio::test]
async fn a_reply_too_long_is_given_and_its_repeat_is_told_that_it_was_done() {
    let app = TestApp::start().await;
    let asked = request(&ANA, "k-1", 1);
    let long = async || {
        once::<proto::orders::v1::CartResponse, Error, _>(
            &app.db,
            &ANA,
            Class::Write,
            PATIENCE,
            Some(&asked),
            |tx| {
                Box::pin(async move {
                    effect(tx).await?;
                    let cart = proto::orders::v1::Cart { id: "x".repeat(70_000), ..Default::default() };
                    Ok(proto::orders::v1::CartResponse { cart: Some(cart), ..Default::default() })
                })
            },
        )
        .await
    };
    let first = long().await.expect("done");
    assert_eq!(first.reply.cart.expect("a cart").id.len(), 70_000);
    for _ in 0..2 {
        let again = long().await;
        assert!(matches!(again, Err(Error::Refused(Refused::NotKept))), "{again:?}");
    }
    assert_eq!(app.effects().await, 1);
}

/// Asks until nobody else works on it any more: the end of a transaction is not awaited by its caller. Answers whether
/// it was replayed.
async fn retry(app: &TestApp, asked: &idempotency::Request) -> bool {
    eventually(PATIENCE, "nobody works on it any more", async || match app.work(ANA, asked).await {
        Ok(done) => Some(done.replayed),
        Err(Error::Refused(Refused::InFlight)) => None,
        Err(other) => panic!("{other:?}"),
    })
    .await
}
