//! How much there is, as far as buyers are told: in, low or out.
//!
//! Counts stay with orders; a sale inside a band is not heard of here. When a band changes, the product's page
//! shows something else, and with it the product's own band, the best of its active variants, may change, by which
//! lists are filtered. The event that says so is recorded with the change: pages and lists are purged when this
//! catalog can answer the new state, not before.

use events::{ConsumerConfig, Delivery, Event, Fact, Failure};
use proto::events::v1::{ProductUpdated, StockBandChanged};
use rls::{Caller, Database, Tx};

use crate::domain::{Invalid, ProductId, StockBand, VariantId};
use crate::error::Error;
use crate::handlers::{now, record};
use crate::store::{products, stock};
use crate::wire;

const DURABLE: &str = "catalog-stock";
/// Variants at the same time; what is said of one variant stays in order.
const CONCURRENCY: usize = 4;

/// Reads `orders.stock.band_changed`.
pub(crate) fn config() -> ConsumerConfig {
    ConsumerConfig {
        filter_subject: "mc.orders.stock.band_changed.>".to_owned(),
        concurrency: CONCURRENCY,
        ..ConsumerConfig::new(DURABLE)
    }
}

/// One fact.
pub(crate) async fn handle(db: Database, delivery: Delivery) -> Result<(), Failure> {
    let event = delivery.event().map_err(|unreadable| Failure::Never(unreadable.into()))?;
    let Fact::StockBandChanged(fact) = event.fact() else { return Ok(()) };
    let change = Change::parse(fact, event.aggregate().version)
        .map_err(|refused| Failure::Never(anyhow::Error::new(refused)))?;
    super::once(&db, DURABLE, &delivery, move |tx| Box::pin(async move { apply(tx, change).await })).await
}

/// A variant's new band.
#[derive(Clone, Copy, Debug)]
struct Change {
    product: ProductId,
    variant: VariantId,
    band: StockBand,
    /// Counts the changes of this variant's band.
    version: i64,
}

impl Change {
    fn parse(fact: &StockBandChanged, version: i64) -> Result<Self, Invalid> {
        Ok(Self {
            product: ProductId::parse("product_id", fact.product_id)?,
            variant: VariantId::parse("variant_id", fact.variant_id)?,
            band: StockBand::parse("band", &fact.band)?,
            version,
        })
    }
}

async fn apply(tx: &mut Tx, change: Change) -> Result<(), Error> {
    // Variants of one product take turns, or neither would see the other's band.
    let Some(current) = products::lock(tx, change.product).await? else {
        tracing::debug!(product.id = change.product.get(), "stock of a product that there is not");
        return Ok(());
    };
    if !stock::set_band(tx, change.product, change.variant, change.band, change.version).await? {
        return Ok(());
    }
    let now = now();
    let shown = stock::refresh_product(tx, change.product, now).await?;
    // "variants" is on the page alone; by "stock_band" lists are filtered too.
    let changed = if shown.band_changed { "stock_band" } else { "variants" };
    let fields = current.fields;
    let updated = ProductUpdated {
        product_id: change.product.get(),
        old_slug: fields.slug.clone(),
        slug: fields.slug,
        old_category: wire::category_path(&current.category_path),
        category: wire::category_path(&current.category_path),
        was_active: fields.is_active,
        is_active: fields.is_active,
        was_featured: fields.is_featured,
        is_featured: fields.is_featured,
        changed: vec![changed.to_owned()],
    };
    record(tx, &Event::new(&Caller::Service, now, shown.version, Fact::ProductUpdated(updated))).await
}
