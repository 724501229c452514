//! Every setting of the service; the only file that knows the name of a variable.

use std::net::SocketAddr;
use std::path::PathBuf;

use bootstrap::config::{self, ConfigError};

pub use crate::roles::StaffTotp;

const SECRET_KEY: &str = "MESTRES_SECRET_KEY";
const PREVIOUS_SECRET_KEY: &str = "MESTRES_SECRET_KEY_PREVIOUS";
const STAFF_TOTP: &str = "MESTRES_STAFF_TOTP";
const PUBLIC_URL: &str = "MESTRES_PUBLIC_URL";

/// How an accounts process is set up.
#[derive(Clone)]
pub struct Config {
    /// `MESTRES_DATABASE_URL`: the service's own login, whom every policy binds.
    pub database_url: String,
    /// `MESTRES_DATABASE_POOL_SIZE`: connections of this process, 4 to 100. Default 8: right for two cores.
    pub database_pool_size: u32,
    /// `NATS_URL`: where events and revocations are published. Default `nats://127.0.0.1:4222`. May be away.
    pub nats_url: String,
    /// `MESTRES_STREAM_REPLICAS`: copies of the event stream, should it have to be made again. Default 1.
    pub stream_replicas: usize,
    /// `MESTRES_GRPC_ADDR`: where calls are answered. Default `127.0.0.1:50054`; port 0 takes a free one.
    pub grpc_addr: SocketAddr,
    /// `MESTRES_INTERNAL_HTTP_ADDR`: metrics and health. Default `127.0.0.1:9004`.
    pub internal_http_addr: SocketAddr,
    /// `MESTRES_ASSERTION_JWKS_FILE`: the public keys of the services that may call.
    pub assertion_jwks_file: PathBuf,
    /// `MESTRES_ASSERTION_KEY_FILE`: the key by which this service proves itself to others.
    pub assertion_key_file: PathBuf,
    /// `MESTRES_SIGNING_KEY_FILE`: the key that signs access tokens. Read again when it changes.
    pub signing_key_file: PathBuf,
    /// `MESTRES_JWT_ISSUER`: in whose name tokens are signed. Default `https://mestrescafe.dev`.
    pub jwt_issuer: String,
    /// `MESTRES_JWT_AUDIENCE`: whom tokens are for. Default `mestrescafe`.
    pub jwt_audience: String,
    /// `MESTRES_ENV` or `NODE_ENV`: production refuses a development issuer. Default development.
    pub environment: config::Environment,
    /// `MESTRES_METRICS_URL`: where timings are reported. Nowhere when unset.
    pub metrics_url: Option<String>,
    /// `MESTRES_INSTANCE`: this process among those of the service. Default host name and process id.
    pub instance: String,
    /// `MESTRES_SECRET_KEY`: 64 hexadecimal digits, the same in all processes of this service. What passwords
    /// are peppered with, tokens are derived from and second factors are sealed by.
    pub secret_key: [u8; 32],
    /// `MESTRES_SECRET_KEY_PREVIOUS`: the key before; what was made with it stays good.
    pub previous_secret_key: Option<[u8; 32]>,
    /// `MESTRES_PUBLIC_URL`: the shop's address in mails. Default `http://localhost:3000`.
    pub public_url: String,
    /// `MESTRES_STAFF_TOTP`: whether staff and admins need a second factor for more than a customer's rights.
    /// Default `required` in production, else `optional`.
    pub staff_totp: StaffTotp,
    /// `MESTRES_AGENDA_URL`: asked for what it knows about a user. Default `http://127.0.0.1:50055`.
    pub agenda_url: String,
    /// `MESTRES_NOTIFICATIONS_URL`: sends mails. Default `http://127.0.0.1:50056`.
    pub notifications_url: String,
    /// `MESTRES_ORDERS_URL`: asked for what it knows about a user. Default `http://127.0.0.1:50057`.
    pub orders_url: String,
}

impl Config {
    /// Reads the settings from the environment.
    ///
    /// # Errors
    /// When a variable is missing or makes no sense; the error names it.
    pub fn from_env() -> Result<Self, ConfigError> {
        let environment = config::Environment::read()?;
        let url = |name, default: &str| config::optional(name).unwrap_or_else(|| default.to_owned());
        Ok(Self {
            database_url: config::required("MESTRES_DATABASE_URL")?,
            database_pool_size: config::parsed_within("MESTRES_DATABASE_POOL_SIZE", 8, 4..=100)?,
            nats_url: url("NATS_URL", "nats://127.0.0.1:4222"),
            stream_replicas: config::parsed_within("MESTRES_STREAM_REPLICAS", 1, 1..=5)?,
            grpc_addr: config::parsed("MESTRES_GRPC_ADDR", SocketAddr::from(([127, 0, 0, 1], 50054)))?,
            internal_http_addr: config::parsed(
                "MESTRES_INTERNAL_HTTP_ADDR",
                SocketAddr::from(([127, 0, 0, 1], 9004)),
            )?,
            assertion_jwks_file: config::required("MESTRES_ASSERTION_JWKS_FILE")?.into(),
            assertion_key_file: config::required("MESTRES_ASSERTION_KEY_FILE")?.into(),
            signing_key_file: config::required("MESTRES_SIGNING_KEY_FILE")?.into(),
            jwt_issuer: url("MESTRES_JWT_ISSUER", "https://mestrescafe.dev"),
            jwt_audience: url("MESTRES_JWT_AUDIENCE", "mestrescafe"),
            environment,
            metrics_url: config::optional("MESTRES_METRICS_URL"),
            instance: config::instance(),
            secret_key: key(SECRET_KEY, &config::required(SECRET_KEY)?)?,
            previous_secret_key: config::optional(PREVIOUS_SECRET_KEY)
                .map(|hex| key(PREVIOUS_SECRET_KEY, &hex))
                .transpose()?,
            public_url: public_url(&url(PUBLIC_URL, "http://localhost:3000"))?,
            staff_totp: staff_totp(config::optional(STAFF_TOTP).as_deref(), environment)?,
            agenda_url: url("MESTRES_AGENDA_URL", "http://127.0.0.1:50055"),
            notifications_url: url("MESTRES_NOTIFICATIONS_URL", "http://127.0.0.1:50056"),
            orders_url: url("MESTRES_ORDERS_URL", "http://127.0.0.1:50057"),
        })
    }
}

/// Neither the database's password nor a key belongs into a log.
impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Config")
            .field("nats_url", &self.nats_url)
            .field("grpc_addr", &self.grpc_addr)
            .field("internal_http_addr", &self.internal_http_addr)
            .field("public_url", &self.public_url)
            .field("staff_totp", &self.staff_totp)
            .field("instance", &self.instance)
            .finish_non_exhaustive()
    }
}

fn staff_totp(word: Option<&str>, environment: config::Environment) -> Result<StaffTotp, ConfigError> {
    match (word, environment) {
        (Some("required"), _) | (None, config::Environment::Production) => Ok(StaffTotp::Required),
        (Some("optional"), _) | (None, config::Environment::Development) => Ok(StaffTotp::Optional),
        (Some(other), _) => Err(ConfigError::invalid(STAFF_TOTP, other, "`required` or `optional`")),
    }
}

/// Without the last slash, so that paths can follow.
fn public_url(url: &str) -> Result<String, ConfigError> {
    let plain = url.starts_with("http://") || url.starts_with("https://");
    if plain && !url.contains(['?', '#', ' ', '"', '<', '>']) {
        Ok(url.trim_end_matches('/').to_owned())
    } else {
        Err(ConfigError::invalid(PUBLIC_URL, url, "an address such as https://mestrescafe.com"))
    }
}

fn key(name: &'static str, hex: &str) -> Result<[u8; 32], ConfigError> {
    let wrong = || ConfigError::invalid_secret(name, "64 hexadecimal digits");
    if hex.len() != 64 || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(wrong());
    }
    let mut key = [0; 32];
    for (index, byte) in key.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&hex[2 * index..2 * index + 2], 16).map_err(|_not_hex| wrong())?;
    }
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_64_hexadecimal_digits_and_never_repeated() {
        assert_eq!(key(SECRET_KEY, &"0a".repeat(32)), Ok([10; 32]));
        for wrong in ["", "0a", &"0a".repeat(33), &"0g".repeat(32), &"é".repeat(32), &"+1".repeat(32)] {
            let error = key(SECRET_KEY, wrong).unwrap_err().to_string();
            assert!(error.starts_with(SECRET_KEY), "{error}");
            assert!(wrong.is_empty() || !error.contains(wrong), "{error}");
        }
    }

    #[test]
    fn staff_need_a_second_factor_in_production_unless_told_otherwise() {
        use config::Environment::{Development, Production};
        assert_eq!(staff_totp(None, Production), Ok(StaffTotp::Required));
        assert_eq!(staff_totp(None, Development), Ok(StaffTotp::Optional));
        assert_eq!(staff_totp(Some("optional"), Production), Ok(StaffTotp::Optional));
        assert_eq!(staff_totp(Some("required"), Development), Ok(StaffTotp::Required));
        assert!(staff_totp(Some("yes"), Production).is_err());
    }

    #[test]
    fn paths_follow_the_public_address() {
        assert_eq!(public_url("https://mestrescafe.com/").as_deref(), Ok("https://mestrescafe.com"));
        for wrong in ["mestrescafe.com", "javascript:alert(1)", "https://a?b", "http://a b"] {
            assert!(public_url(wrong).is_err(), "{wrong}");
        }
    }
}
