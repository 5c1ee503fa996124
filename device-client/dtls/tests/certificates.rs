//! The client's handshake with certificates, with a server of our own, in virtual time.

mod common;

use common::authority::{AUTHORITY, BELOW, CLIENT, Holder, PLAIN, ROOT, SERVER, Wish, certificate};
use common::link::{Link, Own, Weather};
use common::pairs::{self, Pairs};
use common::server::{Manner, Server};
use tinsmith_dtls::{
    Aead, Alert, AlertDescription, Credentials, Flaw, HandshakeError, MAX_CERTIFICATE, Misbehaved,
    Name, Offer, Trust, Usage,
};

const ALL: &[Aead] = &[Aead::Ccm8, Aead::Ccm, Aead::Gcm];
struct Files {
    root: Vec<u8>,
    below: Vec<u8>,
    server: Vec<u8>,
    client: Vec<u8>,
}

fn files() -> Files {
    Files {
        root: certificate(ROOT, ROOT, &AUTHORITY),
        below: certificate(ROOT, BELOW, &AUTHORITY),
        server: certificate(BELOW, SERVER, &PLAIN),
        client: certificate(ROOT, CLIENT, &PLAIN),
    }
}

impl Files {
    fn manner(&self) -> Manner {
        let shown: [&[u8]; 2] = [&self.server, &self.below];
        let pairs = Pairs::certificates(SERVER.secret, &shown, CLIENT.secret, &self.client);
        Manner {
            pairs: Some(pairs),
            ..Manner::plain()
        }
    }

    fn own(&self, usage: Usage) -> Own {
        let server = match usage {
            Usage::Anchor => &self.root,
            _ => &self.server,
        };
        Own {
            public: self.client.clone(),
            private: pairs::private(CLIENT.secret),
            server: server.clone(),
            usage: Some(usage),
        }
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
    let files = files();
    for usage in [Usage::Issued, Usage::Anchor] {
        for (aead, fragment, extended) in [
            (Aead::Ccm8, 1200, true),
            (Aead::Ccm, 100, false),
            (Aead::Gcm, 7, true),
        ] {
            let manner = Manner {
                aead,
                fragment,
                extended,
                apart: fragment < 1000,
                cookie: vec![7; 255],
                ..files.manner()
            };
            let mut link = with(manner, files.own(usage), Weather::default(), 1);
            link.connect();
            link.settle();
            assert_eq!(link.failed, None, "{usage:?} {aead:?}");
            assert!(link.is_open() && link.server.connected);
            assert_eq!(link.sent, 3);
            talk(&mut link);
        }
    }
}

/// Ours is as long as it may be: the last flight is one datagram of less than 1,152 bytes.
#[test]
fn the_longest_certificate() {
    let files = files();
    let long = |len: usize| {
        let name: &'static str = Box::leak("n".repeat(len).into_boxed_str());
        let dns: &'static [&'static str] = Box::leak(Box::new([name]));
        certificate(ROOT, CLIENT, &Wish { dns, ..PLAIN })
    };
    let all = (200..500).map(long);
    let client = all.take_while(|der| der.len() <= MAX_CERTIFICATE).last();
    let client = client.expect("a certificate");
    assert!(client.len() > MAX_CERTIFICATE - 4);
    let shown: [&[u8]; 2] = [&files.server, &files.below];
    let pairs = Pairs::certificates(SERVER.secret, &shown, CLIENT.secret, &client);
    let manner = Manner {
        pairs: Some(pairs),
        ..files.manner()
    };
    let own = Own {
        public: client.clone(),
        ..files.own(Usage::Anchor)
    };
    let mut link = with(manner, own, Weather::default(), 1);
    link.between = |_, bytes| assert!(bytes.len() < 1152, "{}", bytes.len());
    link.connect();
    link.settle();
    assert!(link.is_open(), "{:?}", link.failed);
    talk(&mut link);
}

#[test]
fn credentials_that_can_be_used() {
    let files = files();
    let usable = |own: &[u8], private: &[u8], certificate: &[u8]| {
        let server = Trust {
            usage: Usage::Issued,
            certificate,
            authorities: &[],
            name: Name::Dns(""),
            now: None,
        };
        Credentials::Certificates {
            own,
            private,
            server,
        }
        .are_usable()
    };
    let private = pairs::private(CLIENT.secret);
    assert!(usable(&files.client, &private, &files.server));
    assert!(!usable(&files.client, &pairs::private(9), &files.server));
    assert!(!usable(&files.client[1..], &private, &files.server));
    assert!(!usable(&files.client, &private, &files.server[1..]));
    assert!(!usable(&files.client, &private, &[]));
    // Usages that need authorities of the device's own.
    for (usage, usable) in [
        (Usage::Anchor, true),
        (Usage::Service, false),
        (Usage::Authority, false),
    ] {
        let server = Trust {
            usage,
            certificate: &files.root,
            authorities: &[],
            name: Name::Dns("server.example"),
            now: None,
        };
        let all = Credentials::Certificates {
            own: &files.client,
            private: &private,
            server,
        };
        assert_eq!(all.are_usable(), usable, "{usage:?}");
    }
}

#[test]
fn who_is_not_believed() {
    let files = files();
    let shown = |shown: &[&[u8]]| {
        let pairs = Pairs::certificates(SERVER.secret, shown, CLIENT.secret, &files.client);
        Manner {
            pairs: Some(pairs),
            ..Manner::plain()
        }
    };
    let other = Holder {
        name: "root",
        secret: 8,
    };
    let foreign = certificate(other, SERVER, &PLAIN);
    let stranger = Holder {
        name: "another",
        ..SERVER
    };
    let renamed = certificate(ROOT, stranger, &PLAIN);
    let clients = certificate(
        ROOT,
        SERVER,
        &Wish {
            purpose: Some(2),
            ..PLAIN
        },
    );
    // The certificate of the server, and not its key.
    let thief = Manner {
        pairs: Some(Pairs {
            secret: 8,
            ..shown(&[&files.server, &files.below]).pairs.expect("pairs")
        }),
        ..Manner::plain()
    };
    let cases = [
        (
            shown(&[&foreign]),
            Usage::Issued,
            Misbehaved::Stranger,
            AlertDescription::CERTIFICATE_UNKNOWN,
        ),
        (
            shown(&[&foreign]),
            Usage::Anchor,
            Misbehaved::Certificate(Flaw::Authority),
            AlertDescription::UNKNOWN_CA,
        ),
        (
            shown(&[&files.server]),
            Usage::Anchor,
            Misbehaved::Certificate(Flaw::Authority),
            AlertDescription::UNKNOWN_CA,
        ),
        (
            shown(&[&renamed]),
            Usage::Anchor,
            Misbehaved::Certificate(Flaw::Name),
            AlertDescription::BAD_CERTIFICATE,
        ),
        (
            shown(&[&clients]),
            Usage::Anchor,
            Misbehaved::Certificate(Flaw::Usage),
            AlertDescription::UNSUPPORTED_CERTIFICATE,
        ),
        (
            shown(&[&files.server[..200]]),
            Usage::Anchor,
            Misbehaved::Certificate(Flaw::Unreadable),
            AlertDescription::BAD_CERTIFICATE,
        ),
        (
            shown(&[]),
            Usage::Issued,
            Misbehaved::Decode(11),
            AlertDescription::DECODE_ERROR,
        ),
        (
            thief.clone(),
            Usage::Issued,
            Misbehaved::Signature,
            AlertDescription::DECRYPT_ERROR,
        ),
        (
            thief,
            Usage::Anchor,
            Misbehaved::Signature,
            AlertDescription::DECRYPT_ERROR,
        ),
    ];
    for (n, (manner, usage, rule, told)) in cases.into_iter().enumerate() {
        let mut link = with(manner, files.own(usage), Weather::default(), 1);
        link.connect();
        link.settle();
        assert_eq!(link.failed, Some(rule.into()), "case {n}");
        assert_eq!(link.server.alert, Some(Alert::fatal(told)), "case {n}");
        assert!(!link.is_open() && !link.server.connected);
        link.server = Server::new(files.manner(), 2);
        link.connect();
        link.settle();
        assert!(link.is_open());
    }
}

/// A raw public key where a certificate was asked for, and the other way round.
#[test]
fn the_other_kind_of_certificate() {
    let files = files();
    let raw = Manner {
        pairs: Some(Pairs::raw(SERVER.secret, CLIENT.secret)),
        ..Manner::plain()
    };
    let mut link = with(raw, files.own(Usage::Issued), Weather::default(), 1);
    link.connect();
    link.settle();
    assert_eq!(link.failed, Some(Misbehaved::Extension(19).into()));
    let raw = Own {
        public: pairs::info(CLIENT.secret),
        private: pairs::private(CLIENT.secret),
        server: pairs::info(SERVER.secret),
        usage: None,
    };
    let mut manner = files.manner();
    if let Some(pairs) = &mut manner.pairs {
        pairs.extensions.clear();
    }
    let mut link = with(manner, raw, Weather::default(), 1);
    link.connect();
    link.settle();
    assert_eq!(link.failed, Some(Misbehaved::CertificateType.into()));
}

#[test]
fn a_client_that_is_not_believed() {
    let files = files();
    let other = certificate(
        ROOT,
        Holder {
            secret: 9,
            ..CLIENT
        },
        &PLAIN,
    );
    for (public, secret) in [(other, 9), (files.client.clone(), 9)] {
        let own = Own {
            public,
            private: pairs::private(secret),
            ..files.own(Usage::Issued)
        };
        let mut link = with(files.manner(), own, Weather::default(), 1);
        link.connect();
        link.settle();
        assert_eq!(link.failed, Some(HandshakeError::TimedOut));
        assert!(!link.server.connected);
    }
}

/// Networks that lose, double, reorder, cut and change.
#[test]
fn bad_weather() {
    let files = files();
    for seed in 0..40u64 {
        let changes = seed % 2;
        let weather = Weather {
            loss: seed % 21,
            duplicate: seed % 23,
            delay_ms: [1, 50, 400][seed as usize % 3],
            flip: seed % 7 * changes,
            cut: seed % 5 * changes,
        };
        let manner = Manner {
            aead: ALL[seed as usize % 3],
            fragment: [1200, 200, 90][seed as usize / 2 % 3],
            apart: seed % 4 == 1,
            ..files.manner()
        };
        let usage = [Usage::Issued, Usage::Anchor][seed as usize / 3 % 2];
        let mut link = with(manner, files.own(usage), weather, seed);
        link.open_in_the_end(seed);
        link.weather = Weather::default();
        link.settle();
        link.received.clear();
        link.server.received.clear();
        talk(&mut link);
    }
}
