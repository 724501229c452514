//! What administrators see of users and do to them.

use events::Fact;
use proto::accounts::v1::revocation::What;
use proto::accounts::v1::*;
use tonic::Code;

use crate::app::{TestApp, Who, everything_said, refusal};
use crate::people::{
    CARLA, DAVI, HELENA, NO_ONE, OTTO, app_with_people, carla, events, helena, otto, payloads, tags,
};

fn all() -> ListUsersRequest {
    ListUsersRequest { page: 1, per_page: 100, ..Default::default() }
}

fn searched(text: &str) -> ListUsersRequest {
    ListUsersRequest { search: Some(text.to_owned()), ..all() }
}

fn promote(id: i64, expected_version: i64, role: Role) -> UpdateUserRequest {
    UpdateUserRequest { id, expected_version, name: None, role: Some(role.into()) }
}

fn lock(id: i64, expected_version: i64) -> LockUserRequest {
    LockUserRequest { id, expected_version, locked: true, reason: "chargeback 4711".to_owned() }
}

async fn ids(app: &TestApp, request: ListUsersRequest) -> Vec<i64> {
    let answer = app.list_users(helena(), request).await.unwrap();
    assert_eq!(answer.total, answer.users.len() as u64);
    let mut ids: Vec<i64> = answer.users.iter().map(|user| user.id).collect();
    ids.sort_unstable();
    ids
}

/// Two sessions of Carla's, each with a refresh token.
async fn sessions_of_carla(app: &TestApp) {
    app.sql(
        "INSERT INTO sessions (id, user_id, created_at, last_used_at, auth_at, expires_at)
         SELECT format('00000000-0000-7000-8000-00000000000%s', n)::uuid, 1001, now(), now(), now(), now() + interval '30 days'
           FROM generate_series(1, 2) n;
         INSERT INTO refresh_tokens (token_sha256, session_id, user_id, created_at, expires_at)
         SELECT sha256(id::text::bytea), id, user_id, now(), now() + interval '7 days' FROM sessions",
    )
    .await;
}

#[tokio::test]
async fn users_are_found_by_role_name_address_and_lock() {
    let app = app_with_people().await;
    app.sql(
        r"INSERT INTO users (id, email, name, role, locked_at, deleted_at) VALUES
            (2001, 'p100%@example.com', 'Cem_Por_Cento', 'staff',    now(), NULL),
            (2002, 'gone@example.com',  'Carla Gone',    'customer', NULL,  now())",
    )
    .await;
    assert_eq!(ids(&app, all()).await, [CARLA, DAVI, HELENA, OTTO, 2001]);
    assert_eq!(ids(&app, ListUsersRequest { role: Role::Admin.into(), ..all() }).await, [HELENA, OTTO]);
    assert_eq!(ids(&app, ListUsersRequest { locked: Some(true), ..all() }).await, [2001]);
    assert_eq!(ids(&app, ListUsersRequest { locked: Some(false), ..all() }).await.len(), 4);
    // Parts of names and addresses, whatever the case; wildcards stand for themselves.
    assert_eq!(ids(&app, searched("PRADO")).await, [CARLA]);
    assert_eq!(ids(&app, searched("shop.TEST")).await, [HELENA, OTTO]);
    assert_eq!(ids(&app, searched("%")).await, [2001]);
    assert_eq!(ids(&app, searched("m_p")).await, [2001]);
    assert_eq!(ids(&app, searched(r"\")).await, [] as [i64; 0]);
    assert_eq!(ids(&app, searched("  ")).await.len(), 5);
    assert_eq!(ids(&app, ListUsersRequest { role: Role::Admin.into(), ..searched("otto") }).await, [OTTO]);
    assert_eq!(ids(&app, searched("' OR 1=1 --")).await, [] as [i64; 0]);
}

#[tokio::test]
async fn pages_are_numbered_from_one_and_bounded() {
    let app = app_with_people().await;
    let page = async |page, per_page| {
        let request = ListUsersRequest { page, per_page, ..Default::default() };
        let answer = app.list_users(helena(), request).await.unwrap();
        assert_eq!(answer.total, 4);
        answer.users.into_iter().map(|user| user.id).collect::<Vec<_>>()
    };
    let (first, second) = (page(1, 3).await, page(2, 3).await);
    assert_eq!((first.len(), second.len(), page(3, 3).await.len()), (3, 1, 0));
    assert!(!first.contains(&second[0]));

    let refused = async |number, per_page| {
        let request = ListUsersRequest { page: number, per_page, ..Default::default() };
        let (code, reason, field) = refusal(app.list_users(helena(), request).await);
        assert_eq!(code, Code::InvalidArgument);
        (reason, field)
    };
    assert_eq!(refused(0, 20).await, ("invalid_value".into(), "page".into()));
    assert_eq!(refused(1, 0).await, ("invalid_value".into(), "per_page".into()));
    assert_eq!(refused(1, 101).await, ("invalid_value".into(), "per_page".into()));
    assert_eq!(refused(101, 100).await, ("offset_too_deep".into(), "page".into()));
    assert_eq!(refused(u32::MAX, 100).await, ("offset_too_deep".into(), "page".into()));
    assert_eq!(refusal(app.list_users(helena(), searched(&"x".repeat(129))).await).2, "search");
    assert_eq!(refusal(app.list_users(helena(), ListUsersRequest { role: 99, ..all() }).await).2, "role");
}

#[tokio::test]
async fn only_administrators_get_in() {
    let app = app_with_people().await;
    let nobody = [
        (Who::Nobody, Code::Unauthenticated),
        (carla(), Code::PermissionDenied),
        (Who::user(DAVI, "staff"), Code::PermissionDenied),
        (Who::Service, Code::PermissionDenied),
    ];
    for (who, code) in nobody {
        let get = GetUserRequest { id: CARLA };
        assert_eq!(app.list_users(who.clone(), all()).await.unwrap_err().code(), code);
        assert_eq!(app.get_user(who.clone(), get).await.unwrap_err().code(), code);
        assert_eq!(
            app.update_user(who.clone(), promote(CARLA, 1, Role::Admin)).await.unwrap_err().code(),
            code
        );
        assert_eq!(app.lock_user(who, lock(CARLA, 1)).await.unwrap_err().code(), code);
    }
    assert_eq!(events(&app).await, []);

    let user = app.get_user(helena(), GetUserRequest { id: CARLA }).await.unwrap().user.unwrap();
    assert_eq!(user.email, "Carla@Example.com");
    let missing = everything_said(app.get_user(helena(), GetUserRequest { id: NO_ONE }).await);
    app.sql("UPDATE users SET deleted_at = now() WHERE id = 1001").await;
    assert_eq!(everything_said(app.get_user(helena(), GetUserRequest { id: CARLA }).await), missing);
}

#[tokio::test]
async fn another_role_is_recorded_revokes_and_needs_a_new_login() {
    let app = app_with_people().await;
    sessions_of_carla(&app).await;
    let answer = app.update_user(helena(), promote(CARLA, 1, Role::Staff)).await.unwrap();
    let user = answer.user.unwrap();
    assert_eq!((user.role(), user.version), (Role::Staff, 2));
    assert_eq!(tags(&answer.receipts), ["profile:user:1001"]);
    let [revocation] = &answer.revocations[..] else { panic!("{:?}", answer.revocations) };
    let Some(What::RoleChange(change)) = &revocation.what else { panic!("{revocation:?}") };
    assert_eq!((change.user_id, change.role()), (CARLA, Role::Staff));
    let listed = app.list_revocations(Who::Service, ListRevocationsRequest { after_seq: 0 }).await.unwrap();
    assert_eq!(&listed.revocations, &answer.revocations);

    let recorded = payloads(&app).await;
    let [event] = &recorded[..] else { panic!("{recorded:?}") };
    let Fact::UserRoleChanged(fact) = event.fact() else { panic!("{event:?}") };
    assert_eq!((fact.user_id, fact.old_role.as_str(), fact.role.as_str()), (CARLA, "customer", "staff"));
    assert_eq!(event.subject(), "mc.accounts.user.role_changed.1001");
    // No session gets another access token.
    assert_eq!(app.count("SELECT count(*) FROM refresh_tokens").await, 0);
    let audited = "SELECT count(*) FROM audit_chain
                    WHERE actor_id = 1003 AND actor_role = 'admin' AND action = 'user.role_changed'
                      AND entity = 'user' AND entity_id = '1001' AND request_id <> ''
                      AND before->>'role' = 'customer' AND after->>'role' = 'staff'";
    assert_eq!(app.count(audited).await, 1);

    // Twice: what is so already is no news.
    let answer = app.update_user(helena(), promote(CARLA, 2, Role::Staff)).await.unwrap();
    assert_eq!((answer.user.unwrap().version, answer.revocations.len(), answer.receipts.len()), (2, 0, 0));
    assert_eq!(events(&app).await.len(), 1);
}

#[tokio::test]
async fn name_and_role_together_are_two_events() {
    let app = app_with_people().await;
    let request = UpdateUserRequest { name: Some("Carla P.".to_owned()), ..promote(CARLA, 1, Role::Admin) };
    let user = app.update_user(helena(), request).await.unwrap().user.unwrap();
    assert_eq!((user.name.as_str(), user.role(), user.version), ("Carla P.", Role::Admin, 3));
    let recorded: Vec<_> =
        events(&app).await.into_iter().map(|(subject, version, _)| (subject, version)).collect();
    let expected = [
        ("mc.accounts.user.updated.1001".to_owned(), 2),
        ("mc.accounts.user.role_changed.1001".to_owned(), 3),
    ];
    assert_eq!(recorded, expected);
    // The log outlives the name: it does not hold it.
    let named = "SELECT count(*) FROM audit_chain WHERE audit_chain::text LIKE '%Carla%'";
    assert_eq!((app.count("SELECT count(*) FROM audit_chain").await, app.count(named).await), (2, 0));
}

#[tokio::test]
async fn a_lock_ends_every_session_and_keeps_its_reason() {
    let app = app_with_people().await;
    sessions_of_carla(&app).await;
    let answer = app.lock_user(helena(), lock(CARLA, 1)).await.unwrap();
    assert!(answer.user.unwrap().locked);
    assert_eq!((tags(&answer.receipts), answer.revocations.len()), (vec!["profile:user:1001"], 2));
    assert!(answer.revocations.iter().all(|r| matches!(r.what, Some(What::SessionId(_)))));
    let live = app.count("SELECT count(*) FROM sessions WHERE revoked_at IS NULL").await;
    let kept = app.count("SELECT count(*) FROM users WHERE locked_reason = 'chargeback 4711'").await;
    assert_eq!((live, kept), (0, 1));
    // The log outlives what people ask to be forgotten: reasons may be about them.
    let told = "SELECT count(*) FROM audit_chain WHERE action = 'user.locked' AND audit_chain::text NOT LIKE '%4711%'";
    assert_eq!(app.count(told).await, 1);

    // Twice, and back again.
    let again = app.lock_user(helena(), lock(CARLA, 2)).await.unwrap();
    assert_eq!((again.receipts.len(), again.revocations.len()), (0, 0));
    let unlock = LockUserRequest { locked: false, ..lock(CARLA, 2) };
    let answer = app.lock_user(helena(), unlock).await.unwrap();
    let user = answer.user.unwrap();
    assert_eq!((user.locked, user.version, answer.revocations.len()), (false, 3, 0));
    assert_eq!(app.count("SELECT count(*) FROM users WHERE locked_reason IS NOT NULL").await, 0);
    assert_eq!(events(&app).await.len(), 2);

    for reason in [&"x".repeat(501), "a\0"] {
        let request = LockUserRequest { reason: reason.to_owned(), ..lock(CARLA, 3) };
        assert_eq!(refusal(app.lock_user(helena(), request).await).2, "reason");
    }
}

#[tokio::test]
async fn a_proof_five_minutes_old_is_too_old() {
    let app = app_with_people().await;
    let before = helena().proved_before(301);
    let stale = (Code::PermissionDenied, "step_up_required".to_owned(), String::new());
    assert_eq!(refusal(app.update_user(before.clone(), promote(CARLA, 1, Role::Staff)).await), stale);
    assert_eq!(refusal(app.lock_user(before.clone(), lock(CARLA, 1)).await), stale);
    assert_eq!(events(&app).await, []);
    // Looking is allowed.
    assert!(app.list_users(before, all()).await.is_ok());
    assert!(app.update_user(helena().proved_before(290), promote(CARLA, 1, Role::Staff)).await.is_ok());
}

#[tokio::test]
async fn a_stale_version_changes_nobody() {
    let app = app_with_people().await;
    app.lock_user(helena(), lock(CARLA, 1)).await.unwrap();
    for status in [
        app.lock_user(helena(), LockUserRequest { locked: false, ..lock(CARLA, 1) }).await.unwrap_err(),
        app.update_user(helena(), promote(CARLA, 1, Role::Staff)).await.unwrap_err(),
    ] {
        assert_eq!(status.code(), Code::Aborted);
        assert_eq!(status.metadata().get("mc-current-version").unwrap(), "2");
    }
    assert_eq!(refusal(app.lock_user(helena(), lock(CARLA, 0)).await).1, "version_required");
    assert_eq!(refusal(app.update_user(helena(), promote(NO_ONE, 1, Role::Staff)).await).0, Code::NotFound);
    assert_eq!(refusal(app.lock_user(helena(), lock(NO_ONE, 1)).await).0, Code::NotFound);
    assert_eq!(events(&app).await.len(), 1);
}

#[tokio::test]
async fn nobody_takes_their_own_rights_away() {
    let app = app_with_people().await;
    let own = (Code::PermissionDenied, "own_account".to_owned(), String::new());
    assert_eq!(refusal(app.update_user(helena(), promote(HELENA, 1, Role::Customer)).await), own);
    assert_eq!(refusal(app.lock_user(helena(), lock(HELENA, 1)).await), own);
    let rename =
        UpdateUserRequest { id: HELENA, expected_version: 1, name: Some("H.".to_owned()), role: None };
    assert!(app.update_user(helena(), rename).await.is_ok());
}

#[tokio::test]
async fn whoever_is_no_administrator_any_more_does_nothing_with_an_old_token() {
    let app = app_with_people().await;
    app.update_user(helena(), promote(OTTO, 1, Role::Customer)).await.unwrap();
    let denied = (Code::PermissionDenied, "permission_denied".to_owned(), String::new());
    assert_eq!(refusal(app.update_user(otto(), promote(HELENA, 1, Role::Customer)).await), denied);
    assert_eq!(refusal(app.lock_user(otto(), lock(CARLA, 1)).await), denied);
    app.sql("UPDATE users SET role = 'admin', locked_at = now() WHERE id = 1004").await;
    assert_eq!(refusal(app.lock_user(otto(), lock(CARLA, 1)).await), denied);
}

#[tokio::test]
async fn of_two_who_demote_each_other_one_stays() {
    let app = app_with_people().await;
    for _ in 0..5 {
        app.sql("UPDATE users SET role = 'admin', version = version + 10 WHERE id IN (1003, 1004)").await;
        let version_of = async |id: i64| {
            let found = app.list_users(helena(), all()).await.unwrap().users;
            found.into_iter().find(|user| user.id == id).unwrap().version
        };
        let (of_helena, of_otto) = (version_of(HELENA).await, version_of(OTTO).await);
        let (first, second) = tokio::join!(
            app.update_user(helena(), promote(OTTO, of_otto, Role::Customer)),
            app.update_user(otto(), promote(HELENA, of_helena, Role::Customer)),
        );
        assert!(first.is_ok() != second.is_ok(), "{first:?} {second:?}");
        assert_eq!(app.count("SELECT count(*) FROM users WHERE role = 'admin'").await, 1);
    }
}
