//! One attempt: a signed request, and what its answer means.

use std::error::Error as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::{Client, Response, StatusCode, redirect};
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use time::{OffsetDateTime, PrimitiveDateTime};
use uuid::Uuid;

use super::guard::{Guard, Refused};
use super::secret::Secret;
use super::signature::signature;
use super::target::{Reach, Target};

/// How long an attempt may take, from the look-up of the host to the end of the answer.
pub(crate) const ATTEMPT_DEADLINE: Duration = Duration::from_secs(15);
const CONNECT_DEADLINE: Duration = Duration::from_secs(5);
/// What is read of an answer at most.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// What is kept of an error.
pub(crate) const ERROR_CHARS_MAX: usize = 200;
const USER_AGENT: &str = "MestresCafe-Webhooks/1";
/// The date of RFC 9110, as in `Sun, 06 Nov 1994 08:49:37 GMT`.
const HTTP_DATE: &[BorrowedFormatItem<'_>] =
    format_description!("[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT");

/// Sends messages. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Sender {
    client: Client,
    guard: Guard,
}

/// A message on its way to one endpoint.
#[derive(Debug, Clone)]
pub(crate) struct Envelope {
    /// As it is stored: judged again before it is used.
    pub(crate) url: String,
    /// Each signs: during a rotation the former one too.
    pub(crate) secrets: Vec<Secret>,
    /// The event's id, in every attempt.
    pub(crate) id: Uuid,
    pub(crate) body: Vec<u8>,
}

/// How an attempt went.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Outcome {
    pub(crate) verdict: Verdict,
    /// Of the answer, when there was one.
    pub(crate) status: Option<i32>,
    /// At most 200 characters; none of a success.
    pub(crate) error: Option<String>,
    pub(crate) latency_ms: i32,
}

/// What an attempt means for the delivery and its endpoint.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Verdict {
    Delivered,
    /// The receiver wants no more of anything (410).
    Gone,
    Failed {
        /// How long the receiver asks to be left alone.
        retry_after: Option<time::Duration>,
    },
}

impl Sender {
    /// The one client of webhooks: it resolves through the guard, and goes where it was sent and nowhere else.
    ///
    /// # Errors
    /// When the system's TLS cannot be set up.
    pub(crate) fn new(guard: Guard) -> Result<Self, reqwest::Error> {
        let client = Client::builder()
            .dns_resolver(Arc::new(guard.clone()))
            // A proxy of the environment would connect on our behalf, unchecked.
            .no_proxy()
            .redirect(redirect::Policy::none())
            .https_only(guard.reach() == Reach::Public)
            .connect_timeout(CONNECT_DEADLINE)
            .timeout(ATTEMPT_DEADLINE)
            // Each attempt is a look-up and a connection of its own.
            .pool_max_idle_per_host(0)
            .user_agent(USER_AGENT)
            .build()?;
        Ok(Self { client, guard })
    }

    /// Whether a URL may be kept for an endpoint.
    pub(crate) fn guard(&self) -> &Guard {
        &self.guard
    }

    /// One attempt, over `within` at the latest. `now` is what the signature says, and what dates in the answer
    /// are compared with.
    pub(crate) async fn send(&self, envelope: &Envelope, now: OffsetDateTime, within: Duration) -> Outcome {
        let started = Instant::now();
        let (verdict, status, error) = match self.ask(envelope, now, within).await {
            Ok(answer) => judge(answer, now).await,
            Err(error) => (Verdict::Failed { retry_after: None }, None, Some(error)),
        };
        let latency_ms = i32::try_from(started.elapsed().as_millis()).unwrap_or(i32::MAX);
        Outcome { verdict, status, error: error.map(|error| shorten(&error)), latency_ms }
    }

    async fn ask(
        &self,
        envelope: &Envelope,
        now: OffsetDateTime,
        within: Duration,
    ) -> Result<Response, String> {
        // The stored URL may be older than the rule, and hosts written as addresses pass no resolver.
        let target = Target::parse("url", &envelope.url, self.guard.reach())
            .map_err(|refusal| format!("the URL is not allowed: {}", refusal.detail))?;
        let (id, timestamp) = (envelope.id.to_string(), now.unix_timestamp());
        let signature = signature(&envelope.secrets, &id, timestamp, &envelope.body);
        self.client
            .post(target.url().clone())
            .header(CONTENT_TYPE, "application/json")
            .header("webhook-id", id)
            .header("webhook-timestamp", timestamp)
            .header("webhook-signature", signature)
            .timeout(within.min(ATTEMPT_DEADLINE))
            .body(envelope.body.clone())
            .send()
            .await
            .map_err(|error| reason(&error))
    }
}

/// Any 2xx is a success. A redirect is none: whom we tell is decided here, not there.
async fn judge(answer: Response, now: OffsetDateTime) -> (Verdict, Option<i32>, Option<String>) {
    let status = answer.status();
    let retry_after = retry_after(answer.headers(), now);
    let body = beginning(answer).await;
    let code = Some(i32::from(status.as_u16()));
    if status.is_success() {
        return (Verdict::Delivered, code, None);
    }
    let said: String =
        String::from_utf8_lossy(&body).chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let error = match said.trim() {
        _ if status.is_redirection() => "redirects are not followed".to_owned(),
        "" => format!("HTTP {}", status.as_u16()),
        said => said.to_owned(),
    };
    let verdict = if status == StatusCode::GONE { Verdict::Gone } else { Verdict::Failed { retry_after } };
    (verdict, code, Some(error))
}

/// The first 64 KiB of an answer; what breaks off is taken as far as it came.
async fn beginning(mut answer: Response) -> Vec<u8> {
    let mut body = Vec::new();
    while body.len() < ANSWER_BYTES_MAX {
        let Ok(Some(chunk)) = answer.chunk().await else { break };
        body.extend_from_slice(&chunk[..chunk.len().min(ANSWER_BYTES_MAX - body.len())]);
    }
    body
}

/// Seconds, or a date.
fn retry_after(headers: &HeaderMap, now: OffsetDateTime) -> Option<time::Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse::<u32>() {
        return Some(time::Duration::seconds(i64::from(seconds)));
    }
    let date = PrimitiveDateTime::parse(value, HTTP_DATE).ok()?.assume_utc();
    (date > now).then(|| date - now)
}

/// In our words: an error of the client repeats the URL, and may repeat what it resolved to.
fn reason(error: &reqwest::Error) -> String {
    let mut cause = error.source();
    while let Some(source) = cause {
        if let Some(refused) = source.downcast_ref::<Refused>() {
            return refused.to_string();
        }
        cause = source.source();
    }
    let reason = if error.is_timeout() {
        "no answer in time"
    } else if error.is_connect() {
        "no connection"
    } else {
        "the connection broke"
    };
    reason.to_owned()
}

fn shorten(error: &str) -> String {
    error.chars().take(ERROR_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    #[test]
    fn receivers_ask_for_a_pause_in_seconds_or_by_date() {
        let now = OffsetDateTime::from_unix_timestamp(784_111_777).expect("in range");
        #[track_caller]
        fn check(now: OffsetDateTime, value: &'static str, seconds: Option<i64>) {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static(value))]);
            assert_eq!(retry_after(&headers, now), seconds.map(time::Duration::seconds), "{value}");
        }
        check(now, "120", Some(120));
        check(now, "0", Some(0));
        check(now, "Sun, 06 Nov 1994 08:50:37 GMT", Some(60));
        check(now, "Sun, 06 Nov 1994 08:49:37 GMT", None);
        check(now, "Sun, 06 Nov 1994 08:49:00 GMT", None);
        for nonsense in ["", "-1", "soon", "1.5", "99999999999", "Sunday, 06-Nov-94 08:49:37 GMT"] {
            check(now, nonsense, None);
        }
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }
}
