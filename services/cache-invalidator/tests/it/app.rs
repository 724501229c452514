//! A running invalidator, and the services around it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_nats::jetstream;
use bootstrap::Shutdown;
use cache_invalidator::{App, Config, MIGRATOR};
use events::relay::heartbeat_subject;
use futures_util::StreamExt as _;
use prost::Message as _;
use proto::events::v1::RelayHeartbeat;
use tag_cache::Tag;
use tag_cache::log::{HEARTBEAT_SUBJECT, Heartbeat, STREAM};
use testkit::{Nats, Redis, TestDatabase, eventually};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use uuid::Uuid;

/// Long enough for a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// The servers, without an invalidator.
pub(crate) struct World {
    pub(crate) database: TestDatabase,
    pub(crate) nats: Nats,
    pub(crate) redis: Redis,
    pub(crate) client: async_nats::Client,
    pub(crate) jetstream: jetstream::Context,
}

/// One replica.
pub(crate) struct Replica {
    pub(crate) internal_addr: SocketAddr,
    shutdown: Shutdown,
    running: JoinHandle<anyhow::Result<()>>,
}

/// A relay's heartbeats, as the catalog sends them.
pub(crate) struct FakeRelay {
    task: JoinHandle<()>,
    stream_seq: Arc<AtomicU64>,
}

/// One message of the purge log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Purged {
    pub(crate) seq: u64,
    pub(crate) id: String,
    pub(crate) commit_lsn: u64,
    pub(crate) tags: Vec<Tag>,
}

impl World {
    pub(crate) async fn start() -> Self {
        let (database, nats, redis) = tokio::join!(
            Box::pin(testkit::database("invalidator", &MIGRATOR)),
            Box::pin(Nats::start()),
            Box::pin(Redis::start())
        );
        let client = bootstrap::nats::connect(&nats.url(), "test").await.expect("an address");
        let jetstream = jetstream::new(client.clone());
        eventually(PATIENCE, "streams are declared", async || {
            events::streams::declare(&jetstream, 1).await.ok()?;
            tag_cache::log::declare(&jetstream, 1).await.ok()
        })
        .await;
        Self { database, nats, redis, client, jetstream }
    }

    pub(crate) async fn replica(&self) -> Replica {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let config = Config {
            database_url: self.database.url.clone(),
            nats_url: self.nats.url(),
            redis_url: Some(self.redis.url()),
            relays: vec!["catalog".to_owned()],
            stream_replicas: 1,
            grpc_addr: any,
            internal_http_addr: any,
        };
        let app = App::build(config).await.expect("the service starts");
        let internal_addr = app.internal_addr();
        let shutdown = Shutdown::manual();
        let running = tokio::spawn(app.run(shutdown.clone()));
        Replica { internal_addr, shutdown, running }
    }

    pub(crate) fn relay(&self) -> FakeRelay {
        let stream_seq = Arc::new(AtomicU64::new(0));
        let (client, seq) = (self.client.clone(), Arc::clone(&stream_seq));
        let task = tokio::spawn(async move {
            let mut ticks = tokio::time::interval(Duration::from_millis(250));
            loop {
                ticks.tick().await;
                let beat = RelayHeartbeat {
                    service: "catalog".to_owned(),
                    stream_seq: seq.load(Ordering::Relaxed),
                    oldest_pending_ms: 0,
                    published_xmin: 77,
                };
                #[expect(clippy::disallowed_methods, reason = "a heartbeat is not stored")]
                let sent = client.publish(heartbeat_subject("catalog"), beat.encode_to_vec().into()).await;
                sent.expect("the client lives");
            }
        });
        FakeRelay { task, stream_seq }
    }

    /// Puts a message on the mutation stream, with the headers a relay writes, and answers its sequence.
    pub(crate) async fn mutate(&self, id: Uuid, tags: &[&str]) -> u64 {
        let mut headers = async_nats::HeaderMap::new();
        headers.insert("Nats-Msg-Id", id.to_string());
        headers.insert("mc-commit-lsn", "4711");
        headers.insert("mc-tags", tags.len().to_string());
        for tag in tags {
            headers.append("mc-tag", *tag);
        }
        self.publish(headers).await
    }

    pub(crate) async fn publish(&self, headers: async_nats::HeaderMap) -> u64 {
        let subject = "mc.catalog.product.updated.1";
        let ack = self.jetstream.publish_with_headers(subject, headers, "of a newer version".into()).await;
        ack.expect("sent").await.expect("stored").sequence
    }

    /// The purge log, oldest first.
    pub(crate) async fn purged(&self) -> Option<Vec<Purged>> {
        let stream = self.jetstream.get_stream(STREAM).await.ok()?;
        let state = &stream.cached_info().state;
        let mut purged = Vec::new();
        for seq in state.first_sequence.max(1)..=state.last_sequence {
            let message = stream.get_raw_message(seq).await.ok()?;
            // The layout is public: it is what gateways of other versions read.
            let number =
                |at: usize| u64::from_le_bytes(message.payload[at..at + 8].try_into().expect("8 bytes"));
            let tags = message.payload[37..].chunks(9);
            purged.push(Purged {
                seq,
                id: message.headers.get("Nats-Msg-Id")?.to_string(),
                commit_lsn: number(19),
                tags: tags
                    .map(|tag| Tag::from_bits(u64::from_le_bytes(tag[..8].try_into().expect("8 bytes"))))
                    .collect(),
            });
        }
        Some(purged)
    }

    /// Waits until the purge log has `count` messages and answers them.
    pub(crate) async fn purges(&self, count: usize) -> Vec<Purged> {
        eventually(PATIENCE, &format!("{count} purges are on the log"), async || {
            self.purged().await.filter(|purged| purged.len() == count)
        })
        .await
    }

    pub(crate) async fn beats(&self) -> Beats {
        let beats = self.client.subscribe(HEARTBEAT_SUBJECT).await.expect("subscribed");
        // The server must know of the subscription before anything depends on it.
        self.client.flush().await.expect("sent");
        Beats { beats }
    }

    pub(crate) async fn epoch_in_database(&self) -> i32 {
        sqlx::query_scalar("SELECT epoch FROM invalidator.coherence")
            .fetch_one(&mut self.database.admin().await)
            .await
            .expect("the row is there")
    }

    /// The value of a key in Redis.
    pub(crate) async fn redis_get(&self, key: &str) -> Option<Vec<u8>> {
        let client = redis::Client::open(self.redis.url()).expect("an address");
        let mut connection = client.get_multiplexed_async_connection().await.ok()?;
        redis::cmd("GET").arg(key).query_async(&mut connection).await.ok()?
    }
}

pub(crate) struct Beats {
    beats: async_nats::Subscriber,
}

impl Beats {
    pub(crate) async fn next(&mut self) -> Heartbeat {
        let beat = timeout(PATIENCE, self.beats.next()).await.expect("heartbeats come");
        Heartbeat::decode(&beat.expect("the subscription lives").payload).expect("a heartbeat")
    }

    /// The first heartbeat that `is`.
    pub(crate) async fn until(&mut self, what: &str, is: impl Fn(&Heartbeat) -> bool) -> Heartbeat {
        eventually(PATIENCE, what, async || {
            let beat = self.next().await;
            is(&beat).then_some(beat)
        })
        .await
    }
}

impl Replica {
    pub(crate) async fn stop(self) {
        self.shutdown.drain.cancel();
        let ended = timeout(Duration::from_secs(5), self.running).await;
        ended.expect("stops within 5 s").expect("no panic").expect("no error");
    }

    /// Status and body of a page of the internal HTTP server.
    pub(crate) async fn get(&self, path: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.internal_addr).await.expect("it listens");
        let request = format!("GET {path} HTTP/1.1\r\nHost: internal\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut answer = String::new();
        timeout(PATIENCE, stream.read_to_string(&mut answer)).await.expect("answered").expect("text");
        let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        (status, answer)
    }
}

impl FakeRelay {
    /// From now on it says that the stream is at `seq`.
    pub(crate) fn says(&self, seq: u64) {
        self.stream_seq.store(seq, Ordering::Relaxed);
    }

    pub(crate) fn falls_silent(self) {
        self.task.abort();
    }
}

impl Drop for FakeRelay {
    fn drop(&mut self) {
        self.task.abort();
    }
}
