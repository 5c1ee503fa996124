//! A server's flights in fragments of any size and order, doubled and overlapping (RFC 6347 §4.2.3).
//! `TINSMITH_SEEDS` says how many.

mod common;

use common::authority::{AUTHORITY, BELOW, CLIENT, PLAIN, ROOT, SERVER, certificate};
use common::link::Own;
use common::pairs::{self, Pairs};
use common::random::Random;
use common::server::{Manner, Server, fragment};
use tinsmith_dtls::{Client, Offer, Output, Received, SoftAes, Usage, records};

const SEEDS: u64 = 60;
/// Bytes before a fragment's: those of a record, and of a handshake message.
const RECORD: usize = 13;
const MESSAGE: usize = 12;

fn seeds() -> u64 {
    let seeds = std::env::var("TINSMITH_SEEDS");
    seeds.map_or(SEEDS, |n| n.parse().expect("a number"))
}

/// Each kind of server, and what its client has; none with the pre-shared key.
fn servers() -> [(Manner, Option<Own>); 3] {
    let hint = Manner {
        hint: Some(vec![b'h'; 40]),
        ..Manner::plain()
    };
    let raw = Own {
        public: pairs::info(CLIENT.secret),
        private: pairs::private(CLIENT.secret),
        server: pairs::info(SERVER.secret),
        usage: None,
    };
    let server = certificate(BELOW, SERVER, &PLAIN);
    let between = certificate(ROOT, BELOW, &AUTHORITY);
    let client = certificate(ROOT, CLIENT, &PLAIN);
    let shown: [&[u8]; 2] = [&server, &between];
    let shown = Pairs::certificates(SERVER.secret, &shown, CLIENT.secret, &client);
    let certificates = Own {
        public: client,
        server: certificate(ROOT, ROOT, &AUTHORITY),
        usage: Some(Usage::Anchor),
        ..raw.clone()
    };
    let with = |pairs| Manner {
        pairs: Some(pairs),
        ..Manner::plain()
    };
    [
        (hint, None),
        (with(Pairs::raw(SERVER.secret, CLIENT.secret)), Some(raw)),
        (with(shown), Some(certificates)),
    ]
}

/// A client that waits for the server's flight, whose messages these are.
struct Waiting {
    client: Client,
    server: Server,
    own: Option<Own>,
    messages: Vec<Vec<u8>>,
}

impl Waiting {
    fn new(manner: Manner, own: Option<Own>) -> Self {
        let manner = Manner {
            fragment: 100_000,
            finished: 5,
            apart: true,
            ..manner
        };
        let mut client = Client::new();
        match &own {
            Some(own) => {
                let credentials = own.credentials();
                client.connect_as(0, Offer::DEFAULT, &credentials, [7; 32], [9; 32]);
            }
            None => client.connect(0, Offer::DEFAULT, [7; 32]),
        }
        let server = Server::new(manner, 0x51);
        let mut waiting = Self {
            client,
            server,
            own,
            messages: Vec::new(),
        };
        let hello = waiting.sent().expect("a hello");
        for mut datagram in waiting.server.handle(&hello) {
            waiting.take(&mut datagram);
        }
        let hello = waiting.sent().expect("a hello with the cookie");
        let flight = waiting.server.handle(&hello);
        waiting.messages = flight.iter().map(|d| d[RECORD..].to_vec()).collect();
        waiting
    }

    fn sent(&mut self) -> Option<Vec<u8>> {
        let mut out = [0; 1500];
        match self.client.poll(1, &mut SoftAes::new(), &mut out)? {
            Output::Transmit(len) => Some(out[..len].to_vec()),
            Output::Failed(error) => panic!("{error}"),
        }
    }

    /// Takes a datagram; whether there is an association then.
    fn take(&mut self, datagram: &mut [u8]) -> bool {
        let manner = self.server.manner().clone();
        let own_cid = self.client.own_cid_len();
        let mut connected = false;
        for record in records(datagram, own_cid) {
            let credentials = match &self.own {
                Some(own) => own.credentials(),
                None => manner.credentials(),
            };
            let aes = &mut SoftAes::new();
            match self.client.handle(1, record, &credentials, aes) {
                Received::Nothing => {}
                Received::Connected => connected = true,
                other => panic!("{other:?}"),
            }
        }
        connected
    }

    /// Fragments of the flight, in datagrams.
    fn deliver(&mut self, random: &mut Random, fragments: &[Vec<u8>]) {
        let mut at = 0;
        while at < fragments.len() {
            let mut datagram = Vec::new();
            for _ in 0..1 + random.below(3) {
                let until = fragments.len().min(at + 1 + random.below(3) as usize);
                let content = fragments[at..until].concat();
                if !content.is_empty() {
                    datagram.extend(self.server.clear_record(22, &content));
                }
                at = until;
            }
            self.take(&mut datagram);
        }
    }

    /// Sends the last flight, and takes the server's answer, in any order, parts of it twice.
    fn finish(mut self, random: &mut Random) {
        let last = self.sent().expect("the last flight");
        let mut answer = self.server.handle(&last);
        assert!(self.server.connected, "another transcript");
        answer.extend(answer.clone());
        random.shuffle(&mut answer);
        let connected = answer.iter_mut().map(|datagram| self.take(datagram));
        assert_eq!(connected.filter(|is| *is).count(), 1);
    }
}

/// All of a message, in fragments of some `size` bytes.
fn split(message: &[u8], size: usize, random: &mut Random) -> Vec<Vec<u8>> {
    let body = message.len() - MESSAGE;
    let mut offset = 0;
    let mut all = Vec::new();
    loop {
        let len = (body - offset).min(1 + random.below(2 * size as u64) as usize);
        all.push(fragment(message, offset, len));
        offset += len;
        if offset == body {
            return all;
        }
    }
}

/// Any part of a message, an empty one too.
fn piece(message: &[u8], random: &mut Random) -> Vec<u8> {
    let body = message.len() - MESSAGE;
    let offset = random.below(body as u64 + 1) as usize;
    let len = random.below((body - offset) as u64 + 1) as usize;
    fragment(message, offset, len)
}

/// What is not of the flight: of a message long after it, or of one that was before.
fn stray(random: &mut Random) -> Vec<u8> {
    let kind = [2, 11, 12, 14][random.below(4) as usize];
    let sequence = [0, 7, 200, 0xffff][random.below(4) as usize] as u16;
    let mut message = vec![kind, 0, 0, 30];
    message.extend_from_slice(&sequence.to_be_bytes());
    message.extend_from_slice(&[0, 0, 0, 0, 0, 30]);
    message.extend_from_slice(&[0xee; 30]);
    message
}

/// Each message when its turn has come, its fragments in any order, beside others that repeat and
/// overlap them.
#[test]
fn fragments_of_a_message_in_any_order() {
    for (manner, own) in servers() {
        for seed in 0..seeds() {
            let mut random = Random::new(seed);
            let mut waiting = Waiting::new(manner.clone(), own.clone());
            for message in waiting.messages.clone() {
                let size = 1 + random.below(300) as usize;
                let mut all = split(&message, size, &mut random);
                for _ in 0..random.below(5) {
                    all.push(piece(&message, &mut random));
                    all.push(stray(&mut random));
                }
                random.shuffle(&mut all);
                waiting.deliver(&mut random, &all);
            }
            waiting.finish(&mut random);
        }
    }
}

/// The fragments of a whole flight in any order: nothing has to be sent again.
#[test]
fn a_flight_in_any_order() {
    for (manner, own) in servers() {
        for seed in 0..seeds() {
            let mut random = Random::new(seed);
            let mut waiting = Waiting::new(manner.clone(), own.clone());
            let mut all = Vec::new();
            for message in &waiting.messages {
                all.extend(split(message, 100 + seed as usize, &mut random));
            }
            random.shuffle(&mut all);
            waiting.deliver(&mut random, &all);
            waiting.finish(&mut random);
        }
    }
}

/// The same, beside so much else that there is no room for all of it: with each repetition at least
/// one message is done.
#[test]
fn more_than_there_is_room_for() {
    for (manner, own) in servers() {
        for seed in 0..seeds() {
            let mut random = Random::new(seed);
            let mut waiting = Waiting::new(manner.clone(), own.clone());
            for _ in 0..waiting.messages.len() {
                let mut all = Vec::new();
                for message in &waiting.messages {
                    let size = 1 + random.below(200) as usize;
                    all.extend(split(message, size, &mut random));
                    all.extend((0..20).map(|_| piece(message, &mut random)));
                }
                all.extend((0..20).map(|_| stray(&mut random)));
                random.shuffle(&mut all);
                waiting.deliver(&mut random, &all);
            }
            waiting.finish(&mut random);
        }
    }
}

/// Fragments that say another length or type are of another message: what was there of the one
/// before is forgotten, and the right ones bring it back.
#[test]
fn fragments_that_contradict_each_other() {
    for (manner, own) in servers() {
        let mut random = Random::new(1);
        let mut waiting = Waiting::new(manner, own);
        for message in waiting.messages.clone() {
            let half = (message.len() - MESSAGE) / 2;
            let (first, rest) = (
                fragment(&message, 0, half),
                fragment(&message, half, message.len() - MESSAGE - half),
            );
            let mut other = first.clone();
            other[3] = other[3].wrapping_add(1);
            if half > 0 {
                waiting.deliver(&mut random, &[first.clone(), other]);
            }
            waiting.deliver(&mut random, &[rest, first]);
        }
        waiting.finish(&mut random);
    }
}
