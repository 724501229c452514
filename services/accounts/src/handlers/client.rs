//! Where a request came from, as far as the gateway says.

use std::net::IpAddr;

use proto::accounts::v1 as pb;
use sha2::{Digest as _, Sha256};

use crate::secrets::{OpaqueToken, Sha256Hash};

const USER_AGENT_BYTES_MAX: usize = 512;

/// Somebody's browser or program.
#[derive(Clone, Debug)]
pub(super) struct Client {
    /// An IP address in text form; empty when it is not known.
    pub(super) address: String,
    pub(super) user_agent: String,
    /// The device cookie, if it can be one of ours.
    pub(super) device: Option<OpaqueToken>,
}

impl Client {
    pub(super) fn read(client: Option<pb::Client>) -> Self {
        let client = client.unwrap_or_default();
        let address = client.address.parse().map(|address: IpAddr| address.to_string());
        let mut user_agent: String = client.user_agent.chars().filter(|c| !c.is_control()).collect();
        user_agent.truncate(user_agent.floor_char_boundary(USER_AGENT_BYTES_MAX));
        Self {
            address: address.unwrap_or_default(),
            user_agent,
            device: client.device.as_deref().and_then(OpaqueToken::parse),
        }
    }

    /// The hash under which the device would be known.
    pub(super) fn device_sha256(&self) -> Sha256Hash {
        self.device.as_ref().map_or([0; 32], OpaqueToken::sha256)
    }

    /// What tells one device from another when a token comes twice. The address is no part of it: telephones
    /// change theirs all the time.
    pub(super) fn fingerprint(&self) -> Sha256Hash {
        let mut digest = Sha256::new();
        digest.update(self.device_sha256());
        digest.update(self.user_agent.as_bytes());
        digest.finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(address: &str, user_agent: &str, device: Option<&str>) -> Client {
        Client::read(Some(pb::Client {
            address: address.to_owned(),
            user_agent: user_agent.to_owned(),
            device: device.map(str::to_owned),
        }))
    }

    #[test]
    fn what_clients_say_of_themselves_is_bounded() {
        let agent = client("192.0.2.1", &"é\0\n".repeat(10_000), None).user_agent;
        assert_eq!((agent.len(), agent.chars().all(|c| c == 'é')), (512, true));
        assert_eq!(client("2001:DB8::0:1", "", None).address, "2001:db8::1");
        assert_eq!(client("not an address", "", None).address, "");
        assert_eq!(client("", "", Some("short")).device, None);
        assert_eq!(Client::read(None).address, "");
    }

    #[test]
    fn the_same_device_looks_the_same_from_everywhere() {
        let device = OpaqueToken::random().encode();
        let print = |address, agent, device| client(address, agent, device).fingerprint();
        assert_eq!(print("192.0.2.1", "a", Some(&device)), print("192.0.2.2", "a", Some(&device)));
        assert_ne!(print("192.0.2.1", "a", Some(&device)), print("192.0.2.1", "b", Some(&device)));
        assert_ne!(print("192.0.2.1", "a", Some(&device)), print("192.0.2.1", "a", None));
    }
}
