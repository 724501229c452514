//! Buyers from an empty cart to the confirmation, at a fixed rate, while others look at products.
//!
//! A buyer adds, changes, adds and removes, asks for shipping, checks out, pays by card at a provider that takes
//! its time, and reads the confirmation. Every step is timed at the client from the moment it is sent; buyers start
//! when they are due, whether or not those before them are through. Readers ask for listings and products all the
//! time; what share of that the caches answered is reported too.
//!
//! With `--checkouts` buyers only put something into a cart and check out, so many of them a second.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use bytes::Bytes;
use clap::Args;
use serde_json::{Value, json};
use tokio::{sync::Semaphore, task::JoinSet};

use crate::{http::Connection, shop::Shop, spread::quantile};

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Requests of buyers per second: each changes something in one transaction (S104)
    #[arg(long, default_value_t = 100)]
    rate: u64,
    /// Instead of whole purchases: so many checkouts per second, of one thing each and never paid
    #[arg(long)]
    checkouts: Option<u64>,
    /// Seconds that are measured, after five that are not
    #[arg(long, default_value_t = 30)]
    seconds: u64,
    /// Catalog reads per second
    #[arg(long, default_value_t = 200)]
    reads: u64,
    /// How long the provider takes for a call, in milliseconds
    #[arg(long, default_value_t = 100)]
    provider_ms: u64,
}

const WARM_UP: Duration = Duration::from_secs(5);
/// Buyers under way at once.
const BUYERS_MAX: usize = 200;
const READERS: usize = 16;
/// Of the demo shop; bought by turns.
const PRODUCTS: u64 = 40;
const PER_PRODUCT: i32 = 1_000_000;

/// The steps of a buyer and what each may take at p95, in milliseconds.
const STEPS: [(&str, f64); 6] = [
    ("add", 150.0),
    ("update", 100.0),
    ("remove", 100.0),
    ("checkout", 500.0),
    ("payment", 3_000.0),
    ("confirmation", 1_000.0),
];
/// Steps that change nothing.
const READS: [&str; 2] = ["confirmation", "quotes"];
/// Of these, all but the confirmation change something: two additions among them.
const TRANSACTIONS_PER_BUYER: u64 = 6;

#[derive(Default)]
struct Tally {
    times: Mutex<BTreeMap<&'static str, Vec<f64>>>,
    refused: Mutex<BTreeMap<String, usize>>,
    measuring: AtomicBool,
}

impl Tally {
    fn note(&self, step: &'static str, took: Duration) {
        if self.measuring.load(Ordering::Relaxed) {
            let mut times = self.times.lock().expect("nobody panics with it");
            times.entry(step).or_default().push(took.as_secs_f64() * 1_000.0);
        }
    }

    fn refuse(&self, what: String) {
        *self.refused.lock().expect("nobody panics with it").entry(what).or_default() += 1;
    }
}

pub(crate) async fn run(options: Options) -> anyhow::Result<()> {
    let shop = Shop::open(2_000, 2)?;
    let gateways: Vec<SocketAddr> = shop.gateways()?.into_iter().map(|(address, _)| address).collect();
    let variants = stock_up(&shop).await?;
    slow_provider(&shop, options.provider_ms).await?;

    let tally = Arc::new(Tally::default());
    let end = Instant::now() + WARM_UP + Duration::from_secs(options.seconds);
    let readers = read(gateways.clone(), options.reads, Arc::clone(&tally), end);
    let (errand, per_second) = match options.checkouts {
        Some(checkouts) => (Errand::Checkout, checkouts),
        None => (Errand::Purchase, options.rate),
    };
    let buyers = buy(gateways, variants, errand, per_second, Arc::clone(&tally), end);
    let measuring = async {
        tokio::time::sleep(WARM_UP).await;
        tally.measuring.store(true, Ordering::Relaxed);
        anyhow::Ok(())
    };
    let (hits, bought, ()) = tokio::try_join!(readers, buyers, measuring)?;

    let times = tally.times.lock().expect("nobody panics with it");
    say(&format!("{bought} buyers started, {per_second} {}/s asked for", errand.counts()));
    let transactions: usize =
        times.iter().filter(|(step, _)| !READS.contains(step)).map(|(_, all)| all.len()).sum();
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    let rate = transactions as f64 / options.seconds as f64;
    say(&format!("{transactions} transactions answered in {} s: {rate:.1}/s", options.seconds));
    for (step, budget_ms) in STEPS {
        if errand == Errand::Checkout && !["add", "checkout"].contains(&step) {
            continue;
        }
        let mut all = times.get(step).cloned().unwrap_or_default();
        ensure!(!all.is_empty(), "no {step} was answered: {:?}", tally.refused);
        all.sort_by(f64::total_cmp);
        say(&format!(
            "{step:<13} {:>6}: p50 {:>7.1}  p95 {:>7.1}  p99 {:>7.1}  max {:>7.1} ms   budget {budget_ms} ms",
            all.len(),
            quantile(&all, 0.5),
            quantile(&all, 0.95),
            quantile(&all, 0.99),
            quantile(&all, 1.0)
        ));
    }
    for (kind, (hit, all)) in hits {
        #[expect(clippy::cast_precision_loss, reason = "for people")]
        let share = 100.0 * hit as f64 / all as f64;
        say(&format!("{kind}: {hit} of {all} answered from a cache, {share:.1} %"));
    }
    say(&format!("not as asked: {:?}", tally.refused.lock().expect("nobody panics with it")));
    Ok(())
}

/// The variants that are bought, with more of each than anybody buys.
async fn stock_up(shop: &Shop) -> anyhow::Result<Vec<i64>> {
    use sqlx::Connection as _;
    let admin = shop.setting("MESTRES_DATABASE_ADMIN_URL")?;
    let mut orders = sqlx::PgConnection::connect(&crate::shop::database_url(&admin, "orders")?).await?;
    let variants: Vec<i64> = sqlx::query_scalar(
        "UPDATE orders.stock_levels SET on_hand = $1, version = version + 1
          WHERE variant_id IN (SELECT min(variant_id) FROM orders.stock_levels GROUP BY product_id ORDER BY 1 LIMIT $2)
      RETURNING variant_id",
    )
    .bind(PER_PRODUCT)
    .bind(i64::try_from(PRODUCTS)?)
    .fetch_all(&mut orders)
    .await?;
    ensure!(!variants.is_empty(), "the shop has no stock");
    Ok(variants)
}

/// Makes every call of the payment provider take so long.
async fn slow_provider(shop: &Shop, provider_ms: u64) -> anyhow::Result<()> {
    let sandbox = shop.setting("MESTRES_SANDBOX_URL")?;
    let address = sandbox.trim_start_matches("http://").parse().context("the sandbox's address")?;
    let body = Bytes::from(json!({ "latency": { "kind": "fixed", "ms": provider_ms } }).to_string());
    let headers = [("content-type", "application/json")];
    let answer = Connection::open(address).await?.send("PUT", "/__sandbox/config", &headers, body).await?;
    ensure!(answer.status().is_success(), "the sandbox says {}: {:?}", answer.status(), answer.body());
    Ok(())
}

/// What buyers come for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Errand {
    /// Everything up to the confirmation.
    Purchase,
    /// One thing, up to the checkout.
    Checkout,
}

impl Errand {
    /// How many of what is counted a buyer makes.
    fn per_buyer(self) -> u64 {
        match self {
            Self::Purchase => TRANSACTIONS_PER_BUYER,
            Self::Checkout => 1,
        }
    }

    fn counts(self) -> &'static str {
        match self {
            Self::Purchase => "transactions",
            Self::Checkout => "checkouts",
        }
    }
}

/// Starts buyers as often as `per_second` of what they make asks for.
async fn buy(
    gateways: Vec<SocketAddr>,
    variants: Vec<i64>,
    errand: Errand,
    per_second: u64,
    tally: Arc<Tally>,
    end: Instant,
) -> anyhow::Result<u64> {
    let lanes = Arc::new(Semaphore::new(BUYERS_MAX));
    let mut ticks =
        tokio::time::interval(Duration::from_micros(1_000_000 * errand.per_buyer() / per_second.max(1)));
    let mut buyers = JoinSet::new();
    let mut started: usize = 0;
    while Instant::now() < end {
        ticks.tick().await;
        let Ok(lane) = Arc::clone(&lanes).try_acquire_owned() else {
            tally.refuse("not started: too many under way".to_owned());
            continue;
        };
        let gateway = gateways[started % gateways.len()];
        let pair = (variants[started % variants.len()], variants[(started + 7) % variants.len()]);
        started += 1;
        let tally = Arc::clone(&tally);
        buyers.spawn(async move {
            if let Err(error) = one_buyer(gateway, pair, errand, &tally).await {
                tally.refuse(format!("{error:#}"));
            }
            drop(lane);
        });
        while buyers.try_join_next().is_some() {}
    }
    while buyers.join_next().await.is_some() {}
    Ok(u64::try_from(started)?)
}

struct Buyer<'t> {
    connection: Connection,
    token: Option<String>,
    tally: &'t Tally,
}

impl Buyer<'_> {
    /// Sends a step and answers its JSON.
    async fn step(
        &mut self,
        step: &'static str,
        method: &str,
        path: &str,
        body: &Value,
    ) -> anyhow::Result<Value> {
        let key = format!("{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..));
        let mut headers = vec![("content-type", "application/json"), ("idempotency-key", key.as_str())];
        let token = self.token.clone();
        if let Some(token) = &token {
            headers.push(("x-cart-token", token));
        }
        let body = if body.is_null() { Bytes::new() } else { Bytes::from(body.to_string()) };
        let begun = Instant::now();
        let answer = self.connection.send(method, path, &headers, body).await?;
        let took = begun.elapsed();
        let text = String::from_utf8_lossy(answer.body());
        ensure!(answer.status().is_success(), "{step} {}: {}", answer.status(), code(&text));
        self.tally.note(step, took);
        if let Some(minted) = answer.headers().get("x-cart-token") {
            self.token = Some(minted.to_str()?.to_owned());
        }
        Ok(serde_json::from_str(&text).unwrap_or_default())
    }
}

impl Buyer<'_> {
    /// Makes an order of the cart as it was seen; answers its id.
    async fn check_out(&mut self, version: &Value) -> anyhow::Result<i64> {
        let quotes =
            self.step("quotes", "POST", "/api/v1/shipping/quotes", &json!({ "cep": "01310100" })).await?;
        let body = json!({
            "cart_version": version, "email": format!("compra-{:08x}@mestrescafe.dev", fastrand::u32(..)),
            "shipping_quote_id": quotes["data"]["quotes"][0]["id"],
            "shipping_address": {
                "recipient": "Ana", "line1": "Avenida Paulista 1000", "city": "São Paulo", "state": "SP",
                "postal_code": "01310100", "country": "BR",
            },
        });
        let placed = self.step("checkout", "POST", "/api/v1/checkout", &body).await?;
        placed["data"]["checkout"]["order_id"].as_i64().context("an order")
    }
}

/// Of a problem document.
fn code(body: &str) -> String {
    let problem: Value = serde_json::from_str(body).unwrap_or_default();
    problem["code"].as_str().unwrap_or("no problem document").to_owned()
}

async fn one_buyer(
    gateway: SocketAddr,
    (first, second): (i64, i64),
    errand: Errand,
    tally: &Tally,
) -> anyhow::Result<()> {
    let mut buyer = Buyer { connection: Connection::open(gateway).await?, token: None, tally };
    let item = |variant: i64| json!({ "variant_id": variant, "quantity": 1 });
    let cart = buyer.step("add", "POST", "/api/v1/cart/items", &item(first)).await?;
    if errand == Errand::Checkout {
        return buyer.check_out(&cart["data"]["cart"]["version"]).await.map(drop);
    }
    let kept = cart["data"]["cart"]["items"][0]["id"].as_i64().context("an item")?;
    buyer.step("update", "PATCH", &format!("/api/v1/cart/items/{kept}"), &json!({ "quantity": 2 })).await?;
    let cart = buyer.step("add", "POST", "/api/v1/cart/items", &item(second)).await?;
    let items = cart["data"]["cart"]["items"].as_array().context("items")?;
    let other =
        items.iter().find_map(|item| item["id"].as_i64().filter(|id| *id != kept)).context("two items")?;
    let cart = buyer.step("remove", "DELETE", &format!("/api/v1/cart/items/{other}"), &Value::Null).await?;
    let order = buyer.check_out(&cart["data"]["cart"]["version"]).await?;
    let card = json!({ "method": "card", "payment_method": "pm_card_visa" });
    let paid = buyer.step("payment", "POST", &format!("/api/v1/checkout/{order}/payments"), &card).await?;
    if paid["data"]["payment"]["status"] != "succeeded" {
        tally.refuse(format!("payment {}", paid["data"]["payment"]["status"]));
    }
    buyer.step("confirmation", "GET", &format!("/api/v1/orders/{order}/confirmation"), &Value::Null).await?;
    Ok(())
}

/// Listings and products, most people looking at few of them; answers (from a cache, all) of each kind.
async fn read(
    gateways: Vec<SocketAddr>,
    rate: u64,
    tally: Arc<Tally>,
    end: Instant,
) -> anyhow::Result<BTreeMap<&'static str, (u64, u64)>> {
    let started = Instant::now();
    let next = Arc::new(AtomicU64::new(0));
    let counts = Arc::new(Mutex::new(BTreeMap::<&'static str, (u64, u64)>::new()));
    let spacing = Duration::from_micros(1_000_000 / rate.max(1));
    let mut readers = JoinSet::new();
    for reader in 0..READERS {
        let (next, counts, tally) = (Arc::clone(&next), Arc::clone(&counts), Arc::clone(&tally));
        let mut connection = Connection::open(gateways[reader % gateways.len()]).await?;
        readers.spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let due = started + spacing * u32::try_from(number).unwrap_or(u32::MAX);
                if due >= end {
                    return anyhow::Ok(());
                }
                tokio::time::sleep_until(due.into()).await;
                let (kind, path) = if number.is_multiple_of(3) {
                    ("listing (S112)", format!("/api/v1/products?page={}", 1 + fastrand::u64(0..5)))
                } else {
                    ("product (S114)", format!("/api/v1/products/{}", 1 + fastrand::u64(0..PRODUCTS)))
                };
                let answer = connection.get(&path, &[]).await?;
                ensure!(answer.status() == 200, "{} for {path}", answer.status());
                if tally.measuring.load(Ordering::Relaxed) {
                    let hit = answer.headers().get("x-cache-hit").is_some_and(|hit| hit == "true");
                    let mut counts = counts.lock().expect("nobody panics with it");
                    let (hits, all) = counts.entry(kind).or_default();
                    (*hits, *all) = (*hits + u64::from(hit), *all + 1);
                }
            }
        });
    }
    while let Some(reader) = readers.join_next().await {
        reader??;
    }
    Ok(counts.lock().expect("nobody panics with it").clone())
}

#[expect(clippy::print_stdout, reason = "a benchmark's result is its output")]
fn say(line: &str) {
    println!("{line}");
}
