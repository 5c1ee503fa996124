//! Registering at servers that are busy, want to be left alone, or get more objects than a datagram
//! holds; and without a bootstrap server.

use lwm2m_objects::format::ContentFormat;
use lwm2m_objects::model::{ObjectModel, Operations, ResourceModel, Version};
use lwm2m_objects::{OwnedValue, Path, ValueType};
use tinsmith_coap::{Block, Code, OptionNumber, Szx, Token};

use super::world::{BOOTSTRAP, Request, SERVER, World};
use crate::testing::{Board, package};
use crate::{Event, Factory, Input, Object, Values, View};

const MODEL: ObjectModel = ObjectModel::new(
    3303,
    Version::V1_0,
    true,
    &[ResourceModel::new(5700, Operations::R, ValueType::Float)],
);

/// An object with many instances, more or less of them.
struct Many(std::cell::Cell<u16>);

impl Object for Many {
    fn definition(&self) -> &'static ObjectModel {
        &MODEL
    }

    fn instances(&self, _: &View<'_>, f: &mut dyn FnMut(u16)) {
        (0..self.0.get()).for_each(|i| f(30_000 + i));
    }

    fn read(&self, _: &View<'_>, _: u16, _: &mut Values<'_>) {}
}

/// A device with so many links that no message holds them, before its Register.
fn with_many() -> (World, &'static Many) {
    let many: &'static Many = Box::leak(Box::new(Many(std::cell::Cell::new(100))));
    let objects: &'static [&'static dyn Object] = Box::leak(Box::new([many as &dyn Object]));
    let mut w = World::with_objects(Board::small(), objects);
    w.bootstrap(ContentFormat::TLV).unwrap();
    (w, many)
}

/// Takes a request block by block, the last of which it gives, and what they say together.
fn take_blocks(w: &mut World) -> (Request, String) {
    let mut body = String::new();
    loop {
        let request = w.request().unwrap();
        let block = request.block1.unwrap();
        assert_eq!(block.num as usize * block.szx.size(), body.len());
        body += &request.payload;
        if !block.more {
            return (request, body);
        }
        let reply = w.reply_with(&request, Code::CONTINUE, |b| {
            b.block(OptionNumber::BLOCK1, block).unwrap();
        });
        reply.unwrap();
    }
}

#[test]
fn a_list_of_any_length_is_registered_in_blocks() {
    let (mut w, many) = with_many();
    let first = w.request().unwrap();
    assert_eq!((first.code, first.path.as_str()), (Code::POST, "rd"));
    assert_eq!(first.block1, Block::new(0, true, Szx::new(5).unwrap()));
    // The server wants smaller blocks.
    let small = Szx::new(3).unwrap();
    let reply = w.reply_with(&first, Code::CONTINUE, |b| {
        let block = Block::new(0, true, small).unwrap();
        b.block(OptionNumber::BLOCK1, block).unwrap();
    });
    reply.unwrap();
    let mut body = first.payload.clone();
    let last = loop {
        let next = w.request().unwrap();
        assert_eq!(next.query, first.query, "one request in blocks");
        let block = next.block1.unwrap();
        assert_eq!(block.szx, small);
        body += &next.payload;
        if !block.more {
            break next;
        }
        let reply = w.reply_with(&next, Code::CONTINUE, |b| {
            b.block(OptionNumber::BLOCK1, block).unwrap();
        });
        reply.unwrap();
    };
    assert_eq!(first.size1, Some(body.len() as u32));
    assert!(body.contains("</3303/30099>,</27300/0>"), "{body}");
    w.reply(&last, Code::CREATED, "rd/abc").unwrap();
    assert!(w.events.contains(&Event::Registered { server: 7 }));
    // So are changes.
    many.0.set(120);
    let path = Path::object(3303);
    w.client.handle(w.now, Input::Changed(path), &mut w.board);
    let (update, body) = take_blocks(&mut w);
    assert_eq!((update.code, update.path.as_str()), (Code::POST, "rd/abc"));
    assert!(body.contains("</3303/30119>"), "{body}");
    w.reply(&update, Code::CHANGED, "").unwrap();
    w.pass(100_000).unwrap();
    assert!(w.take_datagram().is_none());
}

#[test]
fn a_list_that_changes_while_it_is_sent_begins_anew() {
    let (mut w, many) = with_many();
    let first = w.request().unwrap();
    let continue_ = |w: &mut World, request: &Request| {
        let reply = w.reply_with(request, Code::CONTINUE, |b| {
            b.block(OptionNumber::BLOCK1, request.block1.unwrap())
                .unwrap();
        });
        reply.unwrap();
    };
    many.0.set(110);
    let path = Path::object(3303);
    w.client.handle(w.now, Input::Changed(path), &mut w.board);
    continue_(&mut w, &first);
    let (last, body) = take_blocks(&mut w);
    assert!(body.contains("</3303/30109>"));
    w.reply(&last, Code::CREATED, "rd/abc").unwrap();
    // The server has lost it on the way: once it is sent again.
    many.0.set(111);
    w.client.handle(w.now, Input::Changed(path), &mut w.board);
    let update = w.request().unwrap();
    continue_(&mut w, &update);
    let update = w.request().unwrap();
    assert_eq!(update.block1.unwrap().num, 1);
    w.reply(&update, Code::REQUEST_ENTITY_INCOMPLETE, "")
        .unwrap();
    let (last, body) = take_blocks(&mut w);
    assert!(body.starts_with("</>;") && body.contains("</3303/30110>"));
    w.reply(&last, Code::REQUEST_ENTITY_INCOMPLETE, "").unwrap();
    assert!(take_blocks(&mut w).1.contains("</3303/30110>"));
}

/// Answers with 5.03 and a Max-Age.
fn busy(w: &mut World, request: &Request, seconds: u32) {
    let reply = w.reply_with(request, Code::SERVICE_UNAVAILABLE, |b| {
        b.uint(OptionNumber::MAX_AGE, seconds).unwrap();
    });
    reply.unwrap();
}

#[test]
fn a_busy_server_is_asked_again_when_it_said() {
    let mut w = World::new(Board::small());
    let request = w.request().unwrap();
    let asked = w.now.mono;
    busy(&mut w, &request, 700);
    let request = w.request().unwrap();
    assert_eq!(request.path, "bs");
    assert!((700_000..702_000).contains(&(w.now.mono - asked)));
    busy(&mut w, &request, 1);
    w.bootstrap(ContentFormat::TLV).unwrap();
    // More often than a server is asked that is not there.
    for _ in 0..10 {
        let register = w.request().unwrap();
        assert_eq!(register.path, "rd");
        let asked = w.now.mono;
        busy(&mut w, &register, 400);
        w.pass(399_000).unwrap();
        assert!(w.take_datagram().is_none());
        w.pass(1_500).unwrap();
        assert!(w.now.mono - asked > 400_000);
    }
    w.register().unwrap();
    // Its Update too, with all that it was to say.
    let written = w.ask(SERVER, Code::PUT, "/1/0/7", |b| {
        b.payload(b"U").unwrap();
    });
    assert_eq!(written.unwrap().code, Code::CHANGED);
    let update = w.request().unwrap();
    busy(&mut w, &update, 30);
    assert_eq!(w.execute("/1/0/8", "").unwrap(), Code::CHANGED, "at once");
    let update = w.request().unwrap();
    assert_eq!(update.path, "rd/abc");
    busy(&mut w, &update, 30);
    w.pass(29_000).unwrap();
    assert!(w.take_datagram().is_none());
    let update = w.request().unwrap();
    assert_eq!(update.path, "rd/abc");
    assert!(update.payload.contains("</1/0>"), "what it did not take");
    w.reply(&update, Code::CHANGED, "").unwrap();
}

#[test]
fn a_binding_that_is_written_is_told() {
    let mut w = World::registered(Board::small());
    let written = w.ask(SERVER, Code::PUT, "/1/0/7", |b| {
        b.payload(b"U").unwrap();
    });
    assert_eq!(written.unwrap().code, Code::CHANGED);
    let update = w.request().unwrap();
    assert_eq!(update.path, "rd/abc");
    assert!(update.query.contains(&"b=U".to_string()));
    w.reply(&update, Code::CHANGED, "").unwrap();
    let update = w.request().unwrap();
    assert_eq!(update.query, ["lt=300"]);
}

#[test]
fn a_server_that_is_disabled_is_left_alone_for_its_time() {
    let mut w = World::registered(Board::small());
    w.ask(SERVER, Code::GET, "observe /3/0/11", |_| {}).unwrap();
    let written = w.ask(SERVER, Code::PUT, "/1/0/5", |b| {
        b.payload(b"900").unwrap();
    });
    assert_eq!(written.unwrap().code, Code::CHANGED);
    assert_eq!(w.execute("/1/0/4", "").unwrap(), Code::CHANGED);
    let leave = w.request().unwrap();
    assert_eq!((leave.code, leave.path.as_str()), (Code::DELETE, "rd/abc"));
    w.reply(&leave, Code::DELETED, "").unwrap();
    assert!(w.events.contains(&Event::Deregistered { server: 7 }));
    w.pass(899_000).unwrap();
    assert!(w.take_datagram().is_none());
    let start = w.now.mono;
    w.register().unwrap();
    assert!(w.now.mono - start < 2_000);
    // With an Update under way, and no answer to it.
    assert_eq!(w.execute("/1/0/8", "").unwrap(), Code::CHANGED);
    assert_eq!(w.execute("/1/0/4", "").unwrap(), Code::CHANGED);
    let update = w.request().unwrap();
    assert_eq!(update.path, "rd/abc");
    w.reply(&update, Code::NOT_FOUND, "").unwrap();
    w.pass(899_000).unwrap();
    assert!(w.take_datagram().is_none());
    w.register().unwrap();
}

#[test]
fn a_device_may_come_from_the_factory_with_its_server() {
    let mut board = Board::small();
    board.factory = Factory::Server("coap://10.0.0.2:5783");
    let mut w = World::new(board);
    let register = w.register().unwrap();
    assert!(register.query.contains(&"lt=86400".to_string()));
    assert!(w.events.contains(&Event::Registered { server: 1 }));
    assert_eq!(w.number("/1/0/0").unwrap(), 1);
    // There is no bootstrap server.
    assert_eq!(w.execute("/1/0/9", "").unwrap(), Code::METHOD_NOT_ALLOWED);
    let links = w.ask(SERVER, Code::GET, "/1/0", |b| {
        b.uint(OptionNumber::ACCEPT, 40).unwrap();
    });
    let links = String::from_utf8(links.unwrap().payload).unwrap();
    assert!(!links.contains("</1/0/9>"), "{links}");
    let lifetime = [(Path::resource(1, 0, 1), OwnedValue::Integer(60))];
    w.put(SERVER, "/1/0/1", &lifetime, ContentFormat::TLV)
        .unwrap();
    w.reboot();
    for _ in 0..20 {
        let register = w.request().unwrap();
        assert_eq!(register.path, "rd");
        assert!(register.query.contains(&"lt=60".to_string()), "kept");
        w.reply(&register, Code::FORBIDDEN, "").unwrap();
    }
    w.register().unwrap();
    // Another one, and then a bootstrap server: what is on flash is of another place.
    w.board.factory = Factory::Server("coap://10.0.0.3");
    w.reboot();
    let register = w.request().unwrap();
    assert_eq!(register.to.to_string(), "10.0.0.3:5683");
    assert!(register.query.contains(&"lt=86400".to_string()));
    w.board.factory = Factory::Bootstrap("coap://10.0.0.1:5683");
    w.reboot();
    let request = w.request().unwrap();
    assert_eq!(request.path, "bs");
    assert_eq!(request.to.to_string(), BOOTSTRAP);
}

#[test]
fn a_server_that_is_quiet_in_an_update_gets_a_sign_of_life() {
    let mut w = World::registered(Board::small());
    let is_update = |w: &mut World| {
        let request = w.request().unwrap();
        assert_eq!(
            (request.code, request.path.as_str()),
            (Code::POST, "rd/abc")
        );
        w.reply(&request, Code::CHANGED, "").unwrap();
        w.now.mono
    };
    assert_eq!(w.push(&package(1, 1, 600)).unwrap(), Code::CHANGED);
    w.execute("/5/0/2", "").unwrap();
    let mut heard = w.now.mono;
    // On trial, and nobody commits.
    for wait in [30_000, 60_000, 120_000] {
        let at = is_update(&mut w);
        assert!(
            (wait..wait + 2_000).contains(&(at - heard)),
            "{}",
            at - heard
        );
        heard = at;
    }
    w.execute("/27303/0/10", "").unwrap();
    let committed = w.now.mono;
    assert!(is_update(&mut w) - committed > 150_000, "as always");
}

/// Reads the manufacturer; whether the answer was lost, and the request sent again.
fn read(w: &mut World, again: bool) {
    let [high, low] = w.id().to_be_bytes();
    let get = [
        0x42, 0x01, high, low, high, low, 0xb1, b'3', 0x01, b'0', 0x01, b'0',
    ];
    w.deliver(SERVER, &get).unwrap();
    if again {
        w.drain().unwrap();
        w.deliver(SERVER, &get).unwrap();
    }
    let token = Token::new(&[high, low]).unwrap();
    assert_eq!(w.await_answer(SERVER, token).unwrap().code, Code::CONTENT);
}

#[test]
fn a_server_that_did_not_hear_the_last_answer_gets_signs_of_life() {
    let mut w = World::registered(Board::small());
    let update_after = |w: &mut World| {
        let start = w.now.mono;
        let update = w.request().unwrap();
        assert_eq!(update.path, "rd/abc");
        w.reply(&update, Code::CHANGED, "").unwrap();
        w.now.mono - start
    };
    read(&mut w, false);
    assert!(update_after(&mut w) > 120_000, "it heard");
    read(&mut w, true);
    assert!((30_000..32_000).contains(&update_after(&mut w)));
    assert!((60_000..62_000).contains(&update_after(&mut w)));
    assert!(update_after(&mut w) > 120_000, "that is enough");
    read(&mut w, true);
    read(&mut w, false);
    assert!(update_after(&mut w) > 120_000, "it goes on");
}
