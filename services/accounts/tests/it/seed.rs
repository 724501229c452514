//! Accounts that nobody registered: the demo shop's people, and the first administrator.

use accounts::seed::{DEMO_LOGINS, Loaded};
use proto::accounts::v1::*;
use tonic::Code;

use crate::app::{SECRET_KEY, TestApp, Who, client, refusal};

fn credentials(email: &str, password: &str) -> LoginRequest {
    LoginRequest {
        email: email.to_owned(),
        password: password.to_owned(),
        totp_code: None,
        client: Some(client()),
    }
}

#[tokio::test]
async fn demo_logins_are_made_once_and_open_their_accounts() {
    let app = TestApp::start().await;
    let (told, progress) = std::sync::mpsc::channel();
    let url = app.database.url.clone();
    let load = async || {
        let told = told.clone();
        accounts::seed::load(&url, &SECRET_KEY, move |users| told.send(users).unwrap()).await.unwrap()
    };
    let users = DEMO_LOGINS.len();
    assert_eq!(load().await, Loaded { users, fresh: users });
    assert_eq!(progress.try_iter().collect::<Vec<_>>(), (1..=users).collect::<Vec<_>>());
    assert_eq!(load().await, Loaded { users, fresh: 0 });

    for login in DEMO_LOGINS {
        let answer = app.login(Who::Service, credentials(login.email, login.password)).await.unwrap();
        let user = answer.user.unwrap();
        let role = user.role().as_str_name().trim_start_matches("ROLE_").to_lowercase();
        assert_eq!((role.as_str(), user.name.as_str(), user.email_verified), (login.role, login.name, true));
    }
    assert_eq!(app.count("SELECT count(*) FROM users").await, i64::try_from(users).unwrap());
    // Every customer has somewhere to send coffee to.
    let homeless = "SELECT count(*) FROM users u WHERE role = 'customer'
                       AND NOT EXISTS (SELECT FROM addresses a WHERE a.user_id = u.id AND is_default)";
    assert_eq!(app.count(homeless).await, 0);

    // One that somebody removed comes back; nobody else is touched.
    app.sql(
        "DELETE FROM addresses; DELETE FROM devices; DELETE FROM refresh_tokens; DELETE FROM sessions;
             DELETE FROM users WHERE email = 'ana@mestrescafe.dev'",
    )
    .await;
    assert_eq!(load().await, Loaded { users, fresh: 1 });
}

#[tokio::test]
async fn the_first_administrator_is_made_by_hand() {
    let app = TestApp::start().await;
    let create = async |email: &str, name: &str, password: &str| {
        accounts::admin::create(&app.database.url, &SECRET_KEY, email, name, password).await
    };
    let password = "sete lagoas ao luar de prata";
    let id = create("chefe@shop.test", "Chefe Um", password).await.unwrap();
    let answer = app.login(Who::Service, credentials("chefe@shop.test", password)).await.unwrap();
    let user = answer.user.unwrap();
    assert_eq!((user.id, user.role(), user.email_verified), (id, Role::Admin, true));

    let again = create("Chefe@shop.test", "Chefe Dois", password).await.unwrap_err();
    assert!(again.to_string().contains("has an account already"), "{again:#}");
    assert_eq!(app.count("SELECT count(*) FROM users WHERE name = 'Chefe Um'").await, 1);
    for (email, name, password) in [
        ("no address", "X", password),
        ("x@shop.test", " ", password),
        ("x@shop.test", "X", "short"),
        ("x@shop.test", "X", "mestrescafe2026mestrescafe"),
    ] {
        assert!(create(email, name, password).await.is_err(), "{email} {name} {password}");
    }
    assert_eq!(app.count("SELECT count(*) FROM users").await, 1);
    // A hash made with another service's secret opens nothing.
    accounts::admin::create(&app.database.url, &[9; 32], "y@shop.test", "Y", password).await.unwrap();
    let refused = refusal(app.login(Who::Service, credentials("y@shop.test", password)).await);
    assert_eq!((refused.0, refused.1.as_str()), (Code::Unauthenticated, "invalid_credentials"));
}
