//! The races between a fill and a purge.

use tag_cache::CacheState::{Coalesced, HitL1, HitL2, Miss};
use tag_cache::{Class, Mode};
use testkit::FaultProxy;
use uuid::Uuid;

use crate::world::{Answer, Gate, PRODUCT, World};

/// The old row is read, the change commits and is purged everywhere, then the old answer arrives and is
/// stored in Redis.
///
/// Seen to fail when `ask_origin` took the stamp after `fetch` had answered instead of before it was called.
#[tokio::test(flavor = "multi_thread")]
async fn r1_stale_fill_l2() {
    let world = World::start().await;
    let (filler, other) = tokio::join!(world.node(), world.node());
    world.shop.commit(1);
    let gate = Gate::new();
    let old = filler.ask().at_gate(&gate).spawn();
    gate.reached().await;

    let token = other.write(2).await;
    filler.has_applied(&token).await;
    gate.open();
    assert_eq!(old.await.expect("the early client is answered"), Answer::new(1, Miss));
    assert_eq!(filler.read().await, Answer::new(2, Miss), "the filler does not keep it");

    filler.stop().await;
    other.has_applied(&token).await;
    assert_eq!(other.read().await, Answer::new(2, HitL2), "Redis holds the second fill, not the first");
}

/// The same, but the filler has not heard of the purge when it stores: Redis does hold the old answer.
///
/// Seen to fail when `Inner::stored` returned what it decoded without asking `Coherence::judge`.
#[tokio::test(flavor = "multi_thread")]
async fn r1_stale_fill_l2_by_a_gateway_that_lags() {
    let world = World::start().await;
    let proxy = FaultProxy::to_port(world.nats.port()).await;
    let filler = world.node_with(&proxy.url(&world.nats.url()), world.config()).await;
    filler.is(Mode::Live).await;
    let other = world.node().await;
    world.shop.commit(1);
    let gate = Gate::new();
    let old = filler.ask().at_gate(&gate).spawn();
    gate.reached().await;

    proxy.freeze();
    let token = other.write(2).await;
    other.has_applied(&token).await;
    gate.open();
    assert_eq!(old.await.expect("the early client is answered").value, 1);
    world.stores(1).await;

    assert_eq!(other.read().await, Answer::new(2, Miss), "the stored answer is older than the purge");
}

/// A valid entry is read from Redis, the purge passes, then the entry goes into memory.
///
/// Seen to fail when `Inner::stored` marked what it decoded as validated at the current version instead of
/// judging it, as a cache does that takes a value for good because it was good when the question was sent.
#[tokio::test(flavor = "multi_thread")]
async fn r2_stale_fill_l1() {
    let world = World::start().await;
    let proxy = FaultProxy::to_port(world.redis.port()).await;
    let writer = world.node().await;
    let config = tag_cache::CacheConfig { redis_url: Some(proxy.url(&world.redis.url())), ..world.config() };
    let reader = world.node_with(&world.nats.url(), config).await;
    reader.is(Mode::Live).await;
    world.shop.commit(1);
    writer.read().await;
    world.stores(1).await;
    // The reader's connection to Redis is up before it freezes.
    reader.ask().key("id=other").read().await;

    proxy.freeze();
    let early = reader.ask().spawn();
    let token = writer.write(2).await;
    reader.has_applied(&token).await;
    proxy.heal();
    early.await.expect("the early client is answered");

    assert_eq!(reader.read().await.value, 2);
}

/// The purge of a tag that no entry has ever carried; the answer that carries it is written afterwards.
///
/// Seen to fail when `Coherence::apply` skipped tags that the sketch had never seen, as an index does that
/// knows only registered tags.
#[tokio::test(flavor = "multi_thread")]
async fn r3_index_race() {
    let world = World::start().await;
    let proxy = FaultProxy::to_port(world.redis.port()).await;
    let config = tag_cache::CacheConfig { redis_url: Some(proxy.url(&world.redis.url())), ..world.config() };
    let filler = world.node_with(&world.nats.url(), config).await;
    filler.is(Mode::Live).await;
    let other = world.node().await;
    world.shop.commit(1);
    let gate = Gate::new();
    let old = filler.ask().at_gate(&gate).spawn();
    gate.reached().await;

    // The answer is complete and its SET under way when the purge passes.
    proxy.freeze();
    gate.open();
    assert_eq!(old.await.expect("the early client is answered").value, 1);
    let token = other.write(2).await;
    filler.has_applied(&token).await;
    other.has_applied(&token).await;
    proxy.heal();
    world.stores(1).await;

    assert_eq!(other.read().await, Answer::new(2, Miss), "written late, but no younger");
    assert_eq!(filler.read().await.value, 2);
}

/// A gateway's connection to NATS is cut while a purge is published.
///
/// Seen to fail when every session of the follower began at the stream's last sequence instead of behind
/// what was applied, as a subscriber without a memory does.
#[tokio::test(flavor = "multi_thread")]
async fn r5_lost_message() {
    let world = World::start().await;
    let proxy = FaultProxy::to_port(world.nats.port()).await;
    let cut_off = world.node_with(&proxy.url(&world.nats.url()), world.config()).await;
    cut_off.is(Mode::Live).await;
    let other = world.node().await;
    world.shop.commit(1);
    assert_eq!(cut_off.read().await, Answer::new(1, Miss));
    assert_eq!(cut_off.read().await, Answer::new(1, HitL1));

    proxy.cut();
    other.write(2).await;
    cut_off.is(Mode::Suspect).await;
    let strict = cut_off.ask().class(Class::Strict).read().await;
    assert_eq!(strict.value, 2, "a strict route trusts nothing while cut off");
    let token = other.write(3).await;
    proxy.heal();

    cut_off.is(Mode::Live).await;
    assert!(cut_off.cache.applied() >= token.position(), "live means that the gap is read");
    assert_eq!(cut_off.read().await.value, 3);
}

/// Redis forgets everything after a purge, and an entry from before it comes back (a restored dump, a
/// promoted replica that lagged). No tag state lives in Redis, so there is none to lose.
///
/// Seen to fail when `Coherence::judge` looked at the floor only and not at the tags, and when
/// `Inner::stored` did not ask it.
#[tokio::test(flavor = "multi_thread")]
async fn r7_lost_tag_state() {
    let world = World::start().await;
    let (writer, reader) = tokio::join!(world.node(), world.node());
    world.shop.commit(1);
    writer.read().await;
    let entries = world.stores(1).await;

    let token = writer.write(2).await;
    world.redis.kill().await;
    world.redis.restart().await;
    for (name, value) in &entries {
        world.store(name, value).await;
    }
    reader.has_applied(&token).await;

    assert_eq!(reader.read().await.value, 2, "resurrected, but still older than the purge");
}

/// A request that arrives after the purge meets a flight that started before it.
///
/// Seen to fail when `may_follow` allowed everybody, and when the stamp was taken after `fetch`.
#[tokio::test(flavor = "multi_thread")]
async fn r9_follower_of_an_old_flight() {
    let world = World::start().await;
    let (node, other) = tokio::join!(world.node(), world.node());
    world.shop.commit(1);
    let gate = Gate::new();
    let leader = node.ask().at_gate(&gate).spawn();
    gate.reached().await;

    let token = other.write(2).await;
    node.has_applied(&token).await;
    let late = node.ask().spawn();
    // It waits for the flight; when that has landed it must refuse and ask itself.
    node.has_followers(1).await;
    gate.open();

    assert_eq!(leader.await.expect("the early client is answered"), Answer::new(1, Miss));
    assert_eq!(late.await.expect("the late client is answered").value, 2);
}

/// Those who came before the purge take the flight's result and do not wait twice.
///
/// Seen to fail when `may_follow` asked for a clean entry whenever the request had arrived.
#[tokio::test(flavor = "multi_thread")]
async fn r9_followers_who_came_before_the_purge_do_not_wait_twice() {
    let world = World::start().await;
    let (node, other) = tokio::join!(world.node(), world.node());
    world.shop.commit(1);
    let gate = Gate::new();
    let leader = node.ask().at_gate(&gate).spawn();
    gate.reached().await;
    let early: Vec<_> = (0..4).map(|_| node.ask().spawn()).collect();
    node.has_followers(4).await;

    let token = other.write(2).await;
    node.has_applied(&token).await;
    gate.open();

    assert_eq!(leader.await.expect("an answer").value, 1);
    for follower in early {
        assert_eq!(follower.await.expect("an answer"), Answer::new(1, Coalesced));
    }
    assert_eq!(world.shop.asked(), 1);
}

/// Purges of other tags do not disturb, even in a sketch so small that most tags share slots with others,
/// as long as one of the two rows differs.
#[tokio::test(flavor = "multi_thread")]
async fn purges_of_other_tags_leave_entries_alone() {
    let world = World::start().await;
    let node = world.node().await;
    world.shop.commit(1);
    node.read().await;
    let token = node.cache.purge(Uuid::now_v7(), &["product:2", "products:list"], 0).await;
    node.has_applied(&token).await;
    assert_eq!(node.read().await, Answer::new(1, HitL1));
    let token = node.cache.purge(Uuid::now_v7(), &[PRODUCT], 0).await;
    node.has_applied(&token).await;
    assert_eq!(node.read().await, Answer::new(1, Miss));
}
