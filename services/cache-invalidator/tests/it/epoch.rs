//! The epoch of the purge log.

use tag_cache::log::STREAM;
use testkit::eventually;
use uuid::Uuid;

use crate::app::{PATIENCE, World};

#[tokio::test]
async fn a_log_that_goes_on_keeps_its_epoch_over_restarts() {
    let world = World::start().await;
    let relay = world.relay();
    let mut beats = world.beats().await;
    let replica = world.replica().await;
    world.mutate(Uuid::now_v7(), &["product:1"]).await;
    let beat = beats.until("the purge is on the log", |beat| beat.last_seq == 1).await;
    assert_eq!(beat.epoch, 1);
    eventually(PATIENCE, "the place is remembered", async || {
        let high: i64 = sqlx::query_scalar("SELECT high_seq FROM invalidator.coherence")
            .fetch_one(&mut world.database.admin().await)
            .await
            .ok()?;
        (high == 1).then_some(())
    })
    .await;
    replica.stop().await;

    world.nats.kill().await;
    world.nats.restart().await;
    let replica = world.replica().await;
    let mut beats = world.beats().await;
    assert_eq!(beats.next().await.epoch, 1);
    assert_eq!(world.epoch_in_database().await, 1);
    drop(relay);
    replica.stop().await;
}

#[tokio::test]
async fn a_log_that_is_made_again_begins_an_epoch() {
    let world = World::start().await;
    let mut beats = world.beats().await;
    let replica = world.replica().await;
    world.mutate(Uuid::now_v7(), &["product:1"]).await;
    beats.until("the purge is on the log", |beat| (beat.epoch, beat.last_seq) == (1, 1)).await;

    world.jetstream.delete_stream(STREAM).await.expect("deleted");
    let beat = beats.until("a new epoch begins", |beat| beat.epoch == 2).await;
    assert_eq!(beat.last_seq, 0);
    assert_eq!(world.epoch_in_database().await, 2);

    // It is the log of that epoch from now on.
    world.mutate(Uuid::now_v7(), &["product:2"]).await;
    let beat = beats.until("the purge is on the new log", |beat| beat.last_seq == 1).await;
    assert_eq!(beat.epoch, 2);
    replica.stop().await;
}

#[tokio::test]
async fn a_log_that_was_lost_while_no_invalidator_ran_begins_an_epoch() {
    let world = World::start().await;
    let mut beats = world.beats().await;
    let replica = world.replica().await;
    world.mutate(Uuid::now_v7(), &["product:1"]).await;
    beats.until("the purge is on the log", |beat| beat.last_seq == 1).await;
    replica.stop().await;

    world.jetstream.delete_stream(STREAM).await.expect("deleted");
    tag_cache::log::declare(&world.jetstream, 1).await.expect("made again");
    let replica = world.replica().await;
    world.beats().await.until("a new epoch has begun", |beat| beat.epoch == 2).await;
    replica.stop().await;
}

/// A server that lost the end of the log and then gave the same numbers away again: the place is the same,
/// the message is not.
#[tokio::test]
async fn a_log_that_went_back_and_grew_again_begins_an_epoch() {
    let world = World::start().await;
    let mut beats = world.beats().await;
    let replica = world.replica().await;
    world.mutate(Uuid::now_v7(), &["product:1"]).await;
    beats.until("the purge is on the log", |beat| beat.last_seq == 1).await;
    replica.stop().await;

    let mut admin = world.database.admin().await;
    sqlx::query("UPDATE invalidator.coherence SET high_seq = 1, high_time = high_time - interval '1 s'")
        .execute(&mut admin)
        .await
        .expect("the superuser may");
    let replica = world.replica().await;
    world.beats().await.until("a new epoch has begun", |beat| beat.epoch == 2).await;
    replica.stop().await;
}

#[tokio::test]
async fn a_message_that_says_nothing_ends_the_epoch() {
    let world = World::start().await;
    let mut beats = world.beats().await;
    let replica = world.replica().await;
    beats.until("there is an epoch", |beat| beat.epoch == 1).await;

    world.publish(async_nats::HeaderMap::new()).await;
    beats.until("everything is stale", |beat| beat.epoch == 2).await;
    eventually(PATIENCE, "the message is among the dead letters", async || {
        let letters = world.jetstream.get_stream(events::streams::DEAD_LETTERS).await.ok()?;
        (letters.cached_info().state.messages == 1).then_some(())
    })
    .await;

    // A message that has lost one of its tags is no better.
    let mut headers = async_nats::HeaderMap::new();
    headers.insert("Nats-Msg-Id", Uuid::now_v7().to_string());
    headers.insert("mc-tags", "2");
    headers.append("mc-tag", "product:1");
    world.publish(headers).await;
    beats.until("everything is stale again", |beat| beat.epoch == 3).await;
    replica.stop().await;
}
