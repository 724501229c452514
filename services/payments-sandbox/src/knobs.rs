//! What can be set from outside while the sandbox runs: how slow, how broken, how forgetful it is.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::token::Decline;

/// Nothing takes longer than that, whatever was drawn; and a hang ends then.
pub(crate) const WAIT_MAX: Duration = Duration::from_secs(60);

/// All of `PUT /__sandbox/config`; what is left out is as at the start.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Knobs {
    /// Everything drawn depends on this, on the request's key and on how often it was made, not on time.
    pub(crate) seed: u64,
    pub(crate) latency: Latency,
    /// How many of the cards that would be approved are declined, 0 to 1.
    pub(crate) decline_rate: f64,
    /// Which declines; `generic_decline` when empty.
    pub(crate) decline_codes: Vec<String>,
    pub(crate) faults: Faults,
    /// What is heard instead of a lost answer.
    pub(crate) lost_answer: LostAnswer,
    /// How long refunds are pending before they succeed, in milliseconds; 0 is at once.
    pub(crate) refund_pending_ms: u64,
    /// The code that refunds are refused with, such as `balance_insufficient`; none are when empty.
    pub(crate) refund_refusal: String,
    /// How long a new intent is not found by a search, in milliseconds.
    pub(crate) search_lag_ms: u64,
    pub(crate) webhooks: Webhooks,
}

/// How long a request takes before anything is done.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Latency {
    #[default]
    None,
    Fixed {
        ms: u64,
    },
    /// Log-normal through these two points.
    Distribution {
        p50_ms: u64,
        p95_ms: u64,
    },
    /// Nothing happens for a minute, or until the configuration changes; then it goes on as usual.
    Hang,
}

/// How often something breaks, each 0 to 1. Reads suffer only `reset_connection`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Faults {
    /// 500, nothing was done; the key remembers it, as the provider's does.
    pub(crate) before_effect: f64,
    /// Everything was done, and the answer is lost.
    pub(crate) after_effect_before_answer: f64,
    /// The connection is reset before the request is looked at.
    pub(crate) reset_connection: f64,
}

/// How an answer gets lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum LostAnswer {
    /// The connection is reset; repeated with its key, the request is answered with the truth.
    #[default]
    Reset,
    /// Silence for a minute, then a reset; repeated, as above.
    Hang,
    /// A 500, and the same 500 to every repetition.
    Error,
}

/// How events are told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Webhooks {
    pub(crate) enabled: bool,
    /// How often each event is sent, 1 to 10.
    pub(crate) copies: u32,
    /// How long the first sending waits.
    pub(crate) delay_ms: u64,
    /// Each copy waits up to so much longer, so that later events overtake earlier ones.
    pub(crate) reorder_within_ms: u64,
    /// How many copies are never sent.
    pub(crate) drop_rate: f64,
    /// How many sendings are signed with another secret.
    pub(crate) wrong_signature_rate: f64,
    /// How many copies name another order, correctly signed.
    pub(crate) wrong_metadata_rate: f64,
    /// How many copies tell another amount, correctly signed.
    pub(crate) wrong_amount_rate: f64,
    /// How often a copy is tried, 1 to 10.
    pub(crate) attempts: u32,
    /// The first wait between two tries; each further one is twice as long.
    pub(crate) backoff_ms: u64,
}

impl Default for Webhooks {
    fn default() -> Self {
        Self {
            enabled: true,
            copies: 1,
            delay_ms: 0,
            reorder_within_ms: 0,
            drop_rate: 0.0,
            wrong_signature_rate: 0.0,
            wrong_metadata_rate: 0.0,
            wrong_amount_rate: 0.0,
            attempts: 5,
            backoff_ms: 200,
        }
    }
}

impl Knobs {
    /// Reads what was put; the error says what is wrong with it.
    pub(crate) fn parse(body: &[u8]) -> Result<Self, String> {
        let knobs: Self = serde_json::from_slice(body).map_err(|error| error.to_string())?;
        knobs.check()?;
        Ok(knobs)
    }

    fn check(&self) -> Result<(), String> {
        let hooks = &self.webhooks;
        let rates = [
            ("decline_rate", self.decline_rate),
            ("faults.before_effect", self.faults.before_effect),
            ("faults.after_effect_before_answer", self.faults.after_effect_before_answer),
            ("faults.reset_connection", self.faults.reset_connection),
            ("webhooks.drop_rate", hooks.drop_rate),
            ("webhooks.wrong_signature_rate", hooks.wrong_signature_rate),
            ("webhooks.wrong_metadata_rate", hooks.wrong_metadata_rate),
            ("webhooks.wrong_amount_rate", hooks.wrong_amount_rate),
        ];
        if let Some((name, _)) = rates.iter().find(|(_, rate)| !(0.0..=1.0).contains(rate)) {
            return Err(format!("{name} is from 0 to 1"));
        }
        let latency = match self.latency {
            Latency::None | Latency::Hang => 0,
            Latency::Fixed { ms } => ms,
            Latency::Distribution { p50_ms, p95_ms } if p50_ms == 0 || p95_ms < p50_ms => {
                return Err("latency.p50_ms is at least 1, latency.p95_ms at least that".to_owned());
            }
            Latency::Distribution { p95_ms, .. } => p95_ms,
        };
        let waits = [
            ("latency", latency),
            ("refund_pending_ms", self.refund_pending_ms),
            ("search_lag_ms", self.search_lag_ms),
            ("webhooks.delay_ms", hooks.delay_ms),
            ("webhooks.reorder_within_ms", hooks.reorder_within_ms),
            ("webhooks.backoff_ms", hooks.backoff_ms),
        ];
        if let Some((name, _)) = waits.iter().find(|(_, ms)| u128::from(*ms) > WAIT_MAX.as_millis()) {
            return Err(format!("{name} is at most 60000"));
        }
        let counts = [("webhooks.copies", hooks.copies), ("webhooks.attempts", hooks.attempts)];
        if let Some((name, _)) = counts.iter().find(|(_, count)| !(1..=10).contains(count)) {
            return Err(format!("{name} is from 1 to 10"));
        }
        let word = &self.refund_refusal;
        if word.len() > 60 || !word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_') {
            return Err("refund_refusal is a code".to_owned());
        }
        match self.decline_codes.iter().find(|code| Decline::named(code).is_none()) {
            Some(_) => Err("decline_codes names a code that no bank uses here".to_owned()),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_is_as_at_the_start() {
        assert_eq!(Knobs::parse(b"{}"), Ok(Knobs::default()));
        let knobs = Knobs::parse(
            br#"{"latency":{"kind":"distribution","p50_ms":80,"p95_ms":300},"webhooks":{"copies":3}}"#,
        )
        .expect("knobs");
        assert_eq!(knobs.latency, Latency::Distribution { p50_ms: 80, p95_ms: 300 });
        assert_eq!((knobs.webhooks.copies, knobs.webhooks.attempts), (3, 5));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let refused = |text: &str| Knobs::parse(text.as_bytes()).expect_err(text);
        assert_eq!(refused(r#"{"decline_rate":1.5}"#), "decline_rate is from 0 to 1");
        assert_eq!(refused(r#"{"latency":{"kind":"fixed","ms":60001}}"#), "latency is at most 60000");
        assert_eq!(refused(r#"{"webhooks":{"copies":0}}"#), "webhooks.copies is from 1 to 10");
        refused(r#"{"latency":{"kind":"distribution","p50_ms":80,"p95_ms":30}}"#);
        refused(r#"{"decline_codes":["nonsense"]}"#);
        refused(r#"{"unknown":1}"#);
    }
}
