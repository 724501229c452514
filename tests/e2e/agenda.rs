//! Every route of the agenda and of notifications: success, refusal, another user's, a stale version, twice.

use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    client::{Answer, Client},
    shop::Shop,
};

const ANA: i64 = 51;
const BIA: i64 = 52;

/// The body of an event on that day of January 2030.
pub(crate) fn event(title: &str, professional: Option<i64>, day: u32) -> Value {
    let mut body = json!({
        "title": title,
        "kind": "degustacao",
        "startsAt": format!("2030-01-{day:02}T14:00:00.000Z"),
        "endsAt": format!("2030-01-{day:02}T15:00:00.000Z"),
        "location": "Rua A, 1",
        "description": "Notas de caramelo",
    });
    if let Some(professional) = professional {
        body["professionalId"] = json!(professional);
    }
    body
}

/// The body of a report without its receiver.
pub(crate) fn report_fields(title: &str) -> Value {
    json!({
        "title": title,
        "scores": {
            "fragrance": 8.5, "flavor": 8.0, "aftertaste": 7.5, "acidity": 8.0, "body": 8.0,
            "balance": 8.0, "uniformity": 10.0, "clean_cup": 10.0, "sweetness": 10.0, "overall": 8.5,
        },
        "notes": "Doce, com final longo",
    })
}

/// The body of a report to somebody.
pub(crate) fn report(receiver: i64, title: &str) -> Value {
    let mut body = report_fields(title);
    body["receiverId"] = json!(receiver);
    body
}

/// The entity tag by which a versioned resource is changed: what its own page says, as its kind writes it.
pub(crate) async fn version_tag(client: &Client, path: &str) -> String {
    let answer = client.get(path).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    if path.starts_with("/api/v1/admin/") {
        return answer.header("etag").to_owned();
    }
    let kind = match path.split('/').nth(2) {
        Some("events") => "e",
        Some("professionals") => "pr",
        Some("reports") => "r",
        other => panic!("{other:?} has no versions"),
    };
    let json = answer.json();
    format!("\"{kind}-{}-v{}\"", json["id"], json["version"])
}

/// The same problem but for the id in its path, byte for byte.
#[track_caller]
fn same_problem(foreign: &Answer, missing: &Answer, foreign_id: i64, missing_id: i64) {
    assert_eq!(foreign.status, 404, "{}", foreign.text());
    let blank = |answer: &Answer, id: i64| {
        let mut json = answer.json();
        json["request_id"] = Value::Null;
        json.to_string().replace(&format!("/{id}"), "/{id}")
    };
    assert_eq!(blank(foreign, foreign_id), blank(missing, missing_id));
    let names = |answer: &Answer| {
        let mut names: Vec<String> = answer.headers.keys().map(ToString::to_string).collect();
        names.sort();
        names
    };
    assert_eq!(names(foreign), names(missing));
}

#[track_caller]
fn code(answer: &Answer, status: u16, code: &str) {
    assert_eq!(answer.status, status, "{}", answer.text());
    assert_eq!(answer.json()["code"], code, "{}", answer.text());
}

/// A versioned resource of the agenda.
struct Resource {
    path: &'static str,
    /// Its name in the enveloped form: of many, of one.
    names: (&'static str, &'static str),
    create: fn() -> Value,
    edited: fn() -> Value,
    tag: &'static str,
}

const RESOURCES: [Resource; 3] = [
    Resource {
        path: "/api/events",
        names: ("events", "event"),
        create: || event("Cupping", None, 3),
        edited: || event("Cupping adiado", None, 4),
        tag: "e",
    },
    Resource {
        path: "/api/professionals",
        names: ("professionals", "professional"),
        create: || json!({ "name": "Caio", "specialty": "barista" }),
        edited: || json!({ "name": "Caio", "specialty": "instrutor", "bio": "Trinta anos de bar" }),
        tag: "pr",
    },
    Resource {
        path: "/api/reports",
        names: ("reports", "report"),
        create: || report(ANA + 1_000, "Catuaí"),
        edited: || report_fields("Catuaí amarelo"),
        tag: "r",
    },
];

#[tokio::test(flavor = "multi_thread")]
async fn each_resource_is_its_owners_alone_and_changes_by_version() {
    let shop = Shop::open_with_everybody().await;
    let ana = shop.client(0).with_bearer(shop.customer(ANA));
    let bia = shop.client(1).with_bearer(shop.customer(BIA));
    let nobody = shop.client(0);
    for Resource { path, names: (many, one), create, edited, tag } in &RESOURCES {
        // Nobody.
        code(&nobody.get(path).await, 401, "unauthenticated");
        code(&nobody.write(Method::POST, path, None, &create()).await, 401, "unauthenticated");

        // Success.
        let made = ana.write(Method::POST, path, None, &create()).await;
        assert_eq!(made.status, 201, "{path}: {}", made.text());
        let id = made.json()["id"].as_i64().unwrap();
        let here = format!("{path}/{id}");
        assert_eq!(made.header("location"), here);
        let token = made.header("x-cache-token").to_owned();
        let reader = shop.client(1).with_bearer(shop.customer(ANA)).with_cache_token(&token);
        let list = reader.get(path).await;
        assert_eq!(list.json().as_array().expect("a bare array").len(), 1, "{}", list.text());
        assert_eq!(list.header("x-total-count"), "1");
        assert_eq!((list.header("x-page"), list.header("x-limit")), ("1", "20"));
        assert_eq!(list.header("cache-control"), "private, no-store");
        let enveloped = reader.get(&path.replace("/api/", "/api/v1/agenda/")).await.json();
        assert_eq!(enveloped["data"][many], list.json(), "the same entries");
        assert_eq!(enveloped["data"]["pagination"]["total"], 1);
        let single = reader.get(&here).await;
        assert_eq!(single.json()["id"], id);
        let wrapped = reader.get(&here.replace("/api/", "/api/v1/agenda/")).await.json();
        assert_eq!(wrapped["data"][one], single.json());

        // Refusal: an unknown field, an owner of one's own choice, a bad id, a bad page.
        for field in ["id", "userId", "user_id", "version", "role", "senderId", "createdAt"] {
            let mut body = create();
            body[field] = json!(1);
            let refused = ana.write(Method::POST, path, None, &body).await;
            code(&refused, 422, "validation_failed");
            assert_eq!(refused.json()["errors"][0]["pointer"], format!("/{field}"));
        }
        code(&ana.get(&format!("{path}/0")).await, 400, "invalid_parameter");
        code(&ana.get(&format!("{path}?limit=101")).await, 400, "invalid_parameter");
        code(&ana.get(&format!("{path}?page=101&limit=100")).await, 400, "offset_too_deep");
        code(&ana.get(&format!("{path}?user_id=1")).await, 400, "invalid_parameter");

        // Another user's is a missing one.
        let missing = format!("{path}/987654321");
        same_problem(&bia.get(&here).await, &bia.get(&missing).await, id, 987_654_321);
        let version = format!("\"{tag}-{id}-v1\"");
        let foreign = bia.write(Method::PUT, &here, Some(&version), &edited()).await;
        let absent = bia.write(Method::PUT, &missing, Some(&version), &edited()).await;
        same_problem(&foreign, &absent, id, 987_654_321);
        let foreign = Client::send(bia.request(Method::DELETE, &here).header("if-match", &version)).await;
        let absent = Client::send(bia.request(Method::DELETE, &missing).header("if-match", &version)).await;
        same_problem(&foreign, &absent, id, 987_654_321);
        assert_eq!(bia.get(path).await.json(), json!([]));

        // Versions: none named, a stale one, the current one, and the same change twice.
        code(&ana.write(Method::PUT, &here, None, &edited()).await, 428, "precondition_required");
        let edit = ana.write(Method::PUT, &here, Some(&version), &edited()).await;
        assert_eq!(edit.status, 200, "{}", edit.text());
        assert_eq!(edit.json()["version"], 2);
        let again = ana.write(Method::PUT, &here, Some(&version), &edited()).await;
        code(&again, 412, "precondition_failed");
        assert_eq!(again.header("etag"), format!("\"{tag}-{id}-v2\""));

        let gone =
            |version: String| Client::send(ana.request(Method::DELETE, &here).header("if-match", version));
        code(&Client::send(ana.request(Method::DELETE, &here)).await, 428, "precondition_required");
        code(&gone(version.clone()).await, 412, "precondition_failed");
        let deleted = gone(format!("\"{tag}-{id}-v2\"")).await;
        assert_eq!(deleted.status, 204, "{}", deleted.text());
        code(&gone(format!("\"{tag}-{id}-v2\"")).await, 404, "not_found");
        let reader = reader.with_cache_token(deleted.header("x-cache-token"));
        code(&reader.get(&here).await, 404, "not_found");
        assert_eq!(reader.get(path).await.json(), json!([]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_is_seen_by_both_sides_and_changed_by_its_sender() {
    let shop = Shop::open_with_everybody().await;
    let ana = shop.client(0).with_bearer(shop.customer(ANA));
    let bia = shop.client(1).with_bearer(shop.customer(BIA));
    // What both have in the cache before.
    assert_eq!(bia.get("/api/reports?role=receiver").await.json(), json!([]));
    let sent = ana.write(Method::POST, "/api/reports", None, &report(BIA, "Bourbon")).await;
    assert_eq!(sent.status, 201, "{}", sent.text());
    let (id, total) = (sent.json()["id"].clone(), sent.json()["totalScore"].clone());
    assert_eq!(total, json!(86.5));
    let here = format!("/api/reports/{id}");

    let bia_now = bia.clone().with_cache_token(sent.header("x-cache-token"));
    let received = bia_now.get("/api/reports?role=receiver").await.json();
    assert_eq!((&received[0]["id"], &received[0]["role"]), (&id, &json!("receiver")));
    assert_eq!(ana.get("/api/reports?role=sender").await.json()[0]["role"], "sender");
    assert_eq!(ana.get("/api/reports?role=receiver").await.json(), json!([]));
    assert_eq!(bia_now.get(&here).await.json()["senderId"], ANA);

    let version = format!("\"r-{id}-v1\"");
    code(&bia.write(Method::PUT, &here, Some(&version), &report_fields("meu")).await, 403, "forbidden");
    let deleted = Client::send(bia.request(Method::DELETE, &here).header("if-match", &version)).await;
    code(&deleted, 403, "forbidden");
    // To oneself, and with a score that is none.
    let mut odd = report(BIA, "Catuaí");
    odd["scores"]["flavor"] = json!(10.5);
    code(&ana.write(Method::POST, "/api/reports", None, &odd).await, 422, "validation_failed");
    code(&ana.write(Method::POST, "/api/reports", None, &report(ANA, "eu")).await, 422, "validation_failed");

    // The receiver is told, once.
    let told = testkit::eventually(std::time::Duration::from_secs(15), "the notification", async || {
        let all = bia.get("/api/notifications").await;
        (all.header("x-unread-count") == "1").then(|| all.json())
    })
    .await;
    assert_eq!(told[0]["kind"], "report.received");
    assert_eq!(ana.get("/api/notifications").await.json(), json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn notifications_are_read_and_deleted_once_and_by_their_owner() {
    let shop = Shop::open_with_everybody().await;
    let ana = shop.client(0).with_bearer(shop.customer(ANA));
    let bia = shop.client(1).with_bearer(shop.customer(BIA));
    for title in ["um", "dois", "três"] {
        assert_eq!(ana.write(Method::POST, "/api/reports", None, &report(BIA, title)).await.status, 201);
    }
    testkit::eventually(std::time::Duration::from_secs(15), "three notifications", async || {
        (bia.get("/api/notifications").await.header("x-unread-count") == "3").then_some(())
    })
    .await;
    let all = bia.get("/api/notifications").await.json();
    let id = all[0]["id"].as_i64().unwrap();
    let here = format!("/api/notifications/{id}");
    let missing = "/api/notifications/987654321";

    code(&shop.client(0).get("/api/notifications").await, 401, "unauthenticated");
    let read = json!({ "read": true });
    let foreign = ana.write(Method::PUT, &here, None, &read).await;
    let absent = ana.write(Method::PUT, missing, None, &read).await;
    same_problem(&foreign, &absent, id, 987_654_321);
    let foreign = Client::send(ana.request(Method::DELETE, &here)).await;
    let absent = Client::send(ana.request(Method::DELETE, missing)).await;
    same_problem(&foreign, &absent, id, 987_654_321);
    code(&bia.write(Method::PUT, &here, None, &json!({ "read": 1 })).await, 422, "validation_failed");

    for _ in 0..2 {
        let marked = bia.write(Method::PUT, &here, None, &read).await;
        assert_eq!(marked.status, 200, "{}", marked.text());
        assert!(marked.json()["readAt"].is_string());
        let now = bia.get("/api/notifications").await;
        assert_eq!(now.header("x-unread-count"), "2", "twice is once");
    }
    assert_eq!(bia.get("/api/notifications?unread=true").await.json().as_array().unwrap().len(), 2);
    let page = bia.get("/api/notifications?page=2&limit=2").await;
    assert_eq!(page.json().as_array().unwrap().len(), 1);
    assert!(page.header("link").contains("rel=\"first\""), "{}", page.header("link"));

    let none = json!({});
    assert!(bia.write(Method::POST, "/api/notifications/read-all", None, &none).await.status.is_success());
    assert_eq!(bia.get("/api/notifications").await.header("x-unread-count"), "0");
    assert_eq!(Client::send(bia.request(Method::DELETE, &here)).await.status, 204);
    code(&Client::send(bia.request(Method::DELETE, &here)).await, 404, "not_found");
    assert_eq!(bia.get("/api/notifications").await.json().as_array().unwrap().len(), 2);

    // How one wants to be told.
    let preferences = bia.get("/api/v1/notifications/preferences").await.json();
    let first = preferences["data"]["preferences"][0].clone();
    let unknown = json!({ "preferences": [{ "kind": "nada", "in_app": true, "email": true }] });
    let path = "/api/v1/notifications/preferences";
    code(&bia.write(Method::PUT, path, None, &unknown).await, 422, "validation_failed");
    let mut quiet = first.clone();
    quiet["email"] = json!(false);
    let changed = bia.write(Method::PUT, path, None, &json!({ "preferences": [quiet] })).await;
    assert_eq!(changed.status, 200, "{}", changed.text());
    let now = bia.get(path).await.json();
    assert!(now["data"]["preferences"].as_array().unwrap().contains(&quiet), "{now}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_calendar_is_what_calendars_read() {
    let shop = Shop::open_with_everybody().await;
    let ana = shop.client(0).with_bearer(shop.customer(ANA));
    let title = "Degustação; com vírgula, e muito mais texto do que uma linha de calendário pode levar";
    let made = ana.write(Method::POST, "/api/events", None, &event(title, None, 3)).await;
    assert_eq!(made.status, 201);
    let calendar = ana.get("/api/events.ics").await;
    assert!(calendar.header("content-type").starts_with("text/calendar"));
    let text = calendar.text();
    assert!(text.starts_with("BEGIN:VCALENDAR\r\n") && text.ends_with("END:VCALENDAR\r\n"), "{text}");
    assert!(text.split("\r\n").all(|line| line.len() <= 75 && !line.contains('\n')), "{text}");
    let unfolded = text.replace("\r\n ", "");
    assert!(unfolded.contains("DTSTART:20300103T140000Z"), "{unfolded}");
    assert!(unfolded.contains("SUMMARY:Degustação\\; com vírgula\\, e muito"), "{unfolded}");
    code(&shop.client(0).get("/api/events.ics").await, 401, "unauthenticated");
}

/// Every route of people and agendas is in the contract.
#[tokio::test(flavor = "multi_thread")]
async fn the_contract_names_every_route() {
    let shop = Shop::open().await;
    let contract = shop.client(0).get("/api/openapi.json").await.json();
    for route in gateway::routes::Route::ALL {
        let spec = route.spec();
        for method in spec.methods {
            let pointer = format!("/paths/{}", spec.template.replace('/', "~1"));
            let described =
                contract.pointer(&pointer).is_some_and(|path| !path[method.to_lowercase()].is_null());
            assert!(described, "{method} {} is not in the contract", spec.template);
        }
    }
}
