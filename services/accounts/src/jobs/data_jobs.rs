//! The queue of what people ask of their data.

use std::time::Duration;

use rls::{Caller, Class};

use super::{Found, Workshop, erasure, export, pause_after};
use crate::domain::data_job::{DataJobKind, JobFailure};
use crate::error::Error;
use crate::store::data_jobs::{self, Claimed};

/// Longer than all steps of a job may take together: each has a deadline of its own.
const LEASE: Duration = Duration::from_secs(60);
const DEADLINE: Duration = Duration::from_secs(5);
/// With pauses that double up to ten minutes, more than an hour of somebody's absence.
const ATTEMPTS_MAX: i32 = 15;

/// Why an attempt came to nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum Setback {
    /// It makes no sense to try again.
    #[error("the job is not possible: {}", .0.as_str())]
    Final(JobFailure),
    /// A service did not answer.
    #[error("a service did not answer: {}", .failure.as_str())]
    Peer {
        failure: JobFailure,
        #[source]
        status: Box<tonic::Status>,
    },
    /// Our database did not do it.
    #[error("a step of the job failed")]
    Store(#[from] Error),
}

impl Setback {
    /// The word for a job that is given up for this.
    fn failure(&self) -> JobFailure {
        match self {
            Self::Final(failure) | Self::Peer { failure, .. } => *failure,
            Self::Store(_) => JobFailure::Internal,
        }
    }
}

impl From<rls::DatabaseError> for Setback {
    fn from(error: rls::DatabaseError) -> Self {
        Self::Store(error.into())
    }
}

impl From<sqlx::Error> for Setback {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

/// Takes one job of this kind that is due and works on it.
pub(super) async fn once(workshop: &Workshop, kind: DataJobKind) -> Found {
    let claimed = workshop
        .db
        .run(&Caller::Service, Class::Worker, DEADLINE, move |tx| {
            Box::pin(async move { Ok::<_, Error>(data_jobs::claim(tx, kind, LEASE).await?) })
        })
        .await;
    let job = match claimed {
        Ok(claimed) => match claimed.value {
            Some(job) => job,
            None => return Found::Nothing,
        },
        Err(error) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "data jobs could not be looked for");
            return Found::Nothing;
        }
    };
    let outcome = match kind {
        DataJobKind::Export => export::work(workshop, &job).await,
        DataJobKind::Erasure => erasure::work(workshop, &job).await,
    };
    match outcome {
        Ok(()) => {
            workshop.counters.data_jobs_done.increment();
            tracing::info!(job.id = %job.id, job.kind = kind.as_str(), "a data job is done");
        }
        Err(setback) => set_back(workshop, kind, job, &setback).await,
    }
    Found::Work
}

/// What becomes of a job after a setback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    GivenUp,
    Again,
}

/// Another attempt later, or none any more.
async fn set_back(workshop: &Workshop, kind: DataJobKind, job: Claimed, setback: &Setback) {
    let last = matches!(setback, Setback::Final(_)) || job.attempts >= ATTEMPTS_MAX;
    let fate = if last { Fate::GivenUp } else { Fate::Again };
    log(kind, &job, setback, fate);
    if fate == Fate::GivenUp {
        workshop.counters.data_jobs_failed.increment();
    }
    let failure = setback.failure();
    let noted = workshop
        .db
        .run(&Caller::Service, Class::Worker, DEADLINE, move |tx| {
            Box::pin(async move {
                match fate {
                    Fate::GivenUp => data_jobs::fail(tx, &job, failure).await?,
                    Fate::Again => data_jobs::retry(tx, &job, pause_after(job.attempts)).await?,
                }
                Ok::<_, Error>(())
            })
        })
        .await;
    if let Err(error) = noted {
        // The lease ends by itself, and the job is due again.
        tracing::warn!(error = &error as &dyn std::error::Error, "a data job's setback was not noted");
    }
}

fn log(kind: DataJobKind, job: &Claimed, setback: &Setback, fate: Fate) {
    let (kind, error) = (kind.as_str(), setback as &dyn std::error::Error);
    match fate {
        Fate::GivenUp => {
            tracing::error!(job.id = %job.id, job.kind = kind, job.attempts, error, "a data job was given up");
        }
        Fate::Again => {
            tracing::warn!(job.id = %job.id, job.kind = kind, job.attempts, error, "a data job is tried again later");
        }
    }
}
