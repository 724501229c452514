//! How fast we are: the statistics of the requirement documents.

use actix_web::{HttpRequest, HttpResponse};
use proto::metrics::v1::{QueryRequest, QueryResponse, RouteStats, Stats};
use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;

use crate::error::Error;
use crate::gate::Gate;
use crate::query::Query;
use crate::upstream::{METRICS_DEADLINE, read};
use crate::views::rfc3339;

/// The P95 that the service level promises, in milliseconds (S1).
const TARGET_MS: u32 = 500;
/// Time that `/health/performance` looks back, in minutes.
const HEALTH_WINDOW_MIN: u32 = 5;

/// S51, member for member; `detail` only when asked for.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PerformanceMetrics {
    latency: Latency,
    cache: CacheRates,
    sla: Sla,
    timestamp: String,
    #[schema(example = "60 minutes")]
    window: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<Detail>,
}

/// Milliseconds.
#[derive(Debug, Serialize, ToSchema)]
pub struct Latency {
    #[schema(value_type = f64)]
    average: Millis,
    #[schema(value_type = f64)]
    p50: Millis,
    #[schema(value_type = f64)]
    p95: Millis,
    #[schema(value_type = f64)]
    p99: Millis,
    requests: u64,
}

/// What the cache did; `hits` + `misses` = requests.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CacheRates {
    /// Percent with one decimal.
    hit_rate: f64,
    hits: u64,
    misses: u64,
}

/// The service level.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Sla {
    /// Milliseconds.
    target: u32,
    /// Percent of requests that were not slow, with one decimal.
    compliance: f64,
    slow_requests: u64,
}

/// More than the documents ask for.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Detail {
    #[schema(value_type = f64)]
    p999: Millis,
    #[schema(value_type = f64)]
    max: Millis,
    /// Percent of requests with status 2xx (S15).
    success_rate: f64,
    /// Percent of requests with status 5xx.
    error_rate: f64,
    /// Largest relative error of the quantiles.
    error_bound: f64,
    sources_expected: u32,
    sources_seen: u32,
    /// Share of expected reports that arrived, 0 to 1.
    coverage: f64,
    routes: Vec<RouteDetail>,
}

/// One route.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RouteDetail {
    route: String,
    method: String,
    requests: u64,
    #[schema(value_type = f64)]
    average: Millis,
    #[schema(value_type = f64)]
    p50: Millis,
    #[schema(value_type = f64)]
    p95: Millis,
    #[schema(value_type = f64)]
    p99: Millis,
    hit_rate: f64,
    slow_requests: u64,
}

/// Milliseconds with at most one decimal: whole numbers are written as the documents write them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Millis(f64);

impl Millis {
    fn of_ns(ns: u64) -> Self {
        Self((ns as f64 / 100_000.0).round() / 10.0)
    }
}

impl Serialize for Millis {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.fract() == 0.0 {
            serializer.serialize_u64(self.0 as u64)
        } else {
            serializer.serialize_f64(self.0)
        }
    }
}

/// A share in percent with one decimal; nothing of nothing is 0, never a hundred.
fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { (part as f64 * 1000.0 / whole as f64).round() / 10.0 }
}

fn average(stats: &Stats) -> Millis {
    Millis::of_ns(stats.sum_ns.checked_div(stats.requests).unwrap_or(0))
}

/// Statistics of the last minutes, for admins (S50, S51).
#[utoipa::path(
    get,
    path = "/api/admin/performance-metrics",
    tag = "platform",
    params(
        ("window" = Option<u32>, Query, description = "Minutes, 1 to 60, by default 60"),
        ("detail" = Option<bool>, Query, description = "`true` adds the member `detail`")
    ),
    responses(
        (status = 200, description = "The statistics", body = PerformanceMetrics),
        (status = 401, description = "unauthenticated", body = super::openapi::ProblemDocument),
        (status = 403, description = "forbidden", body = super::openapi::ProblemDocument)
    ),
    security(("bearer" = []), ("cookie" = []))
)]
pub(crate) async fn metrics(request: HttpRequest) -> Result<HttpResponse, Error> {
    let gate = Gate::of(&request);
    let caller = gate.authenticate(&request)?.admin(&gate).await?;
    let mut query = Query::parse(request.query_string())?;
    let window = query.integer("window", 1..=60)?.unwrap_or(60);
    let detail = query.choice("detail", &[("true", true), ("false", false)])?.unwrap_or(false);
    query.finish()?;
    let window = u32::try_from(window).expect("at most 60");
    let assertion = caller.assertion(&gate, "metrics");
    let reply = statistics(&gate, window, detail, assertion.as_deref()).await?;
    let total = reply.total.unwrap_or_default();
    let coverage = reply.coverage.unwrap_or_default();
    let body = PerformanceMetrics {
        latency: Latency {
            average: average(&total),
            p50: Millis::of_ns(total.p50_ns),
            p95: Millis::of_ns(total.p95_ns),
            p99: Millis::of_ns(total.p99_ns),
            requests: total.requests,
        },
        cache: CacheRates {
            hit_rate: percent(total.cache_hits, total.requests),
            hits: total.cache_hits,
            misses: total.requests.saturating_sub(total.cache_hits),
        },
        sla: Sla {
            target: TARGET_MS,
            compliance: percent(total.requests.saturating_sub(total.slow), total.requests),
            slow_requests: total.slow,
        },
        timestamp: rfc3339(OffsetDateTime::now_utc()),
        window: format!("{window} minutes"),
        detail: detail.then(|| Detail {
            p999: Millis::of_ns(total.p999_ns),
            max: Millis::of_ns(total.max_ns),
            success_rate: percent(total.status_2xx, total.requests),
            error_rate: percent(total.status_5xx, total.requests),
            error_bound: total.error_bound,
            sources_expected: coverage.sources_expected,
            sources_seen: coverage.sources_seen,
            coverage: coverage.ratio,
            routes: reply.routes.iter().map(RouteDetail::of).collect(),
        }),
    };
    let json = serde_json::to_vec(&body).expect("numbers and strings always serialise");
    Ok(HttpResponse::Ok()
        .content_type("application/json")
        .insert_header(("x-metrics-coverage", format!("{:.3}", coverage.ratio)))
        .insert_header(("x-metrics-error-bound", format!("{:.5}", total.error_bound)))
        .body(json))
}

impl RouteDetail {
    fn of(route: &RouteStats) -> Self {
        let stats = route.stats.unwrap_or_default();
        Self {
            route: route.route.clone(),
            method: route.method.clone(),
            requests: stats.requests,
            average: average(&stats),
            p50: Millis::of_ns(stats.p50_ns),
            p95: Millis::of_ns(stats.p95_ns),
            p99: Millis::of_ns(stats.p99_ns),
            hit_rate: percent(stats.cache_hits, stats.requests),
            slow_requests: stats.slow,
        }
    }
}

/// S241 to S243.
#[derive(Debug, Serialize, ToSchema)]
pub struct PerformanceHealth {
    status: PerformanceStatus,
    metrics: HealthMetrics,
    timestamp: String,
}

/// How we are doing. Without data that is not known, and never healthy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum PerformanceStatus {
    /// Fast and without errors.
    Healthy,
    /// P95 over 500 ms.
    Degraded,
    /// More than 5 % server errors.
    Unhealthy,
    /// No requests were reported lately, or the aggregator is away.
    Unknown,
}

/// Milliseconds, percent with one decimal, and a count; absent when not known.
#[derive(Debug, Default, Serialize, ToSchema)]
pub struct HealthMetrics {
    #[schema(value_type = Option<f64>)]
    response_time_p95: Option<Millis>,
    error_rate: Option<f64>,
    database_connections: Option<u32>,
    cache_hit_rate: Option<f64>,
    memory_usage: Option<f64>,
    cpu_usage: Option<f64>,
}

/// Whether the shop keeps its service level. It is no probe: it looks at all processes together.
#[utoipa::path(
    get,
    path = "/health/performance",
    tag = "platform",
    responses(
        (status = 200, description = "healthy or degraded", body = PerformanceHealth),
        (status = 503, description = "unhealthy or unknown", body = PerformanceHealth)
    )
)]
pub(crate) async fn health(request: HttpRequest) -> Result<HttpResponse, Error> {
    let gate = Gate::of(&request);
    Query::parse(request.query_string())?.finish()?;
    let health = match statistics(&gate, HEALTH_WINDOW_MIN, false, None).await {
        Ok(reply) => judge(&reply, OffsetDateTime::now_utc()),
        Err(_) => PerformanceHealth::unknown(OffsetDateTime::now_utc()),
    };
    let mut response = match health.status {
        PerformanceStatus::Healthy | PerformanceStatus::Degraded => HttpResponse::Ok(),
        PerformanceStatus::Unhealthy | PerformanceStatus::Unknown => HttpResponse::ServiceUnavailable(),
    };
    let json = serde_json::to_vec(&health).expect("numbers and strings always serialise");
    Ok(response.content_type("application/json").body(json))
}

impl PerformanceHealth {
    fn unknown(now: OffsetDateTime) -> Self {
        Self {
            status: PerformanceStatus::Unknown,
            metrics: HealthMetrics::default(),
            timestamp: rfc3339(now),
        }
    }

    /// How we are doing.
    pub fn status(&self) -> PerformanceStatus {
        self.status
    }
}

/// With less than this share of the expected reports nothing is known: silence must not pass for health.
const COVERAGE_MIN: f64 = 0.8;

/// S242: unhealthy wins over degraded.
pub fn judge(reply: &QueryResponse, now: OffsetDateTime) -> PerformanceHealth {
    let total = reply.total.unwrap_or_default();
    let covered = reply.coverage.is_some_and(|coverage| coverage.ratio >= COVERAGE_MIN);
    if total.requests == 0 || !covered {
        return PerformanceHealth::unknown(now);
    }
    let p95 = Millis::of_ns(total.p95_ns);
    let error_rate = percent(total.status_5xx, total.requests);
    let status = if total.status_5xx * 20 > total.requests {
        PerformanceStatus::Unhealthy
    } else if total.p95_ns > u64::from(TARGET_MS) * 1_000_000 {
        PerformanceStatus::Degraded
    } else {
        PerformanceStatus::Healthy
    };
    let tenth = |percent: f64| (percent * 10.0).round() / 10.0;
    let process = reply.process.as_ref();
    PerformanceHealth {
        status,
        metrics: HealthMetrics {
            response_time_p95: Some(p95),
            error_rate: Some(error_rate),
            database_connections: process.map(|process| process.database_connections_active),
            cache_hit_rate: Some(percent(total.cache_hits, total.requests)),
            memory_usage: process.map(|process| tenth(process.memory_percent)),
            cpu_usage: process.map(|process| tenth(process.cpu_percent)),
        },
        timestamp: rfc3339(now),
    }
}

async fn statistics(
    gate: &Gate,
    window_minutes: u32,
    by_route: bool,
    bearer: Option<&str>,
) -> Result<QueryResponse, Error> {
    // The service level is about what clients see, hence the gateways alone, and not what probes see: an
    // unhealthy answer is a 503, so counting those would keep a shop unhealthy for having been so.
    let message = QueryRequest {
        window_minutes,
        service: "gateway".to_owned(),
        by_route,
        except_route_prefix: "/health/".to_owned(),
    };
    read(message, METRICS_DEADLINE, bearer, |request| {
        let mut metrics = gate.upstream().metrics.clone();
        async move { metrics.query(request).await }
    })
    .await
}
