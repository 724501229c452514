//! Carts by HTTP: guests and their tokens, what the cache keeps of them, what bodies may say, and sign-ins.

use gateway::Config;
use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};
use testkit::eventually;
use tokio_util::task::AbortOnDropHandle;
use tonic::Code;

use crate::accounts::PASSWORD;
use crate::scripted_orders::{ORDER_TOKEN, ScriptedOrders, sha256_hex};
use crate::shop::{PATIENCE, Shop, check_problem, header};

/// A shop with orders.
pub(crate) struct Market {
    pub(crate) shop: Shop,
    pub(crate) orders: std::sync::Arc<ScriptedOrders>,
    _serving: AbortOnDropHandle<()>,
}

impl Market {
    pub(crate) async fn open() -> Self {
        Self::open_with(|config| config).await
    }

    pub(crate) async fn open_with(change: impl FnOnce(Config) -> Config) -> Self {
        let (orders, addr, serving) = ScriptedOrders::start().await;
        let settings = |config| change(Config { orders_url: format!("http://{addr}"), ..config });
        Self { shop: Shop::open_with(settings).await, orders, _serving: serving }
    }

    pub(crate) fn request(&self, method: Method, target: &str) -> RequestBuilder {
        self.shop.gateway.request(method, target)
    }

    /// A request of user 7.
    pub(crate) fn as_user(&self, method: Method, target: &str) -> RequestBuilder {
        self.shop.request_as("customer", method, target)
    }

    /// Puts something into a guest's cart; its token.
    pub(crate) async fn guest(&self) -> String {
        let answer = send(self.request(Method::POST, CART_ITEMS).json(&item())).await;
        assert_eq!(answer.status(), 201);
        header(&answer, "x-cart-token").to_owned()
    }
}

pub(crate) async fn send(request: RequestBuilder) -> Response {
    request.send().await.expect("an answer")
}

pub(crate) async fn json_of(response: Response) -> Value {
    let text = response.text().await.expect("a body");
    serde_json::from_str(&text).unwrap_or_else(|_| panic!("no JSON: {text}"))
}

pub(crate) const CART: &str = "/api/v1/cart";
pub(crate) const CART_ITEMS: &str = "/api/v1/cart/items";
const LOGIN: &str = "/api/v1/auth/login";

pub(crate) fn item() -> Value {
    json!({"variant_id": 10, "quantity": 2})
}

fn cookies(response: &Response) -> Vec<&str> {
    let all = response.headers().get_all("set-cookie").iter();
    all.map(|cookie| cookie.to_str().expect("ASCII")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guests_first_change_mints_a_token_and_services_see_its_hash_only() {
    let market = Market::open().await;
    let nobodys = json_of(send(market.request(Method::GET, CART)).await).await;
    assert_eq!(
        (&nobodys["data"]["cart"]["id"], &nobodys["data"]["cart"]["items"]),
        (&Value::Null, &json!([]))
    );
    assert!(market.orders.calls().is_empty(), "nobody's cart is empty without asking");

    let answer = send(market.request(Method::POST, CART_ITEMS).json(&item())).await;
    assert_eq!(answer.status(), 201);
    let token = header(&answer, "x-cart-token").to_owned();
    assert_eq!(token.len(), 43);
    assert_eq!(header(&answer, "etag"), "\"c-1\"");
    assert_eq!(header(&answer, "cache-control"), "private, no-store");
    let set = cookies(&answer);
    let cookie = format!("cart-token={token}; Path=/; Max-Age=604800; HttpOnly; SameSite=Lax");
    assert!(set.contains(&cookie.as_str()), "{set:?}");
    let cart = json_of(answer).await["data"]["cart"].clone();
    assert_eq!(cart["items"][0]["unit_price"]["formatted"], "R$ 42,90");
    assert_eq!(cart["totals"]["total"]["amount"], 8580);
    let call = market.orders.calls().pop().expect("it was asked");
    assert_eq!((call.rpc, call.who), ("add_item", format!("guest:{}", sha256_hex(&token))));
    assert!(!call.message.contains(&token));

    // Shown again, in either way, it is the same guest, and no other token is made.
    for (name, value) in [("x-cart-token", token.clone()), ("cookie", format!("a=b; cart-token={token}"))] {
        let again = send(market.request(Method::POST, CART_ITEMS).header(name, value).json(&item())).await;
        assert_eq!((again.status().as_u16(), header(&again, "x-cart-token")), (201, ""));
        assert!(cookies(&again).iter().all(|cookie| !cookie.starts_with("cart-token")));
        assert_eq!(market.orders.calls()[0].who, format!("guest:{}", sha256_hex(&token)));
    }
    // A user's cart is the user's, whatever token comes along.
    let own = market.as_user(Method::POST, CART_ITEMS).header("x-cart-token", &token).json(&item());
    assert_eq!(header(&send(own).await, "x-cart-token"), "");
    assert_eq!(market.orders.calls()[0].who, "user:7");
    assert_ne!(market.guest().await, token);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_none_of_ours_is_refused() {
    let market = Market::open().await;
    for method in [Method::GET, Method::DELETE] {
        for (name, value) in [("x-cart-token", "short"), ("x-cart-token", ""), ("cookie", "cart-token=short")]
        {
            let answer = send(market.request(method.clone(), CART).header(name, value)).await;
            check_problem(answer, 400, "invalid_parameter").await;
        }
    }
    // Without one there is nothing to change.
    for target in ["/api/v1/cart/items/1", "/api/v1/cart/coupon"] {
        check_problem(send(market.request(Method::DELETE, target)).await, 404, "not_found").await;
    }
    assert_eq!(send(market.request(Method::DELETE, CART)).await.status(), 204);
    assert!(market.orders.calls().is_empty());
}

/// X34: a page of another site cannot act with a guest's cookie, nor give a guest a cart.
#[tokio::test(flavor = "multi_thread")]
async fn another_site_changes_no_cart() {
    let market = Market::open().await;
    let token = market.guest().await;
    market.orders.calls();
    for headers in [
        vec![("sec-fetch-site", "cross-site")],
        vec![("sec-fetch-site", "same-site")],
        vec![("origin", "https://evil.example")],
        vec![("origin", "null")],
    ] {
        let cookie = ("cookie", format!("cart-token={token}"));
        for with_cookie in [true, false] {
            let mut request = market.request(Method::POST, CART_ITEMS).json(&item());
            for (name, value) in &headers {
                request = request.header(*name, *value);
            }
            if with_cookie {
                request = request.header(cookie.0, &cookie.1);
            }
            check_problem(send(request).await, 403, "forbidden").await;
        }
    }
    assert!(market.orders.calls().is_empty());
    let own = market.request(Method::POST, CART_ITEMS).header("cookie", format!("cart-token={token}"));
    assert_eq!(send(own.header("sec-fetch-site", "same-origin").json(&item())).await.status(), 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_shopper_has_a_cart_of_their_own_in_the_cache_until_it_changes() {
    let market = Market::open().await;
    let (one, other) = (market.guest().await, market.guest().await);
    let get = async |token: &str| {
        let answer = send(market.request(Method::GET, CART).header("x-cart-token", token)).await;
        let state = header(&answer, "x-cache").to_owned();
        assert_eq!(header(&answer, "cache-control"), "private, no-store");
        (state, json_of(answer).await["data"]["cart"].clone())
    };
    market.orders.calls();
    for state in ["MISS", "L1"] {
        for token in [&one, &other] {
            assert_eq!(get(token).await.0, state);
        }
    }
    let asked: Vec<_> = market.orders.calls().into_iter().map(|call| call.who).collect();
    assert_eq!(asked, [&one, &other].map(|token| format!("guest:{}", sha256_hex(token))));

    // A change purges the changed one only, before it is answered.
    let item_1 = format!("{CART_ITEMS}/1");
    let patch = market.request(Method::PATCH, &item_1).header("x-cart-token", &one);
    let patched = send(patch.json(&json!({"quantity": 5}))).await;
    assert_eq!((patched.status().as_u16(), header(&patched, "etag")), (200, "\"c-2\""));
    let (state, cart) = get(&one).await;
    assert_eq!((state.as_str(), &cart["items"][0]["quantity"]), ("MISS", &json!(5)));
    assert_eq!(get(&other).await.0, "L1");

    // A price is news to every cart that shows the product.
    market.orders.set_price(5000);
    let priced = market.shop.request_as("staff", Method::PUT, "/api/v1/admin/products/1/prices");
    let body = json!({"prices": [{"variant_id": 10, "amount": 5000}]});
    assert_eq!(send(priced.header("if-match", "\"p-1-v1\"").json(&body)).await.status(), 200);
    let (_, cart) = get(&other).await;
    assert_eq!(cart["items"][0]["unit_price"]["amount"], 5000);
    assert_eq!(cart["items"][0]["price_changed"], true);
    assert_eq!(get(&other).await.0, "L1");
}

/// Nothing says when the catalog is back: what is shown without it is shown once.
#[tokio::test(flavor = "multi_thread")]
async fn unconfirmed_prices_are_not_kept() {
    let market = Market::open().await;
    market.orders.warn("prices_unconfirmed");
    let token = market.guest().await;
    for _ in 0..2 {
        let answer = send(market.request(Method::GET, CART).header("x-cart-token", &token)).await;
        assert_eq!(header(&answer, "x-cache"), "MISS");
        assert_eq!(json_of(answer).await["data"]["cart"]["warnings"], json!(["prices_unconfirmed"]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_may_name_the_version_of_the_cart() {
    let market = Market::open().await;
    let token = market.guest().await;
    let read = send(market.request(Method::GET, CART).header("x-cart-token", &token)).await;
    let read = header(&read, "etag").to_owned();
    let patch = async |if_match: &str| {
        let request = market.request(Method::PATCH, "/api/v1/cart/items/1").header("x-cart-token", &token);
        send(request.header("if-match", if_match).json(&json!({"quantity": 3}))).await
    };
    assert_eq!(patch(&read).await.status(), 200, "what was read");
    assert_eq!(patch("\"c-2\"").await.status(), 200, "its version");
    assert_eq!(patch("*").await.status(), 200);
    for stale in ["\"c-2\"", read.as_str(), "\"c-9\"", "W/\"c-4\"", "\"p-1-v4\""] {
        let answer = patch(stale).await;
        assert_eq!(header(&answer, "etag"), "\"c-4\"", "{stale}");
        let problem = check_problem(answer, 412, "precondition_failed").await;
        assert_eq!(problem["current"]["cart"]["version"], 4);
    }
}

/// X65: quantities are numbers from 1 to 99, and prices are nobody's to say.
#[tokio::test(flavor = "multi_thread")]
async fn odd_quantities_and_prices_of_the_client_are_refused() {
    let market = Market::open().await;
    let refused = async |method: Method, target: &str, body: Value, pointer: &str| {
        let request = market.request(method, target).header("x-cart-token", ORDER_TOKEN);
        let problem = check_problem(send(request.json(&body)).await, 422, "validation_failed").await;
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{body}");
    };
    for quantity in [
        json!(0),
        json!(-1),
        json!(1.5),
        json!(2_147_483_648_i64),
        json!("1"),
        Value::Null,
        json!(100),
        json!([1]),
        json!(true),
    ] {
        let body = json!({"variant_id": 10, "quantity": quantity});
        refused(Method::POST, CART_ITEMS, body, "/quantity").await;
        refused(Method::PATCH, "/api/v1/cart/items/1", json!({"quantity": quantity}), "/quantity").await;
        let quotes = json!({"cep": "01310100", "items": [{"variant_id": 10, "quantity": quantity}]});
        refused(Method::POST, "/api/v1/shipping/quotes", quotes, "/items/0/quantity").await;
    }
    for extra in ["amount", "currency", "unit_price", "unit_amount", "price", "total"] {
        let body = json!({"variant_id": 10, "quantity": 1, extra: 1});
        refused(Method::POST, CART_ITEMS, body, &format!("/{extra}")).await;
    }
    for variant in [json!(0), json!(-1), json!("10"), Value::Null] {
        refused(Method::POST, CART_ITEMS, json!({"variant_id": variant, "quantity": 1}), "/variant_id").await;
    }
    for cep in ["0131010", "013101000", "01310-100", "abcdefgh"] {
        refused(Method::POST, "/api/v1/shipping/quotes", json!({"cep": cep}), "/cep").await;
    }
    assert!(market.orders.calls().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn coupons_quotes_and_the_end_of_a_cart() {
    let market = Market::open().await;
    let token = market.guest().await;
    let ask = |method, target: &str| market.request(method, target).header("x-cart-token", &token);
    let put = send(ask(Method::PUT, "/api/v1/cart/coupon").json(&json!({"code": "NATAL-10"}))).await;
    assert_eq!(json_of(put).await["data"]["cart"]["coupon"]["code"], "NATAL-10");
    market.orders.refuse(Code::NotFound, "coupon_not_found");
    let put = send(ask(Method::PUT, "/api/v1/cart/coupon").json(&json!({"code": "NADA"}))).await;
    check_problem(put, 404, "not_found").await;
    let removed = send(ask(Method::DELETE, "/api/v1/cart/coupon")).await;
    assert_eq!(json_of(removed).await["data"]["cart"]["coupon"], Value::Null);
    let quotes = send(ask(Method::POST, "/api/v1/shipping/quotes").json(&json!({"cep": "01310100"}))).await;
    let quote = json_of(quotes).await["data"]["quotes"][0].clone();
    assert_eq!((&quote["id"], &quote["price"]["amount"]), (&json!("PAC.01310100"), &json!(1590)));
    let removed = send(ask(Method::DELETE, "/api/v1/cart/items/1")).await;
    assert_eq!(json_of(removed).await["data"]["cart"]["items"], json!([]));
    assert_eq!(send(ask(Method::DELETE, CART)).await.status(), 204);
    let rpcs: Vec<_> = market.orders.calls().iter().map(|call| call.rpc).collect();
    assert_eq!(
        rpcs,
        [
            "add_item",
            "set_coupon",
            "set_coupon",
            "remove_coupon",
            "quote_shipping",
            "remove_item",
            "clear_cart"
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn postal_codes_and_what_can_be_bought_are_cached_for_everybody() {
    let market = Market::open().await;
    for state in ["MISS", "L1"] {
        let answer = send(market.request(Method::GET, "/api/v1/cep/01310100")).await;
        assert_eq!(header(&answer, "x-cache"), state);
        assert_eq!(json_of(answer).await["data"]["state"], "SP");
        let missing = send(market.request(Method::GET, "/api/v1/cep/99999999")).await;
        assert_eq!(header(&missing, "x-cache"), state);
        check_problem(missing, 404, "not_found").await;
    }
    for cep in ["0131010", "01310-100", "abcdefgh"] {
        let answer = send(market.request(Method::GET, &format!("/api/v1/cep/{cep}"))).await;
        check_problem(answer, 400, "invalid_parameter").await;
    }
    let stock = "/api/v1/products/1/availability";
    for state in ["MISS", "L1"] {
        let answer = send(market.request(Method::GET, &format!("{stock}?variant_id=10&cep=01310100"))).await;
        assert_eq!(header(&answer, "x-cache"), state);
        let variants = json_of(answer).await["data"]["variants"].clone();
        let expected = json!([{"id": 10, "available": true, "max_quantity": 42, "band": "in",
            "eta": {"days_min": 3, "days_max": 6}}]);
        assert_eq!(variants, expected);
    }
    let all = json_of(send(market.request(Method::GET, stock)).await).await;
    assert_eq!(all["data"]["variants"][0]["eta"], Value::Null);
    for (query, status, code) in [
        ("?variant_id=99", 404, "not_found"),
        ("?cep=01310100", 400, "invalid_parameter"),
        ("?variant_id=0", 400, "invalid_parameter"),
        ("?variant_id=10&cep=1", 400, "invalid_parameter"),
        ("?x=1", 400, "invalid_parameter"),
    ] {
        let answer = send(market.request(Method::GET, &format!("{stock}{query}"))).await;
        check_problem(answer, status, code).await;
    }
    let missing = send(market.request(Method::GET, "/api/v1/products/999/availability")).await;
    check_problem(missing, 404, "not_found").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_in_brings_the_guests_cart_along() {
    let market = Market::open().await;
    market.shop.accounts.hand_out(&market.shop.gateway.keys.token("customer", 7));
    let body = json!({"email": "ana@example.com", "password": PASSWORD, "cart_merge": "max"});
    let token = market.guest().await;
    market.orders.calls();
    let login = market.request(Method::POST, LOGIN).header("cookie", format!("cart-token={token}"));
    let answer = send(login.json(&body)).await;
    assert_eq!(answer.status(), 200);
    let set = cookies(&answer);
    assert!(set.contains(&"cart-token=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax"), "{set:?}");
    let report = json_of(answer).await["data"]["cart_merge"].clone();
    assert_eq!(report, json!({"strategy": "max", "moved": 1, "capped": [10], "dropped": []}));
    let call = market.orders.calls().pop().expect("it was asked");
    assert_eq!((call.rpc, call.who.as_str(), call.key), ("merge_carts", "user:7", None));

    // Without a token there is nothing to merge; and what cannot be merged keeps nobody out.
    let plain = json!({"email": "ana@example.com", "password": PASSWORD});
    let answer = send(market.request(Method::POST, LOGIN).json(&plain)).await;
    assert_eq!(json_of(answer).await["data"]["cart_merge"], Value::Null);
    assert!(market.orders.calls().is_empty());
    for code in [Code::Unavailable, Code::Internal, Code::NotFound] {
        market.orders.refuse(code, "as_the_test_asked");
        let login = market.request(Method::POST, LOGIN).header("x-cart-token", &token);
        let answer = send(login.json(&plain)).await;
        assert_eq!(answer.status(), 200, "{code:?}");
        assert!(cookies(&answer).iter().all(|cookie| !cookie.starts_with("cart-token")), "it is still there");
        assert_eq!(json_of(answer).await["data"]["cart_merge"], Value::Null);
    }
    let odd = json!({"email": "ana@example.com", "password": PASSWORD, "cart_merge": "all"});
    let problem =
        check_problem(send(market.request(Method::POST, LOGIN).json(&odd)).await, 422, "validation_failed");
    assert_eq!(problem.await["errors"][0]["pointer"], "/cart_merge");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_merges_a_guests_cart_by_its_token() {
    let market = Market::open().await;
    let token = market.guest().await;
    let merge = |body: Value| market.as_user(Method::POST, "/api/v1/cart/merge").json(&body);
    // The user's cart is in the cache, and must not be there afterwards.
    eventually(PATIENCE, "the cart is cached", async || {
        let answer = send(market.as_user(Method::GET, CART)).await;
        (header(&answer, "x-cache") == "L1").then_some(())
    })
    .await;
    let answer = send(merge(json!({"cart_token": token}))).await;
    assert_eq!(answer.status(), 200);
    let merged = json_of(answer).await["data"].clone();
    assert_eq!(
        (&merged["cart_merge"]["strategy"], &merged["cart_merge"]["moved"]),
        (&json!("sum"), &json!(1))
    );
    assert_eq!(merged["cart"]["items"].as_array().map(Vec::len), Some(1));
    let cart = json_of(send(market.as_user(Method::GET, CART)).await).await;
    assert_eq!(cart["data"]["cart"]["items"].as_array().map(Vec::len), Some(1));
    check_problem(send(merge(json!({"cart_token": "short"}))).await, 422, "validation_failed").await;
    check_problem(send(merge(json!({"cart_token": token, "strategy": "x"}))).await, 422, "validation_failed")
        .await;
    let guest = market.request(Method::POST, "/api/v1/cart/merge").header("x-cart-token", &token);
    check_problem(send(guest.json(&json!({"cart_token": token}))).await, 401, "unauthenticated").await;
}
