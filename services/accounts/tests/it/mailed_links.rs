//! Links in mails: good once, for a while, for one thing and one user.

use proto::accounts::v1::*;
use tonic::Code;

use crate::app::{ANA, BIA, PASSWORD, TestApp, Who, credentials, refusal};

const NEW_PASSWORD: &str = "goiabeira atras da casa amarela";

async fn verify(app: &TestApp, token: &str) -> Result<VerifyEmailResponse, tonic::Status> {
    app.verify_email(Who::Service, VerifyEmailRequest { token: token.to_owned() }).await
}

async fn forgot(app: &TestApp, email: &str) {
    let request = ForgotPasswordRequest { email: email.to_owned(), client: None };
    assert_eq!(app.forgot_password(Who::Service, request).await.unwrap(), ForgotPasswordResponse {});
}

async fn reset(app: &TestApp, token: &str, password: &str) -> Result<ResetPasswordResponse, tonic::Status> {
    let request =
        ResetPasswordRequest { token: token.to_owned(), new_password: password.to_owned(), client: None };
    app.reset_password(Who::Service, request).await
}

#[track_caller]
fn is_invalid_token<T: std::fmt::Debug>(answer: Result<T, tonic::Status>) {
    let expected = (Code::InvalidArgument, "invalid_token".to_owned(), "token".to_owned());
    assert_eq!(refusal(answer), expected);
}

#[tokio::test]
async fn a_verified_address_is_told_to_caches_and_a_link_is_good_once() {
    let app = TestApp::start().await;
    let id = app.registered(ANA).await;
    let token = app.mailed_token("verify_email").await;
    let receipts = verify(&app, &token).await.unwrap().receipts;
    assert_eq!(receipts.len(), 1);
    assert_eq!(receipts[0].tags, [format!("profile:user:{id}")]);
    let user = app.another_session(ANA).await.user.unwrap();
    assert_eq!((user.email_verified, user.version), (true, 2));
    is_invalid_token(verify(&app, &token).await);
}

/// X37.
#[tokio::test]
async fn links_that_are_old_or_for_something_else_prove_nothing() {
    let app = TestApp::start().await;
    app.registered(ANA).await;
    forgot(&app, ANA).await;
    let to_verify = app.mailed_token("verify_email").await;
    let to_reset = app.mailed_token("password_reset").await;
    is_invalid_token(verify(&app, &to_reset).await);
    is_invalid_token(reset(&app, &to_verify, NEW_PASSWORD).await);
    for no_token in ["", "x", &"x".repeat(43), &"x".repeat(1024 * 1024)] {
        is_invalid_token(verify(&app, no_token).await);
        is_invalid_token(reset(&app, no_token, NEW_PASSWORD).await);
    }
    app.sql("UPDATE mail_tokens SET expires_at = now()").await;
    let hashes = app.metric("accounts_password_hashes_total").await;
    is_invalid_token(verify(&app, &to_verify).await);
    is_invalid_token(reset(&app, &to_reset, NEW_PASSWORD).await);
    assert_eq!(app.metric("accounts_password_hashes_total").await, hashes, "guessing costs us nothing");
    assert!(app.login(Who::Service, credentials(ANA)).await.is_ok(), "the password is the old one");
}

#[tokio::test]
async fn links_end_after_a_day_and_after_half_an_hour() {
    let app = TestApp::start().await;
    app.registered(ANA).await;
    forgot(&app, ANA).await;
    let lifetimes = "SELECT count(*) FROM mail_tokens WHERE (purpose, expires_at - created_at)
                         IN (('verify_email', '24 hours'), ('password_reset', '30 minutes'))";
    assert_eq!(app.count(lifetimes).await, 2);
}

/// X12.
#[tokio::test]
async fn nobody_learns_whether_a_forgotten_address_has_an_account() {
    let app = TestApp::start().await;
    app.registered(ANA).await;
    forgot(&app, "nobody@example.com").await;
    assert_eq!(app.mails("password_reset").await, 0);
    forgot(&app, " ANA@example.com ").await;
    assert_eq!(app.mails("password_reset").await, 1);
    let kept_as_hash =
        "SELECT count(*) FROM mail_tokens WHERE purpose = 'password_reset' AND length(token_sha256) = 32";
    assert_eq!(app.count(kept_as_hash).await, 1);
}

#[tokio::test]
async fn a_new_password_ends_every_session_and_every_other_link() {
    let app = TestApp::start().await;
    let login = app.signed_in(ANA).await;
    let other = app.another_session(ANA).await;
    let bias = app.signed_in(BIA).await;
    forgot(&app, ANA).await;
    let older = app.mailed_token("password_reset").await;
    forgot(&app, ANA).await;
    let token = app.mailed_token("password_reset").await;
    is_invalid_token(reset(&app, &older, NEW_PASSWORD).await);

    let answer = reset(&app, &token, NEW_PASSWORD).await.unwrap();
    let mut ended: Vec<_> =
        answer.revocations.into_iter().map(|revocation| revocation.what.unwrap()).collect();
    ended.sort_by_key(|what| format!("{what:?}"));
    let session = |login: &LoginResponse| login.tokens.as_ref().unwrap().session_id.clone();
    let mut expected =
        vec![revocation::What::SessionId(session(&login)), revocation::What::SessionId(session(&other))];
    expected.sort_by_key(|what| format!("{what:?}"));
    assert_eq!(ended, expected);
    assert_eq!(answer.receipts.len(), 1, "the mail reached its owner: the address is verified");
    for gone in [&login, &other] {
        let refresh_token = gone.tokens.as_ref().unwrap().refresh_token.clone();
        let again = RefreshRequest { refresh_token, client: Some(crate::app::client()) };
        assert_eq!(refusal(app.refresh(Who::Service, again).await).0, Code::Unauthenticated);
    }
    let refresh_token = bias.tokens.unwrap().refresh_token;
    let hers = RefreshRequest { refresh_token, client: Some(crate::app::client()) };
    assert!(app.refresh(Who::Service, hers).await.is_ok());

    is_invalid_token(reset(&app, &token, NEW_PASSWORD).await);
    assert_eq!(refusal(app.login(Who::Service, credentials(ANA)).await).1, "invalid_credentials");
    let new = LoginRequest { password: NEW_PASSWORD.into(), ..credentials(ANA) };
    assert!(app.login(Who::Service, new).await.is_ok());
    assert_eq!(app.mails("password_changed").await, 1);
    let bia = LoginRequest { password: PASSWORD.into(), ..credentials(BIA) };
    assert!(app.login(Who::Service, bia).await.is_ok());
}

#[tokio::test]
async fn a_password_that_is_refused_does_not_use_the_link_up() {
    let app = TestApp::start().await;
    app.registered(ANA).await;
    forgot(&app, ANA).await;
    let token = app.mailed_token("password_reset").await;
    for (password, expected) in [
        ("short", "password_too_short"),
        ("mestrescafe2026", "password_common"),
        ("ana.prado.2026.example", "password_common"),
    ] {
        let (code, reason, field) = refusal(reset(&app, &token, password).await);
        assert_eq!(
            (code, reason.as_str(), field.as_str()),
            (Code::InvalidArgument, expected, "new_password")
        );
    }
    assert!(reset(&app, &token, NEW_PASSWORD).await.is_ok());
}

#[tokio::test]
async fn of_two_resets_at_once_one_succeeds() {
    let app = TestApp::start().await;
    app.registered(ANA).await;
    forgot(&app, ANA).await;
    let token = app.mailed_token("password_reset").await;
    let (one, other) = tokio::join!(
        reset(&app, &token, NEW_PASSWORD),
        reset(&app, &token, "outra senha do portao azul celeste")
    );
    assert_eq!(u8::from(one.is_ok()) + u8::from(other.is_ok()), 1);
    is_invalid_token(if one.is_ok() { other } else { one });
}
