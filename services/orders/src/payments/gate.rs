//! The way to the provider: past the breaker for buyers, at their own pace for workers.

use std::sync::Arc;

use rls::BoxFuture;

use super::breaker::{Breaker, Open};
use super::provider::{CallError, PaymentProvider};

/// The provider and its breaker. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Gate {
    provider: Arc<dyn PaymentProvider>,
    breaker: Breaker,
}

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asking {
    /// Somebody who waits: refused while the breaker is open.
    Buyer,
    /// A worker. What is unsettled has to be asked for, and workers slow down by themselves, so that the breaker of a
    /// provider that is back does not keep buyers in doubt for a minute.
    Worker,
}

impl Gate {
    pub(crate) fn new(provider: Arc<dyn PaymentProvider>) -> Self {
        Self { provider, breaker: Breaker::default() }
    }

    pub(crate) fn provider(&self) -> &dyn PaymentProvider {
        &*self.provider
    }

    pub(crate) fn breaker(&self) -> &Breaker {
        &self.breaker
    }

    /// Whether a buyer would be refused now.
    pub(crate) fn check(&self) -> Result<(), Open> {
        self.breaker.check()
    }

    /// Asks, and tells the breaker how it went. A refusal is an answer; so is a decline, and what nobody understands.
    pub(crate) async fn ask<'a, T>(
        &'a self,
        asking: Asking,
        call: impl FnOnce(&'a dyn PaymentProvider) -> BoxFuture<'a, Result<T, CallError>>,
    ) -> Result<T, CallError> {
        if asking == Asking::Buyer {
            self.breaker.admit()?;
        }
        let answer = call(&*self.provider).await;
        match &answer {
            Ok(_)
            | Err(
                CallError::Refused { .. }
                | CallError::InUse
                | CallError::Limited { .. }
                | CallError::Replayed
                | CallError::Puzzling(_),
            ) => {
                self.breaker.succeeded();
            }
            Err(CallError::Unclear(_)) => self.breaker.failed(),
            Err(CallError::Open(_)) => {}
        }
        answer
    }
}
