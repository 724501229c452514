//! Every setting of the service; the only file that knows the name of a variable.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use bootstrap::config::{self, ConfigError, Environment};

use crate::webhooks::{self, Reach};

const ALLOW_LOOPBACK: &str = "MESTRES_WEBHOOK_ALLOW_LOOPBACK";

/// How a notifications process is set up.
#[derive(Clone)]
pub struct Config {
    /// `MESTRES_DATABASE_URL`: the service's own login, whom every policy binds.
    pub database_url: String,
    /// `MESTRES_DATABASE_POOL_SIZE`: connections of this process, 4 to 100. Default 8: right for two cores.
    pub database_pool_size: u32,
    /// `NATS_URL`: where events come from and go to. Default `nats://127.0.0.1:4222`. May be away.
    pub nats_url: String,
    /// `MESTRES_STREAM_REPLICAS`: copies of the event stream, should it have to be made again. Default 1.
    pub stream_replicas: usize,
    /// `MESTRES_GRPC_ADDR`: where calls are answered. Default `127.0.0.1:50056`; port 0 takes a free one.
    pub grpc_addr: SocketAddr,
    /// `MESTRES_INTERNAL_HTTP_ADDR`: metrics, health and the development mailbox. Default `127.0.0.1:9006`.
    pub internal_http_addr: SocketAddr,
    /// `MESTRES_ASSERTION_JWKS_FILE`: the public keys of whoever asserts callers.
    pub assertion_jwks_file: PathBuf,
    /// `MESTRES_ASSERTION_KEY_FILE`: the key by which this service says who it is.
    pub assertion_key_file: PathBuf,
    /// `MESTRES_ACCOUNTS_URL`: who knows how to reach users. Default `http://127.0.0.1:50054`.
    pub accounts_url: String,
    /// `MESTRES_ORDERS_URL`: who knows what an order is and, of a guest's, whom to write to. Default
    /// `http://127.0.0.1:50057`.
    pub orders_url: String,
    /// `MESTRES_ENV` or `NODE_ENV`: production needs a mail server. Default development.
    pub environment: Environment,
    /// `MESTRES_METRICS_URL`: where timings are reported. Nowhere when unset.
    pub metrics_url: Option<String>,
    /// `MESTRES_INSTANCE`: this process among those of the service. Default host name and process id.
    pub instance: String,
    /// `MESTRES_SECRET_KEY`: 64 hexadecimal digits, the same in all processes; seals what is kept.
    pub secret_key: [u8; 32],
    /// `MESTRES_PUBLIC_URL`: the shop's address, as links in mails have it. Default `http://localhost:3000`.
    pub public_url: String,
    /// Mails.
    pub mail: MailConfig,
    /// Webhooks. `MESTRES_WEBHOOK_ALLOW_LOOPBACK=1` lets them reach this machine: for development and tests, refused
    /// in production. Clock and resolver are not variables.
    pub webhooks: webhooks::Settings,
    /// How often overfull feeds are looked for. Not a variable: tests look more often.
    pub sweep_every: Duration,
    /// How often followers are compared with the database, should a message have been lost. Not a variable.
    pub reconcile_every: Duration,
}

/// How mails leave.
#[derive(Clone)]
pub struct MailConfig {
    /// `MESTRES_SMTP_URL`: `smtp://`, `smtps://` or `smtp://…?tls=required`. Unset: the development mailbox.
    pub smtp_url: Option<String>,
    /// `MESTRES_MAIL_FROM`: the sender. Default `Mestres Café <nao-responda@mestrescafe.dev>`.
    pub from: String,
    /// Pause before the second attempt; each further one is four times as long. Not a variable.
    pub first_retry: Duration,
}

impl Config {
    /// Reads the settings from the environment.
    ///
    /// # Errors
    /// When a variable is missing or makes no sense; the error names it.
    pub fn from_env() -> Result<Self, ConfigError> {
        const SECRET_KEY: &str = "MESTRES_SECRET_KEY";
        let environment = Environment::read()?;
        let smtp_url = match environment {
            Environment::Production => Some(config::required("MESTRES_SMTP_URL")?),
            Environment::Development => config::optional("MESTRES_SMTP_URL"),
        };
        if environment == Environment::Production
            && let Some(url) = &smtp_url
            && !(url.starts_with("smtps://") || url.contains("tls=required"))
        {
            // Links in mails are as good as passwords.
            return Err(ConfigError::invalid_secret("MESTRES_SMTP_URL", "smtps://… or …?tls=required"));
        }
        let or = |name, default: &str| config::optional(name).unwrap_or_else(|| default.to_owned());
        Ok(Self {
            database_url: config::required("MESTRES_DATABASE_URL")?,
            database_pool_size: config::parsed_within("MESTRES_DATABASE_POOL_SIZE", 8, 4..=100)?,
            nats_url: or("NATS_URL", "nats://127.0.0.1:4222"),
            stream_replicas: config::parsed_within("MESTRES_STREAM_REPLICAS", 1, 1..=5)?,
            grpc_addr: config::parsed("MESTRES_GRPC_ADDR", SocketAddr::from(([127, 0, 0, 1], 50056)))?,
            internal_http_addr: config::parsed(
                "MESTRES_INTERNAL_HTTP_ADDR",
                SocketAddr::from(([127, 0, 0, 1], 9006)),
            )?,
            assertion_jwks_file: config::required("MESTRES_ASSERTION_JWKS_FILE")?.into(),
            assertion_key_file: config::required("MESTRES_ASSERTION_KEY_FILE")?.into(),
            accounts_url: or("MESTRES_ACCOUNTS_URL", "http://127.0.0.1:50054"),
            orders_url: or("MESTRES_ORDERS_URL", "http://127.0.0.1:50057"),
            environment,
            metrics_url: config::optional("MESTRES_METRICS_URL"),
            instance: config::instance(),
            secret_key: key(&config::required(SECRET_KEY)?)
                .ok_or_else(|| ConfigError::invalid_secret(SECRET_KEY, "64 hexadecimal digits"))?,
            public_url: or("MESTRES_PUBLIC_URL", "http://localhost:3000").trim_end_matches('/').to_owned(),
            mail: MailConfig {
                smtp_url,
                from: or("MESTRES_MAIL_FROM", "Mestres Café <nao-responda@mestrescafe.dev>"),
                first_retry: Duration::from_secs(15),
            },
            webhooks: webhooks::Settings {
                reach: webhook_reach(config::optional(ALLOW_LOOPBACK).as_deref(), environment)?,
                ..Default::default()
            },
            sweep_every: Duration::from_secs(600),
            reconcile_every: Duration::from_secs(10),
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
            .field("mail", &self.mail)
            .finish_non_exhaustive()
    }
}

/// The URL may hold a password.
impl std::fmt::Debug for MailConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MailConfig").field("from", &self.from).finish_non_exhaustive()
    }
}

/// How far webhooks go, by `MESTRES_WEBHOOK_ALLOW_LOOPBACK`: this machine is no customer's receiver.
fn webhook_reach(value: Option<&str>, environment: Environment) -> Result<Reach, ConfigError> {
    let refused = |value, expected| ConfigError::invalid(ALLOW_LOOPBACK, value, expected);
    match (value, environment) {
        (None | Some("0"), _) => Ok(Reach::Public),
        (Some("1"), Environment::Development) => Ok(Reach::PublicAndLoopback),
        (Some("1"), Environment::Production) => Err(refused("1", "nothing in production")),
        (Some(other), _) => Err(refused(other, "`0` or `1`")),
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

    #[test]
    fn webhooks_reach_this_machine_in_development_only() {
        let reach = |value, environment| webhook_reach(value, environment).ok();
        assert_eq!(reach(None, Environment::Development), Some(Reach::Public));
        assert_eq!(reach(Some("1"), Environment::Development), Some(Reach::PublicAndLoopback));
        assert_eq!(reach(Some("0"), Environment::Production), Some(Reach::Public));
        assert_eq!(reach(Some("1"), Environment::Production), None);
        assert_eq!(reach(Some("yes"), Environment::Development), None);
    }
}
