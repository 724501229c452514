//! Secrets: shown once, sealed, replaced without a gap.

use proto::notifications::v1::*;
use time::Duration;

use super::receiver::Receiver;
use super::{ADMIN, Hooks, moment};

#[tokio::test]
async fn a_former_secret_signs_for_a_day() {
    let hooks = Hooks::start().await;
    let receiver = Receiver::start().await;
    let (endpoint, first) = hooks.endpoint(&receiver, &["*"]).await;
    let rotated = hooks.rotate_secret(ADMIN, RotateSecretRequest { id: endpoint.id }).await.unwrap();
    assert_ne!(rotated.secret, first);
    let until = moment(rotated.previous_until.as_ref());
    assert!((until - hooks.clock.now() - Duration::DAY).abs() < Duration::SECOND);
    assert_eq!(hooks.endpoint_now(endpoint.id).await.version, endpoint.version, "nobody sees a difference");

    hooks.clock.advance(Duration::DAY - Duration::SECOND);
    hooks.updated(1, 1).await;
    let within = &receiver.requests(1).await[0];
    assert_eq!((within.signed_with(&rotated.secret), within.signed_with(&first)), (1, 1));
    assert_eq!(within.header("webhook-signature").split(' ').count(), 2);

    hooks.clock.advance(Duration::SECOND);
    hooks.updated(2, 1).await;
    let beyond = &receiver.requests(2).await[1];
    assert_eq!((beyond.signed_with(&rotated.secret), beyond.signed_with(&first)), (1, 0));
    assert_eq!(beyond.header("webhook-signature").split(' ').count(), 1);
}

#[tokio::test]
async fn the_database_holds_no_secret_that_could_be_read() {
    let hooks = Hooks::start().await;
    let receiver = Receiver::start().await;
    let (endpoint, secret) = hooks.endpoint(&receiver, &["*"]).await;
    assert!(secret.starts_with("whsec_") && secret.len() == 6 + 32, "{}", secret.len());
    let rows: String = hooks.world.one("SELECT string_agg(e::text, '') FROM webhook_endpoints e").await;
    let sealed: Vec<u8> = hooks.world.one("SELECT secret_enc FROM webhook_endpoints").await;
    assert!(!rows.contains(&secret[6..]));
    assert_eq!(sealed.len(), 12 + 24 + 16, "nonce, secret, tag");

    // Moved to another endpoint, it opens nothing.
    let (other, _) = hooks.endpoint(&receiver, &["*"]).await;
    hooks
        .world
        .sql("UPDATE webhook_endpoints SET secret_enc = (SELECT secret_enc FROM webhook_endpoints ORDER BY id LIMIT 1)")
        .await;
    let tried = hooks.test_endpoint(ADMIN, TestEndpointRequest { id: other.id }).await;
    assert_eq!(crate::app::refusal(tried).1, "internal");
    assert!(hooks.test_endpoint(ADMIN, TestEndpointRequest { id: endpoint.id }).await.is_ok());
}
