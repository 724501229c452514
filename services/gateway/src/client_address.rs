//! Where a request really came from.
//!
//! `X-Forwarded-For` is what anybody writes into it, so it counts only as far as proxies that we run vouch for it:
//! read from the right, every hop that is a listed proxy vouches for the one before, and the first that is not
//! listed is the client.

use std::net::{IpAddr, Ipv6Addr};

use actix_web::http::header::{HeaderMap, HeaderName};
use ipnet::IpNet;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// More hops than any chain of ours has.
const HOPS_MAX: usize = 32;

/// Networks from a setting such as `10.0.0.0/8,::1/128`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Networks(Vec<IpNet>);

impl Networks {
    /// Whether one of them holds the address.
    pub fn contain(&self, address: IpAddr) -> bool {
        !self.0.is_empty() && self.0.iter().any(|network| network.contains(&address))
    }
}

impl std::str::FromStr for Networks {
    type Err = ipnet::AddrParseError;

    /// Networks or single addresses, separated by commas.
    fn from_str(list: &str) -> Result<Self, Self::Err> {
        let network = |text: &str| match text.parse::<IpAddr>() {
            Ok(address) => Ok(IpNet::from(address)),
            Err(_not_an_address) => text.parse::<IpNet>(),
        };
        let parts = list.split(',').map(str::trim).filter(|part| !part.is_empty());
        parts.map(network).collect::<Result<_, _>>().map(Self)
    }
}

/// The client's address: the peer itself, unless the peer is one of `proxies`.
pub(crate) fn client_address(peer: IpAddr, headers: &HeaderMap, proxies: &Networks) -> IpAddr {
    let peer = peer.to_canonical();
    if !proxies.contain(peer) {
        return peer;
    }
    let mut client = peer;
    // By bytes: a client's nonsense in front must not hide what the proxy wrote behind it.
    let lines = headers.get_all(X_FORWARDED_FOR);
    let hops: Vec<&[u8]> = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b',')).collect();
    for hop in hops.iter().rev().take(HOPS_MAX) {
        // What the last proxy that we trust did not understand, we do not guess at.
        let Some(address) = std::str::from_utf8(hop).ok().and_then(parse_hop) else { break };
        client = address;
        if !proxies.contain(address) {
            break;
        }
    }
    client
}

/// An address as proxies write it: bare, with a port, or in brackets.
fn parse_hop(hop: &str) -> Option<IpAddr> {
    let hop = hop.trim();
    let address = hop.parse::<IpAddr>().ok();
    let address = address.or_else(|| hop.parse::<std::net::SocketAddr>().ok().map(|socket| socket.ip()));
    let bracketed = || hop.strip_prefix('[')?.strip_suffix(']')?.parse::<Ipv6Addr>().ok().map(IpAddr::V6);
    address.or_else(bracketed).map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    #[test]
    fn only_listed_proxies_are_believed() {
        #[track_caller]
        fn check(peer: &str, forwarded: &[&str], expected: &str) {
            let proxies: Networks = "10.0.0.0/8, ::1".parse().unwrap();
            let mut headers = HeaderMap::new();
            for value in forwarded {
                headers.append(X_FORWARDED_FOR, HeaderValue::from_bytes(value.as_bytes()).unwrap());
            }
            let address = client_address(peer.parse().unwrap(), &headers, &proxies);
            assert_eq!(address, expected.parse::<IpAddr>().unwrap(), "{peer} {forwarded:?}");
        }
        // A client that writes the header itself.
        check("203.0.113.9", &["1.2.3.4"], "203.0.113.9");
        check("203.0.113.9", &[], "203.0.113.9");
        // One proxy, two proxies, and what the client put in front.
        check("10.1.1.1", &["203.0.113.9"], "203.0.113.9");
        check("10.1.1.1", &["1.2.3.4, 203.0.113.9, 10.2.2.2"], "203.0.113.9");
        check("10.1.1.1", &["1.2.3.4", "203.0.113.9"], "203.0.113.9");
        check("::1", &["2001:db8::7"], "2001:db8::7");
        check("10.1.1.1", &["[2001:db8::7]:4711"], "2001:db8::7");
        check("10.1.1.1", &["203.0.113.9:4711"], "203.0.113.9");
        check("::ffff:10.1.1.1", &["203.0.113.9"], "203.0.113.9");
        check("10.1.1.1", &["é, 203.0.113.9"], "203.0.113.9");
        // Nothing to believe.
        check("10.1.1.1", &[], "10.1.1.1");
        check("10.1.1.1", &["nonsense"], "10.1.1.1");
        check("10.1.1.1", &["1.2.3.4, nonsense, 10.2.2.2"], "10.2.2.2");
    }

    #[test]
    fn a_hundred_hops_are_not_followed_to_their_end() {
        let proxies: Networks = "10.0.0.0/8".parse().unwrap();
        let mut headers = HeaderMap::new();
        let hops = format!("203.0.113.9{}", ", 10.0.0.1".repeat(100));
        headers.append(X_FORWARDED_FOR, HeaderValue::from_str(&hops).unwrap());
        let address = client_address("10.1.1.1".parse().unwrap(), &headers, &proxies);
        assert_eq!(address, "10.0.0.1".parse::<IpAddr>().unwrap());
    }

    #[test]
    fn a_setting_that_is_no_network_is_refused() {
        assert!("10.0.0.0/8,example".parse::<Networks>().is_err());
        assert!("10.0.0.0/33".parse::<Networks>().is_err());
        assert_eq!("".parse::<Networks>().unwrap(), Networks::default());
    }
}
