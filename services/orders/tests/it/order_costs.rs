//! How many statements calls cost, whatever they hold; and that lists are read by their indexes.

use proto::orders::v1::*;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use crate::app::{ANA, BIA, STAFF, TestApp};
use crate::buying::whole;

/// Statements of all callers since the last look, without the frames of transactions. Workers and relays of the test
/// have nothing to do with these.
async fn statements(app: &TestApp) -> Vec<(String, i64)> {
    sqlx::query_as(
        "SELECT query, calls FROM pg_stat_statements
          WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) AND toplevel
            AND userid IN ('mc_user'::regrole, 'mc_service'::regrole, 'mc_admin'::regrole, 'mc_anon'::regrole)
            AND query !~* '^(begin|savepoint|release|commit|rollback)' AND query !~ 'set_config'
            AND query !~ '^SELECT \\$1(::bigint)?$'
            AND query !~* '(outbox_|stream_seq|published_at|overdue|expired|LIMIT \\$1 FOR UPDATE|due|idempotency_keys WHERE expires|SKIP LOCKED)'",
    )
    .fetch_all(&mut app.admin().await)
    .await
    .unwrap()
}

/// Requires that the call runs at most so many statements; answers what it answered, and how many.
async fn costs<T>(
    app: &TestApp,
    most: i64,
    what: &str,
    call: impl Future<Output = Result<T, tonic::Status>>,
) -> (T, i64) {
    app.sql("SELECT pg_stat_statements_reset(0, (SELECT oid FROM pg_database WHERE datname = current_database()), 0)")
        .await;
    let answer = call.await.unwrap_or_else(|status| panic!("{what}: {status:?}"));
    let statements = statements(app).await;
    let calls: i64 = statements.iter().map(|(_, calls)| calls).sum();
    assert!((1..=most).contains(&calls), "{what} costs {calls}: {statements:#?}");
    (answer, calls)
}

#[tokio::test]
async fn calls_cost_what_they_cost_with_one_line_and_with_fifty() {
    // Nothing sweeps meanwhile.
    let app = TestApp::start_with(|config| config.sweep_every = std::time::Duration::from_secs(3_600)).await;
    app.sql("CREATE EXTENSION IF NOT EXISTS pg_stat_statements").await;
    app.sql("INSERT INTO coupons (code, kind, value, per_customer_limit) VALUES ('DEZ', 'percent', 1000, 9)")
        .await;
    for variant in 1..=50 {
        app.shelf(variant, 1_000, 100).await;
    }
    let mut seen = Vec::new();
    for (who, lines) in [(ANA, 1), (BIA, 50)] {
        for variant in 1..=lines {
            app.put(who, variant, 1).await;
        }
        let wish = PlaceOrderRequest { coupon_code: Some("DEZ".into()), ..app.wish(who).await };
        let request = || app.keyed(who, wish.clone(), "POST /api/v1/checkout", "k");
        let placing =
            async || app.checkouts.clone().place_order(request()).await.map(tonic::Response::into_inner);
        let (order, placed) = costs(&app, 12, "checkout", placing()).await;
        let order = order.order.unwrap();
        assert_eq!(order.items.len(), usize::try_from(lines).unwrap());
        let (_, repeated) = costs(&app, 12, "checkout once more", placing()).await;
        let page = ListOrdersRequest { page: 1, per_page: 20, ..Default::default() };
        let (_, listed) = costs(&app, 2, "list", app.list_orders(who, page)).await;
        let (_, shown) =
            costs(&app, 4, "order", app.get_order(who, GetOrderRequest { order_id: order.id })).await;
        let get = GetCheckoutRequest { order_id: order.id };
        let (_, state) = costs(&app, 4, "checkout state", app.get_checkout(who, get)).await;
        let desk = AdminListOrdersRequest { page: 1, per_page: 20, ..Default::default() };
        let (_, desk) = costs(&app, 2, "desk", app.desk_list_orders(STAFF, desk)).await;
        let (_, cancelled) = costs(&app, 20, "cancel", app.cancel_order(who, whole(order.id))).await;
        seen.push([placed, repeated, listed, shown, state, desk, cancelled]);
    }
    assert_eq!(seen[0], seen[1], "lines cost no statements");
}

/// Two hundred users with a hundred orders of two lines each.
const MANY: &str = "
INSERT INTO carts (id, user_id, state, expires_at)
SELECT gen_random_uuid(), 1 + n % 200, 'converted', now() FROM generate_series(0, 19999) n;
INSERT INTO orders (number, user_id, cart_id, status, items_amount, shipping_amount, tax_amount, total_amount,
                    shipping_service, created_at)
SELECT concat('OLD-', row_number() OVER ()), c.user_id, c.id,
       CASE row_number() OVER () % 50 WHEN 0 THEN 'paid' ELSE 'delivered' END, 2000, 0, 0, 2000, 'PAC',
       '2026-01-01Z'::timestamptz + row_number() OVER () * interval '1 minute'
  FROM carts c;
INSERT INTO order_items (order_id, user_id, line, product_id, variant_id, sku, name, weight_g, quantity, unit_amount,
                         total_amount)
SELECT o.id, o.user_id, l, l, l, 'S', 'N', 1, 1, 1000, 1000 FROM orders o, generate_series(1, 2) l;
INSERT INTO order_history (order_id, seq, user_id, to_status, actor) SELECT id, 1, user_id, 'pending_payment', 'customer' FROM orders;
ANALYZE orders, order_items, order_history, carts, reservations, shipments, payments";

async fn explained(connection: &mut PgConnection, explain: String) -> String {
    let lines = sqlx::raw_sql(AssertSqlSafe(explain)).fetch_all(connection).await.unwrap();
    lines.iter().map(|row| sqlx::Row::get::<String, _>(row, 0)).collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn lists_are_read_by_their_indexes() {
    let app = TestApp::start().await;
    app.sql(MANY).await;
    let mut connection = PgConnection::connect(&app.database.url).await.unwrap();
    // The critical query of the requirements, word for word.
    sqlx::raw_sql("SELECT set_config('role', 'mc_service', false)").execute(&mut connection).await.unwrap();
    let verbatim = "EXPLAIN (ANALYZE, TIMING OFF) SELECT o.*, COUNT(oi.id) as items_count FROM orders o LEFT JOIN order_items oi \
                    ON o.id = oi.order_id WHERE o.user_id = 123 GROUP BY o.id ORDER BY o.created_at DESC LIMIT 10";
    let plan = explained(&mut connection, verbatim.to_owned()).await;
    assert!(plan.contains("orders_user") && !plan.contains("Seq Scan on orders"), "{plan}");
    assert!(!plan.contains("Seq Scan"), "{plan}");

    let statements = orders::statements();
    let sql = |name: &str| statements.iter().find(|(found, _)| *found == name).unwrap().1;
    for (role, user, asked) in [
        (
            "mc_user",
            "42",
            &[
                ("LIST_ORDERS", "('{}', NULL, NULL, 20, 0)"),
                ("LIST_ORDERS", "('{paid}', '2026-01-02Z', NULL, 20, 20)"),
                ("LIST_ORDERS_AFTER", "('{}', NULL, NULL, 21, '2026-01-05Z', 500)"),
                ("LIST_ORDERS_BEFORE", "('{}', NULL, NULL, 21, '2026-01-05Z', 500)"),
                ("COUNT_ORDERS", "('{}', NULL, NULL)"),
                ("GET_ORDER", "(42)"),
                ("ITEMS_OF_ORDER", "(42)"),
                ("HISTORY_OF_ORDER", "(42, 0, 200)"),
                ("LAST_ENTRY", "(42)"),
            ][..],
        ),
        (
            "mc_admin",
            "",
            &[
                ("STAFF_LIST_ORDERS", "('{}', NULL, NULL, 20, 0)"),
                ("STAFF_LIST_ORDERS_OF_USER", "('{}', NULL, NULL, 20, 0, 42)"),
                ("STAFF_LIST_ORDERS_IN_STATUS", "('{paid}', NULL, NULL, 20, 0, 'paid')"),
                ("STAFF_LIST_ORDERS_BY_NUMBER", "('{}', NULL, NULL, 20, 0, 'OLD-42')"),
                ("STAFF_COUNT_ORDERS_OF_USER", "('{}', NULL, NULL, 42)"),
                ("STAFF_COUNT_ORDERS_BY_NUMBER", "('{}', NULL, NULL, 'OLD-42')"),
            ],
        ),
    ] {
        let identify =
            format!("SELECT set_config('role', '{role}', false), set_config('app.user_id', '{user}', false)");
        sqlx::raw_sql("RESET ROLE").execute(&mut connection).await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(identify)).execute(&mut connection).await.unwrap();
        // Prepared statements may go on with a plan for whatever parameters.
        for mode in ["force_custom_plan", "force_generic_plan"] {
            for (name, arguments) in asked {
                let explain = format!(
                    "SET plan_cache_mode = {mode}; PREPARE asked AS {}; EXPLAIN (ANALYZE, TIMING OFF) EXECUTE asked{arguments}",
                    sql(name)
                );
                let plan = explained(&mut connection, explain).await;
                assert!(!plan.contains("Seq Scan on orders"), "{name}{arguments} {mode}:\n{plan}");
                assert!(!plan.contains("Seq Scan on order_"), "{name}{arguments} {mode}:\n{plan}");
                sqlx::raw_sql("DEALLOCATE asked").execute(&mut connection).await.unwrap();
            }
        }
    }
}
