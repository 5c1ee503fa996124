//! Read, write, execute, discover and observe, with their errors.

use lwm2m_objects::format::ContentFormat;
use lwm2m_objects::{Codec, OwnedValue, Path};
use tinsmith_coap::{Block, Code, Message, OptionNumber, Szx};
use tinsmith_module::kernels::{Kernel, table};

use super::world::{SERVER, World};
use crate::testing::{Board, capability, package};
use crate::{ModelResult, UpdateResult};

fn registered() -> World {
    World::registered(Board::small())
}

#[test]
fn error_codes() {
    let mut w = registered();
    for (code, path, wanted) in [
        (Code::GET, "/0/0", Code::NOT_FOUND),
        (Code::GET, "/0", Code::NOT_FOUND),
        (Code::GET, "/99", Code::NOT_FOUND),
        (Code::GET, "/3/1", Code::NOT_FOUND),
        (Code::GET, "/3/0/999", Code::NOT_FOUND),
        (Code::GET, "/3/0/0/0", Code::BAD_REQUEST),
        (Code::GET, "/3/0/4", Code::METHOD_NOT_ALLOWED),
        (Code::GET, "/5/0/0", Code::METHOD_NOT_ALLOWED),
        (Code::GET, "/x", Code::NOT_FOUND),
        (Code::DELETE, "/3/0", Code::METHOD_NOT_ALLOWED),
        (Code::DELETE, "/0/0", Code::NOT_FOUND),
        (Code::POST, "/3", Code::METHOD_NOT_ALLOWED),
        (Code::POST, "/0/0/1", Code::NOT_FOUND),
        (Code::POST, "/3/1/4", Code::NOT_FOUND),
        (Code::POST, "/27304/0/4", Code::METHOD_NOT_ALLOWED),
        (Code::FETCH, "/3", Code::METHOD_NOT_ALLOWED),
    ] {
        assert_eq!(
            w.ask(SERVER, code, path, |_| {}).unwrap().code,
            wanted,
            "{code} {path}"
        );
    }
    let write = |w: &mut World, path: &str, format: u32, payload: &[u8]| {
        let answer = w.ask(SERVER, Code::PUT, path, |b| {
            b.uint(OptionNumber::CONTENT_FORMAT, format).unwrap();
            b.payload(payload).unwrap();
        });
        answer.unwrap().code
    };
    assert_eq!(write(&mut w, "/3/0/0", 0, b"x"), Code::METHOD_NOT_ALLOWED);
    assert_eq!(write(&mut w, "/1/0/1", 0, b"x"), Code::BAD_REQUEST);
    assert_eq!(
        write(&mut w, "/1/0/1", 11543, b"{}"),
        Code::UNSUPPORTED_CONTENT_FORMAT
    );
    assert_eq!(write(&mut w, "/1/0/1", 0, b"120"), Code::CHANGED);
    assert_eq!(write(&mut w, "/5/0/1", 0, b"coap://x/y"), Code::BAD_REQUEST);
    let accept = |w: &mut World, path: &str, format: u32| {
        let answer = w.ask(SERVER, Code::GET, path, |b| {
            b.uint(OptionNumber::ACCEPT, format).unwrap();
        });
        answer.unwrap().code
    };
    assert_eq!(accept(&mut w, "/3/0", 0), Code::NOT_ACCEPTABLE);
    assert_eq!(accept(&mut w, "/3/0", 11543), Code::NOT_ACCEPTABLE);
    let critical = w.ask(SERVER, Code::GET, "/3/0", |b| {
        b.option(OptionNumber(2049), b"x").unwrap();
    });
    assert_eq!(critical.unwrap().code, Code::BAD_OPTION);
}

#[test]
fn reads_in_every_format() {
    let mut w = registered();
    let name = |w: &mut World, format: Option<u32>| {
        w.ask(SERVER, Code::GET, "/3/0/0", |b| {
            if let Some(format) = format {
                b.uint(OptionNumber::ACCEPT, format).unwrap();
            }
        })
        .unwrap()
    };
    let plain = name(&mut w, None);
    assert_eq!(
        (plain.format, &plain.payload[..]),
        (Some(0), &b"Tinsmith"[..])
    );
    for format in [0, 60, 110, 112, 11542] {
        let answer = name(&mut w, Some(format));
        assert_eq!(answer.format.map(u32::from), Some(format));
        assert!(
            answer.payload.windows(8).any(|p| p == b"Tinsmith"),
            "{format}"
        );
    }
}

#[test]
fn a_product_has_the_formats_and_kernels_that_it_lists() {
    let mut board = Board::small();
    board.formats = &[
        Codec::TEXT_WITHOUT_FLOATS,
        Codec::SENML_CBOR_WITHOUT_DECIMALS,
        Codec::TLV,
    ];
    static KERNELS: &[&Kernel] = &[&table::CONV2D];
    board.kernels = KERNELS;
    let mut w = World::new(board);
    w.bootstrap(ContentFormat::TLV).unwrap();
    let links = w.register().unwrap().payload;
    assert!(links.starts_with("</>;rt=\"oma.lwm2m\";ct=112,"), "{links}");
    let mut read = |path: &str, format: Option<u32>| {
        w.ask(SERVER, Code::GET, path, |b| {
            if let Some(format) = format {
                b.uint(OptionNumber::ACCEPT, format).unwrap();
            }
        })
        .unwrap()
    };
    for format in [42, 60, 110] {
        assert_eq!(read("/3/0/0", Some(format)).code, Code::NOT_ACCEPTABLE);
    }
    // A float has no text here; an integer has.
    assert_eq!(read("/27304/0/11", None).format, Some(112));
    assert_eq!(read("/27304/0/12", None).format, Some(0));
    assert_eq!(read("/27304/0/11", Some(0)).code, Code::NOT_ACCEPTABLE);
    // The module needs a kernel that the product does not have.
    w.push(&package(1, 5, 0)).unwrap();
    let unsupported = UpdateResult::UnsupportedPackage as i64;
    assert_eq!(w.firmware().unwrap(), (0, unsupported));
    assert_eq!(
        w.number("/27303/0/8").unwrap(),
        ModelResult::Unsupported as i64
    );
}

#[test]
fn what_the_device_is_made_of_reads_back_with_the_right_digest() {
    let mut w = registered();
    let mut all = w.read("/27300").unwrap();
    all.extend(w.read("/27301").unwrap());
    all.extend(w.read("/27302").unwrap());
    let read = lwm2m_objects::capability::Capability::from_values(&all).unwrap();
    let wanted = capability();
    assert_eq!(read.digest(), wanted.digest());
    let told = all
        .iter()
        .find(|(p, _)| *p == Path::resource(27300, 0, 13))
        .unwrap();
    assert_eq!(told.1.as_bytes(), Some(&wanted.digest()[..]));
}

#[test]
fn a_long_read_comes_in_blocks_of_one_version() {
    let mut w = registered();
    w.push(&package(1, 1, 0)).unwrap();
    w.execute("/5/0/2", "").unwrap();
    let first = w.get("/27303").unwrap();
    assert_eq!(first.payload.len(), 1024);
    assert!(first.block2.unwrap().more && first.etag.is_some());
    let values = w.read("/27303").unwrap();
    let at = |r| {
        values
            .iter()
            .find(|(p, _)| *p == Path::resource(27303, 0, r))
            .unwrap()
    };
    assert_eq!(at(0).1, OwnedValue::String("adder".into()));
    assert_eq!(at(7).1.as_i64(), Some(4));
    assert_eq!(at(14).1.as_i64(), Some(64));
    let labels = values
        .iter()
        .filter(|(p, _)| p.starts_with(&Path::resource(27303, 0, 19)));
    assert_eq!(labels.count(), 16);
    assert!(at(17).1.as_bytes().is_some_and(|d| !d.is_empty()));
}

#[test]
fn discover() {
    let mut w = registered();
    let links = |w: &mut World, path| {
        let answer = w.ask(SERVER, Code::GET, path, |b| {
            b.uint(OptionNumber::ACCEPT, 40).unwrap();
        });
        String::from_utf8(answer.unwrap().payload).unwrap()
    };
    assert!(links(&mut w, "/5").starts_with("</5>;ver=1.1,</5/0>,</5/0/0>,</5/0/1>,</5/0/2>"));
    assert!(links(&mut w, "/3/0").contains("</3/0/11>;dim=1"));
    assert_eq!(links(&mut w, "/3/0/4"), "</3/0/4>");
    // The instances of one resource.
    assert_eq!(links(&mut w, "/3/0/11"), "</3/0/11>;dim=1,</3/0/11/0>");
    assert_eq!(links(&mut w, "/5/0/3"), "</5/0/3>");
}

#[test]
fn discover_lists_what_answers_and_nothing_else() {
    let mut w = registered();
    let ask = |w: &mut World, path: &str| {
        let answer = w.ask(SERVER, Code::GET, path, |b| {
            b.uint(OptionNumber::ACCEPT, 40).unwrap();
        });
        answer.unwrap()
    };
    for (path, wanted) in [
        ("/3/0/5", Code::NOT_FOUND),
        ("/3/0/9", Code::NOT_FOUND),
        ("/3/0/11/0", Code::METHOD_NOT_ALLOWED),
        ("/3/0/99", Code::NOT_FOUND),
    ] {
        assert_eq!(ask(&mut w, path).code, wanted, "{path}");
    }
    for object in [1, 3, 5, 27300, 27301, 27302, 27303, 27304] {
        let mut links = String::new();
        for num in 0.. {
            let answer = w.ask(SERVER, Code::GET, &format!("/{object}"), |b| {
                b.uint(OptionNumber::ACCEPT, 40).unwrap();
                let block = Block::new(num, false, Szx::MAX).unwrap();
                b.block(OptionNumber::BLOCK2, block).unwrap();
            });
            let answer = answer.unwrap();
            links += std::str::from_utf8(&answer.payload).unwrap();
            if !answer.block2.is_some_and(|b| b.more) {
                break;
            }
        }
        let model = lwm2m_objects::object(object).unwrap();
        let mut listed = 0;
        for link in links.split(',') {
            let path = link.trim_start_matches('<').split('>').next().unwrap();
            let path = Path::from_bytes(path.as_bytes()).unwrap();
            let Some(resource) = path.resource_id().and_then(|id| model.resource(id)) else {
                continue;
            };
            listed += 1;
            if resource.operations().readable() {
                let read = w.ask(SERVER, Code::GET, &path.to_string(), |_| {});
                assert_eq!(read.unwrap().code, Code::CONTENT, "{path}");
            }
            let one = String::from_utf8(ask(&mut w, &path.to_string()).payload).unwrap();
            assert!(one.starts_with(&format!("<{path}>")), "{one}");
        }
        assert!(listed > 2, "{links}");
    }
    let links = String::from_utf8(ask(&mut w, "/3/0").payload).unwrap();
    assert!(
        links.contains("</3/0/4>,") && !links.contains("</3/0/5>"),
        "{links}"
    );
}

#[test]
fn notifications_of_state_changes() {
    let mut w = registered();
    let observed = w.ask(SERVER, Code::GET, "observe /5/0/3", |_| {}).unwrap();
    assert_eq!(
        (observed.code, observed.observe.is_some()),
        (Code::CONTENT, true)
    );
    let token = w.client.sessions[1].observations().len();
    assert!(token > 0);
    w.push(&package(1, 1, 60)).unwrap();
    w.execute("/5/0/2", "").unwrap();
    let mut states = Vec::new();
    let mut sequences = Vec::new();
    w.pass(50).unwrap();
    for _ in 0..20 {
        while let Some((_, bytes)) = w.take_datagram() {
            let m = Message::parse(&bytes).unwrap();
            let Some(sequence) = m.observe() else {
                continue;
            };
            states.push(String::from_utf8(m.payload().to_vec()).unwrap());
            sequences.push(sequence);
            let [high, low] = m.message_id().to_be_bytes();
            w.deliver(SERVER, &[0x60, 0, high, low]).unwrap();
        }
        w.pass(100).unwrap();
    }
    states.dedup();
    assert_eq!(states.last().map(String::as_str), Some("3"), "{states:?}");
    assert_eq!(states.first().map(String::as_str), Some("1"), "{states:?}");
    assert!(sequences.is_sorted());
    // A Reset ends it.
    w.execute("/27303/0/10", "").unwrap();
    let (_, bytes) = w.take_datagram().unwrap();
    let m = Message::parse(&bytes).unwrap();
    assert!(m.observe().is_some());
    let [high, low] = m.message_id().to_be_bytes();
    w.deliver(SERVER, &[0x70, 0, high, low]).unwrap();
    w.push(&package(2, 2, 60)).unwrap();
    assert!(w.take_datagram().is_none());
}

#[test]
fn default_periods_of_the_server_hold() {
    let mut w = registered();
    let periods = [
        (Path::resource(1, 0, 1), OwnedValue::Integer(300)),
        (Path::resource(1, 0, 2), OwnedValue::Integer(10)),
        (Path::resource(1, 0, 3), OwnedValue::Integer(60)),
        (Path::resource(1, 0, 6), OwnedValue::Boolean(false)),
        (Path::resource(1, 0, 7), OwnedValue::String("U".into())),
    ];
    let answer = w.put(SERVER, "/1/0", &periods, ContentFormat::TLV).unwrap();
    assert_eq!(answer.code, Code::CHANGED);
    w.ask(SERVER, Code::GET, "observe /27304/0/11", |_| {})
        .unwrap();
    let value = [(Path::resource(27304, 0, 11), OwnedValue::Float(0.5))];
    w.put(SERVER, "/27304/0/11", &value, ContentFormat::SENML_CBOR)
        .unwrap();
    let notified = |w: &mut World| {
        let mut n = 0;
        while let Some((_, bytes)) = w.take_datagram() {
            let m = Message::parse(&bytes).unwrap();
            if m.observe().is_some() {
                n += 1;
                let [high, low] = m.message_id().to_be_bytes();
                w.deliver(SERVER, &[0x60, 0, high, low]).unwrap();
            }
        }
        n
    };
    w.pass(5_000).unwrap();
    assert_eq!(notified(&mut w), 0, "not before pmin");
    w.pass(6_000).unwrap();
    assert_eq!(notified(&mut w), 1);
    // Not so long that it is sent again.
    w.pass(59_900).unwrap();
    assert_eq!(notified(&mut w), 1, "pmax");
}

#[test]
fn slow_flash_gets_a_separate_answer() {
    // The world carries out flash operations at once; here time passes in the middle of one.
    use crate::{Input, Output};
    let mut w = registered();
    let p = package(1, 1, 60);
    let mut buf = [0; 1400];
    let id = 4_000;
    let mut b = tinsmith_coap::Builder::new(
        &mut buf,
        tinsmith_coap::MessageType::Confirmable,
        Code::PUT,
        id,
        tinsmith_coap::Token::new(b"slow").unwrap(),
    )
    .unwrap();
    for s in ["5", "0", "0"] {
        b.option(OptionNumber::URI_PATH, s.as_bytes()).unwrap();
    }
    let block = tinsmith_coap::Block::new(0, true, tinsmith_coap::Szx::MAX).unwrap();
    b.block(OptionNumber::BLOCK1, block).unwrap();
    b.payload(&p[..1024]).unwrap();
    let datagram = b.as_bytes().to_vec();
    let from = SERVER.parse().unwrap();
    w.client.handle(
        w.now,
        Input::Datagram {
            from,
            bytes: &datagram,
        },
        &mut w.board,
    );
    let mut out = [0; 1152];
    let mut sent = Vec::new();
    loop {
        let result = match w.client.poll(w.now, &mut out, &mut w.board) {
            Some(Output::Flash(op)) => w.board.flash.apply(op),
            Some(Output::Transmit { len, .. }) => {
                sent.push(out[..len].to_vec());
                continue;
            }
            Some(_) => continue,
            None => break,
        };
        // Two seconds for every operation.
        w.now.mono += 2_000;
        w.client.handle(w.now, Input::Timer, &mut w.board);
        while let Some(output) = w.client.poll(w.now, &mut out, &mut w.board) {
            if let Output::Transmit { len, .. } = output {
                sent.push(out[..len].to_vec());
            }
            assert!(
                !matches!(output, Output::Flash(_)),
                "one operation at a time"
            );
        }
        w.client
            .handle(w.now, Input::FlashDone(result), &mut w.board);
    }
    let sent: Vec<Message<'_>> = sent.iter().map(|d| Message::parse(d).unwrap()).collect();
    assert_eq!(sent[0].code(), Code::EMPTY);
    assert_eq!(sent[0].message_id(), id);
    let answer = sent.iter().find(|m| m.code() == Code::CONTINUE).unwrap();
    assert_eq!(answer.token().as_bytes(), b"slow");
    assert_eq!(
        answer.message_type(),
        tinsmith_coap::MessageType::Confirmable
    );
}
