//! Keys go after a day, and with their principal.

use idempotency::{forget, sweep};
use rls::{Caller, Class, DatabaseError, UserId};

use crate::app::{ANA, BIA, PATIENCE, TestApp, request};

#[tokio::test]
async fn old_keys_are_swept_and_young_ones_stay() {
    let app = TestApp::start().await;
    app.as_superuser(
        "INSERT INTO shop.idempotency_keys (scope, route, key, request_sha256, locked_until, request_id, expires_at)
         SELECT 'user:1', 'POST /', n::text, sha256('x'), now(), '', now() + (CASE n % 3 WHEN 0 THEN 1 ELSE -1 END) * interval '1 minute'
           FROM generate_series(1, 1800) n",
    )
    .await;
    assert_eq!(sweep(&app.db).await.expect("swept"), 1_000, "in batches");
    assert_eq!(sweep(&app.db).await.expect("swept"), 200);
    assert_eq!(sweep(&app.db).await.expect("swept"), 0);
    assert_eq!(app.keys().await, 600);
}

#[tokio::test]
async fn an_erased_user_leaves_no_keys() {
    let app = TestApp::start().await;
    for caller in [ANA, BIA] {
        for key in ["k-1", "k-2"] {
            app.work(caller, &request(&caller, key, 1)).await.expect("done");
        }
    }
    let forgotten = app.db.run(&Caller::Service, Class::Worker, PATIENCE, |tx| {
        Box::pin(async move { Ok::<_, DatabaseError>(forget(tx, UserId(1)).await?) })
    });
    assert_eq!(forgotten.await.expect("forgotten").value, 2);
    assert_eq!(app.keys().await, 2);
    assert!(app.work(BIA, &request(&BIA, "k-1", 1)).await.expect("hers stay").replayed);
}
