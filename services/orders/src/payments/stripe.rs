//! Stripe: real cards, real money.

use super::api::Api;
use super::provider::PaymentProvider;
use super::token::CardToken;

const NAME: &str = "stripe";

/// Stripe's `PaymentIntents`.
#[derive(Debug)]
pub(crate) struct Stripe(pub(crate) Api);

impl PaymentProvider for Stripe {
    fn name(&self) -> &'static str {
        NAME
    }

    /// Tokens that only tests know are nobody's card.
    fn accepts(&self, token: &CardToken) -> bool {
        !token.is_for_tests()
    }

    fn api(&self) -> &Api {
        &self.0
    }
}
