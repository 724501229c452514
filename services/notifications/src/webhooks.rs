//! Webhooks out: other systems are told what happened in the shop, per the Standard Webhooks specification.
//!
//! - A fact becomes a thin message (`message`) and one delivery per endpoint that wants it (`intake`), once,
//!   whatever the stream delivers twice.
//! - The `dispatcher` sends what is due, at least once, each with the same `webhook-id` in every attempt and
//!   signed anew (`signature`); failures come back by the `schedule`. Messages about one thing reach one endpoint
//!   in order.
//! - Requests go to public addresses only, checked by the very look-up that the connection uses (`guard`).
//! - Admins keep endpoints and look at deliveries by `mestres.notifications.v1.WebhooksService` (`grpc`).
//!
//! An endpoint answers within 15 s with any 2xx. 410 switches it off at once, five dead deliveries in a row do so
//! too; what was not told by then is told when it is switched on again. Deliveries are remembered for 30 days.

mod address;
mod call;
mod clock;
mod deliveries;
mod dispatcher;
mod endpoints;
mod error;
mod grpc;
mod guard;
mod intake;
mod message;
mod public;
mod schedule;
mod secret;
mod sender;
mod signature;
mod target;

use std::sync::Arc;

use rls::Database;
use tokio::sync::Notify;

pub use self::clock::{Clock, ManualClock};
pub(crate) use self::dispatcher::{Counts, Dispatcher};
pub(crate) use self::grpc::WebhooksGrpc;
pub use self::guard::{Resolver, Script};
pub(crate) use self::intake::{handle, intakes};
pub use self::schedule::{ATTEMPTS_MAX, RETRY_DELAYS};
pub use self::target::Reach;

use self::guard::Guard;
use self::secret::{Secret, Unopened, Vault};
use self::sender::Sender;
use crate::store::webhooks::endpoints::Addressee;
use time::OffsetDateTime;

/// How webhooks are set up.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// How far they go.
    pub reach: Reach,
    /// What time it is.
    pub clock: Clock,
    /// Who says what a host's name stands for.
    pub resolver: Resolver,
}

/// What everything about webhooks shares. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Webhooks {
    db: Database,
    sender: Sender,
    vault: Vault,
    clock: Clock,
    /// Something may be due.
    due: Arc<Notify>,
}

impl Webhooks {
    /// Webhooks whose secrets are sealed by `service_key`.
    ///
    /// # Errors
    /// When the system's TLS cannot be set up.
    pub(crate) fn new(
        settings: Settings,
        service_key: &[u8; 32],
        db: Database,
    ) -> Result<Self, reqwest::Error> {
        let Settings { reach, clock, resolver } = settings;
        let sender = Sender::new(Guard::new(resolver, reach))?;
        Ok(Self { db, sender, vault: Vault::new(service_key), clock, due: Arc::default() })
    }

    /// What an endpoint's messages are signed with: its secret, and for a while the former one too.
    fn secrets(
        &self,
        endpoint_id: i64,
        addressee: &Addressee,
        now: OffsetDateTime,
    ) -> Result<Vec<Secret>, Unopened> {
        let former = match (&addressee.previous_secret_enc, addressee.previous_until) {
            (Some(sealed), Some(until)) if now < until => Some(sealed),
            _ => None,
        };
        let sealed = std::iter::once(&addressee.secret_enc).chain(former);
        sealed.map(|sealed| self.vault.open(endpoint_id, sealed)).collect()
    }
}
