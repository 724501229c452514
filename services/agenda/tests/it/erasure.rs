//! What becomes of an agenda when its user's account is erased.

use std::time::Duration;

use ::events::{Event as Recorded, Fact};
use async_nats::jetstream;
use proto::agenda::v1::*;
use proto::events::v1::{ReportFact, UserFact};
use rls::{Caller, UserId};
use time::OffsetDateTime;

use crate::app::{ANA, BIA, TestApp, Who, booked, id, report, tasting};

const WITHIN: Duration = Duration::from_secs(20);

/// Says on the stream that an account was deleted; a repeat has another message id, as after the window
/// in which the stream drops duplicates.
async fn deleted(jetstream: &jetstream::Context, event: &Recorded, message_id: &str) {
    let mut headers = async_nats::HeaderMap::new();
    headers.insert("Nats-Msg-Id", message_id);
    let stored = jetstream.publish_with_headers(event.subject(), headers, event.encode().into()).await;
    stored.unwrap().await.unwrap();
}

fn deletion_of(who: Who) -> Recorded {
    let fact = Fact::UserDeleted(UserFact { user_id: id(who) });
    Recorded::new(&Caller::User(UserId(id(who))), OffsetDateTime::now_utc(), 2, fact)
}

/// Messages that the consumer has finished.
async fn finished(jetstream: &jetstream::Context) -> u64 {
    let stream = jetstream.get_stream(::events::streams::MUTATIONS).await.unwrap();
    let Ok(mut consumer) = stream.get_consumer::<jetstream::consumer::pull::Config>("agenda-erasure").await
    else {
        return 0;
    };
    consumer.info().await.unwrap().ack_floor.consumer_sequence
}

#[tokio::test]
async fn a_deleted_account_takes_its_agenda_with_it_once() {
    let nats = testkit::Nats::start().await;
    let client = async_nats::connect(nats.url()).await.unwrap();
    let jetstream = jetstream::new(client);
    ::events::streams::declare(&jetstream, 1).await.unwrap();
    let app = TestApp::start_with_nats(&nats.url()).await;

    // Ana's agenda is larger than a batch; Bia's is hers.
    let helena = app.professional("Helena").await;
    app.event(booked(0, &helena)).await;
    app.sql(
        "INSERT INTO events (user_id, title, kind, starts_at, ends_at)
         SELECT 42, 'E', 'aula', '2026-01-01Z', '2026-01-02Z' FROM generate_series(1, 1200);
         INSERT INTO reports (sender_id, receiver_id, title, scores)
         SELECT 42, 44, 'R', array_fill(80::smallint, ARRAY[10]) FROM generate_series(1, 250)",
    )
    .await;
    let hers = app.create_event(BIA, CreateEventRequest { fields: Some(tasting("hers", 0)) }).await;
    let hers = hers.unwrap().event.unwrap();
    let sent = app.report("by Ana").await;
    let back = CreateReportRequest { receiver_id: id(ANA), fields: Some(report("by Bia")) };
    let back = app.create_report(BIA, back).await.unwrap().report.unwrap();

    app.sql(
        "INSERT INTO idempotency_keys (scope, route, key, request_sha256, locked_until, request_id)
         SELECT 'user:' || id, 'POST /x', 'k', sha256('x'), now(), 'r' FROM (VALUES (42), (43)) people (id)",
    )
    .await;

    let deletion = deletion_of(ANA);
    deleted(&jetstream, &deletion, &deletion.id().to_string()).await;
    testkit::eventually(WITHIN, "the deletion is handled", async || {
        (finished(&jetstream).await >= 1).then_some(())
    })
    .await;

    let mut admin = app.admin().await;
    let left: (i64, i64, i64, i64) = sqlx::query_as(
        "SELECT (SELECT count(*) FROM events WHERE user_id = 42), (SELECT count(*) FROM professionals WHERE user_id = 42),
                (SELECT count(*) FROM reports WHERE 42 IN (sender_id, receiver_id)),
                (SELECT count(*) FROM report_participants WHERE user_id = 42)",
    )
    .fetch_one(&mut admin)
    .await
    .unwrap();
    assert_eq!(left, (0, 0, 0, 0));
    let repeats: Vec<String> =
        sqlx::query_scalar("SELECT scope FROM idempotency_keys").fetch_all(&mut admin).await.unwrap();
    assert_eq!(repeats, ["user:43"]);

    // What was between the two stays with the other, without her.
    let get = async |id| app.get_report(BIA, GetReportRequest { id }).await.unwrap().report.unwrap();
    let received = get(sent.id).await;
    let without = Report { role: "receiver".into(), sender_id: None, version: 2, ..sent.clone() };
    assert_eq!(received, without);
    let written = get(back.id).await;
    assert_eq!(written, Report { receiver_id: None, version: 2, ..back.clone() });
    assert_eq!(app.list_reports(BIA, ListReportsRequest::default()).await.unwrap().total, 2);
    let event = app.get_event(BIA, GetEventRequest { id: hers.id }).await.unwrap().event.unwrap();
    assert_eq!(event, hers);
    // Its sender still writes a report whose receiver is gone.
    let update = UpdateReportRequest { id: back.id, expected_version: 2, fields: Some(report("still mine")) };
    assert!(app.update_report(BIA, update).await.is_ok());

    // Whose lists changed is told by an event per report, and by nothing else.
    let told: Vec<(Vec<u8>, Vec<String>)> = sqlx::query_as(
        "SELECT payload, tags FROM outbox WHERE aggregate = 'report' AND aggregate_id = $1 AND aggregate_version = 2",
    )
    .bind(sent.id.to_string())
    .fetch_all(&mut admin)
    .await
    .unwrap();
    let [(payload, tags)] = &told[..] else { panic!("{told:?}") };
    let fact = ReportFact { report_id: sent.id, sender_id: id(ANA), receiver_id: id(BIA) };
    assert_eq!(Recorded::decode(payload).unwrap().fact(), &Fact::ReportUpdated(fact));
    assert!(tags.contains(&"reports:user:43".to_owned()), "{tags:?}");
    let per_row: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM outbox WHERE subject ~ '^mc.agenda.(event|professional).deleted'",
    )
    .fetch_one(&mut admin)
    .await
    .unwrap();
    assert_eq!(per_row, 0);

    // Once more finds nothing to do.
    let before = app.state().await;
    deleted(&jetstream, &deletion, "again").await;
    testkit::eventually(WITHIN, "the repeat is handled", async || {
        (finished(&jetstream).await >= 2).then_some(())
    })
    .await;
    assert_eq!(app.state().await, before);
    let handled: Vec<String> =
        sqlx::query_scalar("SELECT message_id FROM inbox WHERE consumer = 'agenda-erasure'")
            .fetch_all(&mut admin)
            .await
            .unwrap();
    assert_eq!(handled, [deletion.id().to_string()]);

    // With the second account the reports between the two go, with a last event each.
    let deletion = deletion_of(BIA);
    deleted(&jetstream, &deletion, &deletion.id().to_string()).await;
    testkit::eventually(WITHIN, "the second is handled", async || {
        (finished(&jetstream).await >= 3).then_some(())
    })
    .await;
    let kept: Vec<i64> = sqlx::query_scalar("SELECT id FROM reports WHERE id IN ($1, $2)")
        .bind(sent.id)
        .bind(back.id)
        .fetch_all(&mut admin)
        .await
        .unwrap();
    assert!(kept.is_empty(), "{kept:?}");
    let last: i64 =
        sqlx::query_scalar("SELECT count(*) FROM outbox WHERE subject ~ '^mc.agenda.report.deleted'")
            .fetch_one(&mut admin)
            .await
            .unwrap();
    assert_eq!(last, 2);
    app.stop().await;
}

#[tokio::test]
async fn what_is_no_deletion_goes_to_the_dead_letters() {
    let nats = testkit::Nats::start().await;
    let client = async_nats::connect(nats.url()).await.unwrap();
    let jetstream = jetstream::new(client);
    ::events::streams::declare(&jetstream, 1).await.unwrap();
    let app = TestApp::start_with_nats(&nats.url()).await;
    app.event(tasting("x", 0)).await;
    let before = app.state().await;

    jetstream.publish("mc.accounts.user.deleted.42", "nonsense".into()).await.unwrap().await.unwrap();
    let mut letters = jetstream.get_stream("MC_DLQ").await.unwrap();
    testkit::eventually(WITHIN, "the dead letter", async || {
        (letters.info().await.unwrap().state.messages == 1).then_some(())
    })
    .await;
    assert_eq!(app.state().await, before);
    app.stop().await;
}
