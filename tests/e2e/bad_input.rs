//! What nobody should send: each gets the right status and code, changes nothing, and holds nobody up.

use std::{
    fmt::Write as _,
    time::{Duration, Instant},
};

use reqwest::Method;

use crate::{client::Client, read_path::raw_exchange, shop::Shop};

/// No refusal may take longer, except those that wait for a slow client. Generous: it catches a query
/// that sleeps or a scan of everything, not a busy machine.
const REFUSAL_AT_MOST: Duration = Duration::from_secs(3);

/// (what, path and query, status, code)
const QUERIES: [(&str, &str, u16, &str); 43] = [
    // X48: numbers
    ("negative page", "/api/v1/products?page=-1", 400, "invalid_parameter"),
    ("page zero", "/api/v1/products?page=0", 400, "invalid_parameter"),
    ("a page beyond the depth limit", "/api/v1/products?page=1000000000", 400, "offset_too_deep"),
    ("depth just over the limit", "/api/v1/products?page=101&per_page=100", 400, "offset_too_deep"),
    ("a page beyond 64 bits", "/api/v1/products?page=9223372036854775808", 400, "invalid_parameter"),
    ("not a number", "/api/v1/products?page=NaN", 400, "invalid_parameter"),
    ("two numbers", "/api/v1/products?page=1,1", 400, "invalid_parameter"),
    ("a repeated parameter", "/api/v1/products?page=1&page=2", 400, "invalid_parameter"),
    ("a fraction", "/api/v1/products?page=1.5", 400, "invalid_parameter"),
    ("a sign", "/api/v1/products?page=%2B1", 400, "invalid_parameter"),
    ("empty", "/api/v1/products?page=", 400, "invalid_parameter"),
    // X49: lists
    ("a huge page size", "/api/v1/products?per_page=100000", 400, "invalid_parameter"),
    ("page size zero", "/api/v1/products?per_page=0", 400, "invalid_parameter"),
    ("all fields", "/api/v1/products?fields=*", 400, "invalid_parameter"),
    ("an unknown field", "/api/v1/products?fields=id,password_hash", 400, "invalid_parameter"),
    ("an unknown include", "/api/v1/products/1?include=orders", 400, "invalid_parameter"),
    ("an unknown sort", "/api/v1/products?sort=password_hash", 400, "invalid_parameter"),
    ("an unknown parameter", "/api/v1/products?admin=true", 400, "invalid_parameter"),
    ("a negative price", "/api/v1/products?min_price=-1", 400, "invalid_parameter"),
    ("an inverted price range", "/api/v1/products?min_price=200&max_price=100", 400, "invalid_parameter"),
    ("a category that is no number", "/api/v1/products?category_id=abc", 400, "invalid_parameter"),
    ("a cursor of noise", "/api/v1/products?cursor=AAAA", 400, "invalid_parameter"),
    ("a cursor and a page", "/api/v1/products?cursor=AAAA&page=2", 400, "invalid_parameter"),
    ("too many featured", "/api/v1/products/featured?limit=51", 400, "invalid_parameter"),
    // X50: search
    ("search beyond 128 characters", LONG_SEARCH, 400, "invalid_parameter"),
    ("NUL in a search", "/api/v1/products?search=%00", 400, "invalid_parameter"),
    ("invalid UTF-8", "/api/v1/products?search=%ff%fe", 400, "invalid_parameter"),
    ("a broken escape", "/api/v1/products?search=%zz", 400, "invalid_parameter"),
    // paths
    ("an id that is no number", "/api/v1/products/abc", 400, "invalid_parameter"),
    ("id zero", "/api/v1/products/0", 400, "invalid_parameter"),
    ("an id beyond 64 bits", "/api/v1/products/99999999999999999999", 400, "invalid_parameter"),
    ("an id nobody has", "/api/v1/products/987654321", 404, "not_found"),
    ("a slug nobody has", "/api/v1/products/by-slug/nao-existe", 404, "not_found"),
    ("a category nobody has", "/api/v1/categories/987654321", 404, "not_found"),
    (
        "an image nobody has",
        "/images/0000000000000000000000000000000000000000000000000000000000000000.svg",
        404,
        "not_found",
    ),
    ("an image name with a path", "/images/..%2f..%2fetc%2fpasswd.svg", 404, "not_found"),
    // X47: paths that mean something else
    ("double slash", "//api/v1/products", 404, "not_found"),
    ("upper case", "/API/v1/products", 404, "not_found"),
    ("a suffix", "/api/v1/products.json", 404, "not_found"),
    ("a matrix parameter", "/api/v1/products;x=1", 404, "not_found"),
    ("NUL in the path", "/api/v1/products/%00", 404, "not_found"),
    ("metrics from outside", "/metrics", 404, "not_found"),
    ("a window of metrics without a login", "/api/admin/performance-metrics", 401, "unauthenticated"),
];

const LONG_SEARCH: &str = concat!(
    "/api/v1/products?search=",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
);

/// X50, X51: searches that must be taken literally.
const SEARCHES: [&str; 9] = [
    "'||pg_sleep(5)--",
    "'; DROP TABLE products; --",
    "a & | ! ( :*",
    "%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%",
    "\u{202e}éfac",
    "ca\u{200b}fé",
    "<script>alert(1)</script>",
    "${jndi:ldap://localhost}",
    "\\",
];

/// (what, body, status, code): each is sent as POST of a new product by staff.
fn bodies() -> Vec<(&'static str, Vec<u8>, u16, &'static str)> {
    let valid = br#"{"slug":"x-y","name":"N","category_id":2,"variants":[{"sku":"S","name":"v","weight_g":250,"price_amount":100}]"#;
    let with = |more: &str| [valid.as_slice(), b",", more.as_bytes(), b"}"].concat();
    let mut many_keys = String::from("{");
    for key in 0..2_000 {
        write!(many_keys, "\"k{key}\":1,").unwrap();
    }
    many_keys.push_str("\"z\":1}");
    vec![
        // X39
        ("nothing", Vec::new(), 400, "malformed_json"),
        ("not JSON", b"hello".to_vec(), 400, "malformed_json"),
        ("half of JSON", b"{\"name\":".to_vec(), 400, "malformed_json"),
        ("something after the end", b"{} {}".to_vec(), 400, "malformed_json"),
        ("depth 200", [b"[".repeat(200), b"]".repeat(200)].concat(), 400, "malformed_json"),
        ("depth 100,000", b"[".repeat(100_000), 400, "malformed_json"),
        ("2,000 keys", many_keys.into_bytes(), 400, "malformed_json"),
        ("a duplicate key", with(r#""name":"other""#), 400, "malformed_json"),
        ("1e999", with(r#""sca_score":1e999"#), 400, "malformed_json"),
        ("invalid UTF-8", b"{\"name\":\"\xff\"}".to_vec(), 400, "malformed_json"),
        ("a lone surrogate", br#"{"name":"\ud800"}"#.to_vec(), 400, "malformed_json"),
        ("a byte order mark", [b"\xef\xbb\xbf".as_slice(), b"{}"].concat(), 400, "malformed_json"),
        ("an array", b"[]".to_vec(), 422, "validation_failed"),
        // X7
        ("mass assignment of an id", with(r#""id":1"#), 422, "validation_failed"),
        ("mass assignment of a version", with(r#""version":9"#), 422, "validation_failed"),
        ("mass assignment of popularity", with(r#""popularity":9"#), 422, "validation_failed"),
        // rules
        ("no name", br#"{"slug":"x","variants":[]}"#.to_vec(), 422, "validation_failed"),
        ("no variant", br#"{"slug":"x-y","name":"N","variants":[]}"#.to_vec(), 422, "validation_failed"),
        ("a bad slug", br#"{"slug":"X Y!","name":"N","variants":[{"sku":"S","name":"v","weight_g":250,"price_amount":100}]}"#.to_vec(), 422, "validation_failed"),
        ("a negative price", br#"{"slug":"x-y","name":"N","variants":[{"sku":"S","name":"v","weight_g":250,"price_amount":-1}]}"#.to_vec(), 422, "validation_failed"),
        ("a price in reais", br#"{"slug":"x-y","name":"N","variants":[{"sku":"S","name":"v","weight_g":250,"price_amount":42.9}]}"#.to_vec(), 422, "validation_failed"),
        ("no weight", br#"{"slug":"x-y","name":"N","variants":[{"sku":"S","name":"v","weight_g":0,"price_amount":100}]}"#.to_vec(), 422, "validation_failed"),
        ("a name of 201 characters", format!(r#"{{"slug":"x-y","name":"{}","variants":[{{"sku":"S","name":"v","weight_g":250,"price_amount":100}}]}}"#, "é".repeat(201)).into_bytes(), 422, "validation_failed"),
        ("an unknown roast", with(r#""roast":"azul""#), 422, "validation_failed"),
        ("NUL in a name", br#"{"slug":"x-y","name":"a\u0000b","variants":[{"sku":"S","name":"v","weight_g":250,"price_amount":100}]}"#.to_vec(), 422, "validation_failed"),
        // X38
        ("one byte over 1 MiB", vec![b' '; 1024 * 1024 + 1], 413, "payload_too_large"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn each_bad_input_gets_its_answer_and_changes_nothing() {
    let shop = Shop::open().await;
    let before = state(&shop).await;
    let client = shop.client(0);
    let staff = shop.client(0).with_bearer(shop.token("staff"));

    for (what, path, status, code) in QUERIES {
        check(what, client.request(Method::GET, path), status, code).await;
    }
    for search in SEARCHES {
        let asked = Instant::now();
        let request = client.request(Method::GET, "/api/v1/products").query(&[("search", search)]);
        let answer = Client::send(request).await;
        assert!(matches!(answer.status.as_u16(), 200 | 400), "{search}: {}", answer.text());
        assert!(asked.elapsed() < REFUSAL_AT_MOST, "{search} took {:?}", asked.elapsed());
    }
    for (what, body, status, code) in bodies() {
        let request = staff.request(Method::POST, "/api/v1/admin/products");
        check(what, request.header("content-type", "application/json").body(body), status, code).await;
    }
    let post = |client: &Client| client.request(Method::POST, "/api/v1/admin/products").body("{}");
    // media types and encodings (X34, X40)
    check("a form", post(&staff).header("content-type", "text/plain"), 415, "unsupported_media_type").await;
    check("no media type", post(&staff), 415, "unsupported_media_type").await;
    let json = |request: reqwest::RequestBuilder| request.header("content-type", "application/json");
    for encoding in ["gzip", "br", "deflate"] {
        let request = json(post(&staff)).header("content-encoding", encoding);
        check(encoding, request, 415, "unsupported_media_type").await;
    }
    // who may (X4, X19)
    check("a stranger writes", json(post(&client)), 401, "unauthenticated").await;
    let customer = shop.client(0).with_bearer(shop.token("customer"));
    check("a customer writes", json(post(&customer)), 403, "forbidden").await;
    let forged = shop.client(0).with_bearer("eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0.".to_owned());
    check("alg none", json(post(&forged)), 401, "unauthenticated").await;
    let metrics = customer.request(Method::GET, "/api/admin/performance-metrics");
    check("a customer reads statistics", metrics, 403, "forbidden").await;
    // versions
    let patch = |if_match: Option<&str>| {
        let request = staff
            .request(Method::PATCH, "/api/v1/admin/products/1")
            .json(&serde_json::json!({ "name": "x" }));
        if_match.into_iter().fold(request, |request, version| request.header("if-match", version))
    };
    check("no version", patch(None), 428, "precondition_required").await;
    check("a stale version", patch(Some("\"p-1-v999\"")), 412, "precondition_failed").await;
    check("another product's version", patch(Some("\"p-2-v1\"")), 412, "precondition_failed").await;
    // X46, X6
    for method in ["TRACE", "DELETE", "FOO", "POST"] {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let answer =
            check("a method", client.request(method, "/api/v1/products"), 405, "method_not_allowed").await;
        assert!(answer.header("allow").contains("GET"));
    }
    let overridden =
        client.request(Method::GET, "/api/v1/products/1").header("x-http-method-override", "DELETE");
    assert_eq!(Client::send(overridden).await.status, 200);
    let wrong = client.request(Method::GET, "/api/v1/products").header("accept", "image/png");
    assert!(matches!(Client::send(wrong).await.status.as_u16(), 200 | 406));

    assert_eq!(state(&shop).await, before, "something changed");
}

/// X38, X41-X43: what the HTTP layer itself must refuse. (what, bytes, status line may be one of)
#[tokio::test(flavor = "multi_thread")]
async fn malformed_requests_are_refused_at_the_door() {
    let shop = Shop::open().await;
    let before = state(&shop).await;
    let get = |more: &str| {
        format!("GET /api/v1/products HTTP/1.1\r\nhost: shop\r\nconnection: close\r\n{more}\r\n")
    };
    let headers = |count: usize| (0..count).fold(String::new(), |all, i| format!("{all}x-h-{i}: 1\r\n"));
    let query = |length: usize| {
        format!(
            "GET /api/v1/products?search={} HTTP/1.1\r\nhost: shop\r\nconnection: close\r\n\r\n",
            "a".repeat(length)
        )
    };
    let cases: Vec<(&str, String, &[u16])> = vec![
        ("200 headers", get(&headers(200)), &[431]),
        ("a header of 64 kB", get(&format!("x-big: {}\r\n", "a".repeat(64 * 1024))), &[431]),
        ("a query of 5 kB", query(5 * 1024), &[400]),
        ("a URI of 100 kB", query(100 * 1024), &[414]),
        ("content-length and chunked", get("content-length: 3\r\ntransfer-encoding: chunked\r\n"), &[400]),
        ("two content-lengths", get("content-length: 3\r\ncontent-length: 4\r\n"), &[400]),
        ("an unknown transfer coding", get("transfer-encoding: xchunked\r\n"), &[400, 501]),
        ("a space before the colon", get("x-a : 1\r\n"), &[400]),
        ("a folded header", get("x-a: 1\r\n folded: 2\r\n"), &[400]),
        ("no HTTP at all", "\x16\x03\x01\x02\x00\x01\x00\x01\r\n\r\n".to_owned(), &[400]),
        ("a control character in a header", get("x-a: a\x01b\r\n"), &[400]),
    ];
    for (what, request, allowed) in cases {
        let asked = Instant::now();
        let answer = raw_exchange(&shop, request.as_bytes()).await;
        let status = answer.split(' ').nth(1).and_then(|code| code.parse::<u16>().ok());
        assert!(
            status.is_some_and(|status| allowed.contains(&status)),
            "{what}: {:?}",
            answer.lines().next()
        );
        assert!(asked.elapsed() < REFUSAL_AT_MOST, "{what} took {:?}", asked.elapsed());
    }
    assert_eq!(state(&shop).await, before);
}

/// X38, X41: clients that send slowly or not at all are cut off, and nobody else notices.
#[tokio::test(flavor = "multi_thread")]
async fn slow_clients_are_cut_off() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let shop = Shop::open().await;
    let token = shop.token("staff");
    let body_head = format!(
        "POST /api/v1/admin/products HTTP/1.1\r\nhost: shop\r\nauthorization: Bearer {token}\r\n\
         content-type: application/json\r\ncontent-length: 1000\r\n\r\n"
    );
    let drips = [
        ("nothing", String::new(), Duration::from_secs(8)),
        ("a head, byte by byte", "GET /api/v1/products HTTP/1.1\r\n".to_owned(), Duration::from_secs(13)),
        ("a body, byte by byte", body_head, Duration::from_secs(16)),
    ];
    let mut tasks = tokio::task::JoinSet::new();
    for (what, start, at_most) in drips {
        let address = shop.gateway_address(0);
        tasks.spawn(async move {
            let (mut read, mut write) = tokio::net::TcpStream::connect(address).await.unwrap().into_split();
            write.write_all(start.as_bytes()).await.unwrap();
            let opened = Instant::now();
            let dripping = tokio::spawn(async move {
                if !start.is_empty() {
                    while write.write_all(b"x").await.is_ok() {
                        tokio::time::sleep(Duration::from_secs(1)).await;
                    }
                }
                write
            });
            let mut answer = Vec::new();
            let closed = tokio::time::timeout(at_most, read.read_to_end(&mut answer)).await;
            assert!(closed.is_ok(), "{what}: still open after {:?}", opened.elapsed());
            dripping.abort();
        });
    }
    let client = shop.client(0);
    while !tasks.is_empty() {
        assert_eq!(client.get("/api/v1/products").await.status, 200);
        if let Ok(Some(task)) = tokio::time::timeout(Duration::from_millis(200), tasks.join_next()).await {
            task.unwrap();
        }
    }
}

/// Sends the request and checks status, code and the form of the problem document.
async fn check(
    what: &str,
    request: reqwest::RequestBuilder,
    status: u16,
    code: &str,
) -> crate::client::Answer {
    let asked = Instant::now();
    let answer = Client::send(request).await;
    let text = answer.text();
    assert_eq!(answer.status.as_u16(), status, "{what}: {text}");
    assert!(answer.header("content-type").starts_with("application/problem+json"), "{what}");
    let problem = answer.json();
    assert_eq!(problem["code"], code, "{what}: {text}");
    for member in ["type", "title", "detail", "error", "request_id"] {
        assert!(problem[member].is_string(), "{what}: no {member} in {text}");
    }
    assert_eq!(problem["status"], status, "{what}");
    let named = match code {
        "invalid_parameter" => &problem["parameter"],
        "validation_failed" => &problem["errors"][0]["pointer"],
        _ => &problem["code"],
    };
    assert!(named.is_string(), "{what} names no field: {text}");
    for leak in ["SELECT", "sqlx", "panicked", "src/", "catalog."] {
        assert!(!text.contains(leak), "{what} leaks {leak}: {text}");
    }
    assert!(asked.elapsed() < REFUSAL_AT_MOST, "{what} took {:?}", asked.elapsed());
    answer
}

/// A digest of everything that a request could change.
async fn state(shop: &Shop) -> String {
    sqlx::query_scalar(
        "SELECT md5(concat(
           (SELECT string_agg(p::text, '|' ORDER BY id) FROM catalog.products p),
           (SELECT string_agg(v::text, '|' ORDER BY id) FROM catalog.variants v),
           (SELECT string_agg(r::text, '|' ORDER BY r::text) FROM catalog.prices r),
           (SELECT count(*) FROM catalog.outbox)))",
    )
    .fetch_one(&mut shop.database.admin().await)
    .await
    .unwrap()
}
