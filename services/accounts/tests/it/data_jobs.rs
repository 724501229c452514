//! Exports, and jobs that survive the absence of everybody involved.

use proto::accounts::v1::*;
use serde_json::Value;
use testkit::eventually;
use tonic::Code;

use crate::app::{Who, everything_said, refusal};
use crate::peers::Manner;
use crate::people::{CARLA, carla, davi, helena};
use crate::work::{PATIENCE, another_process, app_with_peers, export, finished, job, no_mail_waits};

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
    assert_eq!(document["orders"]["orders"][0]["of"], CARLA);

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

    // So it is with orders.
    peers.notifications(Manner::Answers);
    peers.orders(Manner::Away);
    let asked = export(&app, carla()).await;
    let away = async || (peers.exports() >= 3).then_some(());
    eventually(PATIENCE, "it is tried", away).await;
    app.sql("UPDATE data_jobs SET attempts = 14, state = 'pending', next_attempt_at = now() WHERE finished_at IS NULL").await;
    let failed = finished(&app, carla(), &asked.id).await;
    assert_eq!(failed.failure.as_deref(), Some("orders_unavailable"));

    // Whoever asks again gets a new chance.
    peers.orders(Manner::Answers);
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
