//! Which tokens say who is calling, and which do not.

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use rls::{AssertedUser, Caller, Environment, KeySetError, Unauthenticated, UserId, UserRole, Verifier};
use serde_json::{Value, json};
use testkit::eventually;
use testkit::jwt::{self, AUDIENCE, ISSUER, TestKeys};

fn verifier(keys: &TestKeys) -> Verifier {
    Verifier::from_jwks_file(&keys.jwks_file, ISSUER, AUDIENCE, Environment::Development)
        .expect("a good key set")
}

#[test]
fn a_good_token_is_its_user() {
    let keys = jwt::key_set();
    let verifier = verifier(&keys);
    assert_eq!(verifier.caller(None), Ok(Caller::Anonymous));
    for (role, caller) in [
        ("customer", Caller::User(UserId(42))),
        ("staff", Caller::Staff(UserId(42))),
        ("admin", Caller::Admin(UserId(42))),
    ] {
        let bearer = keys.bearer(role, 42);
        assert_eq!(verifier.caller(Some(&bearer)), Ok(caller));
        assert_eq!(verifier.caller(Some(&bearer)), Ok(caller), "from memory");
        assert_eq!(verifier.caller(Some(&bearer.replace("Bearer", "bearer"))), Ok(caller));
    }
}

#[test]
fn a_token_tells_its_session_and_when_its_user_signed_in() {
    let keys = jwt::key_set();
    let verifier = verifier(&keys);
    let mut claims = keys.claims("staff", 42);
    let issued_at = claims["iat"].as_i64().expect("a number");
    let session_id = claims["sid"].as_str().expect("a string").to_owned();

    for (stated, auth_time) in [(None, issued_at), (Some(issued_at - 900), issued_at - 900)] {
        if let Some(stated) = stated {
            claims["auth_time"] = json!(stated);
        }
        let token = keys.sign(&keys.header(), &claims);
        for time in ["first", "from memory"] {
            let authentic = verifier.token(&token).expect(time);
            assert_eq!(authentic.auth_time, auth_time, "{time}");
            assert_eq!((authentic.issued_at, authentic.expires_at), (issued_at, issued_at + 300), "{time}");
            let user = AssertedUser {
                id: UserId(42),
                role: UserRole::Staff,
                session_id: session_id.clone(),
                auth_time,
            };
            assert_eq!(authentic.user(), Some(user), "{time}");
        }
    }
}

/// A token of `keys` with one header or claim replaced, or removed by `null`.
fn spoiled(keys: &TestKeys, part: &str, name: &str, value: Value) -> String {
    let (mut header, mut claims) = (keys.header(), keys.claims("customer", 42));
    let object = if part == "header" { &mut header } else { &mut claims };
    let object = object.as_object_mut().expect("an object");
    if value.is_null() {
        object.remove(name)
    } else {
        object.insert(name.to_owned(), value)
    };
    keys.sign(&header, &claims)
}

#[test]
fn spoiled_headers_and_claims_are_refused() {
    let keys = jwt::key_set();
    let verifier = verifier(&keys);
    let now = keys.claims("customer", 42)["iat"].as_i64().expect("a number");
    let check = |part: &str, name: &str, value: Value, expected: &[Unauthenticated]| {
        let token = spoiled(&keys, part, name, value.clone());
        let refused = verifier.token(&token).expect_err(&format!("{part} {name} = {value}"));
        assert!(expected.contains(&refused), "{part} {name} = {value}: {refused:?}");
        assert_eq!(verifier.token(&token), Err(refused), "asked again");
    };
    use Unauthenticated::{Claims, Expired, Foreign, Kind, Malformed, NotYet, UnknownKey};
    check("header", "typ", json!("JWT"), &[Kind]);
    check("header", "typ", Value::Null, &[Kind]);
    check("header", "kid", json!("another"), &[UnknownKey]);
    check("header", "kid", Value::Null, &[Kind]);
    check("header", "alg", json!("none"), &[Kind, Malformed, Claims]);
    check("header", "alg", json!("HS256"), &[Kind]);
    check("header", "alg", json!("ES256"), &[Kind]);
    check("header", "crit", json!(["exp"]), &[Kind]);
    check("header", "jku", json!("https://evil.example/jwks.json"), &[Kind]);
    check("header", "x5u", json!("https://evil.example/cert.pem"), &[Kind]);

    check("claims", "exp", json!(now - 31), &[Expired]);
    check("claims", "nbf", json!(now + 60), &[NotYet]);
    check("claims", "iat", json!(now + 60), &[NotYet]);
    check("claims", "aud", json!("another shop"), &[Foreign]);
    check("claims", "iss", json!("https://evil.example"), &[Foreign]);
    for name in ["iss", "aud", "sub", "exp", "iat", "nbf", "jti", "sid", "role"] {
        check("claims", name, Value::Null, &[Claims]);
    }
    for sub in ["", "0", "-1", "42x", "9999999999999999999"] {
        check("claims", "sub", json!(sub), &[Claims]);
    }
    for role in ["service", "root", "Admin", ""] {
        check("claims", "role", json!(role), &[Claims]);
    }
    check("claims", "exp", json!("tomorrow"), &[Claims]);
    check("claims", "sid", json!(""), &[Claims]);
    check("claims", "auth_time", json!(now + 60), &[Claims]);
    check("claims", "auth_time", json!("lately"), &[Claims]);
}

#[test]
fn clocks_may_differ_by_half_a_minute() {
    let keys = jwt::key_set();
    let verifier = verifier(&keys);
    let now = keys.claims("customer", 42)["iat"].as_i64().expect("a number");
    assert!(verifier.token(&spoiled(&keys, "claims", "exp", json!(now - 20))).is_ok());
    assert!(verifier.token(&spoiled(&keys, "claims", "nbf", json!(now + 20))).is_ok());
    assert!(verifier.token(&spoiled(&keys, "claims", "iat", json!(now + 20))).is_ok());
}

#[test]
fn what_is_no_token_is_refused() {
    let keys = jwt::key_set();
    let verifier = verifier(&keys);
    let good = keys.token("admin", 1);
    let part = |value: Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let claims = part(keys.claims("admin", 1));

    let header = keys.header();
    let kid = header["kid"].as_str().expect("a string");

    for authorization in
        ["", "Bearer", "Basic YTpi", &good, "Bearer a b", "Bearer  ", "Bearer ..", "Bearer a.b.c"]
    {
        assert!(verifier.caller(Some(authorization)).is_err(), "{authorization}");
    }
    let unsigned = format!("{}.{claims}.", part(json!({ "alg": "none", "typ": "at+jwt", "kid": kid })));
    assert!(verifier.token(&unsigned).is_err());
    // The public key as a shared secret: the oldest trick of all.
    let confused = jsonwebtoken::encode(
        &jsonwebtoken::Header {
            typ: Some("at+jwt".to_owned()),
            kid: Some(kid.to_owned()),
            ..jsonwebtoken::Header::new(jsonwebtoken::Algorithm::HS256)
        },
        &keys.claims("admin", 1),
        &jsonwebtoken::EncodingKey::from_secret(&std::fs::read(&keys.jwks_file).expect("the public keys")),
    );
    assert_eq!(verifier.token(&confused.expect("signed")), Err(Unauthenticated::Kind));

    let (signed, signature) = good.rsplit_once('.').expect("three parts");
    let mut other = signature.to_owned().into_bytes();
    other[10] = if other[10] == b'A' { b'B' } else { b'A' };
    let tampered = format!("{signed}.{}", String::from_utf8(other).expect("letters"));
    assert_eq!(verifier.token(&tampered), Err(Unauthenticated::Signature));

    let strangers = jwt::key_set();
    assert_eq!(verifier.token(&strangers.token("admin", 1)), Err(Unauthenticated::UnknownKey));
    let named_like_ours = strangers.sign(&header, &keys.claims("admin", 1));
    assert_eq!(verifier.token(&named_like_ours), Err(Unauthenticated::Signature));

    let huge = format!("{good}{}", "A".repeat(5_000));
    assert_eq!(verifier.token(&huge), Err(Unauthenticated::TooLong));
}

#[test]
fn development_tokens_are_refused_in_production() {
    let keys = jwt::key_set();
    for issuer in ["https://mestrescafe.dev", "https://mestrescafe.dev/"] {
        let refused = Verifier::from_jwks_file(&keys.jwks_file, issuer, AUDIENCE, Environment::Production);
        assert!(matches!(refused, Err(KeySetError::DevelopmentIssuer { .. })), "{issuer}");
    }
    let issuer = "https://mestrescafe.com.br";
    assert!(Verifier::from_jwks_file(&keys.jwks_file, issuer, AUDIENCE, Environment::Production).is_ok());
}

#[test]
fn a_key_set_without_a_key_is_refused() {
    let keys = jwt::key_set();
    let open = || Verifier::from_jwks_file(&keys.jwks_file, ISSUER, AUDIENCE, Environment::Development);
    for (content, expected) in [
        ("not json", "Parse"),
        ("{}", "Parse"),
        (r#"{"keys":[]}"#, "Empty"),
        (r#"{"keys":[{"kty":"oct","k":"c2VjcmV0","kid":"a","alg":"HS256"}]}"#, "Empty"),
    ] {
        std::fs::write(&keys.jwks_file, content).expect("the file can be written");
        let refused = format!("{:?}", open().expect_err(content));
        assert!(refused.starts_with(expected), "{content}: {refused}");
    }
    std::fs::remove_file(&keys.jwks_file).expect("the file is there");
    assert!(matches!(open(), Err(KeySetError::Read { .. })));
}

#[tokio::test]
async fn a_new_key_set_counts_within_seconds_and_ends_what_the_old_one_verified() {
    let (keys, next) = (jwt::key_set(), jwt::key_set());
    let verifier = verifier(&keys);
    let (old_token, new_token) = (keys.token("admin", 1), next.token("admin", 2));
    assert_eq!(verifier.token(&old_token).map(|token| token.caller), Ok(Caller::Admin(UserId(1))));

    // A broken file changes nothing.
    std::fs::write(&keys.jwks_file, "{").expect("the file can be written");
    std::fs::copy(&next.jwks_file, &keys.jwks_file).expect("the file can be written");
    eventually(Duration::from_secs(10), "the new key counts", async || verifier.token(&new_token).ok()).await;
    assert_eq!(
        verifier.token(&old_token),
        Err(Unauthenticated::UnknownKey),
        "it was verified by a key that is gone"
    );
}
