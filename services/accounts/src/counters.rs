//! What happened to sign-ins and sessions, counted for operators.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counts since the process started.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) logins: Counter,
    pub(crate) logins_refused: Counter,
    pub(crate) throttled: Counter,
    pub(crate) refreshes: Counter,
    pub(crate) refresh_reuses: Counter,
    pub(crate) sessions_revoked: Counter,
    pub(crate) totp_refused: Counter,
    pub(crate) data_jobs_done: Counter,
    pub(crate) data_jobs_failed: Counter,
    pub(crate) mails_handed_over: Counter,
    pub(crate) mails_delayed: Counter,
}

/// One number that only grows.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn increment(&self) {
        self.add(1);
    }

    pub(crate) fn add(&self, count: usize) {
        self.0.fetch_add(u64::try_from(count).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

impl Counters {
    /// Appends the counts in the Prometheus text format.
    pub(crate) fn prometheus(&self, out: &mut String) {
        let counts = [
            ("accounts_logins_total", "Sessions begun by a login.", &self.logins),
            (
                "accounts_logins_refused_total",
                "Logins with credentials that prove nothing.",
                &self.logins_refused,
            ),
            ("accounts_throttled_total", "Attempts refused before anything was checked.", &self.throttled),
            ("accounts_refreshes_total", "Refresh tokens exchanged.", &self.refreshes),
            (
                "accounts_refresh_reuses_total",
                "Sessions ended because a refresh token came twice.",
                &self.refresh_reuses,
            ),
            ("accounts_sessions_revoked_total", "Sessions ended before their time.", &self.sessions_revoked),
            (
                "accounts_totp_refused_total",
                "Codes of second factors that were wrong or used before.",
                &self.totp_refused,
            ),
            ("accounts_data_jobs_done_total", "Exports and erasures done.", &self.data_jobs_done),
            ("accounts_data_jobs_failed_total", "Exports and erasures given up.", &self.data_jobs_failed),
            (
                "accounts_mails_handed_over_total",
                "Mails that the notifications service took.",
                &self.mails_handed_over,
            ),
            (
                "accounts_mails_delayed_total",
                "Mails that the notifications service did not take when asked.",
                &self.mails_delayed,
            ),
        ];
        for (name, help, counter) in counts {
            let count = counter.0.load(Ordering::Relaxed);
            let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} counter\n{name} {count}");
        }
    }
}
