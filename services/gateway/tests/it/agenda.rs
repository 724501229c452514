//! The agenda by HTTP: each route's success, refusal, other user, stale version and repetition, and that a
//! writer reads what was written.

use reqwest::{Method, Response};
use serde_json::{Value, json};
use tonic::Code;

use crate::shop::{Shop, check_problem, header};

const ANA: i64 = 42;
const BIA: i64 = 43;

/// The three resources, each on both of its paths.
const COLLECTIONS: [&str; 6] = [
    "/api/events",
    "/api/professionals",
    "/api/reports",
    "/api/v1/agenda/events",
    "/api/v1/agenda/professionals",
    "/api/v1/agenda/reports",
];

async fn send(shop: &Shop, user: i64, method: Method, target: &str) -> Response {
    let bearer = shop.gateway.keys.bearer("customer", user);
    let request = shop.gateway.request(method, target).header("authorization", bearer);
    request.send().await.expect("the gateway answers")
}

async fn get(shop: &Shop, user: i64, target: &str) -> Response {
    send(shop, user, Method::GET, target).await
}

async fn write(
    shop: &Shop,
    user: i64,
    method: Method,
    target: &str,
    if_match: Option<&str>,
    body: Value,
) -> Response {
    let bearer = shop.gateway.keys.bearer("customer", user);
    let mut request = shop.gateway.request(method, target).header("authorization", bearer).json(&body);
    if let Some(tag) = if_match {
        request = request.header("if-match", tag);
    }
    request.send().await.expect("the gateway answers")
}

async fn post(shop: &Shop, user: i64, target: &str, body: Value) -> Response {
    write(shop, user, Method::POST, target, None, body).await
}

async fn delete(shop: &Shop, user: i64, target: &str, if_match: Option<&str>) -> Response {
    let bearer = shop.gateway.keys.bearer("customer", user);
    let mut request = shop.gateway.request(Method::DELETE, target).header("authorization", bearer);
    if let Some(tag) = if_match {
        request = request.header("if-match", tag);
    }
    request.send().await.expect("the gateway answers")
}

async fn json_of(response: Response) -> Value {
    response.json().await.expect("the body is JSON")
}

fn event(title: &str) -> Value {
    json!({
        "title": title, "kind": "cupping",
        "startsAt": "2026-05-02T14:00:00-03:00", "endsAt": "2026-05-02T18:00:00Z",
    })
}

fn report(title: &str) -> Value {
    let scores = json!({
        "fragrance": 8.5, "flavor": 8, "aftertaste": 7.8, "acidity": 0, "body": 10, "balance": 8.1,
        "uniformity": 10, "clean_cup": 10, "sweetness": 10, "overall": 8.4,
    });
    json!({ "receiverId": BIA, "title": title, "scores": scores })
}

/// A good body for a new thing of the collection.
fn body_for(collection: &str) -> Value {
    match collection.rsplit('/').next() {
        Some("events") => event("x"),
        Some("professionals") => json!({ "name": "Helena", "specialty": "q_grader" }),
        _ => report("x"),
    }
}

/// The same for a replacement: the receiver of a report stays.
fn replacement_for(collection: &str) -> Value {
    let mut body = body_for(collection);
    body.as_object_mut().expect("an object").remove("receiverId");
    body["title"] = json!("novo");
    if collection.ends_with("professionals") {
        body = json!({ "name": "Zeca", "specialty": "barista" });
    }
    body
}

/// The one object of an answer, whatever the path's form.
fn object(collection: &str, answer: &Value) -> Value {
    let member = collection.rsplit('/').next().expect("a path").trim_end_matches('s');
    if collection.starts_with("/api/v1/") { answer["data"][member].clone() } else { answer.clone() }
}

/// The rows of an answer, whatever the path's form.
fn rows(collection: &str, answer: &Value) -> Vec<Value> {
    let member = collection.rsplit('/').next().expect("a path");
    let rows = if collection.starts_with("/api/v1/") { &answer["data"][member] } else { answer };
    rows.as_array().expect("a list").clone()
}

#[tokio::test]
async fn a_writer_reads_the_write_on_every_path() {
    let shop = Shop::open().await;
    for collection in COLLECTIONS {
        // Warm, and empty.
        assert_eq!(
            rows(collection, &json_of(get(&shop, ANA, collection).await).await).len(),
            0,
            "{collection}"
        );

        let made = post(&shop, ANA, collection, body_for(collection)).await;
        assert_eq!(made.status(), 201, "{collection}");
        let (location, tag) = (header(&made, "location").to_owned(), header(&made, "etag").to_owned());
        let made = object(collection, &json_of(made).await);
        assert_eq!(location, format!("{collection}/{}", made["id"]));
        assert!(tag.ends_with("-v1\"") && made["version"] == 1, "{collection} {tag} {made}");
        let listed = rows(collection, &json_of(get(&shop, ANA, collection).await).await);
        assert_eq!(listed, std::slice::from_ref(&made), "{collection}");
        let read = get(&shop, ANA, &location).await;
        let read_tag = header(&read, "etag").to_owned();
        assert_eq!(object(collection, &json_of(read).await), made, "{collection}");

        // Without the version, with a stale one, with the right one.
        let new = replacement_for(collection);
        let unsaid = write(&shop, ANA, Method::PUT, &location, None, new.clone()).await;
        check_problem(unsaid, 428, "precondition_required").await;
        let replaced = write(&shop, ANA, Method::PUT, &location, Some(&tag), new.clone()).await;
        assert_eq!(replaced.status(), 200, "{collection}");
        let new_tag = header(&replaced, "etag").to_owned();
        assert!(new_tag.ends_with("-v2\""), "{new_tag}");
        let replaced = object(collection, &json_of(replaced).await);
        let listed = rows(collection, &json_of(get(&shop, ANA, collection).await).await);
        assert_eq!(listed, std::slice::from_ref(&replaced), "{collection}");
        for stale in [tag.as_str(), read_tag.as_str(), "\"e-0-v2\"", "W/\"x\""] {
            let refused = write(&shop, ANA, Method::PUT, &location, Some(stale), new.clone()).await;
            assert_eq!(header(&refused, "etag"), new_tag, "{stale}");
            let problem = check_problem(refused, 412, "precondition_failed").await;
            let current = json!({ "data": problem["current"] });
            let current = if collection.starts_with("/api/v1/") { &current } else { &problem["current"] };
            assert_eq!(object(collection, current), replaced, "{collection}");
        }

        // What a cached read was tagged with names the version too, in both forms.
        let read_tag = header(&get(&shop, ANA, &location).await, "etag").to_owned();
        let again = write(&shop, ANA, Method::PUT, &location, Some(&read_tag), new).await;
        assert_eq!(again.status(), 200, "{collection} {read_tag}");
        let last_tag = header(&again, "etag").to_owned();

        check_problem(delete(&shop, ANA, &location, None).await, 428, "precondition_required").await;
        check_problem(delete(&shop, ANA, &location, Some(&tag)).await, 412, "precondition_failed").await;
        let gone = delete(&shop, ANA, &location, Some(&last_tag)).await;
        assert_eq!((gone.status().as_u16(), gone.content_length()), (204, Some(0)), "{collection}");
        check_problem(get(&shop, ANA, &location).await, 404, "not_found").await;
        assert_eq!(rows(collection, &json_of(get(&shop, ANA, collection).await).await).len(), 0);
        // Twice.
        check_problem(delete(&shop, ANA, &location, Some(&last_tag)).await, 404, "not_found").await;
    }
}

#[tokio::test]
async fn strangers_and_nobody_get_the_answer_of_what_is_missing() {
    let shop = Shop::open().await;
    for collection in COLLECTIONS {
        let made = post(&shop, ANA, collection, body_for(collection)).await;
        let (location, tag) = (header(&made, "location").to_owned(), header(&made, "etag").to_owned());
        assert_eq!(get(&shop, ANA, &location).await.status(), 200, "warm for her");
        let missing = format!("{collection}/999999");
        let missing_tag = tag.replace(location.rsplit('/').next().expect("an id"), "999999");
        for (theirs, none) in [(&location, &missing)] {
            let mut foreign = check_problem(get(&shop, 99, theirs).await, 404, "not_found").await;
            let mut absent = check_problem(get(&shop, 99, none).await, 404, "not_found").await;
            for problem in [&mut foreign, &mut absent] {
                problem["request_id"] = Value::Null;
                problem["instance"] = Value::Null;
            }
            assert_eq!(foreign, absent, "{collection}");
        }
        let body = replacement_for(collection);
        let foreign = write(&shop, 99, Method::PUT, &location, Some(&tag), body.clone()).await;
        check_problem(foreign, 404, "not_found").await;
        let absent = write(&shop, 99, Method::PUT, &missing, Some(&missing_tag), body.clone()).await;
        check_problem(absent, 404, "not_found").await;
        // Not even with `*` or another tag, for which the current one is looked at.
        for tag in ["*", "\"anything\""] {
            let foreign = write(&shop, 99, Method::PUT, &location, Some(tag), body.clone()).await;
            check_problem(foreign, 404, "not_found").await;
            check_problem(delete(&shop, 99, &location, Some(tag)).await, 404, "not_found").await;
        }
        check_problem(delete(&shop, 99, &location, Some(&tag)).await, 404, "not_found").await;
        assert_eq!(rows(collection, &json_of(get(&shop, 99, collection).await).await).len(), 0);

        // Nobody in particular is told to say who they are, whatever else is wrong.
        for (method, target) in [
            (Method::GET, collection),
            (Method::POST, collection),
            (Method::GET, &location),
            (Method::PUT, &location),
            (Method::DELETE, &location),
        ] {
            let answer = shop.gateway.request(method, target).send().await.expect("the gateway answers");
            check_problem(answer, 401, "unauthenticated").await;
        }
        assert_eq!(get(&shop, ANA, &location).await.status(), 200, "still there");
    }
    for calendar in ["/api/events.ics", "/api/v1/agenda/events.ics"] {
        check_problem(shop.get(calendar).await, 401, "unauthenticated").await;
    }
}

#[tokio::test]
async fn both_forms_come_from_one_entry() {
    let shop = Shop::open().await;
    for n in 0..3 {
        post(&shop, ANA, "/api/events", event(&format!("e{n}"))).await;
    }
    shop.agenda.calls();
    let bare = get(&shop, ANA, "/api/events?limit=2&kind=cupping").await;
    assert_eq!(header(&bare, "cache-control"), "private, no-store");
    for (name, value) in [("x-total-count", "3"), ("x-page", "1"), ("x-limit", "2"), ("x-cache", "MISS")] {
        assert_eq!(header(&bare, name), value, "{name}");
    }
    let next = "</api/events?page=2&limit=2&kind=cupping>; rel=\"next\"";
    assert!(header(&bare, "link").contains(next), "{}", header(&bare, "link"));
    let bare = json_of(bare).await;

    let enveloped = get(&shop, ANA, "/api/v1/agenda/events?kind=cupping&limit=2").await;
    assert_eq!(header(&enveloped, "x-cache"), "L1");
    let enveloped = json_of(enveloped).await;
    assert_eq!(enveloped["data"]["events"], bare);
    let pagination = json!({ "page": 1, "per_page": 2, "total": 3, "total_exact": true, "pages": 2 });
    assert_eq!(enveloped["data"]["pagination"], pagination);
    assert_eq!(shop.agenda.calls(), 1);

    // Nobody else is answered from it.
    assert_eq!(json_of(get(&shop, BIA, "/api/events?limit=2&kind=cupping").await).await, json!([]));
    assert_eq!(shop.agenda.calls(), 1);
}

#[tokio::test]
async fn an_event_is_shown_as_the_contract_says() {
    let shop = Shop::open().await;
    let master = post(&shop, ANA, "/api/professionals", json!({ "name": "Helena", "specialty": "q_grader" }));
    let master = json_of(master.await).await["id"].clone();
    let mut body = event("Safra nova");
    body["professionalId"] = master.clone();
    body["location"] = json!("Loja");
    let made = json_of(post(&shop, ANA, "/api/events", body).await).await;
    let expected = json!({
        "id": made["id"], "title": "Safra nova", "kind": "cupping",
        "professional": { "id": master, "name": "Helena", "specialty": "q_grader" },
        "location": "Loja", "description": null,
        "startsAt": "2026-05-02T17:00:00.000Z", "endsAt": "2026-05-02T18:00:00.000Z",
        "status": "scheduled", "version": 1, "createdAt": "2026-04-24T03:06:40.000Z",
    });
    assert_eq!(made, expected);

    // A new name is shown at once, where the old one was cached.
    let location = format!("/api/events/{}", made["id"]);
    assert_eq!(json_of(get(&shop, ANA, &location).await).await, expected);
    let tag = format!("\"pr-{master}-v1\"");
    let rename = json!({ "name": "Helena Prado", "specialty": "q_grader" });
    let renamed = format!("/api/professionals/{master}");
    assert_eq!(write(&shop, ANA, Method::PUT, &renamed, Some(&tag), rename).await.status(), 200);
    assert_eq!(json_of(get(&shop, ANA, &location).await).await["professional"]["name"], "Helena Prado");
    assert_eq!(
        json_of(get(&shop, ANA, "/api/events").await).await[0]["professional"]["name"],
        "Helena Prado"
    );
}

#[tokio::test]
async fn scores_are_numbers_with_one_decimal_and_reports_belong_to_two() {
    let shop = Shop::open().await;
    assert_eq!(json_of(get(&shop, BIA, "/api/reports?role=receiver").await).await, json!([]));
    let made = json_of(post(&shop, ANA, "/api/reports", report("Bourbon")).await).await;
    assert_eq!(
        (&made["role"], &made["senderId"], &made["receiverId"]),
        (&json!("sender"), &json!(ANA), &json!(BIA))
    );
    assert_eq!((&made["totalScore"], &made["scores"]["aftertaste"]), (&json!(80.8), &json!(7.8)));
    assert_eq!(made["scores"]["clean_cup"], json!(10.0));

    // The receiver's cached list is purged too, and the receiver may look but not touch.
    let received = json_of(get(&shop, BIA, "/api/reports?role=receiver").await).await;
    assert_eq!(received[0]["role"], "receiver");
    let location = format!("/api/reports/{}", made["id"]);
    assert_eq!(json_of(get(&shop, BIA, &location).await).await, received[0]);
    let tag = format!("\"r-{}-v1\"", made["id"]);
    let body = replacement_for("/api/reports");
    let refused = write(&shop, BIA, Method::PUT, &location, Some(&tag), body).await;
    check_problem(refused, 403, "forbidden").await;
    check_problem(delete(&shop, BIA, &location, Some("*")).await, 403, "forbidden").await;
    // Who the receiver is does not change.
    let refused = write(&shop, ANA, Method::PUT, &location, Some(&tag), report("x")).await;
    let problem = check_problem(refused, 422, "validation_failed").await;
    assert_eq!(problem["errors"][0]["pointer"], "/receiverId");
}

#[tokio::test]
async fn refusals_of_the_service_name_the_members_of_the_body() {
    let shop = Shop::open().await;
    for (code, reason, field, status, problem, pointer) in [
        (Code::AlreadyExists, "double_booking", "starts_at", 409, "conflict", "/startsAt"),
        (Code::InvalidArgument, "invalid_value", "ends_at", 422, "validation_failed", "/endsAt"),
        (
            Code::InvalidArgument,
            "professional_not_found",
            "professional_id",
            422,
            "validation_failed",
            "/professionalId",
        ),
        (Code::InvalidArgument, "invalid_value", "title", 422, "validation_failed", "/title"),
        (
            Code::InvalidArgument,
            "invalid_value",
            "scores.clean_cup",
            422,
            "validation_failed",
            "/scores/clean_cup",
        ),
    ] {
        shop.agenda.refuse(code, reason, field);
        let refused = post(&shop, ANA, "/api/events", event("x")).await;
        let document = check_problem(refused, status, problem).await;
        let error = &document["errors"][0];
        assert_eq!((&error["pointer"], &error["code"]), (&json!(pointer), &json!(reason)), "{document}");
    }
    // A professional with events ahead is a conflict, though no body is wrong.
    let master = post(&shop, ANA, "/api/professionals", json!({ "name": "H", "specialty": "barista" })).await;
    let location = header(&master, "location").to_owned();
    shop.agenda.refuse(Code::FailedPrecondition, "professional_booked", "id");
    let document = check_problem(delete(&shop, ANA, &location, Some("*")).await, 409, "conflict").await;
    assert_eq!(document["errors"][0]["code"], "professional_booked");
}

#[tokio::test]
async fn what_makes_no_sense_costs_no_call() {
    let shop = Shop::open().await;
    shop.agenda.calls();
    for (target, code) in [
        ("/api/events?page=0", "invalid_parameter"),
        ("/api/events?limit=101", "invalid_parameter"),
        ("/api/events?page=101&limit=100", "offset_too_deep"),
        ("/api/events?kind=festa", "invalid_parameter"),
        ("/api/events?from=ontem", "invalid_parameter"),
        ("/api/events/abc", "invalid_parameter"),
        ("/api/events.ics?page=1", "invalid_parameter"),
        ("/api/reports?role=reader", "invalid_parameter"),
        ("/api/professionals?specialty=mestre", "invalid_parameter"),
        ("/api/v1/agenda/events?debug=1", "invalid_parameter"),
    ] {
        check_problem(get(&shop, ANA, target).await, 400, code).await;
    }
    let unknown = post(&shop, ANA, "/api/events", json!({ "title": "x", "id": 1 })).await;
    let problem = check_problem(unknown, 422, "validation_failed").await;
    let pointers: Vec<_> =
        problem["errors"].as_array().expect("a list").iter().map(|error| error["pointer"].clone()).collect();
    assert_eq!(pointers, [json!("/kind"), json!("/startsAt"), json!("/endsAt"), json!("/id")]);
    assert_eq!(shop.agenda.calls(), 0);
}

#[tokio::test]
async fn the_calendar_is_an_icalendar_that_follows_every_change() {
    let shop = Shop::open().await;
    let calendar = async || {
        let answer = get(&shop, ANA, "/api/events.ics").await;
        assert_eq!(header(&answer, "content-type"), "text/calendar; charset=utf-8");
        assert_eq!(header(&answer, "cache-control"), "private, no-store");
        answer.text().await.expect("text")
    };
    assert!(!calendar().await.contains("VEVENT"));
    let made = post(&shop, ANA, "/api/v1/agenda/events", event("Safra; nova, doce")).await;
    assert_eq!(made.status(), 201);
    let text = calendar().await;
    assert!(text.contains("\r\nSUMMARY:Safra\\; nova\\, doce\r\n"), "{text}");
    let same = get(&shop, ANA, "/api/v1/agenda/events.ics").await;
    assert_eq!(header(&same, "x-cache"), "L1");
    assert_eq!(same.text().await.expect("text"), text);

    // More than a page of the service's.
    for n in 0..120 {
        post(&shop, ANA, "/api/events", event(&format!("e{n}"))).await;
    }
    assert_eq!(calendar().await.matches("BEGIN:VEVENT").count(), 121);
}
