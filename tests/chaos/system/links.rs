//! The network between the parts: one proxy for each way that can be spoiled.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use testkit::{FaultProxy, Flow, Toxics};

use super::data::{Database, PASSWORD};
use super::part::LINKS;
use super::servers::Servers;
use super::{Part, Server};
use crate::plan::Ailment;

#[derive(Debug)]
pub(super) struct Links {
    proxies: BTreeMap<&'static str, FaultProxy>,
    servers: BTreeMap<Server, SocketAddr>,
}

impl Links {
    pub(super) async fn start(parts: &BTreeMap<Part, SocketAddr>, servers: &Servers) -> Self {
        let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let servers: BTreeMap<Server, SocketAddr> = [
            (Server::Nats, local(servers.nats.port())),
            (Server::Postgres, local(servers.postgres.port())),
            (Server::Redis, local(servers.redis.port())),
        ]
        .into();
        let mut proxies = BTreeMap::new();
        for name in LINKS {
            let (_, target) = name.split_once('>').expect("who connects and to whom");
            let server =
                servers.iter().find(|(server, _)| server.name() == target).map(|(_, address)| *address);
            // Webhooks go to the first gateway.
            let part = || parts.iter().find(|(part, _)| part.side() == target).map(|(_, address)| *address);
            let upstream = server.or_else(part).expect("every link ends somewhere");
            proxies.insert(name, FaultProxy::start(upstream).await);
        }
        Self { proxies, servers }
    }

    /// Where `from` finds `target`: at their link's, or at the target itself when they have none.
    pub(super) fn address(&self, from: Part, target: &str, itself: SocketAddr) -> SocketAddr {
        self.proxies.get(format!("{}>{target}", from.side()).as_str()).map_or(itself, FaultProxy::addr)
    }

    pub(super) fn server_url(&self, from: Part, server: Server) -> String {
        let address = self.address(from, server.name(), self.servers[&server]);
        format!("{server}://{address}")
    }

    pub(super) fn database_url(&self, from: Part, database: Database) -> String {
        let address = self.address(from, Server::Postgres.name(), self.servers[&Server::Postgres]);
        let name = database.name();
        format!("postgres://{name}:{PASSWORD}@{address}/{name}")
    }

    pub(super) fn spoil(&self, link: &str, ailment: Ailment) {
        let Some(proxy) = self.proxies.get(link) else { return };
        let flows = |flow| Toxics { flow, ..Toxics::default() };
        match ailment {
            Ailment::Cut => proxy.cut(),
            Ailment::Hold => proxy.freeze(),
            Ailment::HoldAnswers => proxy.poison_to_client(flows(Flow::Held)),
            Ailment::Swallow => {
                proxy.poison_to_server(flows(Flow::Swallowed));
                proxy.poison_to_client(flows(Flow::Swallowed));
            }
            Ailment::HalfOpen => {
                proxy.poison_to_server(flows(Flow::HalfOpen));
                proxy.poison_to_client(flows(Flow::HalfOpen));
            }
            Ailment::Reset(bytes) => proxy.poison_to_client(flows(Flow::ResetAfter(bytes))),
            Ailment::Limit(bytes) => proxy.poison_to_client(flows(Flow::ClosedAfter(bytes))),
            Ailment::Latency(mean, jitter) => both(proxy, mean / 2, jitter / 2, None),
            Ailment::Bandwidth(bytes) => both(proxy, Duration::ZERO, Duration::ZERO, Some(bytes)),
        }
    }

    pub(super) fn heal(&self, link: &str) {
        if let Some(proxy) = self.proxies.get(link) {
            proxy.heal();
        }
    }
}

fn both(proxy: &FaultProxy, latency: Duration, jitter: Duration, bandwidth: Option<u64>) {
    let toxics = Toxics { latency, jitter, bandwidth, ..Toxics::default() };
    proxy.poison_to_server(toxics.clone());
    proxy.poison_to_client(toxics);
}
