//! Handshakes of our own client with the server, and what is left of them.

mod common;

use common::{CCM8, World, address, config, offer};
use tinsmith_dtls::{Aead, Cid};
use tinsmith_dtls_server::{CID_LEN, Config, Failure, NotSent};
use tinsmith_peer::{Identity, Peer};

#[test]
fn each_suite_with_and_without_connection_ids() {
    for aeads in [CCM8, &[Aead::Ccm], &[Aead::Gcm]] {
        let cids = [None, Some(Cid::EMPTY), Cid::new(b"mine").ok()];
        for cid in cids {
            let mut world = World::new(config(), 1);
            let (device, peer) = world.connected(b"device 1", offer(aeads, cid));
            assert_eq!(peer.address, address(0));
            assert_ne!(peer.association, 0);
            assert_eq!(world.heard[0].1, b"hello");
            // OpenSSL has nothing to do with it any more.
            assert_eq!(world.server.load(), (0, 1));
            let association = world.devices[device].client.association().unwrap();
            assert_eq!(association.aead(), aeads[0]);
            let len = cid.map_or(0, |_| CID_LEN);
            assert_eq!(association.peer_cid().len(), len);
            world.answer(peer.association, b"welcome");
            world.until("an answer", |world| {
                !world.devices[device].received.is_empty()
            });
            assert_eq!(world.devices[device].received, [b"welcome"]);
            assert_eq!(world.server.counters().completed, 1);
        }
    }
}

#[test]
fn the_server_chooses_the_shortest_records() {
    let mut world = World::new(config(), 1);
    let all = offer(&[Aead::Gcm, Aead::Ccm, Aead::Ccm8], Some(Cid::EMPTY));
    let (device, _) = world.connected(b"device 1", all);
    let association = world.devices[device].client.association().unwrap();
    assert_eq!(association.aead(), Aead::Ccm8);
}

#[test]
fn whom_the_server_does_not_know() {
    let mut world = World::new(config(), 2);
    let stranger = world.device(b"stranger", offer(CCM8, Some(Cid::EMPTY)));
    world.until("a refusal", |world| !world.failures.is_empty());
    world.settle();
    assert_eq!(
        world.failures,
        [Failure::UnknownIdentity(b"stranger".to_vec())]
    );
    assert!(world.devices[stranger].failed.is_some());
    assert_eq!(world.server.load(), (0, 0));
}

#[test]
fn who_has_another_key() {
    for cid in [None, Some(Cid::EMPTY)] {
        let config = Config {
            handshake_time: std::time::Duration::from_millis(400),
            ..config()
        };
        let mut world = World::new(config, 3);
        let liar = world.device(b"device 1", offer(CCM8, cid));
        world.devices[liar].key = b"a guess".to_vec();
        world.until("a failure", |world| !world.failures.is_empty());
        assert_eq!(world.failures, [Failure::WrongKey(b"device 1".to_vec())]);
        assert!(!world.is_open(liar));
        assert_eq!((world.heard.len(), world.server.load()), (0, (0, 0)));
    }
}

#[test]
fn a_client_that_says_nothing_has_an_association_too() {
    let config = Config {
        handshake_time: std::time::Duration::from_millis(300),
        ..config()
    };
    let mut world = World::new(config, 3);
    let device = world.device(b"device 1", offer(CCM8, Some(Cid::EMPTY)));
    world.until("a handshake", |world| world.is_open(device));
    assert_eq!(world.server.load(), (1, 0));
    world.until("its end", |world| world.server.load() == (0, 1));
    world.say(device, b"late");
    world.until("its data", |world| !world.heard.is_empty());
    assert_eq!(world.heard[0].1, b"late");
}

#[test]
fn a_key_that_is_taken_away_during_a_handshake() {
    let mut world = World::new(config(), 13);
    let device = world.device(b"device 1", offer(CCM8, Some(Cid::EMPTY)));
    world.until("a handshake", |world| world.is_open(device));
    let gone = world.keys.gone.lock();
    gone.expect("nobody panics with it")
        .push(b"device 1".to_vec());
    let identity = Identity::Psk(b"device 1".to_vec());
    world.server.revoke(&identity, false);
    world.say(device, b"still me");
    world.settle();
    assert_eq!((world.server.load(), world.heard.len()), ((0, 0), 0));
}

#[test]
fn a_flood_of_hellos_leaves_nothing() {
    let mut world = World::new(config(), 4);
    let first = world.device(b"device 1", offer(CCM8, Some(Cid::EMPTY)));
    world.step();
    let (_, hello) = world.tape[0].clone();
    for n in 0..20_000 {
        world.arrive(address(n + 10), &hello);
    }
    assert_eq!(world.server.load(), (0, 0));
    let counters = world.server.counters();
    assert_eq!((counters.cookies, counters.begun), (20_001, 0));
    let longest = world.answers.iter().map(|(_, answer)| answer.len()).max();
    assert!(longest < Some(hello.len()), "an attacker gains by it");
    world.until("a handshake", |world| world.is_open(first));
    // The cookie of one address is none of another.
    let with_cookie = world
        .tape
        .iter()
        .find(|(_, d)| d.len() > hello.len() && d[0] == 22);
    let (_, with_cookie) = with_cookie.cloned().unwrap();
    world.arrive(address(40_000), &with_cookie);
    assert_eq!(world.server.counters().begun, 1);
}

#[test]
fn there_is_room_for_so_many_handshakes() {
    let config = Config {
        handshakes: 3,
        handshakes_per_source: 2,
        handshake_time: std::time::Duration::from_millis(500),
        ..config()
    };
    let mut world = World::new(config, 5);
    // Nobody answers the second flight.
    for n in 0..5 {
        let device = world.device(b"device 1", offer(CCM8, Some(Cid::EMPTY)));
        world.devices[device].address = match n {
            0..3 => ([10, 9, 9, 9], 7000 + n).into(),
            _ => address(n.into()),
        };
        world.connect(device);
        while world.server.counters().begun + world.server.counters().refused < u64::from(n) + 1 {
            world.step();
        }
        world.devices[device].client = tinsmith_dtls::Client::new();
    }
    let counters = world.server.counters();
    // The third of one source, and the fourth of all.
    assert_eq!((counters.begun, counters.refused), (3, 2));
    assert_eq!(world.server.load(), (3, 0));
    world.until("their end", |world| world.server.load() == (0, 0));
    assert_eq!(
        world.failures,
        [Failure::TimedOut, Failure::TimedOut, Failure::TimedOut]
    );
}

#[test]
fn with_a_connection_id_the_address_may_change() {
    let mut world = World::new(config(), 6);
    let (device, peer) = world.connected(b"device 1", offer(CCM8, Some(Cid::EMPTY)));
    let old = world.record(device, b"from before");
    world.devices[device].address = address(77);
    world.say(device, b"moved");
    world.until("its data", |world| world.heard.len() == 2);
    let moved = Peer {
        address: address(77),
        ..peer
    };
    assert_eq!(world.heard[1], (moved, b"moved".to_vec()));
    world.answer(peer.association, b"found you");
    world.until("an answer", |world| {
        !world.devices[device].received.is_empty()
    });
    // What is late does not move it back, though it is taken.
    world.arrive(address(0), &old);
    assert_eq!(world.heard[2], (moved, b"from before".to_vec()));
    // What was there before does nothing, wherever it comes from.
    let (_, again) = world.tape.last().cloned().unwrap();
    world.arrive(address(78), &again);
    assert_eq!(world.heard.len(), 3);
    // Nor does what is forged.
    let mut forged = world.record(device, b"forged");
    *forged.last_mut().unwrap() ^= 1;
    world.arrive(address(78), &forged);
    world.answer(peer.association, b"still there");
    assert_eq!(world.answers.last().unwrap().0, address(77));
}

#[test]
fn the_address_may_change_before_the_first_data() {
    let mut world = World::new(config(), 6);
    let device = world.device(b"device 1", offer(CCM8, Some(Cid::EMPTY)));
    world.until("a handshake", |world| world.is_open(device));
    world.devices[device].address = address(77);
    world.say(device, b"moved");
    world.until("its data", |world| !world.heard.is_empty());
    assert_eq!(world.heard[0].0.address, address(77));
    assert_eq!(world.server.load(), (0, 1));
    world.answer(world.heard[0].0.association, b"found you");
    world.until("an answer", |world| {
        !world.devices[device].received.is_empty()
    });
}

#[test]
fn without_a_connection_id_the_address_is_the_association() {
    let mut world = World::new(config(), 7);
    let (device, _) = world.connected(b"device 1", offer(CCM8, None));
    world.devices[device].address = address(77);
    world.say(device, b"moved");
    world.settle();
    assert_eq!(world.heard.len(), 1);
    assert_eq!(world.server.counters().dropped, 1);
    // It connects again, and has one association still.
    world.connect(device);
    world.until("a handshake", |world| world.is_open(device));
    world.say(device, b"again");
    world.until("its data", |world| world.heard.len() == 2);
    assert_eq!(world.server.load(), (0, 1));
    assert_eq!(world.gone, [world.heard[0].0]);
}

#[test]
fn an_association_is_kept_until_the_next_is_complete() {
    for cid in [None, Some(Cid::EMPTY)] {
        let mut world = World::new(config(), 8);
        let (device, peer) = world.connected(b"device 1", offer(CCM8, cid));
        let late = world.record(device, b"late");
        world.connect(device);
        world.until("a handshake", |world| world.is_open(device));
        assert_eq!(world.server.load(), (1, 1));
        // Somebody who only claims to begin again has ended nothing.
        world.arrive(address(0), &late);
        assert_eq!(world.heard.last(), Some(&(peer, b"late".to_vec())));
        world.say(device, b"new");
        world.until("its data", |world| world.heard.len() == 3);
        assert_eq!(world.server.load(), (0, 1));
        assert_eq!(world.gone, [peer]);
        assert_ne!(world.heard[2].0, peer);
        world.arrive(address(0), &late);
        assert_eq!(world.heard.len(), 3);
        assert_eq!(
            world.server.send(peer.association, b"x"),
            Err(NotSent::Gone)
        );
    }
}

#[test]
fn a_key_of_many_devices() {
    let mut world = World::new(config(), 9);
    for _ in 0..3 {
        world.connected(b"device of many", offer(CCM8, Some(Cid::EMPTY)));
    }
    assert_eq!((world.server.load(), world.gone.len()), ((0, 3), 0));
    world
        .server
        .revoke(&Identity::Psk(b"device of many".to_vec()), true);
    world.poll_server();
    assert_eq!((world.server.load(), world.gone.len()), ((0, 0), 3));
    world.until("alerts", |world| {
        world.devices.iter().all(|device| device.closed.is_some())
    });
}

#[test]
fn there_is_room_for_so_many_associations() {
    let config = Config {
        associations: 4,
        ..config()
    };
    let mut world = World::new(config, 10);
    for n in 0..6 {
        let identity = format!("device {n}");
        world.connected(identity.as_bytes(), offer(CCM8, Some(Cid::EMPTY)));
        std::thread::sleep(std::time::Duration::from_millis(2));
        // The first is heard all the time.
        world.say(0, b"here");
        world.settle();
    }
    assert_eq!(world.server.load(), (0, 4));
    let gone: Vec<_> = world.gone.iter().map(|peer| peer.address).collect();
    assert_eq!(gone, [address(1), address(2)]);
    assert_eq!(world.server.counters().evicted, 2);
}

#[test]
fn both_sides_can_close() {
    let mut world = World::new(config(), 11);
    let (device, peer) = world.connected(b"device 1", offer(CCM8, Some(Cid::EMPTY)));
    world.devices[device].client.close();
    world.poll_device(device);
    world.until("the end", |world| !world.gone.is_empty());
    assert_eq!(
        (&world.gone[..], world.server.load()),
        (&[peer][..], (0, 0))
    );
    let (device, peer) = world.connected(b"device 2", offer(CCM8, None));
    world.server.close(peer.association);
    world.poll_server();
    world.until("the end", |world| world.devices[device].closed.is_some());
    assert_eq!(world.server.load(), (0, 0));
}

#[test]
fn an_alert_that_is_not_encrypted_ends_no_association() {
    let mut world = World::new(config(), 12);
    let (device, _) = world.connected(b"device 1", offer(CCM8, None));
    for epoch in [0, 1] {
        world.arrive(
            address(0),
            &[21, 0xfe, 0xfd, 0, epoch, 0, 0, 0, 0, 0, 9, 0, 2, 2, 40],
        );
    }
    world.say(device, b"still here");
    world.until("its data", |world| world.heard.len() == 2);
}
