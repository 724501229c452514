//! Each server through its life.

use std::net::{Ipv4Addr, TcpListener};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use data_plane::{
    Auth, Durability, Eviction, Nats, NatsOptions, Port, Postgres, PostgresOptions, Redis, RedisOptions,
    StartError,
};
use sqlx::{Connection as _, PgConnection};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use crate::{folder, gone_within, runs, tools};

async fn ask(url: &str, sql: &'static str) -> anyhow::Result<String> {
    let mut connection = PgConnection::connect(url).await?;
    let answer = sqlx::query_scalar(sql).fetch_one(&mut connection).await?;
    connection.close().await?;
    Ok(answer)
}

/// One command of the text protocols of Redis and NATS, and the first line of the answer.
async fn line(port: u16, command: &str) -> anyhow::Result<String> {
    let mut stream = BufReader::new(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?);
    stream.write_all(command.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_line(&mut answer).await.context("no answer")?;
    Ok(answer.trim_end().to_owned())
}

#[tokio::test]
async fn postgres_keeps_its_data_and_port_over_a_kill_and_a_restart() {
    let (_dir, data) = folder();
    let tools = tools().await;
    let mut postgres = Postgres::start(&tools, &PostgresOptions::new(&data)).await.unwrap();
    let (url, first) = (postgres.admin_url(), postgres.pid().unwrap());
    assert_eq!(ask(&url, "SHOW shared_preload_libraries").await.unwrap(), "pg_stat_statements");
    assert_eq!(ask(&url, "SHOW fsync").await.unwrap(), "off");
    assert_eq!(ask(&url, "SHOW server_encoding").await.unwrap(), "UTF8");
    assert_eq!(ask(&url, "SHOW listen_addresses").await.unwrap(), "127.0.0.1");
    assert_eq!(ask(&url, "SELECT lower('CAFÉ ÀÇÕ')").await.unwrap(), "café àçõ");
    let mut connection = PgConnection::connect(&url).await.unwrap();
    sqlx::query("CREATE TABLE kept AS SELECT 'here'::text AS what").execute(&mut connection).await.unwrap();

    postgres.kill().await.unwrap();
    assert!(!runs(first));
    assert!(ask(&url, "SELECT 'x'").await.is_err());
    postgres.restart().await.unwrap();

    assert_eq!(postgres.admin_url(), url);
    assert_ne!(postgres.pid().unwrap(), first);
    assert_eq!(ask(&url, "SELECT what FROM kept").await.unwrap(), "here");

    let (second, started) = (postgres.pid().unwrap(), Instant::now());
    let _open = PgConnection::connect(&url).await.unwrap();
    postgres.stop().await.unwrap();
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    assert!(!runs(second));
}

#[tokio::test]
async fn a_second_start_on_the_same_folder_finds_data_and_password_again() {
    let (_dir, data) = folder();
    let tools = tools().await;
    let first = Postgres::start(&tools, &PostgresOptions::new(&data)).await.unwrap();
    let mut connection = PgConnection::connect(&first.admin_url()).await.unwrap();
    sqlx::query("CREATE TABLE kept AS SELECT 'here'::text AS what").execute(&mut connection).await.unwrap();
    let password = first.admin_url().split(['@', ':']).nth(2).unwrap().to_owned();
    first.stop().await.unwrap();

    let second = Postgres::start(&tools, &PostgresOptions::new(&data)).await.unwrap();

    assert!(second.admin_url().contains(&password));
    assert_eq!(ask(&second.admin_url(), "SELECT what FROM kept").await.unwrap(), "here");
    second.stop().await.unwrap();
}

#[tokio::test]
async fn a_server_with_passwords_refuses_a_wrong_one_and_none() {
    let (_dir, data) = folder();
    let tools = tools().await;
    let postgres = Postgres::start(&tools, &PostgresOptions::new(&data)).await.unwrap();
    let port = postgres.port();

    for url in [
        format!("postgres://postgres:wrong@127.0.0.1:{port}/postgres"),
        format!("postgres://postgres@127.0.0.1:{port}/postgres"),
    ] {
        let error = ask(&url, "SELECT 'x'").await.unwrap_err();
        assert!(error.to_string().contains("password"), "{error}");
    }
    let mode =
        std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(data.with_extension("password")).unwrap());
    assert_eq!(mode & 0o777, 0o600);
    postgres.stop().await.unwrap();
}

#[tokio::test]
async fn settings_reach_the_server() {
    let (_dir, data) = folder();
    let tools = tools().await;
    let options = PostgresOptions {
        auth: Auth::Trust,
        durability: Durability::Durable,
        max_connections: 33,
        settings: vec![("work_mem".to_owned(), "5MB".to_owned())],
        ..PostgresOptions::new(&data)
    };
    let postgres = Postgres::start(&tools, &options).await.unwrap();
    let url = postgres.admin_url();
    assert_eq!(ask(&url, "SHOW fsync").await.unwrap(), "on");
    assert_eq!(ask(&url, "SHOW max_connections").await.unwrap(), "33");
    assert_eq!(ask(&url, "SHOW work_mem").await.unwrap(), "5MB");
    postgres.stop().await.unwrap();
}

#[tokio::test]
async fn a_folder_belongs_to_one_server_at_a_time() {
    let (_dir, data) = folder();
    let tools = tools().await;
    let first = Redis::start(&tools, &RedisOptions::new(&data)).await.unwrap();
    let second = Redis::start(&tools, &RedisOptions::new(&data)).await;
    assert!(matches!(second, Err(StartError::InUse { .. })), "{second:?}");
    first.stop().await.unwrap();
    Redis::start(&tools, &RedisOptions::new(&data)).await.unwrap().stop().await.unwrap();
}

#[tokio::test]
async fn redis_comes_back_empty_on_its_port() {
    let (_dir, data) = folder();
    let tools = tools().await;
    let options = RedisOptions { memory_mib: 7, eviction: Eviction::Never, ..RedisOptions::new(&data) };
    let mut redis = Redis::start(&tools, &options).await.unwrap();
    let (port, pid) = (redis.port(), redis.pid().unwrap());
    assert_eq!(line(port, "SET a b\r\n").await.unwrap(), "+OK");
    assert_eq!(line(port, "EXISTS a\r\n").await.unwrap(), ":1");

    redis.kill().await.unwrap();
    assert!(redis.has_ended());
    assert!(line(port, "PING\r\n").await.is_err());
    redis.restart().await.unwrap();
    assert_eq!(redis.port(), port);
    assert_eq!(line(port, "EXISTS a\r\n").await.unwrap(), ":0");

    redis.stop().await.unwrap();
    gone_within(pid, Duration::ZERO).await;
    assert!(line(port, "PING\r\n").await.is_err());
}

#[tokio::test]
async fn nats_has_jetstream_and_comes_back_on_its_port() {
    let (_dir, data) = folder();
    let tools = tools().await;
    let mut nats = Nats::start(&tools, &NatsOptions::new(&data)).await.unwrap();
    let port = nats.port();
    assert!(line(port, "").await.unwrap().contains(r#""jetstream":true"#));

    nats.kill().await.unwrap();
    assert!(line(port, "").await.is_err());
    nats.restart().await.unwrap();
    assert!(line(nats.port(), "").await.unwrap().contains(r#""jetstream":true"#));
    assert_eq!(nats.port(), port);

    let started = Instant::now();
    nats.stop().await.unwrap();
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_taken_port_is_passed_over_or_named() {
    let (_dir, data) = folder();
    let tools = tools().await;
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = taken.local_addr().unwrap().port();

    let options = RedisOptions { port: Port::NextFree(port), ..RedisOptions::new(&data) };
    let next = Redis::start(&tools, &options).await.unwrap();
    assert!(next.port() > port);
    next.stop().await.unwrap();

    let options = RedisOptions { port: Port::Fixed(port), ..RedisOptions::new(&data) };
    let error = Redis::start(&tools, &options).await.unwrap_err();
    assert!(matches!(&error, StartError::Ended { log, .. } if log.contains("in use")), "{error}");
}

/// Ours must not be taken for up because somebody else's server answers on the port.
#[tokio::test]
async fn a_foreign_server_on_the_port_is_not_ours() {
    let tools = tools().await;
    let (_dir, data) = folder();
    let foreign = Redis::start(&tools, &RedisOptions::new(&data)).await.unwrap();
    let (_other_dir, other) = folder();

    let options = RedisOptions { port: Port::Fixed(foreign.port()), ..RedisOptions::new(&other) };
    let error = Redis::start(&tools, &options).await.unwrap_err();

    assert!(matches!(error, StartError::Ended { .. }), "{error}");
    foreign.stop().await.unwrap();
}
