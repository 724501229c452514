//! How many statements a call costs, counted by the database.

use proto::catalog::v1::*;
use sqlx::PgConnection;

use crate::app::{TestApp, Who, by_id, by_slug, coffee, fields, list, summary, variant};

/// What anonymous callers' transactions have run so far, without the frame of the transaction.
async fn statements(admin: &mut PgConnection) -> Vec<(String, i64)> {
    sqlx::query_as(
        "SELECT query, calls FROM pg_stat_statements
          WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
            AND userid = 'mc_anon'::regrole AND toplevel
            AND query !~* '^(begin|savepoint|release|commit|rollback)' AND query !~ 'set_config' AND query !~ '^SELECT \\$1(::bigint)?$'",
    )
    .fetch_all(admin)
    .await
    .unwrap()
}

/// Requires that the call runs so many statements.
async fn costs<T>(
    app: &TestApp,
    expected: i64,
    what: &str,
    call: impl Future<Output = Result<T, tonic::Status>>,
) {
    let mut admin = app.admin().await;
    sqlx::raw_sql(
        "SELECT pg_stat_statements_reset(0, (SELECT oid FROM pg_database WHERE datname = current_database()), 0)",
    )
    .execute(&mut admin)
    .await
    .unwrap();
    assert!(call.await.is_ok(), "{what}");
    let statements = statements(&mut admin).await;
    let calls: i64 = statements.iter().map(|(_, calls)| calls).sum();
    assert_eq!(calls, expected, "{what}: {statements:#?}");
}

async fn shop() -> TestApp {
    let app = TestApp::start().await;
    app.sql(
        "CREATE EXTENSION IF NOT EXISTS pg_stat_statements;
         INSERT INTO categories (id, parent_id, name, slug) VALUES (1, NULL, 'A', 'a'), (2, 1, 'B', 'b'), (3, 2, 'C', 'c');
         INSERT INTO products (slug, name, description, category_id, price_min_amount, price_max_amount, is_active, is_featured)
         SELECT 'p-' || n, 'P', 'café', 1 + n % 3, n, n, true, true FROM generate_series(1, 300) n;
         INSERT INTO images (product_id, url, width, height, alt, position)
         SELECT id, '/i', 1, 1, '', n FROM products, generate_series(0, 2) n",
    )
    .await;
    app
}

#[tokio::test]
async fn a_list_costs_two_statements_at_most_whatever_it_shows() {
    let app = shop().await;
    for per_page in [1, 100] {
        let plain = ListProductsRequest { per_page, ..list() };
        let lists = [
            plain.clone(),
            ListProductsRequest { page: 2, ..plain.clone() },
            ListProductsRequest { category_id: Some(1), ..plain.clone() },
            ListProductsRequest {
                category_slug: Some("b".into()),
                sort: Sort::NameDesc.into(),
                ..plain.clone()
            },
            ListProductsRequest { search: Some("café".into()), ..plain.clone() },
            ListProductsRequest {
                search: Some("café".into()),
                category_id: Some(2),
                min_price_amount: Some(5),
                ..plain.clone()
            },
            ListProductsRequest {
                search: Some("café".into()),
                category_id: Some(2),
                skip_count: true,
                ..plain.clone()
            },
            ListProductsRequest { min_price_amount: Some(5), sort: Sort::PriceAsc.into(), ..plain.clone() },
        ];
        for request in lists {
            costs(&app, 2, &format!("{request:?}"), app.list_products(Who::Anonymous, request.clone())).await;
        }
        let uncounted = ListProductsRequest { skip_count: true, ..plain };
        costs(&app, 1, "uncounted", app.list_products(Who::Anonymous, uncounted)).await;
    }
    for limit in [1, 50] {
        let featured = app.list_featured_products(Who::Anonymous, ListFeaturedProductsRequest { limit });
        costs(&app, 1, "featured", featured).await;
        let new = app.list_new_products(Who::Anonymous, ListNewProductsRequest { limit });
        costs(&app, 1, "new", new).await;
    }
    costs(&app, 1, "tree", app.list_categories(Who::Anonymous, ListCategoriesRequest {})).await;
    costs(&app, 1, "category", app.get_category(Who::Anonymous, GetCategoryRequest { id: 2 })).await;
}

#[tokio::test]
async fn a_product_costs_three_statements_at_most_whatever_hangs_on_it() {
    let app = shop().await;
    let small = summary(&app.created(coffee("small")).await).id;
    let variants = (0..50).map(|n| variant(&format!("large-{n}"), 100 + n)).collect();
    let large = CreateProductRequest { fields: Some(fields("large")), variants };
    let large = summary(&app.created(large).await).id;
    app.sql(
        "INSERT INTO images (product_id, url, width, height, alt, position)
         SELECT id, '/i', 1, 1, '', n FROM products, generate_series(0, 20) n WHERE slug = 'large'",
    )
    .await;
    for id in [small, large] {
        costs(&app, 3, "by id", app.get_product(Who::Anonymous, by_id(id))).await;
    }
    costs(&app, 3, "by slug", app.get_product(Who::Anonymous, by_slug("large"))).await;
}
