//! Where a request goes, decided from its first line.

use std::rc::Rc;

use actix_http::{HttpMessage as _, Request};
use actix_web::http::header::HeaderValue;
use latency::{EndpointId, Reading, Timing};

use crate::allowance::Allowance;
use crate::error::Error;
use crate::gate::{Gate, X_REQUEST_ID};
use crate::listener::{Peer, REFUSED_PATH, Refusal};
use crate::repeat::Replayed;
use crate::request_id::RequestId;
use crate::routes::{Route, Segments};

/// A request from its first byte, and where it goes.
pub(super) struct Asked {
    pub(super) timing: Timing,
    pub(super) destination: Result<Destination, Error>,
    pub(super) request_id: RequestId,
    /// Where the page is from that asks, when it is listed.
    pub(super) origin: Option<HeaderValue>,
    /// What it took from its principal's rate, if that is counted.
    pub(super) allowance: Option<Allowance>,
    /// Set when the answer is that of an earlier request.
    pub(super) replayed: Option<Replayed>,
}

/// A route that has the method.
pub(super) struct Destination {
    pub(super) route: Route,
    /// The places of the open segments in the path.
    pub(super) segments: Segments,
    pub(super) endpoint: EndpointId,
}

impl Asked {
    pub(super) fn of(request: &Request, gate: &Gate) -> Self {
        let peer = request.conn_data::<Rc<Peer>>();
        let started = peer.and_then(|peer| peer.head_started.take()).unwrap_or_else(Reading::now);
        let destination = Destination::of(request, peer, gate);
        let recorder = &gate.shared.recorder;
        let endpoint = destination.as_ref().map_or_else(|_| recorder.other(), |found| found.endpoint);
        let request_id = RequestId::of(request.headers().get(X_REQUEST_ID));
        let origin = gate.shared.origins.of(request.headers());
        Self {
            timing: recorder.start(endpoint, started),
            destination,
            request_id,
            origin,
            allowance: None,
            replayed: None,
        }
    }

    pub(super) fn route(&self) -> Option<Route> {
        self.destination.as_ref().ok().map(|destination| destination.route)
    }
}

impl Destination {
    fn of(request: &Request, peer: Option<&Rc<Peer>>, gate: &Gate) -> Result<Self, Error> {
        let path = request.path();
        let Some((route, segments)) = Route::locate(path) else {
            let refusal = peer.filter(|_| path == REFUSED_PATH).and_then(|peer| peer.refusal.take());
            return Err(match refusal {
                None => Error::NotFound,
                Some(Refusal::Malformed(reason)) => Error::BadRequest(reason),
                Some(Refusal::UriTooLong) => Error::UriTooLong,
                Some(Refusal::HeadersTooLarge) => Error::HeadersTooLarge,
                Some(Refusal::Timeout) => Error::RequestTimeout,
            });
        };
        let endpoint =
            route.method_of(request.method()).and_then(|method| gate.shared.endpoints.find(route, method));
        match endpoint {
            Some(endpoint) => Ok(Self { route, segments, endpoint }),
            None => Err(Error::MethodNotAllowed { allow: route.spec().allow }),
        }
    }
}
