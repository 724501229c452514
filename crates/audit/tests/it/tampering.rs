//! Whoever may write every row still leaves a trace.

use audit::{Break, VerifyError};

use crate::app::{ADMIN, TestApp, shipped};

/// Spoils a chain of five rows by `sql`, and expects it to break as said.
async fn check(sql: &str, id: i64, what: Break) {
    let app = TestApp::with_rows(5).await;
    assert_eq!(app.verify(None).await.expect("whole").rows, 5);
    app.as_superuser(sql).await;
    match app.verify(None).await {
        Err(VerifyError::Broken { id: at, what: how }) => assert_eq!((at, how), (id, what), "{sql}"),
        other => panic!("{sql}: {other:?}"),
    }
}

#[tokio::test]
async fn a_changed_field_is_found() {
    for change in [
        "at = at + interval '1 microsecond'",
        "actor_id = 8",
        "actor_id = NULL",
        "actor_role = 'staff'",
        "action = 'order.refunded'",
        "entity = 'coupon'",
        "entity_id = '4'",
        "before = NULL",
        "after = '{\"status\":\"delivered\"}'",
        // The same value in another spelling.
        "before = before::jsonb::json",
        "request_id = 'r-2'",
        "sha256 = sha256('x')",
    ] {
        check(&format!("UPDATE watch.audit_chain SET {change} WHERE id = 3"), 3, Break::Changed).await;
    }
    check("UPDATE watch.audit_chain SET prev_sha256 = sha256('x') WHERE id = 3", 3, Break::Unlinked).await;
}

#[tokio::test]
async fn a_removed_row_is_found() {
    check("DELETE FROM watch.audit_chain WHERE id = 3", 3, Break::Missing).await;
    check("DELETE FROM watch.audit_chain WHERE id = 1", 1, Break::Missing).await;
    // Closing the gap does not help.
    let closed = "DELETE FROM watch.audit_chain WHERE id = 3;
                  UPDATE watch.audit_chain SET id = 3 WHERE id = 4;
                  UPDATE watch.audit_chain SET id = 4 WHERE id = 5";
    check(closed, 3, Break::Unlinked).await;
}

#[tokio::test]
async fn swapped_rows_are_found() {
    let ids = "UPDATE watch.audit_chain SET id = 30 WHERE id = 3;
               UPDATE watch.audit_chain SET id = 3 WHERE id = 4;
               UPDATE watch.audit_chain SET id = 4 WHERE id = 30";
    check(ids, 3, Break::Unlinked).await;
    let contents = "UPDATE watch.audit_chain a SET entity_id = b.entity_id FROM watch.audit_chain b
                     WHERE (a.id, b.id) IN ((3, 4), (4, 3))";
    check(contents, 3, Break::Changed).await;
}

#[tokio::test]
async fn an_invented_row_is_found() {
    let invented = "INSERT INTO watch.audit_chain
                    SELECT 6, at, 8, actor_role, action, entity, entity_id, before, after, request_id, sha256,
                           sha256('x')
                      FROM watch.audit_chain WHERE id = 5";
    check(invented, 6, Break::Changed).await;
}

#[tokio::test]
async fn what_was_cut_off_is_found_by_whoever_kept_the_head() {
    let app = TestApp::with_rows(5).await;
    let kept = app.verify(None).await.expect("whole").head.expect("a last row");
    app.record(ADMIN, shipped(6)).await.expect("recorded");
    assert_eq!(app.verify(Some(kept)).await.expect("it has grown").rows, 6);

    app.as_superuser("DELETE FROM watch.audit_chain WHERE id > 3").await;
    assert_eq!(app.verify(None).await.expect("what is left is whole").rows, 3);
    let cut = app.verify(Some(kept)).await;
    assert!(matches!(cut, Err(VerifyError::Broken { id: 5, what: Break::NotTheKept })), "{cut:?}");

    // Others in their place are not the same.
    for order in 14..=16 {
        app.record(ADMIN, shipped(order)).await.expect("recorded");
    }
    assert_eq!(app.verify(None).await.expect("whole").rows, 6);
    let other = app.verify(Some(kept)).await;
    assert!(matches!(other, Err(VerifyError::Broken { id: 5, what: Break::NotTheKept })), "{other:?}");
}
