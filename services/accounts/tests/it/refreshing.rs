//! Refresh tokens: exchanged once, and what happens when one comes again.

use futures_util::future::join_all;
use proto::accounts::v1::*;
use tonic::Code;

use crate::app::{ANA, BIA, TestApp, Who, client, from, refusal};

fn exchange(token: &str) -> RefreshRequest {
    RefreshRequest { refresh_token: token.to_owned(), client: Some(client()) }
}

async fn next(app: &TestApp, token: &str) -> String {
    app.refresh(Who::Service, exchange(token)).await.unwrap().tokens.unwrap().refresh_token
}

async fn refused(app: &TestApp, token: &str) {
    let (code, reason, _) = refusal(app.refresh(Who::Service, exchange(token)).await);
    assert_eq!((code, reason.as_str()), (Code::Unauthenticated, "invalid_credentials"));
}

async fn first(app: &TestApp) -> String {
    app.signed_in(ANA).await.tokens.unwrap().refresh_token
}

#[tokio::test]
async fn a_token_is_exchanged_for_the_next_one_of_the_same_session() {
    let app = TestApp::start().await;
    let login = app.signed_in(ANA).await;
    let begun = login.tokens.unwrap();
    let answer = app.refresh(Who::Service, exchange(&begun.refresh_token)).await.unwrap();
    let tokens = answer.tokens.unwrap();
    assert_eq!(answer.user_id, login.user.unwrap().id);
    assert_eq!(tokens.session_id, begun.session_id);
    assert_ne!(tokens.refresh_token, begun.refresh_token);
    assert_ne!(tokens.access_token, begun.access_token);
    let third = next(&app, &tokens.refresh_token).await;
    next(&app, &third).await;
    assert_eq!(app.count("SELECT count(*) FROM refresh_tokens WHERE used_at IS NULL").await, 1);
    assert_eq!(app.metric("accounts_refreshes_total").await, 3);
}

/// X25, the first half.
#[tokio::test]
async fn the_same_device_gets_the_same_successor_for_ten_seconds() {
    let app = TestApp::start().await;
    let token = first(&app).await;
    let successor = next(&app, &token).await;
    assert_eq!(next(&app, &token).await, successor);
    app.sql("UPDATE refresh_tokens SET used_at = used_at - interval '9 seconds' WHERE used_at IS NOT NULL")
        .await;
    assert_eq!(next(&app, &token).await, successor);
    assert_eq!(app.count("SELECT count(*) FROM refresh_tokens").await, 2);
    // From another network is the same device all the same.
    let elsewhere = RefreshRequest { client: Some(from("203.0.113.9")), ..exchange(&token) };
    let again = app.refresh(Who::Service, elsewhere).await.unwrap().tokens.unwrap().refresh_token;
    assert_eq!(again, successor);
}

/// X25, the second half.
#[tokio::test]
async fn later_the_session_ends_and_its_user_is_told() {
    let app = TestApp::start().await;
    let login = app.signed_in(ANA).await;
    let tokens = login.tokens.clone().unwrap();
    let other = app.another_session(ANA).await.tokens.unwrap();
    let successor = next(&app, &tokens.refresh_token).await;
    app.sql("UPDATE refresh_tokens SET used_at = used_at - interval '60 seconds' WHERE used_at IS NOT NULL")
        .await;

    refused(&app, &tokens.refresh_token).await;
    refused(&app, &successor).await;
    assert_eq!(app.mails("session_reuse").await, 1);
    let revocations = app.list_revocations(Who::Service, ListRevocationsRequest::default()).await.unwrap();
    let [revocation] = &revocations.revocations[..] else { panic!("{revocations:?}") };
    assert_eq!(revocation.what, Some(revocation::What::SessionId(tokens.session_id.clone())));
    assert_eq!(app.metric("accounts_refresh_reuses_total").await, 1);
    let user_id = login.user.unwrap().id;
    let asked = CheckSessionRequest { session_id: tokens.session_id, user_id };
    assert!(app.check_session(Who::Service, asked).await.unwrap().revoked);

    // Once is enough, and another session of the same user is another family.
    refused(&app, &tokens.refresh_token).await;
    assert_eq!(app.mails("session_reuse").await, 1);
    next(&app, &other.refresh_token).await;
}

#[tokio::test]
async fn an_old_ancestor_ends_the_session_too() {
    let app = TestApp::start().await;
    let token = first(&app).await;
    let mut last = token.clone();
    for _ in 0..3 {
        last = next(&app, &last).await;
    }
    app.sql("UPDATE refresh_tokens SET used_at = used_at - interval '60 seconds' WHERE used_at IS NOT NULL")
        .await;
    refused(&app, &token).await;
    refused(&app, &last).await;
}

#[tokio::test]
async fn another_device_ends_the_session_at_once() {
    let app = TestApp::start().await;
    let token = first(&app).await;
    let successor = next(&app, &token).await;
    let thief = Client { user_agent: "Other/1".into(), ..client() };
    let stolen = RefreshRequest { client: Some(thief), ..exchange(&token) };
    assert_eq!(refusal(app.refresh(Who::Service, stolen).await).0, Code::Unauthenticated);
    refused(&app, &successor).await;
}

/// X26.
#[tokio::test]
async fn of_twenty_at_once_all_get_one_successor() {
    let app = TestApp::start().await;
    let token = first(&app).await;
    let all = join_all((0..20).map(|_| app.refresh(Who::Service, exchange(&token)))).await;
    let mut successors: Vec<String> =
        all.into_iter().map(|answer| answer.unwrap().tokens.unwrap().refresh_token).collect();
    assert_eq!(successors.len(), 20);
    successors.dedup();
    assert_eq!(successors.len(), 1);
    assert_eq!(app.count("SELECT count(*) FROM refresh_tokens").await, 2);
    assert_eq!(app.count("SELECT count(*) FROM refresh_tokens WHERE used_at IS NULL").await, 1);
    assert_eq!(app.mails("session_reuse").await, 0);
}

#[tokio::test]
async fn tokens_end_after_a_week_unused_and_sessions_after_a_month() {
    let app = TestApp::start().await;
    let token = first(&app).await;
    app.sql("UPDATE refresh_tokens SET expires_at = now()").await;
    refused(&app, &token).await;

    let token = app.another_session(ANA).await.tokens.unwrap().refresh_token;
    app.sql("UPDATE sessions SET expires_at = now() + interval '2 days'").await;
    let answer = app.refresh(Who::Service, exchange(&token)).await.unwrap().tokens.unwrap();
    let left = answer.refresh_expires_at.unwrap().seconds - crate::app::now_s();
    assert!(left <= 2 * 24 * 3600, "no token outlives its session: {left} s");
    app.sql("UPDATE sessions SET expires_at = now()").await;
    refused(&app, &answer.refresh_token).await;
    assert_eq!(app.count("SELECT count(*) FROM revocations").await, 0, "an end in time is no theft");
}

#[tokio::test]
async fn nobody_who_is_locked_or_gone_gets_another_token() {
    let app = TestApp::start().await;
    let token = first(&app).await;
    app.sql("UPDATE users SET locked_at = now()").await;
    refused(&app, &token).await;
    app.sql("UPDATE users SET locked_at = NULL, deleted_at = now()").await;
    refused(&app, &token).await;
    app.sql("UPDATE users SET deleted_at = NULL").await;
    next(&app, &token).await;
}

/// X22.
#[tokio::test]
async fn nothing_else_is_a_refresh_token() {
    let app = TestApp::start().await;
    let tokens = app.signed_in(ANA).await.tokens.unwrap();
    let device = app.signed_in(BIA).await.device;
    let long = "x".repeat(1024 * 1024);
    let padded = format!("{}=", tokens.refresh_token);
    for wrong in ["", "x", &tokens.access_token, &device, &long, &padded] {
        refused(&app, wrong).await;
    }
    next(&app, &tokens.refresh_token).await;
}
