//! X57 to X59: what the cache must not mix up.

use futures_util::future::join_all;
use redis::AsyncCommands as _;
use reqwest::Method;

use super::{World, refused};
use crate::{agenda, client::Client};

/// Nothing that is not part of the key changes an answer that others get.
pub(super) async fn x57(world: &World) {
    let plain = world.nobody().get("/api/v1/products/1").await;
    let odd = [
        ("x-forwarded-scheme", "http"),
        ("x-forwarded-host", "evil.example"),
        ("x-original-url", "/api/v1/admin/users"),
        ("x-rewrite-url", "/api/v1/admin/users"),
        ("x-user-id", "1"),
        ("forwarded", "host=evil.example"),
    ];
    for (name, value) in odd {
        let path = format!("/api/v1/products?min_price={}", fastrand::u32(1..1_000_000));
        let poisoned = Client::send(world.nobody().request(Method::GET, &path).header(name, value)).await;
        assert!(!poisoned.text().contains("evil"), "{name}");
        let later = world.nobody().get(&path).await;
        assert_eq!(poisoned.body, later.body, "{name} varied what was stored");
    }
    for number in 0..100 {
        let request = world.nobody().request(Method::GET, "/api/v1/products/1");
        let answer = Client::send(request.header("accept-language", format!("x{number}"))).await;
        assert!(answer.is_hit(), "a language made a variation");
        assert_eq!(answer.body, plain.body);
    }
    // A personal answer that pretends to be a style sheet, and a GET with a body.
    let ana = world.by(&world.ana);
    refused(&ana.get("/api/v1/me.css").await, 404, "not_found");
    refused(&ana.get("/api/v1/me/x.css").await, 404, "not_found");
    assert_eq!(ana.get("/api/v1/me").await.header("cache-control"), "private, no-store");
    let fat = world.nobody().request(Method::GET, "/api/v1/products/1").body("{\"id\":2}");
    assert_eq!(Client::send(fat).await.body, plain.body);
}

pub(super) async fn x58(world: &World) {
    let marks = [("da-ana", &world.ana), ("da-bia", &world.bia)];
    for (mark, person) in marks {
        let made =
            world.by(person).write(Method::POST, "/api/events", None, &agenda::event(mark, None, 27)).await;
        assert_eq!(made.status, 201, "{}", made.text());
    }
    // The connections are everybody's, as behind a proxy.
    let gateways = &[world.shop.client(0), world.shop.client(1)];
    let lanes = join_all((0..20_usize).map(|lane| async move {
        let mut hits = 0;
        for round in 0..500 {
            let me = (lane + round) % 2;
            let client = gateways[fastrand::usize(0..2)].clone().with_bearer(marks[me].1.token.clone());
            let text = client.get("/api/events").await;
            assert!(text.text().contains(marks[me].0), "{}", text.text());
            assert!(!text.text().contains(marks[1 - me].0), "a crossing: {}", text.text());
            hits += usize::from(text.is_hit());
        }
        hits
    }));
    let restart = async {
        world.shop.redis.kill().await;
        world.shop.redis.restart().await;
    };
    let (hits, ()) = tokio::join!(lanes, restart);
    assert!(hits.iter().sum::<usize>() > 5_000, "{hits:?}");
}

/// The owner is inside the entry: a value under another's name is no answer.
pub(super) async fn x59(world: &World) {
    let mut redis = redis::Client::open(world.shop.redis.url())
        .unwrap()
        .get_multiplexed_async_connection()
        .await
        .unwrap();
    // The row before took Redis away: the gateway asks it again after a pause of its own choice.
    let mut page = 10;
    testkit::eventually(
        std::time::Duration::from_secs(60),
        "the gateway stores in Redis again",
        async || {
            let before = entries(&mut redis).await;
            page += 1;
            world.by(&world.ana).get(&format!("/api/professionals?page={page}&limit=7")).await;
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            (entries(&mut redis).await.len() > before.len()).then_some(())
        },
    )
    .await;
    let path = "/api/professionals?page=7&limit=7";
    let before = entries(&mut redis).await;
    world.by(&world.ana).get(path).await;
    let of_ana = new_entry(&mut redis, &before).await;
    let before = entries(&mut redis).await;
    world.by(&world.bia).get(path).await;
    let of_bia = new_entry(&mut redis, &before).await;
    assert_ne!(of_ana, of_bia);
    let stolen: Vec<u8> = redis.get(&of_ana).await.unwrap();
    let () = redis.set(&of_bia, stolen).await.unwrap();
    // The other gateway holds neither in memory.
    let answer = world.shop.client(1).with_bearer(world.bia.token.clone()).get(path).await;
    assert_eq!(answer.status, 200);
    assert!(!answer.is_hit(), "{:?}", answer.headers);
}

async fn entries(redis: &mut redis::aio::MultiplexedConnection) -> Vec<String> {
    redis.keys("cv:*:*:*").await.unwrap()
}

/// The one entry that is there now and was not before.
async fn new_entry(redis: &mut redis::aio::MultiplexedConnection, before: &[String]) -> String {
    testkit::eventually(std::time::Duration::from_secs(5), "the entry in Redis", async || {
        let new: Vec<_> = entries(redis).await.into_iter().filter(|key| !before.contains(key)).collect();
        assert!(new.len() < 2, "{new:?}");
        new.into_iter().next()
    })
    .await
}
