//! The demo customer's agenda.

use proto::agenda::v1::*;

use crate::app::{ANA, TestApp, Who, id};

#[tokio::test]
async fn a_demo_agenda_is_loaded_once() {
    let app = TestApp::start().await;
    let (sender, steps) = std::sync::mpsc::channel();
    let progress = move |rows| {
        let _gone = sender.send(rows);
    };
    let loaded = agenda::seed::load(&app.database.url, id(ANA), progress).await.unwrap();
    assert!(loaded.fresh && loaded.professionals == 4, "{loaded:?}");
    assert_eq!(steps.iter().collect::<Vec<_>>(), (1..=14).collect::<Vec<_>>());

    let before = app.state().await;
    let again = agenda::seed::load(&app.database.url, id(ANA), |_| {}).await.unwrap();
    assert_eq!((again.fresh, again.professionals), (false, 4));
    assert_eq!(app.state().await, before);

    let events = app.list_events(ANA, ListEventsRequest::default()).await.unwrap();
    assert_eq!(events.total, 6);
    assert!(events.events.iter().all(|event| event.professional.is_some()));
    let reports = async |role: &str| {
        let request = ListReportsRequest { page: None, role: Some(role.to_owned()) };
        app.list_reports(ANA, request).await.unwrap().total
    };
    assert_eq!((reports("sender").await, reports("receiver").await), (2, 2));
    // The first account may be the demo customer too, and another's agenda is no reason to load nothing.
    let first = agenda::seed::load(&app.database.url, 1, |_| {}).await.unwrap();
    assert!(first.fresh);
    let listed = app.list_professionals(Who::User(1), ListProfessionalsRequest::default()).await.unwrap();
    assert_eq!(listed.total, 4);
}
