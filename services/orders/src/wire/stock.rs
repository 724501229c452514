//! Stock as staff see it, and what buyers may know of it.

use proto::orders::v1 as pb;

use crate::domain::stock::Band;
use crate::domain::{Invalid, VariantId};
use crate::store::stock::{AdjustedRow, AvailabilityRow, Filter, LevelRow};

const LIST_VARIANTS_MAX: usize = 1_000;

/// Reads which levels are wanted.
pub(crate) fn filter(request: &pb::ListStockRequest) -> Result<Filter, Invalid> {
    if request.variant_ids.len() > LIST_VARIANTS_MAX {
        return Err(Invalid::value("variant_ids", format!("must be at most {LIST_VARIANTS_MAX}")));
    }
    Ok(Filter {
        product_id: request.product_id,
        variant_ids: request.variant_ids.clone(),
        band: request.band.as_deref().map(|band| Band::parse("band", band)).transpose()?.map(Band::as_str),
    })
}

/// A level.
pub(crate) fn level(row: LevelRow) -> pb::StockLevel {
    pb::StockLevel {
        variant_id: row.variant_id,
        product_id: row.product_id,
        location_id: row.location_id,
        on_hand: row.on_hand,
        reserved: row.reserved,
        low_threshold: row.low_threshold,
        backorder: row.backorder,
        band: row.band,
        version: row.version,
    }
}

/// A level after a change.
pub(crate) fn adjusted(row: &AdjustedRow) -> pb::StockLevel {
    pb::StockLevel {
        variant_id: row.change.variant_id,
        product_id: row.change.product_id,
        location_id: row.location_id,
        on_hand: row.change.on_hand,
        reserved: row.change.reserved,
        low_threshold: row.low_threshold,
        backorder: row.backorder,
        band: row.change.band.clone(),
        version: row.change.version,
    }
}

/// What a buyer may know of a variant; without a level there is none.
pub(crate) fn availability(variant: VariantId, row: Option<&AvailabilityRow>) -> pb::Availability {
    pb::Availability {
        variant_id: variant.get(),
        available: row.is_some_and(|row| row.max_quantity > 0),
        max_quantity: row.map_or(0, |row| row.max_quantity),
        band: row.map_or_else(|| Band::Out.as_str().to_owned(), |row| row.band.clone()),
    }
}
