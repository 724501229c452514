//! Who asks to be forgotten is.

use events::Fact;
use proto::accounts::v1::*;
use tonic::Code;

use crate::app::{Who, refusal};
use crate::peers::Manner;
use crate::people::{CARLA, carla, davi, helena, payloads};
use crate::work::{app_with_peers, erasure, export, finished, no_mail_waits};

#[tokio::test]
async fn an_erased_user_is_unrecognisable_everywhere_here() {
    let (app, peers) = app_with_peers().await;
    app.sql(
        "UPDATE users SET totp_enabled = true WHERE id = 1001;
         INSERT INTO addresses (user_id, recipient, line1, city, state, postal_code) VALUES (1001, 'Carla', 'Rua', 'São Paulo', 'SP', '01310100');
         INSERT INTO sessions (id, user_id, user_agent, address, created_at, last_used_at, auth_at, expires_at)
         VALUES ('00000000-0000-7000-8000-000000000001', 1001, 'Browser/1', '192.0.2.1', now(), now(), now(), now() + interval '1 day');
         INSERT INTO refresh_tokens (token_sha256, session_id, user_id, created_at, expires_at)
         SELECT sha256('t'), id, user_id, now(), now() + interval '1 day' FROM sessions;
         INSERT INTO devices (user_id, device_sha256, created_at, last_seen_at) VALUES (1001, sha256('d'), now(), now());
         INSERT INTO second_factors (user_id, secret) VALUES (1001, decode(repeat('ab', 40), 'hex'));
         INSERT INTO mail_tokens (token_sha256, user_id, purpose, created_at, expires_at)
         VALUES (sha256('m'), 1001, 'password_reset', now(), now() + interval '1 hour')",
    )
    .await;
    app.sql(
        "INSERT INTO idempotency_keys (scope, route, key, request_sha256, locked_until, request_id, reply)
         VALUES ('user:1001', 'PATCH /x', 'k', sha256('x'), now(), 'r', 'Carla')",
    )
    .await;
    let document = export(&app, carla()).await;
    finished(&app, carla(), &document.id).await;
    no_mail_waits(&app).await;

    let asked = erasure(&app, carla()).await;
    assert_eq!((asked.kind(), asked.document_json), (DataJobKind::Erasure, None));
    finished(&app, carla(), &asked.id).await;

    let traces = "SELECT count(*) FROM (
          SELECT users::text AS row FROM users WHERE id = 1001
          UNION ALL SELECT addresses::text FROM addresses WHERE user_id = 1001
          UNION ALL SELECT refresh_tokens::text FROM refresh_tokens WHERE user_id = 1001
          UNION ALL SELECT devices::text FROM devices WHERE user_id = 1001
          UNION ALL SELECT second_factors::text FROM second_factors WHERE user_id = 1001
          UNION ALL SELECT mail_tokens::text FROM mail_tokens WHERE user_id = 1001
          UNION ALL SELECT document FROM data_jobs WHERE user_id = 1001 AND document IS NOT NULL
          UNION ALL SELECT sessions::text FROM sessions WHERE user_id = 1001) traces";
    // The emptied user and the ended session, which revocations refer to.
    assert_eq!(app.count(traces).await, 2);
    let emptied = "SELECT count(*) FROM users JOIN sessions ON user_id = users.id
        WHERE users.id = 1001 AND email = 'erased-1001@erased.invalid' AND name = '-' AND password_hash IS NULL
          AND deleted_at IS NOT NULL AND email_verified_at IS NULL AND NOT totp_enabled
          AND revoked_for = 'erased' AND user_agent = '' AND address = ''";
    assert_eq!(app.count(emptied).await, 1);
    let revoked = app.list_revocations(Who::Service, ListRevocationsRequest { after_seq: 0 }).await.unwrap();
    assert_eq!(revoked.revocations.len(), 1);

    // Other services learn who, and nothing else (X98).
    let recorded = payloads(&app).await;
    let [event] = &recorded[..] else { panic!("{recorded:?}") };
    let Fact::UserDeleted(fact) = event.fact() else { panic!("{event:?}") };
    assert_eq!((fact.user_id, event.stale_tags().len()), (CARLA, 9));
    let told = String::from_utf8_lossy(&event.encode()).into_owned();
    assert!(!told.contains("arla"), "{told}");

    // The former address hears of it once, and is kept nowhere.
    no_mail_waits(&app).await;
    let mails = peers.mails();
    let farewell: Vec<_> = mails.iter().filter(|mail| mail.template == "account_erased").collect();
    assert_eq!((farewell.len(), farewell[0].to_email.as_str()), (1, "Carla@Example.com"));
    let kept = "SELECT count(*) FROM (SELECT users::text AS row FROM users UNION ALL SELECT audit_chain::text FROM audit_chain
                 UNION ALL SELECT encode(coalesce(reply, ''), 'escape') FROM idempotency_keys
                 UNION ALL SELECT data_jobs::text FROM data_jobs UNION ALL SELECT encode(payload, 'escape') FROM outbox) rows
                 WHERE row ILIKE '%carla%'";
    assert_eq!(app.count(kept).await, 0);

    // There is no such user, and the address is free again.
    assert_eq!(refusal(app.get_profile(carla(), GetProfileRequest {}).await).0, Code::NotFound);
    assert_eq!(refusal(app.request_erasure(carla(), RequestErasureRequest {}).await).0, Code::NotFound);
    app.registered("carla@example.com").await;
    assert!(app.get_profile(davi(), GetProfileRequest {}).await.is_ok());
}

#[tokio::test]
async fn the_last_mail_keeps_the_address_sealed_until_it_is_taken() {
    let (app, peers) = app_with_peers().await;
    peers.notifications(Manner::Away);
    let asked = erasure(&app, carla()).await;
    finished(&app, carla(), &asked.id).await;
    let waiting = "SELECT count(*) FROM mail_jobs WHERE template = 'account_erased' AND recipient IS NOT NULL
                      AND position('xample' in encode(recipient, 'escape')) = 0 AND mail_jobs::text NOT ILIKE '%carla%'";
    assert_eq!(app.count(waiting).await, 1);
    peers.notifications(Manner::Answers);
    no_mail_waits(&app).await;
    assert_eq!(peers.mails()[0].to_email, "Carla@Example.com");
}

#[tokio::test]
async fn an_erasure_is_one_job_however_often_it_is_asked_for() {
    let (app, peers) = app_with_peers().await;
    let asked = (0..6).map(|_| app.request_erasure(carla(), RequestErasureRequest {}));
    let answers = futures_util::future::join_all(asked).await;
    // Whoever asks when it is done is nobody any more.
    let jobs: std::collections::HashSet<_> =
        answers.into_iter().filter_map(Result::ok).map(|answer| answer.job.unwrap().id).collect();
    assert_eq!(jobs.len(), 1);
    let id = jobs.into_iter().next().unwrap();
    finished(&app, carla(), &id).await;
    // As if the process had died before it noted the end: the second run finds nothing to erase.
    app.sql("UPDATE data_jobs SET state = 'running', finished_at = NULL, next_attempt_at = now()").await;
    finished(&app, carla(), &id).await;
    no_mail_waits(&app).await;
    assert_eq!((payloads(&app).await.len(), peers.mails().len()), (1, 1));
}

#[tokio::test]
async fn the_last_administrator_stays() {
    let (app, _peers) = app_with_peers().await;
    app.sql("UPDATE users SET role = 'customer' WHERE id = 1004").await;
    let last = (Code::PermissionDenied, "last_admin".to_owned(), String::new());
    assert_eq!(refusal(app.request_erasure(helena(), RequestErasureRequest {}).await), last);
    // Also when the others went between the wish and the work.
    app.sql("INSERT INTO data_jobs (id, user_id, kind) VALUES ('00000000-0000-7000-8000-00000000000a', 1003, 'erasure')")
        .await;
    let failed = finished(&app, helena(), "00000000-0000-7000-8000-00000000000a").await;
    assert_eq!((failed.state(), failed.failure.as_deref()), (DataJobState::Failed, Some("last_admin")));

    app.sql("UPDATE users SET role = 'admin' WHERE id = 1004").await;
    let asked = erasure(&app, helena()).await;
    assert_eq!(finished(&app, helena(), &asked.id).await.state(), DataJobState::Done);
    assert_eq!(app.count("SELECT count(*) FROM users WHERE id = 1003 AND role = 'customer'").await, 1);
}
