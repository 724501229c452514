//! What SIGTERM and SIGINT do to a process.

use std::time::Duration;

use bootstrap::{
    Shutdown,
    telemetry::{self, TelemetryConfig},
};
use nix::sys::signal::Signal;

use crate::{
    child::Running,
    probe::{TestServer, request},
};

/// Far below the 20 s after which the process would end by itself.
const SOON: Duration = Duration::from_secs(10);

#[tokio::test]
async fn a_signal_ends_a_process_that_has_nothing_to_do() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let mut process = Running::start("signals::an_idle_process", &[]);
        process.says("up").await;
        process.signal(signal);
        process.ends(SOON).await;
    }
}

#[tokio::test]
#[ignore = "the child of a_signal_ends_a_process_that_has_nothing_to_do"]
async fn an_idle_process() {
    let telemetry = telemetry::init("story", &TelemetryConfig::from_env().unwrap()).unwrap();
    let server = TestServer::start_with(Shutdown::on_signals().unwrap()).await;
    tracing::info!("up");
    server.ended(Duration::from_secs(60)).await;
    telemetry.shutdown().await;
}

#[tokio::test]
async fn the_second_signal_does_not_wait_for_calls_in_flight() {
    let mut process = Running::start("signals::a_busy_process", &[]);
    process.says("busy").await;
    process.signal(Signal::SIGTERM);
    process.says("SIGTERM: draining").await;
    process.signal(Signal::SIGTERM);
    process.says("second signal: dropping every connection").await;
    process.ends(SOON).await;
}

#[tokio::test]
#[ignore = "the child of the_second_signal_does_not_wait_for_calls_in_flight"]
async fn a_busy_process() {
    let telemetry = telemetry::init("story", &TelemetryConfig::from_env().unwrap()).unwrap();
    let server = TestServer::start_with(Shutdown::on_signals().unwrap()).await;
    let mut client = server.client();
    let hanging =
        tokio::spawn(
            async move { client.export(request("wait", Duration::from_secs(60))).await.unwrap_err() },
        );
    server.probe.entered.notified().await;
    tracing::info!("busy");
    server.ended(Duration::from_secs(60)).await;
    assert_eq!(hanging.await.unwrap().message(), "draining");
    telemetry.shutdown().await;
}
