//! The port a service gets: the usual one, or the next free one.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};

use anyhow::bail;

/// How far from the usual port we look before we give up.
const TRIES: u16 = 100;

/// Hands out loopback ports, each at most once.
#[derive(Debug, Default)]
pub(crate) struct Ports {
    given: BTreeSet<u16>,
}

impl Ports {
    /// `usual`, or the first free port above it. Fails when a hundred in a row are taken.
    pub(crate) fn next_free(&mut self, usual: u16) -> anyhow::Result<SocketAddr> {
        for port in usual..=usual.saturating_add(TRIES) {
            if !self.given.contains(&port) && is_free(port) {
                self.given.insert(port);
                return Ok((Ipv4Addr::LOCALHOST, port).into());
            }
        }
        bail!("no free port from {usual} to {}", usual.saturating_add(TRIES))
    }
}

/// A program on `[::1]` would catch what is sent to `localhost`, so the port must be free there too.
fn is_free(port: u16) -> bool {
    let taken_on_ipv6 = TcpListener::bind((Ipv6Addr::LOCALHOST, port))
        .is_err_and(|refusal| refusal.kind() == ErrorKind::AddrInUse);
    !taken_on_ipv6 && TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_passed_over() {
        let other_program = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let taken = other_program.local_addr().unwrap().port();

        let given = Ports::default().next_free(taken).unwrap();

        assert_ne!(given.port(), taken);
        assert!(given.ip().is_loopback());
    }

    #[test]
    fn a_port_taken_on_ipv6_alone_is_passed_over() {
        // Nothing to show on a machine without IPv6.
        let Ok(other_program) = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)) else { return };
        let taken = other_program.local_addr().unwrap().port();

        assert_ne!(Ports::default().next_free(taken).unwrap().port(), taken);
    }

    #[test]
    fn no_port_is_given_twice() {
        let mut ports = Ports::default();
        let first = ports.next_free(34_500).unwrap();
        let second = ports.next_free(34_500).unwrap();
        assert_ne!(first, second);
    }
}
