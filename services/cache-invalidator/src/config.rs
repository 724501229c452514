//! Every setting of the service; the only file that knows the name of a variable.

use std::net::SocketAddr;

use bootstrap::config::{self, ConfigError};

/// Services with an outbox.
const EVERY_RELAY: &str = "catalog,accounts,agenda,notifications,orders";

/// How an invalidator process is set up.
#[derive(Clone)]
pub struct Config {
    /// `MESTRES_DATABASE_URL`: the service's own login.
    pub database_url: String,
    /// `NATS_URL`: events in, purges out. Default `nats://127.0.0.1:4222`. May be away.
    pub nats_url: String,
    /// `REDIS_URL`: where the last purge of each tag is recorded. Nowhere when unset. May be away.
    pub redis_url: Option<String>,
    /// `MESTRES_RELAYS`: services with an outbox, separated by commas. Each must be heard for the caches
    /// to be trusted. Default all: catalog, accounts, agenda, notifications.
    pub relays: Vec<String>,
    /// `MESTRES_STREAM_REPLICAS`: copies of the purge log, should it have to be made. Default 1.
    pub stream_replicas: usize,
    /// `MESTRES_GRPC_ADDR`: health and reflection. Default `127.0.0.1:50053`; port 0 takes a free one.
    pub grpc_addr: SocketAddr,
    /// `MESTRES_INTERNAL_HTTP_ADDR`: metrics and health. Default `127.0.0.1:9003`.
    pub internal_http_addr: SocketAddr,
}

impl Config {
    /// Reads the settings from the environment.
    ///
    /// # Errors
    /// When a variable is missing or makes no sense; the error names it.
    pub fn from_env() -> Result<Self, ConfigError> {
        const RELAYS: &str = "MESTRES_RELAYS";
        let services = config::optional(RELAYS).unwrap_or_else(|| EVERY_RELAY.to_owned());
        let relays = relays(&services).ok_or_else(|| {
            ConfigError::invalid(RELAYS, &services, "names of services, separated by commas")
        })?;
        Ok(Self {
            database_url: config::required("MESTRES_DATABASE_URL")?,
            nats_url: config::optional("NATS_URL").unwrap_or_else(|| "nats://127.0.0.1:4222".to_owned()),
            redis_url: config::optional("REDIS_URL"),
            relays,
            stream_replicas: config::parsed_within("MESTRES_STREAM_REPLICAS", 1, 1..=5)?,
            grpc_addr: config::parsed("MESTRES_GRPC_ADDR", SocketAddr::from(([127, 0, 0, 1], 50053)))?,
            internal_http_addr: config::parsed(
                "MESTRES_INTERNAL_HTTP_ADDR",
                SocketAddr::from(([127, 0, 0, 1], 9003)),
            )?,
        })
    }
}

/// The URLs hold passwords.
impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Config")
            .field("relays", &self.relays)
            .field("grpc_addr", &self.grpc_addr)
            .field("internal_http_addr", &self.internal_http_addr)
            .finish_non_exhaustive()
    }
}

/// Each name becomes a token of a NATS subject.
fn relays(text: &str) -> Option<Vec<String>> {
    let names: Vec<String> = text.split(',').map(|name| name.trim().to_owned()).collect();
    let word = |name: &String| {
        !name.is_empty()
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    names.iter().all(word).then_some(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relays_are_a_list_of_names() {
        assert_eq!(relays("catalog"), Some(vec!["catalog".to_owned()]));
        assert_eq!(relays("catalog, orders"), Some(vec!["catalog".to_owned(), "orders".to_owned()]));
        for wrong in ["", "catalog,", "cata log", "*", "hb.relay"] {
            assert_eq!(relays(wrong), None, "{wrong}");
        }
    }
}
