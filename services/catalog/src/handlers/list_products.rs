//! One page of products, by number or by cursor.

use proto::catalog::v1 as pb;
use proto::catalog::v1::{ListProductsRequest, ListProductsResponse, Pagination};
use rls::Tx;

use super::Call;
use crate::domain::cursor::{Cursor, CursorKey, Direction};
use crate::domain::listing::{
    CategoryKey, Count, Filter, Listing, Order, PageNumber, Part, PerPage, PriceRange, Sort, SortBy,
    Visibility, fingerprint,
};
use crate::domain::{CategoryId, Invalid, text};
use crate::error::{Error, Missing};
use crate::store::listing::{Listed, Slice, Source};
use crate::store::totals::{Counted, Scope, Total};
use crate::store::{listing, totals};
use crate::wire;

pub(crate) async fn list_products(
    call: &Call,
    request: ListProductsRequest,
) -> Result<ListProductsResponse, Error> {
    if request.include_inactive() && !call.caller.is_staff() {
        return Err(Error::Forbidden);
    }
    let wanted = parse(request, &call.cursor_key)?;

    let found = {
        let wanted = wanted.clone();
        call.read(move |tx| Box::pin(async move { find(tx, wanted).await })).await?
    };
    Ok(reply(&wanted, found, &call.cursor_key))
}

fn parse(request: ListProductsRequest, key: &CursorKey) -> Result<Listing, Invalid> {
    let visibility = if request.include_inactive() { Visibility::Every } else { Visibility::Active };
    let count = if request.skip_count { Count::Skipped } else { Count::Wanted };
    let per_page = PerPage::parse("per_page", request.per_page)?;
    let search = request.search.as_deref().map_or(Ok(None), |words| text::search("search", words))?;
    let sort = sort(request.sort, search.is_some())?;
    let id = request.category_id.map(|id| CategoryId::parse("category_id", id)).transpose()?;
    let slug = request.category_slug.map(|slug| text::slug("category_slug", slug)).transpose()?;
    let category = match (id, slug) {
        (None, None) => None,
        (Some(id), None) => Some(CategoryKey::Id(id)),
        (None, Some(slug)) => Some(CategoryKey::Slug(slug)),
        (Some(id), Some(slug)) => Some(CategoryKey::Both(id, slug)),
    };
    let prices = PriceRange::parse(
        "min_price_amount",
        request.min_price_amount,
        "max_price_amount",
        request.max_price_amount,
    )?;
    let filter = Filter { category, prices, search, visibility };
    let part = match &request.cursor {
        Some(text) => Part::At(Cursor::decode("cursor", text, key, fingerprint(&filter, sort))?),
        None => Part::Page(PageNumber::parse("page", request.page, per_page)?),
    };
    Ok(Listing { filter, sort, part, per_page, count })
}

fn sort(sort: i32, searching: bool) -> Result<Sort, Invalid> {
    use Order::{Ascending, Descending};
    let sort = pb::Sort::try_from(sort).map_err(|_unknown| Invalid::value("sort", "is not a known sort"))?;
    let (by, order) = match sort {
        pb::Sort::Unspecified if searching => (SortBy::Relevance, Descending),
        pb::Sort::Unspecified | pb::Sort::CreatedAtDesc => (SortBy::CreatedAt, Descending),
        pb::Sort::CreatedAtAsc => (SortBy::CreatedAt, Ascending),
        pb::Sort::PriceAsc => (SortBy::Price, Ascending),
        pb::Sort::PriceDesc => (SortBy::Price, Descending),
        pb::Sort::NameAsc => (SortBy::Name, Ascending),
        pb::Sort::NameDesc => (SortBy::Name, Descending),
        pb::Sort::Relevance if searching => (SortBy::Relevance, Descending),
        pb::Sort::Relevance => return Err(Invalid::value("sort", "relevance needs a search")),
    };
    Ok(Sort { by, order })
}

struct Found {
    rows: Vec<Listed>,
    category_path: Vec<i64>,
    total: Option<Total>,
}

/// Two statements at most: category and total, then the rows.
async fn find(tx: &mut Tx, wanted: Listing) -> Result<Found, Error> {
    let Filter { category, prices, search, visibility } = wanted.filter;
    let wants_total = wanted.count == Count::Wanted;
    // Without the other filters a counter answers, and the category has to be looked up anyway.
    let counted = if wants_total {
        Counted { prices, words: search.as_deref(), visibility }
    } else {
        Counted { prices: PriceRange::ALL, words: None, visibility }
    };
    let (scope, total) = match &category {
        Some(category) => {
            let scope =
                totals::scope(tx, category, counted).await?.ok_or(Error::NotFound(Missing::Category))?;
            let total = scope.total;
            (Some(scope), wants_total.then_some(total))
        }
        None if wants_total => (None, Some(totals::total(tx, counted).await?)),
        None => (None, None),
    };
    let (category_path, categories) = match scope {
        Some(Scope { path, categories, .. }) => (path, Some(categories)),
        None => (Vec::new(), None),
    };

    let source = match (visibility, search, categories) {
        (Visibility::Every, words, categories) => Source::Every { words, categories },
        (Visibility::Active, Some(words), categories) => Source::Words { words, categories },
        (Visibility::Active, None, Some(categories)) => Source::Categories(categories),
        (Visibility::Active, None, None) => Source::Active,
    };
    let (order, past, offset) = match wanted.part {
        Part::Page(page) => (wanted.sort.order, None, page.offset(wanted.per_page)),
        Part::At(cursor) => match cursor.direction {
            Direction::Next => (wanted.sort.order, Some(cursor.row), 0),
            Direction::Previous => (wanted.sort.order.reversed(), Some(cursor.row), 0),
        },
    };
    // One row more than shown says whether the list goes on.
    let limit = i64::from(wanted.per_page.get()) + 1;
    let slice = Slice { source, prices, by: wanted.sort.by, order, past, limit, offset };
    Ok(Found { rows: listing::products(tx, &slice).await?, category_path, total })
}

fn reply(wanted: &Listing, found: Found, key: &CursorKey) -> ListProductsResponse {
    let Found { mut rows, category_path, total } = found;
    let per_page = wanted.per_page.get();
    let goes_on = rows.len() > per_page as usize;
    rows.truncate(per_page as usize);
    let (page, has_next, has_previous) = match &wanted.part {
        Part::Page(page) => (page.get(), goes_on, page.get() > 1),
        Part::At(Cursor { direction: Direction::Next, page, .. }) => (*page, goes_on, true),
        Part::At(Cursor { direction: Direction::Previous, page, .. }) => {
            rows.reverse();
            (*page, true, goes_on)
        }
    };

    let question = fingerprint(&wanted.filter, wanted.sort);
    let cursor = |direction, row: &Listed, page| {
        Cursor { direction, row: row.place(wanted.sort.by), page }.encode(key, question)
    };
    let next = rows.last().filter(|_| has_next);
    let previous = rows.first().filter(|_| has_previous);
    let pagination = Pagination {
        page,
        per_page,
        total: total.map(|total| match total {
            Total::Exactly(rows) | Total::About(rows) => rows.unsigned_abs(),
        }),
        total_exact: matches!(total, Some(Total::Exactly(_))),
        next_cursor: next.map(|row| cursor(Direction::Next, row, page.saturating_add(1))),
        prev_cursor: previous.map(|row| cursor(Direction::Previous, row, page.saturating_sub(1).max(1))),
    };
    let now = super::now();
    ListProductsResponse {
        products: rows.into_iter().map(|row| wire::summary(row.summary, now)).collect(),
        pagination: Some(pagination),
        category_path,
    }
}
