//! Deadlines, limits, health and reflection of the gRPC server.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper_util::rt::{TokioExecutor, TokioIo};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{AnyValue, KeyValue, any_value::Value},
    resource::v1::Resource,
    trace::v1::ResourceSpans,
};
use tokio::time::timeout;
use tonic::{Code, Request};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use crate::probe::{BEHAVE, TestServer, request};

const LONG: Duration = Duration::from_secs(30);

#[tokio::test]
async fn a_deadline_ends_the_call_and_drops_the_handler() {
    let server = TestServer::start().await;
    let (code, elapsed) = raw_call(&server, &[("grpc-timeout", "150m"), (BEHAVE, "wait")]).await;
    assert_eq!(code, Code::DeadlineExceeded);
    assert!(elapsed >= Duration::from_millis(150), "{elapsed:?}");
    timeout(LONG, server.probe.dropped.notified()).await.expect("the handler was not cancelled");
}

#[tokio::test]
async fn a_call_without_a_deadline_has_five_seconds() {
    let server = TestServer::start().await;
    let mut request = Request::new(ExportTraceServiceRequest::default());
    request.metadata_mut().insert(BEHAVE, "remaining".parse().unwrap());
    let answer = server.client().export(request).await.unwrap();
    let left_ms: u64 = answer.metadata().get("left-ms").unwrap().to_str().unwrap().parse().unwrap();
    assert!((4_000..=5_000).contains(&left_ms), "{left_ms}");
    assert_eq!(answer.metadata().get("peer").unwrap(), "127.0.0.1");
}

#[tokio::test]
async fn the_handler_sees_what_is_left_of_the_callers_patience() {
    let server = TestServer::start().await;
    let answer = server.client().export(request("remaining", Duration::from_secs(2))).await.unwrap();
    let left_ms: u64 = answer.metadata().get("left-ms").unwrap().to_str().unwrap().parse().unwrap();
    assert!((1_000..=2_000).contains(&left_ms), "{left_ms}");
}

#[tokio::test]
async fn an_open_stream_ends_at_its_deadline() {
    let server = TestServer::start().await;
    let mut watch = Request::new(HealthCheckRequest::default());
    watch.set_timeout(Duration::from_millis(300));
    let mut health = HealthClient::new(server.channel());
    let mut states = health.watch(watch).await.unwrap().into_inner();
    assert!(states.message().await.unwrap().is_some());
    let end = timeout(LONG, async {
        loop {
            match states.message().await {
                Ok(Some(_state)) => {}
                other => break other,
            }
        }
    });
    assert_eq!(end.await.unwrap().unwrap_err().code(), Code::DeadlineExceeded);
}

#[tokio::test]
async fn a_timeout_that_is_none_is_refused() {
    let server = TestServer::start().await;
    for value in ["soon", "1", "123456789S", "-1S"] {
        let (code, _) = raw_call(&server, &[("grpc-timeout", value)]).await;
        assert_eq!(code, Code::InvalidArgument, "{value}");
    }
}

#[tokio::test]
async fn metadata_has_a_limit() {
    let server = TestServer::start().await;
    let call = async |bytes: usize| {
        let mut request = request("answer", LONG);
        request.metadata_mut().insert("padding", "x".repeat(bytes).parse().unwrap());
        server.client().export(request).await.map_err(|status| status.code())
    };
    assert!(call(15 * 1024).await.is_ok());
    assert_eq!(call(17 * 1024).await.unwrap_err(), Code::ResourceExhausted);
    // So much that the protocol layer refuses it: still an error for the caller, still a living server.
    assert!(call(200 * 1024).await.is_err());
    assert!(call(1024).await.is_ok());
}

#[tokio::test]
async fn a_message_has_a_limit() {
    let server = TestServer::start().await;
    let call = async |bytes: usize| {
        let mut request = request("answer", LONG);
        *request.get_mut() = message_of(bytes);
        server.client().export(request).await.map_err(|status| status.code())
    };
    assert!(call(3 * 1024 * 1024).await.is_ok());
    assert_eq!(call(5 * 1024 * 1024).await.unwrap_err(), Code::ResourceExhausted);
}

#[tokio::test]
async fn a_panic_is_an_internal_error_of_one_call() {
    let server = TestServer::start().await;
    let mut client = server.client();
    let status = client.export(request("panic", LONG)).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::Internal, "internal error"));
    assert!(client.export(request("answer", LONG)).await.is_ok());
}

#[tokio::test]
async fn a_method_that_is_not_there_is_unimplemented() {
    let server = TestServer::start().await;
    let mut catalog = proto::catalog::v1::catalog_service_client::CatalogServiceClient::new(server.channel());
    let status =
        catalog.list_categories(proto::catalog::v1::ListCategoriesRequest::default()).await.unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented);
}

#[tokio::test]
async fn the_contract_can_be_asked_for() {
    use tonic_reflection::pb::v1::{
        ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
        server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
    };
    let server = TestServer::start().await;
    let list = ServerReflectionRequest {
        message_request: Some(MessageRequest::ListServices(String::new())),
        ..ServerReflectionRequest::default()
    };
    let mut client = ServerReflectionClient::new(server.channel());
    let asking = futures_util::stream::iter([list]);
    let mut answers = client.server_reflection_info(asking).await.unwrap().into_inner();
    let answer = answers.message().await.unwrap().unwrap().message_response;
    let Some(MessageResponse::ListServicesResponse(services)) = answer else { panic!("{answer:?}") };
    let names: Vec<&str> = services.service.iter().map(|service| service.name.as_str()).collect();
    assert!(names.contains(&"mestres.catalog.v1.CatalogService"), "{names:?}");
    assert!(names.contains(&"grpc.health.v1.Health"), "{names:?}");
}

#[tokio::test]
async fn grpc_health_follows_the_checks_and_the_drain() {
    let server = TestServer::start().await;
    let mut health = HealthClient::new(server.channel());
    let mut states = health.watch(HealthCheckRequest::default()).await.unwrap().into_inner();
    let mut next = async |wanted: ServingStatus| {
        timeout(LONG, async { while states.message().await.unwrap().unwrap().status() != wanted {} })
            .await
            .unwrap_or_else(|_| panic!("never {wanted:?}"));
    };
    next(ServingStatus::Serving).await;

    let up = Arc::new(AtomicBool::new(false));
    let probed = Arc::clone(&up);
    server.health.check("postgres", move || {
        let up = probed.load(Ordering::Relaxed);
        async move { up.then_some(()).ok_or_else(|| "away".to_owned()) }
    });
    next(ServingStatus::NotServing).await;
    up.store(true, Ordering::Relaxed);
    next(ServingStatus::Serving).await;
    server.health.set_draining();
    next(ServingStatus::NotServing).await;
}

fn message_of(bytes: usize) -> ExportTraceServiceRequest {
    let value = Some(AnyValue { value: Some(Value::StringValue("x".repeat(bytes))) });
    let attributes = vec![KeyValue { key: "padding".to_owned(), value, ..KeyValue::default() }];
    let resource = Some(Resource { attributes, ..Resource::default() });
    ExportTraceServiceRequest { resource_spans: vec![ResourceSpans { resource, ..ResourceSpans::default() }] }
}

/// One unary call of the probe over a bare HTTP/2 connection: a client library would neither send a malformed
/// `grpc-timeout` nor leave a good one to the server alone.
async fn raw_call(server: &TestServer, headers: &[(&'static str, &'static str)]) -> (Code, Duration) {
    let stream = TokioIo::new(server.connect().await);
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await.unwrap();
    tokio::spawn(connection);
    let uri = "http://probe/opentelemetry.proto.collector.trace.v1.TraceService/Export";
    let mut request =
        hyper::Request::post(uri).header("content-type", "application/grpc").header("te", "trailers");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let empty_message = Full::new(Bytes::from_static(&[0; 5]));
    let started = Instant::now();
    let response = sender.send_request(request.body(empty_message).unwrap()).await.unwrap();
    let in_headers = tonic::Status::from_header_map(response.headers());
    let body = response.into_body().collect().await.unwrap();
    let status = in_headers.or_else(|| tonic::Status::from_header_map(body.trailers().unwrap())).unwrap();
    (status.code(), started.elapsed())
}
