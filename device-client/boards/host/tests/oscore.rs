//! A device as a process, over real sockets, with servers that are made of the OSCORE crate: a
//! bootstrap whose messages are protected gives a context, with which it registers and is managed,
//! before and after a reset.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use lwm2m_objects::format::{ContentFormat, encode_vec};
use lwm2m_objects::{Objlnk, OwnedValue, Path};
use tinsmith_board_host::{Config, Factory, Oscore, run};
use tinsmith_coap::{Builder, Code, Message, MessageType, OptionNumber, Token};
use tinsmith_dtls::SoftAes;
use tinsmith_oscore::{Master, Opened, Peer, Start};

const PATIENCE: Duration = Duration::from_secs(30);

/// A server on a socket of its own.
struct Server {
    socket: UdpSocket,
    peer: Peer<8, 8>,
    device: Option<SocketAddr>,
    random: u64,
    next_id: u16,
    /// How often it asked for something first: new keys, a proof.
    challenges: usize,
    /// How often it was asked for a proof.
    challenged: usize,
}

impl Server {
    fn new(secret: &[u8], id: &[u8], device: &[u8]) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("good");
        socket.set_read_timeout(Some(PATIENCE)).expect("good");
        let master = Master::new(secret, b"salt", id, device).expect("good");
        Self {
            socket,
            peer: Peer::new(master, Start::Fresh).expect("good"),
            device: None,
            random: 1,
            next_id: 1,
            challenges: 0,
            challenged: 0,
        }
    }

    fn uri(&self) -> String {
        format!("coap://{}", self.socket.local_addr().expect("good"))
    }

    fn send(&mut self, message: &[u8]) {
        if self.peer.numbers_left() < 10 {
            let reservation = self.peer.reserve(100);
            self.peer.confirm_reserved(reservation);
        }
        let mut out = [0; 1500];
        let len = self.peer.seal(&mut SoftAes::new(), message, &mut out);
        let device = self.device.expect("it has spoken first");
        self.socket
            .send_to(&out[..len.expect("good")], device)
            .expect("good");
    }

    /// The next message of the device; true if all it says is that a request is to be sent again.
    fn receive(&mut self) -> (bool, Vec<u8>) {
        loop {
            let (mut datagram, mut out) = ([0; 1500], [0; 1600]);
            let (len, from) = self.socket.recv_from(&mut datagram).expect("in time");
            self.device = Some(from);
            let seed = &mut self.random;
            let mut random = |place: &mut [u8]| {
                for byte in place {
                    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    *byte = (*seed >> 33) as u8;
                }
            };
            let aes = &mut SoftAes::new();
            let opened = self
                .peer
                .open(aes, &mut random, &mut datagram[..len], &mut out);
            match opened {
                Opened::Message(message) if !message.repeated => {
                    return (message.again, out[..message.len].to_vec());
                }
                Opened::Answer { len, why } => {
                    assert_eq!(why, None, "the device has the keys");
                    self.challenges += 1;
                    self.socket.send_to(&out[..len], from).expect("good");
                }
                Opened::Unprotected => panic!("in the clear"),
                _ => {}
            }
        }
    }

    /// Takes the device's request for a path and answers it.
    fn serve(&mut self, wanted: &str, code: Code) {
        let (_, request) = self.receive();
        let request = Message::parse(&request).expect("good");
        let path: Vec<_> = request.uri_path().map(String::from_utf8_lossy).collect();
        assert_eq!(path.join("/"), wanted);
        let mut answer = [0; 100];
        let kind = MessageType::Acknowledgement;
        let (id, token) = (request.message_id(), request.token());
        let mut builder = Builder::new(&mut answer, kind, code, id, token).expect("good");
        if code == Code::CREATED {
            builder
                .option(OptionNumber::LOCATION_PATH, b"rd")
                .expect("good");
            builder
                .option(OptionNumber::LOCATION_PATH, b"1")
                .expect("good");
        }
        let answer = builder.as_bytes().to_vec();
        self.send(&answer);
    }

    /// Asks the device; the code and the payload of its answer.
    fn ask(&mut self, code: Code, path: &str, payload: &[u8]) -> (Code, Vec<u8>) {
        let token = Token::new(&self.next_id.to_be_bytes()).expect("good");
        loop {
            self.next_id += 1;
            let mut request = [0; 1200];
            let kind = MessageType::Confirmable;
            let mut builder =
                Builder::new(&mut request, kind, code, self.next_id, token).expect("good");
            for segment in path.split('/').filter(|s| !s.is_empty()) {
                let path = OptionNumber::URI_PATH;
                builder.option(path, segment.as_bytes()).expect("good");
            }
            if !payload.is_empty() {
                let format = u32::from(ContentFormat::TLV.0);
                builder
                    .uint(OptionNumber::CONTENT_FORMAT, format)
                    .expect("good");
                builder.payload(payload).expect("good");
            }
            let request = builder.as_bytes().to_vec();
            self.send(&request);
            let (again, answer) = loop {
                let (again, answer) = self.receive();
                let message = Message::parse(&answer).expect("good");
                if message.token() == token && message.code() != Code::EMPTY {
                    if message.message_type() == MessageType::Confirmable {
                        let [high, low] = message.message_id().to_be_bytes();
                        self.send(&[0x60, 0, high, low]);
                    }
                    break (again, answer);
                }
            };
            if again {
                self.challenged += 1;
                continue;
            }
            let answer = Message::parse(&answer).expect("good");
            return (answer.code(), answer.payload().to_vec());
        }
    }

    fn write(&mut self, path: &str, values: &[(Path, OwnedValue)]) {
        let base = Path::from_bytes(path.as_bytes()).expect("good");
        let payload = encode_vec(ContentFormat::TLV, &base, values).expect("good");
        assert_eq!(
            self.ask(Code::PUT, path, &payload).0,
            Code::CHANGED,
            "{path}"
        );
    }
}

#[test]
fn a_device_bootstraps_registers_and_comes_back() {
    let mut first = Server::new(b"the factory's", b"b", b"f");
    let mut server = Server::new(b"from the bootstrap", b"s", b"d");
    let folder = tempfile::tempdir().expect("good");
    let config = Config {
        endpoint: "sealed".into(),
        factory: Factory::Bootstrap(first.uri()),
        psk: None,
        key_pair: None,
        oscore: Some(Oscore {
            secret: b"the factory's".to_vec(),
            salt: b"salt".to_vec(),
            sender_id: b"f".to_vec(),
            recipient_id: b"b".to_vec(),
            id_context: None,
        }),
        target: "nrf52840".into(),
        flash: folder.path().join("flash"),
        trust_anchors: Vec::new(),
        log: true,
    };
    // It ends with this process.
    std::thread::spawn(move || run(&config).expect("good"));

    first.serve("bs", Code::CHANGED);
    assert_eq!(first.challenges, 1, "new keys");
    let opaque = |bytes: &[u8]| OwnedValue::Opaque(bytes.to_vec());
    first.write(
        "/21/0",
        &[
            (Path::resource(21, 0, 0), opaque(b"from the bootstrap")),
            (Path::resource(21, 0, 1), opaque(b"d")),
            (Path::resource(21, 0, 2), opaque(b"s")),
            (Path::resource(21, 0, 5), opaque(b"salt")),
        ],
    );
    let context = Objlnk {
        object: 21,
        instance: 0,
    };
    first.write(
        "/0/1",
        &[
            (Path::resource(0, 1, 0), OwnedValue::String(server.uri())),
            (Path::resource(0, 1, 2), OwnedValue::Integer(3)),
            (Path::resource(0, 1, 10), OwnedValue::Integer(5)),
            (Path::resource(0, 1, 17), OwnedValue::Objlnk(context)),
        ],
    );
    first.write(
        "/1/0",
        &[
            (Path::resource(1, 0, 0), OwnedValue::Integer(5)),
            (Path::resource(1, 0, 1), OwnedValue::Integer(86_400)),
        ],
    );
    assert_eq!(first.ask(Code::POST, "/bs", &[]).0, Code::CHANGED);

    for life in 0..3 {
        server.serve("rd", Code::CREATED);
        let (code, payload) = server.ask(Code::GET, "/3/0/0", &[]);
        assert_eq!((code, payload), (Code::CONTENT, b"Tinsmith".to_vec()));
        // After a reset the device can't know whether that is an old request.
        assert_eq!((server.challenges, server.challenged), (0, life));
        assert_eq!(server.ask(Code::POST, "/3/0/4", &[]).0, Code::CHANGED);
    }
    server.serve("rd", Code::CREATED);
}
