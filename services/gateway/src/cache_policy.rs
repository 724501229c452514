//! Every cached read: its canonical key, how long it is fresh, how much lateness it bears, and the tags that
//! purge it.
//!
//! Keys are the readable ones of the requirement documents (S164, S263-S266). Two requests share an entry
//! exactly when their keys are equal, so whatever an answer depends on is in its key. Tags are the names in
//! [`events::tags`], which the producers of purges use too. What belongs to one user is in `personal`.

mod personal;
mod shopping;

use std::fmt::Write;
use std::time::Duration;

use events::tags;
use proto::catalog::v1::{CategoryRef, ProductSummary, Sort};
use rls::{Caller, UserId};
use tag_cache::{Class, Lookup, Tag, Token};

pub use self::personal::{Form, Personal, Question, Shown, reported};
pub use self::shopping::{ORDER_PARTS, ORDER_STATUSES, OrderList, ShopQuestion, Shopper, Shopping};
use crate::error::Error;
use crate::handlers::products::{self, PRODUCT_FIELDS};
use crate::listing::{Category, Count, Listing, PER_PAGE_DEFAULT, Page, SUMMARY_FIELDS, is_slug};
use crate::query::{Query, Subset, digits};
use crate::routes::Route;

/// A read that the cache answers, parsed and canonical.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Read {
    /// A page of products, or of a search.
    Products(Listing),
    /// Featured products.
    Featured {
        /// Rows.
        limit: u32,
    },
    /// New products.
    New {
        /// Rows.
        limit: u32,
    },
    /// One product.
    Product {
        /// Which.
        by: ProductKey,
        /// The members to show; `None` is all.
        fields: Option<Subset>,
    },
    /// The category tree.
    Categories,
    /// One category.
    Category {
        /// Which.
        id: i64,
    },
    /// An image, by the hash of its content.
    Image {
        /// SHA-256, lower-case hex.
        sha256: String,
    },
    /// Something of a signed-in user's own.
    Personal(Personal),
    /// What of a product can be bought now.
    Availability {
        /// Which product.
        product: i64,
        /// Only this one of its variants.
        variant: Option<i64>,
        /// Where it would be sent to; needs a variant.
        cep: Option<String>,
    },
    /// Where a postal code is.
    Cep {
        /// Eight digits.
        cep: String,
    },
    /// Something of a user's or guest's own who shops.
    Shopping(Shopping),
}

/// What a product is asked for by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProductKey {
    /// Its id.
    Id(i64),
    /// Its slug.
    Slug(String),
}

/// The owner of entries that everybody gets. No user has this id.
const EVERYBODY: u64 = 0;

/// Rows of the featured and new lists when nothing is said, and at most.
const COLLECTION_LIMIT: (u64, u64) = (20, 50);

/// Searches that shops open with (S265): they stay fresh longer.
const WARM_SEARCHES: [&str; 4] = ["café", "premium", "especial", "arábica"];

const MINUTES_5: Duration = Duration::from_secs(300);
const MINUTES_30: Duration = Duration::from_secs(1800);
const HOURS_2: Duration = Duration::from_secs(7200);
/// Stock is told by tags too; this bounds what is shown when it moves all the time.
const STOCK: Duration = Duration::from_secs(5);
const DAY: Duration = Duration::from_secs(86_400);

impl Read {
    /// Reads path segment and query of a cached route; `None` when the route is not cached for everybody.
    pub fn parse(route: Route, segment: &str, query: &str) -> Result<Option<Self>, Error> {
        let read = match route {
            Route::Products => Self::Products(Listing::parse(query)?),
            Route::FeaturedProducts => Self::Featured { limit: limit(query)? },
            Route::NewProducts => Self::New { limit: limit(query)? },
            Route::Product => {
                Self::Product { by: ProductKey::Id(path_id(segment)?), fields: product_fields(query)? }
            }
            Route::ProductBySlug => {
                if !is_slug(segment) {
                    return Err(Error::NotFound);
                }
                Self::Product { by: ProductKey::Slug(segment.to_owned()), fields: product_fields(query)? }
            }
            Route::Categories => {
                let mut query = Query::parse(query)?;
                // The only form there is; the parameter is accepted for clients that name it.
                query.choice("tree", &[("true", ())])?;
                query.finish()?;
                Self::Categories
            }
            Route::Category => {
                Query::parse(query)?.finish()?;
                Self::Category { id: path_id(segment)? }
            }
            Route::Image => {
                Query::parse(query)?.finish()?;
                Self::Image { sha256: image_hash(segment).ok_or(Error::NotFound)?.to_owned() }
            }
            Route::Availability => availability(path_id(segment)?, query)?,
            Route::Cep => {
                Query::parse(query)?.finish()?;
                Self::Cep { cep: cep(segment)? }
            }
            _ => return Ok(None),
        };
        Ok(Some(read))
    }

    /// The same for a route that is cached for each who shops: `caller` is a user or a guest.
    pub fn parse_shopping(
        route: Route,
        segment: &str,
        query: &str,
        caller: &Caller,
    ) -> Result<Option<Self>, Error> {
        Ok(Shopping::parse(route, segment, query, caller)?.map(Self::Shopping))
    }

    /// The same for a route that is cached for each user: `user` has proved who they are.
    pub fn parse_own(route: Route, segment: &str, query: &str, user: UserId) -> Result<Option<Self>, Error> {
        Ok(Personal::parse(route, segment, query, user)?.map(Self::Personal))
    }

    /// Writes the canonical key.
    pub fn key(&self, key: &mut String) {
        // Writing to a `String` cannot fail.
        let _ = match self {
            Self::Products(listing) => listing_key(listing, key),
            Self::Featured { limit } => collection_key("products:featured", *limit, key),
            Self::New { limit } => collection_key("products:new", *limit, key),
            Self::Product { by: ProductKey::Id(id), fields } => {
                write!(key, "product:{id}").and_then(|()| fields_key(*fields, PRODUCT_FIELDS, key))
            }
            Self::Product { by: ProductKey::Slug(slug), fields } => {
                write!(key, "product:slug:{slug}").and_then(|()| fields_key(*fields, PRODUCT_FIELDS, key))
            }
            Self::Categories => key.write_str("categories:all"),
            Self::Category { id } => write!(key, "category:{id}"),
            Self::Image { sha256 } => write!(key, "image:{sha256}"),
            Self::Personal(personal) => personal.key(key),
            Self::Availability { product, variant, cep } => availability_key(*product, *variant, cep, key),
            Self::Cep { cep } => write!(key, "cep:{cep}"),
            Self::Shopping(shopping) => shopping.key(key),
        };
    }

    /// The question to the cache; `key` is what [`key`](Self::key) wrote.
    pub fn lookup<'a>(&self, key: &'a str, token: Option<&'a Token>) -> Lookup<'a> {
        let (route, class, fresh) = match self {
            Self::Products(Listing { search: Some(term), .. }) => {
                let warm = WARM_SEARCHES.contains(&term.as_str());
                ("search", Class::Bounded, if warm { MINUTES_30 } else { MINUTES_5 })
            }
            Self::Products(_) => ("products", Class::Bounded, MINUTES_5),
            Self::Featured { .. } | Self::New { .. } => ("collections", Class::Bounded, MINUTES_5),
            Self::Product { .. } => ("product", Class::Bounded, MINUTES_5),
            Self::Categories | Self::Category { .. } => ("categories", Class::Relaxed, HOURS_2),
            Self::Image { .. } => ("images", Class::Relaxed, HOURS_2),
            Self::Personal(personal) => personal.rules(),
            Self::Availability { .. } => ("availability", Class::Strict, STOCK),
            Self::Cep { .. } => ("cep", Class::Relaxed, DAY),
            Self::Shopping(shopping) => shopping.rules(),
        };
        Lookup { route, key, owner: self.owner(), class, fresh, token }
    }

    /// Whose entry it is, as the cache keeps it.
    fn owner(&self) -> u64 {
        match self {
            Self::Personal(Personal { user: UserId(user), .. }) => user.cast_unsigned(),
            Self::Shopping(shopping) => shopping.shopper.owner(),
            _ => EVERYBODY,
        }
    }

    /// How the entry becomes an answer.
    pub fn form(&self) -> Form {
        match self {
            Self::Personal(personal) => personal.form,
            _ => Form::Whole,
        }
    }

    /// The tags that follow from the question alone: those of its "not found", and part of those of its
    /// answer.
    pub fn tags(&self) -> Vec<Tag> {
        let names = match self {
            Self::Products(listing) => {
                let mut names = Vec::with_capacity(4);
                names.extend(listing.search.is_some().then(tags::search_all));
                names.extend(listing.by_price().then(tags::products_list_price));
                names.extend(listing.by_other().then(tags::products_list_filtered));
                match &listing.category {
                    Category::Any if listing.search.is_some() => {}
                    Category::Any => names.push(tags::products_list()),
                    // Which one a slug names, the answer says; that it names one depends on the tree.
                    Category::Id(_) | Category::Slug(_) => names.push(tags::categories()),
                }
                if let Category::Id(id) = &listing.category {
                    names.push(tags::products_list_category(id.cast_signed()));
                }
                names
            }
            Self::Featured { .. } => vec![tags::products_featured()],
            Self::New { .. } => vec![tags::products_new()],
            Self::Product { by: ProductKey::Id(id), .. } => vec![tags::product(*id)],
            Self::Product { by: ProductKey::Slug(slug), .. } => vec![tags::product_slug(slug)],
            Self::Categories => vec![tags::categories()],
            Self::Category { id } => vec![tags::categories(), tags::category(*id)],
            // Content addressed: what a hash names never changes.
            Self::Image { sha256 } => vec![format!("image:{sha256}")],
            Self::Personal(personal) => personal.tags(),
            Self::Availability { product, variant, cep } => {
                let mut names = vec![tags::product(*product)];
                names.extend(variant.map(tags::stock_variant));
                names.extend(cep.is_some().then(tags::shipping));
                names
            }
            Self::Cep { .. } => vec![tags::shipping()],
            Self::Shopping(shopping) => shopping.tags(),
        };
        names.iter().map(|name| Tag::of(name)).collect()
    }

    /// What the answer depends on besides the address, for caches between here and the client.
    pub fn vary(&self) -> &'static str {
        match self {
            Self::Personal(_) => "accept-encoding, authorization, cookie",
            Self::Shopping(_) => "accept-encoding, authorization, cookie, x-cart-token, x-order-token",
            _ => "accept-encoding",
        }
    }

    /// How long a shared cache or browser may keep the answer without asking again.
    pub fn cache_control(&self) -> &'static str {
        match self {
            Self::Image { .. } => "public, max-age=31536000, immutable",
            Self::Personal(_) | Self::Shopping(_) => "private, no-store",
            Self::Products(_)
            | Self::Featured { .. }
            | Self::New { .. }
            | Self::Product { .. }
            | Self::Categories
            | Self::Category { .. }
            | Self::Availability { .. }
            | Self::Cep { .. } => "public, max-age=0, must-revalidate",
        }
    }
}

/// The tags of the products that an answer shows, and of the categories it names for them.
pub fn shown<'p>(products: impl IntoIterator<Item = &'p ProductSummary>, found: &mut Vec<Tag>) {
    for product in products {
        found.push(Tag::of(&tags::product(product.id)));
        if let Some(category) = &product.category {
            found.push(Tag::of(&tags::category(category.id)));
        }
    }
}

/// The tags of the categories that lead to what an answer shows.
pub fn breadcrumbs(path: &[CategoryRef], found: &mut Vec<Tag>) {
    found.extend(path.iter().map(|category| Tag::of(&tags::category(category.id))));
}

/// The tags of the category that a list was restricted to, once the answer says which it is.
pub fn listed_category(path: &[i64], found: &mut Vec<Tag>) {
    if let Some(category) = path.last() {
        found.push(Tag::of(&tags::products_list_category(*category)));
    }
}

fn listing_key(listing: &Listing, key: &mut String) -> std::fmt::Result {
    // A list is named by page, size and category (S164), a search by its term (S265): what a name does not
    // say is appended as sorted pairs.
    match &listing.search {
        Some(term) => {
            key.write_str("search:")?;
            // The separator must stay unique, else a term could pass for a filter.
            term.split('%').enumerate().try_for_each(|(n, part)| {
                key.write_str(if n == 0 { "" } else { "%25" })?;
                part.split(':').enumerate().try_for_each(|(n, part)| {
                    key.write_str(if n == 0 { "" } else { "%3A" })?;
                    key.write_str(part)
                })
            })?;
            if listing.category != Category::Any {
                key.write_str(":category:")?;
                category_key(&listing.category, key)?;
            }
        }
        None => {
            match &listing.page {
                Page::Number(page) => write!(key, "products:page:{page}")?,
                Page::Cursor(cursor) => write!(key, "products:cursor:{cursor}")?,
            }
            write!(key, ":per_page:{}:category:", listing.per_page)?;
            category_key(&listing.category, key)?;
        }
    }
    if listing.count == Count::Skip {
        key.write_str(":count:none")?;
    }
    if let (Some(_), Page::Cursor(cursor)) = (&listing.search, &listing.page) {
        write!(key, ":cursor:{cursor}")?;
    }
    fields_key(listing.fields, SUMMARY_FIELDS, key)?;
    if let Some(max) = listing.max_price {
        write!(key, ":max_price:{max}")?;
    }
    if let Some(min) = listing.min_price {
        write!(key, ":min_price:{min}")?;
    }
    if listing.search.is_some() {
        match listing.page {
            Page::Number(1) | Page::Cursor(_) => {}
            Page::Number(page) => write!(key, ":page:{page}")?,
        }
        if listing.per_page != PER_PAGE_DEFAULT {
            write!(key, ":per_page:{}", listing.per_page)?;
        }
    }
    match listing.sort {
        None => Ok(()),
        Some(sort) => write!(key, ":sort:{}", sort_name(sort)),
    }
}

fn category_key(category: &Category, key: &mut String) -> std::fmt::Result {
    match category {
        Category::Any => key.write_str("none"),
        Category::Id(id) => write!(key, "{id}"),
        Category::Slug(slug) => write!(key, "slug={slug}"),
    }
}

fn fields_key(fields: Option<Subset>, names: &[&str], key: &mut String) -> std::fmt::Result {
    let Some(fields) = fields else { return Ok(()) };
    key.write_str(":fields")?;
    let mut separator = ':';
    for (_, name) in names.iter().enumerate().filter(|(position, _)| fields.contains(*position)) {
        write!(key, "{separator}{name}")?;
        separator = ',';
    }
    Ok(())
}

fn collection_key(name: &str, limit: u32, key: &mut String) -> std::fmt::Result {
    key.write_str(name)?;
    if u64::from(limit) == COLLECTION_LIMIT.0 { Ok(()) } else { write!(key, ":limit:{limit}") }
}

fn sort_name(sort: Sort) -> &'static str {
    match sort {
        Sort::Unspecified => "default",
        Sort::CreatedAtDesc => "-created_at",
        Sort::CreatedAtAsc => "created_at",
        Sort::PriceAsc => "price",
        Sort::PriceDesc => "-price",
        Sort::NameAsc => "name",
        Sort::NameDesc => "-name",
        Sort::Relevance => "relevance",
    }
}

fn limit(query: &str) -> Result<u32, Error> {
    let mut query = Query::parse(query)?;
    let limit = query.integer("limit", 1..=COLLECTION_LIMIT.1)?.unwrap_or(COLLECTION_LIMIT.0);
    query.finish()?;
    Ok(u32::try_from(limit).expect("at most 50"))
}

fn product_fields(query: &str) -> Result<Option<Subset>, Error> {
    let mut query = Query::parse(query)?;
    // Both are always part of a product's own page; the parameter is accepted for clients that name them.
    query.subset("include", products::INCLUDES)?;
    let all = |chosen: &Subset| !(0..PRODUCT_FIELDS.len()).all(|field| chosen.contains(field));
    let fields = query.subset("fields", PRODUCT_FIELDS)?.filter(all);
    query.finish()?;
    Ok(fields)
}

fn availability(product: i64, query: &str) -> Result<Read, Error> {
    let mut query = Query::parse(query)?;
    let variant = query.integer("variant_id", 1..=i64::MAX.unsigned_abs())?;
    let cep = query.take("cep").map(|text| cep(&text)).transpose()?;
    query.finish()?;
    if cep.is_some() && variant.is_none() {
        let (pt, en) = ("com cep é preciso dizer a variante", "with cep the variant must be named");
        return Err(Error::parameter("variant_id", pt, en));
    }
    Ok(Read::Availability { product, variant: variant.map(u64::cast_signed), cep })
}

fn availability_key(
    product: i64,
    variant: Option<i64>,
    cep: &Option<String>,
    key: &mut String,
) -> std::fmt::Result {
    match variant {
        Some(variant) => write!(key, "avail:variant:{variant}:product:{product}")?,
        None => write!(key, "avail:product:{product}")?,
    }
    cep.as_ref().map_or(Ok(()), |cep| write!(key, ":cep:{cep}"))
}

/// Eight digits.
fn cep(text: &str) -> Result<String, Error> {
    let valid = text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_digit());
    if valid { Ok(text.to_owned()) } else { Err(Error::parameter("cep", "oito dígitos", "eight digits")) }
}

/// An id in a path. What could never have been meant as one is a path that does not exist.
pub fn path_id(segment: &str) -> Result<i64, Error> {
    let plausible = segment.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_+".contains(&byte));
    if !plausible {
        return Err(Error::NotFound);
    }
    let id = digits(segment).and_then(|id| i64::try_from(id).ok()).filter(|id| *id > 0);
    id.ok_or_else(|| Error::parameter("id", "um inteiro positivo", "a positive integer"))
}

/// The hash in `<sha256>.svg`.
fn image_hash(segment: &str) -> Option<&str> {
    let hash = segment.strip_suffix(".svg")?;
    let valid =
        hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    valid.then_some(hash)
}
