//! One call of an admin about webhooks.

use std::time::Duration;

use rls::{Caller, Class, Tx, UserId};

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

    /// Runs a transaction that changes something.
    pub(crate) async fn write<T, W>(&self, work: W) -> Result<T, Error>
    where
        T: Send + 'static,
        W: for<'t> FnOnce(&'t mut Tx) -> rls::BoxFuture<'t, Result<T, Error>> + Send + 'static,
    {
        let within = self.within.min(WRITE_DEADLINE);
        Ok(self.webhooks.db.run(&self.caller, Class::Write, within, work).await?.value)
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
