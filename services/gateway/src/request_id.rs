//! The name of one request, for people who compare notes.

use std::time::{SystemTime, UNIX_EPOCH};

use actix_web::http::header::HeaderValue;

const LENGTH_MAX: usize = 64;

/// The client's own, when it is harmless to repeat, else a new UUID of version 7.
#[derive(Debug, Clone)]
pub(crate) struct RequestId(HeaderValue);

impl RequestId {
    pub(crate) fn of(sent: Option<&HeaderValue>) -> Self {
        let harmless = |value: &&HeaderValue| {
            let bytes = value.as_bytes();
            (1..=LENGTH_MAX).contains(&bytes.len())
                && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte))
        };
        match sent.filter(harmless) {
            Some(value) => Self(value.clone()),
            None => Self::new(),
        }
    }

    /// Random numbers from this thread's own generator: asking the kernel would cost more than the rest of a
    /// cache hit's bookkeeping, and nothing secret depends on these.
    fn new() -> Self {
        let millis = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
        let mut random = [0; 10];
        random[..8].copy_from_slice(&fastrand::u64(..).to_le_bytes());
        random[8..].copy_from_slice(&fastrand::u16(..).to_le_bytes());
        let millis = u64::try_from(millis).unwrap_or(u64::MAX);
        let id = uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid();
        let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
        id.hyphenated().encode_lower(&mut text);
        Self(HeaderValue::from_bytes(&text).expect("hex digits and hyphens"))
    }

    pub(crate) fn as_str(&self) -> &str {
        self.0.to_str().expect("checked when made")
    }

    pub(crate) fn into_value(self) -> HeaderValue {
        self.0
    }
}
