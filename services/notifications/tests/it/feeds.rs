//! Reading a feed and changing it.

use ::events::Fact;
use proto::events::v1::NotificationFact;
use proto::notifications::v1::*;
use tonic::Code;

use crate::app::{ANA, BIA, TestApp, Who, list, refusal};

fn mark(id: i64, read: bool) -> MarkNotificationRequest {
    MarkNotificationRequest { id, read }
}

#[tokio::test]
async fn a_feed_is_read_page_by_page_latest_first() {
    let app = TestApp::start().await;
    app.world.fill(41, 25).await;
    let page = |page, limit| ListNotificationsRequest { page, limit, unread_only: false };
    let first = app.list_notifications(ANA, page(1, 10)).await.unwrap();
    let seqs = |answer: &ListNotificationsResponse| {
        answer.notifications.iter().map(|notification| notification.seq).collect::<Vec<_>>()
    };
    assert_eq!(seqs(&first), (16..=25).rev().collect::<Vec<_>>());
    assert_eq!((first.total, first.unread), (25, 25));
    assert_eq!(seqs(&app.list_notifications(ANA, page(3, 10)).await.unwrap()), [5, 4, 3, 2, 1]);
    assert!(app.list_notifications(ANA, page(4, 10)).await.unwrap().notifications.is_empty());
    let latest = &first.notifications[0];
    assert_eq!(
        (latest.kind.as_str(), latest.title.as_str(), latest.link.as_deref()),
        ("report.received", "25", Some("/reports/1"))
    );
    assert!(latest.read_at.is_none() && latest.created_at.is_some());

    app.mark_notification(ANA, mark(first.notifications[0].id, true)).await.unwrap();
    let unread = ListNotificationsRequest { unread_only: true, ..page(1, 100) };
    let unread = app.list_notifications(ANA, unread).await.unwrap();
    assert_eq!((seqs(&unread).len(), unread.total, unread.unread), (24, 24, 24));

    // Who was never told anything has an empty feed.
    assert_eq!(app.list_notifications(BIA, list()).await.unwrap(), ListNotificationsResponse::default());
}

#[tokio::test]
async fn marking_counts_once_and_tells_what_is_stale() {
    let app = TestApp::start().await;
    app.world.fill(41, 3).await;
    let id = app.feed(ANA).await[0].id;

    let read = app.mark_notification(ANA, mark(id, true)).await.unwrap();
    let read_at = read.notification.as_ref().unwrap().read_at;
    assert!(read_at.is_some());
    let [receipt] = &read.receipts[..] else { panic!("one receipt") };
    assert_eq!(receipt.tags, ["notifications:user:41"]);
    assert!(receipt.commit_lsn > 0);

    // Again: the same answer, and nothing happened.
    let again = app.mark_notification(ANA, mark(id, true)).await.unwrap();
    assert_eq!(again.notification.unwrap().read_at, read_at);
    assert!(again.receipts.is_empty());
    assert_eq!(app.list_notifications(ANA, list()).await.unwrap().unread, 2);

    let unread = app.mark_notification(ANA, mark(id, false)).await.unwrap();
    assert!(unread.notification.unwrap().read_at.is_none());
    assert!(app.mark_notification(ANA, mark(id, false)).await.unwrap().receipts.is_empty());
    assert_eq!(app.list_notifications(ANA, list()).await.unwrap().unread, 3);

    let events = app.world.recorded().await;
    let facts: Vec<_> = events.iter().map(|event| event.fact().clone()).collect();
    let fact = |unread| {
        Fact::NotificationRead(NotificationFact { user_id: 41, notification_ids: vec![id], seq: 0, unread })
    };
    assert_eq!(facts, [fact(2), fact(3)]);
    let versions: Vec<_> = events.iter().map(|event| event.aggregate().version).collect();
    assert_eq!(versions, [4, 5]);
    assert_eq!(events[0].subject(), "mc.notifications.notification.read.41");
}

#[tokio::test]
async fn reading_all_is_one_change_however_many_there_are() {
    let app = TestApp::start().await;
    app.world.fill(41, 700).await;
    app.world.fill(42, 1).await;
    let answer = app.mark_all_read(ANA, MarkAllReadRequest {}).await.unwrap();
    assert_eq!((answer.marked, answer.receipts.len()), (700, 1));
    let listed = app.list_notifications(ANA, list()).await.unwrap();
    assert_eq!((listed.total, listed.unread), (700, 0));
    assert_eq!(app.list_notifications(BIA, list()).await.unwrap().unread, 1);
    let [event] = &app.world.recorded().await[..] else { panic!("one event") };
    let Fact::NotificationRead(fact) = event.fact() else { panic!("{event:?}") };
    assert_eq!((fact.notification_ids.len(), fact.unread), (500, 0));

    let again = app.mark_all_read(ANA, MarkAllReadRequest {}).await.unwrap();
    assert_eq!((again.marked, again.receipts.len()), (0, 0));
    // Whoever has no feed has read everything.
    assert_eq!(app.mark_all_read(Who::Customer(99), MarkAllReadRequest {}).await.unwrap().marked, 0);
}

#[tokio::test]
async fn what_is_deleted_is_gone_and_cannot_be_deleted_again() {
    let app = TestApp::start().await;
    app.world.fill(41, 2).await;
    let ids: Vec<i64> = app.feed(ANA).await.iter().map(|notification| notification.id).collect();
    app.mark_notification(ANA, mark(ids[0], true)).await.unwrap();
    for (id, left, unread) in [(ids[0], 1, 1), (ids[1], 0, 0)] {
        let answer = app.delete_notification(ANA, DeleteNotificationRequest { id }).await.unwrap();
        assert_eq!(answer.receipts[0].tags, ["notifications:user:41"]);
        let listed = app.list_notifications(ANA, list()).await.unwrap();
        assert_eq!((listed.total, listed.unread, listed.notifications.len() as u64), (left, unread, left));
        let again = app.delete_notification(ANA, DeleteNotificationRequest { id }).await;
        assert_eq!(refusal(again), (Code::NotFound, "notification_not_found".into(), String::new()));
    }
    let deleted = app.world.recorded().await.split_off(1);
    let ids_of = |fact: &Fact| match fact {
        Fact::NotificationDeleted(fact) => (fact.notification_ids.clone(), fact.unread),
        other => panic!("{other:?}"),
    };
    let facts: Vec<_> = deleted.iter().map(|event| ids_of(event.fact())).collect();
    assert_eq!(facts, [(vec![ids[0]], 1), (vec![ids[1]], 0)]);
}

#[tokio::test]
async fn a_change_and_its_event_are_one_transaction() {
    let app = TestApp::start().await;
    app.world.fill(41, 1).await;
    let id = app.feed(ANA).await[0].id;
    app.world.sql("ALTER TABLE outbox ADD CONSTRAINT closed CHECK (false) NOT VALID").await;
    let status = app.mark_notification(ANA, mark(id, true)).await.unwrap_err();
    assert_eq!(status.code(), Code::Internal);
    assert!(!status.message().contains("closed"), "{status:?}");
    let listed = app.list_notifications(ANA, list()).await.unwrap();
    assert_eq!(listed.unread, 1);
    assert!(listed.notifications[0].read_at.is_none());
}

#[tokio::test]
async fn counters_agree_with_the_rows_whatever_happens_at_once() {
    let app = TestApp::start().await;
    app.world.fill(41, 40).await;
    let ids: Vec<i64> = app.feed(ANA).await.iter().map(|notification| notification.id).collect();
    let app = &app;
    let changes = ids.iter().enumerate().map(|(n, &id)| async move {
        match n % 4 {
            0 => drop(app.delete_notification(ANA, DeleteNotificationRequest { id }).await.unwrap()),
            1 => drop(app.mark_notification(ANA, mark(id, true)).await.unwrap()),
            2 => drop(app.mark_notification(ANA, mark(id, false)).await.unwrap()),
            _ => drop(app.mark_all_read(ANA, MarkAllReadRequest {}).await.unwrap()),
        }
    });
    futures_util::future::join_all(changes).await;
    let agree: bool = app
        .world
        .one(
            "SELECT kept = (SELECT count(*) FROM notifications) AND kept = 30
                AND unread = (SELECT count(*) FROM notifications WHERE read_at IS NULL)
                AND version = 40 + (SELECT count(*) FROM outbox)
               FROM feeds WHERE user_id = 41",
        )
        .await;
    assert!(agree);
}
