//! From the outbox to the stream.

use std::time::Duration;

use async_nats::jetstream::stream::Config;
use events::relay::heartbeat_subject;
use events::{Event, Fact, PriceChanged, streams};
use futures_util::StreamExt as _;
use opentelemetry::context::FutureExt as _;
use prost::Message as _;
use proto::events::v1::RelayHeartbeat;
use testkit::{FaultProxy, eventually};
use time::OffsetDateTime;
use tokio::time::{Instant, timeout};

use crate::app::{ADMIN, PATIENCE, TestApp, assert_in_order};

#[tokio::test]
async fn a_committed_event_is_on_the_stream_with_all_that_readers_need() {
    let app = TestApp::start().await;
    let relay = app.relay().await;
    let first = app.change_price(420, 1).await;
    app.holds(&[first]).await;

    // The relay is idle now; the commit wakes it.
    let started = Instant::now();
    let second = app.change_price(420, 2).await;
    let stored = app.holds(&[first, second]).await;
    println!("commit to stream, seen from outside: {:?}", started.elapsed());

    assert_eq!(stored[1].subject, "mc.catalog.price.changed.420");
    let header = |name: &str| stored[1].headers.get(name).cloned().unwrap_or_default();
    assert_eq!(header("Nats-Msg-Id"), [second.to_string()]);
    assert_eq!(header("mc-aggregate-version"), ["2"]);
    assert_eq!(header("mc-tags"), ["3"]);
    assert!(header("mc-commit-lsn")[0].parse::<u64>().expect("a number") > 0);
    assert_eq!(header("traceparent"), [""; 0], "nobody samples here");
    app.drained().await;
    relay.stop().await;
}

#[tokio::test]
async fn what_was_committed_before_a_crash_is_published_after_it() {
    let app = TestApp::start().await;
    let ids = [app.change_price(1, 1).await, app.change_price(1, 2).await, app.change_price(2, 1).await];
    let relay = app.relay().await;
    assert_in_order(&app.holds(&ids).await);
    relay.stop().await;
}

#[tokio::test]
async fn a_crash_between_publishing_and_marking_publishes_nothing_twice() {
    let app = TestApp::start().await;
    let relay = app.relay().await;
    let mut ids = Vec::new();
    for version in 1..=5 {
        ids.push(app.change_price(1, version).await);
    }
    app.holds(&ids).await;
    app.drained().await;
    relay.kill().await;

    // As if the crash had come before the mark.
    app.as_admin("UPDATE ledger.outbox SET published_at = NULL, stream_seq = NULL").await;
    ids.push(app.change_price(1, 6).await);
    let relay = app.relay().await;
    app.drained().await;
    assert_in_order(&app.holds(&ids).await);
    relay.stop().await;
}

#[tokio::test]
async fn two_relays_under_many_writers_keep_the_order_of_every_aggregate() {
    const AGGREGATES: i64 = 12;
    const VERSIONS: i64 = 25;
    let app = TestApp::start().await;
    let (one, two) = (app.relay().await, app.replica().await);

    let writers = (1..=AGGREGATES).map(|variant| {
        let app = &app;
        async move {
            let mut ids = Vec::new();
            for version in 1..=VERSIONS {
                ids.push(app.change_price(variant, version).await);
            }
            ids
        }
    });
    let ids = futures_util::future::join_all(writers).await.concat();
    let stored = app.holds(&ids).await;
    assert_in_order(&stored);
    app.drained().await;

    // Whoever leads now goes without a word; the other one takes over.
    one.kill().await;
    let more = app.change_price(1, VERSIONS + 1).await;
    assert_in_order(&app.holds(&[ids, vec![more]].concat()).await);
    two.stop().await;
}

#[tokio::test]
async fn a_relay_without_the_lead_takes_it_when_the_leader_resigns() {
    let app = TestApp::start().await;
    let first = app.relay().await;
    let one = app.change_price(1, 1).await;
    app.holds(&[one]).await;
    let second = app.replica().await;
    first.stop().await;
    let two = app.change_price(1, 2).await;
    app.holds(&[one, two]).await;
    second.stop().await;
}

#[tokio::test]
async fn a_row_too_long_for_the_stream_is_put_aside_and_blocks_nobody() {
    let app = TestApp::start().await;
    let first = app.change_price(1, 1).await;
    app.as_admin(
        "INSERT INTO ledger.outbox (id, subject, aggregate, aggregate_id, aggregate_version, shard, payload, tags)
         SELECT gen_random_uuid(), 'mc.catalog.price.changed.1', 'price', '1', 2, shard,
                decode(repeat('00', 70000), 'hex'), '{}' FROM ledger.outbox",
    )
    .await;
    let third = app.change_price(1, 3).await;
    let relay = app.relay().await;
    app.holds(&[first, third]).await;
    app.drained().await;
    let aside: i64 =
        sqlx::query_scalar("SELECT aggregate_version FROM ledger.outbox WHERE published_at = 'infinity'")
            .fetch_one(&mut app.database.admin().await)
            .await
            .expect("one row is in quarantine");
    assert_eq!(aside, 2);
    relay.stop().await;
}

#[tokio::test]
async fn a_row_that_the_stream_refuses_holds_up_its_own_aggregate_only() {
    let app = TestApp::start().await;
    let limit = async |bytes: i32| {
        let stream = app.jetstream.get_stream(streams::MUTATIONS).await.expect("declared");
        let config = Config { max_message_size: bytes, ..stream.cached_info().config.clone() };
        app.jetstream.update_stream(config).await.expect("changed");
    };
    limit(1_500).await;
    let fact =
        PriceChanged { product_id: 1, variant_id: 1, price_list: "x".repeat(2_000), ..Default::default() };
    let long = Event::new(&ADMIN, OffsetDateTime::now_utc(), 1, Fact::PriceChanged(fact));
    let mut held_up = vec![app.record(long).await.expect("recorded")];
    let mut others = Vec::new();
    for version in 1..=5 {
        held_up.push(app.change_price(1, version + 1).await);
        others.push(app.change_price(2, version).await);
    }
    let relay = app.relay().await;
    assert_in_order(&app.holds(&others).await);
    assert_eq!(app.pending().await, 6);

    limit(64 * 1024).await;
    assert_in_order(&app.holds(&[others, held_up].concat()).await);
    app.drained().await;
    relay.stop().await;
}

#[tokio::test]
async fn a_relay_survives_the_absence_of_its_database() {
    let app = TestApp::start().await;
    let (proxy, url) = proxied(&app).await;
    let relay = app.replica_at(&url).await;
    let first = app.change_price(1, 1).await;
    app.holds(&[first]).await;
    proxy.cut();
    let second = app.change_price(1, 2).await;
    proxy.heal();
    app.holds(&[first, second]).await;
    relay.stop().await;
}

#[tokio::test]
async fn a_leader_that_is_cut_off_is_replaced() {
    let app = TestApp::start().await;
    let (proxy, url) = proxied(&app).await;
    let leader = app.replica_at(&url).await;
    let first = app.change_price(1, 1).await;
    app.holds(&[first]).await;
    let other = app.replica().await;
    proxy.cut();
    let second = app.change_price(1, 2).await;
    app.holds(&[first, second]).await;
    app.drained().await;
    leader.stop().await;
    other.stop().await;
}

/// A network in front of the database, and the address through it.
async fn proxied(app: &TestApp) -> (FaultProxy, String) {
    let server =
        app.database.url.split_once('@').and_then(|(_, rest)| rest.split_once('/')).expect("a URL").0;
    let proxy = FaultProxy::start(server.parse().expect("an address")).await;
    let url = proxy.url(&app.database.url);
    (proxy, url)
}

#[tokio::test]
async fn rows_are_kept_for_seven_days_and_then_deleted() {
    let app = TestApp::start().await;
    let ids = [app.change_price(1, 1).await, app.change_price(1, 2).await];
    let relay = app.relay().await;
    app.holds(&ids).await;
    app.drained().await;
    relay.stop().await;

    app.as_admin(
        "UPDATE ledger.outbox SET published_at = now() - interval '7 days 1 minute' WHERE aggregate_version = 1;
         UPDATE ledger.outbox SET published_at = now() - interval '6 days 23 hours' WHERE aggregate_version = 2;
         INSERT INTO ledger.inbox VALUES ('old', 'a', now() - interval '31 days'), ('old', 'b', now())",
    )
    .await;
    let relay = app.relay().await;
    eventually(PATIENCE, "old rows are gone", async || {
        let left: (Vec<i64>, Vec<String>) = sqlx::query_as(
            "SELECT (SELECT array_agg(aggregate_version) FROM ledger.outbox), (SELECT array_agg(message_id) FROM ledger.inbox)",
        )
        .fetch_one(&mut app.database.admin().await)
        .await
        .ok()?;
        (left == (vec![2], vec!["b".to_owned()])).then_some(())
    })
    .await;
    relay.stop().await;
}

#[tokio::test]
async fn heartbeats_say_how_far_the_outbox_is() {
    let app = TestApp::start().await;
    let mut beats = app.client.subscribe(heartbeat_subject("ledger")).await.expect("subscribed");
    let mut beat = async || {
        let message =
            timeout(PATIENCE, beats.next()).await.expect("heartbeats come").expect("the subscription lives");
        RelayHeartbeat::decode(message.payload).expect("a heartbeat")
    };
    let (one, two) = (app.relay().await, app.replica().await);
    let id = app.change_price(1, 1).await;
    let seq = app.holds(&[id]).await[0].seq;
    let drained = eventually(PATIENCE, "everything is published", async || {
        let beat = beat().await;
        (beat.stream_seq >= seq && beat.oldest_pending_ms == 0 && beat.published_xmin > 0).then_some(beat)
    })
    .await;
    assert_eq!(drained.service, "ledger");

    // Only one of the two has the duty: four a second, not eight.
    let started = Instant::now();
    for _ in 0..8 {
        beat().await;
    }
    assert!(started.elapsed() > Duration::from_millis(1_200), "{:?}", started.elapsed());

    // Rows can be read and not marked: they stay pending, and everybody hears so.
    let mut admin = app.database.admin().await;
    sqlx::raw_sql("BEGIN; LOCK TABLE ledger.outbox IN SHARE MODE").execute(&mut admin).await.expect("locked");
    let blocked = app.try_change_price(1, 2).await;
    assert!(blocked.is_err(), "writers are locked out, too");
    sqlx::raw_sql(
        "UPDATE ledger.outbox SET published_at = NULL, stream_seq = NULL, created_at = now() - interval '3 s'",
    )
    .execute(&mut admin)
    .await
    .expect("the owner of the lock may write");
    sqlx::raw_sql("COMMIT; BEGIN; LOCK TABLE ledger.outbox IN EXCLUSIVE MODE")
        .execute(&mut admin)
        .await
        .expect("locked");
    eventually(PATIENCE, "the age of the pending row is told", async || {
        (beat().await.oldest_pending_ms >= 3_000).then_some(())
    })
    .await;
    sqlx::raw_sql("COMMIT").execute(&mut admin).await.expect("unlocked");
    eventually(PATIENCE, "nothing is pending", async || (beat().await.oldest_pending_ms == 0).then_some(()))
        .await;
    one.stop().await;
    two.stop().await;
}

#[tokio::test]
async fn a_sampled_mutation_is_traced_onto_the_stream() {
    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let app = TestApp::start().await;
    let relay = app.relay().await;
    let id = app.change_price(1, 1).with_context(bootstrap::trace::context_of(PARENT)).await;
    let stored = app.holds(&[id]).await;
    let traceparent = &stored[0].headers["traceparent"][0];
    // Without an exporter in this process the parent itself is passed on.
    assert_eq!(traceparent, PARENT);
    relay.stop().await;
}
