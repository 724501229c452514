//! Signing in and out: bodies, cookies, refusals, and that equal refusals look equal (X14, X17, X30, X33).

use std::collections::BTreeMap;

use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};
use tonic::Code;

use crate::accounts::PASSWORD;
use crate::shop::{Shop, check_problem, header};

async fn post(shop: &Shop, target: &str, body: &Value) -> Response {
    request(shop, target).json(body).send().await.expect("an answer")
}

fn request(shop: &Shop, target: &str) -> RequestBuilder {
    shop.gateway.request(Method::POST, target)
}

async fn data(response: Response) -> Value {
    let text = response.text().await.expect("a body");
    serde_json::from_str::<Value>(&text).expect("JSON")["data"].clone()
}

fn cookies(response: &Response) -> Vec<String> {
    let all = response.headers().get_all("set-cookie").iter();
    all.map(|cookie| cookie.to_str().expect("ASCII").to_owned()).collect()
}

/// X33: every cookie of ours is protected as its name promises.
#[track_caller]
fn check_cookies(response: &Response, expected: &[&str]) {
    let cookies = cookies(response);
    let names: Vec<_> = cookies.iter().map(|cookie| cookie.split('=').next().unwrap_or_default()).collect();
    assert_eq!(names, expected);
    for cookie in &cookies {
        assert!(cookie.contains("; Secure; HttpOnly; SameSite="), "{cookie}");
        assert!(!cookie.to_lowercase().contains("domain"), "{cookie}");
        if cookie.starts_with("__Host-") {
            assert!(cookie.contains("; Path=/;"), "{cookie}");
        }
        if cookie.starts_with("__Secure-refresh") {
            assert!(
                cookie.contains("; Path=/api/v1/auth;") && cookie.contains("SameSite=Strict"),
                "{cookie}"
            );
        }
    }
    assert_eq!(header(response, "cache-control"), "no-store");
}

const LOGIN: &str = "/api/v1/auth/login";
const BOTH: [&str; 2] = ["__Host-auth-token", "__Secure-refresh"];
const ALL: [&str; 3] = ["__Host-auth-token", "__Secure-refresh", "__Host-device"];

fn credentials() -> Value {
    json!({"email": "ana@example.com", "password": PASSWORD})
}

#[tokio::test]
async fn a_login_gives_a_script_everything_and_a_browser_cookies() {
    let shop = Shop::open().await;
    let token = shop.gateway.keys.token("admin", 7);
    shop.accounts.hand_out(&token);
    let answer = post(&shop, LOGIN, &credentials()).await;
    assert_eq!(answer.status(), 200);
    check_cookies(&answer, &ALL);
    let signed_in = data(answer).await;
    assert_eq!(signed_in["user"]["id"], 7);
    assert_eq!(signed_in["user"]["role"], "admin");
    assert_eq!((&signed_in["token_type"], &signed_in["expires_in"]), (&json!("Bearer"), &json!(300)));
    assert_eq!(signed_in["access_token"], json!(token));
    assert_eq!(signed_in["refresh_token"], "refresh-1");
    assert!(!signed_in.to_string().contains("password"));

    // X30: whatever was there before, the values are new.
    let browser = request(&shop, LOGIN)
        .header("sec-fetch-site", "same-origin")
        .header("cookie", "__Host-auth-token=planted; __Secure-refresh=planted; __Host-device=device-0")
        .json(&credentials());
    let answer = browser.send().await.expect("an answer");
    check_cookies(&answer, &ALL);
    let set = cookies(&answer);
    assert!(set.iter().all(|cookie| !cookie.contains("planted") && !cookie.contains("device-0")), "{set:?}");
    assert_eq!(data(answer).await.get("refresh_token"), None, "no script may read it");
    let call = shop.accounts.calls("login").pop().expect("it was asked");
    assert!(
        call.message.contains("device: Some(\"device-0\")"),
        "the device is recognised: {}",
        call.message
    );
    assert!(call.message.contains("address: \"127.0.0.1\""), "{}", call.message);

    // S52: what the login gave works as the documents' curl sends it.
    let metrics = shop.gateway.request(Method::GET, "/api/admin/performance-metrics");
    let metrics = metrics.header("cookie", format!("auth-token={token}")).send().await.expect("an answer");
    check_problem(metrics, 503, "upstream_unavailable").await;
}

/// X14: for an unknown address, a wrong password and a locked account alike.
#[tokio::test]
async fn refusals_of_a_login_look_alike() {
    let shop = Shop::open().await;
    let mut seen: Vec<(Value, BTreeMap<String, String>)> = Vec::new();
    for email in ["ana@example.com", "nobody@example.com"] {
        let body = json!({"email": email, "password": "wrong password of some length"});
        let answer = post(&shop, LOGIN, &body).await;
        assert_eq!(answer.status(), 401);
        let varying =
            ["date", "x-request-id", "x-response-time", "server-timing", "x-cache-token", "ratelimit"];
        let headers = answer.headers().iter();
        let headers = headers
            .filter(|(name, _)| !varying.contains(&name.as_str()))
            .map(|(name, value)| (name.to_string(), value.to_str().expect("ASCII").to_owned()))
            .collect();
        let mut problem = check_problem(answer, 401, "unauthenticated").await;
        problem["request_id"] = Value::Null;
        seen.push((problem, headers));
    }
    assert_eq!(seen[0], seen[1]);
    assert!(!seen[0].1.contains_key("set-cookie"));

    shop.accounts.refuse("login", Code::Unauthenticated, "totp_required", "");
    check_problem(post(&shop, LOGIN, &credentials()).await, 401, "totp_required").await;
    shop.accounts.refuse("login", Code::ResourceExhausted, "throttled", "2500");
    let answer = post(&shop, LOGIN, &credentials()).await;
    assert_eq!(header(&answer, "retry-after"), "3");
    check_problem(answer, 429, "rate_limited").await;
    shop.accounts.refuse("login", Code::ResourceExhausted, "", "");
    check_problem(post(&shop, LOGIN, &credentials()).await, 503, "overloaded").await;
}

/// X17, X7: bodies are read strictly, passwords as they are.
#[tokio::test]
async fn bodies_of_sign_in_routes() {
    let shop = Shop::open().await;
    let refused = async |target: &str, body: Value, pointer: &str| {
        let problem = check_problem(post(&shop, target, &body).await, 422, "validation_failed").await;
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{body}");
    };
    refused(LOGIN, json!({"email": "a@b.c", "password": "x".repeat(129)}), "/password").await;
    refused(LOGIN, json!({"email": "a@b.c", "password": ""}), "/password").await;
    refused(LOGIN, json!({"email": "a@b.c", "password": 1}), "/password").await;
    refused(LOGIN, json!({"email": "a@b.c"}), "/password").await;
    refused(LOGIN, json!({"password": PASSWORD}), "/email").await;
    refused(LOGIN, json!({"email": "a@b.c", "password": "x", "role": "admin"}), "/role").await;
    refused(LOGIN, json!({"email": "a@b.c", "password": "x", "totp_code": "12345"}), "/totp_code").await;
    refused(LOGIN, json!({"email": "a@b.c", "password": "x", "totp_code": "12345x"}), "/totp_code").await;
    let register = "/api/v1/auth/register";
    refused(register, json!({"email": "a@b.c", "password": "x", "name": "A", "locale": "de"}), "/locale")
        .await;
    refused(register, json!({"email": "a@b.c", "password": "x", "name": "A", "id": 1}), "/id").await;
    refused("/api/v1/auth/password/reset", json!({"token": "t"}), "/new_password").await;
    refused("/api/v1/auth/email/verify", json!({}), "/token").await;
    refused("/api/v1/auth/password/forgot", json!({"email": "x".repeat(255)}), "/email").await;
    refused("/api/v1/auth/refresh", json!({"refresh_token": null}), "/refresh_token").await;
    for body in [r#"{"email":"a@b.c","email":"a@b.c","password":"x"}"#, "[", "", "{\"email\":\"\u{feff}"] {
        let sent = request(&shop, LOGIN).header("content-type", "application/json").body(body);
        check_problem(sent.send().await.expect("an answer"), 400, "malformed_json").await;
    }
    let huge = json!({"email": "a@b.c", "password": "x".repeat(1024 * 1024)});
    check_problem(post(&shop, LOGIN, &huge).await, 413, "payload_too_large").await;
    let form = request(&shop, LOGIN).header("content-type", "text/plain").body(credentials().to_string());
    check_problem(form.send().await.expect("an answer"), 415, "unsupported_media_type").await;
    assert!(shop.accounts.calls("login").is_empty() && shop.accounts.calls("register").is_empty());

    let odd: String = "☕\u{0} senha ".chars().cycle().take(128).collect();
    let body = json!({"email": "a@b.c", "password": odd, "name": "Ana"});
    let answer = post(&shop, register, &body).await;
    assert_eq!((answer.status().as_u16(), header(&answer, "cache-control")), (201, "no-store"));
    let user = json!({"email": "a@b.c", "name": "Ana", "locale": "pt-BR"});
    assert_eq!(data(answer).await, json!({"user": user}));
    let call = shop.accounts.calls("register").pop().expect("it was asked");
    assert!(call.message.contains(&format!("password: {odd:?}")), "exactly: {}", call.message);
}

#[tokio::test]
async fn a_refresh_by_cookie_is_for_our_own_pages_and_by_body_for_scripts() {
    let shop = Shop::open().await;
    shop.accounts.hand_out(&shop.gateway.keys.token("customer", 7));
    let target = "/api/v1/auth/refresh";
    let answer = post(&shop, target, &json!({"refresh_token": "r-0"})).await;
    check_cookies(&answer, &BOTH);
    assert_eq!(data(answer).await["refresh_token"], "refresh-1");
    let by_cookie = |site: Option<&'static str>| {
        let mut sent = request(&shop, target).header("cookie", "__Secure-refresh=r-1");
        if let Some(site) = site {
            sent = sent.header("sec-fetch-site", site);
        }
        sent.send()
    };
    let answer = by_cookie(Some("same-origin")).await.expect("an answer");
    check_cookies(&answer, &BOTH);
    assert_eq!(data(answer).await.get("refresh_token"), None);
    let calls = shop.accounts.calls("refresh");
    assert!(calls[0].message.contains("\"r-0\"") && calls[1].message.contains("\"r-1\""));
    for site in [Some("cross-site"), Some("same-site"), Some("none"), None] {
        check_problem(by_cookie(site).await.expect("an answer"), 403, "forbidden").await;
    }
    assert_eq!(shop.accounts.calls("refresh").len(), 2);
    let nothing = request(&shop, target).send().await.expect("an answer");
    check_problem(nothing, 401, "unauthenticated").await;
    shop.accounts.refuse("refresh", Code::Unauthenticated, "invalid_credentials", "");
    let used = post(&shop, target, &json!({"refresh_token": "r-0"})).await;
    check_problem(used, 401, "unauthenticated").await;
}

/// X27 on the own gateway: the token is worth nothing from the answer on.
#[tokio::test]
async fn a_logout_ends_the_session_here_at_once() {
    let shop = Shop::open().await;
    let mut claims = shop.gateway.keys.claims("customer", 7);
    claims["sid"] = json!("session-7");
    let token = shop.gateway.keys.sign(&shop.gateway.keys.header(), &claims);
    let products = async || {
        let read = shop.gateway.request(Method::GET, "/api/v1/products").bearer_auth(&token);
        read.send().await.expect("an answer").status().as_u16()
    };
    assert_eq!(products().await, 200);
    let forged = request(&shop, "/api/v1/auth/logout")
        .header("cookie", format!("__Host-auth-token={token}"))
        .header("sec-fetch-site", "cross-site");
    check_problem(forged.send().await.expect("an answer"), 403, "forbidden").await;
    let anonymous = request(&shop, "/api/v1/auth/logout").send().await.expect("an answer");
    check_problem(anonymous, 401, "unauthenticated").await;
    assert_eq!(products().await, 200);

    let answer = request(&shop, "/api/v1/auth/logout").bearer_auth(&token).send().await.expect("an answer");
    assert_eq!(answer.status(), 204);
    check_cookies(&answer, &BOTH);
    assert!(cookies(&answer).iter().all(|cookie| cookie.contains("=; ") && cookie.contains("Max-Age=0")));
    assert_eq!(products().await, 401);
    let again = request(&shop, "/api/v1/auth/logout").bearer_auth(&token).send().await.expect("an answer");
    check_problem(again, 401, "unauthenticated").await;
    let all = request(&shop, "/api/v1/auth/logout-all");
    let all = all.bearer_auth(shop.gateway.keys.token("customer", 8)).send().await.expect("an answer");
    assert_eq!(all.status(), 204);
    check_cookies(&all, &BOTH);
}

/// X37: a link that proves nothing is a bad request, whatever the service calls it.
#[tokio::test]
async fn links_in_mails() {
    let shop = Shop::open().await;
    let reset = ("/api/v1/auth/password/reset", json!({"token": "t", "new_password": PASSWORD}));
    let verify = ("/api/v1/auth/email/verify", json!({"token": "t"}));
    for ((target, body), rpc) in [(&reset, "reset_password"), (&verify, "verify_email")] {
        let answer = post(&shop, target, body).await;
        assert_eq!((answer.status().as_u16(), header(&answer, "cache-control")), (204, "no-store"));
        for (code, reason) in [
            (Code::InvalidArgument, "invalid_token"),
            (Code::Unauthenticated, "invalid_credentials"),
            (Code::NotFound, "user_not_found"),
        ] {
            shop.accounts.refuse(rpc, code, reason, "");
            check_problem(post(&shop, target, body).await, 400, "invalid_token").await;
        }
    }
    let answer = post(&shop, "/api/v1/auth/password/forgot", &json!({"email": "ana@example.com"})).await;
    assert_eq!((answer.status().as_u16(), header(&answer, "cache-control")), (202, "no-store"));
}

#[tokio::test]
async fn ones_own_password_and_second_factor() {
    let shop = Shop::open().await;
    shop.accounts.hand_out("fresh.access.token");
    let bearer = shop.gateway.keys.bearer("customer", 7);
    let send = async |target: &str, body: Value, bearer: Option<&str>| {
        let mut sent = request(&shop, target);
        if let Some(bearer) = bearer {
            sent = sent.header("authorization", bearer);
        }
        sent.json(&body).send().await.expect("an answer")
    };
    let routes = [
        ("/api/v1/me/password", json!({"current_password": PASSWORD, "new_password": "x".repeat(20)}), 204),
        ("/api/v1/me/totp", json!({}), 200),
        ("/api/v1/me/totp/confirm", json!({"code": "123456"}), 204),
        ("/api/v1/me/totp/disable", json!({"code": "123456"}), 204),
        ("/api/v1/auth/step-up", json!({"password": PASSWORD}), 200),
        ("/api/v1/auth/step-up", json!({"totp_code": "123456"}), 200),
    ];
    for (target, body, status) in &routes {
        check_problem(send(target, body.clone(), None).await, 401, "unauthenticated").await;
        let answer = send(target, body.clone(), Some(&bearer)).await;
        assert_eq!(
            (answer.status().as_u16(), header(&answer, "cache-control")),
            (*status, "no-store"),
            "{target}"
        );
        let cookie = format!("__Host-auth-token={}", shop.gateway.keys.token("customer", 7));
        let forged = request(&shop, target).header("cookie", cookie).header("origin", "https://evil.example");
        check_problem(forged.json(body).send().await.expect("an answer"), 403, "forbidden").await;
    }
    let enrolment = data(send("/api/v1/me/totp", json!({}), Some(&bearer)).await).await;
    assert_eq!(enrolment, json!({"totp": {"secret": "ABCD", "uri": "otpauth://totp/x?secret=ABCD"}}));
    let fresh = send("/api/v1/auth/step-up", json!({"password": PASSWORD}), Some(&bearer)).await;
    check_cookies(&fresh, &["__Host-auth-token"]);
    assert_eq!(data(fresh).await["access_token"], "fresh.access.token");
    for body in [json!({}), json!({"password": "x", "totp_code": "123456"}), json!({"totp_code": "1"})] {
        check_problem(send("/api/v1/auth/step-up", body, Some(&bearer)).await, 422, "validation_failed")
            .await;
    }
    shop.accounts.refuse("enrol_totp", Code::PermissionDenied, "step_up_required", "");
    check_problem(send("/api/v1/me/totp", json!({}), Some(&bearer)).await, 403, "step_up_required").await;
}

/// Nobody can be signed in by a page of another site, with whosever account.
#[tokio::test]
async fn other_sites_sign_nobody_in() {
    let shop = Shop::open().await;
    for target in [LOGIN, "/api/v1/auth/register", "/api/v1/auth/refresh", "/api/v1/auth/password/reset"] {
        for (name, value) in [("origin", "https://evil.example"), ("sec-fetch-site", "cross-site")] {
            let sent = request(&shop, target).header(name, value).json(&credentials());
            check_problem(sent.send().await.expect("an answer"), 403, "forbidden").await;
        }
    }
    assert!(shop.accounts.calls("login").is_empty());
}
