//! Timing of gRPC servers, so that every service reports its calls as the gateway reports its requests.

use std::{
    collections::HashMap,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http_body_util::BodyExt;
use prost::Message;
use prost_types::FileDescriptorSet;
use tonic::{
    Code,
    body::Body,
    codegen::{Body as _, Service, http},
    server::NamedService,
};

use crate::{
    clock::Reading,
    recorder::Recorder,
    series::{CacheState, Endpoint, EndpointId},
};

/// Method that calls are counted under, where HTTP requests have `GET` or `POST`.
pub(crate) const METHOD: &str = "RPC";

/// One endpoint per call of a service, for example of `mestres.catalog.v1.CatalogService`, whose route is the path of
/// the call. Streaming calls are left out: how long they last is their client's choice. For start-up.
///
/// # Panics
///
/// When the contract has no such service: its name is written in code, so that is a mistake in code.
pub fn endpoints(service: &str, threshold: Duration) -> Vec<Endpoint> {
    let contract = FileDescriptorSet::decode(proto::FILE_DESCRIPTOR_SET).expect("generated with the code");
    let descriptor = contract
        .file
        .iter()
        .flat_map(|file| file.service.iter().map(move |service| (file.package(), service)))
        .find(|(package, descriptor)| format!("{package}.{}", descriptor.name()) == service);
    let Some((_, descriptor)) = descriptor else { panic!("the contract has no service {service}") };
    let unary =
        descriptor.method.iter().filter(|method| !method.client_streaming() && !method.server_streaming());
    let endpoint = |name: &str| {
        // Endpoints live as long as the process.
        Endpoint { route: String::leak(format!("/{service}/{name}")), method: METHOD, threshold }
    };
    unary.map(|method| endpoint(method.name())).collect()
}

/// Counts the calls of a tonic service. Wrap the generated server: `layer.layer(CatalogServiceServer::new(..))`.
///
/// A call ends with its last trailer, and counts under the HTTP status that its code corresponds to; a call whose
/// client has left counts as 499. Calls that the recorder has no endpoint for, streaming ones above all, pass
/// untimed.
#[derive(Clone, Debug)]
pub struct TimingLayer {
    recorder: Recorder,
    endpoints: Arc<HashMap<&'static str, EndpointId>>,
}

impl TimingLayer {
    /// A layer that counts into this recorder, made with [`endpoints`].
    pub fn new(recorder: Recorder) -> TimingLayer {
        let calls = recorder.endpoints().filter(|(_, endpoint)| endpoint.method == METHOD);
        let endpoints = calls.map(|(id, endpoint)| (endpoint.route, id)).collect();
        TimingLayer { recorder, endpoints: Arc::new(endpoints) }
    }

    /// The service, timed.
    pub fn layer<S>(&self, service: S) -> Timed<S> {
        Timed { service, layer: self.clone() }
    }
}

impl<S> tower::Layer<S> for TimingLayer {
    type Service = Timed<S>;

    fn layer(&self, service: S) -> Timed<S> {
        TimingLayer::layer(self, service)
    }
}

/// A tonic service whose calls are counted.
#[derive(Clone, Debug)]
pub struct Timed<S> {
    service: S,
    layer: TimingLayer,
}

impl<S: NamedService> NamedService for Timed<S> {
    const NAME: &'static str = S::NAME;
}

impl<S, RequestBody> Service<http::Request<RequestBody>> for Timed<S>
where
    S: Service<http::Request<RequestBody>, Response = http::Response<Body>>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
{
    type Response = http::Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<http::Response<Body>, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.service.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<RequestBody>) -> Self::Future {
        let endpoint = self.layer.endpoints.get(request.uri().path()).copied();
        let timing = endpoint.map(|endpoint| self.layer.recorder.start(endpoint, Reading::now()));
        let answer = self.service.call(request);
        let Some(mut timing) = timing else { return Box::pin(answer) };
        Box::pin(async move {
            let response = match answer.await {
                Ok(response) => response,
                Err(error) => {
                    timing.set(500, CacheState::None);
                    timing.finish();
                    return Err(error);
                }
            };
            // An answer without a body has its code among the headers, any other in the trailers.
            if response.body().is_end_stream() {
                timing.set(http_status(response.headers()), CacheState::None);
                timing.finish();
                return Ok(response);
            }
            let mut timing = Some(timing);
            Ok(response.map(|body| {
                Body::new(body.map_frame(move |frame| {
                    if let Some(trailers) = frame.trailers_ref()
                        && let Some(mut timing) = timing.take()
                    {
                        timing.set(http_status(trailers), CacheState::None);
                        timing.finish();
                    }
                    frame
                }))
            }))
        })
    }
}

/// The HTTP status that the gRPC code in these headers or trailers corresponds to.
fn http_status(headers: &http::HeaderMap) -> u16 {
    let code = headers.get("grpc-status").map_or(Code::Unknown, |code| Code::from_bytes(code.as_bytes()));
    match code {
        Code::Ok => 200,
        Code::InvalidArgument | Code::FailedPrecondition | Code::OutOfRange => 400,
        Code::Unauthenticated => 401,
        Code::PermissionDenied => 403,
        Code::NotFound => 404,
        Code::AlreadyExists | Code::Aborted => 409,
        Code::ResourceExhausted => 429,
        Code::Cancelled => 499,
        Code::Unknown | Code::Internal | Code::DataLoss => 500,
        Code::Unimplemented => 501,
        Code::Unavailable => 503,
        Code::DeadlineExceeded => 504,
    }
}
