//! The client with servers of others: OpenSSL, GnuTLS, and libcoap on each of them.
//!
//! Where their programs are missing a test says so and passes; with `TINSMITH_REQUIRE_TOOLS` set,
//! as `test.sh` sets it, it fails instead.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use tinsmith_dtls::{
    Aead, Cid, Client, ContentType, Credentials, HandshakeError, Offer, Output, Received, SoftAes,
    records,
};

const IDENTITY: &str = "tinsmith-peer-1";
const KEY: &[u8] = b"sixteen byte key";
/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

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

/// Two ports in a row that nobody has.
fn free_port() -> u16 {
    loop {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
        let port = socket.local_addr().expect("it is bound").port();
        if port < u16::MAX && UdpSocket::bind(("127.0.0.1", port + 1)).is_ok() {
            return port;
        }
    }
}

/// A server as a process, ended with the test.
struct Peer {
    child: Child,
    lines: Receiver<String>,
    address: SocketAddr,
}

impl Peer {
    fn start(command: &mut Command, port: u16) -> Self {
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.stderr(Stdio::null()).spawn().expect("it starts");
        let stdout = child.stdout.take().expect("piped");
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        // It is there when it has taken the port.
        let start = Instant::now();
        while UdpSocket::bind(address).is_ok() {
            assert!(start.elapsed() < PATIENCE, "{command:?} does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        Self {
            child,
            lines,
            address,
        }
    }

    fn openssl(options: &[&str], cipher: &str) -> Self {
        let port = free_port();
        let mut command = Command::new("openssl");
        command.args(["s_server", "-dtls1_2", "-nocert", "-quiet"]);
        // Newer versions think CCM_8 too short for their default level.
        command.args(["-cipher", &format!("{cipher}:@SECLEVEL=0")]);
        command.args(["-psk_identity", IDENTITY, "-psk", &key_digits()]);
        command.args(["-accept", &format!("127.0.0.1:{port}")]);
        Self::start(command.args(options), port)
    }

    /// Waits for a line that contains the text.
    fn says(&self, text: &str) {
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

    fn tell(&mut self, line: &str) {
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
struct Device {
    client: Client,
    socket: UdpSocket,
    start: Instant,
    key: &'static [u8],
    received: Vec<Vec<u8>>,
    failed: Option<HandshakeError>,
    closed: bool,
}

impl Device {
    fn new(server: SocketAddr) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
        socket.connect(server).expect("an address");
        Self {
            client: Client::new(),
            socket,
            start: Instant::now(),
            key: KEY,
            received: Vec::new(),
            failed: None,
            closed: false,
        }
    }

    fn now(&self) -> u64 {
        self.start.elapsed().as_millis() as u64
    }

    fn connect(&mut self, aead: &'static [Aead]) {
        let offer = Offer {
            aeads: aead,
            cid: Some(Cid::EMPTY),
            first_timeout_ms: 1000,
        };
        let seed = self.socket.local_addr().expect("bound").port();
        let random = std::array::from_fn(|i| (usize::from(seed) >> (i % 8)) as u8);
        self.client.connect(self.now(), offer, random);
    }

    /// Until `done`, or a failure; false if it takes too long.
    fn run(&mut self, done: impl Fn(&Self) -> bool) -> bool {
        self.run_for(PATIENCE, done)
    }

    fn run_for(&mut self, time: Duration, done: impl Fn(&Self) -> bool) -> bool {
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
            let credentials = Credentials::Psk {
                identity: IDENTITY.as_bytes(),
                key: self.key,
            };
            let now = self.now();
            let aes = &mut SoftAes::new();
            match self.client.handle(now, record, &credentials, aes) {
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

    fn is_open(&self) -> bool {
        self.client.association().is_some()
    }

    fn send(&mut self, data: &[u8]) {
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

#[test]
fn openssl() {
    if !have("openssl") {
        return;
    }
    let suites: [(&'static [Aead], &str); 3] = [
        (&[Aead::Ccm8], "PSK-AES128-CCM8"),
        (&[Aead::Ccm8, Aead::Ccm], "PSK-AES128-CCM"),
        (&[Aead::Gcm], "PSK-AES128-GCM-SHA256"),
    ];
    let options: [&[&str]; 3] = [
        &[],
        &["-listen"],
        // Each message in fragments.
        &["-psk_hint", "tinsmith", "-mtu", "256", "-listen"],
    ];
    for (aead, cipher) in suites {
        for options in options {
            let mut peer = Peer::openssl(options, cipher);
            let mut device = Device::new(peer.address);
            device.connect(aead);
            let open = device.run(Device::is_open);
            assert!(open, "{cipher} {options:?}: {:?}", device.failed);
            // It has no Connection IDs.
            let association = device.client.association().expect("open");
            assert!(association.peer_cid().is_empty());
            device.send(b"from the device\n");
            peer.says("from the device");
            peer.tell("from the server\n");
            assert!(
                device.run(|d| !d.received.is_empty()),
                "{cipher} {options:?}"
            );
            assert_eq!(device.received[0], b"from the server\n");
        }
    }
}

#[test]
fn openssl_closes_and_another_handshake_follows() {
    if !have("openssl") {
        return;
    }
    let peer = Peer::openssl(&[], "PSK-AES128-CCM8");
    for _ in 0..3 {
        let mut device = Device::new(peer.address);
        device.connect(&[Aead::Ccm8]);
        assert!(device.run(Device::is_open), "{:?}", device.failed);
        device.send(b"once more\n");
        peer.says("once more");
        device.client.close();
        device.run(|d| d.client.next_deadline().is_none());
    }
}

#[test]
fn openssl_with_another_key_or_no_suite_of_ours() {
    if !have("openssl") {
        return;
    }
    let peer = Peer::openssl(&[], "PSK-AES128-GCM-SHA256");
    let mut device = Device::new(peer.address);
    device.connect(&[Aead::Ccm8]);
    assert!(!device.run(Device::is_open));
    assert!(
        matches!(device.failed, Some(HandshakeError::Refused(_))),
        "{:?}",
        device.failed
    );
    let peer = Peer::openssl(&[], "PSK-AES128-CCM8");
    let mut device = Device::new(peer.address);
    device.key = b"another key";
    device.connect(&[Aead::Ccm8]);
    let open = device.run_for(Duration::from_secs(3), Device::is_open);
    assert!(!open);
}

#[test]
fn gnutls() {
    if !have("gnutls-serv") {
        return;
    }
    let folder = std::env::temp_dir().join(format!("tinsmith-dtls-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let passwords: PathBuf = folder.join("psk");
    std::fs::write(&passwords, format!("{IDENTITY}:{}\n", key_digits())).expect("a file");
    let suites: [(&'static [Aead], &str); 3] = [
        (&[Aead::Ccm8], "+AES-128-CCM-8"),
        (&[Aead::Ccm], "+AES-128-CCM"),
        (&[Aead::Gcm], "+AES-128-GCM"),
    ];
    for (aead, cipher) in suites {
        let port = free_port();
        let mut command = Command::new("gnutls-serv");
        command.args(["--udp", "--echo", "--port", &port.to_string()]);
        command.arg("--pskpasswd").arg(&passwords);
        let priority = format!("NORMAL:-VERS-ALL:+VERS-DTLS1.2:-KX-ALL:+PSK:-CIPHER-ALL:{cipher}");
        command.args(["--priority", &priority]);
        let peer = Peer::start(&mut command, port);
        let mut device = Device::new(peer.address);
        device.connect(aead);
        let open = device.run(Device::is_open);
        assert!(open, "{cipher}: {:?}", device.failed);
        device.send(b"echo this\n");
        assert!(device.run(|d| !d.received.is_empty()), "{cipher}");
        assert_eq!(device.received[0], b"echo this\n");
    }
    std::fs::remove_dir_all(folder).expect("it is ours");
}

/// A request to CoAP servers on OpenSSL and on GnuTLS.
#[test]
fn libcoap() {
    for program in ["coap-server-openssl", "coap-server-gnutls"] {
        if !have(program) {
            continue;
        }
        for hint in ["", "tinsmith"] {
            let port = free_port();
            let mut command = Command::new(program);
            command.args(["-A", "127.0.0.1", "-p", &port.to_string()]);
            command.args(["-k", std::str::from_utf8(KEY).expect("letters"), "-h", hint]);
            let peer = Peer::start(&mut command, port + 1);
            let mut device = Device::new(peer.address);
            device.connect(&[Aead::Ccm8, Aead::Gcm]);
            let open = device.run(Device::is_open);
            assert!(open, "{program}: {:?}", device.failed);
            // GET of the root, confirmable, message 0x1234.
            device.send(&[0x40, 1, 0x12, 0x34]);
            assert!(device.run(|d| !d.received.is_empty()), "{program}");
            // 2.05 in its acknowledgement.
            assert_eq!(
                device.received[0][..4],
                [0x60, 0x45, 0x12, 0x34],
                "{program}"
            );
        }
    }
}
