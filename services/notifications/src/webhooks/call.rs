//! One call of an admin about webhooks.

use std::time::Duration;

use idempotency::{Done, Reply};
use rls::{Caller, Class, Tx, UserId};
use serde_json::Value;

use super::Webhooks;
use super::error::Error;

/// Longer than any read may take: the slowest statement is bounded by what one page holds.
const READ_DEADLINE: Duration = Duration::from_secs(2);
const WRITE_DEADLINE: Duration = Duration::from_secs(4);

/// Who asks, how long they wait, and what it is answered from.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) webhooks: Webhooks,
    pub(crate) caller: Caller,
    /// What is left of the caller's patience.
    pub(crate) within: Duration,
    /// As which the request is known to whoever sent it.
    pub(crate) request_id: String,
    /// The request's idempotency key, when it has one.
    pub(crate) repeat: Option<idempotency::Request>,
}

/// Who does something, and the request by which they do.
#[derive(Clone, Debug)]
pub(crate) struct Signer {
    actor: Caller,
    request_id: String,
}

impl Signer {
    /// Writes down what was done to an endpoint. The last statement of a change: writers wait for each other here.
    pub(crate) async fn sign(
        &self,
        tx: &mut Tx,
        action: &'static str,
        endpoint_id: i64,
        before: Option<Value>,
        after: Option<Value>,
    ) -> Result<(), Error> {
        let entry = audit::Entry {
            actor: self.actor,
            action,
            entity: "webhook",
            entity_id: endpoint_id.to_string(),
            before,
            after,
            request_id: self.request_id.clone(),
        };
        Ok(audit::record(tx, &entry).await?)
    }
}

impl Call {
    /// Runs a transaction that only reads.
    pub(crate) async fn read<T, W>(&self, work: W) -> Result<T, Error>
    where
        T: Send + 'static,
        W: for<'t> FnOnce(&'t mut Tx) -> rls::BoxFuture<'t, Result<T, Error>> + Send + 'static,
    {
        let within = self.within.min(READ_DEADLINE);
        Ok(self.webhooks.db.run(&self.caller, Class::Read, within, work).await?.value)
    }

    /// Runs a transaction that changes something, done once however often the request is repeated. `reply` makes the
    /// answer of what `work` gives.
    pub(crate) async fn once<T, R, W>(
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
        let (db, repeat) = (&self.webhooks.db, self.repeat.as_ref());
        idempotency::once(db, &self.caller, Class::Write, within, repeat, move |tx| {
            Box::pin(async move { work(tx).await.map(reply) })
        })
        .await
    }

    /// Runs a transaction of a work of several. Whoever calls this keeps the answer for repeats by themselves.
    pub(crate) async fn write<T, W>(&self, work: W) -> Result<T, Error>
    where
        T: Send + 'static,
        W: for<'t> FnOnce(&'t mut Tx) -> rls::BoxFuture<'t, Result<T, Error>> + Send + 'static,
    {
        let within = self.within.min(WRITE_DEADLINE);
        Ok(self.webhooks.db.run(&self.caller, Class::Write, within, work).await?.value)
    }

    /// What to write down with once it is done.
    pub(crate) fn signer(&self) -> Signer {
        Signer { actor: self.caller, request_id: self.request_id.clone() }
    }

    /// The caller as an administrator. Staff is none, although its transactions see the same rows: whoever names
    /// an endpoint decides where the shop's facts go.
    pub(crate) fn admin(&self) -> Result<UserId, Error> {
        match self.caller {
            Caller::Admin(id) => Ok(id),
            Caller::User(_) | Caller::Staff(_) | Caller::Service => {
                Err(crate::error::Error::Forbidden.into())
            }
            Caller::Anonymous | Caller::Guest { .. } => Err(crate::error::Error::Anonymous.into()),
        }
    }
}
