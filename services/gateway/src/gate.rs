//! What the requests of one worker share: the process's cache, clocks and verifier, and the worker's own
//! connections and count of requests.

use std::cell::Cell;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use actix_http::{HttpMessage as _, Request};
use actix_web::HttpRequest;
use actix_web::http::Method;
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue, SET_COOKIE};
use bootstrap::Health;
use futures_util::FutureExt;
use latency::{EndpointId, Recorder};
use opentelemetry::trace::FutureExt as _;
use proto::events::v1::PurgeReceipt;
use rls::{Asserter, UserId, Verifier};
use tag_cache::{Cache, TokenText};
use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::allowance::{Allowance, Doorkeeper};
use crate::auth::{self, Authenticated, Home};
use crate::cors::Origins;
use crate::error::Error;
use crate::prefetch::Prefetch;
use crate::representation::Compressed;
use crate::request_id::RequestId;
use crate::routes::Route;
use crate::sessions::Revocations;
use crate::upstream::Upstream;

/// The name of one request.
pub(crate) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Tells what a client has seen, so that no gateway shows it anything older.
pub(crate) const X_CACHE_TOKEN: HeaderName = HeaderName::from_static("x-cache-token");
/// The same for browsers, set after a change only.
pub(crate) const TOKEN_COOKIE: &str = "cache-token";

/// Shared by all workers of the process.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) cache: Cache,
    pub(crate) compressed: Compressed,
    pub(crate) recorder: Recorder,
    pub(crate) endpoints: Endpoints,
    pub(crate) verifier: Verifier,
    /// States to services who is calling.
    pub(crate) asserter: Asserter,
    pub(crate) revocations: Revocations,
    pub(crate) origins: Origins,
    pub(crate) health: Health,
    pub(crate) draining: AtomicBool,
    pub(crate) hsts: Hsts,
    pub(crate) in_flight_max: usize,
    pub(crate) doorkeeper: Doorkeeper,
    pub(crate) prefetch: Prefetch,
    /// Where changes run, whatever becomes of their clients.
    pub(crate) changes: Changes,
}

impl Shared {
    /// What browsers may say that they come from.
    pub(crate) fn home(&self) -> Home<'_> {
        Home { origins: &self.origins, hsts: self.hsts }
    }
}

/// Whether answers tell browsers to come back by TLS only, and cookies to travel by it only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hsts {
    Send,
    Omit,
}

/// Runs changes outside the requests that ask for them.
#[derive(Debug)]
pub(crate) struct Changes {
    pub(crate) runtime: Handle,
    pub(crate) upstream: Upstream,
    pub(crate) running: TaskTracker,
}

/// The recorder's number of each route and method.
#[derive(Debug)]
pub(crate) struct Endpoints(Vec<Vec<(&'static str, EndpointId)>>);

impl Endpoints {
    pub(crate) fn of(recorder: &Recorder) -> Self {
        let numbered = Route::ALL.into_iter().map(|route| {
            let spec = route.spec();
            let number = |method: &&'static str| Some((*method, recorder.endpoint(method, spec.template)?));
            spec.methods.iter().filter_map(number).collect()
        });
        Self(numbered.collect())
    }

    pub(crate) fn find(&self, route: Route, method: &str) -> Option<EndpointId> {
        let found = self.0.get(route as usize)?.iter().find(|(name, _)| *name == method);
        found.map(|(_, endpoint)| *endpoint)
    }
}

/// The routes as the recorder wants them.
pub(crate) fn recorder() -> Recorder {
    let endpoints = Route::ALL.into_iter().flat_map(|route| {
        let spec = route.spec();
        let endpoint = move |method: &&'static str| latency::Endpoint {
            route: spec.template,
            method,
            threshold: spec.slow,
        };
        spec.methods.iter().map(endpoint)
    });
    Recorder::new(endpoints.collect())
}

/// One worker's view. Lives on one thread.
#[derive(Debug)]
pub(crate) struct Gate {
    pub(crate) shared: Arc<Shared>,
    upstream: Upstream,
    in_flight: Rc<Cell<usize>>,
}

impl Gate {
    pub(crate) fn new(shared: Arc<Shared>, upstream: Upstream) -> Self {
        Self { shared, upstream, in_flight: Rc::default() }
    }

    /// The gate of a request's worker.
    pub(crate) fn of(request: &HttpRequest) -> Rc<Self> {
        Rc::clone(request.app_data::<Rc<Self>>().expect("the application is built with it"))
    }

    /// This worker's connections.
    pub(crate) fn upstream(&self) -> &Upstream {
        &self.upstream
    }

    /// What the probes ask.
    pub(crate) fn health(&self) -> &Health {
        &self.shared.health
    }

    /// Who makes a request.
    pub(crate) fn authenticate(&self, request: &HttpRequest) -> Result<Authenticated, Error> {
        let sent = || RequestId::of(request.headers().get(X_REQUEST_ID));
        let request_id = request.extensions().get::<RequestId>().cloned().unwrap_or_else(sent);
        self.identify(request.headers(), request.method(), request_id)
    }

    /// The same for a request that no handler sees.
    pub(crate) fn identify(
        &self,
        headers: &HeaderMap,
        method: &Method,
        request_id: RequestId,
    ) -> Result<Authenticated, Error> {
        Ok(Authenticated::new(auth::prove(&self.shared, headers, method)?, request_id))
    }

    /// What proves to the service named `audience` that the gateway itself calls, for one call.
    pub(crate) fn service_assertion(&self, audience: &'static str) -> String {
        self.shared.asserter.service(audience, &Uuid::now_v7().to_string())
    }

    /// Where a request comes from, behind our own proxies or not.
    pub(crate) fn client_address(&self, request: &HttpRequest) -> IpAddr {
        let peer = request.peer_addr().map(|peer| peer.ip());
        self.shared.doorkeeper.address(peer, request.headers())
    }

    /// Lets a request in at its principal's rate: the user whom its token proves, else its address.
    pub(crate) fn let_in(
        &self,
        route: Route,
        request: &Request,
        user: Option<UserId>,
    ) -> Result<Option<Allowance>, Error> {
        self.shared.doorkeeper.admit(route, request, user)
    }

    /// A place among the requests under way, unless there are too many.
    pub(crate) fn admit(&self) -> Result<Admission, Error> {
        if self.in_flight.get() >= self.shared.in_flight_max {
            return Err(Error::Overloaded);
        }
        self.in_flight.set(self.in_flight.get() + 1);
        Ok(Admission { in_flight: Rc::clone(&self.in_flight) })
    }

    /// Whether the process is about to end.
    pub(crate) fn is_draining(&self) -> bool {
        self.shared.draining.load(Ordering::Relaxed)
    }

    /// Runs a change to its end, even if the client leaves, and purges what it made stale.
    pub(crate) async fn change<T, W>(
        &self,
        work: impl FnOnce(Upstream) -> W,
    ) -> Result<(T, WriteToken), Error>
    where
        T: Send + 'static,
        W: Future<Output = Result<(T, Vec<PurgeReceipt>), Error>> + Send + 'static,
    {
        let changes = &self.shared.changes;
        let work = work(changes.upstream.clone());
        let (cache, hsts) = (self.shared.cache.clone(), self.shared.hsts);
        let task = async move {
            let (changed, receipts) = match work.await {
                Ok(done) => done,
                // Nothing was paid, but the order is another one all the same.
                Err(Error::PaymentDeclined { decline_code, retryable, receipts, .. }) => {
                    let token = WriteToken { text: purge(&cache, &receipts).await, hsts };
                    let (receipts, token) = (Vec::new(), Some(token));
                    return Err(Error::PaymentDeclined { decline_code, retryable, receipts, token });
                }
                Err(error) => return Err(error),
            };
            let text = purge(&cache, &receipts).await;
            failpoints::hit("gw.after_purge_before_answer").await?;
            Ok((changed, WriteToken { text, hsts }))
        };
        let task = task.with_context(opentelemetry::Context::current());
        let task = changes.running.spawn_on(task, &changes.runtime);
        task.map(|joined| {
            joined.unwrap_or_else(|error| {
                tracing::error!(%error, "a change did not come to its end");
                Err(Error::Internal)
            })
        })
        .await
    }
}

/// Purges what each receipt names; the token of the last position.
async fn purge(cache: &Cache, receipts: &[PurgeReceipt]) -> Option<TokenText> {
    let mut token: Option<tag_cache::Token> = None;
    for receipt in receipts {
        let event_id = Uuid::parse_str(&receipt.event_id).unwrap_or_else(|error| {
            tracing::error!(%error, "a receipt without an event id; its purge is not deduplicated");
            Uuid::now_v7()
        });
        let purged = cache.purge(event_id, &receipt.tags, receipt.commit_lsn).await;
        token = Some(match token {
            Some(earlier) => earlier.and(purged),
            None => purged,
        });
    }
    token.map(|token| cache.sign(&token))
}

/// What a writer must see from now on, if its change made anything stale.
#[derive(Debug, Clone)]
pub struct WriteToken {
    text: Option<TokenText>,
    hsts: Hsts,
}

impl WriteToken {
    /// Into the header, and into the cookie for browsers.
    pub(crate) fn write(self, headers: &mut HeaderMap) {
        let Some(text) = self.text else { return };
        let secure = match self.hsts {
            Hsts::Send => "; Secure",
            Hsts::Omit => "",
        };
        let token = text.as_str();
        let cookie = format!("{TOKEN_COOKIE}={token}; Path=/; Max-Age=600; HttpOnly; SameSite=Lax{secure}");
        if let Ok(cookie) = HeaderValue::from_str(&cookie) {
            headers.append(SET_COOKIE, cookie);
        }
        headers.insert(X_CACHE_TOKEN, token_value(text));
    }
}

/// A token as a header value, without copying.
pub(crate) fn token_value(text: TokenText) -> HeaderValue {
    HeaderValue::from_maybe_shared(text.into_bytes()).expect("a token is visible ASCII")
}

/// A request's place; given back when dropped.
#[derive(Debug)]
pub(crate) struct Admission {
    in_flight: Rc<Cell<usize>>,
}

impl Drop for Admission {
    fn drop(&mut self) {
        self.in_flight.set(self.in_flight.get() - 1);
    }
}
