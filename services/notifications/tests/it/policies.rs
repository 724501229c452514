//! What the database shows and allows to whom, statement by statement and table by table.

use std::collections::HashSet;

use testkit::policies::{self, Params};

use crate::app::World;

const OWNER: i64 = 41;
const STRANGER: i64 = 42;
/// What parameters of this type are unless something else is said.
const ID: &str = "00000000-0000-7000-8000-000000000001";

/// A row of everything, of which the owner's id and [`ID`] find one.
async fn world() -> World {
    let world = World::new().await;
    world
        .sql(
            "INSERT INTO feeds (user_id, last_seq, kept, unread, version) VALUES (41, 2, 1002, 1, 2);
             INSERT INTO notifications (id, user_id, seq, kind, title, body, dedupe_key, read_at)
             OVERRIDING SYSTEM VALUE
             VALUES (41, 41, 50, 'x', 'x', 'x', 'x', NULL), (410, 41, 51, 'x', 'x', 'x', 'y', now());
             INSERT INTO preferences VALUES (41, 'account.welcome', false, false);
             INSERT INTO emails (id, dedupe_key, user_id, template, locale, sealed, message_id, status, attempts,
                                 next_attempt_at, finished_at)
             VALUES ('00000000-0000-7000-8000-000000000001', 'a', 41, 'x', 'en', '', 'a', 'sending', 41, now() + interval '1 day', NULL),
                    ('00000000-0000-7000-8000-000000000002', 'b', 41, 'x', 'en', NULL, 'b', 'sent', 1, now(), '2001-01-01'),
                    ('00000000-0000-7000-8000-000000000003', 'c', 41, 'x', 'en', '', 'c', 'queued', 0, now(), NULL);
             INSERT INTO mailbox (email_id, to_email, subject, text_body, html_body)
             VALUES ('00000000-0000-7000-8000-000000000002', 'x', 'x', 'x', 'x');
             INSERT INTO webhook_endpoints (id, owner_id, url, events, secret_enc, consecutive_failures, created_at)
             VALUES (41, 1, 'https://x', '{x}', '', 1, now());
             INSERT INTO webhook_deliveries (id, endpoint_id, event_id, type, aggregate, aggregate_id, aggregate_version,
                                             body, status, next_attempt_at, lease, leased_until, created_at, delivered_at)
             VALUES ('00000000-0000-7000-8000-000000000001', 41, gen_random_uuid(), 'x', 'x', 'x', 1, '', 'pending',
                     '2001-01-01', '00000000-0000-7000-8000-000000000001', '2001-01-01', '2001-01-01', NULL),
                    ('00000000-0000-7000-8000-000000000002', 41, gen_random_uuid(), 'x', 'x', 'x', 2, '', 'delivered',
                     NULL, NULL, NULL, '2001-01-01', '2001-01-01');
             INSERT INTO inbox (consumer, message_id) VALUES ('x', 'x')",
        )
        .await;
    world
}

fn params() -> Params {
    let (other, future) = ("00000000-0000-7000-8000-000000000009", "2100-01-01T00:00Z");
    let others = format!("{{{other}}}");
    Params::new(OWNER, STRANGER)
        .with("OPEN_FEED", ["43"])
        .with("SAVE_LOCALE", ["41", "en"])
        .with("UNREAD", ["410"])
        .with("TELL", ["41", "52", "x", "x", "x", "/x", "z"])
        .with("SAVE_PREFERENCES", ["41", "{x}", "{true}", "{false}"])
        .with("ENQUEUE", [other, "d", "41", "x", "en", "\\x00", "d"])
        .with("FORGET_EMAILS", ["30", "10"])
        .with("MAIL", ["00000000-0000-7000-8000-000000000002"])
        .with("DELIVERIES_OF_STATUS", ["41", "10", "0", "pending"])
        .with("COUNT_DELIVERIES_OF_STATUS", ["41", "10", "pending"])
        .with("INSERT_DELIVERIES", [&*others, "{41}", other, "x", "x", "x", "1", "\\x00", future])
        .with(
            "INSERT_TRIED",
            [other, "41", other, "x", "x", "x", "1", "\\x00", "delivered", "200", "x", "1", future, future],
        )
        .with("SETTLE", [ID, ID, "dead", future, "500", "x", "1", future])
        .with("UPDATE_ENDPOINT", ["41", "https://y", "{x}", "true", "x"])
        .with("INSERT_ENDPOINT", ["43", "1", "https://y", "{x}", "\\x00", future])
}

#[tokio::test]
async fn no_statement_reaches_what_is_anothers() {
    let world = world().await;
    let statements = notifications::statements();
    let names: HashSet<_> = statements.iter().map(|(name, _)| name).collect();
    assert_eq!(names.len(), statements.len(), "two statements of one name");
    let report = policies::walk(&world.database, "notifications", statements, &params()).await;
    // The lock has nothing to show to anybody; an attempt that is settled leaves one of its values null.
    report.all_proven_but(&["LOCK_ENDPOINTS", "SETTLE"]);
    // What is a person's is found by the person, and mails by nobody but the service.
    for (statement, role) in [
        ("PAGE", "mc_user"),
        ("AFTER", "mc_user"),
        ("NOTIFICATION", "mc_user"),
        ("READ", "mc_user"),
        ("READ_ALL", "mc_user"),
        ("DELETE", "mc_user"),
        ("PREFERENCES", "mc_user"),
        ("SAVE_PREFERENCES", "mc_user"),
        ("TELL", "mc_service"),
        ("CLAIM_EMAILS", "mc_service"),
        ("EXPORT_EMAILS", "mc_service"),
        ("MAILS", "mc_service"),
        ("ENDPOINTS", "mc_admin"),
    ] {
        assert_eq!(report.proven[statement], role, "{statement}");
    }
}

#[tokio::test]
async fn no_table_is_open_and_the_login_has_no_way_around() {
    let world = world().await;
    policies::tables(&world.database, "notifications").await;
}

#[tokio::test]
async fn staff_have_a_feed_like_everybody_and_see_no_other() {
    use sqlx::Connection as _;
    let world = world().await;
    let mut login = sqlx::PgConnection::connect(&world.database.url).await.unwrap();
    sqlx::raw_sql("SET ROLE mc_admin; SET app.user_id = '7'").execute(&mut login).await.unwrap();
    for table in ["feeds", "notifications", "preferences"] {
        let counting = sqlx::AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
        let seen: i64 = sqlx::query_scalar(counting).fetch_one(&mut login).await.unwrap();
        assert_eq!(seen, 0, "{table}");
    }
    // Without a role there is nothing at all.
    let mut nobody = sqlx::PgConnection::connect(&world.database.url).await.unwrap();
    for table in ["feeds", "notifications", "preferences", "emails", "mailbox", "outbox", "inbox"] {
        let counting = sqlx::AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
        let refused = sqlx::query(counting).fetch_one(&mut nobody).await.unwrap_err();
        // A schema that one may not use is not even searched.
        let code = refused.as_database_error().unwrap().code().unwrap().into_owned();
        assert!(["42501", "42P01"].contains(&&*code), "{table}: {refused}");
    }
    // What nobody may write, staff may not either.
    for statement in [
        "UPDATE notifications SET title = 'x'",
        "UPDATE notifications SET user_id = 7",
        "INSERT INTO notifications (user_id, seq, kind, title, body, dedupe_key) VALUES (7, 1, 'x', 'x', 'x', 'x')",
        "INSERT INTO feeds (user_id) VALUES (8)",
        "DELETE FROM feeds",
        "SELECT FROM emails",
        "SELECT FROM mailbox",
    ] {
        let refused = sqlx::raw_sql(statement).execute(&mut login).await.unwrap_err();
        assert_eq!(refused.as_database_error().unwrap().code().unwrap(), "42501", "{statement}");
    }
}
