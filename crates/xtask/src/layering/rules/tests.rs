//! Each rule, with what breaks it and what does not.

use super::*;

/// What `rule` says about `text` at `path`.
fn broken(rule: &str, path: &str, text: &str) -> Vec<usize> {
    let rule = RULES.iter().find(|known| known.name == rule).unwrap_or_else(|| panic!("no rule {rule}"));
    (rule.broken_at)(&Source { path: path.to_owned(), text: text.to_owned() })
}

/// Path and text.
type File = (&'static str, &'static str);

/// For each rule, files that break it in line 2 and files that do not break it.
const CASES: [(&str, &[File], &[File]); 13] = [
    (
        "service-on-service",
        &[
            ("services/gateway/Cargo.toml", "[dependencies]\ncatalog.workspace = true"),
            ("services/gateway/Cargo.toml", "[dev-dependencies]\ncatalog = { path = \"../catalog\" }"),
            ("services/orders/Cargo.toml", "[dependencies]\npayments-sandbox.workspace = true"),
        ],
        &[
            ("services/orders/Cargo.toml", "[dev-dependencies]\npayments-sandbox.workspace = true"),
            ("services/gateway/Cargo.toml", "[dependencies]\nproto.workspace = true"),
            ("services/gateway/Cargo.toml", "[package]\ncatalog = 1"),
        ],
    ),
    (
        "crate-on-service",
        &[("crates/rls/Cargo.toml", "[dependencies]\ncatalog.workspace = true")],
        &[
            ("crates/mestres/Cargo.toml", "[dependencies]\ncatalog.workspace = true"),
            ("Cargo.toml", "[workspace.dependencies]\ncatalog = { path = \"services/catalog\" }"),
        ],
    ),
    (
        "capability-on-capability",
        &[
            ("crates/tag-cache/Cargo.toml", "[dependencies]\nbootstrap.workspace = true"),
            ("crates/latency/Cargo.toml", "[dependencies]\nrls.workspace = true"),
            ("crates/proto/Cargo.toml", "[dependencies]\nevents.workspace = true"),
            ("crates/audit/Cargo.toml", "[dependencies]\nidempotency.workspace = true"),
        ],
        &[
            ("crates/rls/Cargo.toml", "[dependencies]\nlatency.workspace = true"),
            ("crates/latency/Cargo.toml", "[dependencies]\nproto.workspace = true"),
            ("crates/events/Cargo.toml", "[dependencies]\nrls.workspace = true"),
            ("crates/rls/Cargo.toml", "[dev-dependencies]\ntestkit.workspace = true"),
        ],
    ),
    (
        "sql-outside-store",
        &[
            ("services/catalog/src/handlers/get_product.rs", "\nlet row = sqlx::query!(\"SELECT 1\");"),
            ("services/catalog/src/app.rs", "\nlet row = query_as!(Row, \"SELECT 1\");"),
            ("crates/mestres/src/up.rs", "\nsqlx::raw_sql(\"SELECT 1\")"),
        ],
        &[
            ("services/catalog/src/store.rs", "\nsqlx::query!(\"SELECT 1\")"),
            ("services/catalog/src/store/products.rs", "\nsqlx::query!(\"SELECT 1\")"),
            ("services/catalog/src/app.rs", "\n// sqlx::query! stands in the store"),
            ("services/catalog/src/app.rs", "\n#[cfg(test)]\nmod tests {\nsqlx::query(\"SELECT 1\")\n}"),
            ("services/catalog/tests/it/listing.rs", "\nsqlx::query(\"SELECT 1\")"),
            ("crates/rls/src/cluster.rs", "\nsqlx::query(\"SELECT 1\")"),
        ],
    ),
    (
        "unlisted-statement",
        &[
            ("services/agenda/src/store/events.rs", "\nsqlx::query(\"SELECT 1\")"),
            ("services/agenda/src/store/events.rs", "\nsqlx::query_as::<_, Row>(r#\"SELECT 1\"#)"),
            ("services/accounts/src/store.rs", "sqlx::query(\n\"SELECT 1\")"),
            ("services/accounts/src/store.rs", "\nsqlx::query(AssertSqlSafe(sql))"),
        ],
        &[
            ("services/agenda/src/store/events.rs", "\nsqlx::query(EVENT).bind(\"x\")"),
            ("services/agenda/src/store/events.rs", "sqlx::query_scalar(\nEVENT,\n)"),
            ("services/agenda/tests/it/events.rs", "\nsqlx::query(\"SELECT 1\")"),
            ("services/catalog/src/store.rs", "\nsqlx::query(\"SELECT 1\")"),
        ],
    ),
    (
        "unlisted-store",
        &[(
            "services/agenda/src/store.rs",
            "mod events;\nmod reports;\nevents::STATEMENTS,\n// reports::STATEMENTS",
        )],
        &[
            ("services/agenda/src/store.rs", "\npub(crate) mod events;\nevents::STATEMENTS,"),
            ("services/agenda/src/store.rs", "\nmod events;\nevents::past::STATEMENTS,"),
            ("services/agenda/src/store/events.rs", "\nmod past;"),
        ],
    ),
    (
        "environment-outside-config",
        &[
            ("crates/mestres/src/up.rs", "\nlet home = std::env::var(\"HOME\");"),
            ("services/gateway/src/app.rs", "\nlet all = env::vars();"),
            ("services/gateway/src/app.rs", "\nlet url = config::required(\"REDIS_URL\")?;"),
            ("services/metrics/tests/it/main.rs", "\nstd::env::var_os(\"HOME\")"),
        ],
        &[
            ("crates/bootstrap/src/config.rs", "\nstd::env::var_os(name)"),
            ("services/gateway/src/config.rs", "\nlet url = config::required(\"REDIS_URL\")?;"),
            ("services/gateway/src/app.rs", "\nlet path = env!(\"CARGO_MANIFEST_DIR\");"),
        ],
    ),
    (
        "io-in-domain",
        &[
            ("services/catalog/src/domain.rs", "\nuse sqlx::Row;"),
            ("services/catalog/src/domain/price.rs", "\nfn wait() { tokio::time::sleep(second) }"),
            ("services/catalog/src/domain.rs", "\npub(crate) async fn load() {}"),
        ],
        &[
            ("services/catalog/src/domain.rs", "\nlet tokionic = 1; // tokio would not do"),
            ("services/catalog/src/store.rs", "\nuse sqlx::Row;"),
        ],
    ),
    (
        "status-outside-transport",
        &[
            ("services/catalog/src/handlers/get_product.rs", "\nErr(Status::not_found(\"product\"))"),
            ("services/catalog/src/error.rs", "\nimpl From<Error> for Status {"),
        ],
        &[
            ("services/catalog/src/grpc.rs", "\nimpl From<Error> for Status {"),
            ("services/gateway/src/error.rs", "\nStatus::new(code, text)"),
            ("services/catalog/src/error.rs", "\nif status.code() == Code::NotFound {"),
        ],
    ),
    (
        "http-error-in-handler",
        &[("services/gateway/src/handlers/products.rs", "\nHttpResponse::build(StatusCode::NOT_FOUND)")],
        &[
            ("services/gateway/src/handlers/products.rs", "\nHttpResponse::build(StatusCode::CREATED)"),
            ("services/gateway/src/error.rs", "\nSelf::NotFound => StatusCode::NOT_FOUND,"),
        ],
    ),
    (
        "float-money",
        &[
            ("services/catalog/src/views.rs", "\nlet price = cents as f64 / 100.0;"),
            ("services/orders/src/domain/payment.rs", "\nlet share: f32 = 0.5;"),
            ("services/catalog/migrations/0001.sql", "\nprice double precision NOT NULL,"),
            ("proto/mestres/catalog/v1/catalog.proto", "\n  double price = 3;"),
        ],
        &[
            ("services/catalog/src/views.rs", "\nlet price_cents: i64 = 100;"),
            ("crates/latency/src/sketch.rs", "\nlet share: f64 = 0.5;"),
            ("services/catalog/migrations/0001.sql", "\n-- the price is no real number"),
            ("services/catalog/migrations/0001.sql", "\nprice_minor app.minor NOT NULL,"),
        ],
    ),
    ("drawer-module", &[], &[("services/catalog/src/store.rs", "")]),
    (
        "leftover",
        &[
            ("docs/gaps.md", concat!("\nTO", "DO: write this")),
            ("crates/rls/src/tx.rs", concat!("\n// FIX", "ME")),
        ],
        &[("docs/gaps.md", "\nstodo TODOS HACKED"), ("crates/rls/src/tx.rs", "\nlet todo = 1;")],
    ),
];

#[test]
fn every_rule_can_fail_and_can_hold() {
    assert_eq!(CASES.map(|(name, _, _)| name), RULES.each_ref().map(|rule| rule.name));
    for (rule, breaking, holding) in CASES {
        for (path, text) in breaking {
            assert_eq!(broken(rule, path, text), [2], "{rule} does not see {path}: {text}");
        }
        for (path, text) in holding {
            assert!(broken(rule, path, text).is_empty(), "{rule} is wrong about {path}: {text}");
        }
    }
}

#[test]
fn drawers_are_refused_by_name() {
    assert_eq!(broken("drawer-module", "services/catalog/src/util.rs", ""), [1]);
    assert_eq!(broken("drawer-module", "services/catalog/src/store/mod.rs", ""), [1]);
}

#[test]
fn a_violation_is_shown_with_its_place_and_reason() {
    let text = "[dependencies]\ncatalog.workspace = true".to_owned();
    let source = Source { path: "services/gateway/Cargo.toml".to_owned(), text };
    let shown: Vec<String> = crate::layering::violations(&source).iter().map(ToString::to_string).collect();
    assert_eq!(
        shown,
        [
            "services/gateway/Cargo.toml:2: service-on-service: services meet in proto (calls) and events (facts), \
          never in each other's code"
        ]
    );
}
