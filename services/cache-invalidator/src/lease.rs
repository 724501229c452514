//! Which replica is active: the one that holds an advisory lock.

use std::time::Duration;

use anyhow::Context as _;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, PgConnection};
use tokio::time::timeout;

use crate::store;

/// A free lease is taken, and a lost one noticed, so late at most.
const CHECK_EVERY: Duration = Duration::from_millis(250);
const DEADLINE: Duration = Duration::from_secs(1);

/// The right to be the active replica. It ends with its connection.
#[derive(Debug)]
pub(crate) struct Lease {
    connection: PgConnection,
}

impl Lease {
    /// Waits for the lease as long as it takes.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub(crate) async fn acquire(database_url: &str) -> anyhow::Result<Self> {
        let options: PgConnectOptions = database_url.parse().context("reading the database URL")?;
        let options = options.application_name("mestres-invalidator-lease").disable_statement_logging();
        let connecting = timeout(DEADLINE, options.connect()).await.context("connecting for the lease")?;
        let mut connection = connecting.context("connecting for the lease")?;
        loop {
            let asking = timeout(DEADLINE, store::try_lock(&mut connection)).await;
            if asking.context("asking for the lease")?.context("asking for the lease")? {
                return Ok(Self { connection });
            }
            tokio::time::sleep(CHECK_EVERY).await;
        }
    }

    /// Returns when the lease is lost.
    pub(crate) async fn lost(&mut self) {
        loop {
            tokio::time::sleep(CHECK_EVERY).await;
            match timeout(DEADLINE, self.connection.ping()).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    tracing::warn!(%error, "the lease is lost");
                    return;
                }
                Err(_late) => {
                    tracing::warn!("the lease is lost: the database is silent");
                    return;
                }
            }
        }
    }

    /// Gives it back at once.
    pub(crate) async fn release(self) {
        // A connection that cannot be closed is dropped, which the server notices too.
        let _closed = timeout(DEADLINE, self.connection.close()).await;
    }
}
