//! Notifications by HTTP, in front of a service in memory.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use gateway::Config;
use proto::events::v1::PurgeReceipt;
use proto::notifications::v1::notifications_service_server::{
    NotificationsService, NotificationsServiceServer,
};
use proto::notifications::v1::*;
use reqwest::{Method, Response};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::task::AbortOnDropHandle;
use tonic::{Request as Grpc, Response as Reply, Status};
use uuid::Uuid;

use crate::shop::{Shop, check_problem, header};

/// The user behind every token of [`Shop::request_as`].
const USER: i64 = 7;
const FEED: &str = "/api/notifications";
const PREFERENCES: &str = "/api/v1/notifications/preferences";

/// One user's notifications; remembers what it was asked.
#[derive(Default)]
struct Scripted {
    feed: Mutex<Vec<Notification>>,
    wishes: Mutex<Vec<Preference>>,
    lists: AtomicU64,
    asked: Mutex<Vec<ListNotificationsRequest>>,
}

impl Scripted {
    async fn start() -> (Arc<Self>, SocketAddr, AbortOnDropHandle<()>) {
        let feed = (1..=3).map(notification).collect();
        let wish = Preference { kind: "report.received".to_owned(), in_app: true, email: true };
        let scripted =
            Arc::new(Self { feed: Mutex::new(feed), wishes: Mutex::new(vec![wish]), ..Self::default() });
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let addr = listener.local_addr().expect("it is bound");
        let service = NotificationsServiceServer::from_arc(Arc::clone(&scripted));
        let serving = tokio::spawn(async move {
            tonic::transport::Server::builder()
                .add_service(service)
                .serve_with_incoming(TcpListenerStream::new(listener))
                .await
                .expect("it serves");
        });
        (scripted, addr, AbortOnDropHandle::new(serving))
    }

    fn last_asked(&self) -> ListNotificationsRequest {
        *self.asked.lock().expect("no panic").last().expect("it was asked")
    }
}

fn notification(id: i64) -> Notification {
    Notification {
        id,
        seq: id.unsigned_abs(),
        kind: "report.received".to_owned(),
        title: format!("Laudo {id}"),
        body: "Notas".to_owned(),
        link: Some(format!("/reports/{id}")),
        read_at: None,
        created_at: Some(at(1_760_000_000)),
    }
}

fn at(seconds: i64) -> prost_types::Timestamp {
    prost_types::Timestamp { seconds, nanos: 5_000_000 }
}

fn receipt(tag: String) -> Vec<PurgeReceipt> {
    vec![PurgeReceipt { event_id: Uuid::now_v7().to_string(), tags: vec![tag], commit_lsn: 0 }]
}

fn stale() -> Vec<PurgeReceipt> {
    receipt(format!("notifications:user:{USER}"))
}

fn missing() -> Status {
    Status::not_found("notification_not_found: no such notification")
}

#[tonic::async_trait]
impl NotificationsService for Scripted {
    async fn list_notifications(
        &self,
        request: Grpc<ListNotificationsRequest>,
    ) -> Result<Reply<ListNotificationsResponse>, Status> {
        assert!(request.metadata().get("authorization").is_some(), "the user is asserted");
        self.lists.fetch_add(1, Ordering::SeqCst);
        self.asked.lock().expect("no panic").push(*request.get_ref());
        let mut notifications = self.feed.lock().expect("no panic").clone();
        notifications.reverse();
        let (total, unread) =
            (notifications.len() as u64, notifications.iter().filter(|n| n.read_at.is_none()).count() as u64);
        Ok(Reply::new(ListNotificationsResponse { notifications, total, unread }))
    }

    async fn mark_notification(
        &self,
        request: Grpc<MarkNotificationRequest>,
    ) -> Result<Reply<MarkNotificationResponse>, Status> {
        let MarkNotificationRequest { id, read } = request.into_inner();
        let mut feed = self.feed.lock().expect("no panic");
        let found = feed.iter_mut().find(|notification| notification.id == id).ok_or_else(missing)?;
        found.read_at = read.then(|| at(1_760_000_060));
        Ok(Reply::new(MarkNotificationResponse { notification: Some(found.clone()), receipts: stale() }))
    }

    async fn mark_all_read(
        &self,
        _request: Grpc<MarkAllReadRequest>,
    ) -> Result<Reply<MarkAllReadResponse>, Status> {
        let mut feed = self.feed.lock().expect("no panic");
        let mut marked = 0;
        for notification in feed.iter_mut().filter(|notification| notification.read_at.is_none()) {
            notification.read_at = Some(at(1_760_000_060));
            marked += 1;
        }
        Ok(Reply::new(MarkAllReadResponse { marked, receipts: stale() }))
    }

    async fn delete_notification(
        &self,
        request: Grpc<DeleteNotificationRequest>,
    ) -> Result<Reply<DeleteNotificationResponse>, Status> {
        let id = request.into_inner().id;
        let mut feed = self.feed.lock().expect("no panic");
        let found = feed.iter().position(|notification| notification.id == id).ok_or_else(missing)?;
        feed.remove(found);
        Ok(Reply::new(DeleteNotificationResponse { receipts: stale() }))
    }

    async fn get_preferences(
        &self,
        _request: Grpc<GetPreferencesRequest>,
    ) -> Result<Reply<GetPreferencesResponse>, Status> {
        let preferences = self.wishes.lock().expect("no panic").clone();
        Ok(Reply::new(GetPreferencesResponse { preferences }))
    }

    async fn update_preferences(
        &self,
        request: Grpc<UpdatePreferencesRequest>,
    ) -> Result<Reply<UpdatePreferencesResponse>, Status> {
        let preferences = request.into_inner().preferences;
        if preferences[0].kind == "nada" {
            let mut refusal = Status::invalid_argument("preferences[0].kind: must be another");
            refusal.metadata_mut().insert("mc-reason", "unknown_kind".parse().expect("ASCII"));
            refusal.metadata_mut().insert("mc-field", "preferences[0].kind".parse().expect("ASCII"));
            return Err(refusal);
        }
        self.wishes.lock().expect("no panic").clone_from(&preferences);
        let receipts = receipt(format!("notifprefs:user:{USER}"));
        Ok(Reply::new(UpdatePreferencesResponse { preferences, receipts }))
    }

    type FollowNotificationsStream = futures_util::stream::Empty<Result<FollowNotificationsResponse, Status>>;

    async fn follow_notifications(
        &self,
        _request: Grpc<FollowNotificationsRequest>,
    ) -> Result<Reply<Self::FollowNotificationsStream>, Status> {
        Err(Status::unimplemented("not here"))
    }

    async fn enqueue_email(
        &self,
        _request: Grpc<EnqueueEmailRequest>,
    ) -> Result<Reply<EnqueueEmailResponse>, Status> {
        Err(Status::unimplemented("not here"))
    }

    async fn export_user_data(
        &self,
        _request: Grpc<ExportUserDataRequest>,
    ) -> Result<Reply<ExportUserDataResponse>, Status> {
        Err(Status::unimplemented("not here"))
    }
}

/// A shop with such a service behind it.
async fn open() -> (Shop, Arc<Scripted>, AbortOnDropHandle<()>) {
    let (scripted, addr, serving) = Scripted::start().await;
    let shop =
        Shop::open_with(|config| Config { notifications_url: format!("http://{addr}"), ..config }).await;
    (shop, scripted, serving)
}

async fn send(shop: &Shop, method: Method, target: &str, body: Option<Value>) -> Response {
    let request = shop.request_as("customer", method, target);
    let request = match body {
        Some(body) => request.json(&body),
        None => request,
    };
    request.send().await.expect("the gateway answers")
}

async fn get(shop: &Shop, target: &str) -> Response {
    send(shop, Method::GET, target, None).await
}

#[tokio::test]
async fn both_paths_answer_from_one_entry() {
    let (shop, scripted, _serving) = open().await;
    let bare = get(&shop, FEED).await;
    assert_eq!((bare.status().as_u16(), header(&bare, "x-cache")), (200, "MISS"));
    for (name, value) in [
        ("x-total-count", "3"),
        ("x-unread-count", "3"),
        ("x-page", "1"),
        ("x-limit", "20"),
        ("cache-control", "private, no-store"),
    ] {
        assert_eq!(header(&bare, name), value, "{name}");
    }
    let rows: Value = bare.json().await.expect("JSON");
    let expected = json!({
        "id": 3,
        "kind": "report.received",
        "title": "Laudo 3",
        "body": "Notas",
        "link": "/reports/3",
        "readAt": null,
        "createdAt": "2025-10-09T08:53:20.005Z",
    });
    assert_eq!(rows[0], expected);

    let enveloped = get(&shop, "/api/v1/notifications").await;
    assert_eq!(header(&enveloped, "x-cache"), "L1");
    let enveloped: Value = enveloped.json().await.expect("JSON");
    assert_eq!(enveloped["data"]["notifications"], rows);
    assert_eq!(enveloped["data"]["pagination"]["total"], 3);
    assert_eq!(enveloped["data"]["unread"], 3);
    assert_eq!(scripted.lists.load(Ordering::SeqCst), 1);

    get(&shop, "/api/notifications?page=2&limit=5&unread=true").await;
    let asked = scripted.last_asked();
    assert_eq!((asked.page, asked.limit, asked.unread_only), (2, 5, true));
}

#[tokio::test]
async fn who_changes_something_sees_the_change() {
    let (shop, _scripted, _serving) = open().await;
    let one = format!("{FEED}/2");
    let mut unread = 3;
    let changes = [
        (Method::PUT, one.clone(), Some(json!({ "read": true })), 200, 2),
        (Method::PUT, one.clone(), Some(json!({ "read": true })), 200, 2),
        (Method::PUT, one.clone(), Some(json!({ "read": false })), 200, 3),
        (Method::DELETE, one.clone(), None, 204, 2),
        (Method::POST, format!("{FEED}/read-all"), None, 200, 0),
    ];
    for (method, target, body, status, left) in changes {
        let before = get(&shop, FEED).await;
        assert_eq!(header(&before, "x-unread-count"), unread.to_string(), "{method} {target}");
        let changed = send(&shop, method.clone(), &target, body).await;
        assert_eq!(changed.status(), status, "{method} {target}");
        let token = header(&changed, "x-cache-token").to_owned();
        assert!(!token.is_empty());
        if method == Method::POST {
            assert_eq!(changed.json::<Value>().await.expect("JSON"), json!({ "marked": 2 }));
        }
        let after = shop.request_as("customer", Method::GET, FEED).header("x-cache-token", token);
        let after = after.send().await.expect("the gateway answers");
        assert_eq!(header(&after, "x-unread-count"), left.to_string(), "{method} {target}");
        unread = left;
    }
    check_problem(send(&shop, Method::DELETE, &one, None).await, 404, "not_found").await;
    check_problem(send(&shop, Method::PUT, &one, Some(json!({ "read": true }))).await, 404, "not_found")
        .await;
}

#[tokio::test]
async fn preferences_are_kept_until_they_change() {
    let (shop, _scripted, _serving) = open().await;
    let wish = |email| json!({ "kind": "report.received", "in_app": true, "email": email });
    let envelope = |wish| json!({ "data": { "preferences": [wish] } });
    for cached in ["MISS", "L1"] {
        let answer = get(&shop, PREFERENCES).await;
        assert_eq!(header(&answer, "x-cache"), cached);
        assert_eq!(answer.json::<Value>().await.expect("JSON"), envelope(wish(true)));
    }
    let body = json!({ "preferences": [wish(false)] });
    let changed = send(&shop, Method::PUT, PREFERENCES, Some(body)).await;
    assert_eq!(changed.status(), 200);
    let token = header(&changed, "x-cache-token").to_owned();
    assert_eq!(changed.json::<Value>().await.expect("JSON"), envelope(wish(false)));
    let after = shop.request_as("customer", Method::GET, PREFERENCES).header("x-cache-token", token);
    let after = after.send().await.expect("the gateway answers");
    assert_eq!(after.json::<Value>().await.expect("JSON"), envelope(wish(false)));
}

#[tokio::test]
async fn bodies_are_read_strictly() {
    let (shop, _scripted, _serving) = open().await;
    let one = format!("{FEED}/2");
    let wish = json!({ "kind": "report.received", "in_app": true, "email": true });
    for (target, body, pointer, code) in [
        (&*one, json!({}), "/read", "required"),
        (&*one, json!({ "read": 1 }), "/read", "type"),
        (&*one, json!({ "read": true, "seen": true }), "/seen", "unknown"),
        (PREFERENCES, json!({}), "/preferences", "required"),
        (PREFERENCES, json!({ "preferences": [] }), "/preferences", "min"),
        (
            PREFERENCES,
            json!({ "preferences": [{ "kind": "x", "in_app": true }] }),
            "/preferences/0/email",
            "required",
        ),
        (PREFERENCES, json!({ "preferences": vec![wish; 51] }), "/preferences", "max"),
        (
            PREFERENCES,
            json!({ "preferences": [{ "kind": "nada", "in_app": true, "email": true }] }),
            "/preferences/0/kind",
            "unknown_kind",
        ),
    ] {
        let refused = send(&shop, Method::PUT, target, Some(body.clone())).await;
        let problem = check_problem(refused, 422, "validation_failed").await;
        let error = &problem["errors"][0];
        assert_eq!((&error["pointer"], &error["code"]), (&json!(pointer), &json!(code)), "{body}");
    }
    for target in ["/api/notifications/0", "/api/notifications/x?", "/api/notifications/2?read=true"] {
        let refused = send(&shop, Method::PUT, target, Some(json!({ "read": true }))).await;
        check_problem(refused, 400, "invalid_parameter").await;
    }
    for target in ["?page=0", "?limit=101", "?unread=maybe", "?color=red"] {
        check_problem(get(&shop, &format!("{FEED}{target}")).await, 400, "invalid_parameter").await;
    }
    check_problem(get(&shop, &format!("{FEED}?page=1000&limit=100")).await, 400, "offset_too_deep").await;
}

#[tokio::test]
async fn nobody_has_no_notifications() {
    let (shop, scripted, _serving) = open().await;
    let one = format!("{FEED}/2");
    let read_all = format!("{FEED}/read-all");
    for (method, target) in [
        (Method::GET, FEED),
        (Method::GET, "/api/v1/notifications"),
        (Method::GET, PREFERENCES),
        (Method::PUT, PREFERENCES),
        (Method::PUT, &*one),
        (Method::DELETE, &*one),
        (Method::POST, &*read_all),
    ] {
        let request = shop.gateway.request(method, target).json(&json!({ "read": true }));
        check_problem(request.send().await.expect("the gateway answers"), 401, "unauthenticated").await;
    }
    assert_eq!(scripted.lists.load(Ordering::SeqCst), 0);
    assert!(scripted.feed.lock().expect("no panic").iter().all(|row| row.read_at.is_none()));
}
