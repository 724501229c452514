//! The services this binary can be, by the names used on the command line, in logs and in the table.

use std::fmt;

use clap::ValueEnum;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Service {
    Gateway,
    Catalog,
    Metrics,
    CacheInvalidator,
    Accounts,
    Agenda,
    Notifications,
    Orders,
    PaymentsSandbox,
}

impl Service {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Catalog => "catalog",
            Self::Metrics => "metrics",
            Self::CacheInvalidator => "cache-invalidator",
            Self::Accounts => "accounts",
            Self::Agenda => "agenda",
            Self::Notifications => "notifications",
            Self::Orders => "orders",
            Self::PaymentsSandbox => "payments-sandbox",
        }
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
