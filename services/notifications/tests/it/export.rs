//! Everything that is kept about a user, and about nobody else.

use proto::notifications::v1::*;
use serde_json::{Value, json};

use crate::app::{ANA, TestApp, Who};

#[tokio::test]
async fn an_export_holds_everything_of_one_user() {
    let app = TestApp::start().await;
    app.world.fill(41, 3).await;
    app.world.fill(42, 2).await;
    let wish = Preference { kind: "account.welcome".into(), in_app: true, email: false };
    app.update_preferences(ANA, UpdatePreferencesRequest { preferences: vec![wish] }).await.unwrap();
    app.world
        .sql(
            "INSERT INTO emails (id, dedupe_key, user_id, template, locale, message_id, status, finished_at)
             VALUES (gen_random_uuid(), 'a', 41, 'password_changed', 'en', 'a', 'sent', now()),
                    (gen_random_uuid(), 'b', 42, 'password_reset', 'en', 'b', 'sent', now())",
        )
        .await;
    let export = async |user_id| -> Value {
        let answer = app.export_user_data(Who::Service, ExportUserDataRequest { user_id }).await.unwrap();
        serde_json::from_str(&answer.document_json).unwrap()
    };
    let anas = export(41).await;
    let titles: Vec<_> = anas["notifications"].as_array().unwrap().iter().map(|row| &row["title"]).collect();
    assert_eq!(titles, ["1", "2", "3"]);
    assert_eq!(anas["preferences"][2], json!({ "kind": "account.welcome", "in_app": true, "email": false }));
    let [mail] = &anas["emails"].as_array().unwrap()[..] else { panic!("one mail") };
    assert_eq!((&mail["template"], &mail["status"]), (&json!("password_changed"), &json!("sent")));

    let nobodys = export(99).await;
    assert_eq!((&nobodys["notifications"], &nobodys["emails"]), (&json!([]), &json!([])));
}
