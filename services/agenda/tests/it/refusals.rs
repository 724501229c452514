//! Who may not, and what is not accepted: the right code, reason and field, and nothing changed.

use proto::agenda::v1::*;
use tonic::{Code, Status};

use crate::app::{ANA, BIA, TestApp, Who, hours, id, page, professional, refusal, report, tasting};

/// One of each call of a user, right in every way but for who asks.
async fn calls(app: &TestApp, who: Who) -> Vec<Result<(), Status>> {
    let (id, expected_version) = (1, 1);
    vec![
        app.list_events(who, ListEventsRequest::default()).await.map(drop),
        app.get_event(who, GetEventRequest { id }).await.map(drop),
        app.create_event(who, CreateEventRequest { fields: Some(tasting("x", 0)) }).await.map(drop),
        app.update_event(who, UpdateEventRequest { id, expected_version, fields: Some(tasting("x", 0)) })
            .await
            .map(drop),
        app.delete_event(who, DeleteEventRequest { id, expected_version }).await.map(drop),
        app.list_professionals(who, ListProfessionalsRequest::default()).await.map(drop),
        app.get_professional(who, GetProfessionalRequest { id }).await.map(drop),
        app.create_professional(who, CreateProfessionalRequest { fields: Some(professional("x")) })
            .await
            .map(drop),
        app.update_professional(
            who,
            UpdateProfessionalRequest { id, expected_version, fields: Some(professional("x")) },
        )
        .await
        .map(drop),
        app.delete_professional(who, DeleteProfessionalRequest { id, expected_version }).await.map(drop),
        app.list_reports(who, ListReportsRequest::default()).await.map(drop),
        app.get_report(who, GetReportRequest { id }).await.map(drop),
        app.create_report(who, CreateReportRequest { receiver_id: 43, fields: Some(report("x")) })
            .await
            .map(drop),
        app.update_report(who, UpdateReportRequest { id, expected_version, fields: Some(report("x")) })
            .await
            .map(drop),
        app.delete_report(who, DeleteReportRequest { id, expected_version }).await.map(drop),
    ]
}

#[tokio::test]
async fn an_agenda_is_a_users() {
    let app = TestApp::start().await;
    let before = app.state().await;
    for answer in calls(&app, Who::Nobody).await {
        assert_eq!(refusal(answer), (Code::Unauthenticated, "unauthenticated".into(), String::new()));
    }
    // Processes of the product have no agenda.
    for answer in calls(&app, Who::Service).await {
        assert_eq!(refusal(answer), (Code::PermissionDenied, "permission_denied".into(), String::new()));
    }
    assert_eq!(app.state().await, before);
}

#[tokio::test]
async fn what_proves_nobody_is_refused_even_for_reading() {
    let app = TestApp::start().await;
    assert!(app.list_events_with(&app.assertion(ANA).unwrap()).await.is_ok());
    let foreign = TestApp::start().await.assertion(ANA).unwrap();
    for bearer in [foreign, app.assertion_for_catalog(), app.access_token(), "nonsense".into()] {
        let refused = refusal(app.list_events_with(&bearer).await);
        assert_eq!(refused, (Code::Unauthenticated, "unauthenticated".into(), String::new()), "{bearer}");
    }
}

#[tokio::test]
async fn events_that_make_no_sense_are_refused_by_field() {
    let app = TestApp::start().await;
    let event = app.event(tasting("x", 0)).await;
    let before = app.state().await;
    let good = || tasting("x", 0);
    let cases: Vec<(EventFields, &str)> = vec![
        (EventFields { title: String::new(), ..good() }, "title"),
        (EventFields { title: "a\nb".into(), ..good() }, "title"),
        (EventFields { title: "é".repeat(201), ..good() }, "title"),
        (EventFields { kind: String::new(), ..good() }, "kind"),
        (EventFields { kind: "Aula".into(), ..good() }, "kind"),
        (EventFields { professional_id: Some(0), ..good() }, "professional_id"),
        (EventFields { location: Some(" ".into()), ..good() }, "location"),
        (EventFields { description: Some("é".repeat(4_001)), ..good() }, "description"),
        (EventFields { status: Some("open".into()), ..good() }, "status"),
        (EventFields { starts_at: None, ..good() }, "starts_at"),
        (EventFields { ends_at: None, ..good() }, "ends_at"),
        // X74: an end before its start, and an event of a hundred years.
        (EventFields { starts_at: hours(2), ..good() }, "ends_at"),
        (EventFields { ends_at: hours(0), ..good() }, "ends_at"),
        (EventFields { ends_at: hours(24 * 366 + 1), ..good() }, "ends_at"),
        (EventFields { ends_at: hours(24 * 365 * 70), ..good() }, "ends_at"),
        (EventFields { ends_at: hours(24 * 365 * 100), ..good() }, "ends_at"),
        (EventFields { starts_at: hours(-24 * 365 * 100), ..good() }, "starts_at"),
        (EventFields { starts_at: hours(i64::MIN / 7_200), ..good() }, "starts_at"),
    ];
    for (fields, field) in cases {
        let create = CreateEventRequest { fields: Some(fields.clone()) };
        let refused = refusal(app.create_event(ANA, create).await);
        assert_eq!(refused, (Code::InvalidArgument, "invalid_value".into(), field.into()), "{fields:?}");
        let update = UpdateEventRequest { id: event.id, expected_version: 1, fields: Some(fields) };
        assert_eq!(refusal(app.update_event(ANA, update).await), refused);
    }
    let refused = refusal(app.create_event(ANA, CreateEventRequest { fields: None }).await);
    assert_eq!(refused, (Code::InvalidArgument, "invalid_value".into(), "fields".into()));
    assert_eq!(app.state().await, before);
}

#[tokio::test]
async fn professionals_that_make_no_sense_are_refused_by_field() {
    let app = TestApp::start().await;
    let good = || professional("x");
    let cases: Vec<(ProfessionalFields, &str)> = vec![
        (ProfessionalFields { name: "\u{a0}".into(), ..good() }, "name"),
        (ProfessionalFields { specialty: "mestre".into(), ..good() }, "specialty"),
        (ProfessionalFields { bio: Some("a\0".into()), ..good() }, "bio"),
        (ProfessionalFields { email: Some("a@b@c.d".into()), ..good() }, "email"),
        (ProfessionalFields { phone: Some("ligue".into()), ..good() }, "phone"),
    ];
    for (fields, field) in cases {
        let refused = refusal(
            app.create_professional(ANA, CreateProfessionalRequest { fields: Some(fields.clone()) }).await,
        );
        assert_eq!(refused, (Code::InvalidArgument, "invalid_value".into(), field.into()), "{fields:?}");
    }
}

#[tokio::test]
async fn reports_that_make_no_sense_are_refused_by_field() {
    let app = TestApp::start().await;
    let good = || report("x");
    let scores = |change: fn(&mut Scores)| {
        let mut fields = good();
        change(fields.scores.as_mut().unwrap());
        fields
    };
    let cases: Vec<(ReportFields, &str)> = vec![
        (ReportFields { title: String::new(), ..good() }, "title"),
        (ReportFields { scores: None, ..good() }, "scores"),
        (scores(|scores| scores.fragrance = 101), "scores.fragrance"),
        (scores(|scores| scores.overall = u32::MAX), "scores.overall"),
        (ReportFields { notes: Some("é".repeat(4_001)), ..good() }, "notes"),
        (ReportFields { event_id: Some(-1), ..good() }, "event_id"),
        (ReportFields { product_id: Some(0), ..good() }, "product_id"),
    ];
    for (fields, field) in cases {
        let request = CreateReportRequest { receiver_id: id(BIA), fields: Some(fields.clone()) };
        let refused = refusal(app.create_report(ANA, request).await);
        assert_eq!(refused, (Code::InvalidArgument, "invalid_value".into(), field.into()), "{fields:?}");
    }
    for receiver_id in [0, -1] {
        let request = CreateReportRequest { receiver_id, fields: Some(good()) };
        let refused = refusal(app.create_report(ANA, request).await);
        assert_eq!(refused, (Code::InvalidArgument, "invalid_value".into(), "receiver_id".into()));
    }
}

#[tokio::test]
async fn lists_that_make_no_sense_are_refused_by_field() {
    let app = TestApp::start().await;
    let none = ListEventsRequest::default;
    let cases: Vec<(ListEventsRequest, &str, &str)> = vec![
        (ListEventsRequest { page: page(0, 20), ..none() }, "page", "invalid_value"),
        (ListEventsRequest { page: page(1, 0), ..none() }, "limit", "invalid_value"),
        (ListEventsRequest { page: page(1, 101), ..none() }, "limit", "invalid_value"),
        (ListEventsRequest { page: page(101, 100), ..none() }, "page", "offset_too_deep"),
        (ListEventsRequest { page: page(u32::MAX, 100), ..none() }, "page", "offset_too_deep"),
        (ListEventsRequest { kind: Some("x".into()), ..none() }, "kind", "invalid_value"),
        (ListEventsRequest { status: Some("x".into()), ..none() }, "status", "invalid_value"),
        (ListEventsRequest { from: hours(i64::MAX / 7_200), ..none() }, "from", "invalid_value"),
        (ListEventsRequest { to: hours(-24 * 365 * 200), ..none() }, "to", "invalid_value"),
    ];
    for (request, field, reason) in cases {
        let refused = refusal(app.list_events(ANA, request.clone()).await);
        assert_eq!(refused, (Code::InvalidArgument, reason.into(), field.into()), "{request:?}");
    }
    let deep = ListReportsRequest { page: page(10_001, 1), role: None };
    assert_eq!(refusal(app.list_reports(ANA, deep).await).1, "offset_too_deep");
    let role = ListReportsRequest { page: None, role: Some("reader".into()) };
    assert_eq!(refusal(app.list_reports(ANA, role).await).2, "role");
    let deep = ListProfessionalsRequest { page: page(10_001, 1), specialty: None };
    assert_eq!(refusal(app.list_professionals(ANA, deep).await).1, "offset_too_deep");
    let specialty = ListProfessionalsRequest { page: None, specialty: Some("x".into()) };
    assert_eq!(refusal(app.list_professionals(ANA, specialty).await).2, "specialty");
}

#[tokio::test]
async fn a_change_says_which_version_it_saw() {
    let app = TestApp::start().await;
    let event = app.event(tasting("x", 0)).await.id;
    let master = app.professional("x").await.id;
    let sent = app.report("x").await.id;
    let before = app.state().await;
    let answers = async |expected_version: i64| {
        let fields = Some(tasting("y", 0));
        [
            app.update_event(ANA, UpdateEventRequest { id: event, expected_version, fields }).await.map(drop),
            app.delete_event(ANA, DeleteEventRequest { id: event, expected_version }).await.map(drop),
            app.update_professional(
                ANA,
                UpdateProfessionalRequest { id: master, expected_version, fields: Some(professional("y")) },
            )
            .await
            .map(drop),
            app.delete_professional(ANA, DeleteProfessionalRequest { id: master, expected_version })
                .await
                .map(drop),
            app.update_report(
                ANA,
                UpdateReportRequest { id: sent, expected_version, fields: Some(report("y")) },
            )
            .await
            .map(drop),
            app.delete_report(ANA, DeleteReportRequest { id: sent, expected_version }).await.map(drop),
        ]
    };
    for answer in answers(7).await {
        let status = answer.unwrap_err();
        assert_eq!(status.metadata().get("mc-current-version").unwrap(), "1");
        let refused = refusal(Err::<(), _>(status));
        assert_eq!(refused, (Code::Aborted, "version_mismatch".into(), "expected_version".into()));
    }
    for answer in answers(0).await {
        let refused = refusal(answer);
        assert_eq!(refused, (Code::InvalidArgument, "version_required".into(), "expected_version".into()));
    }
    assert_eq!(app.state().await, before);
}
