//! What services may state to each other about who is calling (X10, X22).

use std::time::Duration;

use rls::{
    AssertedUser, Asserter, Assertions, Caller, Environment, KeyError, Unauthenticated, UserId, UserRole,
    Verifier, stated_request_id,
};
use serde_json::{Value, json};
use testkit::eventually;
use testkit::jwt::{self, AUDIENCE, ISSUER, TestKeys};

fn assertions(keys: &TestKeys) -> Assertions {
    Assertions::from_jwks_file(&keys.assertions_file, "agenda").expect("a good key set")
}

fn bearer(token: impl AsRef<str>) -> String {
    format!("Bearer {}", token.as_ref())
}

fn user(role: UserRole) -> AssertedUser {
    AssertedUser { id: UserId(42), role, session_id: "s-1".to_owned(), auth_time: 1_700_000_000 }
}

/// An assertion that user 42 is calling, with one header or claim replaced, or removed by `null`.
fn spoiled(keys: &TestKeys, part: &str, name: &str, value: &Value) -> String {
    let (mut header, mut claims) =
        (keys.assertion_header("gateway"), keys.assertion_claims("agenda", "customer", 42));
    let object = if part == "header" { &mut header } else { &mut claims };
    let object = object.as_object_mut().expect("an object");
    if value.is_null() {
        object.remove(name)
    } else {
        object.insert(name.to_owned(), value.clone())
    };
    bearer(keys.sign_assertion("gateway", &header, &claims))
}

#[test]
fn the_gateway_states_users_and_itself() {
    let keys = jwt::key_set();
    let assertions = assertions(&keys);
    let gateway = Asserter::from_key_file(keys.assertion_key_file("gateway"), "gateway").expect("a key");

    let nobody = assertions.caller(None).expect("anonymous");
    assert_eq!((nobody.caller, nobody.user, nobody.issuer), (Caller::Anonymous, None, None));

    for (role, caller) in [
        (UserRole::Customer, Caller::User(UserId(42))),
        (UserRole::Staff, Caller::Staff(UserId(42))),
        (UserRole::Admin, Caller::Admin(UserId(42))),
    ] {
        let stated = assertions.caller(Some(&bearer(gateway.user("agenda", &user(role), "r-1"))));
        let stated = stated.expect("a good assertion");
        assert_eq!(stated.caller, caller);
        assert_eq!(stated.user, Some(user(role)));
        assert_eq!(stated.issuer.as_deref(), Some("gateway"));
        assert_eq!(stated.request_id.as_deref(), Some("r-1"));
    }
    let spoken = bearer(gateway.service("agenda", "r-2"));
    assert_eq!(stated_request_id(&spoken).as_deref(), Some("r-2"));
    for spoiled in ["", "Bearer", "Bearer a.b.c", "Bearer a"] {
        assert_eq!(stated_request_id(spoiled), None, "{spoiled}");
    }
    let stated = assertions.caller(Some(&bearer(gateway.service("agenda", "r-1")))).expect("good");
    assert_eq!((stated.caller, stated.user), (Caller::Service, None));
}

#[test]
fn the_gateway_states_guests_by_the_hash_of_their_token() {
    let keys = jwt::key_set();
    let assertions = assertions(&keys);
    let gateway = Asserter::from_key_file(keys.assertion_key_file("gateway"), "gateway").expect("a key");
    let hash: [u8; 32] = std::array::from_fn(|at| u8::try_from(at * 8).expect("small"));
    let guest = Caller::Guest { cart_token_sha256: hash };
    for token in [gateway.guest("agenda", &hash, "r-1"), keys.guest_assertion("agenda", hash)] {
        let stated = assertions.caller(Some(&bearer(token))).expect("a good assertion");
        assert_eq!((stated.caller, stated.user), (guest, None));
        assert_eq!(stated.issuer.as_deref(), Some("gateway"));
    }

    let good = "0a".repeat(32);
    for sub in
        ["", "42", &good[1..], &format!("{good}0"), &good.to_uppercase(), &"zz".repeat(32), &"+1".repeat(32)]
    {
        let mut claims = keys.assertion_claims("agenda", "guest", 1);
        claims["sub"] = json!(sub);
        let token = keys.sign_assertion("gateway", &keys.assertion_header("gateway"), &claims);
        assert_eq!(assertions.caller(Some(&bearer(token))), Err(Unauthenticated::Claims), "{sub}");
    }
}

#[test]
fn other_services_state_themselves_only() {
    let keys = jwt::key_set();
    let assertions = assertions(&keys);
    for issuer in ["accounts", "notifications", "orders"] {
        let service = Asserter::from_key_file(keys.assertion_key_file(issuer), issuer).expect("a key");
        let stated = assertions.caller(Some(&bearer(service.service("agenda", "r-1")))).expect("good");
        assert_eq!((stated.caller, stated.user), (Caller::Service, None));
        assert_eq!(stated.issuer.as_deref(), Some(issuer));

        for role in [UserRole::Customer, UserRole::Staff, UserRole::Admin] {
            let token = service.user("agenda", &user(role), "r-1");
            assert_eq!(assertions.caller(Some(&bearer(token))), Err(Unauthenticated::NotEntitled));
        }
        let guest = service.guest("agenda", &[7; 32], "r-1");
        assert_eq!(assertions.caller(Some(&bearer(guest))), Err(Unauthenticated::NotEntitled));
        // Its own key, under the gateway's name.
        let claims = keys.assertion_claims("agenda", "admin", 1);
        let token = keys.sign_assertion(issuer, &keys.assertion_header(issuer), &claims);
        assert_eq!(assertions.caller(Some(&bearer(token))), Err(Unauthenticated::Foreign));
        let token = keys.sign_assertion(issuer, &keys.assertion_header("gateway"), &claims);
        assert_eq!(assertions.caller(Some(&bearer(token))), Err(Unauthenticated::Signature));
    }
}

#[test]
fn what_was_meant_for_another_service_is_refused() {
    let keys = jwt::key_set();
    let gateway = Asserter::from_key_file(keys.assertion_key_file("gateway"), "gateway").expect("a key");
    for token in
        [gateway.service("accounts", "r-1"), gateway.user("accounts", &user(UserRole::Customer), "r-1")]
    {
        assert_eq!(assertions(&keys).caller(Some(&bearer(token))), Err(Unauthenticated::Foreign));
    }
}

#[test]
fn it_is_good_for_thirty_seconds_and_not_one_more() {
    let keys = jwt::key_set();
    let assertions = assertions(&keys);
    let at = |shift: i64| {
        let mut claims = keys.assertion_claims("agenda", "customer", 42);
        let iat = claims["iat"].as_i64().expect("a number") + shift;
        claims["iat"] = json!(iat);
        claims["exp"] = json!(iat + 30);
        let token = keys.sign_assertion("gateway", &keys.assertion_header("gateway"), &claims);
        assertions.caller(Some(&bearer(token)))
    };
    assert!(at(0).is_ok());
    assert!(at(-25).is_ok());
    assert_eq!(at(-30), Err(Unauthenticated::Expired));
    assert_eq!(at(-31), Err(Unauthenticated::Expired));
    assert!(at(25).is_ok(), "clocks may differ");
    assert_eq!(at(40), Err(Unauthenticated::NotYet));
}

#[test]
fn spoiled_headers_and_claims_are_refused() {
    let keys = jwt::key_set();
    let assertions = assertions(&keys);
    let check = |part: &str, name: &str, value: Value, expected: Unauthenticated| {
        let refused = assertions.caller(Some(&spoiled(&keys, part, name, &value)));
        assert_eq!(refused, Err(expected), "{part} {name} = {value}");
    };
    use Unauthenticated::{Claims, Foreign, Kind, UnknownKey};
    for typ in [json!("JWT"), json!("at+jwt"), json!("mc-assert"), Value::Null] {
        check("header", "typ", typ, Kind);
    }
    check("header", "alg", json!("HS256"), Kind);
    check("header", "kid", Value::Null, Kind);
    check("header", "kid", json!("gateway:another"), UnknownKey);
    check("header", "jku", json!("https://evil.example/jwks.json"), Kind);

    check("claims", "iss", json!("accounts"), Foreign);
    check("claims", "aud", json!("catalog"), Foreign);
    check("claims", "role", json!("root"), Claims);
    // A user's assertion does not become the gateway's own by its role alone.
    check("claims", "role", json!("service"), Claims);
    check("claims", "role", json!("guest"), Claims);
    check("claims", "exp", json!(i64::MAX), Claims);
    check("claims", "iat", json!(i64::MIN), Claims);
    check("claims", "sid", json!(""), Claims);
    for name in ["iss", "aud", "sub", "role", "sid", "auth_time", "rid", "iat", "exp"] {
        check("claims", name, Value::Null, Claims);
    }
    for sub in ["", "0", "-1", "gateway", "42x"] {
        check("claims", "sub", json!(sub), Claims);
    }
}

#[test]
fn edited_claims_and_strangers_are_refused() {
    let keys = jwt::key_set();
    let assertions = assertions(&keys);
    let customer = keys.assertion("agenda", "customer", 42);
    let admin = keys.assertion("agenda", "admin", 1);
    let parts = |token: &str| token.split('.').map(str::to_owned).collect::<Vec<_>>();
    let (customer, admin) = (parts(&customer), parts(&admin));
    let edited = format!("{}.{}.{}", customer[0], admin[1], customer[2]);
    assert_eq!(assertions.caller(Some(&bearer(edited))), Err(Unauthenticated::Signature));

    let strangers = jwt::key_set().assertion("agenda", "admin", 1);
    assert_eq!(assertions.caller(Some(&bearer(strangers))), Err(Unauthenticated::UnknownKey));
    for authorization in ["", "Bearer", "Basic YTpi", "Bearer a.b.c", &customer.join(".")] {
        assert!(assertions.caller(Some(authorization)).is_err(), "{authorization}");
    }
    let huge = bearer("A".repeat(5_000));
    assert_eq!(assertions.caller(Some(&huge)), Err(Unauthenticated::TooLong));
}

#[test]
fn an_access_token_is_no_assertion_and_an_assertion_no_access_token() {
    let keys = jwt::key_set();
    assert_eq!(
        assertions(&keys).caller(Some(&keys.bearer("admin", 1))),
        Err(Unauthenticated::Kind),
        "an access token"
    );
    // Not even when both are verified with the same keys.
    let tokens = |file| {
        Verifier::from_jwks_file(file, ISSUER, AUDIENCE, Environment::Development).expect("a good key set")
    };
    let assertion = keys.assertion("agenda", "admin", 1);
    assert_eq!(tokens(&keys.jwks_file).token(&assertion), Err(Unauthenticated::Kind));
    assert_eq!(tokens(&keys.assertions_file).token(&assertion), Err(Unauthenticated::Kind));
    let same_keys = Assertions::from_jwks_file(&keys.jwks_file, "agenda").expect("a good key set");
    assert_eq!(same_keys.caller(Some(&keys.bearer("admin", 1))), Err(Unauthenticated::Kind));
}

#[tokio::test]
async fn a_new_key_set_counts_within_seconds() {
    let (keys, next) = (jwt::key_set(), jwt::key_set());
    let assertions = assertions(&keys);
    assert!(assertions.caller(Some(&bearer(keys.assertion("agenda", "admin", 1)))).is_ok());
    std::fs::copy(&next.assertions_file, &keys.assertions_file).expect("the file can be written");
    eventually(Duration::from_secs(10), "the new key counts", async || {
        assertions.caller(Some(&bearer(next.assertion("agenda", "admin", 1)))).ok()
    })
    .await;
    assert_eq!(
        assertions.caller(Some(&bearer(keys.assertion("agenda", "admin", 1)))),
        Err(Unauthenticated::UnknownKey)
    );
}

#[test]
fn a_file_without_a_key_is_refused_and_not_shown() {
    let keys = jwt::key_set();
    let file = keys.assertion_key_file("accounts");
    let good = std::fs::read_to_string(&file).expect("a key");
    let asserter = Asserter::from_key_file(&file, "accounts").expect("a key");
    let secret = good.lines().nth(1).expect("the key's only line");
    assert!(!format!("{asserter:?}").contains(secret));

    let spoiled = good.replace(secret, &secret[..20]);
    for content in ["", "secret", &spoiled] {
        std::fs::write(&file, content).expect("the file can be written");
        let refused = Asserter::from_key_file(&file, "accounts").expect_err(content);
        assert!(matches!(refused, KeyError::Parse { .. }));
        assert!(!format!("{refused:?} {refused}").contains(&secret[..20]));
    }
    std::fs::remove_file(&file).expect("the file is there");
    assert!(matches!(Asserter::from_key_file(&file, "accounts"), Err(KeyError::Read { .. })));
}
