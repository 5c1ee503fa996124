//! Our own client with a key pair and the server: raw public keys and certificates.

#[path = "common/authority.rs"]
mod authority;
mod common;

use authority::{DEVICE, Holder, Wish};
use common::{CCM8, Pair, Weather, World, config, offer};
use sha2::{Digest as _, Sha256};
use tinsmith_dtls::{Aead, AlertDescription, Cid, Flaw, HandshakeError, Misbehaved, Usage};
use tinsmith_dtls_server::{Config, Failure, Own};
use tinsmith_peer::Identity;

struct Site {
    root: Holder,
    server: Holder,
    own: Own,
}

impl Site {
    fn new() -> Self {
        Self::of("root")
    }

    fn of(authority: &str) -> Self {
        let root = authority::authority(authority);
        let server = root.issue(Wish {
            common: "server",
            for_servers: true,
            ..DEVICE
        });
        let own = Own::new(&server.key_pem()).expect("a key");
        let own = own
            .with_certificate(&server.pem())
            .expect("its certificate");
        let own = own.with_authorities(&root.pem()).expect("an authority");
        Self { root, server, own }
    }

    fn world(&self, seed: u64) -> World {
        let config = Config {
            own: Some(self.own.clone()),
            ..config()
        };
        World::new(config, seed)
    }

    /// A device with a certificate of the authority.
    fn certified(&self, usage: Usage, common: &str) -> Pair {
        let device = self.root.issue(Wish { common, ..DEVICE });
        let server = match usage {
            Usage::Anchor => &self.root,
            _ => &self.server,
        };
        Pair {
            own: device.certificate.to_der().expect("DER"),
            private: device.key.private_key_to_pkcs8().expect("DER"),
            server: server.certificate.to_der().expect("DER"),
            usage: Some(usage),
        }
    }

    /// A device with a raw public key that the server knows.
    fn raw(&self, world: &World) -> Pair {
        let key = authority::key();
        let own = key.public_key_to_der().expect("DER");
        let digest = Sha256::digest(&own).into();
        world.keys.raw.lock().expect("nobody panics").push(digest);
        Pair {
            own,
            private: key.private_key_to_pkcs8().expect("DER"),
            server: self.own.public_key().expect("DER"),
            usage: None,
        }
    }
}

#[test]
fn each_suite_with_and_without_connection_ids() {
    let site = Site::new();
    for (n, aeads) in [CCM8, &[Aead::Ccm], &[Aead::Gcm]].into_iter().enumerate() {
        for cid in [None, Some(Cid::EMPTY), Cid::new(b"mine").ok()] {
            let mut world = site.world(n as u64 + 1);
            let mut pairs = vec![
                site.certified(Usage::Issued, "device 1"),
                site.certified(Usage::Anchor, "device 1"),
            ];
            if cfg!(feature = "vendored") {
                pairs.push(site.raw(&world));
            }
            for pair in pairs {
                let expected = match pair.usage {
                    Some(_) => Identity::Certificate("device 1".to_owned()),
                    None => Identity::RawKey(Sha256::digest(&pair.own).into()),
                };
                world.heard.clear();
                let device = world.device_with(b"", Some(pair), offer(aeads, cid));
                world.until("a handshake", |world| {
                    let failed = world.devices[device].failed;
                    assert_eq!(failed, None);
                    world.is_open(device)
                });
                world.say(device, b"hello");
                world.until("data", |world| !world.heard.is_empty());
                let (peer, said) = world.heard[0].clone();
                assert_eq!(world.proved.pop().as_deref(), Some(&expected));
                assert_eq!(said, b"hello");
                let association = world.devices[device].client.association().expect("open");
                assert_eq!(association.aead(), aeads[0]);
                world.answer(peer.association, b"welcome");
                world.until("an answer", |w| !w.devices[device].received.is_empty());
            }
        }
    }
}

#[test]
fn who_is_not_believed() {
    let site = Site::new();
    let other = Site::of("other");
    let mut world = site.world(4);
    // The server is another: by its certificate, by who is above it.
    for (usage, rule) in [
        (Usage::Issued, Misbehaved::Stranger),
        (Usage::Anchor, Misbehaved::Certificate(Flaw::Authority)),
    ] {
        let pair = other.certified(usage, "device 1");
        let device = world.device_with(b"", Some(pair), offer(CCM8, None));
        world.until("a failure", |w| w.devices[device].failed.is_some());
        assert_eq!(world.devices[device].failed, Some(rule.into()));
    }
    // The device is: its authority, its name, its key.
    let strange = Pair {
        server: site.server.certificate.to_der().expect("DER"),
        ..other.certified(Usage::Issued, "device 1")
    };
    let thief = Pair {
        private: authority::key().private_key_to_pkcs8().expect("DER"),
        ..site.certified(Usage::Issued, "device 1")
    };
    for (pair, told) in [
        (strange, AlertDescription::UNKNOWN_CA),
        (
            site.certified(Usage::Issued, "nobody"),
            AlertDescription::CERTIFICATE_UNKNOWN,
        ),
        (thief, AlertDescription::DECRYPT_ERROR),
    ] {
        world.failures.clear();
        let device = world.device_with(b"", Some(pair), offer(CCM8, None));
        // Alerts of the devices before may come as well.
        let here =
            |failure: &Failure| matches!(failure, Failure::NotBelieved(_) | Failure::Refused(_));
        world.until("a failure", |w| {
            w.devices[device].failed.is_some() && w.failures.iter().any(here)
        });
        let failed = world.devices[device].failed;
        assert!(
            matches!(failed, Some(HandshakeError::Refused(alert)) if alert.description == told),
            "{failed:?}"
        );
    }
    assert!(world.heard.is_empty());
}

/// Networks that lose, double and reorder, with a server whose flight is in fragments.
#[test]
fn bad_weather() {
    let site = Site::new();
    let mut world = site.world(9);
    world.weather = Weather {
        loss: 12,
        duplicate: 10,
        delay_ms: 20,
        ..Weather::default()
    };
    for n in 0..24u8 {
        let aeads: &[Aead] = [CCM8, &[Aead::Ccm], &[Aead::Gcm]][usize::from(n % 3)];
        let pair = match n % 4 {
            0 | 1 if cfg!(feature = "vendored") => site.raw(&world),
            2 => site.certified(Usage::Anchor, &format!("device {n}")),
            _ => site.certified(Usage::Issued, &format!("device {n}")),
        };
        let cid = (n % 2 == 0).then_some(Cid::EMPTY);
        world.device_with(&[n], Some(pair), offer(aeads, cid));
    }
    let all = 0..24;
    let start = std::time::Instant::now();
    while !all.clone().all(|device| world.is_open(device)) {
        world.step();
        for device in all.clone() {
            if world.devices[device].failed.is_some() {
                world.connect(device);
            }
        }
        assert!(start.elapsed().as_secs() < 120, "they never connect");
    }
    world.weather = common::CALM;
    world.settle();
    for device in all {
        world.heard.clear();
        world.say(device, b"hello");
        world.until("data", |world| !world.heard.is_empty());
    }
}
