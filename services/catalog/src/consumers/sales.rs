//! What was ordered makes products popular.
//!
//! Quantities are only put down here, a row for each product of an order; [`crate::popularity`] counts them together
//! every now and then. An order that is cancelled later was wanted all the same.

use std::collections::BTreeMap;

use events::{ConsumerConfig, Delivery, Fact, Failure};
use rls::Database;

use crate::store::popularity;

const DURABLE: &str = "catalog-sales";
/// Orders at the same time: they do not touch each other's rows.
const CONCURRENCY: usize = 4;

/// Reads `orders.order.placed`.
pub(crate) fn config() -> ConsumerConfig {
    ConsumerConfig {
        filter_subject: "mc.orders.order.placed.>".to_owned(),
        concurrency: CONCURRENCY,
        ..ConsumerConfig::new(DURABLE)
    }
}

/// One fact.
pub(crate) async fn handle(db: Database, delivery: Delivery) -> Result<(), Failure> {
    let event = delivery.event().map_err(|unreadable| Failure::Never(unreadable.into()))?;
    let Fact::OrderPlaced(order) = event.fact() else { return Ok(()) };
    let mut sold = BTreeMap::<i64, i64>::new();
    for line in order.lines.iter().filter(|line| line.quantity > 0) {
        *sold.entry(line.product_id).or_default() += i64::from(line.quantity);
    }
    if sold.is_empty() {
        return Ok(());
    }
    let (products, quantities): (Vec<_>, Vec<_>) = sold.into_iter().unzip();
    super::once(&db, DURABLE, &delivery, move |tx| {
        Box::pin(async move { Ok(popularity::put_down(tx, &products, &quantities).await?) })
    })
    .await
}
