//! A gRPC service whose handlers do what a test tells them, and a server around it.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bootstrap::{Health, Shutdown, grpc::Server};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
    trace_service_client::TraceServiceClient,
    trace_service_server::{TraceService, TraceServiceServer},
};
use tokio::{net::TcpStream, sync::Notify, task::JoinHandle};
use tonic::{Request, Response, Status, service::Routes, transport::Channel};

/// What the handler does; carried in the request's `behave` metadata.
pub(crate) const BEHAVE: &str = "behave";

/// Handlers that other tests watch.
#[derive(Debug, Default)]
pub(crate) struct Probe {
    /// A handler that waits was entered.
    pub(crate) entered: Notify,
    /// Lets a handler that waits answer.
    pub(crate) release: Notify,
    /// A handler that waits was dropped before it could answer.
    pub(crate) dropped: Notify,
}

struct Handler(Arc<Probe>);

#[tonic::async_trait]
impl TraceService for Handler {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let behave = request.metadata().get(BEHAVE).and_then(|value| value.to_str().ok()).unwrap_or("answer");
        match behave {
            "answer" => tracing::info_span!("inside the handler").in_scope(|| {}),
            "panic" => panic!("as the test asked"),
            "wait" => {
                let mut guard = DropGuard(Some(&self.0));
                self.0.entered.notify_one();
                self.0.release.notified().await;
                guard.0 = None;
            }
            "remaining" => {
                let left = bootstrap::grpc::remaining(&request);
                let peer = request.remote_addr().map(|peer| peer.ip().to_string()).unwrap_or_default();
                let mut response = Response::new(ExportTraceServiceResponse::default());
                response.metadata_mut().insert("left-ms", u64::try_from(left.as_millis()).unwrap().into());
                response.metadata_mut().insert("peer", peer.parse().unwrap());
                return Ok(response);
            }
            other => return Err(Status::not_found(other)),
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

struct DropGuard<'a>(Option<&'a Arc<Probe>>);

impl Drop for DropGuard<'_> {
    fn drop(&mut self) {
        if let Some(probe) = self.0 {
            probe.dropped.notify_one();
        }
    }
}

/// The probe behind a real server.
pub(crate) struct TestServer {
    pub(crate) address: SocketAddr,
    pub(crate) probe: Arc<Probe>,
    pub(crate) health: Health,
    pub(crate) shutdown: Shutdown,
    serving: JoinHandle<anyhow::Result<()>>,
}

impl TestServer {
    pub(crate) async fn start() -> Self {
        Self::start_with(Shutdown::manual()).await
    }

    pub(crate) async fn start_with(shutdown: Shutdown) -> Self {
        let probe = Arc::new(Probe::default());
        let health = Health::new();
        let server = Server::bind("127.0.0.1:0").await.unwrap();
        let address = server.local_addr();
        let routes = Routes::new(TraceServiceServer::new(Handler(Arc::clone(&probe))));
        let serving = server.serve(routes, health.clone(), proto::FILE_DESCRIPTOR_SET, shutdown.clone());
        Self { address, probe, health, shutdown, serving: tokio::spawn(serving) }
    }

    pub(crate) fn channel(&self) -> Channel {
        bootstrap::grpc::channel(&format!("http://{}", self.address)).unwrap()
    }

    pub(crate) fn client(&self) -> TraceServiceClient<Channel> {
        TraceServiceClient::new(self.channel())
    }

    /// A bare TCP connection.
    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Waits for `serve` to return.
    pub(crate) async fn ended(self, within: Duration) {
        tokio::time::timeout(within, self.serving)
            .await
            .expect("the server did not end in time")
            .unwrap()
            .unwrap();
    }
}

/// A request that makes the handler behave so.
pub(crate) fn request(behave: &'static str, deadline: Duration) -> Request<ExportTraceServiceRequest> {
    let mut request = bootstrap::grpc::request(ExportTraceServiceRequest::default(), deadline, None);
    request.metadata_mut().insert(BEHAVE, behave.parse().unwrap());
    request
}
