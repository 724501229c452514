//! Two hundred sign-ins a second that nobody meant, and what the shop's visitors notice of them.
//!
//! Catalog reads go at a fixed rate all the time: quiet, stormy, quiet. They are timed from the moment they were
//! due, so that a reader who waits for the one before counts as waiting.

use std::{
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
use serde_json::json;
use tokio::{sync::Semaphore, task::JoinSet};

use crate::{http::Connection, shop::Shop, spread::quantile, streams::resident_mib};

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Sign-ins per second
    #[arg(long, default_value_t = 200)]
    rate: u64,
    /// Seconds of storm; each quiet part is half of it
    #[arg(long, default_value_t = 30)]
    seconds: u64,
    /// Catalog reads per second
    #[arg(long, default_value_t = 200)]
    reads: u64,
    #[arg(long, default_value_t = 3)]
    rounds: usize,
}

/// Sign-ins under way at once; an attacker has that many connections.
const LANES: usize = 400;
const READERS: usize = 16;

/// Catalog reads of one stretch of time.
struct Stretch {
    p50_ms: f64,
    p95_ms: f64,
    p99_ms: f64,
    count: usize,
}

pub(crate) async fn run(options: Options) -> anyhow::Result<()> {
    let shop = Shop::open(2_000, 1)?;
    let (gateway, _) = shop.gateways()?[0];
    let accounts = shop.pid("accounts")?;
    reads(gateway, options.reads, Duration::from_secs(3)).await?;
    let half = Duration::from_secs(options.seconds / 2);
    let mut ratios = Vec::new();
    for round in 1..=options.rounds {
        let before = reads(gateway, options.reads, half).await?;
        let resident_before = resident_mib(accounts)?;
        let over = Arc::new(AtomicBool::new(false));
        let watching = tokio::spawn(highest(accounts, Arc::clone(&over)));
        let storm = tokio::spawn(storm(gateway, options.rate, Duration::from_secs(options.seconds)));
        let during = reads(gateway, options.reads, Duration::from_secs(options.seconds)).await?;
        let answers = storm.await??;
        over.store(true, Ordering::Relaxed);
        let resident_most = watching.await??;
        tokio::time::sleep(Duration::from_secs(3)).await;
        let after = reads(gateway, options.reads, half).await?;
        let quiet = f64::midpoint(before.p95_ms, after.p95_ms);
        let ratio = during.p95_ms / quiet;
        ratios.push(ratio);
        say(&format!("round {round}: {answers}"));
        for (name, stretch) in [("quiet before", &before), ("storm", &during), ("quiet after", &after)] {
            let Stretch { p50_ms, p95_ms, p99_ms, count } = stretch;
            say(&format!("  {name:12} {count} reads: p50 {p50_ms:.2} p95 {p95_ms:.2} p99 {p99_ms:.2} ms"));
        }
        say(&format!(
            "  catalog p95 storm/quiet {ratio:.2}; accounts {resident_before} MiB resident, {resident_most} at most"
        ));
    }
    ratios.sort_by(f64::total_cmp);
    say(&format!("catalog p95 storm/quiet, median of {}: {:.2}", ratios.len(), quantile(&ratios, 0.5)));
    Ok(())
}

/// Reads of the catalog at a fixed rate: half of them from the cache, half of them new questions.
async fn reads(gateway: SocketAddr, rate: u64, length: Duration) -> anyhow::Result<Stretch> {
    let started = Instant::now();
    let next = Arc::new(AtomicU64::new(0));
    let spacing = Duration::from_micros(1_000_000 / rate.max(1));
    let late = Arc::new(Mutex::new(Vec::new()));
    let mut readers = JoinSet::new();
    for _ in 0..READERS {
        let (next, late) = (Arc::clone(&next), Arc::clone(&late));
        let mut connection = Connection::open(gateway).await?;
        readers.spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let due = started + spacing * u32::try_from(number).unwrap_or(u32::MAX);
                if due.duration_since(started) >= length {
                    return anyhow::Ok(());
                }
                tokio::time::sleep_until(due.into()).await;
                let path = if number.is_multiple_of(2) {
                    "/api/v1/products".to_owned()
                } else {
                    format!("/api/v1/products?min_price={}", fastrand::u32(1..1_000_000))
                };
                let answer = connection.get(&path, &[]).await?;
                ensure!(answer.status() == 200, "{} for {path}", answer.status());
                late.lock().expect("nobody panics with it").push(due.elapsed().as_secs_f64() * 1_000.0);
            }
        });
    }
    while let Some(reader) = readers.join_next().await {
        reader??;
    }
    let mut late = late.lock().expect("nobody panics with it");
    late.sort_by(f64::total_cmp);
    Ok(Stretch {
        p50_ms: quantile(&late, 0.5),
        p95_ms: quantile(&late, 0.95),
        p99_ms: quantile(&late, 0.99),
        count: late.len(),
    })
}

/// Sign-ins at a fixed rate, most of them of nobody; says how they were answered.
async fn storm(gateway: SocketAddr, rate: u64, length: Duration) -> anyhow::Result<String> {
    let lanes = Arc::new(Semaphore::new(LANES));
    let statuses = Arc::new(Mutex::new(std::collections::BTreeMap::<String, usize>::new()));
    let mut ticks = tokio::time::interval(Duration::from_micros(1_000_000 / rate.max(1)));
    let end = Instant::now() + length;
    let mut attempts = JoinSet::new();
    while Instant::now() < end {
        ticks.tick().await;
        let note = {
            let statuses = Arc::clone(&statuses);
            move |what: String| *statuses.lock().expect("nobody panics with it").entry(what).or_default() += 1
        };
        let Ok(lane) = Arc::clone(&lanes).try_acquire_owned() else {
            note("not sent".to_owned());
            continue;
        };
        attempts.spawn(async move {
            let status =
                attempt(gateway).await.map_or_else(|_lost| "lost".to_owned(), |status| status.to_string());
            note(status);
            drop(lane);
        });
        while attempts.try_join_next().is_some() {}
    }
    while attempts.join_next().await.is_some() {}
    let statuses = statuses.lock().expect("nobody panics with it");
    Ok(statuses.iter().map(|(status, count)| format!("{status}: {count}")).collect::<Vec<_>>().join(", "))
}

async fn attempt(gateway: SocketAddr) -> anyhow::Result<u16> {
    let mut connection = Connection::open(gateway).await?;
    let nobody = format!("ninguem-{}@mestrescafe.dev", fastrand::u64(..));
    let body = json!({ "email": nobody, "password": "uma senha que ninguem tem" });
    let headers = [("content-type", "application/json")];
    let body = Bytes::from(serde_json::to_vec(&body)?);
    let answer = connection.send("POST", "/api/v1/auth/login", &headers, body).await?;
    Ok(answer.status().as_u16())
}

/// The most memory that the process holds until it is over.
async fn highest(pid: u32, over: Arc<AtomicBool>) -> anyhow::Result<u64> {
    let mut most = 0;
    while !over.load(Ordering::Relaxed) {
        most = most.max(resident_mib(pid).context("the accounts service is gone")?);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(most)
}

#[expect(clippy::print_stdout, reason = "a benchmark's result is its output")]
fn say(line: &str) {
    println!("{line}");
}
