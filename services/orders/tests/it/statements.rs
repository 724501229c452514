//! How many statements a call costs, counted by the database.

use proto::orders::v1::*;
use sqlx::PgConnection;

use crate::app::{ANA, TestApp};

/// What users' transactions have run so far, without the frame of the transaction.
async fn statements(admin: &mut PgConnection) -> Vec<(String, i64)> {
    sqlx::query_as(
        "SELECT query, calls FROM pg_stat_statements
          WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
            AND userid = 'mc_user'::regrole AND toplevel
            AND query !~* '^(begin|savepoint|release|commit|rollback)' AND query !~ 'set_config'
            AND query !~ '^SELECT \\$1(::bigint)?$' AND query !~ 'pg_current_wal_insert_lsn'",
    )
    .fetch_all(admin)
    .await
    .unwrap()
}

/// Requires that the call runs at most so many statements.
async fn costs<T>(
    app: &TestApp,
    most: i64,
    what: &str,
    call: impl Future<Output = Result<T, tonic::Status>>,
) -> T {
    let mut admin = app.admin().await;
    let before: std::collections::HashMap<String, i64> = statements(&mut admin).await.into_iter().collect();
    let answer = call.await.unwrap();
    let run: Vec<(String, i64)> = statements(&mut admin)
        .await
        .into_iter()
        .map(|(query, calls)| {
            let earlier = before.get(&query).copied().unwrap_or(0);
            (query, calls - earlier)
        })
        .filter(|(_, calls)| *calls > 0)
        .collect();
    let total: i64 = run.iter().map(|(_, calls)| calls).sum();
    assert!((1..=most).contains(&total), "{what} ran {total} statements:\n{run:#?}");
    answer
}

#[tokio::test]
async fn a_cart_costs_few_statements_however_many_lines_it_has() {
    let app = TestApp::start().await;
    app.sql("CREATE EXTENSION IF NOT EXISTS pg_stat_statements").await;
    for variant in 1..=40 {
        app.shelf(variant, 1_000, 100).await;
    }
    let add = |variant_id| AddItemRequest { variant_id, quantity: 1 };
    costs(&app, 4, "the first add", app.add_item(ANA, add(1))).await;
    costs(&app, 4, "an add to a line", app.add_item(ANA, add(1))).await;
    for variant in 2..=39 {
        app.put(ANA, variant, 1).await;
    }
    let cart = costs(&app, 4, "an add to forty lines", app.add_item(ANA, add(40))).await.cart.unwrap();
    assert_eq!(cart.items.len(), 40);
    costs(&app, 2, "a look at forty lines", app.get_cart(ANA, GetCartRequest {})).await;
    let item_id = cart.items[7].id;
    let set = SetItemQuantityRequest { item_id, quantity: 5, expected_cart_version: None };
    costs(&app, 5, "another quantity", app.set_item_quantity(ANA, set)).await;
    costs(&app, 5, "a line less", app.remove_item(ANA, RemoveItemRequest { item_id })).await;
    costs(&app, 4, "no lines", app.clear_cart(ANA, ClearCartRequest {})).await;
    // One question to the catalog per call, whatever is in the cart.
    let asked = app.catalog.asked();
    app.put(ANA, 1, 1).await;
    assert_eq!(app.catalog.asked(), asked + 1);
}
