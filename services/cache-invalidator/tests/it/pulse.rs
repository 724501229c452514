//! The heartbeat of the pipeline.

use std::time::Duration;

use testkit::eventually;
use tokio::time::Instant;
use uuid::Uuid;

use crate::app::{PATIENCE, World};

#[tokio::test]
async fn the_pipeline_is_on_time_only_while_every_relay_is_heard() {
    let world = World::start().await;
    let mut beats = world.beats().await;
    let replica = world.replica().await;
    let beat = beats.next().await;
    assert!(beat.oldest_pending_ms > 1_000, "nobody has heard the relay yet: {beat:?}");

    let relay = world.relay();
    let beat = beats.until("the relay is heard", |beat| beat.oldest_pending_ms == 0).await;
    assert_eq!(beat.published_xmin, 77);

    relay.falls_silent();
    beats.until("its silence is told", |beat| beat.oldest_pending_ms > 1_000).await;

    let _again = world.relay();
    beats.until("it is heard again", |beat| beat.oldest_pending_ms == 0).await;
    replica.stop().await;
}

#[tokio::test]
async fn events_that_the_relay_knows_of_are_pending_until_they_are_purged() {
    let world = World::start().await;
    let mut beats = world.beats().await;
    let replica = world.replica().await;
    let relay = world.relay();
    beats.until("the relay is heard", |beat| beat.oldest_pending_ms == 0).await;

    let seq = world.mutate(Uuid::now_v7(), &["product:1"]).await;
    relay.says(seq);
    let beat = beats.until("the purge is on the log", |beat| beat.last_seq == 1).await;
    assert!(beat.oldest_pending_ms < 5_000, "{beat:?}");
    beats.until("nothing is pending", |beat| beat.oldest_pending_ms == 0).await;
    replica.stop().await;
}

#[tokio::test]
async fn one_of_two_replicas_beats_and_the_other_takes_over() {
    let world = World::start().await;
    let _relay = world.relay();
    let mut beats = world.beats().await;
    let (one, two) = (world.replica().await, world.replica().await);
    let active = async || {
        let mut active = Vec::new();
        for replica in [&one, &two] {
            active.push(replica.get("/metrics").await.1.contains("\ninvalidator_active 1\n"));
        }
        active
    };
    let first = eventually(PATIENCE, "one of them is active", async || {
        let active = active().await;
        active.contains(&true).then_some(active)
    })
    .await;
    assert_ne!(first, [true, true]);

    beats.next().await;
    let started = Instant::now();
    for _ in 0..8 {
        beats.next().await;
    }
    assert!(started.elapsed() > Duration::from_millis(1_200), "four a second: {:?}", started.elapsed());

    let (leader, other) = if first[0] { (one, two) } else { (two, one) };
    leader.stop().await;
    eventually(PATIENCE, "the other one is active", async || {
        other.get("/metrics").await.1.contains("\ninvalidator_active 1\n").then_some(())
    })
    .await;
    let id = Uuid::now_v7();
    world.mutate(id, &["product:1"]).await;
    assert_eq!(world.purges(1).await[0].id, format!("{id}:0"));
    assert_eq!(beats.until("it beats", |beat| beat.last_seq == 1).await.epoch, 1);
    other.stop().await;
}

#[tokio::test]
async fn it_is_ready_without_nats_and_redis_and_says_so() {
    let world = World::start().await;
    let replica = world.replica().await;
    eventually(PATIENCE, "it is ready", async || {
        let (status, body) = replica.get("/health/ready").await;
        (status == 200 && body.contains(r#""status":"ready""#)).then_some(())
    })
    .await;
    world.nats.kill().await;
    world.redis.kill().await;
    eventually(PATIENCE, "it is degraded, not gone", async || {
        let (status, body) = replica.get("/health/ready").await;
        (status == 200 && body.contains(r#""status":"degraded""#)).then_some(())
    })
    .await;
    assert_eq!(replica.get("/health/live").await.0, 200);
    replica.stop().await;
}
