//! Every table of a service: policies are on and forced, and the login has no way around them.

use futures_util::TryStreamExt as _;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use super::{DENIED, code, login};
use crate::TestDatabase;

/// Whom a transaction may be opened as.
const ROLES: [&str; 4] = ["mc_anon", "mc_user", "mc_admin", "mc_service"];
/// A user who has nothing.
const NOBODY_ID: i64 = i64::MAX;

/// Requires of every table in `schema` that there is no way around its policies.
///
/// Row level security is enabled and forced, `mc_owner` owns it, and the service's login cannot read it without
/// an identity, truncate it, alter it, copy it, or reach it by a role, a setting, a view or a function.
///
/// # Panics
/// With what it can.
pub async fn tables(database: &TestDatabase, schema: &str) {
    let mut admin = database.admin().await;
    let tables = forced(&mut admin, schema).await;
    no_way_by_views_and_functions(&mut admin, schema).await;
    no_powers(&mut admin, database).await;
    let mut login = login(database).await;
    no_way_as_nobody(database, &mut login, &tables).await;
    for role in ROLES {
        no_way_as(database, &mut login, role, schema, &tables).await;
    }
    owner_sees_policies(database, &mut admin, schema, &tables).await;
}

/// The schema's tables, qualified.
async fn forced(admin: &mut PgConnection, schema: &str) -> Vec<String> {
    let found: Vec<(String, bool, bool, String)> = sqlx::query_as(
        "SELECT format('%I.%I', n.nspname, c.relname), c.relrowsecurity, c.relforcerowsecurity,
                pg_get_userbyid(c.relowner)::text
           FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
          WHERE n.nspname = $1 AND c.relkind IN ('r', 'p') ORDER BY 1",
    )
    .bind(schema)
    .fetch_all(admin)
    .await
    .expect("the superuser sees the tables");
    assert!(!found.is_empty(), "{schema} has no tables");
    for (table, enabled, forced, owner) in &found {
        assert!(*enabled, "{table} has no row level security");
        assert!(*forced, "row level security of {table} is not forced on its owner");
        assert_eq!(owner, "mc_owner", "{table}");
    }
    found.into_iter().map(|(table, ..)| table).collect()
}

async fn no_way_by_views_and_functions(admin: &mut PgConnection, schema: &str) {
    let views: Vec<String> = sqlx::query_scalar(
        "SELECT format('%I.%I', n.nspname, c.relname)
           FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
          WHERE n.nspname IN ($1, 'app')
            AND (c.relkind = 'm' OR c.relkind = 'v'
                 AND NOT coalesce(c.reloptions @> '{security_invoker=true}', false))",
    )
    .bind(schema)
    .fetch_all(&mut *admin)
    .await
    .expect("the superuser sees the views");
    assert_eq!(views, Vec::<String>::new(), "views that show what their owner sees");
    // What runs as its owner must at least not be led elsewhere by the caller's search path.
    let functions: Vec<String> = sqlx::query_scalar(
        "SELECT p.oid::regprocedure::text FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
          WHERE n.nspname IN ($1, 'app') AND p.prosecdef
            AND NOT EXISTS (SELECT FROM unnest(p.proconfig) AS setting WHERE setting LIKE 'search_path=%')",
    )
    .bind(schema)
    .fetch_all(admin)
    .await
    .expect("the superuser sees the functions");
    assert_eq!(functions, Vec::<String>::new(), "functions that run as their owner on any search path");
}

/// Neither the login nor a role it may take has a right that stands above policies.
async fn no_powers(admin: &mut PgConnection, database: &TestDatabase) {
    let login = login_name(database);
    let powerful: Vec<String> = sqlx::query_scalar(
        "SELECT rolname::text FROM pg_roles
          WHERE rolname = ANY ($1)
            AND (rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb OR rolreplication)",
    )
    .bind(ROLES.into_iter().chain([login]).map(str::to_owned).collect::<Vec<_>>())
    .fetch_all(&mut *admin)
    .await
    .expect("the superuser sees the roles");
    assert_eq!(powerful, Vec::<String>::new(), "roles that stand above policies");
    let memberships: Vec<String> = sqlx::query_scalar(
        "SELECT rolname::text FROM pg_roles
          WHERE rolname <> $1 AND pg_has_role($1, oid, 'MEMBER') ORDER BY rolname",
    )
    .bind(login)
    .fetch_all(admin)
    .await
    .expect("the superuser sees the memberships");
    assert_eq!(memberships, ["mc_admin", "mc_anon", "mc_service", "mc_user"], "what {login} may become");
}

/// Who the service logs in as.
fn login_name(database: &TestDatabase) -> &str {
    let (_, address) = database.url.split_once("://").expect("a URL");
    address.split(':').next().expect("a first part")
}

async fn no_way_as_nobody(database: &TestDatabase, login: &mut PgConnection, tables: &[String]) {
    for table in tables {
        for statement in [
            format!("SELECT count(*) FROM {table}"),
            format!("TABLE {table} LIMIT 1"),
            format!("DELETE FROM {table}"),
            format!("INSERT INTO {table} DEFAULT VALUES"),
        ] {
            denied(login, "the login without a role", &statement).await;
        }
        let copied = copied_bytes(database, "SELECT 1", table).await;
        assert_eq!(copied.err().as_deref(), Some(DENIED), "the login without a role copies {table}");
    }
    for statement in [
        "SET ROLE mc_owner",
        "SET ROLE mc_migrate",
        "SET ROLE postgres",
        "SET SESSION AUTHORIZATION postgres",
        "CREATE ROLE intruder",
        "CREATE TEMP TABLE intruder (x int)",
        "SELECT pg_read_file('PG_VERSION')",
        "COPY (SELECT 1) TO PROGRAM 'true'",
        "ALTER ROLE CURRENT_USER BYPASSRLS",
    ] {
        denied(login, "the login without a role", statement).await;
    }
}

async fn no_way_as(
    database: &TestDatabase,
    login: &mut PgConnection,
    role: &str,
    schema: &str,
    tables: &[String],
) {
    let identity = format!("SET ROLE {role}; SET app.user_id = '{NOBODY_ID}'");
    run(login, &identity).await.expect("the login may take the role");
    for table in tables {
        for statement in [
            format!("TRUNCATE {table}"),
            format!("ALTER TABLE {table} DISABLE ROW LEVEL SECURITY"),
            format!("ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY"),
            format!("CREATE POLICY intruder ON {table} USING (true)"),
            format!("DROP TABLE {table}"),
            format!("CREATE VIEW {schema}.intruder AS TABLE {table}"),
            format!("CREATE TEMP VIEW intruder AS TABLE {table}"),
            format!("COPY {table} TO PROGRAM 'true'"),
            format!("COPY {table} TO '/tmp/intruder'"),
        ] {
            denied(login, role, &statement).await;
        }
        // Copying shows what selecting shows, and not a row more.
        let shown = selected(login, table).await;
        match copied_bytes(database, &identity, table).await {
            Ok(bytes) => {
                assert_eq!(bytes > 0, shown.as_ref().is_ok_and(|rows| *rows > 0), "{role} copies {table}");
            }
            Err(code) => assert_eq!(code, DENIED, "{role} copies {table}"),
        }
        // Asking for no policies must not be answered with what they hide.
        run(login, "SET row_security = off").await.expect("a setting like any other");
        match selected(login, table).await {
            Ok(rows) => assert_eq!(Ok(rows), shown, "{role} sees more of {table} with row_security off"),
            Err(code) => assert_eq!(code, DENIED, "{role} selects {table} with row_security off"),
        }
        run(login, "RESET row_security").await.expect("a setting like any other");
    }
    for statement in [
        format!("CREATE TABLE {schema}.intruder (x int)"),
        "CREATE TABLE app.intruder (x int)".to_owned(),
        "CREATE TABLE public.intruder (x int)".to_owned(),
        "CREATE TEMP TABLE intruder (x int)".to_owned(),
        "CREATE SCHEMA intruder".to_owned(),
        format!("CREATE FUNCTION {schema}.intruder() RETURNS int LANGUAGE sql AS 'SELECT 1'"),
        "CREATE FUNCTION public.intruder() RETURNS int LANGUAGE sql AS 'SELECT 1'".to_owned(),
        "SET ROLE mc_owner".to_owned(),
        "SET SESSION AUTHORIZATION mc_owner".to_owned(),
        "ALTER ROLE CURRENT_USER BYPASSRLS".to_owned(),
    ] {
        denied(login, role, &statement).await;
    }
    run(login, "RESET ROLE; RESET app.user_id").await.expect("the role can be reset");
}

/// The owner sees what policies give the owner: nothing, where there is none.
async fn owner_sees_policies(
    database: &TestDatabase,
    admin: &mut PgConnection,
    schema: &str,
    tables: &[String],
) {
    let mut owner = PgConnection::connect(&database.owner_url).await.expect("migrations can log in");
    run(&mut owner, "SET ROLE mc_owner").await.expect("migrations own the tables");
    let granted: Vec<String> = sqlx::query_scalar(
        "SELECT format('%I.%I', schemaname, tablename) FROM pg_policies
          WHERE schemaname = $1 AND roles && '{mc_owner, public}'",
    )
    .bind(schema)
    .fetch_all(admin)
    .await
    .expect("the superuser sees the policies");
    for table in tables.iter().filter(|table| !granted.contains(table)) {
        assert_eq!(
            selected(&mut owner, table).await,
            Ok(0),
            "the owner, whom no policy lets in, sees {table}"
        );
    }
}

async fn selected(connection: &mut PgConnection, table: &str) -> Result<i64, String> {
    let counting = format!("SELECT count(*) FROM (TABLE {table}) AS seen");
    sqlx::query_scalar(AssertSqlSafe(counting)).fetch_one(connection).await.map_err(|error| code(&error))
}

/// How many bytes `COPY … TO STDOUT` gives after `identity`.
///
/// On a connection of its own: the driver leaves one that was refused a copy in the middle of an answer.
async fn copied_bytes(database: &TestDatabase, identity: &str, table: &str) -> Result<usize, String> {
    let mut connection = login(database).await;
    run(&mut connection, identity).await.expect("the login may take the role");
    let copy = format!("COPY {table} TO STDOUT");
    let chunks = connection.copy_out_raw(&copy).await.map_err(|error| code(&error))?;
    let count = async |bytes: usize, chunk: bytes::Bytes| Ok(bytes + chunk.len());
    chunks.try_fold(0, count).await.map_err(|error| code(&error))
}

async fn run(connection: &mut PgConnection, sql: &str) -> Result<(), String> {
    let done = sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(connection).await;
    done.map(drop).map_err(|error| code(&error))
}

async fn denied(connection: &mut PgConnection, who: &str, statement: &str) {
    let refused = run(connection, statement).await;
    assert_eq!(refused, Err(DENIED.to_owned()), "{who} may {statement}");
}
