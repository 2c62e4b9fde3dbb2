//! Which addresses a destination may have: public ones.
//!
//! The guard sits where an address is finally known, in the resolver and at IP literals, because a name says nothing:
//! it may resolve to another address on each call.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// The address, or each address of the name, is not a public one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a public address")]
pub(super) struct Refused;

/// Whether an address is one of the public internet, by IANA's registries of special-purpose addresses. What only
/// wraps an IPv4 address (IPv4-mapped, NAT64) is judged by that address.
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    // Azure's metadata and DNS service stands at a public-looking address that only its own guests reach.
    const AZURE_WIRE_SERVER: Ipv4Addr = Ipv4Addr::new(168, 63, 129, 16);
    let [a, b, c, _] = address.octets();
    let special = match (a, b, c) {
        // This network, private, loopback; multicast, reserved and broadcast.
        (0 | 10 | 127 | 224.., ..)
        // Carrier-grade NAT (and Alibaba's metadata), link-local (and everybody else's metadata).
        | (100, 64..=127, _)
        | (169, 254, _)
        | (172, 16..=31, _)
        | (192, 168, _)
        // Protocol assignments, 6to4 relays, benchmarking, documentation.
        | (192, 0, 0 | 2)
        | (192, 88, 99)
        | (198, 18 | 19, _)
        | (198, 51, 100)
        | (203, 0, 113) => true,
        _ => address == AZURE_WIRE_SERVER,
    };
    !special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    if let Some(mapped) = address.to_ipv4_mapped() {
        return is_public_v4(mapped);
    }
    match address.segments() {
        // NAT64: what a resolver on a network without IPv4 makes of every IPv4 address.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            is_public_v4(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)))
        }
        // Within the global unicast space: protocol assignments (Teredo too), documentation, 6to4.
        [0x2001, ..0x0200 | 0x0db8, ..] | [0x2002, ..] | [0x3fff, ..0x1000, ..] => false,
        // Nothing outside that space is public: loopback, unique local, link-local, multicast, IPv4-compatible, …
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

/// Refuses a URL whose host is an IP literal that is not public. The URL parser has turned every spelling of one
/// (`2130706433`, `0x7f.1`, `0177.0.0.1`) into the plain form by then.
pub(super) fn check_literal(url: &Url) -> Result<(), Refused> {
    let host = url.host_str().unwrap_or_default();
    match host.trim_start_matches('[').trim_end_matches(']').parse() {
        Ok(address) if !is_public(address) => Err(Refused),
        _ => Ok(()),
    }
}

fn public_only(addresses: impl Iterator<Item = SocketAddr>) -> Result<Vec<SocketAddr>, Refused> {
    let (public, refused): (Vec<_>, Vec<_>) = addresses.partition(|address| is_public(address.ip()));
    if public.is_empty() && !refused.is_empty() { Err(Refused) } else { Ok(public) }
}

/// The system's resolver without the addresses that are not public.
pub(super) struct PublicOnly;

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            // The port is filled in by the connector.
            let addresses = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let public: Addrs = Box::new(public_only(addresses)?.into_iter());
            Ok(public)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REFUSED: &[&str] = &[
        "0.0.0.0",
        "0.1.2.3",
        "10.0.0.1",
        "100.64.0.1",
        "100.100.100.200",
        "100.127.255.255",
        "127.0.0.1",
        "127.255.255.254",
        "168.63.129.16",
        "169.254.169.254",
        "169.254.170.2",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.192",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.1.1",
        "198.18.0.1",
        "198.19.255.255",
        "198.51.100.7",
        "203.0.113.7",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::127.0.0.1",
        "::8.8.8.8",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "::ffff:0:10.0.0.1",
        "64:ff9b::127.0.0.1",
        "64:ff9b::169.254.169.254",
        "64:ff9b:1::8.8.8.8",
        "100::1",
        "2001::1",
        "2001:10::1",
        "2001:db8::1",
        "2002:7f00:1::",
        "2002:808:808::",
        "3fff::1",
        "5f00::1",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fec0::1",
        "ff02::1",
    ];

    const PUBLIC: &[&str] = &[
        "1.1.1.1",
        "8.8.8.8",
        "100.63.255.255",
        "100.128.0.1",
        "168.63.129.17",
        "172.15.255.255",
        "172.32.0.1",
        "192.0.1.1",
        "192.167.255.255",
        "198.17.255.255",
        "198.20.0.1",
        "223.255.255.254",
        "::ffff:8.8.8.8",
        "64:ff9b::8.8.8.8",
        "2001:200::1",
        "2001:4860:4860::8888",
        "2606:4700:4700::1111",
        "3fff:1000::1",
    ];

    #[test]
    fn only_public_addresses_pass() {
        for (addresses, public) in [(REFUSED, false), (PUBLIC, true)] {
            for address in addresses {
                assert_eq!(is_public(address.parse().expect(address)), public, "{address}");
            }
        }
    }

    #[test]
    fn every_spelling_of_a_private_literal_is_refused() {
        let spellings = [
            "127.0.0.1",
            "127.1",
            "2130706433",
            "0x7f.1",
            "0x7f000001",
            "0177.0.0.1",
            "017700000001",
            "127.0.0.1.",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "[::ffff:7f00:1]",
            "[0:0:0:0:0:ffff:a9fe:a9fe]",
            "[64:ff9b::7f00:1]",
            "user:password@127.0.0.1",
            "１２７.0.0.1",
        ];
        for host in spellings {
            let url = Url::parse(&format!("http://{host}:8080/path")).expect(host);
            assert_eq!(check_literal(&url), Err(Refused), "{host}");
        }
        for host in ["8.8.8.8", "[2606:4700:4700::1111]", "hooks.example.com", "127.0.0.1.example.com"] {
            let url = Url::parse(&format!("https://{host}/")).expect(host);
            assert_eq!(check_literal(&url), Ok(()), "{host}");
        }
    }

    #[test]
    fn of_a_name_only_the_public_addresses_are_used() {
        let addresses = |texts: &[&str]| {
            let parsed: Vec<SocketAddr> = texts.iter().map(|text| text.parse().expect("an address")).collect();
            public_only(parsed.into_iter()).map(|left| left.iter().map(ToString::to_string).collect::<Vec<_>>())
        };
        assert_eq!(addresses(&["10.0.0.1:0", "8.8.8.8:0"]), Ok(vec!["8.8.8.8:0".to_owned()]));
        assert_eq!(addresses(&["10.0.0.1:0", "[::1]:0"]), Err(Refused));
        assert_eq!(addresses(&[]), Ok(vec![]));
    }
}
