//! Writing events.

use events::{CategoryPath, Event, Fact, ProductCreated, record, record_all};
use rls::{Caller, Class, DatabaseError};
use time::OffsetDateTime;

use crate::app::{ADMIN, PATIENCE, TestApp, price_changed};

#[tokio::test]
async fn an_event_and_its_receipt_come_with_the_commit() {
    let app = TestApp::bare().await;
    let event = price_changed(42, 1);
    let (id, tags) = (event.id(), event.stale_tags());
    let committed = app.db.run(&ADMIN, Class::Write, PATIENCE, move |tx| {
        Box::pin(async move {
            record(tx, &event).await?;
            Ok::<_, DatabaseError>(())
        })
    });
    let receipts = committed.await.expect("recorded").receipts;
    let [receipt] = &receipts[..] else { panic!("one receipt: {receipts:?}") };
    assert_eq!((receipt.event_id, &receipt.tags), (id, &tags));
    assert!(receipt.commit_lsn > 0);
    assert_eq!(app.pending().await, 1);
}

#[tokio::test]
async fn an_event_without_its_commit_is_none() {
    let app = TestApp::bare().await;
    let failed = app.db.run(&ADMIN, Class::Write, PATIENCE, |tx| {
        Box::pin(async move {
            record(tx, &price_changed(42, 1)).await?;
            Err::<(), _>(DatabaseError::Busy)
        })
    });
    failed.await.expect_err("the work failed");
    assert_eq!(app.pending().await, 0);
}

#[tokio::test]
async fn one_version_is_one_event() {
    let app = TestApp::bare().await;
    app.change_price(42, 1).await;
    let again = app.try_change_price(42, 1).await;
    assert!(matches!(again, Err(DatabaseError::Statement(_))), "{again:?}");
    assert_eq!(app.pending().await, 1);
}

#[tokio::test]
async fn everybody_may_record_and_only_the_service_may_read() {
    let app = TestApp::bare().await;
    for (version, caller) in (1..).zip([Caller::Anonymous, ADMIN, Caller::Service]) {
        let recorded = app.db.run(&caller, Class::Write, PATIENCE, move |tx| {
            Box::pin(async move {
                record(tx, &price_changed(42, version)).await?;
                Ok::<_, DatabaseError>(())
            })
        });
        recorded.await.unwrap_or_else(|error| panic!("{caller:?}: {error:?}"));
        let read = app.db.run(&caller, Class::Read, PATIENCE, |tx| {
            Box::pin(async move {
                let count = sqlx::query_scalar("SELECT count(*) FROM outbox");
                let count: i64 = count.fetch_one(&mut *tx.statement("SELECT outbox")).await?;
                Ok::<_, DatabaseError>(count)
            })
        });
        let read = read.await;
        if caller == Caller::Service {
            assert_eq!(read.expect("allowed").value, 3);
        } else {
            assert!(matches!(read, Err(DatabaseError::Refused(_))), "{caller:?}: {read:?}");
        }
    }
}

#[tokio::test]
async fn an_event_too_long_for_the_stream_stops_its_mutation() {
    let app = TestApp::bare().await;
    let fact = ProductCreated { product_id: 1, slug: "a".repeat(70_000), ..Default::default() };
    let event = Event::new(&ADMIN, OffsetDateTime::now_utc(), 1, Fact::ProductCreated(fact));
    let refused = app.db.run(&ADMIN, Class::Write, PATIENCE, move |tx| {
        Box::pin(async move {
            record(tx, &event).await?;
            Ok::<_, DatabaseError>(())
        })
    });
    refused.await.expect_err("too long");
    assert_eq!(app.pending().await, 0);
}

/// Events with different numbers of tags: one without any, one with many.
fn several() -> Vec<Event> {
    let now = OffsetDateTime::now_utc();
    let created = |id, ancestors: std::ops::Range<i64>| {
        let path = CategoryPath { ids: ancestors.collect() };
        let fact = ProductCreated { product_id: id, category: Some(path), ..Default::default() };
        Event::new(&ADMIN, now, 1, Fact::ProductCreated(fact))
    };
    let registered = proto::events::v1::UserFact { user_id: 5 };
    vec![
        price_changed(42, 2),
        price_changed(42, 1),
        created(7, 10..14),
        Event::new(&ADMIN, now, 1, Fact::UserRegistered(registered)),
        created(8, 10..11),
    ]
}

#[tokio::test]
async fn many_events_are_recorded_as_one_after_the_other_would_be() {
    let (one_by_one, at_once) = (TestApp::bare().await, TestApp::bare().await);
    let events = several();
    assert!(events.iter().any(|event| event.stale_tags().is_empty()), "one makes nothing stale");
    let recorded = events.clone();
    let receipts = one_by_one.db.run(&ADMIN, Class::Write, PATIENCE, move |tx| {
        Box::pin(async move {
            for event in &recorded {
                record(tx, event).await?;
            }
            Ok::<_, DatabaseError>(())
        })
    });
    let expected = receipts.await.expect("recorded").receipts;

    let before = at_once.db.statements();
    let receipts = at_once.db.run(&ADMIN, Class::Write, PATIENCE, move |tx| {
        Box::pin(async move {
            record_all(tx, &[]).await?;
            record_all(tx, &events).await?;
            Ok::<_, DatabaseError>(())
        })
    });
    let receipts = receipts.await.expect("recorded").receipts;
    assert_eq!(at_once.db.statements() - before, 1);
    let facts = |receipts: &[rls::Receipt]| -> Vec<_> {
        receipts.iter().map(|receipt| (receipt.event_id, receipt.tags.clone())).collect()
    };
    assert_eq!(facts(&receipts), facts(&expected));
    assert_eq!(rows(&at_once).await, rows(&one_by_one).await);
}

#[tokio::test]
async fn of_many_events_all_are_recorded_or_none() {
    let app = TestApp::bare().await;
    app.change_price(42, 1).await;
    for spoiled in [price_changed(42, 1), {
        let fact = ProductCreated { product_id: 1, slug: "a".repeat(70_000), ..Default::default() };
        Event::new(&ADMIN, OffsetDateTime::now_utc(), 1, Fact::ProductCreated(fact))
    }] {
        let recorded = app.db.run(&ADMIN, Class::Write, PATIENCE, move |tx| {
            Box::pin(async move {
                record_all(tx, &[price_changed(43, 1), spoiled]).await?;
                Ok::<_, DatabaseError>(())
            })
        });
        recorded.await.expect_err("one cannot be recorded");
    }
    assert_eq!(app.pending().await, 1);
}

/// Everything but the times, in the order of the outbox.
async fn rows(app: &TestApp) -> Vec<String> {
    sqlx::query_scalar("SELECT (to_jsonb(o) - 'created_at' - 'seq')::text FROM ledger.outbox o ORDER BY seq")
        .fetch_all(&mut app.database.admin().await)
        .await
        .expect("the superuser sees everything")
}
