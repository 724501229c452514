//! `application/x-www-form-urlencoded`, in the order in which it was written.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

/// A form under way.
#[derive(Debug, Default)]
pub(super) struct Form(String);

impl Form {
    /// One more field.
    pub(super) fn field(mut self, name: &str, value: &str) -> Self {
        if !self.0.is_empty() {
            self.0.push('&');
        }
        self.0.extend(utf8_percent_encode(name, NON_ALPHANUMERIC));
        self.0.push('=');
        self.0.extend(utf8_percent_encode(value, NON_ALPHANUMERIC));
        self
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0.into_bytes()
    }
}
