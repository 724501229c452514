//! Writing: one chain, whoever writes, and nothing without its change.

use audit::{Entry, record};
use futures_util::future::join_all;
use rls::{Caller, Class, DatabaseError, UserId};
use serde_json::Value;

use crate::app::{ADMIN, PATIENCE, TestApp, shipped};

#[tokio::test]
async fn an_empty_log_is_whole_and_has_no_head() {
    let verified = TestApp::start().await.verify(None).await.expect("whole");
    assert_eq!((verified.rows, verified.head), (0, None));
}

#[tokio::test]
async fn what_was_done_is_written_as_it_was() {
    let app = TestApp::start().await;
    // Staff order it, the service does it.
    app.record(Caller::Service, shipped(42)).await.expect("recorded");
    let made = Entry { actor: Caller::Service, before: None, after: None, ..shipped(43) };
    app.record(ADMIN, made).await.expect("recorded");
    let rows: Vec<Value> = sqlx::query_scalar(
        "SELECT to_jsonb(a) - 'at' - 'sha256' - 'prev_sha256' FROM watch.audit_chain a ORDER BY id",
    )
    .fetch_all(&mut app.database.admin().await)
    .await
    .expect("the superuser sees everything");
    let expected = serde_json::json!([
        {
            "id": 1, "actor_id": 7, "actor_role": "admin", "action": "order.status_changed",
            "entity": "order", "entity_id": "42", "request_id": "r-1",
            "before": { "status": "paid", "note": "até já" }, "after": { "status": "shipped", "note": null },
        },
        {
            "id": 2, "actor_id": null, "actor_role": "service", "action": "order.status_changed",
            "entity": "order", "entity_id": "43", "request_id": "r-1", "before": null, "after": null,
        },
    ]);
    assert_eq!(Value::Array(rows), expected);
    assert_eq!(app.verify(None).await.expect("whole").rows, 2);
}

#[tokio::test]
async fn those_who_write_at_once_write_one_chain() {
    let app = TestApp::start().await;
    let writes = (1..=60).map(|order| app.record(ADMIN, shipped(order)));
    for written in join_all(writes).await {
        written.expect("recorded");
    }
    let verified = app.verify(None).await.expect("one chain");
    assert_eq!((verified.rows, verified.head.expect("a last row").id), (60, 60));
}

#[tokio::test]
async fn an_entry_without_its_commit_is_none_and_leaves_no_gap() {
    let app = TestApp::with_rows(1).await;
    let failed = app.db.run(&ADMIN, Class::Write, PATIENCE, |tx| {
        Box::pin(async move {
            record(tx, &shipped(2)).await?;
            Err::<(), _>(DatabaseError::Busy)
        })
    });
    failed.await.expect_err("the work failed");
    app.record(ADMIN, shipped(3)).await.expect("recorded");
    assert_eq!(app.verify(None).await.expect("whole").rows, 2);
}

#[tokio::test]
async fn several_entries_of_one_transaction_follow_each_other() {
    let app = TestApp::start().await;
    let recorded = app.db.run(&ADMIN, Class::Write, PATIENCE, |tx| {
        Box::pin(async move {
            for order in 1..=3 {
                record(tx, &shipped(order)).await?;
            }
            Ok::<_, DatabaseError>(())
        })
    });
    recorded.await.expect("recorded");
    assert_eq!(app.verify(None).await.expect("whole").rows, 3);
}

#[tokio::test]
async fn customers_write_nothing_and_nobody_changes_what_is_written() {
    let app = TestApp::with_rows(2).await;
    for caller in [Caller::Anonymous, Caller::User(UserId(1)), Caller::Guest { cart_token_sha256: [1; 32] }] {
        let written = app.record(caller, shipped(3)).await;
        assert!(matches!(written, Err(DatabaseError::Refused(_))), "{caller:?}: {written:?}");
    }
    for caller in [ADMIN, Caller::Service] {
        for sql in ["DELETE FROM audit_chain", "UPDATE audit_chain SET action = 'x'", "TRUNCATE audit_chain"]
        {
            let spoiled = app.db.run(&caller, Class::Write, PATIENCE, move |tx| {
                Box::pin(async move {
                    sqlx::query(sql).execute(&mut *tx.statement("spoil")).await?;
                    Ok::<_, DatabaseError>(())
                })
            });
            let spoiled = spoiled.await;
            assert!(matches!(spoiled, Err(DatabaseError::Refused(_))), "{caller:?} {sql}: {spoiled:?}");
        }
    }
    assert_eq!(app.verify(None).await.expect("whole").rows, 2);
}

#[tokio::test]
async fn what_is_too_long_stops_its_change() {
    let app = TestApp::start().await;
    let long = Entry { after: Some(Value::String("a".repeat(70_000))), ..shipped(1) };
    app.record(ADMIN, long).await.expect_err("too long");
    assert_eq!(app.verify(None).await.expect("whole").rows, 0);
}
