//! Handshakes and data over networks that lose, double, reorder, cut and change datagrams.
//! `TINSMITH_SEEDS` says how many.

mod common;

use common::link::{Link, Weather};
use common::server::Manner;
use tinsmith_dtls::{Aead, Offer};

const SEEDS: u64 = 300;

fn seeds() -> u64 {
    let seeds = std::env::var("TINSMITH_SEEDS");
    seeds.map_or(SEEDS, |n| n.parse().expect("a number"))
}

fn link(seed: u64, weather: Weather) -> Link {
    let aeads: &[Aead] = &[Aead::Ccm8, Aead::Ccm, Aead::Gcm];
    let manner = Manner {
        aead: aeads[seed as usize % 3],
        cid: match seed % 4 {
            0 => None,
            n => Some(common::cid(n as usize * 2 - 2, 5)),
        },
        cookie: vec![3; seed as usize % 2 * 20],
        hint: seed.is_multiple_of(5).then(|| b"hint".to_vec()),
        fragment: [1000, 60, 17][seed as usize / 2 % 3],
        apart: seed % 7 < 3,
        ..Manner::plain()
    };
    let offer = Offer {
        aeads: &[Aead::Ccm8, Aead::Ccm, Aead::Gcm],
        cid: (seed % 6 != 5).then(|| common::cid(seed as usize % 3, 0xa0)),
        ..Offer::DEFAULT
    };
    Link::new(manner, offer, weather, seed)
}

/// Connects, again if it must; how often it tried.
fn connect(link: &mut Link, seed: u64) -> usize {
    for tries in 1..40 {
        link.connect();
        while link.failed.is_none() && !link.is_open() {
            assert!(link.step(), "seed {seed}: nothing left to do");
        }
        if link.is_open() {
            return tries;
        }
        link.restart_server(tries as u8);
    }
    panic!("seed {seed}: it never connects");
}

/// Everything that arrives is something that was said, and is there once.
fn talk(link: &mut Link, seed: u64) -> usize {
    for n in 0..20u8 {
        link.say(&[b'c', n]);
        link.answer(&[b's', n]);
        for _ in 0..3 {
            link.step();
        }
    }
    link.settle();
    for (said, heard) in [(b'c', &link.server.received), (b's', &link.received)] {
        let mut sorted = heard.clone();
        sorted.sort();
        sorted.dedup();
        assert_eq!(
            sorted.len(),
            heard.len(),
            "seed {seed}: something came twice"
        );
        let good = |data: &Vec<u8>| matches!(data[..], [who, n] if who == said && n < 20);
        assert!(heard.iter().all(good), "seed {seed}: {heard:?}");
    }
    link.server.received.len() + link.received.len()
}

#[test]
fn networks_that_lose_double_and_reorder() {
    let mut datagrams = 0;
    for seed in 0..seeds() {
        let weather = Weather {
            loss: seed % 31,
            duplicate: seed % 23,
            delay_ms: [1, 50, 400][seed as usize % 3],
            ..Weather::default()
        };
        let mut link = link(seed, weather);
        connect(&mut link, seed);
        datagrams += link.sent;
        talk(&mut link, seed);
    }
    // Some flights are repeated, not all of them.
    let handshakes = seeds() as usize;
    assert!(
        datagrams > handshakes * 2 && datagrams < handshakes * 10,
        "{datagrams}"
    );
}

#[test]
fn networks_that_change_and_cut() {
    let mut heard = 0;
    for seed in 0..seeds() {
        let weather = Weather {
            loss: seed % 11,
            duplicate: seed % 13,
            flip: seed % 17 * 2,
            cut: seed % 7 * 2,
            delay_ms: [1, 50, 400][seed as usize % 3],
        };
        let mut link = link(seed, weather);
        connect(&mut link, seed);
        heard += talk(&mut link, seed);
    }
    assert!(heard > seeds() as usize * 15, "{heard}");
}
