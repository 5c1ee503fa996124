//! A device of our own on a socket, and the listener.

use std::collections::BTreeMap;
use std::net::UdpSocket;
use std::sync::{Mutex as StdMutex, PoisonError};

use tinsmith_dtls::{
    Client, ContentType, Credentials as ClientCredentials, Offer, Output as ToSend, Received,
    SoftAes, records,
};
use tinsmith_dtls_server::Psk;
use tokio::time::timeout;
use zeroize::Zeroizing;

use super::*;

const KEY: &[u8] = b"sixteen byte key";
const PATIENCE: Duration = Duration::from_secs(30);

struct One;

impl Credentials for One {
    fn psk(&self, identity: &[u8]) -> Option<Psk> {
        (identity == b"me").then(|| Psk {
            key: Zeroizing::new(KEY.to_vec()),
            is_of_one: true,
        })
    }
}

#[derive(Default)]
struct Memory(StdMutex<BTreeMap<u32, Vec<u8>>>);

impl Memory {
    fn records(&self) -> Vec<Kept> {
        let records = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = records.iter().map(|(number, record)| Kept {
            number: *number,
            record: record.clone(),
            window: None,
        });
        kept.collect()
    }
}

impl Keeper for Memory {
    fn keep(&self, number: u32, record: Vec<u8>, done: Box<dyn FnOnce(bool) + Send>) {
        let mut records = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        records.insert(number, record);
        done(true);
    }

    fn forget(&self, number: u32) {
        let mut records = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        records.remove(&number);
    }
}

fn setup(memory: &Arc<Memory>) -> DtlsSetup {
    DtlsSetup {
        config: Config {
            reserve: Some(64),
            ..Config::default()
        },
        credentials: Arc::new(One),
        seed: [7; 32],
        keeper: Some(memory.clone()),
        kept: memory.records(),
    }
}

fn start(memory: &Arc<Memory>) -> DtlsListener {
    let socket = BoundUdp::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    DtlsListener::start(&socket, setup(memory)).unwrap()
}

/// A device; its calls wait.
struct Device {
    client: Client,
    socket: UdpSocket,
    start: std::time::Instant,
    received: Vec<Vec<u8>>,
    closed: bool,
}

impl Device {
    fn connect(server: SocketAddr) -> Self {
        let mut device = Device {
            client: Client::new(),
            socket: socket(server),
            start: std::time::Instant::now(),
            received: Vec::new(),
            closed: false,
        };
        device.client.connect(0, Offer::DEFAULT, [3; 32]);
        device.until(|device| device.client.association().is_some());
        device
    }

    fn until(&mut self, done: impl Fn(&Self) -> bool) {
        let mut buffer = [0; 1500];
        let aes = &mut SoftAes::new();
        while !done(self) {
            let now = self.start.elapsed().as_millis() as u64;
            assert!(now < PATIENCE.as_millis() as u64, "it takes too long");
            while let Some(output) = self.client.poll(now, aes, &mut buffer) {
                match output {
                    ToSend::Transmit(len) => drop(self.socket.send(&buffer[..len])),
                    ToSend::Failed(error) => panic!("{error}"),
                }
            }
            let Ok(len) = self.socket.recv(&mut buffer) else {
                continue;
            };
            let own = self.client.own_cid_len();
            for record in records(&mut buffer[..len], own) {
                let credentials = ClientCredentials {
                    identity: b"me",
                    key: KEY,
                };
                match self.client.handle(now, record, &credentials, aes) {
                    Received::Connected => {
                        let association = self.client.association_mut().unwrap();
                        association.use_all_numbers();
                    }
                    Received::Data(data) => self.received.push(data.to_vec()),
                    Received::Closed(_) => self.closed = true,
                    Received::Nothing | Received::Failed(_) => {}
                }
            }
        }
    }

    fn say(&mut self, data: &[u8]) {
        let association = self.client.association_mut().unwrap();
        let mut buffer = data.to_vec();
        buffer.resize(data.len() + association.overhead(), 0);
        let kind = ContentType::ApplicationData;
        let sealed = association.seal(&mut SoftAes::new(), kind, &mut buffer, data.len());
        self.socket.send(&buffer[..sealed.unwrap()]).unwrap();
    }
}

fn socket(server: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(server).unwrap();
    let wait = Some(Duration::from_millis(20));
    socket.set_read_timeout(wait).unwrap();
    socket
}

/// What the shards get next: data, or an end.
async fn next(listener: &DtlsListener) -> (Option<(Peer, Identity, Vec<u8>)>, Vec<Peer>) {
    let mut batch = ReceiveBatch::new();
    let received = timeout(PATIENCE, listener.receive(&mut batch)).await;
    received.unwrap().unwrap();
    let data = batch.iter().next();
    let data = data.map(|r| (r.peer, r.identity.clone(), r.bytes.to_vec()));
    (data, batch.gone().to_vec())
}

fn to(peer: Peer, identity: &Identity, bytes: &[u8]) -> Vec<Outgoing> {
    vec![Outgoing {
        to: peer,
        identity: identity.clone(),
        bytes: bytes.to_vec(),
    }]
}

#[tokio::test]
async fn an_association_outlives_its_address_and_the_listener() {
    let memory = Arc::new(Memory::default());
    let listener = start(&memory);
    let server = listener.local_addr();
    let mut device = tokio::task::spawn_blocking(move || Device::connect(server))
        .await
        .unwrap();
    device.say(b"hello");
    let (data, _) = next(&listener).await;
    let (peer, identity, bytes) = data.unwrap();
    assert_eq!(
        (&identity, &bytes[..]),
        (&Identity::Psk(b"me".to_vec()), &b"hello"[..])
    );
    assert_eq!(peer.address, device.socket.local_addr().unwrap());
    // Another address.
    device.socket = socket(server);
    device.say(b"moved");
    let (data, _) = next(&listener).await;
    let moved = data.unwrap().0;
    assert_eq!(moved.association, peer.association);
    assert_eq!(moved.address, device.socket.local_addr().unwrap());
    // Another listener with what the first has kept.
    drop(listener);
    let listener = start(&memory);
    device.socket = socket(listener.local_addr());
    device.say(b"still me");
    let (data, _) = next(&listener).await;
    let (again, identity, bytes) = data.unwrap();
    assert_eq!(
        (again.association, &bytes[..]),
        (peer.association, &b"still me"[..])
    );
    let mut not_sent = Vec::new();
    listener.send(&mut to(again, &identity, b"welcome"), &mut not_sent);
    assert_eq!(not_sent, []);
    let mut device = tokio::task::spawn_blocking(move || {
        device.until(|device| !device.received.is_empty());
        device
    })
    .await
    .unwrap();
    assert_eq!(device.received, [b"welcome"]);
    listener.revoke(identity, false);
    let (_, gone) = next(&listener).await;
    assert_eq!(gone, [again]);
    assert!(memory.records().is_empty());
    tokio::task::spawn_blocking(move || device.until(|device| device.closed))
        .await
        .unwrap();
}

#[tokio::test]
async fn whom_nothing_can_be_sent_to() {
    let listener = start(&Arc::default());
    let me = Identity::Psk(b"me".to_vec());
    let address = SocketAddr::from(([127, 0, 0, 1], 9));
    // No association.
    let mut not_sent = Vec::new();
    listener.send(&mut to(Peer::udp(address), &me, b"x"), &mut not_sent);
    assert_eq!(not_sent, [(Peer::udp(address), NotSent::Gone)]);
    // One that there is not.
    let nobody = Peer {
        address,
        association: 9,
    };
    let mut not_sent = Vec::new();
    listener.send(&mut to(nobody, &me, b"x"), &mut not_sent);
    assert_eq!(not_sent, []);
    let (_, gone) = next(&listener).await;
    assert_eq!(gone, [nobody]);
    // One that is somebody else's.
    let server = listener.local_addr();
    let mut device = tokio::task::spawn_blocking(move || Device::connect(server))
        .await
        .unwrap();
    device.say(b"hello");
    let (data, _) = next(&listener).await;
    let peer = data.unwrap().0;
    let other = Identity::Psk(b"you".to_vec());
    listener.send(&mut to(peer, &other, b"x"), &mut not_sent);
    let (_, gone) = next(&listener).await;
    assert_eq!(gone, [peer]);
    listener.send(&mut to(peer, &me, b"for you"), &mut not_sent);
    tokio::task::spawn_blocking(move || {
        device.until(|device| !device.received.is_empty());
        assert_eq!(device.received, [b"for you"]);
    })
    .await
    .unwrap();
}
