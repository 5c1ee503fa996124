//! A device of our own on a socket, and the listener.

use std::collections::BTreeMap;
use std::net::UdpSocket;
use std::sync::{Mutex as StdMutex, PoisonError};
use std::time::Duration;

use tinsmith_dtls::{
    Client, ContentType, Credentials as ClientCredentials, Offer, Output as ToSend, Received,
    SoftAes, records,
};
use tinsmith_dtls_server::Psk;
use tokio::time::timeout;
use zeroize::Zeroizing;

use super::*;
use crate::local::{Network, local};

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
    start_with(1, memory)
}

fn start_with(workers: usize, memory: &Arc<Memory>) -> DtlsListener {
    let mut sockets = vec![BoundUdp::bind("127.0.0.1:0".parse().unwrap()).unwrap()];
    while sockets.len() < workers {
        sockets.push(sockets[0].beside().unwrap());
    }
    DtlsListener::start(&sockets, &setup(memory)).unwrap()
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
                let credentials = ClientCredentials::Psk {
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
    listener.revoke(&identity, false);
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

/// Wherever the system brings its datagrams: to one of three workers, then to one of other numbers of
/// them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whichever_worker_a_device_comes_to() {
    let memory = Arc::new(Memory::default());
    let mut listener = start_with(3, &memory);
    let server = listener.local_addr();
    let connected = tokio::task::spawn_blocking(move || Device::connect(server));
    let mut device = connected.await.unwrap();
    device.say(b"hello");
    let (data, _) = next(&listener).await;
    let (first, identity, _) = data.unwrap();
    for workers in [3, 1, 4, 2] {
        if workers != 3 {
            drop(listener);
            listener = start_with(workers, &memory);
        }
        // That all of these come to the same of three is as good as impossible.
        for n in 0..20u8 {
            device.socket = socket(listener.local_addr());
            device.received.clear();
            device.say(&[n]);
            let (data, _) = next(&listener).await;
            let (peer, _, bytes) = data.unwrap();
            let address = device.socket.local_addr().unwrap();
            assert_eq!((peer.address, bytes), (address, vec![n]));
            assert_eq!(peer.association, first.association);
            let mut not_sent = Vec::new();
            listener.send(&mut to(peer, &identity, &[n]), &mut not_sent);
            assert_eq!(not_sent, []);
            let answered = tokio::task::spawn_blocking(move || {
                device.until(|device| !device.received.is_empty());
                device
            });
            device = answered.await.unwrap();
            assert_eq!(device.received, [[n]]);
        }
    }
    let counters = listener.counters();
    assert_eq!((counters.completed, counters.dropped), (0, 0));
    listener.revoke(&identity, false);
    let (_, gone) = next(&listener).await;
    let address = device.socket.local_addr().unwrap();
    assert_eq!(gone.len(), 1);
    assert_eq!(
        (gone[0].address, gone[0].association),
        (address, first.association)
    );
    assert!(memory.records().is_empty());
}

/// Three workers of one listener, each on a network of its own.
fn on_networks(memory: &Arc<Memory>) -> (DtlsListener, Vec<(Worker, Listener, Network)>) {
    let address = ([127, 0, 0, 1], 5684).into();
    let (listener, workers) = DtlsListener::with_workers(address, 3, &setup(memory)).unwrap();
    let workers = workers.into_iter().map(|worker| {
        let (socket, network) = local(address);
        (worker, socket, network)
    });
    (listener, workers.collect())
}

#[tokio::test]
async fn what_a_busy_worker_has_no_room_for_is_lost_and_counted() {
    let (listener, workers) = on_networks(&Arc::default());
    let mut workers = workers.into_iter();
    let (first, socket, network) = workers.next().unwrap();
    tokio::spawn(first.run(socket));
    // A record of an association of the second, which does nothing yet.
    let mut record = vec![
        25, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0, 9, 1, 2, 3,
    ];
    record.extend_from_slice(&[0, 1, 0]);
    let from = Peer::udp(([10, 0, 0, 1], 7).into());
    for _ in 0..HANDED_OVER + 5 {
        network.deliver(from, Identity::None, record.clone());
    }
    until(|| listener.counters().not_handed_over == 5).await;
    assert_eq!(listener.counters().dropped, 0);
    // Each of the others is looked at once, and counted for all.
    let (second, socket, _network) = workers.next().unwrap();
    tokio::spawn(second.run(socket));
    until(|| listener.counters().dropped == HANDED_OVER as u64).await;
    network.deliver(from, Identity::None, vec![23; 40]);
    until(|| listener.counters().dropped == HANDED_OVER as u64 + 1).await;
    assert_eq!(listener.counters().not_handed_over, 5);
}

/// Workers end with their listener, also those that hold ways to each other.
#[tokio::test]
async fn workers_end_with_the_listener() {
    let (listener, workers) = on_networks(&Arc::default());
    let mut networks = Vec::new();
    let mut running = Vec::new();
    for (worker, socket, network) in workers {
        running.push(tokio::spawn(worker.run(socket)));
        networks.push(network);
    }
    drop(listener);
    for worker in running {
        timeout(PATIENCE, worker).await.unwrap().unwrap();
    }
}

async fn until(done: impl Fn() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < PATIENCE, "it takes too long");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
