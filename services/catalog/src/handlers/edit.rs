//! What replacing and patching a product have in common.

use events::{Event, Fact};
use proto::events::v1::ProductUpdated;
use rls::Tx;
use time::OffsetDateTime;

use super::{Editor, record};
use crate::domain::product::{Current, Detail, ProductFields};
use crate::domain::{ProductId, Version};
use crate::error::{Error, Missing};
use crate::store::categories;
use crate::store::products::{self, ProductKey};
use crate::wire;

/// Locks a product that is still as the editor saw it.
pub(super) async fn lock(tx: &mut Tx, id: ProductId, expected: Version) -> Result<Current, Error> {
    let current = products::lock(tx, id).await?.ok_or(Error::NotFound(Missing::Product))?;
    if current.version == expected.get() {
        Ok(current)
    } else {
        Err(Error::StaleVersion { expected: expected.get(), current: current.version })
    }
}

/// A product that was just written or locked, as its page shows it.
pub(super) async fn detail(tx: &mut Tx, id: ProductId) -> Result<Detail, Error> {
    products::detail(tx, &ProductKey::Id(id)).await?.ok_or(Error::NotFound(Missing::Product))
}

/// Makes a product what `change` makes of it, and says so; a change of nothing writes nothing.
pub(super) async fn edit(
    tx: &mut Tx,
    editor: &Editor,
    id: ProductId,
    expected: Version,
    now: OffsetDateTime,
    change: impl FnOnce(&ProductFields) -> ProductFields + Send,
) -> Result<Detail, Error> {
    let old = lock(tx, id, expected).await?;
    let new = change(&old.fields);
    let changed = old.fields.changed(&new);
    if changed.is_empty() {
        return detail(tx, id).await;
    }

    let new_path = match new.category {
        category if category == old.fields.category => old.category_path.clone(),
        Some(category) => categories::path(tx, category).await?.ok_or_else(Error::unknown_category)?,
        None => Vec::new(),
    };
    let version = products::update(tx, id, &new, now).await?;
    let (before, after) = (old.fields.told(&changed), new.told(&changed));
    let updated = ProductUpdated {
        product_id: id.get(),
        old_slug: old.fields.slug,
        slug: new.slug,
        old_category: wire::category_path(&old.category_path),
        category: wire::category_path(&new_path),
        was_active: old.fields.is_active,
        is_active: new.is_active,
        was_featured: old.fields.is_featured,
        is_featured: new.is_featured,
        changed: changed.into_iter().map(str::to_owned).collect(),
    };
    record(tx, &Event::new(&editor.caller, now, version, Fact::ProductUpdated(updated))).await?;
    let detail = detail(tx, id).await?;
    editor.sign(tx, "product.updated", id, Some(before), Some(after)).await?;
    Ok(detail)
}
