//! Every route of the gateway.
//!
//! Reads that the cache answers are dispatched by the front itself ([`Route::is_cached`]), so that a hit passes no
//! router; all other routes are ordinary actix handlers (`configure`). Both take their templates from here.

use std::ops::Range;
use std::time::Duration;

use actix_web::http::Method;
use actix_web::web::{self, ServiceConfig};

use crate::handlers::{admin_products, health, openapi, performance};

/// A path of the API. The order matters: the first match wins, and the busiest come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    Products,
    FeaturedProducts,
    NewProducts,
    Product,
    ProductBySlug,
    Categories,
    Category,
    Image,
    AdminProducts,
    AdminProduct,
    AdminProductPrices,
    PerformanceMetrics,
    HealthPerformance,
    HealthLive,
    HealthReady,
    OpenApi,
}

/// What a route is: path, methods, the time beyond which an answer counts as slow (S20).
#[derive(Debug, Clone, Copy)]
pub struct Spec {
    /// `{name}` stands for one path segment.
    pub template: &'static str,
    /// In the order of the `Allow` header; `GET` implies `HEAD`.
    pub methods: &'static [&'static str],
    /// For the `Allow` header.
    pub allow: &'static str,
    /// For the slow-request log and the SLA.
    pub slow: Duration,
}

const GET: (&[&str], &str) = (&["GET"], "GET, HEAD");
const SLA: Duration = Duration::from_millis(500);

const fn spec(template: &'static str, methods: (&'static [&'static str], &'static str)) -> Spec {
    Spec { template, methods: methods.0, allow: methods.1, slow: SLA }
}

impl Route {
    /// All of them, in the order in which they are tried.
    pub const ALL: [Self; 16] = [
        Self::Products,
        Self::FeaturedProducts,
        Self::NewProducts,
        Self::Product,
        Self::ProductBySlug,
        Self::Categories,
        Self::Category,
        Self::Image,
        Self::AdminProducts,
        Self::AdminProduct,
        Self::AdminProductPrices,
        Self::PerformanceMetrics,
        Self::HealthPerformance,
        Self::HealthLive,
        Self::HealthReady,
        Self::OpenApi,
    ];

    /// Path, methods and threshold.
    pub const fn spec(self) -> Spec {
        match self {
            Self::Products => spec("/api/v1/products", GET),
            Self::FeaturedProducts => spec("/api/v1/products/featured", GET),
            Self::NewProducts => spec("/api/v1/products/new", GET),
            Self::Product => spec("/api/v1/products/{id}", GET),
            Self::ProductBySlug => spec("/api/v1/products/by-slug/{slug}", GET),
            Self::Categories => spec("/api/v1/categories", GET),
            Self::Category => spec("/api/v1/categories/{id}", GET),
            Self::Image => spec("/images/{file}", GET),
            Self::AdminProducts => spec("/api/v1/admin/products", (&["GET", "POST"], "GET, HEAD, POST")),
            Self::AdminProduct => spec(
                "/api/v1/admin/products/{id}",
                (&["GET", "PUT", "PATCH", "DELETE"], "GET, HEAD, PUT, PATCH, DELETE"),
            ),
            Self::AdminProductPrices => spec("/api/v1/admin/products/{id}/prices", (&["PUT"], "PUT")),
            Self::PerformanceMetrics => spec("/api/admin/performance-metrics", GET),
            Self::HealthPerformance => spec("/health/performance", GET),
            Self::HealthLive => spec("/health/live", GET),
            Self::HealthReady => spec("/health/ready", GET),
            Self::OpenApi => spec("/api/openapi.json", GET),
        }
    }

    /// The route of a path, and the segment that its template leaves open (empty when there is none).
    pub fn find(path: &str) -> Option<(Self, &str)> {
        Self::locate(path).map(|(route, segment)| (route, &path[segment]))
    }

    /// The same with the place of the segment in the path.
    pub(crate) fn locate(path: &str) -> Option<(Self, Range<usize>)> {
        Self::ALL.into_iter().find_map(|route| Some((route, matched(route.spec().template, path)?)))
    }

    /// Whether the cache answers it.
    pub const fn is_cached(self) -> bool {
        match self {
            Self::Products
            | Self::FeaturedProducts
            | Self::NewProducts
            | Self::Product
            | Self::ProductBySlug
            | Self::Categories
            | Self::Category
            | Self::Image => true,
            Self::AdminProducts
            | Self::AdminProduct
            | Self::AdminProductPrices
            | Self::PerformanceMetrics
            | Self::HealthPerformance
            | Self::HealthLive
            | Self::HealthReady
            | Self::OpenApi => false,
        }
    }

    /// Whether a probe asks it: never refused for lack of room, never slowed by other work.
    pub const fn is_probe(self) -> bool {
        matches!(self, Self::HealthLive | Self::HealthReady)
    }

    /// Whether it is part of the contract, which is why its answers carry a cache token.
    pub const fn is_api(self) -> bool {
        !matches!(self, Self::HealthPerformance | Self::HealthLive | Self::HealthReady | Self::Image)
    }

    /// Whether a principal's rate counts it: the API, and the health page that anybody may ask.
    pub const fn is_limited(self) -> bool {
        self.is_api() || matches!(self, Self::HealthPerformance)
    }

    /// Whether somebody tries to prove who they are, or asks for mail: counted per address whoever asks.
    pub fn is_sign_in(self) -> bool {
        let Some(action) = self.spec().template.strip_prefix("/api/v1/auth/") else { return false };
        ["login", "register", "password/forgot", "password/reset", "email/verify", "step-up"]
            .contains(&action)
    }

    /// The one method a request counts under.
    pub fn method_of(self, method: &Method) -> Option<&'static str> {
        let name = if *method == Method::HEAD { "GET" } else { method.as_str() };
        self.spec().methods.iter().copied().find(|candidate| *candidate == name)
    }
}

/// The place of the open segment of `template` in `path`, if the path matches.
fn matched(template: &str, path: &str) -> Option<Range<usize>> {
    let Some(open) = template.find('{') else {
        return (template == path).then_some(0..0);
    };
    let rest = path.strip_prefix(&template[..open])?;
    let after = &template[template.find('}').expect("a template closes what it opens") + 1..];
    let segment = rest.strip_suffix(after)?;
    (!segment.is_empty() && !segment.contains('/')).then(|| open..open + segment.len())
}

/// The routes that are not answered from the cache. The front has checked path and method.
pub(crate) fn configure(config: &mut ServiceConfig) {
    let at = |route: Route| web::resource(route.spec().template);
    config
        .service(at(Route::AdminProducts).get(admin_products::list).post(admin_products::create))
        .service(
            at(Route::AdminProduct)
                .get(admin_products::get)
                .put(admin_products::replace)
                .patch(admin_products::patch)
                .delete(admin_products::delete),
        )
        .service(at(Route::AdminProductPrices).put(admin_products::change_prices))
        .service(at(Route::PerformanceMetrics).get(performance::metrics))
        .service(at(Route::HealthPerformance).get(performance::health))
        .service(at(Route::HealthLive).get(health::live))
        .service(at(Route::HealthReady).get(health::ready))
        .service(at(Route::OpenApi).get(openapi::document));
}
