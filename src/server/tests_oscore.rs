//! Devices with OSCORE, over sockets: before and after a crash of the server, from elsewhere, at the
//! bootstrap listener, and when their context is taken away.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tinsmith_coap::{Builder, Code, Message, MessageType, OptionNumber, Token};
use tinsmith_lwm2m::{Identity, Operation, Outcome};
use tinsmith_oscore::{Master, Message as Taken, Opened, Peer, SoftAes, Start};
use tinsmith_security::{Context, Key as SealingKey, Keys, Origin, Purpose, Seal};
use tinsmith_store::MemoryStore;

use super::*;

const SECRET: &[u8] = b"sixteen byte key";
const SALT: &[u8] = b"salt";
const PATIENCE: Duration = Duration::from_secs(30);

fn context(device: &[u8], endpoint: &str, purpose: Purpose) -> Context {
    Context {
        endpoint: endpoint.into(),
        purpose,
        origin: Origin::Given,
        made: 0,
        device: device.to_vec(),
        server: b"s".to_vec(),
        id_context: None,
        secret: SECRET.to_vec().into(),
        salt: SALT.to_vec(),
    }
}

/// `numbers` seals how contexts were used: another one after a restored backup.
async fn serve(store: &MemoryStore, numbers: u8) -> ServerHandle {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let store: Arc<dyn Store> = Arc::new(store.restart());
    let seal = |first: u8| -> Arc<dyn Seal> { Arc::new(SealingKey::new(&[first; 32])) };
    let seals = (seal(1), seal(numbers));
    let keys = Keys::open_with(Arc::clone(&store), seals, true).await;
    let keys = keys.unwrap();
    for (id, name) in [(b"a", "dev1"), (b"b", "dev2"), (b"c", "dev3")] {
        // They are there already after a restart.
        let _ = keys
            .add_context(context(id, name, Purpose::Management))
            .await;
    }
    let factory = context(b"f", "dev1", Purpose::Bootstrap);
    let _ = keys.add_context(factory).await;
    let config = Config {
        coap: any,
        bootstrap_listener: Some(any),
        shards: 3,
        secure: Some(SecureConfig {
            management: any,
            bootstrap: None,
            keys: Arc::new(keys),
            associations: SealingKey::new(&[numbers; 32]),
            own: None,
        }),
        ..Config::default()
    };
    start(config, store, Arc::new(|_, _| {})).await.unwrap()
}

struct Device {
    context: Peer<8, 8>,
    socket: UdpSocket,
    id: u16,
    random: u8,
    /// Requests of the server that came while something else was waited for.
    asked: Vec<Vec<u8>>,
    /// How often the server wanted something said once more.
    again: usize,
}

fn socket(server: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(server).unwrap();
    let wait = Some(Duration::from_millis(50));
    socket.set_read_timeout(wait).unwrap();
    socket
}

fn message(kind: MessageType, code: Code, id: u16, token: Token, parts: &Parts<'_>) -> Vec<u8> {
    let mut buffer = vec![0; 1024];
    let mut b = Builder::new(&mut buffer, kind, code, id, token).unwrap();
    for (number, value) in parts.0 {
        b.option(*number, value).unwrap();
    }
    b.payload(parts.1).unwrap();
    b.as_bytes().to_vec()
}

/// Options and payload.
struct Parts<'p>(&'p [(OptionNumber, &'p [u8])], &'p [u8]);

impl Device {
    fn new(sender: &[u8], server: SocketAddr) -> Self {
        let master = Master::new(SECRET, SALT, sender, b"s").unwrap();
        Self::with(master, server)
    }

    fn with(master: Master, server: SocketAddr) -> Self {
        Device {
            context: Peer::new(master, Start::Fresh).unwrap(),
            socket: socket(server),
            id: 0,
            random: 0,
            asked: Vec::new(),
            again: 0,
        }
    }

    fn send(&mut self, plain: &[u8]) {
        let reservation = self.context.reserve(100);
        self.context.confirm_reserved(reservation);
        let mut out = [0; 2048];
        let sealed = self.context.seal(&mut SoftAes::new(), plain, &mut out);
        self.socket.send(&out[..sealed.unwrap()]).unwrap();
    }

    /// The next message that is protected.
    fn receive(&mut self) -> Option<(Taken, Vec<u8>)> {
        let mut bytes = [0; 2048];
        let len = self.socket.recv(&mut bytes).ok()?;
        let mut out = [0; 2200];
        let seed = &mut self.random;
        let mut random = |place: &mut [u8]| {
            *seed += 1;
            place.fill(*seed);
        };
        let aes = &mut SoftAes::new();
        let opened = self
            .context
            .open(aes, &mut random, &mut bytes[..len], &mut out);
        match opened {
            Opened::Message(taken) => Some((taken, out[..taken.len].to_vec())),
            Opened::Answer { len, .. } => {
                self.socket.send(&out[..len]).unwrap();
                None
            }
            _ => None,
        }
    }

    /// Asks until the server does not want it said once more; code and what else it said.
    fn ask(&mut self, parts: &Parts<'_>) -> (Code, Vec<u8>) {
        let end = Instant::now() + PATIENCE;
        loop {
            self.id += 1;
            let token = Token::new(&self.id.to_be_bytes()).unwrap();
            let request = message(MessageType::Confirmable, Code::POST, self.id, token, parts);
            self.send(&request);
            loop {
                assert!(Instant::now() < end, "no answer");
                let Some((taken, plain)) = self.receive() else {
                    continue;
                };
                let answer = Message::parse(&plain).unwrap();
                if answer.code().is_request() {
                    self.asked.push(plain);
                } else if taken.again {
                    self.again += 1;
                    break;
                } else if answer.token() == token {
                    return (answer.code(), plain);
                }
            }
        }
    }

    /// The server's next request.
    fn asked(&mut self) -> Vec<u8> {
        let end = Instant::now() + PATIENCE;
        loop {
            if !self.asked.is_empty() {
                return self.asked.remove(0);
            }
            assert!(Instant::now() < end, "no request");
            let Some((taken, plain)) = self.receive() else {
                continue;
            };
            let is_request = Message::parse(&plain).unwrap().code().is_request();
            if is_request && !taken.repeated {
                return plain;
            }
        }
    }

    fn answer(&mut self, request: &[u8], code: Code, parts: &Parts<'_>) {
        let request = Message::parse(request).unwrap();
        let (id, token) = (request.message_id(), request.token());
        let answer = message(MessageType::Acknowledgement, code, id, token, parts);
        self.send(&answer);
    }

    fn register(&mut self, name: &str) -> String {
        let query = format!("ep={name}");
        let (code, answer) = self.ask(&Parts(
            &[
                (OptionNumber::URI_PATH, b"rd"),
                (OptionNumber::URI_QUERY, query.as_bytes()),
                (OptionNumber::URI_QUERY, b"lwm2m=1.1"),
            ],
            b"</1/0>,</3/0>",
        ));
        assert_eq!(code, Code::CREATED);
        let answer = Message::parse(&answer).unwrap();
        let location = answer.location_path().nth(1).unwrap();
        String::from_utf8(location.to_vec()).unwrap()
    }

    fn update(&mut self, location: &str) -> Code {
        let path = [
            (OptionNumber::URI_PATH, &b"rd"[..]),
            (OptionNumber::URI_PATH, location.as_bytes()),
        ];
        self.ask(&Parts(&path, b"")).0
    }

    /// Answers the Read that the server sends.
    fn answer_read(&mut self) {
        let read = self.asked();
        let text = Parts(&[(OptionNumber::CONTENT_FORMAT, b"")], b"42");
        self.answer(&read, Code::CONTENT, &text);
    }
}

async fn with<T: Send + 'static>(
    mut device: Device,
    f: impl FnOnce(&mut Device) -> T + Send + 'static,
) -> (Device, T) {
    let run = move || {
        let done = f(&mut device);
        (device, done)
    };
    tokio::task::spawn_blocking(run).await.unwrap()
}

async fn read(server: &ServerHandle, device: Device, name: &str) -> Device {
    let path = "/3/0/9".parse::<lwm2m_objects::Path>().unwrap();
    let reads = server.request(name, Operation::read(path), 20_000);
    let (outcome, (device, ())) = tokio::join!(reads, with(device, Device::answer_read));
    assert!(matches!(outcome, Ok(Outcome::Content(_))), "{outcome:?}");
    device
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn devices_of_all_shards_register_and_are_asked() {
    let store = MemoryStore::new();
    let server = serve(&store, 2).await;
    let coap = server.addresses().coap;
    for (id, name) in [(b"a", "dev1"), (b"b", "dev2"), (b"c", "dev3")] {
        let device = Device::new(id, coap);
        let (device, _) = with(device, move |device| device.register(name)).await;
        read(&server, device, name).await;
        let known = server.device(name).await.unwrap().unwrap();
        assert_eq!(known.identity, Some(Identity::Oscore(id.to_vec())));
    }
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_an_address_and_a_lost_context() {
    let store = MemoryStore::new();
    let server = serve(&store, 2).await;
    let device = Device::new(b"b", server.addresses().coap);
    let (mut device, location) = with(device, |device| device.register("dev2")).await;
    assert_eq!(device.again, 0);
    server.shutdown().await;

    // It shows that it is fresh, once, from another address; and is asked there.
    let server = serve(&store, 2).await;
    device.socket = socket(server.addresses().coap);
    let place = location.clone();
    let (device, code) = with(device, move |device| device.update(&place)).await;
    assert_eq!((code, device.again), (Code::CHANGED, 1));
    let mut device = read(&server, device, "dev2").await;
    server.shutdown().await;

    // After a restored backup nobody knows which numbers were used: both derive other keys.
    let server = serve(&store, 3).await;
    device.socket = socket(server.addresses().coap);
    let (device, code) = with(device, move |device| device.update(&location)).await;
    assert_eq!((code, device.again), (Code::CHANGED, 2));
    let device = read(&server, device, "dev2").await;

    // Its context is taken away.
    let keys = Arc::clone(server.keys().unwrap());
    let path = "/3/0/9".parse::<lwm2m_objects::Path>().unwrap();
    let asks = server.request("dev2", Operation::read(path), 20_000);
    let removes = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert_eq!(keys.remove_context("oscore:62").await, Ok(true));
    };
    let began = Instant::now();
    let (outcome, ()) = tokio::join!(asks, removes);
    assert_eq!(outcome, Ok(Outcome::TimedOut { sent: 0 }));
    assert!(began.elapsed() < Duration::from_secs(10), "at once");
    let (_, refused) = with(device, |device| {
        device.send(&message(
            MessageType::Confirmable,
            Code::POST,
            900,
            Token::EMPTY,
            &Parts(&[(OptionNumber::URI_PATH, b"rd")], b""),
        ));
        let mut bytes = [0; 2048];
        let end = Instant::now() + PATIENCE;
        loop {
            assert!(Instant::now() < end, "no answer");
            let Ok(len) = device.socket.recv(&mut bytes) else {
                continue;
            };
            let answer = Message::parse(&bytes[..len]).unwrap();
            if answer.message_id() == 900 {
                return answer.code();
            }
        }
    })
    .await;
    assert_eq!(refused, Code::UNAUTHORIZED);
    server.shutdown().await;
}

/// The value of a resource in TLV with one-byte lengths, or two for long ones (LwM2M TS 1.1 §7.4.3).
fn tlv(mut payload: &[u8], wanted: u8) -> Option<Vec<u8>> {
    while let [kind, id, rest @ ..] = payload {
        let (len, rest) = match kind >> 3 & 3 {
            0 => (usize::from(kind & 7), rest),
            _ => (usize::from(*rest.first()?), rest.get(1..)?),
        };
        let (value, after) = rest.split_at_checked(len)?;
        if *id == wanted {
            return Some(value.to_vec());
        }
        payload = after;
    }
    None
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_gets_a_context_of_its_own_over_oscore() {
    let store = MemoryStore::new();
    let server = serve(&store, 2).await;
    let addresses = server.addresses();
    let device = Device::new(b"f", addresses.bootstrap.unwrap());
    let (_, written) = with(device, |device| {
        let (code, _) = device.ask(&Parts(
            &[
                (OptionNumber::URI_PATH, b"bs"),
                (OptionNumber::URI_QUERY, b"ep=dev1"),
            ],
            b"",
        ));
        assert_eq!(code, Code::CHANGED);
        let mut written = Vec::new();
        loop {
            let request = device.asked();
            let parsed = Message::parse(&request).unwrap();
            let path: Vec<String> = parsed
                .uri_path()
                .map(|part| String::from_utf8(part.to_vec()).unwrap())
                .collect();
            let (code, payload) = match parsed.code() {
                Code::GET if path == ["21"] => (Code::CONTENT, &b"</21>,</21/0>"[..]),
                Code::GET => (Code::CONTENT, &b"</0>,</0/0>"[..]),
                Code::DELETE => (Code::DELETED, &b""[..]),
                _ => (Code::CHANGED, &b""[..]),
            };
            if parsed.code() == Code::PUT {
                written.push((path.join("/"), parsed.payload().to_vec()));
            }
            device.answer(&request, code, &Parts(&[], payload));
            if path == ["bs"] {
                return written;
            }
        }
    })
    .await;
    let paths: Vec<&str> = written.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(paths, ["21/1", "0/1", "1/0"]);
    let (keys, security) = (&written[0].1, &written[1].1);
    let uri = format!("coap://{}", addresses.coap);
    assert_eq!(tlv(security, 0), Some(uri.into_bytes()));
    assert_eq!(tlv(security, 2), Some(vec![3]));
    assert_eq!(tlv(security, 17), Some(vec![0, 21, 0, 1]));
    assert_eq!(tlv(keys, 3), Some(vec![10]));
    assert_eq!(tlv(keys, 4), Some(vec![0xf6]));
    let value = |id| tlv(keys, id).unwrap();
    let (secret, salt) = (value(0), value(5));
    let master = Master::new(&secret, &salt, &value(1), &value(2)).unwrap();

    let device = Device::with(master, addresses.coap);
    let (device, location) = with(device, |device| device.register("dev1")).await;
    let device = read(&server, device, "dev1").await;
    let (_, code) = with(device, move |device| device.update(&location)).await;
    assert_eq!(code, Code::CHANGED);
    let known = server.device("dev1").await.unwrap().unwrap();
    assert_eq!(known.identity, Some(Identity::Oscore(value(1))));
    server.shutdown().await;
}
