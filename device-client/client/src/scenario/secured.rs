//! Servers with DTLS: a handshake before the first message, nothing in the clear in either
//! direction, and another handshake when the server has forgotten the session.

use std::net::SocketAddr;

use sha2::{Digest, Sha256};
use tinsmith_coap::{Builder, Code, Message, MessageType, OptionNumber};
use tinsmith_dtls::{
    Aead, Association, Cid, Content, ContentType, HandshakeError, MasterSecret, OpenError, Role,
    Sender, SoftAes, Start, Window, records,
};

use super::world::boot;
use crate::config::{Factory, SecureFactory};
use crate::testing::Board;
use crate::{Client, ConfigError, Event, FlashError, Input, Now, Output};

const ADDRESS: &str = "10.0.0.2:5684";
pub(super) const KEY: &[u8] = b"a key of the two";
pub(super) const FACTORY: SecureFactory<'static> = SecureFactory {
    uri: "coaps://10.0.0.2",
    identity: b"device-1",
    key: KEY,
};
const CID: [u8; 4] = [0xc1, 0xc2, 0xc3, 0xc4];

/// A DTLS server as plain as the standard allows, and a registry behind it.
pub(super) struct Server {
    transcript: Sha256,
    client: [u8; 32],
    association: Option<Association>,
    master: Option<MasterSecret>,
    clear: u64,
    pub(super) handshakes: usize,
    pub(super) paths: Vec<String>,
    /// Records whose numbers were used before.
    pub(super) refused: usize,
}

fn message(kind: u8, sequence: u8, body: &[u8]) -> Vec<u8> {
    let len = body.len() as u8;
    let header = [kind, 0, 0, len, 0, sequence, 0, 0, 0, 0, 0, len];
    [&header, body].concat()
}

impl Server {
    pub(super) fn new() -> Self {
        Self {
            transcript: Sha256::new(),
            client: [0; 32],
            association: None,
            master: None,
            clear: 0,
            handshakes: 0,
            paths: Vec::new(),
            refused: 0,
        }
    }

    fn clear(&mut self, kind: u8, content: &[u8]) -> Vec<u8> {
        let len = (content.len() as u16).to_be_bytes();
        let mut record = vec![kind, 254, 253];
        record.extend_from_slice(&self.clear.to_be_bytes());
        record.extend_from_slice(&[&len, content].concat());
        self.clear += 1;
        record
    }

    pub(super) fn seal(&mut self, kind: ContentType, content: &[u8]) -> Vec<u8> {
        let association = self.association.as_mut().expect("connected");
        let mut record = content.to_vec();
        record.resize(content.len() + association.overhead(), 0);
        let sealed = association.seal(&mut SoftAes::new(), kind, &mut record, content.len());
        sealed.expect("there is room");
        record
    }

    fn handle(&mut self, mut datagram: Vec<u8>) -> Vec<Vec<u8>> {
        let mut answers = Vec::new();
        for record in records(&mut datagram, CID.len()) {
            if record[0] == 22 {
                self.clear_message(&record[13..], &mut answers);
                continue;
            }
            let Some(association) = &mut self.association else {
                continue;
            };
            match association
                .open(&mut SoftAes::new(), record)
                .map(|o| o.content)
            {
                Ok(Content::Handshake(finished)) => {
                    let finished = finished.to_vec();
                    self.finished(&finished, &mut answers);
                }
                Ok(Content::Data(data)) => {
                    let data = data.to_vec();
                    answers.extend(self.request(&data));
                }
                Ok(Content::Alert(_)) => {}
                Err(OpenError::Replayed | OpenError::TooOld) => self.refused += 1,
                Err(_) => {}
            }
        }
        answers
    }

    fn clear_message(&mut self, whole: &[u8], answers: &mut Vec<Vec<u8>>) {
        match whole[0] {
            1 => {
                self.handshakes += 1;
                self.transcript = Sha256::new();
                self.client.copy_from_slice(&whole[14..46]);
                let extensions = [0, 23, 0, 0, 0, 54, 0, 5, 4];
                let start = [&[254, 253][..], &[7; 32], &[0, 0xc0, 0xa8, 0, 0, 13]].concat();
                let hello = message(2, 0, &[&start[..], &extensions, &CID].concat());
                let done = message(14, 1, &[]);
                for part in [whole, &hello, &done] {
                    self.transcript.update(part);
                }
                answers.push(self.clear(22, &hello));
                answers.push(self.clear(22, &done));
            }
            16 => {
                assert_eq!(&whole[14..], FACTORY.identity);
                self.transcript.update(whole);
                let hash = self.transcript.clone().finalize().into();
                let master = MasterSecret::extended_of_psk(KEY, &hash).unwrap();
                let mut association = Association::new(&Start {
                    role: Role::Server,
                    keys: &master.keys(Aead::Ccm8, &self.client, &[7; 32]),
                    own_cid: Cid::new(&CID).unwrap(),
                    peer_cid: Cid::EMPTY,
                    next_number: 0,
                    received: Window::NEW,
                });
                association.use_all_numbers();
                self.association = Some(association);
                self.master = Some(master);
            }
            _ => {}
        }
    }

    fn finished(&mut self, finished: &[u8], answers: &mut Vec<Vec<u8>>) {
        let master = self.master.take().expect("after the key exchange");
        let hash = self.transcript.clone().finalize().into();
        assert_eq!(finished[12..], master.verify_data(Sender::Client, &hash));
        self.transcript.update(finished);
        let hash = self.transcript.clone().finalize().into();
        let data = master.verify_data(Sender::Server, &hash);
        answers.push(self.clear(20, &[1]));
        answers.push(self.seal(ContentType::Handshake, &message(20, 2, &data)));
    }

    /// Takes every Register and Update.
    fn request(&mut self, bytes: &[u8]) -> Option<Vec<u8>> {
        let request = Message::parse(bytes).expect("a message");
        let path: Vec<_> = request.uri_path().map(String::from_utf8_lossy).collect();
        let is_register = path == ["rd"];
        self.paths.push(path.join("/"));
        let code = if is_register {
            Code::CREATED
        } else {
            Code::CHANGED
        };
        let kind = MessageType::Acknowledgement;
        let (id, token) = (request.message_id(), request.token());
        let mut answer = [0; 64];
        let mut builder = Builder::new(&mut answer, kind, code, id, token).unwrap();
        if is_register {
            builder.option(OptionNumber::LOCATION_PATH, b"rd").unwrap();
            builder.option(OptionNumber::LOCATION_PATH, b"a").unwrap();
        }
        let answer = builder.as_bytes().to_vec();
        Some(self.seal(ContentType::ApplicationData, &answer))
    }
}

pub(super) struct Pair {
    pub(super) board: Board,
    pub(super) client: Client<'static>,
    pub(super) now: Now,
    pub(super) server: Option<Server>,
    pub(super) events: Vec<Event>,
    pub(super) sent: usize,
    /// No operation on the flash goes well.
    pub(super) broken: bool,
}

impl Pair {
    pub(super) fn new(server: Option<Server>) -> Self {
        let mut board = Board::small();
        board.factory = Factory::SecureServer(FACTORY);
        let now = Now { mono: 5, wall: 0 };
        Self {
            client: boot(&mut board, now, &[]).unwrap(),
            board,
            now,
            server,
            events: Vec::new(),
            sent: 0,
            broken: false,
        }
    }

    pub(super) fn address() -> SocketAddr {
        ADDRESS.parse().unwrap()
    }

    /// Until nobody has anything to say.
    pub(super) fn settle(&mut self) {
        let mut buf = [0; 1300];
        loop {
            let mut sent = Vec::new();
            while let Some(output) = self.client.poll(self.now, &mut buf, &mut self.board) {
                match output {
                    Output::Transmit { to, len } => {
                        assert_eq!(to, Self::address());
                        // A record of DTLS 1.2, never a message in the clear.
                        assert!((20..=25).contains(&buf[0]) && buf[1..3] == [254, 253]);
                        sent.push(buf[..len].to_vec());
                    }
                    Output::Flash(op) => {
                        let done = match self.broken {
                            true => Err(FlashError),
                            false => self.board.flash.apply(op),
                        };
                        if self.board.flash.is_dead() {
                            return;
                        }
                        let done = Input::FlashDone(done);
                        self.client.handle(self.now, done, &mut self.board);
                    }
                    Output::Event(event) => self.events.push(event),
                    Output::Reboot => panic!("nobody asked for that"),
                }
            }
            let deadline = self.client.next_deadline();
            if sent.is_empty() {
                assert!(
                    deadline.is_none_or(|at| at > self.now.mono),
                    "it would spin"
                );
                return;
            }
            self.sent += sent.len();
            for datagram in sent {
                let answers = self.server.as_mut().map(|s| s.handle(datagram));
                for mut answer in answers.unwrap_or_default() {
                    let from = Self::address();
                    self.client
                        .receive(self.now, from, &mut answer, &mut self.board);
                }
            }
        }
    }

    /// To the next deadline.
    pub(super) fn wait(&mut self) {
        let at = self.client.next_deadline().expect("it waits for something");
        self.now.mono = at.max(self.now.mono);
        self.client.handle(self.now, Input::Timer, &mut self.board);
        self.settle();
    }

    pub(super) fn wait_until(&mut self, done: impl Fn(&Self) -> bool) {
        for _ in 0..200 {
            if done(self) {
                return;
            }
            self.wait();
        }
        panic!("it never happens: {:?}", self.events);
    }
}

pub(super) fn registered() -> Pair {
    let mut pair = Pair::new(Some(Server::new()));
    pair.settle();
    assert!(
        pair.events.contains(&Event::Registered { server: 1 }),
        "{:?}",
        pair.events
    );
    pair
}

#[test]
fn registers_after_a_handshake_and_updates_without_another() {
    let mut pair = registered();
    pair.wait_until(|p| p.server.as_ref().is_some_and(|s| s.paths.len() == 3));
    let server = pair.server.unwrap();
    assert_eq!(server.paths, ["rd", "rd/a", "rd/a"]);
    assert_eq!(server.handshakes, 1);
}

#[test]
fn nobody_is_listened_to_in_the_clear() {
    let mut pair = registered();
    let before = pair.sent;
    // GET /3/0, confirmable.
    let request = [0x40, 1, 0x12, 0x34, 0xb1, b'3', 1, b'0'];
    let from = Pair::address();
    pair.client
        .receive(pair.now, from, &mut request.to_vec(), &mut pair.board);
    pair.settle();
    let bytes = &request[..];
    let input = Input::Datagram { from, bytes };
    pair.client.handle(pair.now, input, &mut pair.board);
    pair.settle();
    assert_eq!(pair.sent, before);
    // The same from the server is answered.
    let mut record = pair
        .server
        .as_mut()
        .unwrap()
        .seal(ContentType::ApplicationData, &request);
    pair.client
        .receive(pair.now, from, &mut record, &mut pair.board);
    pair.server = None;
    pair.settle();
    assert_eq!(pair.sent, before + 1);
}

#[test]
fn without_an_answer_it_tries_again_later() {
    let mut pair = Pair::new(None);
    pair.settle();
    let failed = Event::HandshakeFailed(HandshakeError::TimedOut);
    pair.wait_until(|p| p.events.contains(&failed));
    assert_eq!((pair.now.mono, pair.sent), (5 + 63_000, 6));
    let refused = |e: &Event| {
        matches!(
            e,
            Event::RegistrationFailed {
                server: 1,
                code: 0,
                ..
            }
        )
    };
    assert!(pair.events.iter().any(refused), "{:?}", pair.events);
    pair.server = Some(Server::new());
    pair.wait_until(|p| p.events.contains(&Event::Registered { server: 1 }));
}

#[test]
fn a_server_that_has_forgotten_the_session() {
    let mut pair = registered();
    pair.server = Some(Server::new());
    pair.events.clear();
    pair.wait_until(|p| p.events.contains(&Event::Registered { server: 1 }));
    assert_eq!(pair.server.as_ref().unwrap().handshakes, 1);
    assert_eq!(pair.server.as_ref().unwrap().paths, ["rd"]);
}

#[test]
fn a_key_without_dtls_or_dtls_without_a_key_is_no_account() {
    let plain = Factory::Server(FACTORY.uri);
    let secure = |uri, key| {
        Factory::SecureServer(SecureFactory {
            uri,
            key,
            ..FACTORY
        })
    };
    let cases = [
        plain,
        secure("coap://10.0.0.2", KEY),
        secure(FACTORY.uri, &[]),
    ];
    let too_long = secure(FACTORY.uri, &[1; 65]);
    for factory in cases.into_iter().chain([too_long]) {
        let mut board = Board::small();
        board.factory = factory;
        let refused = boot(&mut board, Now::default(), &[]).err();
        assert_eq!(refused, Some(ConfigError::Uri), "{factory:?}");
    }
}
