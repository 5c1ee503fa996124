//! Server URIs, as far as a device without a resolver can follow them.

use core::net::{IpAddr, Ipv4Addr, SocketAddr};

/// The address of `coap://ADDRESS[:PORT]`; names are not resolved on the device.
pub(crate) fn parse(uri: &str) -> Option<SocketAddr> {
    const DEFAULT_PORT: u16 = 5683;
    let rest = uri.strip_prefix("coap://")?;
    let authority = rest.split(['/', '?']).next()?;
    let (address, rest) = match authority.strip_prefix('[') {
        Some(v6) => {
            let (v6, rest) = v6.split_once(']')?;
            (parse_v6(v6)?, rest)
        }
        None => {
            let end = authority.find(':').unwrap_or(authority.len());
            let (v4, rest) = authority.split_at(end);
            (IpAddr::V4(parse_v4(v4)?), rest)
        }
    };
    let port = match rest.strip_prefix(':') {
        Some(port) => number(port).filter(|port| *port != 0)?,
        None if rest.is_empty() => DEFAULT_PORT,
        None => return None,
    };
    Some(SocketAddr::new(address, port))
}

/// Decimal digits without leading zeros.
fn number(text: &str) -> Option<u16> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
    let leading_zero = text.len() > 1 && text.starts_with('0');
    text.parse().ok().filter(|_| plain && !leading_zero)
}

fn parse_v4(text: &str) -> Option<Ipv4Addr> {
    let mut bytes = [0; 4];
    let mut parts = text.split('.');
    for byte in &mut bytes {
        *byte = u8::try_from(number(parts.next()?)?).ok()?;
    }
    parts.next().is_none().then(|| Ipv4Addr::from(bytes))
}

#[cfg(feature = "ipv6")]
fn parse_v6(text: &str) -> Option<IpAddr> {
    text.parse::<core::net::Ipv6Addr>().ok().map(IpAddr::V6)
}

#[cfg(not(feature = "ipv6"))]
fn parse_v6(_: &str) -> Option<IpAddr> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_with_and_without_port() {
        let text = |uri| parse(uri).map(|a| a.to_string());
        assert_eq!(text("coap://10.0.2.2:5783"), Some("10.0.2.2:5783".into()));
        assert_eq!(text("coap://10.0.2.2"), Some("10.0.2.2:5683".into()));
        #[cfg(feature = "ipv6")]
        {
            assert_eq!(text("coap://[::1]:5783/x"), Some("[::1]:5783".into()));
            assert_eq!(text("coap://[::1]"), Some("[::1]:5683".into()));
        }
        for bad in [
            "coaps://1.2.3.4",
            "coap://host",
            "coap://",
            "",
            "coap://1.2.3.4:0",
            "coap://1.2.3.4:65536",
            "coap://1.2.3.4:",
            "coap://1.2.3.4:+1",
            "coap://1.2.3.04",
            "coap://1.2.3.256",
            "coap://1.2.3",
            "coap://1.2.3.4.5",
            "coap://1.2..4",
            "coap://[::1]5783",
            "coap://[::1",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
