//! The server with clients of others: OpenSSL, GnuTLS, and libcoap on each of them.
//!
//! Where their programs are missing a test says so and passes; with `TINSMITH_REQUIRE_TOOLS` set,
//! as `test.sh` sets it, it fails instead.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, UdpSocket};
use std::process::{Child, Command, Output as Ended, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tinsmith_dtls_server::{Config, Credentials, Failure, Output, Psk, Server};
use zeroize::Zeroizing;

const IDENTITY: &str = "tinsmith-peer-1";
const KEY: &[u8] = b"sixteen byte key";
/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(40);

fn key_digits() -> String {
    KEY.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether a program can be run; says so if not.
fn have(program: &str) -> bool {
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

struct One;

impl Credentials for One {
    fn psk(&self, identity: &[u8]) -> Option<Psk> {
        (identity == IDENTITY.as_bytes()).then(|| Psk {
            key: Zeroizing::new(KEY.to_vec()),
            is_of_one: true,
        })
    }
}

/// What the server has seen.
#[derive(Default)]
struct Seen {
    data: Vec<Vec<u8>>,
    failures: Vec<Failure>,
    gone: usize,
    /// The longest datagram that was sent.
    longest: usize,
}

/// The server on a socket. It answers requests of CoAP with 2.05 and says everything else back.
struct Host {
    address: SocketAddr,
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
    fn start(config: Config) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
        let wait = Duration::from_millis(10);
        socket.set_read_timeout(Some(wait)).expect("a socket");
        let address = socket.local_addr().expect("bound");
        let mut server = Server::new(0, config, Arc::new(One), [7; 32]).expect("OpenSSL works");
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
                        Output::Received { peer, data, .. } => {
                            let _ = server.send(peer.association, &reply(&data));
                            seen.data.push(data);
                        }
                        Output::Gone(_) => seen.gone += 1,
                        Output::Failed(_, why) => seen.failures.push(why),
                        Output::Keep { .. } | Output::Forget(_) => {}
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

    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn until(&self, what: &str, done: impl Fn(&Seen) -> bool) {
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
struct Peer {
    child: Child,
    said: Arc<Mutex<String>>,
}

impl Peer {
    fn start(command: &mut Command) -> Self {
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

    fn tell(&mut self, line: &str) {
        let stdin = self.child.stdin.as_mut().expect("piped");
        stdin.write_all(line.as_bytes()).expect("it reads");
        stdin.flush().expect("it reads");
    }

    /// Waits until it has said something.
    fn says(&self, text: &str) {
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
    fn end(&mut self) {
        drop(self.child.stdin.take());
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn s_client(host: &Host, cipher: &str, key: &str, options: &[&str]) -> Peer {
    let mut command = Command::new("openssl");
    command.args(["s_client", "-dtls1_2", "-quiet", "-no_ign_eof"]);
    // Newer versions think CCM_8 too short for their default level.
    command.args(["-cipher", &format!("{cipher}:@SECLEVEL=0")]);
    command.args(["-psk_identity", IDENTITY, "-psk", key]);
    command.args(["-connect", &host.address.to_string()]);
    Peer::start(command.args(options))
}

#[test]
fn openssl() {
    if !have("openssl") {
        return;
    }
    for cipher in ["PSK-AES128-CCM8", "PSK-AES128-CCM", "PSK-AES128-GCM-SHA256"] {
        for options in [&[][..], &["-mtu", "256"]] {
            let host = Host::start(Config::default());
            let mut peer = s_client(&host, cipher, &key_digits(), options);
            peer.tell("from the device\n");
            host.until(cipher, |seen| !seen.data.is_empty());
            assert_eq!(host.seen().data, [b"from the device\n"]);
            peer.tell("and more\n");
            host.until(cipher, |seen| seen.data.len() == 2);
            peer.says("from the device\nand more\n");
            peer.end();
            host.until("close_notify", |seen| seen.gone == 1);
        }
    }
}

#[test]
fn openssl_with_another_key_or_name() {
    if !have("openssl") {
        return;
    }
    let config = Config {
        handshake_time: Duration::from_secs(3),
        ..Config::default()
    };
    let host = Host::start(config);
    let liar = s_client(&host, "PSK-AES128-CCM8", "0102", &[]);
    host.until("a failure", |seen| !seen.failures.is_empty());
    let wrong = Failure::WrongKey(IDENTITY.as_bytes().to_vec());
    assert_eq!(host.seen().failures, [wrong]);
    drop(liar);
    let host = Host::start(Config::default());
    let options = ["-psk_identity", "somebody"];
    let stranger = s_client(&host, "PSK-AES128-CCM8", &key_digits(), &options);
    host.until("a failure", |seen| !seen.failures.is_empty());
    let unknown = Failure::UnknownIdentity(b"somebody".to_vec());
    assert_eq!(host.seen().failures, [unknown]);
    drop(stranger);
    let host = Host::start(Config::default());
    let other = s_client(&host, "PSK-AES256-CBC-SHA", &key_digits(), &[]);
    host.until("a failure", |seen| !seen.failures.is_empty());
    assert!(matches!(host.seen().failures[..], [Failure::Refused(_)]));
    assert!(host.seen().data.is_empty());
    drop(other);
}

#[test]
fn gnutls() {
    if !have("gnutls-cli") {
        return;
    }
    for cipher in ["+AES-128-CCM-8", "+AES-128-CCM", "+AES-128-GCM"] {
        let host = Host::start(Config::default());
        let mut command = Command::new("gnutls-cli");
        let priority = format!("NORMAL:-VERS-ALL:+VERS-DTLS1.2:-KX-ALL:+PSK:-CIPHER-ALL:{cipher}");
        command.args(["--udp", "--priority", &priority]);
        command.args(["--pskusername", IDENTITY, "--pskkey", &key_digits()]);
        command.args(["--port", &host.address.port().to_string(), "127.0.0.1"]);
        let mut peer = Peer::start(&mut command);
        peer.tell("say this again\n");
        host.until(cipher, |seen| !seen.data.is_empty());
        assert_eq!(host.seen().data, [b"say this again\n"]);
        peer.says("say this again");
    }
}

fn libcoap_with(program: &str, key: &str, address: SocketAddr) -> Ended {
    let mut command = Command::new(program);
    command.args(["-m", "get", "-B", "20", "-u", IDENTITY, "-k", key]);
    command.arg(format!("coaps://{address}/rd"));
    command.output().expect("it starts")
}

/// A request by CoAP from clients on OpenSSL and on GnuTLS.
#[test]
fn libcoap() {
    for program in ["coap-client-openssl", "coap-client-gnutls"] {
        if !have(program) {
            continue;
        }
        let host = Host::start(Config::default());
        for _ in 0..3 {
            let key = std::str::from_utf8(KEY).expect("letters");
            let ended = libcoap_with(program, key, host.address);
            let said = String::from_utf8_lossy(&ended.stdout);
            assert!(said.contains("welcome"), "{program}: {ended:?}");
        }
        assert_eq!(host.seen().failures, []);
        assert_eq!(host.seen().data.len(), 3);
    }
}

/// Flights in small datagrams are put together, and ours keep the size that was set.
#[test]
fn small_datagrams() {
    if !have("openssl") {
        return;
    }
    let config = Config {
        mtu: 256,
        ..Config::default()
    };
    let host = Host::start(config);
    let options = ["-mtu", "256"];
    let mut peer = s_client(&host, "PSK-AES128-CCM8", &key_digits(), &options);
    peer.tell("small\n");
    host.until("its data", |seen| !seen.data.is_empty());
    assert!(host.seen().longest <= 256, "{}", host.seen().longest);
}
