//! OSCORE beside DTLS: a bootstrap over DTLS gives a context, and a server has both.

use lwm2m_objects::format::{ContentFormat, encode_vec};
use lwm2m_objects::{OwnedValue, Path};
use tinsmith_coap::{Builder, Code, MessageType, OptionNumber, Token};
use tinsmith_oscore::Start;

use super::oscore::{SECRET, context, far, security, server};
use super::secured::{FACTORY, KEY, Pair, Server};
use crate::Event;
use crate::config::Factory;

const OTHER: &str = "10.0.0.3:5684";

fn message(id: u16, code: Code, path: &str, payload: &[u8]) -> Vec<u8> {
    let mut buf = [0; 1200];
    let token = Token::new(&id.to_be_bytes()).unwrap();
    let mut b = Builder::new(&mut buf, MessageType::Confirmable, code, id, token).unwrap();
    for segment in path.split('/').filter(|s| !s.is_empty()) {
        b.option(OptionNumber::URI_PATH, segment.as_bytes())
            .unwrap();
    }
    if !payload.is_empty() {
        let format = u32::from(ContentFormat::TLV.0);
        b.uint(OptionNumber::CONTENT_FORMAT, format).unwrap();
        b.payload(payload).unwrap();
    }
    b.as_bytes().to_vec()
}

#[test]
fn a_bootstrap_over_dtls_and_a_server_with_both() {
    let mut bootstrap = Server::new();
    let mut account = security();
    account[0].1 = OwnedValue::String(format!("coaps://{OTHER}"));
    account[1].1 = OwnedValue::Integer(0);
    for (resource, bytes) in [(3, FACTORY.identity), (5, KEY)] {
        let path = Path::resource(0, 1, resource);
        account.push((path, OwnedValue::Opaque(bytes.to_vec())));
    }
    account.sort_by_key(|(path, _)| path.resource_id());
    let parts = [
        ("/0/1", account),
        ("/21/4", context(SECRET)),
        ("/1/0", server()),
    ];
    for (id, (path, values)) in (1..).zip(&parts) {
        let base = Path::from_bytes(path.as_bytes()).unwrap();
        let payload = encode_vec(ContentFormat::TLV, &base, values).unwrap();
        let write = message(id, Code::PUT, path, &payload);
        bootstrap.script.push_back(write);
    }
    bootstrap
        .script
        .push_back(message(9, Code::POST, "/bs", b""));
    let mut other = Server::new();
    other.far = Some(far(SECRET, Start::Fresh));
    other.script.push_back(message(1, Code::GET, "/3/0/0", b""));
    other
        .script
        .push_back(message(2, Code::GET, "/21/4/0", b""));

    let mut pair = Pair::of(Factory::SecureBootstrap(FACTORY), Some(bootstrap));
    pair.other = Some((OTHER.parse().unwrap(), other));
    pair.settle();
    let bootstrap = pair.server.as_ref().unwrap();
    assert_eq!(bootstrap.paths, ["bs"]);
    assert_eq!(bootstrap.answers, [Code::CHANGED; 4]);
    assert!(pair.events.contains(&Event::Registered { server: 7 }));
    let (_, other) = pair.other.as_ref().unwrap();
    assert_eq!(
        (other.handshakes, &other.paths[..]),
        (1, &["rd".to_string()][..])
    );
    assert_eq!(other.answers, [Code::CONTENT, Code::NOT_FOUND]);
}
