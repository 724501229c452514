//! A service with people and with services for it to ask, and waiting for the work that it does by itself.

use std::time::Duration;

use proto::accounts::v1::*;
use testkit::eventually;

use crate::app::{TestApp, Who};
use crate::peers::Peers;
use crate::people::settle;

/// Longer than any job takes on a busy machine, pauses between attempts and leases included.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// A service with people, and services for it to ask.
pub(crate) async fn app_with_peers() -> (TestApp, Peers) {
    let peers = Peers::start().await;
    let app = TestApp::start_with(|config| ask(config, &peers)).await;
    peers.trust(&app.keys.assertions_file);
    settle(&app).await;
    (app, peers)
}

/// Another process of the same service.
pub(crate) async fn another_process(of: &TestApp, peers: &Peers) -> TestApp {
    TestApp::start_with(|config| {
        ask(config, peers);
        config.database_url = of.database.url.clone();
        config.assertion_key_file = of.keys.assertion_key_file("accounts");
    })
    .await
}

fn ask(config: &mut accounts::Config, peers: &Peers) {
    config.agenda_url = format!("http://{}", peers.addr);
    config.notifications_url = format!("http://{}", peers.addr);
    config.orders_url = format!("http://{}", peers.addr);
}

pub(crate) async fn export(app: &TestApp, who: Who) -> DataJob {
    app.request_export(who, RequestExportRequest {}).await.unwrap().job.unwrap()
}

pub(crate) async fn erasure(app: &TestApp, who: Who) -> DataJob {
    app.request_erasure(who, RequestErasureRequest {}).await.unwrap().job.unwrap()
}

pub(crate) async fn job(app: &TestApp, who: Who, id: &str) -> DataJob {
    app.get_data_job(who, GetDataJobRequest { id: id.to_owned() }).await.unwrap().job.unwrap()
}

pub(crate) async fn finished(app: &TestApp, who: Who, id: &str) -> DataJob {
    let look = async || {
        let job = job(app, who.clone(), id).await;
        job.finished_at.is_some().then_some(job)
    };
    eventually(PATIENCE, "the job is finished", look).await
}

/// Waits until every mail has been taken.
pub(crate) async fn no_mail_waits(app: &TestApp) {
    let look = async || (app.count("SELECT count(*) FROM mail_jobs").await == 0).then_some(());
    eventually(PATIENCE, "no mail waits", look).await;
}
