//! Bootstrap: the happy path and every step that fails.

use super::*;
use lwm2m_objects::{ContentFormat, OwnedValue, Path, format, model::Builtin};

fn start(sim: &mut Sim, query: &str) -> Vec<Vec<u8>> {
    let message = Msg::con(Code::POST, 1, b"bs").path("bs").query(query);
    sim.inbound(BOOTSTRAP, peer(9), &message.bytes());
    sim.sent.drain(..).map(|(_, _, bytes)| bytes).collect()
}

fn answer(sim: &mut Sim, request: &[u8], code: Code) -> Vec<Vec<u8>> {
    let request = Message::parse(request).unwrap();
    let answer = Msg::ack(&request, code).bytes();
    sim.inbound(BOOTSTRAP, peer(9), &answer);
    sim.sent.drain(..).map(|(_, _, bytes)| bytes).collect()
}

fn ended(sim: &Sim) -> Vec<Option<String>> {
    let errors = sim.events.iter().filter_map(|event| match event {
        Event::Bootstrapped { error, .. } => Some(error.clone()),
        _ => None,
    });
    errors.collect()
}

#[test]
fn the_happy_path_in_both_formats() {
    for (pct, content) in [
        ("&pct=112", ContentFormat::SENML_CBOR),
        ("", ContentFormat::TLV),
        ("&pct=11542", ContentFormat::TLV),
    ] {
        let mut sim = Sim::new();
        let sent = start(&mut sim, &format!("ep=dev1{pct}"));
        assert_eq!(code(&sent[0]), Code::CHANGED);
        let discover = Message::parse(&sent[1]).unwrap();
        assert_eq!(
            (discover.code(), path_of(&discover).as_str()),
            (Code::GET, "/0")
        );

        let sent = answer(&mut sim, &sent[1], Code::NOT_FOUND);
        let delete = Message::parse(&sent[0]).unwrap();
        assert_eq!(
            (delete.code(), path_of(&delete).as_str()),
            (Code::DELETE, "")
        );

        let sent = answer(&mut sim, &sent[0], Code::DELETED);
        let write = Message::parse(&sent[0]).unwrap();
        assert_eq!(
            (write.code(), path_of(&write).as_str()),
            (Code::PUT, "/0/1")
        );
        assert_eq!(write.content_format(), Some(content.0));
        let values =
            format::decode_all(content, &Path::instance(0, 1), write.payload(), &Builtin).unwrap();
        let uri = OwnedValue::String("coap://127.0.0.1:5683".into());
        assert!(values.contains(&(Path::resource(0, 1, 0), uri)));

        let sent = answer(&mut sim, &sent[0], Code::CHANGED);
        let write = Message::parse(&sent[0]).unwrap();
        assert_eq!(path_of(&write), "/1/0");
        let values =
            format::decode_all(content, &Path::instance(1, 0), write.payload(), &Builtin).unwrap();
        assert!(values.contains(&(Path::resource(1, 0, 1), OwnedValue::Integer(300))));

        let sent = answer(&mut sim, &sent[0], Code::CHANGED);
        let finish = Message::parse(&sent[0]).unwrap();
        assert_eq!(
            (finish.code(), path_of(&finish).as_str()),
            (Code::POST, "/bs")
        );
        assert!(ended(&sim).is_empty());
        assert!(answer(&mut sim, &sent[0], Code::CHANGED).is_empty());
        assert_eq!(ended(&sim), [None]);
        // The state goes away by itself.
        sim.advance(400_000);
        assert_eq!(sim.shard.next_deadline(), None);
    }
}

#[test]
fn each_step_that_fails_is_named() {
    let names = [
        "Discover",
        "Delete",
        "Write of Security",
        "Write of Server",
        "Finish",
    ];
    for (fails, name) in names.iter().enumerate() {
        let mut sim = Sim::new();
        let mut request = start(&mut sim, "ep=dev1")[1].clone();
        for _ in 0..fails.max(1) {
            request = answer(&mut sim, &request, Code::CHANGED)[0].clone();
        }
        let name = if fails == 0 { &"Delete" } else { name };
        assert!(answer(&mut sim, &request, Code::BAD_REQUEST).is_empty());
        let errors = ended(&sim);
        let text = errors[0].as_deref().unwrap();
        assert!(text.starts_with(name) && text.contains("4.00"), "{text}");

        let name = names[fails];
        let mut sim = Sim::new();
        let mut request = start(&mut sim, "ep=dev1")[1].clone();
        for _ in 0..fails {
            request = answer(&mut sim, &request, Code::CHANGED)[0].clone();
        }
        let repeated = sim.sent.len();
        sim.advance(200_000);
        assert!(sim.sent.len() >= repeated + 4, "retransmitted");
        assert!(sim.sent.iter().all(|(_, _, bytes)| *bytes == request));
        let errors = ended(&sim);
        assert_eq!(errors.len(), 1);
        let text = errors[0].as_deref().unwrap();
        assert!(text.starts_with(name) && text.contains("was not answered"));
    }
}

#[test]
fn another_format_is_tried_once() {
    let mut sim = Sim::new();
    let sent = start(&mut sim, "ep=dev1");
    let sent = answer(&mut sim, &sent[1], Code::NOT_FOUND);
    let sent = answer(&mut sim, &sent[0], Code::DELETED);
    let sent = answer(&mut sim, &sent[0], Code::UNSUPPORTED_CONTENT_FORMAT);
    let write = Message::parse(&sent[0]).unwrap();
    assert_eq!(write.content_format(), Some(112));
    assert!(answer(&mut sim, &sent[0], Code::UNSUPPORTED_CONTENT_FORMAT).is_empty());
    assert_eq!(ended(&sim).len(), 1);
}

#[test]
fn refusals_cost_no_state() {
    for (query, expected) in [
        ("", Code::BAD_REQUEST),
        ("ep=stranger", Code::BAD_REQUEST),
        ("ep=dev1&pct=60", Code::UNSUPPORTED_CONTENT_FORMAT),
    ] {
        let mut sim = Sim::new();
        let sent = start(&mut sim, query);
        assert_eq!(sent.len(), 1);
        assert_eq!(code(&sent[0]), expected);
        assert_eq!(sim.shard.next_deadline(), None);
    }
}

#[test]
fn a_device_that_starts_again() {
    let mut sim = Sim::new();
    let first = start(&mut sim, "ep=dev1");
    // A repeated request gets the same answer and no second Delete.
    assert_eq!(start(&mut sim, "ep=dev1"), [first[0].clone()]);
    let message = Msg::con(Code::POST, 2, b"b2").path("bs").query("ep=dev1");
    sim.inbound(BOOTSTRAP, peer(9), &message.bytes());
    assert_eq!(sim.sent.len(), 2);
    assert_eq!(ended(&sim).len(), 1);
}

#[test]
fn a_rule_without_uri_means_the_address_that_the_device_reaches() {
    let uri = |management: Option<&str>| {
        let mut sim = Sim::new();
        sim.shard = Shard::new(ShardConfig {
            bootstrap: BootstrapConfig::default(),
            ..config()
        });
        sim.management = management.map(|address| address.parse().unwrap());
        let sent = start(&mut sim, "ep=dev1&pct=11542");
        if code(&sent[0]) != Code::CHANGED {
            assert_eq!(sent.len(), 1, "no state, no Delete");
            return Err(code(&sent[0]));
        }
        sim.management = None;
        let sent = answer(&mut sim, &sent[1], Code::NOT_FOUND);
        let sent = answer(&mut sim, &sent[0], Code::DELETED);
        let write = Message::parse(&sent[0]).unwrap();
        let path = Path::instance(0, 1);
        let values = format::decode_all(ContentFormat::TLV, &path, write.payload(), &Builtin);
        let uri = values.unwrap().remove(0);
        assert_eq!(uri.0, Path::resource(0, 1, 0));
        Ok(uri.1)
    };
    for (own, expected) in [
        ("192.0.2.7:5683", "coap://192.0.2.7:5683"),
        ("[2001:db8::7]:5683", "coap://[2001:db8::7]:5683"),
        ("[::ffff:192.0.2.7]:1", "coap://192.0.2.7:1"),
        ("[fe80::1%3]:5683", "coap://[fe80::1]:5683"),
    ] {
        assert_eq!(uri(Some(own)), Ok(OwnedValue::String(expected.into())));
    }
    assert_eq!(uri(None), Err(Code::SERVICE_UNAVAILABLE));
}

#[test]
fn the_bootstrap_account_is_never_written_over() {
    for (found, written) in [
        (r#"</>;lwm2m=1.1,</0/0>,</0/1>;ssid=101"#, "/0/1"),
        // Anjay's: the account is where the rule would write.
        (r#"</>;lwm2m="1.1",</0>;ver=1.1,</0/1>"#, "/0/0"),
        (r#"</0/0>;ssid=1,</0/1>;uri="coap://[::1]:5783""#, "/0/0"),
        ("</0/0>,</0/1>,</0/2>,</1/0>", "/0/3"),
        ("</0/1>;ssid=x,</0/0>", "/0/2"),
        ("junk", "/0/1"),
    ] {
        let mut sim = Sim::new();
        let sent = start(&mut sim, "ep=dev1");
        let discover = Message::parse(&sent[1]).unwrap();
        assert_eq!(discover.accept(), Some(40));
        let content = Msg::ack(&discover, Code::CONTENT)
            .uint(OptionNumber::CONTENT_FORMAT, 40)
            .payload(found.as_bytes());
        sim.inbound(BOOTSTRAP, peer(9), &content.bytes());
        let delete = sim.take_one();
        // Nothing to delete is fine.
        let sent = answer(&mut sim, &delete, Code::NOT_FOUND);
        let write = Message::parse(&sent[0]).unwrap();
        assert_eq!(
            (write.code(), path_of(&write).as_str()),
            (Code::PUT, written)
        );
    }
}

#[test]
fn accounts_of_other_servers_stay_if_they_are_not_deleted() {
    for (found, written) in [
        ("</0/0>,</0/1>;ssid=7,</0/2>;ssid=8", "/0/3"),
        ("</0/0>,</0/1>;ssid=7,</0/2>;ssid=123", "/0/2"),
        ("</0/0>,</0/3>;ssid=7", "/0/1"),
    ] {
        let mut sim = Sim::new();
        let mut config = config();
        config.bootstrap.rules[0].delete = Path::object(3303);
        sim.shard = Shard::new(config);
        let sent = start(&mut sim, "ep=dev1");
        let discover = Message::parse(&sent[1]).unwrap();
        let content = Msg::ack(&discover, Code::CONTENT).payload(found.as_bytes());
        sim.inbound(BOOTSTRAP, peer(9), &content.bytes());
        let delete = sim.take_one();
        let sent = answer(&mut sim, &delete, Code::DELETED);
        let write = Message::parse(&sent[0]).unwrap();
        assert_eq!(path_of(&write), written);
    }
}

/// Firmware that has no trust anchors goes on without; one that could not store them does not.
#[test]
fn who_takes_no_trust_anchors_is_bootstrapped_without() {
    for (code, fails) in [
        (Code::BAD_REQUEST, false),
        (Code::METHOD_NOT_ALLOWED, false),
        (Code::INTERNAL_SERVER_ERROR, true),
    ] {
        let mut sim = Sim::new();
        let config = config();
        config.bootstrap.trust_anchors.set(vec![vec![0xa4, 1, 1]]);
        sim.shard = Shard::new(config);
        let sent = start(&mut sim, "ep=dev1");
        let sent = answer(&mut sim, &sent[1], Code::NOT_FOUND);
        let sent = answer(&mut sim, &sent[0], Code::DELETED);
        let sent = answer(&mut sim, &sent[0], Code::CHANGED);
        let sent = answer(&mut sim, &sent[0], Code::CHANGED);
        let look = Message::parse(&sent[0]).unwrap();
        let content = Msg::ack(&look, Code::CONTENT)
            .uint(OptionNumber::CONTENT_FORMAT, 40)
            .payload(b"</27300/0>");
        sim.inbound(BOOTSTRAP, peer(9), &content.bytes());
        let write = sim.take_one();
        assert_eq!(Message::parse(&write).unwrap().code(), Code::PUT);
        let sent = answer(&mut sim, &write, code);
        if !fails {
            answer(&mut sim, &sent[0], Code::CHANGED);
        }
        assert_eq!(ended(&sim)[0].is_some(), fails, "{code}");
    }
}

/// A device with a Compute Platform is told whom to trust; another is not asked for it again.
#[test]
fn trust_anchors_are_written_where_they_can_be() {
    let key = vec![0xa4, 1, 1];
    for (found, writes) in [
        (Some("</>;lwm2m=1.1,</27300/0>"), true),
        (Some("</>;lwm2m=1.1,</0/0>"), false),
        (None, false),
    ] {
        let mut sim = Sim::new();
        let config = config();
        config
            .bootstrap
            .trust_anchors
            .set(vec![key.clone(), vec![9]]);
        sim.shard = Shard::new(config);
        let sent = start(&mut sim, "ep=dev1");
        let sent = answer(&mut sim, &sent[1], Code::NOT_FOUND);
        let sent = answer(&mut sim, &sent[0], Code::DELETED);
        let sent = answer(&mut sim, &sent[0], Code::CHANGED);
        let sent = answer(&mut sim, &sent[0], Code::CHANGED);
        let look = Message::parse(&sent[0]).unwrap();
        assert_eq!((look.code(), look.accept()), (Code::GET, Some(40)));
        assert_eq!(look.uri_path().collect::<Vec<_>>(), [b"27300"]);
        let mut next = match found {
            None => answer(&mut sim, &sent[0], Code::NOT_FOUND).remove(0),
            Some(links) => {
                let content = Msg::ack(&look, Code::CONTENT)
                    .uint(OptionNumber::CONTENT_FORMAT, 40)
                    .payload(links.as_bytes());
                sim.inbound(BOOTSTRAP, peer(9), &content.bytes());
                sim.take_one()
            }
        };
        if writes {
            let write = Message::parse(&next).unwrap();
            assert_eq!(write.code(), Code::PUT);
            let path = Path::instance(27300, 0);
            let values = format::decode_all(ContentFormat::TLV, &path, write.payload(), &Builtin);
            let at = |n| Path::resource_instance(27300, 0, 14, n);
            let wanted = [
                (at(0), OwnedValue::Opaque(key.clone())),
                (at(1), OwnedValue::Opaque(vec![9])),
            ];
            assert_eq!(values.unwrap(), wanted);
            next = answer(&mut sim, &next, Code::CHANGED).remove(0);
        }
        let finish = Message::parse(&next).unwrap();
        assert_eq!(finish.uri_path().collect::<Vec<_>>(), [b"bs"]);
        answer(&mut sim, &next, Code::CHANGED);
        assert_eq!(ended(&sim), [None]);
    }
}
