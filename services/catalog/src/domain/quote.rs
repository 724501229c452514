//! Quotes: what variants are and cost at one moment.

use std::collections::BTreeSet;

use super::{Invalid, VariantId};

/// Four carts full: enough for every line of a cart, too few to read the catalog through.
const VARIANTS_MAX: usize = 200;

/// The variants that are asked about, each once, ascending.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Quoted(Vec<i64>);

impl Quoted {
    /// Accepts 1 to 200 ids as they were sent, repeats included.
    pub(crate) fn parse(field: &str, ids: &[i64]) -> Result<Self, Invalid> {
        if !(1..=VARIANTS_MAX).contains(&ids.len()) {
            return Err(Invalid::value(field, format!("must be 1 to {VARIANTS_MAX} variants")));
        }
        let once = ids
            .iter()
            .enumerate()
            .map(|(index, &id)| VariantId::parse(&format!("{field}[{index}]"), id).map(VariantId::get))
            .collect::<Result<BTreeSet<_>, _>>()?;
        Ok(Self(once.into_iter().collect()))
    }

    pub(crate) fn ids(&self) -> &[i64] {
        &self.0
    }
}

/// What a variant is and costs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Quote {
    pub(crate) variant_id: i64,
    pub(crate) product_id: i64,
    pub(crate) product_slug: String,
    pub(crate) product_name: String,
    pub(crate) variant_name: String,
    pub(crate) sku: String,
    pub(crate) unit_amount: i64,
    pub(crate) currency: String,
    pub(crate) weight_g: i32,
    /// The variant's own picture, else the product's first.
    pub(crate) image_url: Option<String>,
    /// Whether both product and variant can be bought.
    pub(crate) is_active: bool,
    pub(crate) product_version: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variants_are_asked_about_once_and_not_without_end() {
        assert_eq!(Quoted::parse("v", &[3, 1, 3]).unwrap().ids(), [1, 3]);
        assert!(Quoted::parse("v", &[7; 200]).is_ok());
        assert_eq!(Quoted::parse("v", &[7; 201]).unwrap_err().field, "v");
        assert_eq!(Quoted::parse("v", &[]).unwrap_err().field, "v");
        assert_eq!(Quoted::parse("v", &[1, 0]).unwrap_err().field, "v[1]");
    }
}
