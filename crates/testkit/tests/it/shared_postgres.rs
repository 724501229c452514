//! One PostgreSQL for all test processes of a run.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use sqlx::Connection as _;
use sqlx::PgConnection;
use testkit::{eventually, postgres};

/// Not a test by itself: another test process, which says where its server is and waits to be killed.
#[tokio::test]
#[ignore = "run by the tests of this module, as a process of its own"]
async fn other_process() {
    println!("url {}", postgres().await.admin_url);
    tokio::time::sleep(Duration::from_secs(60)).await;
}

fn start_other() -> (Child, String) {
    let mut other = Command::new(std::env::current_exe().expect("a process has a program"))
        .args(["shared_postgres::other_process", "--exact", "--ignored", "--nocapture"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the test program starts");
    let stdout = other.stdout.take().expect("it was asked for");
    let url = BufReader::new(stdout)
        .lines()
        .map_while(Result::ok)
        .find_map(|line| line.split_once("url ").map(|(_, url)| url.to_owned()));
    (other, url.expect("the other process names its server"))
}

#[tokio::test]
async fn two_processes_share_one_server_and_a_killed_one_takes_nothing_with_it() {
    let ours = &postgres().await.admin_url;
    let (mut other, theirs) = start_other();
    assert_eq!(theirs, *ours);

    other.kill().unwrap();
    other.wait().unwrap();

    // Longer than the keeper takes to notice.
    let mut connection = PgConnection::connect(ours).await.unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    connection.ping().await.unwrap();
    PgConnection::connect(ours).await.unwrap();
}

#[tokio::test]
async fn many_tests_of_a_process_share_one_server() {
    let urls = futures_util::future::join_all((0..20).map(|_| async { &postgres().await.admin_url })).await;
    assert!(urls.iter().all(|url| *url == urls[0]));
    let mut connection = PgConnection::connect(urls[0]).await.unwrap();
    let preloaded: String =
        sqlx::query_scalar("SHOW shared_preload_libraries").fetch_one(&mut connection).await.unwrap();
    assert_eq!(preloaded, "pg_stat_statements");
    eventually(Duration::from_secs(5), "statements run", async || connection.ping().await.ok()).await;
}
