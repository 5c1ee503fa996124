//! The shell without sockets and disk: associations that come and go, answers that say why.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use lwm2m_objects::Path;
use tinsmith_coap::{Builder, Code, Message, MessageType, OptionNumber, Token};
use tokio::time::timeout;

use super::*;
use tinsmith_lwm2m::{Identity, Operation, Outcome, Peer};
use tinsmith_store::{Batch, MemoryStore};
use tinsmith_transport::{Network, NotSent, Outgoing, local::local};
use tinsmith_update::{Ask, Command, Reply, Summary};

async fn serve(store: MemoryStore, config: Config) -> (ServerHandle, Network) {
    serve_by(Clock::system(), store, config).await
}

async fn serve_by(clock: Clock, store: MemoryStore, config: Config) -> (ServerHandle, Network) {
    let (listener, network) = local(SocketAddr::from(([127, 0, 0, 1], 5684)));
    let open = || Ok(here((listener, None)));
    let start_job: StartJob = Arc::new(|_, _| {});
    let server = start_with(config, clock, Arc::new(store), start_job, open)
        .await
        .unwrap();
    (server, network)
}

fn peer(n: u16) -> Peer {
    Peer {
        association: n.into(),
        ..Peer::udp(SocketAddr::from(([10, 0, 0, 1], n)))
    }
}

fn psk(name: &str) -> Identity {
    Identity::Psk(name.as_bytes().to_vec())
}

fn message(code: Code, id: u16, token: &[u8], build: impl FnOnce(&mut Builder<'_>)) -> Vec<u8> {
    let kind = if code.is_request() {
        MessageType::Confirmable
    } else {
        MessageType::Acknowledgement
    };
    let mut buf = [0; 1280];
    let mut b = Builder::new(&mut buf, kind, code, id, Token::new(token).unwrap()).unwrap();
    build(&mut b);
    b.as_bytes().to_vec()
}

async fn sent(network: &mut Network) -> Outgoing {
    timeout(Duration::from_secs(20), network.sent())
        .await
        .unwrap()
        .unwrap()
}

async fn register(network: &mut Network, n: u16, name: &str) {
    let bytes = message(Code::POST, 1, b"r", |b| {
        b.option(OptionNumber::URI_PATH, b"rd").unwrap();
        let query = format!("ep={name}");
        b.option(OptionNumber::URI_QUERY, query.as_bytes()).unwrap();
        b.option(OptionNumber::URI_QUERY, b"lwm2m=1.1").unwrap();
        b.payload(b"</1/0>,</3/0>").unwrap();
    });
    network.deliver(peer(n), psk(name), bytes);
    let answer = sent(network).await;
    assert_eq!((answer.to, answer.identity), (peer(n), psk(name)));
    let code = Message::parse(&answer.bytes).unwrap().code();
    assert_eq!(code, Code::CREATED);
}

fn execute() -> Operation {
    Operation::Execute {
        path: Path::resource(3, 0, 4),
        arguments: String::new(),
    }
}

#[tokio::test]
async fn a_peer_that_is_gone_ends_what_waits_for_it() {
    let (server, mut network) = serve(MemoryStore::new(), Config::default()).await;
    register(&mut network, 1, "dev1").await;
    let request = server.request("dev1", execute(), 60_000);
    let end = async {
        let request = sent(&mut network).await;
        assert_eq!((request.to, request.identity), (peer(1), psk("dev1")));
        network.end(peer(1));
    };
    let (outcome, ()) = tokio::join!(request, end);
    assert_eq!(outcome, Ok(Outcome::TimedOut { sent: 0 }));

    // The way is found to be gone when something is to be sent.
    network.refuse(peer(1), Some(NotSent::Gone));
    let outcome = server.request("dev1", execute(), 60_000).await;
    assert_eq!(outcome, Ok(Outcome::TimedOut { sent: 0 }));
    server.shutdown().await;
}

#[tokio::test]
async fn what_is_sent_during_a_handshake_is_repeated_after_it() {
    let (time, now) = watch::channel(0);
    let clock = Clock::Set(now);
    let (server, mut network) = serve_by(clock, MemoryStore::new(), Config::default()).await;
    register(&mut network, 1, "dev1").await;
    network.refuse(peer(1), Some(NotSent::Handshaking));
    let request = server.request("dev1", execute(), 60_000);
    let handshake = async {
        assert_eq!(network.refused().await, Some(peer(1)));
        network.refuse(peer(1), None);
        // The first repetition is after 2 s to 3 s (RFC 7252 §4.8).
        time.send(1_999).unwrap();
        tokio::task::yield_now().await;
        time.send(3_001).unwrap();
        let request = sent(&mut network).await;
        let request = Message::parse(&request.bytes).unwrap();
        let (id, token) = (request.message_id(), request.token());
        let answer = message(Code::CHANGED, id, token.as_bytes(), |_| {});
        network.deliver(peer(1), psk("dev1"), answer);
    };
    let (outcome, ()) = tokio::join!(request, handshake);
    assert_eq!(outcome, Ok(Outcome::Done));
    server.shutdown().await;
}

#[tokio::test]
async fn answers_say_why_there_is_none() {
    let config = Config {
        waiting: 1,
        ..Config::default()
    };
    let (server, mut network) = serve(MemoryStore::new(), config).await;
    register(&mut network, 1, "dev1").await;
    let first = server.request("dev1", execute(), 60_000);
    let second = async {
        sent(&mut network).await;
        let second = server.request("dev1", execute(), 60_000).await;
        assert_eq!(second, Err(NoAnswer::Busy));
        server.shutdown().await;
    };
    let (first, ()) = tokio::join!(first, second);
    assert_eq!(first, Err(NoAnswer::Stopping));

    let (server, _network) = serve(MemoryStore::new().fail_after(0), Config::default()).await;
    let decided = server.ask("dev1", Ask::Decide(Command::Forget)).await;
    assert!(matches!(decided, Err(NoAnswer::NotStored)), "{decided:?}");
    server.shutdown().await;
}

#[tokio::test]
async fn devices_come_in_pages_from_all_shards() {
    let store = MemoryStore::new();
    // One whose record nobody can read, among the others.
    let foreign = Batch::put(Key::new(Kind::DEVICE, "dev3x"), vec![0, 9, 0xa0]);
    store.commit_now(&foreign).unwrap();
    let config = Config {
        shards: 3,
        ..Config::default()
    };
    let (server, mut network) = serve(store, config).await;
    for n in 1..=6 {
        register(&mut network, n, &format!("dev{n}")).await;
    }
    let mut pages = Vec::new();
    let mut after: Option<Endpoint> = None;
    loop {
        let page = server.devices(after.as_deref(), 3).await.unwrap();
        let names: Vec<String> = page
            .devices
            .iter()
            .map(|d| d.endpoint.to_string())
            .collect();
        pages.push(names);
        match page.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    assert_eq!(
        pages,
        [
            vec!["dev1", "dev2", "dev3"],
            vec!["dev3x", "dev4", "dev5"],
            vec!["dev6"]
        ]
    );
    assert_eq!(server.registrations().await.unwrap().len(), 6);

    let unreadable = server.device("dev3x").await.unwrap().unwrap();
    assert_eq!(unreadable.status.unwrap().summary, Summary::Unreadable);
    let decided = server.ask("dev3x", Ask::Decide(Command::Forget)).await;
    assert!(matches!(decided, Ok(Reply::Unreadable(_))), "{decided:?}");
    assert!(server.device("dev7").await.unwrap().is_none());
    server.shutdown().await;
}

#[tokio::test]
async fn a_deleted_device_is_forgotten_and_may_come_again() {
    let store = MemoryStore::new();
    let (server, mut network) = serve(store.restart(), Config::default()).await;
    assert_eq!(server.delete("dev1").await, Ok(false));
    register(&mut network, 1, "dev1").await;
    let want = Command::Want {
        model: "motion".into(),
        version: "1".into(),
        source: tinsmith_store::Digest([0; 32]),
        trial_s: 0,
    };
    for name in ["dev1", "mistyped"] {
        let decided = server.ask(name, Ask::Decide(want.clone())).await;
        assert!(matches!(decided, Ok(Reply::Stored)), "{decided:?}");
        assert_eq!(server.delete(name).await, Ok(true));
        assert!(server.device(name).await.unwrap().is_none());
    }
    for kind in [Kind::REGISTRATION, Kind::DEVICE] {
        assert!(store.records(kind).is_empty());
    }
    register(&mut network, 1, "dev1").await;
    assert!(server.device("dev1").await.unwrap().is_some());
    server.shutdown().await;
}

#[tokio::test]
async fn a_datagram_that_is_too_long_is_answered() {
    let (server, mut network) = serve(MemoryStore::new(), Config::default()).await;
    register(&mut network, 1, "dev1").await;
    let mut long = message(Code::POST, 9, b"long", |b| {
        b.option(OptionNumber::URI_PATH, b"rd").unwrap();
        b.payload(b"</3/0>").unwrap();
    });
    long.resize(5_000, b',');
    for (from, identity) in [(peer(1), psk("dev1")), (peer(2), Identity::None)] {
        network.deliver(from, identity.clone(), long.clone());
        let answer = sent(&mut network).await;
        assert_eq!((answer.to, answer.identity), (from, identity));
        let answer = Message::parse(&answer.bytes).unwrap();
        assert_eq!(answer.code(), Code::REQUEST_ENTITY_TOO_LARGE);
        assert_eq!(
            (answer.message_id(), answer.token().as_bytes()),
            (9, &b"long"[..])
        );
        assert_eq!(answer.block1().unwrap().map(|b| b.szx.size()), Some(1024));
    }
    server.shutdown().await;
}
