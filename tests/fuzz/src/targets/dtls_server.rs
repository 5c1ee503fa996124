//! What strangers send to the DTLS server, and what its store holds.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::sync::Arc;

use tinsmith_dtls_server::{ClientHello, Config, Credentials, Output, Psk, Server};

struct Nobody;

impl Credentials for Nobody {
    fn psk(&self, _: &[u8]) -> Option<Psk> {
        None
    }
}

thread_local! {
    static SERVER: RefCell<(Server, u64)> = RefCell::new((
        Server::new(0, Config::default(), Arc::new(Nobody), [7; 32]).expect("OpenSSL works"),
        0,
    ));
}

/// The first byte says what the rest is: a record of the store, or a datagram.
pub(crate) fn run(data: &[u8]) {
    let Some((what, rest)) = data.split_first() else {
        return;
    };
    SERVER.with_borrow_mut(|(server, now)| {
        match what % 2 {
            0 => datagram(server, *now, rest),
            _ => record(server, rest),
        }
        // Whatever it was is over then.
        *now += 1_000_000;
        server.tick(*now);
        while server.poll().is_some() {}
        assert_eq!(server.load(), (0, 0));
    });
}

fn datagram(server: &mut Server, now: u64, bytes: &[u8]) {
    let from = SocketAddr::from(([10, 0, 0, 1], 7));
    let before = server.counters();
    server.handle(now, from, &mut bytes.to_vec());
    let after = server.counters();
    assert_eq!(before.begun, after.begun, "state without a cookie");
    let answer = match server.poll() {
        Some(Output::Transmit(_, answer)) => answer,
        Some(output) => panic!("a stranger causes {output:?}"),
        None => return,
    };
    assert!(answer.len() < bytes.len(), "an attacker gains by it");
    let hello = ClientHello::parse(bytes).expect("nothing else is answered");
    if hello.cookie.is_empty() {
        let mut second = with_cookie(bytes, hello.session.len(), &answer[answer.len() - 16..]);
        server.handle(now, from, &mut second);
        assert_eq!(server.counters().cookies, after.cookies, "it was right");
    }
}

/// The hello again, with the cookie that it was given.
fn with_cookie(hello: &[u8], session: usize, cookie: &[u8]) -> Vec<u8> {
    // Header of the record and of the message, version, random, session.
    let at = 13 + 12 + 2 + 32 + 1 + session;
    let (front, rest) = hello.split_at(at);
    let mut second = [front, &[16], cookie, &rest[1..]].concat();
    let record = (second.len() - 13) as u16;
    let message = (second.len() - 25) as u32;
    second[11..13].copy_from_slice(&record.to_be_bytes());
    second[14..17].copy_from_slice(&message.to_be_bytes()[1..]);
    second[17..19].copy_from_slice(&[0, 1]);
    second[22..25].copy_from_slice(&message.to_be_bytes()[1..]);
    second
}

fn record(server: &mut Server, bytes: &[u8]) {
    // Its own Connection ID may name another.
    for number in [1, 0x0001_0203] {
        if server.restore(0, number, bytes, None).is_ok() {
            server.close(number);
        }
    }
}
