//! Devices with OSCORE: what is protected, what is refused, and what survives a restart.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use tinsmith_coap::Token;
use tinsmith_oscore::{Master, Message as Taken, Opened, Peer as Context, SoftAes, Start};

use super::*;
use tinsmith_store::{Key, Op};

/// A device's end.
pub(super) struct Device {
    context: Context,
    random: u8,
}

fn master(sender: &[u8], recipient: &[u8]) -> Master {
    Master::new(b"a master secret", b"salt", sender, recipient).unwrap()
}

impl Device {
    pub(super) fn new(start: Start<'_>) -> Self {
        let mut context = Context::new(master(b"d", b"s"), start).unwrap();
        let reservation = context.reserve(1_000);
        context.confirm_reserved(reservation);
        Device { context, random: 0 }
    }

    /// It has lost what it received, not its numbers.
    pub(super) fn restart(&mut self) {
        let mut stored = [0; 100];
        let len = self.context.encode(&mut stored).unwrap();
        *self = Device::new(Start::Stored(&stored[..len]));
    }

    pub(super) fn seal(&mut self, message: Msg) -> Vec<u8> {
        let mut out = [0; 2048];
        let plain = message.bytes();
        // It may have other keys than before.
        let reservation = self.context.reserve(1_000);
        self.context.confirm_reserved(reservation);
        let made = self.context.seal(&mut SoftAes::new(), &plain, &mut out);
        out[..made.unwrap()].to_vec()
    }

    pub(super) fn open(&mut self, datagram: &[u8]) -> (Opened, Vec<u8>) {
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

/// The contexts of a server, whose records are as their crate writes them.
#[derive(Default)]
pub(super) struct Contexts(Mutex<HashMap<Vec<u8>, Arc<OscoreContext>>>);

impl Contexts {
    fn add(&self, endpoint: &str, id: &[u8], start: OscoreStart) {
        let context = OscoreContext {
            endpoint: endpoint.into(),
            master: master(b"s", id),
            start,
        };
        let mut all = self.0.lock().unwrap();
        all.insert(id.to_vec(), Arc::new(context));
    }

    fn remove(&self, id: &[u8]) {
        self.0.lock().unwrap().remove(id);
    }
}

impl OscoreContexts for Contexts {
    fn context(&self, kid: &[u8]) -> Option<Arc<OscoreContext>> {
        self.0.lock().unwrap().get(kid).cloned()
    }

    fn record(&self, context: &OscoreContext, encoded: &[u8]) -> Option<Op> {
        let key = Key::new(Kind::OSCORE, context.master.recipient());
        Some(Op::Put(key, encoded.to_vec()))
    }
}

impl Access for Contexts {
    fn may_be(&self, identity: &Identity, endpoint: &str) -> bool {
        let all = self.0.lock().unwrap();
        match identity {
            Identity::None => !all.values().any(|context| &*context.endpoint == endpoint),
            Identity::Oscore(id) => all.get(id).is_some_and(|c| &*c.endpoint == endpoint),
            _ => false,
        }
    }

    fn may_bootstrap(&self, identity: &Identity, endpoint: &str) -> bool {
        self.may_be(identity, endpoint)
    }

    fn name_of(&self, identity: &Identity, _: Role) -> Option<String> {
        let Identity::Oscore(id) = identity else {
            return None;
        };
        let all = self.0.lock().unwrap();
        all.get(id).map(|context| context.endpoint.to_string())
    }

    fn registers(&self, _: &Identity, _: &str) -> Vec<Op> {
        Vec::new()
    }

    fn issue(&self, _: u64, _: &str, _: [u8; 32]) -> Result<Issued, String> {
        Err("no".to_owned())
    }
}

/// A shard with these contexts in the place of its own.
fn with(sim: &mut Sim, contexts: &Arc<Contexts>) {
    // Others at each start, or it would challenge with the same Echo again.
    let mut config = config();
    config.seed[..8].copy_from_slice(&sim.now.wall.to_be_bytes());
    let mut shard = Shard::new(config)
        .with_access(Arc::clone(contexts) as Arc<dyn Access>)
        .with_oscore(Arc::clone(contexts) as Arc<dyn OscoreContexts>);
    let mut records = sim.store.records(Kind::REQUEST);
    records.extend(sim.store.records(Kind::REGISTRATION));
    shard.restore(sim.now, records);
    sim.shard = shard;
    sim.drain();
    sim.events.clear();
}

/// A server that has a context for "dev1".
pub(super) fn protect(sim: &mut Sim) -> Arc<Contexts> {
    let contexts = Arc::new(Contexts::default());
    let records = sim.store.records(Kind::OSCORE);
    let record = records.into_iter().find(|(key, _)| key.id == b"d");
    let start = record.map_or(OscoreStart::Fresh, |(_, stored)| {
        OscoreStart::Stored(stored.bytes)
    });
    contexts.add("dev1", b"d", start);
    with(sim, &contexts);
    contexts
}

pub(super) fn secure() -> Sim {
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
    // Its numbers, then its registration.
    sim.commit();
    assert_eq!(sim.sent, []);
    sim.commit();
    created(&device.take(&sim.take_one()));
    let record = sim.store.records(Kind::OSCORE);
    // Version, mark, no ID Context.
    let bytes = &record[0].1.bytes;
    let expected = b"\x01\0\0\0\0\0\0\x04\0\0\0";
    assert_eq!((record.len(), &bytes[..]), (1, &expected[..]));
}

#[test]
fn a_context_lives_in_one_shard() {
    let mut sim = Sim::new();
    let contexts = protect(&mut sim);
    let mut device = Device::new(Start::Fresh);
    for index in 0..2 {
        let config = ShardConfig {
            index,
            shards: 2,
            ..config()
        };
        let contexts = Arc::clone(&contexts) as Arc<dyn OscoreContexts>;
        sim.shard = Shard::new(config).with_oscore(contexts);
        let sealed = device.seal(register("dev1", 1));
        assert_eq!(oscore_kid(&sealed), Some(b"d".to_vec()));
        sim.inbound(MANAGEMENT, peer(1), &sealed);
        let expected = match bucket("dev1") % 2 == index {
            true => Code::CHANGED,
            false => Code::UNAUTHORIZED,
        };
        assert_eq!(code(&sim.take_one()), expected, "shard {index}");
    }
}

#[test]
fn a_context_that_is_taken_away_opens_and_seals_nothing() {
    let mut sim = Sim::new();
    let contexts = protect(&mut sim);
    let mut device = Device::new(Start::Fresh);
    let location = registered(&mut sim, &mut device);
    let path = "/3/0/9".parse::<lwm2m_objects::Path>().unwrap();
    sim.command(1, "dev1", Operation::read(path));
    let read = sim.take_one();
    contexts.remove(b"d");
    answer_read(&mut sim, &mut device, &read);
    assert_eq!(sim.outcomes(), []);
    let revoked = Input::Revoked(Identity::Oscore(b"d".to_vec()));
    sim.shard.handle(sim.now, revoked);
    sim.drain();
    assert_eq!(sim.outcomes(), [(1, Outcome::TimedOut { sent: 0 })]);
    let update = |id| Msg::con(Code::POST, id, b"up").path(&location);
    let sealed = device.seal(update(50));
    sim.inbound(MANAGEMENT, peer(1), &sealed);
    assert_eq!(code(&sim.take_one()), Code::UNAUTHORIZED);
    sim.command(2, "dev1", Operation::read(path));
    assert_eq!(sim.sent, []);
    // Given to another: the registration is not its.
    contexts.add("dev2", b"d", OscoreStart::Fresh);
    let mut device = Device::new(Start::Fresh);
    let (answer, _) = device.ask(&mut sim, 60, update);
    assert_eq!(code(&answer), Code::FORBIDDEN);
}

#[test]
fn an_answer_from_elsewhere_shows_where_the_device_is() {
    let mut sim = secure();
    let mut device = Device::new(Start::Fresh);
    registered(&mut sim, &mut device);
    let path = "/3/0/9".parse::<lwm2m_objects::Path>().unwrap();
    sim.command(1, "dev1", Operation::read(path));
    let plain = device.take(&sim.take_one());
    let request = Message::parse(&plain).unwrap();
    let sealed = device.seal(text(&request, "7"));
    sim.inbound(MANAGEMENT, peer(7), &sealed);
    assert!(matches!(sim.outcomes()[..], [(1, Outcome::Content(_))]));
    sim.command(2, "dev1", Operation::read(path));
    assert_eq!(sim.sent[0].1, peer(7));
    // What is heard again from somewhere else moves nothing.
    sim.sent.clear();
    sim.inbound(MANAGEMENT, peer(8), &sealed);
    sim.advance(4_000);
    assert!(sim.sent.iter().all(|(_, to, _)| *to == peer(7)));
    let address = sim.shard.registration("dev1").unwrap().address.clone();
    assert_eq!(address, peer(7).to_string());
    // It is there after a restart too.
    let mut sim = sim.restart();
    protect(&mut sim);
    sim.command(3, "dev1", Operation::read(path));
    assert_eq!(sim.sent[0].1, peer(7));
}

#[test]
fn an_observation_goes_on_after_a_restart() {
    let mut sim = secure();
    let mut device = Device::new(Start::Fresh);
    registered(&mut sim, &mut device);
    let path = "/3/0/9".parse::<lwm2m_objects::Path>().unwrap();
    let observed = |request: &Message<'_>, sequence, value: &[u8]| {
        Msg::ack(request, Code::CONTENT)
            .uint(OptionNumber::OBSERVE, sequence)
            .uint(OptionNumber::CONTENT_FORMAT, 0)
            .payload(value)
    };
    sim.command(1, "dev1", Operation::observe(path));
    let plain = device.take(&sim.take_one());
    let request = Message::parse(&plain).unwrap();
    let old = request.token();
    let sealed = device.seal(observed(&request, 1, b"8"));
    sim.inbound(MANAGEMENT, peer(1), &sealed);
    let mut sim = sim.restart();
    protect(&mut sim);
    let notify = |device: &mut Device, id, token: Token| {
        let notification = Msg::con(Code::CONTENT, id, token.as_bytes())
            .uint(OptionNumber::OBSERVE, 2)
            .uint(OptionNumber::CONTENT_FORMAT, 0)
            .payload(b"9");
        device.seal(notification)
    };
    // It can't be opened, so the server observes anew; twice is not more.
    for id in [700, 701] {
        let notification = notify(&mut device, id, old);
        sim.inbound(MANAGEMENT, peer(1), &notification);
    }
    let plain = device.take(&sim.take_one());
    let again = Message::parse(&plain).unwrap();
    assert_eq!(
        (again.observe(), path_of(&again).as_str()),
        (Some(0), "/3/0/9")
    );
    let new = again.token();
    assert_ne!(new, old);
    let sealed = device.seal(observed(&again, 5, b"10"));
    sim.inbound(MANAGEMENT, peer(1), &sealed);
    let notified = |sim: &Sim| {
        let told = sim.events.iter();
        told.filter(|event| matches!(event, Event::Notified { .. }))
            .count()
    };
    assert_eq!(notified(&sim), 1);
    let notification = notify(&mut device, 702, new);
    sim.inbound(MANAGEMENT, peer(1), &notification);
    assert_eq!(sim.take_one(), [0x60, 0, 2, 0xbe]);
    assert_eq!(notified(&sim), 2);
    // The old one is ended.
    let notification = notify(&mut device, 703, old);
    sim.inbound(MANAGEMENT, peer(1), &notification);
    assert_eq!(sim.take_one(), [0x70, 0, 2, 0xbf]);
}

#[test]
fn a_server_that_has_lost_what_it_knew_agrees_on_new_keys() {
    let mut sim = Sim::new();
    let contexts = Arc::new(Contexts::default());
    contexts.add("dev1", b"d", OscoreStart::Lost);
    with(&mut sim, &contexts);
    let mut device = Device::new(Start::Fresh);
    let (answer, times) = device.ask(&mut sim, 60, |id| register("dev1", id));
    assert_eq!(times, 2);
    created(&answer);
    let path = "/3/0/9".parse::<lwm2m_objects::Path>().unwrap();
    sim.command(1, "dev1", Operation::read(path));
    let read = sim.take_one();
    answer_read(&mut sim, &mut device, &read);
    assert!(matches!(sim.outcomes()[..], [(1, Outcome::Content(_))]));
    // Nothing was stored of the old keys, whose numbers nobody knows.
    let records = sim.store.records(Kind::OSCORE);
    assert_eq!((records.len(), records[0].1.bytes[9]), (1, 2));
}

#[test]
fn what_nobody_knows_costs_no_memory_and_brings_less_than_it_was() {
    let mut sim = secure();
    for n in 0..2_000_u16 {
        let id = n.to_be_bytes();
        let mut stranger = Context::<4, 8>::new(master(&id, b"s"), Start::Fresh).unwrap();
        let reservation = stranger.reserve(1);
        stranger.confirm_reserved(reservation);
        let mut out = [0; 2048];
        let plain = register("dev1", n).bytes();
        let len = stranger
            .seal(&mut SoftAes::new(), &plain, &mut out)
            .unwrap();
        sim.inbound(MANAGEMENT, peer(n), &out[..len]);
        let answer = sim.take_one();
        assert_eq!(code(&answer), Code::UNAUTHORIZED);
        assert!(answer.len() < len);
    }
    assert_eq!(sim.shard.next_deadline(), None);
    assert_eq!(sim.store.records(Kind::OSCORE), []);
}
