//! `mestres serve <service>`: one service in this process, from its settings to its last answer.

mod lifeline;

use anyhow::Context as _;
use bootstrap::Shutdown;
use bootstrap::telemetry::{self, TelemetryConfig};

use crate::cli;
use crate::service::Service;
pub(crate) use lifeline::SUPERVISED;

pub(crate) fn run(service: Service) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("no runtime")?;
    runtime.block_on(async {
        let telemetry = telemetry::init(service.name(), &TelemetryConfig::from_env()?)?;
        let outcome = until_shutdown(service).await;
        if let Err(error) = &outcome {
            tracing::error!(error = cli::in_full(error), "{service} ends");
        }
        // On success and on failure: the last spans and lines are the ones that matter.
        telemetry.shutdown().await;
        outcome
    })
}

async fn until_shutdown(service: Service) -> anyhow::Result<()> {
    let shutdown = Shutdown::on_signals()?;
    if bootstrap::config::optional(lifeline::SUPERVISED).is_some() {
        lifeline::follow(std::io::stdin(), shutdown.clone())?;
    }
    match service {
        Service::Gateway => {
            let app = gateway::App::build(gateway::Config::from_env()?).await?;
            app.run(shutdown).await
        }
        Service::Catalog => {
            let app = catalog::App::build(catalog::Config::from_env()?).await?;
            app.run(shutdown).await
        }
        Service::Metrics => {
            let app = metrics::App::build(metrics::Config::from_env()?).await?;
            app.run(shutdown).await
        }
        Service::CacheInvalidator => {
            let app = cache_invalidator::App::build(cache_invalidator::Config::from_env()?).await?;
            app.run(shutdown).await
        }
        Service::Accounts => {
            let app = accounts::App::build(accounts::Config::from_env()?).await?;
            app.run(shutdown).await
        }
        Service::Agenda => {
            let app = agenda::App::build(agenda::Config::from_env()?).await?;
            app.run(shutdown).await
        }
        Service::Notifications => {
            let app = notifications::App::build(notifications::Config::from_env()?).await?;
            app.run(shutdown).await
        }
        Service::Orders => {
            let app = orders::App::build(orders::Config::from_env()?).await?;
            app.run(shutdown).await
        }
        Service::PaymentsSandbox => {
            let app = payments_sandbox::App::build(payments_sandbox::Config::from_env()?).await?;
            app.run(shutdown).await
        }
    }
}
