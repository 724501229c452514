//! Logs and spans of one process.
//!
//! Logs are JSON lines on standard error. Spans leave over OTLP (gRPC) when an endpoint is configured, from a
//! runtime and a thread of their own: a starved or dead application runtime cannot deadlock the exporter, and a
//! dead collector cannot hold the application.

mod json;
mod sampler;

use std::{io, time::Duration};

use anyhow::Context as _;
use opentelemetry::{KeyValue, trace::TracerProvider};
use opentelemetry_otlp::{RetryPolicy, SpanExporter, WithExportConfig, WithTonicConfig};
use opentelemetry_sdk::{
    Resource,
    trace::{BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracer, SdkTracerProvider},
};
use tokio::runtime::{Builder, Runtime};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::{
    EnvFilter, Layer,
    filter::{FilterExt, filter_fn},
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

use crate::{
    config::{self, ConfigError, Environment},
    trace::{Spans, TRACER},
};

/// One export, and the whole shutdown, may take so long.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(2);
/// A crash loses at most this much.
const EXPORT_EVERY: Duration = Duration::from_secs(1);
/// Spans that wait for the collector; more are dropped.
const QUEUE_SPANS_MAX: usize = 8192;
const BATCH_SPANS_MAX: usize = 512;
const ATTRIBUTES_PER_SPAN_MAX: u32 = 32;
const EVENTS_PER_SPAN_MAX: u32 = 16;

/// What is logged and what is traced.
#[derive(Debug, Clone)]
pub struct TelemetryConfig {
    /// `MESTRES_LOG`: filter directives such as `info,sqlx=warn`. Default `info`.
    pub log: String,
    /// `OTEL_EXPORTER_OTLP_ENDPOINT`: the collector, with scheme, such as `http://127.0.0.1:4317`. Off when
    /// unset.
    pub otlp_endpoint: Option<String>,
    /// `MESTRES_TRACE_RATIO`: the share of new traces that is sampled, 0 to 1. Default 0.05.
    pub trace_ratio: f64,
    /// `MESTRES_TRACE_ROOTS_PER_S`: at most so many new traces per second. Default 50.
    pub trace_roots_per_s: u32,
    /// `MESTRES_INSTANCE`: this process among its siblings. Default `<hostname>-<pid>`.
    pub instance: String,
    /// `MESTRES_ENV` or `NODE_ENV`.
    pub environment: Environment,
}

impl TelemetryConfig {
    /// Reads the variables named above.
    pub fn from_env() -> Result<Self, ConfigError> {
        let endpoint = config::optional("OTEL_EXPORTER_OTLP_ENDPOINT");
        if let Some(endpoint) = &endpoint
            && !endpoint.starts_with("http://")
        {
            return Err(ConfigError::invalid(
                "OTEL_EXPORTER_OTLP_ENDPOINT",
                endpoint,
                "an address such as http://127.0.0.1:4317",
            ));
        }
        let log = config::optional("MESTRES_LOG").unwrap_or_else(|| "info".to_owned());
        if EnvFilter::try_new(&log).is_err() {
            return Err(ConfigError::invalid(
                "MESTRES_LOG",
                log,
                "filter directives such as `info,sqlx=warn`",
            ));
        }
        Ok(Self {
            log,
            otlp_endpoint: endpoint,
            trace_ratio: config::parsed_within("MESTRES_TRACE_RATIO", 0.05, 0.0..=1.0)?,
            trace_roots_per_s: config::parsed("MESTRES_TRACE_ROOTS_PER_S", 50)?,
            instance: config::instance(),
            environment: Environment::read()?,
        })
    }
}

/// Starts logging and, when configured, tracing for the whole process. Call it once, first thing; it does not
/// wait for the collector.
///
/// # Errors
/// When it was called before, or the exporter cannot be built.
pub fn init(service: &'static str, config: &TelemetryConfig) -> anyhow::Result<Telemetry> {
    let exporting =
        config.otlp_endpoint.as_deref().map(|endpoint| export(service, endpoint, config)).transpose()?;
    let filter = EnvFilter::try_new(&config.log).context("MESTRES_LOG")?;
    // The hints let what is below the level cost one comparison; without them a combination of filters has none.
    let events = filter_fn(|metadata| metadata.is_event()).with_max_level_hint(LevelFilter::TRACE);
    let only_spans = filter_fn(|metadata| metadata.is_span()).with_max_level_hint(LevelFilter::INFO);
    // Log lines carry the trace's ids, so the log layer needs no spans, and an unsampled span is never built.
    let log = tracing_subscriber::fmt::layer()
        .event_format(json::Line { service, instance: config.instance.clone() })
        .with_writer(io::stderr)
        // Reporting a failed write to the same stream would panic once nobody reads it.
        .log_internal_errors(false)
        .with_filter(events.and(filter));
    let spans = exporting.as_ref().map(|exporting| {
        tracing_opentelemetry::layer()
            .with_tracer(exporting.tracer.clone())
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_tracked_inactivity(false)
            .with_filter(only_spans)
    });
    let wanted = if exporting.is_some() { Spans::Sampled } else { Spans::Off };
    tracing_subscriber::registry()
        .with(log)
        .with(spans)
        .with(wanted)
        .try_init()
        .context("telemetry was started before")?;
    if let Some(exporting) = &exporting {
        TRACER.set(exporting.tracer.clone()).ok().context("tracing was started before")?;
    }
    Ok(Telemetry { exporting })
}

/// Keeps the exporter alive; see [`Telemetry::shutdown`].
#[derive(Debug)]
#[must_use = "spans that are still queued are lost unless `shutdown` is awaited"]
pub struct Telemetry {
    exporting: Option<Exporting>,
}

#[derive(Debug)]
struct Exporting {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
    io: Option<Runtime>,
}

impl Telemetry {
    /// Sends what is queued, for at most 2 s. The last thing a process does.
    pub async fn shutdown(self) {
        let Some(exporting) = self.exporting else { return };
        // Blocks on the exporter's thread, so it must not run on a runtime's worker.
        let flushed =
            tokio::task::spawn_blocking(move || exporting.provider.shutdown_with_timeout(EXPORT_TIMEOUT));
        match flushed.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the last spans were not delivered"),
            Err(error) => tracing::warn!(%error, "the exporter panicked"),
        }
    }
}

impl Drop for Exporting {
    fn drop(&mut self) {
        // A runtime must not be dropped inside another one.
        if let Some(io) = self.io.take() {
            io.shutdown_background();
        }
    }
}

fn export(service: &'static str, endpoint: &str, config: &TelemetryConfig) -> anyhow::Result<Exporting> {
    let io = Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("otel-io")
        .enable_all()
        .build()
        .context("starting the exporter's runtime")?;
    let exporter = {
        let _inside = io.enter();
        SpanExporter::builder()
            .with_tonic()
            .with_endpoint(endpoint)
            .with_timeout(EXPORT_TIMEOUT)
            // A retry would keep the only export thread busy while the queue overflows; the next batch follows
            // anyway.
            .with_retry_policy(RetryPolicy::disabled())
            .build()
            .with_context(|| format!("exporting spans to {endpoint}"))?
    };
    let batches = BatchConfigBuilder::default()
        .with_max_queue_size(QUEUE_SPANS_MAX)
        .with_max_export_batch_size(BATCH_SPANS_MAX)
        .with_scheduled_delay(EXPORT_EVERY)
        .build();
    let roots = sampler::Budgeted::new(config.trace_ratio, config.trace_roots_per_s);
    let provider = SdkTracerProvider::builder()
        .with_resource(
            Resource::builder_empty()
                .with_service_name(service)
                .with_attributes([
                    KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
                    KeyValue::new("service.instance.id", config.instance.clone()),
                    KeyValue::new("deployment.environment.name", config.environment.as_str()),
                ])
                .build(),
        )
        .with_sampler(Sampler::ParentBased(Box::new(roots)))
        .with_max_attributes_per_span(ATTRIBUTES_PER_SPAN_MAX)
        .with_max_events_per_span(EVENTS_PER_SPAN_MAX)
        .with_span_processor(BatchSpanProcessor::builder(exporter).with_batch_config(batches).build())
        .build();
    let tracer = provider.tracer("mestres");
    Ok(Exporting { provider, tracer, io: Some(io) })
}
