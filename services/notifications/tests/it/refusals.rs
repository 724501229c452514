//! Who may not, and what may not be.

use std::time::Duration;

use proto::notifications::v1::*;
use serde_json::json;
use tonic::{Code, Status};

use crate::app::{ANA, BIA, TestApp, Who, list, refusal};

/// Everything of a refusal that a caller can see.
fn seen(status: &Status) -> (Code, String, Vec<(String, String)>) {
    let metadata = status
        .metadata()
        .iter()
        .filter_map(|entry| match entry {
            tonic::metadata::KeyAndValueRef::Ascii(name, value) => {
                Some((name.to_string(), value.to_str().unwrap().to_owned()))
            }
            tonic::metadata::KeyAndValueRef::Binary(..) => None,
        })
        .filter(|(name, _)| name != "date")
        .collect();
    (status.code(), status.message().to_owned(), metadata)
}

#[tokio::test]
async fn anothers_notification_is_as_if_there_were_none() {
    let app = TestApp::start().await;
    app.world.fill(41, 3).await;
    app.world.fill(42, 1).await;
    let foreign = app.feed(ANA).await[0].id;
    let missing = 9_999_999;
    for who in [BIA, Who::Customer(43), Who::Staff(7), Who::Admin(1)] {
        for read in [true, false] {
            let mark = async |id| {
                app.mark_notification(who, MarkNotificationRequest { id, read }).await.unwrap_err()
            };
            let (theirs, none) = (mark(foreign).await, mark(missing).await);
            assert_eq!(theirs.code(), Code::NotFound, "{who:?}");
            assert_eq!(seen(&theirs), seen(&none), "{who:?}");
        }
        let delete =
            async |id| app.delete_notification(who, DeleteNotificationRequest { id }).await.unwrap_err();
        assert_eq!(seen(&delete(foreign).await), seen(&delete(missing).await), "{who:?}");
        let own = if who == BIA { 1 } else { 0 };
        assert_eq!(app.list_notifications(who, list()).await.unwrap().total, own, "{who:?}");
    }
    let listed = app.list_notifications(ANA, list()).await.unwrap();
    assert_eq!((listed.total, listed.unread), (3, 3));
    assert!(app.world.recorded().await.is_empty());
}

#[tokio::test]
async fn nobody_has_no_feed_and_processes_have_none_either() {
    let app = TestApp::start().await;
    for (who, code, reason) in [
        (Who::Anonymous, Code::Unauthenticated, "unauthenticated"),
        (Who::Service, Code::PermissionDenied, "permission_denied"),
    ] {
        let expected = (code, reason.to_owned(), String::new());
        assert_eq!(refusal(app.list_notifications(who, list()).await), expected);
        let mark = MarkNotificationRequest { id: 1, read: true };
        assert_eq!(refusal(app.mark_notification(who, mark).await), expected);
        assert_eq!(refusal(app.mark_all_read(who, MarkAllReadRequest {}).await), expected);
        let delete = DeleteNotificationRequest { id: 1 };
        assert_eq!(refusal(app.delete_notification(who, delete).await), expected);
        assert_eq!(refusal(app.get_preferences(who, GetPreferencesRequest {}).await), expected);
        let update = UpdatePreferencesRequest::default();
        assert_eq!(refusal(app.update_preferences(who, update).await), expected);
        assert_eq!(refusal(app.replica.follow(&app.world, who, None).await), expected);
    }
}

#[tokio::test]
async fn what_is_for_processes_is_for_no_user() {
    let app = TestApp::start().await;
    for (who, code, reason) in [
        (Who::Anonymous, Code::Unauthenticated, "unauthenticated"),
        (ANA, Code::PermissionDenied, "permission_denied"),
        (Who::Staff(7), Code::PermissionDenied, "permission_denied"),
        (Who::Admin(1), Code::PermissionDenied, "permission_denied"),
    ] {
        let expected = (code, reason.to_owned(), String::new());
        assert_eq!(refusal(app.enqueue_email(who, EnqueueEmailRequest::default()).await), expected);
        let export = ExportUserDataRequest { user_id: 41 };
        assert_eq!(refusal(app.export_user_data(who, export).await), expected);
    }
}

#[tokio::test]
async fn an_assertion_for_another_service_or_from_yesterday_proves_nobody() {
    let app = TestApp::start().await;
    let keys = &app.world.keys;
    let spoiled = |member: &str, value: serde_json::Value| {
        let mut claims = keys.assertion_claims("notifications", "customer", 41);
        claims[member] = value;
        keys.sign_assertion("gateway", &keys.assertion_header("gateway"), &claims)
    };
    let as_accounts = {
        let mut claims = keys.assertion_claims("notifications", "customer", 41);
        claims["iss"] = json!("accounts");
        keys.sign_assertion("accounts", &keys.assertion_header("accounts"), &claims)
    };
    for bearer in [
        keys.assertion("agenda", "customer", 41),
        // The user's own token is for the gateway only.
        keys.token("customer", 41),
        spoiled("exp", json!(1_000_000_000)),
        spoiled("iss", json!("accounts")),
        spoiled("sub", json!("-1")),
        as_accounts,
        "nonsense".to_owned(),
    ] {
        let (code, reason, _) = refusal(app.list_with_bearer(&bearer).await);
        assert_eq!((code, reason.as_str()), (Code::Unauthenticated, "unauthenticated"), "{bearer}");
    }
    assert!(app.list_with_bearer(&keys.assertion("notifications", "customer", 41)).await.is_ok());
}

#[tokio::test]
async fn values_out_of_range_are_named() {
    let app = TestApp::start().await;
    let invalid = |reason: &str, field: &str| (Code::InvalidArgument, reason.to_owned(), field.to_owned());
    for (page, limit, reason, field) in [
        (0, 10, "invalid_value", "page"),
        (1, 0, "invalid_value", "limit"),
        (1, 101, "invalid_value", "limit"),
        (101, 100, "offset_too_deep", "page"),
    ] {
        let request = ListNotificationsRequest { page, limit, unread_only: false };
        assert_eq!(refusal(app.list_notifications(ANA, request).await), invalid(reason, field));
    }
    for id in [0, -1] {
        let mark = MarkNotificationRequest { id, read: true };
        assert_eq!(refusal(app.mark_notification(ANA, mark).await), invalid("invalid_value", "id"));
        let delete = DeleteNotificationRequest { id };
        assert_eq!(refusal(app.delete_notification(ANA, delete).await), invalid("invalid_value", "id"));
    }
    let export = ExportUserDataRequest { user_id: 0 };
    assert_eq!(
        refusal(app.export_user_data(Who::Service, export).await),
        invalid("invalid_value", "user_id")
    );
}

#[tokio::test]
async fn a_draining_process_finishes_and_ends() {
    let app = TestApp::start().await;
    app.world.fill(41, 1).await;
    assert_eq!(app.feed(ANA).await.len(), 1);
    tokio::time::timeout(Duration::from_secs(20), app.replica.stop()).await.unwrap();
}
