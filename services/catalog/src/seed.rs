//! The demo shop: what a Brazilian roaster could sell, the same at every load.

mod categories;
mod coffees;
mod drawing;
mod lots;
mod regions;

use std::{collections::HashSet, time::Duration};

use anyhow::Context;
use rls::{Caller, Class, Database, DatabaseConfig};
use time::{OffsetDateTime, Time};

use crate::{
    domain::StockBand,
    error::Error,
    store::load::{self, SeedBatch, Stocked},
};

/// How many products one statement loads.
const BATCH: usize = 1_000;
/// For a connection, of which there is only this one user.
const ACQUIRE_WITHIN: Duration = Duration::from_secs(10);
/// Of the whole load; 100,000 products take a fraction of it.
const LOAD_DEADLINE: Duration = Duration::from_secs(300);

/// Products of the demo shop when nobody asks for another number.
pub const DEMO_PRODUCTS: usize = coffees::DEMO_PRODUCTS;

/// What [`load()`] found or made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loaded {
    /// Products in the catalog afterwards.
    pub products: usize,
    /// Categories in the catalog afterwards.
    pub categories: usize,
    /// Whether this call put them there.
    pub fresh: bool,
}

/// How much of a variant the demo shop has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stock {
    /// The variant.
    pub variant_id: i64,
    /// Its product.
    pub product_id: i64,
    /// Pieces on hand: none, at most five where the catalog says that few are left, hundreds elsewhere.
    pub on_hand: i32,
}

/// What the demo shop has on hand, by ascending variant: quantities that agree with the bands that the catalog
/// shows. `database_url` is the service's own login.
///
/// # Errors
/// When the database cannot be read.
pub async fn stock(database_url: &str) -> anyhow::Result<Vec<Stock>> {
    let mut config = DatabaseConfig::new(database_url);
    config.acquire_timeout = ACQUIRE_WITHIN;
    let database = Database::connect(&config).await.context("connecting to read the demo shop's stock")?;
    let stocked = database
        .run(&Caller::Service, Class::Worker, LOAD_DEADLINE, |tx| {
            Box::pin(async move { Ok::<_, Error>(load::stocked(tx).await?) })
        })
        .await
        .context("reading the demo shop's stock")?;
    Ok(stocked.value.into_iter().map(on_hand).collect())
}

fn on_hand(of: Stocked) -> Stock {
    let draw = i32::try_from(of.variant_id % 10).expect("a digit");
    let on_hand = match of.stock_band {
        StockBand::Out => 0,
        StockBand::Low => 1 + draw / 2,
        StockBand::In => 400 + 50 * draw,
    };
    Stock { variant_id: of.variant_id, product_id: of.product_id, on_hand }
}

/// Fills an empty catalog with `products` coffees and their categories; leaves any other as it is.
///
/// All of it is one transaction, so that an interrupted load leaves nothing behind. `database_url` is
/// the service's own login. `progress` hears how many products stand so far.
pub async fn load(
    database_url: &str,
    products: usize,
    mut progress: impl FnMut(usize) + Send + 'static,
) -> anyhow::Result<Loaded> {
    let mut config = DatabaseConfig::new(database_url);
    // Nobody is waiting for an answer; on a busy machine a first connection takes its time.
    config.acquire_timeout = ACQUIRE_WITHIN;
    let database = Database::connect(&config).await.context("connecting to load the demo shop")?;
    let loaded = database
        .run(&Caller::Service, Class::Worker, LOAD_DEADLINE, move |tx| {
            Box::pin(async move {
                let stored = load::counts(tx).await?;
                if stored.products > 0 {
                    return Ok(Loaded {
                        products: stored.products,
                        categories: stored.categories,
                        fresh: false,
                    });
                }
                let categories = categories::all();
                let category_count = categories.len();
                load::load(tx, &SeedBatch { categories, ..SeedBatch::default() }).await?;
                let today = OffsetDateTime::now_utc().replace_time(Time::MIDNIGHT);
                let mut drawn = HashSet::new();
                for start in (0..products).step_by(BATCH) {
                    let end = products.min(start + BATCH);
                    let mut batch = SeedBatch::default();
                    for (product, file) in (start..end).map(|index| coffees::coffee(index, today)) {
                        if drawn.insert(file.sha256_hex.clone()) {
                            batch.files.push(file);
                        }
                        batch.products.push(product);
                    }
                    load::load(tx, &batch).await?;
                    progress(end);
                }
                Ok::<_, Error>(Loaded { products, categories: category_count, fresh: true })
            })
        })
        .await
        .context("loading the demo shop")?;
    Ok(loaded.value)
}
