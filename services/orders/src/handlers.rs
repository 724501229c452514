//! One use case per file: parse, transaction, rule, store, event, reply.

pub(crate) mod cart;
pub(crate) mod checkout;
pub(crate) mod coupons;
pub(crate) mod get_payment;
pub(crate) mod orders;
pub(crate) mod pay;
pub(crate) mod receive_payment_event;
pub(crate) mod refund_order;
pub(crate) mod staff;
pub(crate) mod stock;

use std::time::Duration;

use crate::catalog::Catalog;
use crate::domain::Version;
use crate::error::Error;
use crate::payments::Payments;
use crate::places::{Place, Places};
use crate::secret_key::SecretKey;
use crate::timelines::Timelines;
use idempotency::{Attempts, Done, Verdict as _};
use rls::{Caller, Class, Committed, Database, DatabaseError, Tx, UserId};
use time::OffsetDateTime;

/// Longer than any read may take: the slowest statement is bounded by what one page holds.
const READ_DEADLINE: Duration = Duration::from_secs(2);
const WRITE_DEADLINE: Duration = Duration::from_secs(4);

/// What every call is answered from. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    pub(crate) db: Database,
    pub(crate) catalog: Catalog,
    pub(crate) key: SecretKey,
    pub(crate) payments: Payments,
    pub(crate) timelines: Timelines,
    /// Places for checkouts under way: more of them at once would only make each other late.
    pub(crate) checkouts: Places,
}

/// One call: who asks, how long they wait, and what it is answered from.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) caller: Caller,
    /// What is left of the caller's patience.
    pub(crate) within: Duration,
    /// As which the request is known to whoever sent it.
    pub(crate) request_id: String,
    /// The request's idempotency key, when it has one.
    pub(crate) repeat: Option<idempotency::Request>,
    pub(crate) shared: Shared,
}

impl Call {
    /// Runs a transaction that only reads, with the eyes of `caller`.
    pub(crate) async fn read_as<T, W>(&self, caller: Caller, work: W) -> Result<T, Error>
    where
        T: Send + 'static,
        W: for<'t> FnOnce(&'t mut Tx) -> rls::BoxFuture<'t, Result<T, Error>> + Send + 'static,
    {
        let within = self.within.min(READ_DEADLINE);
        Ok(self.shared.db.run(&caller, Class::Read, within, work).await?.value)
    }

    /// Runs a transaction that changes something, with the rights of `caller`; again when another one was in the way.
    pub(crate) async fn write_as<T, W>(&self, caller: Caller, work: W) -> Result<Committed<T>, Error>
    where
        T: Send + 'static,
        W: for<'t> FnOnce(&'t mut Tx) -> rls::BoxFuture<'t, Result<T, Error>> + Clone + Send + 'static,
    {
        let mut attempts = Attempts::within(self.within.min(WRITE_DEADLINE));
        loop {
            match self.shared.db.run(&caller, Class::Write, attempts.left(), work.clone()).await {
                Err(error) if error.is_conflict() && attempts.again().await => {}
                ended => return ended,
            }
        }
    }

    /// The same, done once however often the request is repeated.
    pub(crate) async fn once_as<R, W>(&self, caller: Caller, work: W) -> Result<Done<R>, Error>
    where
        R: idempotency::Reply,
        W: for<'t> FnOnce(&'t mut Tx) -> rls::BoxFuture<'t, Result<R, Error>> + Clone + Send + 'static,
    {
        let nothing = std::future::ready(Ok(Ok(())));
        self.once_after(caller, nothing, |tx: &mut Tx, ()| work(tx)).await
    }

    /// The same, with something to find out first that the transaction needs: see [`idempotency::once_after`].
    pub(crate) async fn once_after<P, R, W>(
        &self,
        caller: Caller,
        before: impl Future<Output = Result<Result<P, Error>, Error>> + Send,
        work: W,
    ) -> Result<Done<R>, Error>
    where
        P: Clone + Send + 'static,
        R: idempotency::Reply,
        W: for<'t> FnOnce(&'t mut Tx, P) -> rls::BoxFuture<'t, Result<R, Error>> + Clone + Send + 'static,
    {
        let within = self.within.min(WRITE_DEADLINE);
        let repeat = self.repeat.as_ref();
        idempotency::once_after(&self.shared.db, &caller, Class::Write, within, repeat, before, work).await
    }

    /// A place among the checkouts under way; [`Error::Overloaded`] when none becomes free in time to do it.
    pub(crate) async fn place_to_check_out(&self) -> Result<Place, Error> {
        self.shared.checkouts.take(self.within.min(WRITE_DEADLINE)).await.ok_or(Error::Overloaded)
    }

    /// The caller as somebody who buys.
    pub(crate) fn buyer(&self) -> Result<Buyer, Error> {
        match self.caller {
            Caller::User(id) | Caller::Staff(id) | Caller::Admin(id) => {
                Ok(Buyer { who: Principal::User(id), actor: self.caller })
            }
            Caller::Guest { cart_token_sha256 } => {
                Ok(Buyer { who: Principal::Guest(cart_token_sha256), actor: self.caller })
            }
            Caller::Service => Err(Error::Forbidden),
            Caller::Anonymous => Err(Error::Anonymous),
        }
    }

    /// Requires an employee.
    pub(crate) fn staff(&self) -> Result<Caller, Error> {
        match self.caller {
            Caller::Staff(_) | Caller::Admin(_) => Ok(self.caller),
            Caller::Anonymous | Caller::Guest { .. } => Err(Error::Anonymous),
            Caller::User(_) | Caller::Service => Err(Error::Forbidden),
        }
    }

    /// Requires a process of the product.
    pub(crate) fn service(&self) -> Result<(), Error> {
        match self.caller {
            Caller::Service => Ok(()),
            Caller::Anonymous | Caller::Guest { .. } => Err(Error::Anonymous),
            Caller::User(_) | Caller::Staff(_) | Caller::Admin(_) => Err(Error::Forbidden),
        }
    }
}

/// Whose cart and orders a call is about: always the caller's own.
///
/// Employees are bound by the same policies as customers when they buy: their transactions run as `mc_user` with
/// their id, because a role that sees everything would show them everybody's orders as theirs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Buyer {
    pub(crate) who: Principal,
    /// As events name who did it.
    pub(crate) actor: Caller,
}

/// Who owns carts and orders.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Principal {
    User(UserId),
    /// By the SHA-256 of the token that the guest shows: of a cart, or of one order.
    Guest([u8; 32]),
}

/// The hash stays out of logs: it is as good as the cart.
impl std::fmt::Debug for Principal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::User(id) => write!(f, "user:{}", id.0),
            Self::Guest(_) => f.write_str("guest"),
        }
    }
}

impl Buyer {
    /// As whom the database is asked.
    pub(crate) fn caller(&self) -> Caller {
        match self.who {
            Principal::User(id) => Caller::User(id),
            Principal::Guest(cart_token_sha256) => Caller::Guest { cart_token_sha256 },
        }
    }

    /// The user's id; none for a guest.
    pub(crate) fn user_id(&self) -> Option<i64> {
        match self.who {
            Principal::User(id) => Some(id.0),
            Principal::Guest(_) => None,
        }
    }

    /// The hash of a guest's token; none for a user.
    pub(crate) fn token_sha256(&self) -> Option<[u8; 32]> {
        match self.who {
            Principal::User(_) => None,
            Principal::Guest(token) => Some(token),
        }
    }
}

/// Refuses a change of something that is not as its writer saw it.
pub(crate) fn check_version(expected: Version, current: i64) -> Result<(), Error> {
    if current == expected.get() {
        Ok(())
    } else {
        Err(Error::StaleVersion { expected: expected.get(), current })
    }
}

/// The clock, as finely as the database keeps it.
pub(crate) fn now() -> OffsetDateTime {
    let now = OffsetDateTime::now_utc();
    now.replace_nanosecond(now.microsecond() * 1_000).expect("a whole microsecond is a valid nanosecond")
}

/// Writes the event into the outbox of the transaction that makes it true.
pub(crate) async fn record(tx: &mut Tx, event: &events::Event) -> Result<(), Error> {
    events::record(tx, event).await.map_err(|error| Error::Database(DatabaseError::from(error)))
}

/// The same for many events, in one statement.
pub(crate) async fn record_all(tx: &mut Tx, events: &[events::Event]) -> Result<(), Error> {
    events::record_all(tx, events).await.map_err(|error| Error::Database(DatabaseError::from(error)))
}
