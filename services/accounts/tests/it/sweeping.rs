//! What has expired goes by itself, and what has not stays.

use std::time::Duration;

use sqlx::AssertSqlSafe;
use testkit::eventually;

use crate::app::{ANA, BIA, TestApp, Who, wrong_credentials};

/// Each table, what makes a row a year old, and what such a row looks like.
const TABLES: [(&str, &str, &str); 6] = [
    ("throttles", "expires_at = now() - interval '1 year'", "expires_at < now()"),
    ("mail_tokens", "expires_at = now() - interval '1 year'", "expires_at < now()"),
    ("refresh_tokens", "expires_at = now() - interval '1 year'", "expires_at < now()"),
    ("revocations", "until = now() - interval '1 year'", "until < now()"),
    ("devices", "last_seen_at = now() - interval '2 years'", "last_seen_at < now() - interval '1 year'"),
    ("sessions", "expires_at = now() - interval '1 year'", "expires_at < now()"),
];

async fn count(app: &TestApp, table: &str, condition: &str) -> i64 {
    let count = AssertSqlSafe(format!("SELECT count(*) FROM {table} WHERE {condition}"));
    sqlx::query_scalar(count).fetch_one(&mut app.admin().await).await.unwrap()
}

/// Rows in all of the tables, by one user.
async fn traces(app: &TestApp, email: &str) {
    let login = app.signed_in(email).await;
    app.another_session(email).await;
    app.logout(Who::of(&login), Default::default()).await.unwrap();
    app.login(Who::Service, wrong_credentials(email)).await.unwrap_err();
}

#[tokio::test]
async fn expired_rows_go_and_the_others_stay() {
    let app = TestApp::start().await;
    traces(&app, ANA).await;
    for (table, aging, _) in TABLES {
        let aging = AssertSqlSafe(format!("UPDATE {table} SET {aging}"));
        let aged = sqlx::query(aging).execute(&mut app.admin().await).await.unwrap();
        assert!(aged.rows_affected() > 0, "{table}");
    }
    traces(&app, BIA).await;

    // A process that has not swept yet.
    let _sweeper = TestApp::start_with(|config| config.database_url = app.database.url.clone()).await;
    for (table, _, expired) in TABLES {
        let none_left = async || (count(&app, table, expired).await == 0).then_some(());
        eventually(Duration::from_secs(30), &format!("{table} is swept"), none_left).await;
        assert!(count(&app, table, "true").await > 0, "{table}: the living stay");
    }
}
