//! Who is in the system, and who talks to whom.

use std::fmt;
use std::str::FromStr;

use anyhow::{Context as _, Result};

/// A process of the product, or the payment provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Part {
    Accounts,
    Agenda,
    Catalog,
    Gateway0,
    Gateway1,
    Invalidator,
    Metrics,
    Notifications,
    Orders,
    Provider,
}

/// A server that the product stands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Server {
    Nats,
    Postgres,
    Redis,
}

/// Every way between two that a plan can spoil, by who connects and to whom. Both gateways share theirs.
pub(crate) const LINKS: [&str; 28] = [
    "accounts>nats",
    "accounts>postgres",
    "agenda>nats",
    "agenda>postgres",
    "catalog>nats",
    "catalog>postgres",
    "catalog>redis",
    "gateway>accounts",
    "gateway>agenda",
    "gateway>catalog",
    "gateway>nats",
    "gateway>notifications",
    "gateway>orders",
    "gateway>redis",
    "invalidator>nats",
    "invalidator>postgres",
    "invalidator>redis",
    "notifications>accounts",
    "notifications>nats",
    "notifications>orders",
    "notifications>postgres",
    "orders>catalog",
    "orders>nats",
    "orders>postgres",
    "orders>provider",
    "orders>redis",
    "gateway>metrics",
    "provider>gateway",
];

/// Whether a plan can spoil this way.
pub(crate) fn is_link(name: &str) -> bool {
    LINKS.contains(&name)
}

impl Part {
    pub(crate) const ALL: [Self; 10] = [
        Self::Accounts,
        Self::Agenda,
        Self::Catalog,
        Self::Gateway0,
        Self::Gateway1,
        Self::Invalidator,
        Self::Metrics,
        Self::Notifications,
        Self::Orders,
        Self::Provider,
    ];

    /// What `mestres serve` calls it.
    pub(super) fn role(self) -> &'static str {
        match self {
            Self::Accounts => "accounts",
            Self::Agenda => "agenda",
            Self::Catalog => "catalog",
            Self::Gateway0 | Self::Gateway1 => "gateway",
            Self::Invalidator => "cache-invalidator",
            Self::Metrics => "metrics",
            Self::Notifications => "notifications",
            Self::Orders => "orders",
            Self::Provider => "payments-sandbox",
        }
    }

    /// What links call it.
    pub(super) fn side(self) -> &'static str {
        match self {
            Self::Gateway0 | Self::Gateway1 => "gateway",
            other => other.name(),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Accounts => "accounts",
            Self::Agenda => "agenda",
            Self::Catalog => "catalog",
            Self::Gateway0 => "gateway-0",
            Self::Gateway1 => "gateway-1",
            Self::Invalidator => "invalidator",
            Self::Metrics => "metrics",
            Self::Notifications => "notifications",
            Self::Orders => "orders",
            Self::Provider => "provider",
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Part {
    type Err = anyhow::Error;

    fn from_str(name: &str) -> Result<Self> {
        let known = Self::ALL.into_iter().find(|part| part.name() == name);
        known.with_context(|| format!("there is no `{name}`"))
    }
}

impl Server {
    pub(crate) const ALL: [Self; 3] = [Self::Nats, Self::Postgres, Self::Redis];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Nats => "nats",
            Self::Postgres => "postgres",
            Self::Redis => "redis",
        }
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Server {
    type Err = anyhow::Error;

    fn from_str(name: &str) -> Result<Self> {
        let known = Self::ALL.into_iter().find(|server| server.name() == name);
        known.with_context(|| format!("there is no server `{name}`"))
    }
}
