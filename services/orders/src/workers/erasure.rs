//! Erasing what the shop keeps about a user whose account was erased (LGPD).
//!
//! - Carts are deleted, with what went into them, and so are kept answers.
//! - Orders stay, because the shop accounts for them; who bought, by which token one sees them, and what people wrote
//!   about them is forgotten, in everything that belongs to them. So is where they go to, as soon as they are sent off or
//!   come to nothing.
//!
//! This leaves no events: the account's own event already purged everything of that user.

use std::time::Duration;

use events::{Consumer, ConsumerConfig, Delivery, Fact, Failure, inbox};
use rls::{Caller, Class, Database, DatabaseError, Tx};
use tokio_util::sync::CancellationToken;

use crate::error::Error;
use crate::store::erasure as store;

const CONSUMER: &str = "orders-erasure";
const SUBJECT: &str = "mc.accounts.user.deleted.>";
/// Rows that one transaction changes: short enough to be in nobody's way.
const BATCH: i64 = 200;
/// Of one batch. All batches together have the consumer's patience; a retry goes on where one stopped.
const BATCH_DEADLINE: Duration = Duration::from_secs(5);

/// Erases what deleted accounts leave, until `stop`.
pub(crate) async fn run(db: Database, nats: async_nats::Client, stop: CancellationToken) {
    // Nobody may be forgotten to be forgotten: only what cannot be read is given up.
    let config = ConsumerConfig {
        filter_subject: SUBJECT.to_owned(),
        attempts_max: i64::MAX,
        ..ConsumerConfig::new(CONSUMER)
    };
    let handler = move |delivery| {
        let db = db.clone();
        async move { handle(&db, &delivery).await }
    };
    Consumer::new(config, nats).run(stop, handler).await;
}

/// Erases the account that the message names. Once more finds nothing to erase.
async fn handle(db: &Database, delivery: &Delivery) -> Result<(), Failure> {
    let event = delivery.event().map_err(|error| Failure::Never(error.into()))?;
    let &Fact::UserDeleted(account) = event.fact() else {
        return Err(Failure::Never(anyhow::anyhow!(
            "{} does not say that a user was deleted",
            delivery.subject
        )));
    };
    let message_id = event.id().to_string();
    loop {
        let message_id = message_id.clone();
        let batch = db.run(&Caller::Service, Class::Admin, BATCH_DEADLINE, move |tx| {
            Box::pin(async move {
                let left = erase_some(tx, account.user_id).await?;
                if left == Left::Nothing {
                    // In the transaction that finds it true: from here on this message has been handled.
                    inbox::first_time(tx, CONSUMER, &message_id)
                        .await
                        .map_err(|error| Error::Database(DatabaseError::from(error)))?;
                }
                Ok::<_, Error>(left)
            })
        });
        match batch.await {
            Ok(committed) if committed.value == Left::Nothing => break,
            Ok(_) => {}
            Err(error) => return Err(Failure::Later(error.into())),
        }
    }
    tracing::info!(user.id = account.user_id, "the orders of a deleted account have forgotten it");
    Ok(())
}

/// What a batch leaves of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    Perhaps,
    Nothing,
}

/// One batch, of whatever is still there: orders before the carts that they name.
async fn erase_some(tx: &mut Tx, user_id: i64) -> Result<Left, Error> {
    let full = BATCH.unsigned_abs();
    let is_full = i64::try_from(store::orders(tx, user_id, BATCH).await?).is_ok_and(|count| count == BATCH)
        || store::merged_carts(tx, user_id, BATCH).await? == full
        || store::carts(tx, user_id, BATCH).await? == full
        || store::ordered_carts(tx, user_id, BATCH).await? == full
        || store::answers(tx, user_id, BATCH).await? == full;
    Ok(if is_full { Left::Perhaps } else { Left::Nothing })
}
