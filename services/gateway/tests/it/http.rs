//! What clients see: answers, headers, the cache at work, changes and their tokens, refusals.

use std::time::Duration;

use reqwest::{Method, Response};
use serde_json::{Value, json};
use testkit::eventually;
use tonic::Code;

use crate::scripted_catalog::IMAGE;
use crate::shop::{PATIENCE, Shop, check_problem, header};

async fn json(response: Response) -> Value {
    response.json().await.expect("the body is JSON")
}

#[tokio::test]
async fn a_list_is_a_miss_then_a_hit_and_says_so() {
    let shop = Shop::open().await;
    let miss = shop.get("/api/v1/products").await;
    assert_eq!(miss.status(), 200);
    assert_eq!(header(&miss, "x-cache-hit"), "false");
    assert_eq!(header(&miss, "x-cache"), "MISS");
    assert!(header(&miss, "cache-status").starts_with("mestres; fwd=miss; stored"));
    let etag = header(&miss, "etag").to_owned();
    let body = json(miss).await;
    assert_eq!(body["data"]["products"].as_array().map(Vec::len), Some(20));
    assert_eq!(body["data"]["products"][0]["price"]["formatted"], "R$ 42,90");
    assert_eq!(body["data"]["products"][0]["rating"], json!({"average": 4.5, "count": 2}));
    assert_eq!(body["data"]["products"][0]["sca_score"], 86.5);
    assert_eq!(body["data"]["pagination"]["pages"], 2);

    let hit = shop.get("/api/v1/products?per_page=20&page=1").await;
    assert_eq!(header(&hit, "x-cache-hit"), "true");
    assert_eq!(header(&hit, "x-cache"), "L1");
    assert!(header(&hit, "cache-status").starts_with("mestres; hit; ttl="));
    assert_eq!(header(&hit, "age"), "0");
    assert_eq!(header(&hit, "etag"), etag);
    assert_eq!(header(&hit, "cache-control"), "public, max-age=0, must-revalidate");
    assert_eq!(header(&hit, "vary"), "accept-encoding");
    assert!(header(&hit, "x-response-time").ends_with("ms"));
    assert!(!header(&hit, "server-timing").is_empty());
    assert!(!header(&hit, "x-cache-token").is_empty());
    assert!(!hit.headers().contains_key("set-cookie"), "reading sets no cookie");
    for (name, value) in [
        ("x-frame-options", "DENY"),
        ("x-content-type-options", "nosniff"),
        ("x-xss-protection", "1; mode=block"),
        ("referrer-policy", "no-referrer"),
        ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
    ] {
        assert_eq!(header(&hit, name), value);
    }
    assert_eq!(json(hit).await, body);
    assert_eq!(shop.catalog.calls(), 1);
}

#[tokio::test]
async fn an_unchanged_answer_is_not_sent_again_and_head_sends_none() {
    let shop = Shop::open().await;
    let first = shop.get("/api/v1/products/1").await;
    let etag = header(&first, "etag").to_owned();
    let again = shop.gateway.request(Method::GET, "/api/v1/products/1").header("if-none-match", &etag);
    let again = again.send().await.expect("an answer");
    assert_eq!(again.status(), 304);
    assert_eq!(header(&again, "etag"), etag);
    assert!(again.bytes().await.expect("a body").is_empty());

    let other = shop.gateway.request(Method::GET, "/api/v1/products/1").header("if-none-match", "\"other\"");
    assert_eq!(other.send().await.expect("an answer").status(), 200);

    let head = shop.gateway.request(Method::HEAD, "/api/v1/products/1").send().await.expect("an answer");
    assert_eq!((head.status().as_u16(), header(&head, "etag")), (200, etag.as_str()));
    assert_ne!(header(&head, "content-length"), "0");
    let live = shop.gateway.request(Method::HEAD, "/health/live").send().await.expect("an answer");
    assert_eq!(live.status(), 200);
}

#[tokio::test]
async fn bodies_are_compressed_as_the_client_asks() {
    use std::io::Read;
    let shop = Shop::open().await;
    let plain = shop.get("/api/v1/products").await.bytes().await.expect("a body");
    let fetch = async |accept: &str| {
        let request = shop.gateway.request(Method::GET, "/api/v1/products").header("accept-encoding", accept);
        request.send().await.expect("an answer")
    };
    let brotli = fetch("gzip, br").await;
    assert_eq!((header(&brotli, "content-encoding"), header(&brotli, "x-cache")), ("br", "L1"));
    let brotli_tag = header(&brotli, "etag").to_owned();
    let bytes = brotli.bytes().await.expect("a body");
    let mut body = Vec::new();
    brotli::Decompressor::new(&bytes[..], 4096).read_to_end(&mut body).expect("it is brotli");
    assert_eq!(body, plain);

    let gzip = fetch("gzip").await;
    assert_eq!(header(&gzip, "content-encoding"), "gzip");
    assert_ne!(header(&gzip, "etag"), brotli_tag);
    let bytes = gzip.bytes().await.expect("a body");
    body.clear();
    flate2::read::GzDecoder::new(&bytes[..]).read_to_end(&mut body).expect("it is gzip");
    assert_eq!(body, plain);

    check_problem(fetch("identity;q=0, deflate").await, 406, "not_acceptable").await;
    assert_eq!(shop.catalog.calls(), 1);
}

#[tokio::test]
async fn what_does_not_exist_is_remembered_too() {
    let shop = Shop::open().await;
    let problem = check_problem(shop.get("/api/v1/products/999").await, 404, "not_found").await;
    assert_eq!(problem["instance"], "/api/v1/products/999");
    let again = shop.get("/api/v1/products/999").await;
    assert_eq!((header(&again, "x-cache"), again.status().as_u16()), ("L1", 404));
    let english =
        shop.gateway.request(Method::GET, "/api/v1/products/999").header("accept-language", "en-GB");
    let problem = check_problem(english.send().await.expect("an answer"), 404, "not_found").await;
    assert_eq!(problem["title"], "Not found");
    assert_eq!(shop.catalog.calls(), 1);
    check_problem(shop.get("/nowhere").await, 404, "not_found").await;
}

#[tokio::test]
async fn products_by_slug_fields_categories_and_images() {
    let shop = Shop::open().await;
    let by_slug = json(shop.get("/api/v1/products/by-slug/cafe-7").await).await;
    assert_eq!(by_slug["data"]["product"]["id"], 7);
    assert_eq!(by_slug["data"]["product"]["attributes"], json!({"notas": ["mel", "caramelo"]}));
    assert_eq!(by_slug["data"]["product"]["variants"][0]["options"], json!({"peso": "250 g"}));
    let fields = json(shop.get("/api/v1/products/7?fields=id,name").await).await;
    assert_eq!(fields["data"]["product"], json!({"id": 7, "name": "Café número 7"}));
    let tree = json(shop.get("/api/v1/categories").await).await;
    assert_eq!(tree["data"]["categories"][0]["children"][0]["children"][0]["id"], 3);
    assert_eq!(tree["data"]["categories"].as_array().map(Vec::len), Some(2));
    check_problem(shop.get("/api/v1/categories/9").await, 404, "not_found").await;
    let featured = json(shop.get("/api/v1/products/featured?limit=3").await).await;
    assert_eq!(featured["data"]["products"].as_array().map(Vec::len), Some(3));
    let image = shop.get(&format!("/images/{IMAGE}.svg")).await;
    assert_eq!(header(&image, "content-type"), "image/svg+xml");
    assert_eq!(header(&image, "cache-control"), "public, max-age=31536000, immutable");
    assert!(header(&image, "content-security-policy").contains("style-src"));
    check_problem(shop.get(&format!("/images/{}.svg", "0".repeat(64))).await, 404, "not_found").await;
}

#[tokio::test]
async fn request_ids_are_echoed_when_harmless() {
    let shop = Shop::open().await;
    let sent =
        |id: &'static str| shop.gateway.request(Method::GET, "/health/live").header("x-request-id", id);
    let echoed = sent("checkout-42_a.b").send().await.expect("an answer");
    assert_eq!(header(&echoed, "x-request-id"), "checkout-42_a.b");
    for bad in ["a b", "<script>", ""] {
        let fresh = sent(bad).send().await.expect("an answer");
        let id = header(&fresh, "x-request-id");
        assert_eq!(uuid::Uuid::parse_str(id).map(|id| id.get_version_num()), Ok(7), "{id}");
    }
}

#[tokio::test]
async fn a_writer_reads_its_own_write() {
    let shop = Shop::open().await;
    shop.get("/api/v1/products/1").await;
    shop.get("/api/v1/products").await;
    let admin =
        shop.request_as("staff", Method::GET, "/api/v1/admin/products/1").send().await.expect("an answer");
    assert_eq!(
        (header(&admin, "etag"), header(&admin, "cache-control")),
        ("\"p-1-v1\"", "private, no-store")
    );
    assert_eq!(json(admin).await["data"]["product"]["is_active"], true);
    let forwarded = shop.catalog.last_bearer();
    assert!(forwarded.is_some_and(|token| token.starts_with("Bearer ")), "services verify for themselves");

    let change = shop
        .request_as("staff", Method::PUT, "/api/v1/admin/products/1/prices")
        .header("if-match", "\"p-1-v1\"")
        .json(&json!({"prices": [{"variant_id": 10, "amount": 5000}]}));
    let changed = change.send().await.expect("an answer");
    assert_eq!((changed.status().as_u16(), header(&changed, "etag")), (200, "\"p-1-v2\""));
    let token = header(&changed, "x-cache-token").to_owned();
    let cookie = header(&changed, "set-cookie").to_owned();
    assert!(cookie.starts_with(&format!("cache-token={token}; ")), "{cookie}");
    for (name, value) in [("x-cache-token", token.clone()), ("cookie", format!("a=b; cache-token={token}"))] {
        for target in ["/api/v1/products/1", "/api/v1/products"] {
            let read = shop.gateway.request(Method::GET, target).header(name, &value);
            let body = json(read.send().await.expect("an answer")).await;
            let product =
                if target.ends_with('1') { &body["data"]["product"] } else { &body["data"]["products"][0] };
            assert_eq!(product["price"]["amount"], 5000, "{name} {target}");
        }
    }
    // Without the token the purge was published by the same gateway, so it is as good as immediate.
    let body = json(shop.get("/api/v1/products/1").await).await;
    assert_eq!(body["data"]["product"]["price"]["amount"], 5000);
}

#[tokio::test]
async fn changes_need_a_version_and_the_current_one() {
    let shop = Shop::open().await;
    let patch = |if_match: Option<&'static str>| {
        let request = shop
            .request_as("admin", Method::PATCH, "/api/v1/admin/products/2")
            .json(&json!({"name": "Novo"}));
        match if_match {
            Some(tag) => request.header("if-match", tag),
            None => request,
        }
    };
    check_problem(patch(None).send().await.expect("an answer"), 428, "precondition_required").await;
    for stale in ["\"p-2-v9\"", "\"p-1-v1\"", "W/\"p-2-v1\"", "nonsense"] {
        let refused = patch(Some(stale)).send().await.expect("an answer");
        assert_eq!(header(&refused, "etag"), "\"p-2-v1\"", "{stale}");
        let problem = check_problem(refused, 412, "precondition_failed").await;
        assert_eq!(problem["current"]["product"]["name"], "Café número 2");
    }
    let done = patch(Some("\"p-2-v7\", \"p-2-v1\"")).send().await.expect("an answer");
    assert_eq!((done.status().as_u16(), header(&done, "etag")), (200, "\"p-2-v2\""));
    let done = patch(Some("*")).send().await.expect("an answer");
    assert_eq!((done.status().as_u16(), header(&done, "etag")), (200, "\"p-2-v3\""));
    let delete =
        shop.request_as("admin", Method::DELETE, "/api/v1/admin/products/2").header("if-match", "\"p-2-v3\"");
    let deleted = delete.send().await.expect("an answer");
    assert_eq!(deleted.status(), 204);
    assert!(!header(&deleted, "x-cache-token").is_empty());
    let listed = shop
        .request_as("staff", Method::GET, "/api/v1/admin/products?per_page=2")
        .send()
        .await
        .expect("an answer");
    assert_eq!(json(listed).await["data"]["products"][1]["is_active"], false);
}

#[tokio::test]
async fn creating_answers_where_the_product_is() {
    let shop = Shop::open().await;
    check_problem(shop.get("/api/v1/products/by-slug/novo-cafe").await, 404, "not_found").await;
    let body = json!({"slug": "novo-cafe", "name": "Novo café",
        "variants": [{"sku": "N-1", "name": "250 g", "weight_g": 250, "price_amount": 3990}]});
    let create = shop.request_as("staff", Method::POST, "/api/v1/admin/products").json(&body);
    let created = create.send().await.expect("an answer");
    assert_eq!(created.status(), 201);
    assert_eq!(header(&created, "location"), "/api/v1/admin/products/41");
    assert_eq!(header(&created, "etag"), "\"p-41-v1\"");
    assert_eq!(json(created).await["data"]["product"]["name"], "Novo café");
}

#[tokio::test]
async fn bad_bodies_change_nothing() {
    let shop = Shop::open().await;
    let send = async |content_type: Option<&str>, encoding: Option<&str>, body: Vec<u8>| {
        let mut request = shop
            .request_as("staff", Method::PUT, "/api/v1/admin/products/1/prices")
            .header("if-match", "\"p-1-v1\"")
            .body(body);
        if let Some(content_type) = content_type {
            request = request.header("content-type", content_type);
        }
        if let Some(encoding) = encoding {
            request = request.header("content-encoding", encoding);
        }
        request.send().await.expect("an answer")
    };
    let good = br#"{"prices":[{"variant_id":10,"amount":1}]}"#.to_vec();
    let json_type = Some("application/json");
    for content_type in [
        None,
        Some("text/plain"),
        Some("application/x-www-form-urlencoded"),
        Some("application/json; charset=latin1"),
    ] {
        check_problem(send(content_type, None, good.clone()).await, 415, "unsupported_media_type").await;
    }
    for encoding in ["gzip", "br", "deflate"] {
        check_problem(send(json_type, Some(encoding), good.clone()).await, 415, "unsupported_media_type")
            .await;
    }
    for body in [&b"{"[..], b"", b"{\"prices\":[],\"prices\":[]}", b"\xef\xbb\xbf{}", b"{\"a\":\"\xff\"}"] {
        check_problem(send(json_type, None, body.to_vec()).await, 400, "malformed_json").await;
    }
    let problem = check_problem(
        send(json_type, None, b"{\"prices\":[{\"amount\":-1}]}".to_vec()).await,
        422,
        "validation_failed",
    )
    .await;
    assert_eq!(problem["errors"][0]["pointer"], "/prices/0/amount");
    check_problem(send(json_type, None, vec![b' '; 1024 * 1024 + 1]).await, 413, "payload_too_large").await;
    assert_eq!((shop.catalog.calls(), shop.catalog.price(1)), (0, 4290));
}

#[tokio::test]
async fn callers_are_who_their_token_says() {
    let shop = Shop::open().await;
    let admin = "/api/v1/admin/products/1";
    check_problem(shop.get(admin).await, 401, "unauthenticated").await;
    let with = async |name: &str, value: &str, method: Method, target: &str| {
        shop.gateway.request(method, target).header(name, value).send().await.expect("an answer")
    };
    let token = |role: &str| shop.gateway.keys.token(role, 7);
    check_problem(
        with("authorization", &shop.gateway.keys.bearer("customer", 7), Method::GET, admin).await,
        403,
        "forbidden",
    )
    .await;
    for bad in ["Bearer nonsense", "Basic YTpi", "Bearer", &format!("Bearer {}x", token("admin"))] {
        check_problem(with("authorization", bad, Method::GET, admin).await, 401, "unauthenticated").await;
        check_problem(
            with("authorization", bad, Method::GET, "/api/v1/products").await,
            401,
            "unauthenticated",
        )
        .await;
    }
    let cookie = format!("x=y; auth-token={}", token("staff"));
    assert_eq!(with("cookie", &cookie, Method::GET, admin).await.status(), 200);
    let crossed = shop
        .gateway
        .request(Method::GET, admin)
        .header("cookie", &cookie)
        .header("origin", "https://evil.example");
    check_problem(crossed.send().await.expect("an answer"), 401, "unauthenticated").await;
    let browser = format!("__Host-auth-token={}", token("staff"));
    let forged = shop
        .gateway
        .request(Method::DELETE, admin)
        .header("cookie", &browser)
        .header("sec-fetch-site", "cross-site")
        .header("if-match", "\"p-1-v1\"");
    check_problem(forged.send().await.expect("an answer"), 403, "forbidden").await;
    let metrics = "/api/admin/performance-metrics";
    check_problem(shop.get(metrics).await, 401, "unauthenticated").await;
    check_problem(
        with("authorization", &shop.gateway.keys.bearer("staff", 7), Method::GET, metrics).await,
        403,
        "forbidden",
    )
    .await;
    let expired = "Bearer eyJhbGciOiJub25lIn0.e30.";
    check_problem(with("authorization", expired, Method::GET, metrics).await, 401, "unauthenticated").await;
    // A public page does not care about an old cookie.
    assert_eq!(with("cookie", "auth-token=nonsense", Method::GET, "/api/v1/products").await.status(), 200);
}

#[tokio::test]
async fn services_that_fail_are_told_apart() {
    let shop = Shop::open().await;
    for (code, status, expected) in [
        (Code::Unavailable, 503, "upstream_unavailable"),
        (Code::DeadlineExceeded, 504, "timeout"),
        (Code::ResourceExhausted, 503, "overloaded"),
        (Code::Internal, 500, "internal_error"),
    ] {
        shop.catalog.fail(Some(code));
        let response = shop.get(&format!("/api/v1/products?page={}", code as i32 + 1)).await;
        assert_eq!(status == 503, response.headers().contains_key("retry-after"), "{code:?}");
        let problem = check_problem(response, status, expected).await;
        assert!(!problem.to_string().contains("as the test asked"), "{problem}");
    }
    shop.catalog.forget_calls();
    shop.catalog.fail(Some(Code::Unavailable));
    shop.get("/api/v1/products?page=30").await;
    assert_eq!(shop.catalog.calls(), 2, "a read is tried once more");
    shop.catalog.fail(None);
    shop.get("/api/v1/products").await;
    shop.catalog.fail(Some(Code::Unavailable));
    assert_eq!(
        header(&shop.get("/api/v1/products").await, "x-cache"),
        "L1",
        "what is cached is still served"
    );
    check_problem(
        shop.request_as("admin", Method::GET, "/api/admin/performance-metrics")
            .send()
            .await
            .expect("an answer"),
        503,
        "upstream_unavailable",
    )
    .await;
    let health = shop.get("/health/performance").await;
    assert_eq!(health.status(), 503);
    assert_eq!(json(health).await["status"], "unknown");
}

#[tokio::test]
async fn a_change_outlives_its_client() {
    let shop = Shop::open().await;
    shop.catalog.dawdle(Duration::from_millis(300));
    let change = shop
        .request_as("staff", Method::PUT, "/api/v1/admin/products/3/prices")
        .header("if-match", "\"p-3-v1\"")
        .timeout(Duration::from_millis(100))
        .json(&json!({"prices": [{"variant_id": 30, "amount": 777}]}));
    assert!(change.send().await.expect_err("the client leaves").is_timeout());
    eventually(PATIENCE, "the price is changed all the same", async || {
        (shop.catalog.price(3) == 777).then_some(())
    })
    .await;
}

#[tokio::test]
async fn many_askers_are_one_question() {
    let shop = Shop::open().await;
    shop.catalog.dawdle(Duration::from_millis(200));
    let answers = futures_util::future::join_all((0..20).map(|_| shop.get("/api/v1/products?page=2"))).await;
    assert!(answers.iter().all(|answer| answer.status() == 200));
    assert_eq!(shop.catalog.calls(), 1);
}

#[tokio::test]
async fn more_than_fits_is_turned_away() {
    let shop = Shop::open().await;
    shop.catalog.dawdle(Duration::from_millis(500));
    let targets: Vec<_> = (1..=80).map(|page| format!("/api/v1/products?page={page}")).collect();
    let answers = futures_util::future::join_all(targets.iter().map(|target| shop.get(target))).await;
    let refused: Vec<_> = answers.iter().filter(|answer| answer.status() == 503).collect();
    assert_eq!(refused.len(), 80 - 64, "beyond the cap of the settings");
    assert!(refused.iter().all(|answer| answer.headers().contains_key("retry-after")));
}

#[tokio::test]
async fn the_contract_is_served() {
    let shop = Shop::open().await;
    let first = shop.get("/api/openapi.json").await;
    let etag = header(&first, "etag").to_owned();
    assert_eq!(json(first).await["info"]["title"], "Mestres Café");
    let again = shop.gateway.request(Method::GET, "/api/openapi.json").header("if-none-match", &etag);
    assert_eq!(again.send().await.expect("an answer").status(), 304);
}

#[tokio::test]
async fn a_drain_answers_what_is_under_way_and_says_goodbye() {
    let shop = Shop::open().await;
    shop.catalog.dawdle(Duration::from_millis(400));
    let slow = shop.gateway.request(Method::GET, "/api/v1/products?page=2").send();
    let slow = tokio::spawn(slow);
    eventually(PATIENCE, "the catalog is asked", async || (shop.catalog.calls() > 0).then_some(())).await;
    shop.gateway.shutdown.drain.cancel();
    let answer = slow.await.expect("no panic").expect("it is answered all the same");
    assert_eq!((answer.status().as_u16(), header(&answer, "connection")), (200, "close"));
    eventually(PATIENCE, "nobody listens", async || {
        tokio::net::TcpStream::connect(shop.gateway.addr).await.is_err().then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_change_waits_for_a_busy_service_but_is_never_made_twice() {
    let shop = Shop::open().await;
    let change = |version: i64, amount: i64| {
        shop.request_as("staff", Method::PUT, "/api/v1/admin/products/5/prices")
            .header("if-match", format!("\"p-5-v{version}\""))
            .json(&json!({"prices": [{"variant_id": 50, "amount": amount}]}))
            .send()
    };
    shop.catalog.refuse_next(2, "database_busy");
    let done = change(1, 500).await.expect("an answer");
    assert_eq!((done.status().as_u16(), shop.catalog.price(5), shop.catalog.calls()), (200, 500, 3));

    shop.catalog.forget_calls();
    shop.catalog.refuse_next(1, "database_unavailable");
    check_problem(change(2, 600).await.expect("an answer"), 503, "upstream_unavailable").await;
    assert_eq!((shop.catalog.price(5), shop.catalog.calls()), (500, 1));
}
