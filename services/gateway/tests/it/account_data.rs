//! The routes of people's data: what each answers, what it refuses, and that changes are seen at once.

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::people::{JOB, SESSION};
use crate::shop::{Shop, check_problem, header};

fn as_user(shop: &Shop, user: i64, method: Method, target: &str) -> RequestBuilder {
    let token = shop.gateway.keys.bearer("customer", user);
    shop.gateway.request(method, target).header("authorization", token)
}

fn as_admin(shop: &Shop, method: Method, target: &str) -> RequestBuilder {
    shop.request_as("admin", method, target)
}

async fn status(request: RequestBuilder) -> u16 {
    request.send().await.expect("an answer").status().as_u16()
}

async fn problem(request: RequestBuilder, status: u16, code: &str) -> Value {
    check_problem(request.send().await.expect("an answer"), status, code).await
}

async fn data(request: RequestBuilder) -> Value {
    let answer: Value = request.send().await.expect("an answer").json().await.expect("JSON");
    answer["data"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_is_changed_by_version_and_read_back_at_once() {
    let shop = Shop::open().await;
    let me = |method| as_user(&shop, 7, method, "/api/v1/me");
    let read = data(me(Method::GET)).await;
    assert_eq!((&read["user"]["name"], &read["user"]["version"]), (&json!("Pessoa 7"), &json!(1)));
    assert_eq!(header(&me(Method::GET).send().await.expect("an answer"), "x-cache"), "L1");

    let name = json!({"name": "Ana"});
    problem(me(Method::PATCH).json(&name), 428, "precondition_required").await;
    for stale in ["\"u-7-v2\"", "\"u-8-v1\"", "W/\"u-7-v1\"", "\"x\"", "\"u-7-v2\", \"u-7-v3\""] {
        let refused =
            problem(me(Method::PATCH).header("if-match", stale).json(&name), 412, "precondition_failed");
        assert_eq!(refused.await["current"]["user"]["version"], json!(1), "{stale}");
    }
    let with = |body: Value| me(Method::PATCH).header("if-match", "\"u-7-v1\"").json(&body);
    for wrong in
        [json!({"name": ""}), json!({"role": "admin"}), json!({"name": null}), json!({"locale": "fr"})]
    {
        problem(with(wrong), 422, "validation_failed").await;
    }
    let changed = with(name).send().await.expect("an answer");
    assert_eq!((changed.status().as_u16(), header(&changed, "etag")), (200, "\"u-7-v2\""));
    let token = header(&changed, "x-cache-token").to_owned();
    let read = data(me(Method::GET).header("x-cache-token", token)).await;
    assert_eq!((&read["user"]["name"], &read["user"]["version"]), (&json!("Ana"), &json!(2)));

    // `*` and one of several are decided by the current version.
    for (tag, version) in [("*", 3), ("\"u-7-v1\", \"u-7-v3\"", 4)] {
        let changed = me(Method::PATCH).header("if-match", tag).json(&json!({"locale": "en"}));
        assert_eq!(data(changed).await["user"]["version"], json!(version), "{tag}");
    }
    let other = data(as_user(&shop, 8, Method::GET, "/api/v1/me")).await;
    assert_eq!(other["user"]["name"], json!("Pessoa 8"));
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_are_their_owners() {
    let shop = Shop::open().await;
    let list = |user| as_user(&shop, user, Method::GET, "/api/v1/me/addresses");
    assert_eq!(data(list(7)).await["addresses"], json!([]));
    let create = |body: Value| as_user(&shop, 7, Method::POST, "/api/v1/me/addresses").json(&body);
    let missing = problem(create(json!({"line1": "Rua A, 1", "zip": "1"})), 422, "validation_failed").await;
    let mut pointers: Vec<_> =
        missing["errors"].as_array().expect("errors").iter().map(|error| error["pointer"].clone()).collect();
    pointers.sort_by_key(Value::to_string);
    assert_eq!(pointers, [json!("/postal_code"), json!("/recipient"), json!("/zip")]);

    let body = json!({"recipient": "Ana", "line1": "Rua A, 1", "postal_code": "01310-100", "label": "Casa"});
    let made = create(body).send().await.expect("an answer");
    assert_eq!((made.status().as_u16(), header(&made, "etag")), (201, "\"ad-1-v1\""));
    assert_eq!(header(&made, "location"), "/api/v1/me/addresses/1");
    let token = header(&made, "x-cache-token").to_owned();
    let read = data(list(7).header("x-cache-token", token)).await;
    assert_eq!(read["addresses"][0]["label"], json!("Casa"));
    assert_eq!(data(list(8)).await["addresses"], json!([]));

    let one = |user, method| as_user(&shop, user, method, "/api/v1/me/addresses/1");
    let patch = json!({"label": null});
    problem(one(8, Method::PATCH).json(&patch), 404, "not_found").await;
    problem(one(8, Method::DELETE), 404, "not_found").await;
    let stale = one(7, Method::PATCH).header("if-match", "\"ad-1-v9\"").json(&patch);
    assert_eq!(problem(stale, 412, "precondition_failed").await["current"]["address"]["version"], json!(1));
    let changed = data(one(7, Method::PATCH).header("if-match", "\"ad-1-v1\"").json(&patch)).await;
    assert_eq!((&changed["address"]["label"], &changed["address"]["version"]), (&json!(null), &json!(2)));
    problem(one(7, Method::DELETE).header("if-match", "\"ad-1-v1\""), 412, "precondition_failed").await;
    let gone = one(7, Method::DELETE).send().await.expect("an answer");
    assert_eq!(gone.status(), 204);
    let token = header(&gone, "x-cache-token").to_owned();
    assert_eq!(data(list(7).header("x-cache-token", token)).await["addresses"], json!([]));
    problem(one(7, Method::DELETE), 404, "not_found").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_is_ended_proves_nothing_from_then_on() {
    let shop = Shop::open().await;
    let keys = &shop.gateway.keys;
    let mut claims = keys.claims("customer", 7);
    claims["sid"] = json!(SESSION);
    let token = format!("Bearer {}", keys.sign(&keys.header(), &claims));
    let with_it = |target| shop.gateway.request(Method::GET, target).header("authorization", token.clone());
    let sessions = data(with_it("/api/v1/me/sessions")).await;
    assert_eq!(sessions["sessions"][0]["id"], json!(SESSION));

    let end = |user, id: &str| as_user(&shop, user, Method::DELETE, &format!("/api/v1/me/sessions/{id}"));
    problem(end(8, SESSION), 404, "not_found").await;
    problem(end(7, "nonsense"), 404, "not_found").await;
    assert_eq!(status(with_it("/api/v1/me")).await, 200);
    assert_eq!(status(end(7, SESSION)).await, 204);
    problem(with_it("/api/v1/me"), 401, "unauthenticated").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn people_get_their_data() {
    let shop = Shop::open().await;
    let started = as_user(&shop, 7, Method::GET, "/api/v1/me/data").send().await.expect("an answer");
    let location = format!("/api/v1/me/data/{JOB}");
    assert_eq!((started.status().as_u16(), header(&started, "location")), (202, location.as_str()));
    let job = data(as_user(&shop, 7, Method::GET, &location)).await;
    assert_eq!(job["job"]["state"], json!("done"));
    assert_eq!(job["job"]["document"]["accounts"]["name"], json!("Pessoa 7"));
    problem(as_user(&shop, 8, Method::GET, &location), 404, "not_found").await;
    problem(as_user(&shop, 7, Method::DELETE, "/api/v1/me/data"), 403, "step_up_required").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_in_particular_has_no_data() {
    let shop = Shop::open().await;
    for (method, target) in [
        (Method::GET, "/api/v1/me"),
        (Method::PATCH, "/api/v1/me"),
        (Method::GET, "/api/v1/me/addresses"),
        (Method::POST, "/api/v1/me/addresses"),
        (Method::PATCH, "/api/v1/me/addresses/1"),
        (Method::DELETE, "/api/v1/me/addresses/1"),
        (Method::GET, "/api/v1/me/sessions"),
        (Method::DELETE, "/api/v1/me/sessions/0190a5a0-0000-7000-8000-000000000007"),
        (Method::GET, "/api/v1/me/data"),
        (Method::DELETE, "/api/v1/me/data"),
        (Method::GET, "/api/v1/me/data/0190a5a0-0000-7000-8000-000000000001"),
        (Method::GET, "/api/v1/admin/users"),
        (Method::GET, "/api/v1/admin/users/7"),
        (Method::PATCH, "/api/v1/admin/users/7"),
        (Method::POST, "/api/v1/admin/users/7/lock"),
    ] {
        problem(shop.gateway.request(method.clone(), target), 401, "unauthenticated").await;
        if target.starts_with("/api/v1/admin") {
            for role in ["customer", "staff"] {
                problem(shop.request_as(role, method.clone(), target), 403, "forbidden").await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn admins_change_users_by_version() {
    let shop = Shop::open().await;
    let users = data(as_admin(&shop, Method::GET, "/api/v1/admin/users?search=8")).await;
    assert_eq!(users["users"].as_array().map(Vec::len), Some(1));
    assert_eq!((&users["users"][0]["id"], &users["pagination"]["total"]), (&json!(8), &json!(1)));
    problem(as_admin(&shop, Method::GET, "/api/v1/admin/users?role=boss"), 400, "invalid_parameter").await;

    let one = |method| as_admin(&shop, method, "/api/v1/admin/users/8");
    let read = one(Method::GET).send().await.expect("an answer");
    let etag = header(&read, "etag").to_owned();
    assert_eq!(etag, "\"u-8-v1\"");
    assert_eq!(status(one(Method::GET).header("if-none-match", &etag)).await, 304);
    problem(as_admin(&shop, Method::GET, "/api/v1/admin/users/101"), 404, "not_found").await;

    let patch = json!({"role": "staff"});
    problem(one(Method::PATCH).json(&patch), 428, "precondition_required").await;
    problem(one(Method::PATCH).header("if-match", "\"u-8-v5\"").json(&patch), 412, "precondition_failed")
        .await;
    problem(
        one(Method::PATCH).header("if-match", &etag).json(&json!({"role": "boss"})),
        422,
        "validation_failed",
    )
    .await;
    let changed = data(one(Method::PATCH).header("if-match", &etag).json(&patch)).await;
    assert_eq!((&changed["user"]["role"], &changed["user"]["version"]), (&json!("staff"), &json!(2)));
}

/// A lower role and a lock count at this gateway before the admin has the answer.
#[tokio::test(flavor = "multi_thread")]
async fn what_an_admin_takes_away_is_gone_at_once() {
    let shop = Shop::open().await;
    let keys = &shop.gateway.keys;
    let staff_page = "/api/v1/admin/products";
    let as_staff =
        || shop.gateway.request(Method::GET, staff_page).header("authorization", keys.bearer("staff", 8));
    assert_eq!(status(as_staff()).await, 200);
    let lower = as_admin(&shop, Method::PATCH, "/api/v1/admin/users/8").header("if-match", "\"u-8-v1\"");
    assert_eq!(status(lower.json(&json!({"role": "customer"}))).await, 200);
    problem(as_staff(), 403, "forbidden").await;

    let mut claims = keys.claims("customer", 8);
    claims["sid"] = json!(SESSION);
    let token = format!("Bearer {}", keys.sign(&keys.header(), &claims));
    let me = || shop.gateway.request(Method::GET, "/api/v1/me").header("authorization", token.clone());
    assert_eq!(status(me()).await, 200);
    let lock = |body: Value| as_admin(&shop, Method::POST, "/api/v1/admin/users/8/lock").json(&body);
    problem(lock(json!({"locked": true})), 422, "validation_failed").await;
    let locked = data(lock(json!({"locked": true, "reason": "fraude"}))).await;
    assert_eq!((&locked["user"]["locked"], &locked["user"]["version"]), (&json!(true), &json!(3)));
    problem(me(), 401, "unauthenticated").await;
    let stale = lock(json!({"locked": false, "reason": "engano"})).header("if-match", "\"u-8-v2\"");
    problem(stale, 412, "precondition_failed").await;
}
