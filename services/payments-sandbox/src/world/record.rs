//! What the journal holds: changes, each of which makes the one before it of the same thing obsolete.

use serde::{Deserialize, Serialize};

use super::{Event, KeptResult};
use crate::intent::Intent;
use crate::knobs::Knobs;

/// One change.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Record {
    Intent(Box<Intent>),
    Event(Box<Event>),
    /// A copy of this event needs not be sent any more.
    Delivered(u64),
    Key {
        key: String,
        result: KeptResult,
    },
    Knobs(Box<Knobs>),
    Reset,
}
