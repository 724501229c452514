//! What a PostgreSQL cluster needs once, before any service starts: roles, logins, databases.
//!
//! The only code that works without a caller: it runs as superuser and as `mc_migrate`, in the
//! bootstrap of a cluster and in tests, never in a service.

use std::time::Duration;

use sqlx::migrate::{Migrate as _, MigrateError, Migrator};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, PgConnection};
use tokio::time::timeout;

/// Bounds each of the two operations here.
const DEADLINE: Duration = Duration::from_secs(60);
/// Held while the cluster is prepared; any constant that nobody else uses.
const ADVISORY_LOCK: i64 = 0x6d63_636c_7573_7465;

/// The database of one service: name `mc_<service>`, login `mc_<service>`, schema `<service>`.
#[derive(Clone)]
pub struct ServiceDatabase {
    /// The service's name in lower case, such as `catalog`.
    pub service: &'static str,
    /// The password of the service's login.
    pub password: String,
}

/// The password stays out of logs.
impl std::fmt::Debug for ServiceDatabase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServiceDatabase").field("service", &self.service).finish_non_exhaustive()
    }
}

/// Why the cluster could not be prepared or a database could not be migrated.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// The address is not a PostgreSQL URL. The URL itself is not shown: it holds a password.
    #[error("the database URL cannot be read")]
    Url(#[source] sqlx::Error),
    /// A service name that would not make a database name.
    #[error("service name {0:?} is not one lower-case word")]
    ServiceName(&'static str),
    /// A step failed.
    #[error("could not {step}")]
    Step {
        /// What was being attempted.
        step: String,
        /// Why it failed.
        source: sqlx::Error,
    },
    /// A migration failed or does not fit what was applied before.
    #[error("could not migrate the database")]
    Migrate(#[from] MigrateError),
    /// It took too long.
    #[error("not done within {} s", DEADLINE.as_secs())]
    Deadline,
}

/// Makes the roles, one login and one database per service, and the extensions.
///
/// Repeating it changes nothing but the passwords. Several processes may do it at once: an advisory
/// lock puts them in a row. `admin_url` is a superuser's.
///
/// # Errors
/// When the superuser cannot connect, or a step fails.
pub async fn prepare(
    admin_url: &str,
    migrator_password: &str,
    databases: &[ServiceDatabase],
) -> Result<(), ClusterError> {
    for database in databases {
        let word = !database.service.is_empty()
            && database.service.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        if !word {
            return Err(ClusterError::ServiceName(database.service));
        }
    }
    let admin: PgConnectOptions = admin_url.parse().map_err(ClusterError::Url)?;
    timeout(DEADLINE, prepare_locked(&admin, migrator_password, databases))
        .await
        .map_err(|_late| ClusterError::Deadline)?
}

/// Brings the database behind `owner_url` (login `mc_migrate`) up to date and answers how many
/// migrations were applied. Everything they make belongs to `mc_owner`, whom nobody logs in as.
///
/// # Errors
/// When the login cannot connect, or a migration fails or was changed after it was applied.
pub async fn migrate(owner_url: &str, migrator: &Migrator) -> Result<usize, ClusterError> {
    let owner: PgConnectOptions = owner_url.parse().map_err(ClusterError::Url)?;
    timeout(DEADLINE, async {
        let mut connection = connect(&owner, "connect as the migrating login").await?;
        execute(&mut connection, "become mc_owner", "SET ROLE mc_owner").await?;
        connection.ensure_migrations_table(&migrator.table_name).await?;
        let before = connection.list_applied_migrations(&migrator.table_name).await?.len();
        migrator.run_direct(None, &mut connection, false).await?;
        let after = connection.list_applied_migrations(&migrator.table_name).await?.len();
        connection.close().await.map_err(|source| step("close the connection", source))?;
        Ok(after - before)
    })
    .await
    .map_err(|_late| ClusterError::Deadline)?
}

async fn prepare_locked(
    admin: &PgConnectOptions,
    migrator_password: &str,
    databases: &[ServiceDatabase],
) -> Result<(), ClusterError> {
    let mut cluster = connect(admin, "connect as superuser").await?;
    sqlx::query("SELECT pg_advisory_lock($1)")
        .bind(ADVISORY_LOCK)
        .execute(&mut cluster)
        .await
        .map_err(|source| step("take the lock of the cluster", source))?;

    execute(&mut cluster, "make the roles", ROLES).await?;
    password(&mut cluster, "mc_migrate", migrator_password).await?;
    for database in databases {
        let name = format!("mc_{}", database.service);
        login(&mut cluster, &name).await?;
        password(&mut cluster, &name, &database.password).await?;
        if !exists(&mut cluster, &name).await? {
            // The name was checked above: one lower-case word.
            let create = format!("CREATE DATABASE {name} OWNER mc_owner TEMPLATE template0 ENCODING 'UTF8'");
            execute_built(&mut cluster, &format!("make database {name}"), create).await?;
        }
        let settings = format!(
            "ALTER DATABASE {name} OWNER TO mc_owner;
             REVOKE ALL ON DATABASE {name} FROM PUBLIC;
             GRANT CONNECT ON DATABASE {name} TO {name};
             GRANT CONNECT, CREATE, TEMPORARY ON DATABASE {name} TO mc_migrate;
             ALTER ROLE {name} IN DATABASE {name} SET search_path = {schema}, app, public",
            schema = database.service
        );
        execute_built(&mut cluster, &format!("set up database {name}"), settings).await?;

        let mut inside = connect(&admin.clone().database(&name), &format!("connect to {name}")).await?;
        execute(&mut inside, "install the extensions", EXTENSIONS).await?;
        inside.close().await.map_err(|source| step("close the connection", source))?;
    }
    // Closing the session releases the lock.
    cluster.close().await.map_err(|source| step("close the connection", source))
}

/// The roles of `SET ROLE`; the owner; the login of migrations.
const ROLES: &str = "
DO $$
DECLARE name text;
BEGIN
  FOREACH name IN ARRAY ARRAY['mc_owner', 'mc_anon', 'mc_user', 'mc_admin', 'mc_service', 'mc_migrate'] LOOP
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) THEN
      EXECUTE format('CREATE ROLE %I NOLOGIN', name);
    END IF;
  END LOOP;
END $$;
ALTER ROLE mc_migrate LOGIN NOINHERIT NOSUPERUSER NOBYPASSRLS;
GRANT mc_owner TO mc_migrate;
";

/// What the schemas use. `public` belongs to the owner of the database, hence to `mc_owner`.
const EXTENSIONS: &str = "
CREATE EXTENSION IF NOT EXISTS unaccent;
CREATE EXTENSION IF NOT EXISTS pg_trgm;
CREATE EXTENSION IF NOT EXISTS citext;
CREATE EXTENSION IF NOT EXISTS btree_gist;
";

/// A login that has no right of its own (NOINHERIT): before `SET ROLE` it may read nothing.
///
/// Its limits hold for every session: a statement, a lock and an idle transaction end by themselves,
/// and the server notices within a second that a client has gone.
async fn login(cluster: &mut PgConnection, name: &str) -> Result<(), ClusterError> {
    let found: bool = sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)")
        .bind(name)
        .fetch_one(&mut *cluster)
        .await
        .map_err(|source| step("look for the login", source))?;
    let create = if found { String::new() } else { format!("CREATE ROLE {name} LOGIN NOINHERIT;") };
    let sql = format!(
        "{create}
         ALTER ROLE {name} LOGIN NOINHERIT NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE;
         GRANT mc_anon, mc_user, mc_admin, mc_service TO {name};
         ALTER ROLE {name} SET statement_timeout = '2s';
         ALTER ROLE {name} SET lock_timeout = '500ms';
         ALTER ROLE {name} SET idle_in_transaction_session_timeout = '3s';
         ALTER ROLE {name} SET client_connection_check_interval = '1s';
         ALTER ROLE {name} SET tcp_user_timeout = '5s'"
    );
    execute_built(cluster, &format!("make login {name}"), sql).await
}

/// Sets a password. The server quotes it: utility statements take no parameters.
async fn password(cluster: &mut PgConnection, role: &str, password: &str) -> Result<(), ClusterError> {
    let sql: String = sqlx::query_scalar("SELECT format('ALTER ROLE %I PASSWORD %L', $1::text, $2::text)")
        .bind(role)
        .bind(password)
        .fetch_one(&mut *cluster)
        .await
        .map_err(|source| step("quote a password", source))?;
    execute_built(cluster, &format!("set the password of {role}"), sql).await
}

async fn exists(cluster: &mut PgConnection, database: &str) -> Result<bool, ClusterError> {
    sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)")
        .bind(database)
        .fetch_one(cluster)
        .await
        .map_err(|source| step("look for the database", source))
}

async fn connect(options: &PgConnectOptions, what: &str) -> Result<PgConnection, ClusterError> {
    options.clone().disable_statement_logging().connect().await.map_err(|source| step(what, source))
}

async fn execute(connection: &mut PgConnection, what: &str, sql: &'static str) -> Result<(), ClusterError> {
    sqlx::raw_sql(sql).execute(connection).await.map(drop).map_err(|source| step(what, source))
}

/// For text built from checked names and text quoted by the server only.
async fn execute_built(connection: &mut PgConnection, what: &str, sql: String) -> Result<(), ClusterError> {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await.map(drop).map_err(|source| step(what, source))
}

fn step(step: impl Into<String>, source: sqlx::Error) -> ClusterError {
    ClusterError::Step { step: step.into(), source }
}
