//! A backlog as long as a busy shop makes while a receiver is away for days.

use sqlx::Row as _;
use uuid::Uuid;

use super::Hooks;
use super::receiver::Receiver;

/// Open deliveries of the receiver that is away: half about one product, half about others.
const OPEN: i64 = 50_000;

#[tokio::test]
async fn what_is_due_is_found_by_index_however_much_is_not() {
    let hooks = Hooks::start().await;
    let (away, here) = (Receiver::start().await, Receiver::start().await);
    let (waiting, _) = hooks.endpoint(&away, &["price.*"]).await;
    let (endpoint, _) = hooks.endpoint(&here, &["product.*"]).await;
    let backlog = format!(
        "INSERT INTO webhook_deliveries (id, endpoint_id, event_id, type, aggregate, aggregate_id, aggregate_version,
                                         body, status, attempts, next_attempt_at, created_at)
         SELECT gen_random_uuid(), {}, gen_random_uuid(), 'price.changed', 'price',
                CASE WHEN n % 2 = 0 THEN '0' ELSE n::text END, n, '', 'failed', 5, now() + interval '20 hours', now()
           FROM generate_series(1, {OPEN}) n",
        waiting.id
    );
    hooks.world.sql(&backlog).await;
    hooks.world.sql("VACUUM ANALYZE webhook_deliveries").await;

    let event = hooks.updated(5, 1).await;
    hooks.delivery(endpoint.id, &event, "delivered").await;
    assert!(away.received().is_empty());

    let (_, claim) = notifications::statements().into_iter().find(|(name, _)| *name == "CLAIM").unwrap();
    let mut admin = hooks.world.admin().await;
    let explain = sqlx::AssertSqlSafe(format!("EXPLAIN ANALYZE {claim}"));
    let lines = sqlx::query(explain)
        .bind(hooks.clock.now())
        .bind(Uuid::now_v7())
        .bind(hooks.clock.now())
        .bind(2_i64)
        .bind(200_i64)
        .fetch_all(&mut admin)
        .await
        .unwrap();
    let plan: Vec<String> = lines.iter().map(|line| line.get(0)).collect();
    let plan = plan.join("\n");
    assert!(plan.contains("using webhook_deliveries_open"), "{plan}");
    assert!(!plan.contains("Seq Scan on webhook_deliveries"), "{plan}");
}
