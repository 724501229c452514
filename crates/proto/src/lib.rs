//! The services' contract as Rust: messages, clients and servers generated from `proto/`, no logic.
//!
//! `cargo xtask codegen` rewrites `src/gen`; the test `generated_code_is_fresh` compares.

/// Mutation events and purge receipts.
pub mod events {
    /// `mestres.events.v1`
    pub mod v1 {
        include!("gen/mestres.events.v1.rs");
    }
}

/// The accounts service.
pub mod accounts {
    /// `mestres.accounts.v1`
    pub mod v1 {
        include!("gen/mestres.accounts.v1.rs");
    }
}

/// The agenda service.
pub mod agenda {
    /// `mestres.agenda.v1`
    pub mod v1 {
        include!("gen/mestres.agenda.v1.rs");
    }
}

/// The catalog service.
pub mod catalog {
    /// `mestres.catalog.v1`
    pub mod v1 {
        include!("gen/mestres.catalog.v1.rs");
    }
}

/// The metrics aggregator.
pub mod metrics {
    /// `mestres.metrics.v1`
    pub mod v1 {
        include!("gen/mestres.metrics.v1.rs");
    }
}

/// The notifications service and its webhooks.
pub mod notifications {
    /// `mestres.notifications.v1`
    pub mod v1 {
        include!("gen/mestres.notifications.v1.rs");
    }
}

/// The orders service: carts, checkout, payments, orders, stock, coupons.
pub mod orders {
    /// `mestres.orders.v1`
    pub mod v1 {
        include!("gen/mestres.orders.v1.rs");
    }
}

/// Every file descriptor of the contract, for gRPC reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!("gen/descriptors.bin");
