//! Erasing the agenda of a user whose account was erased (LGPD).
//!
//! - The user's events and professionals are deleted.
//! - A report belongs to two: it loses the user and stays with the other, who is told by the event that
//!   purges their lists. What a sender wrote stays with whom it was written for. A report that has lost
//!   both is deleted.
//! - Replies kept for repeats go too: they say what was there.
//!
//! Deleted rows leave no events: the account's own event already purged everything of that user.

use std::time::Duration;

use events::{Consumer, ConsumerConfig, Delivery, Event, Fact, Failure, inbox};
use proto::events::v1::ReportFact;
use rls::{Caller, Class, Database, DatabaseError, Tx, UserId};
use tokio_util::sync::CancellationToken;

use crate::error::Error;
use crate::handlers::{now, record};
use crate::store::erasure as store;

const CONSUMER: &str = "agenda-erasure";
const SUBJECT: &str = "mc.accounts.user.deleted.>";
/// Rows that one transaction deletes: short enough to be in nobody's way.
const ROWS_PER_BATCH: i64 = 500;
/// Reports that one transaction changes; each costs three statements.
const REPORTS_PER_BATCH: i64 = 100;
/// Of one batch. All batches together have the consumer's patience; a retry goes on where one stopped.
const BATCH_DEADLINE: Duration = Duration::from_secs(5);

/// Erases what deleted accounts leave, until `shutdown`.
pub(crate) async fn run(db: Database, nats: async_nats::Client, shutdown: CancellationToken) {
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
    Consumer::new(config, nats).run(shutdown, handler).await;
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
                    // Kept replies say what was erased.
                    idempotency::forget(tx, UserId(account.user_id)).await?;
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
    tracing::info!(user.id = account.user_id, "the agenda of a deleted account is erased");
    Ok(())
}

/// What a batch leaves of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    Perhaps,
    Nothing,
}

/// One batch: events before the professionals that they name, reports last.
async fn erase_some(tx: &mut Tx, user_id: i64) -> Result<Left, Error> {
    let full = ROWS_PER_BATCH.unsigned_abs();
    if store::events(tx, user_id, ROWS_PER_BATCH).await? == full
        || store::professionals(tx, user_id, ROWS_PER_BATCH).await? == full
    {
        return Ok(Left::Perhaps);
    }
    let now = now();
    let reports = store::reports(tx, user_id, REPORTS_PER_BATCH).await?;
    let last = i64::try_from(reports.len()).is_ok_and(|count| count < REPORTS_PER_BATCH);
    for report in reports {
        let fact = ReportFact {
            report_id: report.id,
            sender_id: report.sender_id.unwrap_or_default(),
            receiver_id: report.receiver_id.unwrap_or_default(),
        };
        let (version, fact) = if report.sender_id.is_none() || report.receiver_id.is_none() {
            store::report(tx, report.id).await?;
            (report.version + 1, Fact::ReportDeleted(fact))
        } else {
            (store::forget_party(tx, report.id, user_id, now).await?, Fact::ReportUpdated(fact))
        };
        record(tx, &Event::new(&Caller::Service, now, version, fact)).await?;
    }
    Ok(if last { Left::Nothing } else { Left::Perhaps })
}
