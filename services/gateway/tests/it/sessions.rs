//! What ends before its time: sessions and roles, at this gateway, pushed, polled and asked for.

use prost::Message as _;
use proto::accounts::v1::revocation::What;
use proto::accounts::v1::{Revocation, Role};
use reqwest::Method;
use serde_json::json;
use testkit::eventually;
use tonic::Code;

use crate::accounts::{role_change, session, soon_s};
use crate::shop::{PATIENCE, Shop, check_problem};

const STAFF: &str = "/api/v1/admin/products/1";
/// Refuses a bad token and asks nobody.
const PUBLIC: &str = "/api/v1/products";

/// A token of a session with this id.
fn token_of(shop: &Shop, role: &str, user_id: i64, session_id: &str) -> String {
    let mut claims = shop.gateway.keys.claims(role, user_id);
    claims["sid"] = json!(session_id);
    shop.gateway.keys.sign(&shop.gateway.keys.header(), &claims)
}

/// Sends what accounts would, or should not.
#[expect(clippy::disallowed_methods, reason = "a push is never stored, as accounts sends it")]
async fn push(shop: &Shop, payload: &[u8]) {
    let nats = shop.nats_client().await;
    nats.publish("accounts.revoked", payload.to_vec().into()).await.expect("the client is open");
    nats.flush().await.expect("NATS has it");
}

async fn status(shop: &Shop, token: &str, target: &str) -> u16 {
    let answer = shop.gateway.request(Method::GET, target).bearer_auth(token).send().await;
    answer.expect("an answer").status().as_u16()
}

/// X27: where the token is looked at locally only, a push or at the latest a poll ends it.
#[tokio::test]
async fn an_ended_session_is_refused_once_it_is_known() {
    let shop = Shop::open().await;
    let [pushed, polled, spared] =
        ["pushed", "polled", "spared"].map(|id| token_of(&shop, "customer", 7, id));
    for token in [&pushed, &polled, &spared] {
        assert_eq!(status(&shop, token, PUBLIC).await, 200);
    }
    let revocation = Revocation { seq: 1, until_s: soon_s(), what: Some(session("pushed")) };
    // Nonsense on the subject changes nothing.
    push(&shop, b"\x01nonsense").await;
    push(&shop, &revocation.encode_to_vec()).await;
    let known = async |token: &str| (status(&shop, token, PUBLIC).await == 401).then_some(());
    eventually(PATIENCE, "the push has arrived", async || known(&pushed).await).await;
    shop.accounts.list(session("polled"), soon_s());
    eventually(PATIENCE, "the poll has found it", async || known(&polled).await).await;
    assert_eq!(status(&shop, &spared, PUBLIC).await, 200);
}

#[tokio::test]
async fn polls_ask_for_what_is_new() {
    let shop = Shop::open().await;
    shop.accounts.list(session("a"), soon_s());
    let first = token_of(&shop, "customer", 7, "a");
    eventually(PATIENCE, "the poll has found it", async || {
        (status(&shop, &first, PUBLIC).await == 401).then_some(())
    })
    .await;
    eventually(PATIENCE, "the next poll asks for what comes after", async || {
        let last = shop.accounts.calls("list_revocations").pop()?;
        last.message.contains("after_seq: 1").then_some(())
    })
    .await;
    let polls = shop.accounts.calls("list_revocations");
    assert!(polls[0].message.contains("after_seq: 0"), "all that matters at the start: {:?}", polls[0]);
}

/// X27, X29: admin and staff routes ask accounts each time.
#[tokio::test]
async fn staff_routes_know_at_once() {
    let shop = Shop::open().await;
    let metrics = "/api/admin/performance-metrics";
    let (staff, admin) = (token_of(&shop, "staff", 7, "s-1"), token_of(&shop, "admin", 8, "s-2"));
    assert_eq!(status(&shop, &staff, STAFF).await, 200);
    assert_eq!(status(&shop, &admin, STAFF).await, 200);

    shop.accounts.set_role(8, Role::Staff);
    assert_eq!(status(&shop, &admin, metrics).await, 403, "no longer an admin");
    assert_eq!(status(&shop, &admin, STAFF).await, 200, "and still staff");
    shop.accounts.set_role(8, Role::Customer);
    assert_eq!(status(&shop, &admin, STAFF).await, 403);
    shop.accounts.set_role(8, Role::Unspecified);
    assert_eq!(status(&shop, &admin, STAFF).await, 401, "no such user any more");

    shop.accounts.refuse("check_session", Code::InvalidArgument, "invalid", "");
    assert_eq!(status(&shop, &staff, STAFF).await, 401, "not the name of a session");
    shop.accounts.end_session("s-1");
    assert_eq!(status(&shop, &staff, STAFF).await, 401);
    // A role that was raised needs a new token: the old one does not prove it.
    shop.accounts.set_role(9, Role::Admin);
    assert_eq!(status(&shop, &token_of(&shop, "customer", 9, "s-3"), STAFF).await, 403);
}

#[tokio::test]
async fn a_lowered_role_is_pushed_too() {
    let shop = Shop::open().await;
    let admin = token_of(&shop, "admin", 8, "s-2");
    // Accounts answers late or not at all: what is left is the list.
    eventually(PATIENCE, "there are news", async || {
        (!shop.accounts.calls("list_revocations").is_empty()).then_some(())
    })
    .await;
    let what = Some(role_change(8, Role::Customer));
    push(&shop, &Revocation { seq: 1, until_s: soon_s(), what }.encode_to_vec()).await;
    shop.accounts.set_away(true);
    eventually(PATIENCE, "the push has arrived", async || {
        (status(&shop, &admin, STAFF).await == 403).then_some(())
    })
    .await;
    let spared = token_of(&shop, "admin", 9, "s-9");
    assert_eq!(status(&shop, &spared, STAFF).await, 200, "news are fresh, and this one is not on the list");
}

/// Without any news nobody passes where it matters, and everybody elsewhere.
#[tokio::test]
async fn without_news_staff_routes_are_closed() {
    let shop = Shop::open_without_accounts().await;
    let admin = shop.gateway.keys.token("admin", 7);
    for target in [STAFF, "/api/admin/performance-metrics"] {
        let answer = shop.gateway.request(Method::GET, target).bearer_auth(&admin).send().await;
        let answer = answer.expect("an answer");
        assert!(answer.headers().contains_key("retry-after"));
        check_problem(answer, 503, "session_check_unavailable").await;
    }
    assert_eq!(status(&shop, &admin, PUBLIC).await, 200);
    assert_eq!(status(&shop, &shop.gateway.keys.token("customer", 7), STAFF).await, 403, "no question");
}

/// What a revocation says it is about must be understood, or nothing happens.
#[tokio::test]
async fn unknown_revocations_change_nothing() {
    let shop = Shop::open().await;
    shop.accounts.list(What::SessionId(String::new()), soon_s());
    shop.accounts.list(role_change(0, Role::Unspecified), soon_s());
    shop.accounts.list(session("last"), soon_s());
    let last = token_of(&shop, "customer", 7, "last");
    eventually(PATIENCE, "the list is read to its end", async || {
        (status(&shop, &last, PUBLIC).await == 401).then_some(())
    })
    .await;
    assert_eq!(status(&shop, &shop.gateway.keys.token("admin", 7), STAFF).await, 200);
}
