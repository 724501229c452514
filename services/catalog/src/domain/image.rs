//! Pictures are named by the hash of their bytes.

use super::Invalid;

/// The SHA-256 of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sha256([u8; 32]);

impl Sha256 {
    /// Reads 64 lower-case hexadecimal digits: one spelling per file, so that caches hold it once.
    pub(crate) fn parse(field: &str, hex: &str) -> Result<Self, Invalid> {
        Self::read(hex).ok_or_else(|| Invalid::value(field, "must be 64 lower-case hexadecimal digits"))
    }

    fn read(hex: &str) -> Option<Self> {
        let (pairs, []) = hex.as_bytes().as_chunks::<2>() else { return None };
        let pairs: &[[u8; 2]; 32] = pairs.try_into().ok()?;
        let mut bytes = [0; 32];
        for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
            *byte = digit(*high)? << 4 | digit(*low)?;
        }
        Some(Self(bytes))
    }

    pub(crate) fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

fn digit(hex: u8) -> Option<u8> {
    match hex {
        b'0'..=b'9' => Some(hex - b'0'),
        b'a'..=b'f' => Some(hex - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_spelling_is_read() {
        let hex = "00ff".to_owned() + &"5a".repeat(30);
        let hash = Sha256::parse("sha256", &hex).unwrap();
        assert_eq!(&hash.bytes()[..3], [0, 255, 0x5a]);
        for wrong in [
            "",
            "00",
            &hex[1..],
            &format!("{hex}0"),
            &format!("{hex}00"),
            &hex.to_uppercase(),
            &"é".repeat(32),
        ] {
            assert!(Sha256::parse("sha256", wrong).is_err(), "{wrong}");
        }
    }
}
