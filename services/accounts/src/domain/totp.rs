//! Time-based codes (RFC 6238): six digits, thirty seconds, each good once.

use totp_rs::{Algorithm, TOTP};

use super::Invalid;

const DIGITS: usize = 6;
const STEP_S: u64 = 30;
/// Steps before and after the current one whose codes are good too: clocks differ and people are slow.
const SKEW_STEPS: u64 = 1;
/// 160 bits, as RFC 4226 recommends.
pub(crate) const SECRET_BYTES: usize = 20;
/// What authenticator apps show; a colon is not allowed in it.
const ISSUER: &str = "Mestres Café";

/// Six digits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Code([u8; DIGITS]);

/// A code never shows.
impl std::fmt::Debug for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Code(..)")
    }
}

impl Code {
    /// Reads six digits; blanks between them, as apps show them, do not matter.
    pub(crate) fn parse(field: &str, text: &str) -> Result<Self, Invalid> {
        let invalid = || Invalid::value(field, "must be six digits");
        if text.len() > 16 {
            return Err(invalid());
        }
        let digits: Vec<u8> = text.bytes().filter(|byte| *byte != b' ').collect();
        let code: [u8; DIGITS] = digits.try_into().map_err(|_length| invalid())?;
        if code.iter().all(u8::is_ascii_digit) { Ok(Self(code)) } else { Err(invalid()) }
    }
}

/// The step whose code this is, if it is one of now and later than `last_step`.
pub(crate) fn accepted_step(secret: &[u8], code: Code, now_s: i64, last_step: i64) -> Option<i64> {
    let totp = totp(secret, "")?;
    let current = u64::try_from(now_s).ok()? / STEP_S;
    let steps = current.saturating_sub(SKEW_STEPS)..=current + SKEW_STEPS;
    let fresh = steps.filter(|step| i64::try_from(*step).is_ok_and(|step| step > last_step));
    // Every step is looked at, so that the time does not tell which one it was.
    let mut accepted = None;
    for step in fresh {
        let expected = totp.generate(step * STEP_S);
        let differences = expected.bytes().zip(code.0).fold(0, |all, (a, b)| all | (a ^ b));
        if differences == 0 {
            accepted = i64::try_from(step).ok();
        }
    }
    accepted
}

/// The secret in base32, and the URI that authenticator apps read.
pub(crate) fn enrolment(secret: &[u8], email: &str) -> Option<(String, String)> {
    let totp = totp(secret, email)?;
    Some((totp.get_secret_base32(), totp.get_url()))
}

fn totp(secret: &[u8], account: &str) -> Option<TOTP> {
    let account = account.to_owned();
    TOTP::new(Algorithm::SHA1, DIGITS, 0, STEP_S, secret.to_vec(), Some(ISSUER.to_owned()), account).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6238, appendix B.
    const SECRET: &[u8] = b"12345678901234567890";

    fn code(text: &str) -> Code {
        Code::parse("code", text).unwrap()
    }

    #[test]
    fn codes_are_those_of_the_rfc() {
        for (at, expected) in [(59, "287082"), (1_111_111_109, "081804"), (20_000_000_000, "353130")] {
            assert_eq!(accepted_step(SECRET, code(expected), at, 0), Some(at / 30), "{at}");
        }
    }

    #[test]
    fn a_code_is_good_for_its_step_and_one_on_each_side() {
        let step_1 = code("287082");
        for (at, good) in [(0, true), (29, true), (30, true), (89, true), (90, false), (3_600, false)] {
            assert_eq!(accepted_step(SECRET, step_1, at, 0).is_some(), good, "{at}");
        }
    }

    #[test]
    fn a_code_is_good_once_and_none_before_it_is_good_again() {
        let at = 1_111_111_109;
        let step = accepted_step(SECRET, code("081804"), at, 0).unwrap();
        assert_eq!(accepted_step(SECRET, code("081804"), at, step), None);
        assert_eq!(accepted_step(SECRET, code("081804"), at, step - 1), Some(step));
    }

    #[test]
    fn codes_are_six_digits() {
        assert_eq!(Code::parse("code", "081 804"), Ok(code("081804")));
        for wrong in ["", "08180", "0818045", "08180a", "٠٨١٨٠٤", "+81804", &" ".repeat(100)] {
            assert!(Code::parse("code", wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn apps_learn_the_secret_and_whose_it_is() {
        let (secret, uri) = enrolment(SECRET, "ana@example.com").unwrap();
        assert_eq!(secret, "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
        assert!(uri.starts_with("otpauth://totp/Mestres%20Caf%C3%A9:ana%40example.com?"), "{uri}");
        assert!(uri.contains(&format!("secret={secret}")), "{uri}");
    }
}
