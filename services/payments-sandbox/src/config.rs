//! Every setting of the sandbox; the only file that knows the name of a variable.

use std::net::SocketAddr;
use std::path::PathBuf;

use bootstrap::config::{self, ConfigError, Environment};

/// How a sandbox is set up.
#[derive(Clone)]
pub struct Config {
    /// `MESTRES_ENV`, else `NODE_ENV`: a sandbox refuses to run for customers.
    pub environment: Environment,
    /// `MESTRES_SANDBOX_ADDR`: where the provider and its control pages are. Default `127.0.0.1:9008`; port 0
    /// takes a free one.
    pub addr: SocketAddr,
    /// `MESTRES_SANDBOX_PUBLIC_URL`: how a browser reaches the sandbox's pages. Default the address itself.
    pub public_url: Option<String>,
    /// `MESTRES_SANDBOX_SECRET`: what callers of the provider show as bearer.
    pub secret: String,
    /// `MESTRES_SANDBOX_WEBHOOK_URL`: where events are sent. Nowhere when unset.
    pub webhook_url: Option<String>,
    /// `MESTRES_SANDBOX_WEBHOOK_SECRET`: what events are signed with.
    pub webhook_secret: String,
    /// `MESTRES_SANDBOX_STATE_FILE`: where everything is kept, so that a kill loses nothing. In memory only when
    /// unset.
    pub state_file: Option<PathBuf>,
}

impl Config {
    /// Reads the settings from the environment.
    ///
    /// # Errors
    /// When a variable is missing or makes no sense; the error names it.
    pub fn from_env() -> Result<Self, ConfigError> {
        Ok(Self {
            environment: Environment::read()?,
            addr: config::parsed("MESTRES_SANDBOX_ADDR", SocketAddr::from(([127, 0, 0, 1], 9008)))?,
            public_url: config::optional("MESTRES_SANDBOX_PUBLIC_URL"),
            secret: config::required("MESTRES_SANDBOX_SECRET")?,
            webhook_url: config::optional("MESTRES_SANDBOX_WEBHOOK_URL"),
            webhook_secret: config::required("MESTRES_SANDBOX_WEBHOOK_SECRET")?,
            state_file: config::optional("MESTRES_SANDBOX_STATE_FILE").map(PathBuf::from),
        })
    }

    /// For tests: a free port, nothing on disk, no webhooks until `webhook_url` is set.
    pub fn in_process(secret: &str, webhook_secret: &str) -> Self {
        Self {
            environment: Environment::Development,
            addr: SocketAddr::from(([127, 0, 0, 1], 0)),
            public_url: None,
            secret: secret.to_owned(),
            webhook_url: None,
            webhook_secret: webhook_secret.to_owned(),
            state_file: None,
        }
    }
}

/// Neither secret belongs into a log.
impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Config")
            .field("environment", &self.environment)
            .field("addr", &self.addr)
            .field("webhook_url", &self.webhook_url)
            .field("state_file", &self.state_file)
            .finish_non_exhaustive()
    }
}
