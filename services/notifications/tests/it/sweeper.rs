//! What is kept stays within bounds.

use std::time::Duration;

use ::events::Fact;
use testkit::eventually;

use crate::app::{SOON, Setup, TestApp};

#[tokio::test]
async fn an_overfull_feed_loses_what_was_read_first_and_then_what_is_old() {
    let setup = Setup { sweep_every: Duration::from_millis(50), ..Setup::default() };
    let app = TestApp::start_with(setup).await;
    app.world.fill(42, 1_000).await;
    // 1,700 of which the latest 100 were read.
    app.world
        .sql(
            "BEGIN;
             INSERT INTO feeds (user_id, last_seq, kept, unread, version) VALUES (41, 1700, 1700, 1600, 1700);
             INSERT INTO notifications (user_id, seq, kind, title, body, dedupe_key, read_at)
             SELECT 41, n, 'report.received', n::text, '', n::text, CASE WHEN n > 1600 THEN now() END
               FROM generate_series(1, 1700) n;
             COMMIT",
        )
        .await;
    eventually(SOON, "a feed of the right size", async || {
        (app.world.one::<i32>("SELECT kept FROM feeds WHERE user_id = 41").await == 1_000).then_some(())
    })
    .await;
    let (rows, first, last, read): (i64, i64, i64, i64) = sqlx::query_as(
        "SELECT count(*), min(seq), max(seq), count(read_at) FROM notifications WHERE user_id = 41",
    )
    .fetch_one(&mut app.world.admin().await)
    .await
    .unwrap();
    assert_eq!((rows, first, last, read), (1_000, 601, 1_600, 0));
    let (unread, version): (i32, i64) =
        sqlx::query_as("SELECT unread, version FROM feeds WHERE user_id = 41")
            .fetch_one(&mut app.world.admin().await)
            .await
            .unwrap();
    assert_eq!((unread, version), (1_000, 1_702));
    assert_eq!(app.world.one::<i64>("SELECT count(*) FROM notifications WHERE user_id = 42").await, 1_000);

    let removed: Vec<usize> = app
        .world
        .recorded()
        .await
        .iter()
        .map(|event| match event.fact() {
            Fact::NotificationDeleted(fact) => fact.notification_ids.len(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(removed, [500, 200]);
}

#[tokio::test]
async fn mails_are_forgotten_after_a_month() {
    let setup = Setup { sweep_every: Duration::from_millis(50), ..Setup::default() };
    let app = TestApp::start_with(setup).await;
    app.world
        .sql(
            "INSERT INTO emails (id, dedupe_key, template, locale, message_id, status, finished_at)
             SELECT gen_random_uuid(), n::text, 'password_changed', 'en', n::text, 'sent', now() - make_interval(days => n)
               FROM generate_series(28, 32) n",
        )
        .await;
    eventually(SOON, "old mails forgotten", async || {
        (app.world.one::<String>("SELECT string_agg(dedupe_key, ',' ORDER BY dedupe_key) FROM emails").await
            == "28,29")
            .then_some(())
    })
    .await;
}
