//! A shopper reads: miss, hit, revalidation, and the flow of the load script.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::shop::Shop;

#[tokio::test(flavor = "multi_thread")]
async fn the_second_read_is_a_hit_with_every_promised_header() {
    let shop = Shop::open().await;
    let client = shop.client(0);

    let miss = client.get("/api/v1/products").await;
    let hit = testkit::eventually(std::time::Duration::from_secs(10), "a hit", async || {
        let answer = client.get("/api/v1/products").await;
        answer.is_hit().then_some(answer)
    })
    .await;

    assert_eq!((miss.status.as_u16(), hit.status.as_u16()), (200, 200));
    assert!(!miss.is_hit());
    assert_eq!(miss.body, hit.body);
    assert_eq!(miss.header("x-cache"), "MISS");
    assert_eq!(hit.header("x-cache"), "L1");
    assert!(hit.header("cache-status").contains("hit"), "{}", hit.header("cache-status"));
    let time = hit.header("x-response-time");
    assert!(time.strip_suffix("ms").is_some_and(|digits| digits.parse::<u64>().is_ok()), "{time}");
    for name in ["age", "etag", "server-timing", "x-request-id", "x-cache-token", "x-content-type-options"] {
        assert!(hit.headers.contains_key(name), "{name} is missing");
    }
    assert_ne!(miss.header("x-request-id"), hit.header("x-request-id"));

    let products = hit.json()["data"]["products"].as_array().unwrap().clone();
    assert_eq!(products.len(), 20);
    assert_eq!(products[0]["price"]["currency"], "BRL");
    assert!(products[0]["price"]["formatted"].as_str().unwrap().starts_with("R$"));
    let pagination = &hit.json()["data"]["pagination"];
    assert_eq!(pagination["total"], catalog::seed::DEMO_PRODUCTS);
    assert_eq!(pagination["total_exact"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_gateway_finds_the_entry_in_redis() {
    let shop = Shop::open().await;
    shop.client(0).get("/api/v1/products/1").await;
    let mut price = 0;
    testkit::eventually(std::time::Duration::from_secs(10), "an L2 hit on the other gateway", async || {
        // A miss fills this gateway's L1, so each probe asks for a page that neither gateway holds.
        price += 1;
        let path = format!("/api/v1/products?min_price={price}");
        shop.client(0).get(&path).await;
        let other = shop.client(1).get(&path).await;
        (other.header("x-cache") == "L2").then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unchanged_answer_is_304_and_each_encoding_has_its_own_etag() {
    let shop = Shop::open().await;
    let client = shop.client(0);
    let mut etags = Vec::new();
    for encoding in ["identity", "gzip", "br"] {
        let request =
            client.request(reqwest::Method::GET, "/api/v1/products").header("accept-encoding", encoding);
        let answer = crate::client::Client::send(request).await;
        let sent = answer.headers.get("content-encoding").map_or("identity", |value| value.to_str().unwrap());
        assert_eq!(sent, encoding);
        assert!(answer.header("vary").to_lowercase().contains("accept-encoding"));
        let etag = answer.header("etag").to_owned();
        let again = client
            .request(reqwest::Method::GET, "/api/v1/products")
            .header("accept-encoding", encoding)
            .header("if-none-match", &etag);
        let not_modified = crate::client::Client::send(again).await;
        assert_eq!((not_modified.status.as_u16(), not_modified.body.len()), (304, 0));
        assert_eq!(not_modified.header("etag"), etag);
        etags.push(etag);
    }
    etags.sort();
    etags.dedup();
    assert_eq!(etags.len(), 3, "{etags:?}");
}

/// S256-S259, S136: the load script's three steps, the search both percent-encoded and as raw UTF-8.
#[tokio::test(flavor = "multi_thread")]
async fn the_flow_of_the_load_script_answers() {
    let shop = Shop::open().await;
    let client = shop.client(0);

    let list = client.get("/api/v1/products").await;
    assert_eq!(list.status, 200);
    assert!(!list.json()["data"]["products"].as_array().unwrap().is_empty());

    let detail = client.get("/api/v1/products/1").await;
    assert_eq!(detail.status, 200);
    let product = &detail.json()["data"]["product"];
    assert_eq!(product["id"], 1);
    assert!(product["variants"].as_array().unwrap().len() >= 2);

    let encoded = client.get("/api/v1/products?search=caf%C3%A9").await;
    assert_eq!(encoded.status, 200);
    let found = encoded.json()["data"]["products"].as_array().unwrap().clone();
    assert!(!found.is_empty());

    let raw = raw_exchange(
        &shop,
        "GET /api/v1/products?search=café HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
            .as_bytes(),
    )
    .await;
    assert!(raw.starts_with("HTTP/1.1 200"), "{raw}");
    assert!(
        raw.contains(found[0]["slug"].as_str().unwrap()),
        "the raw form finds what the encoded one finds"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_image_of_a_page_loads() {
    let shop = Shop::open().await;
    let client = shop.client(0);
    let list = client.get("/api/v1/products?per_page=100").await.json();
    let mut checked = 0;
    for product in list["data"]["products"].as_array().unwrap() {
        let image = &product["image"];
        assert!(image["width"].as_i64().unwrap() > 0 && image["height"].as_i64().unwrap() > 0);
        assert!(!image["alt"].as_str().unwrap().is_empty());
        let answer = client.get(image["url"].as_str().unwrap()).await;
        assert_eq!(answer.status, 200, "{image}");
        assert!(answer.header("content-type").starts_with("image/svg+xml"));
        assert!(answer.header("cache-control").contains("immutable"));
        assert!(answer.text().starts_with("<svg"));
        checked += 1;
    }
    assert_eq!(checked, 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn collections_categories_and_the_contract_answer() {
    let shop = Shop::open().await;
    let client = shop.client(0);
    for path in ["/api/v1/products/featured", "/api/v1/products/new?limit=5"] {
        let answer = client.get(path).await;
        assert_eq!(answer.status, 200, "{path}");
        assert!(!answer.json()["data"]["products"].as_array().unwrap().is_empty(), "{path}");
    }
    let categories = client.get("/api/v1/categories").await.json();
    let categories = categories["data"]["categories"].as_array().unwrap();
    assert!(categories.len() >= 3, "the roots of the tree");
    let origin = client.get("/api/v1/products?category=cafes-de-origem&per_page=100").await.json();
    let found = origin["data"]["products"].as_array().unwrap();
    assert!(found.len() > 50, "a category includes its descendants: {}", found.len());
    let by_slug = client.get("/api/v1/products/by-slug/blend-mestre-da-casa").await.json();
    assert_eq!(by_slug["data"]["product"]["id"], 1);
    let contract = client.get("/api/openapi.json").await.json();
    assert!(contract["openapi"].as_str().unwrap().starts_with("3.1"));
    for path in
        ["/api/v1/products", "/api/v1/products/{id}", "/api/v1/admin/products/{id}", "/health/performance"]
    {
        assert!(contract["paths"].get(path).is_some(), "{path} is not in the contract");
    }
}

/// Sends `request` byte for byte to the first gateway and answers everything until the connection closes.
pub(crate) async fn raw_exchange(shop: &Shop, request: &[u8]) -> String {
    let exchange = async {
        let mut stream = TcpStream::connect(shop.gateway_address(0)).await.unwrap();
        stream.write_all(request).await.unwrap();
        let mut answer = Vec::new();
        // A reset after the answer is the server's right; what came before it counts.
        let _ended = stream.read_to_end(&mut answer).await;
        String::from_utf8_lossy(&answer).into_owned()
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), exchange).await.expect("an answer within 20 s")
}
