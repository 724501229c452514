//! NATS may be away, and may lose everything.

use events::streams;
use testkit::eventually;

use crate::app::{PATIENCE, TestApp, assert_in_order};

#[tokio::test]
async fn nothing_is_lost_while_nats_is_away() {
    let app = TestApp::start().await;
    let relay = app.relay().await;
    let mut ids = vec![app.change_price(1, 1).await];
    app.holds(&ids).await;

    app.nats.kill().await;
    for version in 2..=20 {
        ids.push(app.change_price(1, version).await);
        ids.push(app.change_price(2, version - 1).await);
    }
    assert!(app.pending().await >= 38, "mutations need no NATS");
    app.nats.restart().await;

    assert_in_order(&app.holds(&ids).await);
    app.drained().await;
    relay.stop().await;
}

#[tokio::test]
async fn a_deleted_stream_is_made_again_and_gets_everything_back() {
    let app = TestApp::start().await;
    let relay = app.relay().await;
    let mut ids = Vec::new();
    for version in 1..=10 {
        ids.push(app.change_price(1, version).await);
    }
    app.holds(&ids).await;
    app.drained().await;

    app.jetstream.delete_stream(streams::MUTATIONS).await.expect("deleted");
    ids.push(app.change_price(1, 11).await);
    assert_in_order(&app.holds(&ids).await);
    app.drained().await;
    relay.stop().await;
}

#[tokio::test]
async fn a_server_that_lost_its_disk_gets_everything_back() {
    let app = TestApp::start().await;
    let relay = app.relay().await;
    let mut ids = Vec::new();
    for version in 1..=10 {
        ids.push(app.change_price(1, version).await);
    }
    app.holds(&ids).await;
    app.drained().await;

    app.nats.restart_empty().await;
    assert_in_order(&app.holds(&ids).await);
    relay.stop().await;
}

#[tokio::test]
async fn a_stream_that_was_lost_while_no_relay_ran_gets_everything_back() {
    let app = TestApp::start().await;
    let relay = app.relay().await;
    let ids = [app.change_price(1, 1).await, app.change_price(1, 2).await];
    app.holds(&ids).await;
    app.drained().await;
    relay.stop().await;

    app.jetstream.delete_stream(streams::MUTATIONS).await.expect("deleted");
    app.declare().await;
    // Another service has filled the new stream beyond the old sequences.
    for n in 0..5 {
        let ack = app.jetstream.publish(format!("mc.other.thing.done.{n}"), "".into()).await.expect("sent");
        ack.await.expect("stored");
    }
    let relay = app.relay().await;
    eventually(PATIENCE, "both events are there again", async || {
        let stream = app.jetstream.get_stream(streams::MUTATIONS).await.ok()?;
        (stream.cached_info().state.last_sequence == 7).then_some(())
    })
    .await;
    app.drained().await;
    let stream = app.jetstream.get_stream(streams::MUTATIONS).await.expect("it exists");
    for (seq, id) in (6..).zip(ids) {
        let message = stream.get_raw_message(seq).await.expect("it is there");
        assert_eq!(
            message.headers.get("Nats-Msg-Id").map(|found| found.as_str()),
            Some(id.to_string().as_str())
        );
    }
    relay.stop().await;
}

#[tokio::test]
async fn repair_leaves_what_the_stream_still_has_alone() {
    let app = TestApp::start().await;
    let relay = app.relay().await;
    let ids = [app.change_price(1, 1).await, app.change_price(1, 2).await];
    let before = app.holds(&ids).await;
    app.drained().await;
    app.nats.kill().await;
    app.nats.restart().await;
    let third = app.change_price(1, 3).await;
    let after = app.holds(&[ids[0], ids[1], third]).await;
    assert_eq!(after[..2], before[..], "the first two were not published again");
    relay.stop().await;
}
