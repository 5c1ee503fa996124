//! The client's handshake with a server of our own, in virtual time.

mod common;

use common::link::{Link, Weather};
use common::server::Manner;
use tinsmith_dtls::{
    Aead, Alert, AlertDescription, Association, Cid, ContentType, HandshakeError, MAX_CID,
    Misbehaved, Offer,
};

const ALL: &[Aead] = &[Aead::Ccm8, Aead::Ccm, Aead::Gcm];

fn offer() -> Offer {
    Offer {
        aeads: ALL,
        ..Offer::DEFAULT
    }
}

fn good(manner: Manner, offer: Offer) -> Link {
    Link::new(manner, offer, Weather::default(), 1)
}

/// Data in both directions.
fn talk(link: &mut Link) {
    link.say(b"question");
    link.settle();
    assert_eq!(
        link.server.received.pop().as_deref(),
        Some(&b"question"[..])
    );
    link.answer(b"reply");
    link.settle();
    assert_eq!(link.received.pop().as_deref(), Some(&b"reply"[..]));
}

#[test]
fn every_kind_of_server() {
    let longest = [&[7; 128][..]].concat();
    let mut met = 0;
    for aead in ALL {
        for cid in [None, Some(0), Some(1), Some(8), Some(MAX_CID)] {
            for (cookie, hint) in [(0, None), (20, Some(0)), (255, Some(128))] {
                for (extended, fragment, apart) in
                    [(true, 1000, false), (false, 1000, true), (true, 1, true)]
                {
                    let manner = Manner {
                        aead: *aead,
                        cid: cid.map(|len| Cid::new(&longest[..len]).unwrap()),
                        cookie: vec![9; cookie],
                        hint: hint.map(|len| longest[..len].to_vec()),
                        extended,
                        fragment,
                        apart,
                        ..Manner::plain()
                    };
                    let mut link = good(manner, offer());
                    link.connect();
                    link.settle();
                    assert_eq!(link.failed, None);
                    assert!(link.is_open() && link.server.connected);
                    let flights = 2 + usize::from(cookie > 0);
                    assert_eq!(link.sent, flights, "nothing was sent twice");
                    let association = link.client.association().unwrap();
                    assert_eq!(association.aead(), *aead);
                    assert_eq!(association.peer_cid().len(), cid.unwrap_or(0));
                    talk(&mut link);
                    met += 1;
                }
            }
        }
    }
    assert_eq!(met, 3 * 5 * 3 * 3);
}

#[test]
fn connection_ids_of_ours() {
    for own in [None, Some(0), Some(1), Some(MAX_CID)] {
        for server in [None, Some(0), Some(4)] {
            let offer = Offer {
                cid: own.map(|len| common::cid(len, 0x70)),
                ..Offer::DEFAULT
            };
            let manner = Manner {
                cid: server.map(|len| common::cid(len, 1)),
                ..Manner::plain()
            };
            let mut link = good(manner, offer);
            link.connect();
            link.settle();
            let association = link.client.association().unwrap();
            let agreed = own.and(server).is_some();
            let expected = [own, server].map(|len| len.filter(|_| agreed).unwrap_or(0));
            let found = [association.own_cid().len(), association.peer_cid().len()];
            assert_eq!(found, expected, "{own:?} {server:?}");
            talk(&mut link);
        }
    }
}

#[test]
fn longest_and_shortest_credentials() {
    for (identity, key) in [(0, 1), (1, 16), (128, 64)] {
        let manner = Manner {
            identity: vec![b'i'; identity],
            key: vec![0; key],
            ..Manner::plain()
        };
        let mut link = good(manner, offer());
        link.connect();
        link.settle();
        assert!(link.is_open(), "{identity} {key}");
    }
    for (identity, key) in [(1, 0), (1, 65), (1000, 16)] {
        let mut link = good(Manner::plain(), offer());
        (link.identity, link.key) = (vec![b'i'; identity], vec![1; key]);
        link.connect();
        link.settle();
        assert_eq!(link.failed, Some(HandshakeError::Credentials));
        let told = Alert::fatal(AlertDescription::INTERNAL_ERROR);
        assert_eq!(link.server.alert, Some(told));
        assert_eq!(link.client.next_deadline(), None);
    }
}

#[test]
fn a_server_with_another_key_or_without_our_identity() {
    for (identity, key) in [
        (&b"device-1"[..], &b"another"[..]),
        (b"stranger", b"0123456789abcdef"),
    ] {
        let mut link = good(Manner::plain(), offer());
        (link.identity, link.key) = (identity.to_vec(), key.to_vec());
        link.connect();
        link.settle();
        assert_eq!(link.failed, Some(HandshakeError::TimedOut));
        assert!(!link.is_open() && !link.server.connected);
        // One hello for the cookie, one with it, the last flight and its five repetitions.
        assert_eq!(link.sent, 2 + 6);
    }
}

#[test]
fn nobody_there() {
    let dark = Weather {
        loss: 100,
        ..Weather::default()
    };
    let mut link = Link::new(Manner::plain(), offer(), dark, 1);
    let start = link.now;
    link.connect();
    link.settle();
    assert_eq!(link.failed, Some(HandshakeError::TimedOut));
    assert_eq!((link.now - start, link.sent), (63_000, 6));
    assert_eq!(link.client.next_deadline(), None);
}

#[test]
fn a_server_that_misbehaves() {
    type Case = (fn(u8, &mut Vec<u8>), HandshakeError, AlertDescription);
    let cases: &[Case] = &[
        (
            |kind, body| {
                if kind == 2 {
                    body[1] = 0xff;
                }
            },
            Misbehaved::Version([0xfe, 0xff]).into(),
            AlertDescription::PROTOCOL_VERSION,
        ),
        (
            |kind, body| {
                if kind == 2 {
                    body[36] = 0xa9;
                }
            },
            Misbehaved::Suite(0xc0a9).into(),
            AlertDescription::ILLEGAL_PARAMETER,
        ),
        (
            |kind, body| {
                if kind == 2 {
                    body[37] = 1;
                }
            },
            Misbehaved::Compression.into(),
            AlertDescription::ILLEGAL_PARAMETER,
        ),
        (
            |kind, body| {
                if kind == 2 {
                    body.truncate(40);
                }
            },
            Misbehaved::Decode(2).into(),
            AlertDescription::DECODE_ERROR,
        ),
        (
            |kind, body| {
                if kind == 2 {
                    body.push(0);
                }
            },
            Misbehaved::Decode(2).into(),
            AlertDescription::DECODE_ERROR,
        ),
        // Heartbeat, which nobody asked for.
        (
            |kind, body| {
                if kind == 2 {
                    body[39] += 5;
                    body.extend_from_slice(&[0, 15, 0, 1, 1]);
                }
            },
            Misbehaved::Extension(15).into(),
            AlertDescription::UNSUPPORTED_EXTENSION,
        ),
        // The extended master secret twice.
        (
            |kind, body| {
                if kind == 2 {
                    body[39] += 4;
                    body.extend_from_slice(&[0, 23, 0, 0]);
                }
            },
            Misbehaved::Extension(23).into(),
            AlertDescription::UNSUPPORTED_EXTENSION,
        ),
        (
            |kind, body| {
                if kind == 3 {
                    body.push(0);
                }
            },
            Misbehaved::Decode(3).into(),
            AlertDescription::DECODE_ERROR,
        ),
        (
            |kind, body| {
                if kind == 14 {
                    body.push(0);
                }
            },
            Misbehaved::Decode(14).into(),
            AlertDescription::DECODE_ERROR,
        ),
        (
            |kind, body| {
                if kind == 12 {
                    body.pop();
                }
            },
            Misbehaved::Decode(12).into(),
            AlertDescription::DECODE_ERROR,
        ),
        (
            |kind, body| {
                if kind == 12 {
                    body.resize(300, 0);
                }
            },
            Misbehaved::TooLong(12).into(),
            AlertDescription::DECODE_ERROR,
        ),
    ];
    for (tamper, error, told) in cases {
        let manner = Manner {
            tamper: *tamper,
            hint: Some(b"hint".to_vec()),
            ..Manner::plain()
        };
        let mut link = good(manner, offer());
        link.connect();
        link.settle();
        assert_eq!(link.failed, Some(*error));
        assert_eq!(link.server.alert, Some(Alert::fatal(*told)), "{error}");
        assert_eq!(link.client.next_deadline(), None);
        // Another try is a handshake like any other.
        link.server = common::server::Server::new(Manner::plain(), 2);
        link.connect();
        link.settle();
        assert!(link.is_open());
    }
}

#[test]
fn a_server_that_does_not_prove_its_key() {
    for tamper in [
        (|kind, body| {
            if kind == 20 {
                body[11] ^= 0x80;
            }
        }) as fn(u8, &mut Vec<u8>),
        |kind, body| {
            if kind == 20 {
                body.truncate(0);
            }
        },
    ] {
        let manner = Manner {
            tamper,
            ..Manner::plain()
        };
        let mut link = good(manner, offer());
        link.connect();
        link.settle();
        assert_eq!(link.failed, Some(Misbehaved::Finished.into()));
        let told = Alert::fatal(AlertDescription::DECRYPT_ERROR);
        assert_eq!(link.server.alert, Some(told));
        assert!(!link.is_open());
    }
}

/// Somebody between can't have both ends agree on less than they would: here on no Connection ID,
/// on no extended master secret, on another suite.
#[test]
fn nobody_changes_the_hellos_unnoticed() {
    /// Overwrites one extension's type by one that nobody knows.
    fn hide(bytes: &mut [u8], extension: &[u8]) {
        if let Some(at) = bytes.windows(extension.len()).position(|w| w == extension) {
            bytes[at..at + 2].copy_from_slice(&[0x7a, 0x7a]);
        }
    }
    let cases: [fn(bool, &mut Vec<u8>); 4] = [
        |to_server, bytes| {
            if to_server {
                hide(bytes, &[0, 54, 0, 1, 0]);
            }
        },
        |to_server, bytes| {
            if to_server {
                hide(bytes, &[0, 23, 0, 0]);
            }
        },
        |to_server, bytes| {
            if to_server && let Some(at) = bytes.windows(2).position(|w| w == [0xc0, 0xa8]) {
                bytes[at + 1] = 0xa4;
            }
        },
        // The server's random.
        |to_server, bytes| {
            if !to_server && bytes.get(13) == Some(&2) {
                bytes[30] ^= 1;
            }
        },
    ];
    for (n, between) in cases.into_iter().enumerate() {
        let mut link = good(Manner::plain(), offer());
        link.between = between;
        link.connect();
        link.settle();
        assert!(link.failed.is_some(), "case {n}");
        assert!(!link.is_open() && !link.server.connected, "case {n}");
    }
}

#[test]
fn a_connection_id_that_is_too_long() {
    let manner = Manner {
        tamper: |kind, body| {
            if kind == 2 {
                let long = MAX_CID as u8 + 1;
                body.truncate(40);
                body[39] = 5 + long;
                body.extend_from_slice(&[0, 54, 0, 1 + long, long]);
                body.extend_from_slice(&[1; MAX_CID + 1]);
            }
        },
        ..Manner::plain()
    };
    let mut link = good(manner, offer());
    link.connect();
    link.settle();
    assert_eq!(link.failed, Some(HandshakeError::CidTooLong));
}

#[test]
fn a_server_that_refuses() {
    let manner = Manner {
        aead: Aead::Gcm,
        ..Manner::plain()
    };
    let mut link = good(manner, Offer::DEFAULT);
    link.connect();
    link.settle();
    let alert = Alert::fatal(AlertDescription::HANDSHAKE_FAILURE);
    assert_eq!(link.failed, Some(HandshakeError::Refused(alert)));
    // It is not answered by another alert.
    assert_eq!((link.sent, link.server.alert), (2, None));
}

#[test]
fn cookies_without_end() {
    let mut link = good(Manner::plain(), offer());
    link.connect();
    for n in 0..4u8 {
        assert_eq!(link.failed, None);
        let body = [22, 0xfe, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 16];
        let message = [3, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 4, 0xfe, 0xff, 1, n];
        link.deliver([&body[..], &message].concat());
    }
    assert_eq!(link.failed, Some(Misbehaved::Cookies.into()));
}

#[test]
fn closing() {
    let mut link = good(Manner::plain(), offer());
    link.connect();
    link.settle();
    link.client.close();
    assert!(link.client.association().is_none());
    link.poll();
    link.settle();
    assert_eq!(link.server.alert, Some(Alert::CLOSE_NOTIFY));
    // The server's turn, after another handshake.
    for (description, answered) in [
        (AlertDescription::CLOSE_NOTIFY, Some(Alert::CLOSE_NOTIFY)),
        (AlertDescription::INTERNAL_ERROR, None),
    ] {
        let mut link = good(Manner::plain(), offer());
        link.connect();
        link.settle();
        let alert = Alert::fatal(description);
        let record = link.server.send_alert(description);
        link.send(false, &record);
        link.settle();
        assert_eq!(link.closed, Some(alert));
        assert_eq!(link.server.alert, answered);
        assert!(!link.is_open());
    }
}

#[test]
fn renegotiation_is_refused_and_the_session_goes_on() {
    let mut link = good(Manner::plain(), offer());
    link.connect();
    link.settle();
    let hello_request = [0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0];
    let record = link.server.seal(ContentType::Handshake, &hello_request);
    link.send(false, &record);
    link.settle();
    let refused = Alert::warning(AlertDescription::NO_RENEGOTIATION);
    assert_eq!(link.server.alert, Some(refused));
    talk(&mut link);
}

#[test]
fn alerts_of_strangers_end_no_session() {
    let mut link = good(Manner::plain(), offer());
    link.connect();
    link.settle();
    let forged = link.server.clear_record(21, &[2, 40]);
    link.deliver(forged);
    talk(&mut link);
}

/// A device sleeps or is reset: the session goes on without a handshake, from another address for
/// all that DTLS knows.
#[test]
fn a_session_that_is_kept_over_a_reset() {
    let mut link = good(Manner::plain(), offer());
    link.connect();
    link.settle();
    talk(&mut link);
    let mut kept = [0; 200];
    for round in 0..3 {
        let association = link.client.association_mut().unwrap();
        let mark = association.reserve(50);
        let len = association.encode(&mut kept).unwrap();
        association.confirm_reserved(mark);
        link.say(b"before the reset");
        link.client = tinsmith_dtls::Client::new();
        let association = Association::decode(&kept[..len]).unwrap();
        link.client.resume(association);
        let association = link.client.association_mut().unwrap();
        assert_eq!(association.numbers_left(), 0);
        let mark = association.reserve(50);
        association.confirm_reserved(mark);
        link.settle();
        link.server.received.clear();
        talk(&mut link);
        assert_eq!(link.server.handshakes, 1, "round {round}");
    }
}
