//! What a host's name stands for, looked up and judged at the moment of connecting.
//!
//! A name is resolved once per connection, here, and the connection goes to an address of that answer and nowhere
//! else. A DNS that answers one thing to a check and another to the connection (rebinding) has nothing to tell
//! apart: the check is the connection's own look-up.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::time::timeout;

use super::address::{is_loopback, is_public};
use super::target::{Host, Reach, Target};

/// How long a look-up may take.
const LOOKUP_DEADLINE: Duration = Duration::from_secs(3);
/// Addresses of one answer that count.
const ADDRESSES_MAX: usize = 32;

/// Who says what a name stands for. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub enum Resolver {
    /// The system.
    #[default]
    System,
    /// A test.
    Scripted(Script),
}

/// Answers that a test has written down. Clones are the same script.
#[derive(Debug, Clone, Default)]
pub struct Script(Arc<Mutex<HashMap<String, Entry>>>);

#[derive(Debug, Default)]
struct Entry {
    answers: Vec<Vec<IpAddr>>,
    asked: usize,
}

impl Script {
    /// From now on `host` stands for the first of these answers, asked again for the second, and so on; the last one
    /// stays.
    pub fn answer(&self, host: &str, answers: impl IntoIterator<Item = Vec<IpAddr>>) {
        let entry = Entry { answers: answers.into_iter().collect(), asked: 0 };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(host.to_owned(), entry);
    }

    /// How often `host` was looked up since its answers were written down.
    pub fn asked(&self, host: &str) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(host).map_or(0, |entry| entry.asked)
    }

    fn next(&self, host: &str) -> Vec<IpAddr> {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(entry) = entries.get_mut(host) else { return Vec::new() };
        let answer = entry.answers.get(entry.asked).or(entry.answers.last()).cloned();
        entry.asked += 1;
        answer.unwrap_or_default()
    }
}

/// Why a host is not connected to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    /// The name stands for nothing, or for nothing that could be learnt in time.
    #[error("the host's name does not resolve")]
    Unresolved,
    /// At least one of its addresses is not the public internet's. Which, is not said: that would be a map of
    /// somebody's network.
    #[error("the host's name resolves to an address that is not public")]
    NotPublic,
}

/// Looks up names and lets only public addresses through. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Guard {
    resolver: Resolver,
    reach: Reach,
}

impl Guard {
    pub(crate) fn new(resolver: Resolver, reach: Reach) -> Self {
        Self { resolver, reach }
    }

    /// How far it lets webhooks go.
    pub(crate) fn reach(&self) -> Reach {
        self.reach
    }

    /// Whether a target could be connected to now.
    pub(crate) async fn check(&self, target: &Target) -> Result<(), Refused> {
        match target.host() {
            Host::Named(name) => self.addresses(name).await.map(drop),
            Host::Loopback => Ok(()),
        }
    }

    /// What a name stands for, if all of it may be connected to.
    async fn addresses(&self, name: &str) -> Result<Vec<IpAddr>, Refused> {
        let addresses = match &self.resolver {
            Resolver::System => match timeout(LOOKUP_DEADLINE, lookup(name)).await {
                Ok(Ok(addresses)) => addresses,
                Ok(Err(_)) | Err(_) => return Err(Refused::Unresolved),
            },
            Resolver::Scripted(script) => script.next(name),
        };
        if addresses.is_empty() {
            return Err(Refused::Unresolved);
        }
        let may = |address: &IpAddr| {
            is_public(*address) || self.reach == Reach::PublicAndLoopback && is_loopback(*address)
        };
        // One bad address condemns the answer: which one a connection takes is chance.
        if addresses.iter().all(may) { Ok(addresses) } else { Err(Refused::NotPublic) }
    }
}

async fn lookup(name: &str) -> io::Result<Vec<IpAddr>> {
    Ok(tokio::net::lookup_host((name, 0)).await?.map(|address| address.ip()).take(ADDRESSES_MAX).collect())
}

/// The only look-up of the HTTP client.
impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = self.clone();
        Box::pin(async move {
            let addresses = guard.addresses(name.as_str()).await?;
            // Port 0: the URL's.
            let addresses = addresses.into_iter().map(|address| SocketAddr::new(address, 0));
            Ok(Box::new(addresses) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn judged(reach: Reach, answer: &[&str]) -> Result<usize, Refused> {
        let script = Script::default();
        let addresses = answer.iter().map(|address| address.parse().expect("an address")).collect();
        script.answer("hooks.example.com", [addresses]);
        let guard = Guard::new(Resolver::Scripted(script), reach);
        guard.addresses("hooks.example.com").await.map(|addresses| addresses.len())
    }

    #[tokio::test]
    async fn one_bad_address_condemns_an_answer() {
        assert_eq!(judged(Reach::Public, &["8.8.8.8", "2606:4700:4700::1111"]).await, Ok(2));
        assert_eq!(judged(Reach::Public, &[]).await, Err(Refused::Unresolved));
        for bad in [
            "127.0.0.1",
            "10.0.0.1",
            "169.254.169.254",
            "::1",
            "::ffff:10.0.0.1",
            "fd00::1",
            "64:ff9b::a00:1",
        ] {
            assert_eq!(judged(Reach::Public, &[bad]).await, Err(Refused::NotPublic), "{bad}");
            assert_eq!(judged(Reach::Public, &["8.8.8.8", bad]).await, Err(Refused::NotPublic), "{bad}");
            assert_eq!(judged(Reach::Public, &[bad, "8.8.8.8"]).await, Err(Refused::NotPublic), "{bad}");
        }
    }

    #[tokio::test]
    async fn development_reaches_this_machine_and_no_other() {
        let development = |answer| judged(Reach::PublicAndLoopback, answer);
        assert_eq!(development(&["127.0.0.1"]).await, Ok(1));
        assert_eq!(development(&["10.0.0.1"]).await, Err(Refused::NotPublic));
        assert_eq!(development(&["127.0.0.1", "169.254.169.254"]).await, Err(Refused::NotPublic));
    }

    #[tokio::test]
    async fn names_are_resolved_by_the_system() {
        let resolve = |reach| async move { Guard::new(Resolver::System, reach).addresses("localhost").await };
        assert!(
            resolve(Reach::PublicAndLoopback).await.is_ok_and(|found| found.iter().all(IpAddr::is_loopback))
        );
        assert_eq!(resolve(Reach::Public).await, Err(Refused::NotPublic));
        let guard = Guard::new(Resolver::System, Reach::Public);
        assert_eq!(guard.addresses("nothing.invalid").await, Err(Refused::Unresolved));
    }
}
