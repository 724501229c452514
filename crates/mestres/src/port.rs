//! The port a service gets: the usual one, or the next free one.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};

use anyhow::{Context as _, bail};
use nix::fcntl::OFlag;
use nix::unistd::Uid;
use tokio::net::TcpSocket;

/// How far from the usual port we look before we give up.
const TRIES: u16 = 100;

/// Hands out loopback ports, each at most once, and to one shop at a time: between our look at a port and the
/// service's bind, a second checkout's `up` may look too, so each given port is locked for as long as this lives.
///
/// The usual ports of gRPC lie where the system takes ports for outgoing connections from. So each given port is held
/// too: by a socket that is bound and does not listen. No outgoing connection gets it then, and the service binds beside
/// it, because both say `SO_REUSEADDR`.
#[derive(Debug)]
pub(crate) struct Ports {
    given: BTreeMap<u16, (File, TcpSocket)>,
    /// Usual ports: whoever has to move keeps off the others', so that one taken port moves one service.
    reserved: BTreeSet<u16>,
}

impl Ports {
    pub(crate) fn new(reserved: impl IntoIterator<Item = u16>) -> Self {
        Self { given: BTreeMap::new(), reserved: reserved.into_iter().collect() }
    }

    /// `usual`, or the first free port above it that is nobody's usual one. Fails when a hundred in a row are
    /// taken.
    pub(crate) fn next_free(&mut self, usual: u16) -> anyhow::Result<SocketAddr> {
        for port in usual..=usual.saturating_add(TRIES) {
            let others = self.given.contains_key(&port) || (port != usual && self.reserved.contains(&port));
            if others {
                continue;
            }
            let lock = lock(port).with_context(|| format!("cannot reserve port {port}"))?;
            let Some(lock) = lock.filter(|_| is_free(port)) else { continue };
            // Somebody may have taken it since we looked.
            let Ok(held) = hold(port) else { continue };
            self.given.insert(port, (lock, held));
            return Ok((Ipv4Addr::LOCALHOST, port).into());
        }
        bail!("no free port from {usual} to {}", usual.saturating_add(TRIES))
    }
}

/// The right to `port` among this user's shops, unless another has it.
fn lock(port: u16) -> io::Result<Option<File>> {
    let folder = std::env::temp_dir().join(format!("mestres-{}-ports", Uid::effective()));
    match DirBuilder::new().mode(0o700).create(&folder) {
        Err(refusal) if refusal.kind() != ErrorKind::AlreadyExists => return Err(refusal),
        _ => {}
    }
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        // The name can be guessed: a link that somebody put there is not followed.
        .custom_flags(OFlag::O_NOFOLLOW.bits())
        .open(folder.join(port.to_string()))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(refusal)) => Err(refusal),
    }
}

/// Keeps `port` from outgoing connections.
fn hold(port: u16) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind((Ipv4Addr::LOCALHOST, port).into())?;
    Ok(socket)
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

        let given = Ports::new([]).next_free(taken).unwrap();

        assert_ne!(given.port(), taken);
        assert!(given.ip().is_loopback());
    }

    #[test]
    fn a_given_port_is_for_a_service_and_not_for_whoever_connects() {
        let mut ports = Ports::new([]);
        let given = ports.next_free(34_900).unwrap();
        for _start in 0..2 {
            // As a service binds, and binds again when it is started again.
            let service = TcpListener::bind(given).unwrap();
            drop(service);
            // As the system looks for a port to connect from.
            let connecting = TcpSocket::new_v4().unwrap();
            assert_eq!(connecting.bind(given).unwrap_err().kind(), ErrorKind::AddrInUse);
        }
    }

    #[test]
    fn a_port_taken_on_ipv6_alone_is_passed_over() {
        // Nothing to show on a machine without IPv6.
        let Ok(other_program) = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)) else { return };
        let taken = other_program.local_addr().unwrap().port();

        assert_ne!(Ports::new([]).next_free(taken).unwrap().port(), taken);
    }

    #[test]
    fn whoever_moves_keeps_off_the_usual_ports_of_others() {
        let other_program = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let taken = other_program.local_addr().unwrap().port();

        let given = Ports::new([taken, taken + 1]).next_free(taken).unwrap();

        assert!(given.port() > taken + 1, "{given}");
    }

    #[test]
    fn two_shops_that_start_at_once_get_different_ports() {
        let mut one = Ports::new([]);
        let mut other = Ports::new([]);
        let usual = 34_700;

        assert_ne!(one.next_free(usual).unwrap(), other.next_free(usual).unwrap());
    }

    #[test]
    fn no_port_is_given_twice() {
        let mut ports = Ports::new([]);
        let first = ports.next_free(34_500).unwrap();
        let second = ports.next_free(34_500).unwrap();
        assert_ne!(first, second);
    }
}
