//! The sandbox: speaks as Stripe does, and moves no money.

use super::api::Api;
use super::provider::PaymentProvider;
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
}
