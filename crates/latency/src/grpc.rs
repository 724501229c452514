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

/// One endpoint per call of a service, for example of `mestres.catalog.v1.CatalogService`.
///
/// The route is the path of the call. Streaming calls are left out: how long they last is their client's choice. For
/// start-up.
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

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    const GET_PRODUCT: &str = "/mestres.catalog.v1.CatalogService/GetProduct";

    fn recorder() -> Recorder {
        Recorder::new(endpoints("mestres.catalog.v1.CatalogService", Duration::from_secs(1)))
    }

    fn codes(recorder: &Recorder) -> Vec<(u16, u64)> {
        recorder.snapshot().codes().iter().collect()
    }

    fn request(path: &str) -> http::Request<Body> {
        http::Request::builder().uri(path).body(Body::empty()).expect("a good request")
    }

    fn response(status: tonic::Status) -> http::Response<Body> {
        status.into_http()
    }

    #[test]
    fn endpoints_are_the_unary_calls() {
        let routes = |service| endpoints(service, Duration::ZERO).iter().map(|e| e.route).collect::<Vec<_>>();
        assert!(routes("mestres.catalog.v1.CatalogService").contains(&GET_PRODUCT));
        assert_eq!(routes("mestres.metrics.v1.MetricsService"), ["/mestres.metrics.v1.MetricsService/Query"]);
    }

    #[tokio::test]
    async fn a_status_is_counted_as_its_http_status() {
        async fn check(code: Code, expected: u16) {
            let recorder = recorder();
            let answer = move |_: http::Request<Body>| async move {
                Ok::<_, Infallible>(response(tonic::Status::new(code, "because")))
            };
            let mut service = TimingLayer::new(recorder.clone()).layer(tower::service_fn(answer));
            service.call(request(GET_PRODUCT)).await.expect("infallible");
            assert_eq!(codes(&recorder), [(expected, 1)], "{code:?}");
        }
        check(Code::Ok, 200).await;
        check(Code::NotFound, 404).await;
        check(Code::Unauthenticated, 401).await;
        check(Code::ResourceExhausted, 429).await;
        check(Code::Internal, 500).await;
        check(Code::Unavailable, 503).await;
        check(Code::DeadlineExceeded, 504).await;
    }

    #[tokio::test]
    async fn a_call_ends_with_its_trailers() {
        let recorder = recorder();
        let answer = |_: http::Request<Body>| async {
            let mut trailers = http::HeaderMap::new();
            trailers.insert("grpc-status", http::HeaderValue::from_static("5"));
            let body = http_body_util::Full::new(tonic::codegen::Bytes::from_static(b"data"));
            let body = body.with_trailers(async { Some(Ok(trailers)) });
            Ok::<_, Infallible>(http::Response::new(Body::new(body)))
        };
        let mut service = TimingLayer::new(recorder.clone()).layer(tower::service_fn(answer));
        let response = service.call(request(GET_PRODUCT)).await.expect("infallible");
        assert_eq!(codes(&recorder), [], "not before its last byte");
        response.into_body().collect().await.expect("a good body");
        assert_eq!(codes(&recorder), [(404, 1)]);

        let unread = service.call(request(GET_PRODUCT)).await.expect("infallible");
        drop(unread);
        assert_eq!(codes(&recorder), [(404, 1), (499, 1)], "its client left in the middle");
    }

    #[tokio::test]
    async fn an_abandoned_call_counts_as_cancelled() {
        let recorder = recorder();
        let never =
            |_: http::Request<Body>| std::future::pending::<Result<http::Response<Body>, Infallible>>();
        let mut service = TimingLayer::new(recorder.clone()).layer(tower::service_fn(never));
        let call = service.call(request(GET_PRODUCT));
        tokio::time::timeout(Duration::from_millis(1), call).await.expect_err("it never ends");
        assert_eq!(codes(&recorder), [(499, 1)]);
    }

    #[tokio::test]
    async fn other_calls_pass_untimed() {
        let recorder = recorder();
        let answer = |_: http::Request<Body>| async { Ok::<_, Infallible>(response(tonic::Status::ok(""))) };
        let mut service = TimingLayer::new(recorder.clone()).layer(tower::service_fn(answer));
        service.call(request("/grpc.health.v1.Health/Check")).await.expect("infallible");
        assert_eq!(codes(&recorder), []);
    }
}
