//! Sessions: seen and ended by their user, by nobody else.

use proto::accounts::v1::*;
use serde_json::json;
use tonic::Code;
use uuid::Uuid;

use crate::app::{ANA, BIA, TestApp, Who, client, credentials, everything_said, refusal};

fn session(login: &LoginResponse) -> String {
    login.tokens.as_ref().unwrap().session_id.clone()
}

fn exchange(login: &LoginResponse) -> RefreshRequest {
    let refresh_token = login.tokens.as_ref().unwrap().refresh_token.clone();
    RefreshRequest { refresh_token, client: Some(client()) }
}

async fn listed(app: &TestApp, who: &Who) -> Vec<Session> {
    app.list_sessions(who.clone(), ListSessionsRequest {}).await.unwrap().sessions
}

fn revoke(session_id: &str) -> RevokeSessionRequest {
    RevokeSessionRequest { session_id: session_id.to_owned() }
}

#[tokio::test]
async fn users_see_their_own_sessions_the_last_used_first() {
    let app = TestApp::start().await;
    let first = app.signed_in(ANA).await;
    let second = app.another_session(ANA).await;
    app.signed_in(BIA).await;
    app.refresh(Who::Service, exchange(&first)).await.unwrap();
    let sessions = listed(&app, &Who::of(&second)).await;
    let seen: Vec<_> = sessions.iter().map(|session| (session.id.clone(), session.current)).collect();
    assert_eq!(seen, [(session(&first), false), (session(&second), true)]);
    assert_eq!((sessions[0].address.as_str(), sessions[0].user_agent.as_str()), ("192.0.2.1", "Browser/1"));
    let lifetime = sessions[0].expires_at.unwrap().seconds - sessions[0].created_at.unwrap().seconds;
    assert_eq!(lifetime, 30 * 24 * 3600);

    // What nobody can use any more is not shown.
    app.sql("UPDATE sessions SET last_used_at = now() - interval '8 days'").await;
    assert_eq!(listed(&app, &Who::of(&second)).await.len(), 0);
}

#[tokio::test]
async fn staff_see_their_own_sessions_and_nobody_elses() {
    let app = TestApp::start().await;
    let ana = app.signed_in(ANA).await;
    let bia = app.registered(BIA).await;
    for role in ["staff", "admin"] {
        assert_eq!(listed(&app, &Who::user(bia, role)).await.len(), 0);
        let foreign = app.revoke_session(Who::user(bia, role), revoke(&session(&ana))).await;
        assert_eq!(refusal(foreign).0, Code::NotFound);
    }
}

/// X1, X27.
#[tokio::test]
async fn a_user_ends_one_session_and_a_foreign_one_is_as_if_it_were_not_there() {
    let app = TestApp::start().await;
    let this = app.signed_in(ANA).await;
    let other = app.another_session(ANA).await;
    let bias = app.signed_in(BIA).await;
    let revocations = app.revoke_session(Who::of(&this), revoke(&session(&other))).await.unwrap().revocations;
    let [revocation] = &revocations[..] else { panic!("{revocations:?}") };
    assert_eq!(revocation.what, Some(revocation::What::SessionId(session(&other))));
    assert!(revocation.until_s >= crate::app::now_s() + 330, "longer than any of its tokens is good");
    assert_eq!(refusal(app.refresh(Who::Service, exchange(&other)).await).0, Code::Unauthenticated);
    assert_eq!(app.metric("accounts_sessions_revoked_total").await, 1);

    let twice = app.revoke_session(Who::of(&this), revoke(&session(&other))).await.unwrap();
    assert_eq!(twice.revocations, []);
    let foreign = app.revoke_session(Who::of(&this), revoke(&session(&bias))).await;
    let missing = app.revoke_session(Who::of(&this), revoke(&Uuid::now_v7().to_string())).await;
    let foreign = everything_said(foreign);
    assert!(foreign.contains("session_not_found"), "{foreign}");
    assert_eq!(foreign, everything_said(missing));
    assert!(app.refresh(Who::Service, exchange(&bias)).await.is_ok());
    assert_eq!(refusal(app.revoke_session(Who::of(&this), revoke("1")).await).2, "session_id");
}

#[tokio::test]
async fn a_logout_ends_the_session_that_asks_and_a_second_one_nothing() {
    let app = TestApp::start().await;
    let this = app.signed_in(ANA).await;
    let other = app.another_session(ANA).await;
    let ended = app.logout(Who::of(&this), LogoutRequest {}).await.unwrap().revocations;
    assert_eq!(ended.len(), 1);
    assert_eq!(app.logout(Who::of(&this), LogoutRequest {}).await.unwrap().revocations, []);
    assert_eq!(refusal(app.refresh(Who::Service, exchange(&this)).await).0, Code::Unauthenticated);
    assert!(app.refresh(Who::Service, exchange(&other)).await.is_ok());
}

#[tokio::test]
async fn a_logout_everywhere_ends_all_of_ones_own() {
    let app = TestApp::start().await;
    let first = app.signed_in(ANA).await;
    let second = app.another_session(ANA).await;
    let bias = app.signed_in(BIA).await;
    let ended = app.logout_all(Who::of(&first), LogoutAllRequest {}).await.unwrap().revocations;
    assert_eq!(ended.len(), 2);
    for gone in [&first, &second] {
        assert_eq!(refusal(app.refresh(Who::Service, exchange(gone)).await).0, Code::Unauthenticated);
    }
    assert!(app.refresh(Who::Service, exchange(&bias)).await.is_ok());
    assert_eq!(app.logout_all(Who::of(&first), LogoutAllRequest {}).await.unwrap().revocations, []);
    assert!(app.login(Who::Service, credentials(ANA)).await.is_ok());
}

#[tokio::test]
async fn only_users_have_sessions() {
    let app = TestApp::start().await;
    for (who, expected) in [(Who::Nobody, Code::Unauthenticated), (Who::Service, Code::PermissionDenied)] {
        assert_eq!(refusal(app.list_sessions(who.clone(), ListSessionsRequest {}).await).0, expected);
        let one = revoke(&Uuid::now_v7().to_string());
        assert_eq!(refusal(app.revoke_session(who.clone(), one).await).0, expected);
        assert_eq!(refusal(app.logout(who.clone(), LogoutRequest {}).await).0, expected);
        assert_eq!(refusal(app.logout_all(who.clone(), LogoutAllRequest {}).await).0, expected);
        assert_eq!(refusal(app.step_up(who.clone(), StepUpRequest::default()).await).0, expected);
        let code = "000000".to_owned();
        assert_eq!(
            refusal(app.confirm_totp(who.clone(), ConfirmTotpRequest { code: code.clone() }).await).0,
            expected
        );
        assert_eq!(refusal(app.disable_totp(who, DisableTotpRequest { code }).await).0, expected);
    }
}

/// X10, X22.
#[tokio::test]
async fn only_a_good_assertion_of_the_gateway_states_a_user() {
    let app = TestApp::start().await;
    let login = app.signed_in(ANA).await;
    let id = login.user.as_ref().unwrap().id;
    let header = app.keys.assertion_header("gateway");
    let good = app.keys.assertion_claims("accounts", "customer", id);
    assert!(app.list_sessions_with_bearer(&app.keys.sign_assertion("gateway", &header, &good)).await.is_ok());

    let spoiled = |name: &str, value: serde_json::Value| {
        let mut claims = good.clone();
        claims[name] = value;
        app.keys.sign_assertion("gateway", &header, &claims)
    };
    let now = crate::app::now_s();
    let by_notifications = {
        let mut claims = good.clone();
        claims["iss"] = json!("notifications");
        app.keys.sign_assertion("notifications", &app.keys.assertion_header("notifications"), &claims)
    };
    for wrong in [
        login.tokens.as_ref().unwrap().access_token.clone(),
        login.tokens.as_ref().unwrap().refresh_token.clone(),
        app.keys.assertion("agenda", "customer", id),
        app.keys.token("customer", id),
        by_notifications,
        spoiled("exp", json!(now)),
        spoiled("sid", json!("not a uuid")),
        spoiled("sub", json!("0")),
    ] {
        assert_eq!(refusal(app.list_sessions_with_bearer(&wrong).await).0, Code::Unauthenticated, "{wrong}");
    }
}

/// X29.
#[tokio::test]
async fn a_session_is_checked_as_it_is_now() {
    let app = TestApp::start().await;
    let login = app.signed_in(ANA).await;
    let id = login.user.as_ref().unwrap().id;
    let asked = |session_id: String, user_id| CheckSessionRequest { session_id, user_id };
    let check = async |request| {
        let answer = app.check_session(Who::Service, request).await.unwrap();
        (answer.revoked, answer.role())
    };
    let hers = asked(session(&login), id);
    assert_eq!(check(hers.clone()).await, (false, Role::Customer));
    app.sql("UPDATE users SET role = 'admin'").await;
    assert_eq!(check(hers.clone()).await, (false, Role::Admin));
    app.sql("UPDATE users SET role = 'staff', locked_at = now()").await;
    assert_eq!(check(hers.clone()).await, (true, Role::Staff));
    app.sql("UPDATE users SET locked_at = NULL").await;
    assert!(!check(hers.clone()).await.0);
    app.logout(Who::of(&login), LogoutRequest {}).await.unwrap();
    assert_eq!(check(hers).await, (true, Role::Staff));
    assert_eq!(check(asked(session(&login), id + 1)).await, (true, Role::Unspecified));
    let malformed = app.check_session(Who::Service, asked("x".into(), id)).await;
    assert_eq!(refusal(malformed).2, "session_id");
}

#[tokio::test]
async fn sessions_that_no_login_began_are_believed_in_development_only() {
    let app = TestApp::start().await;
    let user_id = app.registered(ANA).await;
    let production = TestApp::start_with(|config| {
        config.database_url = app.database.url.clone();
        config.environment = bootstrap::config::Environment::Production;
        config.jwt_issuer = "https://mestrescafe.com".to_owned();
    })
    .await;
    let asked = CheckSessionRequest { session_id: Uuid::now_v7().to_string(), user_id };
    assert!(!app.check_session(Who::Service, asked.clone()).await.unwrap().revoked);
    assert!(production.check_session(Who::Service, asked).await.unwrap().revoked);
}

#[tokio::test]
async fn the_latest_users_come_first_and_each_once() {
    let app = TestApp::start().await;
    let ana = app.signed_in(ANA).await;
    let bia = app.signed_in(BIA).await;
    app.another_session(ANA).await;
    let active = async |limit| app.list_active_users(Who::Service, ListActiveUsersRequest { limit }).await;
    let (ana_id, bia_id) = (ana.user.as_ref().unwrap().id, bia.user.as_ref().unwrap().id);
    assert_eq!(active(10).await.unwrap().user_ids, [ana_id, bia_id]);
    assert_eq!(active(1).await.unwrap().user_ids, [ana_id]);
    app.logout_all(Who::of(&ana), LogoutAllRequest {}).await.unwrap();
    assert_eq!(active(10).await.unwrap().user_ids, [bia_id]);
    for limit in [0, 10_001] {
        assert_eq!(refusal(active(limit).await).2, "limit");
    }
}
