//! A payment provider for development and tests, shaped like Stripe.
//!
//! It answers `/v1/payment_intents` and `/v1/refunds` as Stripe does, by Stripe's rules of idempotency, and sends
//! signed webhooks. Nothing it says is worth money: it refuses to run in production. What it adds is trouble on
//! demand, and a ledger to compare with.
//!
//! | Control | What it does |
//! | --- | --- |
//! | `GET`, `PUT /__sandbox/config` | latency, declines, faults, webhooks; seeded, so that runs replay |
//! | `GET /__sandbox/ledger?order_id=` | charges, captures and refunds, with the keys that made them |
//! | `GET /__sandbox/events` | what happened, whether it was sent or not |
//! | `POST /__sandbox/pix/{id}/pay`, `…/expire` | a payer pays, or does not |
//! | `POST /__sandbox/3ds/{id}/approve`, `…/fail` | a bank knows the holder, or does not; `GET` is the bank's page |
//! | `POST /__sandbox/disputes/{id}/open`, `…/won`, `…/lost` | a holder wants the money back |
//! | `POST /__sandbox/refunds/{id}/fail` | a bank sends a refund back, maybe days later |
//! | `POST /__sandbox/reset` | forgets everything |
//!
//! Payment methods: `pm_card_visa` and others are approved; `pm_card_chargeDeclined`,
//! `pm_card_chargeDeclinedInsufficientFunds` and others are declined; `pm_card_authenticationRequired` wants 3-D
//! Secure; `pm_sandbox_slow_{ms}` takes longer; `pm_sandbox_processing_{ms}` is decided later;
//! `pm_sandbox_timeout_after_charge` is charged and never answered; `pm_sandbox_500_after_charge` is charged and
//! answered with a 500, also when repeated.

mod app;
mod chance;
mod config;
mod connection;
mod error;
mod form;
mod http;
mod intent;
mod journal;
mod knobs;
mod operation;
mod pix;
mod sandbox;
mod signature;
mod token;
mod webhooks;
mod world;

pub use app::App;
pub use config::Config;
