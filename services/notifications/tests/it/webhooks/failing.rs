//! Receivers that do not want to, cannot, or do something else.

use notifications::webhooks::{ATTEMPTS_MAX, RETRY_DELAYS};
use proto::notifications::v1::*;
use time::Duration;
use tonic::Code;

use super::receiver::{Answer, Receiver};
use super::{ADMIN, Hooks, moment};
use crate::app::refusal;

#[tokio::test]
async fn ten_attempts_over_75_hours_and_then_none() {
    let hooks = Hooks::start().await;
    let receiver = Receiver::answering(Answer::Body(500, "down for maintenance".to_owned())).await;
    let (endpoint, secret) = hooks.endpoint(&receiver, &["*"]).await;
    let (witness, begun) = (Receiver::start().await, hooks.clock.now());
    let (watching, _) = hooks.endpoint(&witness, &["*"]).await;

    let event = hooks.updated(5, 1).await;
    for (failed, planned) in (1..).zip(RETRY_DELAYS) {
        let delivery =
            hooks.delivery_that(endpoint.id, &event, "the next attempt", |d| d.attempts == failed).await;
        assert_eq!((&*delivery.status, delivery.last_status), ("failed", Some(500)));
        assert_eq!(delivery.last_error.as_deref(), Some("down for maintenance"));
        let pause = moment(delivery.next_attempt_at.as_ref()) - hooks.clock.now();
        assert!(pause >= planned * 0.9 && pause <= planned * 1.1, "{pause} after attempt {failed}");

        // A second earlier nothing happens; the other endpoint shows that somebody looked.
        hooks.clock.advance(pause - Duration::SECOND);
        let look = hooks.updated(1_000 + i64::from(failed), 1).await;
        hooks.delivery(watching.id, &look, "delivered").await;
        let early = hooks.delivery(endpoint.id, &event, "failed").await;
        assert_eq!(early.attempts, failed);
        hooks.world.sql("DELETE FROM webhook_deliveries WHERE aggregate_id <> '5'").await;
        hooks.clock.advance(Duration::SECOND);
    }
    let dead = hooks.delivery(endpoint.id, &event, "dead").await;
    assert_eq!((dead.attempts, dead.next_attempt_at), (ATTEMPTS_MAX, None));
    let taken = hooks.clock.now() - begun;
    assert!((68..=84).contains(&taken.whole_hours()), "{taken}");
    assert_eq!(hooks.endpoint_now(endpoint.id).await.consecutive_failures, 1);

    let id = event.id().to_string();
    let attempts: Vec<_> =
        receiver.received().into_iter().filter(|request| request.header("webhook-id") == id).collect();
    assert_eq!(attempts.len(), 10);
    assert!(
        attempts.iter().all(|request| request.body == attempts[0].body && request.signed_with(&secret) == 1)
    );
    let mut times: Vec<_> = attempts.iter().map(|request| request.header("webhook-timestamp")).collect();
    times.dedup();
    assert_eq!(times.len(), 10, "each is signed anew");
}

#[tokio::test]
async fn gone_is_gone() {
    let hooks = Hooks::start().await;
    let receiver = Receiver::answering(Answer::Status(410)).await;
    let (endpoint, _) = hooks.endpoint(&receiver, &["*"]).await;
    let event = hooks.updated(5, 1).await;
    let dead = hooks.delivery(endpoint.id, &event, "dead").await;
    assert_eq!((dead.attempts, dead.last_status), (1, Some(410)));
    let off = hooks.endpoint_now(endpoint.id).await;
    assert_eq!((off.is_active, off.version), (false, endpoint.version + 1));
    assert_eq!(off.disabled_reason.as_deref(), Some("the receiver answered 410 Gone"));

    let stale = DeleteEndpointRequest { id: endpoint.id, expected_version: endpoint.version };
    let (code, reason, _) = refusal(hooks.delete_endpoint(ADMIN, stale).await);
    assert_eq!((code, &*reason), (Code::Aborted, "version_mismatch"));
    let again = hooks.redeliver(ADMIN, RedeliverRequest { delivery_id: dead.id }).await;
    let (code, reason, _) = refusal(again);
    assert_eq!((code, &*reason), (Code::FailedPrecondition, "endpoint_disabled"));
}

#[tokio::test]
async fn five_dead_messages_in_a_row_switch_an_endpoint_off() {
    let hooks = Hooks::start().await;
    let receiver = Receiver::answering(Answer::Status(500)).await;
    let (endpoint, _) = hooks.endpoint(&receiver, &["*"]).await;
    let mut last = None;
    for product_id in 1..=5 {
        let event = hooks.updated(product_id, 1).await;
        last = Some(hooks.delivery(endpoint.id, &event, "failed").await);
    }
    hooks.world.sql("UPDATE webhook_deliveries SET attempts = 9").await;
    // Four die, and one success begins the count anew.
    let spared = "UPDATE webhook_deliveries SET next_attempt_at = next_attempt_at + interval '1 year' WHERE aggregate_id = '5'";
    hooks.world.sql(spared).await;
    hooks.clock.advance(Duration::MINUTE);
    let off_by = async |failures: u32| {
        testkit::eventually(crate::app::SOON, "dead messages", async || {
            let now = hooks.endpoint_now(endpoint.id).await;
            (now.consecutive_failures == failures).then_some(now)
        })
        .await
    };
    let still_on = off_by(4).await;
    assert_eq!((still_on.is_active, still_on.version), (true, endpoint.version));
    receiver.answers_next(Answer::Status(200));
    let good = hooks.updated(6, 1).await;
    hooks.delivery(endpoint.id, &good, "delivered").await;
    assert_eq!(off_by(0).await.disabled_reason, None);

    hooks.world.sql("UPDATE webhook_endpoints SET consecutive_failures = 4").await;
    hooks.world.sql("UPDATE webhook_deliveries SET next_attempt_at = 'epoch' WHERE aggregate_id = '5'").await;
    hooks.clock.advance(Duration::SECOND);
    let off = off_by(5).await;
    assert_eq!((off.is_active, off.version), (false, endpoint.version + 1));
    assert_eq!(off.disabled_reason.as_deref(), Some("5 deliveries in a row failed for good"));
    assert!(last.is_some());
}

#[tokio::test]
async fn redirects_are_failures_and_lead_nowhere() {
    let hooks = Hooks::start().await;
    let elsewhere = Receiver::start().await;
    for status in [301, 302, 307, 308] {
        let receiver = Receiver::answering(Answer::Header(status, "location", elsewhere.url())).await;
        let (endpoint, _) = hooks.endpoint(&receiver, &["*"]).await;
        let tried = hooks.test_endpoint(ADMIN, TestEndpointRequest { id: endpoint.id }).await.unwrap();
        let delivery = tried.delivery.unwrap();
        assert_eq!((&*delivery.status, delivery.last_status), ("dead", Some(i32::from(status))));
        assert_eq!(delivery.last_error.as_deref(), Some("redirects are not followed"));
    }
    assert!(elsewhere.received().is_empty());
}

#[tokio::test]
async fn receivers_may_ask_for_a_longer_pause() {
    let hooks = Hooks::start().await;
    for (asked, planned) in
        [("7200", Duration::hours(2)), ("99999999", Duration::hours(24)), ("soon", Duration::ZERO)]
    {
        let answer = Answer::Header(503, "retry-after", asked.to_owned());
        let receiver = Receiver::answering(answer).await;
        let (endpoint, _) = hooks.endpoint(&receiver, &["*"]).await;
        let event = hooks.updated(5, 1).await;
        let failed = hooks.delivery(endpoint.id, &event, "failed").await;
        let pause = moment(failed.next_attempt_at.as_ref()) - hooks.clock.now();
        let least = planned.max(RETRY_DELAYS[0] * 0.9);
        assert!(pause >= least && pause <= least + Duration::seconds(1), "{pause} for {asked}");
        hooks.world.sql("DELETE FROM webhook_endpoints").await;
    }
}

#[tokio::test]
async fn little_is_kept_of_a_long_error() {
    let hooks = Hooks::start().await;
    let receiver = Receiver::answering(Answer::Body(500, "é\u{0}\n".repeat(500_000))).await;
    let (endpoint, _) = hooks.endpoint(&receiver, &["*"]).await;
    let event = hooks.updated(5, 1).await;
    let failed = hooks.delivery(endpoint.id, &event, "failed").await;
    let error = failed.last_error.unwrap();
    assert_eq!(error.chars().count(), 200);
    assert!(!error.chars().any(char::is_control), "{error:?}");
}

#[tokio::test]
async fn nobody_there_is_a_failure_in_our_words() {
    let hooks = Hooks::start().await;
    let receiver = Receiver::start().await;
    let (endpoint, _) = hooks.endpoint(&receiver, &["*"]).await;
    drop(receiver);
    let tried = hooks.test_endpoint(ADMIN, TestEndpointRequest { id: endpoint.id }).await.unwrap();
    let delivery = tried.delivery.unwrap();
    assert_eq!((&*delivery.status, delivery.last_status), ("dead", None));
    assert_eq!(delivery.last_error.as_deref(), Some("no connection"));
}
