//! How fresh the shop is: stale answers to a writer, and how long the old price can be served to others.

use std::{
    net::SocketAddr,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, ensure};
use bytes::Bytes;
use clap::Args;
use hyper::Response;
use proto::catalog::v1::{ChangePricesRequest, VariantPrice, catalog_service_client::CatalogServiceClient};
use serde_json::Value;
use sqlx::{Connection as _, PgConnection};
use tokio::task::JoinSet;
use tonic::transport::Channel;

use crate::{
    http::Connection,
    shop::{Shop, database_url},
    spread::quantile,
};

/// The product whose price the second part changes.
const WATCHED: i64 = 1;
/// Watchers without a pause would keep both cores busy and measure their own queue.
const WATCH_EVERY: Duration = Duration::from_millis(1);
const RPC_DEADLINE: Duration = Duration::from_secs(5);

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Write-read pairs with the token
    #[arg(long, default_value_t = 10_000)]
    pairs: u64,
    /// Price changes for each of the two times to unservable
    #[arg(long, default_value_t = 1_000)]
    changes: usize,
    /// Writers at once, each with a product of its own
    #[arg(long, default_value_t = 4)]
    writers: u64,
}

pub(crate) async fn run(options: Options) -> anyhow::Result<()> {
    let shop = Shop::open(138, 2)?;
    let gateways: Vec<_> = shop.gateways()?.iter().map(|(address, _)| *address).collect();

    let stale = stale_pairs(&options, &shop, &gateways).await?;
    say(&format!("{} write-read pairs on random gateways with the token: {stale} stale", options.pairs));
    say("");
    say("from the commit of a price until both gateways refuse to serve the old one, ms:");
    let mut by_gateway = Writer::Gateway(Connection::open(gateways[0]).await?);
    report("gateway publish", times_to_unservable(&options, &shop, &gateways, &mut by_gateway).await?);
    let catalog = CatalogServiceClient::new(bootstrap::grpc::channel(&shop.setting("MESTRES_CATALOG_URL")?)?);
    let mut by_outbox = Writer::Catalog(catalog);
    report("outbox alone", times_to_unservable(&options, &shop, &gateways, &mut by_outbox).await?);
    ensure!(stale == 0, "{stale} reads with a token were stale");
    Ok(())
}

/// Writes on a random gateway and reads on a random gateway with the answer's token; counts old prices.
async fn stale_pairs(options: &Options, shop: &Shop, gateways: &[SocketAddr]) -> anyhow::Result<u64> {
    let mut writers = JoinSet::new();
    for writer in 0..options.writers {
        let gateways = gateways.to_vec();
        let mut bearer = Bearer::new(shop)?;
        let rounds = options.pairs / options.writers + u64::from(writer < options.pairs % options.writers);
        let product = 2 + i64::try_from(writer)?;
        writers.spawn(async move {
            let mut connections = Vec::new();
            for gateway in &gateways {
                connections.push(Connection::open(*gateway).await?);
            }
            let path = format!("/api/v1/products/{product}");
            let mut stale = 0;
            let mut state = Editable::read(&mut connections[0], product, &bearer.current()?).await?;
            for round in 0..rounds {
                let amount = 3_000 + i64::try_from(round)?;
                let written = &mut connections[fastrand::usize(..gateways.len())];
                let token = state.write(written, amount, &bearer.current()?).await?;
                let reader = &mut connections[fastrand::usize(..gateways.len())];
                let answer = reader.get(&path, &[("x-cache-token", &token)]).await?;
                stale += u64::from(first_amount(&answer)? != amount);
            }
            anyhow::Ok(stale)
        });
    }
    let mut stale = 0;
    while let Some(writer) = writers.join_next().await {
        stale += writer??;
    }
    Ok(stale)
}

/// Who changes the price: a gateway, which purges at once, or the catalog alone, so that only its outbox does.
enum Writer {
    Gateway(Connection),
    Catalog(CatalogServiceClient<Channel>),
}

/// For each change, the milliseconds from its commit (PostgreSQL's own time stamp; one clock for all) until
/// both gateways were asked the first question that they did not answer with the old price. Both are asked
/// every millisecond or two, so each keeps the old answer hot until it is purged, and the figures are too high
/// by up to that pause.
async fn times_to_unservable(
    options: &Options,
    shop: &Shop,
    gateways: &[SocketAddr],
    writer: &mut Writer,
) -> anyhow::Result<Vec<f64>> {
    let mut database =
        PgConnection::connect(&database_url(&shop.setting("MESTRES_DATABASE_ADMIN_URL")?, "catalog")?)
            .await?;
    let mut bearer = Bearer::new(shop)?;
    let mut editor = Connection::open(gateways[0]).await?;
    let mut state = Editable::read(&mut editor, WATCHED, &bearer.current()?).await?;
    let first = state.amount + 1;
    let mut times = Vec::with_capacity(options.changes);
    for change in 0..options.changes {
        let amount = first + i64::try_from(change)?;
        let mut watchers = JoinSet::new();
        for gateway in gateways {
            let mut connection = Connection::open(*gateway).await?;
            connection.get(&path_of(WATCHED), &[]).await?;
            watchers.spawn(async move {
                loop {
                    let asked = unix_us();
                    let answer = connection.get(&path_of(WATCHED), &[]).await?;
                    if first_amount(&answer)? == amount {
                        return anyhow::Ok(asked);
                    }
                    tokio::time::sleep(WATCH_EVERY).await;
                }
            });
        }
        match writer {
            Writer::Gateway(connection) => drop(state.write(connection, amount, &bearer.current()?).await?),
            Writer::Catalog(client) => state.write_at_the_origin(client, amount, &bearer.current()?).await?,
        }
        let mut last = 0;
        while let Some(watcher) = tokio::time::timeout(RPC_DEADLINE, watchers.join_next())
            .await
            .with_context(|| format!("change {change} was never seen"))?
        {
            last = last.max(watcher??);
        }
        let committed: i64 = sqlx::query_scalar(
            "SELECT (extract(epoch FROM pg_xact_commit_timestamp(xmin)) * 1000000)::bigint
             FROM catalog.prices WHERE variant_id = $1",
        )
        .bind(state.variant)
        .fetch_one(&mut database)
        .await?;
        times.push((last - committed) as f64 / 1_000.0);
    }
    Ok(times)
}

/// A product as its editor knows it.
struct Editable {
    product: i64,
    variant: i64,
    version: i64,
    amount: i64,
}

impl Editable {
    async fn read(connection: &mut Connection, product: i64, bearer: &str) -> anyhow::Result<Self> {
        let path = format!("/api/v1/admin/products/{product}");
        let answer = connection.get(&path, &[("authorization", bearer)]).await?;
        ensure!(answer.status() == 200, "{path}: {}", answer.status());
        let body: Value = serde_json::from_slice(answer.body())?;
        let variant = &body["data"]["product"]["variants"][0];
        Ok(Self {
            product,
            variant: variant["id"].as_i64().context("a variant")?,
            version: body["data"]["product"]["version"].as_i64().context("a version")?,
            amount: variant["price"]["amount"].as_i64().context("a price")?,
        })
    }

    /// Changes the price through a gateway and answers the token.
    async fn write(
        &mut self,
        connection: &mut Connection,
        amount: i64,
        bearer: &str,
    ) -> anyhow::Result<String> {
        let body = serde_json::json!({ "prices": [{ "variant_id": self.variant, "amount": amount }] });
        let version = format!("\"p-{}-v{}\"", self.product, self.version);
        let answer = connection
            .send(
                "PUT",
                &format!("/api/v1/admin/products/{}/prices", self.product),
                &[("authorization", bearer), ("if-match", &version), ("content-type", "application/json")],
                Bytes::from(body.to_string()),
            )
            .await?;
        ensure!(answer.status() == 200, "{}: {}", answer.status(), String::from_utf8_lossy(answer.body()));
        let changed: Value = serde_json::from_slice(answer.body())?;
        self.version = changed["data"]["product"]["version"].as_i64().context("a version")?;
        Ok(answer.headers()["x-cache-token"].to_str()?.to_owned())
    }

    /// Changes the price by asking the catalog itself: no gateway hears of it.
    async fn write_at_the_origin(
        &mut self,
        catalog: &mut CatalogServiceClient<Channel>,
        amount: i64,
        bearer: &str,
    ) -> anyhow::Result<()> {
        let message = ChangePricesRequest {
            product_id: self.product,
            expected_version: self.version,
            prices: vec![VariantPrice { variant_id: self.variant, amount, compare_at_amount: None }],
        };
        let request = bootstrap::grpc::request(message, RPC_DEADLINE, bearer.strip_prefix("Bearer "));
        let answer = catalog.change_prices(request).await?.into_inner();
        self.version = answer.product.and_then(|product| product.summary).context("the product")?.version;
        Ok(())
    }
}

/// A staff token, made anew before it expires.
struct Bearer {
    folder: std::path::PathBuf,
    token: String,
    made: std::time::Instant,
}

impl Bearer {
    fn new(shop: &Shop) -> anyhow::Result<Self> {
        let folder = shop.folder().to_path_buf();
        Ok(Self { token: make_token(&folder)?, folder, made: std::time::Instant::now() })
    }

    fn current(&mut self) -> anyhow::Result<String> {
        if self.made.elapsed() > Duration::from_secs(240) {
            self.token = make_token(&self.folder)?;
            self.made = std::time::Instant::now();
        }
        Ok(self.token.clone())
    }
}

fn make_token(folder: &std::path::Path) -> anyhow::Result<String> {
    Ok(format!("Bearer {}", crate::shop::ask(folder, &["token", "--role", "staff", "--user", "1"])?))
}

fn path_of(product: i64) -> String {
    format!("/api/v1/products/{product}")
}

fn first_amount(answer: &Response<Bytes>) -> anyhow::Result<i64> {
    ensure!(answer.status() == 200, "{}", answer.status());
    let body: Value = serde_json::from_slice(answer.body())?;
    body["data"]["product"]["variants"][0]["price"]["amount"].as_i64().context("a price")
}

fn unix_us() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970");
    i64::try_from(since.as_micros()).expect("before the year 292,000")
}

/// The admin URL, in the catalog's database.
fn report(path: &str, mut times: Vec<f64>) {
    times.sort_by(f64::total_cmp);
    say(&format!(
        "{path:<16} {} changes: p50 {:.2}  p90 {:.2}  p99 {:.2}  max {:.2}",
        times.len(),
        quantile(&times, 0.5),
        quantile(&times, 0.9),
        quantile(&times, 0.99),
        quantile(&times, 1.0)
    ));
}

#[expect(clippy::print_stdout, reason = "the benchmark's report")]
fn say(line: &str) {
    println!("{line}");
}
