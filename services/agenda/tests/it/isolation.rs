//! X1: what is another user's does not exist, to the byte; employees are other users.

use proto::agenda::v1::*;
use tonic::{Code, Status};

use crate::app::{ANA, BIA, TestApp, Who, professional, report, tasting};

const MISSING: i64 = 999_999;

/// One call on each of three things.
async fn attempts(app: &TestApp, who: Who, ids: [i64; 3]) -> Vec<Result<(), Status>> {
    let [event, master, sent] = ids;
    let expected_version = 1;
    vec![
        app.get_event(who, GetEventRequest { id: event }).await.map(drop),
        app.update_event(
            who,
            UpdateEventRequest { id: event, expected_version, fields: Some(tasting("y", 0)) },
        )
        .await
        .map(drop),
        app.delete_event(who, DeleteEventRequest { id: event, expected_version }).await.map(drop),
        app.get_professional(who, GetProfessionalRequest { id: master }).await.map(drop),
        app.update_professional(
            who,
            UpdateProfessionalRequest { id: master, expected_version, fields: Some(professional("y")) },
        )
        .await
        .map(drop),
        app.delete_professional(who, DeleteProfessionalRequest { id: master, expected_version })
            .await
            .map(drop),
        app.get_report(who, GetReportRequest { id: sent }).await.map(drop),
        app.update_report(who, UpdateReportRequest { id: sent, expected_version, fields: Some(report("y")) })
            .await
            .map(drop),
        app.delete_report(who, DeleteReportRequest { id: sent, expected_version }).await.map(drop),
    ]
}

/// Everything about a refusal that travels, but the moment.
fn bytes(answer: Result<(), Status>) -> (Code, String, Vec<u8>, Vec<String>) {
    let status = answer.expect_err("a stranger was answered");
    let mut metadata: Vec<_> = status
        .metadata()
        .clone()
        .into_headers()
        .iter()
        .filter(|(name, _)| *name != "date")
        .map(|(name, value)| format!("{name}={value:?}"))
        .collect();
    metadata.sort();
    (status.code(), status.message().to_owned(), status.details().to_vec(), metadata)
}

#[tokio::test]
async fn a_strangers_answer_is_the_answer_of_what_is_missing() {
    let app = TestApp::start().await;
    let event = app.event(tasting("x", 0)).await.id;
    let master = app.professional("x").await.id;
    let sent = app.report("x").await.id;
    let before = app.state().await;
    for stranger in [Who::User(99), Who::Staff(7), Who::Admin(1)] {
        let foreign = attempts(&app, stranger, [event, master, sent]).await;
        let missing = attempts(&app, stranger, [MISSING; 3]).await;
        for (foreign, missing) in foreign.into_iter().zip(missing) {
            let (foreign, missing) = (bytes(foreign), bytes(missing));
            assert_eq!(foreign, missing, "{stranger:?}");
            assert_eq!(foreign.0, Code::NotFound);
        }
        assert_eq!(app.list_events(stranger, ListEventsRequest::default()).await.unwrap().total, 0);
        let masters = app.list_professionals(stranger, ListProfessionalsRequest::default()).await;
        assert_eq!(masters.unwrap().total, 0);
        assert_eq!(app.list_reports(stranger, ListReportsRequest::default()).await.unwrap().total, 0);
    }
    assert_eq!(app.state().await, before);
    // Of the three only the report is hers too.
    let hers = attempts(&app, BIA, [event, master, MISSING]).await;
    assert!(hers.into_iter().all(|answer| bytes(answer).0 == Code::NotFound));
    // And what was refused to all of them is its owner's.
    assert!(app.get_event(ANA, GetEventRequest { id: event }).await.is_ok());
}

#[tokio::test]
async fn what_was_deleted_is_missing_the_second_time() {
    let app = TestApp::start().await;
    let event = app.event(tasting("x", 0)).await.id;
    let master = app.professional("x").await.id;
    let sent = app.report("x").await.id;
    let expected_version = 1;
    let delete = async || {
        [
            app.delete_event(ANA, DeleteEventRequest { id: event, expected_version }).await.map(drop),
            app.delete_professional(ANA, DeleteProfessionalRequest { id: master, expected_version })
                .await
                .map(drop),
            app.delete_report(ANA, DeleteReportRequest { id: sent, expected_version }).await.map(drop),
        ]
    };
    assert!(delete().await.iter().all(Result::is_ok));
    let before = app.state().await;
    for answer in delete().await {
        assert_eq!(bytes(answer).0, Code::NotFound);
    }
    assert_eq!(app.state().await, before);
}

#[tokio::test]
async fn employees_have_an_agenda_like_everybody() {
    let app = TestApp::start().await;
    app.event(tasting("hers", 0)).await;
    for employee in [Who::Staff(7), Who::Admin(1)] {
        let request = CreateEventRequest { fields: Some(tasting("mine", 0)) };
        let mine = app.create_event(employee, request).await.unwrap().event.unwrap();
        let listed = app.list_events(employee, ListEventsRequest::default()).await.unwrap();
        assert_eq!((listed.total, &listed.events), (1, &vec![mine]));
    }
    let actors: Vec<Option<i64>> = sqlx::query_scalar("SELECT user_id FROM events ORDER BY id")
        .fetch_all(&mut app.admin().await)
        .await
        .unwrap();
    assert_eq!(actors, [Some(42), Some(7), Some(1)]);
}
