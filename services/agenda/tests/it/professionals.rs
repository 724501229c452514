//! Coffee masters written down, renamed and taken out, and what events say about them.

use proto::agenda::v1::*;
use tonic::Code;

use crate::app::{ANA, BIA, TestApp, booked, page, professional, refusal, tasting};

fn names(answer: &ListProfessionalsResponse) -> Vec<&str> {
    answer.professionals.iter().map(|professional| professional.name.as_str()).collect()
}

#[tokio::test]
async fn what_was_made_is_what_is_read_and_listed_by_name() {
    let app = TestApp::start().await;
    let fields = ProfessionalFields {
        name: "Helena Prado".into(),
        specialty: "q_grader".into(),
        bio: Some("Cupping\nàs quintas".into()),
        email: Some("helena@mestres.example".into()),
        phone: Some("+55 31 99999-0000".into()),
    };
    let made = app.create_professional(ANA, CreateProfessionalRequest { fields: Some(fields.clone()) }).await;
    let made = made.unwrap();
    let helena = made.professional.unwrap();
    assert_eq!((helena.version, made.receipts.len()), (1, 1));
    let kept = ProfessionalFields {
        name: helena.name.clone(),
        specialty: helena.specialty.clone(),
        bio: helena.bio.clone(),
        email: helena.email.clone(),
        phone: helena.phone.clone(),
    };
    assert_eq!(kept, fields);
    let read = app.get_professional(ANA, GetProfessionalRequest { id: helena.id }).await.unwrap();
    assert_eq!(read.professional.unwrap(), helena);

    for name in ["Zeca", "Ana", "Marina"] {
        app.professional(name).await;
    }
    app.professional_of(BIA, "Helena Prado").await;
    let list = async |page, specialty: Option<&str>| {
        let request = ListProfessionalsRequest { page, specialty: specialty.map(str::to_owned) };
        app.list_professionals(ANA, request).await.unwrap()
    };
    let all = list(None, None).await;
    assert_eq!((names(&all), all.total), (vec!["Ana", "Helena Prado", "Marina", "Zeca"], 4));
    let second = list(page(2, 3), None).await;
    assert_eq!((names(&second), second.total), (vec!["Zeca"], 4));
    let graders = list(None, Some("q_grader")).await;
    assert_eq!((names(&graders), graders.total), (vec!["Helena Prado"], 1));
}

#[tokio::test]
async fn one_name_and_specialty_is_one_professional() {
    let app = TestApp::start().await;
    let helena = app.professional("Helena").await;
    let taken = (Code::AlreadyExists, "professional_taken".to_owned(), "name".to_owned());
    let before = app.state().await;
    let again = CreateProfessionalRequest { fields: Some(professional("Helena")) };
    assert_eq!(refusal(app.create_professional(ANA, again).await), taken);
    assert_eq!(app.state().await, before);

    let other = app.professional("Outra").await;
    let rename =
        UpdateProfessionalRequest { id: other.id, expected_version: 1, fields: Some(professional("Helena")) };
    assert_eq!(refusal(app.update_professional(ANA, rename).await), taken);
    // With another specialty it is another one, and another user's are no matter.
    let fields = ProfessionalFields { specialty: "produtor".into(), ..professional(&helena.name) };
    assert!(app.create_professional(ANA, CreateProfessionalRequest { fields: Some(fields) }).await.is_ok());
    app.professional_of(BIA, "Helena").await;
}

#[tokio::test]
async fn events_show_the_name_of_now() {
    let app = TestApp::start().await;
    let helena = app.professional("Helena").await;
    let event = app.event(booked(0, &helena)).await;
    let fields = ProfessionalFields { specialty: "instrutor".into(), ..professional("Helena Prado") };
    let rename =
        UpdateProfessionalRequest { id: helena.id, expected_version: 1, fields: Some(fields.clone()) };
    let answer = app.update_professional(ANA, rename).await.unwrap();
    assert_eq!((answer.professional.unwrap().version, answer.receipts.len()), (2, 1));
    let shown = app.get_event(ANA, GetEventRequest { id: event.id }).await.unwrap().event.unwrap();
    let with =
        ProfessionalRef { id: Some(helena.id), name: "Helena Prado".into(), specialty: "instrutor".into() };
    assert_eq!(shown.professional, Some(with));

    let same = UpdateProfessionalRequest { id: helena.id, expected_version: 2, fields: Some(fields) };
    let answer = app.update_professional(ANA, same).await.unwrap();
    assert_eq!((answer.professional.unwrap().version, answer.receipts.len()), (2, 0));
}

#[tokio::test]
async fn a_professional_goes_when_nothing_is_ahead_and_past_events_remember() {
    let app = TestApp::start().await;
    let helena = app.professional("Helena").await;
    let ahead = (time::OffsetDateTime::now_utc().unix_timestamp() - 1_777_723_200) / 3_600 + 48;
    let past = app.event(booked(-24 * 365 * 5, &helena)).await;
    let done = EventFields { status: Some("done".into()), ..booked(ahead, &helena) };
    let done = app.event(done).await;
    let scheduled = app.event(booked(ahead, &helena)).await;

    let delete = DeleteProfessionalRequest { id: helena.id, expected_version: 1 };
    let before = app.state().await;
    let refused = refusal(app.delete_professional(ANA, delete).await);
    assert_eq!(refused, (Code::FailedPrecondition, "professional_booked".into(), String::new()));
    assert_eq!(app.state().await, before);

    let fields = EventFields { status: Some("cancelled".into()), ..booked(ahead, &helena) };
    let cancel = UpdateEventRequest { id: scheduled.id, expected_version: 1, fields: Some(fields) };
    app.update_event(ANA, cancel).await.unwrap();
    assert_eq!(app.delete_professional(ANA, delete).await.unwrap().receipts.len(), 1);

    let copy = Some(ProfessionalRef { id: None, name: "Helena".into(), specialty: "barista".into() });
    for id in [past.id, done.id, scheduled.id] {
        let event = app.get_event(ANA, GetEventRequest { id }).await.unwrap().event.unwrap();
        assert_eq!(event.professional, copy);
    }
    let listed = app.list_events(ANA, ListEventsRequest::default()).await.unwrap();
    assert!(listed.events.iter().all(|event| event.professional == copy));

    // An edit that names nobody keeps the memory; naming somebody replaces it.
    let edit = UpdateEventRequest { id: done.id, expected_version: 1, fields: Some(tasting("x", 0)) };
    let edited = app.update_event(ANA, edit).await.unwrap().event.unwrap();
    assert_eq!((edited.professional, edited.version), (copy, 2));
    let zeca = app.professional("Zeca").await;
    let edit = UpdateEventRequest { id: done.id, expected_version: 2, fields: Some(booked(0, &zeca)) };
    let edited = app.update_event(ANA, edit).await.unwrap().event.unwrap();
    assert_eq!(edited.professional.unwrap().id, Some(zeca.id));

    // Who is gone cannot be booked.
    let request = CreateEventRequest { fields: Some(booked(ahead, &helena)) };
    let refused = refusal(app.create_event(ANA, request).await);
    let unknown = (Code::InvalidArgument, "professional_not_found".to_owned(), "professional_id".to_owned());
    assert_eq!(refused, unknown);
}
