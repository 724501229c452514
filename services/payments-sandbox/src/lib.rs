//! A payment provider for development and tests, shaped like Stripe.
