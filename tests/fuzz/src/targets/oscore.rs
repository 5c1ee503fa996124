//! One end of OSCORE, fed with steps: datagrams of anybody, requests and responses that the peer has
//! sealed, sent again or changed, restarts, and option values. What opens was sealed, and is new
//! once.

use std::collections::BTreeSet;

use tinsmith_coap::{Builder, Code, MessageType, OptionNumber, Token};
use tinsmith_dtls::SoftAes;
use tinsmith_oscore::{Master, Message, Opened, OscoreOption, Peer, Start};

struct World {
    end: Peer,
    peer: Peer,
    random: u8,
    /// What the peer sealed, and the plain messages.
    sealed: Vec<(Vec<u8>, Vec<u8>)>,
    taken: BTreeSet<Vec<u8>>,
}

fn master(sender: &[u8], recipient: &[u8]) -> Master {
    Master::new(b"a secret", b"salt", sender, recipient).expect("good")
}

fn start(master: Master, start: Start<'_>) -> Peer {
    let mut peer = Peer::new(master, start).expect("good");
    let reservation = peer.reserve(100);
    peer.confirm_reserved(reservation);
    peer
}

fn option(value: &[u8]) {
    if let Some(option) = OscoreOption::decode(value) {
        assert!(option.partial_iv.is_none_or(|number| number < 1 << 40));
    }
}

fn message(code: Code, id: u16, observe: bool, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![0; payload.len() + 100];
    let kind = match code.is_request() {
        true => MessageType::Confirmable,
        false => MessageType::NonConfirmable,
    };
    let token = Token::new(&[id as u8]).expect("short");
    let mut builder = Builder::new(&mut out, kind, code, id, token).expect("room");
    if observe {
        builder.uint(OptionNumber::OBSERVE, 0).expect("room");
    }
    builder.payload(payload).expect("room");
    builder.as_bytes().to_vec()
}

impl World {
    fn open(&mut self, datagram: &[u8]) {
        let mut bytes = datagram.to_vec();
        let mut out = vec![0; datagram.len() + 64];
        let seed = &mut self.random;
        let mut random = |place: &mut [u8]| {
            *seed = seed.wrapping_add(1);
            place.fill(*seed);
        };
        let aes = &mut SoftAes::new();
        let opened = self.end.open(aes, &mut random, &mut bytes, &mut out);
        match opened {
            Opened::Message(Message { len, repeated, .. }) if datagram.get(1) != Some(&0) => {
                let plain = &out[..len];
                let made = self.sealed.iter().find(|(sealed, _)| sealed == datagram);
                let (_, made) = made.expect("what opens was sealed");
                assert_eq!(plain.get(1), made.get(1), "another code");
                assert!(plain.ends_with(made.get(12..).unwrap_or_default()));
                let new = self.taken.insert(datagram.to_vec());
                assert!(new || repeated, "taken twice");
            }
            // It is sent to the peer, which may make of it what it can.
            Opened::Answer { len, .. } => {
                let mut place = vec![0; len + 64];
                let mut answer = out[..len].to_vec();
                let none = &mut |place: &mut [u8]| place.fill(9);
                self.peer.open(aes, none, &mut answer, &mut place);
            }
            _ => {}
        }
    }

    fn seal(&mut self, plain: Vec<u8>) -> Option<Vec<u8>> {
        let mut out = vec![0; plain.len() + tinsmith_oscore::MAX_OVERHEAD];
        let len = self.peer.seal(&mut SoftAes::new(), &plain, &mut out).ok()?;
        let sealed = out[..len].to_vec();
        self.sealed.push((sealed.clone(), plain));
        Some(sealed)
    }
}

pub(crate) fn run(data: &[u8]) {
    let [first, steps @ ..] = data else { return };
    let lost = first & 1 != 0;
    let mut world = World {
        end: start(
            master(b"e", b"p"),
            if lost { Start::Lost } else { Start::Fresh },
        ),
        peer: start(
            master(b"p", b"e"),
            match lost {
                true => Start::Rederive([7; 8]),
                false => Start::Fresh,
            },
        ),
        random: 0,
        sealed: Vec::new(),
        taken: BTreeSet::new(),
    };
    let (mut rest, mut id) = (steps, 0);
    while let [step, length, tail @ ..] = rest {
        let (argument, tail) = tail.split_at(tail.len().min(usize::from(*length)));
        rest = tail;
        id += 1;
        let observe = step & 0x80 != 0;
        match step % 6 {
            0 => world.open(argument),
            1 => {
                if let Some(sealed) = world.seal(message(Code::POST, id, observe, argument)) {
                    world.open(&sealed);
                }
            }
            2 => {
                // The end asks, the peer answers.
                let plain = message(Code::GET, id, observe, b"");
                let mut out = [0; 200];
                let made = world.end.seal(&mut SoftAes::new(), &plain, &mut out);
                let Ok(len) = made else { continue };
                let mut place = [0; 300];
                let none = &mut |place: &mut [u8]| place.fill(8);
                let aes = &mut SoftAes::new();
                world.peer.open(aes, none, &mut out[..len], &mut place);
                let answer = message(Code::CONTENT, id, observe, argument);
                if let Some(sealed) = world.seal(answer) {
                    world.open(&sealed);
                }
            }
            3 => {
                let Some((sealed, _)) = world.sealed.last().cloned() else {
                    continue;
                };
                world.open(&sealed);
                let mut changed = sealed;
                for (place, byte) in changed.iter_mut().rev().zip(argument) {
                    *place ^= byte;
                }
                world.open(&changed);
            }
            4 => {
                let mut stored = [0; tinsmith_oscore::MAX_ENCODED];
                let len = world.end.encode(&mut stored).expect("room");
                world.end = start(master(b"e", b"p"), Start::Stored(&stored[..len]));
                world.taken.clear();
                let start = Start::Stored(argument);
                let read: Result<Peer, _> = Peer::new(master(b"e", b"p"), start);
                drop(read);
            }
            _ => option(argument),
        }
    }
}
