//! Mail addresses: those that mail can be sent to, written in one way.

use super::Invalid;

const BYTES_MAX: usize = 254;
const LOCAL_BYTES_MAX: usize = 64;
const LABEL_BYTES_MAX: usize = 63;

/// Reads an address as registration forms get it and answers it in lower case.
///
/// A dot-atom at a domain name, in ASCII (RFC 5321): quoted local parts, comments and address literals are
/// not for customers.
pub(crate) fn email(field: &str, text: &str) -> Result<String, Invalid> {
    let invalid = || Invalid::value(field, "must be a mail address such as ana@example.com");
    let text = text.trim();
    let (local, domain) = text.rsplit_once('@').ok_or_else(invalid)?;
    let good = text.len() <= BYTES_MAX && is_local(local) && is_domain(domain);
    if good { Ok(text.to_ascii_lowercase()) } else { Err(invalid()) }
}

fn is_local(local: &str) -> bool {
    let atom = |atom: &str| !atom.is_empty() && atom.bytes().all(is_atext);
    local.len() <= LOCAL_BYTES_MAX && local.split('.').all(atom)
}

fn is_atext(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&byte)
}

fn is_domain(domain: &str) -> bool {
    let label = |label: &str| {
        (1..=LABEL_BYTES_MAX).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let last_is_a_name =
        domain.rsplit('.').next().is_some_and(|last| !last.bytes().all(|b| b.is_ascii_digit()));
    domain.contains('.') && domain.split('.').all(label) && last_is_a_name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_lowered() {
        #[track_caller]
        fn check(text: &str, expected: &str) {
            assert_eq!(email("email", text).as_deref(), Ok(expected));
        }
        check(" Ana.Souza+cafe@Example.COM ", "ana.souza+cafe@example.com");
        check("o'neil@mail.co", "o'neil@mail.co");
        check("a@b.c.d-e.br", "a@b.c.d-e.br");
    }

    #[test]
    fn everything_else_is_refused() {
        let long_local = format!("{}@example.com", "a".repeat(65));
        let long = format!("a@{}.com", "b".repeat(63).repeat(4));
        for wrong in [
            "",
            "a",
            "@",
            "a@",
            "@b.c",
            "a@b",
            "a b@c.de",
            "a@b@c.de",
            ".a@b.cd",
            "a..b@c.de",
            "a@-b.cd",
            "a@b-.cd",
            "a@b..cd",
            "a@127.0.0.1",
            "a@[127.0.0.1]",
            "\"a b\"@c.de",
            "é@c.de",
            "a@é.de",
            "a\n@c.de",
            "a@b.cd\r\nBcc: x@y.zz",
            "a,b@c.de",
            "<a@b.cd>",
            &long_local,
            &long,
        ] {
            assert!(email("email", wrong).is_err(), "{wrong:?}");
        }
    }
}
