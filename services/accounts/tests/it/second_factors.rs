//! Second factors: set up, asked for, good once, taken away.

use accounts::StaffTotp;
use proto::accounts::v1::step_up_request::Proof;
use proto::accounts::v1::*;
use rls::{Caller, UserId, Verifier};
use tonic::Code;
use totp_rs::{Algorithm, Secret, TOTP};

use crate::app::{ANA, PASSWORD, TestApp, Who, client, credentials, now_s, refusal};

/// An authenticator app.
struct Authenticator(TOTP);

impl Authenticator {
    fn of(enrolled: &EnrolTotpResponse) -> Self {
        let secret = Secret::Encoded(enrolled.secret.clone()).to_bytes().unwrap();
        assert_eq!(secret.len(), 20);
        Self(TOTP::new(Algorithm::SHA1, 6, 1, 30, secret, None, String::new()).unwrap())
    }

    /// The code of now, or of so many steps later.
    fn code(&self, steps_later: i64) -> String {
        self.0.generate((now_s() + 30 * steps_later).unsigned_abs())
    }

    /// Six digits that are no code of these minutes.
    fn wrong_code(&self) -> String {
        let near: Vec<String> = (-3..=3).map(|steps| self.code(steps)).collect();
        (0..).map(|n| format!("{n:06}")).find(|code| !near.contains(code)).unwrap()
    }
}

fn confirm(code: String) -> ConfirmTotpRequest {
    ConfirmTotpRequest { code }
}

fn with_code(code: String) -> LoginRequest {
    LoginRequest { totp_code: Some(code), ..credentials(ANA) }
}

/// Ana, whose address is hers beyond doubt.
async fn verified(app: &TestApp) -> LoginResponse {
    let login = app.signed_in(ANA).await;
    app.sql("UPDATE users SET email_verified_at = now()").await;
    login
}

/// Ana with a second factor in force, whose last accepted code is that of the step before.
async fn enrolled(app: &TestApp) -> (LoginResponse, Authenticator) {
    let login = verified(app).await;
    let answer = app.enrol_totp(Who::of(&login), EnrolTotpRequest {}).await.unwrap();
    let authenticator = Authenticator::of(&answer);
    app.confirm_totp(Who::of(&login), confirm(authenticator.code(0))).await.unwrap();
    app.sql("UPDATE second_factors SET last_step = last_step - 2").await;
    (login, authenticator)
}

#[tokio::test]
async fn a_factor_is_in_force_once_a_code_of_it_was_seen() {
    let app = TestApp::start().await;
    let login = verified(&app).await;
    let id = login.user.as_ref().unwrap().id;
    let answer = app.enrol_totp(Who::of(&login), EnrolTotpRequest {}).await.unwrap();
    assert!(answer.uri.starts_with("otpauth://totp/"), "{}", answer.uri);
    assert!(app.login(Who::Service, credentials(ANA)).await.is_ok(), "not in force yet");
    let sealed = "SELECT count(*) FROM second_factors WHERE secret IS NULL AND length(pending) = 64";
    assert_eq!(app.count(sealed).await, 1);

    let authenticator = Authenticator::of(&answer);
    let wrong = app.confirm_totp(Who::of(&login), confirm(authenticator.wrong_code())).await;
    assert_eq!(refusal(wrong).1, "invalid_credentials");
    let receipts = app.confirm_totp(Who::of(&login), confirm(authenticator.code(0))).await.unwrap().receipts;
    assert_eq!(receipts[0].tags, [format!("profile:user:{id}")]);
    assert_eq!(app.mails("totp_enabled").await, 1);

    let (code, reason, _) = refusal(app.login(Who::Service, credentials(ANA)).await);
    assert_eq!((code, reason.as_str()), (Code::Unauthenticated, "totp_required"));
    let user = app.login(Who::Service, with_code(authenticator.code(1))).await.unwrap().user.unwrap();
    assert!(user.totp_enabled);
    let again = app.confirm_totp(Who::of(&login), confirm(authenticator.code(0))).await;
    assert_eq!(refusal(again).1, "totp_not_pending");
}

#[tokio::test]
async fn setting_one_up_needs_a_recent_proof() {
    let app = TestApp::start().await;
    let login = app.signed_in(ANA).await;
    let stale = Who::of(&login).proved_before(301);
    let (code, reason, _) = refusal(app.enrol_totp(stale, EnrolTotpRequest {}).await);
    assert_eq!((code, reason.as_str()), (Code::PermissionDenied, "step_up_required"));
    assert_eq!(refusal(app.enrol_totp(Who::Nobody, EnrolTotpRequest {}).await).0, Code::Unauthenticated);
    assert_eq!(refusal(app.enrol_totp(Who::Service, EnrolTotpRequest {}).await).0, Code::PermissionDenied);
    assert_eq!(app.count("SELECT count(*) FROM second_factors").await, 0);
}

#[tokio::test]
async fn only_the_right_password_learns_that_a_code_is_needed() {
    let app = TestApp::start().await;
    enrolled(&app).await;
    assert_eq!(
        refusal(app.login(Who::Service, crate::app::wrong_credentials(ANA)).await).1,
        "invalid_credentials"
    );
    assert_eq!(refusal(app.login(Who::Service, credentials(ANA)).await).1, "totp_required");
}

/// X36.
#[tokio::test]
async fn a_code_is_good_once_and_earlier_ones_not_any_more() {
    let app = TestApp::start().await;
    let (_, authenticator) = enrolled(&app).await;
    let (earlier, code) = (authenticator.code(0), authenticator.code(1));
    app.login(Who::Service, with_code(code.clone())).await.unwrap();
    for used in [code, earlier] {
        let (code, reason, _) = refusal(app.login(Who::Service, with_code(used)).await);
        assert_eq!((code, reason.as_str()), (Code::Unauthenticated, "invalid_credentials"));
    }
    assert_eq!(app.metric("accounts_totp_refused_total").await, 2);
}

/// X36.
#[tokio::test]
async fn guessing_codes_ends_after_five() {
    let app = TestApp::start().await;
    let (login, authenticator) = enrolled(&app).await;
    let by_code = |code| StepUpRequest { proof: Some(Proof::TotpCode(code)), client: None };
    for _ in 0..5 {
        let answer = app.step_up(Who::of(&login), by_code(authenticator.wrong_code())).await;
        assert_eq!(refusal(answer).1, "invalid_credentials");
    }
    let answer = app.step_up(Who::of(&login), by_code(authenticator.code(0))).await;
    assert_eq!(refusal(answer).0, Code::ResourceExhausted);
    // The same allowance, by whichever way they are tried.
    assert_eq!(
        refusal(app.login(Who::Service, with_code(authenticator.code(0))).await).0,
        Code::ResourceExhausted
    );
    let disable = DisableTotpRequest { code: authenticator.code(0) };
    assert_eq!(refusal(app.disable_totp(Who::of(&login), disable).await).0, Code::ResourceExhausted);
}

#[tokio::test]
async fn a_code_steps_up_and_none_does_without_a_factor() {
    let app = TestApp::start().await;
    let (login, authenticator) = enrolled(&app).await;
    let by_code = |code| StepUpRequest { proof: Some(Proof::TotpCode(code)), client: None };
    assert!(app.step_up(Who::of(&login), by_code(authenticator.code(0))).await.is_ok());
    let bia = app.signed_in(crate::app::BIA).await;
    let answer = app.step_up(Who::of(&bia), by_code(authenticator.code(0))).await;
    assert_eq!(refusal(answer).1, "invalid_credentials");
}

#[tokio::test]
async fn of_two_logins_with_one_code_one_succeeds() {
    let app = TestApp::start().await;
    let (_, authenticator) = enrolled(&app).await;
    let code = authenticator.code(0);
    let (one, other) = tokio::join!(
        app.login(Who::Service, with_code(code.clone())),
        app.login(Who::Service, with_code(code)),
    );
    assert_eq!(u8::from(one.is_ok()) + u8::from(other.is_ok()), 1, "{one:?} {other:?}");
}

#[tokio::test]
async fn a_factor_is_taken_away_by_a_code_of_it() {
    let app = TestApp::start().await;
    let (login, authenticator) = enrolled(&app).await;
    let disable = |code| DisableTotpRequest { code };
    let wrong = app.disable_totp(Who::of(&login), disable(authenticator.wrong_code())).await;
    assert_eq!(refusal(wrong).1, "invalid_credentials");
    let receipts = app.disable_totp(Who::of(&login), disable(authenticator.code(0))).await.unwrap().receipts;
    assert_eq!(receipts.len(), 1);
    assert_eq!(app.mails("totp_disabled").await, 1);
    assert_eq!(app.count("SELECT count(*) FROM second_factors").await, 0);
    assert!(app.login(Who::Service, credentials(ANA)).await.is_ok());
    let again = app.disable_totp(Who::of(&login), disable(authenticator.code(1))).await;
    assert_eq!(refusal(again).1, "totp_not_enabled");
}

#[tokio::test]
async fn beside_a_factor_a_password_may_be_short_and_then_the_factor_stays() {
    let app = TestApp::start().await;
    let (login, authenticator) = enrolled(&app).await;
    let change = |current: &str, new: &str| ChangePasswordRequest {
        current_password: current.into(),
        new_password: new.into(),
    };
    app.change_password(Who::of(&login), change(PASSWORD, "k7#vQ2!z")).await.unwrap();
    let disable = DisableTotpRequest { code: authenticator.code(0) };
    assert_eq!(refusal(app.disable_totp(Who::of(&login), disable.clone()).await).1, "password_too_short");
    app.change_password(Who::of(&login), change("k7#vQ2!z", PASSWORD)).await.unwrap();
    assert!(app.disable_totp(Who::of(&login), disable).await.is_ok(), "the refused one was not used up");
}

#[tokio::test]
async fn staff_without_a_factor_have_a_customers_rights_where_one_is_required() {
    let app = TestApp::start_with(|config| config.staff_totp = StaffTotp::Required).await;
    let id = app.registered(ANA).await;
    app.sql("UPDATE users SET role = 'admin'").await;
    let (issuer, audience) = (testkit::jwt::ISSUER, testkit::jwt::AUDIENCE);
    let verifier =
        Verifier::from_jwks_file(&app.keys.jwks_file, issuer, audience, rls::Environment::Development)
            .unwrap();
    let login = app.login(Who::Service, credentials(ANA)).await.unwrap();
    let tokens = login.tokens.clone().unwrap();
    assert_eq!(login.user.as_ref().unwrap().role(), Role::Admin);
    assert_eq!(verifier.token(&tokens.access_token).unwrap().caller, Caller::User(UserId(id)));
    let asked = CheckSessionRequest { session_id: tokens.session_id.clone(), user_id: id };
    let checked = app.check_session(Who::Service, asked.clone()).await.unwrap();
    assert_eq!((checked.revoked, checked.role()), (false, Role::Customer));

    app.sql("UPDATE users SET email_verified_at = now()").await;
    let answer = app.enrol_totp(Who::of(&login), EnrolTotpRequest {}).await.unwrap();
    let authenticator = Authenticator::of(&answer);
    app.confirm_totp(Who::of(&login), confirm(authenticator.code(0))).await.unwrap();
    let exchange = RefreshRequest { refresh_token: tokens.refresh_token, client: Some(client()) };
    let refreshed = app.refresh(Who::Service, exchange).await.unwrap().tokens.unwrap();
    assert_eq!(verifier.token(&refreshed.access_token).unwrap().caller, Caller::Admin(UserId(id)));
    assert_eq!(app.check_session(Who::Service, asked.clone()).await.unwrap().role(), Role::Admin);

    let disable = DisableTotpRequest { code: authenticator.code(1) };
    app.disable_totp(Who::of(&login), disable).await.unwrap();
    assert_eq!(app.check_session(Who::Service, asked).await.unwrap().role(), Role::Customer);
    let revocations = app.list_revocations(Who::Service, ListRevocationsRequest::default()).await.unwrap();
    let change = RoleChange { user_id: id, role: Role::Customer.into() };
    assert_eq!(revocations.revocations[0].what, Some(revocation::What::RoleChange(change)));
}

/// Whoever knew the password before must not gain the rights that the factor opens.
#[tokio::test]
async fn a_new_factor_ends_the_sessions_that_gave_no_code() {
    let app = TestApp::start().await;
    let login = verified(&app).await;
    let other = app.another_session(ANA).await.tokens.unwrap().refresh_token;
    let answer = app.enrol_totp(Who::of(&login), EnrolTotpRequest {}).await.unwrap();
    let code = Authenticator::of(&answer).code(0);
    app.confirm_totp(Who::of(&login), confirm(code)).await.unwrap();
    let renew = |refresh_token| RefreshRequest { refresh_token, client: Some(client()) };
    let refused = app.refresh(Who::Service, renew(other)).await;
    assert_eq!(refusal(refused).0, Code::Unauthenticated);
    let own = login.tokens.unwrap().refresh_token;
    assert!(app.refresh(Who::Service, renew(own)).await.is_ok(), "the session that gave the code goes on");
}

/// A stranger could else lock somebody out of an address for good.
#[tokio::test]
async fn an_address_that_is_not_confirmed_gets_no_factor() {
    let app = TestApp::start().await;
    let login = app.signed_in(ANA).await;
    let refused = app.enrol_totp(Who::of(&login), EnrolTotpRequest {}).await;
    assert_eq!(refusal(refused).1, "email_not_verified");
}
