//! The client, its board, and scripted servers.

use std::collections::VecDeque;
use std::net::SocketAddr;

use lwm2m_objects::format::{ContentFormat, decode_all, encode_vec};
use lwm2m_objects::model::Builtin;
use lwm2m_objects::{OwnedValue, Path};
use tinsmith_coap::{Block, Builder, Code, Message, MessageType, OptionNumber, Szx, Token};

use crate::flash::SLOTS;
use crate::testing::{ARENA, Board, module_class, records};
use crate::{
    Buffers, Client, Config, ConfigError, Event, FlashError, Input, Memory, Now, Object,
    Observation, Output, Scheme, Session, SlotState, TrustAnchor,
};

pub(super) const BOOTSTRAP: &str = "10.0.0.1:5683";
pub(super) const SERVER: &str = "10.0.0.2:5783";

/// The power failed.
#[derive(Debug)]
pub(super) struct Cut;

pub(super) type Story<T> = Result<T, Cut>;

/// An answer of the client.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) code: Code,
    pub(super) payload: Vec<u8>,
    pub(super) format: Option<u16>,
    pub(super) block1: Option<Block>,
    pub(super) block2: Option<Block>,
    pub(super) observe: Option<u32>,
    pub(super) etag: Option<Vec<u8>>,
}

/// A request of the client.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) to: SocketAddr,
    pub(super) code: Code,
    pub(super) path: String,
    pub(super) query: Vec<String>,
    pub(super) payload: String,
    pub(super) block1: Option<Block>,
    pub(super) size1: Option<u32>,
    id: u16,
    token: Token,
}

pub(super) struct World {
    pub(super) board: Board,
    pub(super) client: Client<'static>,
    objects: &'static [&'static dyn Object],
    pub(super) now: Now,
    pub(super) events: Vec<Event>,
    pub(super) rebooted: bool,
    /// What a bootstrap writes to 27300/0/14; nothing if there are none.
    pub(super) anchors: Vec<TrustAnchor>,
    /// Flash operations end only with [`World::finish_flash`].
    pub(super) slow: bool,
    /// So many flash operations go well before some fail.
    pub(super) good: u32,
    /// Operations that fail are carried out all the same.
    pub(super) in_truth: bool,
    /// So many flash operations fail.
    pub(super) failing: u32,
    held: Option<Result<(), FlashError>>,
    sent: VecDeque<(SocketAddr, Vec<u8>)>,
    next_id: u16,
}

pub(super) fn boot(
    board: &mut Board,
    now: Now,
    objects: &'static [&'static dyn Object],
) -> Result<Client<'static>, ConfigError> {
    #[repr(align(32))]
    struct Arena([u8; ARENA]);
    let arena: &'static mut Arena = Box::leak(Box::new(Arena([0; ARENA])));
    let config = Config {
        endpoint: "device-1",
        factory: board.factory,
        manufacturer: "Tinsmith",
        model_number: "test",
        serial_number: "1",
        firmware_version: "0.1",
        capability: records(),
        formats: board.formats,
        kernels: board.kernels,
        signatures: &[Scheme::ED25519],
        trust_anchors: board.anchors,
        module_class: module_class(),
        layout: board.layout,
        stack_bytes: 4096,
        instruction_sets: 0,
    };
    let memory = Memory {
        sessions: Box::leak(Box::new([const { Session::new() }; 3])),
        observations: Box::leak(Box::new([Observation::EMPTY; 4])),
        arena: &mut arena.0,
        buffers: Box::leak(Box::new(Buffers::new())),
    };
    let mut client = Client::new(config, objects, memory);
    client.start(now, board).map(|()| client)
}

impl World {
    pub(super) fn new(board: Board) -> Self {
        Self::with_objects(board, &[])
    }

    pub(super) fn with_objects(mut board: Board, objects: &'static [&'static dyn Object]) -> Self {
        let now = Now {
            mono: 1_000,
            wall: 1_700_000_000,
        };
        let client = boot(&mut board, now, objects).unwrap();
        Self {
            board,
            client,
            objects,
            now,
            events: Vec::new(),
            rebooted: false,
            anchors: Vec::new(),
            slow: false,
            good: 0,
            in_truth: false,
            failing: 0,
            held: None,
            sent: VecDeque::new(),
            next_id: 1,
        }
    }

    /// Power off and on again.
    pub(super) fn reboot(&mut self) {
        assert_eq!(self.board.flash.misuse(), None);
        self.board.flash.restore();
        self.sent.clear();
        self.now.mono += 10;
        self.client = boot(&mut self.board, self.now, self.objects).unwrap();
    }

    /// Lets the client do all that it can do now.
    pub(super) fn pump(&mut self) -> Story<()> {
        self.drain()?;
        let mut rounds = 0;
        while self.client.next_deadline() == Some(0) {
            rounds += 1;
            assert!(rounds < 10_000, "it never ends");
            self.client.handle(self.now, Input::Timer, &mut self.board);
            self.drain()?;
        }
        Ok(())
    }

    /// One look at the client.
    pub(super) fn drain(&mut self) -> Story<()> {
        let mut buf = [0; 1152];
        while let Some(output) = self.client.poll(self.now, &mut buf, &mut self.board) {
            match output {
                Output::Transmit { to, len } => self.sent.push_back((to, buf[..len].to_vec())),
                Output::Flash(op) => {
                    let result = if self.good > 0 {
                        self.good -= 1;
                        self.board.flash.apply(op)
                    } else if self.failing > 0 {
                        self.failing -= 1;
                        if self.in_truth {
                            let _ = self.board.flash.apply(op);
                        }
                        Err(FlashError)
                    } else {
                        self.board.flash.apply(op)
                    };
                    assert_eq!(self.board.flash.misuse(), None);
                    if self.slow {
                        self.held = Some(result);
                        continue;
                    }
                    if self.board.flash.is_dead() {
                        return Err(Cut);
                    }
                    self.client
                        .handle(self.now, Input::FlashDone(result), &mut self.board);
                }
                Output::Reboot => self.rebooted = true,
                Output::Event(event) => self.events.push(event),
            }
        }
        Ok(())
    }

    /// Ends the flash operation under way and all that follow.
    pub(super) fn finish_flash(&mut self) -> Story<()> {
        while let Some(result) = self.held.take() {
            self.client
                .handle(self.now, Input::FlashDone(result), &mut self.board);
            self.pump()?;
        }
        Ok(())
    }

    /// Lets time pass, waking the client at its deadlines.
    pub(super) fn pass(&mut self, ms: u64) -> Story<()> {
        let end = self.now.mono + ms;
        self.pump()?;
        let mut rounds = 0;
        while let Some(at) = self.client.next_deadline().filter(|at| *at <= end) {
            rounds += 1;
            assert!(
                rounds < 10_000,
                "a deadline at {at} that is never met: {:?}",
                self.now
            );
            self.now.mono = self.now.mono.max(at);
            self.client.handle(self.now, Input::Timer, &mut self.board);
            self.pump()?;
        }
        self.now.mono = end;
        self.pump()
    }

    pub(super) fn deliver(&mut self, from: &str, bytes: &[u8]) -> Story<()> {
        let from = from.parse().unwrap();
        self.client
            .handle(self.now, Input::Datagram { from, bytes }, &mut self.board);
        self.pump()
    }

    pub(super) fn take_datagram(&mut self) -> Option<(SocketAddr, Vec<u8>)> {
        self.sent.pop_front()
    }

    pub(super) fn id(&mut self) -> u16 {
        self.next_id = self.next_id.wrapping_add(1);
        self.next_id
    }

    /// Sends a request to the client and waits for the answer.
    pub(super) fn ask(
        &mut self,
        from: &str,
        code: Code,
        path: &str,
        build: impl FnOnce(&mut Builder<'_>),
    ) -> Story<Answer> {
        let token = self.send(from, code, path, build)?;
        self.await_answer(from, token)
    }

    /// Sends a request to the client.
    pub(super) fn send(
        &mut self,
        from: &str,
        code: Code,
        path: &str,
        build: impl FnOnce(&mut Builder<'_>),
    ) -> Story<Token> {
        let mut buf = [0; 1400];
        let id = self.id();
        let token = Token::new(&id.to_be_bytes()).unwrap();
        let mut b = Builder::new(&mut buf, MessageType::Confirmable, code, id, token).unwrap();
        // Observe comes before the path.
        let (observe, path) = match path.strip_prefix("observe ") {
            Some(path) => (Some(0), path),
            None => (None, path),
        };
        if let Some(observe) = observe {
            b.uint(OptionNumber::OBSERVE, observe).unwrap();
        }
        for segment in path.split('/').filter(|s| !s.is_empty()) {
            b.option(OptionNumber::URI_PATH, segment.as_bytes())
                .unwrap();
        }
        build(&mut b);
        let datagram = b.as_bytes().to_vec();
        self.deliver(from, &datagram)?;
        Ok(token)
    }

    /// Acknowledges the notifications that are on their way; their payloads.
    pub(super) fn take_notifications(&mut self, from: &str) -> Story<Vec<Vec<u8>>> {
        let mut payloads = Vec::new();
        let mut others = VecDeque::new();
        while let Some((to, bytes)) = self.sent.pop_front() {
            let m = Message::parse(&bytes).unwrap();
            if m.observe().is_none() {
                others.push_back((to, bytes));
                continue;
            }
            payloads.push(m.payload().to_vec());
            let [high, low] = m.message_id().to_be_bytes();
            self.deliver(from, &[0x60, 0, high, low])?;
        }
        others.append(&mut self.sent);
        self.sent = others;
        Ok(payloads)
    }

    pub(super) fn await_answer(&mut self, from: &str, token: Token) -> Story<Answer> {
        for _ in 0..200 {
            let mut others = VecDeque::new();
            while let Some((to, bytes)) = self.sent.pop_front() {
                let m = Message::parse(&bytes).unwrap();
                let ours = m.token() == token && m.code().is_response();
                if to == from.parse().unwrap() && ours {
                    let separate = m.message_type() == MessageType::Confirmable;
                    if separate {
                        let mut ack = [0x60, 0, 0, 0];
                        ack[2..].copy_from_slice(&m.message_id().to_be_bytes());
                        self.deliver(from, &ack)?;
                    }
                    let answer = Answer {
                        code: m.code(),
                        payload: m.payload().to_vec(),
                        format: m.content_format(),
                        block1: m.block1().unwrap(),
                        block2: m.block2().unwrap(),
                        observe: m.observe(),
                        etag: m.etag().map(<[u8]>::to_vec),
                    };
                    others.append(&mut self.sent);
                    self.sent = others;
                    return Ok(answer);
                }
                if m.code() != Code::EMPTY {
                    others.push_back((to, bytes));
                }
            }
            self.sent = others;
            self.pass(100)?;
        }
        panic!("the client does not answer");
    }

    /// The next request of the client; time passes until there is one.
    pub(super) fn request(&mut self) -> Story<Request> {
        for _ in 0..10_000 {
            self.pump()?;
            while let Some((to, bytes)) = self.sent.pop_front() {
                let m = Message::parse(&bytes).unwrap();
                if !m.code().is_request() {
                    continue;
                }
                let text = |s: &[u8]| String::from_utf8(s.to_vec()).unwrap();
                let path: Vec<String> = m.uri_path().map(text).collect();
                return Ok(Request {
                    to,
                    code: m.code(),
                    path: path.join("/"),
                    query: m.uri_query().map(text).collect(),
                    payload: String::from_utf8_lossy(m.payload()).into_owned(),
                    block1: m.block1().unwrap(),
                    size1: m.size1(),
                    id: m.message_id(),
                    token: m.token(),
                });
            }
            self.pass(1_000)?;
        }
        panic!("the client asks for nothing");
    }

    /// Answers a request of the client.
    pub(super) fn reply(&mut self, request: &Request, code: Code, location: &str) -> Story<()> {
        self.reply_with(request, code, |b| {
            for segment in location.split('/').filter(|s| !s.is_empty()) {
                b.option(OptionNumber::LOCATION_PATH, segment.as_bytes())
                    .unwrap();
            }
        })
    }

    /// The same, with these options.
    pub(super) fn reply_with(
        &mut self,
        request: &Request,
        code: Code,
        build: impl FnOnce(&mut Builder<'_>),
    ) -> Story<()> {
        let mut buf = [0; 200];
        let kind = MessageType::Acknowledgement;
        let mut b = Builder::new(&mut buf, kind, code, request.id, request.token).unwrap();
        build(&mut b);
        let datagram = b.as_bytes().to_vec();
        self.deliver(&request.to.to_string(), &datagram)
    }

    pub(super) fn put(
        &mut self,
        from: &str,
        path: &str,
        values: &[(Path, OwnedValue)],
        format: ContentFormat,
    ) -> Story<Answer> {
        let base = Path::from_bytes(path.as_bytes()).unwrap();
        let payload = encode_vec(format, &base, values).unwrap();
        self.ask(from, Code::PUT, path, |b| {
            b.uint(OptionNumber::CONTENT_FORMAT, u32::from(format.0))
                .unwrap();
            b.payload(&payload).unwrap();
        })
    }

    /// Everything a bootstrap server does, from the request to the Finish.
    pub(super) fn bootstrap(&mut self, format: ContentFormat) -> Story<()> {
        let request = self.request()?;
        assert_eq!((request.code, request.path.as_str()), (Code::POST, "bs"));
        assert!(request.query.contains(&"ep=device-1".to_string()));
        self.reply(&request, Code::CHANGED, "")?;
        let deleted = self.ask(BOOTSTRAP, Code::DELETE, "", |_| {})?;
        assert_eq!(deleted.code, Code::DELETED);
        let security = [
            (
                Path::resource(0, 1, 0),
                OwnedValue::String(format!("coap://{SERVER}")),
            ),
            (Path::resource(0, 1, 1), OwnedValue::Boolean(false)),
            (Path::resource(0, 1, 2), OwnedValue::Integer(3)),
            (Path::resource(0, 1, 10), OwnedValue::Integer(7)),
        ];
        let server = [
            (Path::resource(1, 0, 0), OwnedValue::Integer(7)),
            (Path::resource(1, 0, 1), OwnedValue::Integer(300)),
            (Path::resource(1, 0, 6), OwnedValue::Boolean(false)),
            (Path::resource(1, 0, 7), OwnedValue::String("U".into())),
        ];
        let answer = self.put(BOOTSTRAP, "/0/1", &security, format)?;
        assert_eq!(answer.code, Code::CHANGED);
        let answer = self.put(BOOTSTRAP, "/1/0", &server, format)?;
        assert_eq!(answer.code, Code::CHANGED);
        if !self.anchors.is_empty() {
            let answer = self.write_anchors(BOOTSTRAP, format)?;
            assert_eq!(answer.code, Code::CHANGED);
        }
        let finished = self.ask(BOOTSTRAP, Code::POST, "bs", |_| {})?;
        assert_eq!(finished.code, Code::CHANGED);
        Ok(())
    }

    /// Writes the trust anchors of this world.
    pub(super) fn write_anchors(&mut self, from: &str, format: ContentFormat) -> Story<Answer> {
        let value = |anchor: &TrustAnchor| {
            let (bytes, len) = anchor.encode();
            OwnedValue::Opaque(bytes[..len].to_vec())
        };
        let values: Vec<_> = (0..)
            .map(|i| Path::resource_instance(27300, 0, 14, i))
            .zip(self.anchors.iter().map(value))
            .collect();
        self.put(from, "/27300/0", &values, format)
    }

    /// The key ids of the trust anchors that the device tells.
    pub(super) fn anchor_ids(&mut self) -> Story<Vec<Vec<u8>>> {
        let values = self.read("/27300/0/15")?;
        let bytes = values.iter().filter_map(|(_, value)| value.as_bytes());
        Ok(bytes.map(<[u8]>::to_vec).collect())
    }

    /// Takes the Register.
    pub(super) fn register(&mut self) -> Story<Request> {
        let request = self.request()?;
        assert_eq!((request.code, request.path.as_str()), (Code::POST, "rd"));
        assert_eq!(request.to.to_string(), SERVER);
        self.reply(&request, Code::CREATED, "rd/abc")?;
        Ok(request)
    }

    /// A registered device.
    pub(super) fn registered(board: Board) -> Self {
        let mut world = Self::new(board);
        world.bootstrap(ContentFormat::TLV).unwrap();
        world.register().unwrap();
        world
    }

    /// Whatever the client needs to be registered again after a reset.
    pub(super) fn settle(&mut self) -> Story<()> {
        let request = self.request()?;
        if request.path == "bs" {
            // Not this one: `bootstrap` takes the request itself.
            self.reply(&request, Code::SERVICE_UNAVAILABLE, "")?;
            self.bootstrap(ContentFormat::TLV)?;
            self.register()?;
        } else {
            assert_eq!(request.path, "rd");
            self.reply(&request, Code::CREATED, "rd/abc")?;
        }
        Ok(())
    }

    pub(super) fn get(&mut self, path: &str) -> Story<Answer> {
        self.ask(SERVER, Code::GET, path, |b| {
            b.uint(OptionNumber::ACCEPT, 112).unwrap();
        })
    }

    /// Reads everything below a path, block by block.
    pub(super) fn read(&mut self, path: &str) -> Story<Vec<(Path, OwnedValue)>> {
        let mut body = Vec::new();
        loop {
            let num = body.len() as u32 / 1024;
            let answer = self.ask(SERVER, Code::GET, path, |b| {
                b.uint(OptionNumber::ACCEPT, 112).unwrap();
                let block = Block::new(num, false, Szx::MAX).unwrap();
                b.block(OptionNumber::BLOCK2, block).unwrap();
            })?;
            assert_eq!(answer.code, Code::CONTENT, "{path}");
            body.extend(answer.payload);
            if !answer.block2.is_some_and(|b| b.more) {
                break;
            }
        }
        let base = Path::from_bytes(path.as_bytes()).unwrap();
        Ok(decode_all(ContentFormat::SENML_CBOR, &base, &body, &Builtin).unwrap())
    }

    pub(super) fn number(&mut self, path: &str) -> Story<i64> {
        let values = self.read(path)?;
        Ok(values[0].1.as_i64().unwrap())
    }

    pub(super) fn execute(&mut self, path: &str, arguments: &str) -> Story<Code> {
        let answer = self.ask(SERVER, Code::POST, path, |b| {
            if !arguments.is_empty() {
                b.payload(arguments.as_bytes()).unwrap();
            }
        })?;
        self.pump()?;
        Ok(answer.code)
    }

    /// One block of a push.
    pub(super) fn block(
        &mut self,
        package: &[u8],
        tag: Option<&[u8]>,
        num: u32,
        szx: Szx,
    ) -> Story<Answer> {
        let start = num as usize * szx.size();
        let end = (start + szx.size()).min(package.len());
        let more = end < package.len();
        self.ask(SERVER, Code::PUT, "/5/0/0", |b| {
            b.uint(OptionNumber::CONTENT_FORMAT, 42).unwrap();
            b.block(OptionNumber::BLOCK1, Block::new(num, more, szx).unwrap())
                .unwrap();
            if let Some(tag) = tag {
                b.option(OptionNumber::REQUEST_TAG, tag).unwrap();
            }
            b.payload(&package[start..end]).unwrap();
        })
    }

    /// Pushes a package from block `from` on; the code of the last block, or the first error.
    pub(super) fn push_from(
        &mut self,
        package: &[u8],
        tag: Option<&[u8]>,
        from: u32,
        szx: Szx,
    ) -> Story<Code> {
        let blocks = package.len().div_ceil(szx.size()) as u32;
        for num in from..blocks {
            let answer = self.block(package, tag, num, szx)?;
            if !answer.code.is_success() {
                return Ok(answer.code);
            }
            let last = num + 1 == blocks;
            assert_eq!(
                answer.code,
                if last { Code::CHANGED } else { Code::CONTINUE }
            );
            assert_eq!(answer.block1.map(|b| b.num), Some(num));
        }
        Ok(Code::CHANGED)
    }

    pub(super) fn push(&mut self, package: &[u8]) -> Story<Code> {
        let tag = tinsmith_package::sha256(package);
        self.push_from(package, Some(&tag[..8]), 0, Szx::new(5).unwrap())
    }

    /// State and Update Result of Object 5.
    pub(super) fn firmware(&mut self) -> Story<(i64, i64)> {
        Ok((self.number("/5/0/3")?, self.number("/5/0/5")?))
    }

    pub(super) fn slots(&self) -> [SlotState; SLOTS] {
        self.client.device.update.state.slots.map(|s| s.state)
    }

    /// Feeds the running module and gives what it answers.
    pub(super) fn infer(&mut self, input: &[i8]) -> Story<Vec<i8>> {
        let bytes: Vec<u8> = input.iter().map(|x| *x as u8).collect();
        let written = self.ask(SERVER, Code::PUT, "/27304/0/5", |b| {
            b.uint(OptionNumber::CONTENT_FORMAT, 42).unwrap();
            b.payload(&bytes).unwrap();
        })?;
        assert_eq!(written.code, Code::CHANGED);
        assert_eq!(self.execute("/27304/0/4", "")?, Code::CHANGED);
        let values = self.read("/27304/0/6")?;
        Ok(values[0]
            .1
            .as_bytes()
            .unwrap()
            .iter()
            .map(|x| *x as i8)
            .collect())
    }
}
