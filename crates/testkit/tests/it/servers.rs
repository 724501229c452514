//! Servers of a test's own, through the clients that the product uses.

use std::time::Duration;

use futures_util::StreamExt as _;
use redis::AsyncCommands as _;
use sqlx::{Connection as _, PgConnection};
use testkit::{Nats, Postgres, Redis, eventually};

const LONG: Duration = Duration::from_secs(20);

#[tokio::test]
async fn redis_is_killed_and_comes_back_empty() {
    let server = Redis::start().await;
    let client = redis::Client::open(server.url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let () = connection.set("key", "value").await.unwrap();

    server.kill().await;
    assert!(connection.get::<_, Option<String>>("key").await.is_err());
    server.restart().await;

    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    assert_eq!(connection.get::<_, Option<String>>("key").await.unwrap(), None);
}

#[tokio::test]
async fn two_redis_do_not_share_keys() {
    let (one, other) = tokio::join!(Redis::start(), Redis::start());
    let mut in_one =
        redis::Client::open(one.url()).unwrap().get_multiplexed_async_connection().await.unwrap();
    let mut in_other =
        redis::Client::open(other.url()).unwrap().get_multiplexed_async_connection().await.unwrap();
    let () = in_one.set("key", "value").await.unwrap();
    assert_eq!(in_other.get::<_, Option<String>>("key").await.unwrap(), None);
}

#[tokio::test]
async fn nats_keeps_its_streams_over_a_kill_and_loses_them_when_told() {
    let server = Nats::start().await;
    let client = async_nats::connect(server.url()).await.unwrap();
    let jetstream = async_nats::jetstream::new(client);
    let config = async_nats::jetstream::stream::Config {
        name: "KEPT".to_owned(),
        subjects: vec!["kept.>".to_owned()],
        ..Default::default()
    };
    jetstream.create_stream(config).await.unwrap();
    jetstream.publish("kept.one", "x".into()).await.unwrap().await.unwrap();

    server.kill().await;
    server.restart().await;
    let messages = eventually(LONG, "the stream is back", async || {
        let stream = jetstream.get_stream("KEPT").await.ok()?;
        Some(stream.cached_info().state.messages)
    })
    .await;
    assert_eq!(messages, 1);

    server.restart_empty().await;
    let names = eventually(LONG, "JetStream answers", async || {
        jetstream.stream_names().collect::<Vec<_>>().await.into_iter().collect::<Result<Vec<_>, _>>().ok()
    })
    .await;
    assert_eq!(names, Vec::<String>::new());
}

#[tokio::test]
async fn a_postgres_of_ones_own_loses_no_commit_when_it_is_killed() {
    let server = Postgres::start().await;
    let mut connection = PgConnection::connect(&server.admin_url()).await.unwrap();
    sqlx::raw_sql("CREATE TABLE kept AS SELECT 1 AS one").execute(&mut connection).await.unwrap();

    server.kill().await;
    assert!(connection.ping().await.is_err());
    server.restart().await;

    let mut connection = PgConnection::connect(&server.admin_url()).await.unwrap();
    let one: i32 = sqlx::query_scalar("SELECT one FROM kept").fetch_one(&mut connection).await.unwrap();
    assert_eq!(one, 1);
}
