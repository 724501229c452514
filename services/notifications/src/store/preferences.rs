//! Preferences: what differs from being told both ways.

use rls::Tx;

use crate::domain::kind::Kind;
use crate::domain::preferences::{Preferences, Ways};

rls::statements! {
    /// What the user wishes otherwise.
    PREFERENCES = "SELECT kind, in_app, email FROM preferences WHERE user_id = $1::bigint";
    /// What the user wishes from now on.
    SAVE_PREFERENCES = "INSERT INTO preferences (user_id, kind, in_app, email)
                        SELECT $1::bigint, wish.kind, wish.in_app, wish.email
                          FROM unnest($2::text[], $3::boolean[], $4::boolean[]) AS wish (kind, in_app, email)
                            ON CONFLICT (user_id, kind)
                            DO UPDATE SET in_app = excluded.in_app, email = excluded.email";
}

/// How the user wishes to be told about each kind.
pub(crate) async fn preferences(tx: &mut Tx, user_id: i64) -> Result<Preferences, sqlx::Error> {
    let rows: Vec<(String, bool, bool)> =
        sqlx::query_as(PREFERENCES).bind(user_id).fetch_all(&mut *tx.statement("SELECT preferences")).await?;
    // Kinds of another version stay in the table and out of sight.
    let known = rows
        .into_iter()
        .filter_map(|(kind, in_app, email)| Kind::known(&kind).map(|kind| (kind, Ways { in_app, email })));
    Ok(known.fold(Preferences::default(), |preferences, (kind, ways)| preferences.with(kind, ways)))
}

/// Writes the ways of every kind; the feed is locked.
pub(crate) async fn save(tx: &mut Tx, user_id: i64, preferences: &Preferences) -> Result<(), sqlx::Error> {
    let (mut kinds, mut in_app, mut email) = (Vec::new(), Vec::new(), Vec::new());
    for (kind, ways) in preferences.all() {
        kinds.push(kind.as_str());
        in_app.push(ways.in_app);
        email.push(ways.email);
    }
    sqlx::query(SAVE_PREFERENCES)
        .bind(user_id)
        .bind(kinds)
        .bind(in_app)
        .bind(email)
        .execute(&mut *tx.statement("INSERT preferences"))
        .await
        .map(drop)
}
