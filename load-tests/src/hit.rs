//! What a cached answer costs: the whole gateway against a bare handler with the same bytes.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, ensure};
use clap::Args;

use crate::{
    cpu::cpu_time,
    http::{Connection, load},
    shop::{Shop, free_port, listening, program},
    spread::Spread,
};

const PATH: &str = "/api/v1/products";
/// Headers that hyper or actix write by themselves, or that the body decides.
const NOT_REPEATED: [&str; 5] = ["content-length", "content-type", "date", "connection", "transfer-encoding"];

#[derive(Debug, Args)]
pub(crate) struct Options {
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds of load on each server in each round
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    #[arg(long, default_value_t = 64)]
    connections: usize,
}

/// One server under measurement.
struct Side {
    name: &'static str,
    address: SocketAddr,
    pid: u32,
    cpu_us: Vec<f64>,
    per_second: Vec<f64>,
}

pub(crate) async fn run(options: Options) -> anyhow::Result<()> {
    let shop = Shop::open(138, 1)?;
    let (gateway, gateway_pid) = shop.gateways()?[0];
    let mut connection = Connection::open(gateway).await?;
    for _ in 0..100 {
        connection.get(PATH, &[]).await?;
    }
    let hit = connection.get(PATH, &[]).await?;
    ensure!(hit.headers()["x-cache"] == "L1", "the listing is not an L1 hit: {:?}", hit.headers());
    let body = shop.folder().join("body.json");
    fs::write(&body, hit.body())?;
    let repeated: Vec<_> = hit
        .headers()
        .iter()
        .filter(|(name, _)| !NOT_REPEATED.contains(&name.as_str()))
        .map(|(name, value)| (name.as_str(), value.to_str().unwrap_or_default()))
        .collect();

    let bare = Bare::start(&shop, "none.json", &serde_json::to_vec(&Vec::<(&str, &str)>::new())?).await?;
    let dressed = Bare::start(&shop, "headers.json", &serde_json::to_vec(&repeated)?).await?;
    let side = |name, address, pid| Side { name, address, pid, cpu_us: Vec::new(), per_second: Vec::new() };
    let mut sides = [
        side("bare actix-web handler", bare.address, bare.process.id()),
        side("the same with the gateway's headers", dressed.address, dressed.process.id()),
        side("gateway, L1 hit", gateway, gateway_pid),
    ];

    say(&format!(
        "{} bytes of body, {} response headers, {} connections, {} rounds of {} s each, in turn",
        hit.body().len(),
        hit.headers().len(),
        options.connections,
        options.rounds,
        options.seconds
    ));
    for side in &sides {
        load(side.address, PATH, options.connections, Duration::from_secs(1)).await.context("warming up")?;
    }
    let length = Duration::from_secs(options.seconds);
    for round in 1..=options.rounds {
        for side in &mut sides {
            let before = cpu_time(side.pid)?;
            let answered = load(side.address, PATH, options.connections, length).await?;
            let used = cpu_time(side.pid)? - before;
            side.cpu_us.push(used.as_secs_f64() * 1e6 / answered as f64);
            side.per_second.push(answered as f64 / length.as_secs_f64());
        }
        say(&format!("round {round} of {} done", options.rounds));
    }

    say("");
    say("server CPU us/request, median (min to max)      requests/s, median (min to max)");
    for side in &sides {
        say(&format!("{:<38}{}   {}", side.name, Spread::of(&side.cpu_us), Spread::of(&side.per_second)));
    }
    for (numerator, denominator) in [(2, 0), (2, 1), (1, 0)] {
        let ratios = |of: fn(&Side) -> &Vec<f64>| {
            let pairs = of(&sides[numerator]).iter().zip(of(&sides[denominator]));
            Spread::of(&pairs.map(|(a, b)| a / b).collect::<Vec<_>>())
        };
        say(&format!(
            "{} / {}: CPU {}, requests/s {}",
            sides[numerator].name,
            sides[denominator].name,
            ratios(|side| &side.cpu_us),
            ratios(|side| &side.per_second),
        ));
    }
    Ok(())
}

/// A bare server as a process of its own, ended with this value.
struct Bare {
    process: Child,
    address: SocketAddr,
}

impl Bare {
    async fn start(shop: &Shop, headers_name: &str, headers: &[u8]) -> anyhow::Result<Self> {
        let headers_file = shop.folder().join(headers_name);
        fs::write(&headers_file, headers)?;
        let port = free_port()?;
        let workers = std::thread::available_parallelism()?.get();
        let process = Command::new(program()?.with_file_name("load-tests"))
            .args(["bare", "--port", &port.to_string(), "--workers", &workers.to_string(), "--body"])
            .arg(shop.folder().join("body.json"))
            .arg("--headers")
            .arg(headers_file)
            .stdin(Stdio::null())
            .spawn()?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let bare = Self { process, address };
        listening(address).await?;
        Ok(bare)
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        if self.process.kill().is_ok() {
            drop(self.process.wait());
        }
    }
}

#[expect(clippy::print_stdout, reason = "the benchmark's report")]
fn say(line: &str) {
    println!("{line}");
}
