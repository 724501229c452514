//! The bodies that change things, read field by field: products here, people in `account`.

mod account;

use proto::catalog::v1::{NewVariant, PatchProductRequest, ProductFields, VariantPrice};
use utoipa::ToSchema;

pub(crate) use self::account::ROLES;
pub use self::account::{
    AddressBody, AddressPatchBody, LockBody, ProfilePatchBody, UserPatchBody, address, address_patch, lock,
    profile_patch, user_patch,
};
use crate::error::{Error, Text};
use crate::fields::{Fields, Member, Mistakes};
use crate::json::Json;
use crate::listing::is_slug;

/// The highest price, in centavos: ten million reais.
const PRICE_MAX: i64 = 1_000_000_000;
const VARIANTS_MAX: usize = 50;

/// All fields of a product.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "describes the body; bodies are read by the functions below")]
pub struct ProductBody {
    /// Lower-case letters, digits and hyphens, up to 120.
    slug: String,
    /// Up to 200 characters.
    name: String,
    /// Up to 10,000 characters.
    description: Option<String>,
    category_id: Option<i64>,
    origin: Option<String>,
    /// `clara`, `media` or `escura`.
    roast: Option<String>,
    process: Option<String>,
    /// SCA points times ten: 865 is 86.5.
    sca_score_tenths: Option<i32>,
    #[schema(value_type = Option<Object>)]
    attributes: Option<String>,
    /// By default true.
    is_active: Option<bool>,
    /// By default false.
    is_featured: Option<bool>,
}

/// A product that does not exist yet.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "describes the body; bodies are read by the functions below")]
pub struct NewProductBody {
    #[schema(inline)]
    #[serde(flatten)]
    product: ProductBody,
    /// 1 to 50.
    variants: Vec<NewVariantBody>,
}

/// A variant that does not exist yet.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "describes the body; bodies are read by the functions below")]
pub struct NewVariantBody {
    /// Up to 64 characters, unique in the shop.
    sku: String,
    /// Up to 200 characters.
    name: String,
    #[schema(value_type = Option<Object>)]
    options: Option<String>,
    weight_g: i32,
    /// Centavos.
    price_amount: i64,
    /// Centavos; more than the price.
    compare_at_amount: Option<i64>,
}

/// The fields to change; null empties an optional one.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "describes the body; bodies are read by the functions below")]
pub struct ProductPatchBody {
    slug: Option<String>,
    name: Option<String>,
    description: Option<String>,
    category_id: Option<i64>,
    origin: Option<String>,
    roast: Option<String>,
    process: Option<String>,
    sca_score_tenths: Option<i32>,
    #[schema(value_type = Option<Object>)]
    attributes: Option<String>,
    is_active: Option<bool>,
    is_featured: Option<bool>,
}

/// Base prices to set.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "describes the body; bodies are read by the functions below")]
pub struct PricesBody {
    /// 1 to 50, each variant once.
    prices: Vec<VariantPriceBody>,
}

/// The base price of one variant.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "describes the body; bodies are read by the functions below")]
pub struct VariantPriceBody {
    variant_id: i64,
    /// Centavos.
    amount: i64,
    /// Centavos; more than the price.
    compare_at_amount: Option<i64>,
}

/// Reads a [`ProductBody`].
pub fn product(body: Json) -> Result<ProductFields, Error> {
    let mut mistakes = Mistakes::default();
    let mut fields = Fields::of(body, "", &mut mistakes);
    let product = product_fields(&mut fields);
    fields.finish();
    mistakes.finish(product)
}

/// Reads a [`NewProductBody`].
pub fn new_product(body: Json) -> Result<(ProductFields, Vec<NewVariant>), Error> {
    let mut mistakes = Mistakes::default();
    let mut fields = Fields::of(body, "", &mut mistakes);
    let product = product_fields(&mut fields);
    let variants = fields.list("variants", 1..=VARIANTS_MAX, new_variant);
    let variants = fields.required("variants", variants);
    fields.finish();
    mistakes.finish((product, variants))
}

/// Reads a [`ProductPatchBody`]; id and version are the caller's to fill in.
pub fn product_patch(body: Json) -> Result<PatchProductRequest, Error> {
    let mut mistakes = Mistakes::default();
    let mut fields = Fields::of(body, "", &mut mistakes);
    let mut clear = Vec::new();
    let slug = slug(&mut fields);
    let slug = never_null(&mut fields, "slug", slug);
    let name = fields.string("name", 1..=200);
    let name = never_null(&mut fields, "name", name);
    let description = fields.string("description", 0..=10_000);
    let description = never_null(&mut fields, "description", description);
    let attributes = fields.object("attributes");
    let attributes_json = never_null(&mut fields, "attributes", attributes);
    let is_active = fields.boolean("is_active");
    let is_active = never_null(&mut fields, "is_active", is_active);
    let is_featured = fields.boolean("is_featured");
    let is_featured = never_null(&mut fields, "is_featured", is_featured);
    let patch = PatchProductRequest {
        slug,
        name,
        description,
        category_id: or_clear(&mut clear, "category_id", fields.integer("category_id", 1..=i64::MAX)),
        origin: or_clear(&mut clear, "origin", fields.string("origin", 1..=120)),
        roast: or_clear(&mut clear, "roast", roast(&mut fields)),
        process: or_clear(&mut clear, "process", fields.string("process", 1..=120)),
        sca_score_tenths: or_clear(&mut clear, "sca_score_tenths", sca_score(&mut fields)),
        attributes_json,
        is_active,
        is_featured,
        clear,
        ..PatchProductRequest::default()
    };
    fields.finish();
    mistakes.finish(patch)
}

/// Reads a [`PricesBody`].
pub fn prices(body: Json) -> Result<Vec<VariantPrice>, Error> {
    let mut mistakes = Mistakes::default();
    let mut fields = Fields::of(body, "", &mut mistakes);
    let prices = fields.list("prices", 1..=VARIANTS_MAX, |fields| {
        let variant_id = fields.integer("variant_id", 1..=i64::MAX);
        let amount = fields.integer("amount", 0..=PRICE_MAX);
        VariantPrice {
            variant_id: fields.required("variant_id", variant_id),
            amount: fields.required("amount", amount),
            compare_at_amount: fields.integer("compare_at_amount", 0..=PRICE_MAX).present(),
        }
    });
    let prices = fields.required("prices", prices);
    fields.finish();
    for (position, price) in prices.iter().enumerate() {
        if prices[..position].iter().any(|earlier| earlier.variant_id == price.variant_id) {
            mistakes.add(
                format!("/prices/{position}/variant_id"),
                "duplicate",
                Text::fixed("cada variante uma vez", "each variant once"),
            );
        }
    }
    mistakes.finish(prices)
}

fn product_fields(fields: &mut Fields<'_>) -> ProductFields {
    let slug = slug(fields);
    let name = fields.string("name", 1..=200);
    ProductFields {
        slug: fields.required("slug", slug),
        name: fields.required("name", name),
        description: fields.string("description", 0..=10_000).present().unwrap_or_default(),
        category_id: fields.integer("category_id", 1..=i64::MAX).present(),
        origin: fields.string("origin", 1..=120).present(),
        roast: roast(fields).present(),
        process: fields.string("process", 1..=120).present(),
        sca_score_tenths: sca_score(fields).present(),
        attributes_json: fields.object("attributes").present().unwrap_or_else(|| "{}".to_owned()),
        is_active: fields.boolean("is_active").present().unwrap_or(true),
        is_featured: fields.boolean("is_featured").present().unwrap_or(false),
    }
}

fn new_variant(fields: &mut Fields<'_>) -> NewVariant {
    let sku = fields.string("sku", 1..=64);
    let name = fields.string("name", 1..=200);
    let weight_g = fields.integer("weight_g", 1..=1_000_000);
    let price_amount = fields.integer("price_amount", 0..=PRICE_MAX);
    NewVariant {
        sku: fields.required("sku", sku),
        name: fields.required("name", name),
        options_json: fields.object("options").present().unwrap_or_else(|| "{}".to_owned()),
        weight_g: i32::try_from(fields.required("weight_g", weight_g)).unwrap_or_default(),
        price_amount: fields.required("price_amount", price_amount),
        compare_at_amount: fields.integer("compare_at_amount", 0..=PRICE_MAX).present(),
    }
}

fn slug(fields: &mut Fields<'_>) -> Member<String> {
    let slug = fields.string("slug", 1..=120);
    if let Member::Present(text) = &slug {
        // A length out of range was noted already.
        if (1..=120).contains(&text.len()) && !is_slug(text) {
            fields.mistake(
                "slug",
                "format",
                Text::fixed(
                    "só letras minúsculas, dígitos e hífens",
                    "only lower-case letters, digits and hyphens",
                ),
            );
        }
    }
    slug
}

fn roast(fields: &mut Fields<'_>) -> Member<String> {
    let roast = fields.string("roast", 1..=32);
    if let Member::Present(text) = &roast
        && !["clara", "media", "escura"].contains(&text.as_str())
    {
        fields.mistake("roast", "invalid", Text::fixed("clara, media ou escura", "clara, media or escura"));
    }
    roast
}

fn sca_score(fields: &mut Fields<'_>) -> Member<i32> {
    match fields.integer("sca_score_tenths", 0..=1000) {
        Member::Absent => Member::Absent,
        Member::Null => Member::Null,
        Member::Present(tenths) => Member::Present(i32::try_from(tenths).unwrap_or_default()),
    }
}

fn never_null<T>(fields: &mut Fields<'_>, name: &str, member: Member<T>) -> Option<T> {
    if matches!(member, Member::Null) {
        fields.mistake(name, "required", Text::fixed("não pode ser nulo", "may not be null"));
    }
    member.present()
}

fn or_clear<T>(clear: &mut Vec<String>, name: &str, member: Member<T>) -> Option<T> {
    if matches!(member, Member::Null) {
        clear.push(name.to_owned());
    }
    member.present()
}
