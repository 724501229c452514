//! What clients did and heard, for the checker.

use std::sync::{Mutex, MutexGuard};
use std::time::Instant;

use reqwest::Method;
use serde_json::Value;

use crate::client::Who;

/// What a client knows of an operation once it stops asking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Ok,
    /// Refused, so nothing happened.
    Fail,
    /// Nobody knows: no answer, or one that says so.
    Unknown,
}

impl Outcome {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Fail => "fail",
            Self::Unknown => "unknown",
        }
    }

    /// What an answer's status tells.
    pub(crate) fn of(status: u16) -> Self {
        match status {
            200..400 => Self::Ok,
            400..500 if status != 408 => Self::Fail,
            _ => Self::Unknown,
        }
    }
}

/// One request and its answer.
#[derive(Debug, Clone)]
pub(crate) struct Operation {
    /// What it was for, such as `checkout`.
    pub(crate) kind: &'static str,
    /// Its idempotency key, made unique by whose it is.
    pub(crate) key: Option<String>,
    /// Seconds since the run began.
    pub(crate) begun: f64,
    pub(crate) ended: f64,
    pub(crate) outcome: Outcome,
    /// 0 without an answer.
    pub(crate) status: u16,
    pub(crate) code: String,
    pub(crate) order: Option<i64>,
    /// Of the answer's body, in hexadecimal.
    pub(crate) body_sha256: Option<String>,
}

/// The price of a product that somebody saw.
#[derive(Debug, Clone)]
pub(crate) struct Read {
    pub(crate) reader: String,
    pub(crate) product: i64,
    pub(crate) amount: i64,
    pub(crate) begun: f64,
    pub(crate) ended: f64,
}

/// Something private that somebody saw, and whose it is.
#[derive(Debug, Clone)]
pub(crate) struct Sight {
    pub(crate) viewer: String,
    pub(crate) route: String,
    pub(crate) owner: String,
}

/// A request with a key whose client gave up: asked again, it must be answered.
#[derive(Debug, Clone)]
pub(crate) struct Unanswered {
    pub(crate) who: Who,
    pub(crate) cart_token: Option<String>,
    pub(crate) kind: &'static str,
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) body: Value,
    pub(crate) key: String,
}

/// Everything that happened, by kind. Cheap to add to.
#[derive(Debug)]
pub(crate) struct History {
    start: Instant,
    logs: Mutex<Logs>,
}

#[derive(Debug, Default, Clone)]
pub(crate) struct Logs {
    pub(crate) operations: Vec<Operation>,
    pub(crate) reads: Vec<Read>,
    /// Changes of a price that were acknowledged: product, amount, when.
    pub(crate) repriced: Vec<(i64, i64, f64)>,
    pub(crate) sights: Vec<Sight>,
    pub(crate) unanswered: Vec<Unanswered>,
    /// What happened when, for people.
    pub(crate) timeline: Vec<(f64, String)>,
    /// What no database can tell.
    pub(crate) violations: Vec<String>,
}

impl History {
    pub(crate) fn new() -> Self {
        Self { start: Instant::now(), logs: Mutex::default() }
    }

    /// Seconds since the run began.
    pub(crate) fn now(&self) -> f64 {
        self.start.elapsed().as_secs_f64()
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Logs> {
        self.logs.lock().expect("nobody panics with it")
    }

    pub(crate) fn note(&self, what: impl Into<String>) {
        self.lock().timeline.push((self.now(), what.into()));
    }

    pub(crate) fn violation(&self, what: impl Into<String>) {
        let what = what.into();
        self.note(what.clone());
        self.lock().violations.push(what);
    }
}
