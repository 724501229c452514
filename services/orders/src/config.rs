//! Every setting of the service; the only file that knows the name of a variable.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use bootstrap::config::{self, ConfigError, Environment};

use crate::secret_key::SecretKey;

/// Where `payments-sandbox` listens unless told otherwise.
const SANDBOX_URL: &str = "http://127.0.0.1:9008";
/// The provider's public address.
const STRIPE_URL: &str = "https://api.stripe.com";

/// How an orders process is set up.
#[derive(Clone)]
pub struct Config {
    /// `MESTRES_DATABASE_URL`: the service's own login, whom every policy binds.
    pub database_url: String,
    /// `MESTRES_DATABASE_POOL_SIZE`: connections of this process, 4 to 100. Default 16: most of its calls write, and its workers do too.
    pub database_pool_size: u32,
    /// `NATS_URL`: where events are published and read. Default `nats://127.0.0.1:4222`. May be away.
    pub nats_url: String,
    /// `MESTRES_STREAM_REPLICAS`: copies of the event stream, should it have to be made again. Default 1.
    pub stream_replicas: usize,
    /// `MESTRES_GRPC_ADDR`: where calls are answered. Default `127.0.0.1:50057`; port 0 takes a free one.
    pub grpc_addr: SocketAddr,
    /// `MESTRES_INTERNAL_HTTP_ADDR`: metrics and health. Default `127.0.0.1:9007`.
    pub internal_http_addr: SocketAddr,
    /// `MESTRES_ASSERTION_JWKS_FILE`: the public keys of everybody who may assert a caller.
    pub assertion_jwks_file: PathBuf,
    /// `MESTRES_ASSERTION_KEY_FILE`: the key by which this service says who it is.
    pub assertion_key_file: PathBuf,
    /// `MESTRES_CATALOG_URL`: who knows prices. Default `http://127.0.0.1:50051`. May be away.
    pub catalog_url: String,
    /// `MESTRES_ENV` or `NODE_ENV`: production takes no money of a sandbox. Default development.
    pub environment: Environment,
    /// `MESTRES_SECRET_KEY`: 64 hexadecimal digits, the same in all processes; signs order tokens and quotes.
    pub secret_key: SecretKey,
    /// Who takes the money.
    pub payments: PaymentsConfig,
    /// `MESTRES_METRICS_URL`: where timings are reported. Nowhere when unset.
    pub metrics_url: Option<String>,
    /// `MESTRES_INSTANCE`: this process among those of the service. Default host name and process id.
    pub instance: String,
    /// How often carts past their time, and reservations past theirs, are looked for. Not a variable: tests look
    /// more often.
    pub sweep_every: Duration,
}

/// How the payment provider is reached.
#[derive(Clone)]
pub struct PaymentsConfig {
    /// `MESTRES_PAYMENTS_PROVIDER`: `stripe` or `sandbox`. Default `sandbox`, which production refuses.
    pub provider: Provider,
    /// `MESTRES_PAYMENTS_URL`: base address. Default the provider's own, or the sandbox of this machine.
    pub url: String,
    /// `MESTRES_PAYMENTS_SECRET`: the bearer by which the provider knows the shop.
    pub secret: String,
    /// `MESTRES_PAYMENTS_WEBHOOK_SECRETS`: by which the provider signs, newest first, separated by commas.
    pub webhook_secrets: Vec<String>,
    /// How often the provider's books are compared with ours. Not a variable: tests compare more often.
    pub compare_every: Duration,
}

/// Whose interface is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provider {
    /// Stripe itself.
    Stripe,
    /// Our stand-in for it, for development and tests.
    Sandbox,
}

impl Provider {
    /// The word that is stored with payments and named by the webhook's path.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stripe => "stripe",
            Self::Sandbox => "sandbox",
        }
    }
}

impl Config {
    /// Reads the settings from the environment.
    ///
    /// # Errors
    /// When a variable is missing or makes no sense; the error names it.
    pub fn from_env() -> Result<Self, ConfigError> {
        const SECRET_KEY: &str = "MESTRES_SECRET_KEY";
        let environment = Environment::read()?;
        let or = |name, default: &str| config::optional(name).unwrap_or_else(|| default.to_owned());
        Ok(Self {
            database_url: config::required("MESTRES_DATABASE_URL")?,
            database_pool_size: config::parsed_within("MESTRES_DATABASE_POOL_SIZE", 16, 4..=100)?,
            nats_url: or("NATS_URL", "nats://127.0.0.1:4222"),
            stream_replicas: config::parsed_within("MESTRES_STREAM_REPLICAS", 1, 1..=5)?,
            grpc_addr: config::parsed("MESTRES_GRPC_ADDR", SocketAddr::from(([127, 0, 0, 1], 50057)))?,
            internal_http_addr: config::parsed(
                "MESTRES_INTERNAL_HTTP_ADDR",
                SocketAddr::from(([127, 0, 0, 1], 9007)),
            )?,
            assertion_jwks_file: config::required("MESTRES_ASSERTION_JWKS_FILE")?.into(),
            assertion_key_file: config::required("MESTRES_ASSERTION_KEY_FILE")?.into(),
            catalog_url: or("MESTRES_CATALOG_URL", "http://127.0.0.1:50051"),
            environment,
            secret_key: SecretKey::parse(&config::required(SECRET_KEY)?)
                .ok_or_else(|| ConfigError::invalid_secret(SECRET_KEY, "64 hexadecimal digits"))?,
            payments: PaymentsConfig::from_env(environment)?,
            metrics_url: config::optional("MESTRES_METRICS_URL"),
            instance: config::instance(),
            sweep_every: Duration::from_secs(10),
        })
    }
}

impl PaymentsConfig {
    fn from_env(environment: Environment) -> Result<Self, ConfigError> {
        const WEBHOOK_SECRETS: &str = "MESTRES_PAYMENTS_WEBHOOK_SECRETS";
        let provider = provider(config::optional("MESTRES_PAYMENTS_PROVIDER").as_deref(), environment)?;
        let usual = match provider {
            Provider::Stripe => STRIPE_URL,
            Provider::Sandbox => SANDBOX_URL,
        };
        let url = address(
            config::optional("MESTRES_PAYMENTS_URL").unwrap_or_else(|| usual.to_owned()),
            environment,
        )?;
        let webhook_secrets = secrets(&config::required(WEBHOOK_SECRETS)?);
        if webhook_secrets.is_empty() {
            return Err(ConfigError::invalid_secret(WEBHOOK_SECRETS, "at least one secret"));
        }
        Ok(Self {
            provider,
            url: url.trim_end_matches('/').to_owned(),
            secret: config::required("MESTRES_PAYMENTS_SECRET")?,
            webhook_secrets,
            compare_every: Duration::from_secs(3_600),
        })
    }
}

/// Neither passwords nor keys belong into a log.
impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Config")
            .field("nats_url", &self.nats_url)
            .field("grpc_addr", &self.grpc_addr)
            .field("internal_http_addr", &self.internal_http_addr)
            .field("instance", &self.instance)
            .field("payments", &self.payments)
            .finish_non_exhaustive()
    }
}

/// The secrets stay out.
impl std::fmt::Debug for PaymentsConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PaymentsConfig")
            .field("provider", &self.provider)
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

/// Who takes the money; in production not our own stand-in.
fn provider(word: Option<&str>, environment: Environment) -> Result<Provider, ConfigError> {
    const NAME: &str = "MESTRES_PAYMENTS_PROVIDER";
    match (word, environment) {
        (Some("stripe"), _) => Ok(Provider::Stripe),
        (None | Some("sandbox"), Environment::Development) => Ok(Provider::Sandbox),
        (None | Some("sandbox"), Environment::Production) => {
            Err(ConfigError::invalid(NAME, "sandbox", "`stripe` in production"))
        }
        (Some(other), _) => Err(ConfigError::invalid(NAME, other, "`stripe` or `sandbox`")),
    }
}

/// Where the bearer is sent: in production never in the clear.
fn address(url: String, environment: Environment) -> Result<String, ConfigError> {
    let is_safe = url.starts_with("https://") || environment != Environment::Production;
    if is_safe {
        Ok(url)
    } else {
        Err(ConfigError::invalid("MESTRES_PAYMENTS_URL", &url, "an https:// address in production"))
    }
}

fn secrets(list: &str) -> Vec<String> {
    list.split(',').map(str::trim).filter(|secret| !secret.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn production_takes_no_money_of_the_sandbox() {
        let chosen = |word, environment| provider(word, environment).ok();
        assert_eq!(chosen(None, Environment::Development), Some(Provider::Sandbox));
        assert_eq!(chosen(Some("stripe"), Environment::Development), Some(Provider::Stripe));
        assert_eq!(chosen(Some("stripe"), Environment::Production), Some(Provider::Stripe));
        assert_eq!(chosen(None, Environment::Production), None);
        assert_eq!(chosen(Some("sandbox"), Environment::Production), None);
        assert_eq!(chosen(Some("paypal"), Environment::Development), None);
    }

    #[test]
    fn production_shows_its_secret_to_nobody_on_the_way() {
        let taken = |url: &str, environment| address(url.to_owned(), environment).is_ok();
        assert!(taken("https://api.stripe.com", Environment::Production));
        assert!(!taken("http://api.stripe.com", Environment::Production));
        assert!(taken("http://127.0.0.1:9008", Environment::Development));
    }

    #[test]
    fn webhook_secrets_are_a_list() {
        assert_eq!(secrets("whsec_new, whsec_old,"), ["whsec_new", "whsec_old"]);
        assert!(secrets(" , ").is_empty());
    }
}
