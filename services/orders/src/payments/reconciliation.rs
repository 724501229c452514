//! The provider's books against ours: every difference is counted and left to a person, and money that was overlooked is
//! applied.

use std::collections::HashSet;

use rls::{Caller, Class, DatabaseError};
use time::Duration;
use uuid::Uuid;

use super::Payments;
use super::gate::Asking;
use super::provider::Intent;
use super::settle::{Heard, WORK_DEADLINE};
use super::{CALL_DEADLINE, events::Unworked};
use crate::domain::payment::Status;
use crate::error::Error;
use crate::handlers::now;
use crate::store::payments::issues::Issue;
use crate::store::payments::{self as store, Books};

/// How far back the books are compared: longer than an attempt can be unsettled.
const BACK: Duration = Duration::hours(25);
/// Our clocks and the provider's differ by less.
const MARGIN: Duration = Duration::minutes(10);
/// Pages of the provider's list, at most; what is beyond is compared an hour later.
const PAGES_MAX: usize = 1_000;

impl Payments {
    /// Compares what the provider took and gave back with the ledger.
    ///
    /// # Errors
    /// When the provider or the database does not answer.
    pub(super) async fn reconcile(&self) -> Result<(), Unworked> {
        let from = now() - BACK;
        let mut seen = HashSet::new();
        let mut after: Option<String> = None;
        let mut complete = false;
        for _ in 0..PAGES_MAX {
            let last = after.clone();
            let page = self.inner.gate.ask(Asking::Worker, |provider| {
                let last = last.as_deref();
                provider.list(from, last, CALL_DEADLINE)
            });
            let page = page.await?;
            after = page.intents.last().map(|intent| intent.reference.clone());
            seen.extend(page.intents.iter().map(|intent| intent.reference.clone()));
            self.compare(page.intents).await?;
            if !page.more || after.is_none() {
                complete = true;
                break;
            }
        }
        if complete {
            self.missing_there(&seen, from + MARGIN).await?;
        }
        self.compare_refunds(from).await
    }

    /// Money goes back of orders of any age. What the provider says of a refund is applied, or left to a person, as if it
    /// had told of it just now.
    async fn compare_refunds(&self, from: time::OffsetDateTime) -> Result<(), Unworked> {
        let mut after: Option<String> = None;
        for _ in 0..PAGES_MAX {
            let last = after.clone();
            let page = self.inner.gate.ask(Asking::Worker, |provider| {
                let last = last.as_deref();
                provider.list_refunds(from, last, CALL_DEADLINE)
            });
            let page = page.await?;
            after = page.refunds.last().map(|refund| refund.reference.clone());
            for (id, refund) in self.differing(page.refunds).await? {
                if let Err(error) = self.apply_refund(id, refund).await {
                    tracing::warn!(refund.id = %id, %error, "a refund that differs was not carried on");
                }
            }
            if !page.more || after.is_none() {
                break;
            }
        }
        Ok(())
    }

    async fn compare(&self, intents: Vec<Intent>) -> Result<(), Error> {
        // What does not name a payment is not of this shop.
        let ours: Vec<Intent> = intents.into_iter().filter(|intent| intent.of.payment_id.is_some()).collect();
        let references: Vec<String> = ours.iter().map(|intent| intent.reference.clone()).collect();
        let ids: Vec<Uuid> = ours.iter().filter_map(|intent| intent.of.payment_id).collect();
        let provider = self.provider().name();
        let books = self.inner.db.run(&Caller::Service, Class::Worker, WORK_DEADLINE, move |tx| {
            Box::pin(
                async move { Ok::<_, DatabaseError>(store::books(tx, provider, &references, &ids).await?) },
            )
        });
        let books = books.await?.value;
        for intent in ours {
            let book = books.iter().find(|book| {
                book.provider_ref.as_deref() == Some(intent.reference.as_str())
                    || (book.provider_ref.is_none() && Some(book.id) == intent.of.payment_id)
            });
            let Some(detail) = difference(book, &intent) else { continue };
            self.differ(intent.reference.clone(), book.map(|book| book.id), detail).await?;
            let Some(book) = book.filter(|book| book.status != Status::Succeeded) else { continue };
            // The next ones differ whether or not this one can be carried on.
            if let Err(error) = self.carry_on(book.id, Heard::Intent(intent), 0).await {
                tracing::warn!(payment.id = %book.id, %error, "a payment that differs was not carried on");
            }
        }
        Ok(())
    }

    async fn missing_there(&self, seen: &HashSet<String>, since: time::OffsetDateTime) -> Result<(), Error> {
        let provider = self.provider().name();
        let captured = self.inner.db.run(&Caller::Service, Class::Worker, WORK_DEADLINE, move |tx| {
            Box::pin(async move { Ok::<_, DatabaseError>(store::captured_since(tx, provider, since).await?) })
        });
        for reference in captured.await?.value {
            if !seen.contains(&reference) {
                let detail = "our books hold money of an intent that the provider does not list".to_owned();
                self.differ(reference, None, detail).await?;
            }
        }
        Ok(())
    }

    async fn differ(&self, reference: String, payment_id: Option<Uuid>, detail: String) -> Result<(), Error> {
        self.inner.counts.mismatch();
        self.raise(Issue { kind: "reconciliation", order_id: None, payment_id, reference, detail }).await
    }
}

/// How the books differ; `None` when they agree, or changed so lately that they may not agree yet.
fn difference(book: Option<&Books>, intent: &Intent) -> Option<String> {
    let Some(book) = book else {
        return (intent.received > 0)
            .then(|| format!("{} was taken for no payment of ours", intent.received));
    };
    if book.is_fresh || book.refunding {
        return None;
    }
    if book.captured != intent.received {
        return Some(format!("{} was taken, our books say {}", intent.received, book.captured));
    }
    if book.status.is_final() && intent.status == Status::RequiresCapture {
        return Some(format!(
            "{} is still authorised, our books say {}",
            intent.amount,
            book.status.as_str()
        ));
    }
    // An authorisation that was given up counts as refunded there: no money went anywhere.
    let refunded = intent.refunded.filter(|_| intent.received > 0).unwrap_or(book.refunded);
    (refunded != book.refunded).then(|| format!("{refunded} was given back, our books say {}", book.refunded))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payments::provider::Of;

    fn intent(status: Status, received: i64, refunded: i64) -> Intent {
        Intent {
            reference: "pi_1".to_owned(),
            status,
            amount: 500,
            currency: "BRL".to_owned(),
            received,
            refunded: Some(refunded),
            of: Of::default(),
            failure: None,
            next_action: None,
            created: 0,
        }
    }

    #[test]
    fn only_what_differs_is_a_difference() {
        #[track_caller]
        fn check(status: Status, captured: i64, refunded: i64, intent: &Intent, differs: bool) {
            let (is_fresh, refunding) = (false, false);
            let book = Books {
                id: Uuid::nil(),
                provider_ref: None,
                status,
                is_fresh,
                captured,
                refunded,
                refunding,
            };
            assert_eq!(difference(Some(&book), intent).is_some(), differs, "{intent:?}");
        }
        check(Status::Succeeded, 500, 0, &intent(Status::Succeeded, 500, 0), false);
        check(Status::Succeeded, 500, 100, &intent(Status::Succeeded, 500, 100), false);
        check(Status::Succeeded, 500, 0, &intent(Status::Succeeded, 500, 100), true);
        check(Status::Failed, 0, 0, &intent(Status::Succeeded, 500, 0), true);
        // A card that was authorised and let go: the charge says that it was refunded.
        check(Status::Canceled, 0, 0, &intent(Status::Canceled, 0, 500), false);
        // One that nobody lets go.
        check(Status::Canceled, 0, 0, &intent(Status::RequiresCapture, 0, 0), true);
        check(Status::RequiresCapture, 0, 0, &intent(Status::RequiresCapture, 0, 0), false);
    }
}
