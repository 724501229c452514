//! One page of products, by number or by cursor.

use proto::catalog::v1 as pb;
use proto::catalog::v1::{ListProductsRequest, ListProductsResponse, Pagination};
use rls::Tx;

use super::Call;
use crate::domain::cursor::{Cursor, CursorKey, Direction, SortValue};
use crate::domain::listing::{
    CategoryKey, Count, Filter, Frequency, Listing, Order, PageNumber, Part, PerPage, PriceRange, Sort,
    SortBy, Visibility, fingerprint,
};
use crate::domain::{CategoryId, Invalid, text};
use crate::error::{Error, Missing};
use crate::store::listing::{Listed, Slice, Source};
use crate::store::totals::{Question, Scope, Total};
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
    /// What the rows are really sorted by.
    by: SortBy,
    category_path: Vec<i64>,
    total: Option<Total>,
}

/// Two statements at most: category and total, then the rows.
async fn find(tx: &mut Tx, wanted: Listing) -> Result<Found, Error> {
    let Filter { category, prices, search, visibility } = wanted.filter;
    let question = Question { prices, words: search.as_deref(), visibility, count: wanted.count };
    let (scope, totals) = match (&category, wanted.count) {
        (Some(category), _) => {
            let scope = totals::scope(tx, category, question).await?;
            let scope = scope.ok_or(Error::NotFound(Missing::Category))?;
            let totals = scope.totals;
            (Some(scope), Some(totals))
        }
        (None, Count::Skipped) if search.is_none() => (None, None),
        (None, Count::Wanted | Count::Skipped) => (None, Some(totals::total(tx, question).await?)),
    };
    let (category_path, categories) = match scope {
        Some(Scope { path, categories, .. }) => (path, Some(categories)),
        None => (Vec::new(), None),
    };
    let total = totals.map(|totals| totals.total).filter(|_| wanted.count == Count::Wanted);
    let frequency = totals.map_or(Frequency::Rare, |totals| totals.frequency);

    let (order, past, offset) = match wanted.part {
        Part::Page(page) => (wanted.sort.order, None, page.offset(wanted.per_page)),
        Part::At(cursor) => match cursor.direction {
            Direction::Next => (wanted.sort.order, Some(cursor.row), 0),
            Direction::Previous => (wanted.sort.order.reversed(), Some(cursor.row), 0),
        },
    };
    let by = match (wanted.sort.by, past.as_ref().map(|row| &row.value), frequency) {
        // A list that was begun in one order goes on in it.
        (SortBy::Relevance, Some(SortValue::Popularity(_)), _) => SortBy::Popularity,
        (SortBy::Relevance, Some(_), _) => SortBy::Relevance,
        (SortBy::Relevance, None, Frequency::Common) => SortBy::Popularity,
        (by, _, _) => by,
    };
    let source = match (visibility, search, categories) {
        (Visibility::Every, words, categories) => Source::Every { words, categories },
        (Visibility::Active, Some(words), categories) => match frequency {
            Frequency::Common if by != SortBy::Relevance => Source::Walk { words, categories },
            Frequency::Common | Frequency::Rare => Source::Lookup { words, categories },
        },
        (Visibility::Active, None, Some(categories)) => Source::Categories(categories),
        (Visibility::Active, None, None) => Source::Active,
    };
    // One row more than shown says whether the list goes on.
    let limit = i64::from(wanted.per_page.get()) + 1;
    let slice = Slice { source, prices, by, order, past, limit, offset };
    Ok(Found { rows: listing::products(tx, &slice).await?, by, category_path, total })
}

fn reply(wanted: &Listing, found: Found, key: &CursorKey) -> ListProductsResponse {
    let Found { mut rows, by, category_path, total } = found;
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
    let cursor =
        |direction, row: &Listed, page| Cursor { direction, row: row.place(by), page }.encode(key, question);
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
