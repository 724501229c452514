//! Every setting of the service.

use std::net::SocketAddr;

use bootstrap::config::{self, ConfigError};

/// Settings of the metrics service.
#[derive(Clone, Debug)]
pub struct Config {
    /// `MESTRES_GRPC_ADDR`: where sources report and questions are asked. Default `127.0.0.1:50052`.
    pub grpc_addr: SocketAddr,
    /// `MESTRES_INTERNAL_HTTP_ADDR`: `/metrics` and health. Default `127.0.0.1:9002`.
    pub internal_addr: SocketAddr,
    /// `REDIS_URL`: where slots are stored for an hour.
    pub redis_url: String,
    /// `MESTRES_INSTANCE`: name of this process among its replicas. Default host name and process id.
    pub instance: String,
}

impl Config {
    /// Reads the environment.
    ///
    /// # Errors
    ///
    /// When `REDIS_URL` is missing or an address cannot be read.
    pub fn from_env() -> Result<Config, ConfigError> {
        Ok(Config {
            grpc_addr: config::parsed("MESTRES_GRPC_ADDR", SocketAddr::from(([127, 0, 0, 1], 50_052)))?,
            internal_addr: config::parsed(
                "MESTRES_INTERNAL_HTTP_ADDR",
                SocketAddr::from(([127, 0, 0, 1], 9_002)),
            )?,
            redis_url: config::required("REDIS_URL")?,
            instance: config::instance(),
        })
    }
}
