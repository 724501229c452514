//! Mails through a mail server: once, again when refused, never for ever.

use std::collections::HashMap;

use proto::notifications::v1::*;
use testkit::eventually;
use tonic::Code;

use crate::app::{SOON, Setup, TestApp, Who, refusal};
use crate::smtp::{Received, Sink};

const LINK: &str = "https://shop.example/verify?token=s3cr3t";

async fn with_sink() -> (TestApp, Sink) {
    let sink = Sink::start().await;
    let app = TestApp::start_with(Setup { smtp_url: Some(sink.url()), ..Setup::default() }).await;
    (app, sink)
}

fn mail(key: &str) -> EnqueueEmailRequest {
    EnqueueEmailRequest {
        dedupe_key: key.to_owned(),
        user_id: 41,
        to_email: "ana@example.com".to_owned(),
        to_name: "Ana <b>Ção</b>".to_owned(),
        locale: "pt-BR".to_owned(),
        template: "verify_email".to_owned(),
        variables: HashMap::from([("link".to_owned(), LINK.to_owned())]),
    }
}

async fn received(sink: &Sink, count: usize) -> Vec<Received> {
    eventually(SOON, "mails", async || {
        let received = sink.received();
        (received.len() >= count).then_some(received)
    })
    .await
}

async fn status(app: &TestApp, status: &str) {
    eventually(SOON, status, async || {
        (app.world.one::<Option<String>>("SELECT min(status) FROM emails").await.as_deref() == Some(status))
            .then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_mail_goes_out_once_per_key_and_leaves_nothing_behind() {
    let (app, sink) = with_sink().await;
    let id = app.enqueue_email(Who::Service, mail("verify:1")).await.unwrap().email_id;
    let [first] = &received(&sink, 1).await[..] else { panic!("one mail") };
    assert_eq!((first.from.as_str(), first.to.as_str()), ("no-reply@shop.example", "ana@example.com"));
    assert_eq!(first.header("Message-ID"), format!("<{id}@shop.example>"));
    assert_eq!(first.header("Subject"), "Confirme o seu e-mail");
    assert!(first.header("Content-Type").starts_with("multipart/alternative"), "{}", first.raw);
    assert!(first.raw.contains("text/plain") && first.raw.contains("text/html"));

    // The same key, whatever else it says: the same mail, and no other.
    let mut again = mail("verify:1");
    again.to_email = "eve@example.com".to_owned();
    assert_eq!(app.enqueue_email(Who::Service, again).await.unwrap().email_id, id);
    app.enqueue_email(Who::Service, mail("verify:2")).await.unwrap();
    assert_eq!(received(&sink, 2).await.len(), 2);
    status(&app, "sent").await;
    assert!(sink.received().iter().all(|mail| mail.to == "ana@example.com"));
    let forgotten: bool =
        app.world.one("SELECT bool_and(sealed IS NULL AND finished_at IS NOT NULL) FROM emails").await;
    assert!(forgotten);
    // A mail server is there: no mailbox.
    assert_eq!(app.replica.page("/mailbox").await.0, 404);
}

#[tokio::test]
async fn a_queued_mail_shows_neither_address_nor_link() {
    let (app, sink) = with_sink().await;
    sink.refuse_always("451 later");
    app.enqueue_email(Who::Service, mail("verify:1")).await.unwrap();
    eventually(SOON, "an attempt", async || (sink.attempts() > 0).then_some(())).await;
    let row: String =
        app.world.one("SELECT emails::text || encode(coalesce(sealed, ''), 'escape') FROM emails").await;
    for secret in ["ana", "example.com", "s3cr3t", "Ana"] {
        assert!(!row.contains(secret), "{row}");
    }
}

#[tokio::test]
async fn a_refused_mail_is_tried_again_as_the_same_mail() {
    let (app, sink) = with_sink().await;
    sink.refuse(&["451 greylisted", "421 busy", "451 ana@example.com: not now"]);
    app.enqueue_email(Who::Service, mail("verify:1")).await.unwrap();
    let [mail] = &received(&sink, 1).await[..] else { panic!("one mail") };
    assert_eq!(sink.attempts(), 4);
    status(&app, "sent").await;
    let (attempts, message_id): (i32, String) = sqlx::query_as("SELECT attempts, message_id FROM emails")
        .fetch_one(&mut app.world.admin().await)
        .await
        .unwrap();
    assert_eq!((attempts, mail.header("Message-ID")), (4, message_id));
}

#[tokio::test]
async fn eight_attempts_are_enough() {
    let (app, sink) = with_sink().await;
    sink.refuse_always("451 ana@example.com: not now");
    app.enqueue_email(Who::Service, mail("verify:1")).await.unwrap();
    // Two milliseconds, eight, …: the last pauses are made short.
    eventually(SOON, "the mail given up", async || {
        app.world.sql("UPDATE emails SET next_attempt_at = now() WHERE status = 'failed'").await;
        (app.world.one::<i64>("SELECT count(*) FROM emails WHERE status = 'dead'").await == 1).then_some(())
    })
    .await;
    assert_eq!(sink.attempts(), 8);
    let (attempts, error, forgotten): (i32, String, bool) =
        sqlx::query_as("SELECT attempts, last_error, sealed IS NULL FROM emails")
            .fetch_one(&mut app.world.admin().await)
            .await
            .unwrap();
    // What the server said about the address is not kept.
    assert_eq!((attempts, error.as_str(), forgotten), (8, "the mail server refused: 451", true));
    let (_, metrics) = app.replica.page("/metrics").await;
    assert!(metrics.contains("notifications_emails_total{outcome=\"dead\"} 1"), "{metrics}");
}

#[tokio::test]
async fn a_mailbox_that_does_not_exist_is_tried_once() {
    let (app, sink) = with_sink().await;
    sink.refuse_always("550 no such mailbox");
    app.enqueue_email(Who::Service, mail("verify:1")).await.unwrap();
    status(&app, "dead").await;
    assert_eq!(sink.attempts(), 1);
}

#[tokio::test]
async fn a_worker_that_was_killed_while_sending_leaves_the_mail_to_another() {
    let (app, sink) = with_sink().await;
    sink.refuse_always("451 not yet");
    let id = app.enqueue_email(Who::Service, mail("verify:1")).await.unwrap().email_id;
    eventually(SOON, "an attempt", async || (sink.attempts() > 0).then_some(())).await;
    // As a killed worker leaves it: taken, and its time is over.
    app.world
        .sql(
            "UPDATE emails SET status = 'sending', attempts = 2, next_attempt_at = now() + interval '1 hour'",
        )
        .await;
    let accepting = Sink::start().await;
    let setup = Setup { smtp_url: Some(accepting.url()), ..Setup::default() };
    let second = app.world.replica(setup).await;
    app.replica.stop().await;
    assert!(accepting.received().is_empty(), "nobody else takes it before its time is over");
    app.world.sql("UPDATE emails SET next_attempt_at = now()").await;
    let [mail] = &received(&accepting, 1).await[..] else { panic!("one mail") };
    assert_eq!(mail.header("Message-ID"), format!("<{id}@shop.example>"));
    second.stop().await;
}

#[tokio::test]
async fn a_mail_server_that_is_away_only_delays() {
    let sink = Sink::start().await;
    let url = sink.url();
    drop(sink);
    let app = TestApp::start_with(Setup { smtp_url: Some(url), ..Setup::default() }).await;
    app.enqueue_email(Who::Service, mail("verify:1")).await.unwrap();
    status(&app, "failed").await;
    let error: String = app.world.one("SELECT last_error FROM emails").await;
    assert_eq!(error, "no connection to the mail server");
}

#[tokio::test]
async fn two_workers_send_each_mail_once() {
    let (app, sink) = with_sink().await;
    let second = app.world.replica(Setup { smtp_url: Some(sink.url()), ..Setup::default() }).await;
    for n in 0..30 {
        app.enqueue_email(Who::Service, mail(&format!("verify:{n}"))).await.unwrap();
    }
    received(&sink, 30).await;
    eventually(SOON, "all sent", async || {
        (app.world.one::<i64>("SELECT count(*) FROM emails WHERE status = 'sent'").await == 30).then_some(())
    })
    .await;
    let mut ids: Vec<_> = sink.received().iter().map(|mail| mail.header("Message-ID")).collect();
    ids.sort();
    ids.dedup();
    assert_eq!((ids.len(), sink.attempts()), (30, 30));
    second.stop().await;
}

#[tokio::test]
async fn a_mail_that_cannot_be_written_is_refused() {
    let (app, _sink) = with_sink().await;
    let change = |change: fn(&mut EnqueueEmailRequest)| {
        let mut request = mail("key");
        change(&mut request);
        request
    };
    let cases = [
        (change(|mail| mail.template = "lottery".into()), "unknown_template", "template"),
        (change(|mail| mail.variables.clear()), "variable_missing", "variables.link"),
        (
            change(|mail| drop(mail.variables.insert("link".into(), "javascript:1".into()))),
            "invalid_value",
            "variables.link",
        ),
        (change(|mail| mail.locale = "de".into()), "invalid_value", "locale"),
        (change(|mail| mail.to_email = "ana".into()), "invalid_value", "to_email"),
        (change(|mail| mail.to_email = "ana@example.com\r\nBcc: x@y.z".into()), "invalid_value", "to_email"),
        (change(|mail| mail.to_name = "Ana\nBcc: x@y.z".into()), "invalid_value", "to_name"),
        (change(|mail| mail.to_name.clear()), "invalid_value", "to_name"),
        (change(|mail| mail.dedupe_key.clear()), "invalid_value", "dedupe_key"),
        (change(|mail| mail.dedupe_key = "k".repeat(201)), "invalid_value", "dedupe_key"),
        (change(|mail| mail.user_id = 0), "invalid_value", "user_id"),
    ];
    for (request, reason, field) in cases {
        let answer = app.enqueue_email(Who::Service, request).await;
        assert_eq!(refusal(answer), (Code::InvalidArgument, reason.into(), field.into()));
    }
    assert_eq!(app.world.one::<i64>("SELECT count(*) FROM emails").await, 0);
}
