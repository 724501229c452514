//! Every setting of the service; the only file that knows the name of a variable.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use bootstrap::config::{self, ConfigError};

/// How a catalog process is set up.
#[derive(Clone)]
pub struct Config {
    /// `MESTRES_DATABASE_URL`: the service's own login, whom every policy binds.
    pub database_url: String,
    /// `MESTRES_DATABASE_POOL_SIZE`: connections of this process, 4 to 100. Default 8: right for two cores.
    pub database_pool_size: u32,
    /// `NATS_URL`: where events are published. Default `nats://127.0.0.1:4222`. May be away.
    pub nats_url: String,
    /// `MESTRES_STREAM_REPLICAS`: copies of the event stream, should it have to be made again. Default 1.
    pub stream_replicas: usize,
    /// `MESTRES_GRPC_ADDR`: where calls are answered. Default `127.0.0.1:50051`; port 0 takes a free one.
    pub grpc_addr: SocketAddr,
    /// `MESTRES_INTERNAL_HTTP_ADDR`: metrics and health. Default `127.0.0.1:9001`.
    pub internal_http_addr: SocketAddr,
    /// `MESTRES_ASSERTION_JWKS_FILE`: the public keys of the services that state who is calling.
    pub assertion_jwks_file: PathBuf,
    /// `MESTRES_METRICS_URL`: where timings are reported. Nowhere when unset.
    pub metrics_url: Option<String>,
    /// `MESTRES_INSTANCE`: this process among those of the service. Default host name and process id.
    pub instance: String,
    /// `MESTRES_TOKEN_KEY`: 64 hexadecimal digits, the same in all processes; signs cursors.
    pub token_key: [u8; 32],
    /// How often sales are counted into the popularity of products. Not a variable: tests count more often.
    pub count_sales_every: Duration,
}

impl Config {
    /// Reads the settings from the environment.
    ///
    /// # Errors
    /// When a variable is missing or makes no sense; the error names it.
    pub fn from_env() -> Result<Self, ConfigError> {
        const TOKEN_KEY: &str = "MESTRES_TOKEN_KEY";
        Ok(Self {
            database_url: config::required("MESTRES_DATABASE_URL")?,
            database_pool_size: config::parsed_within("MESTRES_DATABASE_POOL_SIZE", 8, 4..=100)?,
            nats_url: config::optional("NATS_URL").unwrap_or_else(|| "nats://127.0.0.1:4222".to_owned()),
            stream_replicas: config::parsed_within("MESTRES_STREAM_REPLICAS", 1, 1..=5)?,
            grpc_addr: config::parsed("MESTRES_GRPC_ADDR", SocketAddr::from(([127, 0, 0, 1], 50051)))?,
            internal_http_addr: config::parsed(
                "MESTRES_INTERNAL_HTTP_ADDR",
                SocketAddr::from(([127, 0, 0, 1], 9001)),
            )?,
            assertion_jwks_file: config::required("MESTRES_ASSERTION_JWKS_FILE")?.into(),
            metrics_url: config::optional("MESTRES_METRICS_URL"),
            instance: config::instance(),
            token_key: key(&config::required(TOKEN_KEY)?)
                .ok_or_else(|| ConfigError::invalid_secret(TOKEN_KEY, "64 hexadecimal digits"))?,
            count_sales_every: Duration::from_secs(60),
        })
    }
}

/// Neither the database's password nor the key belongs into a log.
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

fn key(hex: &str) -> Option<[u8; 32]> {
    if hex.len() != 64 {
        return None;
    }
    let mut key = [0; 32];
    for (index, byte) in key.iter_mut().enumerate() {
        *byte = u8::from_str_radix(hex.get(2 * index..2 * index + 2)?, 16).ok()?;
    }
    Some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_64_hexadecimal_digits() {
        assert_eq!(key(&"0a".repeat(32)), Some([10; 32]));
        for wrong in ["", "0a", &"0a".repeat(33), &"0g".repeat(32), &"é".repeat(32)] {
            assert_eq!(key(wrong), None, "{wrong}");
        }
    }
}
