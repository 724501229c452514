//! The rules.

use super::{
    Rule,
    source::{Source, has_word},
};

const SERVICES: [&str; 9] = [
    "accounts",
    "agenda",
    "cache-invalidator",
    "catalog",
    "gateway",
    "metrics",
    "notifications",
    "orders",
    "payments-sandbox",
];

/// Packages that put services together, measure them or look after the checkout.
const ABOVE_SERVICES: [&str; 3] = ["crates/mestres/", "crates/xtask/", "load-tests/"];

/// What capability crates may use of each other. A crate that is not here may use any but services.
const CAPABILITIES: [(&str, &[&str]); 9] = [
    ("proto", &[]),
    ("bootstrap", &[]),
    ("tag-cache", &[]),
    ("data-plane", &[]),
    ("failpoints", &[]),
    ("latency", &["proto"]),
    ("rls", &["failpoints", "latency"]),
    ("audit", &["rls"]),
    ("idempotency", &["failpoints", "proto", "rls"]),
];

const OURS: [&str; 12] = [
    "audit",
    "bootstrap",
    "data-plane",
    "events",
    "failpoints",
    "idempotency",
    "latency",
    "mestres",
    "proto",
    "rls",
    "tag-cache",
    "testkit",
];

/// Where SQL stands besides a service's `store`, and why.
const SQL_ELSEWHERE: [(&str, &str); 6] = [
    ("crates/rls/", "the door itself, and the bootstrap of a cluster"),
    ("crates/events/", "outbox and inbox, the same statements for every service"),
    ("crates/testkit/", "makes and drops the databases of tests"),
    ("crates/data-plane/", "asks a server whether it is the one that was started"),
    ("services/cache-invalidator/src/lease.rs", "a lock on a connection of its own; touches no table"),
    ("crates/xtask/", "names the macros that it looks for"),
];

/// Where an `Error` becomes a status besides `grpc.rs`, and why.
const STATUS_ELSEWHERE: [(&str, &str); 2] = [
    ("services/gateway/src/error.rs", "the same place, for HTTP"),
    (
        "services/gateway/src/upstream.rs",
        "a client: a call that got no answer in time ends like one that did",
    ),
];

const STATUS_MAKERS: [&str; 17] = [
    "new",
    "ok",
    "cancelled",
    "unknown",
    "invalid_argument",
    "deadline_exceeded",
    "not_found",
    "already_exists",
    "permission_denied",
    "resource_exhausted",
    "failed_precondition",
    "aborted",
    "out_of_range",
    "unimplemented",
    "internal",
    "unavailable",
    "unauthenticated",
];

const MONEY: [&str; 9] =
    ["price", "cents", "centavos", "amount", "money", "minor_units", "subtotal", "discount", "currency"];

/// Spelled in two parts, like the next, so that this file does not break its own rules.
const LEFTOVERS: [&str; 3] = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("HA", "CK")];

const ENVIRONMENT: &str = concat!("env::", "var");

/// Services whose SQL is constants of `rls::statements!`, which a test runs as strangers.
const LISTING: [&str; 4] =
    ["services/accounts/", "services/agenda/", "services/notifications/", "services/orders/"];

/// A stand-in for somebody else's server, which tests of a service may run in their own process.
const STAND_INS: [&str; 1] = ["payments-sandbox"];

/// Where amounts stand beside numbers that are none, and why.
const FLOAT_ELSEWHERE: [(&str, &str); 3] = [
    ("services/payments-sandbox/src/knobs.rs", "how likely a wrong amount is"),
    ("services/payments-sandbox/src/world/deliveries.rs", "draws whether an amount is wrong"),
    ("tests/chaos/", "the seconds of a run, beside the amounts that were seen then"),
];

/// Where the environment is read besides `bootstrap::config`, and why.
const ENVIRONMENT_ELSEWHERE: [(&str, &str); 2] = [
    ("crates/failpoints/src/start.rs", "a switch of test builds, below every other crate"),
    ("tests/chaos/product.rs", "a switch of a test, which is no service"),
];

pub(super) const RULES: [Rule; 13] = [
    Rule {
        name: "service-on-service",
        reason: "services meet in proto (calls) and events (facts), never in each other's code",
        broken_at: service_on_service,
    },
    Rule {
        name: "crate-on-service",
        reason: "only the binary and the chores know services",
        broken_at: crate_on_service,
    },
    Rule {
        name: "capability-on-capability",
        reason: "a capability crate stands alone, or on those that CAPABILITIES lists",
        broken_at: capability_on_capability,
    },
    Rule {
        name: "sql-outside-store",
        reason: "SQL stands in store.rs, store/ or migrations/, so that a schema change has one place",
        broken_at: sql_outside_store,
    },
    Rule {
        name: "unlisted-statement",
        reason: "SQL is a constant of rls::statements!, so that the walk of the policies meets it",
        broken_at: unlisted_statement,
    },
    Rule {
        name: "unlisted-store",
        reason: "statements() of store.rs lists every module of the store, or its SQL is walked by no test",
        broken_at: unlisted_store,
    },
    Rule {
        name: "environment-outside-config",
        reason: "only config.rs reads settings, through bootstrap::config",
        broken_at: environment_outside_config,
    },
    Rule {
        name: "io-in-domain",
        reason: "the domain has no I/O and no async: it is given what it needs",
        broken_at: io_in_domain,
    },
    Rule {
        name: "status-outside-transport",
        reason: "an Error becomes a status in grpc.rs only (in the gateway: error.rs)",
        broken_at: status_outside_transport,
    },
    Rule {
        name: "http-error-in-handler",
        reason: "handlers return an Error; error.rs gives it its HTTP status",
        broken_at: http_error_in_handler,
    },
    Rule {
        name: "float-money",
        reason: "money is counted in whole minor units; a float loses some",
        broken_at: float_money,
    },
    Rule {
        name: "drawer-module",
        reason: "a module is named for what it knows; mod.rs, util, common and helpers say nothing",
        broken_at: drawer_module,
    },
    Rule { name: "leftover", reason: "do it, or open an issue", broken_at: leftover },
];

fn service_on_service(source: &Source) -> Vec<usize> {
    if !source.path.starts_with("services/") {
        return Vec::new();
    }
    let others: Vec<&str> = SERVICES.into_iter().filter(|name| !STAND_INS.contains(name)).collect();
    let mut broken = dependencies_among(source, |section| section.ends_with("dependencies"), &others);
    let linked = |section: &str| section.ends_with("dependencies") && section != "dev-dependencies";
    broken.extend(dependencies_among(source, linked, &STAND_INS));
    broken
}

fn crate_on_service(source: &Source) -> Vec<usize> {
    if source.path.starts_with("services/") || ABOVE_SERVICES.iter().any(|path| source.path.starts_with(path))
    {
        return Vec::new();
    }
    dependencies_among(
        source,
        |section| section.ends_with("dependencies") && !section.starts_with("workspace"),
        &SERVICES,
    )
}

fn capability_on_capability(source: &Source) -> Vec<usize> {
    let allowed = CAPABILITIES.iter().find(|(name, _)| source.path == format!("crates/{name}/Cargo.toml"));
    let Some((_, allowed)) = allowed else { return Vec::new() };
    let forbidden: Vec<&str> = OURS.into_iter().filter(|name| !allowed.contains(name)).collect();
    // Tests may use more: testkit, for one.
    dependencies_among(source, |section| section == "dependencies", &forbidden)
}

fn sql_outside_store(source: &Source) -> Vec<usize> {
    let is_ours = source.path.starts_with("services/") || source.path.starts_with("crates/");
    let has_its_place = source.has_part("store") || is_listed(source, &SQL_ELSEWHERE);
    if !source.is_rust() || !is_ours || has_its_place || source.is_test() {
        return Vec::new();
    }
    let calls = ["sqlx::query", "sqlx::raw_sql", "sqlx::QueryBuilder"];
    let macros = ["query!(", "query_as!(", "query_scalar!("];
    code_lines(source, |line| calls.iter().chain(&macros).any(|call| line.contains(call)))
}

fn unlisted_statement(source: &Source) -> Vec<usize> {
    if !source.is_rust() || !LISTING.iter().any(|path| source.path.starts_with(path)) || source.is_test() {
        return Vec::new();
    }
    let mut broken = Vec::new();
    // The call may end a line, with its text on the next.
    let mut called = false;
    for (number, line) in source.code() {
        let texts = ["\"", "r#\"", "r\"", "&format!", "format!", "AssertSqlSafe"];
        let starts_with_text = |rest: &str| texts.iter().any(|text| rest.trim_start().starts_with(text));
        let calls = ["query(", "query_as(", "query_scalar(", "raw_sql(", ">("];
        let is_query = line.contains("query") || line.contains("raw_sql");
        let inline = calls.iter().any(|call| {
            is_query && line.match_indices(call).any(|(at, _)| starts_with_text(&line[at + call.len()..]))
        });
        if inline || (called && starts_with_text(line)) {
            broken.push(number);
        }
        called = is_query && line.ends_with('(') && calls.iter().any(|call| line.ends_with(call));
    }
    broken
}

fn unlisted_store(source: &Source) -> Vec<usize> {
    if !LISTING.iter().any(|path| source.path == format!("{path}src/store.rs")) {
        return Vec::new();
    }
    code_lines(source, |line| {
        let module = line.split_once("mod ").and_then(|(_, rest)| rest.strip_suffix(';'));
        let listed = |name: &str| {
            source.text.lines().any(|line| {
                let line = line.trim();
                line.starts_with(&format!("{name}::")) && line.contains("STATEMENTS")
            })
        };
        module.is_some_and(|name| !listed(name))
    })
}

fn environment_outside_config(source: &Source) -> Vec<usize> {
    let is_config = source.path == "crates/bootstrap/src/config.rs";
    if !source.is_rust() || is_config || is_listed(source, &ENVIRONMENT_ELSEWHERE) {
        return Vec::new();
    }
    let readers = ["optional(", "required(", "parsed(", "parsed_within(", "parsed::<"];
    let is_elsewhere = source.is_service_code() && source.file_name() != "config.rs";
    code_lines(source, |line| {
        line.contains(ENVIRONMENT)
            || (is_elsewhere && readers.iter().any(|reader| line.contains(&format!("config::{reader}"))))
    })
}

fn io_in_domain(source: &Source) -> Vec<usize> {
    let is_domain = source.path.contains("/src/domain.rs") || source.path.contains("/src/domain/");
    if !source.is_service_code() || !is_domain || source.is_test() {
        return Vec::new();
    }
    let libraries = ["sqlx", "tonic", "redis", "tokio", "async_nats"];
    code_lines(source, |line| {
        line.contains("async fn") || libraries.iter().any(|library| has_word(line, library))
    })
}

fn status_outside_transport(source: &Source) -> Vec<usize> {
    let is_transport = source.path.ends_with("/src/grpc.rs") || source.path.contains("/src/grpc/");
    if !source.is_service_code() || is_transport || is_listed(source, &STATUS_ELSEWHERE) || source.is_test() {
        return Vec::new();
    }
    code_lines(source, |line| {
        let makes = |maker: &str| line.contains(&format!("Status::{maker}("));
        STATUS_MAKERS.iter().any(|maker| makes(maker))
            // Other things have a status too.
            || (line.contains("impl From<") && line.contains("for Status") && !line.contains("From<String>"))
    })
}

fn http_error_in_handler(source: &Source) -> Vec<usize> {
    if !source.path.starts_with("services/gateway/src/handlers") || source.is_test() {
        return Vec::new();
    }
    let refusals = [
        "BAD_REQUEST",
        "UNAUTHORIZED",
        "FORBIDDEN",
        "NOT_FOUND",
        "METHOD_NOT_ALLOWED",
        "CONFLICT",
        "PRECONDITION_FAILED",
        "PAYLOAD_TOO_LARGE",
        "UNPROCESSABLE_ENTITY",
        "TOO_MANY_REQUESTS",
        "INTERNAL_SERVER_ERROR",
        "BAD_GATEWAY",
        "GATEWAY_TIMEOUT",
    ];
    code_lines(source, |line| refusals.iter().any(|name| line.contains(&format!("StatusCode::{name}"))))
}

fn float_money(source: &Source) -> Vec<usize> {
    let types: &[&str] = if source.is_rust() {
        &["f32", "f64"]
    } else if source.path.ends_with(".sql") {
        &["real", "float", "float4", "float8", "double precision", "money"]
    } else if source.path.ends_with(".proto") {
        &["float", "double"]
    } else {
        return Vec::new();
    };
    let is_money_file = ["price", "money", "payment"].iter().any(|word| source.file_name().contains(word));
    if is_listed(source, &FLOAT_ELSEWHERE) {
        return Vec::new();
    }
    code_lines(source, |line| {
        let lower = line.to_lowercase();
        let about_money = is_money_file || MONEY.iter().any(|word| lower.contains(word));
        // In SQL a name such as `money` is no type before the second word.
        about_money
            && types.iter().any(|name| has_word(&lower, name) && !lower.trim_start().starts_with("--"))
    })
}

fn drawer_module(source: &Source) -> Vec<usize> {
    let drawers = ["mod.rs", "util.rs", "utils.rs", "common.rs", "helper.rs", "helpers.rs", "misc.rs"];
    if drawers.contains(&source.file_name()) { vec![1] } else { Vec::new() }
}

fn leftover(source: &Source) -> Vec<usize> {
    let lines = source.lines().filter(|(_, line)| LEFTOVERS.iter().any(|word| has_word(line, word)));
    lines.map(|(number, _)| number).collect()
}

fn dependencies_among(source: &Source, section: fn(&str) -> bool, names: &[&str]) -> Vec<usize> {
    let found = source.dependencies(section).into_iter().filter(|(_, name)| names.contains(name));
    found.map(|(number, _)| number).collect()
}

fn is_listed(source: &Source, exceptions: &[(&str, &str)]) -> bool {
    exceptions.iter().any(|(path, _)| source.path.starts_with(path))
}

fn code_lines(source: &Source, breaks: impl Fn(&str) -> bool) -> Vec<usize> {
    source.code().filter(|(_, line)| breaks(line)).map(|(number, _)| number).collect()
}

#[cfg(test)]
mod tests;
