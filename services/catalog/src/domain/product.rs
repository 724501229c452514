//! Products: what editors write, what readers see, and what a change of one is.

use std::collections::HashSet;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;

use super::price::Price;
use super::{CategoryId, Invalid, Roast};

const VARIANTS_MAX: usize = 50;
const WEIGHT_G_MAX: i32 = 100_000;
const SCA_TENTHS_MAX: i32 = 1_000;
/// Longer texts are told by their hash.
const TOLD_BYTES_MAX: usize = 1_000;
/// What editors write.
const COLUMNS: [&str; 11] = [
    "slug",
    "name",
    "description",
    "category_id",
    "origin",
    "roast",
    "process",
    "sca_score",
    "attributes",
    "is_active",
    "is_featured",
];

/// The fields of a product that its editors write, all of them valid.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ProductFields {
    pub(crate) slug: String,
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) category: Option<CategoryId>,
    pub(crate) origin: Option<String>,
    pub(crate) roast: Option<Roast>,
    pub(crate) process: Option<String>,
    pub(crate) sca_score: Option<ScaScore>,
    /// A JSON object.
    pub(crate) attributes: Value,
    pub(crate) is_active: bool,
    pub(crate) is_featured: bool,
}

impl ProductFields {
    /// Names the columns in which the two differ; none when nothing would change.
    pub(crate) fn changed(&self, new: &Self) -> Vec<&'static str> {
        [
            ("slug", self.slug != new.slug),
            ("name", self.name != new.name),
            ("description", self.description != new.description),
            ("category_id", self.category != new.category),
            ("origin", self.origin != new.origin),
            ("roast", self.roast != new.roast),
            ("process", self.process != new.process),
            ("sca_score", self.sca_score != new.sca_score),
            ("attributes", self.attributes != new.attributes),
            ("is_active", self.is_active != new.is_active),
            ("is_featured", self.is_featured != new.is_featured),
        ]
        .into_iter()
        .filter_map(|(column, differs)| differs.then_some(column))
        .collect()
    }

    /// What these columns hold, for people who ask later who changed what. A long text is known by its hash.
    pub(crate) fn told(&self, columns: &[&str]) -> Value {
        let told = columns.iter().map(|column| ((*column).to_owned(), self.column(column)));
        Value::Object(told.collect())
    }

    /// What every column holds.
    pub(crate) fn told_whole(&self) -> Value {
        self.told(&COLUMNS)
    }

    fn column(&self, column: &str) -> Value {
        match column {
            "slug" => self.slug.as_str().into(),
            "name" => self.name.as_str().into(),
            "description" => text_or_hash(&self.description),
            "category_id" => self.category.map(CategoryId::get).into(),
            "origin" => self.origin.as_deref().into(),
            "roast" => self.roast.map(Roast::as_str).into(),
            "process" => self.process.as_deref().into(),
            "sca_score" => self.sca_score.map(ScaScore::tenths).into(),
            "attributes" => text_or_hash(&self.attributes.to_string()),
            "is_active" => self.is_active.into(),
            "is_featured" => self.is_featured.into(),
            _ => Value::Null,
        }
    }
}

fn text_or_hash(text: &str) -> Value {
    if text.len() <= TOLD_BYTES_MAX {
        return text.into();
    }
    let hash = Sha256::digest(text).iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
    format!("sha256:{hash}").into()
}

/// A score of the Specialty Coffee Association: 0 to 100 points in tenths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ScaScore(i32);

impl ScaScore {
    /// Accepts 0 to 1,000 tenths.
    pub(crate) fn parse(field: &str, tenths: i32) -> Result<Self, Invalid> {
        if (0..=SCA_TENTHS_MAX).contains(&tenths) {
            Ok(Self(tenths))
        } else {
            Err(Invalid::value(field, format!("must be 0 to {SCA_TENTHS_MAX} tenths of a point")))
        }
    }

    pub(crate) fn tenths(self) -> i32 {
        self.0
    }
}

/// A product as it stands before a change, locked.
#[derive(Clone, Debug)]
pub(crate) struct Current {
    pub(crate) fields: ProductFields,
    /// The category with its ancestors, root first; empty without one.
    pub(crate) category_path: Vec<i64>,
    pub(crate) version: i64,
}

/// A variant to be made.
#[derive(Clone, Debug)]
pub(crate) struct NewVariant {
    pub(crate) sku: String,
    pub(crate) name: String,
    /// A JSON object of strings.
    pub(crate) options: Value,
    pub(crate) weight_g: i32,
    pub(crate) price: Price,
}

/// The variants that a product is made with: 1 to 50, no two alike.
#[derive(Clone, Debug)]
pub(crate) struct NewVariants(Vec<NewVariant>);

impl NewVariants {
    /// For people who ask later who made what.
    pub(crate) fn told(&self) -> Value {
        let variant = |variant: &NewVariant| json!({ "sku": variant.sku, "amount": variant.price.amount });
        self.0.iter().map(variant).collect()
    }

    /// Accepts variants whose SKUs and options all differ.
    pub(crate) fn parse(field: &str, variants: Vec<NewVariant>) -> Result<Self, Invalid> {
        if !(1..=VARIANTS_MAX).contains(&variants.len()) {
            return Err(Invalid::value(field, format!("must be 1 to {VARIANTS_MAX} variants")));
        }
        let (mut skus, mut options) = (HashSet::new(), HashSet::new());
        for (index, variant) in variants.iter().enumerate() {
            if !skus.insert(variant.sku.as_str()) {
                return Err(Invalid::value(
                    format!("{field}[{index}].sku"),
                    "must differ from the other variants",
                ));
            }
            // serde_json keeps members sorted: equal objects are equal texts.
            if !options.insert(variant.options.to_string()) {
                let field = format!("{field}[{index}].options_json");
                return Err(Invalid::value(field, "must differ from the other variants"));
            }
        }
        Ok(Self(variants))
    }

    pub(crate) fn as_slice(&self) -> &[NewVariant] {
        &self.0
    }

    /// The lowest and the highest price, and what the cheapest variant cost before.
    pub(crate) fn price_span(&self) -> PriceSpan {
        let prices = || self.0.iter().map(|variant| variant.price);
        let lowest = prices().min_by_key(|price| price.amount).expect("there is at least one variant");
        let highest = prices().map(|price| price.amount).max().expect("there is at least one variant");
        PriceSpan { min: lowest.amount, max: highest, compare_at: lowest.compare_at }
    }
}

/// From what to what a product costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PriceSpan {
    pub(crate) min: i64,
    pub(crate) max: i64,
    /// Of the cheapest variant.
    pub(crate) compare_at: Option<i64>,
}

/// The weight of a packed variant: 1 g to 100 kg.
pub(crate) fn weight_g(field: &str, weight_g: i32) -> Result<i32, Invalid> {
    if (1..=WEIGHT_G_MAX).contains(&weight_g) {
        Ok(weight_g)
    } else {
        Err(Invalid::value(field, format!("must be 1 to {WEIGHT_G_MAX} grams")))
    }
}

/// A product as lists show it.
#[derive(Clone, Debug)]
pub(crate) struct Summary {
    pub(crate) id: i64,
    pub(crate) slug: String,
    pub(crate) name: String,
    pub(crate) category: Option<CategoryRef>,
    pub(crate) price: Price,
    pub(crate) currency: String,
    pub(crate) stock_band: String,
    pub(crate) rating_sum: i64,
    pub(crate) rating_count: i64,
    pub(crate) image: Option<Image>,
    pub(crate) is_featured: bool,
    pub(crate) is_active: bool,
    pub(crate) version: i64,
    pub(crate) created_at: OffsetDateTime,
    pub(crate) origin: Option<String>,
    pub(crate) roast: Option<String>,
    pub(crate) process: Option<String>,
    pub(crate) sca_score_tenths: Option<i32>,
}

/// A product as its own page shows it.
#[derive(Clone, Debug)]
pub(crate) struct Detail {
    pub(crate) summary: Summary,
    pub(crate) description: String,
    pub(crate) attributes_json: String,
    pub(crate) variants: Vec<Variant>,
    pub(crate) images: Vec<Image>,
    /// Root first, the product's own category last.
    pub(crate) breadcrumbs: Vec<CategoryRef>,
    pub(crate) updated_at: OffsetDateTime,
}

/// A category by what a reader calls it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CategoryRef {
    pub(crate) id: i64,
    pub(crate) name: String,
    pub(crate) slug: String,
}

/// Where a picture is and how large.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Image {
    pub(crate) id: i64,
    pub(crate) url: String,
    pub(crate) width: i32,
    pub(crate) height: i32,
    pub(crate) alt: String,
}

/// A variant with its base price.
#[derive(Clone, Debug)]
pub(crate) struct Variant {
    pub(crate) id: i64,
    pub(crate) sku: String,
    pub(crate) name: String,
    pub(crate) options_json: String,
    pub(crate) price: Price,
    pub(crate) currency: String,
    pub(crate) weight_g: i32,
    pub(crate) stock_band: String,
    pub(crate) version: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variant(sku: &str, options: Value, amount: i64, compare_at: Option<i64>) -> NewVariant {
        let price = Price { amount, compare_at };
        NewVariant { sku: sku.into(), name: "250 g".into(), options, weight_g: 250, price }
    }

    #[test]
    fn variants_of_one_product_differ() {
        let refused_field = |variants| NewVariants::parse("variants", variants).unwrap_err().field;
        assert_eq!(refused_field(vec![]), "variants");
        let same_sku =
            vec![variant("A", json!({"a": "1"}), 1, None), variant("A", json!({"a": "2"}), 1, None)];
        assert_eq!(refused_field(same_sku), "variants[1].sku");
        let same_options = vec![
            variant("A", json!({"a": "1", "b": "2"}), 1, None),
            variant("B", json!({"b": "2", "a": "1"}), 1, None),
        ];
        assert_eq!(refused_field(same_options), "variants[1].options_json");
        let many = (0..51).map(|i| variant(&format!("S{i}"), json!({"n": i.to_string()}), 1, None)).collect();
        assert_eq!(refused_field(many), "variants");
    }

    #[test]
    fn a_product_costs_what_its_cheapest_variant_costs() {
        let variants = vec![
            variant("A", json!({"a": "1"}), 5_000, Some(6_000)),
            variant("B", json!({"a": "2"}), 3_000, Some(3_500)),
            variant("C", json!({"a": "3"}), 9_000, None),
        ];
        let span = NewVariants::parse("variants", variants).unwrap().price_span();
        assert_eq!(span, PriceSpan { min: 3_000, max: 9_000, compare_at: Some(3_500) });
    }

    #[test]
    fn a_change_names_its_columns() {
        let old = ProductFields {
            slug: "a".into(),
            name: "A".into(),
            description: String::new(),
            category: None,
            origin: None,
            roast: None,
            process: None,
            sca_score: None,
            attributes: json!({}),
            is_active: true,
            is_featured: false,
        };
        assert!(old.changed(&old.clone()).is_empty());
        let new = ProductFields { roast: Some(Roast::Dark), attributes: json!({"a": 1}), ..old.clone() };
        let changed = old.changed(&new);
        assert_eq!(changed, ["roast", "attributes"]);
        assert_eq!(old.told(&changed), json!({"roast": null, "attributes": "{}"}));
        assert_eq!(new.told(&changed), json!({"roast": "escura", "attributes": r#"{"a":1}"#}));
        let long = ProductFields { description: "x".repeat(1_001), ..old.clone() };
        let told = long.told_whole();
        assert_eq!(told["description"].as_str().map(str::len), Some("sha256:".len() + 64));
        assert!(COLUMNS.iter().all(|column| told.get(column).is_some()));
        // Every column that may differ is told.
        let other = ProductFields {
            slug: "b".into(),
            name: "B".into(),
            description: "d".into(),
            category: Some(CategoryId::parse("c", 1).unwrap()),
            origin: Some("o".into()),
            process: Some("p".into()),
            sca_score: Some(ScaScore::parse("s", 1).unwrap()),
            is_active: false,
            is_featured: true,
            ..new
        };
        assert_eq!(old.changed(&other), COLUMNS);
        assert!(COLUMNS.iter().all(|column| other.column(column) != Value::Null));
    }
}
