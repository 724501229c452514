//! Notifications as they are made: to the right browser, to no other, and none lost whatever breaks.

use std::time::Duration;

use reqwest::Method;
use serde_json::Value;

use crate::{
    agenda,
    shop::{Service, Shop},
};

const PATIENCE: Duration = Duration::from_secs(20);
const PATH: &str = "/api/v1/notifications/stream";

/// A browser that listens.
struct Listener {
    answer: reqwest::Response,
    text: String,
}

impl Listener {
    async fn open(shop: &Shop, gateway: usize, user: i64, after: Option<u64>) -> Self {
        let http = reqwest::Client::new();
        let url = format!("http://{}{PATH}", shop.gateway_address(gateway));
        let mut request = http.get(url).bearer_auth(shop.customer(user));
        if let Some(after) = after {
            request = request.header("last-event-id", after.to_string());
        }
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        assert_eq!(answer.headers()["cache-control"], "private, no-store");
        Self { answer, text: String::new() }
    }

    /// The next event: its position and what it says; `None` when the stream has ended.
    async fn next(&mut self) -> Option<(u64, Value)> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let field =
                    |name: &str| event.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
                let found = field("id: ").zip(field("data: "));
                self.text = rest.to_owned();
                match found {
                    Some((id, data)) => {
                        return Some((id.parse().unwrap(), serde_json::from_str(&data).unwrap()));
                    }
                    // Heartbeats and greetings.
                    None => continue,
                }
            }
            let piece = tokio::time::timeout(PATIENCE, self.answer.chunk()).await.expect("something comes");
            self.text.push_str(std::str::from_utf8(&piece.ok()??).unwrap());
        }
    }

    /// The positions of the next `count` events.
    async fn positions(&mut self, count: usize) -> Vec<u64> {
        let mut positions = Vec::new();
        while positions.len() < count {
            positions.push(self.next().await.expect("the stream goes on").0);
        }
        positions
    }
}

async fn report(shop: &Shop, from: i64, to: i64) {
    let sender = shop.client(0).with_bearer(shop.customer(from));
    let sent = sender.write(Method::POST, "/api/reports", None, &agenda::report(to, "Bourbon")).await;
    assert_eq!(sent.status, 201, "{}", sent.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn each_is_told_what_is_theirs_through_any_gateway() {
    let shop = Shop::open_with_everybody().await;
    let refused = shop.client(0).get(PATH).await;
    assert_eq!(refused.json()["code"], "unauthenticated");
    let mut listeners = Vec::new();
    for user in 0..20 {
        listeners.push(Listener::open(&shop, (user % 2) as usize, 100 + user, None).await);
    }
    // To every second of them, more to some.
    for user in (0..20).step_by(2) {
        for _ in 0..=user % 3 {
            report(&shop, 100 + user + 1, 100 + user).await;
        }
    }
    for (user, listener) in (0_i64..).zip(&mut listeners).step_by(2) {
        let count = usize::try_from(user % 3).unwrap() + 1;
        let expected: Vec<u64> = (1..).take(count).collect();
        assert_eq!(listener.positions(count).await, expected, "user {user}");
    }
    // Once more, to the others: what comes first is theirs, so nothing came before.
    for user in (1..20).step_by(2) {
        report(&shop, 100 + user - 1, 100 + user).await;
    }
    for listener in listeners.iter_mut().skip(1).step_by(2) {
        let (position, notification) = listener.next().await.unwrap();
        assert_eq!((position, &notification["kind"]), (1, &Value::from("report.received")));
        assert!(notification["readAt"].is_null() && notification["id"].is_i64(), "{notification}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_back_with_the_last_position_has_lost_nothing() {
    let mut shop = Shop::open_with_everybody().await;
    let (sender, reader) = (201, 202);
    let mut listener = Listener::open(&shop, 0, reader, None).await;
    report(&shop, sender, reader).await;
    assert_eq!(listener.positions(1).await, [1]);

    // The notifications service dies and comes back: the stream goes on by itself.
    shop.kill(Service::Notifications);
    report(&shop, sender, reader).await;
    shop.spawn(Service::Notifications);
    report(&shop, sender, reader).await;
    assert_eq!(listener.positions(2).await, [2, 3]);

    // The gateway dies: the browser comes back to the other one.
    shop.kill(Service::Gateway(0));
    assert!(listener.next().await.is_none(), "the stream ended with its gateway");
    shop.spawn(Service::Gateway(0));
    shop.wait_until_ready(Service::Gateway(0)).await;
    report(&shop, sender, reader).await;
    report(&shop, sender, reader).await;
    let mut back = Listener::open(&shop, 1, reader, Some(3)).await;
    assert_eq!(back.positions(2).await, [4, 5]);

    // A position that the feed never had is no reason to miss what comes.
    let mut odd = Listener::open(&shop, 1, reader, Some(1_000_000)).await;
    report(&shop, sender, reader).await;
    assert_eq!(odd.positions(1).await, [6]);
    assert_eq!(back.positions(1).await, [6]);
    for wrong in ["abc", "-1", "99999999999999999999999"] {
        let request = shop.client(1).with_bearer(shop.customer(reader)).request(Method::GET, PATH);
        let answer = crate::client::Client::send(request.header("last-event-id", wrong)).await;
        assert_eq!(answer.json()["code"], "invalid_parameter", "{}", answer.text());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn five_streams_are_enough_and_a_drain_ends_them() {
    let mut shop = Shop::open_with_everybody().await;
    let mut listeners = Vec::new();
    for _ in 0..5 {
        listeners.push(Listener::open(&shop, 0, 301, None).await);
    }
    let sixth = shop.client(0).with_bearer(shop.customer(301)).get(PATH).await;
    assert_eq!((sixth.status.as_u16(), sixth.json()["code"].clone()), (429, Value::from("too_many_streams")));
    // Somebody else still may.
    let _other = Listener::open(&shop, 0, 302, None).await;
    shop.terminate(Service::Gateway(0));
    for listener in &mut listeners {
        assert!(listener.next().await.is_none(), "a stream outlived the drain");
    }
    assert!(shop.wait_until_gone(Service::Gateway(0)).await);
}
