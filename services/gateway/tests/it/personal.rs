//! What belongs to a user: entries of their own in the cache, one per question, in every form that is asked for.

use std::io::Read as _;

use gateway::Config;
use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};
use tokio_util::task::AbortOnDropHandle;

use crate::shop::{Shop, check_problem, header};
use crate::stand_ins::StandIns;

/// A shop with an agenda and a feed.
pub(crate) struct Club {
    pub(crate) shop: Shop,
    pub(crate) stand_ins: std::sync::Arc<StandIns>,
    _serving: AbortOnDropHandle<()>,
}

impl Club {
    pub(crate) async fn open() -> Self {
        let (stand_ins, addr, serving) = StandIns::start().await;
        let url = format!("http://{addr}");
        let settings = |config| Config { agenda_url: url.clone(), notifications_url: url, ..config };
        Self { shop: Shop::open_with(settings).await, stand_ins, _serving: serving }
    }

    pub(crate) fn request(&self, user: i64, method: Method, target: &str) -> RequestBuilder {
        let gateway = &self.shop.gateway;
        gateway.request(method, target).header("authorization", gateway.keys.bearer("customer", user))
    }

    pub(crate) async fn get(&self, user: i64, target: &str) -> Response {
        self.request(user, Method::GET, target).send().await.expect("an answer")
    }
}

async fn text(response: Response) -> String {
    response.text().await.expect("a body")
}

const OWN: [&str; 18] = [
    "/api/events",
    "/api/events.ics",
    "/api/events/1",
    "/api/professionals",
    "/api/professionals/1",
    "/api/reports",
    "/api/reports/1",
    "/api/notifications",
    "/api/v1/agenda/events",
    "/api/v1/agenda/events.ics",
    "/api/v1/agenda/events/1",
    "/api/v1/agenda/professionals",
    "/api/v1/agenda/professionals/1",
    "/api/v1/agenda/reports",
    "/api/v1/agenda/reports/1",
    "/api/v1/notifications",
    "/api/v1/notifications/preferences",
    "/api/v1/me",
];

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_told_anything_before_they_say_who_they_are() {
    let club = Club::open().await;
    for target in OWN {
        // Another user's entry is there; whoever is nobody must not learn even that.
        club.get(7, target).await;
        let answer = club.shop.get(target).await;
        assert_eq!(header(&answer, "x-cache"), "BYPASS", "{target}");
        check_problem(answer, 401, "unauthenticated").await;
    }
    assert_eq!(club.stand_ins.calls(0, "list_events"), 0, "nothing was asked for nobody");
}

/// X58 in small: two users, one address, one key.
#[tokio::test(flavor = "multi_thread")]
async fn each_user_has_answers_of_their_own() {
    let club = Club::open().await;
    for state in ["MISS", "L1", "L1"] {
        for user in [7, 8] {
            let answer = club.get(user, "/api/events").await;
            assert_eq!((answer.status().as_u16(), header(&answer, "x-cache")), (200, state));
            assert_eq!(header(&answer, "cache-control"), "private, no-store");
            assert_eq!(header(&answer, "vary"), "accept-encoding, authorization, cookie");
            let other = 15 - user;
            let body = text(answer).await;
            assert!(body.contains(&format!("da pessoa {user},")), "{body}");
            assert!(!body.contains(&format!("da pessoa {other},")), "{body}");
        }
    }
    assert_eq!((club.stand_ins.calls(7, "list_events"), club.stand_ins.calls(8, "list_events")), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_is_bare_with_its_facts_in_headers() {
    let club = Club::open().await;
    let answer = club.get(7, "/api/events?page=2&limit=20&kind=cupping").await;
    for (name, expected) in
        [("x-total-count", "45"), ("x-page", "2"), ("x-limit", "20"), ("x-unread-count", "")]
    {
        assert_eq!(header(&answer, name), expected, "{name}");
    }
    let link =
        |page: u32, name: &str| format!("</api/events?page={page}&limit=20&kind=cupping>; rel=\"{name}\"");
    let links = [link(1, "first"), link(1, "prev"), link(3, "next"), link(3, "last")].join(", ");
    assert_eq!(header(&answer, "link"), links);
    let body: Value = answer.json().await.expect("JSON");
    assert_eq!(body.as_array().map(Vec::len), Some(20));

    let feed = club.get(7, "/api/notifications").await;
    assert_eq!((header(&feed, "x-unread-count"), header(&feed, "x-total-count")), ("1", "1"));
    assert!(text(feed).await.starts_with("[{\"id\":1,"));
}

/// The envelope holds the bare answer's very bytes, from the same entry.
#[tokio::test(flavor = "multi_thread")]
async fn both_addresses_answer_from_one_entry() {
    let club = Club::open().await;
    let bare = text(club.get(7, "/api/events").await).await;
    let enveloped = club.get(7, "/api/v1/agenda/events").await;
    assert_eq!((header(&enveloped, "x-cache"), header(&enveloped, "x-total-count")), ("L1", ""));
    let pagination = json!({"page": 1, "per_page": 20, "total": 45, "total_exact": true, "pages": 3});
    let body = text(enveloped).await;
    assert!(body.starts_with(&format!("{{\"data\":{{\"events\":{bare},\"pagination\":")), "{body}");
    let body: Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!(body["data"]["pagination"], pagination);

    let one = text(club.get(7, "/api/events/5").await).await;
    assert_eq!(
        text(club.get(7, "/api/v1/agenda/events/5").await).await,
        format!("{{\"data\":{{\"event\":{one}}}}}")
    );
    assert_eq!(club.stand_ins.calls(7, "list_events") + club.stand_ins.calls(7, "get_event"), 2);

    let feed: Value = club.get(7, "/api/v1/notifications").await.json().await.expect("JSON");
    assert_eq!((&feed["data"]["unread"], &feed["data"]["notifications"][0]["id"]), (&json!(1), &json!(1)));
}

/// Every form has a tag of its own, by which it is not sent again; no other form's tag will do.
#[tokio::test(flavor = "multi_thread")]
async fn forms_are_told_apart_and_not_sent_twice() {
    let club = Club::open().await;
    let mut tags = Vec::new();
    for target in ["/api/events", "/api/v1/agenda/events"] {
        let plain = text(club.get(7, target).await).await;
        for coding in ["identity", "gzip", "br"] {
            let ask = |method| club.request(7, method, target).header("accept-encoding", coding);
            let answer = ask(Method::GET).send().await.expect("an answer");
            let sent = if coding == "identity" { "" } else { coding };
            assert_eq!(header(&answer, "content-encoding"), sent, "{target} {coding}");
            let tag = header(&answer, "etag").to_owned();
            let body = answer.bytes().await.expect("a body");
            assert_eq!(decoded(coding, &body), plain, "{target} {coding}");

            let head = ask(Method::HEAD).send().await.expect("an answer");
            assert_eq!((head.status().as_u16(), header(&head, "etag")), (200, tag.as_str()));
            assert_eq!(header(&head, "content-length"), body.len().to_string(), "{target} {coding}");
            assert!(text(head).await.is_empty());

            let again = ask(Method::GET).header("if-none-match", &tag).send().await.expect("an answer");
            assert_eq!((again.status().as_u16(), header(&again, "etag")), (304, tag.as_str()));
            assert_eq!(header(&again, "cache-control"), "private, no-store");
            for other in &tags {
                let whole = ask(Method::GET).header("if-none-match", other).send().await.expect("an answer");
                assert_eq!(whole.status(), 200, "{other} is another form's than {tag}");
            }
            tags.push(tag);
        }
    }
    assert_eq!(club.stand_ins.calls(7, "list_events"), 1);
}

fn decoded(coding: &str, body: &[u8]) -> String {
    let mut text = String::new();
    match coding {
        "gzip" => flate2::read::GzDecoder::new(body).read_to_string(&mut text).map(drop),
        "br" => brotli::Decompressor::new(body, 4096).read_to_string(&mut text).map(drop),
        _ => std::io::Cursor::new(body).read_to_string(&mut text).map(drop),
    }
    .expect("well encoded");
    text
}

/// What is somebody else's looks like what is not there at all, the second time too.
#[tokio::test(flavor = "multi_thread")]
async fn another_users_is_not_found_like_anything_missing() {
    let club = Club::open().await;
    let mut documents = Vec::new();
    for target in ["/api/events/6", "/api/events/46", "/api/v1/agenda/events/6", "/api/v1/agenda/events/46"] {
        for state in ["MISS", "L1"] {
            let answer = club.request(7, Method::GET, target).header("x-request-id", "same").send().await;
            let answer = answer.expect("an answer");
            let again = target.starts_with("/api/v1");
            assert_eq!(header(&answer, "x-cache"), if again { "L1" } else { state }, "{target}");
            assert_eq!(answer.status(), 404);
            documents.push(text(answer).await.replace(target, "/there"));
        }
    }
    documents.dedup();
    assert_eq!(documents.len(), 1, "{documents:?}");
    assert_eq!(club.stand_ins.calls(7, "get_event"), 2);
    let owner = club.get(8, "/api/events/6").await;
    assert_eq!(owner.status(), 200, "another user's 404 is not the owner's");
}

/// X57: nothing of a user's own under an address that looks like a file, and nothing kept by anybody else.
#[tokio::test(flavor = "multi_thread")]
async fn personal_answers_are_nobody_elses() {
    let club = Club::open().await;
    club.get(7, "/api/v1/me").await;
    for target in ["/api/v1/me.css", "/api/v1/me/x.css", "/api/events.css", "/api/v1/me/"] {
        check_problem(club.get(7, target).await, 404, "not_found").await;
    }
    let answer = club.get(7, "/api/v1/me").await;
    assert_eq!((header(&answer, "x-cache"), header(&answer, "cache-control")), ("L1", "private, no-store"));
}
