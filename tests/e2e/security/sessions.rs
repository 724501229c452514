//! X25 to X35: sessions that are renewed, ended and stolen, and what browsers are made to send.

use std::time::Duration;

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::json;

use super::{World, refused};
use crate::{
    accounts::{self, PASSWORD, refresh},
    agenda,
    client::{Answer, Client},
};

fn tokens(answer: &Answer) -> (String, String) {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let data = &answer.json()["data"];
    let text = |name: &str| data[name].as_str().unwrap().to_owned();
    (text("access_token"), text("refresh_token"))
}

/// As if so much time had passed since the token was used.
async fn age(world: &World, seconds: i32) {
    sqlx::query("UPDATE accounts.refresh_tokens SET used_at = used_at - make_interval(secs => $1) WHERE used_at IS NOT NULL")
        .bind(f64::from(seconds))
        .execute(&mut world.shop.accounts_database.admin().await)
        .await
        .unwrap();
}

pub(super) async fn x25(world: &World) {
    let session = world.new_session(&world.ana).await;
    let (_, successor) = tokens(&refresh(&world.nobody(), &session.refresh).await);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (_, again) = tokens(&refresh(&world.nobody(), &session.refresh).await);
    assert_eq!(again, successor, "one second later the same");
    let (access, _) = tokens(&refresh(&world.nobody(), &successor).await);
    let mails = accounts::mails(&world.shop, &world.ana.email).await.len();
    age(world, 60).await;
    refused(&refresh(&world.nobody(), &session.refresh).await, 401, "unauthenticated");
    refused(&refresh(&world.nobody(), &successor).await, 401, "unauthenticated");
    accounts::is_over(&world.shop, &access).await;
    testkit::eventually(Duration::from_secs(15), "a warning by mail", async || {
        (accounts::mails(&world.shop, &world.ana.email).await.len() > mails).then_some(())
    })
    .await;
    assert_eq!(world.by(&world.ana).get("/api/v1/me").await.status, 200, "other sessions go on");
}

pub(super) async fn x26(world: &World) {
    let session = world.new_session(&world.ana).await;
    let answers = join_all((0..20_usize).map(|number| {
        let (client, token) = (world.shop.client(number % 2), session.refresh.clone());
        async move { refresh(&client, &token).await }
    }))
    .await;
    let mut successors: Vec<String> =
        answers.iter().filter(|answer| answer.status == 200).map(|answer| tokens(answer).1).collect();
    assert!(!successors.is_empty());
    for answer in answers.iter().filter(|answer| answer.status != 200) {
        assert!(matches!(answer.status.as_u16(), 429 | 503), "{}", answer.text());
    }
    successors.sort();
    successors.dedup();
    assert_eq!(successors.len(), 1, "one successor");
}

pub(super) async fn x27(world: &World) {
    let session = world.new_session(&world.admin).await;
    let (here, there) = (world.by(&session), world.shop.client(1).with_bearer(session.token.clone()));
    assert_eq!(there.get("/api/v1/admin/users").await.status, 200);
    assert_eq!(here.write(Method::POST, "/api/v1/auth/logout", None, &json!({})).await.status, 204);
    // At once where it matters most, and within five seconds everywhere.
    refused(&there.get("/api/v1/admin/users").await, 401, "unauthenticated");
    accounts::is_over(&world.shop, &session.token).await;
    refused(&refresh(&world.nobody(), &session.refresh).await, 401, "unauthenticated");
}

pub(super) async fn x28(world: &World) {
    let carla = accounts::join(&world.shop, "carla").await;
    let (one, other) = (world.new_session(&carla).await, world.new_session(&carla).await);
    let new = "uma senha inteiramente nova";
    let change = |from: &str, to: &str| json!({ "current_password": from, "new_password": to });
    let wrong = world
        .by(&one)
        .write(Method::POST, "/api/v1/me/password", None, &change("não é esta senha", new))
        .await;
    assert!(matches!(wrong.status.as_u16(), 401 | 422), "{}", wrong.text());
    let changed =
        world.by(&one).write(Method::POST, "/api/v1/me/password", None, &change(PASSWORD, new)).await;
    assert_eq!(changed.status, 204, "{}", changed.text());
    accounts::is_over(&world.shop, &other.token).await;
    refused(&refresh(&world.nobody(), &other.refresh).await, 401, "unauthenticated");
    assert_eq!(accounts::login(&world.nobody(), &carla.email, PASSWORD).await.status, 401);
    assert_eq!(accounts::login(&world.nobody(), &carla.email, new).await.status, 200);
}

pub(super) async fn x29(world: &World) {
    let temporary = accounts::join(&world.shop, "temporaria").await;
    let temporary = accounts::promote(&world.shop, &temporary, "admin").await;
    let as_admin = world.shop.client(1).with_bearer(temporary.token.clone());
    assert_eq!(as_admin.get("/api/v1/admin/users").await.status, 200);
    let path = format!("/api/v1/admin/users/{}", temporary.id);
    let boss = world.new_session(&world.admin).await;
    let boss = world.by(&boss);
    let tag = boss.get(&path).await.header("etag").to_owned();
    let lowered = boss.write(Method::PATCH, &path, Some(&tag), &json!({ "role": "customer" })).await;
    assert_eq!(lowered.status, 200, "{}", lowered.text());
    refused(&as_admin.get("/api/v1/admin/users").await, 403, "forbidden");
    refused(&as_admin.get("/api/v1/admin/products").await, 403, "forbidden");
}

/// Signs in with these headers besides.
async fn login_with(world: &World, headers: &[(&str, &str)]) -> Answer {
    let body = json!({ "email": world.ana.email, "password": PASSWORD });
    let mut request = world.nobody().request(Method::POST, "/api/v1/auth/login").json(&body);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    Client::send(request).await
}

fn cookies(answer: &Answer) -> Vec<String> {
    answer.headers.get_all("set-cookie").iter().map(|cookie| cookie.to_str().unwrap().to_owned()).collect()
}

pub(super) async fn x30(world: &World) {
    let planted =
        "__Host-auth-token=planted; __Secure-refresh=planted; auth-token=planted; cache-token=planted";
    let answer = login_with(world, &[("cookie", planted), ("sec-fetch-site", "same-origin")]).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let set = cookies(&answer);
    assert!(set.iter().any(|cookie| cookie.starts_with("__Host-auth-token=")), "{set:?}");
    assert!(set.iter().all(|cookie| !cookie.contains("planted")), "{set:?}");
}

pub(super) async fn x31(world: &World) {
    let ask = async |headers: &[(&str, &str)]| {
        let cookie = format!("auth-token={}", world.ana.token);
        let mut request = world.nobody().request(Method::GET, "/api/v1/me").header("cookie", cookie);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Client::send(request).await
    };
    assert_eq!(ask(&[]).await.status, 200, "the curl of the document");
    for (name, value) in [
        ("sec-fetch-site", "same-origin"),
        ("sec-fetch-site", "none"),
        ("sec-fetch-mode", "navigate"),
        ("origin", "https://mestrescafe.com"),
    ] {
        refused(&ask(&[(name, value)]).await, 401, "unauthenticated");
    }
}

pub(super) async fn x32(world: &World) {
    let token = &world.ana.token;
    let ask = async |cookie: String| {
        Client::send(world.nobody().request(Method::GET, "/api/v1/me").header("cookie", cookie)).await
    };
    refused(&ask(format!("auth-token={token}; auth-token={token}")).await, 400, "bad_request");
    refused(&ask(format!("__Host-auth-token={token}; __Host-auth-token=x")).await, 400, "bad_request");
    assert_eq!(ask(format!("other={}", "a".repeat(5 * 1024))).await.status, 431);
    // Line ends cannot be sent by a client that keeps to the protocol.
    let raw = "GET /api/v1/me HTTP/1.1\r\nhost: shop\r\ncookie: auth-token=a\rb\r\nconnection: close\r\n\r\n";
    let answer = crate::read_path::raw_exchange(&world.shop, raw.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
}

pub(super) async fn x33(world: &World) {
    let answer = login_with(world, &[("sec-fetch-site", "same-origin")]).await;
    let set = cookies(&answer);
    for (name, path, same_site) in [
        ("__Host-auth-token=", "Path=/", "SameSite=Lax"),
        ("__Secure-refresh=", "Path=/api/v1/auth", "SameSite=Strict"),
        ("__Host-device=", "Path=/", "SameSite=Strict"),
    ] {
        let cookie =
            set.iter().find(|cookie| cookie.starts_with(name)).unwrap_or_else(|| panic!("{name}: {set:?}"));
        let attributes: Vec<&str> = cookie.split("; ").collect();
        for attribute in [path, same_site, "Secure", "HttpOnly"] {
            assert!(attributes.contains(&attribute), "{attribute} of {cookie}");
        }
        assert!(!cookie.contains("Domain"), "{cookie}");
    }
    // A browser's page must not read the refresh token.
    assert!(answer.json()["data"]["refresh_token"].is_null(), "{}", answer.text());
    assert_eq!(answer.header("cache-control"), "no-store");
}

pub(super) async fn x34(world: &World) {
    let before = world.by(&world.ana).get("/api/events").await.header("x-total-count").to_owned();
    let host = world.shop.gateway_address(0).to_string();
    let forge = async |headers: &[(&str, &str)]| {
        let cookie = format!("__Host-auth-token={}", world.ana.token);
        let mut request = world.nobody().request(Method::POST, "/api/events").header("cookie", cookie);
        let json = !headers.iter().any(|(name, _)| *name == "content-type");
        request = if json {
            request.json(&agenda::event("Forjado", None, 13))
        } else {
            request.body(agenda::event("Forjado", None, 13).to_string())
        };
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Client::send(request).await
    };
    for headers in [
        &[("sec-fetch-site", "cross-site")][..],
        &[("sec-fetch-site", "same-site")],
        &[("sec-fetch-site", "none")],
        &[("origin", "https://evil.example")],
        &[("origin", "null")],
        &[],
        &[("content-type", "text/plain"), ("sec-fetch-site", "cross-site")],
        &[("content-type", "text/plain"), ("sec-fetch-site", "same-origin")],
        &[("content-type", "application/x-www-form-urlencoded"), ("origin", "https://evil.example")],
    ] {
        refused(&forge(headers).await, 403, "forbidden");
    }
    let now = world.by(&world.ana).get("/api/events").await.header("x-total-count").to_owned();
    assert_eq!(now, before, "nothing was forged");
    let own = format!("http://{host}");
    assert_eq!(
        forge(&[("sec-fetch-site", "same-origin"), ("origin", &own)]).await.status,
        201,
        "our own page may"
    );
}

pub(super) async fn x35(world: &World) {
    let ask = async |method: Method, origin: &str| {
        let request = world.nobody().request(method, "/api/v1/products/1").header("origin", origin);
        Client::send(request.header("access-control-request-method", "POST")).await
    };
    for origin in
        ["https://evil.example", "https://mestrescafe.com.evil.example", "null", "https://xmestrescafe.com"]
    {
        for method in [Method::GET, Method::OPTIONS] {
            let answer = ask(method.clone(), origin).await;
            assert!(!answer.headers.contains_key("access-control-allow-origin"), "{method} {origin}");
        }
    }
    let listed = ask(Method::GET, super::PARTNER).await;
    assert_eq!(listed.header("access-control-allow-origin"), super::PARTNER);
    assert!(
        listed.headers.get_all("vary").iter().any(|vary| vary
            .to_str()
            .unwrap()
            .to_lowercase()
            .contains("origin"))
    );
    assert_eq!(
        ask(Method::OPTIONS, super::PARTNER).await.header("access-control-allow-origin"),
        super::PARTNER
    );
}
