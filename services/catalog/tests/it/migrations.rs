//! What the schema promises by itself.

use crate::app::TestApp;

#[tokio::test]
async fn every_table_has_forced_row_level_security_and_an_owner_who_cannot_log_in() {
    let app = TestApp::start().await;
    let tables: Vec<(String, bool, bool, String, bool)> = sqlx::query_as(
        "SELECT c.relname::text, c.relrowsecurity, c.relforcerowsecurity, r.rolname::text, r.rolcanlogin
           FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner
          WHERE c.relnamespace = 'catalog'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm')",
    )
    .fetch_all(&mut app.admin().await)
    .await
    .unwrap();
    assert!(tables.len() >= 11, "{tables:?}");
    for (table, enabled, forced, owner, owner_logs_in) in tables {
        assert!(enabled && forced, "{table}");
        assert_eq!((owner.as_str(), owner_logs_in), ("mc_owner", false), "{table}");
    }
}

#[tokio::test]
async fn nobody_but_the_owner_may_truncate_refer_or_trigger() {
    let app = TestApp::start().await;
    let grants: Vec<(String, String, String)> = sqlx::query_as(
        "SELECT grantee::text, table_name::text, privilege_type::text
           FROM information_schema.role_table_grants
          WHERE table_schema = 'catalog' AND grantee <> 'mc_owner'
            AND (privilege_type IN ('TRUNCATE', 'REFERENCES', 'TRIGGER') OR grantee = 'PUBLIC')",
    )
    .fetch_all(&mut app.admin().await)
    .await
    .unwrap();
    assert!(grants.is_empty(), "{grants:?}");
}

#[tokio::test]
async fn the_function_with_the_owners_rights_is_the_one_that_was_reviewed() {
    let app = TestApp::start().await;
    let functions: Vec<(String, bool, Option<Vec<String>>)> = sqlx::query_as(
        "SELECT proname::text, has_function_privilege('public', oid, 'EXECUTE'), proconfig FROM pg_proc
          WHERE prosecdef AND pronamespace IN ('catalog'::regnamespace, 'app'::regnamespace) ORDER BY 1",
    )
    .fetch_all(&mut app.admin().await)
    .await
    .unwrap();
    let pinned = Some(vec!["search_path=pg_catalog".to_owned()]);
    assert_eq!(functions, [("matching".to_owned(), false, pinned)]);
}

#[tokio::test]
async fn category_paths_follow_their_parents() {
    let app = TestApp::start().await;
    app.sql(
        "INSERT INTO categories (id, parent_id, name, slug) VALUES
             (1, NULL, 'a', 'a'), (2, 1, 'b', 'b'), (3, 2, 'c', 'c'), (4, NULL, 'd', 'd'), (5, 3, 'e', 'e')",
    )
    .await;
    let paths = async || -> Vec<Vec<i64>> {
        sqlx::query_scalar("SELECT path FROM categories ORDER BY id")
            .fetch_all(&mut app.admin().await)
            .await
            .unwrap()
    };
    assert_eq!(paths().await, [vec![1], vec![1, 2], vec![1, 2, 3], vec![4], vec![1, 2, 3, 5]]);
    app.sql("UPDATE categories SET parent_id = 4 WHERE id = 2").await;
    assert_eq!(paths().await, [vec![1], vec![4, 2], vec![4, 2, 3], vec![4], vec![4, 2, 3, 5]]);
    app.sql("UPDATE categories SET parent_id = NULL WHERE id = 3").await;
    assert_eq!(paths().await, [vec![1], vec![4, 2], vec![3], vec![4], vec![3, 5]]);

    for refused in [
        "UPDATE categories SET parent_id = 5 WHERE id = 3",
        "UPDATE categories SET parent_id = 3 WHERE id = 3",
        "UPDATE categories SET parent_id = 99 WHERE id = 3",
        "INSERT INTO categories (id, parent_id, name, slug)
         SELECT 10 + n, CASE WHEN n > 0 THEN 9 + n END, n, 'n' || n FROM generate_series(0, 8) n",
    ] {
        let refusal = sqlx::raw_sql(refused).execute(&mut app.admin().await).await;
        assert!(refusal.is_err(), "{refused}");
    }
    assert_eq!(paths().await, [vec![1], vec![4, 2], vec![3], vec![4], vec![3, 5]]);
}
