//! What is written down about a request: the log lines of the requirement documents, and its span.

use std::time::Duration;

use actix_http::{HttpMessage, Request, ResponseHead};
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode};
use bootstrap::trace::{self, Edge, Parent};
use latency::CacheState;
use opentelemetry::KeyValue;
use opentelemetry::trace::{SpanKind, TraceContextExt};

use crate::routes::Route;

const TRACEPARENT: HeaderName = HeaderName::from_static(trace::TRACEPARENT);
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// Characters of a path that are written down.
const PATH_CHARS_MAX: usize = 1024;

/// The slow-request warning (S49) or, at debug level, the line of every request (S54).
pub(crate) fn log<'p>(
    route: Option<Route>,
    path: impl Fn() -> &'p str,
    method: &Method,
    status: StatusCode,
    state: CacheState,
    took: Duration,
) {
    let slow = route.is_some_and(|route| took > route.spec().slow);
    if !slow && !tracing::enabled!(tracing::Level::DEBUG) {
        return;
    }
    let path: String = path().chars().take(PATH_CHARS_MAX).collect();
    let duration = format!("{}ms", took.as_millis());
    let status = status.as_u16();
    if slow {
        let cache = if state.is_hit() { "hit" } else { "miss" };
        tracing::warn!(path, %method, duration, cache, status, "[PERF] Request lenta detectada:");
    } else {
        let cache_hit = state.is_hit();
        tracing::debug!(path, %method, duration, cache_hit, status, "[PERF] Métrica registrada:");
    }
}

/// Starts the span of a request that does more than read memory. Strangers are linked to, not obeyed.
pub(crate) fn edge(request: &Request, route: Option<Route>) -> Edge {
    let headers = request.headers();
    let caller = trace::remote_context(text(headers, &TRACEPARENT), text(headers, &TRACESTATE));
    let template = route.map_or("unmatched", |route| route.spec().template);
    let method = request.method();
    Edge::start(SpanKind::Server, format!("{method} {template}"), Parent::Public(&caller), || {
        vec![
            KeyValue::new("http.request.method", method.as_str().to_owned()),
            KeyValue::new("http.route", template),
            KeyValue::new("url.path", request.path().chars().take(256).collect::<String>()),
            KeyValue::new("url.scheme", "http"),
            KeyValue::new("network.protocol.version", "1.1"),
        ]
    })
}

/// Says in span and answer how the request ended.
pub(crate) fn end(edge: &Edge, head: &mut ResponseHead, status: StatusCode, state: CacheState) {
    if !edge.is_sampled() {
        return;
    }
    edge.record("http.response.status_code", i64::from(status.as_u16()));
    edge.record("app.cache.state", state.as_str());
    if status.is_server_error() {
        edge.fail(if status == StatusCode::GATEWAY_TIMEOUT { "timeout" } else { "5xx" });
    }
    let context = edge.context();
    let span = context.span().span_context().clone();
    if let Ok(value) = HeaderValue::from_str(&format!("00-{}-{}-01", span.trace_id(), span.span_id())) {
        head.headers.insert(TRACEPARENT, value);
    }
}

fn text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}
