//! A writer reads its own write on every gateway at once; everybody else very soon.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;

use crate::{client::Client, shop::Shop};

/// Read-your-writes: with the answer's token the other gateway never shows the old price.
#[tokio::test(flavor = "multi_thread")]
async fn with_the_token_every_gateway_shows_the_write_at_once() {
    let shop = Shop::open().await;
    let staff = shop.client(0).with_bearer(shop.token("staff"));
    for round in 0..100_i64 {
        let (writer, reader) = (usize::from(round % 2 == 0), usize::from(round % 3 == 0));
        // Both gateways hold the entry before the write, or the test would prove nothing.
        for gateway in 0..2 {
            shop.client(gateway).get("/api/v1/products/1").await;
        }
        let amount = 5_000 + round;
        let written = shop.client(writer).with_bearer(shop.token("staff")).change_price(1, amount).await;
        let token = written.header("x-cache-token");
        let read = shop.client(reader).with_cache_token(token).get("/api/v1/products/1").await;
        assert_eq!(read.first_variant_amount(), amount, "round {round}: stale with a token");
    }
    drop(staff);
}

/// Monotonic reads: a token taken from any answer never lets an older state through.
#[tokio::test(flavor = "multi_thread")]
async fn a_reader_with_its_token_never_goes_back() {
    let shop = Shop::open().await;
    let staff = shop.client(0).with_bearer(shop.token("staff"));
    let (mut seen, mut token) = (0, None::<String>);
    for amount in 6_000..6_040 {
        staff.change_price(1, amount).await;
        for gateway in [0, 1, 1, 0] {
            let mut reader = shop.client(gateway);
            if let Some(token) = &token {
                reader = reader.with_cache_token(token);
            }
            let read = reader.get("/api/v1/products/1").await;
            let now = read.first_variant_amount();
            assert!(now >= seen, "went back from {seen} to {now}");
            (seen, token) = (now, Some(read.header("x-cache-token").to_owned()));
        }
    }
    assert!(seen >= 6_039 - 1, "reads never advanced: {seen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_token_the_other_gateway_follows_soon() {
    let shop = Shop::open().await;
    let staff = shop.client(0).with_bearer(shop.token("staff"));
    let bystander = shop.client(1);
    for amount in [7_001, 7_002, 7_003] {
        bystander.get("/api/v1/products/1").await;
        staff.change_price(1, amount).await;
        testkit::eventually(Duration::from_secs(2), "the new price without a token", async || {
            (bystander.get("/api/v1/products/1").await.first_variant_amount() == amount).then_some(())
        })
        .await;
    }
}

/// One price change makes every page that shows the price fresh: list, search, featured, detail.
#[tokio::test(flavor = "multi_thread")]
async fn every_page_that_shows_the_product_is_purged() {
    let shop = Shop::open().await;
    let staff = shop.client(0).with_bearer(shop.token("staff"));
    let pages = [
        "/api/v1/products?per_page=100",
        "/api/v1/products?sort=price&per_page=100",
        "/api/v1/products?search=blend&per_page=100",
        "/api/v1/products?category=espresso&per_page=100",
        "/api/v1/products/featured?limit=50",
        "/api/v1/products/new?limit=50",
    ];
    for page in pages {
        shop.client(1).get(page).await;
    }
    let written = staff.change_price(1, 3_133).await;
    let reader = shop.client(1).with_cache_token(written.header("x-cache-token"));
    for page in pages {
        let answer = reader.get(page).await.json();
        let products = answer["data"]["products"].as_array().unwrap();
        let product =
            products.iter().find(|product| product["id"] == 1).unwrap_or_else(|| panic!("not in {page}"));
        assert_eq!(product["price"]["amount"], 3_133, "stale {page}");
    }
}

/// E1: a page that did not exist was cached as a 404; creating the product purges that too.
#[tokio::test(flavor = "multi_thread")]
async fn a_created_product_replaces_its_cached_404_and_leaves_when_deleted() {
    let shop = Shop::open().await;
    let staff = shop.client(0).with_bearer(shop.token("staff"));
    let slug = "cafe-que-ainda-nao-existe";
    let path = format!("/api/v1/products/by-slug/{slug}");
    let missing = testkit::eventually(Duration::from_secs(2), "a cached 404", async || {
        let answer = shop.client(1).get(&path).await;
        answer.is_hit().then_some(answer)
    })
    .await;
    assert_eq!(missing.status, 404);
    assert_eq!(missing.json()["code"], "not_found");

    let created = create(&staff, slug, 2).await;
    assert_eq!(created.status, 201, "{}", created.text());
    let id = created.json()["data"]["product"]["id"].as_i64().unwrap();
    let found = shop.client(1).with_cache_token(created.header("x-cache-token")).get(&path).await;
    assert_eq!(found.status, 200);

    let admin_path = format!("/api/v1/admin/products/{id}");
    let version = staff.get(&admin_path).await.header("etag").to_owned();
    let deleted = Client::send(staff.request(Method::DELETE, &admin_path).header("if-match", version)).await;
    assert_eq!(deleted.status, 204, "{}", deleted.text());
    let reader = shop.client(1).with_cache_token(deleted.header("x-cache-token"));
    assert_eq!(reader.get(&path).await.status, 404);
    let list = reader.get("/api/v1/products?per_page=100").await.json();
    assert!(list["data"]["products"].as_array().unwrap().iter().all(|product| product["id"] != id));
}

/// T11: moving a product makes the list it leaves and the list it enters fresh.
#[tokio::test(flavor = "multi_thread")]
async fn a_move_purges_the_old_and_the_new_category() {
    let shop = Shop::open().await;
    let staff = shop.client(0).with_bearer(shop.token("staff"));
    let (old, new) =
        ("/api/v1/products?category_id=2&per_page=100", "/api/v1/products?category_id=3&per_page=100");
    let ids = |answer: &serde_json::Value| -> Vec<i64> {
        let products = answer["data"]["products"].as_array().unwrap();
        products.iter().map(|product| product["id"].as_i64().unwrap()).collect()
    };
    let moved = ids(&shop.client(1).get(old).await.json())[0];
    shop.client(1).get(new).await;

    let path = format!("/api/v1/admin/products/{moved}");
    let version = staff.get(&path).await.header("etag").to_owned();
    let patched = staff.write(Method::PATCH, &path, Some(&version), &json!({ "category_id": 3 })).await;
    assert_eq!(patched.status, 200, "{}", patched.text());

    let reader = shop.client(1).with_cache_token(patched.header("x-cache-token"));
    assert!(!ids(&reader.get(old).await.json()).contains(&moved));
    assert!(ids(&reader.get(new).await.json()).contains(&moved));
}

/// Twenty writers and readers at once: whoever holds a token sees at least what it names.
#[tokio::test(flavor = "multi_thread")]
async fn concurrent_writers_each_read_their_own_write() {
    let shop = Shop::open().await;
    let mut tasks = tokio::task::JoinSet::new();
    for product in 1..=10_i64 {
        let writers = [0, 1].map(|gateway| shop.client(gateway).with_bearer(shop.token("staff")));
        let readers = [0, 1].map(|gateway| shop.client(gateway));
        tasks.spawn(async move {
            for round in 0..15_i64 {
                let amount = 4_000 + round;
                let gateway = usize::from((product + round) % 2 == 0);
                let written = writers[gateway].change_price(product, amount).await;
                let token = written.header("x-cache-token").to_owned();
                for reader in readers.clone() {
                    let path = format!("/api/v1/products/{product}");
                    let read = reader.with_cache_token(&token).get(&path).await;
                    assert_eq!(read.first_variant_amount(), amount, "product {product}, round {round}");
                }
            }
        });
    }
    while let Some(task) = tasks.join_next().await {
        task.unwrap();
    }
}

pub(crate) async fn create(staff: &Client, slug: &str, category_id: i64) -> crate::client::Answer {
    let body = json!({
        "slug": slug,
        "name": "Café que acabou de chegar",
        "description": "Um lote novo.",
        "category_id": category_id,
        "attributes": { "notas": "mel" },
        "is_active": true,
        "is_featured": false,
        "variants": [{
            "sku": format!("NOVO-{slug}"),
            "name": "250 g, em grãos",
            "options": { "peso": "250 g", "moagem": "em grãos" },
            "weight_g": 250,
            "price_amount": 3_990
        }]
    });
    staff.write(Method::POST, "/api/v1/admin/products", None, &body).await
}
