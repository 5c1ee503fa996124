//! The server on a socket, and clients of others as processes.
#![allow(dead_code, unreachable_pub)]

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tinsmith_dtls_server::{Config, Credentials, Failure, Output, Psk, Server};
use tinsmith_peer::Identity;
use zeroize::Zeroizing;

pub const IDENTITY: &str = "tinsmith-peer-1";
pub const KEY: &[u8] = b"sixteen byte key";
/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(40);

/// Whether a program can be run; says so if not.
pub fn have(program: &str) -> bool {
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

/// A pre-shared key, certificates that name a device, and a raw public key.
#[derive(Clone, Copy, Default)]
pub struct Known {
    pub raw_key: Option<[u8; 32]>,
}

impl Credentials for Known {
    fn psk(&self, identity: &[u8]) -> Option<Psk> {
        (identity == IDENTITY.as_bytes()).then(|| Psk {
            key: Zeroizing::new(KEY.to_vec()),
            is_of_one: true,
        })
    }

    fn raw_key(&self, digest: &[u8; 32]) -> Option<bool> {
        (self.raw_key.as_ref() == Some(digest)).then_some(true)
    }

    fn certificate(&self, names: &[String], _: &[[u8; 32]]) -> Option<(Identity, bool)> {
        let device = names.iter().find(|name| name.starts_with("device"));
        device.map(|name| (Identity::Certificate(name.clone()), true))
    }
}

/// What the server has seen.
#[derive(Default)]
pub struct Seen {
    pub data: Vec<Vec<u8>>,
    pub identities: Vec<Identity>,
    pub failures: Vec<Failure>,
    pub gone: usize,
    /// The longest datagram that was sent.
    pub longest: usize,
}

/// The server on a socket. It answers requests of CoAP with 2.05 and says everything else back.
pub struct Host {
    pub address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// 2.05 with a payload, as CoAP acknowledges a confirmable request (RFC 7252 §5.2.1).
fn reply(data: &[u8]) -> Vec<u8> {
    match data {
        [first @ 0x40..=0x48, 1..=31, a, b, rest @ ..] => {
            let token = &rest[..usize::from(first & 15).min(rest.len())];
            [&[first | 0x20, 0x45, *a, *b], token, &b"\xffwelcome"[..]].concat()
        }
        _ => data.to_vec(),
    }
}

impl Host {
    pub fn start(config: Config) -> Self {
        Self::with(config, Known::default())
    }

    pub fn with(config: Config, known: Known) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
        let wait = Duration::from_millis(10);
        socket.set_read_timeout(Some(wait)).expect("a socket");
        let address = socket.local_addr().expect("bound");
        let mut server = Server::new(0, config, Arc::new(known), [7; 32]).expect("OpenSSL works");
        let seen = Arc::new(Mutex::new(Seen::default()));
        let stop = Arc::new(AtomicBool::new(false));
        let (seeing, stopping) = (Arc::clone(&seen), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            let start = Instant::now();
            let mut buffer = [0; 4096];
            while !stopping.load(Ordering::Relaxed) {
                let received = socket.recv_from(&mut buffer);
                let now = start.elapsed().as_millis() as u64;
                if let Ok((len, from)) = received {
                    server.handle(now, from, &mut buffer[..len]);
                }
                server.tick(now);
                while let Some(output) = server.poll() {
                    let mut seen = seeing.lock().unwrap_or_else(PoisonError::into_inner);
                    match output {
                        Output::Transmit(to, datagram) => {
                            seen.longest = seen.longest.max(datagram.len());
                            let _ = socket.send_to(&datagram, to);
                        }
                        Output::Received {
                            peer,
                            identity,
                            data,
                            ..
                        } => {
                            seen.identities.push(Identity::clone(&identity));
                            let _ = server.send(peer.association, &reply(&data));
                            seen.data.push(data);
                        }
                        Output::Gone(_) => seen.gone += 1,
                        Output::Failed(_, why) => seen.failures.push(why),
                        Output::Keep { .. } | Output::Forget(_) => {}
                        output @ (Output::HandOver { .. } | Output::Ask(..)) => {
                            panic!("nobody else is there: {output:?}")
                        }
                    }
                }
            }
        });
        Self {
            address,
            seen,
            stop,
            thread: Some(thread),
        }
    }

    pub fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn until(&self, what: &str, done: impl Fn(&Seen) -> bool) {
        let end = Instant::now() + PATIENCE;
        while !done(&self.seen()) {
            assert!(
                Instant::now() < end,
                "never: {what}: {:?}",
                self.seen().failures
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A client as a process, ended with the test.
pub struct Peer {
    child: Child,
    said: Arc<Mutex<String>>,
}

impl Peer {
    pub fn start(command: &mut Command) -> Self {
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.stderr(Stdio::null()).spawn().expect("it starts");
        let stdout = child.stdout.take().expect("piped");
        let said = Arc::new(Mutex::new(String::new()));
        let hears = Arc::clone(&said);
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let mut said = hears.lock().unwrap_or_else(PoisonError::into_inner);
                said.push_str(&line);
                said.push('\n');
            }
        });
        Self { child, said }
    }

    pub fn tell(&mut self, line: &str) {
        let stdin = self.child.stdin.as_mut().expect("piped");
        stdin.write_all(line.as_bytes()).expect("it reads");
        stdin.flush().expect("it reads");
    }

    /// Waits until it has said something.
    pub fn says(&self, text: &str) {
        let end = Instant::now() + PATIENCE;
        loop {
            let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
            if said.contains(text) {
                return;
            }
            assert!(Instant::now() < end, "it never says {text}, but {said}");
            drop(said);
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// There is no more to say.
    pub fn end(&mut self) {
        drop(self.child.stdin.take());
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
