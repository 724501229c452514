//! Many at once with one key.

use std::sync::Arc;
use std::time::Instant;

use futures_util::future::join_all;
use idempotency::{Refused, Request, once};
use rls::{Class, Database};
use tokio::sync::Semaphore;

use crate::app::{ANA, Error, PATIENCE, Reply, TestApp, effect, request, work_at};

/// Work that waits inside its transaction until it is let go.
async fn slow(
    db: &Database,
    request: &Request,
    go: &Arc<Semaphore>,
    begun: &Arc<Semaphore>,
) -> Result<bool, Error> {
    let (go, begun) = (Arc::clone(go), Arc::clone(begun));
    let done = once::<Reply, Error, _>(db, &ANA, Class::Write, PATIENCE, Some(request), move |tx| {
        Box::pin(async move {
            effect(tx).await?;
            begun.add_permits(1);
            go.acquire().await.expect("never closed").forget();
            Ok(Reply::default())
        })
    });
    Ok(done.await?.replayed)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_thousand_at_once_have_one_effect_and_nobody_waits() {
    let app = TestApp::start().await;
    let replicas = [app.db.clone(), app.replica().await];
    let asked = request(&ANA, "k-1", 1);
    let all = (0..1_000).map(|number| {
        let (db, asked) = (replicas[number % 2].clone(), asked.clone());
        tokio::spawn(async move {
            let begun = Instant::now();
            (work_at(&db, ANA, Some(&asked)).await, begun.elapsed())
        })
    });
    let (mut done, mut replayed, mut in_flight) = (0, 0, 0);
    for outcome in join_all(all).await {
        let (outcome, took) = outcome.expect("no panic");
        match outcome {
            Ok(answer) if answer.replayed => replayed += 1,
            Ok(_) => done += 1,
            Err(Error::Refused(Refused::InFlight)) => in_flight += 1,
            Err(other) => panic!("{other:?}"),
        }
        assert!(took.as_secs() < 5, "one waited {took:?}");
    }
    assert_eq!((done, app.effects().await), (1, 1), "{replayed} replayed, {in_flight} in flight");
    assert!(app.work(ANA, &asked).await.expect("afterwards").replayed);
}

#[tokio::test]
async fn while_one_works_repeats_are_told_so_at_once_here_and_elsewhere() {
    let app = TestApp::start().await;
    let elsewhere = app.replica().await;
    let asked = request(&ANA, "k-1", 1);
    let (go, begun) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let working = tokio::spawn({
        let (db, asked, go, begun) = (app.db.clone(), asked.clone(), Arc::clone(&go), Arc::clone(&begun));
        async move { slow(&db, &asked, &go, &begun).await }
    });
    begun.acquire().await.expect("never closed").forget();
    for db in [&app.db, &elsewhere] {
        for _ in 0..3 {
            // It does not wait for the worker: that one waits for us.
            let repeat = work_at(db, ANA, Some(&asked)).await;
            assert!(matches!(repeat, Err(Error::Refused(Refused::InFlight))), "{repeat:?}");
        }
        // Others are not held up.
        work_at(db, ANA, Some(&request(&ANA, "k-2", 1))).await.expect("another key");
    }
    go.add_permits(1);
    assert!(!working.await.expect("no panic").expect("done"));
    for db in [&app.db, &elsewhere] {
        assert!(work_at(db, ANA, Some(&asked)).await.expect("replayed").replayed);
    }
    assert_eq!(app.effects().await, 2);
}
