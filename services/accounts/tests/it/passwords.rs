//! Changing a password, and proving by it once more who is there.

use proto::accounts::v1::step_up_request::Proof;
use proto::accounts::v1::*;
use rls::Verifier;
use tonic::Code;

use crate::app::{ANA, BIA, PASSWORD, TestApp, Who, client, credentials, now_s, refusal};

const NEW_PASSWORD: &str = "goiabeira atras da casa amarela";

fn change(current: &str, new: &str) -> ChangePasswordRequest {
    ChangePasswordRequest { current_password: current.into(), new_password: new.into() }
}

fn by_password(password: &str) -> StepUpRequest {
    StepUpRequest { proof: Some(Proof::Password(password.to_owned())), client: Some(client()) }
}

fn exchange(login: &LoginResponse) -> RefreshRequest {
    let refresh_token = login.tokens.as_ref().unwrap().refresh_token.clone();
    RefreshRequest { refresh_token, client: Some(client()) }
}

/// X28.
#[tokio::test]
async fn a_change_ends_every_other_session_and_leaves_this_one() {
    let app = TestApp::start().await;
    let this = app.signed_in(ANA).await;
    let other = app.another_session(ANA).await;
    let revocations =
        app.change_password(Who::of(&this), change(PASSWORD, NEW_PASSWORD)).await.unwrap().revocations;
    let [revocation] = &revocations[..] else { panic!("{revocations:?}") };
    let other_session = other.tokens.as_ref().unwrap().session_id.clone();
    assert_eq!(revocation.what, Some(revocation::What::SessionId(other_session)));

    assert_eq!(refusal(app.refresh(Who::Service, exchange(&other)).await).0, Code::Unauthenticated);
    assert!(app.refresh(Who::Service, exchange(&this)).await.is_ok());
    assert_eq!(refusal(app.login(Who::Service, credentials(ANA)).await).1, "invalid_credentials");
    assert!(
        app.login(Who::Service, LoginRequest { password: NEW_PASSWORD.into(), ..credentials(ANA) })
            .await
            .is_ok()
    );
    assert_eq!(app.mails("password_changed").await, 1);
    // Once more with what was right before.
    let again =
        app.change_password(Who::of(&this), change(PASSWORD, "um terceiro quintal bem distante")).await;
    assert_eq!(refusal(again).1, "invalid_credentials");
}

#[tokio::test]
async fn a_change_needs_the_current_password_and_a_good_new_one() {
    let app = TestApp::start().await;
    let this = app.signed_in(ANA).await;
    let refused = async |current: &str, new: &str| {
        let (code, reason, _) = refusal(app.change_password(Who::of(&this), change(current, new)).await);
        (code, reason)
    };
    assert_eq!(refused("wrong", NEW_PASSWORD).await, (Code::Unauthenticated, "invalid_credentials".into()));
    assert_eq!(refused(PASSWORD, PASSWORD).await, (Code::InvalidArgument, "invalid_value".into()));
    assert_eq!(refused(PASSWORD, "short").await, (Code::InvalidArgument, "password_too_short".into()));
    assert_eq!(
        refused(PASSWORD, "ana-ana-prado-2026").await,
        (Code::InvalidArgument, "password_common".into())
    );
    assert_eq!(
        refused(PASSWORD, &"x".repeat(129)).await,
        (Code::InvalidArgument, "password_too_long".into())
    );
    assert_eq!(
        refusal(app.change_password(Who::Nobody, change(PASSWORD, NEW_PASSWORD)).await).0,
        Code::Unauthenticated
    );
    assert_eq!(
        refusal(app.change_password(Who::Service, change(PASSWORD, NEW_PASSWORD)).await).0,
        Code::PermissionDenied
    );
    assert_eq!(app.count("SELECT count(*) FROM sessions WHERE revoked_at IS NOT NULL").await, 0);
    assert!(app.login(Who::Service, credentials(ANA)).await.is_ok());
}

#[tokio::test]
async fn a_link_to_reset_is_good_no_more_after_a_change() {
    let app = TestApp::start().await;
    let this = app.signed_in(ANA).await;
    let forgotten = ForgotPasswordRequest { email: ANA.into(), client: None };
    app.forgot_password(Who::Service, forgotten).await.unwrap();
    let token = app.mailed_token("password_reset").await;
    app.change_password(Who::of(&this), change(PASSWORD, NEW_PASSWORD)).await.unwrap();
    let reset = ResetPasswordRequest { token, new_password: PASSWORD.into(), client: None };
    assert_eq!(refusal(app.reset_password(Who::Service, reset).await).1, "invalid_token");
}

#[tokio::test]
async fn a_step_up_gives_a_token_with_a_new_proof_that_refreshes_keep() {
    let app = TestApp::start().await;
    let login = app.signed_in(ANA).await;
    app.sql("UPDATE sessions SET auth_at = now() - interval '1 hour'").await;
    let (issuer, audience) = (testkit::jwt::ISSUER, testkit::jwt::AUDIENCE);
    let verifier =
        Verifier::from_jwks_file(&app.keys.jwks_file, issuer, audience, rls::Environment::Development)
            .unwrap();

    let stale = app.refresh(Who::Service, exchange(&login)).await.unwrap().tokens.unwrap();
    assert!(verifier.token(&stale.access_token).unwrap().auth_time < now_s() - 3_000);

    let answer = app.step_up(Who::of(&login), by_password(PASSWORD)).await.unwrap();
    assert_eq!(answer.expires_in_s, 300);
    let fresh = verifier.token(&answer.access_token).unwrap();
    assert!(fresh.auth_time >= now_s() - 10);
    assert_eq!(fresh.session_id, stale.session_id);

    let next = RefreshRequest { refresh_token: stale.refresh_token, client: Some(client()) };
    let kept = app.refresh(Who::Service, next).await.unwrap().tokens.unwrap();
    assert!(verifier.token(&kept.access_token).unwrap().auth_time >= now_s() - 10);
}

#[tokio::test]
async fn a_step_up_by_what_is_wrong_proves_nothing_and_is_counted() {
    let app = TestApp::start().await;
    let login = app.signed_in(ANA).await;
    app.signed_in(BIA).await;
    for _ in 0..5 {
        assert_eq!(
            refusal(app.step_up(Who::of(&login), by_password("wrong")).await).1,
            "invalid_credentials"
        );
    }
    let (code, reason, _) = refusal(app.step_up(Who::of(&login), by_password(PASSWORD)).await);
    assert_eq!((code, reason.as_str()), (Code::ResourceExhausted, "rate_limited"));
    // Somebody at an open browser cannot keep the owner from signing in.
    assert!(app.login(Who::Service, credentials(ANA)).await.is_ok());
    assert_eq!(
        refusal(app.step_up(Who::of(&login), StepUpRequest::default()).await).0,
        Code::InvalidArgument
    );
}

#[tokio::test]
async fn a_session_that_has_ended_cannot_be_stepped_up() {
    let app = TestApp::start().await;
    let login = app.signed_in(ANA).await;
    app.logout(Who::of(&login), LogoutRequest {}).await.unwrap();
    assert_eq!(refusal(app.step_up(Who::of(&login), by_password(PASSWORD)).await).1, "invalid_credentials");
    let elsewhere = Who::user(login.user.unwrap().id, "customer");
    assert_eq!(refusal(app.step_up(elsewhere, by_password(PASSWORD)).await).1, "invalid_credentials");
}
