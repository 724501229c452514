//! What one sees depends on who one is, and on nothing else.

use rls::{Caller, Class, ConnectError, Database, DatabaseConfig, DatabaseError, UserId};
use sqlx::{Connection as _, PgConnection};

use crate::app::{ALICE, BOB, PATIENCE, TestApp};

#[tokio::test]
async fn users_see_and_change_their_own_rows_only() {
    let app = TestApp::start().await;
    app.write(ALICE, 1).await.expect("alice may write");
    app.write(BOB, 2).await.expect("bob may write");

    assert_eq!(app.read(ALICE).await.expect("alice may read"), [1]);
    assert_eq!(app.read(BOB).await.expect("bob may read"), [2]);
    assert_eq!(app.truth().await, [(1, 1), (2, 2)]);

    let changed = app.db.run(&BOB, Class::Write, PATIENCE, |tx| {
        Box::pin(async move {
            let update = sqlx::query("UPDATE notes SET text = 'bob was here'");
            let updated = update.execute(&mut *tx.statement("UPDATE notes")).await?;
            let delete = sqlx::query("DELETE FROM notes WHERE id = 1");
            let deleted = delete.execute(&mut *tx.statement("DELETE note")).await?;
            Ok::<_, DatabaseError>((updated.rows_affected(), deleted.rows_affected()))
        })
    });
    assert_eq!(changed.await.expect("bob may change his own").value, (1, 0));
}

#[tokio::test]
async fn nobody_writes_in_the_name_of_another() {
    let app = TestApp::start().await;
    let forged = app.db.run(&BOB, Class::Write, PATIENCE, |tx| {
        Box::pin(async move {
            sqlx::query("INSERT INTO notes (id, user_id, text) VALUES (1, 1, 'by alice')")
                .execute(&mut *tx.statement("INSERT note"))
                .await?;
            Ok::<_, DatabaseError>(())
        })
    });
    assert!(matches!(forged.await, Err(DatabaseError::Refused(_))));
    assert_eq!(app.truth().await, []);
}

#[tokio::test]
async fn without_an_identity_everything_is_refused() {
    let app = TestApp::start().await;
    app.write(ALICE, 1).await.expect("alice may write");

    assert!(matches!(app.read(Caller::Anonymous).await, Err(DatabaseError::Refused(_))));
    assert!(matches!(app.write(Caller::Anonymous, 2).await, Err(DatabaseError::Refused(_))));

    // The login itself, should a query ever run outside of a transaction of ours.
    let mut bare = PgConnection::connect(&app.database.url).await.expect("the login may connect");
    let read = sqlx::query("SELECT * FROM notes.notes").fetch_all(&mut bare).await;
    let code = read
        .expect_err("the login has no rights")
        .into_database_error()
        .and_then(|e| e.code().map(String::from));
    assert_eq!(code.as_deref(), Some("42501"));
}

#[tokio::test]
async fn a_forgotten_user_id_shows_no_rows() {
    let app = TestApp::start().await;
    app.write(ALICE, 1).await.expect("alice may write");
    let mut bare = PgConnection::connect(&app.database.url).await.expect("the login may connect");
    sqlx::query("SET ROLE mc_user").execute(&mut bare).await.expect("the login may become a user");
    let seen: i64 =
        sqlx::query_scalar("SELECT count(*) FROM notes.notes").fetch_one(&mut bare).await.expect("allowed");
    assert_eq!(seen, 0);
}

#[tokio::test]
async fn staff_admins_and_services_see_all() {
    let app = TestApp::start().await;
    app.write(ALICE, 1).await.expect("alice may write");
    app.write(BOB, 2).await.expect("bob may write");
    for caller in [Caller::Staff(UserId(7)), Caller::Admin(UserId(8)), Caller::Service] {
        assert_eq!(app.read(caller).await.expect("allowed"), [1, 2], "{caller:?}");
    }
}

#[tokio::test]
async fn guests_see_the_cart_of_their_token_only() {
    let app = TestApp::start().await;
    let guest = |byte| Caller::Guest { cart_token_sha256: [byte; 32] };
    for guest in [guest(0xaa), guest(0xbb)] {
        let made = app.db.run(&guest, Class::Write, PATIENCE, |tx| {
            Box::pin(async move {
                sqlx::query("INSERT INTO carts VALUES (app.cart_token(), 3)")
                    .execute(&mut *tx.statement("INSERT cart"))
                    .await?;
                Ok::<_, DatabaseError>(())
            })
        });
        made.await.expect("a guest may have a cart");
    }
    for (caller, expected) in [(guest(0xaa), 1), (guest(0xcc), 0), (Caller::Anonymous, 0)] {
        let seen = app.db.run(&caller, Class::Read, PATIENCE, |tx| {
            Box::pin(async move {
                let count = sqlx::query_scalar("SELECT count(*) FROM carts");
                let seen: i64 = count.fetch_one(&mut *tx.statement("SELECT carts")).await?;
                Ok::<_, DatabaseError>(seen)
            })
        });
        assert_eq!(seen.await.expect("allowed").value, expected, "{caller:?}");
    }
}

#[tokio::test]
async fn reads_cannot_write() {
    let app = TestApp::start().await;
    let written = app.db.run(&ALICE, Class::Read, PATIENCE, |tx| crate::app::insert(tx, 1)).await;
    assert!(matches!(written, Err(DatabaseError::Statement(_))), "{written:?}");
    assert_eq!(app.truth().await, []);
}

#[tokio::test]
async fn a_login_that_policies_do_not_bind_is_refused() {
    let app = TestApp::start().await;
    let refused = Database::connect(&DatabaseConfig::new(&app.database.admin_url)).await;
    assert!(matches!(refused, Err(ConnectError::Unrestricted { .. })), "{refused:?}");
}

#[tokio::test]
async fn an_unreachable_database_is_named_without_its_password() {
    let refused =
        Database::connect(&DatabaseConfig::new("postgres://mc_notes:secret@127.0.0.1:1/mc_notes")).await;
    let error = refused.expect_err("nothing listens on port 1");
    assert!(matches!(error, ConnectError::Unreachable { .. }));
    assert!(!format!("{error:?} {error}").contains("secret"), "{error:?}");
}
