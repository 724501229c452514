//! What a caller did wrong is told again; what was our fault is tried again.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use idempotency::{Refused, once};
use rls::Class;
use tokio::sync::Semaphore;
use tonic::Code;

use crate::app::{ANA, Error, PATIENCE, Reply, TestApp, effect, request, work_at};

#[tokio::test]
async fn a_refusal_is_told_again_without_another_try() {
    let app = TestApp::start().await;
    let asked = request(&ANA, "k-1", 1);
    let tried = Arc::new(AtomicUsize::new(0));
    let first = app.fail(&asked, &tried, || Error::SoldOut).await;
    assert!(matches!(first, Err(Error::SoldOut)), "{first:?}");
    for _ in 0..3 {
        let Err(Error::Refused(refused)) = app.fail(&asked, &tried, || Error::SoldOut).await else {
            panic!("it is replayed")
        };
        let status = idempotency::status(&refused);
        assert_eq!((status.code(), status.message()), (Code::Aborted, "out_of_stock: sold out"));
        assert_eq!(status.metadata().get("mc-reason").expect("kept"), "out_of_stock");
        assert_eq!(status.metadata().get(idempotency::REPLAYED).expect("marked"), "true");
    }
    // Even if it would succeed now: the client was told no.
    let now = app.work(ANA, &asked).await;
    assert!(matches!(now, Err(Error::Refused(Refused::Replayed(_)))), "{now:?}");
    let other = app.work(ANA, &request(&ANA, "k-1", 2)).await;
    assert!(matches!(other, Err(Error::Refused(Refused::OtherRequest))), "{other:?}");
    assert_eq!((tried.load(Ordering::Relaxed), app.effects().await), (1, 0));
}

#[tokio::test]
async fn what_was_our_fault_is_tried_again() {
    let app = TestApp::start().await;
    let asked = request(&ANA, "k-1", 1);
    let tried = Arc::new(AtomicUsize::new(0));
    for expected in 1..=3 {
        // Its transaction may still be on its way back.
        loop {
            match app.fail(&asked, &tried, || Error::NotNow).await {
                Err(Error::NotNow) => break,
                Err(Error::Refused(Refused::InFlight)) => tokio::task::yield_now().await,
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(tried.load(Ordering::Relaxed), expected);
    }
    assert_eq!((app.effects().await, app.keys().await), (0, 0));
}

#[tokio::test]
async fn a_refusal_gives_way_to_a_repeat_that_was_quicker_elsewhere() {
    let app = TestApp::start().await;
    let elsewhere = app.replica().await;
    let asked = request(&ANA, "k-1", 1);
    // Between the refused work and the keeping of its refusal there is a moment; here it is made long, by holding the
    // lock that the keeping waits for, until another replica's work for the same key is committed.
    let (refused, kept) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let refusing = {
        let (db, asked, refused) = (app.db.clone(), asked.clone(), Arc::clone(&refused));
        let kept = Arc::clone(&kept);
        tokio::spawn(async move {
            once::<Reply, Error, _>(&db, &ANA, Class::Write, PATIENCE, Some(&asked), move |tx| {
                Box::pin(async move {
                    effect(tx).await?;
                    // Gives the claim back, as the rollback will.
                    sqlx::raw_sql("ROLLBACK; BEGIN").execute(&mut *tx.statement("roll back")).await?;
                    refused.add_permits(1);
                    kept.acquire().await.expect("never closed").forget();
                    Err(Error::SoldOut)
                })
            })
            .await
        })
    };
    refused.acquire().await.expect("never closed").forget();
    let done = work_at(&elsewhere, ANA, Some(&asked)).await.expect("done");
    assert!(!done.replayed);
    kept.add_permits(1);
    let told = refusing.await.expect("no panic").expect("the other's reply");
    assert!(told.replayed);
    assert_eq!(told.reply.receipts[0].event_id, done.reply.receipts[0].event_id);
    assert_eq!(app.effects().await, 1);
}
