//! Accounts with raw public keys, written by a bootstrap server: looked at as a whole at its end,
//! and the first thing that their server hears.

use lwm2m_objects::format::ContentFormat;
use lwm2m_objects::{OwnedValue, Path};
use tinsmith_coap::Code;

use super::world::{BOOTSTRAP, World};
use crate::public_key_info;
use crate::testing::Board;

const SECURE: &str = "10.0.0.9:5684";

fn private(secret: u8) -> Vec<u8> {
    [&[0x30, 37, 2, 1, 1, 4, 32][..], &[secret; 32]].concat()
}

fn public(secret: u8) -> Vec<u8> {
    public_key_info(&private(secret)).unwrap().to_vec()
}

/// A bootstrap that writes these values of /0/1/3, /4 and /5; what Finish is answered.
fn bootstrap(w: &mut World, keys: [Vec<u8>; 3]) -> Code {
    let request = w.request().unwrap();
    assert_eq!(request.path, "bs");
    w.reply(&request, Code::CHANGED, "").unwrap();
    w.ask(BOOTSTRAP, Code::DELETE, "", |_| {}).unwrap();
    let uri = format!("coaps://{SECURE}");
    let mut security = vec![
        (Path::resource(0, 1, 0), OwnedValue::String(uri)),
        (Path::resource(0, 1, 1), OwnedValue::Boolean(false)),
        (Path::resource(0, 1, 2), OwnedValue::Integer(1)),
        (Path::resource(0, 1, 10), OwnedValue::Integer(7)),
    ];
    for (resource, key) in (3..).zip(keys) {
        security.push((Path::resource(0, 1, resource), OwnedValue::Opaque(key)));
    }
    security.sort_by_key(|(path, _)| path.resource_id());
    let server = [
        (Path::resource(1, 0, 0), OwnedValue::Integer(7)),
        (Path::resource(1, 0, 1), OwnedValue::Integer(300)),
        (Path::resource(1, 0, 6), OwnedValue::Boolean(false)),
        (Path::resource(1, 0, 7), OwnedValue::String("U".into())),
    ];
    let format = ContentFormat::TLV;
    for (path, values) in [("/0/1", &security[..]), ("/1/0", &server)] {
        let answer = w.put(BOOTSTRAP, path, values, format).unwrap();
        assert_eq!(answer.code, Code::CHANGED, "{path}");
    }
    w.ask(BOOTSTRAP, Code::POST, "bs", |_| {}).unwrap().code
}

#[test]
fn keys_that_are_none_are_refused_at_the_end_of_a_bootstrap() {
    for keys in [
        // Another's private key, none, the server's key cut off, a point that there is not.
        [public(3), public(4), private(5)],
        [public(3), public(4), Vec::new()],
        [public(3), public(4)[..90].to_vec(), private(3)],
        [public(3), [&public(4)[..90], &[0]].concat(), private(3)],
    ] {
        let mut w = World::new(Board::small());
        assert_eq!(bootstrap(&mut w, keys), Code::NOT_ACCEPTABLE);
        w.bootstrap(ContentFormat::TLV).unwrap();
        w.register().unwrap();
    }
}

#[test]
fn the_server_is_asked_for_raw_public_keys_after_a_reset_as_well() {
    let mut w = World::new(Board::small());
    let keys = [public(3), public(4), private(3)];
    assert_eq!(bootstrap(&mut w, keys), Code::CHANGED);
    for _ in 0..2 {
        let mut hello = None;
        for _ in 0..100 {
            w.pump().unwrap();
            hello = w.take_datagram();
            if hello.is_some() {
                break;
            }
            w.pass(100).unwrap();
        }
        let (to, bytes) = hello.expect("a datagram");
        assert_eq!(to.to_string(), SECURE);
        // A ClientHello that offers ECDHE_ECDSA with AES_128_CCM_8, and raw public keys of both.
        assert_eq!((bytes[0], bytes[13]), (22, 1));
        let has = |what: &[u8]| bytes.windows(what.len()).any(|w| w == what);
        assert!(has(&[0xc0, 0xae]) && has(&[0, 19, 0, 2, 1, 2, 0, 20, 0, 2, 1, 2]));
        assert!(!has(&[0xc0, 0xa8]));
        w.reboot();
    }
}
