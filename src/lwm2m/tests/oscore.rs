//! Devices with OSCORE: what is protected, what is refused, and what survives a restart.

use tinsmith_coap::Token;
use tinsmith_oscore::{Master, Message as Taken, Opened, Peer as Context, SoftAes, Start};

use super::*;

/// A device's end.
struct Device {
    context: Context,
    random: u8,
}

fn master(sender: &[u8], recipient: &[u8]) -> Master {
    Master::new(b"a master secret", b"salt", sender, recipient).unwrap()
}

impl Device {
    fn new(start: Start<'_>) -> Self {
        let mut context = Context::new(master(b"d", b"s"), start).unwrap();
        let reservation = context.reserve(1_000);
        context.confirm_reserved(reservation);
        Device { context, random: 0 }
    }

    /// It has lost what it received, not its numbers.
    fn restart(&mut self) {
        let mut stored = [0; 100];
        let len = self.context.encode(&mut stored).unwrap();
        *self = Device::new(Start::Stored(&stored[..len]));
    }

    fn seal(&mut self, message: Msg) -> Vec<u8> {
        let mut out = [0; 2048];
        let plain = message.bytes();
        let made = self.context.seal(&mut SoftAes::new(), &plain, &mut out);
        out[..made.unwrap()].to_vec()
    }

    fn open(&mut self, datagram: &[u8]) -> (Opened, Vec<u8>) {
        let mut out = [0; 2048];
        let mut bytes = datagram.to_vec();
        let seed = &mut self.random;
        let mut random = |place: &mut [u8]| {
            *seed += 1;
            place.fill(*seed);
        };
        let aes = &mut SoftAes::new();
        let opened = self.context.open(aes, &mut random, &mut bytes, &mut out);
        let len = match opened {
            Opened::Message(Taken { len, .. }) | Opened::Answer { len, .. } => len,
            _ => 0,
        };
        (opened, out[..len].to_vec())
    }

    /// A message that is protected and new.
    fn take(&mut self, datagram: &[u8]) -> Vec<u8> {
        let (opened, plain) = self.open(datagram);
        let is_new = matches!(
            opened,
            Opened::Message(Taken {
                repeated: false,
                again: false,
                ..
            })
        );
        assert!(is_new, "{opened:?} {datagram:02x?}");
        plain
    }

    /// Asks the server until it does not want it said once more; how often it was asked.
    fn ask(&mut self, sim: &mut Sim, first: u16, message: impl Fn(u16) -> Msg) -> (Vec<u8>, u16) {
        for times in 1..4 {
            let sealed = self.seal(message(first + times));
            sim.inbound(MANAGEMENT, peer(1), &sealed);
            let answer = sim.take_one();
            match self.open(&answer) {
                (Opened::Message(Taken { again: false, .. }), plain) => return (plain, times),
                (Opened::Message(_), _) => {}
                (other, _) => panic!("{other:?}"),
            }
        }
        panic!("it is never content");
    }
}

/// A server that has a context for "dev1".
fn protect(sim: &mut Sim) {
    let mut peers = OscorePeers::new(10);
    let key = OscorePeers::key("dev1");
    let records = sim.store.records(Kind::OSCORE);
    let record = records.iter().find(|(of, _)| *of == key);
    let stored = record.map(|(_, stored)| stored.bytes.as_slice());
    peers
        .add("dev1".into(), master(b"s", b"d"), stored)
        .unwrap();
    sim.shard.protect(Box::new(peers));
    sim.drain();
}

fn secure() -> Sim {
    let mut sim = Sim::new();
    protect(&mut sim);
    sim
}

fn is_protected(datagram: &[u8]) -> bool {
    let message = Message::parse(datagram).unwrap();
    message.option(OptionNumber::OSCORE).is_some()
}

fn registered(sim: &mut Sim, device: &mut Device) -> String {
    let (answer, _) = device.ask(sim, 10, |id| register("dev1", id));
    created(&answer)
}

/// The device answers a Read.
fn answer_read(sim: &mut Sim, device: &mut Device, read: &[u8]) {
    let plain = device.take(read);
    let request = Message::parse(&plain).unwrap();
    let answer = Msg::ack(&request, Code::CONTENT)
        .uint(OptionNumber::CONTENT_FORMAT, 0)
        .payload(b"7");
    let sealed = device.seal(answer);
    sim.inbound(MANAGEMENT, peer(1), &sealed);
}

#[test]
fn registers_is_read_and_observed() {
    let mut sim = secure();
    let mut device = Device::new(Start::Fresh);
    let location = registered(&mut sim, &mut device);
    let path = "/3/0/9".parse::<lwm2m_objects::Path>().unwrap();
    sim.command(1, "dev1", Operation::read(path));
    let read = sim.take_one();
    assert!(is_protected(&read));
    answer_read(&mut sim, &mut device, &read);
    assert!(matches!(sim.outcomes()[..], [(1, Outcome::Content(_))]));

    sim.command(2, "dev1", Operation::observe(path));
    let plain = device.take(&sim.take_one());
    let request = Message::parse(&plain).unwrap();
    let token: Token = request.token();
    let first = Msg::ack(&request, Code::CONTENT)
        .uint(OptionNumber::OBSERVE, 1)
        .uint(OptionNumber::CONTENT_FORMAT, 0)
        .payload(b"8");
    let sealed = device.seal(first);
    sim.inbound(MANAGEMENT, peer(1), &sealed);
    assert!(matches!(sim.outcomes()[..], [(2, Outcome::Content(_))]));
    sim.events.clear();
    let notification = Msg::con(Code::CONTENT, 700, token.as_bytes())
        .uint(OptionNumber::OBSERVE, 2)
        .uint(OptionNumber::CONTENT_FORMAT, 0)
        .payload(b"9");
    let sealed = device.seal(notification);
    // Twice: it is told once, and acknowledged twice.
    for _ in 0..2 {
        sim.inbound(MANAGEMENT, peer(1), &sealed);
        assert_eq!(sim.take_one(), [0x60, 0, 2, 0xbc]);
    }
    let told = sim
        .events
        .iter()
        .filter(|event| matches!(event, Event::Notified { .. }));
    assert_eq!(told.count(), 1);

    let update = |id| Msg::con(Code::POST, id, b"up").path(&location);
    let (answer, _) = device.ask(&mut sim, 800, update);
    assert_eq!(code(&answer), Code::CHANGED);
}

#[test]
fn nobody_else_is_that_device() {
    let mut sim = secure();
    // In the clear.
    assert_eq!(
        code(&sim.ask(peer(2), register("dev1", 1))),
        Code::FORBIDDEN
    );
    let mut device = Device::new(Start::Fresh);
    let location = registered(&mut sim, &mut device);
    for method in [Code::POST, Code::DELETE] {
        let request = Msg::con(method, 2, b"x").path(&location);
        assert_eq!(code(&sim.ask(peer(2), request)), Code::FORBIDDEN);
    }
    // The device under another name.
    let (answer, _) = device.ask(&mut sim, 20, |id| register("dev2", id));
    assert_eq!(code(&answer), Code::FORBIDDEN);
    // Devices without a context are as they were.
    sim.register(peer(3), "dev3", 30);
}

#[test]
fn what_is_asked_is_answered_only_with_the_key() {
    let mut sim = secure();
    let mut device = Device::new(Start::Fresh);
    registered(&mut sim, &mut device);
    let path = "/3/0/9".parse::<lwm2m_objects::Path>().unwrap();
    sim.command(1, "dev1", Operation::read(path));
    let read = sim.take_one();
    let outer = Message::parse(&read).unwrap();
    let forged = Msg::ack(&outer, Code::CONTENT)
        .uint(OptionNumber::CONTENT_FORMAT, 0)
        .payload(b"666");
    sim.give(peer(1), forged);
    assert_eq!(sim.outcomes(), []);
    answer_read(&mut sim, &mut device, &read);
    assert!(matches!(sim.outcomes()[..], [(1, Outcome::Content(_))]));
}

#[test]
fn what_can_not_be_opened_is_refused_in_the_clear() {
    let mut sim = secure();
    let mut device = Device::new(Start::Fresh);
    let sealed = device.seal(register("dev1", 1));
    let mut changed = sealed.clone();
    *changed.last_mut().unwrap() ^= 1;
    sim.inbound(MANAGEMENT, peer(1), &changed);
    assert_eq!(code(&sim.take_one()), Code::BAD_REQUEST);
    let mut stranger = Context::new(master(b"x", b"s"), Start::Fresh).unwrap();
    let reservation = stranger.reserve(1);
    stranger.confirm_reserved(reservation);
    device.context = stranger;
    let foreign = device.seal(register("dev1", 2));
    sim.inbound(MANAGEMENT, peer(1), &foreign);
    assert_eq!(code(&sim.take_one()), Code::UNAUTHORIZED);
    assert!(sim.shard.registration("dev1").is_none());
}

#[test]
fn a_repeated_register_is_answered_again_and_not_taken_again() {
    let mut sim = secure();
    let mut device = Device::new(Start::Fresh);
    let sealed = device.seal(register("dev1", 1));
    sim.inbound(MANAGEMENT, peer(1), &sealed);
    let first = created(&device.take(&sim.take_one()));
    sim.inbound(MANAGEMENT, peer(1), &sealed);
    let (_, second) = device.open(&sim.take_one());
    assert_eq!(created(&second), first);
    // From elsewhere it is nothing.
    sim.inbound(MANAGEMENT, peer(9), &sealed);
    assert_eq!(sim.sent, []);
}

#[test]
fn after_a_restart_the_device_shows_that_it_is_fresh() {
    let mut sim = secure();
    let mut device = Device::new(Start::Fresh);
    let location = registered(&mut sim, &mut device);
    let update = |id| Msg::con(Code::POST, id, b"up").path(&location);
    let recorded = device.seal(update(40));
    sim.inbound(MANAGEMENT, peer(1), &recorded);
    sim.take_one();
    let mut sim = sim.restart();
    protect(&mut sim);
    let (answer, times) = device.ask(&mut sim, 50, update);
    assert_eq!((code(&answer), times), (Code::CHANGED, 2));
    sim.inbound(MANAGEMENT, peer(1), &recorded);
    assert_eq!(sim.sent, []);
}

#[test]
fn after_a_restart_the_device_can_be_asked_at_once() {
    let mut sim = secure();
    let mut device = Device::new(Start::Fresh);
    registered(&mut sim, &mut device);
    let mut sim = sim.restart();
    protect(&mut sim);
    let path = "/3/0/9".parse::<lwm2m_objects::Path>().unwrap();
    sim.command(1, "dev1", Operation::read(path));
    let read = sim.take_one();
    answer_read(&mut sim, &mut device, &read);
    assert!(matches!(sim.outcomes()[..], [(1, Outcome::Content(_))]));
}

#[test]
fn a_device_that_restarted_is_asked_once_more() {
    let mut sim = secure();
    let mut device = Device::new(Start::Fresh);
    registered(&mut sim, &mut device);
    device.restart();
    let path = "/3/0/9".parse::<lwm2m_objects::Path>().unwrap();
    sim.command(1, "dev1", Operation::read(path));
    let (opened, challenge) = device.open(&sim.take_one());
    assert!(matches!(opened, Opened::Answer { why: None, .. }));
    sim.inbound(MANAGEMENT, peer(1), &challenge);
    let read = sim.take_one();
    answer_read(&mut sim, &mut device, &read);
    assert!(matches!(sim.outcomes()[..], [(1, Outcome::Content(_))]));
}

#[test]
fn a_device_that_knows_nothing_any_more_gets_new_keys() {
    let mut sim = secure();
    let mut device = Device::new(Start::Fresh);
    registered(&mut sim, &mut device);
    let mut device = Device::new(Start::Rederive(*b"fresh r1"));
    let (answer, times) = device.ask(&mut sim, 60, |id| register("dev1", id));
    assert_eq!(times, 2);
    let location = created(&answer);
    let path = "/3/0/9".parse::<lwm2m_objects::Path>().unwrap();
    sim.command(1, "dev1", Operation::read(path));
    let read = sim.take_one();
    answer_read(&mut sim, &mut device, &read);
    // The new keys are in the store.
    let mut sim = sim.restart();
    protect(&mut sim);
    let update = |id| Msg::con(Code::POST, id, b"up").path(&location);
    let (answer, times) = device.ask(&mut sim, 70, update);
    assert_eq!((code(&answer), times), (Code::CHANGED, 2));
}

#[test]
fn nothing_is_sent_before_its_numbers_are_durable() {
    let mut sim = Sim::new();
    sim.slow_store = true;
    protect(&mut sim);
    let mut device = Device::new(Start::Fresh);
    let sealed = device.seal(register("dev1", 1));
    sim.inbound(MANAGEMENT, peer(1), &sealed);
    assert_eq!(sim.sent, []);
    sim.commit();
    created(&device.take(&sim.take_one()));
    let record = sim.store.records(Kind::OSCORE);
    // Schema, {"context": [version, mark, no ID Context]}.
    let bytes = &record[0].1.bytes;
    let expected = b"\0\x01\xa1\x67context\x8b\x01\0\0\0\0\0\0\x04\0\0\0";
    assert_eq!((record.len(), &bytes[..]), (1, &expected[..]));
}

#[test]
fn contexts_are_told_apart_and_bounded() {
    let mut peers = OscorePeers::new(2);
    let mut add = |endpoint: &str, id: &[u8]| peers.add(endpoint.into(), master(b"s", id), None);
    assert_eq!(add("a", b"1"), Ok(()));
    assert_eq!(add("a", b"2"), Err(OscoreError::Endpoint));
    assert_eq!(add("b", b"1"), Err(OscoreError::Taken));
    assert_eq!(add("b", b"2"), Ok(()));
    assert_eq!(add("c", b"3"), Err(OscoreError::Full));
    assert!(peers.remove("a"));
    assert!(!peers.remove("a"));
    assert_eq!(peers.len(), 1);
    let buckets: Vec<_> = peers.buckets().collect();
    assert_eq!(buckets, [(&b"2"[..], bucket("b"))]);
}
