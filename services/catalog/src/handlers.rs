//! One use case per file: parse, transaction, rule, store, event, reply.

pub(crate) mod change_prices;
pub(crate) mod create_product;
pub(crate) mod delete_product;
mod edit;
pub(crate) mod get_category;
pub(crate) mod get_image;
pub(crate) mod get_product;
pub(crate) mod list_categories;
pub(crate) mod list_featured_products;
pub(crate) mod list_new_products;
pub(crate) mod list_products;
pub(crate) mod patch_product;
pub(crate) mod quote;
pub(crate) mod update_product;

use std::time::Duration;

use rls::{Caller, Class, Database, DatabaseError, Tx};
use time::OffsetDateTime;

use crate::domain::cursor::CursorKey;
use crate::error::Error;

/// Longer than any read may take: the slowest statement is bounded by what one page holds.
const READ_DEADLINE: Duration = Duration::from_secs(2);
const WRITE_DEADLINE: Duration = Duration::from_secs(4);

/// One call: who asks, how long they wait, and what it is answered from.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) db: Database,
    pub(crate) cursor_key: CursorKey,
    pub(crate) caller: Caller,
    /// What is left of the caller's patience.
    pub(crate) within: Duration,
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

    /// Runs a transaction that changes something, for somebody who may.
    async fn write<T, W>(&self, editor: &Editor, work: W) -> Result<rls::Committed<T>, Error>
    where
        T: Send + 'static,
        W: for<'t> FnOnce(&'t mut Tx) -> rls::BoxFuture<'t, Result<T, Error>> + Send + 'static,
    {
        let within = self.within.min(WRITE_DEADLINE);
        self.db.run(&editor.0, Class::Write, within, work).await
    }

    /// The caller as somebody who may change the catalog.
    fn editor(&self) -> Result<Editor, Error> {
        match self.caller {
            Caller::Staff(_) | Caller::Admin(_) | Caller::Service => Ok(Editor(self.caller)),
            Caller::User(_) => Err(Error::Forbidden),
            Caller::Anonymous | Caller::Guest { .. } => Err(Error::Anonymous),
        }
    }
}

/// A caller who may change the catalog.
#[derive(Clone, Copy, Debug)]
struct Editor(Caller);

/// The clock, as finely as the database keeps it.
pub(crate) fn now() -> OffsetDateTime {
    let now = OffsetDateTime::now_utc();
    now.replace_nanosecond(now.microsecond() * 1_000).expect("a whole microsecond is a valid nanosecond")
}

/// Writes the event into the outbox of the transaction that makes it true.
pub(crate) async fn record(tx: &mut Tx, event: &events::Event) -> Result<(), Error> {
    events::record(tx, event).await.map_err(|error| Error::Database(DatabaseError::from(error)))
}
