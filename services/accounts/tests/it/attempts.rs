//! How often passwords can be tried, and that trying locks nobody out.

use futures_util::future::join_all;
use proto::accounts::v1::*;
use tonic::{Code, Status};

use crate::app::{
    ANA, BIA, TestApp, Who, client, credentials, everything_said, from, refusal, wrong_credentials,
};

const HASHES: &str = "accounts_password_hashes_total";

fn wrong_from(email: &str, address: &str) -> LoginRequest {
    LoginRequest { client: Some(from(address)), ..wrong_credentials(email) }
}

#[track_caller]
fn retry_after_ms(status: &Status) -> u64 {
    status.metadata().get("mc-retry-after-ms").unwrap().to_str().unwrap().parse().unwrap()
}

#[tokio::test]
async fn after_five_wrong_passwords_none_is_looked_at_for_a_minute() {
    let app = TestApp::start().await;
    app.registered(ANA).await;
    for _ in 0..5 {
        assert_eq!(refusal(app.login(Who::Service, wrong_credentials(ANA)).await).1, "invalid_credentials");
    }
    let hashes = app.metric(HASHES).await;
    for request in [wrong_credentials(ANA), credentials(ANA)] {
        let status = app.login(Who::Service, request).await.unwrap_err();
        assert!((50_000..=60_000).contains(&retry_after_ms(&status)) || retry_after_ms(&status) <= 5_000);
        let (code, reason, _) = refusal(Err::<(), _>(status));
        assert_eq!((code, reason.as_str()), (Code::ResourceExhausted, "rate_limited"));
    }
    assert_eq!(app.metric(HASHES).await, hashes, "not even looked at");
    assert_eq!(app.metric("accounts_throttled_total").await, 2);
    assert!(app.login(Who::Service, credentials(BIA)).await.is_err());
    app.signed_in(BIA).await;
}

#[tokio::test]
async fn delays_grow_to_a_quarter_of_an_hour_and_hold_for_every_process() {
    let app = TestApp::start().await;
    app.registered(ANA).await;
    for _ in 0..5 {
        refusal(app.login(Who::Service, wrong_credentials(ANA)).await);
    }
    for expected_s in [60, 120, 240, 480, 900, 900] {
        // A process that has refused nothing yet.
        let other = TestApp::start_with(|config| config.database_url = app.database.url.clone()).await;
        let status = other.login(Who::Service, credentials(ANA)).await.unwrap_err();
        let after_s = retry_after_ms(&status) / 1000;
        assert!((expected_s - 20..=expected_s).contains(&after_s), "{after_s} of {expected_s}");

        app.sql("UPDATE throttles SET next_at = now() - interval '1 second'").await;
        let other = TestApp::start_with(|config| config.database_url = app.database.url.clone()).await;
        assert_eq!(refusal(other.login(Who::Service, wrong_credentials(ANA)).await).1, "invalid_credentials");
    }
    app.sql("UPDATE throttles SET next_at = now() - interval '1 second', expires_at = now()").await;
    let other = TestApp::start_with(|config| config.database_url = app.database.url.clone()).await;
    for _ in 0..5 {
        assert_eq!(refusal(other.login(Who::Service, wrong_credentials(ANA)).await).1, "invalid_credentials");
    }
}

/// X15.
#[tokio::test]
async fn a_storm_from_everywhere_is_looked_at_five_times_and_the_owner_gets_in_on_a_known_device() {
    let app = TestApp::start().await;
    let device = app.signed_in(ANA).await.device;
    let hashes = app.metric(HASHES).await;
    for wave in 0..10 {
        let storm = (0..20).map(|n| {
            let address = format!("198.51.100.{}", wave * 20 + n);
            app.login(Who::Service, wrong_from(ANA, &address))
        });
        let answers = join_all(storm).await;
        assert!(answers.iter().all(Result::is_err));
    }
    assert!(app.metric(HASHES).await <= hashes + 5);
    assert_eq!(
        refusal(app.login(Who::Service, credentials(ANA)).await).1,
        "rate_limited",
        "an unknown device"
    );
    let on_known = |request: LoginRequest| LoginRequest {
        client: Some(Client { device: Some(device.clone()), ..client() }),
        ..request
    };
    assert!(app.login(Who::Service, on_known(credentials(ANA))).await.is_ok());

    // A device has an allowance of its own, not none.
    for _ in 0..5 {
        assert_eq!(
            refusal(app.login(Who::Service, on_known(wrong_credentials(ANA))).await).1,
            "invalid_credentials"
        );
    }
    assert_eq!(refusal(app.login(Who::Service, on_known(credentials(ANA))).await).1, "rate_limited");
}

#[tokio::test]
async fn an_address_without_an_account_is_throttled_like_one_with() {
    let app = TestApp::start().await;
    app.registered(ANA).await;
    let mut said = Vec::new();
    for email in [ANA, "nobody@example.com"] {
        let mut answers = Vec::new();
        for _ in 0..6 {
            let mut status = app.login(Who::Service, wrong_credentials(email)).await.unwrap_err();
            // To the millisecond they may differ.
            status.metadata_mut().remove("mc-retry-after-ms");
            answers.push(everything_said(Err::<(), _>(status)));
        }
        said.push(answers);
    }
    assert_eq!(said[0], said[1]);
    assert!(said[0][5].contains("rate_limited"));
}

#[tokio::test]
async fn the_right_password_makes_wrong_ones_forgotten() {
    let app = TestApp::start().await;
    app.registered(ANA).await;
    for _ in 0..3 {
        for _ in 0..4 {
            assert_eq!(
                refusal(app.login(Who::Service, wrong_credentials(ANA)).await).1,
                "invalid_credentials"
            );
        }
        app.login(Who::Service, credentials(ANA)).await.unwrap();
    }
}

#[tokio::test]
async fn a_new_password_by_mail_ends_what_strangers_have_brought_about() {
    let app = TestApp::start().await;
    app.registered(ANA).await;
    for _ in 0..5 {
        refusal(app.login(Who::Service, wrong_credentials(ANA)).await);
    }
    assert_eq!(refusal(app.login(Who::Service, credentials(ANA)).await).1, "rate_limited");
    let forgotten = ForgotPasswordRequest { email: ANA.into(), client: None };
    app.forgot_password(Who::Service, forgotten).await.unwrap();
    let new_password = "goiabeira atras da casa amarela".to_owned();
    let token = app.mailed_token("password_reset").await;
    let reset = ResetPasswordRequest { token, new_password: new_password.clone(), client: None };
    app.reset_password(Who::Service, reset).await.unwrap();
    let login = LoginRequest { password: new_password, ..credentials(ANA) };
    assert!(app.login(Who::Service, login).await.is_ok());
}

#[tokio::test]
async fn an_address_that_tries_many_accounts_is_slowed_and_others_are_not() {
    let app = TestApp::start().await;
    app.registered(ANA).await;
    refusal(app.login(Who::Service, wrong_from("one@example.com", "2001:db8::1")).await);
    app.sql("UPDATE throttles SET attempts = 99").await;
    refusal(app.login(Who::Service, wrong_from("two@example.com", "2001:db8::2")).await);
    // The same customer's network, whichever account it is about, also the right password.
    let request = LoginRequest { client: Some(from("2001:db8:0:0:ffff::3")), ..credentials(ANA) };
    assert_eq!(refusal(app.login(Who::Service, request).await).1, "rate_limited");
    let request = LoginRequest { client: Some(from("2001:db8:0:1::1")), ..credentials(ANA) };
    assert!(app.login(Who::Service, request).await.is_ok());
}

#[tokio::test]
async fn no_throttle_tells_whom_it_is_about() {
    let app = TestApp::start().await;
    refusal(app.login(Who::Service, wrong_credentials(ANA)).await);
    assert_eq!(app.count("SELECT count(*) FROM throttles WHERE length(key) = 32").await, 2);
    let mut keys: Vec<Vec<u8>> =
        sqlx::query_scalar("SELECT key FROM throttles").fetch_all(&mut app.admin().await).await.unwrap();
    let hashes = [ANA, "192.0.2.1"].map(|subject| blake3::hash(subject.as_bytes()).as_bytes().to_vec());
    keys.retain(|key| hashes.contains(key));
    assert_eq!(keys.len(), 0, "not by their plain hashes either");
}

/// X16, in small.
#[tokio::test]
async fn what_there_is_no_time_to_look_at_is_refused_and_counts_for_nobody() {
    let app = TestApp::start().await;
    let storm = (0..200).map(|n| {
        let request = wrong_from(&format!("user{n}@example.com"), &format!("2001:db8:0:{n:x}::1"));
        app.login(Who::Service, request)
    });
    let (mut looked_at, mut overloaded) = (0, 0);
    for answer in join_all(storm).await {
        let status = answer.unwrap_err();
        let retry_after =
            status.metadata().contains_key("mc-retry-after-ms").then(|| retry_after_ms(&status));
        match refusal(Err::<(), _>(status)).1.as_str() {
            "invalid_credentials" => looked_at += 1,
            "overloaded" => {
                assert!(retry_after.is_some_and(|ms| (1_000..3_000).contains(&ms)), "{retry_after:?}");
                overloaded += 1;
            }
            // On a busy machine the database may be late; then nothing was done either.
            other => assert!(["deadline_exceeded", "database_busy"].contains(&other), "{other}"),
        }
    }
    assert!(overloaded > 0, "all of {looked_at} were looked at");
    assert_eq!(app.metric(HASHES).await, looked_at);
    let counted = app.count("SELECT count(*) FROM throttles").await;
    assert_eq!(counted.unsigned_abs(), 2 * looked_at, "an account and an address for each");
}
