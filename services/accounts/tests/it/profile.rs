//! People's own view of themselves, and how services reach them.

use proto::accounts::v1::*;
use tonic::Code;

use crate::app::{TestApp, Who, everything_said, refusal};
use crate::people::{CARLA, DAVI, NO_ONE, app_with_people, carla, davi, events, helena, tags};

fn rename(expected_version: i64, name: &str) -> UpdateProfileRequest {
    UpdateProfileRequest { expected_version, name: Some(name.to_owned()), locale: None }
}

async fn profile(app: &TestApp, who: Who) -> User {
    app.get_profile(who, GetProfileRequest {}).await.unwrap().user.unwrap()
}

#[tokio::test]
async fn everybody_sees_themselves() {
    let app = app_with_people().await;
    let user = profile(&app, carla()).await;
    assert_eq!(
        (user.id, user.email.as_str(), user.name.as_str()),
        (CARLA, "Carla@Example.com", "Carla Prado")
    );
    assert_eq!((user.locale.as_str(), user.role(), user.version), ("pt-BR", Role::Customer, 1));
    assert!(user.email_verified && !user.locked && !user.totp_enabled && user.created_at.is_some());
    // Whatever the role: a staff assertion reaches the one row that is the caller's.
    assert_eq!(profile(&app, helena()).await.role(), Role::Admin);
}

#[tokio::test]
async fn a_change_is_written_recorded_and_receipted_once() {
    let app = app_with_people().await;
    let request = UpdateProfileRequest {
        expected_version: 1,
        name: Some("  Carla Prado Lima ".to_owned()),
        locale: Some("en".to_owned()),
    };
    let answer = app.update_profile(carla(), request).await.unwrap();
    let user = answer.user.unwrap();
    assert_eq!((user.name.as_str(), user.locale.as_str(), user.version), ("Carla Prado Lima", "en", 2));
    assert_eq!(tags(&answer.receipts), ["profile:user:1001"]);
    let recorded = [("mc.accounts.user.updated.1001".to_owned(), 2, vec!["profile:user:1001".to_owned()])];
    assert_eq!(events(&app).await, recorded);
    assert_eq!(profile(&app, carla()).await, user);

    // What is so already is no change and no news.
    let answer = app.update_profile(carla(), rename(2, "Carla Prado Lima")).await.unwrap();
    assert_eq!((answer.user.unwrap().version, answer.receipts.len()), (2, 0));
    assert_eq!(events(&app).await, recorded);
    assert_eq!(profile(&app, davi()).await.name, "Davi Nogueira");
}

#[tokio::test]
async fn a_stale_or_missing_version_changes_nothing() {
    let app = app_with_people().await;
    app.update_profile(carla(), rename(1, "Um")).await.unwrap();
    let status = app.update_profile(carla(), rename(1, "Dois")).await.unwrap_err();
    assert_eq!(status.code(), Code::Aborted);
    assert_eq!(status.metadata().get("mc-current-version").unwrap(), "2");
    let refused = refusal(app.update_profile(carla(), rename(0, "Dois")).await);
    assert_eq!(refused, (Code::InvalidArgument, "version_required".into(), "expected_version".into()));
    assert_eq!(profile(&app, carla()).await.name, "Um");
    assert_eq!(events(&app).await.len(), 1);
}

#[tokio::test]
async fn of_many_changes_to_the_same_version_one_wins() {
    let app = app_with_people().await;
    let changes = (0..8).map(|number| {
        let name = format!("Carla {number}");
        let app = &app;
        async move { app.update_profile(carla(), rename(1, &name)).await }
    });
    let answers = futures_util::future::join_all(changes).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
    assert_eq!(events(&app).await.len(), 1);
    assert_eq!(profile(&app, carla()).await.version, 2);
}

#[tokio::test]
async fn names_and_languages_have_rules() {
    let app = app_with_people().await;
    for name in ["", "   ", "a\0b", &"x".repeat(201)] {
        let refused = refusal(app.update_profile(carla(), rename(1, name)).await);
        assert_eq!(refused, (Code::InvalidArgument, "invalid_value".into(), "name".into()), "{name:?}");
    }
    let request = UpdateProfileRequest { expected_version: 1, name: None, locale: Some("de".to_owned()) };
    assert_eq!(refusal(app.update_profile(carla(), request).await).2, "locale");
    // What looks like code is a name like any other (X52).
    let name = "<script>alert(1)</script> ${jndi:ldap://x}";
    let user = app.update_profile(carla(), rename(1, name)).await.unwrap().user.unwrap();
    assert_eq!(user.name, name);
}

#[tokio::test]
async fn nobody_has_no_profile_and_neither_has_who_is_erased() {
    let app = app_with_people().await;
    for (who, code) in [(Who::Nobody, Code::Unauthenticated), (Who::Service, Code::PermissionDenied)] {
        assert_eq!(app.get_profile(who.clone(), GetProfileRequest {}).await.unwrap_err().code(), code);
        assert_eq!(app.update_profile(who, rename(1, "X")).await.unwrap_err().code(), code);
    }
    let missing = everything_said(app.get_profile(Who::user(NO_ONE, "customer"), GetProfileRequest {}).await);
    app.sql("UPDATE users SET deleted_at = now() WHERE id = 1001").await;
    assert_eq!(everything_said(app.get_profile(carla(), GetProfileRequest {}).await), missing);
    assert_eq!(everything_said(app.update_profile(carla(), rename(1, "X")).await), missing);
}

#[tokio::test]
async fn contacts_are_for_services_alone() {
    let app = app_with_people().await;
    let ask = |user_id| GetContactRequest { user_id };
    let contact = app.get_contact(Who::Service, ask(CARLA)).await.unwrap();
    assert_eq!((contact.email.as_str(), contact.name.as_str()), ("Carla@Example.com", "Carla Prado"));
    assert!(contact.email_verified);

    let refused = |who| app.get_contact(who, ask(CARLA));
    assert_eq!(refused(Who::Nobody).await.unwrap_err().code(), Code::Unauthenticated);
    for who in [carla(), davi(), helena(), Who::user(DAVI, "staff")] {
        assert_eq!(refused(who).await.unwrap_err().code(), Code::PermissionDenied);
    }
    let missing = everything_said(app.get_contact(Who::Service, ask(NO_ONE)).await);
    app.sql("UPDATE users SET deleted_at = now() WHERE id = 1001").await;
    assert_eq!(everything_said(app.get_contact(Who::Service, ask(CARLA)).await), missing);
    assert_eq!(refusal(app.get_contact(Who::Service, ask(0)).await).2, "user_id");
}
