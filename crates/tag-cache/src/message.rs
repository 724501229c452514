//! One purge on the log: what became stale, and the bytes that say so.

use uuid::Uuid;

use crate::tag::Tag;

/// How a purge ends entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PurgeMode {
    /// Not served again.
    Hard,
    /// Asks for a refresh. Followers of this version treat it as [`PurgeMode::Hard`], which is always safe.
    Soft,
}

/// What became stale, as one message of the log: at most [`PurgeMessage::TAGS_MAX`] tags.
///
/// ```text
/// 1 version | 2 epoch | 16 event id | 8 commit lsn | 8 commit ms | 2 n | n * (8 tag, 1 mode)   little endian
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PurgeMessage {
    /// The epoch its publisher believed in; the reader's own epoch decides about positions.
    pub(crate) epoch: u16,
    pub(crate) event_id: Uuid,
    pub(crate) commit_lsn: u64,
    pub(crate) commit_ms: u64,
    pub(crate) tags: Vec<(Tag, PurgeMode)>,
}

/// Bytes that are no purge message of a known version.
#[derive(Debug, thiserror::Error)]
#[error("a message of {length} bytes on the purge log cannot be read")]
pub(crate) struct UnreadableMessage {
    length: usize,
}

impl PurgeMessage {
    /// More tags of one event go into further messages.
    pub(crate) const TAGS_MAX: usize = 256;
    const VERSION: u8 = 1;
    const HEAD: usize = 1 + 2 + 16 + 8 + 8 + 2;
    const PER_TAG: usize = 9;

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(Self::HEAD + self.tags.len() * Self::PER_TAG);
        bytes.push(Self::VERSION);
        bytes.extend_from_slice(&self.epoch.to_le_bytes());
        bytes.extend_from_slice(self.event_id.as_bytes());
        bytes.extend_from_slice(&self.commit_lsn.to_le_bytes());
        bytes.extend_from_slice(&self.commit_ms.to_le_bytes());
        bytes.extend_from_slice(&(self.tags.len() as u16).to_le_bytes());
        for (tag, mode) in &self.tags {
            bytes.extend_from_slice(&tag.to_bits().to_le_bytes());
            bytes.push(match mode {
                PurgeMode::Hard => 0,
                PurgeMode::Soft => 1,
            });
        }
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, UnreadableMessage> {
        Self::read(bytes).ok_or(UnreadableMessage { length: bytes.len() })
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let (head, tags) = bytes.split_at_checked(Self::HEAD)?;
        let (&version, head) = head.split_first()?;
        if version != Self::VERSION {
            return None;
        }
        let (epoch, head) = head.split_first_chunk()?;
        let (event_id, head) = head.split_first_chunk()?;
        let (commit_lsn, head) = head.split_first_chunk()?;
        let (commit_ms, head) = head.split_first_chunk()?;
        let (count, _) = head.split_first_chunk()?;
        let count = usize::from(u16::from_le_bytes(*count));
        if count > Self::TAGS_MAX || tags.len() != count * Self::PER_TAG {
            return None;
        }
        let tags = tags.chunks_exact(Self::PER_TAG).map(|chunk| {
            let (tag, mode) = chunk.split_first_chunk()?;
            let mode = match mode {
                [0] => PurgeMode::Hard,
                [1] => PurgeMode::Soft,
                _ => return None,
            };
            Some((Tag::from_bits(u64::from_le_bytes(*tag)), mode))
        });
        Some(Self {
            epoch: u16::from_le_bytes(*epoch),
            event_id: Uuid::from_bytes(*event_id),
            commit_lsn: u64::from_le_bytes(*commit_lsn),
            commit_ms: u64::from_le_bytes(*commit_ms),
            tags: tags.collect::<Option<_>>()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::{PurgeMessage, PurgeMode};
    use crate::tag::Tag;

    fn message() -> impl Strategy<Value = PurgeMessage> {
        let tag = (any::<u64>(), prop_oneof![Just(PurgeMode::Hard), Just(PurgeMode::Soft)]);
        let tags = proptest::collection::vec(tag, 0..=PurgeMessage::TAGS_MAX);
        (any::<u16>(), any::<u128>(), any::<u64>(), any::<u64>(), tags).prop_map(
            |(epoch, id, commit_lsn, commit_ms, tags)| PurgeMessage {
                epoch,
                event_id: Uuid::from_u128(id),
                commit_lsn,
                commit_ms,
                tags: tags.into_iter().map(|(bits, mode)| (Tag::from_bits(bits), mode)).collect(),
            },
        )
    }

    proptest! {
        #[test]
        fn comes_back_and_no_part_of_it_is_a_message(
            message in message(), cut in any::<prop::sample::Index>(),
        ) {
            let bytes = message.encode();
            prop_assert!(PurgeMessage::decode(&bytes[..cut.index(bytes.len())]).is_err());
            prop_assert_eq!(PurgeMessage::decode(&bytes).expect("what was written"), message);
        }

        #[test]
        fn garbage_is_refused_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..4_000)) {
            if let Ok(message) = PurgeMessage::decode(&bytes) {
                prop_assert_eq!(message.encode(), bytes, "whatever is read was written exactly so");
            }
        }
    }
}
