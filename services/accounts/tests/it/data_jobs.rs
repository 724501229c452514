//! What people ask of their own data, and mails: work that survives the absence of everybody involved.

use std::time::Duration;

use events::Fact;
use proto::accounts::v1::*;
use serde_json::Value;
use testkit::eventually;
use tonic::Code;

use crate::app::{TestApp, Who, everything_said, mail_token, refusal};
use crate::peers::{Manner, Peers};
use crate::people::{CARLA, carla, davi, helena, payloads, settle};

/// Longer than any job takes on a busy machine, pauses between attempts included.
const PATIENCE: Duration = Duration::from_secs(90);

/// A service with people, and services for it to ask.
async fn app_with_peers() -> (TestApp, Peers) {
    let peers = Peers::start().await;
    let app = TestApp::start_with(|config| ask(config, &peers)).await;
    peers.trust(&app.keys.assertions_file);
    settle(&app).await;
    (app, peers)
}

/// Another process of the same service.
async fn another_process(of: &TestApp, peers: &Peers) -> TestApp {
    TestApp::start_with(|config| {
        ask(config, peers);
        config.database_url = of.database.url.clone();
        config.assertion_key_file = of.keys.assertion_key_file("accounts");
    })
    .await
}

fn ask(config: &mut accounts::Config, peers: &Peers) {
    config.agenda_url = format!("http://{}", peers.addr);
    config.notifications_url = format!("http://{}", peers.addr);
}

async fn export(app: &TestApp, who: Who) -> DataJob {
    app.request_export(who, RequestExportRequest {}).await.unwrap().job.unwrap()
}

async fn erasure(app: &TestApp, who: Who) -> DataJob {
    app.request_erasure(who, RequestErasureRequest {}).await.unwrap().job.unwrap()
}

async fn job(app: &TestApp, who: Who, id: &str) -> DataJob {
    app.get_data_job(who, GetDataJobRequest { id: id.to_owned() }).await.unwrap().job.unwrap()
}

async fn finished(app: &TestApp, who: Who, id: &str) -> DataJob {
    let look = async || {
        let job = job(app, who.clone(), id).await;
        job.finished_at.is_some().then_some(job)
    };
    eventually(PATIENCE, "the job is finished", look).await
}

/// Waits until the leased work, whoever did it, is all there is.
async fn no_mail_waits(app: &TestApp) {
    let look = async || (app.count("SELECT count(*) FROM mail_jobs").await == 0).then_some(());
    eventually(PATIENCE, "no mail waits", look).await;
}

#[tokio::test]
async fn an_export_holds_what_every_service_knows_and_nobody_elses() {
    let (app, peers) = app_with_peers().await;
    app.sql(
        "INSERT INTO addresses (user_id, recipient, line1, city, state, postal_code) VALUES
           (1001, 'Carla', 'Rua da Carla', 'São Paulo', 'SP', '01310100'),
           (1002, 'Davi',  'Rua do Davi',  'São Paulo', 'SP', '01310100');
         INSERT INTO sessions (id, user_id, user_agent, created_at, last_used_at, auth_at, expires_at)
         VALUES ('00000000-0000-7000-8000-000000000001', 1001, 'Browser/1', now(), now(), now(), now() + interval '1 day')",
    )
    .await;
    let asked = export(&app, carla()).await;
    assert_eq!((asked.kind(), asked.document_json), (DataJobKind::Export, None));
    let done = finished(&app, carla(), &asked.id).await;
    assert_eq!((done.state(), done.failure.clone()), (DataJobState::Done, None));

    let document = done.document_json.unwrap();
    assert!(!document.contains("Davi") && !document.contains("argon2"), "{document}");
    let document: Value = serde_json::from_str(&document).unwrap();
    let own = &document["accounts"];
    assert_eq!(own["user"]["email"], "Carla@Example.com");
    assert_eq!(
        (&own["addresses"][0]["line1"], &own["sessions"][0]["user_agent"]),
        (&"Rua da Carla".into(), &"Browser/1".into())
    );
    assert!(own["user"]["created_at"].as_str().unwrap().ends_with('Z'));
    assert_eq!(document["agenda"]["events"][0]["of"], CARLA);
    assert_eq!(document["notifications"]["notifications"], serde_json::json!([]));

    // The user is told, and the mail leaves nothing here.
    no_mail_waits(&app).await;
    let mails = peers.mails();
    let [mail] = &mails[..] else { panic!("{} mails", mails.len()) };
    assert_eq!((mail.template.as_str(), mail.to_email.as_str()), ("data_export_ready", "Carla@Example.com"));
    assert_eq!((mail.user_id, mail.to_name.as_str(), mail.locale.as_str()), (CARLA, "Carla Prado", "pt-BR"));
    assert!(mail.variables.is_empty());
}

#[tokio::test]
async fn anothers_job_is_as_good_as_none() {
    let (app, _peers) = app_with_peers().await;
    let done = export(&app, carla()).await;
    finished(&app, carla(), &done.id).await;
    let ask = |id: &str| GetDataJobRequest { id: id.to_owned() };
    let missing = "00000000-0000-7000-8000-000000000009";
    for other in [davi(), helena()] {
        let expected = everything_said(app.get_data_job(other.clone(), ask(missing)).await);
        assert_eq!(everything_said(app.get_data_job(other, ask(&done.id)).await), expected);
    }
    assert_eq!(refusal(app.get_data_job(carla(), ask("1")).await).2, "id");
    assert_eq!(refusal(app.get_data_job(Who::Nobody, ask(&done.id)).await).0, Code::Unauthenticated);
    // A week later it is gone.
    app.sql("UPDATE data_jobs SET expires_at = now()").await;
    let expected = everything_said(app.get_data_job(carla(), ask(missing)).await);
    assert_eq!(everything_said(app.get_data_job(carla(), ask(&done.id)).await), expected);
}

#[tokio::test]
async fn asking_again_finds_the_job_under_way() {
    let (app, peers) = app_with_peers().await;
    peers.agenda(Manner::Hesitates);
    let asked = (0..8).map(|_| export(&app, carla()));
    let asked = futures_util::future::join_all(asked).await;
    assert!(asked.iter().all(|job| job.id == asked[0].id));
    assert_ne!(export(&app, davi()).await.id, asked[0].id);
    peers.agenda(Manner::Answers);
    finished(&app, carla(), &asked[0].id).await;

    // Afterwards it is another one, and only the latest document is kept.
    let next = export(&app, carla()).await;
    assert_ne!(next.id, asked[0].id);
    finished(&app, carla(), &next.id).await;
    assert_eq!(app.count("SELECT count(*) FROM data_jobs WHERE user_id = 1001").await, 1);
}

#[tokio::test]
async fn a_service_that_is_away_delays_an_export_and_in_the_end_fails_it() {
    let (app, peers) = app_with_peers().await;
    peers.agenda(Manner::Away);
    let asked = export(&app, carla()).await;
    let tried = async || (peers.exports() >= 2).then_some(());
    eventually(PATIENCE, "it is tried again", tried).await;
    assert_eq!(job(&app, carla(), &asked.id).await.finished_at, None);
    peers.agenda(Manner::Answers);
    peers.notifications(Manner::Away);
    // The last attempt there is.
    app.sql("UPDATE data_jobs SET attempts = 14, state = 'pending', next_attempt_at = now()").await;
    let failed = finished(&app, carla(), &asked.id).await;
    assert_eq!(failed.state(), DataJobState::Failed);
    assert_eq!(failed.failure.as_deref(), Some("notifications_unavailable"));
    assert_eq!((failed.document_json, peers.mails().len()), (None, 0));

    // Whoever asks again gets a new chance.
    peers.notifications(Manner::Answers);
    let next = export(&app, carla()).await;
    assert_eq!(finished(&app, carla(), &next.id).await.state(), DataJobState::Done);
}

#[tokio::test]
async fn an_export_longer_than_an_answer_fails_at_once_and_says_so() {
    let (app, peers) = app_with_peers().await;
    peers.agenda(Manner::Rambles);
    let asked = export(&app, carla()).await;
    let failed = finished(&app, carla(), &asked.id).await;
    assert_eq!((failed.state(), failed.failure.as_deref()), (DataJobState::Failed, Some("too_large")));
    assert_eq!(peers.exports(), 1);
}

#[tokio::test]
async fn a_job_survives_its_worker() {
    let (app, peers) = app_with_peers().await;
    peers.agenda(Manner::Hesitates);
    let asked = export(&app, carla()).await;
    let begun = async || (peers.exports() == 1).then_some(());
    eventually(PATIENCE, "the job is begun", begun).await;
    // A second process leaves it alone while the first one's lease runs.
    let second = another_process(&app, &peers).await;
    let other = export(&app, davi()).await;
    let taken = async || (peers.exports() == 2).then_some(());
    eventually(PATIENCE, "the second process takes the other job", taken).await;
    let leases = app.count("SELECT count(*) FROM data_jobs WHERE state = 'running' AND attempts = 1").await;
    assert_eq!(leases, 2);

    // The second one dies in the middle of it; once its lease has ended, a third takes up the job.
    second.stop().await;
    let third = another_process(&app, &peers).await;
    app.sql("UPDATE data_jobs SET next_attempt_at = now() WHERE user_id = 1002").await;
    let taken = async || (peers.exports() == 3).then_some(());
    eventually(PATIENCE, "the third process takes the job up", taken).await;
    peers.agenda(Manner::Answers);
    assert_eq!(finished(&app, carla(), &asked.id).await.state(), DataJobState::Done);
    assert_eq!(finished(&app, davi(), &other.id).await.state(), DataJobState::Done);
    assert_eq!(app.count("SELECT attempts::bigint FROM data_jobs WHERE user_id = 1002").await, 2);
    no_mail_waits(&app).await;
    assert_eq!(peers.mails().len(), 2);
    third.stop().await;
}

#[tokio::test]
async fn a_worker_that_comes_back_late_changes_nothing() {
    let (app, peers) = app_with_peers().await;
    peers.agenda(Manner::Hesitates);
    let asked = export(&app, carla()).await;
    let begun = async || (peers.exports() == 1).then_some(());
    eventually(PATIENCE, "the job is begun", begun).await;
    // Its lease is taken for ended, and somebody else has finished the job meanwhile.
    app.sql(
        "UPDATE data_jobs SET attempts = 2, state = 'done', finished_at = now(), document = '{\"first\":true}'",
    )
    .await;
    peers.agenda(Manner::Answers);
    // The next job is only begun when the late one is over.
    let other = export(&app, davi()).await;
    finished(&app, davi(), &other.id).await;
    assert_eq!(job(&app, carla(), &asked.id).await.document_json.as_deref(), Some("{\"first\":true}"));
    no_mail_waits(&app).await;
    assert!(peers.mails().iter().all(|mail| mail.user_id != CARLA));
}

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
    assert_eq!((fact.user_id, event.stale_tags().len()), (CARLA, 7));
    let told = String::from_utf8_lossy(&event.encode()).into_owned();
    assert!(!told.contains("arla"), "{told}");

    // The former address hears of it once, and is kept nowhere.
    no_mail_waits(&app).await;
    let mails = peers.mails();
    let farewell: Vec<_> = mails.iter().filter(|mail| mail.template == "account_erased").collect();
    assert_eq!((farewell.len(), farewell[0].to_email.as_str()), (1, "Carla@Example.com"));
    let kept = "SELECT count(*) FROM (SELECT users::text AS row FROM users UNION ALL SELECT audit_log::text FROM audit_log
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
async fn both_jobs_need_a_recent_proof() {
    let (app, _peers) = app_with_peers().await;
    let before = carla().proved_before(301);
    let stale = (Code::PermissionDenied, "step_up_required".to_owned(), String::new());
    assert_eq!(refusal(app.request_export(before.clone(), RequestExportRequest {}).await), stale);
    assert_eq!(refusal(app.request_erasure(before, RequestErasureRequest {}).await), stale);
    for (who, code) in [(Who::Nobody, Code::Unauthenticated), (Who::Service, Code::PermissionDenied)] {
        assert_eq!(refusal(app.request_export(who.clone(), RequestExportRequest {}).await).0, code);
        assert_eq!(refusal(app.request_erasure(who, RequestErasureRequest {}).await).0, code);
    }
    assert_eq!(app.count("SELECT count(*) FROM data_jobs").await, 0);
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

#[tokio::test]
async fn mails_reach_notifications_once_with_links_to_the_configured_shop() {
    let (app, peers) = app_with_peers().await;
    peers.notifications(Manner::Away);
    app.sql(
        "INSERT INTO mail_jobs (id, user_id, template, variables, expires_at) VALUES
           ('00000000-0000-7000-8000-000000000001', 1001, 'verify_email',     '{}', now() + interval '1 hour'),
           ('00000000-0000-7000-8000-000000000002', 1001, 'password_reset',   '{\"x\": \"y\", \"n\": 1}', now() + interval '1 hour'),
           ('00000000-0000-7000-8000-000000000003', 1002, 'password_changed', '{}', now() + interval '1 hour'),
           ('00000000-0000-7000-8000-000000000004', 1002, 'session_reuse',    '{}', now())",
    )
    .await;
    let tried = async || {
        (app.count("SELECT coalesce(min(attempts), 0)::bigint FROM mail_jobs WHERE expires_at > now()").await
            >= 2)
            .then_some(())
    };
    eventually(PATIENCE, "every mail is tried again", tried).await;
    peers.notifications(Manner::Answers);
    let left = async || {
        (app.count("SELECT count(*) FROM mail_jobs WHERE expires_at > now()").await == 0).then_some(())
    };
    eventually(PATIENCE, "only the expired mail is left", left).await;

    let mut mails = peers.mails();
    mails.sort_by(|a, b| a.dedupe_key.cmp(&b.dedupe_key));
    let seen: Vec<_> = mails.iter().map(|mail| (mail.template.as_str(), mail.to_email.as_str())).collect();
    let expected = [
        ("verify_email", "Carla@Example.com"),
        ("password_reset", "Carla@Example.com"),
        ("password_changed", "davi@example.com"),
    ];
    assert_eq!(seen, expected);
    let token =
        |mail: &proto::notifications::v1::EnqueueEmailRequest| mail_token(mail.dedupe_key.parse().unwrap());
    assert_eq!(
        mails[0].variables["link"],
        format!("https://shop.test/verify-email#token={}", token(&mails[0]))
    );
    assert_eq!(
        mails[1].variables["link"],
        format!("https://shop.test/reset-password#token={}", token(&mails[1]))
    );
    // Texts go along, other things do not.
    assert_eq!((mails[1].variables["x"].as_str(), mails[1].variables.len()), ("y", 2));
    assert!(mails[2].variables.is_empty());
}

#[tokio::test]
async fn two_processes_share_the_mails() {
    let (app, peers) = app_with_peers().await;
    let second = another_process(&app, &peers).await;
    app.sql(
        "INSERT INTO mail_jobs (id, user_id, template, expires_at)
         SELECT gen_random_uuid(), 1001, 'password_changed', now() + interval '1 hour' FROM generate_series(1, 100)",
    )
    .await;
    no_mail_waits(&app).await;
    assert_eq!(peers.mails().len(), 100);
    second.stop().await;
}
