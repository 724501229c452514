//! Success means committed, and what was committed is told.

use std::time::Duration;

use rls::{Class, DatabaseError};
use testkit::FaultProxy;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};
use uuid::Uuid;

use crate::app::{ALICE, PATIENCE, TestApp, connect, insert};

#[tokio::test]
async fn an_ignored_error_is_not_a_commit() {
    let app = TestApp::start().await;
    let careless = app.db.run(&ALICE, Class::Write, PATIENCE, |tx| {
        Box::pin(async move {
            insert(tx, 1).await?;
            assert!(insert(tx, 1).await.is_err(), "the id is taken");
            Ok::<_, DatabaseError>(())
        })
    });
    assert!(matches!(careless.await, Err(DatabaseError::Aborted(_))));
    assert_eq!(app.truth().await, []);
    app.write(ALICE, 2).await.expect("the connection is clean again");
}

#[tokio::test]
async fn work_that_ends_the_transaction_itself_is_found_out() {
    let app = TestApp::start().await;
    let meddling = app.db.run(&ALICE, Class::Write, PATIENCE, |tx| {
        Box::pin(async move {
            sqlx::raw_sql("COMMIT").execute(&mut *tx.statement("COMMIT")).await?;
            Ok::<_, DatabaseError>(())
        })
    });
    assert!(matches!(meddling.await, Err(DatabaseError::Aborted(_))));
    app.write(ALICE, 1).await.expect("the connection is clean again");
}

#[tokio::test]
async fn work_that_fails_leaves_nothing() {
    let app = TestApp::start().await;
    let failed = app.db.run(&ALICE, Class::Write, PATIENCE, |tx| {
        Box::pin(async move {
            insert(tx, 1).await?;
            Err::<(), _>(DatabaseError::Busy)
        })
    });
    assert!(matches!(failed.await, Err(DatabaseError::Busy)));
    assert_eq!(app.truth().await, []);
    app.write(ALICE, 2).await.expect("the connection is clean again");
}

#[tokio::test]
async fn work_that_panics_leaves_nothing_and_is_heard() {
    let app = TestApp::start().await;
    let db = app.db.clone();
    let panicked = tokio::spawn(async move {
        db.run(&ALICE, Class::Write, PATIENCE, |tx| {
            Box::pin(async move {
                insert(tx, 1).await?;
                assert!(tx.caller().is_admin(), "alice is no admin");
                Ok::<_, DatabaseError>(())
            })
        })
        .await
    });
    assert!(panicked.await.expect_err("the panic goes on").is_panic());
    app.write(ALICE, 2).await.expect("the connection is clean again");
    assert_eq!(app.truth().await, [(2, 1)]);
}

#[tokio::test]
async fn receipts_carry_a_log_position_at_or_after_the_commit() {
    let app = TestApp::start().await;
    let mut admin = app.database.admin().await;
    let mut lsn = async || -> i64 {
        sqlx::query_scalar("SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint")
            .fetch_one(&mut admin)
            .await
            .expect("the superuser may ask")
    };
    let committed = app.db.committed();
    let event_id = Uuid::now_v7();

    let before = lsn().await;
    let written = app.db.run(&ALICE, Class::Write, PATIENCE, move |tx| {
        Box::pin(async move {
            insert(tx, 1).await?;
            tx.stale(event_id, vec!["note:1".to_owned()]);
            Ok::<_, DatabaseError>("written")
        })
    });
    let written = written.await.expect("alice may write");
    let after = lsn().await;

    assert_eq!(written.value, "written");
    let [receipt] = &written.receipts[..] else { panic!("one receipt: {:?}", written.receipts) };
    assert_eq!((receipt.event_id, &receipt.tags[..]), (event_id, &["note:1".to_owned()][..]));
    let position = i64::try_from(receipt.commit_lsn).expect("a position");
    assert!(before < position && position <= after, "{before} < {position} <= {after}");
    timeout(PATIENCE, committed.notified()).await.expect("a receipt wakes the relay");
}

#[tokio::test]
async fn without_receipts_nobody_is_woken() {
    let app = TestApp::start().await;
    let written = app.write(ALICE, 1).await.expect("alice may write");
    assert_eq!(written.receipts, []);
    let committed = app.db.committed();
    let woken = std::pin::pin!(committed.notified());
    assert!(futures_poll(woken).is_pending());
}

/// One look at a future.
fn futures_poll<F: Future>(future: std::pin::Pin<&mut F>) -> std::task::Poll<F::Output> {
    future.poll(&mut std::task::Context::from_waker(std::task::Waker::noop()))
}

#[tokio::test]
async fn a_commit_whose_answer_is_lost_is_said_to_be_unknown() {
    let app = TestApp::start().await;
    let server =
        app.database.url.split_once('@').and_then(|(_, rest)| rest.split_once('/')).expect("a URL").0;
    let proxy = FaultProxy::start(server.parse().expect("an address")).await;
    let db = connect(&proxy.url(&app.database.url)).await;
    // One connection is open before the network freezes.
    crate::app::write(&db, ALICE, 1).await.expect("alice may write");

    let (reached, at_the_end) = oneshot::channel();
    let (go_on, frozen) = oneshot::channel::<()>();
    let deadline = Duration::from_secs(2);
    let started = Instant::now();
    let writing = tokio::spawn(async move {
        db.run(&ALICE, Class::Write, deadline, |tx| {
            Box::pin(async move {
                insert(tx, 2).await?;
                let _ = reached.send(());
                let _ = frozen.await;
                Ok::<_, DatabaseError>(())
            })
        })
        .await
    });
    at_the_end.await.expect("the work gets to its end");
    proxy.freeze();
    go_on.send(()).expect("the work waits");
    let outcome = writing.await.expect("no panic");

    let error = outcome.expect_err("nobody answered the commit");
    assert!(error.possibly_done(), "{error:?}");
    assert!(started.elapsed() < deadline + Duration::from_secs(3), "{:?}", started.elapsed());
}
