//! A service whose only work is to write down that it worked.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use events::{Event, Fact, PriceChanged};
use idempotency::{Done, Refused, Request, Verdict, is_conflict, once};
use proto::agenda::v1::DeleteEventResponse;
use rls::{Caller, Class, Database, DatabaseConfig, DatabaseError, Tx, UserId};
use testkit::TestDatabase;
use time::OffsetDateTime;
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::{Code, Status};

static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!("tests/it/migrations");

pub(crate) const ANA: Caller = Caller::User(UserId(1));
pub(crate) const BIA: Caller = Caller::User(UserId(2));
pub(crate) const GUEST: Caller = Caller::Guest { cart_token_sha256: [7; 32] };
/// Long enough for a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct TestApp {
    pub(crate) database: TestDatabase,
    pub(crate) db: Database,
}

/// What a service's errors are like.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("sold out")]
    SoldOut,
    #[error("not now")]
    NotNow,
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error.into())
    }
}

impl Verdict for Error {
    fn refusal(&self) -> Option<Status> {
        match self {
            Self::SoldOut => {
                let mut status = Status::new(Code::Aborted, "out_of_stock: sold out");
                status.metadata_mut().insert("mc-reason", MetadataValue::from_static("out_of_stock"));
                Some(status)
            }
            // Its code says that it is not kept, whatever the service thinks.
            Self::NotNow => Some(Status::unavailable("not now")),
            Self::Refused(_) | Self::Database(_) => None,
        }
    }

    fn is_conflict(&self) -> bool {
        matches!(self, Self::Database(failure) if is_conflict(failure))
    }
}

/// The reply of the work here: any message with receipts will do.
pub(crate) type Reply = DeleteEventResponse;

impl TestApp {
    pub(crate) async fn start() -> Self {
        let database = testkit::database("shop", &MIGRATOR).await;
        let db = connect(&database.url).await;
        Self { database, db }
    }

    /// Another replica of the service.
    pub(crate) async fn replica(&self) -> Database {
        connect(&self.database.url).await
    }

    /// Effects so far.
    pub(crate) async fn effects(&self) -> i64 {
        self.count("SELECT count(*) FROM shop.effects").await
    }

    pub(crate) async fn keys(&self) -> i64 {
        self.count("SELECT count(*) FROM shop.idempotency_keys").await
    }

    pub(crate) async fn count(&self, sql: &'static str) -> i64 {
        let count = sqlx::query_scalar(sql).fetch_one(&mut self.database.admin().await).await;
        count.expect("the superuser sees everything")
    }

    /// Behind the service's back.
    pub(crate) async fn as_superuser(&self, sql: &'static str) {
        sqlx::raw_sql(sql).execute(&mut self.database.admin().await).await.expect("the superuser may");
    }

    /// Works once for `caller`.
    pub(crate) async fn work(&self, caller: Caller, request: &Request) -> Result<Done<Reply>, Error> {
        work_at(&self.db, caller, Some(request)).await
    }

    /// Asks for work that is refused, and counts in `tried` how often it was tried.
    pub(crate) async fn fail(
        &self,
        request: &Request,
        tried: &Arc<AtomicUsize>,
        why: fn() -> Error,
    ) -> Result<Done<Reply>, Error> {
        let tried = Arc::clone(tried);
        once(&self.db, &ANA, Class::Write, PATIENCE, Some(request), move |tx| {
            Box::pin(async move {
                tried.fetch_add(1, Ordering::Relaxed);
                effect(tx).await?;
                Err(why())
            })
        })
        .await
    }
}

pub(crate) async fn work_at(
    db: &Database,
    caller: Caller,
    request: Option<&Request>,
) -> Result<Done<Reply>, Error> {
    once(db, &caller, Class::Write, PATIENCE, request, |tx| {
        Box::pin(async move {
            effect(tx).await?;
            Ok(Reply::default())
        })
    })
    .await
}

/// One more effect, with an event that tells of it.
pub(crate) async fn effect(tx: &mut Tx) -> Result<(), sqlx::Error> {
    let id: i64 = sqlx::query_scalar("INSERT INTO effects (what) VALUES ('done') RETURNING id")
        .fetch_one(&mut *tx.statement("INSERT effects"))
        .await?;
    let fact = PriceChanged { product_id: id, variant_id: id, ..Default::default() };
    let caller = *tx.caller();
    events::record(tx, &Event::new(&caller, OffsetDateTime::now_utc(), 1, Fact::PriceChanged(fact))).await
}

/// A request with this key and body.
pub(crate) fn request(caller: &Caller, key: &str, body: u8) -> Request {
    request_at(caller, key, body, "POST /api/v1/checkout")
}

pub(crate) fn request_at(caller: &Caller, key: &str, body: u8, route: &str) -> Request {
    let mut metadata = MetadataMap::new();
    metadata.insert("mc-idempotency-key", key.parse().expect("a header value"));
    metadata.insert("mc-idempotency-route", route.parse().expect("a header value"));
    metadata.insert_bin("mc-idempotency-sha256-bin", MetadataValue::from_bytes(&[body; 32]));
    Request::from_metadata(&metadata, caller).expect("good metadata").expect("a key")
}

async fn connect(url: &str) -> Database {
    let mut config = DatabaseConfig::new(url);
    config.pool_size = 8;
    config.acquire_timeout = PATIENCE;
    Database::connect(&config).await.expect("the test database is there")
}
