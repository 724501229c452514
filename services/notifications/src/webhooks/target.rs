//! Where a webhook may be sent to, as far as its URL alone tells.

use std::net::IpAddr;

use reqwest::Url;

use super::address;
use crate::domain::Invalid;

/// Longest URL, in bytes.
const URL_BYTES_MAX: usize = 2048;
/// Ports of receivers on the internet. Services of other kinds listen elsewhere, and a request is no way to reach
/// them, however public their addresses are.
const PORTS: [u16; 2] = [443, 8443];
/// The lowest port of a receiver on this machine.
const LOOPBACK_PORT_MIN: u16 = 1024;

/// How far webhooks go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reach {
    /// Public addresses, by TLS.
    #[default]
    Public,
    /// This machine too, in the clear: for development and tests.
    PublicAndLoopback,
}

/// The URL of a receiver that may be asked, once its host is resolved to addresses that may.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    url: Url,
    host: Host,
}

/// What there is to be resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Host {
    /// A name, to be looked up at every connect.
    Named(String),
    /// This machine, written as an address.
    Loopback,
}

impl Target {
    /// Reads an absolute `https` URL of a host with a name.
    ///
    /// Hosts written as addresses are refused altogether: no certificate speaks for them, and with them go all
    /// the ways to write an address that filters do not recognise (decimal, octal, hexadecimal, shortened).
    pub(crate) fn parse(field: &str, text: &str, reach: Reach) -> Result<Self, Invalid> {
        let refused = |detail: &str| Invalid::value(field, detail);
        if text.len() > URL_BYTES_MAX {
            return Err(refused("must have at most 2048 bytes"));
        }
        // The URL standard removes some of these and turns others around: what is stored is what was written.
        if text.chars().any(|c| c.is_control() || c.is_whitespace() || c == '\\') {
            return Err(refused("must not contain spaces, control characters or backslashes"));
        }
        let url = Url::parse(text).map_err(|_syntax| refused("must be an absolute URL"))?;
        if !url.username().is_empty() || url.password().is_some() || authority(text).contains('@') {
            return Err(refused("must not contain a user name or password"));
        }
        if url.fragment().is_some() {
            return Err(refused("must not have a fragment"));
        }
        if url.as_str().len() > URL_BYTES_MAX {
            return Err(refused("must have at most 2048 bytes"));
        }
        let host = url.host_str().ok_or_else(|| refused("must name a host"))?;
        let literal = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().ok();
        let is_here = literal.map_or(host == "localhost", address::is_loopback);
        if is_here && reach == Reach::PublicAndLoopback && matches!(url.scheme(), "http" | "https") {
            let port = url.port_or_known_default().unwrap_or_default();
            if port < LOOPBACK_PORT_MIN {
                return Err(refused("must name a port of 1024 or more on this machine"));
            }
            let host = literal.map_or_else(|| Host::Named(host.to_owned()), |_| Host::Loopback);
            return Ok(Self { host, url });
        }
        if url.scheme() != "https" {
            return Err(refused("must begin with https://"));
        }
        let name = host.trim_end_matches('.');
        if literal.is_some() || !name.contains('.') {
            return Err(refused("must name a host on the internet, not by its address"));
        }
        if !url.port_or_known_default().is_some_and(|port| PORTS.contains(&port)) {
            return Err(refused("must use port 443 or 8443"));
        }
        Ok(Self { host: Host::Named(host.to_owned()), url })
    }

    pub(crate) fn url(&self) -> &Url {
        &self.url
    }

    pub(crate) fn host(&self) -> &Host {
        &self.host
    }
}

/// The part between scheme and path, as written: an empty user name is not in the parsed URL.
fn authority(text: &str) -> &str {
    let rest = text.split_once("://").map_or("", |(_, rest)| rest);
    rest.split(['/', '?', '#']).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(url: &str, reach: Reach) {
        let refusal = Target::parse("url", url, reach).expect_err(url);
        assert_eq!((&*refusal.field, refusal.reason), ("url", "invalid_value"), "{url}");
    }

    #[track_caller]
    fn accepted(url: &str, reach: Reach, kept: &str) {
        assert_eq!(Target::parse("url", url, reach).expect(url).url().as_str(), kept);
    }

    /// Ways to name what must not be reached, or to hide its name.
    const NEVER: [&str; 64] = [
        "",
        "hooks.example.com",
        "//hooks.example.com/",
        "https://",
        "https:///path",
        "http://hooks.example.com/",
        "ftp://hooks.example.com/",
        "file:///etc/passwd",
        "gopher://hooks.example.com/",
        "data:text/plain,x",
        "javascript:alert(1)",
        "https://10.0.0.1/",
        "https://172.16.0.1/",
        "https://192.168.0.1/",
        "https://169.254.169.254/latest/meta-data/",
        "https://100.100.100.200/",
        "https://0.0.0.0/",
        "https://0/",
        "https://255.255.255.255/",
        "https://224.0.0.1/",
        "https://8.8.8.8/",
        "https://134744072/",
        "https://0x08080808/",
        "https://010.010.010.010/",
        "https://8.8.2056/",
        "https://0xa9fea9fe/",
        "https://2852039166/",
        "https://0251.0376.0251.0376/",
        "https://169.254.43518/",
        "https://[::]/",
        "https://[::ffff:10.0.0.1]/",
        "https://[::ffff:169.254.169.254]/",
        "https://[64:ff9b::a9fe:a9fe]/",
        "https://[2002:a9fe:a9fe::1]/",
        "https://[fd00::1]/",
        "https://[fe80::1]/",
        "https://[fe80::1%25eth0]/",
        "https://[ff02::1]/",
        "https://[2606:4700:4700::1111]/",
        "https://１６９.２５４.１６９.２５４/",
        "https://①⑥⑨.②⑤④.①⑥⑨.②⑤④/",
        "https://intranet/",
        "https://redis./",
        "https://metadata/",
        "https://user@hooks.example.com/",
        "https://user:password@hooks.example.com/",
        "https://@hooks.example.com/",
        "https://:@hooks.example.com/",
        "https://hooks.example.com@10.0.0.1/",
        "https://hooks.example.com:80/",
        "https://hooks.example.com:22/",
        "https://hooks.example.com:6379/",
        "https://hooks.example.com:5432/",
        "https://hooks.example.com:0/",
        "https://hooks.example.com:65536/",
        "https://hooks.example.com/#fragment",
        "https://hooks.example.com/a b",
        " https://hooks.example.com/",
        "https://hooks.example.com/\n",
        "https://hooks.exa\tmple.com/",
        "https:\\\\hooks.example.com\\",
        "https://hooks.example.com\\@10.0.0.1/",
        "https://hooks.example.com/\u{0}",
        "https://hooks..example.com:https/",
    ];

    #[test]
    fn only_names_on_the_internet_are_targets() {
        for url in NEVER {
            refused(url, Reach::Public);
            refused(url, Reach::PublicAndLoopback);
        }
        accepted("https://hooks.example.com/in?a=b", Reach::Public, "https://hooks.example.com/in?a=b");
        accepted("https://Hooks.Example.com:443", Reach::Public, "https://hooks.example.com/");
        accepted("https://hooks.example.com:8443/", Reach::Public, "https://hooks.example.com:8443/");
        accepted("https://café.example.com/", Reach::Public, "https://xn--caf-dma.example.com/");
    }

    #[test]
    fn this_machine_is_a_target_in_development_only() {
        for url in [
            "http://127.0.0.1:8080/",
            "http://127.1:8080/",
            "http://2130706433:8080/",
            "http://0x7f.1:8080/",
            "http://0177.0.0.1:8080/",
            "http://localhost:8080/",
            "http://LOCALHOST:8080/",
            "http://[::1]:8080/",
            "http://[::ffff:127.0.0.1]:8080/",
            "https://127.0.0.1:8443/",
            "https://localhost:8443/",
        ] {
            refused(url, Reach::Public);
            assert!(Target::parse("url", url, Reach::PublicAndLoopback).is_ok(), "{url}");
        }
        for url in ["http://127.0.0.1/", "http://localhost:22/", "file://localhost/etc/passwd"] {
            refused(url, Reach::PublicAndLoopback);
        }
    }

    #[test]
    fn urls_are_not_longer_than_the_rest_of_the_web_takes() {
        let url = |bytes: usize| format!("https://hooks.example.com/{}", "a".repeat(bytes - 26));
        assert!(Target::parse("url", &url(2048), Reach::Public).is_ok());
        refused(&url(2049), Reach::Public);
        // Escaped, each of these takes six bytes.
        refused(&format!("https://hooks.example.com/{}", "é".repeat(500)), Reach::Public);
    }
}
