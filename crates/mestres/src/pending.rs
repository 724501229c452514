//! Stands in for the services that are being written.

use bootstrap::{Health, Shutdown, config, internal_http};

#[derive(Debug)]
pub(crate) struct Config;

impl Config {
    pub(crate) fn from_env() -> anyhow::Result<Self> {
        Ok(Self)
    }
}

#[derive(Debug)]
pub(crate) struct App(tokio::net::TcpListener);

impl App {
    pub(crate) async fn build(_: Config) -> anyhow::Result<Self> {
        let address = config::required("MESTRES_INTERNAL_HTTP_ADDR")?;
        Ok(Self(tokio::net::TcpListener::bind(address).await?))
    }

    pub(crate) async fn run(self, shutdown: Shutdown) -> anyhow::Result<()> {
        internal_http::serve(self.0, Health::new(), String::new, shutdown).await
    }
}

pub(crate) mod gateway {
    pub(crate) use super::{App, Config};
}
pub(crate) mod cache_invalidator {
    pub(crate) use super::{App, Config};
    pub(crate) static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate::Migrator::DEFAULT;
}
pub(crate) mod catalog {
    pub(crate) mod seed {
        pub(crate) const DEMO_PRODUCTS: usize = 0;
        pub(crate) struct Loaded {
            pub(crate) products: usize,
            pub(crate) categories: usize,
        }
        pub(crate) async fn load(_: &str, products: usize, _: impl FnMut(usize)) -> anyhow::Result<Loaded> {
            Ok(Loaded { products, categories: 0 })
        }
    }
}
