//! E24 to E26: every change leaves its fact in the outbox, in the transaction that makes it true.

use ::events::{Event as Recorded, Fact};
use proto::agenda::v1::*;
use proto::events::v1::{AgendaEventFact, ProfessionalFact, PurgeReceipt, ReportFact};
use sqlx::Row as _;

use crate::app::{ANA, BIA, TestApp, Who, booked, id, professional, report, tasting};

/// The only row of the outbox beyond the first `seen`, checked against the receipt of the answer.
async fn recorded(app: &TestApp, seen: i64, receipts: &[PurgeReceipt]) -> (Recorded, String, i64) {
    let rows = sqlx::query(
        "SELECT id, subject, aggregate_version, payload, tags FROM outbox ORDER BY seq OFFSET $1",
    )
    .bind(seen)
    .fetch_all(&mut app.admin().await)
    .await
    .unwrap();
    let ([row], [receipt]) = (&rows[..], receipts) else { panic!("{} rows, {receipts:?}", rows.len()) };
    let event = Recorded::decode(row.get("payload")).unwrap();
    let tags: Vec<String> = row.get("tags");
    assert_eq!(tags, event.stale_tags());
    assert_eq!((&receipt.event_id, &receipt.tags), (&event.id().to_string(), &tags));
    assert!(receipt.commit_lsn > 0);
    (event, row.get("subject"), row.get("aggregate_version"))
}

#[tokio::test]
async fn events_tell_whose_they_are_and_with_whom() {
    let app = TestApp::start().await;
    let helena = app.professional("Helena").await;
    let made = app.create_event(ANA, CreateEventRequest { fields: Some(booked(0, &helena)) }).await.unwrap();
    let event_id = made.event.unwrap().id;
    let fact = |professional_id| AgendaEventFact { event_id, user_id: id(ANA), professional_id };
    let subject = |verb| format!("mc.agenda.event.{verb}.{event_id}");

    let (event, named, version) = recorded(&app, 1, &made.receipts).await;
    assert_eq!(event.fact(), &Fact::AgendaEventCreated(fact(Some(helena.id))));
    assert_eq!((named, version), (subject("created"), 1));
    assert_eq!(event.stale_tags(), ["events:user:42".to_owned(), format!("event:{event_id}")]);

    let update = UpdateEventRequest { id: event_id, expected_version: 1, fields: Some(tasting("y", 0)) };
    let updated = app.update_event(ANA, update).await.unwrap();
    let (event, named, version) = recorded(&app, 2, &updated.receipts).await;
    assert_eq!(event.fact(), &Fact::AgendaEventUpdated(fact(None)));
    assert_eq!((named, version), (subject("updated"), 2));

    let delete = DeleteEventRequest { id: event_id, expected_version: 2 };
    let deleted = app.delete_event(ANA, delete).await.unwrap();
    let (event, named, version) = recorded(&app, 3, &deleted.receipts).await;
    assert_eq!(event.fact(), &Fact::AgendaEventDeleted(fact(None)));
    assert_eq!((named, version), (subject("deleted"), 3));
}

#[tokio::test]
async fn professionals_make_the_events_stale_that_name_them() {
    let app = TestApp::start().await;
    let request = CreateProfessionalRequest { fields: Some(professional("Helena")) };
    let made = app.create_professional(Who::Staff(7), request).await.unwrap();
    let professional_id = made.professional.unwrap().id;
    let fact = ProfessionalFact { professional_id, user_id: 7 };
    let (event, named, version) = recorded(&app, 0, &made.receipts).await;
    assert_eq!(event.fact(), &Fact::ProfessionalCreated(fact));
    assert_eq!((named, version), (format!("mc.agenda.professional.created.{professional_id}"), 1));
    assert_eq!(event.stale_tags(), ["professionals:user:7", "events:user:7"]);

    let (id, expected_version) = (professional_id, 1);
    let update = UpdateProfessionalRequest { id, expected_version, fields: Some(professional("Zeca")) };
    let updated = app.update_professional(Who::Staff(7), update).await.unwrap();
    let (event, named, version) = recorded(&app, 1, &updated.receipts).await;
    assert_eq!(event.fact(), &Fact::ProfessionalUpdated(fact));
    assert_eq!((named, version), (format!("mc.agenda.professional.updated.{id}"), 2));

    let delete = DeleteProfessionalRequest { id, expected_version: 2 };
    let deleted = app.delete_professional(Who::Staff(7), delete).await.unwrap();
    let (event, named, version) = recorded(&app, 2, &deleted.receipts).await;
    assert_eq!(event.fact(), &Fact::ProfessionalDeleted(fact));
    assert_eq!((named, version), (format!("mc.agenda.professional.deleted.{id}"), 3));
}

#[tokio::test]
async fn reports_make_both_users_lists_stale() {
    let app = TestApp::start().await;
    let request = CreateReportRequest { receiver_id: id(BIA), fields: Some(report("x")) };
    let made = app.create_report(ANA, request).await.unwrap();
    let report_id = made.report.unwrap().id;
    let fact = ReportFact { report_id, sender_id: id(ANA), receiver_id: id(BIA) };
    let subject = |verb| format!("mc.agenda.report.{verb}.{report_id}");
    // S32, and the report's own page.
    let tags = [
        "reports:user:42".to_owned(),
        "reports:user:43".to_owned(),
        "notifications:user:43".to_owned(),
        format!("report:{report_id}"),
    ];

    let (event, named, version) = recorded(&app, 0, &made.receipts).await;
    assert_eq!(event.fact(), &Fact::ReportCreated(fact));
    assert_eq!((named, version, event.stale_tags()), (subject("created"), 1, tags.to_vec()));

    let update = UpdateReportRequest { id: report_id, expected_version: 1, fields: Some(report("y")) };
    let updated = app.update_report(ANA, update).await.unwrap();
    let (event, named, version) = recorded(&app, 1, &updated.receipts).await;
    assert_eq!(event.fact(), &Fact::ReportUpdated(fact));
    assert_eq!((named, version, event.stale_tags()), (subject("updated"), 2, tags.to_vec()));

    let delete = DeleteReportRequest { id: report_id, expected_version: 2 };
    let deleted = app.delete_report(ANA, delete).await.unwrap();
    let (event, named, version) = recorded(&app, 2, &deleted.receipts).await;
    assert_eq!(event.fact(), &Fact::ReportDeleted(fact));
    assert_eq!((named, version, event.stale_tags()), (subject("deleted"), 3, tags.to_vec()));
}

#[tokio::test]
async fn a_change_and_its_fact_are_one_transaction() {
    let app = TestApp::start().await;
    let event = app.event(tasting("x", 0)).await;
    let same: bool =
        sqlx::query_scalar("SELECT (SELECT xmin::text FROM events) = (SELECT xmin::text FROM outbox)")
            .fetch_one(&mut app.admin().await)
            .await
            .unwrap();
    assert!(same);

    // When the fact cannot be written, nothing happens, and what went wrong inside is not told.
    app.sql("ALTER TABLE outbox ADD CONSTRAINT closed CHECK (aggregate_version < 2) NOT VALID").await;
    let before = app.state().await;
    let update = UpdateEventRequest { id: event.id, expected_version: 1, fields: Some(tasting("y", 0)) };
    let status = app.update_event(ANA, update).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::Internal);
    assert!(!status.message().contains("closed"), "{status:?}");
    assert_eq!(app.state().await, before);
}
