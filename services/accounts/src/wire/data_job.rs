//! Data jobs of the contract, written from rows.

use proto::accounts::v1 as pb;

use super::timestamp;
use crate::store::data_jobs::DataJob;

/// A job as whoever asked for it sees it.
pub(crate) fn data_job(job: DataJob) -> pb::DataJob {
    pb::DataJob {
        id: job.id.to_string(),
        kind: kind(&job.kind).into(),
        state: state(&job.state).into(),
        created_at: Some(timestamp(job.created_at)),
        finished_at: job.finished_at.map(timestamp),
        document_json: job.document,
        failure: job.failure,
    }
}

fn kind(word: &str) -> pb::DataJobKind {
    match word {
        "export" => pb::DataJobKind::Export,
        "erasure" => pb::DataJobKind::Erasure,
        _ => pb::DataJobKind::Unspecified,
    }
}

fn state(word: &str) -> pb::DataJobState {
    match word {
        "pending" => pb::DataJobState::Pending,
        "running" => pb::DataJobState::Running,
        "done" => pb::DataJobState::Done,
        "failed" => pb::DataJobState::Failed,
        _ => pb::DataJobState::Unspecified,
    }
}
