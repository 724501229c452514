//! What the schema promises by itself.

use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use crate::app::TestApp;

const TABLES: [&str; 7] =
    ["events", "idempotency_keys", "inbox", "outbox", "professionals", "report_participants", "reports"];

#[tokio::test]
async fn every_table_has_forced_row_level_security_and_an_owner_who_cannot_log_in() {
    let app = TestApp::start().await;
    let tables: Vec<(String, bool, bool, String, bool)> = sqlx::query_as(
        "SELECT c.relname::text, c.relrowsecurity, c.relforcerowsecurity, r.rolname::text, r.rolcanlogin
           FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner
          WHERE c.relnamespace = 'agenda'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm') ORDER BY 1",
    )
    .fetch_all(&mut app.admin().await)
    .await
    .unwrap();
    assert_eq!(tables.iter().map(|table| table.0.as_str()).collect::<Vec<_>>(), TABLES);
    for (table, enabled, forced, owner, owner_logs_in) in tables {
        assert!(enabled && forced, "{table}");
        assert_eq!((owner.as_str(), owner_logs_in), ("mc_owner", false), "{table}");
    }
}

#[tokio::test]
async fn users_have_the_rights_they_need_and_nobody_else_has_any() {
    let app = TestApp::start().await;
    let grants: Vec<String> = sqlx::query_scalar(
        "SELECT concat_ws(' ', grantee, table_name, string_agg(privilege_type, ',' ORDER BY privilege_type))
           FROM information_schema.role_table_grants
          WHERE table_schema = 'agenda' AND grantee NOT IN ('mc_owner', 'mc_service')
          GROUP BY grantee, table_name ORDER BY 1",
    )
    .fetch_all(&mut app.admin().await)
    .await
    .unwrap();
    assert_eq!(
        grants,
        [
            "mc_user events DELETE,INSERT,SELECT,UPDATE",
            "mc_user idempotency_keys DELETE,INSERT,SELECT,UPDATE",
            "mc_user outbox INSERT",
            "mc_user professionals DELETE,INSERT,SELECT,UPDATE",
            "mc_user report_participants SELECT",
            // UPDATE of some columns only: a report stays between the two it was written for.
            "mc_user reports DELETE,INSERT,SELECT",
        ]
    );
    let service: Vec<String> = sqlx::query_scalar(
        "SELECT DISTINCT privilege_type::text FROM information_schema.role_table_grants
          WHERE table_schema = 'agenda' AND grantee = 'mc_service' ORDER BY 1",
    )
    .fetch_all(&mut app.admin().await)
    .await
    .unwrap();
    assert_eq!(service, ["DELETE", "INSERT", "SELECT", "UPDATE"]);
}

#[tokio::test]
async fn the_function_with_the_owners_rights_is_the_one_that_was_reviewed() {
    let app = TestApp::start().await;
    let functions: Vec<(String, bool, Option<Vec<String>>)> = sqlx::query_as(
        "SELECT proname::text, has_function_privilege('public', oid, 'EXECUTE'), proconfig FROM pg_proc
          WHERE prosecdef AND pronamespace IN ('agenda'::regnamespace, 'app'::regnamespace) ORDER BY 1",
    )
    .fetch_all(&mut app.admin().await)
    .await
    .unwrap();
    let pinned = Some(vec!["search_path=pg_catalog".to_owned()]);
    assert_eq!(functions, [("keep_report_participants".to_owned(), false, pinned)]);
}

#[tokio::test]
async fn a_user_cannot_write_in_anothers_name_whatever_the_code_above_does() {
    let app = TestApp::start().await;
    app.sql(
        "INSERT INTO professionals (user_id, name, specialty) VALUES (42, 'P', 'barista'), (43, 'P', 'barista');
         INSERT INTO events (user_id, title, kind, starts_at, ends_at) VALUES (42, 'E', 'aula', '2026-01-01Z', '2026-01-02Z');
         INSERT INTO reports (sender_id, receiver_id, title, scores)
         VALUES (42, 43, 'R', array_fill(80::smallint, ARRAY[10])), (43, 44, 'R', array_fill(80::smallint, ARRAY[10]))",
    )
    .await;
    let mut bia = PgConnection::connect(&app.database.url).await.unwrap();
    sqlx::raw_sql("SELECT set_config('role', 'mc_user', false), set_config('app.user_id', '43', false)")
        .execute(&mut bia)
        .await
        .unwrap();
    for denied in [
        "INSERT INTO professionals (user_id, name, specialty) VALUES (42, 'Q', 'barista')",
        "INSERT INTO events (user_id, title, kind, starts_at, ends_at) VALUES (42, 'E', 'aula', now(), now() + interval '1 hour')",
        "INSERT INTO reports (sender_id, receiver_id, title, scores) VALUES (42, 43, 'R', array_fill(80::smallint, ARRAY[10]))",
        "INSERT INTO report_participants VALUES (43, 'receiver', now(), 1)",
        "UPDATE professionals SET user_id = 42",
        "UPDATE reports SET sender_id = 42",
        "UPDATE reports SET receiver_id = 42",
        "DELETE FROM report_participants",
        "SELECT * FROM outbox",
        "SELECT * FROM inbox",
        "TRUNCATE events",
    ] {
        let refused = sqlx::raw_sql(AssertSqlSafe(denied)).execute(&mut bia).await.unwrap_err();
        let code = refused.as_database_error().unwrap().code().unwrap().into_owned();
        assert_eq!(code, "42501", "{denied}");
    }
    // Her own rows are all that a statement without a condition reaches; received reports she may only read.
    for (statement, rows) in [
        ("UPDATE professionals SET name = 'Mine'", 1),
        ("UPDATE events SET title = 'Mine'", 0),
        ("DELETE FROM events", 0),
        ("UPDATE reports SET title = 'Mine'", 1),
        ("SELECT id FROM reports", 2),
        ("DELETE FROM reports", 1),
        ("SELECT report_id FROM report_participants", 1),
    ] {
        let done = sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut bia).await.unwrap();
        assert_eq!(done.rows_affected(), rows, "{statement}");
    }
}

#[tokio::test]
async fn the_trigger_keeps_a_list_entry_per_party() {
    let app = TestApp::start().await;
    app.sql(
        "INSERT INTO reports (sender_id, receiver_id, title, scores)
         VALUES (42, 43, 'R', array_fill(80::smallint, ARRAY[10])), (42, 44, 'S', array_fill(80::smallint, ARRAY[10]))",
    )
    .await;
    let entries = async || -> Vec<String> {
        sqlx::query_scalar(
            "SELECT concat_ws(' ', report_id, role, user_id) FROM report_participants ORDER BY 1",
        )
        .fetch_all(&mut app.admin().await)
        .await
        .unwrap()
    };
    assert_eq!(entries().await, ["1 receiver 43", "1 sender 42", "2 receiver 44", "2 sender 42"]);
    app.sql("UPDATE reports SET sender_id = NULL WHERE id = 1; UPDATE reports SET receiver_id = NULL WHERE id = 2").await;
    assert_eq!(entries().await, ["1 receiver 43", "2 sender 42"]);
    app.sql("DELETE FROM reports WHERE id = 1").await;
    assert_eq!(entries().await, ["2 sender 42"]);
    for refused in [
        "UPDATE reports SET sender_id = NULL WHERE id = 2",
        "UPDATE reports SET receiver_id = 42 WHERE id = 2",
        "UPDATE reports SET scores = array_fill(101::smallint, ARRAY[10]) WHERE id = 2",
        "UPDATE reports SET scores = array_fill(1::smallint, ARRAY[9]) WHERE id = 2",
    ] {
        assert!(sqlx::raw_sql(refused).execute(&mut app.admin().await).await.is_err(), "{refused}");
    }
}
