//! Webhook endpoints by HTTP, in front of a service in memory.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use gateway::Config;
use proto::notifications::v1::webhooks_service_server::{WebhooksService, WebhooksServiceServer};
use proto::notifications::v1::*;
use reqwest::{Method, Response};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::task::AbortOnDropHandle;
use tonic::metadata::MetadataValue;
use tonic::{Code, Request as Grpc, Response as Reply, Status};

use crate::shop::{Shop, check_problem, header};

const WEBHOOKS: &str = "/api/v1/admin/webhooks";
const DELIVERY: &str = "0198c5a0-0000-7000-8000-000000000001";
const SECRET: &str = "whsec_BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH";

/// Endpoint 1 at version 3, until somebody changes it; remembers what it was asked.
struct Scripted {
    endpoint: Mutex<Option<Endpoint>>,
    asked: Mutex<Vec<String>>,
}

impl Scripted {
    async fn start() -> (Arc<Self>, SocketAddr, AbortOnDropHandle<()>) {
        let scripted = Arc::new(Self { endpoint: Mutex::new(Some(endpoint())), asked: Mutex::default() });
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let addr = listener.local_addr().expect("it is bound");
        let service = WebhooksServiceServer::from_arc(Arc::clone(&scripted));
        let serving = tokio::spawn(async move {
            tonic::transport::Server::builder()
                .add_service(service)
                .serve_with_incoming(TcpListenerStream::new(listener))
                .await
                .expect("it serves");
        });
        (scripted, addr, AbortOnDropHandle::new(serving))
    }

    fn note<M: std::fmt::Debug>(&self, request: &Grpc<M>) {
        let bearer = request.metadata().get("authorization").expect("the admin is asserted");
        assert!(bearer.to_str().is_ok_and(|bearer| bearer.starts_with("Bearer ")));
        self.asked.lock().expect("no panic").push(format!("{:?}", request.get_ref()));
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("no panic").clone()
    }

    fn find(&self, id: i64) -> Result<Endpoint, Status> {
        let kept = self.endpoint.lock().expect("no panic").clone();
        kept.filter(|endpoint| endpoint.id == id)
            .ok_or_else(|| Status::not_found("endpoint_not_found: no such endpoint"))
    }

    fn expect(&self, id: i64, version: i64) -> Result<Endpoint, Status> {
        let found = self.find(id)?;
        if found.version == version {
            return Ok(found);
        }
        let mut refused = Status::aborted("expected_version: another version");
        refused.metadata_mut().insert("mc-reason", MetadataValue::from_static("version_mismatch"));
        refused.metadata_mut().insert("mc-current-version", MetadataValue::from(found.version));
        Err(refused)
    }
}

fn endpoint() -> Endpoint {
    Endpoint {
        id: 1,
        url: "https://hooks.example.com/in".to_owned(),
        events: vec!["product.*".to_owned()],
        is_active: true,
        consecutive_failures: 2,
        disabled_reason: None,
        version: 3,
        created_at: Some(at()),
    }
}

fn delivery(status: &str) -> Delivery {
    Delivery {
        id: DELIVERY.to_owned(),
        endpoint_id: 1,
        event_id: DELIVERY.to_owned(),
        r#type: "product.updated".to_owned(),
        status: status.to_owned(),
        attempts: 1,
        next_attempt_at: Some(at()),
        last_status: Some(500),
        last_error: Some("oops".to_owned()),
        last_latency_ms: Some(12),
        created_at: Some(at()),
        delivered_at: None,
    }
}

fn at() -> prost_types::Timestamp {
    prost_types::Timestamp { seconds: 1_760_000_000, nanos: 5_000_000 }
}

#[tonic::async_trait]
impl WebhooksService for Scripted {
    async fn list_endpoints(
        &self,
        request: Grpc<ListEndpointsRequest>,
    ) -> Result<Reply<ListEndpointsResponse>, Status> {
        self.note(&request);
        Ok(Reply::new(ListEndpointsResponse { endpoints: vec![self.find(1)?] }))
    }

    async fn get_endpoint(
        &self,
        request: Grpc<GetEndpointRequest>,
    ) -> Result<Reply<GetEndpointResponse>, Status> {
        self.note(&request);
        Ok(Reply::new(GetEndpointResponse { endpoint: Some(self.find(request.get_ref().id)?) }))
    }

    async fn create_endpoint(
        &self,
        request: Grpc<CreateEndpointRequest>,
    ) -> Result<Reply<CreateEndpointResponse>, Status> {
        self.note(&request);
        let CreateEndpointRequest { url, events } = request.into_inner();
        if url.contains("10.0.0.1") {
            let mut refused = Status::new(Code::InvalidArgument, "url: must name a host on the internet");
            refused.metadata_mut().insert("mc-reason", MetadataValue::from_static("invalid_value"));
            refused.metadata_mut().insert("mc-field", MetadataValue::from_static("url"));
            return Err(refused);
        }
        let made = Endpoint { id: 2, url, events, version: 1, consecutive_failures: 0, ..endpoint() };
        Ok(Reply::new(CreateEndpointResponse { endpoint: Some(made), secret: SECRET.to_owned() }))
    }

    async fn update_endpoint(
        &self,
        request: Grpc<UpdateEndpointRequest>,
    ) -> Result<Reply<UpdateEndpointResponse>, Status> {
        self.note(&request);
        let asked = request.into_inner();
        let mut changed = self.expect(asked.id, asked.expected_version)?;
        changed.version += 1;
        changed.is_active = asked.is_active.unwrap_or(changed.is_active);
        *self.endpoint.lock().expect("no panic") = Some(changed.clone());
        Ok(Reply::new(UpdateEndpointResponse { endpoint: Some(changed) }))
    }

    async fn delete_endpoint(
        &self,
        request: Grpc<DeleteEndpointRequest>,
    ) -> Result<Reply<DeleteEndpointResponse>, Status> {
        self.note(&request);
        let asked = request.into_inner();
        self.expect(asked.id, asked.expected_version)?;
        *self.endpoint.lock().expect("no panic") = None;
        Ok(Reply::new(DeleteEndpointResponse {}))
    }

    async fn rotate_secret(
        &self,
        request: Grpc<RotateSecretRequest>,
    ) -> Result<Reply<RotateSecretResponse>, Status> {
        self.note(&request);
        self.find(request.get_ref().id)?;
        Ok(Reply::new(RotateSecretResponse { secret: SECRET.to_owned(), previous_until: Some(at()) }))
    }

    async fn test_endpoint(
        &self,
        request: Grpc<TestEndpointRequest>,
    ) -> Result<Reply<TestEndpointResponse>, Status> {
        self.note(&request);
        self.find(request.get_ref().id)?;
        Ok(Reply::new(TestEndpointResponse { delivery: Some(delivery("dead")) }))
    }

    async fn list_deliveries(
        &self,
        request: Grpc<ListDeliveriesRequest>,
    ) -> Result<Reply<ListDeliveriesResponse>, Status> {
        self.note(&request);
        self.find(request.get_ref().endpoint_id)?;
        Ok(Reply::new(ListDeliveriesResponse { deliveries: vec![delivery("failed")], total: 41 }))
    }

    async fn redeliver(&self, request: Grpc<RedeliverRequest>) -> Result<Reply<RedeliverResponse>, Status> {
        self.note(&request);
        if request.get_ref().delivery_id != DELIVERY {
            return Err(Status::not_found("delivery_not_found: no such delivery"));
        }
        Ok(Reply::new(RedeliverResponse { delivery: Some(delivery("pending")) }))
    }
}

/// A shop with such a service behind it.
async fn open() -> (Shop, Arc<Scripted>, AbortOnDropHandle<()>) {
    let (scripted, addr, serving) = Scripted::start().await;
    let shop =
        Shop::open_with(|config| Config { notifications_url: format!("http://{addr}"), ..config }).await;
    (shop, scripted, serving)
}

/// What an admin asks.
async fn ask(
    shop: &Shop,
    method: Method,
    target: &str,
    if_match: Option<&str>,
    body: Option<Value>,
) -> Response {
    let mut request = shop.request_as("admin", method, target);
    if let Some(tag) = if_match {
        request = request.header("if-match", tag);
    }
    if let Some(body) = body {
        request = request.json(&body);
    }
    request.send().await.expect("the gateway answers")
}

async fn get(shop: &Shop, target: &str) -> Response {
    ask(shop, Method::GET, target, None, None).await
}

async fn post(shop: &Shop, target: &str, body: Option<Value>) -> Response {
    ask(shop, Method::POST, target, None, body).await
}

/// The body of an answer that nobody keeps.
async fn data(answer: Response, status: u16) -> Value {
    assert_eq!(answer.status(), status);
    assert_eq!(header(&answer, "cache-control"), "no-store");
    assert_eq!(header(&answer, "x-cache"), "BYPASS");
    let body: Value = answer.json().await.expect("JSON");
    body["data"].clone()
}

fn one() -> String {
    format!("{WEBHOOKS}/1")
}

#[tokio::test]
async fn admins_only_and_nobody_asks_the_service_for_others() {
    let (shop, scripted, _serving) = open().await;
    let redeliver = format!("{WEBHOOKS}/deliveries/{DELIVERY}/redeliver");
    for (method, target) in [
        (Method::GET, WEBHOOKS.to_owned()),
        (Method::POST, WEBHOOKS.to_owned()),
        (Method::GET, one()),
        (Method::PATCH, one()),
        (Method::DELETE, one()),
        (Method::POST, format!("{WEBHOOKS}/1/test")),
        (Method::POST, format!("{WEBHOOKS}/1/rotate-secret")),
        (Method::GET, format!("{WEBHOOKS}/1/deliveries")),
        (Method::POST, redeliver),
    ] {
        let nobody = shop.gateway.request(method.clone(), &target).send().await.expect("an answer");
        check_problem(nobody, 401, "unauthenticated").await;
        for role in ["customer", "staff"] {
            let refused = shop.request_as(role, method.clone(), &target).send().await.expect("an answer");
            check_problem(refused, 403, "forbidden").await;
        }
    }
    assert_eq!(scripted.asked(), Vec::<String>::new());
}

#[tokio::test]
async fn an_endpoint_is_read_with_its_version() {
    let (shop, _scripted, _serving) = open().await;
    let expected = json!({
        "id": 1,
        "url": "https://hooks.example.com/in",
        "events": ["product.*"],
        "is_active": true,
        "consecutive_failures": 2,
        "disabled_reason": null,
        "version": 3,
        "created_at": "2025-10-09T08:53:20.005Z",
    });
    assert_eq!(data(get(&shop, WEBHOOKS).await, 200).await, json!({ "endpoints": [expected] }));
    let answer = get(&shop, &one()).await;
    assert_eq!(header(&answer, "etag"), "\"wh-1-v3\"");
    assert_eq!(data(answer, 200).await, json!({ "endpoint": expected }));
    let known = shop.request_as("admin", Method::GET, &one()).header("if-none-match", "\"wh-1-v3\"");
    assert_eq!(known.send().await.expect("an answer").status(), 304);

    check_problem(get(&shop, &format!("{WEBHOOKS}/2")).await, 404, "not_found").await;
    check_problem(get(&shop, &format!("{WEBHOOKS}/0")).await, 400, "invalid_parameter").await;
    check_problem(get(&shop, &format!("{WEBHOOKS}?page=1")).await, 400, "invalid_parameter").await;
}

#[tokio::test]
async fn a_new_endpoint_shows_its_secret() {
    let (shop, scripted, _serving) = open().await;
    let body = json!({ "url": "https://hooks.example.com/new", "events": ["*"] });
    let made = post(&shop, WEBHOOKS, Some(body)).await;
    assert_eq!(
        (header(&made, "etag"), header(&made, "location")),
        ("\"wh-2-v1\"", "/api/v1/admin/webhooks/2")
    );
    let made = data(made, 201).await;
    assert_eq!((&made["secret"], &made["endpoint"]["events"]), (&json!(SECRET), &json!(["*"])));

    let asked = scripted.asked().len();
    for (body, pointer, code) in [
        (json!({ "events": ["*"] }), "/url", "required"),
        (json!({ "url": "https://a.example/" }), "/events", "required"),
        (json!({ "url": "https://a.example/", "events": [] }), "/events", "min"),
        (json!({ "url": "https://a.example/", "events": vec!["*"; 51] }), "/events", "max"),
        (json!({ "url": "https://a.example/", "events": "*" }), "/events", "type"),
        (json!({ "url": "https://a.example/", "events": ["*"], "secret": "x" }), "/secret", "unknown"),
        (json!({ "url": "x".repeat(2049), "events": ["*"] }), "/url", "max"),
        (json!([]), "", "type"),
    ] {
        let problem = check_problem(post(&shop, WEBHOOKS, Some(body)).await, 422, "validation_failed").await;
        let error = &problem["errors"][0];
        assert_eq!((&error["pointer"], &error["code"]), (&json!(pointer), &json!(code)));
    }
    assert_eq!(scripted.asked().len(), asked, "none of these reached the service");

    let inside = json!({ "url": "https://10.0.0.1/", "events": ["*"] });
    let problem = check_problem(post(&shop, WEBHOOKS, Some(inside)).await, 422, "validation_failed").await;
    assert_eq!(problem["errors"][0]["pointer"], "/url");
}

#[tokio::test]
async fn a_change_names_the_version_it_was_made_for() {
    let (shop, scripted, _serving) = open().await;
    let off = || Some(json!({ "is_active": false }));
    let patch = async |tag: Option<&str>, body| ask(&shop, Method::PATCH, &one(), tag, body).await;
    check_problem(patch(None, off()).await, 428, "precondition_required").await;
    for stale in ["\"wh-1-v2\"", "\"wh-2-v3\"", "W/\"wh-1-v3\"", "\"p-1-v3\"", "nonsense"] {
        let problem = check_problem(patch(Some(stale), off()).await, 412, "precondition_failed").await;
        assert_eq!(problem["current"]["endpoint"]["version"], 3, "{stale}: {problem}");
    }
    check_problem(
        patch(Some("\"wh-1-v3\""), Some(json!({ "is_active": null }))).await,
        422,
        "validation_failed",
    )
    .await;
    let unchanged = data(get(&shop, &one()).await, 200).await;
    assert_eq!(unchanged["endpoint"]["version"], 3);

    let changed = patch(Some("\"wh-1-v3\""), off()).await;
    assert_eq!(header(&changed, "etag"), "\"wh-1-v4\"");
    assert_eq!(data(changed, 200).await["endpoint"]["is_active"], false);
    check_problem(patch(Some("\"wh-1-v3\""), off()).await, 412, "precondition_failed").await;
    assert_eq!(data(patch(Some("*"), off()).await, 200).await["endpoint"]["version"], 5);

    let delete = async |tag: Option<&str>| ask(&shop, Method::DELETE, &one(), tag, None).await;
    check_problem(delete(None).await, 428, "precondition_required").await;
    check_problem(delete(Some("\"wh-1-v4\"")).await, 412, "precondition_failed").await;
    let deleted = delete(Some("\"wh-1-v5\"")).await;
    assert_eq!((deleted.status().as_u16(), header(&deleted, "cache-control")), (204, "no-store"));
    check_problem(delete(Some("\"wh-1-v5\"")).await, 404, "not_found").await;
    check_problem(get(&shop, &one()).await, 404, "not_found").await;
    assert!(scripted.asked().iter().any(|asked| asked.contains("expected_version: 5")));
}

#[tokio::test]
async fn an_endpoint_is_tried_and_its_secret_replaced() {
    let (shop, _scripted, _serving) = open().await;
    let tried = data(post(&shop, &format!("{WEBHOOKS}/1/test"), None).await, 200).await;
    assert_eq!(tried["delivery"]["status"], "dead");
    let rotated = data(post(&shop, &format!("{WEBHOOKS}/1/rotate-secret"), None).await, 200).await;
    assert_eq!(rotated, json!({ "secret": SECRET, "previous_until": "2025-10-09T08:53:20.005Z" }));
    for action in ["test", "rotate-secret"] {
        let nowhere = post(&shop, &format!("{WEBHOOKS}/9/{action}"), None).await;
        check_problem(nowhere, 404, "not_found").await;
        let with_body = post(&shop, &format!("{WEBHOOKS}/1/{action}"), Some(json!({}))).await;
        check_problem(with_body, 415, "unsupported_media_type").await;
    }
}

#[tokio::test]
async fn a_log_is_paged_and_a_delivery_sent_again() {
    let (shop, scripted, _serving) = open().await;
    let log = |query: &str| format!("{WEBHOOKS}/1/deliveries{query}");
    let page = data(get(&shop, &log("?status=failed&page=2&per_page=20")).await, 200).await;
    let pagination = json!({
        "page": 2, "per_page": 20, "total": 41, "total_exact": true, "pages": 3, "next_cursor": null, "prev_cursor": null
    });
    assert_eq!(page["pagination"], pagination);
    let expected = json!({
        "id": DELIVERY,
        "endpoint_id": 1,
        "event_id": DELIVERY,
        "type": "product.updated",
        "status": "failed",
        "attempts": 1,
        "next_attempt_at": "2025-10-09T08:53:20.005Z",
        "last_status": 500,
        "last_error": "oops",
        "last_latency_ms": 12,
        "created_at": "2025-10-09T08:53:20.005Z",
        "delivered_at": null,
    });
    assert_eq!(page["deliveries"], json!([expected]));
    let asked = scripted.asked().pop().expect("asked");
    assert!(asked.contains(r#"page: 2, limit: 20, status: Some("failed")"#), "{asked}");
    for query in ["?status=lost", "?page=0", "?per_page=101", "?page=1&page=2", "?cursor=x"] {
        check_problem(get(&shop, &log(query)).await, 400, "invalid_parameter").await;
    }

    let again = |id: &str| format!("{WEBHOOKS}/deliveries/{id}/redeliver");
    let due = data(post(&shop, &again(DELIVERY), None).await, 202).await;
    assert_eq!(due["delivery"]["status"], "pending");
    let unknown = "0198c5a0-0000-7000-8000-000000000002";
    let missing = check_problem(post(&shop, &again(unknown), None).await, 404, "not_found").await;
    let nonsense = check_problem(post(&shop, &again("1"), None).await, 404, "not_found").await;
    assert_eq!(missing["detail"], nonsense["detail"]);
}
