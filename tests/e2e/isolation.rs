//! Many users at once, clients that leave, a cache that comes and goes: nobody ever sees another's row.
//!
//! Every text that a user writes carries the user's own mark. An answer may carry its reader's mark and those of
//! people who sent the reader something, and no other. The budget is small here; with
//! `MESTRES_ISOLATION_REQUESTS=100000` it is the long run.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    agenda,
    client::Client,
    orders::{Buyer, variant_of},
    shop::Shop,
};

const USERS: i64 = 200;
/// One user of so many has an order, with the user's mark where it goes to.
const WITH_ORDERS: usize = 4;
const FIRST_USER: i64 = 1_000;
const REQUESTS_DEFAULT: u64 = 6_000;
/// Requests under way at once.
const LANES: u64 = 24;

/// What one run saw.
#[derive(Default)]
struct Tally {
    sent: AtomicU64,
    cancelled: AtomicU64,
    hits: AtomicU64,
    foreign_refused: AtomicU64,
    failures: Mutex<Vec<String>>,
    crossings: Mutex<Vec<String>>,
    /// Ids that anybody has made, so that others ask for them.
    made: Mutex<Vec<(String, i64)>>,
    /// Whose each cart and order is.
    owners: Mutex<HashMap<String, i64>>,
}

impl Tally {
    /// Carts and orders have few words of their users in them: they are told apart by their ids.
    fn check_owners(&self, user: i64, path: &str, json: &Value) {
        let mut owners = self.owners.lock().unwrap();
        for id in carts_and_orders(json) {
            let owner = *owners.entry(id.clone()).or_insert(user);
            if owner != user {
                self.crossings.lock().unwrap().push(format!("{user} saw {id} of {owner} by {path}"));
            }
        }
    }
}

/// The carts and orders that an answer shows.
fn carts_and_orders(json: &Value) -> Vec<String> {
    let named = |what: &str, id: &Value| (!id.is_null()).then(|| format!("{what} {id}"));
    let orders = json["data"]["orders"].as_array().into_iter().flatten();
    let mut seen: Vec<String> = orders.filter_map(|order| named("order", &order["id"])).collect();
    seen.extend(named("order", &json["data"]["order"]["id"]));
    seen.extend(named("order", &json["data"]["confirmation"]["order"]["id"]));
    seen.extend(named("cart", &json["data"]["cart"]["id"]));
    seen
}

fn mark(user: i64) -> String {
    format!("marca-{user}-")
}

/// The users whose marks a text carries.
fn marks(text: &str) -> BTreeSet<i64> {
    text.split("marca-").skip(1).filter_map(|rest| rest.split_once('-')?.0.parse().ok()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_sees_anothers_rows() {
    let requests = bootstrap::config::parsed("MESTRES_ISOLATION_REQUESTS", REQUESTS_DEFAULT).unwrap();
    let shop = Shop::open_with_everybody().await;
    let tokens: Vec<String> = (0..USERS).map(|user| shop.customer(FIRST_USER + user)).collect();
    let tokens = Arc::new(tokens);
    let tally = Arc::new(Tally::default());
    let variant = variant_of(&shop, 31).await;
    place_orders(&shop, &tokens, variant, &tally).await;
    let gateways = [shop.client(0), shop.client(1)];
    let lanes: Vec<_> = (0..LANES)
        .map(|lane| {
            let (tokens, tally, gateways) = (Arc::clone(&tokens), Arc::clone(&tally), gateways.clone());
            let share = requests / LANES;
            tokio::spawn(async move {
                let mut dice = fastrand::Rng::with_seed(lane);
                for _ in 0..share {
                    let user = dice.i64(0..USERS);
                    let client = gateways[dice.usize(0..2)]
                        .clone()
                        .with_bearer(tokens[usize::try_from(user).unwrap()].clone());
                    one_request(&mut dice, FIRST_USER + user, &client, variant, &tally).await;
                }
            })
        })
        .collect();
    // Meanwhile the shared tier goes away and comes back, again and again.
    let restarts = AtomicU64::new(0);
    let restarting = async {
        loop {
            tokio::time::sleep(Duration::from_millis(1_500)).await;
            shop.redis.kill().await;
            tokio::time::sleep(Duration::from_millis(400)).await;
            shop.redis.restart().await;
            restarts.fetch_add(1, Ordering::Relaxed);
        }
    };
    let done = tokio::select! {
        done = futures_util::future::join_all(lanes) => done,
        () = restarting => unreachable!("it never ends"),
    };
    for lane in done {
        lane.unwrap();
    }
    let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
    println!(
        "isolation: {} requests by {USERS} users, {} restarts of Redis, {} cancelled, {} answered from the cache, {} foreign ids refused, \
         {} crossings, {} failures",
        read(&tally.sent),
        read(&restarts),
        read(&tally.cancelled),
        read(&tally.hits),
        read(&tally.foreign_refused),
        tally.crossings.lock().unwrap().len(),
        tally.failures.lock().unwrap().len(),
    );
    assert_eq!(*tally.crossings.lock().unwrap(), Vec::<String>::new());
    // On a busy machine a request may be turned away, which shows nothing to anybody; more than a few is a fault.
    let failures = tally.failures.lock().unwrap();
    let shown = &failures[..failures.len().min(5)];
    assert!(failures.len() as u64 <= requests / 20, "{} failures: {shown:?}", failures.len());
    assert!(read(&restarts) > 0, "Redis was never away");
    // A run that hit no cache, cancelled nothing or asked for nobody else's proves nothing.
    assert!(read(&tally.hits) > requests / 20, "{} hits", read(&tally.hits));
    assert!(read(&tally.cancelled) > requests / 50, "{} cancelled", read(&tally.cancelled));
    assert!(read(&tally.foreign_refused) > requests / 50, "{} foreign", read(&tally.foreign_refused));
}

/// Some users order something, and others will ask for it.
async fn place_orders(shop: &Shop, tokens: &[String], variant: i64, tally: &Tally) {
    let buyers: Vec<(i64, &String)> = (FIRST_USER..).zip(tokens).step_by(WITH_ORDERS).collect();
    for some in buyers.chunks(10) {
        let ordering = some.iter().map(async |(user, token)| {
            let mut buyer = Buyer::user(shop, 0, token);
            buyer.add(variant, 1).await;
            let mut body = buyer.checkout_body().await;
            body["shipping_address"]["recipient"] = json!(mark(*user));
            let placed = buyer.insist(Method::POST, "/api/v1/checkout", "isolation", &body).await;
            assert_eq!(placed.status, 201, "{}", placed.text());
            let id = placed.json()["data"]["checkout"]["order_id"].as_i64().unwrap();
            let seen = buyer.get(&format!("/api/v1/orders/{id}")).await;
            assert_eq!(marks(&seen.text()), BTreeSet::from([*user]), "{}", seen.text());
            tally.check_owners(*user, "its own", &seen.json());
            tally.made.lock().unwrap().push((format!("/api/v1/orders/{id}"), *user));
        });
        futures_util::future::join_all(ordering).await;
    }
}

/// One random request of `user`, perhaps cut short.
async fn one_request(dice: &mut fastrand::Rng, user: i64, client: &Client, variant: i64, tally: &Tally) {
    let text = format!("{}{}", mark(user), dice.u32(..));
    let foreign = {
        let made = tally.made.lock().unwrap();
        (!made.is_empty()).then(|| made[dice.usize(0..made.len())].clone())
    };
    let other = FIRST_USER + dice.i64(0..USERS);
    let lists = [
        "/api/events",
        "/api/professionals",
        "/api/reports",
        "/api/notifications",
        "/api/v1/agenda/events",
        "/api/v1/agenda/reports?role=receiver",
        "/api/events.ics",
        "/api/v1/notifications/preferences",
        "/api/v1/cart",
        "/api/v1/orders",
        "/api/v1/orders?status=pending_payment",
    ];
    let (method, path, body) = match dice.u32(0..100) {
        0..50 => (Method::GET, lists[dice.usize(0..lists.len())].to_owned(), None),
        50..62 => {
            let (start, day) = (dice.u32(0..20), dice.u32(1..29));
            let mut body = agenda::event(&text, None, day);
            body["startsAt"] = json!(format!("2031-03-{day:02}T{start:02}:00:00.000Z"));
            body["endsAt"] = json!(format!("2031-03-{day:02}T{start:02}:30:00.000Z"));
            (Method::POST, "/api/events".to_owned(), Some(body))
        }
        62..68 => {
            let body = json!({ "name": text, "specialty": "barista" });
            (Method::POST, "/api/professionals".to_owned(), Some(body))
        }
        68..74 if other != user => {
            (Method::POST, "/api/reports".to_owned(), Some(agenda::report(other, &text)))
        }
        74..76 => (Method::POST, "/api/notifications/read-all".to_owned(), Some(json!({}))),
        76..79 => {
            let body = json!({ "variant_id": variant, "quantity": 1 });
            (Method::POST, "/api/v1/cart/items".to_owned(), Some(body))
        }
        _ => {
            let Some((path, _owner)) = foreign else { return };
            let method = if dice.u32(0..10) == 0 { Method::DELETE } else { Method::GET };
            (method, path, None)
        }
    };
    let asked_for_one = path.split('/').count() > 3 && path.as_bytes()[path.len() - 1].is_ascii_digit();
    let mut request = client.request(method.clone(), &path);
    if let Some(body) = &body {
        request = request.json(body);
    }
    if method == Method::DELETE {
        request = request.header("if-match", "\"e-0-v0\"");
    }
    tally.sent.fetch_add(1, Ordering::Relaxed);
    let answering = Client::try_send(request);
    let answered = if dice.u32(0..10) == 0 {
        // The connection is dropped with the future.
        let patience = Duration::from_micros(dice.u64(50..15_000));
        match tokio::time::timeout(patience, answering).await {
            Ok(answered) => answered,
            Err(_left) => {
                tally.cancelled.fetch_add(1, Ordering::Relaxed);
                return;
            }
        }
    } else {
        answering.await
    };
    let answer = match answered {
        Ok(answer) => answer,
        Err(error) => {
            tally.failures.lock().unwrap().push(format!("{method} {path}: {error:?}"));
            return;
        }
    };
    if answer.status.is_server_error() {
        tally.failures.lock().unwrap().push(format!("{method} {path}: {} {}", answer.status, answer.text()));
    }
    if answer.headers.get("x-cache-hit").is_some_and(|hit| hit == "true") {
        tally.hits.fetch_add(1, Ordering::Relaxed);
    }
    if asked_for_one && matches!(answer.status.as_u16(), 403 | 404 | 412) {
        tally.foreign_refused.fetch_add(1, Ordering::Relaxed);
    }
    if answer.status.is_success()
        && let Ok(json) = serde_json::from_slice::<Value>(&answer.body)
    {
        tally.check_owners(user, &path, &json);
    }
    let text = answer.text();
    let allowed = allowed_marks(user, &path, &answer.body);
    let strangers: Vec<i64> = marks(&text).into_iter().filter(|seen| !allowed.contains(seen)).collect();
    if !strangers.is_empty() {
        tally.crossings.lock().unwrap().push(format!("{user} saw {strangers:?} by {method} {path}: {text}"));
    }
    if answer.status == 201
        && let Some(location) = answer.headers.get("location")
    {
        let location = location.to_str().unwrap().to_owned();
        tally.made.lock().unwrap().push((location, user));
    }
}

/// The reader's own mark; in reports and notifications also those of people who sent the reader something, which
/// each item says itself.
fn allowed_marks(user: i64, path: &str, body: &[u8]) -> BTreeSet<i64> {
    let mut allowed = BTreeSet::from([user]);
    let Ok(json) = serde_json::from_slice::<Value>(body) else { return allowed };
    if path.contains("reports") {
        let items = match &json {
            Value::Array(items) => items.clone(),
            Value::Object(_) => {
                json.pointer("/data/reports").and_then(Value::as_array).cloned().unwrap_or_else(|| {
                    // One report, bare, in the envelope, or as the current state in a refusal.
                    let one = json.pointer("/data/report").or_else(|| json.pointer("/current"));
                    vec![one.unwrap_or(&json).clone()]
                })
            }
            _ => Vec::new(),
        };
        for item in items {
            if item["receiverId"] == user {
                allowed.extend(item["senderId"].as_i64());
            }
        }
    }
    allowed
}
