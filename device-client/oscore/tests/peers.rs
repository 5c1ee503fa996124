//! With aiocoap: its client against this end and its server, over UDP, with blocks and
//! observations. It has no re-derivation of keys (RFC 8613 §B.2); that is shown by `pair.rs`.
//!
//! It is installed from PyPI. Where that does not work a test says so and passes; with
//! `TINSMITH_REQUIRE_TOOLS` set, as `test.sh` sets it, it fails instead.

mod common;

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use common::{End, master};
use tinsmith_coap::{
    Block, Builder, Code, Endpoint, FixedBuffer, Instant as At, Message as Coap, Numbering,
    OptionNumber, Output, Parameters, Received, Reliability, Request, Szx, Token,
};
use tinsmith_oscore::{Message, Opened, Start};

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// Of blocks.
const SIZE: usize = 1024;

type CoapEnd = Endpoint<FixedBuffer<1400>, FixedBuffer<1400>, 2, 8>;

fn here() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/aiocoap")
}

/// The interpreter that has aiocoap; none, and said so, if it can't be made.
fn python() -> Option<&'static Path> {
    static MADE: OnceLock<Option<PathBuf>> = OnceLock::new();
    let made = MADE.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("aiocoap");
        let python = folder.join("bin/python");
        let runs = |command: &mut Command| {
            let command = command.stdout(Stdio::null()).stderr(Stdio::null());
            command.status().is_ok_and(|status| status.success())
        };
        let works = |python: &Path| {
            let version = "import aiocoap.oscore, aiocoap.meta as m; assert m.version == '0.4.17'";
            runs(Command::new(python).args(["-c", version]))
        };
        let requirements = here().join("requirements.txt");
        if !works(&python) {
            runs(Command::new("python3").args(["-m", "venv"]).arg(&folder));
            let install = ["-m", "pip", "install", "--quiet", "-r"];
            runs(Command::new(&python).args(install).arg(requirements));
        }
        works(&python).then_some(python)
    });
    if made.is_none() {
        let required = std::env::var_os("TINSMITH_REQUIRE_TOOLS").is_some();
        assert!(!required, "aiocoap can't be installed");
        println!("skipped: python3, its venv or aiocoap from PyPI is missing");
    }
    made.as_deref()
}

/// The folder of a context as aiocoap wants it. `restarted`: it has lost what it received.
fn context(name: &str, sender: &str, recipient: &str, restarted: bool) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).expect("a folder");
    let settings = format!(
        r#"{{"sender-id_hex": "{sender}", "recipient-id_hex": "{recipient}", "window": 32,
            "secret_hex": "0102030405060708090a0b0c0d0e0f10", "salt_hex": "9e7ca92223786340"}}"#
    );
    std::fs::write(folder.join("settings.json"), settings).expect("written");
    if restarted {
        let sequence = r#"{"next-to-send": 100, "received": "unknown"}"#;
        std::fs::write(folder.join("sequence.json"), sequence).expect("written");
    }
    folder
}

/// aiocoap as a process, ended with the test.
struct Python {
    child: Child,
    lines: Receiver<String>,
}

impl Python {
    fn start(python: &Path, script: &str, arguments: &[&OsStr]) -> Self {
        let mut command = Command::new(python);
        command.arg(here().join(script)).args(arguments);
        let command = command.stdout(Stdio::piped());
        let mut child = command.spawn().expect("it starts");
        let stdout = child.stdout.take().expect("piped");
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self { child, lines }
    }

    fn line(&self) -> String {
        self.lines
            .recv_timeout(PATIENCE)
            .expect("it says something")
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An end on a socket: CoAP, OSCORE below it.
struct Socket {
    end: End,
    coap: CoapEnd,
    socket: UdpSocket,
    peer: Option<SocketAddr>,
    start: Instant,
    /// Requests that were refused or challenged.
    answered: usize,
}

impl Socket {
    fn new(end: End, peer: Option<SocketAddr>) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
        let wait = Some(Duration::from_millis(20));
        socket.set_read_timeout(wait).expect("it can wait");
        Self {
            end,
            coap: CoapEnd::new(Parameters::RFC7252, Numbering::ALL, 77),
            socket,
            peer,
            start: Instant::now(),
            answered: 0,
        }
    }

    fn at(&self) -> At {
        At::from_millis(self.start.elapsed().as_millis() as u64)
    }

    fn send(&mut self, plain: &[u8]) {
        let sealed = self.end.seal(plain);
        let peer = self.peer.expect("known");
        self.socket.send_to(&sealed, peer).expect("sent");
    }

    /// The next message that is new, after all that CoAP has to send; none for a moment.
    fn receive(&mut self) -> Option<(Message, Vec<u8>)> {
        let mut out = [0; 1400];
        while let Some(output) = self.coap.poll(self.at(), &mut out) {
            match output {
                Output::Transmit(len) => self.send(&out[..len]),
                Output::TimedOut(sent) => panic!("{sent:?} timed out"),
            }
        }
        let mut datagram = [0; 2000];
        let (len, from) = self.socket.recv_from(&mut datagram).ok()?;
        self.peer = Some(from);
        match self.end.open_any(&datagram[..len]) {
            (Opened::Message(message), plain) => Some((message, plain)),
            (Opened::Answer { .. }, answer) => {
                self.answered += 1;
                self.socket.send_to(&answer, from).expect("sent");
                None
            }
            (other, _) => panic!("{other:?} of {:02x?}", &datagram[..len]),
        }
    }

    fn respond(&mut self, handle: tinsmith_coap::RequestHandle, code: Code, build: &Build<'_>) {
        let mut out = [0; 1400];
        let made = self.coap.respond(self.at(), handle, code, &mut out, build);
        let len = made.expect("there is room").len;
        self.send(&out[..len]);
    }
}

type Build<'b> = dyn Fn(&mut Builder<'_>) -> Result<(), tinsmith_coap::BuildError> + 'b;

/// What server.py has, in Rust.
struct Site {
    socket: Socket,
    large: Vec<u8>,
    once: u32,
    count: u32,
    observer: Option<Token>,
}

impl Site {
    fn new(start: Start<'_>) -> Self {
        Self {
            socket: Socket::new(End::new(master(b"\x01", b"\x0a"), start), None),
            large: b"0123456789".repeat(300),
            once: 0,
            count: 0,
            observer: None,
        }
    }

    /// Answers until the lines of the client are these.
    fn serve(&mut self, client: &Python, expected: &[&str]) {
        let mut lines: Vec<String> = Vec::new();
        let end = Instant::now() + PATIENCE;
        let mut next = Instant::now();
        while lines.len() < expected.len() {
            assert!(Instant::now() < end, "{lines:?}");
            lines.extend(client.lines.try_iter());
            if let Some((message, plain)) = self.socket.receive() {
                let now = self.socket.at();
                let parsed = Coap::parse(&plain).expect("a message");
                let received = match message.repeated {
                    true => self.socket.coap.handle_repeated(now, parsed),
                    false => self.socket.coap.handle_message(now, parsed),
                };
                if let Received::Request { handle, message } = received {
                    self.request(handle, &message);
                }
            }
            if let Some(token) = self.observer
                && next <= Instant::now()
                && self.socket.coap.can_notify()
            {
                next = Instant::now() + Duration::from_millis(200);
                self.notify(token);
            }
        }
        assert_eq!(lines, expected);
    }

    fn notify(&mut self, token: Token) {
        self.count += 1;
        let (count, now) = (self.count, self.socket.at());
        let mut out = [0; 200];
        let kind = Reliability::Confirmable;
        let coap = &mut self.socket.coap;
        let made = coap.notify(now, token, Code::CONTENT, kind, &mut out, |b| {
            b.uint(OptionNumber::OBSERVE, count)?;
            b.payload(count.to_string().as_bytes()).map(|_| ())
        });
        let (len, _) = made.expect("it can be sent");
        self.socket.send(&out[..len]);
    }

    fn request(&mut self, handle: tinsmith_coap::RequestHandle, message: &Coap<'_>) {
        let path: Vec<&[u8]> = message.uri_path().collect();
        match (message.code(), &path[..]) {
            (Code::GET, [b"value"]) => {
                let observes = message.observe() == Some(0);
                self.observer = observes.then_some(message.token());
                let value = self.count.to_string();
                self.socket.respond(handle, Code::CONTENT, &|b| {
                    if observes {
                        b.uint(OptionNumber::OBSERVE, 0)?;
                    }
                    b.payload(value.as_bytes()).map(|_| ())
                });
            }
            (Code::GET, [b"large"]) => {
                let asked = message.block2().expect("good");
                let szx = asked.map_or(Szx::MAX, |block| block.szx);
                let num = asked.map_or(0, |block| block.num);
                let at = num as usize * szx.size();
                let rest = self.large.get(at..).unwrap_or_default();
                let part = &rest[..rest.len().min(szx.size())];
                let block = Block::new(num, part.len() < rest.len(), szx).expect("small");
                self.socket.respond(handle, Code::CONTENT, &|b| {
                    b.block(OptionNumber::BLOCK2, block)?;
                    b.payload(part).map(|_| ())
                });
            }
            (Code::PUT, [b"large"]) => {
                let block = message.block1().expect("good").expect("in blocks");
                if block.num == 0 {
                    self.large.clear();
                }
                assert_eq!(block.offset() as usize, self.large.len());
                self.large.extend_from_slice(message.payload());
                let code = if block.more {
                    Code::CONTINUE
                } else {
                    Code::CHANGED
                };
                self.socket.respond(handle, code, &|b| {
                    b.block(OptionNumber::BLOCK1, block).map(|_| ())
                });
            }
            (Code::POST, [b"once"]) => {
                self.once += 1;
                let count = self.once.to_string();
                self.socket.respond(handle, Code::CHANGED, &|b| {
                    b.payload(count.as_bytes()).map(|_| ())
                });
            }
            _ => self.socket.respond(handle, Code::NOT_FOUND, &|_| Ok(())),
        }
    }
}

const HEARD: [&str; 10] = [
    "value 2.05 0",
    "large 2.05 3000 True",
    "put 2.04",
    "again 2.05 True",
    "once 2.04 1",
    "nothing 4.04",
    "observed 2.05",
    "notified 1",
    "notified 2",
    "notified 3",
];

#[test]
fn its_client_asks_observes_and_sends_in_blocks() {
    let Some(python) = python() else { return };
    let mut site = Site::new(Start::Fresh);
    let folder = context("client", "0a", "01", false);
    let port = site
        .socket
        .socket
        .local_addr()
        .expect("bound")
        .port()
        .to_string();
    let arguments = [port.as_ref(), folder.as_os_str()];
    let client = Python::start(python, "client.py", &arguments);
    site.serve(&client, &HEARD);
    assert_eq!(site.socket.answered, 0);
}

#[test]
fn its_client_shows_that_it_is_fresh_after_a_restart_of_this_end() {
    let Some(python) = python() else { return };
    let mut site = Site::new(Start::Fresh);
    site.socket.end.restart();
    let folder = context("echo", "0a", "01", false);
    let port = site
        .socket
        .socket
        .local_addr()
        .expect("bound")
        .port()
        .to_string();
    let arguments = [port.as_ref(), folder.as_os_str()];
    let client = Python::start(python, "client.py", &arguments);
    site.serve(&client, &HEARD);
    assert_eq!(site.socket.answered, 1);
}

/// This end as the client of server.py.
struct Asker {
    socket: Socket,
    tokens: u8,
    /// Responses that said that it has to be asked again.
    again: usize,
}

impl Asker {
    fn ask(&mut self, code: Code, path: &[u8], build: &Build<'_>) -> Vec<u8> {
        let end = Instant::now() + PATIENCE;
        loop {
            assert!(Instant::now() < end, "no answer");
            self.tokens += 1;
            let token = Token::new(&[self.tokens]).expect("short");
            let request = Request {
                code,
                token,
                reliability: Reliability::Confirmable,
                response_timeout_ms: None,
            };
            let mut out = [0; 1400];
            let now = self.socket.at();
            let coap = &mut self.socket.coap;
            let made = coap.start_request(now, request, &mut out, |b| {
                // Observe comes before the path.
                if code == Code::GET && path == b"value" {
                    b.uint(OptionNumber::OBSERVE, 0)?;
                }
                b.option(OptionNumber::URI_PATH, path)?;
                build(b)
            });
            let len = made.expect("there is room");
            self.socket.send(&out[..len]);
            if let Some(answer) = self.answer(token) {
                return answer;
            }
        }
    }

    /// None if it is to be asked again.
    fn answer(&mut self, token: Token) -> Option<Vec<u8>> {
        let end = Instant::now() + PATIENCE;
        loop {
            assert!(Instant::now() < end, "no answer");
            let Some((message, plain)) = self.socket.receive() else {
                continue;
            };
            let now = self.socket.at();
            let parsed = Coap::parse(&plain).expect("a message");
            if message.repeated {
                self.socket.coap.handle_repeated(now, parsed);
                continue;
            }
            match self.socket.coap.handle_message(now, parsed) {
                Received::Response { token: of, .. } if of == token => {
                    self.again += usize::from(message.again);
                    return (!message.again).then_some(plain);
                }
                Received::Notification {
                    handle, token: of, ..
                } => {
                    let mut out = [0; 100];
                    let made = self.socket.coap.accept(now, handle, &mut out);
                    if let Some(len) = made {
                        self.socket.send(&out[..len]);
                    }
                    if of == token {
                        return Some(plain);
                    }
                }
                _ => {}
            }
        }
    }
}

fn its_server(name: &str, restarted: bool) {
    let Some(python) = python() else { return };
    let folder = context(name, "01", "0a", restarted);
    let server = Python::start(python, "server.py", &[folder.as_os_str()]);
    let port = server.line().parse().expect("its port");
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let end = End::new(master(b"\x0a", b"\x01"), Start::Fresh);
    let mut asker = Asker {
        socket: Socket::new(end, Some(address)),
        tokens: 0,
        again: 0,
    };
    let once = asker.ask(Code::POST, b"once", &|_| Ok(()));
    let once = Coap::parse(&once).expect("a message");
    // A request that was challenged had no effect.
    assert_eq!((once.code(), once.payload()), (Code::CHANGED, &b"1"[..]));
    assert_eq!(asker.again, usize::from(restarted));

    let sent: Vec<u8> = b"abcdefgh".repeat(500);
    for (num, part) in sent.chunks(SIZE).enumerate() {
        let more = (num + 1) * SIZE < sent.len();
        let block = Block::new(num as u32, more, Szx::MAX).expect("small");
        let answer = asker.ask(Code::PUT, b"large", &|b| {
            b.block(OptionNumber::BLOCK1, block)?;
            b.payload(part).map(|_| ())
        });
        let code = Coap::parse(&answer).expect("a message").code();
        assert_eq!(code, if more { Code::CONTINUE } else { Code::CHANGED });
    }
    let mut got = Vec::new();
    loop {
        let num = (got.len() / SIZE) as u32;
        let block = Block::new(num, false, Szx::MAX).expect("small");
        let answer = asker.ask(Code::GET, b"large", &|b| {
            b.block(OptionNumber::BLOCK2, block).map(|_| ())
        });
        let answer = Coap::parse(&answer).expect("a message");
        got.extend_from_slice(answer.payload());
        let block = answer.block2().expect("good").expect("in blocks");
        if !block.more {
            break;
        }
    }
    assert_eq!(got, sent);

    let first = asker.ask(Code::GET, b"value", &|_| Ok(()));
    let token = Coap::parse(&first).expect("a message").token();
    let mut order = 0;
    for _ in 0..3 {
        let notification = asker.answer(token).expect("a notification");
        let notification = Coap::parse(&notification).expect("a message");
        assert_eq!(notification.code(), Code::CONTENT);
        let next = notification.observe().expect("it goes on");
        assert!(next > order, "{next} after {order}");
        order = next;
    }
    let nothing = asker.ask(Code::GET, b"nothing", &|_| Ok(()));
    let nothing = Coap::parse(&nothing).expect("a message");
    assert_eq!(nothing.code(), Code::NOT_FOUND);
}

#[test]
fn its_server_is_asked_observed_and_sent_blocks() {
    its_server("server", false);
}

#[test]
fn its_server_wants_to_know_that_a_request_is_fresh() {
    its_server("challenge", true);
}
