//! What a client has already seen, signed, so that every gateway shows it nothing older.
//!
//! ```text
//! 3.1842.6zX…                          position: epoch, sequence, MAC
//! t:1795364000123:9f…,07…:3.1840.Qb…   the purge is not published: time, tag hashes (or *), position, MAC
//! ```

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;

use crate::clock::millis;
use crate::position::Position;
use crate::tag::Tag;

/// What a client has already seen: nothing older may be served to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    pub(crate) position: Position,
    pub(crate) unpublished: Option<Unpublished>,
}

/// A write whose purge could not be published at once. For 30 s its tags are not served from any cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unpublished {
    pub(crate) written_ms: u64,
    pub(crate) tags: UnpublishedTags,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum UnpublishedTags {
    These(Vec<Tag>),
    /// More than a token can name.
    All,
}

impl Token {
    /// A token that asks for everything up to `position`.
    pub fn at(position: Position) -> Self {
        Self { position, unpublished: None }
    }

    pub(crate) fn unpublished(position: Position, written_ms: u64, tags: Vec<Tag>) -> Self {
        let tags = UnpublishedTags::new(tags);
        Self { position, unpublished: Some(Unpublished { written_ms, tags }) }
    }

    /// The position that must be applied before the cache may answer.
    pub fn position(&self) -> Position {
        self.position
    }

    /// Whether it still names tags whose purge may not be on the log.
    pub(crate) fn is_unpublished(&self, now_wall_ms: u64) -> bool {
        self.unpublished.as_ref().is_some_and(|write| write.is_recent(now_wall_ms))
    }

    /// Both demands in one token: for a mutation with several receipts.
    pub fn and(self, other: Self) -> Self {
        let unpublished = match (self.unpublished, other.unpublished) {
            (Some(mine), Some(theirs)) => Some(mine.and(theirs)),
            (mine, theirs) => mine.or(theirs),
        };
        Self { position: self.position.max(other.position), unpublished }
    }

    /// Whether an entry with `tags` must not be served although the position is applied.
    pub(crate) fn forbids(&self, tags: &[Tag], now_wall_ms: u64) -> bool {
        self.unpublished.as_ref().is_some_and(|write| {
            let names_one = match &write.tags {
                UnpublishedTags::All => true,
                UnpublishedTags::These(written) => written.iter().any(|tag| tags.contains(tag)),
            };
            names_one && write.is_recent(now_wall_ms)
        })
    }
}

impl Unpublished {
    /// How long the tags are not served: by then the outbox has delivered the purge, or the gateways know
    /// that the log is silent.
    const RECENT: Duration = Duration::from_secs(30);
    /// How far clocks of gateways may differ.
    const SKEW_MAX: Duration = Duration::from_secs(5);

    fn is_recent(&self, now_wall_ms: u64) -> bool {
        now_wall_ms < self.written_ms.saturating_add(millis(Self::RECENT))
    }

    fn is_from_the_future(&self, now_wall_ms: u64) -> bool {
        self.written_ms > now_wall_ms.saturating_add(millis(Self::SKEW_MAX))
    }

    fn and(self, other: Self) -> Self {
        let tags = match (self.tags, other.tags) {
            (UnpublishedTags::These(mut mine), UnpublishedTags::These(theirs)) => {
                mine.extend(theirs);
                UnpublishedTags::new(mine)
            }
            _ => UnpublishedTags::All,
        };
        Self { written_ms: self.written_ms.max(other.written_ms), tags }
    }
}

impl UnpublishedTags {
    const NAMED_MAX: usize = 8;

    fn new(mut tags: Vec<Tag>) -> Self {
        tags.sort_unstable();
        tags.dedup();
        if tags.len() > Self::NAMED_MAX { Self::All } else { Self::These(tags) }
    }
}

/// Milliseconds since 1970 on this machine's wall clock.
pub(crate) fn wall_ms() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, millis)
}

/// A signed token as it travels in a header. Cloning is a reference count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenText(Bytes);

impl TokenText {
    /// The header's value: visible ASCII.
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.0).expect("a token is written as ASCII")
    }

    /// The same without copying.
    pub fn into_bytes(self) -> Bytes {
        self.0
    }
}

/// Signs and checks tokens.
#[derive(Debug)]
pub(crate) struct Signer {
    key: [u8; 32],
    current: ArcSwap<Signed>,
}

#[derive(Debug)]
struct Signed {
    position: Position,
    text: TokenText,
}

impl Signer {
    const MAC: usize = 16;
    /// A longer value is no token of ours.
    const LENGTH_MAX: usize = 320;
    /// A position of the current epoch further ahead than this was never handed out.
    const AHEAD_MAX: u64 = 1 << 20;

    pub(crate) fn new(secret: &[u8; 32]) -> Self {
        let key = blake3::derive_key("tag-cache 2026-11 token", secret);
        let text = sign(&key, &Token::at(Position::START));
        Self { key, current: ArcSwap::from_pointee(Signed { position: Position::START, text }) }
    }

    pub(crate) fn sign(&self, token: &Token) -> TokenText {
        sign(&self.key, token)
    }

    /// The signed token of `applied`, the same value until `applied` moves: a MAC per purge, not per answer.
    pub(crate) fn current(&self, applied: Position) -> TokenText {
        let current = self.current.load();
        if current.position == applied {
            return current.text.clone();
        }
        let text = self.sign(&Token::at(applied));
        self.current.store(Arc::new(Signed { position: applied, text: text.clone() }));
        text
    }

    /// Reads a token. `None` for everything that was not signed with this key, or cannot have been handed
    /// out: a forged token must not force requests past the cache.
    pub(crate) fn read(&self, text: &str, known: Position, now_wall_ms: u64) -> Option<Token> {
        let current = self.current.load();
        if current.text.0 == text.as_bytes() {
            return Some(Token::at(current.position));
        }
        if text.len() > Self::LENGTH_MAX {
            return None;
        }
        let (content, mac) = text.rsplit_once('.')?;
        let mut claimed = [0; 32];
        let decoded = URL_SAFE_NO_PAD.decode_slice(mac, &mut claimed).ok()?;
        // `blake3::Hash` compares in constant time; what is not part of the MAC is equal by construction.
        let mut expected = *blake3::keyed_hash(&self.key, content.as_bytes()).as_bytes();
        expected[Self::MAC..].fill(0);
        let mut padded = [0; 32];
        padded[..Self::MAC].copy_from_slice(&claimed[..Self::MAC]);
        if decoded != Self::MAC || blake3::Hash::from_bytes(expected) != blake3::Hash::from_bytes(padded) {
            return None;
        }
        let token = parse(content)?;
        let ahead = token.position.epoch() == known.epoch()
            && token.position.sequence() > known.sequence().saturating_add(Self::AHEAD_MAX);
        let future = token.unpublished.as_ref().is_some_and(|write| write.is_from_the_future(now_wall_ms));
        (!ahead && !future).then_some(token)
    }
}

fn sign(key: &[u8; 32], token: &Token) -> TokenText {
    let mut text = String::with_capacity(64);
    if let Some(write) = &token.unpublished {
        let tags = match &write.tags {
            UnpublishedTags::All => "*".to_owned(),
            UnpublishedTags::These(tags) => {
                tags.iter().map(|tag| format!("{:x}", tag.to_bits())).collect::<Vec<_>>().join(",")
            }
        };
        write!(text, "t:{}:{tags}:", write.written_ms).expect("a string takes every write");
    }
    write!(text, "{}", token.position).expect("a string takes every write");
    let mac = blake3::keyed_hash(key, text.as_bytes());
    text.push('.');
    URL_SAFE_NO_PAD.encode_string(&mac.as_bytes()[..Signer::MAC], &mut text);
    TokenText(text.into())
}

fn parse(content: &str) -> Option<Token> {
    let Some(write) = content.strip_prefix("t:") else {
        return Some(Token::at(parse_position(content)?));
    };
    let mut parts = write.splitn(3, ':');
    let written_ms = parts.next()?.parse().ok()?;
    let tags = match parts.next()? {
        "*" => UnpublishedTags::All,
        "" => UnpublishedTags::These(Vec::new()),
        hashes => {
            let tags = hashes.split(',').map(|hash| u64::from_str_radix(hash, 16).ok().map(Tag::from_bits));
            UnpublishedTags::These(tags.collect::<Option<_>>()?)
        }
    };
    let position = parse_position(parts.next()?)?;
    Some(Token { position, unpublished: Some(Unpublished { written_ms, tags }) })
}

fn parse_position(text: &str) -> Option<Position> {
    let (epoch, sequence) = text.split_once('.')?;
    Some(Position::new(epoch.parse().ok()?, sequence.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Signer, Token, wall_ms};
    use crate::position::Position;
    use crate::tag::Tag;

    const KEY: [u8; 32] = [7; 32];

    fn token() -> impl Strategy<Value = Token> {
        let tags = proptest::collection::vec(any::<u64>(), 0..12);
        (any::<u16>(), 0_u64..1 << 48, proptest::option::of(tags)).prop_map(|(epoch, sequence, tags)| {
            let position = Position::new(epoch, sequence);
            match tags {
                None => Token::at(position),
                Some(tags) => {
                    let tags = tags.into_iter().map(Tag::from_bits).collect();
                    Token::unpublished(position, 1_000, tags)
                }
            }
        })
    }

    proptest! {
        #[test]
        fn comes_back(token in token()) {
            let text = Signer::new(&KEY).sign(&token);
            prop_assert_eq!(Signer::new(&KEY).read(text.as_str(), token.position, 1_000), Some(token));
        }

        #[test]
        fn a_changed_byte_is_refused(
            token in token(), at in any::<prop::sample::Index>(), other in "[0-9a-zA-Z.,:*_-]",
        ) {
            let signer = Signer::new(&KEY);
            let text = signer.sign(&token).as_str().to_owned();
            let at = at.index(text.len());
            let changed = format!("{}{other}{}", &text[..at], &text[at + 1..]);
            if changed != text {
                prop_assert_eq!(signer.read(&changed, token.position, 1_000), None);
            }
        }

        #[test]
        fn garbage_is_refused_without_panic(text in "\\PC{0,400}") {
            prop_assert_eq!(Signer::new(&KEY).read(&text, Position::START, 0), None);
        }
    }

    #[test]
    fn another_key_signs_nothing_here() {
        let text = Signer::new(&[8; 32]).sign(&Token::at(Position::new(1, 2)));
        assert_eq!(Signer::new(&KEY).read(text.as_str(), Position::new(1, 2), 0), None);
    }

    #[test]
    fn what_was_never_handed_out_is_refused() {
        let signer = Signer::new(&KEY);
        let known = Position::new(1, 100);
        let far = signer.sign(&Token::at(Position::new(1, 100 + (1 << 20) + 1)));
        assert_eq!(signer.read(far.as_str(), known, 0), None);
        let near = signer.sign(&Token::at(Position::new(1, 200)));
        assert!(signer.read(near.as_str(), known, 0).is_some());

        let now = wall_ms();
        let tomorrow = signer.sign(&Token::unpublished(known, now + 86_400_000, vec![]));
        assert_eq!(signer.read(tomorrow.as_str(), known, now), None);
    }

    #[test]
    fn the_current_text_is_signed_once_per_position() {
        let signer = Signer::new(&KEY);
        let first = signer.current(Position::new(1, 5)).into_bytes();
        let second = signer.current(Position::new(1, 5)).into_bytes();
        assert_eq!(first.as_ptr(), second.as_ptr());
        let text = signer.current(Position::new(1, 6));
        assert_eq!(signer.read(text.as_str(), Position::START, 0), Some(Token::at(Position::new(1, 6))));
    }

    #[test]
    fn an_unpublished_write_forbids_its_tags_for_30_s() {
        let token = Token::unpublished(Position::START, 1_000, vec![Tag::of("a")]);
        assert!(token.forbids(&[Tag::of("b"), Tag::of("a")], 30_999));
        assert!(!token.forbids(&[Tag::of("b")], 30_999));
        assert!(!token.forbids(&[Tag::of("a")], 31_000));

        let many = (0..9).map(|n| Tag::of(&format!("t{n}"))).collect();
        assert!(Token::unpublished(Position::START, 1_000, many).forbids(&[Tag::of("other")], 2_000));
    }

    #[test]
    fn two_tokens_demand_what_both_demand() {
        let one = Token::unpublished(Position::new(1, 3), 1_000, vec![Tag::of("a")]);
        let two = Token::at(Position::new(1, 9));
        let both = one.and(two).and(Token::unpublished(Position::START, 2_000, vec![Tag::of("b")]));
        assert_eq!(both.position(), Position::new(1, 9));
        assert!(both.forbids(&[Tag::of("a")], 31_500) && both.forbids(&[Tag::of("b")], 31_500));
        assert!(!both.forbids(&[Tag::of("c")], 31_500));
    }
}
