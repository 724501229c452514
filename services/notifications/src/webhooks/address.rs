//! Which addresses are the public internet's.
//!
//! A webhook's receiver is named by an admin and looked up in a DNS that its owner controls. What it resolves to is
//! connected to only if it is a globally reachable unicast address: anything else is inside somebody's network,
//! ours first of all. The lists follow the special-purpose registries of IANA (RFC 6890 and its updates).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};

/// IPv4 blocks that are not the public internet.
const V4_SPECIAL: [Ipv4Net; 18] = [
    v4([0, 0, 0, 0], 8),        // "this network", 0.0.0.0 reaches the machine itself
    v4([10, 0, 0, 0], 8),       // private
    v4([100, 64, 0, 0], 10),    // carrier-grade NAT, also metadata services of some clouds
    v4([127, 0, 0, 0], 8),      // loopback
    v4([168, 63, 129, 16], 32), // the host agent of a large cloud, in every machine's reach
    v4([169, 254, 0, 0], 16),   // link-local, metadata services among them
    v4([172, 16, 0, 0], 12),    // private
    v4([192, 0, 0, 0], 24),     // protocol assignments
    v4([192, 0, 2, 0], 24),     // documentation
    v4([192, 31, 196, 0], 24),  // AS112
    v4([192, 52, 193, 0], 24),  // multicast relays
    v4([192, 88, 99, 0], 24),   // 6to4 relays
    v4([192, 168, 0, 0], 16),   // private
    v4([192, 175, 48, 0], 24),  // AS112
    v4([198, 18, 0, 0], 15),    // benchmarking
    v4([198, 51, 100, 0], 24),  // documentation
    v4([203, 0, 113, 0], 24),   // documentation
    v4([224, 0, 0, 0], 3),      // multicast, reserved, broadcast
];

/// The only block of IPv6 that global unicast addresses are given from.
const V6_GLOBAL: Ipv6Net = v6([0x2000, 0, 0, 0, 0, 0, 0, 0], 3);

/// Blocks within it that are not the public internet.
const V6_SPECIAL: [Ipv6Net; 5] = [
    v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 23), // protocols: Teredo, benchmarking, ORCHID
    v6([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32), // documentation
    v6([0x2002, 0, 0, 0, 0, 0, 0, 0], 16), // 6to4: holds an IPv4 address, relays are gone
    v6([0x2620, 0x4f, 0x8000, 0, 0, 0, 0, 0], 48), // AS112
    v6([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20), // documentation
];

/// IPv4-mapped addresses: the machine connects to the IPv4 address inside.
const V6_MAPPED: Ipv6Net = v6([0, 0, 0, 0, 0, 0xffff, 0, 0], 96);
/// The well-known prefix of NAT64 (RFC 6052): the translator connects to the IPv4 address inside.
const V6_NAT64: Ipv6Net = v6([0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 96);

/// Whether an address belongs to the public internet.
pub(crate) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) if V6_MAPPED.contains(&address) || V6_NAT64.contains(&address) => {
            is_public_v4(embedded(address))
        }
        IpAddr::V6(address) => {
            V6_GLOBAL.contains(&address) && !V6_SPECIAL.iter().any(|block| block.contains(&address))
        }
    }
}

/// Whether an address is this machine, however it is written.
pub(crate) fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    !V4_SPECIAL.iter().any(|block| block.contains(&address))
}

/// The IPv4 address in the last 32 bits.
fn embedded(address: Ipv6Addr) -> Ipv4Addr {
    let [.., a, b, c, d] = address.octets();
    Ipv4Addr::new(a, b, c, d)
}

const fn v4([a, b, c, d]: [u8; 4], bits: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), bits)
}

const fn v6([a, b, c, d, e, f, g, h]: [u16; 8], bits: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, d, e, f, g, h), bits)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_block_is_recognised_to_its_edges() {
        #[track_caller]
        fn check(address: &str, public: bool) {
            assert_eq!(is_public(address.parse().expect("an address")), public, "{address}");
        }
        for (first, last, before, after) in [
            ("10.0.0.0", "10.255.255.255", Some("9.255.255.255"), Some("11.0.0.0")),
            ("100.64.0.0", "100.127.255.255", Some("100.63.255.255"), Some("100.128.0.0")),
            ("127.0.0.0", "127.255.255.255", Some("126.255.255.255"), Some("128.0.0.0")),
            ("168.63.129.16", "168.63.129.16", Some("168.63.129.15"), Some("168.63.129.17")),
            ("169.254.0.0", "169.254.255.255", Some("169.253.255.255"), Some("169.255.0.0")),
            ("172.16.0.0", "172.31.255.255", Some("172.15.255.255"), Some("172.32.0.0")),
            ("192.0.0.0", "192.0.0.255", Some("191.255.255.255"), Some("192.0.1.0")),
            ("192.0.2.0", "192.0.2.255", Some("192.0.1.255"), Some("192.0.3.0")),
            ("192.88.99.0", "192.88.99.255", Some("192.88.98.255"), Some("192.88.100.0")),
            ("192.168.0.0", "192.168.255.255", Some("192.167.255.255"), Some("192.169.0.0")),
            ("198.18.0.0", "198.19.255.255", Some("198.17.255.255"), Some("198.20.0.0")),
            ("198.51.100.0", "198.51.100.255", Some("198.51.99.255"), Some("198.51.101.0")),
            ("203.0.113.0", "203.0.113.255", Some("203.0.112.255"), Some("203.0.114.0")),
            ("0.0.0.0", "0.255.255.255", None, Some("1.0.0.0")),
            ("224.0.0.0", "255.255.255.255", Some("223.255.255.255"), None),
            (
                "::ffff:10.0.0.0",
                "::ffff:10.255.255.255",
                Some("::ffff:9.255.255.255"),
                Some("::ffff:11.0.0.0"),
            ),
            ("64:ff9b::7f00:0", "64:ff9b::7fff:ffff", Some("64:ff9b::7eff:ffff"), Some("64:ff9b::8000:0")),
            ("2001::", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff", None, Some("2001:200::")),
            ("2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", Some("2001:db7::1"), Some("2001:db9::")),
            ("2002::", "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff", Some("2001:ffff::1"), Some("2003::")),
            ("3fff::", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff", Some("3ffe::1"), Some("3fff:1000::")),
        ] {
            check(first, false);
            check(last, false);
            before.into_iter().chain(after).for_each(|address| check(address, true));
        }
        for inside in [
            "::",
            "::1",
            "::7f00:1",           // IPv4-compatible
            "::8.8.8.8",          // the same with a public address: nothing routes it
            "64:ff9b:1::808:808", // NAT64 of a local network
            "100::1",
            "2002:7f00:1::",
            "2002:a9fe:a9fe::1",
            "2001:0:7f00:1::",
            "5f00::1",
            "fc00::1",
            "fd12:3456::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            check(inside, false);
        }
        for outside in ["8.8.8.8", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8"] {
            check(outside, true);
        }
    }

    proptest! {
        #[test]
        fn an_ipv4_address_is_what_it_is_in_every_disguise(bits in any::<u32>()) {
            let plain = Ipv4Addr::from_bits(bits);
            let low = u128::from(bits);
            let mapped = Ipv6Addr::from_bits(0xffff_u128 << 32 | low);
            let nat64 = Ipv6Addr::from_bits(0x0064_ff9b_u128 << 96 | low);
            prop_assert_eq!(is_public(mapped.into()), is_public(plain.into()));
            prop_assert_eq!(is_public(nat64.into()), is_public(plain.into()));
            for never in [low, 0x2002_u128 << 112 | low << 80, 0x2001_0000_u128 << 96 | low] {
                prop_assert!(!is_public(Ipv6Addr::from_bits(never).into()));
            }
            let known_inside = plain.is_private()
                || plain.is_loopback()
                || plain.is_link_local()
                || plain.is_multicast()
                || plain.is_broadcast()
                || plain.is_documentation()
                || plain.is_unspecified();
            prop_assert!(!(known_inside && is_public(plain.into())), "{}", plain);
        }

        #[test]
        fn nothing_but_global_unicast_is_public(bits in any::<u128>()) {
            let address = Ipv6Addr::from_bits(bits);
            let translated = V6_MAPPED.contains(&address) || V6_NAT64.contains(&address);
            prop_assert!(translated || !is_public(address.into()) || bits >> 125 == 1, "{}", address);
        }

        #[test]
        fn every_address_of_a_private_block_is_refused(
            block in 0..V4_SPECIAL.len(),
            host in any::<u32>(),
        ) {
            let block = V4_SPECIAL[block];
            let address = Ipv4Addr::from_bits(block.network().to_bits() | host & block.hostmask().to_bits());
            prop_assert!(!is_public(address.into()), "{}", address);
        }
    }
}
