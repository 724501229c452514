//! Trace context across process borders, and spans only for sampled requests.
//!
//! Inside a service write ordinary `tracing` spans (`tracing::info_span!("SELECT products", otel.kind =
//! "client")`): the exporting layer drops them when the current OpenTelemetry context is not sampled. The span
//! at a process's edge is an [`Edge`]. Parents travel by [`Context`], attached with
//! [`opentelemetry::trace::FutureExt::with_context`]; spawned tasks must carry it on.

use std::{borrow::Cow, sync::OnceLock};

use http::HeaderMap;
use opentelemetry::{
    Context, KeyValue, SpanId, TraceFlags, TraceId,
    trace::{
        Link, Span as _, SpanBuilder, SpanContext, SpanKind, Status, TraceContextExt, TraceState, Tracer as _,
    },
};
use opentelemetry_sdk::trace::SdkTracer;
use tonic::metadata::MetadataMap;
use tracing::{Metadata, Subscriber, level_filters::LevelFilter, subscriber::Interest};
use tracing_subscriber::layer::{self, Layer};

/// The W3C header's name, in the one spelling that NATS headers find too (they are case-sensitive).
pub const TRACEPARENT: &str = "traceparent";
const TRACESTATE: &str = "tracestate";

/// A `tracestate` longer than this is dropped, as the W3C recommendation allows.
const TRACESTATE_BYTES_MAX: usize = 512;

/// Set once by [`crate::telemetry::init`]; without it no edge is ever sampled.
pub(crate) static TRACER: OnceLock<SdkTracer> = OnceLock::new();

/// The caller's context from HTTP headers; empty when there is none or it is malformed.
pub fn server_context(headers: &HeaderMap) -> Context {
    let text = |name| {
        let mut values = headers.get_all(name).iter();
        // Two different parents are no parent.
        values.next().filter(|_| values.next().is_none()).and_then(|value| value.to_str().ok())
    };
    remote_context(text(TRACEPARENT), text(TRACESTATE))
}

/// The caller's context from gRPC metadata; empty when there is none or it is malformed.
pub fn metadata_context(metadata: &MetadataMap) -> Context {
    server_context(metadata.as_ref())
}

/// The creator's context from a NATS message's headers; empty when there is none or it is malformed.
pub fn message_context(headers: Option<&async_nats::HeaderMap>) -> Context {
    let text = |name| headers.and_then(|headers| headers.get(name)).map(async_nats::HeaderValue::as_str);
    remote_context(text(TRACEPARENT), text(TRACESTATE))
}

/// The context that a `traceparent` names, for instance that of an outbox row; empty when malformed.
pub fn context_of(traceparent: &str) -> Context {
    remote_context(Some(traceparent), None)
}

/// The context of a caller whose headers were read elsewhere (another version of the `http` crate).
pub fn remote_context(traceparent: Option<&str>, tracestate: Option<&str>) -> Context {
    let Some((trace_id, span_id, flags)) = traceparent.and_then(parse) else { return Context::new() };
    let state = tracestate
        .filter(|state| state.len() <= TRACESTATE_BYTES_MAX)
        .and_then(|state| state.parse().ok())
        .unwrap_or(TraceState::NONE);
    Context::new().with_remote_span_context(SpanContext::new(trace_id, span_id, flags, true, state))
}

/// Adds the current context to outgoing HTTP headers when it is sampled.
pub fn inject_http(headers: &mut HeaderMap) {
    with_sampled(|span| {
        let value = http::HeaderValue::try_from(encode(span)).expect("hex digits and dashes");
        headers.insert(TRACEPARENT, value);
        let state = span.trace_state().header();
        if let Some(state) = http::HeaderValue::try_from(state).ok().filter(|state| !state.is_empty()) {
            headers.insert(TRACESTATE, state);
        }
    });
}

/// Adds the current context to outgoing gRPC metadata when it is sampled.
pub fn inject_tonic(metadata: &mut MetadataMap) {
    inject_http(metadata.as_mut());
}

/// Headers for a NATS message that carry the current context; `None` when it is not sampled, because a
/// message with headers costs more than twice one without.
pub fn nats_headers() -> Option<async_nats::HeaderMap> {
    traceparent().map(|traceparent| {
        let mut headers = async_nats::HeaderMap::new();
        headers.insert(TRACEPARENT, traceparent);
        headers
    })
}

/// The current context as the 55 bytes of a `traceparent`; `None` when it is not sampled.
pub fn traceparent() -> Option<String> {
    with_sampled(encode)
}

/// Whether the current context is sampled: one thread-local read.
pub fn sampled() -> bool {
    Context::map_current(|context| context.span().span_context().is_sampled())
}

/// Where an [`Edge`] hangs in the tree.
#[derive(Debug, Clone, Copy)]
pub enum Parent<'a> {
    /// A child of a sampled caller, else nothing: for services that never start a trace of their own.
    Sampled(&'a Context),
    /// A child of the caller when it says anything, else a new trace that the sampler decides about.
    Trusted(&'a Context),
    /// A new trace, linked to what a stranger says: strangers cannot force sampling.
    Public(&'a Context),
    /// A new trace.
    None,
}

/// The span at a process's edge: a request in, a message in, a job begun. Ends when dropped.
///
/// When the sampler says no, every method is a no-op and [`Edge::context`] is empty.
#[derive(Debug)]
pub struct Edge {
    context: Context,
}

impl Edge {
    /// Starts a span. `attributes` is called only when the span is sampled.
    pub fn start(
        kind: SpanKind,
        name: impl Into<Cow<'static, str>>,
        parent: Parent<'_>,
        attributes: impl FnOnce() -> Vec<KeyValue>,
    ) -> Self {
        let builder = SpanBuilder::from_name(name).with_kind(kind);
        let no_parent = Context::new();
        let (builder, parent) = match parent {
            Parent::Sampled(caller) if !caller.span().span_context().is_sampled() => return Self::silent(),
            Parent::Sampled(caller) | Parent::Trusted(caller) => (builder, caller),
            Parent::Public(caller) => {
                let span = caller.span().span_context().clone();
                let links = span.is_valid().then(|| Link::with_context(span)).into_iter().collect();
                (builder.with_links(links), &no_parent)
            }
            Parent::None => (builder, &no_parent),
        };
        let Some(tracer) = TRACER.get() else {
            // Without an exporter of our own we still pass the caller's context on.
            return Self { context: parent.clone() };
        };
        let mut span = tracer.build_with_context(builder, parent);
        if !span.span_context().is_sampled() {
            return Self::silent();
        }
        span.set_attributes(attributes());
        Self { context: parent.with_span(span) }
    }

    fn silent() -> Self {
        Self { context: Context::new() }
    }

    /// The context to run the request's work in.
    pub fn context(&self) -> Context {
        self.context.clone()
    }

    /// Whether anything is recorded.
    pub fn is_sampled(&self) -> bool {
        self.context.span().span_context().is_sampled()
    }

    /// Adds an attribute that became known later.
    pub fn record(&self, key: &'static str, value: impl Into<opentelemetry::Value>) {
        if self.is_sampled() {
            self.context.span().set_attribute(KeyValue::new(key, value));
        }
    }

    /// Marks the span as failed; `error_type` is a low-cardinality name such as `DEADLINE_EXCEEDED`.
    pub fn fail(&self, error_type: &'static str) {
        if self.is_sampled() {
            let span = self.context.span();
            span.set_attribute(KeyValue::new("error.type", error_type));
            span.set_status(Status::error(""));
        }
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        // Clones of the context may live on in spawned work; the request is over all the same.
        if self.is_sampled() {
            self.context.span().end();
        }
    }
}

/// Which spans come into being at all.
///
/// It filters for the whole subscriber: a filter of the exporting layer alone would still have the registry
/// allocate each span. Log lines pass.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Spans {
    /// Those of sampled requests, down to `info`.
    Sampled,
    /// None: nobody exports them.
    Off,
}

impl<S: Subscriber> Layer<S> for Spans {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        match self {
            _ if !metadata.is_span() => Interest::always(),
            Self::Sampled if metadata.level() <= &tracing::Level::INFO => Interest::sometimes(),
            Self::Sampled | Self::Off => Interest::never(),
        }
    }

    fn enabled(&self, metadata: &Metadata<'_>, _: layer::Context<'_, S>) -> bool {
        !metadata.is_span() || sampled()
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::INFO)
    }
}

fn with_sampled<T>(f: impl FnOnce(&SpanContext) -> T) -> Option<T> {
    Context::map_current(|context| {
        let span = context.span();
        let span = span.span_context();
        span.is_sampled().then(|| f(span))
    })
}

fn encode(span: &SpanContext) -> String {
    format!("00-{}-{}-{:02x}", span.trace_id(), span.span_id(), span.trace_flags().to_u8() & 1)
}

/// `version "-" trace-id "-" parent-id "-" flags`, lower-case hex only. Higher versions may append fields.
fn parse(traceparent: &str) -> Option<(TraceId, SpanId, TraceFlags)> {
    let mut fields = traceparent.splitn(5, '-');
    let mut hex = |digits: usize| {
        let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        fields.next().filter(|field| field.len() == digits && field.bytes().all(is_hex))
    };
    let (version, trace_id, span_id, flags) = (hex(2)?, hex(32)?, hex(16)?, hex(2)?);
    if version == "ff" || (version == "00" && fields.next().is_some()) {
        return None;
    }
    let trace_id = TraceId::from_hex(trace_id).ok().filter(|id| *id != TraceId::INVALID)?;
    let span_id = SpanId::from_hex(span_id).ok().filter(|id| *id != SpanId::INVALID)?;
    let flags = u8::from_str_radix(flags, 16).ok()?;
    Some((trace_id, span_id, TraceFlags::new(flags & 1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn check(traceparent: &str, expected: Option<&str>) {
        let found = parse(traceparent).map(|(trace, span, flags)| {
            encode(&SpanContext::new(trace, span, flags, true, TraceState::NONE))
        });
        assert_eq!(found.as_deref(), expected, "{traceparent}");
    }

    #[test]
    fn traceparents_are_read_as_the_w3c_says() {
        check(PARENT, Some(PARENT));
        // Unknown flags are not forwarded, a future version may say more.
        check("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03", Some(PARENT));
        check("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-comes", Some(PARENT));

        check("", None);
        check("00", None);
        check("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more", None);
        check("ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", None);
        check("00-00000000000000000000000000000000-00f067aa0ba902b7-01", None);
        check("00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01", None);
        check("00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", None);
        check("00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01", None);
        check("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-+1", None);
    }

    #[test]
    fn a_sampled_context_travels_and_comes_back() {
        let _attached = context_of(PARENT).attach();
        assert!(sampled());
        assert_eq!(traceparent().as_deref(), Some(PARENT));

        let mut headers = HeaderMap::new();
        inject_http(&mut headers);
        let span = server_context(&headers).span().span_context().clone();
        assert_eq!(encode(&span), PARENT);
        assert!(!headers.contains_key(TRACESTATE), "an empty tracestate is not sent");

        let headers = nats_headers();
        let span = message_context(headers.as_ref()).span().span_context().clone();
        assert_eq!(encode(&span), PARENT);
    }

    #[test]
    fn an_unsampled_context_sends_nothing() {
        let _attached = context_of("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00").attach();
        assert!(!sampled());
        let mut metadata = MetadataMap::new();
        inject_tonic(&mut metadata);
        assert!(metadata.is_empty());
        assert!(nats_headers().is_none());
        assert_eq!(traceparent(), None);
    }

    #[test]
    fn vendors_state_is_carried_on_within_its_limit() {
        let _attached = remote_context(Some(PARENT), Some("vendor=1")).attach();
        let mut headers = HeaderMap::new();
        inject_http(&mut headers);
        assert_eq!(headers[TRACESTATE], "vendor=1");

        let long = format!("vendor={}", "x".repeat(TRACESTATE_BYTES_MAX));
        let context = remote_context(Some(PARENT), Some(&long));
        assert_eq!(context.span().span_context().trace_state().header(), "");
        assert!(context.span().span_context().is_sampled());
    }

    #[test]
    fn only_spans_of_sampled_requests_come_into_being() {
        use tracing_subscriber::layer::SubscriberExt;
        let made = |spans: Spans| {
            let subscriber = tracing_subscriber::registry().with(spans);
            tracing::subscriber::with_default(subscriber, || {
                [!tracing::info_span!("query").is_disabled(), !tracing::debug_span!("detail").is_disabled()]
            })
        };
        assert_eq!(made(Spans::Sampled), [false, false]);
        let _attached = context_of(PARENT).attach();
        assert_eq!(made(Spans::Sampled), [true, false]);
        assert_eq!(made(Spans::Off), [false, false]);
    }

    #[test]
    fn two_parents_are_none() {
        let mut headers = HeaderMap::new();
        headers.append(TRACEPARENT, http::HeaderValue::from_static(PARENT));
        headers.append(TRACEPARENT, http::HeaderValue::from_static(PARENT));
        assert!(!server_context(&headers).has_active_span());
    }
}
