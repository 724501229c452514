//! Something is found out before the transaction; and what another transaction was in the way of is tried again.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use idempotency::{Done, Refused, Request, once_after};
use rls::{Class, DatabaseError};

use crate::app::{ANA, Error, PATIENCE, Reply, TestApp, effect, request};

/// Works after what was found out, and fails so many times because another transaction is in the way.
async fn work_after(
    app: &TestApp,
    request: Option<&Request>,
    found: Result<Result<(), Error>, Error>,
    conflicts: usize,
    tried: &Arc<AtomicUsize>,
) -> Result<Done<Reply>, Error> {
    let tried = Arc::clone(tried);
    let before = std::future::ready(found);
    once_after(&app.db, &ANA, Class::Write, PATIENCE, request, before, move |tx, ()| {
        Box::pin(async move {
            effect(tx).await?;
            if tried.fetch_add(1, Ordering::Relaxed) < conflicts {
                return Err(Error::Database(DatabaseError::Conflict(sqlx::Error::RowNotFound)));
            }
            Ok(Reply::default())
        })
    })
    .await
}

#[tokio::test]
async fn what_another_transaction_was_in_the_way_of_is_tried_again() {
    let app = TestApp::start().await;
    let asked = request(&ANA, "k-1", 1);
    for (request, effects) in [(Some(&asked), 1), (None, 2)] {
        let tried = Arc::default();
        let done = work_after(&app, request, Ok(Ok(())), 3, &tried).await.unwrap();
        assert!(!done.replayed);
        assert_eq!(done.reply.receipts.len(), 1, "of the try that succeeded alone");
        assert_eq!(tried.load(Ordering::Relaxed), 4);
        assert_eq!(app.effects().await, effects);
    }
    let again = work_after(&app, Some(&asked), Ok(Ok(())), 0, &Arc::default()).await.unwrap();
    assert!(again.replayed);
}

#[tokio::test]
async fn somebody_who_is_always_in_the_way_is_named_soon() {
    let app = TestApp::start().await;
    let tried = Arc::default();
    let begun = Instant::now();
    let ended = work_after(&app, Some(&request(&ANA, "k-1", 1)), Ok(Ok(())), usize::MAX, &tried).await;
    assert!(matches!(ended, Err(Error::Database(DatabaseError::Conflict(_)))), "{ended:?}");
    assert!(begun.elapsed() < Duration::from_secs(10));
    assert_eq!(tried.load(Ordering::Relaxed), 5);
    assert_eq!((app.effects().await, app.keys().await), (0, 0), "nothing was done, nothing is kept");
}

#[tokio::test]
async fn a_refusal_that_is_found_out_before_is_kept_without_a_try() {
    let app = TestApp::start().await;
    let asked = request(&ANA, "k-1", 1);
    let tried = Arc::default();
    let refused = work_after(&app, Some(&asked), Ok(Err(Error::SoldOut)), 0, &tried).await;
    assert!(matches!(refused, Err(Error::SoldOut)), "{refused:?}");
    let again = work_after(&app, Some(&asked), Ok(Ok(())), 0, &tried).await;
    assert!(matches!(again, Err(Error::Refused(Refused::Replayed(_)))), "{again:?}");
    assert_eq!((tried.load(Ordering::Relaxed), app.effects().await), (0, 0));

    // What asking again may change is not kept.
    let asked = request(&ANA, "k-2", 1);
    let refused = work_after(&app, Some(&asked), Ok(Err(Error::NotNow)), 0, &tried).await;
    assert!(matches!(refused, Err(Error::NotNow)), "{refused:?}");
    // The key is free as soon as the connection has rolled back, which nobody waits for.
    let worked = loop {
        match work_after(&app, Some(&asked), Ok(Ok(())), 0, &tried).await {
            Err(Error::Refused(Refused::InFlight)) => tokio::task::yield_now().await,
            ended => break ended,
        }
    };
    assert!(!worked.unwrap().replayed);
    // A repeat of what was done is answered, whatever would speak against it now.
    let repeated = work_after(&app, Some(&asked), Ok(Err(Error::SoldOut)), 0, &tried).await.unwrap();
    assert!(repeated.replayed);
    assert_eq!(app.effects().await, 1);
}

#[tokio::test]
async fn whoever_is_turned_away_before_leaves_no_trace() {
    let app = TestApp::start().await;
    let asked = request(&ANA, "k-1", 1);
    let tried = Arc::default();
    let ended = work_after(&app, Some(&asked), Err(Error::SoldOut), 0, &tried).await;
    assert!(matches!(ended, Err(Error::SoldOut)), "{ended:?}");
    assert_eq!((tried.load(Ordering::Relaxed), app.keys().await), (0, 0));
    assert!(!work_after(&app, Some(&asked), Ok(Ok(())), 0, &tried).await.unwrap().replayed);
}
