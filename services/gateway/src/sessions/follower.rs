//! Where revocations come from: pushed by NATS, and asked for in case a push was lost.

use std::time::Duration;

use futures_util::StreamExt;
use prost::Message as _;
use proto::accounts::v1::accounts_service_client::AccountsServiceClient;
use proto::accounts::v1::{ListRevocationsRequest, Revocation};
use rls::Asserter;
use time::OffsetDateTime;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;
use uuid::Uuid;

use super::Revocations;
use crate::upstream::{self, READ_DEADLINE};

/// Core NATS: never stored, gone when nobody listens.
const SUBJECT: &str = "accounts.revoked";
/// How often accounts is asked.
const POLL_EVERY: Duration = Duration::from_secs(5);
/// Pushes taken in at once: each taking-in copies what it changes.
const PUSHES_MAX: usize = 256;
/// Accounts sends at most so many at a time.
const PAGE: usize = 10_000;

/// Keeps [`Revocations`] complete.
#[derive(Debug)]
pub(crate) struct Follower {
    pub(crate) revocations: Revocations,
    pub(crate) accounts: AccountsServiceClient<Channel>,
    pub(crate) nats: async_nats::Client,
    /// Proves that the gateway itself is asking.
    pub(crate) asserter: Asserter,
}

impl Follower {
    /// Follows until `end`.
    pub(crate) async fn run(self, end: CancellationToken) {
        tokio::select! {
            () = end.cancelled() => {}
            ((), ()) = async { tokio::join!(self.listen(), self.poll()) } => {}
        }
    }

    async fn listen(&self) {
        let mut pushes = match self.nats.subscribe(SUBJECT).await {
            Ok(pushes) => pushes.ready_chunks(PUSHES_MAX),
            Err(error) => {
                tracing::error!(%error, "revocations are not pushed, only polled");
                return;
            }
        };
        while let Some(pushes) = pushes.next().await {
            let revocations: Vec<_> = pushes
                .iter()
                .filter_map(|push| {
                    let decoded = Revocation::decode(push.payload.as_ref());
                    decoded.inspect_err(|error| tracing::warn!(%error, "a push that is no revocation")).ok()
                })
                .collect();
            self.revocations.apply(&revocations, now_s());
        }
    }

    async fn poll(&self) {
        let mut ticks = tokio::time::interval(POLL_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut last_seq = 0;
        let mut reached = true;
        loop {
            ticks.tick().await;
            self.revocations.forget_expired(now_s());
            let caught_up = self.catch_up(&mut last_seq).await;
            if caught_up.is_ok() != reached {
                reached = caught_up.is_ok();
                match caught_up {
                    Ok(()) => tracing::info!("revocations are known again"),
                    Err(error) => tracing::warn!(%error, "revocations cannot be asked for"),
                }
            }
        }
    }

    /// Asks for everything after `last_seq`.
    async fn catch_up(&self, last_seq: &mut u64) -> Result<(), crate::error::Error> {
        loop {
            let asked = Instant::now();
            let message = ListRevocationsRequest { after_seq: *last_seq };
            let assertion = self.asserter.service("accounts", &Uuid::now_v7().to_string());
            let reply = upstream::read(message, READ_DEADLINE, Some(&assertion), |request| {
                let mut accounts = self.accounts.clone();
                async move { accounts.list_revocations(request).await }
            })
            .await?;
            self.revocations.apply(&reply.revocations, now_s());
            let newest = reply.revocations.iter().map(|revocation| revocation.seq).max();
            let advanced = newest.is_some_and(|newest| newest > *last_seq);
            *last_seq = newest.unwrap_or(0).max(*last_seq);
            // A full page is followed by another, unless it brought nothing new.
            if reply.revocations.len() < PAGE || !advanced {
                self.revocations.heard(asked);
                return Ok(());
            }
        }
    }
}

fn now_s() -> i64 {
    OffsetDateTime::now_utc().unix_timestamp()
}
