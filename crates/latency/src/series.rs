//! What a request is counted under: endpoint, class of its status, and what the cache did.

use std::time::Duration;

/// A route that is timed.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// The template, for example `/api/v1/products/{id}`; never a path with values in it.
    pub route: &'static str,
    /// The method, for example `GET`.
    pub method: &'static str,
    /// Requests that take longer than this are counted as slow, exactly.
    pub threshold: Duration,
}

/// Position of an endpoint in its recorder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EndpointId(pub(crate) u16);

/// Class of an HTTP status. Cancelled, timed out and refused requests are classes of their own, so that they are
/// never silently absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StatusClass {
    /// 1xx
    Informational,
    /// 2xx
    Success,
    /// 3xx
    Redirection,
    /// 4xx
    ClientError,
    /// 5xx
    ServerError,
    /// 499: the client left before the last byte.
    Cancelled,
    /// 504
    Timeout,
    /// 503 and 429: refused to protect the service.
    Shed,
}

impl StatusClass {
    /// Every class, in the order of its number on the wire.
    pub const ALL: [StatusClass; 8] = [
        StatusClass::Informational,
        StatusClass::Success,
        StatusClass::Redirection,
        StatusClass::ClientError,
        StatusClass::ServerError,
        StatusClass::Cancelled,
        StatusClass::Timeout,
        StatusClass::Shed,
    ];

    /// The class of a status. What is no HTTP status is a mistake of ours, hence a server error.
    pub const fn of(status: u16) -> StatusClass {
        match status {
            429 | 503 => StatusClass::Shed,
            499 => StatusClass::Cancelled,
            504 => StatusClass::Timeout,
            100..200 => StatusClass::Informational,
            200..300 => StatusClass::Success,
            300..400 => StatusClass::Redirection,
            400..500 => StatusClass::ClientError,
            _ => StatusClass::ServerError,
        }
    }

    /// The word used in labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            StatusClass::Informational => "1xx",
            StatusClass::Success => "2xx",
            StatusClass::Redirection => "3xx",
            StatusClass::ClientError => "4xx",
            StatusClass::ServerError => "5xx",
            StatusClass::Cancelled => "cancelled",
            StatusClass::Timeout => "timeout",
            StatusClass::Shed => "shed",
        }
    }

    /// The exact status that is kept at `slot` of this class: the inverse of `status % 100`.
    pub(crate) const fn status_at(self, slot: u16) -> u16 {
        match self {
            StatusClass::Informational => 100 + slot,
            StatusClass::Success => 200 + slot,
            StatusClass::Redirection => 300 + slot,
            StatusClass::ClientError | StatusClass::Cancelled => 400 + slot,
            StatusClass::Shed if slot == 29 => 429,
            StatusClass::ServerError | StatusClass::Timeout | StatusClass::Shed => 500 + slot,
        }
    }
}

/// What the response cache did for a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum CacheState {
    /// The route has no cache.
    #[default]
    None,
    /// Served from the process's own memory.
    HitL1,
    /// Served from the shared cache.
    HitL2,
    /// Served from the cache beyond its freshness, as its class allows.
    Stale,
    /// Fetched from the origin.
    Miss,
    /// Waited for somebody else's fetch.
    Coalesced,
    /// The cache was not asked.
    Bypass,
    /// The cache failed, and the origin answered.
    Error,
}

impl CacheState {
    /// Every state, in the order of its number on the wire.
    pub const ALL: [CacheState; 8] = [
        CacheState::None,
        CacheState::HitL1,
        CacheState::HitL2,
        CacheState::Stale,
        CacheState::Miss,
        CacheState::Coalesced,
        CacheState::Bypass,
        CacheState::Error,
    ];

    /// Whether the answer came from the cache (S16). Everything else is a miss: a coalesced request waited for
    /// the origin too.
    pub const fn is_hit(self) -> bool {
        match self {
            CacheState::HitL1 | CacheState::HitL2 | CacheState::Stale => true,
            CacheState::None
            | CacheState::Miss
            | CacheState::Coalesced
            | CacheState::Bypass
            | CacheState::Error => false,
        }
    }

    /// The word used in labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            CacheState::None => "none",
            CacheState::HitL1 => "hit-l1",
            CacheState::HitL2 => "hit-l2",
            CacheState::Stale => "stale",
            CacheState::Miss => "miss",
            CacheState::Coalesced => "coalesced",
            CacheState::Bypass => "bypass",
            CacheState::Error => "error",
        }
    }
}

/// One combination of endpoint, status class and cache state, as a number that is stable within a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct SeriesId(pub(crate) u32);

/// Series of one endpoint.
pub(crate) const SERIES_PER_ENDPOINT: usize = StatusClass::ALL.len() * CacheState::ALL.len();

impl SeriesId {
    pub(crate) fn new(endpoint: usize, row: usize) -> SeriesId {
        SeriesId((endpoint * SERIES_PER_ENDPOINT + row) as u32)
    }

    pub(crate) fn endpoint(self) -> usize {
        self.0 as usize / SERIES_PER_ENDPOINT
    }

    pub(crate) fn class(self) -> StatusClass {
        row_class(self.0 as usize % SERIES_PER_ENDPOINT)
    }

    pub(crate) fn cache(self) -> CacheState {
        CacheState::ALL[self.0 as usize % CacheState::ALL.len()]
    }
}

/// Row of a class and a state within their endpoint.
pub(crate) fn row(class: StatusClass, cache: CacheState) -> usize {
    class as usize * CacheState::ALL.len() + cache as usize
}

/// The class whose requests a row counts.
pub(crate) fn row_class(row: usize) -> StatusClass {
    StatusClass::ALL[row / CacheState::ALL.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_on_the_wire_are_positions() {
        for (number, class) in StatusClass::ALL.into_iter().enumerate() {
            assert_eq!(class as usize, number);
        }
        for (number, state) in CacheState::ALL.into_iter().enumerate() {
            assert_eq!(state as usize, number);
        }
    }

    #[test]
    fn every_status_comes_back_from_its_class_and_slot() {
        for status in 100..600 {
            assert_eq!(StatusClass::of(status).status_at(status % 100), status);
        }
    }

    #[test]
    fn series_comes_apart_again() {
        for class in StatusClass::ALL {
            for cache in CacheState::ALL {
                let series = SeriesId::new(255, row(class, cache));
                assert_eq!((series.endpoint(), series.class(), series.cache()), (255, class, cache));
            }
        }
    }
}
