//! The record of purges in Redis.

use tag_cache::{Position, Tag, tag_versions};
use testkit::eventually;
use uuid::Uuid;

use crate::app::{PATIENCE, World};

#[tokio::test]
async fn the_last_purge_of_a_tag_is_recorded() {
    let world = World::start().await;
    let _relay = world.relay();
    let replica = world.replica().await;
    for _ in 0..3 {
        world.mutate(Uuid::now_v7(), &["product:1", "products:list"]).await;
    }
    world.mutate(Uuid::now_v7(), &["product:2"]).await;
    let purges = world.purges(4).await;
    for tag in ["product:1", "products:list", "product:2"] {
        let last =
            purges.iter().filter(|purge| purge.tags.contains(&Tag::of(tag))).map(|purge| purge.seq).max();
        let expected = Position::new(1, last.expect("it was purged"));
        eventually(PATIENCE, "the last purge is recorded", async || {
            let value = world.redis_get(&tag_versions::key(Tag::of(tag))).await?;
            (tag_versions::decode(&value) == Some(expected)).then_some(())
        })
        .await;
    }
    replica.stop().await;
}

#[tokio::test]
async fn the_record_is_alive_only_while_the_pipeline_is_on_time() {
    let world = World::start().await;
    let relay = world.relay();
    let replica = world.replica().await;
    eventually(PATIENCE, "the record is alive", async || world.redis_get(tag_versions::ALIVE).await).await;

    relay.falls_silent();
    eventually(PATIENCE, "the record is not vouched for", async || {
        world.redis_get(tag_versions::ALIVE).await.is_none().then_some(())
    })
    .await;
    replica.stop().await;
}

#[tokio::test]
async fn a_purge_that_could_not_be_recorded_moves_the_beginning_of_the_record() {
    let world = World::start().await;
    let _relay = world.relay();
    let replica = world.replica().await;
    world.mutate(Uuid::now_v7(), &["product:1"]).await;
    world.purges(1).await;

    world.redis.kill().await;
    world.mutate(Uuid::now_v7(), &["product:1"]).await;
    // Redis being away holds up no purge.
    let missed = world.purges(2).await[1].seq;
    world.redis.restart().await;
    eventually(PATIENCE, "the record begins after what is missing", async || {
        let since = tag_versions::decode(&world.redis_get(tag_versions::ALIVE).await?)?;
        (since == Position::new(1, missed)).then_some(())
    })
    .await;
    world.mutate(Uuid::now_v7(), &["product:1"]).await;
    let recorded = world.purges(3).await[2].seq;
    eventually(PATIENCE, "purges are recorded again", async || {
        let value = world.redis_get(&tag_versions::key(Tag::of("product:1"))).await?;
        (tag_versions::decode(&value) == Some(Position::new(1, recorded))).then_some(())
    })
    .await;
    replica.stop().await;
}
