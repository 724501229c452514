//! The specification's critical queries, word for word, at full size.

use clap::Args;
use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use crate::{
    shop::{Shop, database_url},
    spread::Spread,
};

/// (name, budget in ms, the statement as the specification prints it)
type Query = (&'static str, u32, &'static str);

const CATALOG: [Query; 2] = [
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

const ORDERS: [Query; 1] = [(
    "S133 my orders",
    30,
    "SELECT o.*, COUNT(oi.id) as items_count FROM orders o LEFT JOIN order_items oi ON o.id = oi.order_id \
     WHERE o.user_id = 123 GROUP BY o.id ORDER BY o.created_at DESC LIMIT 10",
)];

/// Orders of 5,000 users, three lines each, over two years; `$ORDERS` of them.
const MANY_ORDERS: &str = "
    INSERT INTO orders.carts (id, user_id, state, expires_at)
    SELECT md5('cart ' || n)::uuid, 1 + n % 5000, 'converted', now() FROM generate_series(1, $ORDERS) n;
    INSERT INTO orders.orders (id, number, user_id, cart_id, status, items_amount, shipping_amount, tax_amount,
                               total_amount, shipping_address, shipping_service, created_at)
    SELECT 10000000 + n, 'MC-2020-' || n, 1 + n % 5000, md5('cart ' || n)::uuid, 'delivered', 3 * (n % 9000), 1500, 0,
           3 * (n % 9000) + 1500, '{}', 'PAC', now() - (n::bigint * 7919 % 63072000) * interval '1 second'
      FROM generate_series(1, $ORDERS) n;
    INSERT INTO orders.order_items (order_id, user_id, line, product_id, variant_id, sku, name, weight_g, quantity,
                                    unit_amount, total_amount)
    SELECT 10000000 + n, 1 + n % 5000, line, line, line, 'SKU', 'Café', 250, 1, n % 9000, n % 9000
      FROM generate_series(1, $ORDERS) n, generate_series(1, 3) line";

#[derive(Debug, Args)]
pub(crate) struct Options {
    #[arg(long, default_value_t = 100_000)]
    products: usize,
    #[arg(long, default_value_t = 500_000)]
    orders: usize,
    #[arg(long, default_value_t = 21)]
    rounds: usize,
}

pub(crate) async fn run(options: Options) -> anyhow::Result<()> {
    let shop = Shop::open(options.products, 1)?;
    let admin = shop.setting("MESTRES_DATABASE_ADMIN_URL")?;
    let mut catalog = connect(&admin, "catalog").await?;
    say(&format!("{} products; ms, median (min to max)", options.products));
    // Under a policy that hides rows PostgreSQL may not use an index for `@@`, which is not leakproof: the
    // service asks through a function that is, and S132 word for word keeps its budget for staff alone.
    for role in ["mc_service", "mc_anon"] {
        run_all(&mut catalog, role, &CATALOG, options.rounds).await?;
    }
    let mut orders = connect(&admin, "orders").await?;
    let many = MANY_ORDERS.replace("$ORDERS", &options.orders.to_string());
    sqlx::raw_sql(AssertSqlSafe(many)).execute(&mut orders).await?;
    sqlx::raw_sql("VACUUM ANALYZE").execute(&mut orders).await?;
    say(&format!("{} orders of three lines, {} of them of user 123", options.orders, options.orders / 5_000));
    sqlx::raw_sql("SET app.user_id = '123'").execute(&mut orders).await?;
    for role in ["mc_user", "mc_service"] {
        run_all(&mut orders, role, &ORDERS, options.rounds).await?;
    }
    Ok(())
}

/// The database of a service, as its administrator.
async fn connect(admin_url: &str, service: &str) -> anyhow::Result<PgConnection> {
    let mut database = PgConnection::connect(&database_url(admin_url, service)?).await?;
    sqlx::raw_sql("VACUUM ANALYZE").execute(&mut database).await?;
    let search_path = format!("SET search_path = {service}, app, public");
    sqlx::query(AssertSqlSafe(search_path)).execute(&mut database).await?;
    Ok(database)
}

async fn run_all(
    database: &mut PgConnection,
    role: &str,
    queries: &[Query],
    rounds: usize,
) -> anyhow::Result<()> {
    sqlx::query(AssertSqlSafe(format!("SET ROLE {role}"))).execute(&mut *database).await?;
    for (name, budget_ms, query) in queries {
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
    sqlx::raw_sql("RESET ROLE").execute(&mut *database).await?;
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the benchmark's report")]
fn say(line: &str) {
    println!("{line}");
}
