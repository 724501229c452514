//! What facts of other services make users hear.

use std::time::Duration;

use ::events::Fact;
use futures_util::StreamExt as _;
use proto::events::v1::{UserFact, UserRoleChanged, UserUpdated};
use proto::notifications::v1::*;
use testkit::{Nats, eventually};

use crate::app::{ANA, BIA, Publisher, SOON, Setup, TestApp, Who, list, report};

pub(crate) async fn with_nats() -> (TestApp, Nats, Publisher) {
    let nats = Nats::start().await;
    let publisher = Publisher::new(&nats.url()).await;
    let app = TestApp::start_with(Setup { nats_url: nats.url(), ..Setup::default() }).await;
    app.world.accounts.knows(41, "ana@example.com", "pt-BR");
    app.world.accounts.knows(42, "bia@example.com", "en");
    (app, nats, publisher)
}

/// What the mailbox holds for an address: subjects, latest first.
async fn subjects(app: &TestApp, to: &str) -> Vec<String> {
    let (status, body) = app.replica.page(&format!("/mailbox.json?to={to}")).await;
    assert_eq!(status, 200);
    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    body["mails"]
        .as_array()
        .unwrap()
        .iter()
        .map(|mail| mail["subject"].as_str().unwrap().to_owned())
        .collect()
}

/// Waits until the durables have answered everything they were given.
async fn settled(app: &TestApp, publisher: &Publisher, durable: &str) {
    let stream = publisher.jetstream().get_stream("MC_MUTATIONS").await.unwrap();
    eventually(SOON, "every message answered", async || {
        let info = stream.consumer_info(durable).await.ok()?;
        (info.num_pending == 0 && info.num_ack_pending == 0).then_some(())
    })
    .await;
    let _same_app = app;
}

#[tokio::test]
async fn a_report_is_told_to_its_receiver_in_their_language_and_to_nobody_else() {
    let (app, _nats, publisher) = with_nats().await;
    publisher.publish(1, report(7, 41, 42)).await;
    publisher.publish(1, report(8, 42, 41)).await;
    let [english] = &app.feed_of(BIA, 1).await[..] else { panic!("one") };
    assert_eq!(
        (english.seq, english.kind.as_str(), english.title.as_str(), english.link.as_deref()),
        (1, "report.received", "New cupping report", Some("/reports/7"))
    );
    let [portuguese] = &app.feed_of(ANA, 1).await[..] else { panic!("one") };
    assert_eq!(
        (portuguese.title.as_str(), portuguese.link.as_deref()),
        ("Novo laudo de prova", Some("/reports/8"))
    );
    for (to, subject) in
        [("bia@example.com", "New cupping report"), ("ana@example.com", "Novo laudo de prova")]
    {
        let mails = eventually(SOON, "the mail", async || {
            let mails = subjects(&app, to).await;
            (!mails.is_empty()).then_some(mails)
        })
        .await;
        assert_eq!(mails, [subject]);
    }
    let created: Vec<_> = app.world.recorded().await.iter().map(|event| event.subject()).collect();
    assert_eq!(created.len(), 2);
    assert!(created.contains(&"mc.notifications.notification.created.42".to_owned()), "{created:?}");
}

#[tokio::test]
async fn the_same_message_twice_is_told_once() {
    let (app, _nats, publisher) = with_nats().await;
    let event = publisher.publish(1, report(7, 41, 42)).await;
    app.feed_of(BIA, 1).await;
    // Beyond the stream's own window of duplicates, the same event comes again; what was read and deleted
    // in between does not come back.
    let told = app.feed(BIA).await[0].id;
    app.delete_notification(BIA, DeleteNotificationRequest { id: told }).await.unwrap();
    publisher.raw(event.subject(), event.encode(), &event.id().to_string().to_uppercase()).await;
    publisher.publish(1, report(9, 41, 42)).await;
    let feed = app.feed_of(BIA, 1).await;
    assert_eq!(feed.iter().map(|n| n.link.clone().unwrap()).collect::<Vec<_>>(), ["/reports/9"]);
    settled(&app, &publisher, "notifications-reports").await;
    assert_eq!(app.list_notifications(BIA, list()).await.unwrap().total, 1);
    assert_eq!(app.world.one::<i64>("SELECT count(*) FROM emails").await, 2);
}

#[tokio::test]
async fn positions_have_no_gaps_whoever_tells() {
    let (app, nats, publisher) = with_nats().await;
    let second = app.world.replica(Setup { nats_url: nats.url(), ..Setup::default() }).await;
    let publisher = &publisher;
    futures_util::stream::iter(0..60)
        .for_each_concurrent(20, |n| async move {
            publisher.publish(1, report(n + 1, 41, 42)).await;
        })
        .await;
    let feed = app.feed_of(BIA, 60).await;
    let seqs: Vec<u64> = feed.iter().rev().map(|notification| notification.seq).collect();
    assert_eq!(seqs, (1..=60).collect::<Vec<_>>());
    let in_order: bool =
        app.world.one("SELECT bool_and(id = (SELECT n.id FROM notifications n WHERE n.seq = o.seq)) FROM notifications o").await;
    assert!(in_order);
    second.stop().await;
}

#[tokio::test]
async fn a_message_that_nobody_can_read_goes_to_the_dead_letters_and_holds_up_nobody() {
    let (app, _nats, publisher) = with_nats().await;
    let dead = publisher.jetstream().get_stream("MC_DLQ").await.unwrap();
    publisher.raw("mc.agenda.report.created.6".to_owned(), b"poison".to_vec(), "poison").await;
    publisher.publish(1, report(7, 41, 42)).await;
    app.feed_of(BIA, 1).await;
    let letter = eventually(SOON, "the dead letter", async || {
        dead.get_last_raw_message_by_subject("dlq.notifications-reports.mc.agenda.report.created.6")
            .await
            .ok()
    })
    .await;
    assert_eq!(&letter.payload[..], b"poison");
    settled(&app, &publisher, "notifications-reports").await;
}

#[tokio::test]
async fn users_are_told_only_what_they_wish_to_hear() {
    let (app, _nats, publisher) = with_nats().await;
    let wish = |in_app, email| UpdatePreferencesRequest {
        preferences: vec![Preference { kind: "report.received".into(), in_app, email }],
    };
    app.update_preferences(ANA, wish(false, true)).await.unwrap();
    app.update_preferences(BIA, wish(true, false)).await.unwrap();
    publisher.publish(1, report(1, 42, 41)).await;
    publisher.publish(1, report(2, 41, 42)).await;
    app.feed_of(BIA, 1).await;
    eventually(SOON, "Ana's mail", async || {
        (!subjects(&app, "ana@example.com").await.is_empty()).then_some(())
    })
    .await;
    settled(&app, &publisher, "notifications-reports").await;
    assert!(app.feed(ANA).await.is_empty());
    assert_eq!(app.world.one::<i64>("SELECT count(*) FROM emails").await, 1);
}

#[tokio::test]
async fn an_address_that_is_not_proven_gets_no_mail() {
    let (app, _nats, publisher) = with_nats().await;
    app.world.accounts.contact(42, "not-mine@example.com", "en", false);
    publisher.publish(1, report(1, 41, 42)).await;
    app.feed_of(BIA, 1).await;
    settled(&app, &publisher, "notifications-reports").await;
    assert_eq!(app.world.one::<i64>("SELECT count(*) FROM emails").await, 0);

    // Nor one that stops being proven before the mail is sent.
    app.world.accounts.knows(42, "not-mine@example.com", "en");
    app.world.sql("ALTER TABLE mailbox ADD CONSTRAINT closed CHECK (false) NOT VALID").await;
    publisher.publish(1, report(2, 41, 42)).await;
    eventually(SOON, "a mail that failed", async || {
        (app.world.one::<i64>("SELECT count(*) FROM emails WHERE status = 'failed'").await == 1).then_some(())
    })
    .await;
    app.world.accounts.contact(42, "not-mine@example.com", "en", false);
    let error = eventually(SOON, "the mail given up", async || {
        app.world.one::<Option<String>>("SELECT max(last_error) FROM emails WHERE status = 'dead'").await
    })
    .await;
    assert_eq!(error, "the address is not verified");
    assert!(subjects(&app, "not-mine@example.com").await.is_empty());
}

#[tokio::test]
async fn changes_of_an_account_are_told_to_its_owner() {
    let (app, _nats, publisher) = with_nats().await;
    let changed = |columns: &[&str]| {
        let changed = columns.iter().map(|column| (*column).to_owned()).collect();
        Fact::UserUpdated(UserUpdated { user_id: 42, changed })
    };
    publisher.publish(1, Fact::UserRegistered(UserFact { user_id: 42 })).await;
    publisher.publish(2, changed(&["name", "locale"])).await;
    let promoted = UserRoleChanged { user_id: 42, old_role: "customer".into(), role: "staff".into() };
    publisher.publish(3, Fact::UserRoleChanged(promoted)).await;
    publisher.publish(4, changed(&["password_hash"])).await;
    publisher.publish(5, changed(&["totp_enabled"])).await;
    let feed = app.feed_of(BIA, 4).await;
    let told: Vec<_> = feed.iter().rev().map(|n| (n.kind.as_str(), n.title.as_str())).collect();
    assert_eq!(
        told,
        [
            ("account.welcome", "Welcome to Mestres Café"),
            ("account.security", "Access role changed"),
            ("account.security", "Password changed"),
            ("account.security", "Two-step verification changed"),
        ]
    );
    assert!(feed.iter().any(|n| n.body == "Your access role is now staff."));
    // Accounts itself writes about passwords and second factors, and to whoever registers.
    let mails = eventually(SOON, "the mail", async || {
        let mails = subjects(&app, "bia@example.com").await;
        (!mails.is_empty()).then_some(mails)
    })
    .await;
    assert_eq!(mails, ["Access role changed"]);
    settled(&app, &publisher, "notifications-accounts").await;
    assert_eq!(app.world.one::<i64>("SELECT count(*) FROM emails").await, 1);
}

#[tokio::test]
async fn whoever_is_gone_is_forgotten_and_told_nothing_more() {
    let (app, _nats, publisher) = with_nats().await;
    publisher.publish(1, report(1, 41, 42)).await;
    publisher.publish(1, report(2, 42, 41)).await;
    app.feed_of(BIA, 1).await;
    app.feed_of(ANA, 1).await;
    let wish = Preference { kind: "account.welcome".into(), in_app: false, email: false };
    let wishes = UpdatePreferencesRequest { preferences: vec![wish] };
    app.update_preferences(BIA, wishes.clone()).await.unwrap();
    let queue = |template: &str, key: &str| EnqueueEmailRequest {
        dedupe_key: key.into(),
        user_id: 42,
        to_email: "bia@example.com".into(),
        to_name: "Bia".into(),
        locale: "en".into(),
        template: template.into(),
        variables: std::collections::HashMap::default(),
    };
    app.enqueue_email(Who::Service, queue("password_changed", "first")).await.unwrap();
    eventually(SOON, "mails sent", async || {
        (app.world.one::<i64>("SELECT count(*) FROM emails WHERE status = 'sent'").await == 3).then_some(())
    })
    .await;
    // The last mail is still on its way when the rest is erased.
    app.world.sql("ALTER TABLE mailbox ADD CONSTRAINT closed CHECK (false) NOT VALID").await;
    app.enqueue_email(Who::Service, queue("account_erased", "last")).await.unwrap();

    publisher.publish(2, Fact::UserDeleted(UserFact { user_id: 42 })).await;
    eventually(SOON, "nothing left", async || app.feed(BIA).await.is_empty().then_some(())).await;
    // Late news of somebody who is gone.
    publisher.publish(1, report(3, 41, 42)).await;
    publisher.publish(1, report(4, 42, 41)).await;
    app.feed_of(ANA, 2).await;
    settled(&app, &publisher, "notifications-reports").await;
    assert_eq!(app.list_notifications(BIA, list()).await.unwrap(), ListNotificationsResponse::default());
    let left: (i64, i64, i64, i64) = sqlx::query_as(
        "SELECT (SELECT count(*) FROM notifications WHERE user_id = 42), (SELECT count(*) FROM preferences),
                (SELECT count(*) FROM emails WHERE user_id = 42),
                (SELECT count(*) FROM mailbox WHERE to_email = 'bia@example.com')",
    )
    .fetch_one(&mut app.world.admin().await)
    .await
    .unwrap();
    assert_eq!(left, (0, 0, 0, 0));
    let refused = app.update_preferences(BIA, wishes).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::Unauthenticated);

    // The mail that says so still goes out, and is about nobody.
    app.world.sql("ALTER TABLE mailbox DROP CONSTRAINT closed").await;
    eventually(SOON, "the last mail", async || {
        (subjects(&app, "bia@example.com").await == ["Your account was erased"]).then_some(())
    })
    .await;

    // What was cached in between becomes stale once more.
    let subjects: Vec<_> = app.world.recorded().await.iter().map(|event| event.subject()).collect();
    assert!(subjects.contains(&"mc.notifications.notification.deleted.42".to_owned()), "{subjects:?}");
    assert_eq!(subjects.iter().filter(|subject| *subject == "mc.notifications.prefs.changed.42").count(), 2);
}

#[tokio::test]
async fn accounts_being_away_delays_what_is_told_but_loses_nothing() {
    let (app, _nats, publisher) = with_nats().await;
    publisher.publish(1, report(1, 41, 42)).await;
    app.feed_of(BIA, 1).await;
    app.world.accounts.leaves();
    publisher.publish(1, report(2, 41, 42)).await;
    // In the language last known.
    let feed = eventually(Duration::from_secs(40), "the second notification", async || {
        let feed = app.feed(BIA).await;
        (feed.len() == 2).then_some(feed)
    })
    .await;
    assert_eq!(feed[0].title, "New cupping report");
}

/// Ids are given one after the other: nothing may wait for whoever gets the next.
#[tokio::test]
async fn nobody_is_told_before_they_exist() {
    let (app, _nats, publisher) = with_nats().await;
    publisher.publish(1, report(7, 41, 4_321)).await;
    publisher.publish(1, report(8, 41, 42)).await;
    app.feed_of(BIA, 1).await;
    settled(&app, &publisher, "notifications-reports").await;
    assert_eq!(app.world.one::<i64>("SELECT count(*) FROM feeds WHERE user_id = 4321").await, 0);
    assert_eq!(app.world.one::<i64>("SELECT count(*) FROM emails").await, 1);
}
