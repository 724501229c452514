//! Which shards this replica relays: those whose advisory lock its one lock connection holds.

use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, PgConnection, Row as _};
use tokio::time::{Instant, timeout};

use super::RelayError;
use crate::outbox::SHARDS;

/// First key of the advisory locks; the second one is the shard. Locks are per database, hence per service.
const LOCK_CLASS: i32 = 0x6d63_0001;
/// The lock connection is used at least this often: so late a lost leadership is noticed, and so
/// late a free shard is taken over. An overlap of two leaders only publishes duplicates.
const CHECK_EVERY: Duration = Duration::from_millis(500);
const DEADLINE: Duration = Duration::from_secs(2);

/// Whether this relay speaks for its service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HeartbeatDuty {
    On,
    Off,
}

/// The relay's leadership of shards.
pub(super) struct Leader {
    url: String,
    connection: Option<PgConnection>,
    led: Vec<i16>,
    check_due: Instant,
}

impl Leader {
    pub(super) fn new(url: &str) -> Self {
        Self { url: url.to_owned(), connection: None, led: Vec::new(), check_due: Instant::now() }
    }

    /// The leader of shard 0 sends the heartbeats, compares the stream and cleans up.
    pub(super) fn sends_heartbeats(&self) -> bool {
        self.led.contains(&0)
    }

    /// The shards led now. Losing the connection loses them all.
    pub(super) async fn lead(&mut self) -> Result<Vec<i16>, RelayError> {
        if let Err(injected) = failpoints::hit("rl.leader_lost").await {
            return Err(self.lost(sqlx::Error::Io(injected.into())));
        }
        if Instant::now() >= self.check_due {
            match timeout(DEADLINE, self.check()).await {
                Ok(Ok(())) => self.check_due = Instant::now() + CHECK_EVERY,
                Ok(Err(error)) => return Err(self.lost(error)),
                Err(_late) => {
                    return Err(self.lost(std::io::Error::from(std::io::ErrorKind::TimedOut).into()));
                }
            }
        }
        Ok(self.led.clone())
    }

    /// Gives every shard back.
    pub(super) async fn resign(mut self) {
        if let Some(connection) = self.connection.take() {
            // Closing the session releases the locks; a connection that cannot be closed is dropped.
            let _closed = timeout(DEADLINE, connection.close()).await;
        }
    }

    fn lost(&mut self, error: sqlx::Error) -> RelayError {
        self.connection = None;
        self.led.clear();
        self.check_due = Instant::now();
        RelayError::Lock(error)
    }

    async fn check(&mut self) -> Result<(), sqlx::Error> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            None => {
                let options: PgConnectOptions = self.url.parse()?;
                let options = options.application_name("mestres-relay").disable_statement_logging();
                self.connection.insert(options.connect().await?)
            }
        };
        let shards = i16::try_from(SHARDS).expect("a handful");
        let free: Vec<i16> = (0..shards).filter(|shard| !self.led.contains(shard)).collect();
        // With nothing left to take it is a ping.
        let taken = sqlx::query(
            "SELECT shard FROM unnest($1::smallint[]) AS shard WHERE pg_try_advisory_lock($2, shard)",
        )
        .bind(&free)
        .bind(LOCK_CLASS)
        .fetch_all(connection)
        .await?;
        for row in taken {
            self.led.push(row.try_get(0)?);
        }
        Ok(())
    }
}
