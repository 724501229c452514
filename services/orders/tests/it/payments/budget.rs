//! How many statements a payment costs, counted by the database.

use crate::app::{ANA, TestApp};
use crate::payments::{card, route};

/// What is done beside calls; everything else counts.
const BACKGROUND: &str = "SKIP LOCKED|pg_notify|pg_is_in_recovery|pg_try_advisory_lock|published_at|LAST_ENTR|FROM order_history WHERE order_id = ANY";

#[tokio::test]
async fn a_payment_costs_fourteen_statements_whatever_it_is_for() {
    let app = TestApp::start_with(|config| config.sweep_every = std::time::Duration::from_secs(3_600)).await;
    app.sql("CREATE EXTENSION IF NOT EXISTS pg_stat_statements").await;
    for variant in 1..=20 {
        app.shelf(variant, 1_500, 100).await;
    }
    let mut costs = Vec::new();
    for lines in [1, 20] {
        let goods: Vec<(i64, i32)> = (1..=lines).map(|variant| (variant, 1)).collect();
        let order = app.order_of(ANA, &goods).await;
        app.sql(
            "SELECT pg_stat_statements_reset(0, (SELECT oid FROM pg_database WHERE datname = current_database()), 0)",
        )
        .await;
        let request = app.keyed(ANA, card(order.id, "pm_card_visa"), &route(order.id), &format!("k-{lines}"));
        let answer = app.checkouts.clone().pay(request).await.unwrap().into_inner();
        assert_eq!(answer.payment.unwrap().status, "succeeded");
        let statements: Vec<(String, i64)> = sqlx::query_as(
            "SELECT query, calls FROM pg_stat_statements
              WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
                AND userid IN ('mc_user'::regrole, 'mc_service'::regrole) AND toplevel
                AND query !~* '^(begin|savepoint|release|commit|rollback)' AND query !~ 'set_config'
                AND query !~ '^SELECT \\$1(::bigint)?$' AND query !~ 'pg_current_wal_insert_lsn' AND query !~ $1",
        )
        .bind(BACKGROUND)
        .fetch_all(&mut app.admin().await)
        .await
        .unwrap();
        let calls: i64 = statements.iter().map(|(_, calls)| calls).sum();
        assert!((8..=14).contains(&calls), "{calls}: {statements:#?}");
        costs.push(calls);
    }
    assert_eq!(costs[0], costs[1], "the number of lines does not matter");
}
