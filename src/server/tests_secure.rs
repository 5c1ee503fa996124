//! A device with DTLS, before and after a crash of the server.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tinsmith_coap::{Builder, Code, Message, MessageType, OptionNumber, Token};
use tinsmith_dtls::{
    Client, ContentType, Credentials, Offer, Output as ToSend, Received, SoftAes, records,
};
use tinsmith_lwm2m::Event;
use tinsmith_security::{Entry, Key as SealingKey, Keys, Origin, Purpose};
use tinsmith_store::MemoryStore;

use super::*;

const KEY: &[u8] = b"sixteen byte key";
const PATIENCE: Duration = Duration::from_secs(30);

async fn serve(store: &MemoryStore, association_key: u8) -> ServerHandle {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let store: Arc<dyn Store> = Arc::new(store.restart());
    let seal = Arc::new(SealingKey::new(&[1; 32]));
    let keys = Keys::open(Arc::clone(&store), seal, true).await.unwrap();
    let entry = Entry {
        identity: "me".into(),
        endpoints: "dev1".into(),
        purpose: Purpose::Management,
        origin: Origin::Given,
        made: 0,
        key: KEY.to_vec().into(),
    };
    // It is there already after a restart.
    let _ = keys.add(entry).await;
    let config = Config {
        coap: any,
        bootstrap_listener: None,
        secure: Some(SecureConfig {
            management: any,
            bootstrap: None,
            keys: Arc::new(keys),
            associations: SealingKey::new(&[association_key; 32]),
            own: None,
        }),
        ..Config::default()
    };
    start(config, store, Arc::new(|_, _| {})).await.unwrap()
}

struct Device {
    client: Client,
    socket: UdpSocket,
    start: Instant,
    heard: Vec<Vec<u8>>,
}

impl Device {
    fn connect(server: SocketAddr) -> Self {
        let mut device = Device {
            client: Client::new(),
            socket: socket(server),
            start: Instant::now(),
            heard: Vec::new(),
        };
        device.client.connect(0, Offer::DEFAULT, [3; 32]);
        device.until(|device| device.client.association().is_some());
        device
    }

    fn until(&mut self, done: impl Fn(&Self) -> bool) {
        let mut buffer = [0; 1500];
        let aes = &mut SoftAes::new();
        while !done(self) {
            assert!(self.start.elapsed() < PATIENCE, "it takes too long");
            self.turn(&mut buffer, aes);
        }
    }

    fn turn(&mut self, buffer: &mut [u8], aes: &mut SoftAes) {
        let now = self.start.elapsed().as_millis() as u64;
        while let Some(output) = self.client.poll(now, aes, buffer) {
            match output {
                ToSend::Transmit(len) => drop(self.socket.send(&buffer[..len])),
                ToSend::Failed(error) => panic!("{error}"),
            }
        }
        let Ok(len) = self.socket.recv(buffer) else {
            return;
        };
        let own = self.client.own_cid_len();
        for record in records(&mut buffer[..len], own) {
            let credentials = Credentials {
                identity: b"me",
                key: KEY,
            };
            match self.client.handle(now, record, &credentials, aes) {
                Received::Connected => {
                    let association = self.client.association_mut().unwrap();
                    association.use_all_numbers();
                }
                Received::Data(data) => self.heard.push(data.to_vec()),
                _ => {}
            }
        }
    }

    /// Sends a message and gives its record back.
    fn say(&mut self, message: &[u8]) -> Vec<u8> {
        let association = self.client.association_mut().unwrap();
        let mut record = message.to_vec();
        record.resize(message.len() + association.overhead(), 0);
        let kind = ContentType::ApplicationData;
        let aes = &mut SoftAes::new();
        let sealed = association.seal(aes, kind, &mut record, message.len());
        record.truncate(sealed.unwrap());
        self.socket.send(&record).unwrap();
        record
    }

    /// The code of the answer with this id.
    fn answer(&mut self, id: u16) -> Code {
        let code = |device: &Self| {
            let mut heard = device.heard.iter().filter_map(|m| Message::parse(m).ok());
            heard.find(|m| m.message_id() == id).map(|m| m.code())
        };
        self.until(|device| code(device).is_some());
        code(self).unwrap()
    }
}

fn socket(server: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(server).unwrap();
    let wait = Some(Duration::from_millis(20));
    socket.set_read_timeout(wait).unwrap();
    socket
}

fn message(id: u16, build: impl FnOnce(&mut Builder<'_>)) -> Vec<u8> {
    let mut buffer = vec![0; 512];
    let token = Token::new(&[1]).unwrap();
    let kind = MessageType::Confirmable;
    let mut b = Builder::new(&mut buffer, kind, Code::POST, id, token).unwrap();
    build(&mut b);
    let len = b.len();
    buffer.truncate(len);
    buffer
}

fn register(id: u16) -> Vec<u8> {
    message(id, |b| {
        b.option(OptionNumber::URI_PATH, b"rd").unwrap();
        b.option(OptionNumber::URI_QUERY, b"ep=dev1").unwrap();
        b.option(OptionNumber::URI_QUERY, b"lwm2m=1.1").unwrap();
        b.payload(b"</1/0>,</3/0>").unwrap();
    })
}

fn nowhere(id: u16) -> Vec<u8> {
    message(id, |b| {
        b.option(OptionNumber::URI_PATH, b"nowhere").unwrap();
    })
}

/// Has a device registered, and then the server end without a word.
async fn crashed(store: &MemoryStore) -> (Device, Vec<u8>) {
    let server = serve(store, 1).await;
    let coaps = server.addresses().coaps.unwrap();
    let device = tokio::task::spawn_blocking(move || {
        let mut device = Device::connect(coaps);
        // With the first record the association is kept.
        device.say(&nowhere(1));
        assert_eq!(device.answer(1), Code::NOT_FOUND);
        let record = device.say(&register(2));
        assert_eq!(device.answer(2), Code::CREATED);
        (device, record)
    });
    let device = device.await.unwrap();
    server.shutdown().await;
    device
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_had_an_effect_has_none_again_after_a_crash() {
    let store = MemoryStore::new();
    let (mut device, record) = crashed(&store).await;
    let server = serve(&store.restart(), 1).await;
    let mut told = server.subscribe();
    let coaps = server.addresses().coaps.unwrap();
    let device = tokio::task::spawn_blocking(move || {
        device.socket = socket(coaps);
        device.heard.clear();
        device.socket.send(&record).unwrap();
        device.say(&nowhere(3));
        // The device itself goes on, without a handshake.
        assert_eq!(device.answer(3), Code::NOT_FOUND);
        device
    });
    let device = device.await.unwrap();
    let answers = device.heard.iter().filter_map(|m| Message::parse(m).ok());
    assert!(answers.into_iter().all(|m| m.code() != Code::CREATED));
    while let Ok(Told::Device(event)) = told.try_recv() {
        let again = matches!(&*event, Event::Registered { new: true, .. });
        assert!(!again, "{event:?}");
    }
    let counters: Vec<DtlsCounters> = server.dtls().collect();
    assert_eq!((counters[0].dropped, counters[0].completed), (1, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_another_key_no_association_goes_on() {
    let store = MemoryStore::new();
    let (mut device, _) = crashed(&store).await;
    let server = serve(&store.restart(), 2).await;
    let coaps = server.addresses().coaps.unwrap();
    let heard = tokio::task::spawn_blocking(move || {
        device.socket = socket(coaps);
        device.heard.clear();
        device.say(&nowhere(3));
        let end = Instant::now() + Duration::from_millis(300);
        while Instant::now() < end {
            device.turn(&mut [0; 1500], &mut SoftAes::new());
        }
        device.heard
    });
    assert!(heard.await.unwrap().is_empty());
    let counters: Vec<DtlsCounters> = server.dtls().collect();
    assert_eq!(counters[0].dropped, 1);
    // Nor does it after that.
    let left = store_of(&server).await;
    assert_eq!(left, 0);
}

async fn store_of(server: &ServerHandle) -> usize {
    let records = server.store().load(Kind::ASSOCIATION).await;
    records.unwrap().len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_association_that_ends_leaves_nothing() {
    let store = MemoryStore::new();
    let (_, _) = crashed(&store).await;
    let server = serve(&store.restart(), 1).await;
    assert_eq!(store_of(&server).await, 2);
    server.keys().unwrap().remove("me").await.unwrap();
    let end = Instant::now() + PATIENCE;
    while store_of(&server).await > 0 {
        assert!(Instant::now() < end, "it stays");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
