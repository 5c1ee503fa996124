//! What the server shows and believes while it runs: several certificates, revocation lists, new ones
//! of each.

#[path = "common/certified.rs"]
mod certified;

use certified::authority::{self, DEVICE, Holder, Wish};
use certified::{Client, Scene, Shown, World, config, named};
use openssl::nid::Nid;
use openssl::x509::X509Crl;
use tinsmith_dtls_server::{Failure, Own, OwnError};

fn pem(list: &[u8]) -> Vec<u8> {
    let list = X509Crl::from_der(list).expect("it is one");
    list.to_pem().expect("it can be written")
}

fn between(scene: &Scene) -> Holder {
    scene.root.issue(Wish {
        common: "between",
        is_authority: true,
        ..DEVICE
    })
}

/// Why a client is not let in whose certificate was revoked.
fn assert_revoked(world: &mut World, shown: &Shown<'_>) {
    let (failure, said) = world.refused(shown);
    assert!(said.contains("certificate revoked"), "{said}");
    let Failure::NotBelieved(why) = &failure else {
        panic!("{failure:?}")
    };
    assert!(why.contains("revoked"), "{why}");
}

#[test]
fn what_is_revoked_does_not_come_in() {
    let scene = Scene::new();
    let between = between(&scene);
    let good = scene.root.issue(DEVICE);
    let bad = scene.root.issue(DEVICE);
    let below = between.issue(DEVICE);
    for (is_old, is_pem) in [(false, false), (false, true), (true, true)] {
        let list = scene.root.revokes(&[&bad, &between], is_old);
        // The second one changes nothing.
        let list = match is_pem {
            false => list,
            true => [pem(&list), pem(&scene.root.revokes(&[], false))].concat(),
        };
        let own = scene.own().with_revocations(&list).expect("a list");
        // An old list is told, and counts.
        assert_eq!(own.old().len(), usize::from(is_old), "{:?}", own.old());
        let mut world = World::new(config(own));
        assert_revoked(&mut world, &scene.shown(&bad));
        let chain = [&between];
        assert_revoked(
            &mut world,
            &Shown {
                between: &chain,
                ..scene.shown(&below)
            },
        );
        world.connected(&scene.shown(&good));
    }
}

/// It is believed by itself, until the one above it says otherwise.
#[test]
fn an_authority_between_that_is_revoked_is_believed_no_more() {
    let scene = Scene::new();
    let between = between(&scene);
    let both = [scene.root.pem(), between.pem()].concat();
    let device = between.issue(DEVICE);
    let own = scene.own().with_authorities(&both).expect("two");
    let chain = [&between];
    let shown = Shown {
        between: &chain,
        ..scene.shown(&device)
    };
    let mut world = World::new(config(own.clone()));
    world.connected(&shown);
    let own = own.with_revocations(&scene.root.revokes(&[&between], false));
    let own = own.expect("a list");
    assert_eq!(own.authorities().len(), 1);
    // Its own list can still be read.
    let own = own.with_revocations(&between.revokes(&[], false));
    world
        .server
        .renew(own.expect("a list"))
        .expect("OpenSSL works");
    assert_eq!(world.server.load(), (0, 0));
    world.turn();
    assert_revoked(&mut world, &shown);
}

#[test]
fn lists_of_others_revoke_nothing() {
    let scene = Scene::new();
    let device = scene.root.issue(DEVICE);
    let foreign = authority::authority("another");
    let forged = authority::authority("root");
    for holder in [&foreign, &forged] {
        let list = holder.revokes(&[&device], false);
        let refused = scene.own().with_revocations(&list);
        let Err(OwnError::Unsigned(issuer)) = refused else {
            panic!("{refused:?}")
        };
        assert!(issuer.starts_with("CN="), "{issuer}");
    }
    let list = scene.root.revokes(&[&device], false);
    for wrong in [
        &b""[..],
        b"list",
        &list[..list.len() / 2],
        &scene.root.pem(),
    ] {
        let refused = scene.own().with_revocations(wrong);
        assert!(matches!(refused, Err(OwnError::Revocations)), "{refused:?}");
    }
    let half = &pem(&list)[..100];
    assert!(scene.own().with_revocations(half).is_err());
    // Another that is believed, and has the same name, can't revoke it.
    let both = [scene.root.pem(), forged.pem()].concat();
    let own = scene.own().with_authorities(&both).expect("two");
    let own = own.with_revocations(&forged.revokes(&[&device], false));
    World::new(config(own.expect("it is signed"))).connected(&scene.shown(&device));
}

#[test]
fn a_new_list_ends_what_was_begun() {
    let scene = Scene::new();
    let issue = |common| scene.root.issue(Wish { common, ..DEVICE });
    let [bad, good, late] = ["device 1", "device 2", "device 3"].map(issue);
    let mut world = World::new(config(scene.own()));
    let client = world.connected(&scene.shown(&bad));
    let (number, record) = world.kept.last().cloned().expect("it is kept");
    let other = world.connected(&scene.shown(&good));
    // One that has not said anything yet.
    world.clients.push(Client::new(&scene.shown(&late), 7));
    world.until("a handshake", |world| world.clients[2].is_connected);
    assert_eq!(world.server.load(), (1, 2));

    let list = scene.root.revokes(&[&bad, &late], false);
    let own = || scene.own().with_revocations(&list).expect("a list");
    world.server.renew(own()).expect("OpenSSL works");
    assert_eq!(world.server.load(), (0, 1));
    world.until("the alerts", |world| {
        world.clients[client].failed.is_some() && world.clients[2].failed.is_some()
    });
    for client in [client, 2] {
        let said = world.clients[client].failed.clone().expect("it failed");
        assert!(said.contains("access denied"), "{said}");
    }
    assert_eq!((world.gone.len(), world.kept.len()), (1, 1));
    assert_eq!(world.failures, [Failure::TakenAway]);
    assert_revoked(&mut world, &scene.shown(&bad));
    let heard = world.heard.len();
    world.clients[other].say(b"still here");
    world.until("its data", |world| world.heard.len() > heard);
    assert_eq!(world.heard[heard].1, named("device 2"));

    // The server ended before it could forget the association.
    let mut world = World::new(config(own()));
    let restored = world.server.restore(0, number, &record, None);
    assert_eq!((restored, world.server.load()), (Ok(()), (0, 0)));
}

#[test]
fn an_authority_that_is_believed_no_more() {
    let scene = Scene::new();
    let other = authority::authority("another");
    let both = [scene.root.pem(), other.pem()].concat();
    let own = scene.own().with_authorities(&both).expect("two");
    let mut world = World::new(config(own));
    let gone = scene.root.issue(DEVICE);
    let stays = other.issue(Wish {
        common: "device 2",
        ..DEVICE
    });
    let client = world.connected(&scene.shown(&gone));
    world.connected(&scene.shown(&stays));
    let own = scene.own().with_authorities(&other.pem()).expect("one");
    world.server.renew(own).expect("OpenSSL works");
    world.until("the alert", |world| world.clients[client].failed.is_some());
    assert_eq!(world.server.load(), (0, 1));
    let (_, said) = world.refused(&scene.shown(&gone));
    assert!(said.contains("unknown ca"), "{said}");
}

/// The common name of the certificate that a new client is shown.
fn shown_to(world: &mut World, shown: &Shown<'_>) -> String {
    let client = world.connected(shown);
    let shown = world.clients[client].stream.ssl().peer_certificate();
    let shown = shown.expect("the server has one");
    let mut names = shown.subject_name().entries_by_nid(Nid::COMMONNAME);
    let name = names.next().expect("it has one");
    name.data().to_string().expect("text")
}

#[test]
fn the_certificate_of_the_name_that_is_asked_for() {
    let scene = Scene::new();
    let device = scene.root.issue(DEVICE);
    let issue = |common, dns| {
        scene.root.issue(Wish {
            common,
            other: [dns, ""],
            for_servers: true,
            ..DEVICE
        })
    };
    let red = issue("red", "*.red.example");
    let blue = issue("blue", "blue.example");
    let plain = issue("plain.example", "");
    let mut own = scene.own();
    for holder in [&red, &blue, &plain] {
        let with = own.and(&holder.key_pem(), &holder.pem());
        own = with.expect("they fit");
    }
    let mismatch = own.clone().and(&red.key_pem(), &blue.pem());
    assert!(matches!(mismatch, Err(OwnError::Mismatch)), "{mismatch:?}");
    let mut world = World::new(config(own));
    for (asks_for, expected) in [
        (Some("a.red.example"), "red"),
        (Some("BLUE.example"), "blue"),
        (Some("plain.example"), "plain.example"),
        (Some("server"), "server"),
        (Some("nobody.example"), "server"),
        (None, "server"),
    ] {
        let shown = Shown {
            asks_for,
            ..scene.shown(&device)
        };
        assert_eq!(shown_to(&mut world, &shown), expected, "{asks_for:?}");
    }
}

#[test]
fn a_new_certificate_is_shown_and_ends_nothing() {
    let scene = Scene::new();
    let mut world = World::new(config(scene.own()));
    let device = scene.root.issue(DEVICE);
    let client = world.connected(&scene.shown(&device));
    let new = scene.root.issue(Wish {
        common: "new server",
        for_servers: true,
        ..DEVICE
    });
    let own = Own::new(&new.key_pem()).expect("a key");
    let own = own.with_certificate(&new.pem()).expect("its certificate");
    let own = own.with_authorities(&scene.root.pem()).expect("one");
    world.server.renew(own).expect("OpenSSL works");
    world.clients[client].say(b"still here");
    world.until("its data", |world| world.heard.len() == 2);
    let other = scene.root.issue(Wish {
        common: "device 2",
        ..DEVICE
    });
    assert_eq!(shown_to(&mut world, &scene.shown(&other)), "new server");
    assert_eq!((world.server.load(), world.gone.len()), ((0, 2), 0));
}

#[test]
fn what_is_old_is_told() {
    let scene = Scene::new();
    let expired = scene.root.issue(Wish {
        common: "expired",
        days: -1,
        for_servers: true,
        ..DEVICE
    });
    assert!(scene.own().old().is_empty());
    let own = scene.own().and(&expired.key_pem(), &expired.pem());
    let own = own.expect("they fit");
    assert_eq!(own.old().len(), 1);
    assert!(own.old()[0].contains("CN=expired"), "{:?}", own.old());
}
