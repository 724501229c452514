//! The demo shop's stock and coupons, the same at every load.

use std::time::Duration;

use anyhow::Context;
use rls::{Caller, Class, Database, DatabaseConfig};

use crate::domain::coupon::{Activity, Code, CouponFields, Kind, Offer, Rules};
use crate::error::Error;
use crate::store::{coupons, seed as store};

/// Levels per statement.
const BATCH: usize = 1_000;
/// For a connection, of which there is only this one user.
const ACQUIRE_WITHIN: Duration = Duration::from_secs(10);
/// Of one batch.
const BATCH_DEADLINE: Duration = Duration::from_secs(30);

/// What there is of a variant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stock {
    /// The variant, as the catalog knows it.
    pub variant_id: i64,
    /// The product it is one of.
    pub product_id: i64,
    /// How many there are; not negative.
    pub on_hand: i32,
}

/// What [`load()`] found or made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loaded {
    /// Levels that this call made.
    pub levels: usize,
    /// Coupons that this call made.
    pub coupons: usize,
}

/// Gives the demo shop stock and coupons.
///
/// The coupons are 10 % off for newcomers (`BEMVINDO10`, at most 50 reais) and free shipping from 150 reais
/// (`FRETEGRATIS`). What is there already stays as it is, so that an interrupted load goes on.
///
/// `database_url` is the service's own login. No event tells of it: nobody has seen the shop yet. `progress` hears
/// how many levels were looked at so far.
///
/// # Errors
/// When the database cannot be reached or refuses.
pub async fn load(
    database_url: &str,
    stock: &[Stock],
    mut progress: impl FnMut(usize) + Send,
) -> anyhow::Result<Loaded> {
    let mut config = DatabaseConfig::new(database_url);
    // Nobody is waiting for an answer; on a busy machine a first connection takes its time.
    config.acquire_timeout = ACQUIRE_WITHIN;
    let database = Database::connect(&config).await.context("connecting to load the demo stock")?;
    let mut loaded = Loaded { levels: 0, coupons: 0 };
    let mut looked_at = 0;
    for batch in stock.chunks(BATCH) {
        let rows = batch.to_vec();
        let made = database
            .run(&Caller::Service, Class::Worker, BATCH_DEADLINE, move |tx| {
                Box::pin(async move { Ok::<_, Error>(store::stock(tx, &rows).await?) })
            })
            .await
            .context("loading the demo stock")?;
        loaded.levels += usize::try_from(made.value)?;
        looked_at += batch.len();
        progress(looked_at);
    }
    for fields in demo_coupons()? {
        let made = database
            .run(&Caller::Service, Class::Worker, BATCH_DEADLINE, move |tx| {
                Box::pin(async move {
                    if coupons::coupon(tx, &fields.code).await?.is_some() {
                        return Ok(0);
                    }
                    coupons::insert(tx, &fields).await?;
                    Ok::<_, Error>(1)
                })
            })
            .await
            .context("loading the demo coupons")?;
        loaded.coupons += made.value;
    }
    Ok(loaded)
}

fn demo_coupons() -> anyhow::Result<[CouponFields; 2]> {
    let coupon = |code, kind, value, rules| {
        anyhow::Ok(CouponFields {
            code: Code::parse("code", code)?,
            offer: Offer::parse(kind, value, rules)?,
            usage_limit: None,
            per_customer_limit: 1,
            starts_at: None,
            ends_at: None,
            activity: Activity::Active,
        })
    };
    let newcomer = Rules { max_discount_amount: Some(5_000), ..Rules::default() };
    let large = Rules { min_items_amount: Some(15_000), ..Rules::default() };
    let mut shipping = coupon("FRETEGRATIS", Kind::FreeShipping, 0, large)?;
    // Whoever orders a lot may come again.
    shipping.per_customer_limit = 1_000;
    Ok([coupon("BEMVINDO10", Kind::Percent, 1_000, newcomer)?, shipping])
}
