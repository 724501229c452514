//! What lists and counts read: one user's rows through an index, however many other users there are.

use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use crate::app::TestApp;

/// A hundred users with five hundred rows of each kind; reports go from each to the next.
const MANY: &str = "
INSERT INTO professionals (user_id, name, specialty)
SELECT u, 'P' || n, 'barista' FROM generate_series(1, 100) u, generate_series(1, 500) n;
INSERT INTO events (user_id, title, kind, starts_at, ends_at)
SELECT u, 'E', 'aula', '2026-01-01Z'::timestamptz + n * interval '1 hour', '2026-01-01Z'::timestamptz + (n + 1) * interval '1 hour'
  FROM generate_series(1, 100) u, generate_series(1, 500) n;
INSERT INTO reports (sender_id, receiver_id, title, scores)
SELECT u, 1 + u % 100, 'R', array_fill(80::smallint, ARRAY[10]) FROM generate_series(1, 100) u, generate_series(1, 500) n;
ANALYZE professionals, events, reports, report_participants";

#[tokio::test]
async fn no_question_reads_other_users_rows() {
    let app = TestApp::start().await;
    app.sql(MANY).await;
    let mut user = PgConnection::connect(&app.database.url).await.unwrap();
    sqlx::raw_sql("SELECT set_config('role', 'mc_user', false), set_config('app.user_id', '42', false)")
        .execute(&mut user)
        .await
        .unwrap();
    let statements = agenda::statements();
    let sql = |name: &str| statements.iter().find(|(found, _)| *found == name).unwrap().1;
    // Prepared statements may go on with a plan for whatever parameters.
    for mode in ["force_custom_plan", "force_generic_plan"] {
        for (name, arguments) in [
            ("LIST_EVENTS", "(NULL, NULL, NULL, NULL, 20, 0)"),
            ("LIST_EVENTS", "('2026-01-03Z', '2026-01-10Z', 'aula', 'scheduled', 20, 20)"),
            ("COUNT_EVENTS", "(NULL, NULL, NULL, NULL)"),
            ("GET_EVENT", "(20600)"),
            ("LIST_PROFESSIONALS", "(NULL, 20, 0)"),
            ("COUNT_PROFESSIONALS", "(NULL)"),
            ("LIST_REPORTS", "(NULL, 20, 0)"),
            ("LIST_REPORTS", "('sender', 20, 0)"),
            ("COUNT_REPORTS", "('receiver')"),
            ("GET_REPORT", "(20600)"),
            ("LOCK_REPORT", "(20600)"),
        ] {
            let explain = format!(
                "SET plan_cache_mode = {mode}; PREPARE asked AS {}; EXPLAIN (ANALYZE, TIMING OFF) EXECUTE asked{arguments}",
                sql(name)
            );
            let plan: Vec<String> = sqlx::raw_sql(AssertSqlSafe(explain))
                .fetch_all(&mut user)
                .await
                .unwrap()
                .iter()
                .map(|row| sqlx::Row::get(row, 0))
                .collect();
            let plan = plan.join("\n");
            assert!(!plan.contains("Seq Scan"), "{name}{arguments} {mode}:\n{plan}");
            // At most what the user has of it: 500 rows, of reports 1,000.
            let removed =
                plan.lines().filter_map(|line| line.trim().strip_prefix("Rows Removed by Filter: "));
            let removed: u64 = removed.map(|count| count.parse::<u64>().unwrap()).sum();
            assert!(removed <= 1_000, "{name}{arguments} {mode}:\n{plan}");
            sqlx::raw_sql("DEALLOCATE asked").execute(&mut user).await.unwrap();
        }
    }
}
