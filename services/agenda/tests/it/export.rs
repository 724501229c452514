//! Everything kept about a user, for the service that was asked for it.

use proto::agenda::v1::*;
use tonic::Code;

use crate::app::{ANA, BIA, TestApp, Who, booked, id, refusal, report};

#[tokio::test]
async fn an_export_is_everything_of_one_user_and_nothing_of_another() {
    let app = TestApp::start().await;
    let helena = app.professional("Helena \"Lena\"").await;
    let event = app.event(booked(0, &helena)).await;
    let sent = app.report("enviado").await;
    let back = CreateReportRequest { receiver_id: id(ANA), fields: Some(report("recebido")) };
    app.create_report(BIA, back).await.unwrap();
    let foreign = CreateReportRequest { receiver_id: 99, fields: Some(report("alheio")) };
    app.create_report(BIA, foreign).await.unwrap();
    app.professional_of(BIA, "alheia").await;

    let export = ExportUserDataRequest { user_id: id(ANA) };
    let document = app.export_user_data(Who::Service, export).await.unwrap().document_json;
    let document: serde_json::Value = serde_json::from_str(&document).unwrap();
    let list = |name: &str| document[name].as_array().unwrap().clone();
    let [master] = &list("professionals")[..] else { panic!("{document}") };
    assert_eq!((&master["name"], &master["bio"]), (&"Helena \"Lena\"".into(), &serde_json::Value::Null));
    let [kept] = &list("events")[..] else { panic!("{document}") };
    assert_eq!((&kept["id"], &kept["starts_at"]), (&event.id.into(), &"2026-05-02T12:00:00.000Z".into()));
    assert_eq!(kept["professional"], "Helena \"Lena\"");
    let [first, second] = &list("reports")[..] else { panic!("{document}") };
    assert_eq!(
        (&first["id"], &first["role"], &first["total_tenths"]),
        (&sent.id.into(), &"sender".into(), &805.into())
    );
    assert_eq!((&second["title"], &second["role"]), (&"recebido".into(), &"receiver".into()));

    let nobody = app.export_user_data(Who::Service, ExportUserDataRequest { user_id: 77 }).await.unwrap();
    assert_eq!(nobody.document_json, r#"{"professionals":[],"events":[],"reports":[]}"#);
}

#[tokio::test]
async fn exports_are_for_processes_of_the_product() {
    let app = TestApp::start().await;
    let export = ExportUserDataRequest { user_id: id(ANA) };
    for who in [ANA, BIA, Who::Staff(7), Who::Admin(1)] {
        let refused = refusal(app.export_user_data(who, export).await);
        assert_eq!(refused, (Code::PermissionDenied, "permission_denied".into(), String::new()));
    }
    assert_eq!(refusal(app.export_user_data(Who::Nobody, export).await).0, Code::Unauthenticated);
    for user_id in [0, -1] {
        let refused = refusal(app.export_user_data(Who::Service, ExportUserDataRequest { user_id }).await);
        assert_eq!(refused, (Code::InvalidArgument, "invalid_value".into(), "user_id".into()));
    }
}
