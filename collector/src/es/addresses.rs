//! Addresses and networks as numbers, in the order that Elasticsearch sorts addresses by.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde_json::Value;

use super::body;
use super::error::{EsError, Result};

/// An address or a network, as the numbers of its first and last address.
pub(crate) fn network(value: &Value) -> Result<(u128, u128)> {
    let text = body::scalar_text(value).unwrap_or_default();
    let bad = || {
        EsError::shard(
            "query_shard_exception",
            format!("failed to create query: '{text}' is not an IP string literal."),
        )
    };
    let Some((address, length)) = text.split_once('/') else {
        let number = address_number(text.parse().map_err(|_| bad())?);
        return Ok((number, number));
    };
    let address: IpAddr = address.parse().map_err(|_| bad())?;
    let length: u32 = length.parse().map_err(|_| bad())?;
    let whole = if address.is_ipv4() { 32 } else { 128 };
    if length > whole {
        return Err(bad());
    }
    let host = u128::MAX.checked_shr(128 - (whole - length)).unwrap_or(0);
    let number = address_number(address);
    Ok((number & !host, number | host))
}

/// An address as a number in the order that Elasticsearch sorts addresses by: IPv4 as IPv4-mapped IPv6.
pub(crate) fn address_number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().into(),
        IpAddr::V6(address) => address.into(),
    }
}

/// The text of an address number.
pub(crate) fn address_text(number: u128) -> String {
    let address = Ipv6Addr::from(number);
    let v4: Option<Ipv4Addr> = address.to_ipv4_mapped();
    v4.map_or_else(|| address.to_string(), |address| address.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_become_ranges() {
        let range = |text: &str| network(&Value::String(text.to_owned())).ok();
        let shown = |text: &str| range(text).map(|(a, b)| format!("{}-{}", address_text(a), address_text(b)));
        assert_eq!(shown("10.1.2.3/8").as_deref(), Some("10.0.0.0-10.255.255.255"));
        assert_eq!(shown("10.1.2.3/32").as_deref(), Some("10.1.2.3-10.1.2.3"));
        assert_eq!(
            shown("2001:db8::/32").as_deref(),
            Some("2001:db8::-2001:db8:ffff:ffff:ffff:ffff:ffff:ffff")
        );
        assert_eq!(shown("::/0").as_deref(), Some("::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"));
        assert_eq!(shown("10.0.0.0/33"), None);
        assert_eq!(shown("cart"), None);
    }
}
