//! Associations over restarts of the server.

mod common;

use std::collections::BTreeSet;

use common::{CCM8, Weather, World, address, config, offer};
use tinsmith_dtls::{Aead, Cid, Header};
use tinsmith_dtls_server::{Config, NotSent, Unreadable};

fn keeping() -> Config {
    Config {
        reserve: Some(16),
        ..config()
    }
}

#[test]
fn associations_survive_a_restart() {
    for (cid, aead) in [
        (None, CCM8),
        (Some(Cid::EMPTY), CCM8),
        (Cid::new(b"mine").ok(), &[Aead::Gcm]),
    ] {
        let mut world = World::new(keeping(), 31);
        let (device, peer) = world.connected(b"device 1", offer(aead, cid));
        let record = world.store.values().next().expect("it is kept");
        assert!(record.len() <= 200, "{}", record.len());
        let seen = world.tape.last().cloned().unwrap();
        for seed in 1..4 {
            world.restart(seed);
            assert_eq!(world.server.load(), (0, 1));
            world.arrive(seen.0, &seen.1);
            let heard = world.heard.len();
            if cid.is_some() {
                world.devices[device].address = address(seed.into());
            }
            world.say(device, b"still me");
            world.until("its data", |world| world.heard.len() > heard);
            assert_eq!(world.heard[heard].0.association, peer.association);
            world.answer(peer.association, &[seed]);
            world.until("an answer", |w| {
                w.devices[device].received.last() == Some(&vec![seed])
            });
        }
        // Numbers go on: it is the only one that has this name.
        let (_, other) = world.connected(b"device 2", offer(aead, cid));
        assert_ne!(other.association, peer.association);
    }
}

/// The server dies between any two datagrams, sometimes with writes that did not become durable.
#[test]
fn no_number_is_used_twice() {
    let mut world = World::new(keeping(), 32);
    world.weather = Weather {
        loss: 5,
        duplicate: 5,
        delay_ms: 3,
        ..Weather::default()
    };
    let (device, peer) = world.connected(b"device 1", offer(CCM8, Some(Cid::EMPTY)));
    world.answers.clear();
    let mut used = BTreeSet::new();
    let mut sent = 0;
    for round in 0..2000u32 {
        world.is_fast = world.random(4) == 0;
        let heard = world.heard.len();
        world.say(device, &round.to_be_bytes());
        world.settle();
        if world.heard.len() > heard {
            let _ = world.server.send(peer.association, &round.to_be_bytes());
            world.poll_server();
        }
        if world.random(3) == 0 {
            world.write();
            world.poll_server();
        }
        for (_, datagram) in std::mem::take(&mut world.answers) {
            let header = Header::parse(&datagram, 0).unwrap();
            assert!(used.insert(header.number), "{:?} twice", header.number);
            sent += 1;
        }
        if world.random(20) == 0 {
            world.restart(round as u8);
        }
    }
    assert!(sent > 500, "{sent}");
}

#[test]
fn what_waits_for_numbers_is_sent_when_they_are_there() {
    let mut world = World::new(keeping(), 33);
    let (device, peer) = world.connected(b"device 1", offer(CCM8, Some(Cid::EMPTY)));
    world.restart(2);
    world.is_fast = false;
    for n in 0..8 {
        assert_eq!(world.server.send(peer.association, &[n]), Ok(()));
    }
    assert_eq!(
        world.server.send(peer.association, &[9]),
        Err(NotSent::Waiting)
    );
    world.poll_server();
    world.answers.clear();
    assert_eq!(world.writing.len(), 1, "it is asked for once");
    world.write();
    world.poll_server();
    assert_eq!(world.answers.len(), 8);
    world.settle();
    assert_eq!(world.devices[device].received.len(), 8);
    // It was not stored: what waited is lost, as on the way.
    world.restart(3);
    assert_eq!(world.server.send(peer.association, &[1]), Ok(()));
    world.poll_server();
    let (number, mark, _) = world.writing.pop().unwrap();
    world.server.kept(number, mark, false);
    assert_eq!(world.server.send(peer.association, &[2]), Ok(()));
    world.poll_server();
    assert_eq!(world.writing.len(), 1, "it is asked for again");
    world.answers.clear();
    world.write();
    world.poll_server();
    assert_eq!(world.answers.len(), 1);
}

#[test]
fn what_ends_is_forgotten() {
    let mut world = World::new(keeping(), 34);
    let (_, peer) = world.connected(b"device 1", offer(CCM8, None));
    assert_eq!(world.store.len(), 1);
    world.server.close(peer.association);
    world.poll_server();
    assert_eq!(world.store.len(), 0);
}

#[test]
fn records_that_are_none() {
    let mut world = World::new(keeping(), 35);
    world.connected(b"device 1", offer(CCM8, Some(Cid::EMPTY)));
    let (number, record) = world.store.pop_first().unwrap();
    world.restart(1);
    for len in 0..record.len() {
        let read = world.server.restore(0, number, &record[..len], None);
        assert_eq!(read, Err(Unreadable), "{len}");
    }
    assert_eq!(
        world.server.restore(0, number + 1, &record, None),
        Err(Unreadable)
    );
    assert_eq!(world.server.restore(0, 0, &record, None), Err(Unreadable));
    assert_eq!(world.server.restore(0, number, &record, None), Ok(()));
    assert_eq!(
        world.server.restore(0, number, &record, None),
        Err(Unreadable)
    );
}

/// Version 1 did not say what proved the identity.
#[test]
fn records_of_the_version_before() {
    let mut world = World::new(keeping(), 37);
    let (device, _) = world.connected(b"device 1", offer(CCM8, Some(Cid::EMPTY)));
    let record = world.store.values_mut().next().unwrap();
    // Version, flags, address of 4 bytes with its length, port; then it is said.
    assert_eq!((record[0], record.remove(2 + 5 + 2)), (2, 0));
    record[0] = 1;
    world.restart(1);
    world.say(device, b"still me");
    world.until("its data", |world| world.heard.len() == 2);
}

/// The time is printed; the limit leaves room for a machine that does much else.
#[test]
fn a_hundred_thousand_are_read_in_a_second() {
    let mut world = World::new(keeping(), 36);
    world.connected(b"device of many", offer(CCM8, Some(Cid::EMPTY)));
    let record = world.store.values().next().cloned().unwrap();
    let cid_at = record.len() - 1 - 8;
    world.store.clear();
    world.restart(1);
    let start = std::time::Instant::now();
    for counter in 1..=100_000u32 {
        let mut record = record.clone();
        record[cid_at + 2..cid_at + 5].copy_from_slice(&counter.to_be_bytes()[1..]);
        world.server.restore(0, counter, &record, None).unwrap();
    }
    let took = start.elapsed();
    assert_eq!(world.server.load().1, 100_000);
    println!("100,000 associations of {} B in {took:?}", record.len());
    assert!(took.as_secs() < 30, "{took:?}");
}
