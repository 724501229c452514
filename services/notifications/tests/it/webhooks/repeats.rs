//! What an admin asks twice with one idempotency key is done once, answered twice, and written down once.

use proto::notifications::v1::*;
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::{Code, Request};

use super::receiver::Receiver;
use super::{ADMIN, Hooks, new_endpoint};
use crate::app::CALL_DEADLINE;

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

fn request<T>(hooks: &Hooks, message: T, key: &str, body: u8) -> Request<T> {
    let bearer = hooks.world.bearer(ADMIN);
    keyed(bootstrap::grpc::request(message, CALL_DEADLINE, bearer.as_deref()), key, body)
}

async fn actions(hooks: &Hooks) -> Vec<String> {
    sqlx::query_scalar("SELECT action FROM audit_chain ORDER BY id")
        .fetch_all(&mut hooks.world.admin().await)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_secret_is_told_again_and_kept_sealed() {
    let hooks = Hooks::start().await;
    let receiver = Receiver::start().await;
    let mut client = hooks.client.clone();
    let new = new_endpoint(&receiver.url(), &["*"]);
    let first = client.create_endpoint(request(&hooks, new.clone(), "c", 1)).await.unwrap();
    let again = client.create_endpoint(request(&hooks, new, "c", 1)).await.unwrap();
    assert_eq!((replayed(first.metadata()), replayed(again.metadata())), (false, true));
    let first = first.into_inner();
    assert_eq!(first, again.into_inner());
    assert!(first.secret.starts_with("whsec_"));
    let id = first.endpoint.unwrap().id;
    assert_eq!(hooks.list_endpoints(ADMIN, ListEndpointsRequest {}).await.unwrap().endpoints.len(), 1);

    let rotate = RotateSecretRequest { id };
    let rotated = client.rotate_secret(request(&hooks, rotate, "r", 1)).await.unwrap().into_inner();
    let repeated = client.rotate_secret(request(&hooks, rotate, "r", 1)).await.unwrap();
    assert!(replayed(repeated.metadata()));
    assert_eq!(&rotated, repeated.get_ref());
    assert_ne!(rotated.secret, first.secret);
    // What was told is what signs.
    let event = hooks.updated(5, 1).await;
    hooks.delivery(id, &event, "delivered").await;
    // In the database neither secret is to be read.
    for secret in [&first.secret, &rotated.secret] {
        let bare = secret.strip_prefix("whsec_").unwrap();
        let readable: i64 = sqlx::query_scalar(
            "SELECT (SELECT count(*) FROM idempotency_keys WHERE encode(reply, 'escape') LIKE '%' || $1 || '%')
                  + (SELECT count(*) FROM audit_chain c WHERE c::text LIKE '%' || $1 || '%')",
        )
        .bind(bare)
        .fetch_one(&mut hooks.world.admin().await)
        .await
        .unwrap();
        assert_eq!(readable, 0);
    }
    assert_eq!(actions(&hooks).await, ["webhook.created", "webhook.secret_rotated"]);
}

#[tokio::test]
async fn a_test_message_is_sent_once() {
    let hooks = Hooks::start().await;
    let receiver = Receiver::start().await;
    let (endpoint, _) = hooks.endpoint(&receiver, &["price.changed"]).await;
    let mut client = hooks.client.clone();
    let test = TestEndpointRequest { id: endpoint.id };
    let first = client.test_endpoint(request(&hooks, test, "t", 1)).await.unwrap();
    let again = client.test_endpoint(request(&hooks, test, "t", 1)).await.unwrap();
    assert_eq!((replayed(first.metadata()), replayed(again.metadata())), (false, true));
    assert_eq!(first.into_inner(), again.into_inner());
    assert_eq!((receiver.received().len(), hooks.log(endpoint.id).await.len()), (1, 1));
    client.test_endpoint(request(&hooks, test, "another", 1)).await.unwrap();
    assert_eq!(receiver.received().len(), 2);
}

#[tokio::test]
async fn changes_are_made_and_written_down_once() {
    let hooks = Hooks::start().await;
    let receiver = Receiver::start().await;
    let (endpoint, _) = hooks.endpoint(&receiver, &["*"]).await;
    let event = hooks.updated(5, 1).await;
    let delivery = hooks.delivery(endpoint.id, &event, "delivered").await;
    let mut client = hooks.client.clone();
    let id = endpoint.id;
    let update = UpdateEndpointRequest {
        id,
        expected_version: endpoint.version,
        events: Some(EventTypes { types: vec!["price.changed".to_owned()] }),
        ..Default::default()
    };
    let again = RedeliverRequest { delivery_id: delivery.id };
    for expected in [false, true] {
        let answer = client.redeliver(request(&hooks, again.clone(), "d", 1)).await.unwrap();
        assert_eq!(replayed(answer.metadata()), expected);
        let answer = client.update_endpoint(request(&hooks, update.clone(), "u", 1)).await.unwrap();
        assert_eq!(replayed(answer.metadata()), expected);
    }
    let reused = client.update_endpoint(request(&hooks, update.clone(), "u", 2)).await.unwrap_err();
    assert_eq!(reused.code(), Code::FailedPrecondition);
    assert_eq!(reused.metadata().get("mc-reason").unwrap(), "idempotency_key_reused");
    // Without a key the same is a new request, for a version that is gone: refused, and each time the same.
    let stale = client.update_endpoint(request(&hooks, update.clone(), "stale", 1)).await.unwrap_err();
    let replay = client.update_endpoint(request(&hooks, update, "stale", 1)).await.unwrap_err();
    assert_eq!((stale.code(), stale.message()), (replay.code(), replay.message()));
    assert_eq!((replayed(stale.metadata()), replayed(replay.metadata())), (false, true));
    assert!(!replay.metadata().get("mc-idempotent-request-id").unwrap().is_empty());

    let version = hooks.endpoint_now(id).await.version;
    hooks.delete_endpoint(ADMIN, DeleteEndpointRequest { id, expected_version: version }).await.unwrap();
    assert_eq!(
        actions(&hooks).await,
        ["webhook.created", "webhook.redelivered", "webhook.updated", "webhook.deleted"]
    );
    let entries: Vec<(Option<serde_json::Value>, Option<serde_json::Value>, i64, String)> =
        sqlx::query_as("SELECT before, after, actor_id, actor_role FROM audit_chain ORDER BY id")
            .fetch_all(&mut hooks.world.admin().await)
            .await
            .unwrap();
    assert!(entries.iter().all(|(.., actor, role)| (*actor, role.as_str()) == (1, "admin")));
    let [created, _, updated, deleted] = &entries[..] else { panic!("{entries:?}") };
    assert_eq!((created.0.is_none(), deleted.1.is_none()), (true, true));
    let (before, after) = (updated.0.as_ref().unwrap(), updated.1.as_ref().unwrap());
    assert_eq!((&before["events"][0], &after["events"][0]), (&"*".into(), &"price.changed".into()));
    // Where it is, and not by which words it lets one in.
    assert!(before["host"].is_string() && before.get("url").is_none(), "{before}");
    let mut connection = audit::connect(&hooks.world.database.url).await.unwrap();
    assert_eq!(audit::verify(&mut connection, None).await.unwrap().unwrap().rows, 4);
}
