//! A backend goes away: slower, never wrong.

use std::time::Duration;

use tag_cache::CacheState::{Bypass, Coalesced, HitL1, HitL2, Miss};
use tag_cache::{CacheConfig, Class, FillFailed, Mode};
use testkit::{FaultProxy, eventually};
use uuid::Uuid;

use crate::world::{Answer, Gate, PATIENCE, PRODUCT, Refused, World};

#[tokio::test(flavor = "multi_thread")]
async fn redis_killed_no_errors_and_still_correct() {
    let world = World::start().await;
    let (writer, reader) = tokio::join!(world.node(), world.node());
    world.shop.commit(1);
    reader.read().await;
    world.redis.kill().await;

    for value in 2..40 {
        let token = writer.write(value).await;
        assert_eq!(reader.ask().token(&token).read().await.value, value);
        assert_eq!(writer.ask().token(&token).read().await.value, value);
        assert_eq!(reader.read().await, Answer::new(value, HitL1), "memory works alone");
    }
    let stats = reader.cache.stats();
    assert_eq!((stats.fills_failed, stats.l2_available), (0, Some(false)));
    assert!(stats.l2_errors >= 5 && stats.l2_skipped > 0, "the breaker opened: {stats:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_breaker_closes_when_redis_is_back() {
    let world = World::start().await;
    let node = world.node().await;
    world.redis.kill().await;
    let keys = ["a", "b", "c", "d", "e", "f"];
    for key in keys {
        node.ask().key(key).read().await;
    }
    eventually(PATIENCE, "the breaker opens", async || {
        (node.cache.stats().l2_available == Some(false)).then_some(())
    })
    .await;

    world.redis.restart().await;
    eventually(PATIENCE, "the breaker closes", async || {
        // Every question past the pause is a probe.
        node.ask().key("probe").fresh(Duration::from_millis(1)).class(Class::Strict).read().await;
        (node.cache.stats().l2_available == Some(true)).then_some(())
    })
    .await;
    node.ask().key("after").read().await;
    eventually(PATIENCE, "entries reach Redis again", async || {
        (!world.stored().await.is_empty()).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_hangs_costs_its_deadline_only() {
    let world = World::start().await;
    let proxy = FaultProxy::to_port(world.redis.port()).await;
    let config = CacheConfig {
        redis_url: Some(proxy.url(&world.redis.url())),
        l2_deadline: Duration::from_millis(50),
        ..world.config()
    };
    let node = world.node_with(&world.nats.url(), config).await;
    node.is(Mode::Live).await;
    node.read().await;
    proxy.freeze();
    world.shop.commit(5);
    let began = std::time::Instant::now();
    assert_eq!(node.ask().key("new").read().await, Answer::new(5, Miss));
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn nats_killed_strict_bypasses_and_nothing_is_stale_after_the_catch_up() {
    let world = World::start().await;
    let (one, two) = tokio::join!(world.node(), world.node());
    let nodes = [one, two];
    world.shop.commit(1);
    for node in &nodes {
        node.ask().class(Class::Strict).read().await;
        assert_eq!(node.ask().class(Class::Strict).read().await.state, HitL1);
        node.ask().key("bounded").read().await;
    }

    world.nats.kill().await;
    for node in &nodes {
        node.is(Mode::Suspect).await;
        // The change commits while no purge can be published.
        node.write(2).await;
        assert_eq!(node.ask().class(Class::Strict).read().await, Answer::new(2, Bypass));
    }
    world.shop.commit(3);
    for node in &nodes {
        assert_eq!(node.ask().class(Class::Strict).read().await, Answer::new(3, Bypass));
    }
    // A third write on top, whose purge only the outbox has.
    world.shop.commit(4);

    world.nats.restart().await;
    let purge = world.invalidator.purge(Uuid::now_v7()).await;
    for node in &nodes {
        node.is(Mode::Live).await;
        node.has_applied(&purge).await;
        for class in [Class::Strict, Class::Bounded, Class::Relaxed] {
            assert_eq!(node.ask().class(class).read().await.value, 4);
        }
        assert_eq!(node.ask().key("bounded").read().await.value, 4);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_starts_without_nats_and_finds_it_later() {
    let world = World::start().await;
    world.nats.kill().await;
    let node = world.node_with(&world.nats.url(), world.config()).await;
    assert_eq!(node.cache.mode(), Mode::Suspect);
    world.shop.commit(1);
    for class in [Class::Strict, Class::Bounded, Class::Relaxed] {
        assert_eq!(node.ask().class(class).read().await.value, 1);
        world.shop.commit(2);
        assert_eq!(node.ask().class(class).read().await.value, 2, "nothing can be judged yet: {class:?}");
        world.shop.commit(1);
    }
    world.nats.restart().await;
    node.is(Mode::Live).await;
    node.read().await;
    assert_eq!(node.read().await.state, HitL1);
}

/// Heartbeats stop (the invalidator is dead), the log itself works: the pipeline is suspect.
///
/// Seen to fail when silence was allowed to last an hour.
#[tokio::test(flavor = "multi_thread")]
async fn a_silent_invalidator_makes_strict_routes_bypass() {
    let world = World::start().await;
    let node = world.node().await;
    world.shop.commit(1);
    node.ask().class(Class::Strict).read().await;
    world.invalidator.fall_silent();
    node.is(Mode::Suspect).await;
    world.shop.commit(2);
    assert_eq!(node.ask().class(Class::Strict).read().await, Answer::new(2, Bypass));
    let token = node.write(3).await;
    assert_eq!(node.ask().token(&token).read().await.value, 3, "the writer still reads its write");
    world.invalidator.beat(1);
    node.is(Mode::Live).await;
}

/// Committed changes wait for the log: strict routes ask the origin together, the others are served.
#[tokio::test(flavor = "multi_thread")]
async fn a_late_outbox_is_lag() {
    let world = World::start().await;
    let node = world.node().await;
    world.shop.commit(1);
    node.ask().class(Class::Strict).read().await;
    world.invalidator.pending(1_500);
    node.is(Mode::Lagging).await;
    world.shop.commit(2);

    let gate = Gate::new();
    let leader = node.ask().class(Class::Strict).at_gate(&gate).spawn();
    gate.reached().await;
    let follower = node.ask().class(Class::Strict).spawn();
    node.has_followers(1).await;
    gate.open();
    assert_eq!(leader.await.expect("an answer"), Answer::new(2, Miss));
    assert_eq!(follower.await.expect("an answer"), Answer::new(2, Coalesced));
}

/// After ten seconds of silence a bounded route asks the tag versions in Redis.
///
/// Seen to fail when `Inner::vouched` did not ask them.
#[tokio::test(flavor = "multi_thread")]
async fn bounded_routes_ask_the_tag_versions_after_ten_silent_seconds() {
    let world = World::start().await;
    let node = world.node().await;
    world.shop.commit(1);
    node.read().await;
    let stamp = node.cache.applied();
    world.invalidator.fall_silent();
    node.is(Mode::Suspect).await;
    assert_eq!(node.read().await, Answer::new(1, HitL1), "trusted for ten seconds");

    let tag = tag_cache::Tag::of(PRODUCT);
    let alive = tag_cache::tag_versions::encode(stamp);
    world.shop.commit(2);
    // Nobody vouches: the origin.
    eventually(PATIENCE, "trust ends", async || (node.read().await.value == 2).then_some(())).await;
    // Somebody does, and the tag was not purged since: memory.
    world.store(tag_cache::tag_versions::ALIVE, alive.as_bytes()).await;
    world.shop.commit(3);
    assert_eq!(node.read().await, Answer::new(2, HitL1));
    // The tag was purged after the entry's stamp.
    let purged = tag_cache::Position::new(stamp.epoch(), stamp.sequence() + 1);
    let purged = tag_cache::tag_versions::encode(purged);
    world.store(&tag_cache::tag_versions::key(tag), purged.as_bytes()).await;
    assert_eq!(node.read().await.value, 3);
}

/// Requests that may not share an answer are capped, and say so when the cap is reached.
#[tokio::test(flavor = "multi_thread")]
async fn lone_origin_calls_are_capped() {
    let world = World::start().await;
    world.invalidator.fall_silent();
    let config =
        CacheConfig { lone_calls_max: 2, origin_wait_max: Duration::from_millis(50), ..world.config() };
    let node = world.node_with(&world.nats.url(), config).await;
    node.is(Mode::Suspect).await;
    let gate = Gate::new();
    let strict = || node.ask().class(Class::Strict);
    let calls = [strict().at_gate(&gate).spawn(), strict().at_gate(&gate).spawn()];
    eventually(PATIENCE, "both calls are out", async || (world.shop.asked() == 2).then_some(())).await;

    assert_eq!(strict().try_read().await, Err(Refused::Cache(FillFailed::Overloaded)));
    assert_eq!(world.shop.asked(), 2, "refused means not asked");
    gate.open();
    gate.open();
    for call in calls {
        assert_eq!(call.await.expect("an answer").state, Bypass);
    }
    assert_eq!(strict().read().await.state, Bypass);
}

/// An entry outlives the gateway that made it, and the next gateway can judge it.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_gateway_uses_what_was_filled_after_it_started() {
    let world = World::start().await;
    let (old, new) = tokio::join!(world.node(), world.node());
    world.shop.commit(1);
    old.read().await;
    world.stores(1).await;
    old.stop().await;
    assert_eq!(new.read().await, Answer::new(1, HitL2));
    assert_eq!(new.read().await, Answer::new(1, HitL1));
}
