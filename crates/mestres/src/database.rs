//! Which service has which database, how one logs in there, and how all are brought up to date.

use std::str::FromStr as _;

use anyhow::Context as _;
use clap::ValueEnum;
use rls::cluster::{self, ServiceDatabase};
use sqlx::migrate::Migrator;
use sqlx::postgres::PgConnectOptions;

use crate::secrets::Secrets;

/// A service's own schema, in a database of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Schema {
    Catalog,
    CacheInvalidator,
    Accounts,
    Agenda,
    Notifications,
    Orders,
}

impl Schema {
    pub(crate) const ALL: [Self; 6] = [
        Self::Catalog,
        Self::CacheInvalidator,
        Self::Accounts,
        Self::Agenda,
        Self::Notifications,
        Self::Orders,
    ];

    /// The database and its login are called `mc_<word>`.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Catalog => "catalog",
            Self::CacheInvalidator => "invalidator",
            Self::Accounts => "accounts",
            Self::Agenda => "agenda",
            Self::Notifications => "notifications",
            Self::Orders => "orders",
        }
    }

    fn password(self, secrets: &Secrets) -> &str {
        match self {
            Self::Catalog => &secrets.catalog_password,
            Self::CacheInvalidator => &secrets.invalidator_password,
            Self::Accounts => &secrets.accounts_password,
            Self::Agenda => &secrets.agenda_password,
            Self::Notifications => &secrets.notifications_password,
            Self::Orders => &secrets.orders_password,
        }
    }

    fn migrator(self) -> &'static Migrator {
        match self {
            Self::Catalog => &catalog::MIGRATOR,
            Self::CacheInvalidator => &cache_invalidator::MIGRATOR,
            Self::Accounts => &accounts::MIGRATOR,
            Self::Agenda => &agenda::MIGRATOR,
            Self::Notifications => &notifications::MIGRATOR,
            Self::Orders => &orders::MIGRATOR,
        }
    }
}

/// Makes roles, logins and databases as the superuser of `admin_url`. Repeating it changes nothing.
pub(crate) async fn prepare(admin_url: &str, secrets: &Secrets) -> anyhow::Result<()> {
    let databases = Schema::ALL.map(|schema| ServiceDatabase {
        service: schema.word(),
        password: schema.password(secrets).to_owned(),
    });
    cluster::prepare(admin_url, &secrets.migrate_password, &databases)
        .await
        .context("cannot prepare the database server")
}

/// Applies what is missing in each schema's database and answers how many migrations that were. `owner_url` is
/// that of `mc_migrate`, whatever database it names.
pub(crate) async fn migrate(owner_url: &str, schemas: &[Schema]) -> anyhow::Result<usize> {
    let each = schemas.iter().map(|schema| async move {
        let url = with_database(owner_url, &format!("mc_{}", schema.word()))?;
        cluster::migrate(&url, schema.migrator())
            .await
            .with_context(|| format!("cannot migrate the database mc_{}", schema.word()))
    });
    let applied = futures_util::future::try_join_all(each).await?;
    Ok(applied.iter().sum())
}

/// Declares the streams of mutations and purges; repeating it changes nothing.
pub(crate) async fn declare_streams(nats_url: &str) -> anyhow::Result<()> {
    let client = bootstrap::nats::connect(nats_url, "mestres").await.context("cannot connect to NATS")?;
    let streams = async_nats::jetstream::new(client.clone());
    events::streams::declare(&streams, 1).await.context("cannot declare the stream of mutations")?;
    tag_cache::log::declare(&streams, 1).await.context("cannot declare the stream of purges")?;
    Ok(())
}

/// The URL by which the schema's service logs in.
pub(crate) fn login_url(admin_url: &str, schema: Schema, secrets: &Secrets) -> anyhow::Result<String> {
    let name = format!("mc_{}", schema.word());
    url(admin_url, &name, schema.password(secrets), &name)
}

/// The URL by which migrations log in; each replaces the database by its own.
pub(crate) fn owner_url(admin_url: &str, secrets: &Secrets) -> anyhow::Result<String> {
    url(admin_url, "mc_migrate", &secrets.migrate_password, "mc_catalog")
}

/// Same server, another login. Our passwords are hex digits and need no escaping.
fn url(admin_url: &str, login: &str, password: &str, database: &str) -> anyhow::Result<String> {
    let server = PgConnectOptions::from_str(admin_url).context("the superuser's URL cannot be read")?;
    let host = server.get_host();
    let host =
        if host.contains(':') && !host.starts_with('[') { format!("[{host}]") } else { host.to_owned() };
    Ok(format!("postgres://{login}:{password}@{host}:{}/{database}", server.get_port()))
}

/// The same login, another database.
fn with_database(url: &str, database: &str) -> anyhow::Result<String> {
    let (before_query, query) = url.split_once('?').map_or((url, None), |(url, query)| (url, Some(query)));
    let (scheme, rest) = before_query.split_once("://").context("the database URL has no scheme")?;
    let authority = rest.split('/').next().unwrap_or(rest);
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    Ok(format!("{scheme}://{authority}/{database}{query}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_login_goes_to_its_own_database_on_the_same_server() {
        let secrets = Secrets {
            catalog_password: "c0".to_owned(),
            invalidator_password: "i0".to_owned(),
            ..Secrets::default()
        };
        let admin = "postgres://postgres:root@127.0.0.1:55432/postgres";
        let invalidator = login_url(admin, Schema::CacheInvalidator, &secrets).unwrap();
        assert_eq!(invalidator, "postgres://mc_invalidator:i0@127.0.0.1:55432/mc_invalidator");

        let ipv6 = login_url("postgres://postgres@[::1]/postgres", Schema::Catalog, &secrets).unwrap();
        assert_eq!(ipv6, "postgres://mc_catalog:c0@[::1]:5432/mc_catalog");
    }

    #[test]
    fn another_database_keeps_the_rest_of_the_url() {
        let check = |url, expected| assert_eq!(with_database(url, "mc_catalog").unwrap(), expected);
        check("postgres://a:b@host:1/x", "postgres://a:b@host:1/mc_catalog");
        check("postgres://a:b@host", "postgres://a:b@host/mc_catalog");
        check("postgres://a@host/x?sslmode=require", "postgres://a@host/mc_catalog?sslmode=require");
    }
}
