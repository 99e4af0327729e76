//! Where the commands of a job may connect to: a list of places, and what a place may turn out to
//! be.
//!
//! The operator lists places by release. A name says where somebody wants to go, not where it
//! leads: whoever answers for the name could point it at a metadata service. So a name leads to
//! addresses for everybody alone, and any other address is on the list by itself or is not reached.

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::address::not_public;

/// Most places on one list: each is a listener beside every command.
pub const MAX_PLACES: usize = 256;
/// Longest name of a host, in bytes (RFC 1035).
const MAX_HOST_BYTES: usize = 253;
/// Longest part of a name between dots, in bytes (RFC 1035).
const MAX_PART_BYTES: usize = 63;

/// A place that commands may reach: a name or an address, and a port.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Place {
    /// Who answers there.
    pub host: Host,
    /// At which port.
    pub port: u16,
}

/// Who answers at a place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Host {
    /// In lower case.
    Name(String),
    /// Never one of IPv4 in the form of IPv6.
    Address(IpAddr),
}

impl FromStr for Place {
    type Err = String;

    /// Reads `mirror.example:80`, `10.0.0.7:443` or `[2001:db8::7]:443`.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no place such as mirror.example:443");
        let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        let is_number = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
        let port = port.parse().ok().filter(|&port| is_number && port > 0).ok_or_else(wrong)?;
        Ok(Self { host: Host::parse(host).ok_or_else(wrong)?, port })
    }
}

impl Host {
    fn parse(text: &str) -> Option<Self> {
        if let Some(bare) = text.strip_prefix('[') {
            let address: Ipv6Addr = bare.strip_suffix(']')?.parse().ok()?;
            return Self::of_one(IpAddr::V6(address).to_canonical());
        }
        if let Ok(address) = text.parse::<Ipv4Addr>() {
            return Self::of_one(IpAddr::V4(address));
        }
        is_name(text).then(|| Self::Name(text.to_ascii_lowercase()))
    }

    /// An address that means one machine.
    fn of_one(address: IpAddr) -> Option<Self> {
        let means_many = address.is_unspecified() || address.is_multicast();
        (!means_many && address != IpAddr::V4(Ipv4Addr::BROADCAST))
            .then_some(Self::Address(address))
    }
}

/// Whether a resolver would look this up as a name. One whose last part is a number is another
/// spelling of an address, `127.1` such as some programs read it.
fn is_name(host: &str) -> bool {
    let is_part = |part: &str| {
        let known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        (1..=MAX_PART_BYTES).contains(&part.len()) && part.bytes().all(known)
    };
    let is_number = |part: &str| part.starts_with(|first: char| first.is_ascii_digit());
    host.len() <= MAX_HOST_BYTES
        && host.split('.').all(is_part)
        && !host.rsplit('.').next().is_some_and(is_number)
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Name(name) => write!(f, "{name}:{}", self.port),
            Host::Address(IpAddr::V4(address)) => write!(f, "{address}:{}", self.port),
            Host::Address(IpAddr::V6(address)) => write!(f, "[{address}]:{}", self.port),
        }
    }
}

impl TryFrom<String> for Place {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Place> for String {
    fn from(place: Place) -> Self {
        place.to_string()
    }
}

impl Place {
    /// Where an http(s) URL leads; `None` where its host is no plain name or address, such as one
    /// with a variable of dnf in it.
    #[must_use]
    pub fn of_url(url: &str) -> Option<Self> {
        let (rest, usual) = match url.strip_prefix("https://") {
            Some(rest) => (rest, 443),
            None => (url.strip_prefix("http://")?, 80),
        };
        let authority = rest.split(['/', '?', '#']).next()?;
        authority.parse().ok().or_else(|| Some(Self { host: Host::parse(authority)?, port: usual }))
    }
}

/// Whether a name that is on the list may lead to an address. One that `is_own`, the machine's
/// that connects, is not for everybody, however public it looks: services behind it trust it.
#[must_use]
pub fn may_lead_to(address: IpAddr, port: u16, is_own: bool, listed: &[Place]) -> bool {
    let address = address.to_canonical();
    let is_listed = |place: &Place| place.host == Host::Address(address) && place.port == port;
    listed.iter().any(is_listed) || (not_public(address).is_none() && !is_own)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_names_or_addresses_with_a_port() {
        for good in ["mirror.example:80", "10.0.0.7:443", "[2001:db8::7]:443", "mirror:8080"] {
            let place: Place = good.parse().unwrap();
            assert_eq!(place.to_string(), good);
            let json = serde_json::to_string(&place).unwrap();
            assert_eq!(serde_json::from_str::<Place>(&json).unwrap(), place);
        }
        let upper: Place = "Mirror.EXAMPLE:80".parse().unwrap();
        assert_eq!(upper.host, Host::Name("mirror.example".to_owned()));
        let mapped: Place = "[::ffff:10.0.0.7]:443".parse().unwrap();
        assert_eq!(mapped.to_string(), "10.0.0.7:443");
        for bad in [
            "",
            "x",
            "x:0",
            "x:65536",
            "x:+1",
            ":80",
            "a b:80",
            "2001:db8::7:443",
            "[::1:80",
            "x..y:80",
            "*:80",
            "127.1:80",
            "2130706433:80",
            "0x7f000001:80",
            "0.0.0.0:80",
            "[::]:80",
            "[ff02::1]:80",
        ] {
            assert!(bad.parse::<Place>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_url_leads_to_one_place() {
        for (url, place) in [
            ("https://mirror.example/fedora/$basearch/", Some("mirror.example:443")),
            ("http://mirror.example", Some("mirror.example:80")),
            ("http://10.0.0.7:8080/x", Some("10.0.0.7:8080")),
            ("https://[2001:db8::7]/x", Some("[2001:db8::7]:443")),
            ("https://$mirror.example/x", None),
            ("ftp://mirror.example/", None),
        ] {
            assert_eq!(
                Place::of_url(url).map(|place| place.to_string()).as_deref(),
                place,
                "{url}"
            );
        }
    }

    #[test]
    fn names_lead_to_addresses_for_everybody_alone() {
        let may = |address: &str, port, listed: &[Place]| {
            may_lead_to(address.parse().unwrap(), port, false, listed)
        };
        for closed in
            ["127.0.0.1", "10.1.2.3", "169.254.169.254", "::1", "fd00::1", "::ffff:10.0.0.1"]
        {
            assert!(!may(closed, 80, &[]), "{closed}");
        }
        assert!(may("151.101.2.132", 80, &[]) && may("2a04:4e42::644", 80, &[]));
        assert!(!may_lead_to("151.101.2.132".parse().unwrap(), 80, true, &[]));
        let listed = ["10.1.2.3:80".parse().unwrap()];
        assert!(may("10.1.2.3", 80, &listed) && may("::ffff:10.1.2.3", 80, &listed));
        assert!(!may("10.1.2.3", 81, &listed) && !may("10.1.2.4", 80, &listed));
    }
}
