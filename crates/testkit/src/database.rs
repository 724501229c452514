//! A database per test, cloned from a template that is migrated once per run.

use std::sync::LazyLock;
use std::sync::mpsc::{SyncSender, sync_channel};

use anyhow::Context as _;
use rls::cluster::{ServiceDatabase, migrate, prepare};
use sha2::{Digest as _, Sha256};
use sqlx::migrate::Migrator;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use uuid::Uuid;

use crate::shared_postgres::{SharedPostgres, postgres};

/// Held while a template is made; any constant that nobody else uses.
const TEMPLATE_LOCK: i64 = 0x6d63_7465_6d70_6c74;
/// The shared server asks for none, but the logins must have one.
const PASSWORD: &str = "test";
/// Databases waiting to be dropped; beyond that they stay until the run is over and the server goes.
const DROPS_WAITING: usize = 1024;

/// A migrated database of one's own on the shared server, dropped with this value.
#[derive(Debug)]
pub struct TestDatabase {
    /// Its name.
    pub name: String,
    /// For the service's login, as in production.
    pub url: String,
    /// For `mc_migrate`, who may become the owner of the tables.
    pub owner_url: String,
    /// For the superuser, whom no policy stops.
    pub admin_url: String,
}

/// A database for `service` with the migrations of `migrator`, and with the service's login, grants and
/// settings.
///
/// The first call of a run for these migrations makes the template: `mc_<service>` on the shared server is its
/// workbench and belongs to this function.
///
/// # Panics
/// When there is no PostgreSQL, or a migration fails.
pub async fn database(service: &'static str, migrator: &Migrator) -> TestDatabase {
    let shared = postgres().await;
    clone_of_template(shared, service, migrator)
        .await
        .unwrap_or_else(|error| panic!("no test database for {service}: {error:#}"))
}

impl TestDatabase {
    /// A new connection as superuser, to look behind the service's back.
    ///
    /// # Panics
    /// When it cannot be opened.
    pub async fn admin(&self) -> PgConnection {
        PgConnection::connect(&self.admin_url).await.expect("cannot connect as superuser")
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        // In the background: it takes longer than many tests do, and whatever is left goes with the server.
        let _ = DROPPER.try_send(self.name.clone());
    }
}

async fn clone_of_template(
    shared: &SharedPostgres,
    service: &'static str,
    migrator: &Migrator,
) -> anyhow::Result<TestDatabase> {
    let mut admin = PgConnection::connect(&shared.admin_url).await.context("cannot connect as superuser")?;
    let template = template_name(service, migrator);
    if !exists(&mut admin, &template).await? {
        make_template(shared, &mut admin, &template, service, migrator).await?;
    }

    let name = format!("t_{service}_{}", Uuid::now_v7().simple());
    // Both names are made of the service's name and digits. Copying files is faster than logging every page.
    let clone = format!("CREATE DATABASE {name} OWNER mc_owner TEMPLATE {template} STRATEGY file_copy");
    sqlx::raw_sql(AssertSqlSafe(clone)).execute(&mut admin).await.context("cannot clone the template")?;
    // The grants and settings of a database are not cloned with it.
    let settings = format!(
        "UPDATE pg_database SET datacl = (SELECT datacl FROM pg_database WHERE datname = '{template}')
         WHERE datname = '{name}';
         INSERT INTO pg_db_role_setting (setdatabase, setrole, setconfig)
         SELECT clone.oid, setting.setrole, setting.setconfig
         FROM pg_db_role_setting setting
         JOIN pg_database template ON template.oid = setting.setdatabase AND template.datname = '{template}'
         JOIN pg_database clone ON clone.datname = '{name}'"
    );
    sqlx::raw_sql(AssertSqlSafe(settings)).execute(&mut admin).await.context("cannot copy the settings")?;
    admin.close().await?;

    Ok(TestDatabase {
        url: shared.url_of(&format!("mc_{service}"), PASSWORD, &name),
        owner_url: shared.url_of("mc_migrate", PASSWORD, &name),
        admin_url: shared.admin_url_of(&name),
        name,
    })
}

/// Names the template after all that goes into it, so that other migrations have another one.
fn template_name(service: &str, migrator: &Migrator) -> String {
    let mut digest = Sha256::new();
    for migration in migrator.iter() {
        digest.update(migration.version.to_be_bytes());
        digest.update(&migration.checksum);
    }
    let digest: String = digest.finalize()[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    format!("tpl_{service}_{digest}")
}

/// Makes the database as production does, by the bootstrap of the cluster and a migration, then sets it aside.
async fn make_template(
    shared: &SharedPostgres,
    admin: &mut PgConnection,
    template: &str,
    service: &'static str,
    migrator: &Migrator,
) -> anyhow::Result<()> {
    sqlx::query("SELECT pg_advisory_lock($1)").bind(TEMPLATE_LOCK).execute(&mut *admin).await?;
    if !exists(admin, template).await? {
        let workbench = format!("mc_{service}");
        // What a killed process left.
        let clear = format!("DROP DATABASE IF EXISTS {workbench} WITH (FORCE)");
        sqlx::raw_sql(AssertSqlSafe(clear)).execute(&mut *admin).await?;

        let database = ServiceDatabase { service, password: PASSWORD.to_owned() };
        prepare(&shared.admin_url, PASSWORD, &[database]).await.context("cannot prepare the cluster")?;
        migrate(&shared.url_of("mc_migrate", PASSWORD, &workbench), migrator)
            .await
            .context("cannot migrate")?;

        let rename = format!("ALTER DATABASE {workbench} RENAME TO {template}");
        sqlx::raw_sql(AssertSqlSafe(rename)).execute(&mut *admin).await.context("cannot set it aside")?;
    }
    sqlx::query("SELECT pg_advisory_unlock($1)").bind(TEMPLATE_LOCK).execute(&mut *admin).await?;
    Ok(())
}

async fn exists(admin: &mut PgConnection, database: &str) -> anyhow::Result<bool> {
    sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)")
        .bind(database)
        .fetch_one(admin)
        .await
        .context("cannot look for the database")
}

/// Drops databases one after the other on a thread of its own: tests come and go with their runtimes.
static DROPPER: LazyLock<SyncSender<String>> = LazyLock::new(|| {
    let (sender, names) = sync_channel::<String>(DROPS_WAITING);
    let drop_all = move || -> anyhow::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let mut admin = PgConnection::connect(&postgres().await.admin_url).await?;
            for name in &names {
                let statement = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
                sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut admin).await?;
            }
            Ok(())
        })
    };
    // When it fails, the databases stay until the server goes.
    let _ = std::thread::Builder::new().name("drop-databases".to_owned()).spawn(drop_all);
    sender
});
