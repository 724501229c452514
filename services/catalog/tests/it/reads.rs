//! One product, the shelves, the category tree.

use proto::catalog::v1::*;
use tonic::Code;

use crate::app::{TestApp, Who, by_id, by_slug, coffee, fields, ids, refusal, summary, variant};

const TREE: &str = "
    INSERT INTO categories (id, parent_id, name, slug, position) VALUES
        (1, NULL, 'Cafés', 'cafes', 2), (2, NULL, 'Acessórios', 'acessorios', 1),
        (3, 1, 'Em grãos', 'em-graos', 2), (4, 1, 'Moídos', 'moidos', 1),
        (5, 3, 'Microlotes', 'microlotes', 1), (6, NULL, 'Antigos', 'antigos', 3);
    UPDATE categories SET is_active = false WHERE id = 6;
    INSERT INTO categories (id, parent_id, name, slug) VALUES (7, 6, 'Abaixo', 'abaixo');";

#[tokio::test]
async fn a_product_is_found_by_id_and_by_slug() {
    let app = TestApp::start().await;
    app.sql(TREE).await;
    let request = CreateProductRequest {
        fields: Some(ProductFields {
            name: "Bourbon Amarelo".into(),
            category_id: Some(5),
            origin: Some("Mantiqueira de Minas".into()),
            roast: Some("media".into()),
            process: Some("natural".into()),
            sca_score_tenths: Some(865),
            attributes_json: r#"{"notas":["mel","cacau"]}"#.into(),
            ..fields("bourbon-amarelo")
        }),
        variants: vec![
            NewVariant { compare_at_amount: Some(9_000), ..variant("BA-1000", 8_000) },
            NewVariant { compare_at_amount: Some(3_500), ..variant("BA-250", 2_990) },
        ],
    };
    let id = summary(&app.created(request).await).id;
    app.sql(
        "INSERT INTO images (product_id, url, width, height, alt, position)
         SELECT id, '/images/b.svg', 800, 600, 'atrás', 1 FROM products
         UNION ALL SELECT id, '/images/a.svg', 800, 600, 'frente', 0 FROM products",
    )
    .await;

    let product = app.get_product(Who::Anonymous, by_id(id)).await.unwrap().product.unwrap();
    let same = app.get_product(Who::Anonymous, by_slug("bourbon-amarelo")).await.unwrap().product.unwrap();
    assert_eq!(product, same);

    let listed = summary(&product);
    assert_eq!((listed.name.as_str(), listed.version), ("Bourbon Amarelo", 1));
    assert_eq!(listed.category.as_ref().unwrap().slug, "microlotes");
    assert_eq!(listed.origin.as_deref(), Some("Mantiqueira de Minas"));
    assert_eq!(listed.roast.as_deref(), Some("media"));
    assert_eq!(listed.process.as_deref(), Some("natural"));
    assert_eq!(listed.sca_score_tenths, Some(865));
    assert!(listed.is_new && listed.is_active && !listed.is_featured);
    assert_eq!(listed.image.as_ref().unwrap().url, "/images/a.svg");
    // The cheapest variant's price and what that one cost before.
    let price = listed.price.as_ref().unwrap();
    assert_eq!(price.current.as_ref().unwrap(), &Money { amount: 2_990, currency: "BRL".into() });
    assert_eq!(price.compare_at_amount, Some(3_500));

    assert_eq!(product.attributes_json, r#"{"notas": ["mel", "cacau"]}"#);
    assert_eq!(product.variants.iter().map(|v| v.sku.as_str()).collect::<Vec<_>>(), ["BA-1000", "BA-250"]);
    assert_eq!(product.images.iter().map(|i| i.alt.as_str()).collect::<Vec<_>>(), ["frente", "atrás"]);
    assert_eq!(product.breadcrumbs.iter().map(|c| c.id).collect::<Vec<_>>(), [1, 3, 5]);

    // A list shows the same summary.
    let request = ListProductsRequest { page: 1, per_page: 1, ..Default::default() };
    let list = app.list_products(Who::Anonymous, request).await.unwrap();
    assert_eq!(&list.products[0], listed);
}

#[tokio::test]
async fn inactive_products_are_there_for_staff_only() {
    let app = TestApp::start().await;
    let hidden = CreateProductRequest {
        fields: Some(ProductFields { is_active: false, is_featured: true, ..fields("secreto") }),
        variants: vec![variant("S", 1)],
    };
    let id = summary(&app.created(hidden).await).id;
    app.created(coffee("visivel")).await;

    for who in [Who::Anonymous, Who::Customer] {
        let not_found = (Code::NotFound, "product_not_found".to_owned(), String::new());
        assert_eq!(refusal(app.get_product(who, by_id(id)).await), not_found);
        assert_eq!(refusal(app.get_product(who, by_slug("secreto")).await), not_found);
        let everything = ListProductsRequest { include_inactive: Some(true), ..crate::app::list() };
        assert_eq!(refusal(app.list_products(who, everything).await).0, Code::PermissionDenied);
    }
    for who in [Who::Staff, Who::Admin] {
        let product = app.get_product(who, by_id(id)).await.unwrap().product.unwrap();
        assert_eq!(product.variants.len(), 1);
        let everything = ListProductsRequest { include_inactive: Some(true), ..crate::app::list() };
        let list = app.list_products(who, everything).await.unwrap();
        assert_eq!(list.pagination.unwrap().total, Some(2));
        assert_eq!(list.products.len(), 2);
    }
    // Staff who do not ask for them see what buyers see.
    for who in [Who::Anonymous, Who::Customer, Who::Staff, Who::Admin] {
        let list = app.list_products(who, crate::app::list()).await.unwrap();
        assert_eq!(list.products.iter().map(|p| p.slug.as_str()).collect::<Vec<_>>(), ["visivel"]);
        assert_eq!(list.pagination.unwrap().total, Some(1));
        let featured =
            app.list_featured_products(who, ListFeaturedProductsRequest { limit: 50 }).await.unwrap();
        assert!(featured.products.is_empty());
        let new = app.list_new_products(who, ListNewProductsRequest { limit: 50 }).await.unwrap();
        assert_eq!(new.products.len(), 1);
    }
}

#[tokio::test]
async fn shelves_show_the_popular_and_the_new() {
    let app = TestApp::start().await;
    app.sql(
        "INSERT INTO products (id, slug, name, price_min_amount, price_max_amount, is_active, is_featured, popularity, created_at)
         SELECT n, 'p-' || n, 'P', 1, 1, true, n % 2 = 0, n % 10, now() - (100 - n) * interval '1 day'
           FROM generate_series(1, 60) n;",
    )
    .await;
    let featured =
        app.list_featured_products(Who::Anonymous, ListFeaturedProductsRequest { limit: 7 }).await.unwrap();
    assert_eq!(ids(&featured.products), [58, 48, 38, 28, 18, 8, 56]);
    let new = app.list_new_products(Who::Anonymous, ListNewProductsRequest { limit: 3 }).await.unwrap();
    assert_eq!(ids(&new.products), [60, 59, 58]);
    assert!(new.products.iter().all(|product| !product.is_new), "40 days old and older");
}

#[tokio::test]
async fn the_category_tree_counts_whole_branches() {
    let app = TestApp::start().await;
    app.sql(TREE).await;
    for (slug, category) in [("a", 1), ("b", 3), ("c", 5), ("d", 5), ("e", 4), ("f", 2)] {
        let mut request = coffee(slug);
        request.fields.as_mut().unwrap().category_id = Some(category);
        app.created(request).await;
    }
    let mut hidden = coffee("g");
    let hidden_fields = hidden.fields.as_mut().unwrap();
    (hidden_fields.category_id, hidden_fields.is_active) = (Some(5), false);
    app.created(hidden).await;

    let tree = app.list_categories(Who::Anonymous, ListCategoriesRequest {}).await.unwrap().categories;
    let shape: Vec<_> = tree.iter().map(|c| (c.id, c.parent_id, c.product_count)).collect();
    // What is switched off is not there, and what is below it is not either.
    assert_eq!(shape, [(2, None, 1), (1, None, 5), (4, Some(1), 1), (3, Some(1), 3), (5, Some(3), 2)]);

    let answer = app.get_category(Who::Anonymous, GetCategoryRequest { id: 3 }).await.unwrap();
    assert_eq!(answer.category.unwrap().product_count, 3);
    assert_eq!(answer.breadcrumbs.iter().map(|c| c.slug.as_str()).collect::<Vec<_>>(), ["cafes", "em-graos"]);
    assert_eq!(answer.children.iter().map(|c| (c.id, c.product_count)).collect::<Vec<_>>(), [(5, 2)]);

    for id in [6, 7, 99] {
        let answer = app.get_category(Who::Anonymous, GetCategoryRequest { id }).await;
        assert_eq!(refusal(answer).1, "category_not_found");
    }
}

#[tokio::test]
async fn health_and_metrics_are_on_the_internal_port() {
    let app = TestApp::start().await;
    app.list_products(Who::Anonymous, crate::app::list()).await.unwrap();
    let get = async |path: &str| {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let mut stream = tokio::net::TcpStream::connect(app.internal_addr).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    };
    // NATS is away: worse, not down.
    let ready = get("/health/ready").await;
    assert!(ready.starts_with("HTTP/1.1 200") && ready.contains("degraded"), "{ready}");
    let metrics = get("/metrics").await;
    assert!(metrics.contains("database_connections_max 8"), "{metrics}");
    assert!(
        metrics.contains(r#"database_query_duration_seconds_count{query="SELECT products by created_at"} 1"#)
    );
    assert!(metrics.contains("mestres.catalog.v1.CatalogService/ListProducts"), "{metrics}");
    app.stop().await;
}
