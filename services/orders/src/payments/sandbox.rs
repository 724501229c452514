//! The sandbox: speaks as Stripe does, and moves no money.

use std::time::Duration;

use rls::BoxFuture;
use time::OffsetDateTime;

use super::api::Api;
use super::provider::{CallError, Intent, Of, PaymentProvider};
use super::token::CardToken;

const NAME: &str = "sandbox";

/// Our own stand-in for a provider; refused in production.
#[derive(Debug)]
pub(crate) struct Sandbox(pub(crate) Api);

impl PaymentProvider for Sandbox {
    fn name(&self) -> &'static str {
        NAME
    }

    /// A real card's token has no business here.
    fn accepts(&self, token: &CardToken) -> bool {
        token.is_for_tests()
    }

    fn api(&self) -> &Api {
        &self.0
    }

    /// Its search is never behind.
    fn find_by_metadata<'a>(
        &'a self,
        payment: &'a Of,
        _since: OffsetDateTime,
        within: Duration,
    ) -> BoxFuture<'a, Result<Option<Intent>, CallError>> {
        Box::pin(self.0.search(payment, within))
    }
}
