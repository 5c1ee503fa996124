//! By which address a device reaches us.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// The management listener, bound to `own`, as `peer` can reach it: if it is bound to all
/// addresses, the one that our datagrams to the peer come from, as the routing table has it.
/// `None` if there is no way, or the listener has no address of the peer's family.
pub(super) fn management(own: SocketAddr, peer: SocketAddr) -> Option<SocketAddr> {
    if !own.ip().is_unspecified() {
        return Some(own);
    }
    let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
    let any: IpAddr = match peer {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) if own.is_ipv4() => return None,
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    // Sends nothing: it only makes the kernel choose.
    let probe = UdpSocket::bind(SocketAddr::new(any, 0)).ok()?;
    probe.connect(peer).ok()?;
    let ip = probe.local_addr().ok()?.ip();
    (!ip.is_unspecified()).then(|| SocketAddr::new(ip, own.port()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(own: &str, peer: &str) -> Option<String> {
        let found = management(own.parse().unwrap(), peer.parse().unwrap());
        found.map(|address| address.to_string())
    }

    #[test]
    fn a_wildcard_becomes_the_address_on_the_way_to_the_peer() {
        let some = |text: &str| Some(text.to_owned());
        let peer = "127.0.0.1:9";
        assert_eq!(seen("0.0.0.0:5683", peer), some("127.0.0.1:5683"));
        assert_eq!(seen("192.0.2.1:5683", peer), some("192.0.2.1:5683"));
        // A listener for both families.
        assert_eq!(
            seen("[::]:5683", "[::ffff:127.0.0.1]:9"),
            some("127.0.0.1:5683")
        );
        assert_eq!(seen("0.0.0.0:5683", "[::1]:9"), None);
        // Another address of this machine, if it has one.
        let probe = UdpSocket::bind("0.0.0.0:0").unwrap();
        if probe.connect("192.0.2.1:9").is_ok() {
            let other = probe.local_addr().unwrap().ip();
            let found = seen("0.0.0.0:5683", "192.0.2.1:9");
            assert_eq!(found, Some(format!("{other}:5683")));
        }
    }
}
