//! The counters say what counting would say.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use proto::catalog::v1::*;

use crate::app::{TestApp, Who, coffee, list, summary};

type Counts = BTreeMap<i64, (i64, i64)>;

async fn kept(app: &TestApp) -> Counts {
    let rows: Vec<(i64, i64, i64)> =
        sqlx::query_as("SELECT category_id, active, every FROM product_counts WHERE every > 0")
            .fetch_all(&mut app.admin().await)
            .await
            .unwrap();
    rows.into_iter().map(|(category, active, every)| (category, (active, every))).collect()
}

async fn counted(app: &TestApp) -> Counts {
    let rows: Vec<(i64, i64, i64)> = sqlx::query_as(
        "SELECT coalesce(category_id, 0), count(*) FILTER (WHERE is_active), count(*) FROM products GROUP BY 1",
    )
    .fetch_all(&mut app.admin().await)
    .await
    .unwrap();
    rows.into_iter().map(|(category, active, every)| (category, (active, every))).collect()
}

#[tokio::test]
async fn counters_follow_every_statement() {
    let app = TestApp::start().await;
    app.sql("INSERT INTO categories (id, name, slug) SELECT n, n, n FROM generate_series(1, 4) n").await;
    for change in [
        "INSERT INTO products (id, slug, name, category_id, price_min_amount, price_max_amount, is_active)
         SELECT n, n, n, nullif(n % 5, 0), 1, 1, n % 3 = 0 FROM generate_series(1, 200) n",
        "UPDATE products SET is_active = NOT is_active WHERE id % 7 = 0",
        "UPDATE products SET category_id = CASE category_id WHEN 1 THEN 2 WHEN 2 THEN 1 END WHERE id % 2 = 0",
        "UPDATE products SET category_id = 4, is_active = true WHERE category_id IS NULL",
        "UPDATE products SET name = name || '!'",
        "DELETE FROM products WHERE id % 4 = 0",
        "UPDATE products SET category_id = NULL WHERE id < 50",
        "DELETE FROM products WHERE category_id = 3",
        "UPDATE products SET is_active = false WHERE false",
        "DELETE FROM products",
    ] {
        app.sql(change).await;
        assert_eq!(kept(&app).await, counted(&app).await, "{change}");
    }
}

#[tokio::test]
async fn counters_stay_right_under_writers_that_meet() {
    let app = TestApp::start().await;
    app.sql("INSERT INTO categories (id, name, slug) SELECT n, n, n FROM generate_series(1, 3) n").await;
    let mut made = Vec::new();
    for n in 0..6 {
        made.push(summary(&app.created(coffee(&format!("p-{n}"))).await).id);
    }
    // Each product wanders through the categories while all others do.
    let wander = async |id: i64| {
        let mut version = 1;
        for step in 0..8 {
            let category = Some(1 + (id + step) % 3);
            let patch = PatchProductRequest {
                id,
                expected_version: version,
                category_id: category,
                is_active: Some(step % 4 != 3),
                ..Default::default()
            };
            // A lock that takes too long is refused as a conflict and may be tried again.
            for attempt in 0.. {
                match app.patch_product(Who::Staff, patch.clone()).await {
                    Ok(answer) => {
                        version = answer.product.unwrap().summary.unwrap().version;
                        break;
                    }
                    Err(status) => {
                        assert!(status.code() == tonic::Code::Unavailable && attempt < 20, "{status:?}");
                    }
                }
            }
        }
    };
    join_all(made.into_iter().map(wander)).await;
    assert_eq!(kept(&app).await, counted(&app).await);
    let total = app.list_products(Who::Anonymous, list()).await.unwrap().pagination.unwrap().total;
    assert_eq!(total, Some(0), "the last step of each hides it");
}
