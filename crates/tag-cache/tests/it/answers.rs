//! What a request gets: hits, misses, flights, stale answers.

use std::time::Duration;

use tag_cache::CacheState::{Bypass, Coalesced, HitL1, HitL2, Miss, Stale};
use tag_cache::{CacheConfig, Class, Enabled, FillFailed};
use testkit::eventually;

use crate::world::{Answer, Gate, PATIENCE, Refused, World};

#[tokio::test(flavor = "multi_thread")]
async fn memory_first_then_redis_then_the_origin() {
    let world = World::start().await;
    let (one, two) = tokio::join!(world.node(), world.node());
    world.shop.commit(7);
    assert_eq!(one.read().await, Answer::new(7, Miss));
    assert_eq!(one.read().await, Answer::new(7, HitL1));
    world.stores(1).await;
    assert_eq!(two.read().await, Answer::new(7, HitL2));
    assert_eq!(two.read().await, Answer::new(7, HitL1));
    assert_eq!(one.ask().key("id=2").read().await.state, Miss, "another key is another question");
    assert_eq!(world.shop.asked(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_requests_ask_once() {
    let world = World::start().await;
    let node = world.node().await;
    let gate = Gate::new();
    let leader = node.ask().at_gate(&gate).spawn();
    gate.reached().await;
    let followers: Vec<_> = (0..100).map(|_| node.ask().spawn()).collect();
    node.has_followers(100).await;
    gate.open();
    assert_eq!(leader.await.expect("an answer").state, Miss);
    for follower in followers {
        assert_eq!(follower.await.expect("an answer").state, Coalesced);
    }
    assert_eq!(world.shop.asked(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_whose_client_leaves_flies_on() {
    let world = World::start().await;
    let node = world.node().await;
    let gate = Gate::new();
    let leader = node.ask().at_gate(&gate).spawn();
    gate.reached().await;
    let follower = node.ask().spawn();
    node.has_followers(1).await;
    drop(leader);
    gate.open();
    assert_eq!(follower.await.expect("an answer").state, Coalesced);
    assert_eq!(world.shop.asked(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_leader_fails_the_next_one_leads() {
    let world = World::start().await;
    let node = world.node().await;
    world.shop.close();
    assert_eq!(node.ask().try_read().await, Err(Refused::ShopClosed));
    world.shop.open();
    assert_eq!(node.read().await.state, Miss, "a failure is not kept");

    let gate = Gate::new();
    let leader = tokio::spawn({
        let ask = node.ask().key("panics").at_gate(&gate);
        async move { ask.try_read().await }
    });
    gate.reached().await;
    let follower = node.ask().key("panics").spawn();
    node.has_followers(1).await;
    gate.close();
    let refused = leader.await.expect("the caller's task survives");
    assert_eq!(refused, Err(Refused::Cache(FillFailed::Aborted)), "the fetch panicked at the closed gate");
    assert_eq!(follower.await.expect("an answer").state, Miss);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_does_not_wait_for_ever() {
    let world = World::start().await;
    let config = CacheConfig { follower_wait_max: Duration::from_millis(50), ..world.config() };
    let node = world.node_with(&world.nats.url(), config).await;
    node.is(tag_cache::Mode::Live).await;
    let gate = Gate::new();
    let leader = node.ask().at_gate(&gate).spawn();
    gate.reached().await;
    assert_eq!(node.read().await.state, Miss, "asked for itself");
    assert_eq!(world.shop.asked(), 2);
    gate.open();
    leader.await.expect("an answer");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_origin_that_hangs_ends_at_the_fill_deadline() {
    let world = World::start().await;
    let config = CacheConfig { fill_deadline: Duration::from_millis(100), ..world.config() };
    let node = world.node_with(&world.nats.url(), config).await;
    node.is(tag_cache::Mode::Live).await;
    let gate = Gate::new();
    let refused = node.ask().at_gate(&gate).try_read().await;
    assert_eq!(refused, Err(Refused::Cache(FillFailed::Deadline)));
    assert_eq!(node.read().await.state, Miss, "and the flight is over");
}

#[tokio::test(flavor = "multi_thread")]
async fn past_its_time_an_answer_is_served_while_one_refresh_runs() {
    let world = World::start().await;
    let node = world.node().await;
    let ask = || node.ask().fresh(Duration::from_millis(30));
    world.shop.commit(1);
    ask().read().await;
    world.shop.commit(2);
    let gate = Gate::new();
    let stale = eventually(PATIENCE, "the fresh time ends", async || {
        Some(ask().at_gate(&gate).read().await).filter(|answer| answer.state != HitL1)
    })
    .await;
    assert_eq!(stale, Answer::new(1, Stale));
    gate.reached().await;
    for _ in 0..10 {
        assert_eq!(ask().read().await, Answer::new(1, Stale));
    }
    assert_eq!(world.shop.asked(), 2, "one refresh, however many ask");
    gate.open();
    eventually(PATIENCE, "the refresh lands", async || (ask().read().await.value == 2).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purged_answer_is_not_served_stale() {
    let world = World::start().await;
    let node = world.node().await;
    let ask = || node.ask().fresh(Duration::from_millis(1)).class(Class::Relaxed);
    world.shop.commit(1);
    ask().read().await;
    let token = node.write(2).await;
    node.has_applied(&token).await;
    assert_eq!(ask().read().await.value, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strict_answer_is_never_stale() {
    let world = World::start().await;
    let node = world.node().await;
    let ask = || node.ask().fresh(Duration::from_millis(30)).class(Class::Strict);
    world.shop.commit(1);
    ask().read().await;
    world.shop.commit(2);
    eventually(PATIENCE, "the fresh time ends", async || {
        let answer = ask().read().await;
        assert_ne!(answer.state, Stale);
        (answer.value == 2).then_some(())
    })
    .await;
}

/// A client that has seen something newer never gets a stale answer from before it.
///
/// Seen to fail when the stamp of a stale entry was not compared with the token.
#[tokio::test(flavor = "multi_thread")]
async fn a_newer_token_refuses_a_stale_answer() {
    let world = World::start().await;
    let node = world.node().await;
    let ask = || node.ask().fresh(Duration::from_millis(1));
    world.shop.commit(1);
    ask().read().await;
    // Purges something else: the entry stays clean, but this client's knowledge is newer than its stamp.
    let token = node.cache.purge(uuid::Uuid::now_v7(), &["other"], 0).await;
    node.has_applied(&token).await;
    world.shop.commit(2);
    let answer = eventually(PATIENCE, "the fresh time ends", async || {
        Some(ask().token(&token).read().await).filter(|answer| answer.state != HitL1)
    })
    .await;
    assert_eq!(answer.value, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_answer_stands_in_for_a_failing_origin() {
    let world = World::start().await;
    let (filler, node) = tokio::join!(world.node(), world.node());
    let ask = |node: &crate::world::Node| node.ask().fresh(Duration::from_millis(1));
    world.shop.commit(1);
    ask(&filler).read().await;
    world.stores(1).await;
    world.shop.close();
    // Only Redis has it, past its fresh time: the origin is asked, fails, and the old answer serves.
    let answer = eventually(PATIENCE, "the fresh time ends", async || {
        Some(ask(&node).read().await).filter(|answer| answer.state != HitL2)
    })
    .await;
    assert_eq!(answer, Answer::new(1, Stale));
    assert_eq!(ask(&node).class(Class::Strict).key("never seen").try_read().await, Err(Refused::ShopClosed));
}

#[tokio::test(flavor = "multi_thread")]
async fn switched_off_everything_is_a_miss_and_nothing_is_stored() {
    let world = World::start().await;
    let config = CacheConfig { enabled: Enabled::No, ..world.config() };
    let off = world.node_with(&world.nats.url(), config).await;
    off.is(tag_cache::Mode::Live).await;
    let on = world.node().await;
    world.shop.commit(1);
    assert_eq!(off.read().await, Answer::new(1, Miss));
    world.shop.commit(2);
    assert_eq!(off.read().await, Answer::new(2, Miss));
    assert_eq!(off.cache.stats().l1_entries, 0);
    assert!(world.stored().await.is_empty());

    // Its writes still purge where the cache is on.
    on.read().await;
    let token = off.write(3).await;
    assert_eq!(on.ask().token(&token).read().await.value, 3);
}

/// Another question's entry under this one's name: what a collision of hashes looks like.
///
/// Seen to fail when `Entry::answers` compared nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_colliding_entry_in_redis_is_a_miss() {
    let world = World::start().await;
    let (filler, node) = tokio::join!(world.node(), world.node());
    world.shop.commit(1);
    filler.ask().key("customer=1").read().await;
    let first = world.stores(1).await;
    world.shop.commit(2);
    filler.ask().key("customer=2").read().await;
    let both = world.stores(2).await;
    let (name_of_second, _) = both.iter().find(|(name, _)| *name != first[0].0).expect("two names");

    world.store(name_of_second, &first[0].1).await;
    assert_eq!(node.ask().key("customer=2").read().await, Answer::new(2, Miss));
    assert_eq!(node.ask().key("customer=1").read().await, Answer::new(1, HitL2));
}

#[tokio::test(flavor = "multi_thread")]
async fn noise_in_redis_is_a_miss_and_goes_away() {
    let world = World::start().await;
    let (filler, node) = tokio::join!(world.node(), world.node());
    world.shop.commit(1);
    filler.read().await;
    let (name, value) = world.stores(1).await.remove(0);
    filler.stop().await;
    for noise in [&b"noise"[..], &value[..value.len() - 1], &[]] {
        world.store(&name, noise).await;
        let asked = world.shop.asked();
        assert_eq!(node.ask().class(Class::Strict).fresh(Duration::ZERO).read().await, Answer::new(1, Miss));
        assert_eq!(world.shop.asked(), asked + 1);
        assert!(world.stored().await.is_empty(), "what cannot be read is removed");
    }
    assert_eq!(node.cache.stats().l2_undecodable, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_is_bounded_in_bytes() {
    let world = World::start().await;
    let config = CacheConfig { l1_bytes_max: 64 << 10, ..world.config() };
    let node = world.node_with(&world.nats.url(), config).await;
    node.is(tag_cache::Mode::Live).await;
    const KEYS: [&str; 4] = ["a", "b", "c", "d"];
    for round in 0..300_u64 {
        world.shop.commit(round);
        for key in KEYS {
            node.ask().key(format!("{key}{round}")).read().await;
        }
    }
    let stats = node.cache.stats();
    assert!(stats.l1_bytes <= 64 << 10, "{stats:?}");
    assert!(stats.l1_entries > 50, "{stats:?}");
}

/// The bypass of a suspect gateway is not shared: each request asks for itself.
#[tokio::test(flavor = "multi_thread")]
async fn suspect_strict_requests_share_nothing() {
    let world = World::start().await;
    world.invalidator.fall_silent();
    let node = world.node_with(&world.nats.url(), world.config()).await;
    let gate = Gate::new();
    let first = node.ask().class(Class::Strict).at_gate(&gate).spawn();
    gate.reached().await;
    world.shop.commit(9);
    assert_eq!(node.ask().class(Class::Strict).read().await, Answer::new(9, Bypass));
    gate.open();
    assert_eq!(first.await.expect("an answer"), Answer::new(0, Bypass));
}
