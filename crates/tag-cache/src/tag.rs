//! Tags: what a cached answer depends on, as a hash that is the same in every process and build.

use rapidhash::v3::rapidhash_v3;

/// The name of something a cached answer depends on, as 64 bits.
///
/// Two names with the same hash can only purge too much, never too little.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag(u64);

impl Tag {
    /// The tag of a canonical name such as `product:42`.
    ///
    /// The hash (rapidhash v3) is portable: every process, build and machine gives the same value.
    pub const fn of(name: &str) -> Self {
        Self(rapidhash_v3(name.as_bytes()))
    }

    /// Reads what [`Self::to_bits`] gave.
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The hash.
    pub const fn to_bits(self) -> u64 {
        self.0
    }
}

/// Tags that fit beside the entry; more go to the heap.
const INLINE: usize = 8;

/// The tags of one entry, without duplicates: up to eight live inside the entry, so that judging it
/// touches no other memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TagSet {
    Inline { len: u8, tags: [Tag; INLINE] },
    Boxed(Box<[Tag]>),
}

impl TagSet {
    pub(crate) fn new(mut tags: Vec<Tag>) -> Self {
        tags.sort_unstable();
        tags.dedup();
        if tags.len() > INLINE {
            return Self::Boxed(tags.into_boxed_slice());
        }
        let mut inline = [Tag(0); INLINE];
        inline[..tags.len()].copy_from_slice(&tags);
        Self::Inline { len: tags.len() as u8, tags: inline }
    }

    pub(crate) fn as_slice(&self) -> &[Tag] {
        match self {
            Self::Inline { len, tags } => &tags[..usize::from(*len)],
            Self::Boxed(tags) => tags,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Tag, TagSet};

    /// The value is part of the format of stored entries and of the log: a change of it is a change of
    /// version.
    #[test]
    fn the_hash_never_changes() {
        assert_eq!(Tag::of("product:42").to_bits(), 0x8afd_2aad_50b8_383d);
    }

    #[test]
    fn duplicates_are_dropped_and_many_tags_survive() {
        let few = TagSet::new(vec![Tag::of("a"), Tag::of("b"), Tag::of("a")]);
        assert_eq!(few.as_slice().len(), 2);
        let many = TagSet::new((0..20).map(|n| Tag::of(&format!("t{n}"))).collect());
        assert_eq!(many.as_slice().len(), 20);
    }
}
