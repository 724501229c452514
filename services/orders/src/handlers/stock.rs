//! Stock, for staff: one use case per file.

pub(crate) mod adjust_stock;
pub(crate) mod list_stock;
