//! Logs and spans as they leave a process. A process has one telemetry, so each story runs in a child.

use std::{
    net::TcpListener,
    time::{Duration, Instant},
};

use bootstrap::{
    config,
    telemetry::{self, TelemetryConfig},
    trace::{self, Edge, Parent},
};
use futures_util::StreamExt;
use opentelemetry::trace::{FutureExt, SpanKind};
use opentelemetry_proto::tonic::trace::v1::{Span, span, status::StatusCode};
use tokio::time::timeout;
use tracing::Instrument;

use crate::{
    child::child,
    probe::{TestServer, request},
    sink::{Sink, text},
};

const LONG: Duration = Duration::from_secs(30);

fn named<'a>(spans: &'a [Span], name: &str) -> &'a Span {
    let mut found = spans.iter().filter(|span| span.name == name);
    let span = found.next().unwrap_or_else(|| panic!("no span {name}: {spans:#?}"));
    assert!(found.next().is_none(), "more than one span {name}: {spans:#?}");
    span
}

#[tokio::test]
async fn one_trace_runs_through_two_services_and_a_message() {
    let sink = Sink::start().await;
    let broker = testkit::Nats::start().await;
    let endpoint = format!("http://{}", sink.address);
    let child = child(
        "telemetry::a_request_through_two_services",
        &[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint),
            ("NATS_URL", &broker.url()),
            ("MESTRES_TRACE_RATIO", "1"),
            ("MESTRES_INSTANCE", "first"),
            ("NODE_ENV", "production"),
        ],
    )
    .await;

    let spans = sink.spans();
    assert_eq!(spans.len(), 6, "{spans:#?}");
    let edge = named(&spans, "GET /api/v1/products");
    let client = named(&spans, "call TraceService/Export");
    let server = named(&spans, "opentelemetry.proto.collector.trace.v1.TraceService/Export");
    let inside = named(&spans, "inside the handler");
    let sql = named(&spans, "SELECT products");
    let consumer = named(&spans, "process mc.catalog");

    assert!(edge.parent_span_id.is_empty(), "the edge is a root");
    assert_eq!(client.parent_span_id, edge.span_id);
    assert_eq!(server.parent_span_id, client.span_id);
    assert_eq!(inside.parent_span_id, server.span_id);
    assert_eq!(sql.parent_span_id, edge.span_id);
    assert_eq!(consumer.parent_span_id, sql.span_id);
    assert!(spans.iter().all(|span| span.trace_id == edge.trace_id));

    assert_eq!(edge.kind(), span::SpanKind::Server);
    assert_eq!(client.kind(), span::SpanKind::Client);
    assert_eq!(server.kind(), span::SpanKind::Server);
    assert_eq!(consumer.kind(), span::SpanKind::Consumer);
    assert_eq!(text(&server.attributes, "rpc.system.name").as_deref(), Some("grpc"));
    assert_eq!(
        text(&server.attributes, "rpc.method").as_deref(),
        Some("opentelemetry.proto.collector.trace.v1.TraceService/Export")
    );
    assert_eq!(text(&server.attributes, "rpc.response.status_code").as_deref(), Some("OK"));
    assert_eq!(text(&edge.attributes, "error.type").as_deref(), Some("500"));
    assert_eq!(edge.status.as_ref().unwrap().code(), StatusCode::Error);

    assert_eq!(sink.resource("service.name").as_deref(), Some("story"));
    assert_eq!(sink.resource("service.instance.id").as_deref(), Some("first"));
    assert_eq!(sink.resource("deployment.environment.name").as_deref(), Some("production"));

    let line = child.lines.iter().find(|line| line["message"] == "reading products").expect("the log line");
    assert_eq!(line["level"], "info");
    assert_eq!(line["service"], "story");
    assert_eq!(line["instance"], "first");
    assert_eq!(line["product.id"], 42);
    assert_eq!(line["field.level"], "mine");
    assert_eq!(line["error"], "invalid digit found in string");
    assert_eq!(line["trace_id"], hex(&edge.trace_id));
    assert_eq!(line["span_id"], hex(&sql.span_id));
    let outside = child.lines.iter().find(|line| line["message"] == "outside").expect("the log line");
    assert!(outside.get("trace_id").is_none(), "{outside}");
    assert!(!child.raw.contains("a detail"), "debug is off by default");
}

#[tokio::test]
#[ignore = "the child of one_trace_runs_through_two_services_and_a_message"]
async fn a_request_through_two_services() {
    let telemetry = telemetry::init("story", &TelemetryConfig::from_env().unwrap()).unwrap();
    let server = TestServer::start().await;
    tracing::info!("outside");
    request_through_two_services(&server).await;
    telemetry.shutdown().await;
}

/// An edge, a call to a service, a statement and a message, as a gateway, a service and a consumer make them.
async fn request_through_two_services(server: &TestServer) {
    let nats = bootstrap::nats::connect(&config::required("NATS_URL").unwrap(), "story").await.unwrap();
    let mut messages = nats.subscribe("mc.catalog").await.unwrap();
    // The consumer's task was there before the request, so it has no context but what the message brings.
    let consumer = tokio::spawn(async move {
        let message = timeout(LONG, messages.next()).await.unwrap().unwrap();
        let creator = trace::message_context(message.headers.as_ref());
        drop(Edge::start(SpanKind::Consumer, "process mc.catalog", Parent::Sampled(&creator), Vec::new));
        message.headers.is_some()
    });

    let edge = Edge::start(SpanKind::Server, "GET /api/v1/products", Parent::None, Vec::new);
    let mut client = server.client();
    let work = async {
        let call = tracing::info_span!("call TraceService/Export", otel.kind = "client");
        async { client.export(request("answer", LONG)).await.unwrap() }.instrument(call).await;
        async {
            let error = "x".parse::<i32>().unwrap_err();
            tracing::info!(
                product.id = 42,
                level = "mine",
                error = &error as &dyn std::error::Error,
                "reading products"
            );
            tracing::debug!("a detail");
            let headers = trace::nats_headers().unwrap_or_default();
            nats.publish_with_headers("mc.catalog", headers, "fact".into()).await.unwrap();
        }
        .instrument(tracing::info_span!("SELECT products", otel.kind = "client"))
        .await;
    };
    work.with_context(edge.context()).await;
    edge.fail("500");
    assert_eq!(consumer.await.unwrap(), edge.is_sampled(), "headers travel only with sampled requests");
}

#[tokio::test]
async fn an_unsampled_request_makes_no_span_and_sends_no_header() {
    let sink = Sink::start().await;
    let endpoint = format!("http://{}", sink.address);
    let broker = testkit::Nats::start().await;
    let environment = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
        ("MESTRES_TRACE_RATIO", "0"),
        ("NATS_URL", &broker.url()),
    ];
    child("telemetry::unsampled_requests", &environment).await;
    let spans = sink.spans();
    // Only the marker, which continues a sampled caller: the sink was reached, and nothing else was sent.
    assert_eq!(spans.iter().map(|span| span.name.as_str()).collect::<Vec<_>>(), ["marker"]);
}

#[tokio::test]
#[ignore = "the child of an_unsampled_request_makes_no_span_and_sends_no_header"]
async fn unsampled_requests() {
    let telemetry = telemetry::init("story", &TelemetryConfig::from_env().unwrap()).unwrap();
    let server = TestServer::start().await;
    request_through_two_services(&server).await;
    let span = tracing::info_span!("SELECT products");
    assert!(span.is_disabled(), "an unsampled span is not even built");

    let edge = Edge::start(SpanKind::Server, "GET /api/v1/products", Parent::None, || {
        panic!("attributes of an unsampled span are not computed")
    });
    assert!(!edge.is_sampled());
    let _attached = edge.context().attach();
    assert!(!trace::sampled());
    assert!(trace::nats_headers().is_none());
    assert!(request("answer", LONG).metadata().get(trace::TRACEPARENT).is_none());

    let stranger = trace::context_of("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
    assert!(!Edge::start(SpanKind::Server, "public", Parent::Public(&stranger), Vec::new).is_sampled());
    assert!(Edge::start(SpanKind::Server, "marker", Parent::Trusted(&stranger), Vec::new).is_sampled());
    telemetry.shutdown().await;
}

#[tokio::test]
async fn a_strangers_trace_is_linked_and_not_continued() {
    let sink = Sink::start().await;
    let endpoint = format!("http://{}", sink.address);
    let environment = [("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()), ("MESTRES_TRACE_RATIO", "1")];
    child("telemetry::a_strangers_request", &environment).await;
    let spans = sink.spans();
    let edge = named(&spans, "GET /");
    assert!(edge.parent_span_id.is_empty());
    assert_ne!(hex(&edge.trace_id), "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(edge.links.len(), 1);
    assert_eq!(hex(&edge.links[0].trace_id), "4bf92f3577b34da6a3ce929d0e0e4736");
}

#[tokio::test]
#[ignore = "the child of a_strangers_trace_is_linked_and_not_continued"]
async fn a_strangers_request() {
    let telemetry = telemetry::init("story", &TelemetryConfig::from_env().unwrap()).unwrap();
    let stranger = trace::context_of("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
    drop(Edge::start(SpanKind::Server, "GET /", Parent::Public(&stranger), Vec::new));
    telemetry.shutdown().await;
}

#[tokio::test]
async fn a_dead_collector_blocks_nothing() {
    // Refused: nobody listens there any more.
    let refused = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    // Worse: accepted by the kernel, never answered.
    let mute = TcpListener::bind("127.0.0.1:0").unwrap();
    for address in [refused, mute.local_addr().unwrap()] {
        let endpoint = format!("http://{address}");
        let environment = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
            ("MESTRES_TRACE_RATIO", "1"),
            ("MESTRES_TRACE_ROOTS_PER_S", "1000000"),
        ];
        child("telemetry::a_thousand_spans_for_nobody", &environment).await;
    }
}

/// On a current-thread runtime, where an exporter that shared it would deadlock.
#[tokio::test]
#[ignore = "the child of a_dead_collector_blocks_nothing"]
async fn a_thousand_spans_for_nobody() {
    let started = Instant::now();
    let telemetry = telemetry::init("story", &TelemetryConfig::from_env().unwrap()).unwrap();
    assert!(started.elapsed() < Duration::from_secs(1), "init: {:?}", started.elapsed());

    let started = Instant::now();
    for _ in 0..1000 {
        let edge = Edge::start(SpanKind::Server, "GET /", Parent::None, Vec::new);
        assert!(edge.is_sampled());
        async {}.instrument(tracing::info_span!("SELECT 1")).with_context(edge.context()).await;
    }
    assert!(started.elapsed() < Duration::from_secs(1), "1,000 spans: {:?}", started.elapsed());

    let started = Instant::now();
    telemetry.shutdown().await;
    assert!(started.elapsed() < Duration::from_secs(4), "shutdown: {:?}", started.elapsed());
}

#[tokio::test]
async fn the_log_level_is_the_configured_one_and_costs_nothing_below() {
    for (log, expected) in [("warn", "warn"), ("info", "info"), ("error,it=debug", "debug")] {
        for endpoint in ["", "http://127.0.0.1:9"] {
            let environment =
                [("MESTRES_LOG", log), ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint), ("EXPECTED", expected)];
            let ended = child("telemetry::one_line_per_level", &environment).await;
            let levels: Vec<&str> = ended.lines.iter().filter_map(|line| line["level"].as_str()).collect();
            let all = ["error", "warn", "info", "debug", "trace"];
            let wanted = all.iter().position(|level| *level == expected).unwrap();
            assert_eq!(levels, all[..=wanted], "{log}");
        }
    }
}

#[tokio::test]
#[ignore = "the child of the_log_level_is_the_configured_one_and_costs_nothing_below"]
async fn one_line_per_level() {
    let telemetry = telemetry::init("story", &TelemetryConfig::from_env().unwrap()).unwrap();
    tracing::error!("one");
    tracing::warn!("two");
    tracing::info!("three");
    tracing::debug!("four");
    tracing::trace!("five");
    let level = tracing::level_filters::LevelFilter::current().to_string();
    // Spans are wanted down to `info` even when less is logged.
    let expected = config::required("EXPECTED").unwrap();
    assert_eq!(level, if expected == "warn" { "info" } else { &expected });
    telemetry.shutdown().await;
}

#[tokio::test]
async fn a_setting_that_cannot_be_used_names_itself() {
    let environment = [
        ("MESTRES_TRACE_RATIO", "lots"),
        ("EXPECTED", r#"MESTRES_TRACE_RATIO is "lots": expected a number from 0 to 1"#),
    ];
    child("telemetry::a_bad_setting", &environment).await;
    let environment = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "localhost:4317"),
        (
            "EXPECTED",
            r#"OTEL_EXPORTER_OTLP_ENDPOINT is "localhost:4317": expected an address such as http://127.0.0.1:4317"#,
        ),
    ];
    child("telemetry::a_bad_setting", &environment).await;
}

#[tokio::test]
#[ignore = "the child of a_setting_that_cannot_be_used_names_itself"]
async fn a_bad_setting() {
    let error = TelemetryConfig::from_env().unwrap_err();
    assert_eq!(error.to_string(), bootstrap::config::required("EXPECTED").unwrap());
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
