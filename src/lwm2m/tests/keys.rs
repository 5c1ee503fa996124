//! Who gets a key at bootstrap, and when.

use std::sync::Arc;

use super::*;
use lwm2m_objects::{ContentFormat, OwnedValue, Path, format, model::Builtin};
use tinsmith_store::{Key, Op};
use zeroize::Zeroizing;

/// `dev1` is whose identity is `factory`, and gets the key `key`.
struct Table;

impl Access for Table {
    fn may_be(&self, _: &Identity, _: &str) -> bool {
        true
    }

    fn may_bootstrap(&self, identity: &Identity, endpoint: &str) -> bool {
        endpoint != "dev1" || *identity == factory()
    }

    fn name_of(&self, identity: &Identity, role: Role) -> Option<String> {
        (*identity == factory() && role == Role::Bootstrap).then(|| "dev1".to_owned())
    }

    fn registers(&self, _: &Identity, _: &str) -> Vec<Op> {
        Vec::new()
    }

    fn issue(&self, _: u64, endpoint: &str, _: [u8; 32]) -> Result<Issued, String> {
        Ok(Issued {
            identity: format!("{endpoint}/1"),
            key: Zeroizing::new(b"key".to_vec()),
            ops: vec![Op::Put(Key::new(Kind::SECRET, "x"), b"record".to_vec())],
        })
    }

    fn issue_oscore(&self, _: u64, _: &str, _: [u8; 32]) -> Result<IssuedOscore, String> {
        Ok(IssuedOscore {
            secret: Zeroizing::new(b"a secret".to_vec()),
            salt: b"salt".to_vec(),
            sender: b"device".to_vec(),
            recipient: b"server".to_vec(),
            ops: vec![Op::Put(Key::new(Kind::SECRET, "y"), b"record".to_vec())],
        })
    }
}

fn factory() -> Identity {
    Identity::Psk(b"factory".to_vec())
}

fn sim(uri: &str) -> Sim {
    let mut sim = Sim::new();
    let mut config = config();
    config.bootstrap.rules[0].server_uri = uri.into();
    sim.shard = Shard::new(config).with_access(Arc::new(Table));
    sim.management = Some(([192, 0, 2, 1], 5684).into());
    sim
}

#[test]
fn who_can_only_be_one_need_not_say_who_it_is() {
    let mut sim = sim("");
    let bare = Msg::con(Code::POST, 1, b"b1").path("bs").bytes();
    let refused = give(&mut sim, &Identity::None, &bare);
    assert_eq!(code(&refused[0]), Code::BAD_REQUEST);
    let sent = give(&mut sim, &factory(), &bare);
    assert_eq!(code(&sent[0]), Code::CHANGED);
}

/// At one address, as behind a NAT: what the first one began ends, whoever comes with a name or
/// without.
#[test]
fn another_device_at_the_address_ends_what_was_begun_there() {
    for query in ["ep=dev1", "ep=", ""] {
        let mut sim = sim("");
        let first = Msg::con(Code::POST, 1, b"b1").path("bs").query("ep=dev2");
        give(&mut sim, &Identity::None, &first.bytes());
        sim.events.clear();
        let mut second = Msg::con(Code::POST, 2, b"b2").path("bs");
        if !query.is_empty() {
            second = second.query(query);
        }
        let sent = give(&mut sim, &factory(), &second.bytes());
        assert_eq!(code(&sent[0]), Code::CHANGED, "{query}");
        let ended = |event: &Event| matches!(event, Event::Bootstrapped { endpoint, error } if &**endpoint == "dev2" && error.is_some());
        assert!(sim.events.iter().any(ended), "{query}: {:?}", sim.events);
    }
}

fn give(sim: &mut Sim, identity: &Identity, bytes: &[u8]) -> Vec<Vec<u8>> {
    let input = Input::Inbound {
        listener: BOOTSTRAP,
        peer: peer(9),
        identity: identity.clone(),
        management: sim.management,
        bytes,
    };
    sim.shard.handle(sim.now, input);
    sim.drain();
    sim.sent.drain(..).map(|(_, _, bytes)| bytes).collect()
}

fn start(sim: &mut Sim, identity: &Identity, endpoint: &str) -> Vec<Vec<u8>> {
    let message = Msg::con(Code::POST, 1, b"bs")
        .path("bs")
        .query(&format!("ep={endpoint}"));
    give(sim, identity, &message.bytes())
}

fn answer(sim: &mut Sim, request: &[u8], code: Code) -> Vec<Vec<u8>> {
    let request = Message::parse(request).unwrap();
    let answer = Msg::ack(&request, code).bytes();
    give(sim, &factory(), &answer)
}

/// The values of the Write of Security.
fn written(write: &[u8]) -> Vec<(Path, OwnedValue)> {
    let write = Message::parse(write).unwrap();
    assert_eq!(path_of(&write), "/0/1");
    let instance = Path::instance(0, 1);
    format::decode_all(ContentFormat::TLV, &instance, write.payload(), &Builtin).unwrap()
}

#[test]
fn a_key_is_sent_when_it_is_durable_and_not_before() {
    let mut sim = sim("");
    sim.slow_store = true;
    let sent = start(&mut sim, &factory(), "dev1");
    let sent = answer(&mut sim, &sent[1], Code::NOT_FOUND);
    assert!(answer(&mut sim, &sent[0], Code::DELETED).is_empty());
    sim.commit();
    let values = written(&sim.take_one());
    let opaque = |bytes: &[u8]| OwnedValue::Opaque(bytes.to_vec());
    for (id, value) in [
        (0, OwnedValue::String("coaps://192.0.2.1:5684".into())),
        (2, OwnedValue::Integer(0)),
        (3, opaque(b"dev1/1")),
        (5, opaque(b"key")),
    ] {
        assert!(values.contains(&(Path::resource(0, 1, id), value)), "{id}");
    }
    assert_eq!(sim.store.records(Kind::SECRET).len(), 1);
}

#[test]
fn who_comes_with_dtls_is_not_sent_to_a_server_without() {
    let mut sim = sim("coap://192.0.2.9:5683");
    let mut config = config();
    config.bootstrap.rules[0].server_uri = "coap://192.0.2.9:5683".into();
    let secure = Rule {
        server_uri: "coaps://192.0.2.9:5684".into(),
        ..config.bootstrap.rules[0].clone()
    };
    config.bootstrap.rules.push(secure);
    sim.shard = Shard::new(config).with_access(Arc::new(Table));
    let sent = start(&mut sim, &factory(), "dev1");
    let sent = answer(&mut sim, &sent[1], Code::NOT_FOUND);
    let sent = answer(&mut sim, &sent[0], Code::DELETED);
    let uri = OwnedValue::String("coaps://192.0.2.9:5684".into());
    assert!(written(&sent[0]).contains(&(Path::resource(0, 1, 0), uri)));
}

#[test]
fn a_context_is_sent_when_it_is_durable_and_links_to_its_account() {
    let mut sim = sim("coap://192.0.2.9:5683");
    let mut config = config();
    config.bootstrap.rules[0].server_uri = "coap://192.0.2.9:5683".into();
    config.bootstrap.rules[0].oscore = true;
    sim.shard = Shard::new(config).with_access(Arc::new(Table));
    sim.slow_store = true;
    let sent = start(&mut sim, &factory(), "dev1");
    let accounts = |request: &[u8], links: &[u8]| {
        let request = Message::parse(request).unwrap();
        Msg::ack(&request, Code::CONTENT).payload(links).bytes()
    };
    let found = accounts(&sent[1], b"</0/0>,</0/1>;ssid=123");
    let sent = give(&mut sim, &factory(), &found);
    let discover = Message::parse(&sent[0]).unwrap();
    assert_eq!(
        (discover.code(), path_of(&discover).as_str()),
        (Code::GET, "/21")
    );
    let found = accounts(&sent[0], b"</21>,</21/0>,</21/1>");
    let sent = give(&mut sim, &factory(), &found);
    assert_eq!(code(&sent[0]), Code::DELETE);
    assert!(answer(&mut sim, &sent[0], Code::DELETED).is_empty());
    sim.commit();
    let write = sim.take_one();
    let parsed = Message::parse(&write).unwrap();
    assert_eq!(path_of(&parsed), "/21/2");
    // Type 11, with an id of one byte and the length in the type, as all are shorter than 8.
    let mut expected = Vec::new();
    for (id, value) in [
        (0, &b"a secret"[..]),
        (1, b"device"),
        (2, b"server"),
        (3, &[10]),
        (4, &[0xf6]),
        (5, b"salt"),
    ] {
        match value.len() {
            8 => expected.extend_from_slice(&[0xc8, id, 8]),
            len => expected.extend_from_slice(&[0xc0 | len as u8, id]),
        }
        expected.extend_from_slice(value);
    }
    assert_eq!(parsed.payload(), expected);
    let sent = answer(&mut sim, &write, Code::CHANGED);
    let values = written(&sent[0]);
    for (id, value) in [
        (0, OwnedValue::String("coap://192.0.2.9:5683".into())),
        (2, OwnedValue::Integer(3)),
        (
            17,
            OwnedValue::Objlnk(lwm2m_objects::Objlnk {
                object: 21,
                instance: 2,
            }),
        ),
    ] {
        assert!(values.contains(&(Path::resource(0, 1, id), value)), "{id}");
    }
    // In the clear there is none.
    let sent = start(&mut sim, &Identity::None, "dev2");
    assert_eq!(code(&sent[0]), Code::FORBIDDEN);
}

#[test]
fn a_key_that_could_not_be_stored_is_not_sent() {
    let mut sim = sim("");
    sim.store = MemoryStore::new().fail_after(0);
    let sent = start(&mut sim, &factory(), "dev1");
    assert_eq!(code(&sent[0]), Code::CHANGED);
    let failed = sim.events.iter().any(|event| {
        matches!(event, Event::Bootstrapped { error: Some(why), .. } if why.contains("stored"))
    });
    assert!(failed, "{:?}", sim.events);
}

#[test]
fn who_is_not_known_gets_no_key_and_no_name() {
    // The name of another.
    for identity in [Identity::None, Identity::Psk(b"thief".to_vec())] {
        let mut sim = sim("");
        let sent = start(&mut sim, &identity, "dev1");
        assert_eq!(code(&sent[0]), Code::FORBIDDEN);
        let told = sim.events.iter().any(|event| {
            matches!(event, Event::Impostor { endpoint, role: Role::Bootstrap, .. } if &**endpoint == "dev1")
        });
        assert!(told, "{:?}", sim.events);
    }
    // A key over a way on which it can be read.
    let mut sim = sim("coaps://192.0.2.1:5684");
    let sent = start(&mut sim, &Identity::None, "dev2");
    assert_eq!(code(&sent[0]), Code::FORBIDDEN);
    // Nobody has taken another's name.
    let told = sim.events.iter().any(|event| {
        matches!(event, Event::Bootstrapped { endpoint, error: Some(_) } if &**endpoint == "dev2")
    });
    assert!(told && sim.events.len() == 1, "{:?}", sim.events);
    // An account without a key.
    let mut sim = self::sim("");
    let sent = start(&mut sim, &Identity::None, "dev2");
    let sent = answer_plain(&mut sim, &sent[1], Code::NOT_FOUND);
    let sent = answer_plain(&mut sim, &sent[0], Code::DELETED);
    let values = written(&sent[0]);
    let uri = OwnedValue::String("coap://192.0.2.1:5684".into());
    assert!(values.contains(&(Path::resource(0, 1, 0), uri)));
    assert!(values.contains(&(Path::resource(0, 1, 2), OwnedValue::Integer(3))));
}

fn answer_plain(sim: &mut Sim, request: &[u8], code: Code) -> Vec<Vec<u8>> {
    let request = Message::parse(request).unwrap();
    let answer = Msg::ack(&request, code).bytes();
    give(sim, &Identity::None, &answer)
}
