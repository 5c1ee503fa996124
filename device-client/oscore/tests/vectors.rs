//! The messages of RFC 8613 §C.4 to §C.8. Those of §C.1 to §C.3, of key derivation, are beside the
//! code.

mod common;

use common::{End, hex, master};
use tinsmith_oscore::{Master, Start};

/// An end whose next number is 20.
fn at_20(master: Master) -> End {
    let mut end = End::new(master, Start::Fresh);
    for id in 0..20 {
        end.seal(&common::request(id, tinsmith_coap::Code::GET, &[], b""));
    }
    end
}

fn of_c2(sender: &[u8], recipient: &[u8]) -> Master {
    let secret = hex("0102030405060708090a0b0c0d0e0f10");
    Master::new(&secret, &[], sender, recipient).expect("good")
}

fn of_c3(sender: &[u8], recipient: &[u8]) -> Master {
    let context = hex("37cbf3210017a2d3");
    let master = master(sender, recipient);
    master.with_context(&context).expect("good")
}

fn both_ways(client: Master, server: Master, plain: &str, protected: &str) -> End {
    let (plain, protected) = (hex(plain), hex(protected));
    assert_eq!(at_20(client).seal(&plain), protected);
    let mut server = End::new(server, Start::Fresh);
    assert_eq!(server.take(&protected), plain);
    server
}

const C4_PLAIN: &str = "44015d1f00003974396c6f63616c686f737483747631";
const C4: &str = "44025d1f00003974396c6f63616c686f7374620914ff612f1092f1776f1c1668b3825e";

#[test]
fn c4_a_request() {
    both_ways(master(b"", b"\x01"), master(b"\x01", b""), C4_PLAIN, C4);
}

#[test]
fn c5_a_request_with_a_kid() {
    both_ways(
        of_c2(b"\x00", b"\x01"),
        of_c2(b"\x01", b"\x00"),
        "440171c30000b932396c6f63616c686f737483747631",
        "440271c30000b932396c6f63616c686f737463091400ff4ed339a5a379b0b8bc731fffb0",
    );
}

#[test]
fn c6_a_request_with_an_id_context() {
    both_ways(
        of_c3(b"", b"\x01"),
        of_c3(b"\x01", b""),
        "44012f8eef9bbf7a396c6f63616c686f737483747631",
        "44022f8eef9bbf7a396c6f63616c686f73746b19140837cbf3210017a2d3\
         ff72cd7273fd331ac45cffbe55c3"
            .replace(' ', "")
            .as_str(),
    );
}

#[test]
fn c7_a_response_and_c8_one_with_a_partial_iv() {
    let (from, to) = (master(b"", b"\x01"), master(b"\x01", b""));
    let mut server = both_ways(from.clone(), to, C4_PLAIN, C4);
    let plain = hex("64455d1f00003974ff48656c6c6f20576f726c6421");
    let c7 = hex("64445d1f0000397490ffdbaad1e9a7e7b2a813d3c31524378303cdafae119106");
    let c8 = hex("64445d1f00003974920100ff4d4c13669384b67354b2b6175ff4b8658c666a6cf88e");
    // The nonce of the request can be used once; what comes after it has a number of its own.
    assert_eq!(server.seal(&plain), c7);
    assert_eq!(server.seal(&plain), c8);
    for protected in [c7, c8] {
        let mut client = at_20(from.clone());
        client.seal(&hex(C4_PLAIN));
        assert_eq!(client.take(&protected), plain);
    }
}
