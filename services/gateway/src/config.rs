//! Every setting of the gateway. The only file here that names environment variables.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use bootstrap::config::{ConfigError, Environment, instance, optional, parsed, parsed_within, required};
use tag_cache::Enabled;

use crate::client_address::Networks;
use crate::cors::Origins;

/// Settings of one gateway process.
#[derive(Clone)]
pub struct Config {
    /// `MESTRES_ENV` or `NODE_ENV`: in production HSTS is sent and development keys are refused.
    pub environment: Environment,
    /// `MESTRES_HOST` and `PORT`: the public listener, by default 127.0.0.1:3000. Port 0 takes any.
    pub http_addr: SocketAddr,
    /// `MESTRES_INTERNAL_HTTP_ADDR`: metrics and probes, by default 127.0.0.1:9000.
    pub internal_addr: SocketAddr,
    /// `MESTRES_GATEWAY_WORKERS`: threads that serve, by default one per CPU.
    pub workers: usize,
    /// `MESTRES_IN_FLIGHT_MAX`: requests that each worker handles at once beyond cache hits, by default 512.
    pub in_flight_max: usize,
    /// `MESTRES_CATALOG_URL`: by default `http://127.0.0.1:50051`.
    pub catalog_url: String,
    /// `MESTRES_METRICS_URL`: by default `http://127.0.0.1:50052`.
    pub metrics_url: String,
    /// `MESTRES_ACCOUNTS_URL`: by default `http://127.0.0.1:50054`.
    pub accounts_url: String,
    /// `MESTRES_AGENDA_URL`: by default `http://127.0.0.1:50055`.
    pub agenda_url: String,
    /// `MESTRES_NOTIFICATIONS_URL`: by default `http://127.0.0.1:50056`.
    pub notifications_url: String,
    /// `MESTRES_ORDERS_URL`: by default `http://127.0.0.1:50057`.
    pub orders_url: String,
    /// `REDIS_URL`: the shared tier of the cache; none when unset.
    pub redis_url: Option<String>,
    /// `NATS_URL`: by default `nats://127.0.0.1:4222`.
    pub nats_url: String,
    /// `REDIS_CACHE_ENABLED`: `0` switches the whole cache off (S57, S60).
    pub cache: Enabled,
    /// `MESTRES_CACHE_BYTES_MAX`: answers kept in memory, by default 256 MiB.
    pub cache_bytes_max: u64,
    /// `MESTRES_WARM_USERS`: active users whose first pages are filled at boot (S84), by default 100.
    pub warm_users: u32,
    /// `MESTRES_TOKEN_KEY`: 64 hex digits, the same in every gateway; signs cache tokens.
    pub token_key: [u8; 32],
    /// `MESTRES_JWKS_FILE`: the keys that access tokens are verified with.
    pub jwks_file: PathBuf,
    /// `MESTRES_JWT_ISSUER`: by default `https://mestrescafe.dev`.
    pub jwt_issuer: String,
    /// `MESTRES_JWT_AUDIENCE`: by default `mestrescafe`.
    pub jwt_audience: String,
    /// `MESTRES_ASSERTION_KEY_FILE`: the Ed25519 key, PKCS8 PEM, that states callers to services.
    pub assertion_key_file: PathBuf,
    /// `MESTRES_ALLOWED_ORIGINS`: origins besides our own whose pages may read answers and act with cookies, by
    /// default none.
    pub allowed_origins: Origins,
    /// `MESTRES_INSTANCE`: this process among its siblings.
    pub instance: String,
    /// `MESTRES_TRUSTED_PROXIES`: networks whose `X-Forwarded-For` is believed, by default none.
    pub trusted_proxies: Networks,
    /// `MESTRES_LOAD_GENERATORS`: networks without rate limits, by default none. Never `0.0.0.0/0` in production.
    pub load_generators: Networks,
    /// `MESTRES_GATEWAY_REPLICAS`: gateways of the fleet, by default 1. While they cannot count together, each
    /// grants this part of every rate.
    pub gateway_replicas: u32,
}

impl Config {
    /// Reads the environment.
    ///
    /// # Errors
    /// Names the variable that is missing or cannot be used.
    pub fn from_env() -> Result<Self, ConfigError> {
        let host = parsed("MESTRES_HOST", IpAddr::from([127, 0, 0, 1]))?;
        let cpus = std::thread::available_parallelism().map_or(2, usize::from);
        let or = |name, default: &str| optional(name).unwrap_or_else(|| default.to_owned());
        Ok(Self {
            environment: Environment::read()?,
            http_addr: SocketAddr::new(host, parsed("PORT", 3000)?),
            internal_addr: parsed("MESTRES_INTERNAL_HTTP_ADDR", SocketAddr::from(([127, 0, 0, 1], 9000)))?,
            workers: parsed_within("MESTRES_GATEWAY_WORKERS", cpus.min(512), 1..=512)?,
            in_flight_max: parsed_within("MESTRES_IN_FLIGHT_MAX", 512, 1..=65_536)?,
            catalog_url: or("MESTRES_CATALOG_URL", "http://127.0.0.1:50051"),
            metrics_url: or("MESTRES_METRICS_URL", "http://127.0.0.1:50052"),
            accounts_url: or("MESTRES_ACCOUNTS_URL", "http://127.0.0.1:50054"),
            agenda_url: or("MESTRES_AGENDA_URL", "http://127.0.0.1:50055"),
            notifications_url: or("MESTRES_NOTIFICATIONS_URL", "http://127.0.0.1:50056"),
            orders_url: or("MESTRES_ORDERS_URL", "http://127.0.0.1:50057"),
            redis_url: optional("REDIS_URL"),
            nats_url: or("NATS_URL", "nats://127.0.0.1:4222"),
            cache: enabled(optional("REDIS_CACHE_ENABLED"))?,
            cache_bytes_max: parsed_within("MESTRES_CACHE_BYTES_MAX", 256 << 20, 1 << 20..=1 << 40)?,
            warm_users: parsed_within("MESTRES_WARM_USERS", 100, 0..=10_000)?,
            token_key: token_key(&required("MESTRES_TOKEN_KEY")?)?,
            jwks_file: PathBuf::from(required("MESTRES_JWKS_FILE")?),
            jwt_issuer: or("MESTRES_JWT_ISSUER", "https://mestrescafe.dev"),
            jwt_audience: or("MESTRES_JWT_AUDIENCE", "mestrescafe"),
            assertion_key_file: PathBuf::from(required("MESTRES_ASSERTION_KEY_FILE")?),
            allowed_origins: origins("MESTRES_ALLOWED_ORIGINS")?,
            instance: instance(),
            trusted_proxies: networks("MESTRES_TRUSTED_PROXIES")?,
            load_generators: networks("MESTRES_LOAD_GENERATORS")?,
            gateway_replicas: parsed_within("MESTRES_GATEWAY_REPLICAS", 1, 1..=1_000)?,
        })
    }
}

fn enabled(value: Option<String>) -> Result<Enabled, ConfigError> {
    let Some(value) = value else { return Ok(Enabled::Yes) };
    let parsed = Enabled::from_str(&value).ok();
    parsed.ok_or_else(|| ConfigError::invalid("REDIS_CACHE_ENABLED", value, "1 (on) or 0 (off)"))
}

fn origins(name: &'static str) -> Result<Origins, ConfigError> {
    let list = optional(name).unwrap_or_default();
    let expected = "origins separated by commas, such as https://shop.example,http://localhost:5173";
    list.parse().map_err(|_error| ConfigError::invalid(name, list, expected))
}

fn networks(name: &'static str) -> Result<Networks, ConfigError> {
    let list = optional(name).unwrap_or_default();
    let expected = "networks or addresses separated by commas, such as 10.0.0.0/8,::1";
    list.parse().map_err(|_error| ConfigError::invalid(name, list, expected))
}

fn token_key(hex: &str) -> Result<[u8; 32], ConfigError> {
    let wrong = || ConfigError::invalid_secret("MESTRES_TOKEN_KEY", "64 hex digits");
    if hex.len() != 64 || !hex.is_ascii() {
        return Err(wrong());
    }
    let mut key = [0; 32];
    for (byte, position) in key.iter_mut().zip((0..64).step_by(2)) {
        *byte = u8::from_str_radix(&hex[position..position + 2], 16).ok().ok_or_else(wrong)?;
    }
    Ok(key)
}

/// The token key and what addresses may contain of passwords are not shown.
impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Config")
            .field("environment", &self.environment)
            .field("http_addr", &self.http_addr)
            .field("internal_addr", &self.internal_addr)
            .field("workers", &self.workers)
            .field("catalog_url", &self.catalog_url)
            .field("metrics_url", &self.metrics_url)
            .field("accounts_url", &self.accounts_url)
            .field("agenda_url", &self.agenda_url)
            .field("notifications_url", &self.notifications_url)
            .field("orders_url", &self.orders_url)
            .field("cache", &self.cache)
            .field("instance", &self.instance)
            .finish_non_exhaustive()
    }
}
