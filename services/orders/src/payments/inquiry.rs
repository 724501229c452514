//! What became of an attempt: asked of the provider as often as it takes, without ever charging again.

use time::Duration;
use tokio::time::Instant;

use super::gate::Asking;
use super::provider::{CallError, Of};
use super::settle::{Heard, left};
use super::{CALL_DEADLINE, Payments};
use crate::domain::payment::Status;
use crate::error::Error;
use crate::store::payments::Due;

/// What an attempt is called that the provider's own error has ended.
const PROVIDER_ERROR: &str = "provider_error";

impl Payments {
    /// Asks what became of an attempt.
    ///
    /// # Errors
    /// When the provider proves nothing.
    pub(crate) async fn inquire(&self, due: &Due, asking: Asking) -> Result<Heard, CallError> {
        let by = Instant::now() + 2 * CALL_DEADLINE;
        let gate = &self.inner.gate;
        let intent = match (&due.provider_ref, &due.request) {
            (Some(reference), _) => {
                gate.ask(asking, |provider| provider.retrieve(reference, left(by))).await?
            }
            // The provider forgets its keys in a day: what was a repeat would charge once more.
            (None, _) if due.is_old => return self.look_up(due, asking, by).await,
            (None, Some(request)) => {
                let key = &due.provider_key;
                let asked = gate
                    .ask(asking, |provider| provider.create_and_confirm(key, request.clone(), left(by)))
                    .await;
                match asked {
                    Ok(intent) => intent,
                    Err(CallError::Refused { code }) => return Ok(Heard::Refused(code)),
                    Err(CallError::Replayed) => return self.look_up(due, asking, by).await,
                    Err(error) => return Err(error),
                }
            }
            (None, None) => return self.look_up(due, asking, by).await,
        };
        // The buyer had time enough, and the goods go back.
        let abandoned = intent.status == Status::RequiresAction && !due.goods_kept;
        if abandoned && due.status == Status::RequiresAction {
            let (order, attempt, reference) = (due.order_id, due.attempt, &intent.reference);
            return Ok(Heard::Intent(self.cancel(order, attempt, reference, asking, by, due.checks).await?));
        }
        Ok(Heard::Intent(intent))
    }

    /// The first request ended in an error of the provider's: what it did can be seen, or that it did nothing.
    ///
    /// Nothing is proven by one empty look right after the request; by one some time later it is, because the first
    /// request is over and its key makes nothing any more. The same is true of an old attempt: nobody asks for it any
    /// more.
    async fn look_up(&self, due: &Due, asking: Asking, by: Instant) -> Result<Heard, CallError> {
        let of = Of {
            order_id: Some(due.order_id),
            payment_id: Some(due.id),
            attempt: Some(due.attempt),
            refund_id: None,
        };
        let gate = &self.inner.gate;
        let found =
            gate.ask(asking, |provider| provider.find_by_metadata(&of, due.created_at, left(by))).await?;
        let is_proof = if due.is_old { due.is_over } else { due.is_settled_late && due.checks > 1 };
        match found {
            Some(intent) => Ok(Heard::Intent(intent)),
            None if is_proof => Ok(Heard::Refused(PROVIDER_ERROR.to_owned())),
            None => Err(CallError::Puzzling("the provider has no such intent yet")),
        }
    }

    /// Asks what became of an attempt that is due, and carries it on. Never more than one of them: whoever has the lease.
    ///
    /// # Errors
    /// When the database fails.
    pub(crate) async fn recover(&self, due: Due) -> Result<Recovered, Error> {
        failpoints::hit("rec.before_query").await?;
        let heard = match self.inquire(&due, Asking::Worker).await {
            Ok(heard) => heard,
            Err(CallError::Limited { retry_after }) => {
                let later = Duration::try_from(retry_after).unwrap_or(Duration::MINUTE);
                self.put_off(due.id, later.min(Duration::MINUTE)).await?;
                return Ok(Recovered::Answered);
            }
            Err(error) => {
                tracing::debug!(payment.id = %due.id, %error, "a payment cannot be settled now");
                if due.is_old {
                    self.leave_to_people(&due).await?;
                }
                let silent = matches!(error, CallError::Unclear(_));
                return Ok(if silent { Recovered::Silence } else { Recovered::Answered });
            }
        };
        failpoints::hit("rec.after_query").await?;
        let status = self.carry_on(due.id, heard, due.checks).await?;
        if due.is_old && !status.is_final() {
            self.leave_to_people(&due).await?;
        }
        Ok(Recovered::Answered)
    }
}

/// Whether the provider was there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Recovered {
    Answered,
    Silence,
}
