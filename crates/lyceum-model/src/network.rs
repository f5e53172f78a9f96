//! Networks as people write them: `10.0.0.0/8`, `fd00::/8`, or one address.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// A part of all addresses. IPv4 addresses that arrive mapped into IPv6 count as IPv4.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a network; write it like 10.0.0.0/8, fd00::/8 or 192.0.2.7")]
pub struct NoNetwork(String);

impl Network {
    pub fn contains(&self, address: IpAddr) -> bool {
        let (ours, theirs, width) = match (self.address, address.to_canonical()) {
            (IpAddr::V4(ours), IpAddr::V4(theirs)) => {
                (u128::from(ours.to_bits()), u128::from(theirs.to_bits()), 32)
            }
            (IpAddr::V6(ours), IpAddr::V6(theirs)) => (ours.to_bits(), theirs.to_bits(), 128),
            _ => return false,
        };
        let shift = width - u32::from(self.bits);
        self.bits == 0 || ours >> shift == theirs >> shift
    }

    /// How many bits of an address are fixed.
    pub fn bits(&self) -> u8 {
        self.bits
    }

    pub fn is_v4(&self) -> bool {
        self.address.is_ipv4()
    }

    /// Whether addresses by which a machine talks to itself are in it.
    pub fn has_loopback(&self) -> bool {
        let is_part = |text: &str| {
            let other: Self = text.parse().expect("a network");
            self.contains(other.address) || other.contains(self.address)
        };
        is_part("127.0.0.0/8") || is_part("::1")
    }
}

impl FromStr for Network {
    type Err = NoNetwork;

    fn from_str(text: &str) -> Result<Self, NoNetwork> {
        let wrong = || NoNetwork(text.chars().take(60).collect());
        let text = text.trim();
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let width: u8 = if address.is_ipv4() { 32 } else { 128 };
        let is_number = |bits: &str| bits.bytes().all(|byte| byte.is_ascii_digit());
        let bits = match bits {
            None => width,
            Some(bits) if is_number(bits) => bits.parse().map_err(|_| wrong())?,
            Some(_) => return Err(wrong()),
        };
        let (address, bits) = match address.to_canonical() {
            IpAddr::V4(v4) if width == 128 => match bits.checked_sub(96) {
                Some(bits) => (IpAddr::V4(v4), bits),
                None => (address, bits),
            },
            _ => (address, bits),
        };
        let width = if address.is_ipv4() { 32 } else { 128 };
        (bits <= width)
            .then_some(Self { address, bits })
            .ok_or_else(wrong)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_in_their_networks() {
        let check = |network: &str, address: &str, expect: bool| {
            let network: Network = network.parse().expect(network);
            let address: IpAddr = address.parse().expect(address);
            assert_eq!(network.contains(address), expect, "{network} {address}");
        };
        check("10.1.0.0/16", "10.1.255.3", true);
        check("10.1.0.0/16", "10.2.0.1", false);
        check("10.1.2.3", "10.1.2.3", true);
        check("10.1.2.3", "::ffff:10.1.2.3", true);
        check("::ffff:10.1.0.0/112", "10.1.9.9", true);
        check("::ffff:10.1.0.0/112", "10.2.9.9", false);
        check("fd00::/8", "fd12::1", true);
        check("fd00::/8", "10.1.2.3", false);
        check("0.0.0.0/0", "10.1.2.3", true);
        check("0.0.0.0/0", "fd12::1", false);
        check("::/0", "fd12::1", true);
    }

    #[test]
    fn what_is_no_network_is_told() {
        for wrong in [
            "",
            "everyone",
            "10.0.0.0/33",
            "10.0.0.0/+8",
            "10.0.0/8",
            "::1/129",
            "10.0.0.0/",
            "/8",
            "10.0.0.0/8/8",
            "example.edu",
        ] {
            assert!(wrong.parse::<Network>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn loopback_is_found() {
        let check = |network: &str, expect: bool| {
            let network: Network = network.parse().expect(network);
            assert_eq!(network.has_loopback(), expect, "{network}");
        };
        check("127.0.0.1", true);
        check("127.0.0.0/8", true);
        check("126.0.0.0/7", true);
        check("::1", true);
        check("::ffff:127.0.0.1", true);
        check("10.0.0.0/8", false);
        check("fd00::/8", false);
    }
}
