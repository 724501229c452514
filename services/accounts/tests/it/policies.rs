//! What the tables show and allow to each role, whatever the code above them does.

use sqlx::{AssertSqlSafe, PgConnection};

use crate::app::{ANA, BIA, TestApp, Who, wrong_credentials};

/// What a role finds in a table of which two users have rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sees {
    Nothing,
    /// The rows of the user that it acts for.
    Own,
    Everything,
}

use Sees::{Everything, Nothing, Own};

/// Table; what users and admins see of it. Anonymous callers and the bare login see nothing of anything.
const TABLES: [(&str, Sees, Sees); 15] = [
    ("users", Own, Everything),
    ("sessions", Own, Everything),
    ("refresh_tokens", Nothing, Everything),
    ("revocations", Own, Everything),
    ("second_factors", Nothing, Nothing),
    ("devices", Nothing, Nothing),
    ("throttles", Nothing, Nothing),
    ("mail_tokens", Nothing, Nothing),
    ("mail_jobs", Nothing, Nothing),
    ("addresses", Own, Nothing),
    ("data_jobs", Own, Nothing),
    ("audit_log", Nothing, Nothing),
    ("audit_chain", Nothing, Everything),
    ("idempotency_keys", Own, Own),
    ("outbox", Nothing, Nothing),
];

const DENIED: &str = "42501";

/// Ana and Bia with rows in every table; answers their ids.
async fn people() -> (TestApp, i64, i64) {
    let app = TestApp::start().await;
    let mut ids = Vec::new();
    for email in [ANA, BIA] {
        let login = app.signed_in(email).await;
        app.another_session(email).await;
        app.sql("UPDATE users SET email_verified_at = now()").await;
        app.enrol_totp(Who::of(&login), Default::default()).await.unwrap();
        app.logout(Who::of(&login), Default::default()).await.unwrap();
        app.login(Who::Service, wrong_credentials(email)).await.unwrap_err();
        ids.push(login.user.unwrap().id);
    }
    app.sql(
        "INSERT INTO addresses (user_id, recipient, line1, city, state, postal_code)
         SELECT id, name, 'Rua A, 1', 'Santos', 'SP', '11010000' FROM users;
         INSERT INTO data_jobs (id, user_id, kind) SELECT gen_random_uuid(), id, 'export' FROM users;
         INSERT INTO audit_log (actor_role, action, user_id) SELECT 'admin', 'lock', id FROM users;
         INSERT INTO audit_chain (id, at, actor_role, action, entity, entity_id, request_id, prev_sha256, sha256)
         SELECT id, now(), 'admin', 'user.locked', 'user', id, '', sha256('x'), sha256(id::text::bytea) FROM users;
         INSERT INTO idempotency_keys (scope, route, key, request_sha256, locked_until, request_id)
         SELECT 'user:' || id, 'PATCH /me', 'k', sha256('x'), now(), 'r' FROM users",
    )
    .await;
    (app, ids[0], ids[1])
}

async fn acting_as(app: &TestApp, role: &str, user: i64) -> PgConnection {
    use sqlx::Connection as _;
    let mut connection = PgConnection::connect(&app.database.url).await.unwrap();
    let identity = format!("SET ROLE {role}; SET app.user_id = '{user}'");
    sqlx::raw_sql(AssertSqlSafe(identity)).execute(&mut connection).await.unwrap();
    connection
}

/// One column at least: some may not see all of them.
async fn rows(connection: &mut PgConnection, table: &str) -> Result<i64, String> {
    let column = match table {
        "users" | "sessions" | "addresses" | "data_jobs" | "audit_chain" => "id",
        "revocations" => "seq",
        "throttles" | "idempotency_keys" => "key",
        _ => "user_id",
    };
    let column = if table == "outbox" { "id" } else { column };
    let counting = AssertSqlSafe(format!("SELECT count({column}) FROM {table}"));
    sqlx::query_scalar(counting).fetch_one(connection).await.map_err(|error| code(&error))
}

fn code(error: &sqlx::Error) -> String {
    error.as_database_error().unwrap().code().unwrap().into_owned()
}

#[tokio::test]
async fn every_role_sees_what_is_its_business() {
    let (app, ana, _) = people().await;
    for (table, users, admins) in TABLES {
        let all = rows(&mut acting_as(&app, "mc_service", 0).await, table).await.unwrap();
        assert!(all >= 2, "{table}");
        for (role, sees) in [("mc_anon", Nothing), ("mc_user", users), ("mc_admin", admins)] {
            let seen = rows(&mut acting_as(&app, role, ana).await, table).await;
            match sees {
                Nothing => assert_eq!(seen, Err(DENIED.into()), "{role} {table}"),
                Own => assert_eq!(seen, Ok(all / 2), "{role} {table}"),
                Everything => assert_eq!(seen, Ok(all), "{role} {table}"),
            }
        }
        // A user whom nobody named is nobody.
        if users == Own {
            assert_eq!(rows(&mut acting_as(&app, "mc_user", 0).await, table).await, Ok(0), "{table}");
        }
    }
}

#[tokio::test]
async fn hashes_and_roles_are_out_of_reach_for_users_and_hashes_for_admins() {
    let (app, ana, bia) = people().await;
    for (role, statement) in [
        ("mc_user", "SELECT password_hash FROM users"),
        ("mc_admin", "SELECT password_hash FROM users"),
        ("mc_admin", "SELECT token_sha256 FROM refresh_tokens"),
        ("mc_user", "SELECT locked_reason FROM users"),
        ("mc_user", "UPDATE users SET role = 'admin'"),
        ("mc_user", "UPDATE users SET password_hash = '$argon2id$'"),
        ("mc_user", "UPDATE users SET email = 'x@y.zz'"),
        ("mc_user", "UPDATE users SET locked_at = NULL"),
        ("mc_admin", "UPDATE users SET password_hash = '$argon2id$'"),
        ("mc_admin", "UPDATE users SET totp_enabled = false"),
        ("mc_user", "UPDATE sessions SET expires_at = now() + interval '9 years'"),
        ("mc_user", "UPDATE sessions SET auth_at = now()"),
        ("mc_user", "DELETE FROM revocations"),
        ("mc_admin", "DELETE FROM revocations"),
        ("mc_admin", "DELETE FROM users"),
        ("mc_admin", "DELETE FROM audit_log"),
        ("mc_service", "UPDATE audit_log SET reason = 'x'"),
        ("mc_admin", "INSERT INTO audit_log (actor_role, action, user_id) VALUES ('admin', 'lock', 1)"),
        ("mc_service", "INSERT INTO audit_log (actor_role, action, user_id) VALUES ('admin', 'lock', 1)"),
        ("mc_user", "INSERT INTO audit_chain SELECT FROM audit_chain"),
        ("mc_admin", "UPDATE audit_chain SET after = NULL"),
        ("mc_service", "DELETE FROM audit_chain"),
        ("mc_service", "DELETE FROM audit_log"),
        ("mc_user", "UPDATE data_jobs SET state = 'done'"),
    ] {
        let mut connection = acting_as(&app, role, ana).await;
        let refused = sqlx::raw_sql(statement).execute(&mut connection).await.unwrap_err();
        assert_eq!(code(&refused), DENIED, "{role}: {statement}");
    }
    // Rights that there are reach no foreign row.
    let mut user = acting_as(&app, "mc_user", ana).await;
    for statement in [
        "UPDATE users SET name = 'x' WHERE id = $1",
        "UPDATE sessions SET revoked_at = now(), revoked_for = 'revoked' WHERE user_id = $1",
        "DELETE FROM addresses WHERE user_id = $1",
    ] {
        let changed = sqlx::query(statement).bind(bia).execute(&mut user).await.unwrap();
        assert_eq!(changed.rows_affected(), 0, "{statement}");
    }
    for statement in [
        "INSERT INTO revocations (user_id, session_id, until) SELECT $1, gen_random_uuid(), now()",
        "INSERT INTO revocations (user_id, role, until) SELECT $1, 'customer', now()",
        "INSERT INTO mail_jobs (id, user_id, template, expires_at) SELECT gen_random_uuid(), $1, 'account_exists', now()",
    ] {
        let refused = sqlx::query(statement).bind(bia).execute(&mut user).await.unwrap_err();
        assert_eq!(code(&refused), DENIED, "{statement}");
    }
}

#[tokio::test]
async fn a_revocation_cannot_name_another_users_session() {
    let (app, ana, bia) = people().await;
    let mut user = acting_as(&app, "mc_user", ana).await;
    let foreign: uuid::Uuid = sqlx::query_scalar("SELECT id FROM sessions WHERE user_id = $1 LIMIT 1")
        .bind(bia)
        .fetch_one(&mut app.admin().await)
        .await
        .unwrap();
    // The same answer for a session that there is and for one that there is not.
    for session in [foreign, uuid::Uuid::now_v7()] {
        let insert = "INSERT INTO revocations (user_id, session_id, until) VALUES ($1, $2, now())";
        let refused = sqlx::query(insert).bind(ana).bind(session).execute(&mut user).await.unwrap_err();
        assert_eq!(code(&refused), "23503");
    }
}
