//! Changes of stock, and the events that tell of them. Every change is told in one way, whoever makes it.

use events::{Event, Fact};
use proto::events::v1::{StockBandChanged, StockChanged};
use rls::Caller;
use time::OffsetDateTime;

/// What happened to one variant's stock: a row of `orders.stock_change`.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub(crate) struct StockChange {
    pub(crate) variant_id: i64,
    pub(crate) product_id: i64,
    pub(crate) on_hand: i32,
    pub(crate) reserved: i32,
    pub(crate) version: i64,
    pub(crate) old_band: String,
    pub(crate) band: String,
    pub(crate) band_version: i64,
}

/// The events of the changes: new counts of each, and a new band where it is another one.
pub(crate) fn events(actor: &Caller, now: OffsetDateTime, changes: &[StockChange]) -> Vec<Event> {
    let mut events = Vec::with_capacity(changes.len());
    for change in changes {
        let counts = StockChanged {
            variant_id: change.variant_id,
            product_id: change.product_id,
            on_hand: change.on_hand,
            reserved: change.reserved,
        };
        events.push(Event::new(actor, now, change.version, Fact::StockChanged(counts)));
        if change.old_band != change.band {
            let band = StockBandChanged {
                variant_id: change.variant_id,
                product_id: change.product_id,
                old_band: change.old_band.clone(),
                band: change.band.clone(),
            };
            events.push(Event::new(actor, now, change.band_version, Fact::StockBandChanged(band)));
        }
    }
    events
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_band_is_told_only_when_it_is_another() {
        let change = |old_band: &str, band: &str| StockChange {
            variant_id: 7,
            product_id: 1,
            on_hand: 10,
            reserved: 2,
            version: 5,
            old_band: old_band.to_owned(),
            band: band.to_owned(),
            band_version: 3,
        };
        let told = |changes: &[StockChange]| -> Vec<(String, i64)> {
            let events = events(&Caller::Service, OffsetDateTime::UNIX_EPOCH, changes);
            events.iter().map(Event::aggregate).map(|of| (of.kind.to_owned(), of.version)).collect()
        };
        assert_eq!(told(&[change("in", "in")]), [("stock".to_owned(), 5)]);
        assert_eq!(told(&[change("in", "low")]), [("stock".to_owned(), 5), ("stock_band".to_owned(), 3)]);
        assert!(told(&[]).is_empty());
    }
}
