//! What the database shows and allows to each role, whatever the code above it does.

use sqlx::{AssertSqlSafe, PgConnection, Row as _};

use crate::app::{TestApp, Who, coffee, fields, summary};
use proto::catalog::v1::*;
use testkit::policies::Params;

const TABLES: [&str; 14] = [
    "categories",
    "products",
    "product_counts",
    "variants",
    "images",
    "image_files",
    "price_lists",
    "prices",
    "price_history",
    "popularity_pending",
    "idempotency_keys",
    "audit_chain",
    "outbox",
    "inbox",
];

/// One active and one inactive product, each with everything that hangs on a product.
async fn shop() -> (TestApp, i64, i64) {
    let app = TestApp::start().await;
    app.sql(
        "INSERT INTO categories (id, name, slug, is_active) VALUES (1, 'A', 'a', true), (2, 'B', 'b', false)",
    )
    .await;
    let mut shown = coffee("shown");
    shown.fields.as_mut().unwrap().category_id = Some(1);
    let shown = summary(&app.created(shown).await).id;
    let mut hidden = coffee("hidden");
    hidden.fields = Some(ProductFields { is_active: false, category_id: Some(2), ..fields("hidden") });
    let hidden = summary(&app.created(hidden).await).id;
    app.sql(
        "INSERT INTO images (product_id, url, width, height, alt, position) SELECT id, '/i', 1, 1, '', 0 FROM products;
         INSERT INTO image_files VALUES (sha256('x'), 'image/svg+xml', 'x');
         INSERT INTO price_lists (code, kind) VALUES ('promo', 'sale');
         INSERT INTO prices (variant_id, price_list_id, amount) SELECT id, 2, 1 FROM variants;
         INSERT INTO inbox (consumer, message_id) VALUES ('c', 'm')",
    )
    .await;
    (app, shown, hidden)
}

async fn acting_as(app: &TestApp, role: &'static str) -> PgConnection {
    let mut connection = app.login().await;
    sqlx::raw_sql(AssertSqlSafe(format!("SET ROLE {role}"))).execute(&mut connection).await.unwrap();
    connection
}

async fn rows(connection: &mut PgConnection, table: &str) -> Result<i64, String> {
    let counting = format!("SELECT count(*) FROM {table}");
    match sqlx::query(AssertSqlSafe(counting)).fetch_one(connection).await {
        Ok(row) => Ok(row.get(0)),
        Err(error) => Err(error.as_database_error().unwrap().code().unwrap().into_owned()),
    }
}

const DENIED: &str = "42501";
const NOT_NULL: &str = "23502";

#[tokio::test]
async fn buyers_see_what_is_active_and_nothing_that_hangs_on_the_rest() {
    let (app, shown, hidden) = shop().await;
    for role in ["mc_anon", "mc_user"] {
        let mut buyer = acting_as(&app, role).await;
        for table in [
            "categories",
            "products",
            "variants",
            "images",
            "image_files",
            "price_lists",
            "prices",
            "price_history",
        ] {
            assert_eq!(rows(&mut buyer, table).await, Ok(1), "{role} {table}");
        }
        for table in ["popularity_pending", "idempotency_keys", "audit_chain", "outbox", "inbox"] {
            assert_eq!(rows(&mut buyer, table).await, Err(DENIED.into()), "{role} {table}");
        }
        let ids: Vec<i64> = sqlx::query_scalar(
            "SELECT id FROM products UNION SELECT product_id FROM variants UNION SELECT product_id FROM images
             UNION SELECT catalog.matching(to_tsquery('app.mc_pt', 'shown | hidden | caramelo'), 10)",
        )
        .fetch_all(&mut buyer)
        .await
        .unwrap();
        assert_eq!(ids, [shown], "{role}: not {hidden}");
        let hidden_count = sqlx::query("SELECT every FROM product_counts").execute(&mut buyer).await;
        assert!(hidden_count.is_err(), "{role}");
    }
}

#[tokio::test]
async fn buyers_change_nothing() {
    let (app, ..) = shop().await;
    for role in ["mc_anon", "mc_user"] {
        for table in TABLES {
            let may_insert = table == "outbox";
            for statement in [
                format!("DELETE FROM {table}"),
                format!("TRUNCATE {table}"),
                format!("INSERT INTO {table} DEFAULT VALUES"),
                format!("UPDATE {table} SET {0} = {0}", a_column(table)),
            ] {
                let mut buyer = acting_as(&app, role).await;
                let refused =
                    sqlx::raw_sql(AssertSqlSafe(statement.clone())).execute(&mut buyer).await.unwrap_err();
                let code = refused.as_database_error().unwrap().code().unwrap().into_owned();
                // Recording an event is everybody's right: there only the empty row is refused.
                let expected = if may_insert && statement.starts_with("INSERT") { NOT_NULL } else { DENIED };
                assert_eq!(code, expected, "{role} {statement}");
            }
        }
    }
}

fn a_column(table: &str) -> &'static str {
    match table {
        "product_counts" => "active",
        "image_files" => "content",
        "popularity_pending" => "quantity",
        "idempotency_keys" => "state",
        "prices" | "price_history" => "amount",
        "price_lists" => "code",
        "inbox" => "consumer",
        "outbox" => "tags",
        _ => "id",
    }
}

#[tokio::test]
async fn staff_see_everything_but_the_messages() {
    let (app, ..) = shop().await;
    let mut staff = acting_as(&app, "mc_admin").await;
    for table in ["categories", "products", "variants", "images", "price_lists", "price_history"] {
        assert_eq!(rows(&mut staff, table).await, Ok(2), "{table}");
    }
    // What staff did they may read, and change nothing of it.
    assert_eq!(rows(&mut staff, "audit_chain").await, Ok(2));
    for statement in
        ["UPDATE audit_chain SET after = NULL", "DELETE FROM audit_chain", "TRUNCATE audit_chain"]
    {
        let refused = sqlx::raw_sql(statement).execute(&mut staff).await.unwrap_err();
        assert_eq!(refused.as_database_error().unwrap().code().unwrap(), DENIED, "{statement}");
    }
    for table in ["popularity_pending", "outbox", "inbox"] {
        assert_eq!(rows(&mut staff, table).await, Err(DENIED.into()), "{table}");
    }
    let mut service = acting_as(&app, "mc_service").await;
    assert_eq!(rows(&mut service, "outbox").await, Ok(2));
}

#[tokio::test]
async fn the_login_itself_may_read_nothing() {
    let (app, ..) = shop().await;
    let mut login = app.login().await;
    for table in TABLES {
        assert_eq!(rows(&mut login, &format!("catalog.{table}")).await, Err(DENIED.into()), "{table}");
    }
    let owner = sqlx::raw_sql("SET ROLE mc_owner").execute(&mut login).await;
    assert!(owner.is_err(), "the service may not become the owner");
}

#[tokio::test]
async fn the_owner_without_a_policy_changes_nothing() {
    let (app, ..) = shop().await;
    let mut owner = <PgConnection as sqlx::Connection>::connect(&app.database.owner_url).await.unwrap();
    sqlx::raw_sql("SET ROLE mc_owner").execute(&mut owner).await.unwrap();
    let changed = sqlx::query("UPDATE catalog.products SET name = 'x'").execute(&mut owner).await.unwrap();
    assert_eq!(changed.rows_affected(), 0);
    assert_eq!(rows(&mut owner, "catalog.prices").await, Ok(0));
}

#[tokio::test]
async fn a_lookup_by_words_runs_as_the_caller_for_everything_it_shows() {
    let (app, shown, _) = shop().await;
    let request = ListProductsRequest { search: Some("caramelo".into()), ..crate::app::list() };
    for who in [Who::Anonymous, Who::Customer, Who::Staff] {
        let answer = app.list_products(who, request.clone()).await.unwrap();
        assert_eq!(crate::app::ids(&answer.products), [shown], "{who:?}");
    }
}

/// The statements that were checked against this schema when they were compiled: first line and text.
async fn checked_statements(app: &TestApp) -> Vec<(String, String)> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.sqlx");
    let mut admin = app.admin().await;
    let mut statements = Vec::new();
    for file in std::fs::read_dir(folder).unwrap() {
        let checked: serde_json::Value =
            serde_json::from_slice(&std::fs::read(file.unwrap().path()).unwrap()).unwrap();
        let sql = checked["query"].as_str().unwrap().to_owned();
        // What asks for active rows only finds none here for anybody, and proves nothing.
        if sql.contains("is_active AND") || sql.contains("WHERE c.is_active") {
            continue;
        }
        // Other services' statements are about tables that are not here.
        let prepared = sqlx::raw_sql(AssertSqlSafe(format!("PREPARE ours AS {sql}; DEALLOCATE ours")));
        if prepared.execute(&mut admin).await.is_ok() {
            let words = sql.split_whitespace().collect::<Vec<_>>().join(" ");
            statements.push((words, sql));
        }
    }
    statements
}

#[tokio::test]
async fn no_statement_shows_or_changes_what_is_hidden() {
    let app = TestApp::start().await;
    app.sql("INSERT INTO categories (id, name, slug, is_active) VALUES (1, 'A', 'a', false)").await;
    let hidden = CreateProductRequest {
        fields: Some(ProductFields { is_active: false, category_id: Some(1), ..fields("x") }),
        variants: vec![crate::app::variant("x", 4290)],
    };
    let id = summary(&app.created(hidden).await).id;
    app.sql("INSERT INTO images (product_id, url, width, height, alt, position) SELECT id, '/i', 1, 1, '', 0 FROM products")
        .await;
    let statements = checked_statements(&app).await;
    assert!(statements.len() > 20, "{}", statements.len());

    let params = Params::new(id, 42).values("bigint", ["1", "1000000"]);
    let statements = statements.iter().map(|(words, sql)| (words.as_str(), sql.as_str()));
    let report = testkit::policies::walk(&app.database, "catalog", statements, &params).await;
    // Staff find the hidden product by them; buyers do not. The rest needs values that no list of types gives.
    assert!(report.proven.len() >= 8, "{report:#?}");
}

#[tokio::test]
async fn nobody_gets_around_the_policies() {
    let (app, ..) = shop().await;
    testkit::policies::tables(&app.database, "catalog").await;
}
