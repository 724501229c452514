//! Logins: what a right one gives, and that wrong ones are all alike.

use std::time::Duration;

use ed25519_dalek::pkcs8::EncodePrivateKey as _;
use proto::accounts::v1::*;
use rls::{Caller, UserId, Verifier};
use testkit::eventually;
use tonic::Code;

use crate::app::{
    ANA, BIA, SECRET_KEY, TestApp, Who, client, credentials, everything_said, now_s, refusal,
    wrong_credentials,
};

fn verifier(app: &TestApp) -> Verifier {
    let (issuer, audience) = (testkit::jwt::ISSUER, testkit::jwt::AUDIENCE);
    Verifier::from_jwks_file(&app.keys.jwks_file, issuer, audience, rls::Environment::Development).unwrap()
}

#[tokio::test]
async fn a_login_begins_a_session_with_tokens_that_others_can_verify() {
    let app = TestApp::start().await;
    let id = app.registered(ANA).await;
    let answer = app.login(Who::Service, credentials(" ANA@example.com")).await.unwrap();
    let tokens = answer.tokens.unwrap();
    assert_eq!(tokens.expires_in_s, 300);
    assert_eq!(tokens.refresh_token.len(), 43);
    assert_eq!(answer.device.len(), 43);

    let authentic = verifier(&app).token(&tokens.access_token).unwrap();
    assert_eq!(authentic.caller, Caller::User(UserId(id)));
    assert_eq!(authentic.session_id, tokens.session_id);
    assert_eq!(authentic.expires_at, authentic.issued_at + 300);
    assert!((now_s() - authentic.auth_time).abs() <= 5, "proved just now");

    assert_eq!(app.count("SELECT count(*) FROM sessions").await, 1);
    let announced = "SELECT count(*) FROM outbox WHERE aggregate = 'session' AND subject LIKE 'mc.accounts.user.logged_in.%' AND tags = '{}'";
    assert_eq!(app.count(announced).await, 1);
    let kept = "SELECT count(*) FROM refresh_tokens WHERE length(token_sha256) = 32 AND expires_at - created_at = '7 days'";
    assert_eq!(app.count(kept).await, 1);
}

/// X14. The time is the hash's, so the same number of hashes is the same time.
#[tokio::test]
async fn unknown_wrong_locked_and_erased_are_refused_alike_by_the_same_work() {
    let app = TestApp::start().await;
    app.registered(ANA).await;
    app.registered(BIA).await;
    app.registered("caio@example.com").await;
    app.sql("UPDATE users SET locked_at = now() WHERE email = 'bia@example.com';
             UPDATE users SET deleted_at = now(), password_hash = NULL, email = 'erased-3@erased.invalid' WHERE email = 'caio@example.com'")
        .await;

    let mut said = Vec::new();
    for request in [
        wrong_credentials("nobody@example.com"),
        wrong_credentials(ANA),
        credentials(BIA),
        credentials("caio@example.com"),
    ] {
        let before = app.metric("accounts_password_hashes_total").await;
        said.push(everything_said(app.login(Who::Service, request).await));
        assert_eq!(app.metric("accounts_password_hashes_total").await, before + 1);
    }
    assert!(said[0].contains("invalid_credentials"), "{}", said[0]);
    assert!(said.iter().all(|other| *other == said[0]), "{said:#?}");
    assert_eq!(app.count("SELECT count(*) FROM sessions").await, 0);
    assert_eq!(app.metric("accounts_logins_refused_total").await, 4);
}

/// X30.
#[tokio::test]
async fn nothing_that_a_client_brings_becomes_part_of_its_session() {
    let app = TestApp::start().await;
    app.registered(ANA).await;
    let planted = app.signed_in(BIA).await.device;
    let with_device = |device: &str| LoginRequest {
        client: Some(Client { device: Some(device.to_owned()), ..client() }),
        ..credentials(ANA)
    };
    let first = app.login(Who::Service, with_device(&planted)).await.unwrap();
    assert_ne!(first.device, planted, "a device that Ana has not signed in on is none of hers");
    let again = app.login(Who::Service, with_device(&first.device)).await.unwrap();
    assert_eq!(again.device, first.device, "her own stays");
    assert_ne!(again.tokens.unwrap().session_id, first.tokens.unwrap().session_id);
}

#[tokio::test]
async fn what_is_malformed_is_refused_before_anything_is_computed() {
    let app = TestApp::start().await;
    app.registered(ANA).await;
    let before = app.metric("accounts_password_hashes_total").await;
    let refused = async |request| {
        let (code, _, field) = refusal(app.login(Who::Service, request).await);
        assert_eq!(code, Code::InvalidArgument);
        field
    };
    assert_eq!(refused(credentials("ana")).await, "email");
    assert_eq!(refused(LoginRequest { password: String::new(), ..credentials(ANA) }).await, "password");
    assert_eq!(refused(LoginRequest { password: "x".repeat(129), ..credentials(ANA) }).await, "password");
    assert_eq!(
        refused(LoginRequest { totp_code: Some("12345".into()), ..credentials(ANA) }).await,
        "totp_code"
    );
    assert_eq!(app.metric("accounts_password_hashes_total").await, before);
    assert_eq!(
        app.count("SELECT count(*) FROM throttles WHERE attempts > 0").await,
        1,
        "of the registration"
    );
}

#[tokio::test]
async fn a_user_has_a_hundred_sessions_at_most_and_the_oldest_goes() {
    let app = TestApp::start().await;
    let id = app.registered(ANA).await;
    sqlx::query(
        "INSERT INTO sessions (id, user_id, created_at, last_used_at, auth_at, expires_at)
         SELECT gen_random_uuid(), $1, now(), now() - n * interval '1 minute', now(), now() + interval '30 days'
           FROM generate_series(1, 100) n",
    )
    .bind(id)
    .execute(&mut app.admin().await)
    .await
    .unwrap();
    app.another_session(ANA).await;
    assert_eq!(app.count("SELECT count(*) FROM sessions WHERE revoked_at IS NULL").await, 100);
    let gone = "SELECT count(*) FROM sessions WHERE revoked_for = 'too_many' AND last_used_at < now() - interval '99 minutes'";
    assert_eq!(app.count(gone).await, 1);
    assert_eq!(app.count("SELECT count(*) FROM revocations").await, 1);
}

#[tokio::test]
async fn the_signing_key_is_replaced_while_the_service_runs() {
    let app = TestApp::start().await;
    let before = app.signed_in(ANA).await.tokens.unwrap().access_token;
    let verifier = verifier(&app);
    verifier.token(&before).unwrap();

    let key = ed25519_dalek::SigningKey::from_bytes(&[42; 32]);
    let pem = key.to_pkcs8_pem(Default::default()).unwrap();
    std::fs::write(&app.keys.signing_key_file, pem.as_bytes()).unwrap();
    let signed = rls::SigningKey::new(key);
    let kid = format!(r#""kid":"{}""#, signed.thumbprint());
    let after = eventually(Duration::from_secs(20), "tokens are signed by the new key", async || {
        let token = app.another_session(ANA).await.tokens.unwrap().access_token;
        header(&token).contains(&kid).then_some(token)
    })
    .await;
    assert!(verifier.token(&after).is_err(), "the new key is not in the key set yet");
    assert!(verifier.token(&before).is_ok(), "the old one still is");
}

fn header(token: &str) -> String {
    use base64::Engine as _;
    let part = token.split('.').next().unwrap();
    String::from_utf8(base64::prelude::BASE64_URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

#[tokio::test]
async fn a_password_is_hashed_anew_when_the_secret_was_replaced() {
    let old = TestApp::start().await;
    old.registered(ANA).await;
    let new = TestApp::start_with(|config| {
        config.database_url = old.database.url.clone();
        config.secret_key = [8; 32];
        config.previous_secret_key = Some(SECRET_KEY);
    })
    .await;
    let hash = "SELECT count(DISTINCT password_hash) FROM users";
    assert_eq!(old.count(hash).await, 1);
    let stored = async || -> String {
        sqlx::query_scalar("SELECT password_hash FROM users").fetch_one(&mut old.admin().await).await.unwrap()
    };
    let first = stored().await;
    new.login(Who::Service, credentials(ANA)).await.unwrap();
    let second = stored().await;
    assert_ne!(first, second);
    new.login(Who::Service, credentials(ANA)).await.unwrap();
    assert_eq!(stored().await, second, "once");
    assert_eq!(refusal(old.login(Who::Service, credentials(ANA)).await).1, "invalid_credentials");
}

#[tokio::test]
async fn a_development_issuer_is_refused_in_production() {
    let app = TestApp::start().await;
    let built = accounts::App::build(accounts::Config {
        environment: bootstrap::config::Environment::Production,
        ..app.config()
    })
    .await;
    assert!(format!("{:#}", built.unwrap_err()).contains("development issuer"));
}
