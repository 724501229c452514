//! Cookies, forged requests and other origins (X30-X35).

use reqwest::{Method, Response};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::shop::{Shop, check_problem, header};

const STAFF: &str = "/api/v1/admin/products/1";
const PARTNER: &str = "https://partner.example";

async fn get(shop: &Shop, headers: &[(&str, &str)]) -> Response {
    let mut request = shop.gateway.request(Method::GET, STAFF);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.send().await.expect("an answer")
}

/// X31, S52.
#[tokio::test]
async fn the_plain_cookie_is_for_scripts_only() {
    let shop = Shop::open().await;
    let token = shop.gateway.keys.token("staff", 7);
    let (plain, host) = (format!("auth-token={token}"), format!("__Host-auth-token={token}"));
    assert_eq!(get(&shop, &[("cookie", &plain)]).await.status(), 200);
    assert_eq!(get(&shop, &[("cookie", &host)]).await.status(), 200);
    for (name, value) in [
        ("sec-fetch-site", "same-origin"),
        ("sec-fetch-site", "none"),
        ("sec-fetch-mode", "navigate"),
        ("sec-fetch-dest", "document"),
        ("origin", "http://localhost:3000"),
        ("origin", "null"),
    ] {
        check_problem(get(&shop, &[("cookie", &plain), (name, value)]).await, 401, "unauthenticated").await;
        assert_eq!(get(&shop, &[("cookie", &host), (name, value)]).await.status(), 200, "{name}: {value}");
    }
}

/// X32.
#[tokio::test]
async fn cookies_that_are_doubled_long_or_malformed() {
    let shop = Shop::open().await;
    let token = shop.gateway.keys.token("staff", 7);
    for name in ["auth-token", "__Host-auth-token"] {
        let doubled = format!("{name}={token}; {name}={token}");
        check_problem(get(&shop, &[("cookie", &doubled)]).await, 400, "bad_request").await;
        let one = format!("{name}={token}");
        check_problem(get(&shop, &[("cookie", &one), ("cookie", &one)]).await, 400, "bad_request").await;
        let encoded = format!("{name}={token}%0d%0aSet-Cookie:x=y");
        check_problem(get(&shop, &[("cookie", &encoded)]).await, 400, "bad_request").await;
        let long = format!("{name}={}", "a".repeat(5_000));
        check_problem(get(&shop, &[("cookie", &long)]).await, 431, "headers_too_large").await;
    }
    let long = format!("other={}; auth-token={token}", "a".repeat(5_000));
    check_problem(get(&shop, &[("cookie", &long)]).await, 431, "headers_too_large").await;
    for cookie in ["auth-token=a\rb", "auth-token=a\r\n b", "auth-token=a\nb"] {
        let mut socket = TcpStream::connect(shop.gateway.addr).await.expect("the gateway listens");
        let request =
            format!("GET {STAFF} HTTP/1.1\r\nHost: x\r\nCookie: {cookie}\r\nConnection: close\r\n\r\n");
        socket.write_all(request.as_bytes()).await.expect("the gateway reads");
        let mut answer = String::new();
        let _ = socket.read_to_string(&mut answer).await;
        // A bare line feed ends a line, and what follows is a line without a colon.
        assert!(answer.starts_with("HTTP/1.1 400 "), "{cookie:?}: {answer}");
    }
}

/// X34: whatever another site makes a browser send changes nothing.
#[tokio::test]
async fn forged_changes_are_refused() {
    let shop = Shop::open_for(PARTNER).await;
    let own = format!("http://{}", shop.gateway.addr);
    let token = shop.gateway.keys.token("staff", 7);
    let (plain, host) = (format!("auth-token={token}"), format!("__Host-auth-token={token}"));
    let send = async |cookie: &str, method: Method, headers: &[(&str, &str)]| {
        let mut request = shop.gateway.request(method, "/api/v1/admin/products/1/prices");
        request = request.header("cookie", cookie).header("if-match", "\"p-1-v1\"");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = json!({"prices": [{"variant_id": 10, "amount": 1}]}).to_string();
        request.body(body).send().await.expect("an answer")
    };
    let json = ("content-type", "application/json");
    for headers in [
        vec![json, ("sec-fetch-site", "cross-site")],
        vec![json, ("sec-fetch-site", "same-site")],
        vec![json, ("sec-fetch-site", "none")],
        vec![json, ("sec-fetch-site", "cross-site"), ("origin", own.as_str())],
        vec![json, ("origin", "https://evil.example")],
        vec![json, ("origin", "https://partner.example.evil.example")],
        vec![json, ("origin", "null")],
        vec![json],
        vec![("content-type", "text/plain"), ("sec-fetch-site", "same-origin")],
        vec![("content-type", "text/plain")],
    ] {
        check_problem(send(&host, Method::PUT, &headers).await, 403, "forbidden").await;
    }
    check_problem(send(&plain, Method::PUT, &[("content-type", "text/plain")]).await, 403, "forbidden").await;
    assert_eq!((shop.catalog.calls(), shop.catalog.price(1)), (0, 4290), "nothing was even asked");

    let again = [("version", 1), ("version", 2), ("version", 3)];
    let welcome = [
        vec![json, ("sec-fetch-site", "same-origin")],
        vec![json, ("origin", own.as_str())],
        vec![json, ("origin", PARTNER)],
    ];
    for (headers, (_, version)) in welcome.iter().zip(again) {
        let mut request = shop.gateway.request(Method::PUT, "/api/v1/admin/products/1/prices");
        request = request.header("cookie", &host).header("if-match", format!("\"p-1-v{version}\""));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = serde_json::json!({"prices": [{"variant_id": 10, "amount": 100 + version}]}).to_string();
        let answer = request.body(body).send().await.expect("an answer");
        assert_eq!(answer.status(), 200, "{headers:?}");
    }
    assert_eq!(shop.catalog.price(1), 103);
}

/// X35.
#[tokio::test]
async fn only_listed_origins_may_read() {
    let shop = Shop::open_for(PARTNER).await;
    let read = async |origin: Option<&str>| {
        let mut request = shop.gateway.request(Method::GET, "/api/v1/products");
        if let Some(origin) = origin {
            request = request.header("origin", origin);
        }
        request.send().await.expect("an answer")
    };
    let varies = |answer: &Response| {
        answer.headers().get_all("vary").iter().any(|value| value.as_bytes().eq_ignore_ascii_case(b"origin"))
    };
    for origin in [
        None,
        Some("https://evil"),
        Some("https://partner.example.evil"),
        Some("https://mestrescafe.com.evil"),
        Some("http://partner.example"),
        Some("https://partner.example:444"),
        Some("https://PARTNER.example"),
        Some("null"),
    ] {
        let answer = read(origin).await;
        assert_eq!(answer.status(), 200);
        assert!(varies(&answer), "{origin:?}");
        let cors = answer.headers().keys().find(|name| name.as_str().starts_with("access-control-"));
        assert_eq!(cors, None, "{origin:?}");
    }
    let answer = read(Some(PARTNER)).await;
    assert_eq!(header(&answer, "access-control-allow-origin"), PARTNER);
    assert_eq!(header(&answer, "access-control-allow-credentials"), "true");
    assert!(header(&answer, "access-control-expose-headers").contains("x-cache-token"));
    assert!(varies(&answer));
    let refused = shop.gateway.request(Method::GET, "/api/v1/nothing").header("origin", PARTNER);
    let refused = refused.send().await.expect("an answer");
    assert_eq!(header(&refused, "access-control-allow-origin"), PARTNER, "a page may read why not");

    // A gateway without a list says nothing to anybody, and its answers do not differ.
    let closed = Shop::open().await;
    let answer = closed.gateway.request(Method::GET, "/api/v1/products").header("origin", PARTNER);
    let answer = answer.send().await.expect("an answer");
    assert!(!varies(&answer) && !answer.headers().contains_key("access-control-allow-origin"));
}

#[tokio::test]
async fn preflights_are_answered_for_listed_origins() {
    let shop = Shop::open_for(PARTNER).await;
    let ask = async |origin: &str, target: &str| {
        let request = shop.gateway.request(Method::OPTIONS, target);
        let request = request.header("origin", origin).header("access-control-request-method", "PUT");
        request.send().await.expect("an answer")
    };
    let answer = ask(PARTNER, "/api/v1/admin/products/1/prices").await;
    assert_eq!(answer.status(), 204);
    assert_eq!(header(&answer, "access-control-allow-origin"), PARTNER);
    assert_eq!(header(&answer, "access-control-allow-methods"), "PUT");
    assert!(header(&answer, "access-control-allow-headers").contains("authorization"));
    let refused = ask("https://evil.example", "/api/v1/admin/products/1/prices").await;
    assert!(!refused.headers().contains_key("access-control-allow-origin"));
    check_problem(refused, 405, "method_not_allowed").await;
    check_problem(ask(PARTNER, "/api/v1/nothing").await, 404, "not_found").await;
    let bare = shop.gateway.request(Method::OPTIONS, STAFF).header("origin", PARTNER);
    check_problem(bare.send().await.expect("an answer"), 405, "method_not_allowed").await;
    assert_eq!(shop.catalog.calls(), 0);
}
