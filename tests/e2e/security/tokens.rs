//! X9, X10 and X19 to X24: what proves who is calling, and what does not.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use proto::agenda::v1::agenda_service_client::AgendaServiceClient;
use proto::agenda::v1::{ListEventsRequest, Page};
use proto::catalog::v1::DeleteProductRequest;
use proto::catalog::v1::catalog_service_client::CatalogServiceClient;
use reqwest::Method;
use serde_json::{Value, json};
use tonic::Code;

use super::{World, refused};
use crate::client::Client;
use crate::shop::Service;

fn now() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap()
}

fn encode(json: &Value) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(json.to_string())
}

/// Neither by header nor by cookie does this token open anything.
async fn opens_nothing(world: &World, what: &str, token: &str) {
    for path in ["/api/v1/me", "/api/events", "/api/admin/performance-metrics"] {
        let answer = world.nobody().with_bearer(token.to_owned()).get(path).await;
        assert_eq!(answer.status, 401, "{what} at {path}: {}", answer.text());
        refused(&answer, 401, "unauthenticated");
    }
    let by_cookie =
        world.nobody().request(Method::GET, "/api/v1/me").header("cookie", format!("auth-token={token}"));
    let status = Client::send(by_cookie).await.status.as_u16();
    assert!(matches!(status, 400 | 401 | 431), "{what} as a cookie: {status}");
}

async fn list_events(
    world: &World,
    bearer: Option<&str>,
    forged: &[(&'static str, &str)],
) -> Result<usize, Code> {
    let channel = bootstrap::grpc::channel(&world.shop.grpc_url(Service::Agenda)).unwrap();
    let page = Some(Page { page: 1, limit: 20 });
    let message = ListEventsRequest { page, ..Default::default() };
    let mut request = bootstrap::grpc::request(message, std::time::Duration::from_secs(5), bearer);
    for (name, value) in forged {
        request.metadata_mut().insert(*name, value.parse().unwrap());
    }
    let answer = AgendaServiceClient::new(channel).list_events(request).await;
    answer.map(|reply| reply.into_inner().events.len()).map_err(|status| status.code())
}

/// Certificates arrive with the cluster; what a service believes without them is the assertion alone.
pub(super) async fn x9(world: &World) {
    let id = world.ana.id.to_string();
    let forged = [("x-user-id", id.as_str()), ("x-role", "admin"), ("x-forwarded-user", id.as_str())];
    assert_eq!(list_events(world, None, &forged).await, Err(Code::Unauthenticated));
    // An access token is for the gateway alone.
    assert_eq!(list_events(world, Some(&world.ana.token), &forged).await, Err(Code::Unauthenticated));
    let channel = bootstrap::grpc::channel(&world.shop.grpc_url(Service::Catalog)).unwrap();
    let delete = DeleteProductRequest { id: 1, expected_version: 1 };
    let mut request = bootstrap::grpc::request(delete, std::time::Duration::from_secs(5), None);
    request.metadata_mut().insert("x-role", "admin".parse().unwrap());
    let refused = CatalogServiceClient::new(channel).delete_product(request).await.unwrap_err();
    assert!(matches!(refused.code(), Code::Unauthenticated | Code::PermissionDenied), "{refused:?}");
    // A service may speak for itself, and for no user.
    let keys = &world.shop.keys;
    let mut claims = keys.assertion_claims("agenda", "customer", world.ana.id);
    claims["iss"] = json!("notifications");
    let invented = keys.sign_assertion("notifications", &keys.assertion_header("notifications"), &claims);
    assert_eq!(list_events(world, Some(&invented), &[]).await, Err(Code::Unauthenticated));
}

pub(super) async fn x10(world: &World) {
    let keys = &world.shop.keys;
    let good = keys.assertion("agenda", "customer", world.ana.id);
    assert!(list_events(world, Some(&good), &[]).await.is_ok());
    let elsewhere = keys.assertion("notifications", "customer", world.ana.id);
    assert_eq!(list_events(world, Some(&elsewhere), &[]).await, Err(Code::Unauthenticated));
    let mut late = keys.assertion_claims("agenda", "customer", world.ana.id);
    late["iat"] = json!(now() - 31);
    late["exp"] = json!(now() - 1);
    let late = keys.sign_assertion("gateway", &keys.assertion_header("gateway"), &late);
    assert_eq!(list_events(world, Some(&late), &[]).await, Err(Code::Unauthenticated));
    let mut long = keys.assertion_claims("agenda", "customer", world.ana.id);
    long["exp"] = json!(now() + 3_600);
    let long = keys.sign_assertion("gateway", &keys.assertion_header("gateway"), &long);
    assert_eq!(list_events(world, Some(&long), &[]).await, Err(Code::Unauthenticated), "an hour is no 30 s");
    let parts: Vec<&str> = good.split('.').collect();
    let mut claims: Value =
        serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(parts[1]).unwrap()).unwrap();
    claims["sub"] = json!(world.bia.id.to_string());
    let edited = format!("{}.{}.{}", parts[0], encode(&claims), parts[2]);
    assert_eq!(list_events(world, Some(&edited), &[]).await, Err(Code::Unauthenticated));
}

pub(super) async fn x19(world: &World) {
    let keys = &world.shop.keys;
    let claims = keys.claims("admin", world.admin.id);
    let signed = keys.sign(&keys.header(), &claims);
    let signature = signed.rsplit('.').next().unwrap();
    for algorithm in ["none", "None", "HS256", "HS512", "RS256", "ES256", "PS256", "EdDSA"] {
        let mut header = keys.header();
        header["alg"] = json!(algorithm);
        let head = format!("{}.{}", encode(&header), encode(&claims));
        if algorithm != "EdDSA" {
            // Rightly signed with our key, but under another name.
            opens_nothing(world, algorithm, &keys.sign(&header, &claims)).await;
            opens_nothing(world, algorithm, &format!("{head}.{signature}")).await;
        }
        opens_nothing(world, algorithm, &format!("{head}.")).await;
    }
    // HMAC with the public key as secret, as a confused verifier would check it.
    let mut header = keys.header();
    header["alg"] = json!("HS256");
    let head = format!("{}.{}", encode(&header), encode(&claims));
    let set: Value = serde_json::from_slice(&std::fs::read(&keys.jwks_file).unwrap()).unwrap();
    let public = BASE64_URL_SAFE_NO_PAD.decode(set["keys"][0]["x"].as_str().unwrap()).unwrap();
    let key = jsonwebtoken::EncodingKey::from_secret(&public);
    let mac = jsonwebtoken::crypto::sign(head.as_bytes(), &key, jsonwebtoken::Algorithm::HS256).unwrap();
    opens_nothing(world, "HS256 with the public key", &format!("{head}.{mac}")).await;
    // The right algorithm, another key.
    let stranger = testkit::jwt::key_set();
    opens_nothing(world, "another key", &stranger.token("admin", world.admin.id)).await;
}

pub(super) async fn x20(world: &World) {
    let keys = &world.shop.keys;
    let claims = keys.claims("admin", world.admin.id);
    let long = "k".repeat(10_000);
    for kid in ["nobody", "../../etc/passwd", "' OR 1=1 --", "", "test-1\0", long.as_str()] {
        let mut header = keys.header();
        header["kid"] = json!(kid);
        let token = keys.sign(&header, &claims);
        let answer = world.nobody().with_bearer(token).get("/api/v1/me").await;
        assert!(matches!(answer.status.as_u16(), 401 | 431), "{kid:.20}: {}", answer.status);
    }
    // Nobody may be asked for a key: the addresses are ours, and nobody comes.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let url = format!("http://{}/keys", listener.local_addr().unwrap());
    for (name, value) in [
        ("jku", json!(url)),
        ("x5u", json!(url)),
        ("jwk", json!({ "kty": "OKP", "crv": "Ed25519", "x": "AAAA" })),
        ("x5c", json!(["AAAA"])),
        ("crit", json!(["exp"])),
    ] {
        let mut header = keys.header();
        header[name] = value;
        opens_nothing(world, name, &keys.sign(&header, &claims)).await;
    }
    assert!(listener.accept().is_err(), "somebody asked for a key");
    let mut header = keys.header();
    header.as_object_mut().unwrap().remove("kid");
    opens_nothing(world, "no kid", &keys.sign(&header, &claims)).await;
}

pub(super) async fn x21(world: &World) {
    let keys = &world.shop.keys;
    for (what, name, value) in [
        ("expired", "exp", json!(now() - 31)),
        ("not yet", "nbf", json!(now() + 120)),
        ("issued in the future", "iat", json!(now() + 120)),
        ("year 9999", "exp", json!(253_402_300_799_i64)),
        ("no end", "exp", Value::Null),
        ("no beginning", "nbf", Value::Null),
    ] {
        let mut claims = keys.claims("customer", world.ana.id);
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(name);
        } else {
            claims[name] = value;
        }
        opens_nothing(world, what, &keys.sign(&keys.header(), &claims)).await;
    }
}

pub(super) async fn x22(world: &World) {
    let keys = &world.shop.keys;
    opens_nothing(world, "a refresh token", &world.new_session(&world.ana).await.refresh).await;
    opens_nothing(world, "an assertion", &keys.assertion("gateway", "customer", world.ana.id)).await;
    opens_nothing(world, "an assertion for a service", &keys.assertion("agenda", "admin", world.ana.id))
        .await;
    for (name, value) in [
        ("aud", "agenda"),
        ("aud", "https://elsewhere.example"),
        ("iss", "https://elsewhere.example"),
        ("iss", "gateway"),
    ] {
        let mut claims = keys.claims("customer", world.ana.id);
        claims[name] = json!(value);
        opens_nothing(world, name, &keys.sign(&keys.header(), &claims)).await;
    }
    for kind in ["JWT", "mc-assert+jwt", "rt+jwt", ""] {
        let mut header = keys.header();
        header["typ"] = json!(kind);
        opens_nothing(world, kind, &keys.sign(&header, &keys.claims("customer", world.ana.id))).await;
    }
    // And an access token renews nothing.
    let refreshed = crate::accounts::refresh(&world.nobody(), &world.ana.token).await;
    assert!(matches!(refreshed.status.as_u16(), 401 | 422), "{}", refreshed.text());
}

pub(super) async fn x23(world: &World) {
    let good = &world.ana.token;
    let parts: Vec<&str> = good.split('.').collect();
    let (header, claims, signature) = (parts[0], parts[1], parts[2]);
    let claims_json = String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
    let twice = format!("{{\"sub\":\"{}\",{}", world.bia.id, &claims_json[1..]);
    let twice = BASE64_URL_SAFE_NO_PAD.encode(twice);
    for (what, token) in [
        ("no signature", format!("{header}.{claims}.")),
        ("two parts", format!("{header}.{claims}")),
        ("a fourth part", format!("{good}.{signature}")),
        ("padding", format!("{header}.{claims}.{signature}==")),
        ("padding inside", format!("{header}=.{claims}.{signature}")),
        ("a claim twice", format!("{header}.{twice}.{signature}")),
        ("another signature", format!("{header}.{claims}.{}", "A".repeat(signature.len()))),
        ("an edited signature", format!("{header}.{claims}.{}", flip(signature))),
        ("nothing", ".".to_owned()),
        ("dots", "...".to_owned()),
        ("not base64", format!("{header}.!!!.{signature}")),
        ("white space", format!("{header}. {claims}.{signature}")),
    ] {
        opens_nothing(world, what, &token).await;
    }
    let huge = world.nobody().with_bearer("a".repeat(64 * 1024)).get("/api/v1/me").await;
    assert_eq!(huge.status, 431);
    let twice = world.shop.keys.sign(&world.shop.keys.header(), &json!({}));
    opens_nothing(world, "no claims", &twice).await;
}

/// The first letter decides more than padding bits.
fn flip(signature: &str) -> String {
    let other = if signature.starts_with('A') { "B" } else { "A" };
    format!("{other}{}", &signature[1..])
}

pub(super) async fn x24(world: &World) {
    let keys = &world.shop.keys;
    for (what, name, text) in [
        ("exp as text", "exp", "\"9999999999\""),
        ("nbf null", "nbf", "null"),
        ("exp negative", "exp", "-1"),
        ("exp beyond floats", "exp", "1e400"),
        ("exp as a list", "exp", "[9999999999]"),
        ("exp true", "exp", "true"),
        ("exp in an object", "exp", "{}"),
    ] {
        let claims = keys.claims("customer", world.ana.id);
        let old = format!("\"{name}\":{}", claims[name]);
        let claims = claims.to_string().replace(&old, &format!("\"{name}\":{text}"));
        let token = keys.sign_text(&keys.header().to_string(), &claims);
        opens_nothing(world, what, &token).await;
    }
}
