//! A part is gone: what stays true, and how it comes back.

use std::time::{Duration, Instant};

use crate::shop::{Service, Shop};

/// S67: without Redis requests go on, and what they answer is still correct.
#[tokio::test(flavor = "multi_thread")]
async fn redis_killed_means_no_error_and_no_stale_answer() {
    let shop = Shop::open().await;
    for gateway in 0..2 {
        shop.client(gateway).get("/api/v1/products/1").await;
    }
    shop.redis.kill().await;
    let staff = shop.client(0).with_bearer(shop.token("staff"));
    for amount in 8_000..8_020 {
        let written = staff.change_price(1, amount).await;
        for gateway in 0..2 {
            let reader = shop.client(gateway).with_cache_token(written.header("x-cache-token"));
            assert_eq!(reader.get("/api/v1/products/1").await.first_variant_amount(), amount);
            assert_eq!(shop.client(gateway).get("/api/v1/products").await.status, 200);
        }
    }
    let ready = shop.client(0).get("/health/ready").await;
    assert_eq!(ready.status, 200, "a lost Redis is degraded, not down: {}", ready.text());
    shop.redis.restart().await;
    let mut price = 0;
    testkit::eventually(Duration::from_secs(90), "entries reach Redis again", async || {
        // A page that neither gateway holds.
        price += 1;
        let path = format!("/api/v1/products?min_price={price}");
        shop.client(0).get(&path).await;
        (shop.client(1).get(&path).await.header("x-cache") == "L2").then_some(())
    })
    .await;
}

/// NATS gone for thirty seconds: writers still read their writes by the token's tags, and after the
/// outage no gateway shows anything old.
#[tokio::test(flavor = "multi_thread")]
async fn nats_killed_for_thirty_seconds_leaves_nothing_stale() {
    let shop = Shop::open().await;
    let staff = shop.client(0).with_bearer(shop.token("staff"));
    for gateway in 0..2 {
        for product in 1..=5 {
            shop.client(gateway).get(&format!("/api/v1/products/{product}")).await;
        }
    }
    shop.nats.kill().await;
    let down = Instant::now();
    let mut amount = 9_000;
    // At a pace that leaves the machine to the tests beside this one.
    let mut pace = tokio::time::interval(Duration::from_millis(100));
    while down.elapsed() < Duration::from_secs(30) {
        pace.tick().await;
        amount += 1;
        let product = i64::from(amount % 5) + 1;
        let written = staff.change_price(product, i64::from(amount)).await;
        for gateway in 0..2 {
            let reader = shop.client(gateway).with_cache_token(written.header("x-cache-token"));
            let read = reader.get(&format!("/api/v1/products/{product}")).await;
            assert_eq!(read.first_variant_amount(), i64::from(amount), "its own write, gateway {gateway}");
        }
    }
    shop.nats.restart().await;
    let mut latest = std::collections::HashMap::new();
    for offset in 0..5 {
        let value = amount - offset;
        latest.insert(i64::from(value % 5) + 1, i64::from(value));
    }
    testkit::eventually(Duration::from_secs(30), "both gateways have caught up", async || {
        for gateway in 0..2 {
            for (product, amount) in &latest {
                let read = shop.client(gateway).get(&format!("/api/v1/products/{product}")).await;
                if read.first_variant_amount() != *amount {
                    return None;
                }
            }
        }
        Some(())
    })
    .await;
    // Once caught up the cache works again: hits, and fresh ones.
    testkit::eventually(Duration::from_secs(10), "hits again", async || {
        let read = shop.client(1).get("/api/v1/products/1").await;
        assert_eq!(read.first_variant_amount(), latest[&1]);
        read.is_hit().then_some(())
    })
    .await;
}

/// The guarantee is the invalidator's, but the writer does not need it: its gateway purges at once.
#[tokio::test(flavor = "multi_thread")]
async fn with_the_invalidator_killed_the_writer_still_reads_its_write() {
    let mut shop = Shop::open().await;
    for gateway in 0..2 {
        shop.client(gateway).get("/api/v1/products/1").await;
    }
    shop.kill(Service::Invalidator);
    let staff = shop.client(0).with_bearer(shop.token("staff"));
    for amount in 4_500..4_510 {
        let written = staff.change_price(1, amount).await;
        for gateway in 0..2 {
            let reader = shop.client(gateway).with_cache_token(written.header("x-cache-token"));
            assert_eq!(reader.get("/api/v1/products/1").await.first_variant_amount(), amount);
        }
    }
    shop.spawn(Service::Invalidator);
    shop.wait_until_ready(Service::Invalidator).await;
    testkit::eventually(Duration::from_secs(10), "hits again", async || {
        shop.client(1).get("/api/v1/products/1").await.is_hit().then_some(())
    })
    .await;
}

/// The commit happened, nothing was published, the process died: its outbox remembers. The writer's
/// gateway dies too, so that the outbox is the only one left who knows.
#[tokio::test(flavor = "multi_thread")]
async fn catalog_killed_between_commit_and_publish_purges_after_its_restart() {
    let mut shop = Shop::open().await;
    let bystander = shop.client(1);
    bystander.get("/api/v1/products/1").await;
    shop.nats.kill().await;
    shop.client(0).with_bearer(shop.token("staff")).change_price(1, 4_242).await;
    shop.kill(Service::Catalog);
    shop.kill(Service::Gateway(0));
    shop.nats.restart().await;
    shop.spawn(Service::Catalog);
    shop.wait_until_ready(Service::Catalog).await;
    testkit::eventually(Duration::from_secs(20), "the purge of the restarted relay", async || {
        (bystander.get("/api/v1/products/1").await.first_variant_amount() == 4_242).then_some(())
    })
    .await;
}

/// The origin is gone: what is cached is served, what is not is a clear 503 that says when to retry.
#[tokio::test(flavor = "multi_thread")]
async fn catalog_killed_means_cached_pages_and_503_for_the_rest() {
    let mut shop = Shop::open().await;
    let client = shop.client(0);
    testkit::eventually(Duration::from_secs(2), "a cached page", async || {
        client.get("/api/v1/products/2").await.is_hit().then_some(())
    })
    .await;
    shop.kill(Service::Catalog);
    assert_eq!(client.get("/api/v1/products/2").await.status, 200);
    let missing = client.get("/api/v1/products/3").await;
    assert_eq!(missing.status, 503, "{}", missing.text());
    assert_eq!(missing.json()["code"], "upstream_unavailable");
    assert!(missing.header("retry-after").parse::<u32>().is_ok());
    shop.spawn(Service::Catalog);
    shop.wait_until_ready(Service::Catalog).await;
    testkit::eventually(Duration::from_secs(10), "the page answers again", async || {
        (client.get("/api/v1/products/3").await.status == 200).then_some(())
    })
    .await;
}

/// S60: switched off, every read is a miss and everything still works.
#[tokio::test(flavor = "multi_thread")]
async fn with_the_cache_switched_off_every_read_is_a_miss() {
    let options = crate::shop::Options {
        environment: vec![("REDIS_CACHE_ENABLED", "0".to_owned())],
        ..crate::shop::Options::default()
    };
    let shop = Shop::open_with(options).await;
    let staff = shop.client(0).with_bearer(shop.token("staff"));
    for amount in 5_100..5_105 {
        staff.change_price(1, amount).await;
        for gateway in 0..2 {
            let read = shop.client(gateway).get("/api/v1/products/1").await;
            assert_eq!((read.first_variant_amount(), read.is_hit()), (amount, false));
        }
    }
}
