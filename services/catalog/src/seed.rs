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
    error::Error,
    store::load::{self, SeedBatch},
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
