//! Nothing that was changed is taken, nothing is taken twice, and no bytes make it panic.

mod common;

use common::{End, ends, master, request, response};
use proptest::prelude::*;
use tinsmith_coap::{Code, OptionNumber};
use tinsmith_oscore::{Message, Opened, Start};

fn is_taken(end: &mut End, datagram: &[u8]) -> bool {
    matches!(
        end.open_any(datagram).0,
        Opened::Message(Message {
            repeated: false,
            ..
        })
    )
}

/// Bits that are not protected: the header, the token, an outer code.
fn is_outside(plain: &[u8], at: usize) -> bool {
    at < 4 + usize::from(plain[0] & 15)
}

#[test]
fn every_bit_of_a_request_counts() {
    let (mut client, mut server) = ends(Start::Fresh);
    let plain = request(1, Code::PUT, &[], b"twelve bytes");
    let sealed = client.seal(&plain);
    for bit in 0..sealed.len() * 8 {
        let mut changed = sealed.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        if !is_outside(&plain, bit / 8) {
            assert!(!is_taken(&mut server, &changed), "bit {bit}");
        }
    }
    for len in 0..sealed.len() {
        assert!(!is_taken(&mut server, &sealed[..len]), "{len} bytes");
    }
    assert!(is_taken(&mut server, &sealed));
    assert!(!is_taken(&mut server, &sealed));
}

#[test]
fn every_bit_of_a_response_counts() {
    for observes in [false, true] {
        let (mut client, mut server) = ends(Start::Fresh);
        let observe: &[(OptionNumber, &[u8])] = &[(OptionNumber::OBSERVE, &[])];
        let observe = if observes { observe } else { &[] };
        let plain = request(1, Code::GET, observe, b"");
        server.take(&client.seal(&plain));
        let plain = response(1, Code::CONTENT, observe, b"value");
        let sealed = server.seal(&plain);
        for bit in 0..sealed.len() * 8 {
            let mut changed = sealed.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            // The outer Observe is for proxies only.
            let option = sealed
                .windows(2)
                .position(|w| w[0] == 0x60 && w[1] >> 4 == 3);
            let outer = option == Some(bit / 8);
            if !(is_outside(&plain, bit / 8) || observes && outer) {
                assert!(!is_taken(&mut client, &changed), "bit {bit}");
            }
        }
        for len in 0..sealed.len() {
            assert!(!is_taken(&mut client, &sealed[..len]), "{len} bytes");
        }
        assert!(is_taken(&mut client, &sealed));
        assert!(!is_taken(&mut client, &sealed));
    }
}

#[test]
fn a_response_is_of_its_request() {
    let (mut client, mut server) = ends(Start::Fresh);
    server.take(&client.seal(&request(1, Code::GET, &[], b"")));
    server.take(&client.seal(&request(2, Code::GET, &[], b"")));
    let mut sealed = server.seal(&response(1, Code::CONTENT, &[], b"one"));
    // The other request's token.
    sealed[4] = 2;
    assert!(!is_taken(&mut client, &sealed));
}

proptest! {
    #[test]
    fn any_bytes(
        datagrams in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 1..8),
        lost in any::<bool>(),
    ) {
        let start = if lost { Start::Lost } else { Start::Fresh };
        let mut end = End::new(master(b"", b"\x01"), start);
        for datagram in datagrams {
            prop_assert!(!is_taken(&mut end, &datagram) || datagram.get(1) == Some(&0));
            let _ = end.try_seal(&datagram);
        }
    }

    /// With a head that is right, so that more of it is looked at.
    #[test]
    fn any_option_and_payload(
        value in prop::collection::vec(any::<u8>(), 0..60),
        payload in prop::collection::vec(any::<u8>(), 0..100),
        is_request in any::<bool>(),
    ) {
        let (mut client, _) = ends(Start::Fresh);
        let sealed = client.seal(&request(1, Code::GET, &[], b""));
        prop_assert!(!sealed.is_empty());
        let options = [(OptionNumber::OSCORE, &value[..])];
        let datagram = match is_request {
            true => request(1, Code::POST, &options, &payload),
            false => response(1, Code::CHANGED, &options, &payload),
        };
        prop_assert!(!is_taken(&mut client, &datagram));
    }

    /// Requests in any order, some of them several times.
    #[test]
    fn each_request_is_taken_once(order in prop::collection::vec(0usize..20, 1..60)) {
        let (mut client, mut server) = ends(Start::Fresh);
        let sealed: Vec<_> = (0..20)
            .map(|id| client.seal(&request(id, Code::POST, &[], b"x")))
            .collect();
        let mut taken = [false; 20];
        for at in order {
            prop_assert_eq!(is_taken(&mut server, &sealed[at]), !taken[at]);
            taken[at] = true;
        }
    }

    /// What fits is sealed and opened; what does not fit is an error.
    #[test]
    fn any_room(len in 0usize..300, room in 0usize..400) {
        let (mut client, _) = ends(Start::Fresh);
        let plain = request(1, Code::PUT, &[], &vec![7; len]);
        let mut out = vec![0; room];
        let made = client.peer.seal(&mut tinsmith_dtls::SoftAes::new(), &plain, &mut out);
        if room >= plain.len() + tinsmith_oscore::MAX_OVERHEAD {
            prop_assert!(made.is_ok());
        }
    }
}
