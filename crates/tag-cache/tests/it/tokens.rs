//! Read your own writes, wherever you ask next.

use std::sync::Arc;
use std::time::Duration;

use tag_cache::CacheState::{Bypass, HitL1, Miss};
use tag_cache::{CacheConfig, Class, Mode, Position, Token};
use testkit::FaultProxy;
use tokio::task::JoinSet;

use crate::world::{Answer, World};

/// Seen to fail when `Position::covers` said yes to every token.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_shows_its_write_on_another_gateway_at_once() {
    let world = World::start().await;
    let (writer, reader) = tokio::join!(world.node(), world.node());
    for round in 1..=50 {
        world.shop.commit(round * 10);
        reader.read().await;
        let token = writer.write(round * 10 + 1).await;
        assert!(!writer.cache.sign(&token).as_str().starts_with("t:"), "a position is enough: {token:?}");
        let answer = reader.ask().token(&token).read().await;
        assert_eq!(answer.value, round * 10 + 1, "round {round}");
    }
}

/// Four clients write and read on three gateways at once, while others keep all caches warm.
///
/// Seen to fail when `Position::covers` said yes to every token.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn writes_are_read_on_any_gateway_while_all_write() {
    let world = World::start().await;
    let (a, b, c) = tokio::join!(world.node(), world.node(), world.node());
    let nodes = [a, b, c];
    let mut others = JoinSet::new();
    for node in nodes.clone() {
        others.spawn(async move {
            loop {
                node.read().await;
                tokio::task::yield_now().await;
            }
        });
    }
    let mut clients = JoinSet::new();
    for client in 0..4_usize {
        let (nodes, shop) = (nodes.clone(), Arc::clone(&world.shop));
        clients.spawn(async move {
            for round in 0..250 {
                let (writer, reader) =
                    (&nodes[(client + round) % 3], &nodes[(client * round + round / 3) % 3]);
                let written = shop.commit_next();
                let token = writer.purge().await;
                let answer = reader.ask().token(&token).read().await;
                assert!(answer.value >= written, "client {client} wrote {written} and read {answer:?}");
            }
        });
    }
    while let Some(client) = clients.join_next().await {
        client.expect("every client sees its writes");
    }
    let kept: u64 = nodes.iter().map(|node| node.cache.stats().hits_l1).sum();
    assert!(kept > 0, "the caches took part");
}

/// The other gateway hears of purges a second late: the token makes it wait 30 ms and then ask the origin.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_ahead_of_the_log_goes_to_the_origin() {
    let world = World::start().await;
    let proxy = FaultProxy::to_port(world.nats.port()).await;
    let late = world.node_with(&proxy.url(&world.nats.url()), world.config()).await;
    late.is(Mode::Live).await;
    let writer = world.node().await;
    world.shop.commit(1);
    late.read().await;

    proxy.freeze();
    let token = writer.write(2).await;
    assert_eq!(late.read().await, Answer::new(1, HitL1), "without a token the purge is not known here yet");
    assert_eq!(late.ask().token(&token).read().await, Answer::new(2, Bypass));

    proxy.heal();
    late.has_applied(&token).await;
    assert_eq!(late.ask().token(&token).read().await.value, 2);
    let asked = world.shop.asked();
    assert_eq!(
        late.ask().token(&token).read().await,
        Answer::new(2, HitL1),
        "applied, a token is one compare"
    );
    assert_eq!(world.shop.asked(), asked);
}

/// A purge that comes while the request waits is enough: no bypass.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_waits_for_the_log() {
    let world = World::start().await;
    let config = CacheConfig { token_wait_max: Duration::from_secs(10), ..world.config() };
    let proxy = FaultProxy::to_port(world.nats.port()).await;
    let late = world.node_with(&proxy.url(&world.nats.url()), config).await;
    late.is(Mode::Live).await;
    let writer = world.node().await;

    proxy.freeze();
    let token = writer.write(2).await;
    let waiting = late.ask().token(&token).spawn();
    proxy.heal();
    assert_eq!(waiting.await.expect("an answer"), Answer::new(2, Miss));
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_travel_signed_and_only_forward() {
    let world = World::start().await;
    let (writer, reader) = tokio::join!(world.node(), world.node());
    let token = writer.write(1).await;
    let text = writer.cache.sign(&token);
    assert_eq!(reader.cache.read_token(text.as_str()), Some(token.clone()), "all gateways share the key");

    // Monotonic reads: an answer never hands out less than the client came with.
    let ahead = Token::at(Position::new(1, token.position().sequence() + 5));
    let answer = reader.cache.token_header_for(Some(&ahead));
    assert_eq!(reader.cache.read_token(answer.as_str()), Some(ahead));
    reader.has_applied(&token).await;
    let answer = reader.cache.token_header_for(Some(&Token::at(Position::START)));
    assert_eq!(answer, reader.cache.token_header());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forged_token_forces_nothing() {
    let world = World::start().await;
    let (node, stranger) = tokio::join!(world.node(), async {
        let config = CacheConfig { token_key: [9; 32], ..world.config() };
        world.node_with(&world.nats.url(), config).await
    });
    node.read().await;
    let ahead = Token::at(Position::new(1, 1_000));
    let forged = stranger.cache.sign(&ahead);
    assert_eq!(node.cache.read_token(forged.as_str()), None);
    assert_eq!(node.cache.read_token("1.1000.AAAAAAAAAAAAAAAAAAAAAA"), None);
    // Signed with the right key, but further ahead than this log can have come.
    let impossible = node.cache.sign(&Token::at(Position::new(1, 1 << 40)));
    assert_eq!(node.cache.read_token(impossible.as_str()), None);
    assert_eq!(node.cache.stats().tokens_refused, 3);
}

/// The log is lost and counts from one again while gateways still believe in the old one: a position alone
/// would look as if it were long applied.
///
/// Seen to fail when `Inner::purge` gave out a position whatever it was.
#[tokio::test(flavor = "multi_thread")]
async fn writers_see_their_writes_while_the_log_is_lost() {
    let world = World::start().await;
    let (writer, reader) = tokio::join!(world.node(), world.node());
    for value in 0..20 {
        writer.write(value).await;
    }
    reader.has_applied(&writer.write(20).await).await;
    reader.ask().class(Class::Relaxed).read().await;

    world.nats.restart_empty().await;
    world.invalidator.declare().await;
    for value in 21..40 {
        let token = writer.write(value).await;
        let answer = reader.ask().class(Class::Relaxed).token(&token).read().await;
        assert_eq!(answer.value, value, "{token:?}, applied {}", reader.cache.applied());
    }
}

/// NATS is away: the token names the tags, and every gateway sends its holder to the origin.
///
/// Seen to fail when `Token::forbids` forbade nothing, and when the gateway that took the write did not raise
/// its own slots.
#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_could_not_be_published_is_seen_by_its_writer() {
    let world = World::start().await;
    let (writer, reader) = tokio::join!(world.node(), world.node());
    world.shop.commit(1);
    reader.read().await;
    writer.read().await;
    let before = writer.cache.applied();

    world.nats.kill().await;
    let token = writer.write(2).await;
    let text = writer.cache.sign(&token);
    assert!(text.as_str().starts_with("t:"), "{}", text.as_str());
    let token = reader.cache.read_token(text.as_str()).expect("signed by a gateway");
    assert_eq!(token.position(), before);

    // Relaxed routes are served from memory through the outage, but not to the writer.
    let relaxed = || reader.ask().class(Class::Relaxed);
    assert_eq!(relaxed().read().await, Answer::new(1, HitL1));
    assert_eq!(relaxed().token(&token).read().await, Answer::new(2, Bypass));
    // A key that is not in memory could come from Redis or another flight: not for the writer either.
    assert_eq!(relaxed().key("id=1&again").token(&token).read().await, Answer::new(2, Bypass));
    // On the gateway that took the write the old entry is dead for everybody.
    assert_eq!(writer.ask().class(Class::Relaxed).read().await.value, 2);
}
