//! Which limit a request falls under, what it costs there, and the headers that tell the client
//! (draft-ietf-httpapi-ratelimit-headers).

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use actix_http::{HttpMessage as _, Request};
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use rls::UserId;

use crate::client_address::{Networks, client_address};
use crate::error::Error;
use crate::limits::{Limit, Limits, Principal, Verdict};
use crate::routes::Route;

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// A search works more than a page of a list; an export gathers from every service.
const SEARCH_COST: u64 = 3;
const EXPORT_COST: u64 = 50;

/// Who is limited, and by what.
#[derive(Debug)]
pub(crate) struct Doorkeeper {
    pub(crate) limits: Limits,
    /// Peers that vouch for the address before them.
    pub(crate) proxies: Networks,
    /// Clients that measure us (T1): without limits.
    pub(crate) load_generators: Networks,
}

/// What a request took, to be told to its client.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Allowance {
    limit: Limit,
    left: u64,
    full_in_us: u64,
}

impl Doorkeeper {
    /// The address that a request counts under, behind our own proxies or not.
    pub(crate) fn address(&self, peer: Option<IpAddr>, headers: &HeaderMap) -> IpAddr {
        // A socket without a peer is gone; whatever it asked is answered to nobody.
        let peer = peer.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        client_address(peer, headers, &self.proxies)
    }

    /// Lets a request in, or says how long it must wait. `user` is whoever its token proves.
    pub(crate) fn admit(
        &self,
        route: Route,
        request: &Request,
        user: Option<UserId>,
    ) -> Result<Option<Allowance>, Error> {
        if !route.is_limited() {
            return Ok(None);
        }
        let address = self.address(request.head().peer_addr.map(|peer| peer.ip()), request.headers());
        if self.load_generators.contain(address) {
            return Ok(None);
        }
        let (limit, principal) = match user {
            // Whoever tries passwords is not yet anybody.
            _ if route.is_sign_in() => (Limit::Login, Principal::address(address)),
            _ if route == Route::PaymentWebhook => (Limit::Provider, Principal::address(address)),
            Some(user) => (Limit::User, Principal::User(user)),
            None => (Limit::Public, Principal::address(address)),
        };
        match self.limits.take(limit, principal, cost(route, request)) {
            Verdict::Taken { left, full_in_us } => Ok(Some(Allowance { limit, left, full_in_us })),
            Verdict::Refused { wait_us } => Err(Error::rate_limited(Duration::from_micros(wait_us))),
        }
    }
}

/// Tokens that a request takes.
fn cost(route: Route, request: &Request) -> u64 {
    match route {
        Route::Products if is_search(request.uri().query()) => SEARCH_COST,
        Route::MyData => EXPORT_COST,
        _ => 1,
    }
}

fn is_search(query: Option<&str>) -> bool {
    query.is_some_and(|query| query.split('&').any(|pair| pair.starts_with("search=")))
}

impl Allowance {
    /// Says what is granted and what is left of it.
    pub(crate) fn write(self, headers: &mut HeaderMap) {
        let Self { limit, left, full_in_us } = self;
        headers.insert(RATE_LIMIT_POLICY, policy(limit));
        let reset_s = full_in_us.div_ceil(1_000_000);
        let text = format!("\"{}\";r={left};t={reset_s}", limit.name());
        headers.insert(RATE_LIMIT, HeaderValue::from_maybe_shared(text.into_bytes()).expect("visible ASCII"));
    }
}

fn policy(limit: Limit) -> HeaderValue {
    let text = match limit {
        Limit::Public => "\"public\";q=20;w=2",
        Limit::User => "\"user\";q=100;w=2",
        Limit::Login => "\"login\";q=5;w=5",
        Limit::Provider => "\"provider\";q=1000;w=2",
    };
    HeaderValue::from_static(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_that_is_told_is_the_one_that_is_kept() {
        for limit in [Limit::Public, Limit::User, Limit::Login, Limit::Provider] {
            let told = format!("\"{}\";q={};w={}", limit.name(), limit.burst(), limit.window_s());
            assert_eq!(policy(limit).to_str().unwrap(), told);
        }
    }

    #[test]
    fn a_search_is_recognised_by_its_parameter() {
        assert!(is_search(Some("search=caf%C3%A9")));
        assert!(is_search(Some("page=2&search=x")));
        assert!(!is_search(Some("research=x&page=2")));
        assert!(!is_search(None));
    }
}
