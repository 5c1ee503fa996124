//! Requests that are legal, or nearly, and rare.

use lwm2m_objects::format::ContentFormat;
use lwm2m_objects::{OwnedValue, Path};
use tinsmith_coap::{Block, Code, OptionNumber, Szx};

use super::world::{BOOTSTRAP, SERVER, World};
use crate::testing::{Board, LAYERS, WIDTH, expected, package};
use crate::{Event, SlotState};

const INPUT: [u8; WIDTH] = [1; WIDTH];

fn running() -> World {
    let mut w = World::registered(Board::small());
    assert_eq!(w.push(&package(1, 1, 0)).unwrap(), Code::CHANGED);
    assert_eq!(w.execute("/5/0/2", "").unwrap(), Code::CHANGED);
    w
}

#[test]
fn an_execute_of_the_package_is_no_reset() {
    let mut w = World::registered(Board::small());
    assert_eq!(w.push(&package(1, 1, 60)).unwrap(), Code::CHANGED);
    let code = w.execute("/5/0/0", "").unwrap();
    assert_eq!(code, Code::METHOD_NOT_ALLOWED);
    let code = w.execute("/3/0/13", "5").unwrap();
    assert_eq!(code, Code::METHOD_NOT_ALLOWED);
    assert_eq!(w.firmware().unwrap(), (2, 0));
}

#[test]
fn the_largest_time_can_be_written_and_read() {
    let mut w = World::registered(Board::small());
    for time in [i64::MAX, i64::MIN, 0] {
        let value = [(Path::resource(3, 0, 13), OwnedValue::Time(time))];
        w.put(SERVER, "/3/0/13", &value, ContentFormat::SENML_CBOR)
            .unwrap();
        w.now.wall += 100;
        w.number("/3/0/13").unwrap();
    }
}

#[test]
fn the_same_input_in_a_block_runs_twice() {
    let mut w = running();
    for _ in 0..2 {
        let written = w.ask(SERVER, Code::PUT, "/27304/0/5", |b| {
            b.uint(OptionNumber::CONTENT_FORMAT, 42).unwrap();
            let block = Block::new(0, false, Szx::MAX).unwrap();
            b.block(OptionNumber::BLOCK1, block).unwrap();
            b.payload(&INPUT).unwrap();
        });
        assert_eq!(written.unwrap().code, Code::CHANGED);
        assert_eq!(w.execute("/27304/0/4", "").unwrap(), Code::CHANGED);
    }
}

#[test]
fn a_body_that_was_refused_is_refused_again() {
    let mut w = World::registered(Board::small());
    for _ in 0..2 {
        let written = w.ask(SERVER, Code::PUT, "/1/0/1", |b| {
            b.uint(OptionNumber::CONTENT_FORMAT, 0).unwrap();
            let block = Block::new(0, false, Szx::MAX).unwrap();
            b.block(OptionNumber::BLOCK1, block).unwrap();
            b.payload(b"soon").unwrap();
        });
        assert_eq!(written.unwrap().code, Code::BAD_REQUEST);
    }
}

#[test]
fn a_self_test_spoils_the_input_that_is_arriving() {
    let mut w = running();
    let written = w.ask(SERVER, Code::PUT, "/27304/0/5", |b| {
        b.uint(OptionNumber::CONTENT_FORMAT, 42).unwrap();
        let block = Block::new(0, true, Szx::new(0).unwrap()).unwrap();
        b.block(OptionNumber::BLOCK1, block).unwrap();
        b.payload(&INPUT).unwrap();
    });
    assert_eq!(written.unwrap().code, Code::REQUEST_ENTITY_TOO_LARGE);
    assert_eq!(w.execute("/27303/0/12", "").unwrap(), Code::CHANGED);
    let uploads = w.client.sessions.iter().filter_map(|s| s.link());
    assert!(uploads.flat_map(|l| &l.upload).next().is_none());
}

#[test]
fn rollback_needs_a_module_to_go_back_to() {
    let mut w = running();
    let code = w.execute("/27303/0/11", "").unwrap();
    assert_eq!(code, Code::METHOD_NOT_ALLOWED);
    assert_eq!(w.slots()[0], SlotState::Active);
    // While the module before is on trial, the committed one stays.
    assert_eq!(w.push(&package(2, 2, 0)).unwrap(), Code::CHANGED);
    assert_eq!(w.execute("/5/0/2", "").unwrap(), Code::CHANGED);
    assert_eq!(w.slots(), [SlotState::Verified, SlotState::Active]);
    assert_eq!(w.execute("/27303/0/9", "").unwrap(), Code::CHANGED);
    let code = w.execute("/27303/1/11", "").unwrap();
    assert_eq!(code, Code::METHOD_NOT_ALLOWED);
    w.reboot();
    w.register().unwrap();
    let got = w.infer(&[1; WIDTH]).unwrap();
    assert_eq!(got, expected(&[1; WIDTH], 2, LAYERS));
}

#[test]
fn the_powers_of_the_bootstrap_server_end_with_its_finish() {
    let mut w = World::registered(Board::small());
    for (code, path) in [
        (Code::GET, "/0"),
        (Code::GET, ""),
        (Code::DELETE, ""),
        (Code::DELETE, "/1/0"),
        (Code::PUT, "/1/0"),
        (Code::POST, "bs"),
    ] {
        let answer = w.ask(BOOTSTRAP, code, path, |_| {}).unwrap();
        assert_eq!(answer.code, Code::METHOD_NOT_ALLOWED, "{code} {path}");
        assert!(answer.payload.is_empty());
    }
}

#[test]
fn one_address_for_bootstrap_and_management() {
    let mut w = World::new(Board::small());
    let request = w.request().unwrap();
    w.reply(&request, Code::CHANGED, "").unwrap();
    let security = [
        (
            Path::resource(0, 1, 0),
            OwnedValue::String(format!("coap://{BOOTSTRAP}")),
        ),
        (Path::resource(0, 1, 10), OwnedValue::Integer(7)),
    ];
    let server = [(Path::resource(1, 0, 0), OwnedValue::Integer(7))];
    let format = ContentFormat::TLV;
    let code = |a: super::world::Answer| a.code;
    let put = w.put(BOOTSTRAP, "/0/1", &security, format).map(code);
    assert_eq!(put.unwrap(), Code::CHANGED);
    let put = w.put(BOOTSTRAP, "/1/0", &server, format).map(code);
    assert_eq!(put.unwrap(), Code::CHANGED);
    let finish = w.ask(BOOTSTRAP, Code::POST, "bs", |_| {}).map(code);
    assert_eq!(finish.unwrap(), Code::CHANGED);
    let request = w.request().unwrap();
    assert_eq!(request.path, "rd");
    w.reply(&request, Code::CREATED, "rd/a").unwrap();
    assert!(w.events.contains(&Event::Registered { server: 7 }));
    let read = w.ask(BOOTSTRAP, Code::GET, "/3/0/0", |_| {}).map(code);
    assert_eq!(read.unwrap(), Code::CONTENT);
}

#[test]
fn a_bootstrap_that_fails_leaves_the_known_servers() {
    let mut w = World::registered(Board::small());
    assert_eq!(w.execute("/1/0/9", "").unwrap(), Code::CHANGED);
    let request = w.request().unwrap();
    assert_eq!(request.path, "bs");
    w.reply(&request, Code::SERVICE_UNAVAILABLE, "").unwrap();
    let request = w.request().unwrap();
    assert_eq!(request.path, "rd");
}

#[test]
fn a_lifetime_written_while_an_update_is_under_way_is_told() {
    let mut w = World::registered(Board::small());
    assert_eq!(w.execute("/1/0/8", "").unwrap(), Code::CHANGED);
    let update = w.request().unwrap();
    assert!(update.query.contains(&"lt=300".to_string()));
    let written = w.ask(SERVER, Code::PUT, "/1/0/1", |b| {
        b.payload(b"86400").unwrap();
    });
    assert_eq!(written.unwrap().code, Code::CHANGED);
    w.reply(&update, Code::CHANGED, "").unwrap();
    let update = w.request().unwrap();
    assert!(update.query.contains(&"lt=86400".to_string()));
    w.reply(&update, Code::CHANGED, "").unwrap();
    w.pass(60_000).unwrap();
    assert!(w.take_datagram().is_none());
}

#[test]
fn a_class_below_the_threshold_is_not_notified() {
    // The module adds 78; the score is half the highest output.
    let sample = |class: usize, output: i8| {
        let mut input = [-78; WIDTH];
        input[class] += output;
        input
    };
    let mut w = running();
    w.infer(&sample(1, 20)).unwrap();
    w.ask(SERVER, Code::GET, "observe /27304/0/7", |_| {})
        .unwrap();
    let written = w.ask(SERVER, Code::PUT, "/27304/0/11", |b| {
        b.payload(b"1").unwrap();
    });
    assert_eq!(written.unwrap().code, Code::CHANGED);
    for (class, output, wanted) in [(5, 1, None), (3, 8, Some(&b"3"[..])), (4, 1, None)] {
        w.infer(&sample(class, output)).unwrap();
        assert_eq!(w.number("/27304/0/7").unwrap(), class as i64);
        w.pass(1_000).unwrap();
        let told = w.take_notifications(SERVER).unwrap();
        assert_eq!(told.first().map(Vec::as_slice), wanted, "{class}");
    }
}

#[test]
fn a_package_in_another_format_is_refused_at_its_first_block() {
    let mut w = World::registered(Board::small());
    let answer = w.ask(SERVER, Code::PUT, "/5/0/0", |b| {
        b.uint(OptionNumber::CONTENT_FORMAT, 11542).unwrap();
        b.block(OptionNumber::BLOCK1, Block::new(0, true, Szx::MAX).unwrap())
            .unwrap();
        b.payload(&[0; 1024]).unwrap();
    });
    assert_eq!(answer.unwrap().code, Code::UNSUPPORTED_CONTENT_FORMAT);
}
