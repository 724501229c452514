//! The one wrapper around everything: times the request, answers what the cache can, and gives every answer
//! its headers.
//!
//! The path of a hit is the product's main path. It passes no router and no stack of middleware: the route is
//! found, the canonical key is written into a buffer that is reused, the entry is found and validated, and the
//! stored bytes go out with headers most of which are constants.

mod asked;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use actix_http::body::BoxBody;
use actix_http::{HttpMessage, Request, Response};
use actix_service::{Service, ServiceFactory};
use actix_web::dev::ServiceResponse;
use actix_web::http::header::{
    ACCEPT_ENCODING, ACCEPT_LANGUAGE, AUTHORIZATION, COOKIE, HeaderMap, HeaderName, IF_NONE_MATCH,
};
use actix_web::http::{Method, StatusCode};
use bootstrap::trace::Edge;
use futures_util::future::{Either, LocalBoxFuture, Ready, ready};
use latency::CacheState;
use opentelemetry::trace::FutureExt as _;
use tag_cache::{Served, Token};

use self::asked::Asked;
use crate::answer::{self, Answer, Body, CacheFacts};
use crate::auth::{self, Authenticated};
use crate::cache_policy::Read;
use crate::cookies;
use crate::cors;
use crate::error::Error;
use crate::gate::{Gate, TOKEN_COOKIE, X_CACHE_TOKEN, X_REQUEST_ID};
use crate::handlers::{self, ORDERS, Origin};
use crate::negotiation::{self, Accepted};
use crate::observe;
use crate::problem::Language;
use crate::repeat::Repeat;
use crate::routes::{Route, Source};

/// Longer than any read: what happens beyond it is a bug, and must not hold a client.
const READ_WAIT_MAX: Duration = Duration::from_secs(12);

thread_local! {
    static KEY: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Makes a [`Front`] for each worker's application.
#[derive(Debug)]
pub(crate) struct FrontFactory<F> {
    pub(crate) app: F,
    pub(crate) gate: Rc<Gate>,
}

impl<F> ServiceFactory<Request> for FrontFactory<F>
where
    F: ServiceFactory<
            Request,
            Config = (),
            Response = ServiceResponse<BoxBody>,
            Error = actix_web::Error,
            InitError = (),
        >,
    F::Future: 'static,
    F::Service: 'static,
    <F::Service as Service<Request>>::Future: 'static,
{
    type Response = Response<Body>;
    type Error = actix_web::Error;
    type Config = ();
    type Service = Front<F::Service>;
    type InitError = ();
    type Future = LocalBoxFuture<'static, Result<Self::Service, ()>>;

    fn new_service(&self, (): ()) -> Self::Future {
        let app = self.app.new_service(());
        let gate = Rc::clone(&self.gate);
        Box::pin(async move { Ok(Front { app: app.await?, gate }) })
    }
}

/// One worker's wrapper.
#[derive(Debug)]
pub(crate) struct Front<S> {
    app: S,
    gate: Rc<Gate>,
}

impl<S> Service<Request> for Front<S>
where
    S: Service<Request, Response = ServiceResponse<BoxBody>, Error = actix_web::Error> + 'static,
    S::Future: 'static,
{
    type Response = Response<Body>;
    type Error = actix_web::Error;
    type Future = Either<
        Ready<Result<Response<Body>, Self::Error>>,
        LocalBoxFuture<'static, Result<Response<Body>, Self::Error>>,
    >;

    actix_service::forward_ready!(app);

    fn call(&self, mut request: Request) -> Self::Future {
        let mut asked = Asked::of(&request, &self.gate);
        let proven = auth::prove(&self.gate.shared, request.headers(), request.method());
        if let Some(route) = asked.route() {
            let user = proven.as_ref().ok().and_then(|user| user.as_ref()).map(|user| user.id);
            match self.gate.let_in(route, &request, user) {
                Ok(allowance) => asked.allowance = allowance,
                Err(error) => return answer_now(&self.gate, asked, &request, Err(error)),
            }
        }
        let (route, segment) = match &asked.destination {
            Ok(destination) => (destination.route, destination.segments.at(0, request.path())),
            Err(error) => {
                if let (Error::MethodNotAllowed { allow }, Some(_listed)) = (error, &asked.origin)
                    && let Some(answer) = cors::preflight(request.method(), request.headers(), allow)
                {
                    return answer_now(&self.gate, asked, &request, Ok((answer, None)));
                }
                let error = error.clone();
                return answer_now(&self.gate, asked, &request, Err(error));
            }
        };
        let query = request.uri().query().unwrap_or_default();
        let read = match route.source_of(request.method()) {
            Source::Shared => {
                // A bad token is refused where it was meant to be read; a cookie comes along unasked.
                let refused = proven.err().filter(|_| request.headers().contains_key(AUTHORIZATION));
                let read = refused.map_or(Ok(()), Err).and_then(|()| Read::parse(route, segment, query));
                Some(read.map(|read| (read, None)))
            }
            Source::Own => {
                // Nobody is told whether there is an entry before they have said who they are.
                let user = proven.and_then(|user| user.ok_or(Error::Unauthenticated));
                let read = user.and_then(|user| {
                    let read = Read::parse_own(route, segment, query, user.id)?;
                    Ok((read, Some(Authenticated::new(Some(user), asked.request_id.clone()))))
                });
                Some(read)
            }
            Source::Shopper => {
                let caller = proven.map(|user| Authenticated::new(user, asked.request_id.clone()));
                let (path, headers) = (request.path(), request.headers());
                let of = |caller| self.gate.shopper_of(caller, path, query, request.method(), headers);
                match caller.and_then(of) {
                    Ok(Some(caller)) => {
                        let read = Read::parse_shopping(route, segment, query, &caller.caller);
                        Some(read.map(|read| (read, Some(caller))))
                    }
                    // Nobody's cart is empty, which a handler says.
                    Ok(None) if route == Route::Cart => None,
                    Ok(None) => Some(Err(Error::Unauthenticated)),
                    Err(error) => Some(Err(error)),
                }
            }
            Source::Handler | Source::Probe => None,
        };
        match read {
            Some(Ok((Some(read), caller))) => return self.read(asked, read, caller, request),
            Some(Ok((None, _))) => return answer_now(&self.gate, asked, &request, Err(Error::NotFound)),
            Some(Err(error)) => return answer_now(&self.gate, asked, &request, Err(error)),
            None => {}
        }
        let repeat = match Repeat::of(route, request.method(), request.path(), request.headers()) {
            Ok(repeat) => repeat,
            Err(error) => return answer_now(&self.gate, asked, &request, Err(error)),
        };
        let admission = if route.is_probe() { Ok(None) } else { self.gate.admit().map(Some) };
        let admission = match admission {
            Ok(admission) => admission,
            Err(error) => return answer_now(&self.gate, asked, &request, Err(error)),
        };
        if *request.method() == Method::HEAD {
            // The HTTP layer remembers that the body is not to be sent.
            request.head_mut().method = Method::GET;
        }
        request.extensions_mut().insert(asked.request_id.clone());
        let edge = observe::edge(&request, Some(route));
        let facts = Facts::of(&request);
        let context = match &repeat {
            Some(repeat) => edge.context().with_value(repeat.clone()),
            None => edge.context(),
        };
        let handled = self.app.call(request).with_context(context);
        let gate = Rc::clone(&self.gate);
        Either::Right(Box::pin(async move {
            let handled = match failpoints::hit("gw.after_auth").await {
                Ok(()) => handled.await,
                Err(injected) => Err(Error::from(injected).into()),
            };
            drop(admission);
            let response = match handled {
                Ok(response) => Response::from(response),
                Err(error) => Response::from(error.error_response()),
            };
            asked.replayed = repeat.and_then(|repeat| repeat.replayed());
            Ok(facts.finish_app(&gate, asked, &edge, response).await)
        }))
    }
}

impl<S> Front<S>
where
    S: Service<Request, Response = ServiceResponse<BoxBody>, Error = actix_web::Error> + 'static,
    S::Future: 'static,
{
    /// A read that the cache may answer: at once when it does, else later.
    fn read(
        &self,
        asked: Asked,
        read: Read,
        caller: Option<Authenticated>,
        request: Request,
    ) -> <Self as Service<Request>>::Future {
        let shared = &self.gate.shared;
        let token = token(&self.gate, request.headers());
        let hit = KEY.with_borrow_mut(|key| {
            key.clear();
            read.key(key);
            shared.cache.get(&read.lookup(key, token.as_ref()))
        });
        if let Some(served) = &hit {
            let accepted = accepted(request.headers());
            match accepted.and_then(|accepted| {
                let none_match = text(request.headers(), &IF_NONE_MATCH);
                answer::served_now(&shared.compressed, served, &read, accepted, none_match)
            }) {
                Ok(Some(answer)) => return answer_now(&self.gate, asked, &request, Ok((answer, token))),
                // A large body whose compressed form is not there yet.
                Ok(None) => {}
                Err(error) => return answer_now(&self.gate, asked, &request, Err(error)),
            }
        }
        let admission = match self.gate.admit() {
            Ok(admission) => admission,
            Err(error) => return answer_now(&self.gate, asked, &request, Err(error)),
        };
        let gate = Rc::clone(&self.gate);
        Either::Right(Box::pin(async move {
            let edge = observe::edge(&request, asked.route());
            let answered = fill(&gate, read, caller, token.as_ref(), request.headers(), &edge).await;
            drop(admission);
            let answered = answered.map(|answer| (answer, token));
            Ok(finish(&gate, asked, &Facts::of(&request), Some(&edge), answered))
        }))
    }
}

/// The long way of a read: shared tier, another request's flight, or the origin.
async fn fill(
    gate: &Gate,
    read: Read,
    caller: Option<Authenticated>,
    token: Option<&Token>,
    headers: &HeaderMap,
    edge: &Edge,
) -> Result<Answer, Error> {
    let accepted = accepted(headers)?;
    let mut key = String::with_capacity(96);
    read.key(&mut key);
    let lookup = read.lookup(&key, token);
    let context = edge.context();
    let fetch = {
        let assertion = match (&read, caller) {
            (Read::Personal(personal), Some(caller)) => caller.assertion(gate, personal.service()),
            (Read::Shopping(_), Some(caller)) => caller.assertion(gate, ORDERS),
            _ => None,
        };
        let origin = Origin { upstream: gate.upstream().clone(), assertion };
        let (read, context) = (read.clone(), context.clone());
        move |stamp| handlers::fetch(read, origin, stamp).with_context(context)
    };
    let answered = gate.shared.cache.get_or_fill(&lookup, fetch).with_context(context);
    let served: Served = match tokio::time::timeout(READ_WAIT_MAX, answered).await {
        Ok(served) => served?,
        Err(_elapsed) => return Err(Error::Timeout),
    };
    let none_match = text(headers, &IF_NONE_MATCH);
    answer::served(&gate.shared.compressed, &served, &read, accepted, none_match).await
}

/// What the answer's headers and logs need of a request whose application call consumed it.
struct Facts {
    path: String,
    method: Method,
    language: Language,
    accept_encoding: Result<Accepted, Error>,
    token: Option<String>,
}

impl Facts {
    fn of(request: &Request) -> Self {
        Self {
            path: request.path().to_owned(),
            method: request.method().clone(),
            language: language(request),
            accept_encoding: accepted(request.headers()),
            token: token_text(request.headers()).map(str::to_owned),
        }
    }

    /// The answer of an application route.
    async fn finish_app(
        self,
        gate: &Gate,
        asked: Asked,
        edge: &Edge,
        mut response: Response<BoxBody>,
    ) -> Response<Body> {
        let error = response.extensions_mut().remove::<Error>();
        let token = self.token.as_deref().and_then(|text| gate.shared.cache.read_token(text));
        let answered = match (error, &self.accept_encoding) {
            (Some(error), _) => Err(error),
            (None, Err(error)) if response.status().is_success() && !changed(&response) => Err(error.clone()),
            (None, accepted) => {
                let accepted = accepted.as_ref().ok().copied().unwrap_or(Accepted::PLAIN);
                Ok((answer::from_app(&gate.shared.compressed, response, accepted).await, token))
            }
        };
        finish(gate, asked, &self, Some(edge), answered)
    }
}

/// Whether the answer reports a change, which an unacceptable encoding cannot undo.
fn changed(response: &Response<BoxBody>) -> bool {
    response.headers().contains_key(X_CACHE_TOKEN) || response.status() != StatusCode::OK
}

/// Answers without waiting.
fn answer_now<E, L>(
    gate: &Gate,
    asked: Asked,
    request: &Request,
    answered: Result<(Answer, Option<Token>), Error>,
) -> Either<Ready<Result<Response<Body>, E>>, L> {
    let response =
        complete(gate, asked, None, answered, || request.path(), request.method(), || language(request));
    Either::Left(ready(Ok(response)))
}

/// Answers after waiting.
fn finish(
    gate: &Gate,
    asked: Asked,
    facts: &Facts,
    edge: Option<&Edge>,
    answered: Result<(Answer, Option<Token>), Error>,
) -> Response<Body> {
    complete(gate, asked, edge, answered, || &facts.path, &facts.method, || facts.language)
}

/// Gives the answer its headers, notes how it went, and leaves the timing to the last byte of its body.
fn complete<'p>(
    gate: &Gate,
    asked: Asked,
    edge: Option<&Edge>,
    answered: Result<(Answer, Option<Token>), Error>,
    path: impl Fn() -> &'p str,
    method: &Method,
    language: impl FnOnce() -> Language,
) -> Response<Body> {
    let route = asked.route();
    let Asked { mut timing, request_id, origin, allowance, replayed, .. } = asked;
    let (answer, token) = match answered {
        Ok((answer, token)) => match answer.absent {
            None => (answer, token),
            Some(facts) => {
                let problem = Answer::problem(&Error::NotFound, language(), path(), request_id.as_str());
                (Answer { cache: Some(facts), ..problem }, token)
            }
        },
        Err(error) => {
            // What was refused before is refused in the same words.
            let first = replayed.as_ref().and_then(|replayed| replayed.request_id.as_deref());
            let request_id = first.unwrap_or_else(|| request_id.as_str());
            (Answer::problem(&error, language(), path(), request_id), None)
        }
    };
    let state = answer.cache.as_ref().map_or(CacheState::None, CacheFacts::state);
    let status = answer.status;
    timing.set(status.as_u16(), state);
    let took = timing.elapsed();

    let mut response = answer.into_response(timing, took);
    let head = response.head_mut();
    head.headers.insert(X_REQUEST_ID, request_id.into_value());
    gate.shared.origins.write(&mut head.headers, origin);
    if let Some(allowance) = allowance {
        allowance.write(&mut head.headers);
    }
    if let Some(replayed) = replayed {
        replayed.write(&mut head.headers);
    }
    if route.is_none_or(Route::is_api) && !head.headers.contains_key(X_CACHE_TOKEN) {
        let text = gate.shared.cache.token_header_for(token.as_ref());
        head.headers.insert(X_CACHE_TOKEN, crate::gate::token_value(text));
    }
    answer::fixed_headers(&mut head.headers, gate.shared.hsts);
    observe::log(route, path, method, status, state, took);
    if let Some(edge) = edge {
        observe::end(edge, head, status, state);
    }
    if gate.is_draining() {
        head.set_connection_type(actix_http::ConnectionType::Close);
    }
    response
}

fn token_text(headers: &HeaderMap) -> Option<&str> {
    text(headers, &X_CACHE_TOKEN)
        .or_else(|| if headers.contains_key(COOKIE) { cookies::first(headers, TOKEN_COOKIE) } else { None })
}

fn token(gate: &Gate, headers: &HeaderMap) -> Option<Token> {
    gate.shared.cache.read_token(token_text(headers)?)
}

fn accepted(headers: &HeaderMap) -> Result<Accepted, Error> {
    negotiation::encodings(text(headers, &ACCEPT_ENCODING)).ok_or(Error::NotAcceptable)
}

fn language(request: &Request) -> Language {
    Language::accepted(text(request.headers(), &ACCEPT_LANGUAGE))
}

fn text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}
