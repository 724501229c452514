//! Webhooks: where they go, what was sent, and what is to be sent next.

pub(crate) mod deliveries;
pub(crate) mod dispatch;
pub(crate) mod endpoints;
