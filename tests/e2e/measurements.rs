//! What the shop says of itself: statistics, health, Prometheus names, the slow-request log.

use std::time::Duration;

use crate::shop::{Options, Service, Shop};

/// S50, S51: admins only, and exactly the document's shape.
#[tokio::test(flavor = "multi_thread")]
async fn performance_metrics_count_what_was_asked() {
    let shop = Shop::open().await;
    let path = "/api/admin/performance-metrics?window=60";
    assert_eq!(shop.client(0).get(path).await.status, 401);
    assert_eq!(shop.client(0).with_bearer(shop.token("customer")).get(path).await.status, 403);
    for _ in 0..50 {
        shop.client(0).get("/api/v1/products").await;
        shop.client(1).get("/api/v1/products/1").await;
    }
    let admin = shop.client(0).with_bearer(shop.token("admin"));
    let stats = testkit::eventually(Duration::from_secs(15), "100 requests in the statistics", async || {
        let answer = admin.get(path).await;
        let stats = (answer.status == 200).then(|| answer.json())?;
        (stats["latency"]["requests"].as_u64()? >= 100).then_some(stats)
    })
    .await;
    let keys = |value: &serde_json::Value| -> Vec<String> {
        let mut keys: Vec<_> = value.as_object().unwrap().keys().cloned().collect();
        keys.sort();
        keys
    };
    assert_eq!(keys(&stats), ["cache", "latency", "sla", "timestamp", "window"]);
    assert_eq!(keys(&stats["latency"]), ["average", "p50", "p95", "p99", "requests"]);
    assert_eq!(keys(&stats["cache"]), ["hitRate", "hits", "misses"]);
    assert_eq!(keys(&stats["sla"]), ["compliance", "slowRequests", "target"]);
    assert_eq!(stats["sla"]["target"], 500);
    assert_eq!(stats["window"], "60 minutes");
    let timestamp = stats["timestamp"].as_str().unwrap();
    assert!(timestamp.len() == 24 && timestamp.ends_with('Z'), "{timestamp}");
    let count = |part: &str, name: &str| stats[part][name].as_u64().unwrap();
    assert_eq!(count("cache", "hits") + count("cache", "misses"), count("latency", "requests"));
    assert!(count("cache", "hits") >= 90, "{stats}");
}

/// No data is not healthy: without the aggregator the answer is `unknown`, never `healthy`.
#[tokio::test(flavor = "multi_thread")]
async fn health_says_unknown_when_nobody_counts() {
    let mut shop = Shop::open().await;
    let client = shop.client(0);
    let healthy = testkit::eventually(Duration::from_secs(30), "data", async || {
        client.get("/api/v1/products").await;
        let answer = client.get("/health/performance").await;
        (answer.status == 200).then(|| answer.json())
    })
    .await;
    assert_eq!(healthy["status"], "healthy", "{healthy}");
    for name in [
        "response_time_p95",
        "error_rate",
        "database_connections",
        "cache_hit_rate",
        "memory_usage",
        "cpu_usage",
    ] {
        assert!(healthy["metrics"][name].is_number(), "{name} in {healthy}");
    }
    shop.kill(Service::Metrics);
    let blind = testkit::eventually(Duration::from_secs(15), "the loss is noticed", async || {
        let answer = client.get("/health/performance").await;
        (answer.status == 503).then(|| answer.json())
    })
    .await;
    assert_eq!(blind["status"], "unknown");
}

/// The last hour survives a restart of the aggregator: it stands in Redis.
#[tokio::test(flavor = "multi_thread")]
async fn statistics_survive_a_restart_of_the_aggregator() {
    let mut shop = Shop::open().await;
    let admin = shop.client(0).with_bearer(shop.token("admin"));
    for _ in 0..40 {
        shop.client(0).get("/api/v1/products").await;
    }
    let path = "/api/admin/performance-metrics";
    let counted = async || {
        let answer = admin.get(path).await;
        (answer.status == 200).then(|| answer.json()["latency"]["requests"].as_u64().unwrap())
    };
    testkit::eventually(Duration::from_secs(15), "40 requests", async || {
        counted().await.filter(|requests| *requests >= 40)
    })
    .await;
    // The slot has to close and reach Redis before the process may forget it.
    tokio::time::timeout(Duration::from_secs(30), async {
        let client = redis::Client::open(shop.redis.url()).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        loop {
            let keys: Vec<String> =
                redis::cmd("KEYS").arg("pm:1:s:*").query_async(&mut connection).await.unwrap();
            if !keys.is_empty() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
    .await
    .expect("a slot in Redis");
    shop.kill(Service::Metrics);
    shop.kill(Service::Gateway(1));
    shop.spawn(Service::Metrics);
    shop.wait_until_ready(Service::Metrics).await;
    testkit::eventually(Duration::from_secs(15), "the old requests are back", async || {
        counted().await.filter(|requests| *requests >= 40)
    })
    .await;
}

/// S235-S238, S280, S281: the names that dashboards and alerts use.
#[tokio::test(flavor = "multi_thread")]
async fn prometheus_exports_the_documented_names() {
    let shop = Shop::open().await;
    for _ in 0..5 {
        shop.client(0).get("/api/v1/products").await;
    }
    shop.client(0).get("/api/v1/products/99999999").await;
    let text = async |service| {
        let url = format!("http://{}/metrics", shop.internal_address(service));
        reqwest::get(url).await.unwrap().text().await.unwrap()
    };
    let gateway = text(Service::Gateway(0)).await;
    let catalog = text(Service::Catalog).await;
    for line in [
        r#"http_requests_total{method="GET",endpoint="/api/v1/products",status="200"} 5"#,
        r#"http_requests_total{method="GET",endpoint="/api/v1/products/{id}",status="404"} 1"#,
        r#"http_request_duration_seconds_count{method="GET",endpoint="/api/v1/products"} 5"#,
        "cache_hit_rate 0.",
    ] {
        assert!(gateway.contains(line), "{line} is not in\n{gateway}");
    }
    for name in
        ["database_connections_active ", "database_connections_max ", "database_query_duration_seconds_count"]
    {
        assert!(catalog.contains(name), "{name} is not in\n{catalog}");
    }
}

/// S49: a request over the threshold leaves the document's line in the log, with searchable fields.
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_request_is_logged() {
    let options = Options { catalog_answers_late_by: Some(Duration::from_millis(700)), ..Options::default() };
    let shop = Shop::open_with(options).await;
    assert_eq!(shop.client(0).get("/api/v1/products").await.status, 200);
    testkit::eventually(Duration::from_secs(5), "the slow-request line", async || {
        let log = shop.log(Service::Gateway(0));
        log.lines().find(|line| line.contains("[PERF] Request lenta detectada:")).map(|line| {
            for part in ["/api/v1/products", "GET", "miss"] {
                assert!(line.contains(part), "{part} is not in {line}");
            }
        })
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn liveness_and_readiness_answer_on_the_public_port_too() {
    let shop = Shop::open().await;
    for path in ["/health/live", "/health/ready"] {
        assert_eq!(shop.client(0).get(path).await.status, 200, "{path}");
    }
    assert_eq!(shop.client(0).get("/metrics").await.status, 404, "metrics are internal (X76)");
}
