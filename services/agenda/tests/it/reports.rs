//! Reports written by one user for another: seen by both, changed by the first.

use proto::agenda::v1::*;
use tonic::Code;

use crate::app::{ANA, BIA, TestApp, Who, id, page, refusal, report, tasting};

fn titles(answer: &ListReportsResponse) -> Vec<&str> {
    answer.reports.iter().map(|report| report.title.as_str()).collect()
}

#[tokio::test]
async fn both_see_what_one_wrote() {
    let app = TestApp::start().await;
    let event = app.event(tasting("x", 0)).await;
    let fields = ReportFields {
        notes: Some("Caramelo".into()),
        event_id: Some(event.id),
        product_id: Some(7),
        ..report("Bourbon")
    };
    let request = CreateReportRequest { receiver_id: id(BIA), fields: Some(fields.clone()) };
    let made = app.create_report(ANA, request).await.unwrap();
    let sent = made.report.unwrap();
    assert_eq!((sent.version, sent.role.as_str(), made.receipts.len()), (1, "sender", 1));
    assert_eq!((sent.sender_id, sent.receiver_id), (Some(id(ANA)), Some(id(BIA))));
    assert_eq!((sent.scores, sent.total_score_tenths), (fields.scores, 805));
    assert_eq!((sent.event_id, sent.product_id), (Some(event.id), Some(7)));

    let get = GetReportRequest { id: sent.id };
    assert_eq!(app.get_report(ANA, get).await.unwrap().report.unwrap(), sent);
    let received = app.get_report(BIA, get).await.unwrap().report.unwrap();
    assert_eq!(received, Report { role: "receiver".into(), ..sent.clone() });

    // The id of the event stays when the event goes.
    app.delete_event(ANA, DeleteEventRequest { id: event.id, expected_version: 1 }).await.unwrap();
    let still = app.get_report(BIA, get).await.unwrap().report.unwrap();
    assert_eq!(still, received);
    // And is no obstacle to other changes.
    let fields = ReportFields { title: "Novo".into(), ..fields };
    let update = UpdateReportRequest { id: sent.id, expected_version: 1, fields: Some(fields) };
    assert_eq!(app.update_report(ANA, update).await.unwrap().report.unwrap().title, "Novo");
}

#[tokio::test]
async fn lists_are_of_one_role_or_of_both() {
    let app = TestApp::start().await;
    for title in ["a", "b", "c"] {
        app.report(title).await;
    }
    let back = CreateReportRequest { receiver_id: id(ANA), fields: Some(report("d")) };
    app.create_report(BIA, back).await.unwrap();

    let list = async |who, role: Option<&str>, page| {
        let request = ListReportsRequest { page, role: role.map(str::to_owned) };
        app.list_reports(who, request).await.unwrap()
    };
    for (who, role, expected) in [
        (ANA, None, vec!["d", "c", "b", "a"]),
        (ANA, Some("sender"), vec!["c", "b", "a"]),
        (ANA, Some("receiver"), vec!["d"]),
        (BIA, Some("receiver"), vec!["c", "b", "a"]),
        (BIA, Some("sender"), vec!["d"]),
        (Who::User(99), None, vec![]),
    ] {
        let answer = list(who, role, None).await;
        assert_eq!((titles(&answer), answer.total), (expected.clone(), expected.len() as u64));
        for report in &answer.reports {
            assert_eq!(report.role == "sender", report.sender_id == Some(id(who)));
        }
    }
    let second = list(ANA, Some("sender"), page(2, 2)).await;
    assert_eq!((titles(&second), second.total), (vec!["a"], 3));
}

#[tokio::test]
async fn its_sender_changes_it_and_takes_it_back() {
    let app = TestApp::start().await;
    let sent = app.report("Bourbon").await;
    let mut fields = report("Catuaí");
    fields.scores.as_mut().unwrap().acidity = 100;
    let update = UpdateReportRequest { id: sent.id, expected_version: 1, fields: Some(fields.clone()) };
    let answer = app.update_report(ANA, update).await.unwrap();
    let updated = answer.report.unwrap();
    assert_eq!((updated.version, updated.total_score_tenths, answer.receipts.len()), (2, 905, 1));
    let read = app.get_report(BIA, GetReportRequest { id: sent.id }).await.unwrap().report.unwrap();
    assert_eq!(read, Report { role: "receiver".into(), ..updated.clone() });

    let same = UpdateReportRequest { id: sent.id, expected_version: 2, fields: Some(fields) };
    let answer = app.update_report(ANA, same).await.unwrap();
    assert_eq!((answer.report.unwrap(), answer.receipts.len()), (updated, 0));

    let delete = DeleteReportRequest { id: sent.id, expected_version: 2 };
    assert_eq!(app.delete_report(ANA, delete).await.unwrap().receipts.len(), 1);
    for who in [ANA, BIA] {
        let gone = refusal(app.get_report(who, GetReportRequest { id: sent.id }).await);
        assert_eq!(gone, (Code::NotFound, "report_not_found".into(), String::new()));
        assert_eq!(app.list_reports(who, ListReportsRequest::default()).await.unwrap().total, 0);
    }
}

#[tokio::test]
async fn its_receiver_may_look_but_not_touch() {
    let app = TestApp::start().await;
    let sent = app.report("Bourbon").await;
    let before = app.state().await;
    let denied = (Code::PermissionDenied, "permission_denied".to_owned(), String::new());
    // The version is none of the receiver's business: right or wrong, the answer is the same.
    for expected_version in [1, 9] {
        let update = UpdateReportRequest { id: sent.id, expected_version, fields: Some(report("Meu agora")) };
        assert_eq!(refusal(app.update_report(BIA, update).await), denied);
        let delete = DeleteReportRequest { id: sent.id, expected_version };
        assert_eq!(refusal(app.delete_report(BIA, delete).await), denied);
    }
    assert_eq!(app.state().await, before);
}

#[tokio::test]
async fn nobody_writes_to_themselves_or_about_events_of_others() {
    let app = TestApp::start().await;
    let hers = CreateEventRequest { fields: Some(tasting("hers", 0)) };
    let hers = app.create_event(BIA, hers).await.unwrap().event.unwrap();
    let sent = app.report("Bourbon").await;
    let before = app.state().await;

    let to_herself = CreateReportRequest { receiver_id: id(ANA), fields: Some(report("x")) };
    let refused = refusal(app.create_report(ANA, to_herself).await);
    assert_eq!(refused, (Code::InvalidArgument, "invalid_value".into(), "receiver_id".into()));

    let mut answers = Vec::new();
    for event_id in [hers.id, 999_999] {
        let fields = ReportFields { event_id: Some(event_id), ..report("x") };
        let create = CreateReportRequest { receiver_id: id(BIA), fields: Some(fields.clone()) };
        let update = UpdateReportRequest { id: sent.id, expected_version: 1, fields: Some(fields) };
        let created = app.create_report(ANA, create).await.unwrap_err();
        let updated = app.update_report(ANA, update).await.unwrap_err();
        let words = (created.message().to_owned(), updated.message().to_owned());
        let refused = refusal(Err::<(), _>(created));
        assert_eq!(refused, (Code::InvalidArgument, "event_not_found".into(), "event_id".into()));
        assert_eq!(refusal(Err::<(), _>(updated)), refused);
        answers.push(words);
    }
    assert_eq!(answers[0], answers[1], "another user's event is an event that does not exist");
    assert_eq!(app.state().await, before);
}
