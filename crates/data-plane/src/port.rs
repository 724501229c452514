//! Ports on loopback.

use std::net::{Ipv4Addr, TcpListener};

/// Where a server shall listen, always on 127.0.0.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Port {
    /// This one or none.
    Fixed(u16),
    /// This one, or the next of the following hundred that is free.
    NextFree(u16),
    /// Any free one below the range from which the system picks the ports of outgoing connections, so that a
    /// restarted server finds its port again.
    Any,
}

const NEXT_FREE_RANGE: u16 = 100;
const ANY_TRIES: u16 = 200;
const ANY_FROM: u16 = 20_000;
const ANY_TO: u16 = 32_000;

impl Port {
    /// A port that was free a moment ago. Another process may still take it, so whoever uses it tries again.
    pub(crate) fn pick(self) -> Option<u16> {
        match self {
            Self::Fixed(port) => Some(port),
            Self::NextFree(from) => (from..=from.saturating_add(NEXT_FREE_RANGE)).find(|port| is_free(*port)),
            Self::Any => (0..ANY_TRIES).map(|_| fastrand::u16(ANY_FROM..ANY_TO)).find(|port| is_free(*port)),
        }
    }
}

fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener};

    use super::Port;

    #[test]
    fn a_taken_port_is_passed_over() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        let next = Port::NextFree(port).pick().unwrap();
        assert!(next > port, "{next} is not after {port}");
        assert_eq!(Port::Fixed(port).pick(), Some(port), "a fixed port is not replaced");
    }
}
