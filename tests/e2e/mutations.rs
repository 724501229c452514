//! Every change against every cached read: after a change, its writer's next read on another gateway says what
//! the origin says.
//!
//! The pairs are generated: each route that the cache answers times each route that changes something. A route
//! that is added without a line in `changes` or a read in `world` fails the test of completeness below.

mod changes;
mod making;
mod world;

use std::collections::{BTreeMap, BTreeSet};

use gateway::routes::{Route, Source};
use serde_json::Value;

use crate::client::Answer;
use changes::{CHANGES, NOT_SHOWN};
use world::{ORIGIN, READER, World};

/// What an answer says, without what may differ between two answers that say the same.
fn said(answer: &Answer) -> (u16, String) {
    let status = answer.status.as_u16();
    match serde_json::from_slice::<Value>(&answer.body) {
        Ok(mut json) => {
            if let Some(search) = json.pointer_mut("/data/search") {
                search["took_ms"] = Value::Null;
            }
            if let Some(problem) = json.as_object_mut() {
                problem.remove("request_id");
            }
            (status, json.to_string())
        }
        // The calendar says when it was made.
        Err(_) => {
            let text = answer.text();
            let lines = text.lines().filter(|line| !line.starts_with("DTSTAMP"));
            (status, lines.collect::<Vec<_>>().join("\n"))
        }
    }
}

/// Nothing tells when a coupon is over or used up, so a cart with one is not kept.
fn has_coupon(cart: &str) -> bool {
    let cart: Value = serde_json::from_str(cart).unwrap();
    cart["data"]["cart"]["coupon"].is_object()
}

#[tokio::test(flavor = "multi_thread")]
async fn after_every_change_every_cached_read_says_what_the_origin_says() {
    let mut world = Box::pin(World::open()).await;
    let mut pairs = 0;
    for change in &CHANGES {
        Box::pin(world.prepare(change.name)).await;
        let reads = world.reads();
        let mut before = BTreeMap::new();
        for read in &reads {
            // Twice: what is compared below must have been in the cache.
            let reader = world.reader(READER, None);
            reader.get(read).await;
            let held = reader.get(read).await;
            let is_kept = read != "/api/v1/cart" || !has_coupon(&held.text());
            assert_eq!(held.is_hit(), is_kept, "{read}: {:?} {}", held.headers, held.text());
            before.insert(read.clone(), said(&held));
        }
        let changed = Box::pin(world.make(change.name)).await;
        assert!(changed.status.is_success(), "{}: {} {}", change.name, changed.status, changed.text());
        let token = changed.header("x-cache-token").to_owned();
        let mut visible = 0;
        for read in &reads {
            let now = said(&world.reader(READER, Some(&token)).get(read).await);
            let truth = said(&world.reader(ORIGIN, None).get(read).await);
            assert_eq!(now, truth, "{read} is stale after: {}", change.name);
            visible += usize::from(before[read] != truth);
            pairs += 1;
        }
        assert!(visible > 0, "{} changed nothing that a read shows", change.name);
    }
    assert!(pairs > 500, "{pairs}");
}

/// Whoever adds a cached read or a change must add it above.
#[tokio::test(flavor = "multi_thread")]
async fn no_route_is_forgotten() {
    let changes: BTreeSet<(&str, &str)> =
        CHANGES.iter().flat_map(|change| change.covers.iter().copied()).collect();
    let not_shown: BTreeSet<&str> = NOT_SHOWN.iter().map(|(path, _reason)| *path).collect();
    for route in Route::ALL {
        let spec = route.spec();
        for method in spec.methods.iter().filter(|method| **method != "GET") {
            let known = changes.contains(&(*method, spec.template)) || not_shown.contains(spec.template);
            assert!(known, "{method} {} is compared with no read", spec.template);
        }
    }
    for template in &not_shown {
        assert!(
            Route::ALL.iter().any(|route| route.spec().template == *template),
            "{template} is no route any more"
        );
    }
    // Reads are found the way a request finds its route.
    let sample = [
        "/api/events",
        "/api/events.ics",
        "/api/events/1",
        "/api/professionals",
        "/api/professionals/1",
        "/api/reports",
        "/api/reports/1",
        "/api/notifications",
        "/api/v1/notifications",
        "/api/v1/notifications/preferences",
        "/api/v1/agenda/events",
        "/api/v1/agenda/events/1",
        "/api/v1/agenda/professionals",
        "/api/v1/agenda/professionals/1",
        "/api/v1/agenda/reports",
        "/api/v1/agenda/reports/1",
        "/api/v1/agenda/events.ics",
        "/api/v1/me",
        "/api/v1/me/addresses",
        "/api/v1/products",
        "/api/v1/products/featured",
        "/api/v1/products/new",
        "/api/v1/products/1",
        "/api/v1/products/by-slug/a",
        "/api/v1/categories",
        "/api/v1/categories/1",
        "/api/v1/cart",
        "/api/v1/orders",
        "/api/v1/orders/1",
        "/api/v1/orders/1/confirmation",
        "/api/v1/cep/01310100",
        "/api/v1/products/1/availability",
        // Content addressed: no change can make it stale.
        "/images/a.svg",
    ];
    let read: Vec<Route> =
        sample.iter().map(|path| Route::find(path).unwrap_or_else(|| panic!("{path}")).0).collect();
    let cached =
        |route: &&Route| matches!(route.spec().source, Source::Shared | Source::Own | Source::Shopper);
    for route in Route::ALL.iter().filter(cached) {
        assert!(read.contains(route), "{} is cached and read by no test", route.spec().template);
    }
}
