//! Everything that accounts knows about a user, as the user may see it.

use rls::{Tx, UserId};

/// A moment as the product writes it.
macro_rules! utc {
    ($column:literal) => {
        concat!("to_char(", $column, " AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')")
    };
}

rls::statements! {
    EXPORT = concat!(
        "SELECT json_build_object(
            'user', json_build_object(
                'id', u.id, 'email', u.email::text, 'name', u.name, 'locale', u.locale, 'role', u.role,
                'email_verified_at', ", utc!("u.email_verified_at"), ", 'totp_enabled', u.totp_enabled,
                'locked_at', ", utc!("u.locked_at"), ",
                'created_at', ", utc!("u.created_at"), ", 'updated_at', ", utc!("u.updated_at"), "),
            'addresses', (
                SELECT coalesce(json_agg(json_build_object(
                           'id', a.id, 'label', a.label, 'recipient', a.recipient, 'line1', a.line1,
                           'line2', a.line2, 'district', a.district, 'city', a.city, 'state', a.state,
                           'postal_code', a.postal_code, 'country', a.country, 'is_default', a.is_default,
                           'created_at', ", utc!("a.created_at"), ") ORDER BY a.id), '[]')
                  FROM addresses a WHERE a.user_id = u.id),
            'sessions', (
                SELECT coalesce(json_agg(json_build_object(
                           'id', s.id, 'user_agent', s.user_agent, 'address', s.address,
                           'created_at', ", utc!("s.created_at"), ", 'last_used_at', ", utc!("s.last_used_at"), ",
                           'expires_at', ", utc!("s.expires_at"), ", 'ended_at', ", utc!("s.revoked_at"), ",
                           'ended_for', s.revoked_for) ORDER BY s.created_at), '[]')
                  FROM sessions s WHERE s.user_id = u.id),
            'data_jobs', (
                SELECT coalesce(json_agg(json_build_object(
                           'id', j.id, 'kind', j.kind, 'state', j.state,
                           'created_at', ", utc!("j.created_at"), ") ORDER BY j.created_at), '[]')
                  FROM data_jobs j WHERE j.user_id = u.id))::text
           FROM users u
          WHERE u.id = $1 AND u.deleted_at IS NULL"
    );
}

/// The user's own rows as a JSON object; none for a user who is no more.
pub(crate) async fn export(tx: &mut Tx, user: UserId) -> Result<Option<String>, sqlx::Error> {
    sqlx::query_scalar(EXPORT).bind(user.0).fetch_optional(&mut *tx.statement("SELECT users export")).await
}
