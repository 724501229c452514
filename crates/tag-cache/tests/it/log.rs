//! The purge log: order, copies, gaps, epochs.

use tag_cache::CacheState::{HitL1, Miss};
use tag_cache::log::{self, Purge, PurgeLog, PurgeMode};
use tag_cache::{Class, Mode, Position, Tag};
use testkit::{FaultProxy, eventually};
use uuid::Uuid;

use crate::world::{Answer, PATIENCE, PRODUCT, World, connect};

/// The gateway publishes for speed, the outbox for certainty: one purge, one position.
#[tokio::test(flavor = "multi_thread")]
async fn copies_of_one_event_count_once() {
    let world = World::start().await;
    let node = world.node().await;
    let event = Uuid::now_v7();
    let mine = node.cache.purge(event, &[PRODUCT], 0).await;
    let theirs = world.invalidator.purge(event).await;
    assert_eq!(mine, theirs);
    let next = world.invalidator.purge(Uuid::now_v7()).await;
    assert_eq!(next.position().sequence(), mine.position().sequence() + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_with_many_tags_takes_several_messages_and_one_position() {
    let world = World::start().await;
    let node = world.node().await;
    node.read().await;
    let mut tags: Vec<String> = (0..600).map(|n| format!("other:{n}")).collect();
    tags.push(PRODUCT.to_owned());
    let before = node.cache.applied().sequence();
    let token = node.cache.purge(Uuid::now_v7(), &tags, 0).await;
    assert_eq!(token.position().sequence(), before + 3);
    node.has_applied(&token).await;
    assert_eq!(node.cache.stats().purges_applied, 3);
    assert_eq!(node.read().await.state, Miss, "the tag of the last message counts");
}

/// Declared again with the same settings, or on a stream that exists: nothing is lost.
#[tokio::test(flavor = "multi_thread")]
async fn declaring_twice_keeps_the_log() {
    let world = World::start().await;
    let token = world.invalidator.purge(Uuid::now_v7()).await;
    log::declare(&world.invalidator.stream(), 1).await.expect("it exists");
    let stream = world.invalidator.stream().get_stream(log::STREAM).await.expect("it exists");
    assert_eq!(stream.cached_info().state.last_sequence, token.position().sequence());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_stream_a_purge_is_not_published() {
    let world = World::start().await;
    world.invalidator.stream().delete_stream(log::STREAM).await.expect("it exists");
    let log = PurgeLog::new(connect(&world.nats.url()).await, std::time::Duration::from_secs(1));
    let purge = Purge {
        event_id: Uuid::now_v7(),
        commit_lsn: 0,
        commit_ms: 0,
        tags: vec![Tag::of(PRODUCT)],
        mode: PurgeMode::Hard,
    };
    log.publish(1, &purge).await.expect_err("nobody acknowledges");
}

/// A new epoch: every older entry is dead everywhere, and the cache works on.
///
/// Seen to fail when `Coherence::judge` did not look at the floor.
#[tokio::test(flavor = "multi_thread")]
async fn an_epoch_bump_kills() {
    let world = World::start().await;
    let (one, two) = tokio::join!(world.node(), world.node());
    world.shop.commit(1);
    one.read().await;
    world.stores(1).await;
    two.read().await;
    world.shop.commit(2);
    assert_eq!((one.read().await.state, two.read().await.state), (HitL1, HitL1), "no purge, no change");

    world.invalidator.beat(2);
    for node in [&one, &two] {
        eventually(PATIENCE, "the epoch arrives", async || {
            (node.cache.applied().epoch() == 2 && node.cache.mode() == Mode::Live).then_some(())
        })
        .await;
        for class in [Class::Strict, Class::Bounded, Class::Relaxed] {
            assert_eq!(node.ask().class(class).read().await.value, 2);
        }
        assert_eq!(node.read().await, Answer::new(2, HitL1));
    }
    let token = one.write(3).await;
    assert_eq!(token.position().epoch(), 2);
    assert_eq!(two.ask().token(&token).read().await.value, 3);
}

/// A heartbeat of an older epoch (a stale invalidator) is no heartbeat.
#[tokio::test(flavor = "multi_thread")]
async fn heartbeats_of_an_older_epoch_do_not_count() {
    let world = World::start().await;
    let node = world.node().await;
    world.invalidator.beat(2);
    eventually(PATIENCE, "the epoch arrives", async || (node.cache.applied().epoch() == 2).then_some(()))
        .await;
    world.invalidator.beat(1);
    node.is(Mode::Suspect).await;
    assert_eq!(node.cache.applied().epoch(), 2);
}

/// The log lost everything (a disk): nothing is trusted until a new epoch is announced.
///
/// Seen to fail when the session did not compare the stream's last sequence with what was applied.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_goes_back_is_suspect_until_the_epoch_changes() {
    let world = World::start().await;
    let node = world.node().await;
    world.shop.commit(1);
    let token = node.write(1).await;
    node.has_applied(&token).await;
    node.ask().class(Class::Strict).read().await;

    world.nats.restart_empty().await;
    world.invalidator.declare().await;
    eventually(PATIENCE, "the break is noticed", async || (node.cache.stats().log_breaks == 1).then_some(()))
        .await;
    assert_eq!(node.cache.mode(), Mode::Suspect, "however lively the heartbeats");
    world.shop.commit(2);
    assert_eq!(node.ask().class(Class::Strict).read().await.value, 2);

    world.invalidator.beat(2);
    node.is(Mode::Live).await;
    assert_eq!(node.ask().class(Class::Relaxed).read().await.value, 2);
    let token = node.write(3).await;
    node.has_applied(&token).await;
    assert_eq!(node.read().await.value, 3);
}

/// The log lost everything and grew past what was applied while the gateway was away: the sequence numbers
/// look right, the content does not.
///
/// Seen to fail when `Follower::take` did not compare fingerprints.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_was_replaced_is_noticed_although_it_is_longer() {
    let world = World::start().await;
    let proxy = FaultProxy::to_port(world.nats.port()).await;
    let node = world.node_with(&proxy.url(&world.nats.url()), world.config()).await;
    node.is(Mode::Live).await;
    let token = node.write(1).await;
    node.has_applied(&token).await;

    proxy.cut();
    world.nats.restart_empty().await;
    world.invalidator.declare().await;
    for _ in 0..5 {
        world.invalidator.purge(Uuid::now_v7()).await;
    }
    proxy.heal();
    eventually(PATIENCE, "the break is noticed", async || (node.cache.stats().log_breaks == 1).then_some(()))
        .await;
    assert_eq!(node.cache.mode(), Mode::Suspect);
}

/// Away for longer than the log remembers: what is held cannot be judged any more.
///
/// Seen to fail when the session did not compare the stream's first sequence with what was applied.
#[tokio::test(flavor = "multi_thread")]
async fn a_gap_in_the_log_kills_everything_older() {
    let world = World::start().await;
    let proxy = FaultProxy::to_port(world.nats.port()).await;
    let node = world.node_with(&proxy.url(&world.nats.url()), world.config()).await;
    node.is(Mode::Live).await;
    world.shop.commit(1);
    node.ask().class(Class::Relaxed).read().await;

    proxy.cut();
    world.shop.commit(2);
    let lost = world.invalidator.purge(Uuid::now_v7()).await;
    let stream = world.invalidator.stream().get_stream(log::STREAM).await.expect("it exists");
    let removed = stream.purge().await.map(|answer| answer.purged);
    assert_eq!(removed.expect("purged"), 1);
    proxy.heal();

    node.has_applied(&lost).await;
    assert_eq!(node.ask().class(Class::Relaxed).read().await, Answer::new(2, Miss));
    assert_eq!(node.cache.stats().log_gaps, 1);
    assert_eq!(node.cache.stats().floor, lost.position());
}

/// A message nobody can read purged something: everything older is given up.
///
/// Seen to fail when it was skipped.
#[tokio::test(flavor = "multi_thread")]
async fn an_unreadable_purge_kills_everything_older() {
    let world = World::start().await;
    let node = world.node().await;
    world.shop.commit(1);
    node.read().await;
    world.shop.commit(2);
    let js = world.invalidator.stream();
    let ack = js.publish(log::SUBJECT, "from another age".into()).await.expect("sent").await.expect("stored");
    let position = Position::new(1, ack.sequence);
    node.has_applied(&tag_cache::Token::at(position)).await;
    assert_eq!(node.read().await, Answer::new(2, Miss));
    assert_eq!(node.read().await, Answer::new(2, HitL1), "and the cache works on");
}

/// One sender naming a smaller sequence than before is a sign that the log lost its end: the gateway compares
/// what it applied with what the log shows.
///
/// Seen to fail when such a heartbeat was taken like any other.
#[tokio::test(flavor = "multi_thread")]
async fn a_heartbeat_that_goes_back_makes_the_gateway_look_again() {
    let world = World::start().await;
    let node = world.node().await;
    let token = world.invalidator.purge(Uuid::now_v7()).await;
    node.has_applied(&token).await;
    eventually(PATIENCE, "a heartbeat names the purge", async || {
        (node.cache.stats().last_named == token.position().sequence()).then_some(())
    })
    .await;
    let sessions = node.cache.stats().log_sessions;
    world.invalidator.name(0).await;
    eventually(PATIENCE, "a new session", async || {
        (node.cache.stats().log_sessions > sessions).then_some(())
    })
    .await;
    node.is(Mode::Live).await;
    assert_eq!(node.cache.stats().log_breaks, 0, "the log was whole");
}

/// Many purges while the connection comes and goes: all are applied, in order, none twice.
#[tokio::test(flavor = "multi_thread")]
async fn a_follower_keeps_up_through_reconnects() {
    let world = World::start().await;
    let proxy = FaultProxy::to_port(world.nats.port()).await;
    let node = world.node_with(&proxy.url(&world.nats.url()), world.config()).await;
    node.is(Mode::Live).await;
    let mut last = None;
    for round in 0..60 {
        match round % 20 {
            10 => proxy.cut(),
            15 => proxy.heal(),
            _ => {}
        }
        last = Some(world.invalidator.purge(Uuid::now_v7()).await);
    }
    proxy.heal();
    let last = last.expect("sixty purges");
    node.has_applied(&last).await;
    node.is(Mode::Live).await;
    assert_eq!(node.cache.stats().purges_applied, 60);
    assert_eq!(node.cache.stats().log_gaps, 0);
}
