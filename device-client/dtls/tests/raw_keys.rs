//! The client's handshake with raw public keys, with a server of our own, in virtual time.

mod common;

use common::link::{Link, Own, Weather};
use common::pairs::{self, Pairs};
use common::server::Manner;
use tinsmith_dtls::{
    Aead, Alert, AlertDescription, Credentials, HandshakeError, Misbehaved, Offer, public_key_info,
};

const ALL: &[Aead] = &[Aead::Ccm8, Aead::Ccm, Aead::Gcm];
const SERVER: u8 = 0x33;
const CLIENT: u8 = 0x44;

fn manner() -> Manner {
    Manner {
        pairs: Some(Pairs::raw(SERVER, CLIENT)),
        ..Manner::plain()
    }
}

fn own() -> Own {
    Own {
        public: pairs::info(CLIENT),
        private: pairs::private(CLIENT),
        server: pairs::info(SERVER),
        usage: None,
    }
}

fn with(manner: Manner, own: Own, weather: Weather, seed: u64) -> Link {
    let offer = Offer {
        aeads: ALL,
        ..Offer::DEFAULT
    };
    let mut link = Link::new(manner, offer, weather, seed);
    link.own = Some(own);
    link
}

fn good(manner: Manner) -> Link {
    with(manner, own(), Weather::default(), 1)
}

fn talk(link: &mut Link) {
    link.say(b"question");
    link.settle();
    let heard = link.server.received.pop();
    assert_eq!(heard.as_deref(), Some(&b"question"[..]));
    link.answer(b"reply");
    link.settle();
    assert_eq!(link.received.pop().as_deref(), Some(&b"reply"[..]));
}

#[test]
fn every_kind_of_server() {
    for aead in ALL {
        for (cookie, fragment, apart) in [(0, 1000, false), (20, 40, true), (255, 1, false)] {
            for (extended, asks) in [(true, true), (false, true), (true, false)] {
                let mut pairs = Pairs::raw(SERVER, CLIENT);
                if !asks {
                    pairs.client = None;
                    pairs.extensions.drain(..5);
                }
                let manner = Manner {
                    aead: *aead,
                    cookie: vec![9; cookie],
                    fragment,
                    apart,
                    extended,
                    pairs: Some(pairs),
                    ..manner()
                };
                let mut link = good(manner);
                link.connect();
                link.settle();
                assert_eq!(link.failed, None);
                assert!(link.is_open() && link.server.connected);
                assert_eq!(link.sent, 2 + usize::from(cookie > 0));
                let association = link.client.association().unwrap();
                assert_eq!(association.aead(), *aead);
                assert_eq!(association.peer_cid().len(), 8);
                talk(&mut link);
            }
        }
    }
}

#[test]
fn credentials_that_can_be_used() {
    let own = own();
    let usable = |public: &[u8], private: &[u8], server: &[u8]| {
        let all = Credentials::RawKeys {
            public,
            private,
            server,
        };
        all.are_usable()
    };
    assert_eq!(public_key_info(&own.private).unwrap()[..], own.public);
    assert!(usable(&own.public, &own.private, &own.server));
    assert!(!usable(&own.server, &own.private, &own.server));
    assert!(!usable(&own.public, &own.private[1..], &own.server));
    assert!(!usable(&own.public, &own.private, &own.server[1..]));
    let mut off = own.server.clone();
    off[90] ^= 1;
    assert!(!usable(&own.public, &own.private, &off));
    assert!(!usable(&own.public, &[], &own.server));
}

#[test]
fn another_server_with_another_key() {
    let other = Manner {
        pairs: Some(Pairs::raw(0x35, CLIENT)),
        ..manner()
    };
    let mut link = good(other);
    link.connect();
    link.settle();
    assert_eq!(link.failed, Some(Misbehaved::Stranger.into()));
    let told = Alert::fatal(AlertDescription::CERTIFICATE_UNKNOWN);
    assert_eq!(link.server.alert, Some(told));
    // It shows the key that it should have, and has not.
    let liar = Manner {
        pairs: Some(Pairs {
            shown: pairs::with_length(&pairs::info(SERVER)),
            ..Pairs::raw(0x35, CLIENT)
        }),
        ..manner()
    };
    let mut link = good(liar);
    link.connect();
    link.settle();
    assert_eq!(link.failed, Some(Misbehaved::Signature.into()));
    assert!(!link.is_open() && !link.server.connected);
}

/// The server expects another, or the private key is not that of the public one.
#[test]
fn a_client_with_another_key() {
    let other = Own {
        public: pairs::info(0x45),
        private: pairs::private(0x45),
        ..own()
    };
    let thief = Own {
        private: pairs::private(0x45),
        ..own()
    };
    for own in [other, thief] {
        let mut link = with(manner(), own, Weather::default(), 1);
        link.connect();
        link.settle();
        assert_eq!(link.failed, Some(HandshakeError::TimedOut));
        assert!(!link.is_open() && !link.server.connected);
    }
    let broken = Own {
        private: vec![1, 2, 3],
        ..own()
    };
    let mut link = with(manner(), broken, Weather::default(), 1);
    link.connect();
    link.settle();
    assert_eq!(link.failed, Some(HandshakeError::Credentials));
}

#[test]
fn a_server_that_misbehaves() {
    type Case = (fn(u8, &mut Vec<u8>), Misbehaved, AlertDescription);
    let cases: &[Case] = &[
        // Its certificate type is left out, or another.
        (
            |kind, body| {
                if kind == 2 {
                    body[39] -= 5;
                    body.truncate(body.len() - 5);
                }
            },
            Misbehaved::CertificateType,
            AlertDescription::UNSUPPORTED_CERTIFICATE,
        ),
        (
            |kind, body| {
                if kind == 2 {
                    *body.last_mut().unwrap() = 0;
                }
            },
            Misbehaved::CertificateType,
            AlertDescription::UNSUPPORTED_CERTIFICATE,
        ),
        // The certificate type twice.
        (
            |kind, body| {
                if kind == 2 {
                    body[39] += 5;
                    body.extend_from_slice(&[0, 20, 0, 1, 2]);
                }
            },
            Misbehaved::Extension(20),
            AlertDescription::UNSUPPORTED_EXTENSION,
        ),
        // A suite with a pre-shared key.
        (
            |kind, body| {
                if kind == 2 {
                    body[36] = 0xa8;
                }
            },
            Misbehaved::Suite(0xc0a8),
            AlertDescription::ILLEGAL_PARAMETER,
        ),
        (
            |kind, body| {
                if kind == 11 {
                    body.push(0);
                }
            },
            Misbehaved::Decode(11),
            AlertDescription::DECODE_ERROR,
        ),
        (
            |kind, body| {
                if kind == 11 {
                    body.resize(600, 0);
                }
            },
            Misbehaved::TooLong(11),
            AlertDescription::DECODE_ERROR,
        ),
        // P-384; a point that is not on the curve, signed as it is; another hash.
        (
            |kind, body| {
                if kind == 12 {
                    body[2] = 24;
                }
            },
            Misbehaved::Curve,
            AlertDescription::ILLEGAL_PARAMETER,
        ),
        (
            |kind, body| {
                if kind == 12 {
                    body[69] = 5;
                }
            },
            Misbehaved::Signature,
            AlertDescription::DECRYPT_ERROR,
        ),
        (
            |kind, body| {
                if kind == 12 {
                    body.pop();
                }
            },
            Misbehaved::Decode(12),
            AlertDescription::DECODE_ERROR,
        ),
        // It takes RSA only.
        (
            |kind, body| {
                if kind == 13 {
                    body[2] = 1;
                }
            },
            Misbehaved::Request,
            AlertDescription::HANDSHAKE_FAILURE,
        ),
        (
            |kind, body| {
                if kind == 13 {
                    body[8] = 1;
                }
            },
            Misbehaved::Request,
            AlertDescription::HANDSHAKE_FAILURE,
        ),
        (
            |kind, body| {
                if kind == 13 {
                    body.pop();
                }
            },
            Misbehaved::Decode(13),
            AlertDescription::DECODE_ERROR,
        ),
        (
            |kind, body| {
                if kind == 14 {
                    body.push(0);
                }
            },
            Misbehaved::OutOfTurn(14),
            AlertDescription::UNEXPECTED_MESSAGE,
        ),
        (
            |kind, body| {
                if kind == 20 {
                    body[11] ^= 0x80;
                }
            },
            Misbehaved::Finished,
            AlertDescription::DECRYPT_ERROR,
        ),
    ];
    for (n, (tamper, error, told)) in cases.iter().enumerate() {
        let mut pairs = Pairs::raw(SERVER, CLIENT);
        if n == 12 {
            pairs.client = None;
            pairs.extensions.drain(..5);
        }
        let manner = Manner {
            tamper: *tamper,
            pairs: Some(pairs),
            ..manner()
        };
        let mut link = good(manner);
        link.connect();
        link.settle();
        assert_eq!(link.failed, Some((*error).into()), "case {n}");
        assert_eq!(link.server.alert, Some(Alert::fatal(*told)), "case {n}");
        assert_eq!(link.client.next_deadline(), None);
        // Another try is a handshake like any other.
        link.server = common::server::Server::new(self::manner(), 2);
        link.connect();
        link.settle();
        assert!(link.is_open());
    }
}

/// It asks for our key without having agreed on its type, which would be another then.
#[test]
fn a_server_that_wants_a_certificate() {
    let mut pairs = Pairs::raw(SERVER, CLIENT);
    pairs.extensions.drain(..5);
    let manner = Manner {
        pairs: Some(pairs),
        ..manner()
    };
    let mut link = good(manner);
    link.connect();
    link.settle();
    assert_eq!(link.failed, Some(Misbehaved::CertificateType.into()));
}

/// A server with a pre-shared key, and one with key pairs for a client with a pre-shared key.
#[test]
fn the_other_kind_of_server() {
    let mut link = good(Manner::plain());
    link.connect();
    link.settle();
    let alert = Alert::fatal(AlertDescription::HANDSHAKE_FAILURE);
    assert_eq!(link.failed, Some(HandshakeError::Refused(alert)));
    let mut link = Link::new(manner(), Offer::DEFAULT, Weather::default(), 1);
    link.connect();
    link.settle();
    assert_eq!(link.failed, Some(HandshakeError::Refused(alert)));
}

/// Any bit of any message in the clear, of either end.
#[test]
fn whichever_bit_is_changed_there_is_no_session() {
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
    static BIT: AtomicUsize = AtomicUsize::new(0);
    /// The bodies of all messages of the handshake in the clear, one after the other.
    fn flip(datagram: &mut [u8]) {
        let mut at = 0;
        while let Some(header) = datagram.get(at..at + 13) {
            let len = usize::from(u16::from_be_bytes([header[11], header[12]]));
            let of_handshake = header[0] == 22 && header[3..5] == [0, 0];
            // A hello without a cookie is in no transcript; the server asks again.
            let kind = datagram.get(at + 13).copied();
            if of_handshake && kind != Some(3) {
                let body = at + 13 + 12;
                for byte in &mut datagram[body..at + 13 + len] {
                    let bit = BIT.load(Relaxed);
                    BIT.store(bit.wrapping_sub(8), Relaxed);
                    if bit < 8 {
                        *byte ^= 1 << bit;
                    }
                }
            }
            at += 13 + len;
        }
    }
    let manner = Manner {
        cookie: Vec::new(),
        cid: None,
        ..manner()
    };
    // Until there are fewer bits than that.
    for (failed, bit) in (0..).step_by(11).enumerate() {
        BIT.store(bit, Relaxed);
        let mut link = good(manner.clone());
        link.between = |_, datagram| flip(datagram);
        link.connect();
        // What is sent again is as it should be, and would be a session.
        while link.failed.is_none() && !link.is_open() && link.sent < 3 && link.step() {}
        if BIT.load(Relaxed) < usize::MAX / 2 {
            assert!(
                link.is_open() && link.server.connected,
                "nothing was changed"
            );
            assert!(failed > 300, "{failed}");
            return;
        }
        assert!(!link.is_open(), "bit {bit}: {:?}", link.failed);
    }
}

/// Networks that lose, double and reorder; networks that change and cut as well.
#[test]
fn bad_weather() {
    for seed in 0..60u64 {
        let changes = seed % 2;
        let weather = Weather {
            loss: seed % 25,
            duplicate: seed % 23,
            delay_ms: [1, 50, 400][seed as usize % 3],
            flip: seed % 9 * changes,
            cut: seed % 7 * changes,
        };
        let manner = Manner {
            aead: ALL[seed as usize % 3],
            fragment: [1000, 200, 90][seed as usize / 2 % 3],
            apart: seed % 4 == 1,
            ..manner()
        };
        let mut link = with(manner, own(), weather, seed);
        link.open_in_the_end(seed);
        link.weather = Weather::default();
        link.settle();
        link.received.clear();
        link.server.received.clear();
        talk(&mut link);
    }
}
