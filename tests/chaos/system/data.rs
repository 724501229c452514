//! The databases, their schemas, and what is in them before a run.

use anyhow::{Context as _, Result};
use rls::cluster::{self, ServiceDatabase};
use sqlx::migrate::Migrator;
use sqlx::{Connection as _, PgConnection};

use super::Part;
use super::servers::Servers;

pub(super) const PASSWORD: &str = "chaos";
/// Products in the catalog.
const PRODUCTS: usize = 40;
/// Customers of the load, by id from 2 on; 1 is an admin.
pub(crate) const CUSTOMERS: i64 = 400;

/// A service's database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Database {
    Accounts,
    Agenda,
    Catalog,
    Invalidator,
    Notifications,
    Orders,
}

impl Database {
    pub(crate) const ALL: [Self; 6] =
        [Self::Accounts, Self::Agenda, Self::Catalog, Self::Invalidator, Self::Notifications, Self::Orders];

    pub(super) fn of(part: Part) -> Option<Self> {
        match part {
            Part::Accounts => Some(Self::Accounts),
            Part::Agenda => Some(Self::Agenda),
            Part::Catalog => Some(Self::Catalog),
            Part::Invalidator => Some(Self::Invalidator),
            Part::Notifications => Some(Self::Notifications),
            Part::Orders => Some(Self::Orders),
            Part::Gateway0 | Part::Gateway1 | Part::Metrics | Part::Provider => None,
        }
    }

    /// The service's name, which is also its schema's.
    pub(crate) fn schema(self) -> &'static str {
        match self {
            Self::Accounts => "accounts",
            Self::Agenda => "agenda",
            Self::Catalog => "catalog",
            Self::Invalidator => "invalidator",
            Self::Notifications => "notifications",
            Self::Orders => "orders",
        }
    }

    /// The name of database and login.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Accounts => "mc_accounts",
            Self::Agenda => "mc_agenda",
            Self::Catalog => "mc_catalog",
            Self::Invalidator => "mc_invalidator",
            Self::Notifications => "mc_notifications",
            Self::Orders => "mc_orders",
        }
    }

    /// The schema of this version.
    pub(crate) fn migrator(self) -> &'static Migrator {
        match self {
            Self::Accounts => &accounts::MIGRATOR,
            Self::Agenda => &agenda::MIGRATOR,
            Self::Catalog => &catalog::MIGRATOR,
            Self::Invalidator => &cache_invalidator::MIGRATOR,
            Self::Notifications => &notifications::MIGRATOR,
            Self::Orders => &orders::MIGRATOR,
        }
    }
}

/// Makes the databases and fills them with people, products and stock.
pub(super) async fn prepare(servers: &Servers) -> Result<()> {
    let admin_url = servers.postgres.admin_url();
    let databases = Database::ALL
        .map(|database| ServiceDatabase { service: database.schema(), password: PASSWORD.to_owned() });
    cluster::prepare(&admin_url, PASSWORD, &databases).await.context("cannot prepare the databases")?;
    let port = servers.postgres.port();
    for database in Database::ALL {
        let owner = format!("postgres://mc_migrate:{PASSWORD}@127.0.0.1:{port}/{}", database.name());
        cluster::migrate(&owner, database.migrator())
            .await
            .with_context(|| format!("cannot migrate {}", database.schema()))?;
    }
    catalog::seed::load(&login_url(servers, Database::Catalog), PRODUCTS, |_| {}).await?;
    people(&mut admin(servers, Database::Accounts).await?).await?;
    stock(&mut admin(servers, Database::Catalog).await?, &mut admin(servers, Database::Orders).await?).await
}

/// The URL of the service's own login.
pub(super) fn login_url(servers: &Servers, database: Database) -> String {
    let name = database.name();
    format!("postgres://{name}:{PASSWORD}@127.0.0.1:{}/{name}", servers.postgres.port())
}

/// A connection as superuser.
pub(super) async fn admin(servers: &Servers, database: Database) -> Result<PgConnection> {
    let url = format!("postgres://postgres@127.0.0.1:{}/{}", servers.postgres.port(), database.name());
    PgConnection::connect(&url).await.with_context(|| format!("cannot look into {}", database.name()))
}

async fn people(accounts: &mut PgConnection) -> Result<()> {
    sqlx::query(
        "INSERT INTO accounts.users (id, email, name, role, email_verified_at)
         SELECT id, 'user-' || id || '@mestrescafe.dev', 'Pessoa ' || id,
                CASE id WHEN 1 THEN 'admin' ELSE 'customer' END, now()
           FROM generate_series(1::bigint, $1) AS id",
    )
    .bind(CUSTOMERS + 1)
    .execute(&mut *accounts)
    .await?;
    // Those who register get ids of their own.
    sqlx::query("SELECT setval(pg_get_serial_sequence('accounts.users', 'id'), $1)")
        .bind(CUSTOMERS + 1)
        .execute(accounts)
        .await?;
    Ok(())
}

/// Some variants are few, so that they run out while a run goes on.
async fn stock(catalog: &mut PgConnection, orders: &mut PgConnection) -> Result<()> {
    let variants: Vec<(i64, i64)> =
        sqlx::query_as("SELECT id, product_id FROM catalog.variants ORDER BY id").fetch_all(catalog).await?;
    let (ids, products): (Vec<i64>, Vec<i64>) = variants.into_iter().unzip();
    sqlx::query(
        "INSERT INTO orders.stock_levels (variant_id, product_id, on_hand)
         SELECT v, p, 20 + (v % 7) * 80 FROM unnest($1::bigint[], $2::bigint[]) AS u (v, p)",
    )
    .bind(ids)
    .bind(products)
    .execute(orders)
    .await?;
    Ok(())
}
