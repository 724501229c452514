//! Every setting of the service; the only file that knows the name of a variable.

use std::net::SocketAddr;
use std::path::PathBuf;

use bootstrap::config::{self, ConfigError};

/// How an agenda process is set up.
#[derive(Clone)]
pub struct Config {
    /// `MESTRES_DATABASE_URL`: the service's own login, whom every policy binds.
    pub database_url: String,
    /// `MESTRES_DATABASE_POOL_SIZE`: connections of this process, 4 to 100. Default 8: right for two cores.
    pub database_pool_size: u32,
    /// `NATS_URL`: where events are published and read. Default `nats://127.0.0.1:4222`. May be away.
    pub nats_url: String,
    /// `MESTRES_STREAM_REPLICAS`: copies of the event stream, should it have to be made again. Default 1.
    pub stream_replicas: usize,
    /// `MESTRES_GRPC_ADDR`: where calls are answered. Default `127.0.0.1:50055`; port 0 takes a free one.
    pub grpc_addr: SocketAddr,
    /// `MESTRES_INTERNAL_HTTP_ADDR`: metrics and health. Default `127.0.0.1:9005`.
    pub internal_http_addr: SocketAddr,
    /// `MESTRES_ASSERTION_JWKS_FILE`: the public keys of everybody who may assert a caller.
    pub assertion_jwks_file: PathBuf,
    /// `MESTRES_METRICS_URL`: where timings are reported. Nowhere when unset.
    pub metrics_url: Option<String>,
    /// `MESTRES_INSTANCE`: this process among those of the service. Default host name and process id.
    pub instance: String,
}

impl Config {
    /// Reads the settings from the environment.
    ///
    /// # Errors
    /// When a variable is missing or makes no sense; the error names it.
    pub fn from_env() -> Result<Self, ConfigError> {
        Ok(Self {
            database_url: config::required("MESTRES_DATABASE_URL")?,
            database_pool_size: config::parsed_within("MESTRES_DATABASE_POOL_SIZE", 8, 4..=100)?,
            nats_url: config::optional("NATS_URL").unwrap_or_else(|| "nats://127.0.0.1:4222".to_owned()),
            stream_replicas: config::parsed_within("MESTRES_STREAM_REPLICAS", 1, 1..=5)?,
            grpc_addr: config::parsed("MESTRES_GRPC_ADDR", SocketAddr::from(([127, 0, 0, 1], 50055)))?,
            internal_http_addr: config::parsed(
                "MESTRES_INTERNAL_HTTP_ADDR",
                SocketAddr::from(([127, 0, 0, 1], 9005)),
            )?,
            assertion_jwks_file: config::required("MESTRES_ASSERTION_JWKS_FILE")?.into(),
            metrics_url: config::optional("MESTRES_METRICS_URL"),
            instance: config::instance(),
        })
    }
}

/// The database's password does not belong into a log.
impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Config")
            .field("nats_url", &self.nats_url)
            .field("grpc_addr", &self.grpc_addr)
            .field("internal_http_addr", &self.internal_http_addr)
            .field("instance", &self.instance)
            .finish_non_exhaustive()
    }
}
