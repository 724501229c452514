//! What is asked twice with one idempotency key is done once, and answered twice.

use proto::accounts::v1::*;
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::{Code, Request, Response, Status};

use crate::app::{CALL_DEADLINE, TestApp, Who};
use crate::people::{CARLA, app_with_people, carla, davi, helena};

/// A request with an idempotency key, as the gateway announces it; `body` stands for the hash of the body.
fn keyed<T>(mut request: Request<T>, key: &str, body: u8) -> Request<T> {
    let metadata = request.metadata_mut();
    metadata.insert("mc-idempotency-key", key.parse().unwrap());
    metadata.insert("mc-idempotency-route", "POST /api/v1/somewhere".parse().unwrap());
    metadata.insert_bin("mc-idempotency-sha256-bin", MetadataValue::from_bytes(&[body; 32]));
    request
}

fn replayed(metadata: &MetadataMap) -> bool {
    metadata.get("mc-idempotent-replayed").is_some_and(|value| value == "true")
}

fn request<T>(app: &TestApp, who: &Who, message: T, key: &str, body: u8) -> Request<T> {
    keyed(bootstrap::grpc::request(message, CALL_DEADLINE, app.bearer(who).as_deref()), key, body)
}

async fn rename(
    app: &TestApp,
    who: &Who,
    expected_version: i64,
    name: &str,
    body: u8,
) -> Result<Response<UpdateProfileResponse>, Status> {
    let message = UpdateProfileRequest { expected_version, name: Some(name.to_owned()), locale: None };
    app.client.clone().update_profile(request(app, who, message, "rename", body)).await
}

#[tokio::test]
async fn a_repeat_gets_the_same_reply_and_has_no_other_effect() {
    let app = app_with_people().await;
    let first = rename(&app, &carla(), 1, "Carla P.", 1).await.unwrap();
    let again = rename(&app, &carla(), 1, "Carla P.", 1).await.unwrap();
    assert_eq!((replayed(first.metadata()), replayed(again.metadata())), (false, true));
    let (first, again) = (first.into_inner(), again.into_inner());
    assert_eq!((first.user.as_ref().unwrap().version, &first.user), (2, &again.user));
    assert_eq!((first.receipts.len(), &first.receipts[0].tags), (1, &again.receipts[0].tags));
    assert_eq!(app.count("SELECT count(*) FROM outbox").await, 1);

    let fields = AddressFields {
        recipient: "Carla".into(),
        line1: "Rua A, 1".into(),
        city: "Santos".into(),
        state: "SP".into(),
        postal_code: "11010000".into(),
        ..Default::default()
    };
    let create = CreateAddressRequest { fields: Some(fields) };
    for expected in [false, true] {
        let made = app.client.clone().create_address(request(&app, &carla(), create.clone(), "a", 1)).await;
        assert_eq!(replayed(made.unwrap().metadata()), expected);
        let asked =
            app.client.clone().request_export(request(&app, &carla(), RequestExportRequest {}, "e", 1)).await;
        assert_eq!(replayed(asked.unwrap().metadata()), expected);
    }
    assert_eq!(app.count("SELECT count(*) FROM addresses").await, 1);
    assert_eq!(app.count("SELECT count(*) FROM data_jobs").await, 1);
}

#[tokio::test]
async fn what_an_administrator_asks_twice_is_done_and_written_down_once() {
    let app = app_with_people().await;
    let promote =
        UpdateUserRequest { id: CARLA, expected_version: 1, role: Some(Role::Staff.into()), name: None };
    let lock = LockUserRequest { id: CARLA, expected_version: 2, locked: true, reason: String::new() };
    let mut replies = Vec::new();
    for expected in [false, true] {
        let answer =
            app.client.clone().update_user(request(&app, &helena(), promote.clone(), "u", 1)).await.unwrap();
        assert_eq!(replayed(answer.metadata()), expected);
        replies.push((answer.get_ref().user.clone(), answer.get_ref().revocations.clone()));
        let answer =
            app.client.clone().lock_user(request(&app, &helena(), lock.clone(), "l", 1)).await.unwrap();
        assert_eq!(replayed(answer.metadata()), expected);
        replies.push((answer.get_ref().user.clone(), answer.get_ref().revocations.clone()));
    }
    assert_eq!((&replies[0], &replies[1]), (&replies[2], &replies[3]));
    let actions = "SELECT count(*) FROM audit_chain WHERE action IN ('user.role_changed', 'user.locked')";
    assert_eq!((app.count(actions).await, app.count("SELECT count(*) FROM audit_chain").await), (2, 2));
    let mut connection = audit::connect(&app.database.url).await.unwrap();
    assert_eq!(audit::verify(&mut connection, None).await.unwrap().unwrap().rows, 2);
}

#[tokio::test]
async fn a_key_stands_for_one_request_of_one_user() {
    let app = app_with_people().await;
    rename(&app, &carla(), 1, "Carla P.", 1).await.unwrap();
    let reused = rename(&app, &carla(), 2, "Carla Q.", 2).await.unwrap_err();
    assert_eq!(reused.code(), Code::FailedPrecondition);
    assert_eq!(reused.metadata().get("mc-reason").unwrap(), "idempotency_key_reused");
    let his = rename(&app, &davi(), 1, "Davi N.", 2).await.unwrap();
    assert!(!replayed(his.metadata()));
}

#[tokio::test]
async fn a_refusal_is_repeated_as_it_was() {
    let app = app_with_people().await;
    let stale = rename(&app, &carla(), 7, "Carla P.", 1).await.unwrap_err();
    app.sql("UPDATE users SET version = 7 WHERE id = 1001").await;
    // By now it would be the right version.
    let again = rename(&app, &carla(), 7, "Carla P.", 1).await.unwrap_err();
    assert_eq!((stale.code(), stale.message()), (again.code(), again.message()));
    assert_eq!(again.metadata().get("mc-current-version"), stale.metadata().get("mc-current-version"));
    assert_eq!((replayed(stale.metadata()), replayed(again.metadata())), (false, true));
    assert!(!again.metadata().get("mc-idempotent-request-id").unwrap().is_empty());
}

#[tokio::test]
async fn keys_say_nothing_about_secrets() {
    let app = app_with_people().await;
    // Passwords, codes and sessions are not kept under a key, whoever sends one.
    let change = ChangePasswordRequest::default();
    let refused =
        app.client.clone().change_password(request(&app, &carla(), change, "k", 1)).await.unwrap_err();
    assert!(!replayed(refused.metadata()));
    app.client
        .clone()
        .enrol_totp(request(&app, &carla(), EnrolTotpRequest::default(), "k", 1))
        .await
        .unwrap();
    assert_eq!(app.count("SELECT count(*) FROM idempotency_keys").await, 0);
}
