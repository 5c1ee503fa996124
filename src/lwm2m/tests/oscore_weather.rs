//! Devices with OSCORE while messages are lost and doubled and the server restarts between any two of
//! them; and what was heard on the way is sent again.

use std::collections::HashMap;

use super::oscore::{Device, protect, secure};
use super::*;
use tinsmith_oscore::{Message as Taken, Opened, Start};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    Lost,
    Doubled,
    /// The server, before the message arrives.
    Restart,
    /// The device loses what it received, not its numbers.
    Reboot,
}

struct World {
    sim: Sim,
    device: Device,
    fault: Fault,
    at: usize,
    /// Datagrams so far.
    count: usize,
    /// All that has arrived from the device.
    heard: Vec<Vec<u8>>,
    /// What the device asks, until it is answered.
    asks: Option<Msg>,
    next: u16,
    answered: Option<Code>,
    location: String,
    observed: Vec<u8>,
    /// What it answered, by token.
    answers: HashMap<Vec<u8>, Vec<u8>>,
}

impl World {
    fn new(fault: Fault, at: usize) -> Self {
        World {
            sim: secure(),
            device: Device::new(Start::Fresh),
            fault,
            at,
            count: 0,
            heard: Vec::new(),
            asks: None,
            next: 100,
            answered: None,
            location: String::new(),
            observed: Vec::new(),
            answers: HashMap::new(),
        }
    }

    /// How often this datagram arrives.
    fn pass(&mut self) -> usize {
        self.count += 1;
        if self.count - 1 != self.at {
            return 1;
        }
        match self.fault {
            Fault::None => {}
            Fault::Lost => return 0,
            Fault::Doubled => return 2,
            Fault::Restart => {
                let sim = std::mem::replace(&mut self.sim, Sim::new());
                self.sim = sim.restart();
                protect(&mut self.sim);
            }
            Fault::Reboot => {
                self.device.restart();
                self.observed.clear();
                self.answers.clear();
            }
        }
        1
    }

    fn reach_server(&mut self, datagram: &[u8]) {
        for _ in 0..self.pass() {
            self.sim.inbound(MANAGEMENT, peer(1), datagram);
            // What never arrived is new when it does.
            self.heard.push(datagram.to_vec());
        }
    }

    fn seal(&mut self, message: Msg) {
        let sealed = self.device.seal(message);
        self.reach_server(&sealed);
    }

    /// Asks, as a new message.
    fn ask(&mut self) {
        let Some(message) = self.asks.clone() else {
            return;
        };
        self.next += 1;
        let id = self.next;
        let token = id.to_be_bytes().to_vec();
        self.seal(Msg {
            id,
            token,
            ..message
        });
    }

    fn reach_device(&mut self, datagram: &[u8]) {
        let (opened, plain) = self.device.open(datagram);
        match opened {
            Opened::Message(Taken { again: true, .. }) => self.ask(),
            Opened::Message(Taken { repeated: true, .. }) => {
                let token = Message::parse(&plain).unwrap().token();
                let answer = self.answers.get(token.as_bytes()).cloned();
                answer
                    .into_iter()
                    .for_each(|answer| self.reach_server(&answer));
            }
            Opened::Message(_) => self.taken(&plain),
            Opened::Answer { .. } => self.reach_server(&plain),
            _ => {}
        }
    }

    fn taken(&mut self, plain: &[u8]) {
        let message = Message::parse(plain).unwrap();
        if message.code().is_request() {
            let mut answer = text(&message, "7");
            if message.observe() == Some(0) {
                self.observed = message.token().as_bytes().to_vec();
                answer = answer.uint(OptionNumber::OBSERVE, 1);
            }
            let sealed = self.device.seal(answer);
            let token = message.token().as_bytes().to_vec();
            self.answers.insert(token, sealed.clone());
            self.reach_server(&sealed);
        } else if message.code().is_response()
            && message.token().as_bytes() == self.next.to_be_bytes()
        {
            if message.code() == Code::CREATED {
                self.location = created(plain);
            }
            self.answered = Some(message.code());
        }
    }

    fn flow(&mut self) {
        while !self.sim.sent.is_empty() {
            let (_, _, datagram) = self.sim.sent.remove(0);
            for _ in 0..self.pass() {
                self.reach_device(&datagram);
            }
        }
    }

    /// Begins something, again and again, until it is done.
    fn until(&mut self, mut begin: impl FnMut(&mut Self), done: impl Fn(&mut Self) -> bool) {
        for _ in 0..4 {
            begin(self);
            for _ in 0..60 {
                self.flow();
                if done(self) {
                    return;
                }
                self.sim.advance(1_000);
            }
        }
        panic!("{:?} at {}: never", self.fault, self.at);
    }

    fn device_asks(&mut self, message: Msg, expected: Code) {
        self.answered = None;
        self.asks = Some(message);
        self.until(Self::ask, |world| world.answered.is_some());
        self.asks = None;
        assert_eq!(
            self.answered,
            Some(expected),
            "{:?} at {}",
            self.fault,
            self.at
        );
    }

    fn server_asks(&mut self, operation: &Operation) {
        let begin = |world: &mut Self| world.sim.command(1, "dev1", operation.clone());
        self.until(begin, |world| {
            let outcomes = world.sim.outcomes();
            let is_content = |(_, outcome): &(u64, Outcome)| matches!(outcome, Outcome::Content(_));
            outcomes.iter().any(is_content)
        });
    }

    fn told(&self, is: fn(&Event) -> bool) -> usize {
        self.sim.events.iter().filter(|event| is(event)).count()
    }
}

fn is_notified(event: &Event) -> bool {
    matches!(event, Event::Notified { .. })
}

/// How many datagrams there were.
fn run(fault: Fault, at: usize) -> usize {
    let mut world = World::new(fault, at);
    let path = "/3/0/9".parse::<lwm2m_objects::Path>().unwrap();
    let lasting = |message: Msg| Msg {
        options: Vec::new(),
        ..message
    };
    let register = lasting(register("dev1", 1))
        .path("rd")
        .query("ep=dev1&lt=86400&lwm2m=1.1&b=U");
    world.device_asks(register, Code::CREATED);
    world.server_asks(&Operation::read(path));
    let update = Msg::con(Code::POST, 1, b"").path(&world.location.clone());
    world.device_asks(update.clone(), Code::CHANGED);
    world.server_asks(&Operation::observe(path));
    world.sim.events.clear();
    let mut sequence = 10;
    world.until(
        |world| {
            if world.observed.is_empty() {
                return world.sim.command(2, "dev1", Operation::observe(path));
            }
            sequence += 1;
            world.next += 1;
            let token = world.observed.clone();
            let notification = Msg::con(Code::CONTENT, world.next, &token)
                .uint(OptionNumber::OBSERVE, sequence)
                .uint(OptionNumber::CONTENT_FORMAT, 0)
                .payload(b"9");
            world.seal(notification);
        },
        |world| world.told(is_notified) > 0,
    );
    world.device_asks(update, Code::CHANGED);
    world.flow();
    assert_eq!(
        world.told(|event| matches!(event, Event::Impostor { .. })),
        0
    );

    // Whoever has heard all of it, and says it again, from there or elsewhere, before and after a
    // restart, does nothing.
    let (count, heard) = (world.count, world.heard.clone());
    for restarted in [false, true] {
        if restarted {
            world.sim = world.sim.restart();
            protect(&mut world.sim);
        }
        world.sim.sent.clear();
        world.sim.events.clear();
        for datagram in &heard {
            world.sim.inbound(MANAGEMENT, peer(1), datagram);
            world.sim.inbound(MANAGEMENT, peer(66), datagram);
        }
        let address = &world.sim.shard.registration("dev1").unwrap().address;
        assert_eq!(*address, peer(1).to_string());
        let is_effect = |event: &Event| !matches!(event, Event::Reachable { .. });
        let effects = world.told(is_effect);
        assert_eq!(effects, 0, "{fault:?} at {at}: {:?}", world.sim.events);
    }
    count
}

#[test]
fn any_one_message_is_lost_or_doubled_and_either_side_restarts_before_it() {
    let count = run(Fault::None, 0);
    assert!(count > 10, "{count}");
    for fault in [Fault::Lost, Fault::Doubled, Fault::Restart, Fault::Reboot] {
        for at in 0..count + 4 {
            run(fault, at);
        }
    }
}
