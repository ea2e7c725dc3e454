//! Networks and sets of networks. IPv4-mapped IPv6 addresses are the IPv4 address they carry, on both sides.

mod set;

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;

pub use set::AddressSet;

/// One network: `"10.0.0.0/8"`, `"2001:db8::/32"`, or a bare address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cidr(IpNet);

impl Cidr {
    /// Whether `address` lies in this network.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }

    /// The length of its prefix: the larger, the fewer addresses.
    pub fn length(&self) -> u8 {
        self.0.prefix_len()
    }
}

impl FromStr for Cidr {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "`{text}` is not a network; write an address with an optional prefix length: \"10.0.0.0/8\", \"2001:db8::/32\""
            )
        };
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self(IpNet::from(address.to_canonical())));
        }
        let net: IpNet = text.parse().map_err(|_| wrong())?;
        let IpNet::V6(v6) = net else { return Ok(Self(net.trunc())) };
        match v6.addr().to_ipv4_mapped() {
            Some(v4) if v6.prefix_len() >= 96 => {
                IpNet::new(IpAddr::V4(v4), v6.prefix_len() - 96).map(|net| Self(net.trunc())).map_err(|_| wrong())
            }
            _ => Ok(Self(net.trunc())),
        }
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Whether any of `networks` holds `address`.
pub fn any_contains(networks: &[Cidr], address: IpAddr) -> bool {
    networks.iter().any(|network| network.contains(address))
}

/// What counts as one client: an IPv4 address, or the /64 that an IPv6 client can choose its addresses from.
pub fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapped_address_is_the_address_it_carries() {
        for network in ["127.0.0.2/32", "127.0.0.2", "::ffff:127.0.0.2", "::ffff:127.0.0.2/128"] {
            let network: Cidr = network.parse().unwrap();
            assert!(network.contains("127.0.0.2".parse().unwrap()));
            assert!(network.contains("::ffff:127.0.0.2".parse().unwrap()));
            assert!(!network.contains("127.0.0.3".parse().unwrap()));
        }
    }

    #[test]
    fn host_bits_are_cut() {
        assert_eq!("10.1.2.3/8".parse::<Cidr>().unwrap().to_string(), "10.0.0.0/8");
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in ["", "10.0.0.0/33", "ten", "10.0.0/8"] {
            assert!(text.parse::<Cidr>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_addresses_of_a_64_are_one_client() {
        let network = network_of("2001:db8::1".parse().unwrap());
        assert_eq!(network, network_of("2001:db8::ffff:1".parse().unwrap()));
        assert_ne!(network, network_of("2001:db8:0:1::1".parse().unwrap()));
        assert_eq!(network_of("::ffff:10.0.0.1".parse().unwrap()), network_of("10.0.0.1".parse().unwrap()));
    }
}
