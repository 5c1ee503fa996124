//! Objects of an application: everything that a built-in one can do, and answers that come later.

use lwm2m_objects::format::ContentFormat;
use lwm2m_objects::model::{ObjectModel, Version};
use lwm2m_objects::{OwnedValue, Path};
use tinsmith_coap::{Block, Code, Message, MessageType, OptionNumber, Szx};

use super::object::{MODEL, Sensor};
use super::world::{BOOTSTRAP, SERVER, World};
use crate::testing::Board;
use crate::{ConfigError, Input, Object, Origin, Values, View};

fn registered() -> (World, &'static Sensor) {
    let sensor: &'static Sensor = Box::leak(Box::default());
    sensor.instances.borrow_mut().push((0, 5));
    let objects: &'static [&'static dyn Object] = Box::leak(Box::new([sensor as &dyn Object]));
    let mut w = World::with_objects(Board::small(), objects);
    w.bootstrap(ContentFormat::TLV).unwrap();
    let register = w.register().unwrap();
    let links = &register.payload;
    assert!(
        links.contains(",</5/0>,</3303>;ver=1.1,</3303/0>,</27300/0>"),
        "{links}"
    );
    (w, sensor)
}

fn level(w: &mut World, path: &str, level: i64) -> Code {
    let path_of = Path::from_bytes(path.as_bytes()).unwrap();
    let values = [(path_of, OwnedValue::Integer(level))];
    let answer = w.put(SERVER, path, &values, ContentFormat::SENML_CBOR);
    answer.unwrap().code
}

fn done(w: &mut World, sensor: &Sensor, result: Result<(), Code>) {
    let ticket = sensor.ticket.take().unwrap();
    w.client
        .handle(w.now, Input::Done(ticket, result), &mut w.board);
    w.pump().unwrap();
}

#[test]
fn it_is_read_written_discovered_and_checked_like_any_other() {
    let (mut w, sensor) = registered();
    sensor.celsius.set(21.5);
    let values = w.read("/3303/0/5700").unwrap();
    assert_eq!(values[0].1, OwnedValue::Float(21.5));
    assert_eq!(w.read("/3303").unwrap().len(), 4);
    let links = w.ask(SERVER, Code::GET, "/3303/0", |b| {
        b.uint(OptionNumber::ACCEPT, 40).unwrap();
    });
    let links = String::from_utf8(links.unwrap().payload).unwrap();
    assert!(
        links.starts_with("</3303/0>,</3303/0/1>,</3303/0/2>"),
        "{links}"
    );
    assert_eq!(level(&mut w, "/3303/0/1", 7), Code::CHANGED);
    assert_eq!(w.number("/3303/0/1").unwrap(), 7);
    assert_eq!(
        level(&mut w, "/3303/0/1", 10),
        Code::BAD_REQUEST,
        "out of range"
    );
    assert_eq!(
        level(&mut w, "/3303/0/1", 9),
        Code::CONFLICT,
        "its own word"
    );
    assert_eq!(level(&mut w, "/3303/0/4", 1), Code::METHOD_NOT_ALLOWED);
    assert_eq!(level(&mut w, "/3303/1/1", 1), Code::NOT_FOUND);
    let server = Origin::Server {
        instance: 0,
        short_id: 7,
    };
    assert_eq!(sensor.origins.borrow()[..], [server, server]);
    assert_eq!(w.execute("/3303/0/5605", "0").unwrap(), Code::CHANGED);
}

#[test]
fn observers_are_told_when_the_application_says_so() {
    let (mut w, sensor) = registered();
    w.ask(SERVER, Code::GET, "observe /3303/0/5700", |_| {})
        .unwrap();
    sensor.celsius.set(22.0);
    w.pass(5_000).unwrap();
    assert!(
        w.take_notifications(SERVER).unwrap().is_empty(),
        "nobody said so"
    );
    for (path, told) in [
        (Path::resource(3303, 0, 1), 0),
        (Path::resource(3303, 0, 5700), 1),
        // The same value.
        (Path::resource(3303, 0, 5700), 0),
    ] {
        w.client.handle(w.now, Input::Changed(path), &mut w.board);
        w.pass(1_000).unwrap();
        let notified = w.take_notifications(SERVER).unwrap();
        assert_eq!(notified.len(), told, "{path}");
        assert!(notified.iter().all(|p| p == b"22"), "{notified:?}");
    }
}

#[test]
fn an_execute_that_takes_its_time_is_answered_separately() {
    let (mut w, sensor) = registered();
    let token = w.send(SERVER, Code::POST, "/3303/0/5605", |_| {}).unwrap();
    w.pass(1_500).unwrap();
    let (_, ack) = w.take_datagram().unwrap();
    assert_eq!(Message::parse(&ack).unwrap().code(), Code::EMPTY);
    // Reads go on, changes of the same server wait.
    assert_eq!(w.number("/3/0/11").unwrap(), 0);
    assert_eq!(level(&mut w, "/3303/0/1", 3), Code::SERVICE_UNAVAILABLE);
    w.pass(60_000).unwrap();
    done(&mut w, sensor, Err(Code::CONFLICT));
    let (_, bytes) = w.take_datagram().unwrap();
    let answer = Message::parse(&bytes).unwrap();
    assert_eq!((answer.code(), answer.token()), (Code::CONFLICT, token));
    assert_eq!(answer.message_type(), MessageType::Confirmable);
    w.deliver(SERVER, &[0x60, 0, bytes[2], bytes[3]]).unwrap();
    assert_eq!(level(&mut w, "/3303/0/1", 3), Code::CHANGED);
}

#[test]
fn a_ticket_is_void_once_the_server_cannot_know_its_request() {
    let (mut w, sensor) = registered();
    w.send(SERVER, Code::POST, "/3303/0/5605", |_| {}).unwrap();
    w.pass(200_000).unwrap();
    assert_eq!(level(&mut w, "/3303/0/1", 3), Code::SERVICE_UNAVAILABLE);
    w.pass(47_000).unwrap();
    while let Some(update) = w.take_datagram() {
        // An Update of the registration is under way.
        let m = Message::parse(&update.1).unwrap();
        assert!(m.code() == Code::EMPTY || m.code().is_request());
    }
    assert_eq!(level(&mut w, "/3303/0/1", 3), Code::CHANGED);
    done(&mut w, sensor, Ok(()));
    assert_eq!(level(&mut w, "/3303/0/1", 4), Code::CHANGED);
}

#[test]
fn a_read_may_wait_for_a_measurement() {
    let (mut w, sensor) = registered();
    let token = w.send(SERVER, Code::GET, "/3303/0/4", |_| {}).unwrap();
    w.pass(3_000).unwrap();
    sensor.slow.set(true);
    done(&mut w, sensor, Ok(()));
    let answer = w.await_answer(SERVER, token).unwrap();
    assert_eq!(
        (answer.code, &answer.payload[..]),
        (Code::CONTENT, &b"1"[..])
    );
}

#[test]
fn a_body_arrives_in_parts_and_is_read_back_in_blocks() {
    let (mut w, sensor) = registered();
    let body: Vec<u8> = (0..3_000u32).map(|i| (i * 7) as u8).collect();
    for (num, part) in body.chunks(1024).enumerate() {
        let last = num == 2;
        let token = w.send(SERVER, Code::PUT, "/3303/0/2", |b| {
            b.uint(OptionNumber::CONTENT_FORMAT, 42).unwrap();
            let block = Block::new(num as u32, !last, Szx::MAX).unwrap();
            b.block(OptionNumber::BLOCK1, block).unwrap();
            b.payload(part).unwrap();
        });
        if last {
            done(&mut w, sensor, Ok(()));
        }
        let answer = w.await_answer(SERVER, token.unwrap()).unwrap();
        let wanted = if last { Code::CHANGED } else { Code::CONTINUE };
        assert_eq!(
            (answer.code, answer.block1.unwrap().num),
            (wanted, num as u32)
        );
    }
    let values = w.read("/3303/0/3").unwrap();
    assert_eq!(values[0].1.as_bytes(), Some(&body[..]));
}

#[test]
fn instances_are_created_and_deleted_and_every_server_is_told() {
    let (mut w, sensor) = registered();
    let create = |w: &mut World, values: &[(Path, OwnedValue)]| {
        let base = Path::object(3303);
        let payload =
            lwm2m_objects::format::encode_vec(ContentFormat::SENML_CBOR, &base, values).unwrap();
        let answer = w.ask(SERVER, Code::POST, "/3303", |b| {
            b.uint(OptionNumber::CONTENT_FORMAT, 112).unwrap();
            b.payload(&payload).unwrap();
        });
        answer.unwrap()
    };
    let level_of = |id, level| [(Path::resource(3303, id, 1), OwnedValue::Integer(level))];
    assert_eq!(create(&mut w, &level_of(7, 4)).code, Code::CREATED);
    let update = w.request().unwrap();
    assert_eq!(update.path, "rd/abc");
    assert!(
        update.payload.contains("</3303/0>,</3303/7>"),
        "{}",
        update.payload
    );
    w.reply(&update, Code::CHANGED, "").unwrap();
    assert_eq!(w.number("/3303/7/1").unwrap(), 4);
    assert_eq!(
        create(&mut w, &level_of(7, 4)).code,
        Code::BAD_REQUEST,
        "it is there"
    );
    assert_eq!(create(&mut w, &level_of(8, 9)).code, Code::CONFLICT);
    assert_eq!(
        sensor.instances.borrow().len(),
        2,
        "what was refused is gone"
    );
    // Values without an instance: the object gives the id.
    let made = w.ask(SERVER, Code::POST, "/3303", |b| {
        b.uint(OptionNumber::CONTENT_FORMAT, 11542).unwrap();
        b.payload(&[0xC1, 1, 6]).unwrap();
    });
    assert_eq!(made.unwrap().code, Code::CREATED);
    assert_eq!(w.number("/3303/40/1").unwrap(), 6);
    assert_eq!(
        create(&mut w, &level_of(9, 1)).code,
        Code::SERVICE_UNAVAILABLE
    );
    let deleted = w.ask(SERVER, Code::DELETE, "/3303/7", |_| {}).unwrap();
    assert_eq!(deleted.code, Code::DELETED);
    let gone = w.ask(SERVER, Code::DELETE, "/3303/7", |_| {}).unwrap();
    assert_eq!(gone.code, Code::NOT_FOUND);
}

#[test]
fn the_bootstrap_server_may_write_what_the_object_lets_it() {
    let (mut w, sensor) = registered();
    assert_eq!(w.execute("/1/0/9", "").unwrap(), Code::CHANGED);
    let request = w.request().unwrap();
    w.reply(&request, Code::CHANGED, "").unwrap();
    let values = [(Path::resource(3303, 2, 1), OwnedValue::Integer(8))];
    let answer = w.put(BOOTSTRAP, "/3303/2", &values, ContentFormat::TLV);
    assert_eq!(answer.unwrap().code, Code::CHANGED);
    assert_eq!(sensor.instances.borrow()[..], [(0, 5), (2, 8)]);
    assert_eq!(sensor.origins.borrow()[..], [Origin::Bootstrap]);
    let links = w.ask(BOOTSTRAP, Code::GET, "", |_| {}).unwrap();
    let links = String::from_utf8(links.payload).unwrap();
    assert!(links.ends_with(",</5/0>,</3303/0>,</27300/0>"), "{links}");
    let deleted = w.ask(BOOTSTRAP, Code::DELETE, "/3303/2", |_| {}).unwrap();
    assert_eq!(deleted.code, Code::DELETED);
    assert_eq!(sensor.instances.borrow().len(), 1);
}

#[test]
fn an_id_that_is_taken_is_a_mistake_of_the_board() {
    struct Twice(&'static ObjectModel);
    impl Object for Twice {
        fn definition(&self) -> &'static ObjectModel {
            self.0
        }
        fn read(&self, _: &View<'_>, _: u16, _: &mut Values<'_>) {}
    }
    static DEVICE: ObjectModel = ObjectModel::new(3, Version::V1_0, false, &[]);
    let device: &'static dyn Object = Box::leak(Box::new(Twice(&DEVICE)));
    let sensor: &'static dyn Object = Box::leak(Box::new(Twice(&MODEL)));
    let error = |objects: Vec<&'static dyn Object>| {
        super::world::boot(&mut Board::small(), crate::Now::default(), objects.leak()).err()
    };
    assert_eq!(error(vec![device]), Some(ConfigError::Objects));
    assert_eq!(error(vec![sensor, sensor]), Some(ConfigError::Objects));
    assert_eq!(error(vec![sensor]), None);
}

#[test]
fn any_request() {
    // xorshift64: the requests are the same in every run.
    let mut seed = 0x2545_F491_4F6C_DD1Du64;
    let mut random = move |n: u64| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed % n
    };
    let (mut w, sensor) = registered();
    let (get, put, post) = (Code::GET, Code::PUT, Code::POST);
    let codes = [get, get, get, put, put, put, put, post, post, Code::DELETE];
    let mut answers = [0; 8];
    for _ in 0..20_000 {
        let instance = [0, 1, 2, 40][random(4) as usize];
        let resource = [1, 2, 3, 4, 5605, 5700, 9][random(7) as usize];
        let path = match random(8) {
            0 => "/3303".to_string(),
            1 => format!("/3303/{instance}"),
            2 => format!("observe /3303/{instance}/{resource}"),
            3 => format!("/3303/{instance}/{resource}/0"),
            _ => format!("/3303/{instance}/{resource}"),
        };
        let sent = w.send(SERVER, codes[random(10) as usize], &path, |b| {
            let format = [0, 42, 60, 110, 112, 11542, 40][random(7) as usize];
            if random(3) > 0 {
                b.uint(OptionNumber::CONTENT_FORMAT, format).unwrap();
            }
            let szx = Szx::new(random(4) as u8).unwrap();
            let block = |num, more| Block::new(num, more, szx);
            let block = match random(4) {
                0 => block(0, true),
                1 => block(1, false),
                2 => block(1, true),
                _ => None,
            };
            if let Some(block) = block {
                b.block(OptionNumber::BLOCK1, block).unwrap();
            }
            let values: [&[u8]; 6] = [b"", b"5", b"9", &[0xC1, 1, 6], &[7; 16], &[8; 32]];
            b.payload(values[random(6) as usize]).unwrap();
        });
        sent.unwrap();
        match random(12) {
            0 => w.pass(random(300_000)).unwrap(),
            1 => w.pass(random(3_000)).unwrap(),
            2 => {
                let mut path = Path::resource(3303, 0, 5700);
                sensor.celsius.set(random(100) as f64);
                let mut instances = sensor.instances.borrow_mut();
                if instances.iter().all(|(id, _)| *id > 0) {
                    instances.insert(0, (0, 5));
                    instances.truncate(3);
                    path = Path::object(3303);
                }
                drop(instances);
                w.client.handle(w.now, Input::Changed(path), &mut w.board);
                w.pump().unwrap();
            }
            3 | 4 if sensor.ticket.get().is_some() => {
                let result = [Ok(()), Err(Code::CONFLICT)][random(2) as usize];
                done(&mut w, sensor, result);
            }
            _ => {}
        }
        while let Some((to, bytes)) = w.take_datagram() {
            let m = Message::parse(&bytes).unwrap();
            answers[usize::from(bytes[1] >> 5)] += 1;
            // Acknowledge notifications and separate answers, and keep the registration.
            let (high, low) = (bytes[2], bytes[3]);
            if m.code().is_request() {
                let created = m.uri_path().count() == 1;
                let mut ack = [
                    &[0x68, if created { 0x41 } else { 0x44 }, high, low][..],
                    m.token().as_bytes(),
                ]
                .concat();
                if created {
                    ack.extend([0x82, b'r', b'd', 0x01, b'a']);
                }
                w.deliver(&to.to_string(), &ack).unwrap();
            } else if m.message_type() == MessageType::Confirmable {
                w.deliver(&to.to_string(), &[0x60, 0, high, low]).unwrap();
            }
        }
    }
    assert!(answers[2] > 1_000 && answers[4] > 1_000, "{answers:?}");
    w.pass(300_000).unwrap();
    while w.take_datagram().is_some() {}
    assert!(w.read("/3/0").is_ok());
}
