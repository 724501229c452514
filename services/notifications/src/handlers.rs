//! One use case per file: parse, transaction, rule, store, event, reply.

pub(crate) mod delete_notification;
pub(crate) mod enqueue_email;
pub(crate) mod export_user_data;
pub(crate) mod follow_notifications;
pub(crate) mod get_preferences;
pub(crate) mod list_notifications;
pub(crate) mod mark_all_read;
pub(crate) mod mark_notification;
pub(crate) mod update_preferences;

use std::time::Duration;

use idempotency::{Done, Reply};
use rls::{Caller, Class, Database, Tx};
use time::OffsetDateTime;

use crate::error::Error;
use crate::follow::Followers;
use crate::mail::Mails;

/// Longer than any read may take: the slowest statement is bounded by what one page holds.
const READ_DEADLINE: Duration = Duration::from_secs(2);
const WRITE_DEADLINE: Duration = Duration::from_secs(4);

/// One call: who asks, how long they wait, and what it is answered from.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) db: Database,
    pub(crate) mails: Mails,
    pub(crate) followers: Followers,
    pub(crate) caller: Caller,
    /// What is left of the caller's patience.
    pub(crate) within: Duration,
    /// The request's idempotency key, when it has one.
    pub(crate) repeat: Option<idempotency::Request>,
}

/// A caller who is a user, whatever their role.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Person {
    pub(crate) caller: Caller,
    pub(crate) id: i64,
}

impl Call {
    /// Runs a transaction that only reads.
    async fn read<T, W>(&self, work: W) -> Result<T, Error>
    where
        T: Send + 'static,
        W: for<'t> FnOnce(&'t mut Tx) -> rls::BoxFuture<'t, Result<T, Error>> + Send + 'static,
    {
        let within = self.within.min(READ_DEADLINE);
        Ok(self.db.run(&self.caller, Class::Read, within, work).await?.value)
    }

    /// Runs a transaction that changes something.
    async fn write<T, W>(&self, work: W) -> Result<rls::Committed<T>, Error>
    where
        T: Send + 'static,
        W: for<'t> FnOnce(&'t mut Tx) -> rls::BoxFuture<'t, Result<T, Error>> + Send + 'static,
    {
        let within = self.within.min(WRITE_DEADLINE);
        self.db.run(&self.caller, Class::Write, within, work).await
    }

    /// Runs a transaction that changes something, done once however often the request is repeated. `reply` makes the
    /// answer of what `work` gives.
    async fn once<T, R, W>(
        &self,
        reply: impl FnOnce(T) -> R + Send + 'static,
        work: W,
    ) -> Result<Done<R>, Error>
    where
        T: Send + 'static,
        R: Reply,
        W: for<'t> FnOnce(&'t mut Tx) -> rls::BoxFuture<'t, Result<T, Error>> + Send + 'static,
    {
        let within = self.within.min(WRITE_DEADLINE);
        idempotency::once(&self.db, &self.caller, Class::Write, within, self.repeat.as_ref(), move |tx| {
            Box::pin(async move { work(tx).await.map(reply) })
        })
        .await
    }

    /// The caller as somebody with a feed.
    fn person(&self) -> Result<Person, Error> {
        match (self.caller.id(), self.caller) {
            (Some(id), caller) => Ok(Person { caller, id }),
            (None, Caller::Service) => Err(Error::Forbidden),
            (None, _) => Err(Error::Anonymous),
        }
    }

    /// The caller as a process of the product.
    fn service(&self) -> Result<(), Error> {
        match self.caller {
            Caller::Service => Ok(()),
            Caller::User(_) | Caller::Staff(_) | Caller::Admin(_) => Err(Error::Forbidden),
            Caller::Anonymous | Caller::Guest { .. } => Err(Error::Anonymous),
        }
    }
}

/// The clock, as finely as the database keeps it.
pub(crate) fn now() -> OffsetDateTime {
    let now = OffsetDateTime::now_utc();
    now.replace_nanosecond(now.microsecond() * 1_000).expect("a whole microsecond is a valid nanosecond")
}
