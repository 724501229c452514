//! One use case per file: parse, transaction, rule, store, event, reply.

pub(crate) mod create_event;
pub(crate) mod create_professional;
pub(crate) mod create_report;
pub(crate) mod delete_event;
pub(crate) mod delete_professional;
pub(crate) mod delete_report;
pub(crate) mod export_user_data;
pub(crate) mod get_event;
pub(crate) mod get_professional;
pub(crate) mod get_report;
pub(crate) mod list_events;
pub(crate) mod list_professionals;
pub(crate) mod list_reports;
mod own;
pub(crate) mod update_event;
pub(crate) mod update_professional;
pub(crate) mod update_report;

use std::time::Duration;

use idempotency::{Done, Reply};
use rls::{Caller, Class, Database, DatabaseError, Tx, UserId};
use time::OffsetDateTime;

use crate::domain::Version;
use crate::error::Error;

/// Longer than any read may take: the slowest statement is bounded by what one page holds.
const READ_DEADLINE: Duration = Duration::from_secs(2);
const WRITE_DEADLINE: Duration = Duration::from_secs(4);

/// One call: who asks, how long they wait, and what it is answered from.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) db: Database,
    pub(crate) caller: Caller,
    /// What is left of the caller's patience.
    pub(crate) within: Duration,
    /// The request's idempotency key, when it has one.
    pub(crate) repeat: Option<idempotency::Request>,
}

impl Call {
    /// Runs a transaction that only reads, in somebody's agenda.
    async fn read<T, W>(&self, owner: Owner, work: W) -> Result<T, Error>
    where
        T: Send + 'static,
        W: for<'t> FnOnce(&'t mut Tx) -> rls::BoxFuture<'t, Result<T, Error>> + Send + 'static,
    {
        let within = self.within.min(READ_DEADLINE);
        Ok(self.db.run(&Caller::User(owner.id), Class::Read, within, work).await?.value)
    }

    /// Runs a transaction that changes something in somebody's agenda, done once however often the request is
    /// repeated. `reply` makes the answer of what `work` gives.
    async fn once<T, R, W>(
        &self,
        owner: Owner,
        reply: impl FnOnce(T) -> R + Send + 'static,
        work: W,
    ) -> Result<Done<R>, Error>
    where
        T: Send + 'static,
        R: Reply,
        W: for<'t> FnOnce(&'t mut Tx) -> rls::BoxFuture<'t, Result<T, Error>> + Send + 'static,
    {
        let within = self.within.min(WRITE_DEADLINE);
        idempotency::once(
            &self.db,
            &Caller::User(owner.id),
            Class::Write,
            within,
            self.repeat.as_ref(),
            move |tx| Box::pin(async move { work(tx).await.map(reply) }),
        )
        .await
    }

    /// The caller as somebody with an agenda.
    fn owner(&self) -> Result<Owner, Error> {
        match self.caller {
            Caller::User(id) | Caller::Staff(id) | Caller::Admin(id) => Ok(Owner { id, actor: self.caller }),
            Caller::Service => Err(Error::Forbidden),
            Caller::Anonymous | Caller::Guest { .. } => Err(Error::Anonymous),
        }
    }
}

/// Whose agenda a call is about: always the caller's own.
///
/// Employees are bound by the same policies as customers: their transactions run as `mc_user` with their
/// id, because a role that sees everything would show them everybody's agenda as theirs.
#[derive(Clone, Copy, Debug)]
struct Owner {
    id: UserId,
    /// As events name who did it.
    actor: Caller,
}

/// Refuses a change of something that is not as its writer saw it.
fn check_version(expected: Version, current: i64) -> Result<(), Error> {
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
