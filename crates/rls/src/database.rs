//! The one door to PostgreSQL.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use opentelemetry::context::FutureExt as _;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions as _, Connection as _, PgConnection, PgPool, Postgres, Row as _};
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};
use tracing::Instrument as _;

use crate::caller::Caller;
use crate::error::{ConnectError, DatabaseError};
use crate::permits::{Class, Permits};
use crate::query_times::Queries;
use crate::tx::{BoxFuture, Committed, Tx};

/// How long a service waits for its database when it starts.
const START_DEADLINE_S: u64 = 5;
/// How long opening one connection may take, whoever still waits for it.
const OPEN_DEADLINE: Duration = Duration::from_secs(5);
/// How long a COMMIT may outlast the caller's deadline: its outcome is worth knowing.
const COMMIT_GRACE: Duration = Duration::from_secs(1);
/// How long the ROLLBACK of an abandoned transaction may take before its connection is cut.
const ROLLBACK_DEADLINE: Duration = Duration::from_secs(1);

/// How a service reaches its database.
#[derive(Clone)]
pub struct DatabaseConfig {
    /// `postgres://login:password@host:port/database` of the service's own login.
    pub url: String,
    /// Connections of this process, at least 4; shared out to the classes.
    pub pool_size: u32,
    /// Connections opened at start, before the first transaction needs them, and kept while idle.
    pub pool_size_min: u32,
    /// How long a transaction that has its permit may wait for a connection. For the permit it waits for
    /// at most half of its own deadline.
    pub acquire_timeout: Duration,
    /// Name shown in `pg_stat_activity`.
    pub application_name: String,
}

impl DatabaseConfig {
    /// The usual settings for `url`: 8 connections, 250 ms.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            pool_size: 8,
            pool_size_min: 2,
            acquire_timeout: Duration::from_millis(250),
            application_name: "mestres".to_owned(),
        }
    }
}

/// The URL holds a password.
impl std::fmt::Debug for DatabaseConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DatabaseConfig").field("pool_size", &self.pool_size).finish_non_exhaustive()
    }
}

/// The service's database. The only way in is [`run`](Self::run): a transaction for a [`Caller`].
/// Cheap to clone.
#[derive(Debug, Clone)]
pub struct Database {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    pool: PgPool,
    permits: Permits,
    acquire_timeout: Duration,
    queries: Arc<Queries>,
    committed: Arc<Notify>,
    instance: u64,
}

/// Counts the connected databases of this process.
static INSTANCES: AtomicU64 = AtomicU64::new(0);

impl Database {
    /// Connects, and makes sure that this login is bound by row level security.
    ///
    /// # Errors
    /// When the database cannot be reached within 5 s, is too old, or the login could bypass policies.
    pub async fn connect(config: &DatabaseConfig) -> Result<Self, ConnectError> {
        let options: PgConnectOptions = config.url.parse().map_err(ConnectError::Url)?;
        let options = options.application_name(&config.application_name).disable_statement_logging();
        first_connection(&options).await?;

        let pool_size = config.pool_size.max(4);
        let pool = pool_options(config, pool_size)
            .connect_lazy_with(options.options([("client_min_messages", "error")]));
        open_ahead(&pool, config.pool_size_min.min(pool_size)).await;
        Ok(Self {
            inner: Arc::new(Inner {
                pool,
                permits: Permits::share(pool_size),
                acquire_timeout: config.acquire_timeout,
                queries: Arc::new(Queries::default()),
                committed: Arc::new(Notify::new()),
                instance: INSTANCES.fetch_add(1, Ordering::Relaxed),
            }),
        })
    }

    /// Runs `work` in a transaction that sees what `caller` may see, and commits it if `work` succeeds.
    ///
    /// The transaction runs in a task of its own: a caller that goes away cancels nothing, so no
    /// mutation is left half done and no connection is left inside a transaction. `deadline` counts
    /// from now and bounds everything, the wait for a connection included; a COMMIT that has begun
    /// may take one second more, so that its outcome is known.
    ///
    /// # Errors
    /// What `work` answers, or a [`DatabaseError`]; nothing is committed unless
    /// [`DatabaseError::possibly_done`].
    ///
    /// # Panics
    /// With what `work` panicked with; the transaction is rolled back.
    pub async fn run<T, E, W>(
        &self,
        caller: &Caller,
        class: Class,
        deadline: Duration,
        work: W,
    ) -> Result<Committed<T>, E>
    where
        T: Send + 'static,
        E: From<DatabaseError> + Send + 'static,
        W: for<'t> FnOnce(&'t mut Tx) -> BoxFuture<'t, Result<T, E>> + Send + 'static,
    {
        let by = Instant::now() + deadline;
        let (answer, answered) = oneshot::channel();
        let inner = Arc::clone(&self.inner);
        let transaction = inner.transaction(*caller, class, by, work, answer);
        let task = tokio::spawn(transaction.instrument(tracing::Span::current()).with_current_context());
        match answered.await {
            Ok(outcome) => outcome,
            Err(_) => match task.await {
                Err(ended) if ended.is_panic() => std::panic::resume_unwind(ended.into_panic()),
                // The runtime is going down and has dropped the task.
                _ => Err(DatabaseError::Unavailable(sqlx::Error::WorkerCrashed).into()),
            },
        }
    }

    /// Notified once after each commit that left a receipt: wakes the relay.
    pub fn committed(&self) -> Arc<Notify> {
        Arc::clone(&self.inner.committed)
    }

    /// Tells this database from the others that this process is connected to; clones have the same.
    pub fn instance(&self) -> u64 {
        self.inner.instance
    }

    /// Connections in use, and the most there can be.
    pub fn connections(&self) -> (u32, u32) {
        let pool = &self.inner.pool;
        let idle = u32::try_from(pool.num_idle()).unwrap_or(u32::MAX);
        (pool.size().saturating_sub(idle), pool.options().get_max_connections())
    }

    /// Named statements run so far by this process.
    pub fn statements(&self) -> u64 {
        self.inner.queries.total()
    }

    /// Appends the database's metrics in the Prometheus text format.
    pub fn prometheus(&self, out: &mut String) {
        let (active, max) = self.connections();
        let _ = writeln!(out, "# HELP database_connections_active Database connections in use.");
        let _ = writeln!(out, "# TYPE database_connections_active gauge");
        let _ = writeln!(out, "database_connections_active {active}");
        let _ = writeln!(out, "# HELP database_connections_max Database connections this process may open.");
        let _ = writeln!(out, "# TYPE database_connections_max gauge");
        let _ = writeln!(out, "database_connections_max {max}");
        self.inner.queries.prometheus(out);
    }

    /// Whether the database answers within `deadline`.
    ///
    /// # Errors
    /// When it does not.
    #[expect(clippy::disallowed_methods, reason = "asks nothing that a caller could see or not see")]
    pub async fn ping(&self, deadline: Duration) -> Result<(), DatabaseError> {
        let answer = timeout(deadline, async { self.inner.pool.acquire().await?.ping().await });
        Ok(answer.await.map_err(|_late| DatabaseError::Deadline)??)
    }

    /// Closes every connection, waiting at most `deadline` for transactions in flight.
    pub async fn close(&self, deadline: Duration) {
        if timeout(deadline, self.inner.pool.close()).await.is_err() {
            tracing::warn!("database connections were still in use when the service stopped");
        }
    }
}

impl Inner {
    /// One transaction from permit to clean connection. Answers as soon as the outcome is known and
    /// cleans up after that.
    async fn transaction<T, E, W>(
        self: Arc<Self>,
        caller: Caller,
        class: Class,
        by: Instant,
        work: W,
        answer: oneshot::Sender<Result<Committed<T>, E>>,
    ) where
        T: Send + 'static,
        E: From<DatabaseError> + Send + 'static,
        W: for<'t> FnOnce(&'t mut Tx) -> BoxFuture<'t, Result<T, E>> + Send + 'static,
    {
        // A burst queues instead of failing, but nobody waits so long that too little time is left to work.
        let begun = Instant::now();
        let admit_by = begun + by.saturating_duration_since(begun) / 2;
        let Some(_permit) = self.permits.take(class, admit_by).await else {
            let _gone = answer.send(Err(DatabaseError::Busy.into()));
            return;
        };
        let connection = match self.connection(by).await {
            Ok(connection) => connection,
            Err(error) => {
                let _gone = answer.send(Err(error.into()));
                return;
            }
        };
        let mut tx = Tx::new(connection, caller, Arc::clone(&self.queries));
        let outcome = execute(&mut tx, class, by, work).await;
        match outcome {
            Outcome::Committed(committed) => {
                let left_receipts = !committed.receipts.is_empty();
                let _gone = answer.send(Ok(committed));
                if left_receipts {
                    self.committed.notify_one();
                }
            }
            Outcome::Open(error) => {
                let _gone = answer.send(Err(error));
                match timeout(ROLLBACK_DEADLINE, tx.roll_back()).await {
                    Ok(Ok(())) => {}
                    Ok(Err(_)) | Err(_) => tx.cut(),
                }
            }
            Outcome::Unknown(error) => {
                let _gone = answer.send(Err(error));
                tx.cut();
            }
        }
    }

    #[expect(clippy::disallowed_methods, reason = "the one place where a caller's transaction begins")]
    async fn connection(&self, by: Instant) -> Result<PoolConnection<Postgres>, DatabaseError> {
        if let Some(idle) = self.pool.try_acquire() {
            return Ok(idle);
        }
        // In a task of its own: opening a connection takes a while on a busy machine, and one that comes
        // too late for this transaction is there for the next.
        let pool = self.pool.clone();
        let opening = tokio::spawn(async move { pool.acquire().await });
        let by = by.min(Instant::now() + self.acquire_timeout);
        match timeout_at(by, opening).await {
            Ok(Ok(opened)) => Ok(opened?),
            Ok(Err(_runtime_ends)) => Err(DatabaseError::Unavailable(sqlx::Error::WorkerCrashed)),
            Err(_late) => Err(DatabaseError::Busy),
        }
    }
}

/// How a transaction ended.
enum Outcome<T, E> {
    Committed(Committed<T>),
    /// Not committed; the connection may still be inside it.
    Open(E),
    /// The connection broke or fell silent during COMMIT.
    Unknown(E),
}

async fn execute<T, E, W>(tx: &mut Tx, class: Class, by: Instant, work: W) -> Outcome<T, E>
where
    E: From<DatabaseError>,
    W: for<'t> FnOnce(&'t mut Tx) -> BoxFuture<'t, Result<T, E>>,
{
    let left = by.saturating_duration_since(Instant::now());
    let statement_timeout_ms = u64::try_from(left.as_millis()).unwrap_or(u64::MAX).clamp(1, 86_400_000);
    let worked = timeout_at(by, async {
        tx.begin(class, statement_timeout_ms).await?;
        // The identity comes in the same round trip as BEGIN.
        failpoints::hit("db.after_begin").await.map_err(DatabaseError::from)?;
        failpoints::hit("db.after_identity").await.map_err(DatabaseError::from)?;
        let value = work(tx).await?;
        failpoints::hit("db.before_commit").await.map_err(DatabaseError::from)?;
        Ok(value)
    });
    let value = match worked.await {
        Ok(Ok(value)) => value,
        Ok(Err(error)) => return Outcome::Open(error),
        Err(_late) => return Outcome::Open(DatabaseError::Deadline.into()),
    };
    // From here on the outcome matters more than the deadline.
    if Instant::now() >= by {
        return Outcome::Open(DatabaseError::Deadline.into());
    }
    match timeout_at(by + COMMIT_GRACE, tx.commit(class)).await {
        Ok(Ok(receipts)) => match failpoints::hit("db.after_commit_before_return").await {
            Ok(()) => Outcome::Committed(Committed { value, receipts }),
            Err(injected) => {
                let broken = sqlx::Error::Io(injected.into());
                Outcome::Unknown(DatabaseError::CommitUnknown(Some(broken)).into())
            }
        },
        Ok(Err(error)) if error.possibly_done() => Outcome::Unknown(error.into()),
        Ok(Err(error)) => Outcome::Open(error.into()),
        Err(_late) => Outcome::Unknown(DatabaseError::CommitUnknown(None).into()),
    }
}

/// The pool's settings: connections that are clean when they are lent, without asking them each time.
fn pool_options(config: &DatabaseConfig, pool_size: u32) -> PgPoolOptions {
    // Replicas that started together must not reconnect together.
    let lifetime_s = 1_620 + u64::from(std::process::id()) % 360;
    PgPoolOptions::new()
        .max_connections(pool_size)
        .min_connections(config.pool_size_min.min(pool_size))
        .acquire_timeout(OPEN_DEADLINE)
        // The ping would cost every transaction a round trip.
        .test_before_acquire(false)
        .max_lifetime(Duration::from_secs(lifetime_s))
        .after_connect(|connection, _| {
            Box::pin(async move {
                check_login(connection).await.map_err(|refusal| match refusal {
                    LoginCheck::Failed(error) => error,
                    LoginCheck::Refused(refusal) => sqlx::Error::Configuration(refusal.into()),
                })
            })
        })
        // sqlx 0.9 can lend a connection whose last borrower was cancelled inside BEGIN and which is
        // still in that transaction (transact-rs/sqlx#4394). BEGIN makes the usual case, no open
        // transaction, free of a warning in the server's log; when it fails, because the open
        // transaction is already aborted, the connection is dropped, which is right too.
        .after_release(|connection, _| {
            Box::pin(async move { sqlx::raw_sql("BEGIN; ROLLBACK").execute(connection).await.map(|_| true) })
        })
}

/// Why a connection is not good enough.
enum LoginCheck {
    Failed(sqlx::Error),
    Refused(ConnectError),
}

/// Opens `count` connections side by side. Failures are left to those who need a connection.
#[expect(clippy::disallowed_methods, reason = "asks nothing that a caller could see or not see")]
async fn open_ahead(pool: &PgPool, count: u32) {
    let mut opening = JoinSet::new();
    for _ in 0..count {
        let pool = pool.clone();
        opening.spawn(async move { pool.acquire().await });
    }
    // All are held until the last one is open, so that they are different ones.
    let mut open = Vec::new();
    while let Some(Ok(Ok(connection))) = opening.join_next().await {
        open.push(connection);
    }
}

/// Opens and checks one connection, so that a wrong login is named and not retried.
async fn first_connection(options: &PgConnectOptions) -> Result<(), ConnectError> {
    let mut last = None;
    let by = Instant::now() + Duration::from_secs(START_DEADLINE_S);
    let mut pause = Duration::from_millis(50);
    loop {
        let attempt = async {
            let mut connection = options.connect().await.map_err(LoginCheck::Failed)?;
            check_login(&mut connection).await?;
            connection.close().await.map_err(LoginCheck::Failed)
        };
        match timeout_at(by, attempt).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(LoginCheck::Refused(refusal))) => return Err(refusal),
            Ok(Err(LoginCheck::Failed(error))) => last = Some(error),
            Err(_late) => {}
        }
        if Instant::now() + pause >= by {
            return Err(ConnectError::Unreachable { within_s: START_DEADLINE_S, source: last });
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(500));
    }
}

/// Refuses a login that policies do not bind.
async fn check_login(connection: &mut PgConnection) -> Result<(), LoginCheck> {
    let row = sqlx::query(
        "SELECT rolname::text, rolsuper OR rolbypassrls, current_setting('server_version_num')::int,
                current_setting('row_security')::bool
           FROM pg_roles WHERE rolname = session_user",
    )
    .fetch_one(connection)
    .await
    .map_err(LoginCheck::Failed)?;
    let column = |error| LoginCheck::Failed(error);
    let login: String = row.try_get(0).map_err(column)?;
    let unrestricted: bool = row.try_get(1).map_err(column)?;
    let version: i32 = row.try_get(2).map_err(column)?;
    let row_security: bool = row.try_get(3).map_err(column)?;
    if unrestricted {
        return Err(LoginCheck::Refused(ConnectError::Unrestricted { login }));
    }
    if version < 150_000 {
        return Err(LoginCheck::Refused(ConnectError::TooOld { version }));
    }
    if !row_security {
        return Err(LoginCheck::Refused(ConnectError::RowSecurityOff { login }));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use sqlx::migrate::Migrator;
    use testkit::{FaultProxy, eventually};

    use super::*;

    /// The pool alone, without the task around each transaction: a caller leaves while the answer to BEGIN
    /// is on the wire, and the next one gets the same connection.
    #[tokio::test]
    #[expect(
        clippy::disallowed_methods,
        reason = "this is about what the pool does when it is used directly"
    )]
    async fn the_pool_lends_no_connection_that_is_still_in_a_transaction() {
        let database = testkit::database("hooks", &Migrator::DEFAULT).await;
        let mut admin = database.admin().await;
        sqlx::raw_sql("CREATE TABLE public.rows (id int); GRANT ALL ON public.rows TO PUBLIC")
            .execute(&mut admin)
            .await
            .expect("the superuser may");
        let server =
            database.url.split_once('@').and_then(|(_, rest)| rest.split_once('/')).expect("a URL").0;
        let proxy = FaultProxy::start(server.parse().expect("an address")).await;
        let config = DatabaseConfig::new(proxy.url(&database.url));
        let options: PgConnectOptions = config.url.parse().expect("a URL");
        let pool = pool_options(&config, 1).connect_lazy_with(options);
        pool.acquire().await.expect("one connection is open");

        for id in 0..8 {
            let idle = async || (pool.num_idle() == 1).then_some(());
            eventually(Duration::from_secs(10), "the connection is back in the pool", idle).await;
            proxy.delay_to_client(Duration::from_millis(100));
            let left = timeout(Duration::from_millis(50), pool.begin()).await;
            assert!(left.is_err(), "the caller left before BEGIN was answered");
            proxy.heal();

            let mut next = pool.acquire().await.expect("the same connection");
            let insert = sqlx::query("INSERT INTO public.rows VALUES ($1)").bind(id);
            insert.execute(&mut *next).await.expect("acknowledged");
            let set = sqlx::query("SELECT set_config('app.user_id', 'alice', true)");
            set.execute(&mut *next).await.expect("acknowledged");
            let ask = sqlx::query_scalar("SELECT coalesce(current_setting('app.user_id', true), '')");
            let carried: String = ask.fetch_one(&mut *next).await.expect("answered");
            assert_eq!(carried, "", "a local setting outlived its statement: a transaction is open");
            let count = sqlx::query_scalar("SELECT count(*) FROM public.rows WHERE id = $1").bind(id);
            let committed: i64 = count.fetch_one(&mut admin).await.expect("the superuser sees everything");
            assert_eq!(committed, 1, "an acknowledged row was not committed");
        }
    }
}
