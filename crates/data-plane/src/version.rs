//! Versions as the servers print them.

use std::fmt;

/// Major, minor and patch, as far as the program says them; what it leaves out counts as zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// The first number.
    pub major: u32,
    /// The second number.
    pub minor: u32,
    /// The third number; zero for PostgreSQL, which has two.
    pub patch: u32,
}

impl Version {
    pub(crate) const fn new(major: u32, minor: u32, patch: u32) -> Self {
        Self { major, minor, patch }
    }

    /// The first word of `text` that starts like a version, with or without a `v` or `v=` before it.
    pub(crate) fn in_text(text: &str) -> Option<Self> {
        text.split_whitespace().find_map(|word| {
            let word = word.trim_start_matches("v=").trim_start_matches('v');
            if !word.starts_with(|c: char| c.is_ascii_digit()) {
                return None;
            }
            let mut numbers = word.split('.').map_while(|part| {
                let digits = part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len());
                part[..digits].parse::<u32>().ok()
            });
            let major = numbers.next()?;
            Some(Self::new(major, numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)))
        })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)?;
        if self.patch > 0 {
            write!(f, ".{}", self.patch)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Version;

    #[track_caller]
    fn check(text: &str, expected: Option<(u32, u32, u32)>) {
        let expected = expected.map(|(major, minor, patch)| Version::new(major, minor, patch));
        assert_eq!(Version::in_text(text), expected, "{text}");
    }

    #[test]
    fn reads_what_the_servers_print() {
        check("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)", Some((15, 18, 0)));
        check("postgres (PostgreSQL) 18.6", Some((18, 6, 0)));
        check("postgres (PostgreSQL) 19beta1", Some((19, 0, 0)));
        check("Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64", Some((7, 0, 15)));
        check("Valkey server v=9.1.2 sha=00000000:1 malloc=libc bits=64", Some((9, 1, 2)));
        check("nats-server: v2.15.1", Some((2, 15, 1)));
        check("nats-server: v2.9.10", Some((2, 9, 10)));
        check("command not found", None);
        check("", None);
    }

    #[test]
    fn versions_order_by_number_and_not_by_text() {
        assert!(Version::new(2, 9, 10) > Version::new(2, 9, 9));
        assert!(Version::new(2, 15, 1) > Version::new(2, 9, 10));
    }
}
