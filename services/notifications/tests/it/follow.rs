//! Following a feed, whatever happens to messages, processes and readers.

use std::time::Duration;

use proto::notifications::v1::follow_notifications_response::Item;
use proto::notifications::v1::notifications_service_client::NotificationsServiceClient;
use proto::notifications::v1::*;
use testkit::{Nats, eventually};
use tonic::Code;

use crate::app::{ANA, BIA, Publisher, SOON, Setup, TestApp, Who, World, refusal, report};
use crate::consumers::with_nats;

#[tokio::test]
async fn a_stream_begins_where_its_reader_left_off() {
    let app = TestApp::start().await;
    app.world.fill(41, 250).await;
    app.world.sql("DELETE FROM notifications WHERE user_id = 41 AND seq IN (240, 250)").await;
    let (follow, world) = (&app.replica, &app.world);
    let mut late = follow.follow(world, ANA, Some(237)).await.unwrap();
    assert_eq!(late.opened().await, 250);
    assert_eq!(late.seqs(11).await, [238, 239, 241, 242, 243, 244, 245, 246, 247, 248, 249]);

    // More than one page of them.
    let mut whole = follow.follow(world, ANA, Some(0)).await.unwrap();
    assert_eq!(whole.opened().await, 250);
    let expected: Vec<u64> = (1..=249).filter(|seq| *seq != 240).collect();
    assert_eq!(whole.seqs(248).await, expected);

    // Without a position: only what is made from now on. With one of another feed: as if there were none.
    for after in [None, Some(u64::MAX)] {
        let mut new = follow.follow(world, ANA, after).await.unwrap();
        assert_eq!(new.opened().await, 250);
    }
    let mut nobody_told = follow.follow(world, BIA, Some(10)).await.unwrap();
    assert_eq!(nobody_told.opened().await, 0);
}

#[tokio::test]
async fn every_replica_tells_at_once_and_tells_only_whom_it_is_for() {
    let (app, nats, publisher) = with_nats().await;
    let second = app.world.replica(Setup { nats_url: nats.url(), ..Setup::default() }).await;
    let mut anas = app.replica.follow(&app.world, ANA, None).await.unwrap();
    let mut anas_other = second.follow(&app.world, ANA, None).await.unwrap();
    let mut bias = second.follow(&app.world, BIA, Some(0)).await.unwrap();
    for follower in [&mut anas, &mut anas_other, &mut bias] {
        assert_eq!(follower.opened().await, 0);
    }
    for n in 1..=10 {
        publisher.publish(1, report(n, 42, 41)).await;
        publisher.publish(1, report(100 + n, 41, 42)).await;
    }
    let links = async |follower: &mut crate::app::Follower| {
        let mut links = Vec::new();
        for seq in 1..=10 {
            let notification = follower.notification().await;
            assert_eq!(notification.seq, seq);
            links.push(notification.link.unwrap());
        }
        links.sort();
        links
    };
    let expected = |first: i64| {
        let mut links: Vec<_> = (first..first + 10).map(|n| format!("/reports/{n}")).collect();
        links.sort();
        links
    };
    assert_eq!(links(&mut anas).await, expected(1));
    assert_eq!(links(&mut anas_other).await, expected(1));
    assert_eq!(links(&mut bias).await, expected(101));
}

#[tokio::test]
async fn a_reader_who_comes_back_elsewhere_misses_nothing_and_hears_nothing_twice() {
    let (app, nats, publisher) = with_nats().await;
    let second = app.world.replica(Setup { nats_url: nats.url(), ..Setup::default() }).await;
    let mut heard = Vec::new();
    let mut last = Some(0);
    for round in 0..4 {
        let replica = if round % 2 == 0 { &app.replica } else { &second };
        // Some while nobody listens, some while somebody does.
        for n in 0..5 {
            publisher.publish(1, report(round * 100 + n + 1, 41, 42)).await;
        }
        let mut follower = replica.follow(&app.world, BIA, last).await.unwrap();
        follower.opened().await;
        heard.extend(follower.seqs(3).await);
        last = heard.last().copied();
    }
    let mut follower = second.follow(&app.world, BIA, last).await.unwrap();
    follower.opened().await;
    heard.extend(follower.seqs(20 - heard.len()).await);
    assert_eq!(heard, (1..=20).collect::<Vec<_>>());
}

#[tokio::test]
async fn nothing_is_lost_when_the_messages_are() {
    let nats = Nats::start().await;
    let publisher = Publisher::new(&nats.url()).await;
    let app = TestApp::start_with(Setup { nats_url: nats.url(), ..Setup::default() }).await;
    app.world.accounts.knows(42, "bia@example.com", "en");
    publisher.publish(1, report(1, 41, 42)).await;
    app.feed_of(BIA, 1).await;
    let mut follower = app.replica.follow(&app.world, BIA, None).await.unwrap();
    assert_eq!(follower.opened().await, 1);

    nats.kill().await;
    // Told while no message can say so: the row is there, the event waits in the outbox.
    app.world
        .sql(
            "UPDATE feeds SET last_seq = 2, kept = 2, unread = 2, version = 2 WHERE user_id = 42;
             INSERT INTO notifications (user_id, seq, kind, title, body, dedupe_key)
             VALUES (42, 2, 'report.received', 'silent', '', 'silent')",
        )
        .await;
    nats.restart().await;
    assert_eq!(follower.notification().await.title, "silent");

    // And messages wake streams again.
    publisher.publish(1, report(3, 41, 42)).await;
    assert_eq!(follower.notification().await.seq, 3);
}

#[tokio::test]
async fn without_any_message_the_comparison_finds_what_is_new() {
    let world = World::new().await;
    let setup = Setup { compare_every: Duration::from_millis(100), ..Setup::default() };
    let replica = world.replica(setup).await;
    world.fill(41, 1).await;
    let mut follower = replica.follow(&world, ANA, None).await.unwrap();
    assert_eq!(follower.opened().await, 1);
    world
        .sql(
            "UPDATE feeds SET last_seq = 2, kept = 2, unread = 2, version = 2;
             INSERT INTO notifications (user_id, seq, kind, title, body, dedupe_key)
             VALUES (41, 2, 'report.received', 'silent', '', 'silent')",
        )
        .await;
    assert_eq!(follower.notification().await.title, "silent");
}

#[tokio::test]
async fn five_streams_of_a_user_are_enough_and_leaving_makes_room() {
    let app = TestApp::start().await;
    let mut open = Vec::new();
    for _ in 0..5 {
        let mut follower = app.replica.follow(&app.world, ANA, None).await.unwrap();
        follower.opened().await;
        open.push(follower);
    }
    let sixth = app.replica.follow(&app.world, ANA, None).await.map(drop).unwrap_err();
    assert_eq!(sixth.metadata().get("mc-retry-after-ms").unwrap(), "10000");
    assert_eq!(
        refusal(Err::<(), _>(sixth)),
        (Code::ResourceExhausted, "too_many_streams".into(), String::new())
    );
    let mut others = app.replica.follow(&app.world, BIA, None).await.unwrap();
    others.opened().await;
    let (_, metrics) = app.replica.page("/metrics").await;
    assert!(metrics.contains("\nnotifications_streams 6\n"), "{metrics}");

    open.pop();
    eventually(SOON, "room for a stream", async || app.replica.follow(&app.world, ANA, None).await.ok())
        .await;
}

#[tokio::test]
async fn a_thousand_idle_streams_ask_nothing_and_one_notification_wakes_one_users() {
    const USERS: i64 = 200;
    let nats = Nats::start().await;
    let publisher = Publisher::new(&nats.url()).await;
    let world = World::new().await;
    let compare_every = Duration::from_millis(100);
    let replica = world.replica(Setup { nats_url: nats.url(), compare_every, ..Setup::default() }).await;
    let mut streams = Vec::new();
    for user in 1..=USERS {
        let opening = (0..5).map(|_| replica.follow(&world, Who::Customer(user), None));
        for follower in futures_util::future::join_all(opening).await {
            let mut follower = follower.unwrap();
            assert_eq!(follower.opened().await, 0);
            streams.push((user, follower));
        }
    }
    let (_, metrics) = replica.page("/metrics").await;
    assert!(metrics.contains("\nnotifications_streams 1000\n"), "{metrics}");

    // Comparing goes on, in one statement each time, and nothing else is asked.
    let opened = replica.times("SELECT feeds").await;
    let compared = replica.times("SELECT feeds positions").await;
    eventually(SOON, "ten comparisons", async || {
        (replica.times("SELECT feeds positions").await >= compared + 10).then_some(())
    })
    .await;
    assert_eq!(replica.times("SELECT feeds").await, opened);
    assert_eq!(replica.times("SELECT notifications after").await, 0);

    world.accounts.knows(77, "one@example.com", "pt-BR");
    publisher.publish(1, report(1, 1, 77)).await;
    for (user, follower) in &mut streams {
        if *user == 77 {
            assert_eq!(follower.notification().await.seq, 1);
        }
    }
    assert_eq!(replica.times("SELECT notifications after").await, 5);
}

#[tokio::test]
async fn a_draining_process_says_so_to_its_followers() {
    let app = TestApp::start().await;
    let mut follower = app.replica.follow(&app.world, ANA, None).await.unwrap();
    follower.opened().await;
    app.replica.drain();
    let status = follower.end().await;
    assert_eq!(refusal(Err::<(), _>(status)), (Code::Unavailable, "draining".into(), String::new()));
    app.replica.stop().await;
}

#[tokio::test]
async fn a_reader_who_does_not_read_is_cut() {
    let app = TestApp::start().await;
    app.world.fill(41, 1_000).await;
    app.world.sql("UPDATE notifications SET body = repeat('x', 2000)").await;
    // A connection that takes 64 KiB and no more until they are read.
    let endpoint = tonic::transport::Endpoint::from_shared(format!("http://{}", app.replica.grpc_addr))
        .unwrap()
        .initial_stream_window_size(65_535)
        .initial_connection_window_size(65_535);
    let mut client = NotificationsServiceClient::new(endpoint.connect().await.unwrap());
    let bearer = app.world.bearer(ANA);
    let request = FollowNotificationsRequest { after_seq: Some(0) };
    let request = bootstrap::grpc::request(request, Duration::from_secs(600), bearer.as_deref());
    let mut stream = client.follow_notifications(request).await.unwrap().into_inner();
    eventually(SOON, "the stream is cut", async || {
        let (_, metrics) = app.replica.page("/metrics").await;
        metrics.contains("\nnotifications_streams 0\n").then_some(())
    })
    .await;
    // What was on its way is there, in order, and then the reason.
    let mut seqs = Vec::new();
    let status = loop {
        match stream.message().await {
            Ok(Some(message)) => {
                if let Some(Item::Notification(notification)) = message.item {
                    seqs.push(notification.seq);
                }
            }
            Ok(None) => panic!("no reason"),
            Err(status) => break status,
        }
    };
    assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<_>>());
    assert!(seqs.len() < 1_000, "{}", seqs.len());
    assert_eq!(refusal(Err::<(), _>(status)), (Code::ResourceExhausted, "slow_reader".into(), String::new()));
}

#[tokio::test]
async fn a_database_that_is_away_for_a_while_costs_no_notification() {
    let (app, _nats, publisher) = with_nats().await;
    let mut follower = app.replica.follow(&app.world, BIA, None).await.unwrap();
    assert_eq!(follower.opened().await, 0);
    // Its reads fail until the grant is back.
    app.world.sql("REVOKE SELECT ON notifications FROM mc_user").await;
    publisher.publish(1, report(1, 41, 42)).await;
    eventually(SOON, "told", async || {
        (app.world.one::<i64>("SELECT count(*) FROM notifications").await == 1).then_some(())
    })
    .await;
    app.world.sql("GRANT SELECT ON notifications TO mc_user").await;
    assert_eq!(follower.notification().await.seq, 1);
}
