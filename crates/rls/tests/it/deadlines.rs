//! Everything ends, and no class of work starves another.

use std::time::Duration;

use rls::{Caller, Class, Database, DatabaseConfig, DatabaseError};
use testkit::{FaultProxy, eventually};
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::app::{ALICE, PATIENCE, TestApp, connect};

async fn sleep_in_database(db: &Database, seconds: f64, deadline: Duration) -> Result<(), DatabaseError> {
    let slept = db.run(&Caller::Service, Class::Write, deadline, move |tx| {
        Box::pin(async move {
            sqlx::query("SELECT pg_sleep($1)")
                .bind(seconds)
                .execute(&mut *tx.statement("SELECT pg_sleep"))
                .await?;
            Ok::<_, DatabaseError>(())
        })
    });
    slept.await.map(drop)
}

#[tokio::test]
async fn a_slow_statement_is_given_up_at_the_deadline_here_and_there() {
    let app = TestApp::start().await;
    let started = Instant::now();
    let outcome = sleep_in_database(&app.db, 60.0, Duration::from_millis(300)).await;
    assert!(matches!(outcome, Err(DatabaseError::Deadline)), "{outcome:?}");
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());

    eventually(PATIENCE, "the server stops working for nobody", async || {
        let running: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = $1 AND state = 'active' AND query LIKE '%pg_sleep(%'
              AND pid <> pg_backend_pid()",
        )
        .bind(&app.database.name)
        .fetch_one(&mut app.database.admin().await)
        .await
        .ok()?;
        (running == 0).then_some(())
    })
    .await;
    app.write(ALICE, 1).await.expect("the class has its connection again");
}

#[tokio::test]
async fn a_frozen_database_costs_the_deadline_and_no_more() {
    let app = TestApp::start().await;
    let server =
        app.database.url.split_once('@').and_then(|(_, rest)| rest.split_once('/')).expect("a URL").0;
    let proxy = FaultProxy::start(server.parse().expect("an address")).await;
    let db = connect(&proxy.url(&app.database.url)).await;
    crate::app::write(&db, ALICE, 1).await.expect("alice may write");

    proxy.freeze();
    let deadline = Duration::from_millis(400);
    for _ in 0..6 {
        let started = Instant::now();
        let outcome = sleep_in_database(&db, 0.0, deadline).await;
        assert!(matches!(outcome, Err(DatabaseError::Deadline | DatabaseError::Busy)), "{outcome:?}");
        assert!(started.elapsed() < deadline + Duration::from_secs(1), "{:?}", started.elapsed());
    }
    proxy.heal();
    eventually(PATIENCE, "the database is used again", async || crate::app::write(&db, ALICE, 2).await.ok())
        .await;
    assert_eq!(app.truth().await, [(1, 1), (2, 1)]);
}

#[tokio::test]
async fn a_full_class_is_refused_in_time_and_the_others_go_on() {
    let app = TestApp::start().await;
    let mut config = DatabaseConfig::new(&app.database.url);
    config.pool_size = 4;
    let db = Database::connect(&config).await.expect("the test database is there");

    // Of four connections one is for writes. It is taken.
    let (release, held) = oneshot::channel::<()>();
    let (taken, is_taken) = oneshot::channel();
    let holder = db.clone();
    let holding = tokio::spawn(async move {
        holder
            .run(&ALICE, Class::Write, PATIENCE, |_| {
                Box::pin(async move {
                    let _ = taken.send(());
                    let _ = held.await;
                    Ok::<_, DatabaseError>(())
                })
            })
            .await
    });
    is_taken.await.expect("the connection is taken");

    let started = Instant::now();
    let refused: Result<_, DatabaseError> =
        db.run(&ALICE, Class::Write, Duration::from_millis(500), |_| Box::pin(async { Ok(()) })).await;
    assert!(matches!(refused, Err(DatabaseError::Busy)), "{refused:?}");
    let waited = started.elapsed();
    assert!(waited > Duration::from_millis(240), "half of its deadline belongs to the queue: {waited:?}");
    assert!(waited < Duration::from_millis(490), "the other half to the work: {waited:?}");

    eventually(PATIENCE, "reads have connections of their own", async || {
        db.run(&ALICE, Class::Read, PATIENCE, |_| Box::pin(async { Ok::<_, DatabaseError>(()) })).await.ok()
    })
    .await;

    release.send(()).expect("the holder waits");
    holding.await.expect("no panic").expect("committed");
    crate::app::write(&db, ALICE, 1).await.expect("the class is free again");
}

#[tokio::test]
async fn statements_are_timed_by_name() {
    let app = TestApp::start().await;
    app.write(ALICE, 1).await.expect("alice may write");
    app.read(ALICE).await.expect("alice may read");
    app.read(ALICE).await.expect("alice may read");
    let mut text = String::new();
    app.db.prometheus(&mut text);
    for line in [
        "database_connections_max 4",
        r#"database_query_duration_seconds_count{query="INSERT note"} 1"#,
        r#"database_query_duration_seconds_count{query="SELECT notes"} 2"#,
    ] {
        assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
    }
    assert!(text.contains("\ndatabase_connections_active "), "{text}");
    assert_eq!(app.db.statements(), 3);
}
