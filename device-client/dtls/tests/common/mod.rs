//! Both ends, after a handshake with fixed secrets.
#![allow(dead_code)]

pub(crate) mod authority;
pub(crate) mod link;
pub(crate) mod pairs;
pub(crate) mod random;
pub(crate) mod server;

use tinsmith_dtls::{Aead, Association, Cid, Keys, Protection, Role, Start, Window};

pub(crate) const AEADS: [Aead; 3] = [Aead::Ccm8, Aead::Ccm, Aead::Gcm];

/// Bytes from hexadecimal digits; spaces are for people.
pub(crate) fn hex(text: &str) -> Vec<u8> {
    let digits = text.chars().filter_map(|c| c.to_digit(16));
    let digits: Vec<u8> = digits.map(|digit| digit as u8).collect();
    let pairs = digits.chunks_exact(2);
    assert!(pairs.remainder().is_empty(), "{text}");
    pairs.map(|pair| pair[0] << 4 | pair[1]).collect()
}

pub(crate) fn cid(len: usize, first: u8) -> Cid {
    let bytes: Vec<u8> = (0..len).map(|i| first.wrapping_add(i as u8)).collect();
    Cid::new(&bytes).expect("short")
}

pub(crate) fn keys(aead: Aead) -> Keys {
    Keys {
        client: Protection::new(aead, &[0xc1; 16], &[0xc2; 4]),
        server: Protection::new(aead, &[0x51; 16], &[0x52; 4]),
    }
}

/// Client and server; no number of either is reserved.
pub(crate) fn pair(aead: Aead, client_cid: Cid, server_cid: Cid) -> (Association, Association) {
    let keys = keys(aead);
    let start = |role, own_cid, peer_cid| Start {
        role,
        keys: &keys,
        own_cid,
        peer_cid,
        next_number: 1,
        received: Window::NEW,
    };
    (
        Association::new(&start(Role::Client, client_cid, server_cid)),
        Association::new(&start(Role::Server, server_cid, client_cid)),
    )
}

/// The same, free to use all numbers.
pub(crate) fn open_pair(
    aead: Aead,
    client_cid: Cid,
    server_cid: Cid,
) -> (Association, Association) {
    let (mut client, mut server) = pair(aead, client_cid, server_cid);
    client.use_all_numbers();
    server.use_all_numbers();
    (client, server)
}
