//! Which addresses belong to everybody, and which to this machine or its neighbours.
//!
//! A name that a stranger can influence must not lead the bridge to a metadata service or a
//! router. The lists are those of the IANA registries of special-purpose addresses.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Networks of IPv4 that are not for everybody: address, length of the prefix, what they are.
const PRIVATE_V4: &[(Ipv4Addr, u32, &str)] = &[
    (Ipv4Addr::new(0, 0, 0, 0), 8, "this network"),
    (Ipv4Addr::new(10, 0, 0, 0), 8, "a private network"),
    (Ipv4Addr::new(100, 64, 0, 0), 10, "a carrier's network"),
    (Ipv4Addr::new(127, 0, 0, 0), 8, "this machine"),
    (Ipv4Addr::new(169, 254, 0, 0), 16, "the local link"),
    (Ipv4Addr::new(172, 16, 0, 0), 12, "a private network"),
    (Ipv4Addr::new(192, 0, 0, 0), 24, "a protocol's own network"),
    (Ipv4Addr::new(192, 0, 2, 0), 24, "a network of examples"),
    (Ipv4Addr::new(192, 88, 99, 0), 24, "a relay to IPv6"),
    (Ipv4Addr::new(192, 168, 0, 0), 16, "a private network"),
    (Ipv4Addr::new(198, 18, 0, 0), 15, "a network of measurements"),
    (Ipv4Addr::new(198, 51, 100, 0), 24, "a network of examples"),
    (Ipv4Addr::new(203, 0, 113, 0), 24, "a network of examples"),
    (Ipv4Addr::new(224, 0, 0, 0), 4, "a group of machines"),
    (Ipv4Addr::new(240, 0, 0, 0), 4, "a reserved network"),
];

/// The same of IPv6, but for addresses that hold one of IPv4.
const PRIVATE_V6: &[(Ipv6Addr, u32, &str)] = &[
    (Ipv6Addr::UNSPECIFIED, 128, "this network"),
    (Ipv6Addr::LOCALHOST, 128, "this machine"),
    (Ipv6Addr::new(0x64, 0xff9b, 1, 0, 0, 0, 0, 0), 48, "a translator's network"),
    (Ipv6Addr::new(0x100, 0, 0, 0, 0, 0, 0, 0), 64, "a network that discards"),
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23, "a protocol's own network"),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32, "a network of examples"),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20, "a network of examples"),
    (Ipv6Addr::new(0x5f00, 0, 0, 0, 0, 0, 0, 0), 16, "a network of segment routing"),
    (Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7, "a private network"),
    (Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10, "the local link"),
    (Ipv6Addr::new(0xfec0, 0, 0, 0, 0, 0, 0, 0), 10, "a site's network"),
    (Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0), 8, "a group of machines"),
];

/// What an address is when it is not one for everybody, in words that end "it belongs to …";
/// `None` for a public one.
#[must_use]
pub fn not_public(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => not_public_v4(address),
        IpAddr::V6(address) => match inner_v4(address) {
            Some(inner) => not_public_v4(inner),
            None => not_public_v6(address),
        },
    }
}

fn not_public_v4(address: Ipv4Addr) -> Option<&'static str> {
    let is_in = |network: Ipv4Addr, prefix: u32| {
        (address.to_bits() ^ network.to_bits()) >> (Ipv4Addr::BITS - prefix) == 0
    };
    PRIVATE_V4.iter().find(|(network, prefix, _)| is_in(*network, *prefix)).map(|(.., what)| *what)
}

fn not_public_v6(address: Ipv6Addr) -> Option<&'static str> {
    let is_in = |network: Ipv6Addr, prefix: u32| {
        (address.to_bits() ^ network.to_bits()) >> (Ipv6Addr::BITS - prefix) == 0
    };
    PRIVATE_V6.iter().find(|(network, prefix, _)| is_in(*network, *prefix)).map(|(.., what)| *what)
}

/// The address of IPv4 that one of IPv6 leads to: mapped, compatible, translated (NAT64) or
/// through a 6to4 relay.
fn inner_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let low = |[.., a, b]: [u16; 8]| Ipv4Addr::from_bits(u32::from(a) << 16 | u32::from(b));
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => None,
        segments @ [0, 0, 0, 0, 0, 0 | 0xffff, _, _] => Some(low(segments)),
        segments @ [0, 0, 0, 0, 0xffff, 0, _, _] => Some(low(segments)),
        segments @ [0x64, 0xff9b, 0, 0, 0, 0, _, _] => Some(low(segments)),
        [0x2002, a, b, ..] => Some(Ipv4Addr::from_bits(u32::from(a) << 16 | u32::from(b))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn what(text: &str) -> Option<&'static str> {
        not_public(text.parse().unwrap())
    }

    #[test]
    fn every_way_to_say_this_machine_or_its_neighbours_is_known() {
        for private in [
            "127.0.0.1",
            "127.255.255.254",
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "198.19.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "::ffff:0:10.0.0.1",
            "::10.0.0.1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::1",
            "2002:7f00:1::",
            "fc00::1",
            "fd12:3456::1",
            "fe80::1",
            "ff02::1",
            "2001:db8::1",
        ] {
            assert!(what(private).is_some(), "{private}");
        }
        for public in [
            "140.82.121.3",
            "172.15.255.255",
            "172.32.0.0",
            "100.63.255.255",
            "2606:4700::1111",
            "2a01:4f8::1",
            "::ffff:140.82.121.3",
            "64:ff9b::8c52:7903",
            "2002:8c52:7903::1",
        ] {
            assert_eq!(what(public), None, "{public}");
        }
        assert_eq!(what("169.254.169.254"), Some("the local link"));
    }

    proptest! {
        #[test]
        fn an_address_is_not_hidden_by_writing_it_as_ipv6(bits: u32) {
            let plain = Ipv4Addr::from_bits(bits);
            let mapped = IpAddr::V6(plain.to_ipv6_mapped());
            prop_assert_eq!(not_public(IpAddr::V4(plain)), not_public(mapped));
        }
    }
}
