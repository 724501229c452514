//! X1 to X8, X11, X13 and X74: whose things are whose.

use futures_util::future::join_all;
use gateway::routes::Route;
use reqwest::Method;
use serde_json::{Value, json};

use super::{World, refused};
use crate::{
    agenda,
    client::{Answer, Client},
};

/// Nobody has this id.
const MISSING: i64 = 987_654_321;

fn id(answer: &Answer) -> i64 {
    let json = answer.json();
    let id = json["id"].as_i64().or_else(|| json.pointer("/data/address/id").and_then(Value::as_i64));
    id.unwrap_or_else(|| panic!("{}", answer.text()))
}

fn address() -> Value {
    json!({ "recipient": "Ana", "line1": "Rua A, 1", "city": "São Paulo", "state": "SP", "postal_code": "01310100" })
}

/// The answer without what names the request and the id asked for.
fn blank(answer: &Answer, id: i64) -> String {
    let mut json = answer.json();
    json["request_id"] = Value::Null;
    json.to_string().replace(&format!("/{id}"), "/{id}")
}

pub(super) async fn x1(world: &World) {
    let (ana, bia) = (world.by(&world.ana), world.by(&world.bia));
    let event = id(&ana.write(Method::POST, "/api/events", None, &agenda::event("Secreto", None, 7)).await);
    let professional = json!({ "name": "Secreta", "specialty": "barista" });
    let professional = id(&ana.write(Method::POST, "/api/professionals", None, &professional).await);
    let to_staff = agenda::report(world.staff.id, "secreto");
    let report = id(&ana.write(Method::POST, "/api/reports", None, &to_staff).await);
    let home = id(&ana.write(Method::POST, "/api/v1/me/addresses", None, &address()).await);
    let cases = [
        (Method::GET, "/api/events/", event, Value::Null, "e"),
        (Method::PUT, "/api/events/", event, agenda::event("Meu", None, 8), "e"),
        (Method::DELETE, "/api/events/", event, Value::Null, "e"),
        (Method::GET, "/api/v1/agenda/events/", event, Value::Null, "e"),
        (Method::GET, "/api/professionals/", professional, Value::Null, "pr"),
        (
            Method::PUT,
            "/api/professionals/",
            professional,
            json!({ "name": "Minha", "specialty": "barista" }),
            "pr",
        ),
        (Method::DELETE, "/api/professionals/", professional, Value::Null, "pr"),
        (Method::GET, "/api/reports/", report, Value::Null, "r"),
        (Method::PUT, "/api/reports/", report, agenda::report_fields("meu"), "r"),
        (Method::DELETE, "/api/reports/", report, Value::Null, "r"),
        (Method::PATCH, "/api/v1/me/addresses/", home, json!({ "line1": "Rua B" }), "ad"),
        (Method::DELETE, "/api/v1/me/addresses/", home, Value::Null, "ad"),
    ];
    for (method, path, id, body, kind) in cases {
        let ask = async |id: i64| {
            let mut request = bia.request(method.clone(), &format!("{path}{id}"));
            if method != Method::GET {
                request = request.header("if-match", format!("\"{kind}-{id}-v1\""));
            }
            if !body.is_null() {
                request = request.json(&body);
            }
            Client::send(request).await
        };
        let (foreign, missing) = (ask(id).await, ask(MISSING).await);
        refused(&foreign, 404, "not_found");
        assert_eq!(blank(&foreign, id), blank(&missing, MISSING), "{method} {path}");
    }
    // Nothing happened to any of them.
    assert_eq!(ana.get(&format!("/api/events/{event}")).await.json()["title"], "Secreto");
    assert_eq!(ana.get(&format!("/api/professionals/{professional}")).await.json()["name"], "Secreta");
    // A notification of Ana's, by Bia.
    let told = json!({ "read": true });
    let to_ana = agenda::report(world.ana.id, "oi");
    assert_eq!(world.by(&world.staff).write(Method::POST, "/api/reports", None, &to_ana).await.status, 201);
    let notification =
        testkit::eventually(std::time::Duration::from_secs(15), "a notification", async || {
            ana.get("/api/notifications").await.json()[0]["id"].as_i64()
        })
        .await;
    let foreign = bia.write(Method::PUT, &format!("/api/notifications/{notification}"), None, &told).await;
    let missing = bia.write(Method::PUT, &format!("/api/notifications/{MISSING}"), None, &told).await;
    assert_eq!(blank(&foreign, notification), blank(&missing, MISSING));
}

pub(super) async fn x2(world: &World) {
    let (ana, bia) = (world.by(&world.ana), world.by(&world.bia));
    let mine = json!({ "name": "Da Ana", "specialty": "q_grader" });
    let professional = id(&ana.write(Method::POST, "/api/professionals", None, &mine).await);
    let event = id(&ana.write(Method::POST, "/api/events", None, &agenda::event("Da Ana", None, 9)).await);
    let before = bia.get("/api/events").await.header("x-total-count").to_owned();
    let with = |professional| agenda::event("Com a dela", Some(professional), 10);
    let foreign = bia.write(Method::POST, "/api/events", None, &with(professional)).await;
    let missing = bia.write(Method::POST, "/api/events", None, &with(MISSING)).await;
    assert_eq!(foreign.status, missing.status, "{}", foreign.text());
    assert!(foreign.status.is_client_error());
    assert_eq!(foreign.json()["errors"], missing.json()["errors"], "the same words for both");
    let mut report = agenda::report(world.staff.id, "com o evento dela");
    report["eventId"] = json!(event);
    let foreign = bia.write(Method::POST, "/api/reports", None, &report).await;
    report["eventId"] = json!(MISSING);
    let missing = bia.write(Method::POST, "/api/reports", None, &report).await;
    assert_eq!((foreign.status, &foreign.json()["errors"]), (missing.status, &missing.json()["errors"]));
    assert!(foreign.status.is_client_error(), "{}", foreign.text());
    assert_eq!(bia.get("/api/events").await.header("x-total-count"), before, "no partial success");
    // A position of somebody else's feed is a position of one's own, or none.
    let stream = bia.request(Method::GET, "/api/v1/notifications/stream").header("last-event-id", "0");
    let mut stream = stream.send().await.unwrap();
    assert_eq!(stream.status(), 200);
    let first = stream.chunk().await.unwrap().unwrap();
    assert!(!String::from_utf8_lossy(&first).contains("oi"));
}

pub(super) async fn x3(world: &World) {
    let page = world.nobody().get("/api/v1/products?limit=5").await.json();
    let cursor = page["data"]["pagination"]["next_cursor"].as_str().unwrap().to_owned();
    // A cursor is bound to what it was made for: the public list has no owner, its filters are.
    refused(
        &world.nobody().get(&format!("/api/v1/products?limit=5&sort=price&cursor={cursor}")).await,
        400,
        "invalid_parameter",
    );
    for position in [0, cursor.len() / 2, cursor.len() - 2] {
        let mut edited = cursor.clone().into_bytes();
        edited[position] = if edited[position] == b'A' { b'B' } else { b'A' };
        let edited = String::from_utf8(edited).unwrap();
        refused(
            &world.nobody().get(&format!("/api/v1/products?limit=5&cursor={edited}")).await,
            400,
            "invalid_parameter",
        );
    }
}

/// The staff's routes, with every method each has.
fn admin_routes() -> Vec<(Method, String)> {
    let templates = Route::ALL.into_iter().map(Route::spec);
    let admin = templates.filter(|spec| spec.template.contains("/admin/"));
    admin
        .flat_map(|spec| {
            let path = spec.template.replace("{id}", "1");
            spec.methods.iter().map(move |method| (method.parse().unwrap(), path.clone()))
        })
        .collect()
}

pub(super) async fn x4(world: &World) {
    let (customer, nobody) = (world.by(&world.ana), world.nobody());
    let routes = admin_routes();
    assert!(routes.len() >= 15, "{routes:?}");
    for (method, path) in routes {
        let ask = async |client: &Client| {
            let request = client.request(method.clone(), &path).header("if-match", "\"x-1-v1\"");
            let request = if method == Method::GET { request } else { request.json(&json!({})) };
            Client::send(request).await
        };
        refused(&ask(&customer).await, 403, "forbidden");
        refused(&ask(&nobody).await, 401, "unauthenticated");
    }
}

pub(super) async fn x5(world: &World) {
    let staff = world.by(&world.staff);
    for path in [
        "/api/v1/admin/users",
        "/api/v1/admin/users/1",
        "/api/v1/admin/webhooks",
        "/api/admin/performance-metrics",
    ] {
        refused(&staff.get(path).await, 403, "forbidden");
    }
    assert_eq!(staff.get("/api/v1/admin/products").await.status, 200, "what is theirs is theirs");
}

pub(super) async fn x6(world: &World) {
    let ana = world.by(&world.ana);
    let event = id(&ana.write(Method::POST, "/api/events", None, &agenda::event("Fica", None, 11)).await);
    let path = format!("/api/events/{event}");
    for name in ["x-http-method-override", "x-http-method", "x-method-override"] {
        let request = ana.request(Method::GET, &path).header(name, "DELETE").header("if-match", "\"e-1-v1\"");
        assert_eq!(Client::send(request).await.status, 200);
    }
    refused(&ana.get(&format!("{path}?_method=DELETE")).await, 400, "invalid_parameter");
    assert_eq!(ana.get(&path).await.json()["title"], "Fica");
}

pub(super) async fn x7(world: &World) {
    let ana = world.by(&world.ana);
    let event = agenda::event("Massa", None, 12);
    let created = ana.write(Method::POST, "/api/events", None, &event).await;
    let event_path = format!("/api/events/{}", id(&created));
    let home = id(&ana.write(Method::POST, "/api/v1/me/addresses", None, &address()).await);
    let version = ana.get("/api/v1/me").await.json()["data"]["user"]["version"].clone();
    let me_tag = format!("\"u-{}-v{version}\"", world.ana.id);
    let bodies = [
        (Method::POST, "/api/events".to_owned(), event.clone(), None),
        (Method::PUT, event_path.clone(), event, Some(format!("\"e-{}-v1\"", id(&created)))),
        (Method::POST, "/api/professionals".to_owned(), json!({ "name": "M", "specialty": "barista" }), None),
        (Method::POST, "/api/reports".to_owned(), agenda::report(world.bia.id, "m"), None),
        (Method::PATCH, "/api/v1/me".to_owned(), json!({ "name": "Ana" }), Some(me_tag)),
        (Method::POST, "/api/v1/me/addresses".to_owned(), address(), None),
        (Method::PATCH, format!("/api/v1/me/addresses/{home}"), json!({ "line1": "Rua C" }), None),
        (
            Method::POST,
            "/api/v1/auth/register".to_owned(),
            json!({ "email": "m@mestrescafe.dev", "password": "x", "name": "M" }),
            None,
        ),
        (
            Method::POST,
            "/api/v1/auth/login".to_owned(),
            json!({ "email": "m@mestrescafe.dev", "password": "x" }),
            None,
        ),
    ];
    for (method, path, body, tag) in bodies {
        for field in [
            "role",
            "id",
            "user_id",
            "userId",
            "version",
            "price",
            "paid_at",
            "total_amount",
            "email_verified",
        ] {
            let mut forged = body.clone();
            forged[field] = json!("admin");
            let answer = ana.write(method.clone(), &path, tag.as_deref(), &forged).await;
            refused(&answer, 422, "validation_failed");
            let pointers: Vec<_> =
                answer.json()["errors"].as_array().unwrap().iter().map(|e| e["pointer"].clone()).collect();
            assert!(pointers.contains(&json!(format!("/{field}"))), "{method} {path} {field}: {pointers:?}");
        }
    }
    assert_eq!(ana.get(&event_path).await.json()["version"], 1);
    assert_eq!(ana.get("/api/v1/me").await.json()["data"]["user"]["role"], "customer");
}

pub(super) async fn x8(world: &World) {
    const SECRETS: [&str; 10] = [
        "password_hash",
        "passwordHash",
        "failed_logins",
        "secret_enc",
        "guest_token",
        "argon2",
        "totp_secret",
        "token_sha256",
        "locked_reason",
        "used_by",
    ];
    let admin = world.by(&world.admin);
    let ana = world.by(&world.ana);
    let mut seen = 0;
    for (client, paths) in [
        (
            &ana,
            &[
                "/api/v1/me",
                "/api/v1/me/sessions",
                "/api/v1/me/addresses",
                "/api/events",
                "/api/notifications",
            ][..],
        ),
        (&admin, &["/api/v1/admin/users", "/api/v1/admin/webhooks", "/api/v1/me"]),
    ] {
        for path in paths {
            let answer = client.get(path).await;
            assert_eq!(answer.status, 200, "{path}: {}", answer.text());
            for secret in SECRETS {
                assert!(!answer.text().contains(secret), "{secret} in {path}");
            }
            seen += 1;
        }
    }
    let contract = world.nobody().get("/api/openapi.json").await.text();
    for secret in SECRETS {
        assert!(!contract.contains(&format!("\"{secret}\"")), "{secret} is part of the contract");
    }
    assert_eq!(seen, 8);
}

/// Every table of every service's database, with the service's own login and no identity.
pub(super) async fn x11(world: &World) {
    use sqlx::Connection as _;

    let (agenda, notifications) = world.shop.people_databases.as_ref().unwrap();
    let databases = [
        ("accounts", &world.shop.accounts_database),
        ("agenda", agenda),
        ("notifications", notifications),
        ("catalog", &world.shop.database),
    ];
    for (schema, database) in databases {
        let tables: Vec<String> =
            sqlx::query_scalar("SELECT tablename::text FROM pg_tables WHERE schemaname = $1")
                .bind(schema)
                .fetch_all(&mut database.admin().await)
                .await
                .unwrap();
        assert!(tables.len() > 4, "{schema}: {tables:?}");
        let mut login = sqlx::PgConnection::connect(&database.url).await.unwrap();
        for table in tables {
            for sql in [
                format!("SELECT * FROM {schema}.{table}"),
                format!("DELETE FROM {schema}.{table}"),
                format!("TRUNCATE {schema}.{table}"),
                format!("COPY {schema}.{table} TO STDOUT"),
            ] {
                let refused =
                    sqlx::query(sqlx::AssertSqlSafe(sql.clone())).execute(&mut login).await.unwrap_err();
                assert_eq!(
                    refused.as_database_error().and_then(|error| error.code()).as_deref(),
                    Some("42501"),
                    "{sql}: {refused}"
                );
            }
        }
    }
}

/// Numbers are ids of one's own or nothing; and whoever is anonymous is slowed down. The shop's own limits are off
/// for loopback, so this asks a gateway that believes the address in front of it.
pub(super) async fn x13(world: &World) {
    let bia = world.by(&world.bia);
    for number in 1..=500 {
        let answer = bia.get(&format!("/api/reports/{}", 10_000 + number)).await;
        refused(&answer, 404, "not_found");
    }
    let mut refused = 0;
    for number in 0..60 {
        let request = world.nobody().request(Method::GET, &format!("/api/v1/products/{}", 500_000 + number));
        let answer = Client::send(request.header("x-forwarded-for", "203.0.113.13")).await;
        refused += u32::from(answer.status == 429);
    }
    assert!(refused > 0, "nobody was slowed down");
}

pub(super) async fn x74(world: &World) {
    let ana = world.by(&world.ana);
    let professional = json!({ "name": "Disputada", "specialty": "mestre_de_torra" });
    let professional = id(&ana.write(Method::POST, "/api/professionals", None, &professional).await);
    let body = agenda::event("Uma vaga", Some(professional), 21);
    let answers = join_all((0..64).map(|number| {
        let client = world.shop.client(number % 2).with_bearer(world.ana.token.clone());
        let body = body.clone();
        async move { client.write(Method::POST, "/api/events", None, &body).await }
    }))
    .await;
    let made = answers.iter().filter(|answer| answer.status == 201).count();
    assert_eq!(made, 1);
    for answer in answers.iter().filter(|answer| answer.status != 201) {
        refused(answer, 409, "conflict");
    }
    let mut backwards = agenda::event("Ao contrário", None, 22);
    backwards["endsAt"] = json!("2030-01-22T13:00:00.000Z");
    refused(&ana.write(Method::POST, "/api/events", None, &backwards).await, 422, "validation_failed");
    let mut century = agenda::event("Um século", None, 22);
    century["startsAt"] = json!("2030-01-22T13:00:00.000Z");
    century["endsAt"] = json!("2130-01-22T13:00:00.000Z");
    refused(&ana.write(Method::POST, "/api/events", None, &century).await, 422, "validation_failed");
}
