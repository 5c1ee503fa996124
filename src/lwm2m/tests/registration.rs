//! Register, Update, Deregister, expiry, restart.

use super::*;
use lwm2m_objects::Path;

#[test]
fn register_update_deregister() {
    let mut sim = Sim::new();
    let location = sim.register(peer(1), "dev1", 1);
    let Event::Registered {
        registration,
        new: true,
        ..
    } = &sim.events[0]
    else {
        panic!()
    };
    assert_eq!(registration.lifetime, 60);
    assert_eq!(registration.announced.formats, [60, 110, 112, 11542]);
    assert_eq!(
        registration.announced.parameters,
        [("x".to_owned(), "y".to_owned())]
    );
    assert_eq!(registration.announced.objects.len(), 3);
    assert_eq!(format!("rd/{}", registration.location), location);

    let update = Msg::con(Code::POST, 2, b"u")
        .path(&location)
        .query("lt=120");
    assert_eq!(code(&sim.ask(peer(1), update)), Code::CHANGED);
    assert_eq!(sim.shard.registration("dev1").unwrap().lifetime, 120);
    let Event::Updated { .. } = &sim.events[1] else {
        panic!()
    };

    let deregister = Msg::con(Code::DELETE, 3, b"d").path(&location);
    assert_eq!(code(&sim.ask(peer(1), deregister.clone())), Code::DELETED);
    assert!(sim.shard.registration("dev1").is_none());
    let Event::Deregistered { expired: false, .. } = &sim.events[2] else {
        panic!()
    };
    assert!(sim.store.records(Kind::REGISTRATION).is_empty());

    // The answer was lost; the repeated Deregister gets it again, another does not.
    assert_eq!(code(&sim.ask(peer(1), deregister)), Code::DELETED);
    let other = Msg::con(Code::DELETE, 4, b"e").path(&location);
    assert_eq!(code(&sim.ask(peer(1), other)), Code::NOT_FOUND);
}

#[test]
fn the_answer_waits_for_the_store_and_is_repeated() {
    let mut sim = Sim::new();
    sim.slow_store = true;
    sim.give(peer(1), register("dev1", 1));
    sim.give(peer(1), register("dev1", 1));
    assert!(sim.sent.is_empty());
    assert!(sim.events.is_empty());
    assert!(sim.shard.registration("dev1").is_none());
    sim.commit();
    let first = sim.take_one();
    created(&first);
    assert_eq!(sim.events.len(), 1);
    // 2.01 was lost: the same Register gets the same location, and is no new one.
    assert_eq!(sim.ask(peer(1), register("dev1", 1)), first);
    assert_eq!(sim.events.len(), 1);
}

#[test]
fn a_slow_store_makes_a_separate_response() {
    let mut sim = Sim::new();
    sim.slow_store = true;
    sim.give(peer(1), register("dev1", 1));
    sim.advance(3_000);
    let ack = sim.take_one();
    assert_eq!(code(&ack), Code::EMPTY);
    sim.commit();
    let answer = sim.take_one();
    created(&answer);
    assert_eq!(
        Message::parse(&answer).unwrap().message_type(),
        MessageType::Confirmable
    );
}

#[test]
fn a_failed_store_promises_nothing() {
    let mut sim = Sim::with(MemoryStore::new().fail_after(0), Now { mono: 0, wall: 0 });
    let answer = sim.ask(peer(1), register("dev1", 1));
    assert_eq!(code(&answer), Code::SERVICE_UNAVAILABLE);
    assert!(sim.shard.registration("dev1").is_none());
    assert!(sim.events.is_empty());
}

#[test]
fn errors_have_their_codes() {
    let base = |query: &str, payload: &[u8]| {
        Msg::con(Code::POST, 9, b"t")
            .path("rd")
            .query(query)
            .payload(payload)
    };
    let cases: [(Msg, Code); 12] = [
        (base("lt=60&lwm2m=1.1", LINKS), Code::FORBIDDEN),
        (base("ep=a&lt=x", LINKS), Code::BAD_REQUEST),
        (base("ep=a&lwm2m=9.9", LINKS), Code::PRECONDITION_FAILED),
        (base("ep=a&lwm2m=1.1&b=UX", LINKS), Code::BAD_REQUEST),
        (base("ep=a&lwm2m=1.1", b"nonsense"), Code::BAD_REQUEST),
        (base("ep=a&lwm2m=1.1", b""), Code::BAD_REQUEST),
        (
            base("ep=a", LINKS).uint(OptionNumber::CONTENT_FORMAT, 60),
            Code::UNSUPPORTED_CONTENT_FORMAT,
        ),
        (
            base("ep=a", LINKS).option(OptionNumber(9), b"x"),
            Code::BAD_OPTION,
        ),
        (
            Msg::con(Code::GET, 9, b"t").path("rd"),
            Code::METHOD_NOT_ALLOWED,
        ),
        (Msg::con(Code::GET, 9, b"t").path("other"), Code::NOT_FOUND),
        (
            Msg::con(Code::POST, 9, b"t").path("rd/00-000000000000"),
            Code::NOT_FOUND,
        ),
        (
            Msg::con(Code::POST, 9, b"t").path("rd/zzz"),
            Code::NOT_FOUND,
        ),
    ];
    for (at, (message, expected)) in cases.into_iter().enumerate() {
        let mut sim = Sim::new();
        let answer = sim.ask(peer(1), message);
        assert_eq!(code(&answer), expected, "case {at}");
        assert_eq!(sim.store.commits(), 0, "a refused sender costs no state");
        assert_eq!(sim.shard.next_deadline(), None);
    }
}

#[test]
fn tolerated_quirks() {
    let mut sim = Sim::new();
    // LwM2M 1.0 with queue mode, no Content-Format, no root link, object without instance.
    let message = Msg::con(Code::POST, 1, b"t")
        .path("rd")
        .query("ep=old&lt=60&b=UQ")
        .payload(b"</3>,</1/0>");
    created(&sim.ask(peer(1), message));
    let registration = sim.shard.registration("old").unwrap();
    assert_eq!(registration.announced.version, "1.0");
    // No b, non-confirmable, empty token.
    let message = Msg {
        kind: MessageType::NonConfirmable,
        token: Vec::new(),
        ..Msg::con(Code::POST, 2, b"")
            .path("rd")
            .query("ep=n&lwm2m=1.1")
            .payload(LINKS)
    };
    let answer = sim.ask(peer(2), message);
    created(&answer);
    assert_eq!(sim.shard.registration("n").unwrap().lifetime, 86_400);
    // For ever; a patch release; queue mode as in 1.0.
    let message = Msg::con(Code::POST, 1, b"t")
        .path("rd")
        .query("ep=ever&lt=0&lwm2m=1.1.1&b=UQ")
        .payload(LINKS);
    let location = created(&sim.ask(peer(4), message));
    let registration = sim.shard.registration("ever").unwrap();
    assert_eq!(
        (
            registration.lifetime,
            registration.announced.version.as_str()
        ),
        (0, "1.1")
    );
    let commits = sim.store.commits();
    for id in 2..9 {
        sim.advance(86_400_000 * 300);
        let update = Msg::con(Code::POST, id, b"u").path(&location);
        assert_eq!(code(&sim.ask(peer(4), update)), Code::CHANGED);
    }
    assert_eq!(sim.store.commits(), commits + 2, "the others expired");
    let leave = Msg::con(Code::DELETE, 9, b"d").path(&location);
    assert_eq!(code(&sim.ask(peer(4), leave)), Code::DELETED);
    created(&sim.ask(peer(1), register("old", 9)));
    created(&sim.ask(peer(2), register("n", 9)));
    // 1.2 first, then 1.1 from a new token 1 ms later.
    created(&sim.ask(peer(3), register("two", 10)));
    sim.advance(1);
    created(&sim.ask(peer(3), register("two", 11)));
    assert_eq!(sim.shard.registrations().count(), 3);
}

#[test]
fn a_registration_expires_and_an_update_prevents_it() {
    let mut sim = Sim::new();
    let location = sim.register(peer(1), "dev1", 1);
    sim.advance(59_000);
    let update = Msg::con(Code::POST, 2, b"u").path(&location);
    assert_eq!(code(&sim.ask(peer(1), update)), Code::CHANGED);
    sim.advance(59_000);
    assert!(sim.shard.registration("dev1").is_some());
    sim.events.clear();
    sim.advance(1_100);
    assert!(sim.shard.registration("dev1").is_none());
    let Event::Deregistered { expired: true, .. } = &sim.events[0] else {
        panic!()
    };
    assert!(sim.store.records(Kind::REGISTRATION).is_empty());
}

#[test]
fn a_device_moves_to_another_port() {
    let mut sim = Sim::new();
    let location = sim.register(peer(1), "dev1", 1);
    sim.give(peer(2), Msg::con(Code::POST, 2, b"u").path(&location));
    let (_, to, answer) = sim.sent.remove(0);
    assert_eq!((to, code(&answer)), (peer(2), Code::CHANGED));
    sim.command(1, "dev1", Operation::read(Path::resource(3, 0, 0)));
    assert_eq!(sim.sent[0].1, peer(2));
    sim.sent.clear();
    // Reboot: a new Register from a new port.
    let again = sim.register(peer(3), "dev1", 1);
    assert_ne!(again, location);
    assert_eq!(sim.outcomes().len(), 1);
    let old = Msg::con(Code::POST, 3, b"v").path(&location);
    assert_eq!(code(&sim.ask(peer(2), old)), Code::NOT_FOUND);
}

#[test]
fn a_register_comes_block_wise() {
    let mut sim = Sim::new();
    let body: Vec<u8> = (0..40)
        .flat_map(|i| format!("</{i}/0>,").into_bytes())
        .collect();
    let blocks: Vec<&[u8]> = body.chunks(64).collect();
    for (num, block) in blocks.iter().enumerate() {
        let more = num + 1 < blocks.len();
        let value = (num as u32) << 4 | u32::from(more) << 3 | 2;
        let message = Msg::con(Code::POST, num as u16 + 1, b"t")
            .path("rd")
            .query("ep=blocks&lwm2m=1.1")
            .uint(OptionNumber::BLOCK1, value)
            .payload(block);
        let answer = sim.ask(peer(1), message.clone());
        if more {
            assert_eq!(code(&answer), Code::CONTINUE);
            assert_eq!(code(&sim.ask(peer(1), message)), Code::CONTINUE);
        } else {
            created(&answer);
            let parsed = Message::parse(&answer).unwrap();
            assert_eq!(parsed.block1().unwrap().unwrap().num as usize, num);
            // Repeated: the same answer.
            assert_eq!(sim.ask(peer(1), message), answer);
        }
    }
    assert_eq!(
        sim.shard
            .registration("blocks")
            .unwrap()
            .announced
            .objects
            .len(),
        40
    );
    assert_eq!(sim.events.len(), 1);
}

#[test]
fn a_block_out_of_order_and_a_body_too_long() {
    let mut sim = Sim::new();
    let block = |num: u32, id: u16| {
        Msg::con(Code::POST, id, b"t")
            .path("rd")
            .query("ep=x&lwm2m=1.1")
            .uint(OptionNumber::BLOCK1, num << 4 | 8 | 6)
            .payload(&[b'a'; 1024])
    };
    assert_eq!(
        code(&sim.ask(peer(1), block(3, 1))),
        Code::REQUEST_ENTITY_INCOMPLETE
    );
    for num in 0..16 {
        let expected = if num < 15 {
            Code::CONTINUE
        } else {
            code(&[0x40, 0x5f, 0, 0])
        };
        let got = code(&sim.ask(peer(1), block(num, 10 + num as u16)));
        assert!(
            got == expected || got == Code::REQUEST_ENTITY_TOO_LARGE,
            "{num}: {got}"
        );
    }
    assert_eq!(
        code(&sim.ask(peer(1), block(16, 40))),
        Code::REQUEST_ENTITY_TOO_LARGE
    );
}

#[test]
fn registrations_have_a_limit() {
    let mut sim = Sim::new();
    let mut config = config();
    config.limits.registrations = 2;
    sim.shard = Shard::new(config);
    sim.register(peer(1), "a", 1);
    sim.register(peer(2), "b", 1);
    let answer = sim.ask(peer(3), register("c", 1));
    assert_eq!(code(&answer), Code::SERVICE_UNAVAILABLE);
    // Who is known may come again.
    sim.register(peer(1), "a", 2);
}

#[test]
fn a_rebooted_device_that_counts_from_the_same_number() {
    let mut sim = Sim::new();
    let first = sim.register(peer(1), "dev1", 1);
    let message = Msg {
        token: b"other".to_vec(),
        ..register("dev1", 1)
    };
    let answer = sim.ask(peer(1), message);
    assert_eq!(
        Message::parse(&answer).unwrap().token().as_bytes(),
        b"other"
    );
    assert_ne!(created(&answer), first);
    assert_eq!(sim.events.len(), 2);
}

#[test]
fn many_devices_behind_one_address() {
    let mut sim = Sim::new();
    for i in 0..100 {
        sim.register(peer(1), &format!("d{i}"), i);
    }
    assert_eq!(sim.shard.registrations().count(), 100);
    sim.command(1, "d99", Operation::read(Path::resource(3, 0, 0)));
    let request = sim.take_one();
    let request = Message::parse(&request).unwrap();
    sim.give(
        peer(1),
        Msg::ack(&request, Code::CONTENT).payload(b"Tinsmith"),
    );
    assert_eq!(sim.outcomes().len(), 1);
}

#[test]
fn a_restart_keeps_registrations() {
    let mut sim = Sim::new();
    let location = sim.register(peer(1), "dev1", 1);
    sim.register(peer(2), "dev2", 1);
    let before = sim.shard.registration("dev1").unwrap();
    let mut sim = sim.restart();
    let restored = sim
        .events
        .iter()
        .filter(|e| matches!(e, Event::Registered { new: false, .. }));
    assert_eq!(restored.count(), 2);
    let after = sim.shard.registration("dev1").unwrap();
    assert_eq!(after.location, before.location);
    assert_eq!(after.announced.objects, before.announced.objects);
    let update = Msg::con(Code::POST, 2, b"u").path(&location);
    assert_eq!(code(&sim.ask(peer(1), update)), Code::CHANGED);
    sim.advance(200_000);
    assert_eq!(sim.shard.registrations().count(), 0);
}

#[test]
fn a_peer_is_learned_when_its_registration_is_answered() {
    let mut sim = Sim::new();
    sim.slow_store = true;
    sim.give(peer(1), register("dev1", 1));
    assert!(sim.learned.is_empty());
    sim.commit();
    assert_eq!(sim.learned, [(MANAGEMENT, peer(1))]);
    sim.slow_store = false;
    let location = created(&sim.take_one());
    sim.give(peer(2), Msg::con(Code::POST, 2, b"u").path(&location));
    assert_eq!(sim.learned.last(), Some(&(MANAGEMENT, peer(2))));
    let sim = sim.restart();
    assert_eq!(sim.learned, [(MANAGEMENT, peer(2))]);
}

#[test]
fn what_is_sent_names_the_identity_that_must_be_there() {
    let mut shard = Shard::new(config());
    let secure = Peer {
        association: 5,
        ..peer(1)
    };
    let now = Sim::new().now;
    let psk = Identity::Psk(b"dev1".to_vec());
    let bytes = register("dev1", 1).bytes();
    let input = Input::Inbound {
        listener: MANAGEMENT,
        peer: secure,
        identity: psk.clone(),
        management: None,
        bytes: &bytes,
    };
    shard.handle(now, input);
    let Some(Output::Persist(id, _)) = shard.poll() else {
        panic!("a commit comes first")
    };
    let version = tinsmith_store::Version(1);
    shard.handle(now, Input::Persisted(id, version));
    let Some(Output::Transmit { peer, identity, .. }) = shard.poll() else {
        panic!("the answer comes next")
    };
    assert_eq!((peer, identity), (secure, psk));
}

/// Names that begin with `dev` need the key of that name, others none.
struct ByName;

impl Access for ByName {
    fn may_bootstrap(&self, _: &Identity, _: &str) -> bool {
        false
    }

    fn registers(&self, _: &Identity, _: &str) -> Vec<tinsmith_store::Op> {
        Vec::new()
    }

    fn issue(&self, _: u64, _: &str, _: [u8; 32]) -> Result<Issued, String> {
        Err("no".to_owned())
    }

    fn may_be(&self, identity: &Identity, endpoint: &str) -> bool {
        let key = Identity::Psk(endpoint.as_bytes().to_vec());
        match endpoint.starts_with("dev") {
            true => *identity == key,
            false => *identity == Identity::None,
        }
    }
}

#[test]
fn a_name_and_an_identity_belong_together() {
    let psk = |name: &str| Identity::Psk(name.as_bytes().to_vec());
    for (identity, name, expected) in [
        (psk("dev1"), "dev1", None),
        (psk("dev1"), "dev2", Some(Code::FORBIDDEN)),
        (Identity::None, "dev1", Some(Code::FORBIDDEN)),
        (psk("other"), "other", Some(Code::FORBIDDEN)),
        (Identity::None, "other", None),
    ] {
        let mut shard = Shard::new(config()).with_access(std::sync::Arc::new(ByName));
        let bytes = register(name, 1).bytes();
        let input = Input::Inbound {
            listener: MANAGEMENT,
            peer: peer(1),
            identity: identity.clone(),
            management: None,
            bytes: &bytes,
        };
        shard.handle(Sim::new().now, input);
        let mut first = shard.poll();
        if expected.is_some() {
            assert!(matches!(first, Some(Output::Event(Event::Impostor { .. }))));
            first = shard.poll();
        }
        match (first, expected) {
            (Some(Output::Persist(..)), None) => {}
            (Some(Output::Transmit { bytes, .. }), Some(expected)) => {
                assert_eq!(code(&bytes), expected, "{identity} as {name}");
            }
            (output, _) => panic!("{identity} as {name}: {output:?}"),
        }
    }
}
