//! The generated trait: request to handler, error to status.

use std::sync::Arc;

use latency::MESSAGE_BYTES_MAX;
use proto::metrics::v1::{
    QueryRequest, QueryResponse, ReportRequest, ReportResponse,
    metrics_service_server::{MetricsService, MetricsServiceServer},
};
use tonic::{Request, Response, Status, Streaming};

use crate::{error::Error, handlers, state::State};

/// The service as tonic serves it.
#[derive(Debug)]
pub(crate) struct Grpc {
    state: Arc<State>,
}

impl Grpc {
    pub(crate) fn server(state: Arc<State>) -> MetricsServiceServer<Grpc> {
        MetricsServiceServer::new(Grpc { state }).max_decoding_message_size(MESSAGE_BYTES_MAX)
    }
}

#[tonic::async_trait]
impl MetricsService for Grpc {
    async fn report(
        &self,
        request: Request<Streaming<ReportRequest>>,
    ) -> Result<Response<ReportResponse>, Status> {
        let response = handlers::report::report(&self.state, request.into_inner()).await?;
        Ok(Response::new(response))
    }

    async fn query(&self, request: Request<QueryRequest>) -> Result<Response<QueryResponse>, Status> {
        let response = handlers::query::query(Arc::clone(&self.state), request.into_inner()).await?;
        Ok(Response::new(response))
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Status {
        let message = error.to_string();
        match error {
            Error::LayoutUnknown(_) => Status::failed_precondition(message),
            Error::Invalid(_) | Error::Series { .. } | Error::SeriesUnknown(_) => {
                Status::invalid_argument(message)
            }
            Error::TooMany { .. } => Status::resource_exhausted(message),
            Error::Draining => Status::unavailable(message),
            Error::Stream(status) => *status,
            Error::Internal(_) => {
                tracing::error!(error = &error as &dyn std::error::Error, "a question was not answered");
                Status::internal(message)
            }
        }
    }
}
