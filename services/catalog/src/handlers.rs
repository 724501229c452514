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

use idempotency::{Done, Reply};
use rls::{Caller, Class, Database, DatabaseError, Tx};
use serde_json::Value;
use time::OffsetDateTime;

use crate::domain::ProductId;
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
    /// As which the request is known to whoever sent it.
    pub(crate) request_id: String,
    /// The request's idempotency key, when it has one.
    pub(crate) repeat: Option<idempotency::Request>,
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

    /// Runs a transaction that changes something, for somebody who may, done once however often the request is
    /// repeated. `reply` makes the answer of what `work` gives.
    async fn once<T, R, W>(
        &self,
        editor: &Editor,
        reply: impl FnOnce(T) -> R + Send + 'static,
        work: W,
    ) -> Result<Done<R>, Error>
    where
        T: Send + 'static,
        R: Reply,
        W: for<'t> FnOnce(&'t mut Tx) -> rls::BoxFuture<'t, Result<T, Error>> + Send + 'static,
    {
        let within = self.within.min(WRITE_DEADLINE);
        idempotency::once(&self.db, &editor.caller, Class::Write, within, self.repeat.as_ref(), move |tx| {
            Box::pin(async move { work(tx).await.map(reply) })
        })
        .await
    }

    /// The caller as somebody who may change the catalog.
    fn editor(&self) -> Result<Editor, Error> {
        match self.caller {
            Caller::Staff(_) | Caller::Admin(_) | Caller::Service => {
                Ok(Editor { caller: self.caller, request_id: self.request_id.clone() })
            }
            Caller::User(_) => Err(Error::Forbidden),
            Caller::Anonymous | Caller::Guest { .. } => Err(Error::Anonymous),
        }
    }
}

/// A caller who may change the catalog, and the request by which they do.
#[derive(Clone, Debug)]
struct Editor {
    caller: Caller,
    request_id: String,
}

impl Editor {
    /// Writes down what the editor did to a product. The last statement of a change: writers wait for each other here.
    async fn sign(
        &self,
        tx: &mut Tx,
        action: &'static str,
        product: ProductId,
        before: Option<Value>,
        after: Option<Value>,
    ) -> Result<(), Error> {
        let entry = audit::Entry {
            actor: self.caller,
            action,
            entity: "product",
            entity_id: product.get().to_string(),
            before,
            after,
            request_id: self.request_id.clone(),
        };
        Ok(audit::record(tx, &entry).await?)
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
