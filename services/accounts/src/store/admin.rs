//! Users as administrators see and change them.

use rls::{Tx, UserId, UserRole};

use super::profile::{UserRow, user_columns};
use crate::domain::user::{User, role_word};
use crate::error::Error;

/// Which users are listed.
#[derive(Clone, Debug, Default)]
pub(crate) struct UserFilter {
    pub(crate) role: Option<UserRole>,
    /// Part of a name or address, as it was typed.
    pub(crate) search: Option<String>,
    pub(crate) locked: Option<bool>,
}

/// A page of a list, from 1.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Page {
    pub(crate) number: u32,
    pub(crate) size: u32,
}

macro_rules! filter {
    () => {
        " FROM users
          WHERE deleted_at IS NULL
            AND ($1::text IS NULL OR role = $1)
            AND ($2::text IS NULL OR name ILIKE $2 OR email::text ILIKE $2)
            AND ($3::bool IS NULL OR (locked_at IS NOT NULL) = $3)"
    };
}

rls::statements! {
    USERS =
        concat!("SELECT ", user_columns!(), filter!(), " ORDER BY created_at DESC, id DESC LIMIT $4 OFFSET $5");
    /// No row for none.
    USER_COUNT = concat!("SELECT count(*)", filter!(), " HAVING count(*) > 0");
    /// Every administrator who could act, locked in one order: of two who take each other's rights away, the
    /// second sees what the first did.
    ADMINS_LOCKED =
        "SELECT id
           FROM users
          WHERE role = 'admin' AND deleted_at IS NULL AND locked_at IS NULL
          ORDER BY id
            FOR NO KEY UPDATE";
    UPDATE_NAME = concat!(
        "UPDATE users SET name = $2, version = version + 1, updated_at = now()
          WHERE id = $1 AND deleted_at IS NULL
      RETURNING ", user_columns!()
    );
    UPDATE_ROLE = concat!(
        "UPDATE users SET role = $2, version = version + 1, updated_at = now()
          WHERE id = $1 AND deleted_at IS NULL
      RETURNING ", user_columns!()
    );
    LOCK_USER = concat!(
        "UPDATE users SET locked_at = now(), locked_reason = $2, version = version + 1, updated_at = now()
          WHERE id = $1 AND deleted_at IS NULL
      RETURNING ", user_columns!()
    );
    UNLOCK_USER = concat!(
        "UPDATE users SET locked_at = NULL, locked_reason = NULL, version = version + 1, updated_at = now()
          WHERE id = $1 AND deleted_at IS NULL
      RETURNING ", user_columns!()
    );
    /// Without these no session gets another access token.
    DELETE_REFRESH_TOKENS = "DELETE FROM refresh_tokens WHERE user_id = $1";
}

/// The users on a page, latest first, and how many there are in all.
pub(crate) async fn users(
    tx: &mut Tx,
    filter: &UserFilter,
    page: Page,
) -> Result<(Vec<User>, u64), sqlx::Error> {
    let role = filter.role.map(role_word);
    let search = filter.search.as_deref().map(like_pattern);
    let rows: Vec<UserRow> = sqlx::query_as(USERS)
        .bind(role)
        .bind(&search)
        .bind(filter.locked)
        .bind(i64::from(page.size))
        .bind(i64::from(page.number - 1) * i64::from(page.size))
        .fetch_all(&mut *tx.statement("SELECT users"))
        .await?;
    let total: Option<i64> = sqlx::query_scalar(USER_COUNT)
        .bind(role)
        .bind(&search)
        .bind(filter.locked)
        .fetch_optional(&mut *tx.statement("SELECT count of users"))
        .await?;
    let users = rows.into_iter().map(UserRow::user).collect::<Result<_, _>>()?;
    Ok((users, total.unwrap_or_default().unsigned_abs()))
}

/// Every administrator who is neither locked nor erased; nobody changes that until the transaction ends.
pub(crate) async fn lock_admins(tx: &mut Tx) -> Result<Vec<UserId>, sqlx::Error> {
    let ids: Vec<i64> = sqlx::query_scalar(ADMINS_LOCKED)
        .fetch_all(&mut *tx.statement("SELECT users admins for update"))
        .await?;
    Ok(ids.into_iter().map(UserId).collect())
}

/// Refuses unless this user is an administrator now, whatever their token says; none of them ceases to be one
/// until the transaction ends.
pub(crate) async fn require_admin(tx: &mut Tx, actor: UserId) -> Result<(), Error> {
    if lock_admins(tx).await?.contains(&actor) { Ok(()) } else { Err(Error::Forbidden) }
}

/// Gives a user another name.
pub(crate) async fn set_name(tx: &mut Tx, id: UserId, name: &str) -> Result<Option<User>, sqlx::Error> {
    changed(tx, sqlx::query_as(UPDATE_NAME).bind(id.0).bind(name.to_owned())).await
}

/// Gives a user another role.
pub(crate) async fn set_role(tx: &mut Tx, id: UserId, role: UserRole) -> Result<Option<User>, sqlx::Error> {
    changed(tx, sqlx::query_as(UPDATE_ROLE).bind(id.0).bind(role_word(role))).await
}

/// Locks a user; the reason is for administrators.
pub(crate) async fn lock(tx: &mut Tx, id: UserId, reason: &str) -> Result<Option<User>, sqlx::Error> {
    changed(tx, sqlx::query_as(LOCK_USER).bind(id.0).bind(reason.to_owned())).await
}

/// Unlocks a user.
pub(crate) async fn unlock(tx: &mut Tx, id: UserId) -> Result<Option<User>, sqlx::Error> {
    changed(tx, sqlx::query_as(UNLOCK_USER).bind(id.0)).await
}

/// Keeps every session of the user from getting another access token: only a new login does.
pub(crate) async fn delete_refresh_tokens(tx: &mut Tx, id: UserId) -> Result<(), sqlx::Error> {
    sqlx::query(DELETE_REFRESH_TOKENS)
        .bind(id.0)
        .execute(&mut *tx.statement("DELETE refresh_tokens of user"))
        .await
        .map(drop)
}

type UserQuery<'q> =
    sqlx::query::QueryAs<'q, sqlx::Postgres, UserRow, <sqlx::Postgres as sqlx::Database>::Arguments>;

async fn changed(tx: &mut Tx, update: UserQuery<'_>) -> Result<Option<User>, sqlx::Error> {
    let row = update.fetch_optional(&mut *tx.statement("UPDATE users by admin")).await?;
    row.map(UserRow::user).transpose()
}

/// What is typed stands for itself, wherever it is: `%` and `_` are no wildcards.
fn like_pattern(search: &str) -> String {
    let mut pattern = String::with_capacity(search.len() + 2);
    pattern.push('%');
    for c in search.chars() {
        if matches!(c, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern.push('%');
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_stand_for_themselves() {
        assert_eq!(like_pattern("ana"), "%ana%");
        assert_eq!(like_pattern(r"100%_\"), r"%100\%\_\\%");
    }
}
