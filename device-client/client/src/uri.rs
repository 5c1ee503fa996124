//! Server URIs, as far as a device without a resolver can follow them.

use core::net::{IpAddr, Ipv6Addr, SocketAddr};

/// The address of `coap://ADDRESS[:PORT]`; names are not resolved on the device.
pub(crate) fn parse(uri: &str) -> Option<SocketAddr> {
    const DEFAULT_PORT: u16 = 5683;
    let rest = uri.strip_prefix("coap://")?;
    let authority = rest.split(['/', '?']).next()?;
    if let Ok(address) = authority.parse::<SocketAddr>() {
        return Some(address).filter(|a| a.port() != 0);
    }
    let v6 = authority
        .strip_prefix('[')
        .and_then(|a| a.strip_suffix(']'));
    let address = match v6 {
        Some(v6) => IpAddr::V6(v6.parse::<Ipv6Addr>().ok()?),
        None => IpAddr::V4(authority.parse().ok()?),
    };
    Some(SocketAddr::new(address, DEFAULT_PORT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_with_and_without_port() {
        let text = |uri| parse(uri).map(|a| a.to_string());
        assert_eq!(text("coap://10.0.2.2:5783"), Some("10.0.2.2:5783".into()));
        assert_eq!(text("coap://10.0.2.2"), Some("10.0.2.2:5683".into()));
        assert_eq!(text("coap://[::1]:5783/x"), Some("[::1]:5783".into()));
        assert_eq!(text("coap://[::1]"), Some("[::1]:5683".into()));
        for bad in [
            "coaps://1.2.3.4",
            "coap://host",
            "coap://",
            "",
            "coap://1.2.3.4:0",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
