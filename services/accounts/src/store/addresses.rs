//! Addresses of one user, each with its version; one of them is the default.

use rls::{Tx, UserId};

use crate::domain::Invalid;
use crate::domain::address::{ADDRESSES_MAX, AddressFields, AddressId, Place};

/// An address as it is stored.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(crate) struct Address {
    pub(crate) id: i64,
    pub(crate) label: Option<String>,
    pub(crate) recipient: String,
    pub(crate) line1: String,
    pub(crate) line2: Option<String>,
    pub(crate) district: Option<String>,
    pub(crate) city: String,
    pub(crate) state: String,
    pub(crate) postal_code: String,
    pub(crate) country: String,
    pub(crate) is_default: bool,
    pub(crate) version: i64,
}

/// Another address that a change moved along: the default that was, or the one that is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Other {
    pub(crate) id: i64,
    pub(crate) version: i64,
}

/// Whether an address becomes the default, whichever was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BecomesDefault {
    Yes,
    No,
}

#[derive(sqlx::FromRow)]
struct Changed {
    #[sqlx(flatten)]
    address: Address,
    other_id: Option<i64>,
    other_version: Option<i64>,
}

macro_rules! columns {
    ($prefix:literal) => {
        concat!(
            $prefix,
            "id, ",
            $prefix,
            "label, ",
            $prefix,
            "recipient, ",
            $prefix,
            "line1, ",
            $prefix,
            "line2, ",
            $prefix,
            "district, ",
            $prefix,
            "city, ",
            $prefix,
            "state, ",
            $prefix,
            "postal_code, ",
            $prefix,
            "country, ",
            $prefix,
            "is_default, ",
            $prefix,
            "version"
        )
    };
}

rls::statements! {
    /// Every address, the default first. The limit is the number that a user can have.
    ADDRESSES = concat!(
        "SELECT ", columns!(""), "
           FROM addresses
          WHERE user_id = $1
          ORDER BY is_default DESC, id
          LIMIT 50"
    );
    /// One address, locked.
    ADDRESS_LOCKED = concat!(
        "SELECT ", columns!(""), "
           FROM addresses
          WHERE user_id = $1 AND id = $2
            FOR UPDATE"
    );
    /// Holds the user's row, so that changes to one user's addresses queue.
    OWNER_LOCKED = "SELECT id FROM users WHERE id = $1 AND deleted_at IS NULL FOR NO KEY UPDATE";
    /// A row when the user can have no more.
    ADDRESSES_FULL = "SELECT count(*) FROM addresses WHERE user_id = $1 HAVING count(*) >= $2";
    /// A new address; the first one becomes the default, any other only when asked to.
    INSERT_ADDRESS = concat!(
        "WITH former AS (
              UPDATE addresses
                 SET is_default = false, version = version + 1, updated_at = now()
               WHERE user_id = $1 AND is_default AND $10
           RETURNING id, version),
         added AS (
              INSERT INTO addresses (user_id, label, recipient, line1, line2, district, city, state, postal_code, is_default)
              SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9,
                     $10 OR NOT EXISTS (SELECT FROM addresses WHERE user_id = $1 AND is_default)
           RETURNING ", columns!(""), ")
         SELECT ", columns!("added."), ", former.id AS other_id, former.version AS other_version
           FROM added LEFT JOIN former ON true"
    );
    /// An address's new fields; when it becomes the default, the former one ceases to be in the same statement.
    UPDATE_ADDRESS = concat!(
        "WITH former AS (
              UPDATE addresses
                 SET is_default = false, version = version + 1, updated_at = now()
               WHERE user_id = $1 AND id <> $2 AND is_default AND $11
           RETURNING id, version),
         changed AS (
              UPDATE addresses
                 SET label = $3, recipient = $4, line1 = $5, line2 = $6, district = $7, city = $8, state = $9,
                     postal_code = $10, is_default = is_default OR $11, version = version + 1, updated_at = now()
               WHERE user_id = $1 AND id = $2
           RETURNING ", columns!(""), ")
         SELECT ", columns!("changed."), ", former.id AS other_id, former.version AS other_version
           FROM changed LEFT JOIN former ON true"
    );
    /// The address goes; when it was the default, the oldest of the others becomes it.
    DELETE_ADDRESS = concat!(
        "WITH gone AS (
              DELETE FROM addresses WHERE user_id = $1 AND id = $2
           RETURNING ", columns!(""), "),
         heir AS (
              UPDATE addresses
                 SET is_default = true, version = version + 1, updated_at = now()
               WHERE user_id = $1
                 AND id = (SELECT min(id) FROM addresses WHERE user_id = $1 AND id <> $2)
                 AND EXISTS (SELECT FROM gone WHERE is_default)
           RETURNING id, version)
         SELECT ", columns!("gone."), ", heir.id AS other_id, heir.version AS other_version
           FROM gone LEFT JOIN heir ON true"
    );
}

impl Address {
    /// The part that a user writes.
    pub(crate) fn fields(&self) -> Result<AddressFields, Invalid> {
        Ok(AddressFields {
            label: self.label.clone(),
            recipient: self.recipient.clone(),
            line1: self.line1.clone(),
            line2: self.line2.clone(),
            district: self.district.clone(),
            place: Place::parse(&self.city, &self.state, &self.postal_code, "postal_code")?,
        })
    }
}

/// Every address of the user, the default first.
pub(crate) async fn addresses(tx: &mut Tx, user: UserId) -> Result<Vec<Address>, sqlx::Error> {
    sqlx::query_as(ADDRESSES).bind(user.0).fetch_all(&mut *tx.statement("SELECT addresses")).await
}

/// Makes changes to this user's addresses queue; answers whether there is such a user.
pub(crate) async fn lock_owner(tx: &mut Tx, user: UserId) -> Result<bool, sqlx::Error> {
    let row: Option<i64> = sqlx::query_scalar(OWNER_LOCKED)
        .bind(user.0)
        .fetch_optional(&mut *tx.statement("SELECT users for update"))
        .await?;
    Ok(row.is_some())
}

/// One address, locked until the transaction ends.
pub(crate) async fn locked(tx: &mut Tx, user: UserId, id: AddressId) -> Result<Option<Address>, sqlx::Error> {
    sqlx::query_as(ADDRESS_LOCKED)
        .bind(user.0)
        .bind(id.get())
        .fetch_optional(&mut *tx.statement("SELECT address for update"))
        .await
}

/// Whether the user has as many addresses as there may be.
pub(crate) async fn is_full(tx: &mut Tx, user: UserId) -> Result<bool, sqlx::Error> {
    let count: Option<i64> = sqlx::query_scalar(ADDRESSES_FULL)
        .bind(user.0)
        .bind(ADDRESSES_MAX)
        .fetch_optional(&mut *tx.statement("SELECT count of addresses"))
        .await?;
    Ok(count.is_some())
}

/// Adds an address; answers it, and the default that it replaced.
pub(crate) async fn insert(
    tx: &mut Tx,
    user: UserId,
    fields: &AddressFields,
    default: BecomesDefault,
) -> Result<(Address, Option<Other>), sqlx::Error> {
    let changed: Changed = sqlx::query_as(INSERT_ADDRESS)
        .bind(user.0)
        .bind(&fields.label)
        .bind(&fields.recipient)
        .bind(&fields.line1)
        .bind(&fields.line2)
        .bind(&fields.district)
        .bind(fields.place.city())
        .bind(fields.place.state())
        .bind(fields.place.cep())
        .bind(default == BecomesDefault::Yes)
        .fetch_one(&mut *tx.statement("INSERT address"))
        .await?;
    Ok(changed.into())
}

/// Writes an address's fields; answers it, and the default that it replaced. None when it is not there.
pub(crate) async fn update(
    tx: &mut Tx,
    user: UserId,
    id: AddressId,
    fields: &AddressFields,
    default: BecomesDefault,
) -> Result<Option<(Address, Option<Other>)>, sqlx::Error> {
    let changed: Option<Changed> = sqlx::query_as(UPDATE_ADDRESS)
        .bind(user.0)
        .bind(id.get())
        .bind(&fields.label)
        .bind(&fields.recipient)
        .bind(&fields.line1)
        .bind(&fields.line2)
        .bind(&fields.district)
        .bind(fields.place.city())
        .bind(fields.place.state())
        .bind(fields.place.cep())
        .bind(default == BecomesDefault::Yes)
        .fetch_optional(&mut *tx.statement("UPDATE address"))
        .await?;
    Ok(changed.map(Into::into))
}

/// Removes an address; answers what it was, and the address that became the default. None when it is not there.
pub(crate) async fn delete(
    tx: &mut Tx,
    user: UserId,
    id: AddressId,
) -> Result<Option<(Address, Option<Other>)>, sqlx::Error> {
    let changed: Option<Changed> = sqlx::query_as(DELETE_ADDRESS)
        .bind(user.0)
        .bind(id.get())
        .fetch_optional(&mut *tx.statement("DELETE address"))
        .await?;
    Ok(changed.map(Into::into))
}

impl From<Changed> for (Address, Option<Other>) {
    fn from(changed: Changed) -> Self {
        let other = changed.other_id.zip(changed.other_version).map(|(id, version)| Other { id, version });
        (changed.address, other)
    }
}
