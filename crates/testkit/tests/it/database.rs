//! Databases per test.

use std::time::Duration;

use sqlx::migrate::Migrator;
use sqlx::{Connection as _, PgConnection, Row as _};
use testkit::{database, eventually, postgres};

static MIGRATOR: Migrator = sqlx::migrate!("tests/it/migrations");

async fn notes(connection: &mut PgConnection) -> i64 {
    let count = sqlx::query("SELECT count(*) FROM kit.notes").fetch_one(connection).await;
    count.expect("the superuser can count").get(0)
}

#[tokio::test]
async fn clones_do_not_see_each_other() {
    let (one, other) = tokio::join!(database("kit", &MIGRATOR), database("kit", &MIGRATOR));
    assert_ne!(one.name, other.name);
    let (mut in_one, mut in_other) = (one.admin().await, other.admin().await);

    sqlx::query("INSERT INTO kit.notes (text) VALUES ('mine')").execute(&mut in_one).await.unwrap();

    assert_eq!(notes(&mut in_one).await, 1);
    assert_eq!(notes(&mut in_other).await, 0);
    let third = database("kit", &MIGRATOR).await;
    assert_eq!(notes(&mut third.admin().await).await, 0, "the template stays as it was migrated");
}

#[tokio::test]
async fn the_login_of_the_service_works_as_in_production() {
    let database = database("kit", &MIGRATOR).await;
    let mut login = PgConnection::connect(&database.url).await.unwrap();
    let row = sqlx::query(
        "SELECT current_user::text, current_setting('search_path'), current_setting('lock_timeout')",
    )
    .fetch_one(&mut login)
    .await
    .unwrap();
    assert_eq!(row.get::<String, _>(0), "mc_kit");
    assert_eq!(row.get::<String, _>(1), "kit, app, public", "settings of the database are cloned, too");
    assert_eq!(row.get::<String, _>(2), "500ms");

    let refused = sqlx::query("SELECT count(*) FROM kit.notes").fetch_one(&mut login).await.unwrap_err();
    assert!(refused.to_string().contains("permission denied"), "{refused}");
    sqlx::raw_sql("BEGIN; SET LOCAL ROLE mc_user; INSERT INTO notes (text) VALUES ('x'); COMMIT")
        .execute(&mut login)
        .await
        .unwrap();
    assert_eq!(notes(&mut database.admin().await).await, 1);
}

#[tokio::test]
async fn another_services_login_stays_out() {
    let database = database("kit", &MIGRATOR).await;
    let mut admin = database.admin().await;
    let may: bool =
        sqlx::query_scalar("SELECT has_database_privilege('public', current_database(), 'CONNECT')")
            .fetch_one(&mut admin)
            .await
            .unwrap();
    assert!(!may, "the grants of the database are cloned, too");
}

#[tokio::test]
async fn the_migrating_login_may_become_the_owner() {
    let database = database("kit", &MIGRATOR).await;
    let mut owner = PgConnection::connect(&database.owner_url).await.unwrap();
    sqlx::raw_sql("SET ROLE mc_owner; ALTER TABLE kit.notes ADD COLUMN extra int")
        .execute(&mut owner)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_database_goes_with_its_test() {
    let database = database("kit", &MIGRATOR).await;
    let name = database.name.clone();
    // A pool that a test forgot keeps nothing alive.
    let _open = database.admin().await;
    drop(database);

    let mut admin = PgConnection::connect(&postgres().await.admin_url).await.unwrap();
    eventually(Duration::from_secs(20), "the database is dropped", async || {
        let found: bool = sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)")
            .bind(&name)
            .fetch_one(&mut admin)
            .await
            .unwrap();
        (!found).then_some(())
    })
    .await;
}
