//! Mails on their way to notifications: each once, however often it takes.

use proto::notifications::v1::EnqueueEmailRequest;
use testkit::eventually;

use crate::app::mail_token;
use crate::peers::Manner;
use crate::work::{PATIENCE, another_process, app_with_peers, no_mail_waits};

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
    let token = |mail: &EnqueueEmailRequest| mail_token(mail.dedupe_key.parse().unwrap());
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
