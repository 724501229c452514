//! A thousand browsers that listen, and how soon the right one is told.
//!
//! Each sends and is sent cupping reports; a report becomes a notification of its receiver. Timed from the moment
//! the sender has its answer to the moment the receiver's stream shows the event, over everything in between: two
//! outboxes, two relays, two consumers.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use bytes::Bytes;
use clap::Args;
use http_body_util::{BodyExt, Empty};
use hyper::{Request, client::conn::http1::handshake};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::{net::TcpStream, sync::watch, task::JoinSet};

use crate::{
    cpu::cpu_time,
    http::Connection,
    shop::{Shop, ask},
    spread::quantile,
};

#[derive(Debug, Args)]
pub(crate) struct Options {
    #[arg(long, default_value_t = 1_000)]
    streams: usize,
    #[arg(long, default_value_t = 1_000)]
    reports: usize,
    /// Reports per second
    #[arg(long, default_value_t = 40)]
    rate: u64,
}

const FIRST_USER: usize = 10_000;
/// For an event to arrive, and for streams to open.
const PATIENCE: Duration = Duration::from_secs(20);

/// What arrived where, and when.
#[derive(Default)]
struct Arrivals(Mutex<HashMap<usize, Vec<(u64, Instant)>>>);

impl Arrivals {
    fn note(&self, user: usize, position: u64) {
        self.0
            .lock()
            .expect("nobody panics with it")
            .entry(user)
            .or_default()
            .push((position, Instant::now()));
    }

    fn of(&self, user: usize) -> Vec<(u64, Instant)> {
        self.0.lock().expect("nobody panics with it").get(&user).cloned().unwrap_or_default()
    }

    fn count(&self) -> usize {
        self.0.lock().expect("nobody panics with it").values().map(Vec::len).sum()
    }
}

pub(crate) async fn run(options: Options) -> anyhow::Result<()> {
    let shop = Shop::open(138, 1)?;
    let (gateway, pid) = shop.gateways()?[0];
    settle_in(&shop, options.streams).await?;
    let mut tokens = Vec::with_capacity(options.streams);
    for user in 0..options.streams {
        let id = (FIRST_USER + user).to_string();
        tokens.push(ask(shop.folder(), &["token", "--role", "customer", "--user", &id])?);
    }
    let tokens: Arc<[String]> = tokens.into();
    let arrivals = Arc::new(Arrivals::default());
    let (close, _) = watch::channel(());
    let mut streams = JoinSet::new();
    for user in 0..options.streams {
        let opened = open(gateway, &tokens[user], None).await.with_context(|| format!("stream {user}"))?;
        streams.spawn(listen(opened, user, Arc::clone(&arrivals), close.subscribe()));
    }
    say(&format!("{} streams are open on one gateway", options.streams));

    let before = (cpu_time(pid)?, Instant::now());
    tokio::time::sleep(Duration::from_secs(10)).await;
    let idle = (cpu_time(pid)? - before.0).as_secs_f64() / before.1.elapsed().as_secs_f64();
    say(&format!("idle: {:.1} % of a core, {} MiB resident", idle * 100.0, resident_mib(pid)?));

    let mut expected: HashMap<usize, Vec<Instant>> = HashMap::new();
    let mut connection = Connection::open(gateway).await?;
    let mut ticks = tokio::time::interval(Duration::from_micros(1_000_000 / options.rate.max(1)));
    for _ in 0..options.reports {
        ticks.tick().await;
        let receiver = fastrand::usize(0..options.streams);
        let sender = (receiver + 1 + fastrand::usize(0..options.streams - 1)) % options.streams;
        report(&mut connection, &tokens[sender], FIRST_USER + receiver).await?;
        expected.entry(receiver).or_default().push(Instant::now());
    }
    settle(&arrivals, options.reports).await?;

    let mut late_ms = Vec::with_capacity(options.reports);
    let mut wrong = 0;
    for user in 0..options.streams {
        let (sent, arrived) = (expected.get(&user).cloned().unwrap_or_default(), arrivals.of(user));
        wrong += arrived.len().abs_diff(sent.len());
        for (position, (sent, (seen, at))) in sent.iter().zip(&arrived).enumerate() {
            ensure!(
                *seen == position as u64 + 1,
                "user {user} saw position {seen} as number {}",
                position + 1
            );
            late_ms.push(at.saturating_duration_since(*sent).as_secs_f64() * 1_000.0);
        }
    }
    late_ms.sort_by(f64::total_cmp);
    say(&format!(
        "{} notifications at {}/s: p50 {:.0} ms, p90 {:.0} ms, p99 {:.0} ms, max {:.0} ms; {wrong} at the wrong stream or missing",
        late_ms.len(),
        options.rate,
        quantile(&late_ms, 0.5),
        quantile(&late_ms, 0.9),
        quantile(&late_ms, 0.99),
        quantile(&late_ms, 1.0),
    ));

    // Everybody leaves; each is sent one more, and comes back with the last position.
    drop(close);
    while let Some(stream) = streams.join_next().await {
        stream??;
    }
    let returning = options.streams.min(200);
    for receiver in 0..returning {
        report(&mut connection, &tokens[(receiver + 1) % options.streams], FIRST_USER + receiver).await?;
    }
    let (close, _) = watch::channel(());
    let before = arrivals.count();
    for user in 0..returning {
        let last = arrivals.of(user).last().map_or(0, |(position, _)| *position);
        let opened = open(gateway, &tokens[user], Some(last)).await?;
        streams.spawn(listen(opened, user, Arc::clone(&arrivals), close.subscribe()));
    }
    settle(&arrivals, before + returning).await?;
    let lost = (0..returning)
        .filter(|user| {
            let positions: Vec<u64> = arrivals.of(*user).iter().map(|(position, _)| *position).collect();
            positions.iter().zip(1_u64..).any(|(seen, expected)| *seen != expected)
        })
        .count();
    say(&format!("{returning} came back with Last-Event-ID: {lost} lost or repeated something"));
    drop(close);
    while let Some(stream) = streams.join_next().await {
        stream??;
    }
    ensure!(wrong == 0 && lost == 0, "events went astray");
    Ok(())
}

/// Only people who exist are told anything: so many customers, behind everybody's back.
async fn settle_in(shop: &Shop, streams: usize) -> anyhow::Result<()> {
    use sqlx::Connection as _;

    let admin = shop.setting("MESTRES_DATABASE_ADMIN_URL")?;
    let (server, _database) = admin.rsplit_once('/').context("a database URL")?;
    let mut accounts = sqlx::PgConnection::connect(&format!("{server}/mc_accounts")).await?;
    sqlx::query(
        "INSERT INTO accounts.users (id, email, name, email_verified_at)
         SELECT id, 'user-' || id || '@mestrescafe.dev', 'Pessoa ' || id, now()
           FROM generate_series($1::bigint, $2) AS id",
    )
    .bind(i64::try_from(FIRST_USER)?)
    .bind(i64::try_from(FIRST_USER + streams)?)
    .execute(&mut accounts)
    .await?;
    Ok(())
}

/// Waits until so many events have arrived in all, and a little longer for one too many.
async fn settle(arrivals: &Arrivals, count: usize) -> anyhow::Result<()> {
    let begun = Instant::now();
    while arrivals.count() < count {
        ensure!(begun.elapsed() < PATIENCE, "{} of {count} events arrived", arrivals.count());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    ensure!(arrivals.count() == count, "{} events for {count} reports", arrivals.count());
    Ok(())
}

async fn report(connection: &mut Connection, token: &str, receiver: usize) -> anyhow::Result<()> {
    let scores = [
        "fragrance",
        "flavor",
        "aftertaste",
        "acidity",
        "body",
        "balance",
        "uniformity",
        "clean_cup",
        "sweetness",
        "overall",
    ];
    let scores: serde_json::Map<_, _> =
        scores.map(|score| (score.to_owned(), json!(8.0))).into_iter().collect();
    let body = json!({ "receiverId": receiver, "title": "Catuaí", "scores": scores });
    let bearer = format!("Bearer {token}");
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    let answer =
        connection.send("POST", "/api/reports", &headers, Bytes::from(serde_json::to_vec(&body)?)).await?;
    ensure!(answer.status() == 201, "{}: {:?}", answer.status(), answer.body());
    Ok(())
}

/// Opens a stream and returns it once the gateway has answered.
async fn open(gateway: SocketAddr, token: &str, after: Option<u64>) -> anyhow::Result<hyper::body::Incoming> {
    let stream = TcpStream::connect(gateway).await?;
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await?;
    // Ends with the stream.
    tokio::spawn(async move { drop(connection.await) });
    let mut request = Request::builder()
        .uri("/api/v1/notifications/stream")
        .header("host", gateway.to_string())
        .header("authorization", format!("Bearer {token}"));
    if let Some(after) = after {
        request = request.header("last-event-id", after.to_string());
    }
    let answer =
        tokio::time::timeout(PATIENCE, sender.send_request(request.body(Empty::<Bytes>::new())?)).await??;
    ensure!(answer.status() == 200, "the stream was answered {}", answer.status());
    Ok(answer.into_body())
}

/// Notes every event until told to leave.
async fn listen(
    mut stream: hyper::body::Incoming,
    user: usize,
    arrivals: Arc<Arrivals>,
    mut close: watch::Receiver<()>,
) -> anyhow::Result<()> {
    let mut text = String::new();
    loop {
        let frame = tokio::select! {
            frame = stream.frame() => frame.context("the gateway ended a stream")??,
            _closed = close.changed() => return Ok(()),
        };
        let Some(data) = frame.data_ref() else { continue };
        text.push_str(std::str::from_utf8(data)?);
        while let Some((event, rest)) = text.split_once("\n\n") {
            if let Some(id) = event.lines().find_map(|line| line.strip_prefix("id: ")) {
                arrivals.note(user, id.parse()?);
            }
            text = rest.to_owned();
        }
    }
}

/// Resident memory of a process.
pub(crate) fn resident_mib(pid: u32) -> anyhow::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("VmRSS")?;
    let kib: u64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kib / 1024)
}

#[expect(clippy::print_stdout, reason = "a benchmark's result is its output")]
fn say(line: &str) {
    println!("{line}");
}
