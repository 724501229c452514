//! What a caller can do something about, and what only we can.

use latency::Malformed;

/// Why a report or a question is refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// Sketches of another layout cannot be merged with ours: the source must be upgraded, or we.
    #[error("bucket layout {0} is unknown here")]
    LayoutUnknown(u32),
    /// A field that no correct source sends.
    #[error("{0}")]
    Invalid(&'static str),
    /// A series state that is no sketch.
    #[error("series {id}: {source}")]
    Series { id: u32, source: Malformed },
    /// The source used a series before it defined it.
    #[error("series {0} is not in the dictionary")]
    SeriesUnknown(u32),
    /// More than we keep.
    #[error("more than {max} {what}")]
    TooMany { what: &'static str, max: usize },
    /// This process is going; another replica takes the stream.
    #[error("draining")]
    Draining,
    /// The stream broke.
    #[error("the stream broke: {0}")]
    Stream(Box<tonic::Status>),
    /// A mistake of ours.
    #[error("answering the question")]
    Internal(#[source] tokio::task::JoinError),
}
