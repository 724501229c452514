//! From events to purges.

use std::time::Duration;

use tag_cache::Tag;
use tag_cache::log::{Purge, PurgeLog, PurgeMode};
use testkit::eventually;
use uuid::Uuid;

use crate::app::{PATIENCE, World};

#[tokio::test]
async fn an_event_becomes_a_purge_of_the_tags_in_its_message() {
    let world = World::start().await;
    let replica = world.replica().await;
    let id = Uuid::now_v7();
    // The payload is none this version understands: the tags are the producer's word, not ours.
    world.mutate(id, &["product:1", "a tag of a newer version"]).await;
    let purges = world.purges(1).await;
    assert_eq!(purges[0].id, format!("{id}:0"));
    assert_eq!(purges[0].tags, [Tag::of("product:1"), Tag::of("a tag of a newer version")]);
    assert_eq!(purges[0].commit_lsn, 4711);
    replica.stop().await;
}

#[tokio::test]
async fn what_the_gateway_has_purged_is_not_purged_again() {
    let world = World::start().await;
    let id = Uuid::now_v7();
    let gateway = PurgeLog::new(world.client.clone(), Duration::from_secs(5));
    let purge = Purge {
        event_id: id,
        commit_lsn: 4711,
        commit_ms: 0,
        tags: vec![Tag::of("product:1")],
        mode: PurgeMode::Hard,
    };
    let position = gateway.publish(1, &purge).await.expect("published");

    let replica = world.replica().await;
    world.mutate(id, &["product:1"]).await;
    let other = Uuid::now_v7();
    world.mutate(other, &["product:2"]).await;
    // The second event is through, so the first one was, too.
    eventually(PATIENCE, "both events are handled", async || {
        replica.get("/metrics").await.1.contains("invalidator_purges_total 2").then_some(())
    })
    .await;
    let purges = world.purges(2).await;
    assert_eq!((purges[0].id.as_str(), purges[0].seq), (format!("{id}:0").as_str(), position.sequence()));
    assert_eq!(purges[1].id, format!("{other}:0"));
    replica.stop().await;
}

#[tokio::test]
async fn an_event_with_many_tags_becomes_several_messages() {
    let world = World::start().await;
    let replica = world.replica().await;
    let id = Uuid::now_v7();
    let tags: Vec<String> = (0..600).map(|n| format!("product:{n}")).collect();
    world.mutate(id, &tags.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let purges = world.purges(3).await;
    let mut ids: Vec<&str> = purges.iter().map(|purge| purge.id.as_str()).collect();
    ids.sort_unstable();
    assert_eq!(ids, [format!("{id}:0"), format!("{id}:1"), format!("{id}:2")]);
    assert_eq!(purges.iter().map(|purge| purge.tags.len()).sum::<usize>(), 600);
    replica.stop().await;
}

#[tokio::test]
async fn an_event_that_makes_nothing_stale_purges_nothing() {
    let world = World::start().await;
    let replica = world.replica().await;
    world.mutate(Uuid::now_v7(), &[]).await;
    let id = Uuid::now_v7();
    world.mutate(id, &["product:2"]).await;
    assert_eq!(world.purges(1).await[0].id, format!("{id}:0"));
    replica.stop().await;
}

#[tokio::test]
async fn events_of_the_time_without_an_invalidator_are_purged_when_there_is_one() {
    let world = World::start().await;
    let replica = world.replica().await;
    world.mutate(Uuid::now_v7(), &["product:1"]).await;
    world.purges(1).await;
    replica.stop().await;

    for n in 0..20 {
        world.mutate(Uuid::now_v7(), &[&format!("product:{n}")]).await;
    }
    let replica = world.replica().await;
    world.purges(21).await;
    replica.stop().await;
}

#[tokio::test]
async fn purging_goes_on_after_nats_was_away() {
    let world = World::start().await;
    let replica = world.replica().await;
    world.mutate(Uuid::now_v7(), &["product:1"]).await;
    world.purges(1).await;
    world.nats.kill().await;
    world.nats.restart().await;
    let id = Uuid::now_v7();
    eventually(PATIENCE, "the test is connected again", async || {
        (world.client.connection_state() == async_nats::connection::State::Connected).then_some(())
    })
    .await;
    world.mutate(id, &["product:2"]).await;
    assert_eq!(world.purges(2).await[1].id, format!("{id}:0"));
    replica.stop().await;
}
