//! Which index serves what, at 20,000 products and more: plans, not stop watches.

use std::time::Duration;

use proto::catalog::v1::*;
use sqlx::{AssertSqlSafe, PgConnection};

use crate::app::{TestApp, Who, list};

/// S131, to the letter.
const S131: &str = "SELECT p.*, c.name as category_name
FROM products p
LEFT JOIN categories c ON p.category_id = c.id
WHERE p.is_active = true
ORDER BY p.created_at DESC
LIMIT 20 OFFSET 0";

/// S132, to the letter.
const S132: &str = "SELECT p.*, ts_rank(search_vector, query) as rank
FROM products p,
     to_tsquery('portuguese', 'café & premium') query
WHERE p.search_vector @@ query
ORDER BY rank DESC
LIMIT 10";

/// 24,000 products; one in 400 is premium coffee, one in a hundred featured.
const LARGE_SHOP: &str = "
    INSERT INTO categories (id, parent_id, name, slug) VALUES (1, NULL, 'A', 'a');
    INSERT INTO categories (id, parent_id, name, slug) SELECT n, 1, n, 'c-' || n FROM generate_series(2, 40) n;
    INSERT INTO products (slug, name, description, category_id, price_min_amount, price_max_amount, is_active, is_featured, popularity, created_at)
    SELECT 'p-' || n, CASE WHEN n % 400 = 7 THEN 'Cafés Premium ' ELSE 'Coador ' END || n,
           'Notas de caramelo e frutas', 1 + n % 40, (n * 7919) % 50000, 90000, n % 50 <> 0, n % 100 = 1, n,
           now() - n * interval '1 minute'
      FROM generate_series(1, 24000) n;
    ANALYZE;";

async fn plan(connection: &mut PgConnection, query: &str) -> String {
    let rows: Vec<String> = sqlx::query_scalar(AssertSqlSafe(format!(
        "EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) {query}"
    )))
    .fetch_all(connection)
    .await
    .unwrap();
    rows.join("\n")
}

#[tokio::test]
async fn the_documents_queries_run_verbatim_on_their_indexes() {
    let app = TestApp::start().await;
    app.sql(LARGE_SHOP).await;
    for role in ["mc_anon", "mc_user", "mc_admin", "mc_service"] {
        let mut connection = app.login().await;
        sqlx::raw_sql(AssertSqlSafe(format!("SET ROLE {role}"))).execute(&mut connection).await.unwrap();

        let plan_131 = plan(&mut connection, S131).await;
        assert!(
            plan_131.contains("Index Scan using products_list on products p (actual rows=20"),
            "{role}: {plan_131}"
        );
        assert!(!plan_131.contains("Sort"), "{role}: {plan_131}");
        assert_eq!(sqlx::raw_sql(S131).fetch_all(&mut connection).await.unwrap().len(), 20);

        // Under a buyer's policy `@@` may not use an index; the service looks words up another way.
        if matches!(role, "mc_admin" | "mc_service") {
            let plan_132 = plan(&mut connection, S132).await;
            assert!(plan_132.contains("Bitmap Index Scan on products_fts"), "{role}: {plan_132}");
        }
        // 60 are premium coffees: plural in the name, singular in the query.
        assert_eq!(sqlx::raw_sql(S132).fetch_all(&mut connection).await.unwrap().len(), 10, "{role}");
    }
}

/// Sequential scans and index scans of products, as the statistics have them.
async fn scans(admin: &mut PgConnection) -> (i64, Vec<(String, i64)>) {
    let sequential = sqlx::query_scalar(
        "SELECT seq_scan FROM pg_stat_user_tables WHERE schemaname = 'catalog' AND relname = 'products'",
    )
    .fetch_one(&mut *admin)
    .await
    .unwrap();
    let indexes = sqlx::query_as(
        "SELECT indexrelname::text, idx_scan FROM pg_stat_user_indexes
          WHERE schemaname = 'catalog' AND relname = 'products' ORDER BY 1",
    )
    .fetch_all(&mut *admin)
    .await
    .unwrap();
    (sequential, indexes)
}

/// Asks the list and waits until the statistics show that `index` was used; says how often the
/// table itself was scanned meanwhile.
async fn served_by(app: &TestApp, index: &str, request: ListProductsRequest) -> i64 {
    let mut admin = app.admin().await;
    let uses = |indexes: &[(String, i64)]| indexes.iter().find(|(name, _)| name == index).unwrap().1;
    let (scanned_before, before) = scans(&mut admin).await;
    let used_before = uses(&before);
    let answer = app.list_products(Who::Anonymous, request.clone()).await.unwrap();
    assert!(!answer.products.is_empty(), "{request:?}");
    // A statement that is prepared once must not turn to a plan for the average question later.
    for _ in 0..20 {
        app.list_products(Who::Anonymous, request.clone()).await.unwrap();
    }
    // Statistics of a session arrive within a second, or with its next transaction.
    let what = format!("{index} serves {request:?}");
    testkit::eventually(Duration::from_secs(10), &what, async || {
        app.list_products(Who::Anonymous, request.clone()).await.unwrap();
        sqlx::raw_sql("SELECT pg_stat_clear_snapshot()").execute(&mut admin).await.unwrap();
        let (scanned, indexes) = scans(&mut admin).await;
        (uses(&indexes) > used_before).then_some(scanned - scanned_before)
    })
    .await
}

#[tokio::test]
async fn every_list_walks_the_index_that_is_made_for_it() {
    let app = TestApp::start().await;
    app.sql(LARGE_SHOP).await;
    let sorted = |sort: Sort| ListProductsRequest { sort: sort.into(), ..list() };
    let of_category = |sort: Sort| ListProductsRequest { category_id: Some(17), ..sorted(sort) };
    let deep = |request: ListProductsRequest| ListProductsRequest { page: 400, ..request };
    for (index, request) in [
        ("products_list", sorted(Sort::CreatedAtDesc)),
        ("products_list", sorted(Sort::CreatedAtAsc)),
        ("products_list", deep(sorted(Sort::CreatedAtDesc))),
        ("products_price", sorted(Sort::PriceAsc)),
        ("products_price", sorted(Sort::PriceDesc)),
        ("products_price", ListProductsRequest { min_price_amount: Some(49_000), ..sorted(Sort::PriceDesc) }),
        ("products_name", sorted(Sort::NameAsc)),
        ("products_name", sorted(Sort::NameDesc)),
        ("products_category_list", of_category(Sort::CreatedAtDesc)),
        ("products_category_list", ListProductsRequest { category_id: Some(1), ..list() }),
        ("products_category_price", of_category(Sort::PriceDesc)),
        ("products_category_name", of_category(Sort::NameAsc)),
        ("products_fts", ListProductsRequest { search: Some("café premium".into()), ..list() }),
        ("products_fts", ListProductsRequest { search: Some("premium".into()), ..sorted(Sort::PriceAsc) }),
        (
            "products_popular",
            ListProductsRequest { search: Some("caramelo".into()), skip_count: true, ..list() },
        ),
        (
            "products_price",
            ListProductsRequest {
                search: Some("caramelo".into()),
                skip_count: true,
                ..sorted(Sort::PriceAsc)
            },
        ),
    ] {
        let scanned = served_by(&app, index, request.clone()).await;
        // A plan that scans does so each of twenty times. The first five questions of a prepared statement are
        // planned each by itself, and the estimates of a sample differ from run to run.
        assert!(scanned < 10, "{request:?} scans the table {scanned} times");
    }
}
