//! The tables that price shipping.

use rls::Tx;

use crate::domain::cep::Cep;

rls::statements! {
    /// Where a postal code is.
    CEP =
        "SELECT state::text AS state, region, city FROM shipping_ceps
          WHERE prefix_from = (SELECT max(prefix_from) FROM shipping_ceps WHERE prefix_from <= $1)
            AND $1 <= prefix_to";

    /// What shipping a weight to a postal code costs: one rate per service, the cheapest first.
    RATES =
        "SELECT r.service, s.carrier, r.amount::bigint AS amount, r.days_min, r.days_max, t.version AS table_version
           FROM shipping_ceps c
           JOIN shipping_rates r ON r.region = c.region
           JOIN shipping_services s ON s.service = r.service
          CROSS JOIN shipping_table t
          WHERE c.prefix_from = (SELECT max(prefix_from) FROM shipping_ceps WHERE prefix_from <= $1)
            AND $1 <= c.prefix_to
            AND r.weight_g_max = (SELECT min(o.weight_g_max) FROM shipping_rates o
                                   WHERE o.service = r.service AND o.region = r.region AND o.weight_g_max >= $2)
          ORDER BY r.amount, r.service";
}

/// Where a postal code is.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub(crate) struct PlaceRow {
    pub(crate) state: String,
    pub(crate) region: String,
    /// Empty unless it is the state's capital.
    pub(crate) city: String,
}

/// What one service asks.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub(crate) struct RateRow {
    pub(crate) service: String,
    pub(crate) carrier: String,
    pub(crate) amount: i64,
    pub(crate) days_min: i32,
    pub(crate) days_max: i32,
    pub(crate) table_version: i64,
}

/// Where the postal code is; none when it is in no state.
pub(crate) async fn place(tx: &mut Tx, cep: &Cep) -> Result<Option<PlaceRow>, sqlx::Error> {
    sqlx::query_as(CEP).bind(cep.prefix()).fetch_optional(&mut *tx.statement("SELECT shipping_ceps")).await
}

/// What each service asks for the weight, cheapest first; nothing for what is too heavy or goes nowhere.
pub(crate) async fn rates(tx: &mut Tx, cep: &Cep, weight_g: i64) -> Result<Vec<RateRow>, sqlx::Error> {
    sqlx::query_as(RATES)
        .bind(cep.prefix())
        .bind(weight_g)
        .fetch_all(&mut *tx.statement("SELECT shipping_rates"))
        .await
}
