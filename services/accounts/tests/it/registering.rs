//! New accounts, and what a stranger can learn about those that there are: nothing.

use proto::accounts::v1::*;
use tonic::Code;

use crate::app::{ANA, BIA, PASSWORD, TestApp, Who, credentials, refusal, registration};

#[tokio::test]
async fn a_registration_makes_an_account_that_can_sign_in_and_asks_for_a_mail() {
    let app = TestApp::start().await;
    let request =
        RegisterRequest { email: " Ana@Example.com ".into(), name: " Ana ".into(), ..registration(ANA) };
    let answer = app.register(Who::Service, request).await.unwrap();
    let understood = RegisterResponse { email: ANA.into(), name: "Ana".into(), locale: "pt-BR".into() };
    assert_eq!(answer, understood);

    let user = app.login(Who::Service, credentials(ANA)).await.unwrap().user.unwrap();
    assert_eq!((user.email.as_str(), user.name.as_str(), user.version), (ANA, "Ana", 1));
    assert_eq!((user.role(), user.email_verified, user.totp_enabled), (Role::Customer, false, false));
    assert_eq!(app.mails("verify_email").await, 1);
    let announced = "SELECT count(*) FROM outbox WHERE subject LIKE 'mc.accounts.user.registered.%'";
    assert_eq!(app.count(announced).await, 1);
    let stored =
        "SELECT count(*) FROM users WHERE password_hash LIKE '$argon2id$v=19$m=19456,t=2,p=1,keyid=%'";
    assert_eq!(app.count(stored).await, 1);
}

/// X12.
#[tokio::test]
async fn an_address_that_has_an_account_gets_the_same_answer_by_the_same_work_and_its_owner_a_mail() {
    let app = TestApp::start().await;
    let first = app.register(Who::Service, registration(ANA)).await.unwrap();
    assert_eq!(app.metric("accounts_password_hashes_total").await, 1);
    let before = app.count("SELECT count(*) FROM users").await;

    let again = RegisterRequest {
        password: "um outro quintal com goiabas".into(),
        ..registration("ANA@example.com")
    };
    assert_eq!(app.register(Who::Service, again).await.unwrap(), first);
    assert_eq!(app.metric("accounts_password_hashes_total").await, 2, "the same work");
    assert_eq!(app.count("SELECT count(*) FROM users").await, before);
    assert_eq!((app.mails("verify_email").await, app.mails("account_exists").await), (1, 1));
    assert!(app.login(Who::Service, credentials(ANA)).await.is_ok(), "the password is the first one");
}

#[tokio::test]
async fn strangers_cannot_flood_a_mailbox() {
    let app = TestApp::start().await;
    for _ in 0..8 {
        app.register(Who::Service, registration(ANA)).await.unwrap();
        let forgotten = ForgotPasswordRequest { email: ANA.into(), client: None };
        app.forgot_password(Who::Service, forgotten).await.unwrap();
    }
    assert_eq!(app.count("SELECT count(*) FROM mail_jobs").await, 3);
    app.register(Who::Service, registration(BIA)).await.unwrap();
    assert_eq!(app.count("SELECT count(*) FROM mail_jobs").await, 4, "another mailbox");
}

#[tokio::test]
async fn two_registrations_at_once_make_one_account() {
    let app = TestApp::start().await;
    let (one, other) = tokio::join!(
        app.register(Who::Service, registration(ANA)),
        app.register(Who::Service, registration(ANA)),
    );
    assert_eq!(one.unwrap(), other.unwrap());
    assert_eq!(app.count("SELECT count(*) FROM users").await, 1);
    assert_eq!(app.count("SELECT count(*) FROM outbox").await, 1);
}

/// X17, X18.
#[tokio::test]
async fn passwords_that_are_guessed_first_or_too_long_or_short_are_refused_before_anything_is_computed() {
    let app = TestApp::start().await;
    let refused = async |password: &str| {
        let request = RegisterRequest { password: password.to_owned(), ..registration(ANA) };
        let (code, reason, field) = refusal(app.register(Who::Service, request).await);
        assert_eq!((code, field.as_str()), (Code::InvalidArgument, "password"), "{password:.20}");
        reason
    };
    assert_eq!(refused("12345678").await, "password_too_short");
    assert_eq!(refused("14 characters.").await, "password_too_short");
    assert_eq!(refused("mestrescafe2026").await, "password_common");
    assert_eq!(refused("ana-prado-example").await, "password_common");
    assert_eq!(refused(&"x".repeat(129)).await, "password_too_long");
    assert_eq!(refused(&"x".repeat(1024 * 1024)).await, "password_too_long");
    assert_eq!(refused("").await, "invalid_value");
    assert_eq!(app.metric("accounts_password_hashes_total").await, 0);
    assert_eq!(app.count("SELECT count(*) FROM users").await, 0);
}

/// X17.
#[tokio::test]
async fn a_password_of_128_characters_of_any_kind_is_accepted_exactly() {
    let app = TestApp::start().await;
    let password: String = format!("\0 ☕ {PASSWORD} 🫘 ").chars().cycle().take(127).chain(['é']).collect();
    let request = RegisterRequest { password: password.clone(), ..registration(ANA) };
    app.register(Who::Service, request).await.unwrap();
    let right = LoginRequest { password: password.clone(), ..credentials(ANA) };
    assert!(app.login(Who::Service, right).await.is_ok());
    for wrong in [password[1..].to_owned(), password.to_uppercase(), password.replace('\0', "")] {
        let wrong = LoginRequest { password: wrong, ..credentials(ANA) };
        assert_eq!(refusal(app.login(Who::Service, wrong).await).0, Code::Unauthenticated);
    }
}

#[tokio::test]
async fn what_is_no_address_name_or_language_is_refused_by_its_field() {
    let app = TestApp::start().await;
    let refused = async |request| {
        let (code, reason, field) = refusal(app.register(Who::Service, request).await);
        assert_eq!((code, reason.as_str()), (Code::InvalidArgument, "invalid_value"));
        field
    };
    for email in
        ["", "ana", "ana@localhost", "ana@example.com\r\nBcc: x@y.zz", &format!("{}@b.cd", "a".repeat(300))]
    {
        assert_eq!(refused(registration(email)).await, "email", "{email:.20}");
    }
    for name in ["", "  ", "a\nb", &"a".repeat(201)] {
        assert_eq!(refused(RegisterRequest { name: name.into(), ..registration(ANA) }).await, "name");
    }
    assert_eq!(refused(RegisterRequest { locale: "fr".into(), ..registration(ANA) }).await, "locale");
}

#[tokio::test]
async fn only_processes_of_the_product_register_and_sign_in() {
    let app = TestApp::start().await;
    for (who, expected) in [
        (Who::Nobody, Code::Unauthenticated),
        (Who::user(1, "customer"), Code::PermissionDenied),
        (Who::user(1, "admin"), Code::PermissionDenied),
    ] {
        assert_eq!(refusal(app.register(who.clone(), registration(ANA)).await).0, expected);
        assert_eq!(refusal(app.login(who.clone(), credentials(ANA)).await).0, expected);
        assert_eq!(refusal(app.refresh(who.clone(), RefreshRequest::default()).await).0, expected);
        let forgotten = ForgotPasswordRequest { email: ANA.into(), client: None };
        assert_eq!(refusal(app.forgot_password(who.clone(), forgotten).await).0, expected);
        assert_eq!(
            refusal(app.reset_password(who.clone(), ResetPasswordRequest::default()).await).0,
            expected
        );
        assert_eq!(refusal(app.verify_email(who.clone(), VerifyEmailRequest::default()).await).0, expected);
        assert_eq!(
            refusal(app.list_revocations(who.clone(), ListRevocationsRequest::default()).await).0,
            expected
        );
        assert_eq!(refusal(app.check_session(who.clone(), CheckSessionRequest::default()).await).0, expected);
        assert_eq!(refusal(app.list_active_users(who, ListActiveUsersRequest::default()).await).0, expected);
    }
    assert_eq!(app.count("SELECT count(*) FROM users").await, 0);
}
