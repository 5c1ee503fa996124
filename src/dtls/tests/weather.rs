//! Handshakes and data over networks that lose, double, reorder, cut and change datagrams.
//! `TINSMITH_SEEDS` says how many devices.

mod common;

use common::{Weather, World, address, config, offer};
use tinsmith_dtls::{Aead, Cid};

const DEVICES: u64 = 120;
const SAID: u8 = 12;

fn devices() -> u64 {
    let seeds = std::env::var("TINSMITH_SEEDS");
    let seeds = seeds.map_or(DEVICES, |n| n.parse().expect("a number"));
    // Each is a client in real time.
    seeds.min(5_000)
}

/// All devices connect at the same time, again if they must.
fn connect_all(world: &mut World, devices: u64) {
    for n in 0..devices {
        let aeads: &[Aead] = [&[Aead::Ccm8][..], &[Aead::Ccm], &[Aead::Gcm]][n as usize % 3];
        let cid = match n % 4 {
            0 => None,
            1 => Some(Cid::EMPTY),
            _ => Cid::new(&[n as u8; 6][..n as usize % 7]).ok(),
        };
        let identity = format!("device {n}");
        world.device(identity.as_bytes(), offer(aeads, cid));
    }
    let start = std::time::Instant::now();
    while !(0..devices as usize).all(|device| world.is_open(device)) {
        world.step();
        for device in 0..devices as usize {
            if world.devices[device].failed.is_some() {
                world.connect(device);
            }
        }
        assert!(start.elapsed().as_secs() < 120, "they never connect");
    }
}

/// Everything that is heard was said, by the one who proved it, and is heard once.
fn talk(world: &mut World, devices: u64) {
    for round in 0..SAID {
        for device in 0..devices as usize {
            // Some move at each word.
            let has_cid = world.devices[device]
                .client
                .association()
                .is_some_and(|a| !a.peer_cid().is_empty());
            if device % 3 == 0 && has_cid {
                world.devices[device].address = address(device + usize::from(round + 1) * 1000);
            }
            let [_, _, a, b] = (device as u32).to_be_bytes();
            world.say(device, &[a, b, round]);
        }
        while world.heard.len() < usize::from(round) * devices as usize / 2 && world.step() {}
    }
    world.settle();
    let mut heard: Vec<_> = world.heard.iter().map(|(_, data)| data.clone()).collect();
    let all = heard.len();
    assert!(all > devices as usize * usize::from(SAID) / 2, "{all}");
    heard.sort();
    heard.dedup();
    assert_eq!(heard.len(), all, "something was heard twice");
    for (peer, data) in &world.heard {
        let [a, b, round] = data[..] else {
            panic!("{data:?} was never said")
        };
        let device = usize::from(a) << 8 | usize::from(b);
        let n = u32::from(peer.address.port());
        assert_eq!(n, 5000);
        assert!(device < devices as usize && round < SAID, "{data:?}");
    }
    assert_eq!(world.server.load(), (0, devices as usize));
}

#[test]
fn networks_that_lose_double_and_reorder() {
    let devices = devices();
    let mut world = World::new(config(), 21);
    world.weather = Weather {
        loss: 20,
        duplicate: 10,
        delay_ms: 30,
        ..Weather::default()
    };
    connect_all(&mut world, devices);
    talk(&mut world, devices);
    // Some flights were repeated, not all of them.
    let sent = world.tape.len() as u64 - world.heard.len() as u64;
    assert!(sent > devices * 2 && sent < devices * 40, "{sent}");
}

#[test]
fn networks_that_change_and_cut() {
    let devices = devices();
    let mut world = World::new(config(), 22);
    world.weather = Weather {
        loss: 5,
        duplicate: 5,
        flip: 10,
        cut: 5,
        delay_ms: 20,
    };
    connect_all(&mut world, devices);
    talk(&mut world, devices);
}

/// What was on the wire comes again, as it was and changed, from where it came and from elsewhere.
#[test]
fn what_an_attacker_has_seen_does_nothing() {
    let mut world = World::new(config(), 23);
    for n in 0..6u8 {
        let cid = (n % 2 == 0).then_some(Cid::EMPTY);
        let identity = format!("device {n}");
        world.connected(identity.as_bytes(), offer(&[Aead::Ccm8, Aead::Gcm], cid));
    }
    let mutations = std::env::var("TINSMITH_MUTATIONS");
    let mutations = mutations.map_or(200, |n| n.parse().expect("a number"));
    let tape = std::mem::take(&mut world.tape);
    let heard = world.heard.len();
    for round in 0..mutations {
        for (from, datagram) in &tape {
            let mut datagram = datagram.clone();
            for _ in 0..world.random(4) {
                let at = world.random(datagram.len() as u64) as usize;
                match world.random(3) {
                    0 => datagram[at] = world.random(256) as u8,
                    1 => datagram[at] ^= 1 << world.random(8),
                    _ => datagram.truncate(at.max(1)),
                }
            }
            let from = match round % 3 {
                0 => *from,
                _ => address(world.random(5000) as usize + 100),
            };
            world.arrive(from, &datagram);
            world.tape.clear();
            world.answers.clear();
        }
    }
    assert_eq!(world.heard.len(), heard, "a replay had an effect");
    assert_eq!(world.gone, []);
    // Everybody is still there, and others can come.
    for device in 0..6 {
        world.say(device, b"still here");
    }
    world.until("all of them", |world| world.heard.len() == heard + 6);
    world.connected(b"device 9", offer(&[Aead::Ccm8], None));
}
