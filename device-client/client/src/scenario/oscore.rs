//! Servers with OSCORE: contexts from a bootstrap or the factory, nothing in the clear, and new keys
//! when one end has lost what it knew.

use lwm2m_objects::format::ContentFormat;
use lwm2m_objects::{Objlnk, OwnedValue, Path};
use tinsmith_coap::{Code, Message};
use tinsmith_oscore::Start;

use super::far::Far;
use super::world::{BOOTSTRAP, SERVER, Story, World};
use crate::config::{Factory, OscoreFactory};
use crate::testing::{Board, package};
use crate::{BootstrapError, Event};

pub(super) const SECRET: &[u8] = b"a secret of both";
const SENDER: &[u8] = b"d1";
const RECIPIENT: &[u8] = b"s";
const REGISTERED: Event = Event::Registered { server: 7 };
const NEW_KEYS: Event = Event::NewKeys { server: 7 };

pub(super) type Values = Vec<(Path, OwnedValue)>;

pub(super) fn far(secret: &[u8], start: Start<'_>) -> Far {
    Far::new(secret, SENDER, RECIPIENT, start)
}

fn opaque(bytes: &[u8]) -> OwnedValue {
    OwnedValue::Opaque(bytes.to_vec())
}

/// Instance 4 of object 21.
pub(super) fn context(secret: &[u8]) -> Values {
    vec![
        (Path::resource(21, 4, 0), opaque(secret)),
        (Path::resource(21, 4, 1), opaque(SENDER)),
        (Path::resource(21, 4, 2), opaque(RECIPIENT)),
        (Path::resource(21, 4, 3), OwnedValue::Integer(10)),
        (Path::resource(21, 4, 4), OwnedValue::Integer(-10)),
        (Path::resource(21, 4, 5), opaque(b"salt")),
    ]
}

fn link(object: u16, instance: u16) -> OwnedValue {
    OwnedValue::Objlnk(Objlnk { object, instance })
}

/// The account that names it.
pub(super) fn security() -> Values {
    vec![
        (
            Path::resource(0, 1, 0),
            OwnedValue::String(format!("coap://{SERVER}")),
        ),
        (Path::resource(0, 1, 2), OwnedValue::Integer(3)),
        (Path::resource(0, 1, 10), OwnedValue::Integer(7)),
        (Path::resource(0, 1, 17), link(21, 4)),
    ]
}

pub(super) fn server() -> Values {
    vec![
        (Path::resource(1, 0, 0), OwnedValue::Integer(7)),
        (Path::resource(1, 0, 1), OwnedValue::Integer(300)),
    ]
}

/// Writes these and finishes; the code of the Finish.
fn write_and_finish(w: &mut World, parts: [(&str, &Values); 3]) -> Story<Code> {
    for (path, values) in parts {
        if !values.is_empty() {
            let answer = w.put(BOOTSTRAP, path, values, ContentFormat::TLV)?;
            assert_eq!(answer.code, Code::CHANGED, "{path}");
        }
    }
    let finished = w.ask(BOOTSTRAP, Code::POST, "bs", |_| {})?;
    Ok(finished.code)
}

/// A bootstrap server does what it does, with this secret for the server.
pub(super) fn bootstrap(w: &mut World, secret: &[u8]) -> Story<()> {
    let request = w.request()?;
    assert_eq!(request.path, "bs");
    w.reply(&request, Code::CHANGED, "")?;
    assert_eq!(
        w.ask(BOOTSTRAP, Code::DELETE, "", |_| {})?.code,
        Code::DELETED
    );
    let (security, context, server) = (security(), context(secret), server());
    let parts = [("/0/1", &security), ("/21/4", &context), ("/1/0", &server)];
    assert_eq!(write_and_finish(w, parts)?, Code::CHANGED);
    Ok(())
}

/// A registered device.
pub(super) fn registered() -> World {
    let mut w = World::new(Board::small());
    w.net.add(SERVER, far(SECRET, Start::Fresh));
    bootstrap(&mut w, SECRET).unwrap();
    w.register().unwrap();
    w
}

/// Until it is registered again.
fn settle(w: &mut World) {
    let before = w.events.len();
    for _ in 0..20 {
        let request = w.request().unwrap();
        let code = match request.path.as_str() {
            "rd" => Code::CREATED,
            _ => Code::CHANGED,
        };
        w.reply(&request, code, "rd/abc").unwrap();
        w.pump().unwrap();
        if w.events[before..].contains(&REGISTERED) {
            return;
        }
    }
    panic!("not registered: {:?}", w.events);
}

#[test]
fn a_bootstrap_gives_a_context_and_nothing_is_in_the_clear() {
    let mut w = registered();
    assert!(w.events.contains(&REGISTERED));
    assert_eq!(w.number("/1/0/1").unwrap(), 300);
    // In blocks in both directions.
    assert!(w.read("/27300").unwrap().len() > 5);
    assert_eq!(w.push(&package(1, 1, 60)).unwrap(), Code::CHANGED);
    assert_eq!(w.execute("/5/0/2", "").unwrap(), Code::CHANGED);
    assert_eq!(w.execute("/27303/0/10", "").unwrap(), Code::CHANGED);
    assert_eq!(w.firmware().unwrap(), (0, 1));
    let update = w.request().unwrap();
    assert_eq!(update.path, "rd/abc");
    w.reply(&update, Code::CHANGED, "").unwrap();
    w.net.assert_protected();
    assert_eq!((w.net.plain, w.net.challenged), (0, 0));
    assert!(w.net.nonces() > 15);
}

fn write_lifetime(w: &mut World, seconds: &str) -> Story<Code> {
    let answer = w.ask(SERVER, Code::PUT, "/1/0/1", |b| {
        b.payload(seconds.as_bytes()).unwrap();
    })?;
    Ok(answer.code)
}

fn observe(w: &mut World, path: &str) {
    let answer = w
        .ask(SERVER, Code::GET, &format!("observe {path}"), |_| {})
        .unwrap();
    assert_eq!(
        (answer.code, answer.observe.is_some()),
        (Code::CONTENT, true)
    );
}

#[test]
fn observations_outlive_other_requests_and_each_other() {
    let mut w = registered();
    observe(&mut w, "/1/0/1");
    // More than there is room for, each ended in another way.
    for i in 0..60 {
        observe(&mut w, "/3/0/0");
        if i % 2 == 0 {
            let request = w.send(SERVER, Code::GET, "/3/0/0", |b| {
                b.uint(tinsmith_coap::OptionNumber::ACCEPT, 0).unwrap();
            });
            w.await_answer(SERVER, request.unwrap()).unwrap();
        }
    }
    assert_eq!(write_lifetime(&mut w, "400").unwrap(), Code::CHANGED);
    let told = w.take_notifications(SERVER).unwrap();
    assert_eq!(told, [b"400"]);
    w.net.assert_protected();
}

#[test]
fn a_set_that_does_not_fit_is_a_failed_bootstrap_and_nothing_is_lost() {
    let without = |values: &Values, resource: u16| -> Values {
        let others = |(path, _): &&(Path, OwnedValue)| path.resource_id() != Some(resource);
        values.iter().filter(others).cloned().collect()
    };
    let with = |values: &Values, resource: u16, value: OwnedValue| -> Values {
        let base = values[0].0;
        let path = Path::resource(
            base.object_id().unwrap(),
            base.instance_id().unwrap(),
            resource,
        );
        let mut values = without(values, resource);
        values.push((path, value));
        values.sort_by_key(|(path, _)| path.resource_id());
        values
    };
    let (account, whole) = (security(), context(SECRET));
    let cases = [
        (account.clone(), Values::new()),
        (account.clone(), without(&whole, 0)),
        (account.clone(), with(&whole, 1, opaque(RECIPIENT))),
        (with(&account, 17, link(21, 5)), whole.clone()),
        // The context of the bootstrap server, for two servers.
        (with(&account, 17, link(21, 65534)), whole.clone()),
        // The same keys under another number.
        (
            account.clone(),
            vec![
                (Path::resource(21, 4, 0), opaque(b"the factory's")),
                (Path::resource(21, 4, 1), opaque(b"f")),
                (Path::resource(21, 4, 2), opaque(b"b")),
                (Path::resource(21, 4, 5), opaque(b"salt")),
            ],
        ),
    ];
    for (security, context) in cases {
        let mut board = Board::small();
        board.factory = Factory::OscoreBootstrap(FACTORY);
        let mut w = World::new(board);
        w.net.add(BOOTSTRAP, Far::of_factory());
        w.net.add(SERVER, far(SECRET, Start::Fresh));
        bootstrap(&mut w, SECRET).unwrap();
        w.register().unwrap();
        assert_eq!(w.execute("/1/0/9", "").unwrap(), Code::CHANGED);
        let request = w.request().unwrap();
        w.reply(&request, Code::CHANGED, "").unwrap();
        w.ask(BOOTSTRAP, Code::DELETE, "", |_| {}).unwrap();
        let server = server();
        let parts = [("/0/1", &security), ("/21/4", &context), ("/1/0", &server)];
        let code = write_and_finish(&mut w, parts).unwrap();
        assert_eq!(code, Code::NOT_ACCEPTABLE, "{security:?} {context:?}");
        w.pump().unwrap();
        let failed = Event::BootstrapFailed {
            reason: BootstrapError::Inconsistent,
            retry_s: 0,
        };
        assert!(w.events.contains(&failed), "{:?}", w.events);
        settle(&mut w);
        assert_eq!(w.number("/1/0/1").unwrap(), 300);
        w.net.assert_protected();
    }
}

#[test]
fn values_that_oscore_can_not_use_are_refused_at_once() {
    let mut w = World::new(Board::small());
    let request = w.request().unwrap();
    w.reply(&request, Code::CHANGED, "").unwrap();
    let cases = [
        (0, opaque(&[1; 65])),
        (1, opaque(&[1; 8])),
        (2, opaque(&[1; 8])),
        // AES-GCM, ChaCha20, HKDF with SHA-512.
        (3, OwnedValue::Integer(1)),
        (3, OwnedValue::Integer(24)),
        (4, OwnedValue::Integer(-11)),
        (5, opaque(&[1; 33])),
        (6, opaque(&[1; 33])),
        (7, OwnedValue::Integer(1)),
    ];
    for (resource, value) in cases {
        let shown = format!("{resource} {value:?}");
        let values = [(Path::resource(21, 4, resource), value)];
        for format in [ContentFormat::TLV, ContentFormat::SENML_CBOR] {
            let answer = w.put(BOOTSTRAP, "/21/4", &values, format);
            let code = answer.map(|a| a.code).unwrap();
            assert!(!code.is_success(), "{shown} {format:?}: {code}");
        }
    }
    for value in [link(3, 0), link(21, 65535)] {
        let values = [(Path::resource(0, 1, 17), value)];
        let answer = w.put(BOOTSTRAP, "/0/1", &values, ContentFormat::TLV);
        assert_eq!(answer.unwrap().code, Code::BAD_REQUEST);
    }
}

#[test]
fn nobody_reads_a_context_and_only_a_bootstrap_changes_it() {
    let mut w = registered();
    for path in ["/21", "/21/4", "/21/4/0", "/0/1/17"] {
        assert_eq!(w.get(path).unwrap().code, Code::NOT_FOUND, "{path}");
        let written = w.ask(SERVER, Code::PUT, path, |b| {
            b.payload(b"x").unwrap();
        });
        assert_eq!(written.unwrap().code, Code::NOT_FOUND, "{path}");
        let deleted = w.ask(SERVER, Code::DELETE, path, |_| {}).unwrap();
        assert_eq!(deleted.code, Code::NOT_FOUND, "{path}");
    }
    assert_eq!(w.execute("/1/0/9", "").unwrap(), Code::CHANGED);
    let request = w.request().unwrap();
    w.reply(&request, Code::CHANGED, "").unwrap();
    let answer = w.ask(BOOTSTRAP, Code::GET, "", |_| {}).unwrap();
    let links = String::from_utf8(answer.payload).unwrap();
    assert!(links.contains("</21/4>"), "{links}");
    assert!(!links.contains("secret"), "{links}");
    let read = w.ask(BOOTSTRAP, Code::GET, "/21/4/0", |b| {
        b.uint(tinsmith_coap::OptionNumber::ACCEPT, 42).unwrap();
    });
    assert_eq!(read.unwrap().code, Code::NOT_ACCEPTABLE);
    assert_eq!(
        w.ask(BOOTSTRAP, Code::DELETE, "/21/4", |_| {})
            .unwrap()
            .code,
        Code::DELETED
    );
    let answer = w.ask(BOOTSTRAP, Code::GET, "/21", |_| {}).unwrap();
    assert!(
        !String::from_utf8(answer.payload)
            .unwrap()
            .contains("</21/4>")
    );
}

#[test]
fn without_the_account_its_context_is_gone() {
    let mut w = registered();
    assert_eq!(w.client.device.accounts.oscore.iter().flatten().count(), 1);
    assert_eq!(w.execute("/1/0/9", "").unwrap(), Code::CHANGED);
    let request = w.request().unwrap();
    w.reply(&request, Code::CHANGED, "").unwrap();
    let plain: Values = security().into_iter().take(3).collect();
    let (server, none) = (server(), Values::new());
    // Written anew without the link; what it named was not deleted.
    let parts = [("/0/1", &plain), ("/21/4", &none), ("/1/0", &server)];
    assert_eq!(write_and_finish(&mut w, parts).unwrap(), Code::CHANGED);
    assert_eq!(w.client.device.accounts.oscore, [None; 3]);
}

/// GET /3/0/0, confirmable.
const REQUEST: [u8; 9] = [0x40, 1, 0x12, 0x34, 0xb1, b'3', 1, b'0', 0];

#[test]
fn who_has_no_key_gets_4_01_and_others_nothing() {
    let mut w = registered();
    let answers = |w: &mut World, from: &str, request: &[u8]| {
        let before = w.net.from_client.len();
        let from = from.parse().unwrap();
        w.net.inject(from, request);
        w.pump().unwrap();
        let sent = w.net.from_client[before..].to_vec();
        assert!(sent.iter().all(|(to, _)| *to == from));
        sent.into_iter().map(|(_, bytes)| bytes).collect::<Vec<_>>()
    };
    let mut write = vec![0x40, 3, 1, 2, 0xb1, b'1', 1, b'0', 1, b'1', 0xff];
    write.extend_from_slice(b"77");
    for request in [&REQUEST[..8], &write] {
        let answers = answers(&mut w, SERVER, request);
        let answer = Message::parse(&answers[0]).unwrap();
        assert_eq!((answers.len(), answer.code()), (1, Code::UNAUTHORIZED));
        assert_eq!(answer.payload(), b"OSCORE only");
        assert_eq!(answer.max_age(), Some(0));
    }
    for from in ["10.0.0.9:5783", "10.0.0.2:5784"] {
        assert!(answers(&mut w, from, &REQUEST[..8]).is_empty(), "{from}");
    }
    // The shell may give it without the way to open it: nothing is taken.
    let from = SERVER.parse().unwrap();
    let input = crate::Input::Datagram {
        from,
        bytes: &REQUEST[..8],
    };
    let before = w.net.from_client.len();
    w.client.handle(w.now, input, &mut w.board);
    w.pump().unwrap();
    assert_eq!(w.net.from_client.len(), before);
    assert_eq!(w.number("/1/0/1").unwrap(), 300);
}

#[test]
fn a_reset_costs_the_first_request_one_more_round_trip() {
    let mut w = registered();
    assert_eq!(w.number("/1/0/1").unwrap(), 300);
    for i in 1..4 {
        w.reboot();
        w.events.clear();
        w.register().unwrap();
        assert_eq!(w.number("/1/0/1").unwrap(), 300);
        assert_eq!(w.number("/1/0/1").unwrap(), 300);
        assert_eq!(w.net.challenged, i);
        assert!(!w.events.contains(&NEW_KEYS));
    }
    w.net.assert_protected();
}

#[test]
fn a_server_that_was_started_again_gets_a_proof() {
    let mut w = registered();
    w.net.far(SERVER).restart();
    let update = w.request().unwrap();
    assert_eq!(update.path, "rd/abc");
    w.reply(&update, Code::CHANGED, "").unwrap();
    assert_eq!(w.net.far(SERVER).challenges, 1);
    assert!(!w.events.contains(&NEW_KEYS));
    assert_eq!(w.number("/1/0/1").unwrap(), 300);
}

#[test]
fn a_server_that_lost_everything_gets_new_keys_and_a_register() {
    let mut w = registered();
    observe(&mut w, "/1/0/1");
    for round in 1..4 {
        w.net.far(SERVER).lose();
        w.events.clear();
        settle(&mut w);
        assert_eq!(w.net.far(SERVER).challenges, round);
        assert_eq!(w.events, [NEW_KEYS, REGISTERED]);
        assert_eq!(w.number("/1/0/1").unwrap(), 300);
        let observed = w.client.sessions[1].observations();
        assert!(!observed.iter().any(crate::Observation::is_some));
        observe(&mut w, "/1/0/1");
    }
    // These keys are kept, and what they were used for.
    let challenged = w.net.challenged;
    w.reboot();
    w.events.clear();
    w.register().unwrap();
    assert_eq!(w.number("/1/0/1").unwrap(), 300);
    assert_eq!(w.net.challenged, challenged + 1);
    assert!(!w.events.contains(&NEW_KEYS));
    w.net.assert_protected();
}

#[test]
fn a_server_that_asks_for_new_keys_itself() {
    let mut w = registered();
    observe(&mut w, "/1/0/1");
    w.net.far(SERVER).begin_anew();
    w.events.clear();
    assert_eq!(w.number("/1/0/1").unwrap(), 300);
    assert_eq!((w.events[0], w.net.challenged), (NEW_KEYS, 1));
    settle(&mut w);
    let observed = w.client.sessions[1].observations();
    assert!(!observed.iter().any(crate::Observation::is_some));
    w.net.assert_protected();
    // They are kept, and what came before means nothing.
    let recorded = w.net.to_client.clone();
    w.reboot();
    w.register().unwrap();
    let changes = w.client.device.log.changes;
    for (from, datagram) in recorded {
        w.net.inject(from, &datagram);
        w.pump().unwrap();
    }
    w.forget();
    assert_eq!(w.client.device.log.changes, changes);
    assert_eq!(w.number("/1/0/1").unwrap(), 300);
    assert_eq!(w.net.far(SERVER).challenges, 0);
}

#[test]
fn a_bootstrap_server_may_change_its_own_context() {
    let mut board = Board::small();
    board.factory = Factory::OscoreBootstrap(FACTORY);
    let mut w = World::new(board);
    w.net.add(BOOTSTRAP, Far::of_factory());
    w.net.add(SERVER, far(SECRET, Start::Fresh));
    let request = w.request().unwrap();
    w.reply(&request, Code::CHANGED, "").unwrap();
    let own = [
        (
            Path::resource(0, 0, 0),
            OwnedValue::String(FACTORY.uri.into()),
        ),
        (Path::resource(0, 0, 1), OwnedValue::Boolean(true)),
        (Path::resource(0, 0, 17), link(21, 7)),
    ];
    let another = [
        (Path::resource(21, 7, 0), opaque(b"of the bootstrap server")),
        (Path::resource(21, 7, 1), opaque(b"f")),
        (Path::resource(21, 7, 2), opaque(b"b")),
        (Path::resource(21, 7, 5), opaque(b"salt")),
    ];
    for (path, values) in [("/0/0", &own[..]), ("/21/7", &another[..])] {
        let answer = w.put(BOOTSTRAP, path, values, ContentFormat::TLV);
        assert_eq!(answer.unwrap().code, Code::CHANGED);
    }
    let (security, context, server) = (security(), context(SECRET), server());
    let parts = [("/0/1", &security), ("/21/4", &context), ("/1/0", &server)];
    assert_eq!(write_and_finish(&mut w, parts).unwrap(), Code::CHANGED);
    w.register().unwrap();
    // That of the factory, which no account names any more, is forgotten.
    let ids = w.client.device.accounts.oscore.iter().flatten();
    assert_eq!(ids.map(|c| c.id).collect::<Vec<_>>(), [7, 4]);
    let changed = Far::new(b"of the bootstrap server", b"f", b"b", Start::Fresh);
    w.net.add(BOOTSTRAP, changed);
    for _ in 0..2 {
        assert_eq!(w.execute("/1/0/9", "").unwrap(), Code::CHANGED);
        let request = w.request().unwrap();
        assert_eq!(request.path, "bs");
        w.reply(&request, Code::CHANGED, "").unwrap();
        let finished = w.ask(BOOTSTRAP, Code::POST, "bs", |_| {}).unwrap();
        assert_eq!(finished.code, Code::CHANGED);
        w.register().unwrap();
    }
    assert_eq!(w.net.far(BOOTSTRAP).challenges, 0, "its numbers are kept");
    w.net.assert_protected();
}

#[test]
fn a_server_with_other_keys_is_no_server() {
    let mut w = registered();
    w.net.add(SERVER, far(b"another secret", Start::Fresh));
    w.events.clear();
    let request = w.request().unwrap();
    assert_eq!(request.path, "bs", "it asks for other accounts");
    let refused = w.events.iter().filter(|event| {
        let bad = Code::BAD_REQUEST.byte();
        matches!(event, Event::RegistrationFailed { server: 7, code, .. } if *code == bad)
    });
    assert_eq!(refused.count(), 6);
}

/// What a device knows from the factory.
const FACTORY: OscoreFactory<'static> = OscoreFactory {
    uri: "coap://10.0.0.1:5683",
    master_secret: b"the factory's",
    master_salt: b"salt",
    sender_id: b"f",
    recipient_id: b"b",
    id_context: None,
};

impl Far {
    fn of_factory() -> Self {
        Self::new(b"the factory's", b"f", b"b", Start::Fresh)
    }
}

#[test]
fn a_bootstrap_server_of_the_factory_is_asked_with_new_keys_each_time() {
    let mut board = Board::small();
    board.factory = Factory::OscoreBootstrap(FACTORY);
    let mut w = World::new(board);
    w.net.add(BOOTSTRAP, Far::of_factory());
    w.net.add(SERVER, far(SECRET, Start::Fresh));
    bootstrap(&mut w, SECRET).unwrap();
    w.register().unwrap();
    // Its flash is gone, and with it what was used.
    w.board.flash = Board::small().flash;
    w.reboot();
    w.net.add(SERVER, far(b"other", Start::Fresh));
    bootstrap(&mut w, b"other").unwrap();
    w.register().unwrap();
    assert_eq!(w.net.far(BOOTSTRAP).challenges, 2);
    assert_eq!(w.number("/1/0/1").unwrap(), 300);
    w.net.assert_protected();
}

#[test]
fn a_server_of_the_factory() {
    let mut board = Board::small();
    board.factory = Factory::OscoreServer(OscoreFactory {
        uri: "coap://10.0.0.2:5783",
        ..FACTORY
    });
    let mut w = World::new(board);
    w.net.add(SERVER, Far::of_factory());
    for life in 1..5 {
        w.register().unwrap();
        assert_eq!(w.number("/1/0/1").unwrap(), 86_400);
        assert_eq!(w.net.far(SERVER).challenges, life);
        w.reboot();
    }
    w.net.assert_protected();
}

#[test]
fn what_oscore_can_not_take_is_no_account() {
    use super::world::boot;
    use crate::{ConfigError, Now};
    let cases = [
        OscoreFactory {
            uri: "coaps://10.0.0.1",
            ..FACTORY
        },
        OscoreFactory {
            master_secret: b"",
            ..FACTORY
        },
        OscoreFactory {
            master_secret: &[1; 65],
            ..FACTORY
        },
        OscoreFactory {
            recipient_id: b"f",
            ..FACTORY
        },
        OscoreFactory {
            id_context: Some(&[1; 33]),
            ..FACTORY
        },
    ];
    for factory in cases {
        let mut board = Board::small();
        board.factory = Factory::OscoreBootstrap(factory);
        let refused = boot(&mut board, Now::default(), &[]).err();
        assert_eq!(refused, Some(ConfigError::Uri), "{factory:?}");
    }
}

#[test]
fn keys_that_a_bootstrap_server_gives_again_go_on() {
    let mut w = registered();
    let mut other = far(b"another", Start::Fresh);
    for secret in [b"another", SECRET, b"another", SECRET] {
        assert_eq!(w.execute("/1/0/9", "").unwrap(), Code::CHANGED);
        core::mem::swap(w.net.far(SERVER), &mut other);
        bootstrap(&mut w, secret).unwrap();
        w.register().unwrap();
        assert_eq!(w.number("/1/0/1").unwrap(), 300);
    }
}
