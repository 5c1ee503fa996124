//! Servers of others as processes, and the client on a socket.
//!
//! Where their programs are missing a test says so and passes; with `TINSMITH_REQUIRE_TOOLS` set,
//! as `test.sh` sets it, it fails instead.
#![allow(dead_code)]

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use tinsmith_dtls::{
    Aead, Cid, Client, ContentType, Credentials, HandshakeError, Offer, Output, Received, SoftAes,
    records,
};

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// Whether a program can be run; says so if not.
pub(crate) fn have(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).any(|folder| folder.join(program).exists());
    if !found && std::env::var_os("TINSMITH_REQUIRE_TOOLS").is_some() {
        panic!("{program} is missing");
    }
    if !found {
        println!("skipped: {program} is missing");
    }
    found
}

/// Two ports in a row that nobody has, of UDP and of TCP: some servers want both.
pub(crate) fn free_port() -> u16 {
    loop {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
        let port = socket.local_addr().expect("it is bound").port();
        let Some(next) = port.checked_add(1) else {
            continue;
        };
        let is_free = UdpSocket::bind(("127.0.0.1", next)).is_ok();
        let tcp = [port, next].map(|port| TcpListener::bind(("127.0.0.1", port)).is_ok());
        if is_free && tcp == [true; 2] {
            return port;
        }
    }
}

/// A server as a process, ended with the test.
pub(crate) struct Peer {
    child: Child,
    lines: Receiver<String>,
    pub(crate) address: SocketAddr,
}

impl Peer {
    pub(crate) fn start(command: &mut Command, port: u16) -> Self {
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let command = command.stderr(Stdio::null());
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        // It is there when it has taken the port. One that ends found it taken for a moment.
        let start = Instant::now();
        let mut child = command.spawn().expect("it starts");
        while UdpSocket::bind(address).is_ok() {
            assert!(start.elapsed() < PATIENCE, "{command:?} does not listen");
            std::thread::sleep(Duration::from_millis(20));
            if child.try_wait().is_ok_and(|ended| ended.is_some()) {
                child = command.spawn().expect("it starts");
            }
        }
        let stdout = child.stdout.take().expect("piped");
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self {
            child,
            lines,
            address,
        }
    }

    /// Waits for a line that contains the text.
    pub(crate) fn says(&self, text: &str) {
        let end = Instant::now() + PATIENCE;
        loop {
            match self
                .lines
                .recv_timeout(end.saturating_duration_since(Instant::now()))
            {
                Ok(line) if line.contains(text) => return,
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    panic!("the server never says {text}")
                }
            }
        }
    }

    pub(crate) fn tell(&mut self, line: &str) {
        let stdin = self.child.stdin.as_mut().expect("piped");
        stdin.write_all(line.as_bytes()).expect("it reads");
        stdin.flush().expect("it reads");
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The client on a socket.
pub(crate) struct Device {
    pub(crate) client: Client,
    socket: UdpSocket,
    start: Instant,
    pub(crate) credentials: Credentials<'static>,
    pub(crate) received: Vec<Vec<u8>>,
    pub(crate) failed: Option<HandshakeError>,
    pub(crate) closed: bool,
}

impl Device {
    pub(crate) fn new(server: SocketAddr, credentials: Credentials<'static>) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
        socket.connect(server).expect("an address");
        Self {
            client: Client::new(),
            socket,
            start: Instant::now(),
            credentials,
            received: Vec::new(),
            failed: None,
            closed: false,
        }
    }

    fn now(&self) -> u64 {
        self.start.elapsed().as_millis() as u64
    }

    pub(crate) fn connect(&mut self, aead: &'static [Aead]) {
        let offer = Offer {
            aeads: aead,
            cid: Some(Cid::EMPTY),
            first_timeout_ms: 1000,
        };
        let seed = self.socket.local_addr().expect("bound").port();
        let random = std::array::from_fn(|i| (usize::from(seed) >> (i % 8)) as u8);
        let now = self.now();
        match self.credentials {
            Credentials::Psk { .. } => self.client.connect(now, offer, random),
            _ => {
                let mut secret = random;
                secret[0] = 7;
                let credentials = &self.credentials;
                self.client
                    .connect_as(now, offer, credentials, random, secret);
            }
        }
    }

    /// Until `done`, or a failure; false if it takes too long.
    pub(crate) fn run(&mut self, done: impl Fn(&Self) -> bool) -> bool {
        self.run_for(PATIENCE, done)
    }

    pub(crate) fn run_for(&mut self, time: Duration, done: impl Fn(&Self) -> bool) -> bool {
        let end = Instant::now() + time;
        let mut buffer = [0; 1500];
        while Instant::now() < end {
            while let Some(output) = self
                .client
                .poll(self.now(), &mut SoftAes::new(), &mut buffer)
            {
                match output {
                    Output::Transmit(len) => drop(self.socket.send(&buffer[..len])),
                    Output::Failed(error) => self.failed = Some(error),
                }
            }
            if done(self) || self.failed.is_some() {
                return done(self);
            }
            let wait = Duration::from_millis(50);
            self.socket.set_read_timeout(Some(wait)).expect("a socket");
            if let Ok(len) = self.socket.recv(&mut buffer) {
                self.datagram(&mut buffer[..len]);
            }
        }
        false
    }

    fn datagram(&mut self, datagram: &mut [u8]) {
        let own = self.client.own_cid_len();
        for record in records(datagram, own) {
            let now = self.now();
            let aes = &mut SoftAes::new();
            match self.client.handle(now, record, &self.credentials, aes) {
                Received::Nothing => {}
                Received::Connected => {
                    let association = self.client.association_mut().expect("connected");
                    association.use_all_numbers();
                }
                Received::Data(data) => self.received.push(data.to_vec()),
                Received::Failed(error) => self.failed = Some(error),
                Received::Closed(_) => self.closed = true,
            }
        }
    }

    pub(crate) fn is_open(&self) -> bool {
        self.client.association().is_some()
    }

    pub(crate) fn send(&mut self, data: &[u8]) {
        let association = self.client.association_mut().expect("connected");
        let mut buffer = data.to_vec();
        buffer.resize(data.len() + association.overhead(), 0);
        let kind = ContentType::ApplicationData;
        let sealed = association.seal(&mut SoftAes::new(), kind, &mut buffer, data.len());
        self.socket
            .send(&buffer[..sealed.expect("there is room")])
            .expect("sent");
    }
}
