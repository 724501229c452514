//! Events made, read, listed, replaced and taken out.

use proto::agenda::v1::*;

use crate::app::{ANA, BIA, TestApp, Who, booked, hours, page, tasting};

fn titles(answer: &ListEventsResponse) -> Vec<&str> {
    answer.events.iter().map(|event| event.title.as_str()).collect()
}

#[tokio::test]
async fn what_was_made_is_what_is_read() {
    let app = TestApp::start().await;
    let ana = app.professional("Helena").await;
    let fields = EventFields {
        title: "Cupping – safra “nova” ☕".into(),
        kind: "cupping".into(),
        professional_id: Some(ana.id),
        location: Some("Laboratório".into()),
        description: Some("linha 1\nlinha 2".into()),
        starts_at: hours(0),
        ends_at: hours(8_784),
        status: Some("cancelled".into()),
    };
    let made = app.create_event(ANA, CreateEventRequest { fields: Some(fields) }).await.unwrap();
    let event = made.event.unwrap();
    assert_eq!((event.version, event.kind.as_str(), event.status.as_str()), (1, "cupping", "cancelled"));
    let with = ProfessionalRef { id: Some(ana.id), name: "Helena".into(), specialty: "barista".into() };
    assert_eq!(event.professional, Some(with));
    assert_eq!((event.starts_at, event.ends_at), (hours(0), hours(8_784)));
    assert_eq!(made.receipts.len(), 1);

    let read = app.get_event(ANA, GetEventRequest { id: event.id }).await.unwrap().event.unwrap();
    assert_eq!(read, event);

    // Little is asked for; the rest has its default.
    let bare = app.event(tasting("x", 0)).await;
    assert_eq!((bare.professional, bare.location, bare.description), (None, None, None));
    assert_eq!(bare.status, "scheduled");
}

#[tokio::test]
async fn lists_show_the_latest_first_page_by_page() {
    let app = TestApp::start().await;
    for (title, starts) in [("b", 2), ("d", 4), ("a", 1), ("c", 3), ("c2", 3)] {
        app.event(tasting(title, starts)).await;
    }
    let request = CreateEventRequest { fields: Some(tasting("hers", 3)) };
    app.create_event(BIA, request).await.unwrap();

    let list = async |number, limit| {
        let request = ListEventsRequest { page: page(number, limit), ..Default::default() };
        app.list_events(ANA, request).await.unwrap()
    };
    let all = app.list_events(ANA, ListEventsRequest::default()).await.unwrap();
    // Of the same start, the younger row first.
    assert_eq!((titles(&all), all.total), (vec!["d", "c2", "c", "b", "a"], 5));
    let first = list(1, 2).await;
    assert_eq!((titles(&first), first.total), (vec!["d", "c2"], 5));
    let last = list(3, 2).await;
    assert_eq!((titles(&last), last.total), (vec!["a"], 5));
    let beyond = list(100, 100).await;
    assert_eq!((titles(&beyond), beyond.total), (vec![], 5));
    let empty = app.list_events(Who::User(99), ListEventsRequest::default()).await.unwrap();
    assert_eq!((empty.events, empty.total), (vec![], 0));
}

#[tokio::test]
async fn filters_are_a_span_a_kind_and_a_status() {
    let app = TestApp::start().await;
    for (title, starts, kind, status) in [
        ("early", 0, "aula", "done"),
        ("middle", 10, "aula", "scheduled"),
        ("late", 20, "torra", "scheduled"),
    ] {
        let fields = EventFields { kind: kind.into(), status: Some(status.into()), ..tasting(title, starts) };
        app.event(fields).await;
    }
    let check = async |request: ListEventsRequest, expected: &[&str]| {
        let answer = app.list_events(ANA, request.clone()).await.unwrap();
        assert_eq!(titles(&answer), expected, "{request:?}");
        assert_eq!(answer.total, expected.len() as u64, "{request:?}");
    };
    let none = ListEventsRequest::default();
    // What ends at `from` or starts at `to` is not in between.
    check(ListEventsRequest { from: hours(1), ..none.clone() }, &["late", "middle"]).await;
    check(ListEventsRequest { to: hours(10), ..none.clone() }, &["early"]).await;
    check(ListEventsRequest { from: hours(1), to: hours(20), ..none.clone() }, &["middle"]).await;
    check(ListEventsRequest { kind: Some("aula".into()), ..none.clone() }, &["middle", "early"]).await;
    check(ListEventsRequest { status: Some("scheduled".into()), ..none.clone() }, &["late", "middle"]).await;
    let all =
        ListEventsRequest { kind: Some("aula".into()), status: Some("done".into()), to: hours(5), ..none };
    check(all, &["early"]).await;
}

#[tokio::test]
async fn replacing_writes_every_field_and_counts_up() {
    let app = TestApp::start().await;
    let helena = app.professional("Helena").await;
    let fields =
        EventFields { location: Some("Loja".into()), description: Some("x".into()), ..booked(0, &helena) };
    let event = app.event(fields).await;

    let new = EventFields { kind: "aula".into(), status: Some("done".into()), ..tasting("Nova", 5) };
    let update = UpdateEventRequest { id: event.id, expected_version: 1, fields: Some(new.clone()) };
    let answer = app.update_event(ANA, update).await.unwrap();
    let updated = answer.event.unwrap();
    let expected = Event {
        title: "Nova".into(),
        kind: "aula".into(),
        professional: None,
        location: None,
        description: None,
        starts_at: hours(5),
        ends_at: hours(6),
        status: "done".into(),
        version: 2,
        ..event.clone()
    };
    assert_eq!((&updated, answer.receipts.len()), (&expected, 1));

    // The same again changes nothing and says nothing.
    let update = UpdateEventRequest { id: event.id, expected_version: 2, fields: Some(new) };
    let answer = app.update_event(ANA, update).await.unwrap();
    assert_eq!((answer.event.unwrap(), answer.receipts.len()), (updated, 0));
}

#[tokio::test]
async fn a_deleted_event_is_gone() {
    let app = TestApp::start().await;
    let event = app.event(tasting("x", 0)).await;
    let delete = DeleteEventRequest { id: event.id, expected_version: 1 };
    assert_eq!(app.delete_event(ANA, delete).await.unwrap().receipts.len(), 1);
    assert!(app.get_event(ANA, GetEventRequest { id: event.id }).await.is_err());
    assert_eq!(app.list_events(ANA, ListEventsRequest::default()).await.unwrap().total, 0);
}
