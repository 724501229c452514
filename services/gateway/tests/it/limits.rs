//! How much each principal may ask for: alone, among many, by one gateway and by several.

use std::time::{Duration, Instant};

use gateway::Config;
use gateway::client_address::Networks;
use gateway::listener::Patience;
use reqwest::{Method, StatusCode};
use serde_json::Value;
use testkit::eventually;
use testkit::jwt::TestKeys;

use crate::shop::{Gateway, config, header};

const PATIENCE: Duration = Duration::from_secs(20);
/// Needs no service.
const TARGET: &str = "/api/openapi.json";

fn limited(keys: &TestKeys) -> Config {
    Config { load_generators: Networks::default(), ..config(keys) }
}

async fn gateway(settings: impl FnOnce(&TestKeys) -> Config) -> Gateway {
    Gateway::start(testkit::jwt::key_set(), settings, Patience::default()).await
}

/// How many of `count` requests were granted, and how long they took.
async fn granted(gateway: &Gateway, count: u32, bearer: Option<&str>) -> (u64, Duration) {
    let started = Instant::now();
    let mut granted = 0;
    for _ in 0..count {
        let mut request = gateway.request(Method::HEAD, TARGET);
        if let Some(bearer) = bearer {
            request = request.header("authorization", bearer);
        }
        match request.send().await.expect("an answer").status() {
            StatusCode::OK => granted += 1,
            status => assert_eq!(status, StatusCode::TOO_MANY_REQUESTS),
        }
    }
    (granted, started.elapsed())
}

#[track_caller]
fn within(granted: u64, burst: u64, rate: u64, took: Duration) {
    let most = burst + u64::try_from(took.as_millis()).expect("short") * rate / 1_000 + 1;
    assert!((burst..=most).contains(&granted), "{granted} of {burst}..={most} in {took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_gets_20_at_once_and_10_a_second_and_each_user_more() {
    let gateway = gateway(limited).await;
    let (anonymous, took) = granted(&gateway, 60, None).await;
    within(anonymous, 20, 10, took);
    for user in [7, 8] {
        let bearer = gateway.keys.bearer("customer", user);
        let (of_user, took) = granted(&gateway, 160, Some(&bearer)).await;
        within(of_user, 100, 50, took);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_say_what_is_left_and_refusals_when_to_come_back() {
    let gateway = gateway(limited).await;
    let answer = gateway.request(Method::GET, TARGET).send().await.unwrap();
    assert_eq!(header(&answer, "ratelimit-policy"), "\"public\";q=20;w=2");
    assert_eq!(header(&answer, "ratelimit"), "\"public\";r=19;t=1");

    let refused = loop {
        let answer = gateway.request(Method::GET, TARGET).send().await.unwrap();
        if answer.status() != StatusCode::OK {
            break answer;
        }
    };
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(header(&refused, "retry-after"), "1");
    assert_eq!(header(&refused, "content-type"), "application/problem+json");
    let problem: Value = refused.json().await.unwrap();
    assert_eq!(problem["code"], "rate_limited");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_no_good_counts_under_its_address() {
    let gateway = gateway(limited).await;
    let mut refused = 0;
    for attempt in 0..60 {
        let request = gateway.request(Method::GET, "/api/v1/products");
        let answer = request.header("authorization", format!("Bearer {attempt}")).send().await.unwrap();
        match answer.status() {
            StatusCode::UNAUTHORIZED => {}
            status => {
                assert_eq!(status, StatusCode::TOO_MANY_REQUESTS);
                refused += 1;
            }
        }
    }
    assert!(refused > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_listed_proxy_may_say_whom_it_speaks_for() {
    for (proxies, different) in [("", false), ("127.0.0.1", true)] {
        let gateway =
            gateway(|keys| Config { trusted_proxies: proxies.parse().unwrap(), ..limited(keys) }).await;
        let mut refused = 0;
        for client in 0..60 {
            let request = gateway.request(Method::HEAD, TARGET);
            let answer =
                request.header("x-forwarded-for", format!("203.0.113.{client}")).send().await.unwrap();
            refused += u32::from(answer.status() == StatusCode::TOO_MANY_REQUESTS);
        }
        assert_eq!(refused == 0, different, "{refused} refused with proxies {proxies:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn load_generators_and_probes_are_not_counted() {
    let exempt = gateway(config).await;
    assert_eq!(granted(&exempt, 100, None).await.0, 100);
    let answer = exempt.request(Method::GET, TARGET).send().await.unwrap();
    assert_eq!(header(&answer, "ratelimit"), "");

    let strict = gateway(limited).await;
    for _ in 0..60 {
        let answer = strict.request(Method::GET, "/health/live").send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
    }
}

/// Asked too rarely to be refused for what it knows itself, a gateway refuses for what another let through; and
/// when they cannot count together, each grants its share.
#[tokio::test(flavor = "multi_thread")]
async fn gateways_count_together_and_alone_grant_less() {
    let redis = testkit::Redis::start().await;
    let settings = |name: &'static str| {
        let url = redis.url();
        move |keys: &TestKeys| Config {
            redis_url: Some(url),
            instance: name.to_owned(),
            gateway_replicas: 2,
            ..limited(keys)
        }
    };
    let busy = gateway(settings("busy")).await;
    let quiet = gateway(settings("quiet")).await;
    let flood = async {
        loop {
            granted(&busy, 20, None).await;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    // Five requests a second: half of what the rate allows.
    let watch = eventually(PATIENCE * 3, "the quiet gateway hears of the flood", async || {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let answer = quiet.request(Method::HEAD, TARGET).send().await.unwrap();
        (answer.status() == StatusCode::TOO_MANY_REQUESTS).then_some(())
    });
    tokio::select! {
        () = flood => {}
        () = watch => {}
    }

    redis.kill().await;
    let alone = eventually(PATIENCE * 3, "both count alone", async || {
        // Empties what is left, then measures the rate.
        granted(&busy, 40, None).await;
        granted(&quiet, 40, None).await;
        let started = Instant::now();
        let mut sum = 0;
        while started.elapsed() < Duration::from_secs(2) {
            sum += granted(&busy, 5, None).await.0 + granted(&quiet, 5, None).await.0;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        // Both together what one may grant when they count together.
        let most = u64::try_from(started.elapsed().as_millis()).unwrap() * 10 / 1_000 + 4;
        (sum > 0 && sum <= most).then_some(sum)
    })
    .await;
    assert!(alone > 0, "never unlimited, and never nothing");
}
