//! One Redis, one NATS, a shop with one product, and gateways in front of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use async_nats::jetstream;
use bytes::Bytes;
use tag_cache::log::{self, Heartbeat, Purge, PurgeLog, PurgeMode};
use tag_cache::{
    Cache, CacheConfig, CacheState, Class, Draft, FillFailed, Lookup, Mode, Position, SlotsPerRow, Stamp,
    Tag, Token,
};
use testkit::{Nats, Redis, eventually};
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

/// Longer than anything here takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
pub(crate) const TOKEN_KEY: [u8; 32] = [42; 32];
/// The tag of the one product.
pub(crate) const PRODUCT: &str = "product:1";

/// The backends and the shop.
pub(crate) struct World {
    pub(crate) nats: Nats,
    pub(crate) redis: Redis,
    pub(crate) shop: Arc<Shop>,
    pub(crate) invalidator: Invalidator,
}

impl World {
    /// Everything is up and the heart beats in epoch 1.
    pub(crate) async fn start() -> Self {
        let (nats, redis) = tokio::join!(Box::pin(Nats::start()), Box::pin(Redis::start()));
        let invalidator = Invalidator::start(&nats.url()).await;
        invalidator.declare().await;
        invalidator.beat(1);
        Self { nats, redis, shop: Arc::default(), invalidator }
    }

    /// A gateway with direct connections that has seen the pipeline live.
    pub(crate) async fn node(&self) -> Node {
        let node = self.node_with(&self.nats.url(), self.config()).await;
        node.is(Mode::Live).await;
        node
    }

    /// A gateway in whatever state it finds itself.
    pub(crate) async fn node_with(&self, nats_url: &str, config: CacheConfig) -> Node {
        let shutdown = CancellationToken::new();
        let nats = connect(nats_url).await;
        let cache = Cache::start(config, nats, shutdown.clone()).expect("the settings are right");
        Node { cache, shop: Arc::clone(&self.shop), shutdown }
    }

    pub(crate) fn config(&self) -> CacheConfig {
        CacheConfig {
            redis_url: Some(self.redis.url()),
            l1_bytes_max: 4 << 20,
            sketch_slots: SlotsPerRow::power_of_two(12).expect("twelve is in range"),
            // Tests share two cores: a slow answer is no outage unless the test says so.
            l2_deadline: Duration::from_secs(2),
            purge_deadline: Duration::from_secs(2),
            ..CacheConfig::new("test", TOKEN_KEY)
        }
    }

    /// The values Redis holds under names of entries.
    pub(crate) async fn stored(&self) -> Vec<(String, Vec<u8>)> {
        let mut redis = self.redis_connection().await;
        let names: Vec<String> =
            redis::cmd("KEYS").arg("cv:*").query_async(&mut redis).await.expect("Redis answers");
        let mut entries = Vec::new();
        for name in names {
            let value = redis::cmd("GET").arg(&name).query_async(&mut redis).await.expect("Redis answers");
            entries.push((name, value));
        }
        entries
    }

    pub(crate) async fn store(&self, name: &str, value: &[u8]) {
        let mut redis = self.redis_connection().await;
        redis::cmd("SET").arg(name).arg(value).exec_async(&mut redis).await.expect("Redis answers");
    }

    pub(crate) async fn redis_connection(&self) -> redis::aio::MultiplexedConnection {
        let client = redis::Client::open(self.redis.url()).expect("the URL is right");
        client.get_multiplexed_async_connection().await.expect("Redis is up")
    }

    /// Waits until Redis holds `count` entries.
    pub(crate) async fn stores(&self, count: usize) -> Vec<(String, Vec<u8>)> {
        eventually(PATIENCE, "the entries are in Redis", async || {
            Some(self.stored().await).filter(|entries| entries.len() == count)
        })
        .await
    }
}

pub(crate) async fn connect(url: &str) -> async_nats::Client {
    async_nats::ConnectOptions::new()
        .retry_on_initial_connect()
        .ping_interval(Duration::from_secs(1))
        .reconnect_delay_callback(|_| Duration::from_millis(50))
        .connect(url)
        .await
        .expect("the first connection is made in the background")
}

/// The service and its database: one product with one value.
#[derive(Default)]
pub(crate) struct Shop {
    value: AtomicU64,
    asked: AtomicU64,
    closed: AtomicBool,
}

impl Shop {
    /// Commits a new value.
    pub(crate) fn commit(&self, value: u64) {
        self.value.store(value, Ordering::SeqCst);
    }

    /// Commits the next value and tells it.
    pub(crate) fn commit_next(&self) -> u64 {
        self.value.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// How often it was asked.
    pub(crate) fn asked(&self) -> u64 {
        self.asked.load(Ordering::SeqCst)
    }

    /// From now on it fails.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
    }

    pub(crate) fn open(&self) {
        self.closed.store(false, Ordering::SeqCst);
    }
}

/// Stops an answer of the shop between its read and its way back.
#[derive(Clone)]
pub(crate) struct Gate {
    reached: watch::Sender<u64>,
    opened: Arc<Semaphore>,
}

impl Gate {
    pub(crate) fn new() -> Self {
        Self { reached: watch::Sender::new(0), opened: Arc::new(Semaphore::new(0)) }
    }

    async fn pass(&self) {
        self.reached.send_modify(|count| *count += 1);
        self.opened.acquire().await.expect("the gate was closed for good").forget();
    }

    /// Whoever stands at the gate panics.
    pub(crate) fn close(&self) {
        self.opened.close();
    }

    /// Waits until an answer stands at the gate: its value was read.
    pub(crate) async fn reached(&self) {
        let mut reached = self.reached.subscribe();
        let reached = tokio::time::timeout(PATIENCE, reached.wait_for(|&count| count > 0)).await;
        reached.expect("nobody came to the gate").expect("the gate stands");
    }

    /// Lets one answer through.
    pub(crate) fn open(&self) {
        self.opened.add_permits(1);
    }
}

/// One gateway.
#[derive(Clone)]
pub(crate) struct Node {
    pub(crate) cache: Cache,
    shop: Arc<Shop>,
    shutdown: CancellationToken,
}

/// What a client got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) value: u64,
    pub(crate) state: CacheState,
}

impl Answer {
    pub(crate) fn new(value: u64, state: CacheState) -> Self {
        Self { value, state }
    }
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    ShopClosed,
    Cache(FillFailed),
}

impl From<FillFailed> for Refused {
    fn from(failed: FillFailed) -> Self {
        Self::Cache(failed)
    }
}

/// One request, as a gateway handles it.
#[derive(Clone)]
pub(crate) struct Ask {
    node: Node,
    key: String,
    owner: u64,
    class: Class,
    fresh: Duration,
    token: Option<Token>,
    gate: Option<Gate>,
}

impl Ask {
    pub(crate) fn key(self, key: impl Into<String>) -> Self {
        Self { key: key.into(), ..self }
    }

    pub(crate) fn owner(self, owner: u64) -> Self {
        Self { owner, ..self }
    }

    pub(crate) fn class(self, class: Class) -> Self {
        Self { class, ..self }
    }

    pub(crate) fn fresh(self, fresh: Duration) -> Self {
        Self { fresh, ..self }
    }

    pub(crate) fn token(self, token: &Token) -> Self {
        Self { token: Some(token.clone()), ..self }
    }

    /// The shop's answer, if it is asked, stops at `gate` after the value was read.
    pub(crate) fn at_gate(self, gate: &Gate) -> Self {
        Self { gate: Some(gate.clone()), ..self }
    }

    pub(crate) async fn try_read(self) -> Result<Answer, Refused> {
        let lookup = Lookup {
            route: "product",
            key: &self.key,
            owner: self.owner,
            class: self.class,
            fresh: self.fresh,
            token: self.token.as_ref(),
        };
        let cache = &self.node.cache;
        let served = match cache.get(&lookup) {
            Some(served) => served,
            None => {
                let (shop, gate) = (Arc::clone(&self.node.shop), self.gate.clone());
                cache.get_or_fill(&lookup, |stamp| query(shop, gate, stamp)).await?
            }
        };
        let body = served.entry.body();
        let value = str::from_utf8(&body).expect("the shop speaks ASCII").parse().expect("a number");
        Ok(Answer { value, state: served.state })
    }

    pub(crate) async fn read(self) -> Answer {
        self.try_read().await.expect("an answer")
    }

    /// The request in a task of its own.
    pub(crate) fn spawn(self) -> AbortOnDropHandle<Answer> {
        AbortOnDropHandle::new(tokio::spawn(self.read()))
    }
}

async fn query(shop: Arc<Shop>, gate: Option<Gate>, stamp: Stamp) -> Result<Draft, Refused> {
    shop.asked.fetch_add(1, Ordering::SeqCst);
    if shop.closed.load(Ordering::SeqCst) {
        return Err(Refused::ShopClosed);
    }
    let value = shop.value.load(Ordering::SeqCst);
    if let Some(gate) = gate {
        gate.pass().await;
    }
    Ok(stamp.draft(200, Bytes::from_static(b"head"), value.to_string().into(), vec![Tag::of(PRODUCT)]))
}

impl Node {
    /// A request for the product: bounded class, fresh for a minute, no token.
    pub(crate) fn ask(&self) -> Ask {
        Ask {
            node: self.clone(),
            key: "id=1".to_owned(),
            owner: 0,
            class: Class::Bounded,
            fresh: Duration::from_secs(60),
            token: None,
            gate: None,
        }
    }

    pub(crate) async fn read(&self) -> Answer {
        self.ask().read().await
    }

    /// Commits a value in the shop and purges through this gateway, as a mutation does.
    pub(crate) async fn write(&self, value: u64) -> Token {
        self.shop.commit(value);
        self.purge().await
    }

    /// Purges the product through this gateway.
    pub(crate) async fn purge(&self) -> Token {
        self.cache.purge(Uuid::now_v7(), &[PRODUCT], 0).await
    }

    pub(crate) async fn has_applied(&self, token: &Token) {
        assert!(self.cache.applied_up_to(token.position(), PATIENCE).await, "{token:?} was not applied");
    }

    /// Waits until `count` requests wait for a flight of another one.
    pub(crate) async fn has_followers(&self, count: u64) {
        eventually(PATIENCE, "requests wait for a flight", async || {
            (self.cache.stats().followers_waiting == count).then_some(())
        })
        .await;
    }

    pub(crate) async fn is(&self, mode: Mode) {
        eventually(PATIENCE, mode.name(), async || (self.cache.mode() == mode).then_some(())).await;
    }

    /// Ends the gateway; when this returns, everything it had to store is stored.
    pub(crate) async fn stop(&self) {
        self.shutdown.cancel();
        tokio::time::timeout(PATIENCE, self.cache.stopped()).await.expect("every task has a deadline");
    }
}

/// Sends heartbeats, and publishes purges the way the outbox does.
pub(crate) struct Invalidator {
    nats: async_nats::Client,
    pulse: watch::Sender<Pulse>,
    _task: AbortOnDropHandle<()>,
}

#[derive(Clone, Copy)]
struct Pulse {
    /// 0: silent.
    epoch: u16,
    oldest_pending_ms: u64,
}

impl Invalidator {
    async fn start(url: &str) -> Self {
        let nats = connect(url).await;
        let (pulse, pulses) = watch::channel(Pulse { epoch: 0, oldest_pending_ms: 0 });
        let task = AbortOnDropHandle::new(tokio::spawn(beat(nats.clone(), pulses)));
        Self { nats, pulse, _task: task }
    }

    pub(crate) async fn declare(&self) {
        let js = jetstream::new(self.nats.clone());
        eventually(PATIENCE, "the stream is declared", async || log::declare(&js, 1).await.ok()).await;
    }

    pub(crate) fn beat(&self, epoch: u16) {
        self.pulse.send_modify(|pulse| pulse.epoch = epoch);
    }

    pub(crate) fn fall_silent(&self) {
        self.beat(0);
    }

    /// A committed change waits for its way into the log for this long.
    pub(crate) fn pending(&self, oldest_pending_ms: u64) {
        self.pulse.send_modify(|pulse| pulse.oldest_pending_ms = oldest_pending_ms);
    }

    /// A purge on its way through the outbox.
    pub(crate) async fn purge(&self, event_id: Uuid) -> Token {
        let purge = Purge {
            event_id,
            commit_lsn: 0,
            commit_ms: 0,
            tags: vec![Tag::of(PRODUCT)],
            mode: PurgeMode::Hard,
        };
        let log = PurgeLog::new(self.nats.clone(), Duration::from_secs(2));
        let epoch = self.pulse.borrow().epoch;
        let position: Position =
            eventually(PATIENCE, "the purge is on the log", async || log.publish(epoch, &purge).await.ok())
                .await;
        Token::at(position)
    }

    /// One heartbeat that names `last_seq`, whatever the log holds.
    pub(crate) async fn name(&self, last_seq: u64) {
        let epoch = self.pulse.borrow().epoch;
        let heartbeat = Heartbeat { epoch, last_seq, oldest_pending_ms: 0, published_xmin: 0 };
        heartbeat.send(&self.nats).await.expect("the client lives");
    }

    pub(crate) fn stream(&self) -> jetstream::Context {
        jetstream::new(self.nats.clone())
    }
}

async fn beat(nats: async_nats::Client, pulses: watch::Receiver<Pulse>) {
    let js = jetstream::new(nats.clone());
    let mut ticks = tokio::time::interval(Duration::from_millis(100));
    loop {
        ticks.tick().await;
        let pulse = *pulses.borrow();
        if pulse.epoch == 0 {
            continue;
        }
        let stream = tokio::time::timeout(Duration::from_millis(500), js.get_stream(log::STREAM)).await;
        if let Ok(Ok(stream)) = stream {
            let heartbeat = Heartbeat {
                epoch: pulse.epoch,
                last_seq: stream.cached_info().state.last_sequence,
                oldest_pending_ms: pulse.oldest_pending_ms,
                published_xmin: 0,
            };
            heartbeat.send(&nats).await.expect("the client lives");
        }
    }
}
