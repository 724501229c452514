//! People who are simply there, without having registered, and what is recorded about them.

use events::Event;
use proto::events::v1::PurgeReceipt;
use sqlx::Row as _;

use crate::app::{TestApp, Who};

pub(crate) const CARLA: i64 = 1_001;
pub(crate) const DAVI: i64 = 1_002;
pub(crate) const HELENA: i64 = 1_003;
pub(crate) const OTTO: i64 = 1_004;
/// Nobody has it.
pub(crate) const NO_ONE: i64 = 999_999;

/// The customer of most tests, and one who must not see anything of hers.
pub(crate) fn carla() -> Who {
    Who::user(CARLA, "customer")
}

pub(crate) fn davi() -> Who {
    Who::user(DAVI, "customer")
}

/// An administrator, and another one.
pub(crate) fn helena() -> Who {
    Who::user(HELENA, "admin")
}

pub(crate) fn otto() -> Who {
    Who::user(OTTO, "admin")
}

/// A service where these four are known.
pub(crate) async fn app_with_people() -> TestApp {
    let app = TestApp::start().await;
    settle(&app).await;
    app
}

pub(crate) async fn settle(app: &TestApp) {
    app.sql(
        "INSERT INTO users (id, email, name, role, email_verified_at) VALUES
           (1001, 'Carla@Example.com', 'Carla Prado',   'customer', now()),
           (1002, 'davi@example.com',  'Davi Nogueira', 'customer', now()),
           (1003, 'helena@shop.test',  'Helena Costa',  'admin',    now()),
           (1004, 'otto@shop.test',    'Otto Klein',    'admin',    now())",
    )
    .await;
}

/// Every recorded event in order: its subject, its aggregate's version and its tags.
pub(crate) async fn events(app: &TestApp) -> Vec<(String, i64, Vec<String>)> {
    let rows = sqlx::query("SELECT subject, aggregate_version, tags FROM outbox ORDER BY seq");
    let rows = rows.fetch_all(&mut app.admin().await).await.unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect()
}

/// Every recorded event as it is published.
pub(crate) async fn payloads(app: &TestApp) -> Vec<Event> {
    let rows = sqlx::query_scalar("SELECT payload FROM outbox ORDER BY seq");
    let rows: Vec<Vec<u8>> = rows.fetch_all(&mut app.admin().await).await.unwrap();
    rows.iter().map(|payload| Event::decode(payload).unwrap()).collect()
}

/// The tags of the receipts, in order.
pub(crate) fn tags(receipts: &[PurgeReceipt]) -> Vec<&str> {
    assert!(receipts.iter().all(|receipt| receipt.commit_lsn > 0));
    receipts.iter().flat_map(|receipt| receipt.tags.iter().map(String::as_str)).collect()
}
