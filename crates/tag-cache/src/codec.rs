//! The bytes of an entry in the shared store.
//!
//! ```text
//! 4 magic | 1 version | 1 flags | 2 status | 8 stamp | 8 created, wall ms | 8 fresh ms | 8 stale ms | 8 owner
//! | 2 tags | 2 route | 4 key | 4 head | 4 body     lengths
//! | tags * 8 | route | key | head | body | 8 checksum of everything before          little endian
//! ```

use std::time::Duration;

use bytes::Bytes;
use rapidhash::v3::rapidhash_v3;

use crate::clock::millis;
use crate::position::Position;
use crate::tag::Tag;

const MAGIC: [u8; 4] = *b"tagC";
const VERSION: u8 = 2;
const HEAD: usize = 4 + 1 + 1 + 2 + 5 * 8 + 2 + 2 + 3 * 4;
const CHECKSUM: usize = 8;

/// The most tags an entry may have; an answer with more is not stored.
pub(crate) const TAGS_MAX: usize = 1_024;

/// An entry as the shared store holds it. Times are durations and one wall clock reading, so that another
/// process can place them on its own monotonic clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record<'a> {
    pub(crate) status: u16,
    pub(crate) stamp: Position,
    pub(crate) created_wall_ms: u64,
    pub(crate) fresh: Duration,
    pub(crate) stale: Duration,
    pub(crate) tags: &'a [Tag],
    pub(crate) route: &'a str,
    pub(crate) key: &'a str,
    pub(crate) owner: u64,
    pub(crate) head: &'a [u8],
    pub(crate) body: &'a [u8],
}

/// A record that was read; head and body share the buffer they came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Decoded {
    pub(crate) status: u16,
    pub(crate) stamp: Position,
    pub(crate) created_wall_ms: u64,
    pub(crate) fresh: Duration,
    pub(crate) stale: Duration,
    pub(crate) tags: Vec<Tag>,
    pub(crate) route: Box<str>,
    pub(crate) key: Box<str>,
    pub(crate) owner: u64,
    pub(crate) head: Bytes,
    pub(crate) body: Bytes,
}

/// Bytes that are no entry: another version, cut off, damaged, or not ours.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{length} bytes in the shared store are no entry of this version")]
pub(crate) struct Undecodable {
    length: usize,
}

/// `None` when a part is too long for its length field; such an answer is not stored.
pub(crate) fn encode(record: &Record<'_>) -> Option<Vec<u8>> {
    if record.tags.len() > TAGS_MAX {
        return None;
    }
    let route_len = u16::try_from(record.route.len()).ok()?;
    let lens = [record.key.len(), record.head.len(), record.body.len()];
    let total = HEAD + record.tags.len() * 8 + record.route.len() + lens.iter().sum::<usize>() + CHECKSUM;
    let mut bytes = Vec::with_capacity(total);
    bytes.extend_from_slice(&MAGIC);
    bytes.push(VERSION);
    bytes.push(0);
    bytes.extend_from_slice(&record.status.to_le_bytes());
    let numbers = [
        record.stamp.to_bits(),
        record.created_wall_ms,
        millis(record.fresh),
        millis(record.stale),
        record.owner,
    ];
    for number in numbers {
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    bytes.extend_from_slice(&(record.tags.len() as u16).to_le_bytes());
    bytes.extend_from_slice(&route_len.to_le_bytes());
    for len in lens {
        bytes.extend_from_slice(&u32::try_from(len).ok()?.to_le_bytes());
    }
    for tag in record.tags {
        bytes.extend_from_slice(&tag.to_bits().to_le_bytes());
    }
    bytes.extend_from_slice(record.route.as_bytes());
    bytes.extend_from_slice(record.key.as_bytes());
    bytes.extend_from_slice(record.head);
    bytes.extend_from_slice(record.body);
    let checksum = rapidhash_v3(&bytes);
    bytes.extend_from_slice(&checksum.to_le_bytes());
    Some(bytes)
}

/// Reads what [`encode`] wrote. Any other bytes are an error, never a panic and never an entry.
pub(crate) fn decode(bytes: &Bytes) -> Result<Decoded, Undecodable> {
    read(bytes).ok_or(Undecodable { length: bytes.len() })
}

fn read(bytes: &Bytes) -> Option<Decoded> {
    let (content, checksum) = bytes.split_last_chunk::<CHECKSUM>()?;
    if u64::from_le_bytes(*checksum) != rapidhash_v3(content) {
        return None;
    }
    let mut rest = Reader(content);
    if rest.array::<4>()? != MAGIC || rest.array::<1>()? != [VERSION] || rest.array::<1>()? != [0] {
        return None;
    }
    let status = u16::from_le_bytes(rest.array()?);
    let stamp = Position::from_bits(rest.u64()?);
    let created_wall_ms = rest.u64()?;
    let fresh = Duration::from_millis(rest.u64()?);
    let stale = Duration::from_millis(rest.u64()?);
    let owner = rest.u64()?;
    let tag_count = usize::from(u16::from_le_bytes(rest.array()?));
    let route_len = usize::from(u16::from_le_bytes(rest.array()?));
    let [key_len, head_len, body_len] = [rest.length()?, rest.length()?, rest.length()?];
    if tag_count > TAGS_MAX {
        return None;
    }
    let mut tags = Vec::with_capacity(tag_count);
    for _ in 0..tag_count {
        tags.push(Tag::from_bits(rest.u64()?));
    }
    let route = str::from_utf8(rest.take(route_len)?).ok()?.into();
    let key = str::from_utf8(rest.take(key_len)?).ok()?.into();
    let head = bytes.slice_ref(rest.take(head_len)?);
    let body = bytes.slice_ref(rest.take(body_len)?);
    if !rest.0.is_empty() {
        return None;
    }
    Some(Decoded { status, stamp, created_wall_ms, fresh, stale, tags, route, key, owner, head, body })
}

/// Takes parts off the front and never reads past the end.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (part, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(part)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (part, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*part)
    }

    fn u64(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.array()?))
    }

    fn length(&mut self) -> Option<usize> {
        usize::try_from(u32::from_le_bytes(self.array()?)).ok()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use proptest::prelude::*;

    use super::{Decoded, Record, TAGS_MAX, decode, encode};
    use crate::position::Position;
    use crate::tag::Tag;

    fn decoded() -> impl Strategy<Value = Decoded> {
        let numbers = (any::<u16>(), any::<u64>(), any::<u64>(), any::<u64>(), any::<u64>(), any::<u64>());
        let tags = proptest::collection::vec(any::<u64>(), 0..20);
        let blob = || proptest::collection::vec(any::<u8>(), 0..600);
        (numbers, tags, "[a-z.]{0,20}", "\\PC{0,80}", blob(), blob()).prop_map(
            |((status, stamp, created_wall_ms, fresh, stale, owner), tags, route, key, head, body)| Decoded {
                status,
                stamp: Position::from_bits(stamp),
                created_wall_ms,
                fresh: Duration::from_millis(fresh),
                stale: Duration::from_millis(stale),
                tags: tags.into_iter().map(Tag::from_bits).collect(),
                route: route.into(),
                key: key.into(),
                owner,
                head: head.into(),
                body: body.into(),
            },
        )
    }

    fn bytes_of(entry: &Decoded) -> Bytes {
        let record = Record {
            status: entry.status,
            stamp: entry.stamp,
            created_wall_ms: entry.created_wall_ms,
            fresh: entry.fresh,
            stale: entry.stale,
            tags: &entry.tags,
            route: &entry.route,
            key: &entry.key,
            owner: entry.owner,
            head: &entry.head,
            body: &entry.body,
        };
        encode(&record).expect("everything fits").into()
    }

    proptest! {
        #[test]
        fn comes_back(entry in decoded()) {
            prop_assert_eq!(decode(&bytes_of(&entry)), Ok(entry));
        }

        #[test]
        fn no_part_of_an_entry_is_an_entry(entry in decoded(), cut in any::<prop::sample::Index>()) {
            let bytes = bytes_of(&entry);
            prop_assert!(decode(&bytes.slice(..cut.index(bytes.len()))).is_err());
        }

        #[test]
        fn a_flipped_bit_is_noticed(entry in decoded(), at in any::<prop::sample::Index>(), bit in 0_u8..8) {
            let mut bytes = bytes_of(&entry).to_vec();
            let at = at.index(bytes.len());
            bytes[at] ^= 1_u8 << bit;
            prop_assert!(decode(&bytes.into()).is_err());
        }

        #[test]
        fn garbage_is_refused_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2_000)) {
            prop_assert!(decode(&bytes.into()).is_err());
        }

        /// Behind a correct checksum the lengths may still lie.
        #[test]
        fn lying_lengths_are_refused_without_panic(
            entry in decoded(), field in 0_usize..5, lie in any::<u32>(),
        ) {
            let mut bytes = bytes_of(&entry).to_vec();
            let content = bytes.len() - 8;
            let (at, width) = [(48, 2), (50, 2), (52, 4), (56, 4), (60, 4)][field];
            bytes[at..at + width].copy_from_slice(&lie.to_le_bytes()[..width]);
            let checksum = rapidhash::v3::rapidhash_v3(&bytes[..content]);
            bytes[content..].copy_from_slice(&checksum.to_le_bytes());
            if let Ok(read) = decode(&bytes.into()) {
                prop_assert_eq!(read, entry, "the only lie that is read is the truth");
            }
        }
    }

    #[test]
    fn too_many_tags_are_not_stored() {
        let tags = vec![Tag::of("t"); TAGS_MAX + 1];
        let record = Record {
            status: 200,
            stamp: Position::START,
            created_wall_ms: 0,
            fresh: Duration::ZERO,
            stale: Duration::ZERO,
            tags: &tags,
            route: "r",
            key: "k",
            owner: 0,
            head: &[],
            body: &[],
        };
        assert_eq!(encode(&record), None);
    }
}
