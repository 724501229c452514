//! The bytes of an answer: content type, entity tags, and compressed forms.
//!
//! An entry of the cache holds the plain body and a head of our own, laid out here. Compressed forms are kept
//! apart, found by the hash of what they compress: they can never be out of date.

use std::io::Write;

use actix_web::http::header::HeaderValue;
use bytes::Bytes;
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use crate::negotiation::Encoding;

/// What kind of answer an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// JSON.
    Json,
    /// An image.
    Svg,
    /// An iCalendar.
    Calendar,
    /// Nothing was found; the problem document is made for each request, since it names the request.
    Absent,
}

/// Smaller bodies are not worth compressing.
pub const COMPRESSED_BYTES_MIN: usize = 1024;
/// Larger bodies are compressed off the threads that serve.
pub const COMPRESSED_INLINE_BYTES_MAX: usize = 64 * 1024;
const BROTLI_QUALITY: u32 = 4;
const BROTLI_WINDOW: u32 = 20;
const GZIP_LEVEL: u32 = 6;

const HASH: usize = 16;
const HEX: usize = 2 * HASH;
/// `"<hash>"`
const TAG: usize = HEX + 2;
/// `"<hash>-br"`, and the same for gzip.
const CODED_TAG: usize = TAG + 3;
/// The head of an answer that is no list.
const PLAIN: usize = 1 + HASH + TAG + 2 * CODED_TAG;
/// Total, page, limit; then whether there is an unread count, and the count.
const FACTS: usize = 8 + 4 + 4 + 1 + 8;

/// What a page of a list knows beside its rows: kept in the entry's head, because the same entry answers
/// clients that want it in headers and clients that want it in the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListFacts {
    /// Rows of the whole list.
    pub total: u64,
    /// This page, from 1.
    pub page: u32,
    /// Rows of a page.
    pub limit: u32,
    /// Unread ones of the whole feed, for lists that count them.
    pub unread: Option<u64>,
}

impl ListFacts {
    /// Pages of the whole list.
    pub fn pages(&self) -> u64 {
        self.total.div_ceil(u64::from(self.limit.max(1)))
    }

    fn encode(&self) -> [u8; FACTS] {
        let mut bytes = [0; FACTS];
        bytes[..8].copy_from_slice(&self.total.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.page.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.limit.to_le_bytes());
        bytes[16] = u8::from(self.unread.is_some());
        bytes[17..].copy_from_slice(&self.unread.unwrap_or_default().to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (total, rest) = bytes.split_first_chunk()?;
        let (page, rest) = rest.split_first_chunk()?;
        let (limit, rest) = rest.split_first_chunk()?;
        let (counted, rest) = rest.split_first()?;
        let (unread, _) = rest.split_first_chunk()?;
        Some(Self {
            total: u64::from_le_bytes(*total),
            page: u32::from_le_bytes(*page),
            limit: u32::from_le_bytes(*limit),
            unread: (*counted == 1).then(|| u64::from_le_bytes(*unread)),
        })
    }
}

/// The part of a cached answer that is not its body: kind, hash, the entity tags ready to be sent, and for a
/// list its facts.
#[derive(Debug)]
pub struct Head<'a>(&'a Bytes);

impl Head<'_> {
    /// The head for a body.
    pub fn encode(kind: Kind, body: &[u8]) -> Bytes {
        Self::with(kind, content_hash(body), &[])
    }

    /// The head for a page of a list. Its entity tags change with the facts too, since they are part of the
    /// answer.
    pub fn encode_list(body: &[u8], facts: &ListFacts) -> Bytes {
        let facts = facts.encode();
        let mut hasher = blake3::Hasher::new();
        hasher.update(body).update(&facts);
        let hash =
            hasher.finalize().as_bytes()[..HASH].try_into().expect("the slice is as long as the array");
        Self::with(Kind::Json, hash, &facts)
    }

    fn with(kind: Kind, hash: [u8; HASH], facts: &[u8]) -> Bytes {
        let mut hex = String::with_capacity(HEX);
        for byte in hash {
            hex.push(char::from(b"0123456789abcdef"[usize::from(byte >> 4)]));
            hex.push(char::from(b"0123456789abcdef"[usize::from(byte & 15)]));
        }
        let mut head = Vec::with_capacity(PLAIN + facts.len());
        head.push(kind as u8);
        head.extend_from_slice(&hash);
        head.extend_from_slice(format!("\"{hex}\"\"{hex}-br\"\"{hex}-gz\"").as_bytes());
        head.extend_from_slice(facts);
        Bytes::from(head)
    }
}

impl<'a> Head<'a> {
    /// Reads what [`encode`](Head::encode) wrote; `None` for anything else, as an older release may have left
    /// in the shared store.
    pub fn decode(head: &'a Bytes) -> Option<Self> {
        let known = head.len() == PLAIN || head.len() == PLAIN + FACTS;
        (known && head[0] <= Kind::Absent as u8).then_some(Self(head))
    }

    /// What kind of answer it is.
    pub fn kind(&self) -> Kind {
        match self.0[0] {
            0 => Kind::Json,
            1 => Kind::Svg,
            2 => Kind::Calendar,
            _ => Kind::Absent,
        }
    }

    /// What is known of the list; `None` for what is no list.
    pub fn facts(&self) -> Option<ListFacts> {
        ListFacts::decode(self.0.get(PLAIN..)?)
    }

    /// The hash of the plain body, and of the facts of a list.
    pub fn hash(&self) -> [u8; 16] {
        self.0[1..=HASH].try_into().expect("the slice is as long as the array")
    }

    /// The entity tag of the body in this encoding, with its quotes.
    pub fn etag(&self, encoding: Encoding) -> &'a str {
        std::str::from_utf8(&self.0[Self::range(encoding)]).expect("written as ASCII and never changed")
    }

    /// The same as a header value, without copying.
    pub fn etag_value(&self, encoding: Encoding) -> HeaderValue {
        HeaderValue::from_maybe_shared(self.0.slice(Self::range(encoding))).expect("hex digits and quotes")
    }

    fn range(encoding: Encoding) -> std::ops::Range<usize> {
        let plain = 1 + HASH;
        match encoding {
            Encoding::Identity => plain..plain + TAG,
            Encoding::Brotli => plain + TAG..plain + TAG + CODED_TAG,
            Encoding::Gzip => plain + TAG + CODED_TAG..plain + TAG + 2 * CODED_TAG,
        }
    }
}

/// Compressed forms, by what they compress. Bounded in bytes; shared by all workers.
#[derive(Debug)]
pub struct Compressed {
    forms: Cache<([u8; HASH], Encoding), Bytes, ByLength>,
}

#[derive(Debug, Clone)]
struct ByLength;

impl Weighter<([u8; HASH], Encoding), Bytes> for ByLength {
    fn weight(&self, _: &([u8; HASH], Encoding), form: &Bytes) -> u64 {
        form.len() as u64 + 64
    }
}

impl Compressed {
    /// Keeps up to `bytes_max`.
    pub fn new(bytes_max: u64) -> Self {
        let items = usize::try_from(bytes_max / 4096).unwrap_or(usize::MAX).max(64);
        Self { forms: Cache::with_weighter(items, bytes_max, ByLength) }
    }

    /// The body in an encoding, without waiting: `None` when it is not kept and too large to be made here.
    pub fn now(&self, hash: [u8; HASH], body: &Bytes, encoding: Encoding) -> Option<Bytes> {
        if encoding == Encoding::Identity {
            return Some(body.clone());
        }
        if let Some(form) = self.forms.get(&(hash, encoding)) {
            return Some(form);
        }
        (body.len() <= COMPRESSED_INLINE_BYTES_MAX).then(|| {
            let form = compress(body, encoding);
            self.forms.insert((hash, encoding), form.clone());
            form
        })
    }

    /// The body in an encoding. Large ones are compressed on another thread.
    pub async fn form(&self, hash: [u8; HASH], body: &Bytes, encoding: Encoding) -> Bytes {
        if let Some(form) = self.now(hash, body, encoding) {
            return form;
        }
        let form = form_once(body, encoding).await;
        self.forms.insert((hash, encoding), form.clone());
        form
    }
}

/// The body in an encoding, made for one answer and not kept. Large ones are compressed on another thread.
pub(crate) async fn form_once(body: &Bytes, encoding: Encoding) -> Bytes {
    if body.len() <= COMPRESSED_INLINE_BYTES_MAX {
        return compress(body, encoding);
    }
    let plain = body.clone();
    let compressed = tokio::task::spawn_blocking(move || compress(&plain, encoding)).await;
    compressed.expect("compressing to memory neither panics nor is cancelled")
}

/// The hash that [`Compressed`] finds forms by.
pub fn content_hash(body: &[u8]) -> [u8; HASH] {
    blake3::hash(body).as_bytes()[..HASH].try_into().expect("the slice is as long as the array")
}

/// `body` in this encoding.
pub fn compress(body: &Bytes, encoding: Encoding) -> Bytes {
    match encoding {
        Encoding::Identity => body.clone(),
        Encoding::Gzip => {
            let buffer = Vec::with_capacity(body.len() / 3);
            let mut encoder = flate2::write::GzEncoder::new(buffer, flate2::Compression::new(GZIP_LEVEL));
            encoder.write_all(body).expect("writing to memory cannot fail");
            Bytes::from(encoder.finish().expect("writing to memory cannot fail"))
        }
        Encoding::Brotli => {
            let buffer = Vec::with_capacity(body.len() / 3);
            let mut encoder = brotli::CompressorWriter::new(buffer, 4096, BROTLI_QUALITY, BROTLI_WINDOW);
            encoder.write_all(body).expect("writing to memory cannot fail");
            Bytes::from(encoder.into_inner())
        }
    }
}
