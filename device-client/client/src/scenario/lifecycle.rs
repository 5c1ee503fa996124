//! Bootstrap and registration: as they should go, and when servers fail.

use lwm2m_objects::format::ContentFormat;
use lwm2m_objects::{OwnedValue, Path};
use tinsmith_coap::Code;

use super::world::{BOOTSTRAP, SERVER, World};
use crate::testing::Board;
use crate::{BootstrapError, Event, Input};

#[test]
fn bootstrap_in_every_format_then_register_and_update() {
    for format in [
        ContentFormat::TLV,
        ContentFormat::SENML_CBOR,
        ContentFormat::SENML_JSON,
    ] {
        let mut w = World::new(Board::small());
        w.bootstrap(format).unwrap();
        let register = w.register().unwrap();
        for wanted in ["ep=device-1", "lt=300", "lwm2m=1.1", "b=U"] {
            assert!(
                register.query.contains(&wanted.to_string()),
                "{:?}",
                register.query
            );
        }
        let links = &register.payload;
        assert!(links.starts_with("</>;rt=\"oma.lwm2m\";ct=112,</1/0>"));
        for link in [
            "</3/0>",
            "</5>;ver=1.1,</5/0>",
            "</27300/0>",
            "</27303/0>,</27303/1>",
        ] {
            assert!(links.contains(link), "{links}");
        }
        assert!(!links.contains("</0/"), "security is not for servers");
        let start = w.now.mono;
        let update = w.request().unwrap();
        assert_eq!((update.code, update.path.as_str()), (Code::POST, "rd/abc"));
        assert!(w.now.mono - start < 300_000, "before the lifetime ends");
        w.reply(&update, Code::CHANGED, "").unwrap();
        // The server forgets us: we register again at once.
        let update = w.request().unwrap();
        w.reply(&update, Code::NOT_FOUND, "").unwrap();
        w.register().unwrap();
    }
}

#[test]
fn accounts_survive_a_reboot() {
    let mut w = World::registered(Board::small());
    w.reboot();
    let register = w.register().unwrap();
    assert!(register.query.contains(&"lt=300".to_string()));
}

#[test]
fn a_silent_or_unwilling_bootstrap_server_is_asked_again() {
    let mut w = World::new(Board::small());
    let request = w.request().unwrap();
    w.reply(&request, Code::BAD_REQUEST, "").unwrap();
    let failed = |reason| move |e: &Event| matches!(e, Event::BootstrapFailed { reason: r, .. } if *r == reason);
    let rejected = BootstrapError::Rejected(Code::BAD_REQUEST.byte());
    assert!(w.events.iter().any(failed(rejected)));
    let request = w.request().unwrap();
    assert_eq!(request.path, "bs");
    w.reply(&request, Code::CHANGED, "").unwrap();
    // Nothing comes.
    w.pass(250_000).unwrap();
    assert!(w.events.iter().any(failed(BootstrapError::TimedOut)));
    w.bootstrap(ContentFormat::TLV).unwrap();
    w.register().unwrap();
}

#[test]
fn an_inconsistent_bootstrap_is_refused_and_repeated() {
    let mut w = World::new(Board::small());
    let request = w.request().unwrap();
    w.reply(&request, Code::CHANGED, "").unwrap();
    let finished = w.ask(BOOTSTRAP, Code::POST, "bs", |_| {}).unwrap();
    assert_eq!(finished.code, Code::NOT_ACCEPTABLE);
    let why = |e: &Event| match e {
        Event::BootstrapFailed { reason, .. } => Some(*reason),
        _ => None,
    };
    let why: Vec<_> = w.events.iter().filter_map(why).collect();
    assert_eq!(why, [BootstrapError::Inconsistent]);
    w.bootstrap(ContentFormat::TLV).unwrap();
    w.register().unwrap();
}

#[test]
fn bad_bootstrap_writes() {
    let mut w = World::new(Board::small());
    let request = w.request().unwrap();
    w.reply(&request, Code::CHANGED, "").unwrap();
    let bad = [(Path::resource(1, 0, 0), OwnedValue::Integer(-3))];
    let answer = w.put(BOOTSTRAP, "/1/0", &bad, ContentFormat::TLV).unwrap();
    assert_eq!(answer.code, Code::BAD_REQUEST);
    let other = [(Path::resource(3, 0, 13), OwnedValue::Time(1))];
    let answer = w
        .put(BOOTSTRAP, "/3/0", &other, ContentFormat::TLV)
        .unwrap();
    assert_eq!(answer.code, Code::NOT_FOUND);
    let answer = w.ask(BOOTSTRAP, Code::DELETE, "/3/0", |_| {}).unwrap();
    assert_eq!(answer.code, Code::BAD_REQUEST);
    let answer = w.ask(BOOTSTRAP, Code::GET, "", |_| {}).unwrap();
    let links = String::from_utf8(answer.payload).unwrap();
    assert_eq!(links, "</>;lwm2m=1.1,</0/0>,</3/0>,</5/0>,</27300/0>");
}

#[test]
fn a_server_that_never_answers_leads_back_to_bootstrap() {
    let mut w = World::new(Board::small());
    w.bootstrap(ContentFormat::TLV).unwrap();
    for _ in 0..200 {
        let request = w.request().unwrap();
        if request.path == "bs" {
            let failures = |e: &&Event| matches!(e, Event::RegistrationFailed { code: 0, .. });
            assert!(w.events.iter().filter(failures).count() >= 3);
            return;
        }
    }
    panic!("no bootstrap");
}

#[test]
fn stop_deregisters() {
    let mut w = World::registered(Board::small());
    w.client.handle(w.now, Input::Stop, &mut w.board);
    let request = w.request().unwrap();
    assert_eq!(
        (request.code, request.path.as_str()),
        (Code::DELETE, "rd/abc")
    );
    w.reply(&request, Code::DELETED, "").unwrap();
    assert_eq!(w.events.last(), Some(&Event::Stopped));
    assert_eq!(request.to.to_string(), SERVER);
}

#[test]
fn reboot_trigger_and_new_lifetime() {
    let mut w = World::registered(Board::small());
    assert_eq!(w.execute("/1/0/8", "").unwrap(), Code::CHANGED);
    let update = w.request().unwrap();
    assert_eq!(update.path, "rd/abc");
    w.reply(&update, Code::CHANGED, "").unwrap();
    let lifetime = [(Path::resource(1, 0, 1), OwnedValue::Integer(60))];
    let answer = w
        .put(SERVER, "/1/0/1", &lifetime, ContentFormat::SENML_CBOR)
        .unwrap();
    assert_eq!(answer.code, Code::CHANGED);
    let update = w.request().unwrap();
    assert!(update.query.contains(&"lt=60".to_string()));
    w.reply(&update, Code::CHANGED, "").unwrap();
    assert_eq!(w.execute("/3/0/4", "").unwrap(), Code::CHANGED);
    assert!(w.rebooted);
    w.reboot();
    assert!(
        w.register().unwrap().query.contains(&"lt=60".to_string()),
        "it was stored"
    );
}

#[test]
fn strangers_are_not_answered() {
    let mut w = World::registered(Board::small());
    while w.take_datagram().is_some() {}
    w.deliver("10.9.9.9:1", &[0x40, 1, 0, 1, 0xB1, b'3'])
        .unwrap();
    assert!(w.take_datagram().is_none());
}
