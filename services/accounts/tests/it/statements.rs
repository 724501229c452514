//! Every statement of the service, run by those who must not get anything from it.

use testkit::policies::{self, Params};

const OWNER: &str = "1001";
/// Somebody whose rows are in the other state: not verified, and with a second factor.
const OTHER: &str = "1005";
const STRANGER: i64 = 9_999_999;
const SESSION: &str = "00000000-0000-7000-8000-000000000001";
const FRESH_ID: &str = "00000000-0000-7000-8000-00000000000f";
const EARLY: &str = "2000-01-01T00:00Z";
const LATE: &str = "2100-01-01T00:00Z";

/// Rows in every table, each in a state in which some statement finds it.
const FIXTURE: &str = "
    INSERT INTO accounts.users (id, email, name, role, password_hash, email_verified_at, totp_enabled) VALUES
      (1001, 'carla@example.com', 'Carla', 'customer', '$argon2id$hash', now(), false),
      (1003, 'helena@shop.test',  'Helena', 'admin',   NULL, now(), false),
      (1005, 'eva@example.com',   'Eva',   'customer', '$argon2id$hash', NULL, true);
    INSERT INTO accounts.sessions (id, user_id, created_at, last_used_at, auth_at, expires_at)
    SELECT format('00000000-0000-7000-8000-%s', lpad(n::text, 12, '0'))::uuid, 1001, now(), now(), now(), now() + interval '1 day'
      FROM generate_series(1, 100) n;
    INSERT INTO accounts.sessions (id, user_id, created_at, last_used_at, auth_at, expires_at, revoked_at, revoked_for) VALUES
      ('00000000-0000-7000-8000-000000000200', 1001, now(), now(), now(), now(), now(), 'logout');
    INSERT INTO accounts.refresh_tokens (token_sha256, session_id, user_id, created_at, expires_at, used_at, used_by) VALUES
      (decode(repeat('11', 32), 'hex'), '00000000-0000-7000-8000-000000000001', 1001, now(), now() + interval '1 day', NULL, NULL),
      (decode(repeat('44', 32), 'hex'), '00000000-0000-7000-8000-000000000001', 1001, now(), now() + interval '1 day', now(), decode(repeat('00', 32), 'hex'));
    INSERT INTO accounts.revocations (user_id, session_id, until) VALUES
      (1001, '00000000-0000-7000-8000-000000000001', now() + interval '1 day');
    INSERT INTO accounts.second_factors (user_id, secret, pending) VALUES
      (1001, decode(repeat('11', 32), 'hex'), decode(repeat('22', 32), 'hex'));
    INSERT INTO accounts.devices (user_id, device_sha256, created_at, last_seen_at)
    SELECT 1001, sha256(n::text::bytea), now(), now() + n * interval '1 second' FROM generate_series(1, 25) n;
    INSERT INTO accounts.throttles (key, attempts, next_at, expires_at) VALUES (decode(repeat('11', 32), 'hex'), 1, now(), now());
    INSERT INTO accounts.mail_tokens (token_sha256, user_id, purpose, created_at, expires_at) VALUES
      (decode(repeat('11', 32), 'hex'), 1001, 'password_reset', now(), now() + interval '1 day');
    INSERT INTO accounts.mail_jobs (id, user_id, template, expires_at) VALUES
      ('00000000-0000-7000-8000-000000000001', 1001, 'password_changed', now() + interval '1 day');
    INSERT INTO accounts.addresses (id, user_id, recipient, line1, city, state, postal_code, is_default) VALUES
      (1001, 1001, 'Carla', 'Rua A, 1', 'Santos', 'SP', '11010000', true);
    INSERT INTO accounts.data_jobs (id, user_id, kind, state, finished_at) VALUES
      ('00000000-0000-7000-8000-000000000001', 1001, 'export', 'running', NULL),
      ('00000000-0000-7000-8000-000000000002', 1001, 'export', 'done', now());
";

fn params() -> Params {
    let hash = |byte: &str| format!("\\x{}", byte.repeat(32));
    let (token, used, fresh) = (hash("11"), hash("44"), hash("55"));
    let password = "$argon2id$hash";
    Params::new(1_001, STRANGER)
        .values("bigint", [OWNER, OTHER, "0"])
        .values("bytea", [token.clone()])
        .values("citext", ["carla@example.com"])
        .values("citext[]", ["{carla@example.com}"])
        .values("character", ["SP"])
        .values("timestamp with time zone", [EARLY, LATE])
        .values("text", ["password_reset", "x", password])
        .with("REGISTER", ["new@example.com", "N", "en", password, EARLY])
        .with("FOUND", ["new@example.com", "N", "en", "staff", password, EARLY])
        .with("INSERT_ADDRESS", [OWNER, "L", "R", "A", "B", "D", "C", "SP", "01310100", "true"])
        .with("UPDATE_ADDRESS", [OWNER, OWNER, "L", "R", "A", "B", "D", "C", "SP", "01310100", "true"])
        .with("USERS", ["customer", "%carla%", "false", "10", "0"])
        .with("USER_COUNT", ["customer", "%carla%", "false"])
        .with("UPDATE_ROLE", [OWNER, "staff"])
        .with("UPDATE_PROFILE", [OWNER, "N", "en"])
        .with("INSERT_AUDIT", [OWNER, "admin", "role", OWNER, "{}", "{}", "x"])
        .with("INSERT_DATA_JOB", [FRESH_ID, OWNER, "erasure"])
        .with("DATA_JOB_UNDER_WAY", [OWNER, "export"])
        .with("CLAIM_DATA_JOB", ["60", "export"])
        .with("ASK_FOR_MAIL", [FRESH_ID, OWNER, "password_reset", EARLY, LATE])
        .with("INSERT_MAIL_JOB", [FRESH_ID, OWNER, "password_changed", EARLY, LATE])
        .with("INSERT_SEALED_MAIL_JOB", [FRESH_ID, OWNER, "account_erased", EARLY, LATE, &token])
        .with("LIMIT_ROLE", [OWNER, "staff", LATE])
        .with("BEGIN", [FRESH_ID, OWNER, "x", "x", EARLY, LATE])
        .with("END", [OWNER, SESSION, EARLY, "logout"])
        .with("END_ALL", [OWNER, SESSION, EARLY, "logout"])
        .with("HOLD", [OTHER, password])
        .with("SESSION_USED", [SESSION, EARLY, "x", "x"])
        .with("USED_REFRESH_TOKEN", [&used, EARLY, &fresh])
        .with("ISSUE_REFRESH_TOKEN", [&fresh, SESSION, OWNER, EARLY, LATE])
        .with("ISSUE_MAIL_TOKEN", [&fresh, OWNER, "password_reset", EARLY, LATE])
        .with("RESERVE", [&token, LATE, "1", "1", "1", "1"])
}

#[tokio::test]
async fn no_statement_gives_strangers_anything() {
    let database = testkit::database("accounts", &accounts::MIGRATOR).await;
    sqlx::raw_sql(FIXTURE).execute(&mut database.admin().await).await.unwrap();
    policies::walk(&database, "accounts", accounts::statements(), &params()).await.all_proven_but(&[]);
}

#[tokio::test]
async fn no_table_has_a_way_around_its_policies() {
    let database = testkit::database("accounts", &accounts::MIGRATOR).await;
    policies::tables(&database, "accounts").await;
}
