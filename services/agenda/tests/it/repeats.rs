//! What is asked twice with one idempotency key is done once, and answered twice.

use proto::agenda::v1::*;
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::{Code, Request, Response, Status};

use crate::app::{ANA, BIA, CALL_DEADLINE, TestApp, Who, booked, id, professional, report, tasting};

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

async fn create_event(
    app: &TestApp,
    who: Who,
    fields: EventFields,
    key: &str,
    body: u8,
) -> Result<Response<CreateEventResponse>, Status> {
    let request = CreateEventRequest { fields: Some(fields) };
    let request = bootstrap::grpc::request(request, CALL_DEADLINE, app.assertion(who).as_deref());
    app.client.clone().create_event(keyed(request, key, body)).await
}

async fn count(app: &TestApp, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(&mut app.admin().await).await.unwrap()
}

#[tokio::test]
async fn a_repeat_gets_the_same_reply_and_has_no_other_effect() {
    let app = TestApp::start().await;
    let first = create_event(&app, ANA, tasting("x", 0), "k", 1).await.unwrap();
    let again = create_event(&app, ANA, tasting("x", 0), "k", 1).await.unwrap();
    assert_eq!((replayed(first.metadata()), replayed(again.metadata())), (false, true));
    let (first, again) = (first.into_inner(), again.into_inner());
    assert_eq!(first.event, again.event);
    assert_eq!((first.receipts.len(), &first.receipts[0].event_id), (1, &again.receipts[0].event_id));
    assert_eq!(first.receipts[0].tags, again.receipts[0].tags);
    assert_eq!(count(&app, "SELECT count(*) FROM events").await, 1);
    assert_eq!(count(&app, "SELECT count(*) FROM outbox").await, 1);

    // Each kind of thing that one can make.
    for expected in [false, true] {
        let request = CreateProfessionalRequest { fields: Some(professional("Helena")) };
        let request = bootstrap::grpc::request(request, CALL_DEADLINE, app.assertion(ANA).as_deref());
        let made = app.client.clone().create_professional(keyed(request, "p", 1)).await.unwrap();
        assert_eq!(replayed(made.metadata()), expected);
        let request = CreateReportRequest { receiver_id: id(BIA), fields: Some(report("x")) };
        let request = bootstrap::grpc::request(request, CALL_DEADLINE, app.assertion(ANA).as_deref());
        let made = app.client.clone().create_report(keyed(request, "r", 1)).await.unwrap();
        assert_eq!(replayed(made.metadata()), expected);
    }
    assert_eq!(
        count(&app, "SELECT (SELECT count(*) FROM professionals) + (SELECT count(*) FROM reports)").await,
        2
    );
}

#[tokio::test]
async fn a_key_stands_for_one_request_of_one_user() {
    let app = TestApp::start().await;
    create_event(&app, ANA, tasting("x", 0), "k", 1).await.unwrap();
    let reused = create_event(&app, ANA, tasting("y", 0), "k", 2).await.unwrap_err();
    assert_eq!(reused.code(), Code::FailedPrecondition);
    assert_eq!(reused.metadata().get("mc-reason").unwrap(), "idempotency_key_reused");
    assert_eq!(count(&app, "SELECT count(*) FROM events").await, 1);
    let hers = create_event(&app, BIA, tasting("y", 0), "k", 2).await.unwrap();
    assert!(!replayed(hers.metadata()));
    assert_eq!(count(&app, "SELECT count(*) FROM events").await, 2);
}

#[tokio::test]
async fn a_refusal_is_repeated_as_it_was() {
    let app = TestApp::start().await;
    let create = CreateProfessionalRequest { fields: Some(professional("Helena")) };
    let helena = app.create_professional(ANA, create).await.unwrap().professional.unwrap();
    create_event(&app, ANA, booked(0, &helena), "first", 1).await.unwrap();
    let taken = create_event(&app, ANA, booked(0, &helena), "second", 2).await.unwrap_err();
    app.sql("DELETE FROM events").await;
    // By now the time is free.
    let again = create_event(&app, ANA, booked(0, &helena), "second", 2).await.unwrap_err();
    assert_eq!((taken.code(), taken.message()), (again.code(), again.message()));
    assert_eq!(again.metadata().get("mc-reason").unwrap(), "double_booking");
    assert_eq!((replayed(taken.metadata()), replayed(again.metadata())), (false, true));
    assert!(!again.metadata().get("mc-idempotent-request-id").unwrap().is_empty());
    assert!(create_event(&app, ANA, booked(0, &helena), "third", 2).await.is_ok());
}
