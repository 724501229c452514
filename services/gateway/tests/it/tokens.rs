//! Which access tokens are good for anything (X19-X24), and what services get instead of them.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use reqwest::Method;
use rls::{Assertions, Caller, UserId, UserRole};
use serde_json::{Value, json};
use testkit::jwt::TestKeys;

use crate::shop::{Shop, check_problem};

/// Staff may read it; a public page refuses a bad token as well.
const STAFF: &str = "/api/v1/admin/products/1";
const PUBLIC: &str = "/api/v1/products";

async fn check(shop: &Shop, what: &str, token: &str) {
    for target in [STAFF, PUBLIC, "/api/admin/performance-metrics"] {
        let request = shop.gateway.request(Method::GET, target);
        let answer = request.header("authorization", format!("Bearer {token}")).send().await;
        let answer = answer.unwrap_or_else(|error| panic!("{what}: {error}"));
        let problem = check_problem(answer, 401, "unauthenticated").await;
        let repeated = token.len() > 20 && problem.to_string().contains(token);
        assert!(!repeated, "{what}: the token is not repeated");
    }
    if token.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.=".contains(&byte)) && token.len() < 4000
    {
        for cookie in ["auth-token", "__Host-auth-token"] {
            let request =
                shop.gateway.request(Method::GET, STAFF).header("cookie", format!("{cookie}={token}"));
            check_problem(request.send().await.expect(what), 401, "unauthenticated").await;
        }
    }
}

/// A part as JSON text says it, which need not be JSON.
fn part(text: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(text)
}

fn with(keys: &TestKeys, name: &str, value: Value) -> String {
    let mut claims = keys.claims("admin", 7);
    claims[name] = value;
    keys.sign(&keys.header(), &claims)
}

fn without(keys: &TestKeys, name: &str) -> String {
    let mut claims = keys.claims("admin", 7);
    claims.as_object_mut().expect("claims are an object").remove(name);
    keys.sign(&keys.header(), &claims)
}

fn with_header(keys: &TestKeys, name: &str, value: Value) -> String {
    let mut header = keys.header();
    header[name] = value;
    keys.sign(&header, &keys.claims("admin", 7))
}

/// X19: another algorithm, or the right one with another key.
#[tokio::test]
async fn signatures_that_prove_nothing() {
    let shop = Shop::open().await;
    let keys = &shop.gateway.keys;
    let good = keys.token("admin", 7);
    let parts: Vec<&str> = good.split('.').collect();
    let claims = parts[1];
    for alg in ["none", "None", "NONE", "nOnE"] {
        let header = part(&json!({"alg": alg, "typ": "at+jwt"}).to_string());
        for signature in ["", parts[2]] {
            check(&shop, alg, &format!("{header}.{claims}.{signature}")).await;
        }
    }
    let public = std::fs::read(&keys.jwks_file).expect("the key set");
    let jwks: Value = serde_json::from_slice(&public).expect("the key set is JSON");
    let x = jwks["keys"][0]["x"].as_str().expect("a public key");
    let raw = BASE64_URL_SAFE_NO_PAD.decode(x).expect("base64");
    for secret in [public.as_slice(), x.as_bytes(), &raw] {
        let header = jsonwebtoken::Header {
            typ: Some("at+jwt".to_owned()),
            kid: keys.header()["kid"].as_str().map(str::to_owned),
            ..jsonwebtoken::Header::new(jsonwebtoken::Algorithm::HS256)
        };
        let secret = jsonwebtoken::EncodingKey::from_secret(secret);
        let forged = jsonwebtoken::encode(&header, &keys.claims("admin", 7), &secret).expect("it is signed");
        check(&shop, "HS256 with the public key", &forged).await;
    }
    for alg in ["RS256", "ES256", "PS512", "EdDSA2", ""] {
        check(&shop, alg, &with_header(keys, "alg", json!(alg))).await;
    }
    check(&shop, "another key", &testkit::jwt::key_set().token("admin", 7)).await;
    let mut other = testkit::jwt::key_set().header();
    other["kid"] = keys.header()["kid"].clone();
    let other = testkit::jwt::key_set().sign(&other, &keys.claims("admin", 7));
    check(&shop, "another key under our name", &other).await;
}

/// X20: headers that would make a careless verifier fetch or choose a key.
#[tokio::test]
async fn key_ids_and_keys_that_the_token_brings() {
    let shop = Shop::open().await;
    let keys = &shop.gateway.keys;
    for kid in ["unknown", "", "../../etc/passwd", "' OR 1=1 --", "\u{0}", &"k".repeat(10_000)] {
        check(&shop, kid, &with_header(keys, "kid", json!(kid))).await;
    }
    let mut header = keys.header();
    header.as_object_mut().expect("an object").remove("kid");
    check(&shop, "no kid", &keys.sign(&header, &keys.claims("admin", 7))).await;
    // Nobody listens there; a verifier that asked would wait or say so.
    let fetched = "http://127.0.0.1:1/keys.json";
    let jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"});
    for (name, value) in [
        ("jku", json!(fetched)),
        ("x5u", json!(fetched)),
        ("jwk", jwk),
        ("x5c", json!(["MIIB"])),
        ("crit", json!(["exp"])),
        ("typ", json!("JWT")),
        ("typ", Value::Null),
    ] {
        check(&shop, name, &with_header(keys, name, value)).await;
    }
}

/// X21, X24: times, in the wrong type, missing, or out of all proportion.
#[tokio::test]
async fn times_that_make_no_sense() {
    let shop = Shop::open().await;
    let keys = &shop.gateway.keys;
    let now = time::OffsetDateTime::now_utc().unix_timestamp();
    let year_9999 = 253_402_300_799_i64;
    for (name, value) in [
        ("exp", json!(now - 31)),
        ("exp", json!(year_9999)),
        ("exp", json!(now + 2 * 3600)),
        ("exp", json!("9999999999")),
        ("exp", json!(-1)),
        ("exp", json!(0)),
        ("exp", json!(u64::MAX)),
        ("exp", json!(1.5e12)),
        ("exp", Value::Null),
        ("exp", json!([now + 300])),
        ("nbf", json!(now + 120)),
        ("nbf", Value::Null),
        ("nbf", json!("0")),
        ("iat", json!(now + 120)),
        ("iat", Value::Null),
        ("iat", json!(-9_000_000_000_i64)),
        ("auth_time", json!(now + 3600)),
    ] {
        check(&shop, &format!("{name} {value}"), &with(keys, name, value.clone())).await;
    }
    let claims = keys.claims("admin", 7);
    let ends = format!("\"exp\":{}", claims["exp"]);
    for never in ["1e400", "1e1000000000", "99999999999999999999999999", "0x7fffffff", "Infinity"] {
        let claims = claims.to_string().replace(&ends, &format!("\"exp\":{never}"));
        assert!(claims.contains(never));
        check(&shop, never, &sign_text(keys, &claims)).await;
    }
}

/// X22: tokens that are good for something else.
#[tokio::test]
async fn tokens_of_another_kind() {
    let shop = Shop::open().await;
    let keys = &shop.gateway.keys;
    for audience in ["mestrescafe", "gateway", "catalog"] {
        check(&shop, "an assertion", &keys.assertion(audience, "admin", 7)).await;
    }
    check(&shop, "a refresh token", "pV5rQm0Zy1kqk8o3ZVYwYc0mJ3mJ8m9s0n8v7c6b5a4").await;
    let mut claims = keys.claims("admin", 7);
    claims["aud"] = json!("catalog");
    check(&shop, "an assertion's type", &keys.sign(&keys.assertion_header("gateway"), &claims)).await;
    for (name, value) in [
        ("aud", json!("somebody-else")),
        ("aud", json!(["mestrescafe-2"])),
        ("iss", json!("https://evil.example")),
        ("iss", json!("https://mestrescafe.dev.evil.example")),
        ("role", json!("service")),
        ("role", json!("Admin")),
        ("role", json!(["admin"])),
        ("sub", json!("0")),
        ("sub", json!("-7")),
        ("sub", json!("7 OR 1=1")),
        ("sub", json!(7)),
        ("sub", json!("99999999999999999999")),
        ("sid", json!("")),
        ("jti", json!("")),
    ] {
        check(&shop, &format!("{name} {value}"), &with(keys, name, value.clone())).await;
    }
    for name in ["iss", "aud", "sub", "role", "exp", "iat", "nbf", "jti", "sid"] {
        check(&shop, &format!("no {name}"), &without(keys, name)).await;
    }
}

/// X23: what is cut, doubled or written differently.
#[tokio::test]
async fn tokens_in_another_spelling() {
    let shop = Shop::open().await;
    let keys = &shop.gateway.keys;
    let good = keys.token("admin", 7);
    let parts: Vec<&str> = good.split('.').collect();
    let (header, claims, signature) = (parts[0], parts[1], parts[2]);
    // The last character of a signature has four bits that mean nothing: they may not mean anything else.
    let last = signature.chars().last().expect("a signature");
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let at = alphabet.find(last).expect("base64");
    let sibling = alphabet.as_bytes()[at ^ 1] as char;
    let respelt = format!("{}{sibling}", &signature[..signature.len() - 1]);
    for (what, token) in [
        ("no signature", format!("{header}.{claims}.")),
        ("two parts", format!("{header}.{claims}")),
        ("four parts", format!("{good}.{signature}")),
        ("an empty part", format!("{header}..{signature}")),
        ("padding", format!("{good}==")),
        ("padding of the claims", format!("{header}.{claims}=.{signature}")),
        ("unused bits", format!("{header}.{claims}.{respelt}")),
        ("a cut signature", good[..good.len() - 2].to_owned()),
        ("dots alone", "..".to_owned()),
        ("nothing", String::new()),
        ("the word", "Bearer".to_owned()),
        ("twice", format!("{good} {good}")),
        ("quoted", format!("\"{good}\"")),
    ] {
        check(&shop, what, &token).await;
    }
    for (name, twice) in [("role", "\"customer\""), ("sub", "\"8\""), ("exp", "9999999999")] {
        let text = keys.claims("admin", 7).to_string();
        let doubled = format!("{},\"{name}\":{twice}}}", &text[..text.len() - 1]);
        let token = sign_text(keys, &doubled);
        check(&shop, &format!("{name} twice"), &token).await;
    }
    let long = shop.gateway.request(Method::GET, STAFF);
    let long = long.header("authorization", format!("Bearer {}", "a".repeat(64 * 1024)));
    check_problem(long.send().await.expect("an answer"), 431, "headers_too_large").await;
}

/// Signs claims that no JSON value could hold.
fn sign_text(keys: &TestKeys, claims: &str) -> String {
    let pem = std::fs::read(&keys.signing_key_file).expect("the signing key");
    let key = jsonwebtoken::EncodingKey::from_ed_pem(&pem).expect("an Ed25519 key");
    let signed = format!("{}.{}", part(&keys.header().to_string()), part(claims));
    let signature =
        jsonwebtoken::crypto::sign(signed.as_bytes(), &key, jsonwebtoken::Algorithm::EdDSA).expect("signed");
    format!("{signed}.{signature}")
}

#[tokio::test]
async fn two_headers_or_another_scheme_prove_nobody() {
    let shop = Shop::open().await;
    let bearer = shop.gateway.keys.bearer("admin", 7);
    let twice = shop.gateway.request(Method::GET, STAFF);
    let twice = twice.header("authorization", &bearer).header("authorization", &bearer);
    check_problem(twice.send().await.expect("an answer"), 401, "unauthenticated").await;
    for other in
        [bearer.replace("Bearer ", "Basic "), bearer.replace("Bearer ", ""), bearer.replace(' ', "\t")]
    {
        let request = shop.gateway.request(Method::GET, STAFF).header("authorization", &other);
        check_problem(request.send().await.expect("an answer"), 401, "unauthenticated").await;
    }
    // A bad header is not made good by a good cookie.
    let cookie = format!("auth-token={}", shop.gateway.keys.token("admin", 7));
    let request = shop.gateway.request(Method::GET, STAFF).header("cookie", cookie);
    let request = request.header("authorization", "Bearer nonsense");
    check_problem(request.send().await.expect("an answer"), 401, "unauthenticated").await;
}

/// Access tokens end at the gateway: a service gets an assertion, for itself and for this caller.
#[tokio::test]
async fn services_get_assertions_never_the_token() {
    let shop = Shop::open().await;
    let token = shop.gateway.keys.token("staff", 42);
    let request = shop.gateway.request(Method::GET, STAFF).bearer_auth(&token);
    let answer = request.header("x-request-id", "req-42").send().await.expect("an answer");
    assert_eq!(answer.status(), 200);

    let for_catalog = shop.catalog.last_bearer().expect("catalog is told who asks");
    let believe = |audience| {
        Assertions::from_jwks_file(&shop.gateway.keys.assertions_file, audience).expect("the key set")
    };
    let asserted = believe("catalog").caller(Some(&for_catalog)).expect("catalog believes it");
    assert_eq!(asserted.caller, Caller::Staff(UserId(42)));
    assert_eq!(asserted.issuer.as_deref(), Some("gateway"));
    let user = asserted.user.expect("there is a user");
    assert_eq!((user.id, user.role), (UserId(42), UserRole::Staff));

    let check = &shop.accounts.calls("check_session")[0];
    let for_accounts = check.bearer.as_deref().expect("accounts is told who asks");
    let asserted = believe("accounts").caller(Some(for_accounts)).expect("accounts believes it");
    assert_eq!((asserted.caller, asserted.user), (Caller::Service, None));
    for (audience, other) in [("accounts", for_catalog.as_str()), ("catalog", for_accounts)] {
        assert!(believe(audience).caller(Some(other)).is_err(), "an assertion is for one service");
    }
    assert!(!for_catalog.contains(&token) && !for_accounts.contains(&token));
    assert!(check.message.contains(&user.session_id), "the session of the token is checked");

    shop.get("/api/v1/products?page=2").await;
    assert_eq!(shop.catalog.last_bearer(), None, "nobody in particular");
}
