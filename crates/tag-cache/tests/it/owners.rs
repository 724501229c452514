//! Answers of one owner never reach another, whatever their keys, and whatever somebody does to Redis (X59).

use tag_cache::CacheState::{Coalesced, HitL1, HitL2, Miss};

use crate::world::{Answer, Gate, World};

/// The same route and key, two owners and everybody: three entries in both tiers.
///
/// Seen to fail when `KeyHasher::hash` and `Entry::answers` left the owner out.
#[tokio::test(flavor = "multi_thread")]
async fn each_owner_has_an_entry_of_their_own() {
    let world = World::start().await;
    let (filler, node) = tokio::join!(world.node(), world.node());
    for owner in [0, 7, 8] {
        world.shop.commit(owner);
        assert_eq!(filler.ask().owner(owner).read().await, Answer::new(owner, Miss));
    }
    world.stores(3).await;
    for owner in [0, 7, 8] {
        assert_eq!(filler.ask().owner(owner).read().await, Answer::new(owner, HitL1));
        assert_eq!(node.ask().owner(owner).read().await, Answer::new(owner, HitL2));
    }
}

/// X59: the stored entry of one owner, copied by hand under the name of another's with the same key, is a miss
/// there and stays what it was at home.
///
/// Seen to fail when `Entry::answers` did not compare owners.
#[tokio::test(flavor = "multi_thread")]
async fn an_entry_copied_to_another_owners_name_is_a_miss() {
    let world = World::start().await;
    let (filler, node, third) = tokio::join!(world.node(), world.node(), world.node());
    world.shop.commit(1);
    filler.ask().owner(7).read().await;
    let first = world.stores(1).await;
    world.shop.commit(2);
    filler.ask().owner(8).read().await;
    let both = world.stores(2).await;
    let (name_of_second, _) = both.iter().find(|(name, _)| *name != first[0].0).expect("two names");

    world.store(name_of_second, &first[0].1).await;
    world.shop.commit(3);
    assert_eq!(node.ask().owner(8).read().await, Answer::new(3, Miss));
    assert_eq!(node.ask().owner(7).read().await, Answer::new(1, HitL2));
    // What the miss wrote back is the owner's own again.
    let healed = testkit::eventually(crate::world::PATIENCE, "the copy is overwritten", async || {
        let stored = world.stored().await;
        stored.into_iter().find(|(name, value)| name == name_of_second && *value != first[0].1)
    });
    healed.await;
    assert_eq!(third.ask().owner(8).read().await, Answer::new(3, HitL2));
}

/// A request does not join the flight of another owner's same question.
///
/// Seen to fail when `Flights::board` compared route and key only and the hash left the owner out.
#[tokio::test(flavor = "multi_thread")]
async fn a_flight_carries_one_owner() {
    let world = World::start().await;
    let node = world.node().await;
    world.shop.commit(1);
    let gate = Gate::new();
    let first = node.ask().owner(7).at_gate(&gate).spawn();
    gate.reached().await;
    let same = node.ask().owner(7).spawn();
    node.has_followers(1).await;

    world.shop.commit(2);
    assert_eq!(node.ask().owner(8).read().await, Answer::new(2, Miss), "asked for itself, at once");
    gate.open();
    assert_eq!(first.await.expect("an answer"), Answer::new(1, Miss));
    assert_eq!(same.await.expect("an answer"), Answer::new(1, Coalesced));
}
