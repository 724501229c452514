//! What each route does. Cached reads are functions from a parsed question to its answer; the others are actix
//! handlers.
//!
//! # Adding a cached read of a user's own
//!
//! 1. A line in [`crate::routes`] with source `Own`, and the line's [`crate::cache_policy::Question`] with key,
//!    rules, tags and service.
//! 2. A function from `Origin` and the parts of the question to a `Found`, called from the match in
//!    `own` below. It asks with `Origin::bearer`, so that the service sees the user, and adds the tags
//!    that only the answer knows. `account::profile` is one object in its envelope. A page of a list is
//!
//!    ```ignore
//!    pub(crate) async fn events(origin: Origin, pages: Pages, filter: &EventFilter) -> Result<Found, Error> {
//!        let reply = read(message(pages, filter), READ_DEADLINE, origin.bearer(), |request| {
//!            let mut agenda = origin.upstream.agenda.clone();
//!            async move { agenda.list_events(request).await }
//!        })
//!        .await?;
//!        let rows: Vec<views::Event> = reply.events.iter().map(views::Event::of).collect();
//!        Ok(Found::page(&rows, pages, reply.total, None))
//!    }
//!    ```
//!
//!    and answers `/api/events` (bare array, facts in headers) and `/api/v1/agenda/events` (envelope) from
//!    the same entry. One object of those two is `Found::json(&view)`, without any envelope.
//! 3. For every other method of the path an actix handler in `routes::configure`; each changes through
//!    `crate::gate::Gate::change`, which purges before it answers.
//!
//! Carts and orders are the same with source `Shopper` and a [`crate::cache_policy::ShopQuestion`]: their owner is a
//! user, or a guest by the token that the request shows (`guest.rs`).
//!
//! "Not found" needs nothing: it is kept under the owner and the tags of the question.

pub mod account;
pub mod admin_coupons;
pub mod admin_orders;
pub mod admin_products;
pub mod admin_stock;
pub mod admin_users;
pub mod admin_webhooks;
pub mod agenda;
pub mod auth;
pub mod cart;
pub mod categories;
pub mod checkout;
pub mod health;
pub mod images;
pub mod my_addresses;
pub mod my_data;
pub mod my_profile;
pub mod my_sessions;
pub mod notification_stream;
pub mod notifications;
pub mod openapi;
pub mod order_stream;
pub mod orders;
pub mod password;
pub mod payments;
pub mod performance;
pub mod products;
pub mod shipping;
pub mod totp;

use bytes::Bytes;
use serde::Serialize;
use tag_cache::{Draft, Stamp, Tag};

use crate::cache_policy::{Personal, Question, Read, ShopQuestion, Shopping};
use crate::error::Error;
use crate::pages::Pages;
use crate::representation::{Head, Kind, ListFacts};
use crate::upstream::Upstream;

/// Whom shoppers are asserted to.
pub(crate) const ORDERS: &str = "orders";

/// Whom a read asks, and as whom.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    pub(crate) upstream: Upstream,
    /// What proves the user to the service that answers; public reads are asked by nobody in particular.
    pub(crate) assertion: Option<String>,
}

impl Origin {
    pub(crate) fn bearer(&self) -> Option<&str> {
        self.assertion.as_deref()
    }
}

/// What a read found.
#[derive(Debug)]
pub(crate) struct Found {
    kind: Kind,
    body: Bytes,
    facts: Option<ListFacts>,
    keep: Keep,
}

/// Whether an answer may be given again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Keep {
    /// Until one of its tags is purged.
    UntilPurged,
    /// It changes without any purge saying so.
    Never,
}

impl Found {
    /// JSON as it is written.
    pub(crate) fn text(json: Vec<u8>) -> Self {
        Self { kind: Kind::Json, body: Bytes::from(json), facts: None, keep: Keep::UntilPurged }
    }

    /// One value as JSON, bare.
    pub(crate) fn json(value: &impl Serialize) -> Self {
        Self::text(serde_json::to_vec(value).expect("views hold nothing that JSON cannot"))
    }

    /// A page of a list as a bare array. `total` counts the whole list, `unread` the unread of the whole feed.
    pub(crate) fn page(rows: &[impl Serialize], pages: Pages, total: u64, unread: Option<u64>) -> Self {
        let facts = ListFacts { total, page: pages.page, limit: pages.limit, unread };
        Self { facts: Some(facts), ..Self::json(&rows) }
    }

    /// An iCalendar.
    pub(crate) fn calendar(text: String) -> Self {
        Self { kind: Kind::Calendar, body: Bytes::from(text), facts: None, keep: Keep::UntilPurged }
    }

    /// The same for this request only.
    pub(crate) fn for_now(self) -> Self {
        Self { keep: Keep::Never, ..self }
    }

    fn head(&self) -> Bytes {
        match &self.facts {
            Some(facts) => Head::encode_list(&self.body, facts),
            None => Head::encode(self.kind, &self.body),
        }
    }
}

/// Asks the origin. What is not there is an answer too: it is kept under the tags that the question implies,
/// one of which the creation of the thing purges.
pub(crate) async fn fetch(read: Read, origin: Origin, stamp: Stamp) -> Result<Draft, Error> {
    let mut tags = read.tags();
    let found = match answer(&read, origin, &mut tags).await {
        Ok(found) => found,
        // A hash that nothing has may be drawn tomorrow, and no purge would say so.
        Err(Error::NotFound) if matches!(read, Read::Image { .. }) => {
            return Ok(Draft::not_stored(404, Head::encode(Kind::Absent, b""), Bytes::new()));
        }
        Err(Error::NotFound) => {
            return Ok(stamp.draft(404, Head::encode(Kind::Absent, b""), Bytes::new(), read.tags()));
        }
        Err(error) => return Err(error),
    };
    Ok(match found.keep {
        Keep::UntilPurged => stamp.draft(200, found.head(), found.body, tags),
        Keep::Never => Draft::not_stored(200, found.head(), found.body),
    })
}

async fn answer(read: &Read, origin: Origin, tags: &mut Vec<Tag>) -> Result<Found, Error> {
    let upstream = origin.upstream.clone();
    let json = match read {
        Read::Products(listing) => products::list(upstream, listing, tags).await?,
        Read::Featured { limit } => products::featured(upstream, *limit, tags).await?,
        Read::New { limit } => products::new(upstream, *limit, tags).await?,
        Read::Product { by, fields } => products::get(upstream, by, *fields, tags).await?,
        Read::Categories => categories::list(upstream).await?,
        Read::Category { id } => categories::get(upstream, *id, tags).await?,
        Read::Image { sha256 } => {
            let body = images::get(upstream, sha256).await?;
            return Ok(Found { kind: Kind::Svg, body, facts: None, keep: Keep::UntilPurged });
        }
        Read::Personal(personal) => return own(personal, origin, tags).await,
        Read::Availability { product, variant, cep } => {
            return shipping::availability(origin, *product, *variant, cep.as_deref(), tags).await;
        }
        Read::Cep { cep } => return shipping::cep(origin, cep).await,
        Read::Shopping(shopping) => return shoppers(shopping, origin, tags).await,
    };
    Ok(Found::text(json))
}

/// Something of a user's own. `tags` takes what only the answer knows it depends on.
async fn own(personal: &Personal, origin: Origin, tags: &mut Vec<Tag>) -> Result<Found, Error> {
    match &personal.question {
        Question::Profile => account::profile(origin).await,
        Question::Addresses => account::addresses(origin).await,
        Question::Notifications { pages, shown } => notifications::list(origin, *pages, *shown).await,
        Question::NotificationPreferences => notifications::preferences(origin).await,
        Question::Events { pages, filter } => agenda::events::list(origin, *pages, filter).await,
        Question::Event { id } => agenda::events::get(origin, *id).await,
        Question::EventCalendar => agenda::calendar::get(origin).await,
        Question::Professionals { pages, specialty } => {
            agenda::professionals::list(origin, *pages, *specialty).await
        }
        Question::Professional { id } => agenda::professionals::get(origin, *id).await,
        Question::Reports { pages, role } => agenda::reports::list(origin, *pages, *role).await,
        Question::Report { id } => agenda::reports::get(origin, *id, tags).await,
    }
}

/// Something of a user's or guest's own who shops.
async fn shoppers(shopping: &Shopping, origin: Origin, tags: &mut Vec<Tag>) -> Result<Found, Error> {
    match &shopping.question {
        ShopQuestion::Cart => cart::get(origin, tags).await,
        ShopQuestion::Orders(list) => orders::list(origin, list).await,
        ShopQuestion::Order { id, parts } => orders::get(origin, *id, *parts).await,
        ShopQuestion::Confirmation { id } => orders::confirmation(origin, *id).await,
    }
}
