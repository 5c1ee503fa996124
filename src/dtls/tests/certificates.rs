//! Certificates: OpenSSL's client with the server.

#[path = "common/certified.rs"]
mod certified;

use certified::authority::{self, DEVICE, Holder, Wish};
use certified::{Client, SUITES, Scene, Shown, World, config, named};
use tinsmith_dtls_server::{Config, Failure, Own, authority_digest};
use tinsmith_peer::{Certified, Identity};

#[test]
fn each_suite_and_what_is_left_of_a_handshake() {
    let scene = Scene::new();
    let device = scene.root.issue(DEVICE);
    for suites in SUITES {
        let mut world = World::new(config(scene.own()));
        let client = world.connected(&Shown {
            suites,
            asks_for: Some("any.name"),
            ..scene.shown(&device)
        });
        let (peer, identity, data) = world.heard[0].clone();
        assert_eq!((&identity, &data[..]), (&named("device 1"), &b"hello"[..]));
        // OpenSSL has nothing to do with it any more.
        assert_eq!(world.server.load(), (0, 1), "{suites}");
        world
            .server
            .send(peer.association, b"welcome")
            .expect("it is there");
        world.until("an answer", |world| !world.clients[client].heard.is_empty());
        assert_eq!(world.clients[client].heard, [b"welcome"]);

        // It goes on after a restart.
        let (number, record) = world.kept.last().cloned().expect("it is kept");
        assert!(record.len() <= 200, "{}", record.len());
        let again = World::new(config(scene.own()));
        world.server = again.server;
        world
            .server
            .restore(0, number, &record, None)
            .expect("it can be read");
        world.clients[client].say(b"still me");
        world.until("its data", |world| world.heard.len() == 2);
        assert_eq!(world.heard[1], (peer, identity, b"still me".to_vec()));
    }
}

#[test]
fn names_and_authorities_between() {
    let scene = Scene::new();
    let between = scene.root.issue(Wish {
        common: "between",
        is_authority: true,
        ..DEVICE
    });
    let mut world = World::new(config(scene.own()));
    for (common, other, name) in [
        ("device a", ["", ""], "device a"),
        ("serial 77", ["device.b", ""], "device.b"),
        ("", ["other", "device:c"], "device:c"),
    ] {
        let device = between.issue(Wish {
            common,
            other,
            ..DEVICE
        });
        world.connected(&Shown {
            between: &[&between],
            ..scene.shown(&device)
        });
        assert_eq!(world.heard.last().expect("one").1, named(name));
    }
    // Whoever has a certificate of its own, and nobody above, may be believed as well.
    let own = authority::authority("device alone");
    let config = config(scene.own().with_authorities(&own.pem()).expect("one"));
    World::new(config).connected(&scene.shown(&own));
}

#[test]
fn who_is_not_believed() {
    let scene = Scene::new();
    let mut world = World::new(config(scene.own()));
    let between = scene.root.issue(Wish {
        common: "between",
        is_authority: true,
        ..DEVICE
    });
    let foreign = authority::authority("another root");
    let forged = authority::authority("root");
    let no_authority = scene.root.issue(DEVICE);
    let expired = Wish { days: -1, ..DEVICE };
    let for_servers = Wish {
        for_servers: true,
        ..DEVICE
    };
    let stranger = Wish {
        common: "stranger",
        ..DEVICE
    };
    for (what, holder, chain, why, alert) in [
        (
            "expired",
            scene.root.issue(expired),
            None,
            "expired",
            "certificate expired",
        ),
        ("foreign", foreign.issue(DEVICE), None, "", "unknown ca"),
        ("forged", forged.issue(DEVICE), None, "", "decrypt error"),
        (
            "alone",
            authority::authority("device 1"),
            None,
            "self",
            "unknown ca",
        ),
        (
            "chain-less",
            between.issue(DEVICE),
            None,
            "issuer",
            "unknown ca",
        ),
        (
            "no authority",
            no_authority.issue(DEVICE),
            Some(&no_authority),
            "",
            "",
        ),
        (
            "for servers",
            scene.root.issue(for_servers),
            None,
            "purpose",
            "unsupported certificate",
        ),
        (
            "no name",
            scene.root.issue(stranger),
            None,
            "nobody",
            "certificate unknown",
        ),
    ] {
        let chain: Vec<&Holder> = chain.into_iter().collect();
        let (failure, said) = world.refused(&Shown {
            between: &chain,
            ..scene.shown(&holder)
        });
        let Failure::NotBelieved(reason) = &failure else {
            panic!("{what}: {failure:?}")
        };
        assert!(reason.contains(why), "{what}: {reason}");
        assert!(said.contains(alert), "{what}: {said}");
    }
    let (failure, said) = world.refused(&Shown {
        holder: None,
        ..scene.shown(&foreign)
    });
    assert!(matches!(failure, Failure::Refused(_)), "{failure:?}");
    assert!(said.contains("handshake failure"), "{said}");
    assert_eq!(world.heard, []);
    // Others are not kept out by that.
    let device = scene.root.issue(DEVICE);
    world.connected(&scene.shown(&device));
}

/// A server without a certificate has none to show, and one without authorities believes none.
#[test]
fn servers_without() {
    let scene = Scene::new();
    let device = scene.root.issue(DEVICE);
    let key = scene.server.key_pem();
    let mut world = World::new(config(Own::new(&key).expect("a key")));
    let (failure, said) = world.refused(&scene.shown(&device));
    assert!(matches!(failure, Failure::Refused(_)), "{failure:?}");
    assert!(said.contains("handshake failure"), "{said}");
    let own = Own::new(&key).expect("a key");
    let own = own.with_certificate(&scene.server.pem()).expect("its own");
    let (failure, said) = World::new(config(own)).refused(&scene.shown(&device));
    assert!(matches!(failure, Failure::NotBelieved(_)), "{failure:?}");
    assert!(said.contains("unknown ca"), "{said}");
}

#[test]
fn what_can_not_be_shown() {
    let scene = Scene::new();
    let key = scene.server.key_pem();
    for wrong in [&b""[..], b"key", &key[..key.len() / 2], &scene.server.pem()] {
        assert!(Own::new(wrong).is_err());
    }
    let own = Own::new(&key).expect("a key");
    for wrong in [&b""[..], &key, &scene.root.pem()] {
        assert!(own.clone().with_certificate(wrong).is_err());
    }
    assert!(own.clone().with_authorities(b"").is_err());
    assert!(!format!("{own:?}").contains("PRIVATE"));
    assert_eq!(own.public_key().expect("a key").len(), 91);
    let made = Own::generate().expect("a key");
    assert!(Own::new(&made).is_ok());
}

/// Flights of certificates are longer than what is sent at once here.
#[test]
fn small_datagrams() {
    let scene = Scene::new();
    let device = scene.root.issue(DEVICE);
    let mut world = World::new(Config {
        mtu: 300,
        ..config(scene.own())
    });
    world.connected(&Shown {
        mtu: 300,
        ..scene.shown(&device)
    });
    assert!(world.longest <= 300, "{}", world.longest);
}

#[test]
fn networks_that_lose_double_and_reorder() {
    let scene = Scene::new();
    let mut world = World::new(Config {
        mtu: 400,
        ..config(scene.own())
    });
    world.weather = [3, 10, 20];
    for n in 0..16u16 {
        let name = format!("device {n}");
        let device = scene.root.issue(Wish {
            common: &name,
            ..DEVICE
        });
        let shown = Shown {
            suites: SUITES[usize::from(n) % 3],
            mtu: 400,
            ..scene.shown(&device)
        };
        world.clients.push(Client::new(&shown, 1000 + n));
    }
    world.until("all handshakes", |world| {
        world.clients.iter().all(|client| client.is_connected)
    });
    let mut round = 0u8;
    while world.server.load() != (0, 16) {
        for client in 0..16 {
            world.clients[client].say(&[client as u8, round]);
        }
        world.turn();
        round += 1;
        assert!(round < 100, "somebody is never heard");
    }
    let mut heard: Vec<_> = world
        .heard
        .iter()
        .map(|(_, _, data)| data.clone())
        .collect();
    for (peer, identity, data) in &world.heard {
        assert_eq!(peer.address.port(), 1000 + u16::from(data[0]));
        assert_eq!(*identity, named(&format!("device {}", data[0])));
    }
    let all = heard.len();
    heard.sort();
    heard.dedup();
    assert_eq!(heard.len(), all, "something was heard twice");
}

/// Two authorities are believed, and one of them may name devices.
#[test]
fn names_of_one_authority() {
    let scene = Scene::new();
    let other = authority::authority("another");
    let between = scene.root.issue(Wish {
        common: "between",
        is_authority: true,
        ..DEVICE
    });
    let pem = [scene.root.pem(), other.pem()].concat();
    let own = scene.own().with_authorities(&pem).expect("two");
    let known = own.authorities();
    let subjects: Vec<_> = known.iter().map(|one| &*one.subject).collect();
    assert_eq!(subjects, ["CN=root", "CN=another"]);
    assert_eq!(authority_digest(&other.pem()), Some(known[1].digest));
    let mut world = World::new(config(own));
    let set = |world: &World, digest| {
        *world.names.only.lock().expect("nobody panics with it") = digest;
    };
    let between_digest = authority_digest(&between.pem()).expect("it has a key");
    for (authority, by_root, by_between, by_other) in [
        (known[0].digest, true, true, false),
        (between_digest, false, true, false),
        (known[1].digest, false, false, true),
    ] {
        set(&world, Some(authority));
        for (holder, chain, comes_in) in [
            (scene.root.issue(DEVICE), None, by_root),
            (between.issue(DEVICE), Some(&between), by_between),
            (other.issue(DEVICE), None, by_other),
        ] {
            let chain: Vec<&Holder> = chain.into_iter().collect();
            let shown = Shown {
                between: &chain,
                ..scene.shown(&holder)
            };
            if !comes_in {
                let (_, said) = world.refused(&shown);
                assert!(said.contains("certificate unknown"), "{said}");
                continue;
            }
            world.connected(&shown);
            let (_, identity, _) = world.heard.last().expect("one");
            let certified = Certified {
                authority,
                name: "device 1".to_owned(),
            };
            assert_eq!(*identity, Identity::Certified(Box::new(certified)));
        }
    }
    // It goes on after a restart, as long as the authority may say so.
    let (number, record) = world.kept.last().cloned().expect("it is kept");
    let load = |world: &mut World| {
        world.turn();
        world.server.load().1
    };
    // The same name of each of them is another one.
    assert_eq!(load(&mut world), 3);
    world.server.revoke_unknown();
    assert_eq!(load(&mut world), 1);
    set(&world, Some(known[0].digest));
    world.server.revoke_unknown();
    assert_eq!(load(&mut world), 0);
    let restored = world.server.restore(0, number, &record, None);
    assert_eq!((restored, load(&mut world)), (Ok(()), 0));
    set(&world, Some(known[1].digest));
    let restored = world.server.restore(0, number, &record, None);
    assert_eq!((restored, load(&mut world)), (Ok(()), 1));
}

#[test]
fn names_that_are_taken_away() {
    let scene = Scene::new();
    let device = scene.root.issue(DEVICE);
    let mut world = World::new(config(scene.own()));
    let client = world.connected(&scene.shown(&device));
    world.server.revoke_unknown();
    world.turn();
    assert_eq!(world.gone, [], "it is still known");
    *world.names.gone.lock().expect("nobody panics with it") = true;
    world.server.revoke_unknown();
    world.until("the alert", |world| world.clients[client].failed.is_some());
    assert_eq!(world.gone.len(), 1);
    assert!(world.kept.is_empty());
    let said = world.clients[client].failed.clone().expect("it failed");
    assert!(said.contains("access denied"), "{said}");
    world.refused(&scene.shown(&device));
}

/// A second handshake of the same name takes the place of the first.
#[test]
fn a_name_has_one_association() {
    let scene = Scene::new();
    let device = scene.root.issue(DEVICE);
    let mut world = World::new(config(scene.own()));
    world.connected(&scene.shown(&device));
    world.connected(&scene.shown(&device));
    assert_eq!(world.server.load(), (0, 1));
    assert_eq!(world.gone, [world.heard[0].0]);
}
