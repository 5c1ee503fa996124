//! The shell over real sockets on loopback, with the real store.

use std::net::SocketAddr;
use std::path::Path as FilePath;
use std::sync::Arc;
use std::time::Duration;

use lwm2m_objects::{OwnedValue, Path};
use tinsmith_coap::{Builder, Code, Message, MessageType, OptionNumber, Token};
use tokio::net::UdpSocket;
use tokio::time::timeout;

use super::*;
use tinsmith_lwm2m::{Event, Operation, Outcome};
use tinsmith_store::SledStore;

async fn serve(folder: &FilePath, shards: usize) -> ServerHandle {
    serve_at(folder, shards, [127, 0, 0, 1]).await
}

async fn serve_at(folder: &FilePath, shards: usize, ip: [u8; 4]) -> ServerHandle {
    let address = SocketAddr::from((ip, 0));
    let config = Config {
        coap: address,
        bootstrap_listener: Some(address),
        store: folder.to_owned(),
        shards,
        ..Config::default()
    };
    let store: Arc<dyn Store> = Arc::new(SledStore::open(folder).unwrap());
    start(config, store, Arc::new(|_, _| {})).await.unwrap()
}

fn message(
    kind: MessageType,
    code: Code,
    id: u16,
    token: &[u8],
    build: impl FnOnce(&mut Builder<'_>),
) -> Vec<u8> {
    let mut buf = vec![0; 1280];
    let mut b = Builder::new(&mut buf, kind, code, id, Token::new(token).unwrap()).unwrap();
    build(&mut b);
    let len = b.len();
    buf.truncate(len);
    buf
}

fn register(endpoint: &str, id: u16) -> Vec<u8> {
    message(MessageType::Confirmable, Code::POST, id, b"r", |b| {
        b.option(OptionNumber::URI_PATH, b"rd").unwrap();
        b.option(OptionNumber::URI_QUERY, format!("ep={endpoint}").as_bytes())
            .unwrap();
        b.option(OptionNumber::URI_QUERY, b"lwm2m=1.1").unwrap();
        b.payload(b"</1/0>,</3/0>").unwrap();
    })
}

async fn receive(socket: &UdpSocket) -> Vec<u8> {
    let mut buf = vec![0; 2048];
    let (n, _) = timeout(Duration::from_secs(10), socket.recv_from(&mut buf))
        .await
        .unwrap()
        .unwrap();
    buf.truncate(n);
    buf
}

async fn read_model(server: &ServerHandle, socket: &UdpSocket, endpoint: &str) {
    let path = Path::resource(3, 0, 1);
    let request = server.request(endpoint, Operation::read(path), 5_000);
    let device = async {
        let request = receive(socket).await;
        let request = Message::parse(&request).unwrap();
        let token = request.token();
        let answer = message(
            MessageType::Acknowledgement,
            Code::CONTENT,
            request.message_id(),
            token.as_bytes(),
            |b| {
                b.payload(b"host").unwrap();
            },
        );
        socket
            .send_to(&answer, server.addresses().coap)
            .await
            .unwrap();
    };
    let (outcome, ()) = tokio::join!(request, device);
    let value = OwnedValue::String("host".into());
    assert_eq!(outcome, Ok(Outcome::Content(vec![(path, value).into()])));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn register_read_and_restart_with_other_shards() {
    let dir = tempfile::tempdir().unwrap();
    let server = serve(dir.path(), 3).await;
    let mut told = server.subscribe();
    let mut sockets = Vec::new();
    for i in 0..10 {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("dev{i}");
        socket
            .send_to(&register(&endpoint, 1), server.addresses().coap)
            .await
            .unwrap();
        let answer = receive(&socket).await;
        assert_eq!(Message::parse(&answer).unwrap().code(), Code::CREATED);
        loop {
            let Told::Device(event) = told.recv().await.unwrap() else {
                continue;
            };
            if matches!(&*event, Event::Registered { new: true, .. }) {
                break;
            }
        }
        read_model(&server, &socket, &endpoint).await;
        sockets.push(socket);
    }
    assert_eq!(server.registrations().await.unwrap().len(), 10);
    let location = server
        .registration("dev3")
        .await
        .unwrap()
        .unwrap()
        .location
        .clone();
    server.shutdown().await;
    assert_eq!(server.registrations().await, Err(NoAnswer::Stopping));
    drop(server);

    let server = serve(dir.path(), 2).await;
    assert_eq!(server.registrations().await.unwrap().len(), 10);
    let update = message(MessageType::Confirmable, Code::POST, 2, b"u", |b| {
        b.option(OptionNumber::URI_PATH, b"rd").unwrap();
        b.option(OptionNumber::URI_PATH, location.as_bytes())
            .unwrap();
    });
    sockets[3]
        .send_to(&update, server.addresses().coap)
        .await
        .unwrap();
    let answer = receive(&sockets[3]).await;
    assert_eq!(Message::parse(&answer).unwrap().code(), Code::CHANGED);
    read_model(&server, &sockets[3], "dev3").await;
    server.shutdown().await;
}

/// Threads of this process that run shards of a test.
fn threads_of(shards: &[&str]) -> usize {
    let threads = std::fs::read_dir("/proc/self/task").unwrap();
    let names = threads.filter_map(|thread| {
        let name = thread.ok()?.path().join("comm");
        std::fs::read_to_string(name).ok()
    });
    names.filter(|name| shards.contains(&name.trim())).count()
}

#[tokio::test]
async fn each_shard_has_a_thread_that_ends_with_the_server() {
    // No other test has as many.
    let last = ["shard-14", "shard-15"];
    let dir = tempfile::tempdir().unwrap();
    let server = serve(dir.path(), MAX_SHARDS).await;
    assert_eq!(threads_of(&last), 2);
    // One socket for each, so that any thread may receive what is another's.
    for i in 0..40 {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let to = server.addresses().coap;
        let register = register(&format!("dev{i}"), 1);
        socket.send_to(&register, to).await.unwrap();
        let answer = receive(&socket).await;
        assert_eq!(Message::parse(&answer).unwrap().code(), Code::CREATED);
    }
    assert_eq!(server.count().await, Ok((40, 40)));
    server.shutdown().await;
    let ended = async {
        while threads_of(&last) > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(Duration::from_secs(10), ended).await.unwrap();
    assert_eq!(server.count().await, Err(NoAnswer::Stopping));

    // Nobody stops this one: it ends when nobody can ask it any more.
    let dir = tempfile::tempdir().unwrap();
    drop(serve(dir.path(), MAX_SHARDS).await);
    let ended = async {
        while threads_of(&last) > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(Duration::from_secs(10), ended).await.unwrap();
}

#[tokio::test]
async fn bootstrap_tells_the_address_that_the_device_reaches() {
    // This machine's other address, if it has one.
    let probe = UdpSocket::bind("0.0.0.0:0").await.unwrap();
    let other = match probe.connect("192.0.2.1:9").await {
        Ok(()) => probe.local_addr().unwrap().ip(),
        Err(_) => [127, 0, 0, 1].into(),
    };
    for (bound, ip) in [
        ([127, 0, 0, 1], [127, 0, 0, 1].into()),
        ([0; 4], [127, 0, 0, 1].into()),
        ([0; 4], other),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let server = serve_at(dir.path(), 2, bound).await;
        let port = server.addresses().bootstrap.unwrap().port();
        let socket = UdpSocket::bind(SocketAddr::new(ip, 0)).await.unwrap();
        socket.connect(SocketAddr::new(ip, port)).await.unwrap();
        let start = message(MessageType::Confirmable, Code::POST, 1, b"b", |b| {
            b.option(OptionNumber::URI_PATH, b"bs").unwrap();
            b.option(OptionNumber::URI_QUERY, b"ep=dev1").unwrap();
        });
        socket.send(&start).await.unwrap();
        let expected = format!("coap://{ip}:{}", server.addresses().coap.port());
        loop {
            let request = receive(&socket).await;
            let request = Message::parse(&request).unwrap();
            match request.code() {
                Code::CHANGED => continue,
                Code::PUT => {
                    let text = String::from_utf8_lossy(request.payload());
                    assert!(text.contains(&expected), "{expected} in {text}");
                    break;
                }
                code => assert!([Code::GET, Code::DELETE].contains(&code), "{code}"),
            }
            let (id, token) = (request.message_id(), request.token());
            let kind = MessageType::Acknowledgement;
            let answer = message(kind, Code::DELETED, id, token.as_bytes(), |_| {});
            socket.send(&answer).await.unwrap();
        }
        server.shutdown().await;
    }
}

#[tokio::test]
async fn a_durable_request_outlives_the_process() {
    let dir = tempfile::tempdir().unwrap();
    let server = serve(dir.path(), 2).await;
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let to = server.addresses().coap;
    socket.send_to(&register("dev1", 1), to).await.unwrap();
    receive(&socket).await;
    let path = Path::resource(3, 0, 4);
    let arguments = String::new();
    let operation = Operation::Execute { path, arguments };
    let id = server.submit("dev1", operation, 60_000).await.unwrap();
    // Sent, so stored; the device is not heard any more.
    receive(&socket).await;
    server.shutdown().await;
    drop(server);

    let server = serve(dir.path(), 3).await;
    let mut told = server.subscribe();
    let request = receive(&socket).await;
    let request = Message::parse(&request).unwrap();
    let (mid, token) = (request.message_id(), request.token());
    let kind = MessageType::Acknowledgement;
    let answer = message(kind, Code::CHANGED, mid, token.as_bytes(), |_| {});
    let to = server.addresses().coap;
    socket.send_to(&answer, to).await.unwrap();
    loop {
        if let Told::Device(event) = told.recv().await.unwrap()
            && let Event::Completed {
                id: found, outcome, ..
            } = &*event
        {
            assert_eq!((*found, outcome), (id, &Outcome::Done));
            break;
        }
    }
    server.shutdown().await;
}

#[tokio::test]
async fn an_address_in_use_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let blocker = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = blocker.local_addr().unwrap();
    let store: Arc<dyn Store> = Arc::new(SledStore::open(dir.path()).unwrap());
    let config = Config {
        coap: address,
        ..Config::default()
    };
    let result = start(config, store, Arc::new(|_, _| {})).await;
    assert!(matches!(result, Err(StartError::Bind { address: a, .. }) if a == address));
}
