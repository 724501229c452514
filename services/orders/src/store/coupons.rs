//! Coupons: as buyers use them, and as staff write them.

use rls::Tx;
use sqlx::types::Json;
use time::OffsetDateTime;

use crate::domain::coupon::{Activity, Code, CouponFields, Kind, Offer, Rules};
use crate::domain::page::Page;

macro_rules! coupon {
    ($rest:literal) => {
        concat!(
            "SELECT code::text AS code, kind, value, rules, usage_limit, per_customer_limit, used, starts_at,
                    ends_at, is_active, version
               FROM coupons ",
            $rest
        )
    };
}

/// What coupon `k` gives as of now, as [`GivenCoupon`] reads it: its times are judged by the database's clock.
macro_rules! given_coupon {
    () => {
        "jsonb_build_object('code', k.code, 'kind', k.kind, 'value', k.value, 'rules', k.rules,
                            'begun', coalesce(k.starts_at <= now(), true),
                            'over', coalesce(k.ends_at <= now(), false),
                            'exhausted', coalesce(k.used >= k.usage_limit, false))"
    };
}
pub(super) use given_coupon;

rls::statements! {
    /// What a code gives now.
    GIVEN_COUPON = concat!(
        "SELECT ", given_coupon!(), " FROM coupons k WHERE k.code = $1::text::citext AND k.is_active");

    /// A page of all coupons, newest first.
    LIST_COUPONS = coupon!("ORDER BY created_at DESC, code LIMIT $1 OFFSET $2");

    /// How many there are.
    COUNT_COUPONS = "SELECT count(*) FROM coupons";

    /// One coupon.
    GET_COUPON = coupon!("WHERE code = $1::text::citext");

    /// One coupon, to be changed.
    LOCK_COUPON = coupon!("WHERE code = $1::text::citext FOR UPDATE");

    /// A new coupon.
    INSERT_COUPON =
        "INSERT INTO coupons (code, kind, value, rules, usage_limit, per_customer_limit, starts_at, ends_at, is_active)
         VALUES ($1::text::citext, $2, $3, $4, $5, $6, $7, $8, $9)
         RETURNING code::text AS code, kind, value, rules, usage_limit, per_customer_limit, used, starts_at, ends_at,
                   is_active, version";

    /// Every field of a coupon that staff may write.
    UPDATE_COUPON =
        "UPDATE coupons
            SET kind = $2, value = $3, rules = $4, usage_limit = $5, per_customer_limit = $6, starts_at = $7,
                ends_at = $8, is_active = $9, version = version + 1
          WHERE code = $1::text::citext
         RETURNING code::text AS code, kind, value, rules, usage_limit, per_customer_limit, used, starts_at, ends_at,
                   is_active, version";
}

/// What a code gives, as of the statement that asked.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
pub(crate) struct GivenCoupon {
    pub(crate) code: String,
    kind: String,
    value: i64,
    rules: Rules,
    begun: bool,
    over: bool,
    exhausted: bool,
}

/// Whether a coupon may be used now, as far as it alone decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Usable {
    Now,
    NotYet,
    Over,
    UsedUp,
}

impl GivenCoupon {
    /// What it gives.
    pub(crate) fn offer(&self) -> Offer {
        // The table's check admits no other kind.
        let kind = Kind::parse("kind", &self.kind).unwrap_or(Kind::Fixed);
        Offer { kind, value: self.value, rules: self.rules.clone() }
    }

    /// Whether it may be used now.
    pub(crate) fn usable(&self) -> Usable {
        match (self.begun, self.over, self.exhausted) {
            (false, _, _) => Usable::NotYet,
            (_, true, _) => Usable::Over,
            (_, _, true) => Usable::UsedUp,
            (true, false, false) => Usable::Now,
        }
    }
}

/// A coupon as staff see it.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub(crate) struct CouponRow {
    pub(crate) code: String,
    pub(crate) kind: String,
    pub(crate) value: i64,
    pub(crate) rules: Json<Rules>,
    pub(crate) usage_limit: Option<i32>,
    pub(crate) per_customer_limit: i32,
    pub(crate) used: i32,
    pub(crate) starts_at: Option<OffsetDateTime>,
    pub(crate) ends_at: Option<OffsetDateTime>,
    pub(crate) is_active: bool,
    pub(crate) version: i64,
}

/// What a code gives; none when it is no active coupon's.
pub(crate) async fn given(tx: &mut Tx, code: &Code) -> Result<Option<GivenCoupon>, sqlx::Error> {
    let given: Option<Json<GivenCoupon>> = sqlx::query_scalar(GIVEN_COUPON)
        .bind(code.as_str())
        .fetch_optional(&mut *tx.statement("SELECT coupon given"))
        .await?;
    Ok(given.map(|Json(coupon)| coupon))
}

/// A page of all coupons.
pub(crate) async fn coupons(tx: &mut Tx, page: Page) -> Result<Vec<CouponRow>, sqlx::Error> {
    sqlx::query_as(LIST_COUPONS)
        .bind(page.limit())
        .bind(page.offset())
        .fetch_all(&mut *tx.statement("SELECT coupons"))
        .await
}

/// How many coupons there are.
pub(crate) async fn count(tx: &mut Tx) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(COUNT_COUPONS).fetch_one(&mut *tx.statement("SELECT count of coupons")).await
}

/// One coupon.
pub(crate) async fn coupon(tx: &mut Tx, code: &Code) -> Result<Option<CouponRow>, sqlx::Error> {
    sqlx::query_as(GET_COUPON).bind(code.as_str()).fetch_optional(&mut *tx.statement("SELECT coupon")).await
}

/// One coupon, locked.
pub(crate) async fn lock(tx: &mut Tx, code: &Code) -> Result<Option<CouponRow>, sqlx::Error> {
    sqlx::query_as(LOCK_COUPON)
        .bind(code.as_str())
        .fetch_optional(&mut *tx.statement("SELECT coupon FOR UPDATE"))
        .await
}

/// Makes a coupon.
pub(crate) async fn insert(tx: &mut Tx, fields: &CouponFields) -> Result<CouponRow, sqlx::Error> {
    write(tx, INSERT_COUPON, "INSERT coupons", fields).await
}

/// Writes every field of a locked coupon and counts its version up.
pub(crate) async fn update(tx: &mut Tx, fields: &CouponFields) -> Result<CouponRow, sqlx::Error> {
    write(tx, UPDATE_COUPON, "UPDATE coupons", fields).await
}

async fn write(
    tx: &mut Tx,
    sql: &'static str,
    name: &'static str,
    fields: &CouponFields,
) -> Result<CouponRow, sqlx::Error> {
    sqlx::query_as(sql)
        .bind(fields.code.as_str())
        .bind(fields.offer.kind.as_str())
        .bind(fields.offer.value)
        .bind(Json(&fields.offer.rules))
        .bind(fields.usage_limit)
        .bind(fields.per_customer_limit)
        .bind(fields.starts_at)
        .bind(fields.ends_at)
        .bind(matches!(fields.activity, Activity::Active))
        .fetch_one(&mut *tx.statement(name))
        .await
}
