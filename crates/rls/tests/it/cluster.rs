//! The cluster's roles and databases.

use rls::cluster::{ClusterError, ServiceDatabase, prepare};
use sqlx::{Connection as _, PgConnection};

fn service(name: &'static str) -> ServiceDatabase {
    ServiceDatabase { service: name, password: "it's a \\ secret".to_owned() }
}

#[tokio::test]
async fn preparing_twice_and_at_once_is_preparing_once() {
    let shared = testkit::postgres().await;
    let databases = [service("clustera"), service("clusterb")];
    let (one, two) = tokio::join!(
        prepare(&shared.admin_url, "test", &databases),
        prepare(&shared.admin_url, "test", &databases)
    );
    one.expect("prepared");
    two.expect("prepared again");

    // A login reaches its own database and no other.
    let own = PgConnection::connect(&shared.url_of("mc_clustera", "unused", "mc_clustera")).await;
    let mut own = own.expect("its own database");
    let foreign = PgConnection::connect(&shared.url_of("mc_clustera", "unused", "mc_clusterb")).await;
    assert!(foreign.is_err(), "another service's database");

    // It has limits, and no rights of its own.
    let settings: (String, String, bool) = sqlx::query_as(
        "SELECT current_setting('statement_timeout'), current_setting('idle_in_transaction_session_timeout'),
                (SELECT rolsuper OR rolbypassrls OR rolinherit OR rolcreatedb FROM pg_roles WHERE rolname = session_user)",
    )
    .fetch_one(&mut own)
    .await
    .expect("it may ask");
    assert_eq!(settings, ("2s".to_owned(), "3s".to_owned(), false));
    let created = sqlx::query("CREATE TABLE public.mine (id int)").execute(&mut own).await;
    assert!(created.is_err(), "a service may not create tables");
}

#[tokio::test]
async fn names_that_are_no_word_are_refused() {
    let shared = testkit::postgres().await;
    for name in ["", "Catalog", "cat;alog", "catalog1", "cat alog"] {
        let refused = prepare(&shared.admin_url, "test", &[service(name)]).await;
        assert!(matches!(refused, Err(ClusterError::ServiceName(_))), "{name}");
    }
}

#[test]
fn passwords_stay_out_of_logs() {
    assert!(!format!("{:?}", service("catalog")).contains("secret"));
}
