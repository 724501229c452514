//! What a user asks twice with one idempotency key is done once, and answered twice.

use proto::notifications::v1::*;
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::{Code, Request, Response, Status};

use crate::app::{ANA, BIA, CALL_DEADLINE, TestApp, Who, report};
use crate::consumers::with_nats;

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

async fn read_all(
    app: &TestApp,
    who: Who,
    key: &str,
    body: u8,
) -> Result<Response<MarkAllReadResponse>, Status> {
    let bearer = app.world.bearer(who);
    let request = bootstrap::grpc::request(MarkAllReadRequest {}, CALL_DEADLINE, bearer.as_deref());
    app.replica.client.clone().mark_all_read(keyed(request, key, body)).await
}

#[tokio::test]
async fn a_repeat_gets_the_same_reply_and_a_key_stands_for_one_request() {
    let (app, _nats, publisher) = with_nats().await;
    publisher.publish(1, report(7, 41, 42)).await;
    app.feed_of(BIA, 1).await;
    let first = read_all(&app, BIA, "k", 1).await.unwrap();
    let again = read_all(&app, BIA, "k", 1).await.unwrap();
    assert_eq!((replayed(first.metadata()), replayed(again.metadata())), (false, true));
    let (first, again) = (first.into_inner(), again.into_inner());
    assert_eq!((first.marked, again.marked), (1, 1));
    assert_eq!(first.receipts[0].tags, again.receipts[0].tags);
    // Asked anew there is nothing to mark.
    assert_eq!(read_all(&app, BIA, "another", 1).await.unwrap().into_inner().marked, 0);
    let reused = read_all(&app, BIA, "k", 2).await.unwrap_err();
    assert_eq!(reused.code(), Code::FailedPrecondition);
    assert_eq!(reused.metadata().get("mc-reason").unwrap(), "idempotency_key_reused");
    assert!(!replayed(read_all(&app, ANA, "k", 2).await.unwrap().metadata()));

    // A refusal is repeated as it was.
    let mark = async |key| {
        let request = MarkNotificationRequest { id: 999_999, read: true };
        let request = bootstrap::grpc::request(request, CALL_DEADLINE, app.world.bearer(BIA).as_deref());
        app.replica.client.clone().mark_notification(keyed(request, key, 3)).await.unwrap_err()
    };
    let (refused, again) = (mark("m").await, mark("m").await);
    assert_eq!((refused.code(), refused.message()), (again.code(), again.message()));
    assert_eq!((replayed(refused.metadata()), replayed(again.metadata())), (false, true));
}
