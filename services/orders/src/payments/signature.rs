//! Who says that a webhook comes from the provider: its signature, over the bytes as they came.

use hmac::{Hmac, Mac as _};
use sha2::Sha256;

/// A signature that is older or newer than this is refused: what was recorded cannot be played back later.
const TOLERANCE_S: i64 = 300;
/// More parts than any provider sends.
const PARTS_MAX: usize = 20;

/// Why a webhook is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unsigned {
    /// There is no signature that could be checked.
    #[error("the signature cannot be read")]
    Malformed,
    /// No secret of ours made it.
    #[error("the signature does not match")]
    Wrong,
    /// It was made too long ago, or too far in the future.
    #[error("the signature is out of time by {by_s} s")]
    OutOfTime { by_s: i64 },
}

/// Verifies `t=…,v1=…[,v1=…]` over `body` with any of `secrets`; during a rotation both sides may know two.
///
/// # Errors
/// When no secret made any of its parts, or not within five minutes of `now_s`.
pub(crate) fn verify<'s>(
    secrets: impl IntoIterator<Item = &'s str>,
    header: &str,
    body: &[u8],
    now_s: i64,
) -> Result<(), Unsigned> {
    let mut signed_at = None;
    let mut candidates = Vec::new();
    for part in header.split(',').take(PARTS_MAX) {
        match part.trim().split_once('=') {
            Some(("t", seconds)) => signed_at = seconds.parse::<i64>().ok(),
            Some(("v1", hex)) => candidates.extend(decode(hex)),
            // Other schemes are other people's.
            Some(_) => {}
            None => return Err(Unsigned::Malformed),
        }
    }
    let signed_at = signed_at.ok_or(Unsigned::Malformed)?;
    if candidates.is_empty() {
        return Err(Unsigned::Malformed);
    }
    let timestamp = signed_at.to_string();
    let matches = secrets.into_iter().any(|secret| {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any length is a key");
        mac.update(timestamp.as_bytes());
        mac.update(b".");
        mac.update(body);
        // In constant time, each.
        candidates.iter().any(|candidate| mac.clone().verify_slice(candidate).is_ok())
    });
    if !matches {
        return Err(Unsigned::Wrong);
    }
    // Judged last: only the provider learns what our clock shows.
    let by_s = now_s.saturating_sub(signed_at).saturating_abs();
    if by_s > TOLERANCE_S { Err(Unsigned::OutOfTime { by_s }) } else { Ok(()) }
}

/// 32 bytes in hexadecimal.
fn decode(hex: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if hex.len() != 64 || !hex.is_ascii() {
        return None;
    }
    for (byte, digits) in bytes.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &[u8] = br#"{"id":"evt_1"}"#;
    const NOW: i64 = 1_700_000_000;

    fn sign(secret: &str, at: i64, body: &[u8]) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any length is a key");
        mac.update(format!("{at}.").as_bytes());
        mac.update(body);
        mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[track_caller]
    fn check(header: &str, body: &[u8], expected: Result<(), Unsigned>) {
        assert_eq!(verify(["new", "old"], header, body, NOW), expected, "{header}");
    }

    #[test]
    fn what_a_known_secret_signed_lately_is_believed() {
        check(&format!("t={NOW},v1={}", sign("new", NOW, BODY)), BODY, Ok(()));
        check(&format!("t={NOW},v1={}", sign("old", NOW, BODY)), BODY, Ok(()));
        let both = format!("t={NOW},v0=x,v1={},v1={}", sign("other", NOW, BODY), sign("new", NOW, BODY));
        check(&both, BODY, Ok(()));
        let edge = NOW - 300;
        check(&format!("t={edge},v1={}", sign("new", edge, BODY)), BODY, Ok(()));
    }

    #[test]
    fn everything_else_is_not() {
        let right = sign("new", NOW, BODY);
        check("", BODY, Err(Unsigned::Malformed));
        check("nonsense", BODY, Err(Unsigned::Malformed));
        check(&format!("v1={right}"), BODY, Err(Unsigned::Malformed));
        check(&format!("t={NOW}"), BODY, Err(Unsigned::Malformed));
        check(&format!("t={NOW},v1=äöü"), BODY, Err(Unsigned::Malformed));
        check(&format!("t={NOW},v1={}", sign("other", NOW, BODY)), BODY, Err(Unsigned::Wrong));
        check(&format!("t={NOW},v1={right}"), b"{}", Err(Unsigned::Wrong));
        check(&format!("t={},v1={right}", NOW + 1), BODY, Err(Unsigned::Wrong));
        for by in [301, -301] {
            let at = NOW - by;
            let header = format!("t={at},v1={}", sign("new", at, BODY));
            check(&header, BODY, Err(Unsigned::OutOfTime { by_s: 301 }));
        }
    }
}
