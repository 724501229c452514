//! What each route does. Cached reads are functions from a parsed question to the bytes of its answer; the
//! others are actix handlers.

pub mod admin_products;
pub mod auth;
pub mod categories;
pub mod health;
pub mod images;
pub mod openapi;
pub mod password;
pub mod performance;
pub mod products;
pub mod totp;

use bytes::Bytes;
use tag_cache::{Draft, Stamp, Tag};

use crate::cache_policy::Read;
use crate::error::Error;
use crate::representation::{Head, Kind};
use crate::upstream::Upstream;

/// Asks the origin. What is not there is an answer too: it is kept under the tags that the question implies,
/// one of which the creation of the thing purges.
pub(crate) async fn fetch(read: Read, upstream: Upstream, stamp: Stamp) -> Result<Draft, Error> {
    let mut tags = read.tags();
    let (kind, body) = match answer(&read, upstream, &mut tags).await {
        Ok(answer) => answer,
        // A hash that nothing has may be drawn tomorrow, and no purge would say so.
        Err(Error::NotFound) if matches!(read, Read::Image { .. }) => {
            return Ok(Draft::not_stored(404, Head::encode(Kind::Absent, b""), Bytes::new()));
        }
        Err(Error::NotFound) => {
            return Ok(stamp.draft(404, Head::encode(Kind::Absent, b""), Bytes::new(), read.tags()));
        }
        Err(error) => return Err(error),
    };
    Ok(stamp.draft(200, Head::encode(kind, &body), body, tags))
}

async fn answer(read: &Read, upstream: Upstream, tags: &mut Vec<Tag>) -> Result<(Kind, Bytes), Error> {
    let json = match read {
        Read::Products(listing) => products::list(upstream, listing, tags).await?,
        Read::Featured { limit } => products::featured(upstream, *limit, tags).await?,
        Read::New { limit } => products::new(upstream, *limit, tags).await?,
        Read::Product { by, fields } => products::get(upstream, by, *fields, tags).await?,
        Read::Categories => categories::list(upstream).await?,
        Read::Category { id } => categories::get(upstream, *id, tags).await?,
        Read::Image { sha256 } => return images::get(upstream, sha256).await.map(|svg| (Kind::Svg, svg)),
    };
    Ok((Kind::Json, Bytes::from(json)))
}
