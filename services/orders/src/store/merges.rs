//! A guest's cart going into a user's: asked by the service, which sees both. The guest's is locked first, always.

use rls::{Tx, UserId};
use sqlx::types::Json;
use uuid::Uuid;

use crate::domain::merge::{Line, Merged, Report};

rls::statements! {
    /// Which variants are in the two carts.
    VARIANTS_OF_BOTH =
        "SELECT DISTINCT i.variant_id FROM cart_items i JOIN carts c ON c.id = i.cart_id
          WHERE c.state IN ('active', 'locked')
            AND (c.id IN (SELECT id FROM carts WHERE token_sha256 = $1)
                 OR c.id IN (SELECT id FROM carts WHERE user_id = $2))";

    /// The guest's cart, to be merged.
    LOCK_GUEST_CART =
        "SELECT id, state, coupon_code::text AS coupon_code FROM carts
          WHERE token_sha256 = $1 AND state IN ('active', 'locked') FOR UPDATE";

    /// The user's cart, to be merged into.
    LOCK_USER_CART =
        "SELECT id, state, coupon_code::text AS coupon_code FROM carts
          WHERE user_id = $1 AND state IN ('active', 'locked') FOR UPDATE";

    /// What an earlier merge of the guest's cart into one of the user's reported: the last one.
    MERGE_REPORT =
        "SELECT merge_report FROM (
             SELECT g.merge_report, g.updated_at FROM carts g JOIN carts u ON u.id = g.merged_into
              WHERE g.token_sha256 = $1 AND u.user_id = $2
             UNION ALL
             SELECT o.merge_report, (o.merge_report->>'at')::timestamptz FROM carts o
              WHERE o.user_id = $2 AND o.merge_report->>'guest' = encode($1, 'hex')) AS merges
          ORDER BY updated_at DESC LIMIT 1";

    /// Gives the guest's cart to a user who has none.
    OWN_GUEST_CART =
        "UPDATE carts
            SET user_id = $2, token_sha256 = NULL, version = version + 1, updated_at = now(),
                expires_at = now() + interval '30 days',
                merge_report = $3::jsonb || jsonb_build_object('guest', encode(token_sha256, 'hex'), 'at', now())
          WHERE id = $1 RETURNING version";

    /// A cart's lines, as they are merged.
    MERGE_LINES =
        "SELECT variant_id, product_id, quantity, seen_unit_amount::bigint AS seen_unit_amount
           FROM cart_items WHERE cart_id = $1 ORDER BY variant_id";

    /// Writes lines of the user's cart: new ones, and quantities; takes others out; sets the coupon. The guest's cart says where it went and what was reported.
    MERGE_CARTS =
        "WITH written AS (
             INSERT INTO cart_items AS i (cart_id, variant_id, product_id, quantity, seen_unit_amount)
             SELECT $1, u.variant_id, u.product_id, u.quantity, u.seen
               FROM unnest($3::bigint[], $4::bigint[], $5::int[], $6::bigint[]) AS u (variant_id, product_id, quantity, seen)
             ON CONFLICT ON CONSTRAINT one_line_per_variant DO UPDATE SET quantity = EXCLUDED.quantity),
         removed AS (
             DELETE FROM cart_items WHERE cart_id = $1 AND variant_id = ANY($7)),
         guest AS (
             UPDATE carts SET state = 'merged', merged_into = $1, merge_report = $8, updated_at = now() WHERE id = $2)
         UPDATE carts
            SET coupon_code = $9::text::citext, version = version + 1, updated_at = now(),
                expires_at = now() + interval '30 days'
          WHERE id = $1 RETURNING version";
}

/// One of the two carts, locked.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(crate) struct SideRow {
    pub(crate) id: Uuid,
    state: String,
    pub(crate) coupon_code: Option<String>,
}

impl SideRow {
    /// Whether it is being checked out.
    pub(crate) fn is_locked(&self) -> bool {
        self.state == "locked"
    }
}

/// A line, as it is merged.
#[derive(Clone, Copy, Debug, sqlx::FromRow)]
struct LineRow {
    variant_id: i64,
    product_id: i64,
    quantity: i32,
    seen_unit_amount: i64,
}

/// Which variants are in the two carts.
pub(crate) async fn variants(tx: &mut Tx, token: &[u8; 32], user: UserId) -> Result<Vec<i64>, sqlx::Error> {
    sqlx::query_scalar(VARIANTS_OF_BOTH)
        .bind(token.as_slice())
        .bind(user.0)
        .fetch_all(&mut *tx.statement("SELECT variants of both carts"))
        .await
}

/// The guest's cart, locked.
pub(crate) async fn lock_guest(tx: &mut Tx, token: &[u8; 32]) -> Result<Option<SideRow>, sqlx::Error> {
    sqlx::query_as(LOCK_GUEST_CART)
        .bind(token.as_slice())
        .fetch_optional(&mut *tx.statement("SELECT guest cart FOR UPDATE"))
        .await
}

/// The user's cart, locked.
pub(crate) async fn lock_user(tx: &mut Tx, user: UserId) -> Result<Option<SideRow>, sqlx::Error> {
    sqlx::query_as(LOCK_USER_CART)
        .bind(user.0)
        .fetch_optional(&mut *tx.statement("SELECT user cart FOR UPDATE"))
        .await
}

/// What an earlier merge reported.
pub(crate) async fn report(
    tx: &mut Tx,
    token: &[u8; 32],
    user: UserId,
) -> Result<Option<Report>, sqlx::Error> {
    let report: Option<Json<Report>> = sqlx::query_scalar(MERGE_REPORT)
        .bind(token.as_slice())
        .bind(user.0)
        .fetch_optional(&mut *tx.statement("SELECT merge report"))
        .await?;
    Ok(report.map(|Json(report)| report))
}

/// Gives the guest's locked cart to a user who has none; answers its version.
pub(crate) async fn own(tx: &mut Tx, guest: Uuid, user: UserId, report: &Report) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(OWN_GUEST_CART)
        .bind(guest)
        .bind(user.0)
        .bind(Json(report))
        .fetch_one(&mut *tx.statement("UPDATE carts owner"))
        .await
}

/// A cart's lines.
pub(crate) async fn lines(tx: &mut Tx, cart: Uuid) -> Result<Vec<Line>, sqlx::Error> {
    let rows: Vec<LineRow> =
        sqlx::query_as(MERGE_LINES).bind(cart).fetch_all(&mut *tx.statement("SELECT lines to merge")).await?;
    let line = |row: LineRow| Line {
        variant_id: row.variant_id,
        product_id: row.product_id,
        quantity: row.quantity,
        seen_unit_amount: row.seen_unit_amount,
    };
    Ok(rows.into_iter().map(line).collect())
}

/// Writes the merge of two locked carts; answers the version of the user's.
pub(crate) async fn merge(
    tx: &mut Tx,
    user: &SideRow,
    guest: &SideRow,
    merged: &Merged,
    coupon: Option<&str>,
) -> Result<i64, sqlx::Error> {
    let column = |of: fn(&Line) -> i64| merged.changed.iter().map(of).collect::<Vec<i64>>();
    sqlx::query_scalar(MERGE_CARTS)
        .bind(user.id)
        .bind(guest.id)
        .bind(column(|line| line.variant_id))
        .bind(column(|line| line.product_id))
        .bind(merged.changed.iter().map(|line| line.quantity).collect::<Vec<i32>>())
        .bind(column(|line| line.seen_unit_amount))
        .bind(&merged.removed)
        .bind(Json(&merged.report))
        .bind(coupon)
        .fetch_one(&mut *tx.statement("UPDATE carts merged"))
        .await
}
