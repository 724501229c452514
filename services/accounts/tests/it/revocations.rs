//! Revocations: in the order of commits, told at once and kept for those who ask.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::join_all;
use prost::Message as _;
use proto::accounts::v1::*;
use testkit::{Nats, eventually};

use crate::app::{ANA, TestApp, Who, credentials};

async fn after(app: &TestApp, after_seq: u64) -> Vec<Revocation> {
    app.list_revocations(Who::Service, ListRevocationsRequest { after_seq }).await.unwrap().revocations
}

#[tokio::test]
async fn whoever_follows_by_number_misses_none_of_many_at_once() {
    const SESSIONS: usize = 60;
    let app = TestApp::start().await;
    let id = app.registered(ANA).await;
    sqlx::query(
        "INSERT INTO sessions (id, user_id, created_at, last_used_at, auth_at, expires_at)
         SELECT gen_random_uuid(), $1, now(), now(), now(), now() + interval '30 days' FROM generate_series(1, $2)",
    )
    .bind(id)
    .bind(i32::try_from(SESSIONS).unwrap())
    .execute(&mut app.admin().await)
    .await
    .unwrap();
    let sessions: Vec<String> =
        sqlx::query_scalar("SELECT id::text FROM sessions").fetch_all(&mut app.admin().await).await.unwrap();

    let end_all = join_all(sessions.iter().map(|session_id| {
        let request = RevokeSessionRequest { session_id: session_id.clone() };
        app.revoke_session(Who::user(id, "customer"), request)
    }));
    let follow = async {
        let (mut last, mut seen) = (0, Vec::new());
        while seen.len() < SESSIONS {
            let news = after(&app, last).await;
            assert!(news.is_sorted_by_key(|revocation| revocation.seq));
            last = news.last().map_or(last, |revocation| revocation.seq);
            seen.extend(news);
        }
        seen
    };
    let follow = tokio::time::timeout(Duration::from_secs(30), follow);
    let (ended, seen) = tokio::join!(end_all, follow);
    let seen = seen.expect("a revocation was passed over");
    let answered: BTreeSet<u64> = ended
        .into_iter()
        .flat_map(|answer| answer.unwrap().revocations)
        .map(|revocation| revocation.seq)
        .collect();
    assert_eq!(seen.iter().map(|revocation| revocation.seq).collect::<BTreeSet<_>>(), answered);
    assert_eq!(answered.len(), SESSIONS);
}

#[tokio::test]
async fn what_no_longer_matters_is_not_told() {
    let app = TestApp::start().await;
    let login = app.signed_in(ANA).await;
    app.logout(Who::of(&login), LogoutRequest {}).await.unwrap();
    let all = after(&app, 0).await;
    assert_eq!(all.len(), 1);
    assert_eq!(after(&app, all[0].seq).await, []);
    assert_eq!(after(&app, u64::MAX).await, []);
    app.sql("UPDATE revocations SET until = now()").await;
    assert_eq!(after(&app, 0).await, []);
}

#[tokio::test]
async fn a_revocation_is_published_as_it_was_answered() {
    let nats = Nats::start().await;
    let app = TestApp::start_with(|config| config.nats_url = nats.url()).await;
    let listener = bootstrap::nats::connect(&nats.url(), "listener").await.unwrap();
    let mut heard = listener.subscribe("accounts.revoked").await.unwrap();
    listener.flush().await.unwrap();

    let login = app.signed_in(ANA).await;
    let answered = app.logout(Who::of(&login), LogoutRequest {}).await.unwrap().revocations;
    let message = tokio::time::timeout(Duration::from_secs(10), heard.next()).await.unwrap().unwrap();
    assert_eq!(Revocation::decode(message.payload).unwrap(), answered[0]);
}

#[tokio::test]
async fn a_logout_works_while_nats_is_away_and_a_stop_does_not_wait_for_it() {
    let app = TestApp::start().await;
    let login = app.signed_in(ANA).await;
    assert_eq!(app.logout(Who::of(&login), LogoutRequest {}).await.unwrap().revocations.len(), 1);
    app.stop().await;
}

#[tokio::test]
async fn events_reach_the_stream_and_the_last_ones_before_a_stop_too() {
    let nats = Nats::start().await;
    let app = TestApp::start_with(|config| config.nats_url = nats.url()).await;
    let connection = bootstrap::nats::connect(&nats.url(), "operator").await.unwrap();
    let context = async_nats::jetstream::new(connection);
    let ready = async || context.get_stream("MC_MUTATIONS").await.ok();
    let stream = eventually(Duration::from_secs(20), "the relay has made the stream", ready).await;
    app.registered(ANA).await;
    app.login(Who::Service, credentials(ANA)).await.unwrap();
    let both = async || {
        let info = stream.get_info().await.ok()?;
        (info.state.messages == 2).then_some(())
    };
    eventually(Duration::from_secs(20), "registration and login are in the stream", both).await;
    app.stop().await;
}
