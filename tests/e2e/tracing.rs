//! One trace from the HTTP request to the purge it caused, and none of it costs a request.

use std::{collections::HashSet, time::Duration};

use reqwest::Method;
use serde_json::json;

use crate::{
    client::Client,
    otlp_sink::OtlpSink,
    shop::{Options, Service, Shop, free_addresses},
};

const TRACE_ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// HTTP → gRPC → SQL → outbox → NATS → invalidator: one trace id, every parent known.
#[tokio::test(flavor = "multi_thread")]
async fn a_mutation_is_one_trace_through_every_service() {
    let (sink, address) = OtlpSink::start().await;
    let mut options = Options::default();
    options.environment.push(("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{address}")));
    options.environment.push(("MESTRES_TRACE_RATIO", "1".to_owned()));
    let shop = Shop::open_with(options).await;
    let staff = shop.client(0).with_bearer(shop.token("staff"));
    let current = staff.get("/api/v1/admin/products/1").await;
    let request = staff
        .request(Method::PATCH, "/api/v1/admin/products/1")
        .header("if-match", current.header("etag"))
        .header("traceparent", format!("00-{TRACE_ID}-00f067aa0ba902b7-01"))
        .json(&json!({ "name": "Blend com rastro" }));
    let answer = Client::send(request).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let sent = answer.header("traceparent").to_owned();
    let trace_id: Vec<u8> =
        (0..16).map(|i| u8::from_str_radix(&sent[3 + 2 * i..5 + 2 * i], 16).unwrap()).collect();

    let spans = testkit::eventually(Duration::from_secs(15), "spans of three services", async || {
        let spans = sink.trace(&trace_id);
        let services: HashSet<_> = spans.iter().map(|(service, _)| service.clone()).collect();
        let all = ["gateway", "catalog", "cache-invalidator"];
        // Each process reports when it likes: what a span hangs on may come later than the span.
        let ids: HashSet<_> = spans.iter().map(|(_, span)| &span.span_id).collect();
        let is_whole = spans.iter().filter(|(_, span)| !ids.contains(&span.parent_span_id)).count() == 1;
        (is_whole && all.iter().all(|name| services.iter().any(|service| service.contains(name))))
            .then_some(spans)
    })
    .await;

    let ids: HashSet<_> = spans.iter().map(|(_, span)| span.span_id.clone()).collect();
    assert_eq!(ids.len(), spans.len(), "span ids differ");
    let outside: Vec<_> = spans.iter().filter(|(_, span)| !ids.contains(&span.parent_span_id)).collect();
    assert_eq!(
        outside.len(),
        1,
        "one edge span, no orphan: {:?}",
        names(&outside.iter().copied().cloned().collect::<Vec<_>>())
    );
    assert!(
        outside[0].0.contains("gateway") && outside[0].1.name.starts_with("PATCH"),
        "{:?}",
        outside[0].1.name
    );
    assert!(
        names(&spans).iter().any(|name| name.contains("UPDATE") || name.contains("SELECT")),
        "{:?}",
        names(&spans)
    );
    for (_, span) in &spans {
        let text = format!("{:?}", span.attributes);
        assert!(!text.contains("Bearer") && !text.contains('@'), "a secret in {}: {text}", span.name);
    }
}

/// A collector that nobody answers for slows no request down and holds no shutdown up.
#[tokio::test(flavor = "multi_thread")]
async fn a_dead_collector_blocks_nothing() {
    let [nobody] = free_addresses();
    let mut options = Options::default();
    options.environment.push(("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{nobody}")));
    options.environment.push(("MESTRES_TRACE_RATIO", "1".to_owned()));
    let mut shop = Shop::open_with(options).await;
    for index in 0..200 {
        let answer = shop.client(index % 2).get(&format!("/api/v1/products/{}", index % 50 + 1)).await;
        assert_eq!(answer.status, 200);
    }
    for service in [Service::Gateway(0), Service::Catalog] {
        shop.terminate(service);
        assert!(shop.wait_until_gone(service).await);
    }
}

fn names(spans: &[(String, opentelemetry_proto::tonic::trace::v1::Span)]) -> Vec<String> {
    spans.iter().map(|(service, span)| format!("{service} {}", span.name)).collect()
}
