//! No server outlives its owner, however that ends.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use data_plane::{Nats, NatsOptions, Postgres, PostgresOptions, Redis, RedisOptions};

use crate::{folder, gone_within, runs, tools};

/// Not a test by itself: the owner that the tests below kill. It starts all three servers, says their process
/// ids, and waits to be killed.
#[tokio::test]
#[ignore = "run by the tests of this module, as a process of its own"]
async fn owner() {
    let (_dir, data) = folder();
    let tools = tools().await;
    let postgres =
        Postgres::start(&tools, &PostgresOptions::new(data.with_file_name("postgres"))).await.unwrap();
    let redis = Redis::start(&tools, &RedisOptions::new(data.with_file_name("redis"))).await.unwrap();
    let nats = Nats::start(&tools, &NatsOptions::new(data.with_file_name("nats"))).await.unwrap();
    println!("pids {} {} {}", postgres.pid().unwrap(), redis.pid().unwrap(), nats.pid().unwrap());
    println!("folder {}", data.parent().unwrap().display());
    tokio::time::sleep(Duration::from_secs(60)).await;
}

#[tokio::test]
async fn servers_end_with_an_owner_that_is_killed() {
    let mut owner = Command::new(std::env::current_exe().unwrap())
        .args(["orphans::owner", "--exact", "--ignored", "--nocapture"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(owner.stdout.take().unwrap()).lines().map(Result::unwrap);
    let pids = lines.find_map(|line| line.split_once("pids ").map(|(_, rest)| rest.to_owned())).unwrap();
    let pids: Vec<u32> = pids.split_whitespace().map(|pid| pid.parse().unwrap()).collect();
    let folder = lines.find_map(|line| line.split_once("folder ").map(|(_, rest)| rest.to_owned())).unwrap();
    assert_eq!(pids.len(), 3);
    assert!(pids.iter().all(|pid| runs(*pid)));

    owner.kill().unwrap();
    owner.wait().unwrap();

    for pid in pids {
        gone_within(pid, Duration::from_secs(3)).await;
    }
    std::fs::remove_dir_all(folder).unwrap();
}

#[tokio::test]
async fn servers_end_with_a_handle_that_is_dropped() {
    let (_dir, data) = folder();
    let tools = tools().await;
    let redis = Redis::start(&tools, &RedisOptions::new(&data)).await.unwrap();
    let pid = redis.pid().unwrap();
    drop(redis);
    gone_within(pid, Duration::from_secs(3)).await;
}

/// When even the supervising shell was killed, the next start finds the server by its pid file.
#[tokio::test]
async fn a_leftover_is_stopped_by_the_next_start() {
    let (_dir, data) = folder();
    let tools = tools().await;
    let redis = Redis::start(&tools, &RedisOptions::new(&data)).await.unwrap();
    let pid = redis.pid().unwrap();
    // A lifeline that is never dropped: the server stays though its handle is gone.
    let lifeline = redis.into_lifeline().unwrap();
    assert!(runs(pid));

    let second = Redis::start(&tools, &RedisOptions::new(&data)).await.unwrap();

    assert!(!runs(pid));
    assert_ne!(second.pid().unwrap(), pid);
    drop(lifeline);
    second.stop().await.unwrap();
}
