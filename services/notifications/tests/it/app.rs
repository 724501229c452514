//! A notifications service of one's own, and a method for each of its calls.

use std::net::SocketAddr;
use std::time::Duration;

use ::events::{Event, Fact};
use async_nats::jetstream::{self, message::PublishMessage};
use bootstrap::Shutdown;
use bootstrap::config::Environment;
use futures_util::StreamExt as _;
use proto::notifications::v1::follow_notifications_response::Item;
use proto::notifications::v1::notifications_service_client::NotificationsServiceClient;
use proto::notifications::v1::*;
use rls::Caller;
use sqlx::PgConnection;
use testkit::TestDatabase;
use testkit::jwt::TestKeys;
use time::OffsetDateTime;
use tokio::task::JoinHandle;
use tonic::transport::Channel;
use tonic::{Code, Status, Streaming};

use crate::accounts::Accounts;
use crate::orders_stand_in::Orders;

/// Longer than any call of a test on a busy machine.
pub(crate) const CALL_DEADLINE: Duration = Duration::from_secs(20);
/// Longer than anything may take that happens by itself.
pub(crate) const SOON: Duration = Duration::from_secs(20);
const STREAM_DEADLINE: Duration = Duration::from_secs(600);
const NO_NATS: &str = "nats://127.0.0.1:1";

pub(crate) const ANA: Who = Who::Customer(41);
pub(crate) const BIA: Who = Who::Customer(42);

/// Who calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    Anonymous,
    Customer(i64),
    Staff(i64),
    Admin(i64),
    Service,
}

/// How a service is to be set up.
pub(crate) struct Setup {
    pub(crate) nats_url: String,
    pub(crate) smtp_url: Option<String>,
    pub(crate) sweep_every: Duration,
    pub(crate) compare_every: Duration,
    pub(crate) webhooks: notifications::webhooks::Settings,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            nats_url: NO_NATS.to_owned(),
            smtp_url: None,
            sweep_every: Duration::from_secs(600),
            // So rare that no test passes by it which does not mean it.
            compare_every: Duration::from_secs(600),
            webhooks: notifications::webhooks::Settings::default(),
        }
    }
}

/// What the replicas of a service share; gone with this value.
pub(crate) struct World {
    pub(crate) database: TestDatabase,
    pub(crate) accounts: Accounts,
    accounts_addr: SocketAddr,
    pub(crate) orders: Orders,
    orders_addr: SocketAddr,
    pub(crate) keys: TestKeys,
    shutdown: Shutdown,
}

/// One running replica; ends with this value.
pub(crate) struct Replica {
    pub(crate) internal_addr: SocketAddr,
    pub(crate) grpc_addr: SocketAddr,
    pub(crate) client: NotificationsServiceClient<Channel>,
    shutdown: Shutdown,
    serving: JoinHandle<anyhow::Result<()>>,
}

/// A world with one replica in it.
pub(crate) struct TestApp {
    pub(crate) replica: Replica,
    pub(crate) world: World,
}

impl World {
    pub(crate) async fn new() -> Self {
        let database = testkit::database("notifications", &notifications::MIGRATOR).await;
        let keys = testkit::jwt::key_set();
        let shutdown = Shutdown::manual();
        let (accounts, accounts_addr) = Accounts::start(&keys.assertions_file, shutdown.clone()).await;
        let (orders, orders_addr) = Orders::start(&keys.assertions_file, shutdown.clone()).await;
        Self { database, accounts, accounts_addr, orders, orders_addr, keys, shutdown }
    }

    pub(crate) async fn replica(&self, setup: Setup) -> Replica {
        let local = SocketAddr::from(([127, 0, 0, 1], 0));
        let config = notifications::Config {
            database_url: self.database.url.clone(),
            database_pool_size: 8,
            nats_url: setup.nats_url,
            stream_replicas: 1,
            grpc_addr: local,
            internal_http_addr: local,
            assertion_jwks_file: self.keys.assertions_file.clone(),
            assertion_key_file: self.keys.assertion_key_file("notifications"),
            accounts_url: format!("http://{}", self.accounts_addr),
            orders_url: format!("http://{}", self.orders_addr),
            environment: Environment::Development,
            metrics_url: None,
            instance: "test".to_owned(),
            secret_key: [7; 32],
            public_url: "https://shop.example".to_owned(),
            mail: notifications::MailConfig {
                smtp_url: setup.smtp_url,
                from: "Mestres Café <no-reply@shop.example>".to_owned(),
                first_retry: Duration::from_millis(2),
            },
            webhooks: setup.webhooks,
            sweep_every: setup.sweep_every,
            reconcile_every: setup.compare_every,
        };
        let app = notifications::App::build(config).await.expect("the service starts");
        let (grpc_addr, internal_addr) = (app.grpc_addr(), app.internal_addr());
        let shutdown = Shutdown::manual();
        let serving = tokio::spawn(app.run(shutdown.clone()));
        let channel = bootstrap::grpc::channel(&format!("http://{grpc_addr}")).unwrap();
        let client = NotificationsServiceClient::new(channel);
        Replica { internal_addr, grpc_addr, client, shutdown, serving }
    }

    pub(crate) fn bearer(&self, who: Who) -> Option<String> {
        let of = |role, id| Some(self.keys.assertion("notifications", role, id));
        match who {
            Who::Anonymous => None,
            Who::Customer(id) => of("customer", id),
            Who::Staff(id) => of("staff", id),
            Who::Admin(id) => of("admin", id),
            Who::Service => Some(self.keys.service_assertion("accounts", "notifications")),
        }
    }

    /// Looks and writes behind the service's back, as superuser.
    pub(crate) async fn admin(&self) -> PgConnection {
        let mut admin = self.database.admin().await;
        sqlx::raw_sql("SET search_path = notifications, app, public").execute(&mut admin).await.unwrap();
        admin
    }

    /// Runs SQL as superuser.
    pub(crate) async fn sql(&self, statements: &str) {
        let statements = sqlx::AssertSqlSafe(statements.to_owned());
        sqlx::raw_sql(statements).execute(&mut self.admin().await).await.unwrap();
    }

    /// One value, asked as superuser.
    pub(crate) async fn one<T>(&self, question: &'static str) -> T
    where
        T: Send + Unpin + for<'r> sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>,
        (T,): for<'r> sqlx::FromRow<'r, sqlx::postgres::PgRow>,
    {
        sqlx::query_scalar(question).fetch_one(&mut self.admin().await).await.unwrap()
    }

    /// Gives a user without a feed `count` unread notifications, the n-th titled `n`.
    pub(crate) async fn fill(&self, user_id: i64, count: i64) {
        self.sql(&format!(
            "INSERT INTO feeds (user_id, last_seq, kept, unread, version) VALUES ({user_id}, {count}, {count}, {count}, {count});
             INSERT INTO notifications (user_id, seq, kind, title, body, link, dedupe_key)
             SELECT {user_id}, n, 'report.received', n::text, 'body', '/reports/1', 'fill-' || n
               FROM generate_series(1, {count}) n"
        ))
        .await;
    }

    /// What the outbox holds, in order.
    pub(crate) async fn recorded(&self) -> Vec<Event> {
        let rows: Vec<Vec<u8>> = sqlx::query_scalar("SELECT payload FROM outbox ORDER BY seq")
            .fetch_all(&mut self.admin().await)
            .await
            .unwrap();
        rows.iter().map(|payload| Event::decode(payload).unwrap()).collect()
    }
}

impl Replica {
    /// Starts ending as SIGTERM does.
    pub(crate) fn drain(&self) {
        self.shutdown.drain.cancel();
    }

    /// Ends as SIGTERM does and returns when it has.
    pub(crate) async fn stop(mut self) {
        self.drain();
        let ended = tokio::time::timeout(Duration::from_secs(20), &mut self.serving).await;
        ended.expect("the service drains in time").expect("it does not panic").expect("it ends well");
    }

    /// A page of the internal port.
    pub(crate) async fn page(&self, path: &str) -> (u16, String) {
        let response = reqwest::get(format!("http://{}{path}", self.internal_addr)).await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    pub(crate) async fn follow(
        &self,
        world: &World,
        who: Who,
        after_seq: Option<u64>,
    ) -> Result<Follower, Status> {
        let bearer = world.bearer(who);
        let request = FollowNotificationsRequest { after_seq };
        let request = bootstrap::grpc::request(request, STREAM_DEADLINE, bearer.as_deref());
        let stream = self.client.clone().follow_notifications(request).await?.into_inner();
        Ok(Follower { stream })
    }

    /// How often a statement was run so far.
    pub(crate) async fn times(&self, statement: &str) -> u64 {
        let (_, metrics) = self.page("/metrics").await;
        let counted = format!("database_query_duration_seconds_count{{query=\"{statement}\"}} ");
        let line = metrics.lines().find_map(|line| line.strip_prefix(&counted));
        line.map_or(0, |count| count.parse().unwrap())
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.shutdown.drain.cancel();
        self.shutdown.hard.cancel();
        self.serving.abort();
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.shutdown.drain.cancel();
        self.shutdown.hard.cancel();
    }
}

impl TestApp {
    /// A service whose events stay in the outbox and whose mails go to the mailbox.
    pub(crate) async fn start() -> Self {
        Self::start_with(Setup::default()).await
    }

    pub(crate) async fn start_with(setup: Setup) -> Self {
        let world = World::new().await;
        let replica = world.replica(setup).await;
        Self { replica, world }
    }
}

/// An open stream.
pub(crate) struct Follower {
    stream: Streaming<FollowNotificationsResponse>,
}

impl Follower {
    /// What comes next, soon.
    pub(crate) async fn next(&mut self) -> Option<Result<Item, Status>> {
        let next = tokio::time::timeout(SOON, self.stream.next()).await.expect("something comes in time");
        next.map(|item| item.map(|item| item.item.unwrap()))
    }

    /// The position that the stream was opened at.
    pub(crate) async fn opened(&mut self) -> u64 {
        match self.next().await.unwrap().unwrap() {
            Item::Opened(opened) => opened.last_seq,
            Item::Notification(early) => panic!("{early:?} before the opening"),
        }
    }

    /// The next notification.
    pub(crate) async fn notification(&mut self) -> Notification {
        match self.next().await.unwrap().unwrap() {
            Item::Notification(notification) => notification,
            Item::Opened(again) => panic!("opened again: {again:?}"),
        }
    }

    /// The positions of the next notifications.
    pub(crate) async fn seqs(&mut self, count: usize) -> Vec<u64> {
        let mut seqs = Vec::new();
        while seqs.len() < count {
            seqs.push(self.notification().await.seq);
        }
        seqs
    }

    /// What the stream ended with.
    pub(crate) async fn end(&mut self) -> Status {
        loop {
            if let Err(status) = self.next().await.expect("a stream ends with a status") {
                return status;
            }
        }
    }
}

/// What other services publish.
pub(crate) struct Publisher {
    jetstream: jetstream::Context,
}

impl Publisher {
    /// Declares the streams.
    pub(crate) async fn new(nats_url: &str) -> Self {
        let nats = bootstrap::nats::connect(nats_url, "test").await.unwrap();
        let jetstream = jetstream::new(nats);
        testkit::eventually(SOON, "streams", async || ::events::streams::declare(&jetstream, 1).await.ok())
            .await;
        Self { jetstream }
    }

    /// Publishes a fact as another service would, and answers the event.
    pub(crate) async fn publish(&self, version: i64, fact: Fact) -> Event {
        let event = Event::new(&Caller::Service, OffsetDateTime::now_utc(), version, fact);
        self.send(&event, &event.id().to_string()).await;
        event
    }

    /// Publishes an event under any message id: the stream drops what it has seen.
    pub(crate) async fn send(&self, event: &Event, message_id: &str) {
        self.raw(event.subject(), event.encode(), message_id).await;
    }

    pub(crate) async fn raw(&self, subject: String, payload: Vec<u8>, message_id: &str) {
        let message = PublishMessage::build().payload(payload.into()).message_id(message_id);
        self.jetstream.send_publish(subject, message).await.unwrap().await.unwrap();
    }

    pub(crate) fn jetstream(&self) -> &jetstream::Context {
        &self.jetstream
    }
}

/// A report for somebody.
pub(crate) fn report(report_id: i64, sender_id: i64, receiver_id: i64) -> Fact {
    Fact::ReportCreated(proto::events::v1::ReportFact { report_id, sender_id, receiver_id })
}

macro_rules! calls {
    ($($name:ident($request:ty) -> $response:ty),+ $(,)?) => {
        impl TestApp {
            $(
                pub(crate) async fn $name(&self, who: Who, request: $request) -> Result<$response, Status> {
                    let bearer = self.world.bearer(who);
                    let request = bootstrap::grpc::request(request, CALL_DEADLINE, bearer.as_deref());
                    self.replica.client.clone().$name(request).await.map(tonic::Response::into_inner)
                }
            )+
        }
    };
}

calls! {
    list_notifications(ListNotificationsRequest) -> ListNotificationsResponse,
    mark_notification(MarkNotificationRequest) -> MarkNotificationResponse,
    mark_all_read(MarkAllReadRequest) -> MarkAllReadResponse,
    delete_notification(DeleteNotificationRequest) -> DeleteNotificationResponse,
    get_preferences(GetPreferencesRequest) -> GetPreferencesResponse,
    update_preferences(UpdatePreferencesRequest) -> UpdatePreferencesResponse,
    enqueue_email(EnqueueEmailRequest) -> EnqueueEmailResponse,
    export_user_data(ExportUserDataRequest) -> ExportUserDataResponse,
}

impl TestApp {
    /// Asks with any token, or what pretends to be one.
    pub(crate) async fn list_with_bearer(&self, bearer: &str) -> Result<ListNotificationsResponse, Status> {
        let request = bootstrap::grpc::request(list(), CALL_DEADLINE, Some(bearer));
        self.replica.client.clone().list_notifications(request).await.map(tonic::Response::into_inner)
    }

    /// The whole feed, latest first.
    pub(crate) async fn feed(&self, who: Who) -> Vec<Notification> {
        self.list_notifications(who, list()).await.unwrap().notifications
    }

    /// The feed, once it has so many notifications.
    pub(crate) async fn feed_of(&self, who: Who, count: usize) -> Vec<Notification> {
        testkit::eventually(SOON, "notifications", async || {
            let feed = self.feed(who).await;
            (feed.len() >= count).then_some(feed)
        })
        .await
    }
}

/// The first 100 notifications.
pub(crate) fn list() -> ListNotificationsRequest {
    ListNotificationsRequest { page: 1, limit: 100, unread_only: false }
}

/// Code, `mc-reason` and `mc-field` of a refusal.
#[track_caller]
pub(crate) fn refusal<T>(answer: Result<T, Status>) -> (Code, String, String) {
    let Err(status) = answer else { panic!("the call was answered") };
    let word =
        |name: &str| status.metadata().get(name).map_or("", |value| value.to_str().unwrap()).to_owned();
    let (reason, field) = (word("mc-reason"), word("mc-field"));
    let named = if field.is_empty() { &reason } else { &field };
    assert!(status.message().starts_with(&format!("{named}: ")), "{status:?}");
    (status.code(), reason, field)
}
