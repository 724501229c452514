//! First pages that are there before they are asked for (S83, S84).

use gateway::Config;
use reqwest::Method;
use serde_json::json;
use testkit::eventually;

use crate::accounts::PASSWORD;
use crate::personal::Club;
use crate::shop::{PATIENCE, Shop, header};
use crate::stand_ins::StandIns;

const FIRST_PAGES: [(&str, &str); 3] = [
    ("/api/events", "list_events"),
    ("/api/notifications", "list_notifications"),
    ("/api/professionals", "list_professionals"),
];

#[tokio::test(flavor = "multi_thread")]
async fn whoever_signs_in_finds_their_first_pages_filled() {
    let club = Club::open().await;
    let body = json!({"email": "ana@example.com", "password": "wrong but long enough"});
    let login = club.shop.gateway.request(Method::POST, "/api/v1/auth/login").json(&body).send().await;
    assert_eq!(login.expect("an answer").status(), 401);
    let body = json!({"email": "ana@example.com", "password": PASSWORD});
    let login = club.shop.gateway.request(Method::POST, "/api/v1/auth/login").json(&body).send().await;
    assert_eq!(login.expect("an answer").status(), 200);
    for (target, rpc) in FIRST_PAGES {
        eventually(PATIENCE, "the page is asked for", async || {
            (club.stand_ins.calls(7, rpc) == 1).then_some(())
        })
        .await;
        // The flight may still be landing: whoever asks meanwhile shares it.
        let answer = club.get(7, target).await;
        let state = header(&answer, "cache-status");
        assert!(state.contains("; hit") || state.contains("collapsed"), "{target}: {state}");
        let again = club.get(7, target).await;
        assert_eq!((header(&again, "x-cache"), club.stand_ins.calls(7, rpc)), ("L1", 1), "{target}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn active_users_find_their_first_pages_filled_after_a_boot() {
    let (stand_ins, addr, _serving) = StandIns::start().await;
    let url = format!("http://{addr}");
    let settings =
        |config| Config { agenda_url: url.clone(), notifications_url: url, warm_users: 2, ..config };
    let shop = Shop::open_with_people(settings, |people| people.set_active(&[7, 9, 11])).await;
    for user in [7, 9] {
        for (target, rpc) in FIRST_PAGES {
            eventually(PATIENCE, "the page is asked for", async || {
                (stand_ins.calls(user, rpc) == 1).then_some(())
            })
            .await;
            let token = shop.gateway.keys.bearer("customer", user);
            let ask = || shop.gateway.request(Method::GET, target).header("authorization", token.clone());
            ask().send().await.expect("an answer");
            let again = ask().send().await.expect("an answer");
            assert_eq!((header(&again, "x-cache"), stand_ins.calls(user, rpc)), ("L1", 1), "{user} {target}");
        }
    }
    assert_eq!(stand_ins.calls(11, "list_events"), 0, "no more than the setting says");
}
