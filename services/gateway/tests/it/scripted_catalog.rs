//! A catalog in memory that counts how often it is asked, and fails or dawdles on demand.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use proto::catalog::v1::catalog_service_server::{CatalogService, CatalogServiceServer};
use proto::catalog::v1::{
    Category, CategoryRef, ChangePricesRequest, ChangePricesResponse, CreateProductRequest,
    CreateProductResponse, DeleteProductRequest, DeleteProductResponse, GetCategoryRequest,
    GetCategoryResponse, GetImageRequest, GetImageResponse, GetProductRequest, GetProductResponse,
    ListCategoriesRequest, ListCategoriesResponse, ListFeaturedProductsRequest, ListFeaturedProductsResponse,
    ListNewProductsRequest, ListNewProductsResponse, ListProductsRequest, ListProductsResponse, Money,
    Pagination, PatchProductRequest, PatchProductResponse, Price, Product, ProductSummary, QuoteRequest,
    QuoteResponse, UpdateProductRequest, UpdateProductResponse, Variant, get_product_request,
};
use proto::events::v1::PurgeReceipt;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::task::AbortOnDropHandle;
use tonic::{Code, Request as Grpc, Response as Reply, Status};
use uuid::Uuid;

/// SHA-256 of nothing in particular: the one image that exists.
pub(crate) const IMAGE: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// See the module.
#[derive(Default)]
pub(crate) struct ScriptedCatalog {
    products: Mutex<BTreeMap<i64, Product>>,
    calls: AtomicU64,
    failure: Mutex<Option<Code>>,
    refusals: Mutex<(u32, &'static str)>,
    delay: Mutex<Duration>,
    last_bearer: Mutex<Option<String>>,
}

impl ScriptedCatalog {
    /// Serves so many products on a port of its own.
    pub(crate) async fn start(count: i64) -> (Arc<Self>, SocketAddr, AbortOnDropHandle<()>) {
        let products = (1..=count).map(|id| (id, product(id))).collect();
        let catalog = Arc::new(Self { products: Mutex::new(products), ..Self::default() });
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let addr = listener.local_addr().expect("it is bound");
        let service = Arc::clone(&catalog);
        let serving = tokio::spawn(async move {
            tonic::transport::Server::builder()
                .add_service(CatalogServiceServer::from_arc(service))
                .serve_with_incoming(TcpListenerStream::new(listener))
                .await
                .expect("the catalog serves");
        });
        (catalog, addr, AbortOnDropHandle::new(serving))
    }

    pub(crate) fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }

    pub(crate) fn forget_calls(&self) {
        self.calls.store(0, Ordering::SeqCst);
    }

    pub(crate) fn fail(&self, failure: Option<Code>) {
        *self.failure.lock().expect("no panic") = failure;
    }

    /// The next calls are answered UNAVAILABLE with this reason.
    pub(crate) fn refuse_next(&self, calls: u32, reason: &'static str) {
        *self.refusals.lock().expect("no panic") = (calls, reason);
    }

    pub(crate) fn dawdle(&self, delay: Duration) {
        *self.delay.lock().expect("no panic") = delay;
    }

    pub(crate) fn last_bearer(&self) -> Option<String> {
        self.last_bearer.lock().expect("no panic").clone()
    }

    pub(crate) fn price(&self, id: i64) -> i64 {
        let products = self.products.lock().expect("no panic");
        products[&id].variants[0]
            .price
            .as_ref()
            .and_then(|price| price.current.as_ref())
            .map_or(0, |now| now.amount)
    }

    async fn called<M>(&self, request: &Grpc<M>) -> Result<(), Status> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        let bearer = request.metadata().get("authorization").and_then(|value| value.to_str().ok());
        *self.last_bearer.lock().expect("no panic") = bearer.map(str::to_owned);
        let delay = *self.delay.lock().expect("no panic");
        tokio::time::sleep(delay).await;
        {
            let mut refusals = self.refusals.lock().expect("no panic");
            if refusals.0 > 0 {
                refusals.0 -= 1;
                let mut refusal = Status::unavailable("as the test asked");
                refusal.metadata_mut().insert("mc-reason", refusals.1.parse().expect("ASCII"));
                return Err(refusal);
            }
        }
        match *self.failure.lock().expect("no panic") {
            Some(code) => Err(Status::new(code, "as the test asked")),
            None => Ok(()),
        }
    }

    fn summaries(&self) -> Vec<ProductSummary> {
        let products = self.products.lock().expect("no panic");
        products.values().filter_map(|product| product.summary.clone()).collect()
    }

    /// Changes a product if the version is the current one.
    fn change(
        &self,
        id: i64,
        version: i64,
        change: impl FnOnce(&mut Product),
    ) -> Result<(Product, Vec<PurgeReceipt>), Status> {
        let mut products = self.products.lock().expect("no panic");
        let product = products.get_mut(&id).ok_or_else(|| Status::not_found("id: no such product"))?;
        let summary = product.summary.as_mut().expect("every product has one");
        if summary.version != version {
            return Err(Status::aborted("version: is not the current one"));
        }
        summary.version += 1;
        change(product);
        Ok((product.clone(), vec![receipt(id)]))
    }
}

fn receipt(id: i64) -> PurgeReceipt {
    PurgeReceipt { event_id: Uuid::now_v7().to_string(), tags: vec![format!("product:{id}")], commit_lsn: 0 }
}

fn price(amount: i64) -> Price {
    Price { current: Some(Money { amount, currency: "BRL".to_owned() }), compare_at_amount: None }
}

fn product(id: i64) -> Product {
    Product {
        summary: Some(ProductSummary {
            id,
            slug: format!("cafe-{id}"),
            name: format!("Café número {id}"),
            category: Some(CategoryRef { id: 3, name: "Grãos".to_owned(), slug: "graos".to_owned() }),
            price: Some(price(4290)),
            stock_band: "in".to_owned(),
            rating_sum: 9,
            rating_count: 2,
            is_active: true,
            version: 1,
            sca_score_tenths: Some(865),
            ..ProductSummary::default()
        }),
        description: "Doce. ".repeat(40),
        attributes_json: r#"{"notas":["mel","caramelo"]}"#.to_owned(),
        variants: vec![Variant {
            id: id * 10,
            sku: format!("C-{id}"),
            name: "250 g".to_owned(),
            options_json: r#"{"peso":"250 g"}"#.to_owned(),
            price: Some(price(4290)),
            weight_g: 250,
            version: 1,
            stock_band: "in".to_owned(),
        }],
        ..Product::default()
    }
}

#[tonic::async_trait]
impl CatalogService for ScriptedCatalog {
    async fn list_products(
        &self,
        request: Grpc<ListProductsRequest>,
    ) -> Result<Reply<ListProductsResponse>, Status> {
        self.called(&request).await?;
        let asked = request.into_inner();
        let all = self.summaries();
        let term = asked.search.unwrap_or_default();
        let found: Vec<_> =
            all.into_iter().filter(|product| product.name.to_lowercase().contains(&term)).collect();
        let first = (asked.page.max(1) - 1) * asked.per_page;
        Ok(Reply::new(ListProductsResponse {
            pagination: Some(Pagination {
                page: asked.page,
                per_page: asked.per_page,
                total: (!asked.skip_count).then_some(found.len() as u64),
                total_exact: true,
                ..Pagination::default()
            }),
            products: found.into_iter().skip(first as usize).take(asked.per_page as usize).collect(),
            category_path: asked.category_id.into_iter().collect(),
        }))
    }

    async fn get_product(
        &self,
        request: Grpc<GetProductRequest>,
    ) -> Result<Reply<GetProductResponse>, Status> {
        self.called(&request).await?;
        let products = self.products.lock().expect("no panic");
        let found = match request.into_inner().by {
            Some(get_product_request::By::Id(id)) => products.get(&id),
            Some(get_product_request::By::Slug(slug)) => products
                .values()
                .find(|product| product.summary.as_ref().is_some_and(|found| found.slug == slug)),
            None => None,
        };
        let product = found.cloned().ok_or_else(|| Status::not_found("id: no such product"))?;
        Ok(Reply::new(GetProductResponse { product: Some(product) }))
    }

    async fn list_featured_products(
        &self,
        request: Grpc<ListFeaturedProductsRequest>,
    ) -> Result<Reply<ListFeaturedProductsResponse>, Status> {
        self.called(&request).await?;
        let products = self.summaries().into_iter().take(request.into_inner().limit as usize).collect();
        Ok(Reply::new(ListFeaturedProductsResponse { products }))
    }

    async fn list_new_products(
        &self,
        request: Grpc<ListNewProductsRequest>,
    ) -> Result<Reply<ListNewProductsResponse>, Status> {
        self.called(&request).await?;
        let products = self.summaries().into_iter().take(request.into_inner().limit as usize).collect();
        Ok(Reply::new(ListNewProductsResponse { products }))
    }

    async fn list_categories(
        &self,
        request: Grpc<ListCategoriesRequest>,
    ) -> Result<Reply<ListCategoriesResponse>, Status> {
        self.called(&request).await?;
        let category =
            |id, parent_id| Category { id, parent_id, name: format!("C{id}"), ..Category::default() };
        let categories =
            vec![category(1, None), category(2, Some(1)), category(3, Some(2)), category(4, None)];
        Ok(Reply::new(ListCategoriesResponse { categories }))
    }

    async fn get_category(
        &self,
        request: Grpc<GetCategoryRequest>,
    ) -> Result<Reply<GetCategoryResponse>, Status> {
        self.called(&request).await?;
        let id = request.into_inner().id;
        if id > 4 {
            return Err(Status::not_found("id: no such category"));
        }
        Ok(Reply::new(GetCategoryResponse {
            category: Some(Category { id, name: format!("C{id}"), ..Category::default() }),
            ..GetCategoryResponse::default()
        }))
    }

    async fn get_image(&self, request: Grpc<GetImageRequest>) -> Result<Reply<GetImageResponse>, Status> {
        self.called(&request).await?;
        if request.into_inner().sha256 != IMAGE {
            return Err(Status::not_found("sha256: no such image"));
        }
        Ok(Reply::new(GetImageResponse {
            content: (&b"<svg xmlns=\"http://www.w3.org/2000/svg\"/>"[..]).into(),
            content_type: "image/svg+xml".to_owned(),
        }))
    }

    async fn create_product(
        &self,
        request: Grpc<CreateProductRequest>,
    ) -> Result<Reply<CreateProductResponse>, Status> {
        self.called(&request).await?;
        let mut products = self.products.lock().expect("no panic");
        let id = products.keys().last().copied().unwrap_or_default() + 1;
        let fields = request.into_inner().fields.unwrap_or_default();
        let mut created = product(id);
        let summary = created.summary.as_mut().expect("every product has one");
        (summary.slug, summary.name) = (fields.slug, fields.name);
        products.insert(id, created.clone());
        Ok(Reply::new(CreateProductResponse { product: Some(created), receipts: vec![receipt(id)] }))
    }

    async fn update_product(
        &self,
        request: Grpc<UpdateProductRequest>,
    ) -> Result<Reply<UpdateProductResponse>, Status> {
        self.called(&request).await?;
        let asked = request.into_inner();
        let fields = asked.fields.unwrap_or_default();
        let (product, receipts) = self.change(asked.id, asked.expected_version, |product| {
            product.summary.as_mut().expect("every product has one").name = fields.name;
        })?;
        Ok(Reply::new(UpdateProductResponse { product: Some(product), receipts }))
    }

    async fn patch_product(
        &self,
        request: Grpc<PatchProductRequest>,
    ) -> Result<Reply<PatchProductResponse>, Status> {
        self.called(&request).await?;
        let asked = request.into_inner();
        let (product, receipts) = self.change(asked.id, asked.expected_version, |product| {
            let summary = product.summary.as_mut().expect("every product has one");
            summary.name = asked.name.unwrap_or_else(|| summary.name.clone());
        })?;
        Ok(Reply::new(PatchProductResponse { product: Some(product), receipts }))
    }

    async fn delete_product(
        &self,
        request: Grpc<DeleteProductRequest>,
    ) -> Result<Reply<DeleteProductResponse>, Status> {
        self.called(&request).await?;
        let asked = request.into_inner();
        let (_, receipts) = self.change(asked.id, asked.expected_version, |product| {
            product.summary.as_mut().expect("every product has one").is_active = false;
        })?;
        Ok(Reply::new(DeleteProductResponse { receipts }))
    }

    async fn quote(&self, _request: Grpc<QuoteRequest>) -> Result<Reply<QuoteResponse>, Status> {
        Err(Status::unimplemented("no gateway asks for quotes"))
    }

    async fn change_prices(
        &self,
        request: Grpc<ChangePricesRequest>,
    ) -> Result<Reply<ChangePricesResponse>, Status> {
        self.called(&request).await?;
        let asked = request.into_inner();
        let amount = asked.prices.first().map_or(0, |price| price.amount);
        let (product, receipts) = self.change(asked.product_id, asked.expected_version, |product| {
            product.summary.as_mut().expect("every product has one").price = Some(price(amount));
            product.variants[0].price = Some(price(amount));
        })?;
        Ok(Reply::new(ChangePricesResponse { product: Some(product), receipts }))
    }
}
