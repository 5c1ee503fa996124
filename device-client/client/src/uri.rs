//! Server URIs, as far as a device without a resolver can follow them.

use core::net::{IpAddr, Ipv4Addr, SocketAddr};

use lwm2m_objects::decimal::parse_u16;

/// Where a server is, and how it is talked to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    /// With DTLS, as `coaps` means.
    pub(crate) secure: bool,
}

/// What `coap://ADDRESS[:PORT]` means, and `coaps://` where there is DTLS.
pub(crate) fn server(uri: &str) -> Option<Server> {
    let secure = cfg!(feature = "dtls") && uri.starts_with("coaps://");
    let address = match secure {
        true => address(uri.as_bytes().strip_prefix(b"coaps://")?, 5684)?,
        false => parse(uri)?,
    };
    Some(Server { address, secure })
}

/// The address of `coap://ADDRESS[:PORT]`; names are not resolved on the device.
pub(crate) fn parse(uri: &str) -> Option<SocketAddr> {
    address(uri.as_bytes().strip_prefix(b"coap://")?, 5683)
}

fn address(rest: &[u8], default_port: u16) -> Option<SocketAddr> {
    let authority = rest.split(|byte| matches!(byte, b'/' | b'?')).next()?;
    let end = |mark: u8, text: &[u8]| text.iter().position(|byte| *byte == mark);
    let (address, rest) = match authority.strip_prefix(b"[") {
        Some(v6) => {
            let (v6, rest) = v6.split_at(end(b']', v6)?);
            (parse_v6(v6)?, rest.strip_prefix(b"]")?)
        }
        None => {
            let end = end(b':', authority).unwrap_or(authority.len());
            let (v4, rest) = authority.split_at(end);
            (IpAddr::V4(parse_v4(v4)?), rest)
        }
    };
    let port = match rest {
        [] => default_port,
        [b':', port @ ..] => parse_u16(port).filter(|port| *port != 0)?,
        _ => return None,
    };
    Some(SocketAddr::new(address, port))
}

fn parse_v4(text: &[u8]) -> Option<Ipv4Addr> {
    let mut bytes = [0; 4];
    let mut parts = text.split(|byte| *byte == b'.');
    for byte in &mut bytes {
        *byte = u8::try_from(parse_u16(parts.next()?)?).ok()?;
    }
    parts.next().is_none().then(|| Ipv4Addr::from(bytes))
}

#[cfg(feature = "ipv6")]
fn parse_v6(text: &[u8]) -> Option<IpAddr> {
    let text = core::str::from_utf8(text).ok()?;
    text.parse::<core::net::Ipv6Addr>().ok().map(IpAddr::V6)
}

#[cfg(not(feature = "ipv6"))]
fn parse_v6(_: &[u8]) -> Option<IpAddr> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(feature = "dtls")]
    #[test]
    fn with_dtls_the_port_is_another() {
        let found = |uri| server(uri).map(|s| (s.address.to_string(), s.secure));
        for (uri, address, secure) in [
            ("coap://10.0.2.2", "10.0.2.2:5683", false),
            ("coaps://10.0.2.2", "10.0.2.2:5684", true),
            ("coaps://10.0.2.2:5683", "10.0.2.2:5683", true),
        ] {
            assert_eq!(found(uri), Some((address.to_string(), secure)), "{uri}");
        }
        for bad in [
            "coaps://",
            "coaps://host",
            "coaps+tcp://10.0.2.2",
            "coaps:10.0.2.2",
        ] {
            assert_eq!(found(bad), None, "{bad}");
        }
    }

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
