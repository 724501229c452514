//! Mails while there is no mail server: a page to look at.

use std::collections::HashMap;

use proto::notifications::v1::*;
use testkit::eventually;

use crate::app::{SOON, TestApp, Who};

#[tokio::test]
async fn the_mailbox_shows_mails_by_address_and_runs_nothing() {
    let app = TestApp::start().await;
    for (key, to, name) in
        [("1", "ana+shop@example.com", "<script>alert(1)</script>"), ("2", "bia@example.com", "Bia")]
    {
        let request = EnqueueEmailRequest {
            dedupe_key: key.into(),
            user_id: 41,
            to_email: to.into(),
            to_name: name.into(),
            locale: "en".into(),
            template: "password_reset".into(),
            variables: HashMap::from([("link".into(), "https://shop.example/reset?token=t&x=1".into())]),
        };
        app.enqueue_email(Who::Service, request).await.unwrap();
    }
    let of = async |to: &str| -> Vec<serde_json::Value> {
        let (status, body) = app.replica.page(&format!("/mailbox.json?to={to}")).await;
        assert_eq!(status, 200);
        serde_json::from_str::<serde_json::Value>(&body).unwrap()["mails"].as_array().unwrap().clone()
    };
    let mail = eventually(SOON, "the mail", async || of("Ana%2Bshop@example.com").await.pop()).await;
    assert_eq!(
        (&mail["to"], &mail["subject"]),
        (&"ana+shop@example.com".into(), &"Reset your password".into())
    );
    assert!(mail["text"].as_str().unwrap().contains("\n\nhttps://shop.example/reset?token=t&x=1\n\n"));
    assert!(mail["html"].as_str().unwrap().contains("href=\"https://shop.example/reset?token=t&amp;x=1\""));
    assert!(of("eve@example.com").await.is_empty());

    let (status, list) = app.replica.page("/mailbox").await;
    assert_eq!(status, 200);
    let id = mail["id"].as_str().unwrap();
    assert!(list.contains(&format!("/mailbox/{id}")), "{list}");
    let (status, one) = app.replica.page(&format!("/mailbox/{id}")).await;
    assert_eq!(status, 200);
    assert!(one.contains("Reset your password") && !one.contains("<script"), "{one}");
    for missing in ["/mailbox/00000000-0000-0000-0000-000000000000", "/mailbox/x"] {
        assert_eq!(app.replica.page(missing).await.0, 404);
    }
}
