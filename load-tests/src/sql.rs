//! The specification's critical queries, word for word, at full size.

use clap::Args;
use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use crate::{freshness::catalog_url, shop::Shop, spread::Spread};

/// (name, budget in ms, the statement as the specification prints it)
const QUERIES: [(&str, u32, &str); 2] = [
    (
        "S131 listing",
        50,
        "SELECT p.*, c.name as category_name FROM products p LEFT JOIN categories c ON p.category_id = c.id \
         WHERE p.is_active = true ORDER BY p.created_at DESC LIMIT 20 OFFSET 0",
    ),
    (
        "S132 search",
        100,
        "SELECT p.*, ts_rank(search_vector, query) as rank FROM products p, \
         to_tsquery('portuguese', 'café & premium') query WHERE p.search_vector @@ query \
         ORDER BY rank DESC LIMIT 10",
    ),
];

#[derive(Debug, Args)]
pub(crate) struct Options {
    #[arg(long, default_value_t = 100_000)]
    products: usize,
    #[arg(long, default_value_t = 21)]
    rounds: usize,
}

pub(crate) async fn run(options: Options) -> anyhow::Result<()> {
    let shop = Shop::open(options.products, 1)?;
    let mut database =
        PgConnection::connect(&catalog_url(&shop.setting("MESTRES_DATABASE_ADMIN_URL")?)?).await?;
    sqlx::raw_sql("VACUUM ANALYZE").execute(&mut database).await?;
    sqlx::raw_sql("SET search_path = catalog, app, public").execute(&mut database).await?;
    say(&format!("{} products; ms, median (min to max)", options.products));
    // Under a policy that hides rows PostgreSQL may not use an index for `@@`, which is not leakproof: the
    // service asks through a function that is, and S132 word for word keeps its budget for staff alone.
    for role in ["mc_service", "mc_anon"] {
        sqlx::query(AssertSqlSafe(format!("SET ROLE {role}"))).execute(&mut database).await?;
        run_all(&mut database, role, options.rounds).await?;
    }
    Ok(())
}

async fn run_all(database: &mut PgConnection, role: &str, rounds: usize) -> anyhow::Result<()> {
    for (name, budget_ms, query) in QUERIES {
        let mut times = Vec::new();
        for _ in 0..rounds {
            let statement = format!("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {query}");
            let plan: Value = sqlx::query_scalar(AssertSqlSafe(statement)).fetch_one(&mut *database).await?;
            times.push(plan[0]["Execution Time"].as_f64().unwrap_or(f64::NAN));
        }
        say(&format!(
            "{role:<10} {name:<14} budget {budget_ms:>3}: first {:.2}, then {}",
            times[0],
            Spread::of(&times[1..])
        ));
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the benchmark's report")]
fn say(line: &str) {
    println!("{line}");
}
