//! The page of the requirement documents, asked for as they ask (S50-S52, X100): a cookie and nothing else.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use gateway::Config;
use gateway::listener::Patience;
use proto::metrics::v1::metrics_service_server::{MetricsService, MetricsServiceServer};
use proto::metrics::v1::{QueryRequest, QueryResponse, ReportRequest, ReportResponse, Stats};
use reqwest::{Method, Response};
use rls::{Assertions, Caller, UserId};
use serde_json::{Value, json};
use testkit::jwt::TestKeys;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::task::AbortOnDropHandle;
use tonic::{Request as Grpc, Response as Reply, Status, Streaming};

use crate::accounts::ScriptedAccounts;
use crate::shop::{Gateway, check_problem, config};

const PAGE: &str = "/api/admin/performance-metrics";

/// An aggregator that has seen four requests.
#[derive(Debug, Default)]
struct FourRequests {
    bearer: Mutex<Option<String>>,
}

#[tonic::async_trait]
impl MetricsService for FourRequests {
    async fn report(&self, _: Grpc<Streaming<ReportRequest>>) -> Result<Reply<ReportResponse>, Status> {
        Err(Status::unavailable("not now"))
    }

    async fn query(&self, request: Grpc<QueryRequest>) -> Result<Reply<QueryResponse>, Status> {
        let bearer = request.metadata().get("authorization").and_then(|value| value.to_str().ok());
        *self.bearer.lock().expect("no panic") = bearer.map(str::to_owned);
        let total = Stats {
            requests: 4,
            sum_ns: 400_000_000,
            p50_ns: 90_000_000,
            p95_ns: 210_000_000,
            p99_ns: 210_000_000,
            cache_hits: 3,
            slow: 1,
            ..Stats::default()
        };
        Ok(Reply::new(QueryResponse { total: Some(total), ..QueryResponse::default() }))
    }
}

async fn serve(metrics: Arc<FourRequests>) -> (SocketAddr, AbortOnDropHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let addr = listener.local_addr().expect("it is bound");
    let serving = tokio::spawn(async move {
        tonic::transport::Server::builder()
            .add_service(MetricsServiceServer::from_arc(metrics))
            .serve_with_incoming(TcpListenerStream::new(listener))
            .await
            .expect("the aggregator serves");
    });
    (addr, AbortOnDropHandle::new(serving))
}

async fn curl(gateway: &Gateway, cookie: Option<String>) -> Response {
    let mut request = gateway.request(Method::GET, PAGE);
    if let Some(cookie) = cookie {
        request = request.header("cookie", cookie);
    }
    request.send().await.expect("an answer")
}

#[tokio::test]
async fn the_documents_curl_works_for_admins_only() {
    let metrics = Arc::new(FourRequests::default());
    let (metrics_addr, _serving) = serve(Arc::clone(&metrics)).await;
    let (_accounts, accounts_addr, _serving_accounts) = ScriptedAccounts::start().await;
    let settings = |keys: &TestKeys| Config {
        metrics_url: format!("http://{metrics_addr}"),
        accounts_url: format!("http://{accounts_addr}"),
        ..config(keys)
    };
    let gateway = Gateway::start(testkit::jwt::key_set(), settings, Patience::default()).await;
    let cookie = |role: &str| Some(format!("auth-token={}", gateway.keys.token(role, 7)));

    check_problem(curl(&gateway, None).await, 401, "unauthenticated").await;
    check_problem(curl(&gateway, cookie("customer")).await, 403, "forbidden").await;
    check_problem(curl(&gateway, cookie("staff")).await, 403, "forbidden").await;
    let forged = gateway.keys.token("customer", 7).replacen("ey", "ez", 1);
    check_problem(curl(&gateway, Some(format!("auth-token={forged}"))).await, 401, "unauthenticated").await;
    assert_eq!(*metrics.bearer.lock().expect("no panic"), None, "nobody else's question got through");

    let answer = curl(&gateway, cookie("admin")).await;
    assert_eq!(answer.status(), 200);
    let mut page: Value = answer.json().await.expect("JSON");
    assert!(page["timestamp"].take().is_string());
    assert_eq!(
        page,
        json!({
            "latency": {"average": 100, "p50": 90, "p95": 210, "p99": 210, "requests": 4},
            "cache": {"hitRate": 75.0, "hits": 3, "misses": 1},
            "sla": {"target": 500, "compliance": 75.0, "slowRequests": 1},
            "timestamp": null,
            "window": "60 minutes",
        })
    );
    let bearer = metrics.bearer.lock().expect("no panic").clone();
    let believed = Assertions::from_jwks_file(&gateway.keys.assertions_file, "metrics").expect("the key set");
    assert_eq!(believed.caller(bearer.as_deref()).expect("an assertion").caller, Caller::Admin(UserId(7)));
}
