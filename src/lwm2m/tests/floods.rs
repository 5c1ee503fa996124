//! Many who want something, and one who needs it.

use super::*;

fn at(source: u16, port: u16) -> Peer {
    let [high, low] = source.to_be_bytes();
    Peer::udp(([10, 9, high, low], port).into())
}

const HONEST: [u8; 4] = [192, 0, 2, 1];

/// Where floods come from: one source with many ports, or many sources.
fn flood(count: u16, many: bool) -> impl Iterator<Item = Peer> {
    (0..count).map(move |n| if many { at(n, 5683) } else { at(1, n + 1) })
}

fn answer_bootstrap(sim: &mut Sim, from: Peer) {
    while let Some((_, to, bytes)) = sim.sent.pop() {
        let message = Message::parse(&bytes).unwrap();
        if to == from && message.code().is_request() {
            let answer = Msg::ack(&message, Code::CHANGED).bytes();
            sim.inbound(BOOTSTRAP, from, &answer);
        }
    }
}

fn start(sim: &mut Sim, from: Peer, name: &str) {
    let start = Msg::con(Code::POST, 1, b"bs").path("bs");
    let start = start.query(&format!("ep={name}")).bytes();
    sim.inbound(BOOTSTRAP, from, &start);
}

#[test]
fn a_flood_of_bootstraps_leaves_room_for_others() {
    for many in [false, true] {
        let mut sim = Sim::limited(Limits::default());
        for (n, from) in flood(9_000, many).enumerate() {
            start(&mut sim, from, &format!("dev-x{n}"));
            sim.sent.clear();
        }
        for honest in [Peer::udp((HONEST, 7).into()), at(1, 60_000)] {
            sim.events.clear();
            start(&mut sim, honest, "dev-honest");
            answer_bootstrap(&mut sim, honest);
            let done = |event: &Event| matches!(event, Event::Bootstrapped { endpoint, error: None } if &**endpoint == "dev-honest");
            assert!(sim.events.iter().any(done), "{many} {:?}", sim.events);
        }
    }
}

#[test]
fn a_bootstrap_under_way_is_spared() {
    let mut sim = Sim::limited(Limits::default());
    let honest = at(1, 60_000);
    start(&mut sim, honest, "dev-honest");
    // It has answered once.
    let request = sim.sent.pop().unwrap().2;
    let answer = Msg::ack(&Message::parse(&request).unwrap(), Code::CHANGED);
    sim.sent.clear();
    sim.inbound(BOOTSTRAP, honest, &answer.bytes());
    let next = std::mem::take(&mut sim.sent);
    for (n, from) in flood(9_000, false).enumerate() {
        start(&mut sim, from, &format!("dev-x{n}"));
    }
    sim.events.clear();
    sim.sent = next;
    answer_bootstrap(&mut sim, honest);
    assert!(matches!(
        sim.events[..],
        [Event::Bootstrapped { error: None, .. }]
    ));
}

fn block(name: &str, num: u32, more: bool) -> Msg {
    let id = num as u16 + 1;
    let value = num << 4 | u32::from(more) << 3 | 2;
    let payload: Vec<u8> = (0..8)
        .flat_map(|i| format!("</{}{i}/0>,", num + 1).into_bytes())
        .collect();
    Msg::con(Code::POST, id, b"t")
        .path("rd")
        .query(&format!("ep={name}&lwm2m=1.1"))
        .uint(OptionNumber::BLOCK1, value)
        .payload(&payload)
}

/// Sends a Register in four blocks, with something between them; the last answer.
fn in_blocks(sim: &mut Sim, from: Peer, name: &str, mut between: impl FnMut(&mut Sim)) -> Code {
    let mut last = Code::EMPTY;
    for num in 0..4 {
        sim.sent.clear();
        sim.give(from, block(name, num, num < 3));
        let answer = sim.sent.iter().find(|(_, to, _)| *to == from);
        last = code(&answer.unwrap().2);
        between(sim);
    }
    last
}

#[test]
fn a_flood_of_first_blocks_leaves_room_for_others() {
    for many in [false, true] {
        let mut sim = Sim::limited(Limits::default());
        let mut sources = flood(9_000, many).enumerate();
        // A thousand in the second that a block and its answer take.
        let mut flood = |sim: &mut Sim| {
            for (n, from) in sources.by_ref().take(1_000) {
                sim.give(from, block(&format!("x{n}"), 0, true));
            }
        };
        flood(&mut sim);
        let honest = Peer::udp((HONEST, 7).into());
        let end = in_blocks(&mut sim, honest, "honest", flood);
        assert_eq!(end, Code::CREATED, "{many}");
    }
}

#[test]
fn a_proven_device_behind_the_address_of_a_flood_sends_in_blocks() {
    let mut sim = Sim::limited(Limits::default());
    let known = at(1, 60_000);
    sim.register(known, "known", 99);
    let read = Operation::read(lwm2m_objects::Path::object(3));
    sim.command(1, "known", read);
    let request = sim.take_one();
    let request = Message::parse(&request).unwrap();
    sim.give(known, Msg::ack(&request, Code::NOT_FOUND));
    let mut sources = flood(9_000, false).enumerate();
    let end = in_blocks(&mut sim, known, "known", |sim| {
        for (n, from) in sources.by_ref().take(1_000) {
            sim.give(from, block(&format!("x{n}"), 0, true));
        }
    });
    assert_eq!(end, Code::CREATED);
}

#[test]
fn a_flood_of_registers_leaves_room_for_others() {
    for many in [false, true] {
        let mut sim = Sim::limited(Limits {
            strangers: 500,
            registrations: 600,
            ..Limits::default()
        });
        let known = at(1, 60_000);
        sim.register(known, "known", 99);
        let read = Operation::read(lwm2m_objects::Path::object(3));
        sim.command(1, "known", read.clone());
        let request = sim.take_one();
        let request = Message::parse(&request).unwrap();
        sim.give(known, Msg::ack(&request, Code::NOT_FOUND));
        for (n, from) in flood(3_000, many).enumerate() {
            sim.give(from, register(&format!("x{n}"), 1));
            sim.sent.clear();
        }
        assert!(sim.shard.registrations().count() <= 501);
        // The known one is there still, and another comes.
        sim.command(2, "known", read);
        assert_eq!(sim.sent.pop().unwrap().1, known);
        sim.sent.clear();
        let honest = Peer::udp((HONEST, 7).into());
        sim.give(honest, register("honest", 1));
        let to = |sim: &Sim| {
            let sent = sim.sent.iter().filter(|(_, to, _)| *to == honest);
            sent.map(|(_, _, bytes)| bytes.clone()).collect::<Vec<_>>()
        };
        created(&to(&sim)[0]);
        for bytes in &to(&sim)[1..] {
            let request = Message::parse(bytes).unwrap();
            sim.give(honest, Msg::ack(&request, Code::NOT_FOUND));
        }
        for (n, from) in flood(3_000, many).enumerate() {
            sim.give(from, register(&format!("y{n}"), 1));
            sim.sent.clear();
        }
        for name in ["known", "honest"] {
            assert!(sim.shard.registration(name).is_some(), "{name} {many}");
        }
    }
}
