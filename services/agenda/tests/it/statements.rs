//! How many statements a call costs, counted by the database.

use proto::agenda::v1::*;
use sqlx::PgConnection;

use crate::app::{ANA, BIA, TestApp, booked, hours, id, page, professional, report, tasting};

/// What users' transactions have run so far, without the frame of the transaction.
async fn statements(admin: &mut PgConnection) -> Vec<(String, i64)> {
    sqlx::query_as(
        "SELECT query, calls FROM pg_stat_statements
          WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
            AND userid = 'mc_user'::regrole AND toplevel
            AND query !~* '^(begin|savepoint|release|commit|rollback)' AND query !~ 'set_config' AND query !~ '^SELECT \\$1(::bigint)?$'",
    )
    .fetch_all(admin)
    .await
    .unwrap()
}

/// Requires that the call runs so many statements.
async fn costs<T>(
    app: &TestApp,
    expected: i64,
    what: &str,
    call: impl Future<Output = Result<T, tonic::Status>>,
) -> T {
    let mut admin = app.admin().await;
    sqlx::raw_sql(
        "SELECT pg_stat_statements_reset(0, (SELECT oid FROM pg_database WHERE datname = current_database()), 0)",
    )
    .execute(&mut admin)
    .await
    .unwrap();
    let answer = call.await.unwrap_or_else(|status| panic!("{what}: {status:?}"));
    let statements = statements(&mut admin).await;
    let calls: i64 = statements.iter().map(|(_, calls)| calls).sum();
    assert_eq!(calls, expected, "{what}: {statements:#?}");
    answer
}

#[tokio::test]
async fn a_read_costs_what_it_costs_whatever_it_shows() {
    let app = TestApp::start().await;
    app.sql(
        "CREATE EXTENSION IF NOT EXISTS pg_stat_statements;
         INSERT INTO professionals (user_id, name, specialty)
         SELECT 42, 'P' || n, 'barista' FROM generate_series(1, 200) n;
         INSERT INTO events (user_id, title, kind, professional_id, starts_at, ends_at)
         SELECT 42, 'E', 'aula', n, '2026-01-01Z', '2026-01-02Z' FROM generate_series(1, 200) n;
         INSERT INTO reports (sender_id, receiver_id, title, scores)
         SELECT 42, 43, 'R', array_fill(80::smallint, ARRAY[10]) FROM generate_series(1, 200)",
    )
    .await;
    for limit in [1, 100] {
        let page = page(1, limit);
        let filtered =
            ListEventsRequest { page, kind: Some("aula".into()), from: hours(-9_999), ..Default::default() };
        let answer = costs(&app, 2, "events", app.list_events(ANA, filtered)).await;
        assert_eq!((answer.events.len(), answer.total), (limit as usize, 200));
        let professionals = ListProfessionalsRequest { page, specialty: None };
        costs(&app, 2, "professionals", app.list_professionals(ANA, professionals)).await;
        let reports = ListReportsRequest { page, role: Some("receiver".into()) };
        let answer = costs(&app, 2, "reports", app.list_reports(BIA, reports)).await;
        assert_eq!((answer.reports.len(), answer.total), (limit as usize, 200));
    }
    costs(&app, 1, "event", app.get_event(ANA, GetEventRequest { id: 1 })).await;
    costs(&app, 1, "professional", app.get_professional(ANA, GetProfessionalRequest { id: 1 })).await;
    costs(&app, 1, "report", app.get_report(ANA, GetReportRequest { id: 1 })).await;
    let export = ExportUserDataRequest { user_id: 42 };
    costs(&app, 3, "export", app.export_user_data(crate::app::Who::Service, export)).await;
}

#[tokio::test]
async fn a_change_costs_five_statements_at_most() {
    let app = TestApp::start().await;
    app.sql("CREATE EXTENSION IF NOT EXISTS pg_stat_statements").await;
    let create = CreateProfessionalRequest { fields: Some(professional("Helena")) };
    let helena = costs(&app, 3, "new professional", app.create_professional(ANA, create)).await;
    let helena = helena.professional.unwrap();
    let create = CreateEventRequest { fields: Some(booked(0, &helena)) };
    let event = costs(&app, 4, "new event", app.create_event(ANA, create)).await.event.unwrap();
    let fields = ReportFields { event_id: Some(event.id), ..report("x") };
    let create = CreateReportRequest { receiver_id: id(BIA), fields: Some(fields) };
    let sent = costs(&app, 4, "new report", app.create_report(ANA, create)).await.report.unwrap();

    let fields = Some(EventFields { status: Some("done".into()), ..booked(5, &helena) });
    let update = UpdateEventRequest { id: event.id, expected_version: 1, fields };
    costs(&app, 5, "event replaced", app.update_event(ANA, update)).await;
    let update = UpdateReportRequest { id: sent.id, expected_version: 1, fields: Some(report("y")) };
    costs(&app, 4, "report replaced", app.update_report(ANA, update)).await;
    let fields = Some(professional("Zeca"));
    let update = UpdateProfessionalRequest { id: helena.id, expected_version: 1, fields };
    costs(&app, 4, "professional replaced", app.update_professional(ANA, update)).await;

    let delete = DeleteProfessionalRequest { id: helena.id, expected_version: 2 };
    costs(&app, 5, "professional gone", app.delete_professional(ANA, delete)).await;
    let delete = DeleteEventRequest { id: event.id, expected_version: 2 };
    costs(&app, 3, "event gone", app.delete_event(ANA, delete)).await;
    let delete = DeleteReportRequest { id: sent.id, expected_version: 2 };
    costs(&app, 3, "report gone", app.delete_report(ANA, delete)).await;
    let create = CreateEventRequest { fields: Some(tasting("x", 0)) };
    costs(&app, 3, "event without professional", app.create_event(ANA, create)).await;
}
