//! Internet addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use zeroize::Zeroizing;

use super::text::ascii;
use crate::rejection::Rejection;

/// `192.0.002.010` -> `192.0.2.10`; `[2001:DB8::1]:443` -> `2001:db8::1`, in the form of RFC 5952.
///
/// An IPv4 address inside an IPv6 one (`::ffff:192.0.2.1`) is the IPv4 address. Private addresses (RFC 1918, 6598, 4193) are kept,
/// though they name a machine only together with its network: a hit on one says little.
///
/// # Errors
///
/// - [`Rejection::IpNotValid`]: no address, or a network (`10.0.0.0/8`).
/// - [`Rejection::IpNobody`]: loopback, link-local, multicast, broadcast, unspecified.
pub(crate) fn ip(raw: &str) -> Result<Zeroizing<String>, Rejection> {
    let text = ascii(raw)?;
    let address = parse(text.trim()).ok_or(Rejection::IpNotValid)?;
    if is_nobody(address) {
        return Err(Rejection::IpNobody);
    }
    Ok(Zeroizing::new(address.to_string()))
}

fn parse(text: &str) -> Option<IpAddr> {
    if let Some(rest) = text.strip_prefix('[') {
        let (address, port) = rest.split_once(']')?;
        if !port.is_empty() && !is_port(port.strip_prefix(':')?) {
            return None;
        }
        return v6(address);
    }
    if text.matches(':').count() < 2 {
        let (address, port) = text
            .split_once(':')
            .map_or((text, None), |(address, port)| (address, Some(port)));
        return port.is_none_or(is_port).then(|| v4(address)).flatten();
    }
    v6(text)
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit()) && text.parse::<u16>().is_ok()
}

/// Four decimal numbers. Leading zeros are padding, as log files write them, and never octal.
fn v4(text: &str) -> Option<IpAddr> {
    let mut octets = [0; 4];
    let mut groups = text.split('.');
    for octet in &mut octets {
        let group = groups.next()?;
        if !(1..=3).contains(&group.len()) || !group.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        *octet = group.parse().ok()?;
    }
    groups.next().is_none().then(|| Ipv4Addr::from(octets).into())
}

fn v6(text: &str) -> Option<IpAddr> {
    // the zone says on which of its own links a machine sees the address
    let address = text.split_once('%').map_or(text, |(address, _)| address);
    Some(address.parse::<Ipv6Addr>().ok()?.to_canonical())
}

fn is_nobody(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            v4.is_loopback() || v4.is_link_local() || v4.is_multicast() || v4.is_broadcast() || v4.octets()[0] == 0
        }
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unspecified() || v6.is_multicast() || v6.is_unicast_link_local(),
    }
}
