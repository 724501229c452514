//! What is connected to what.

use std::net::SocketAddr;

use anyhow::Context as _;
use bootstrap::Shutdown;
use bootstrap::config::Environment;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::journal::Journal;
use crate::sandbox::{Sandbox, now_ms};
use crate::webhooks::{self, Target};
use crate::world::World;
use crate::{connection, http};

/// A sandbox: bound, not serving yet.
pub struct App {
    sandbox: Sandbox,
    target: Option<Target>,
    client: reqwest::Client,
    listener: TcpListener,
    addr: SocketAddr,
}

impl App {
    /// Reads the state file, if there is one, and binds; afterwards the address is known.
    ///
    /// # Errors
    /// When the environment is production, or the state file or the address cannot be used.
    pub async fn build(config: Config) -> anyhow::Result<Self> {
        anyhow::ensure!(
            config.environment != Environment::Production,
            "the payments sandbox takes no real money and does not run in production"
        );
        let world = match config.state_file {
            None => World::default(),
            Some(path) => tokio::task::spawn_blocking(move || {
                let said = format!("cannot use the state file {}", path.display());
                Journal::open(path).and_then(|journal| World::remembered(journal, now_ms())).context(said)
            })
            .await
            .context("reading the state file panicked")??,
        };
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .context("cannot make an HTTP client")?;
        let listener = TcpListener::bind(config.addr)
            .await
            .with_context(|| format!("cannot listen for the payments sandbox on {}", config.addr))?;
        let addr = listener.local_addr()?;
        let public_url = config.public_url.unwrap_or_else(|| format!("http://{addr}"));
        let sandbox = Sandbox::new(config.secret, public_url.trim_end_matches('/').to_owned(), world);
        let target = config.webhook_url.map(|url| Target { url, secret: config.webhook_secret });
        Ok(Self { sandbox, target, client, listener, addr })
    }

    /// Where everything is answered.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Serves until `shutdown`, then finishes what is under way.
    ///
    /// # Errors
    /// When the sending of events panicked.
    pub async fn run(self, shutdown: Shutdown) -> anyhow::Result<()> {
        tracing::info!(address = %self.addr, "the payments sandbox is listening");
        let served = CancellationToken::new();
        let sending = webhooks::run(self.sandbox.clone(), self.target, self.client, served.clone());
        // Ends with us also when this future is dropped.
        let sending = tokio_util::task::AbortOnDropHandle::new(tokio::spawn(sending));
        connection::serve(self.listener, http::router(self.sandbox), shutdown).await;
        served.cancel();
        sending.await.context("sending events panicked")
    }
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("App").field("addr", &self.addr).finish_non_exhaustive()
    }
}
