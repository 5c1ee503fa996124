//! Leshan's client library against our server, over real sockets: `tests/peers/leshan`.
//!
//! Without Java 17 and Maven (or without the packages that Maven fetches) the tests say so and
//! pass; with `TINSMITH_REQUIRE_TOOLS` set, as `test.sh` sets it, they fail instead.

mod common;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use common::leshan::{Leshan, class_path};
use lwm2m_objects::{OwnedValue, Path};
use sha2::{Digest, Sha256};
use tinsmith_lwm2m::{Event, Operation, Outcome, PathValue, Registration};
use tinsmith_server::{Config, ServerHandle, Told, start};
use tinsmith_store::MemoryStore;
use tokio::sync::broadcast;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(30);
const REQUEST_MS: u64 = 20_000;

/// A client with this name, and the server that it knows by an option.
fn client(class_path: &str, endpoint: &str, option: &str, server: SocketAddr) -> Leshan {
    let server = format!("coap://{server}");
    Leshan::start(class_path, "Main", &[endpoint, option, &server])
}

/// A server on loopback and what it tells.
struct Server {
    handle: ServerHandle,
    told: broadcast::Receiver<Told>,
}

impl Server {
    async fn start() -> Self {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let config = Config {
            coap: any,
            bootstrap_listener: Some(any),
            ..Config::default()
        };
        let store = Arc::new(MemoryStore::new());
        let handle = start(config, store, Arc::new(|_, _| {}))
            .await
            .expect("loopback");
        let told = handle.subscribe();
        Server { handle, told }
    }

    /// The first event from now on that `pick` takes.
    async fn event<T>(&mut self, what: &str, pick: impl Fn(&Event) -> Option<T>) -> T {
        let find = async {
            loop {
                if let Told::Device(event) = self.told.recv().await.expect("the server runs")
                    && let Some(found) = pick(&event)
                {
                    return found;
                }
            }
        };
        timeout(PATIENCE, find)
            .await
            .unwrap_or_else(|_| panic!("the server never told {what}"))
    }

    async fn registered(&mut self) -> Arc<Registration> {
        self.event("a registration", |event| match event {
            Event::Registered { registration, .. } => Some(Arc::clone(registration)),
            _ => None,
        })
        .await
    }

    async fn request(&self, endpoint: &str, operation: Operation) -> Outcome {
        self.handle
            .request(endpoint, operation, REQUEST_MS)
            .await
            .expect("the server runs")
    }

    async fn read(&self, endpoint: &str, path: Path) -> Vec<PathValue> {
        match self.request(endpoint, Operation::read(path)).await {
            Outcome::Content(values) => values,
            other => panic!("read {path}: {other:?}"),
        }
    }

    async fn read_integer(&self, endpoint: &str, path: Path) -> i64 {
        let values = self.read(endpoint, path).await;
        values[0]
            .value
            .as_i64()
            .unwrap_or_else(|| panic!("{path}: {values:?}"))
    }

    async fn execute(&self, endpoint: &str, path: Path) -> Outcome {
        self.request(
            endpoint,
            Operation::Execute {
                path,
                arguments: String::new(),
            },
        )
        .await
    }

    async fn write(&self, endpoint: &str, path: Path, value: OwnedValue) -> Outcome {
        let values = vec![(path, value)];
        self.request(endpoint, Operation::write(path, values, true))
            .await
    }
}

fn of(values: &[PathValue], path: Path) -> &OwnedValue {
    let found = values.iter().find(|v| v.path == path);
    &found
        .unwrap_or_else(|| panic!("{path} is not in {values:?}"))
        .value
}

#[tokio::test(flavor = "multi_thread")]
async fn is_managed() {
    let Some(class_path) = class_path() else {
        return;
    };
    let mut server = Server::start().await;
    let name = "leshan-managed";
    let address = server.handle.addresses().coap;
    let mut leshan = client(class_path, name, "--server", address);

    let registration = server.registered().await;
    assert_eq!(&*registration.endpoint, name);
    assert_eq!(registration.announced.version, "1.1");
    assert_eq!(registration.lifetime, 60);
    let announces = |path| {
        registration
            .announced
            .objects
            .iter()
            .any(|(at, _)| *at == path)
    };
    assert!(announces(Path::instance(3, 0)), "{registration:?}");
    assert!(announces(Path::instance(5, 0)), "{registration:?}");
    leshan.line("registered").await;

    for format in ["TLV", "SENML_CBOR", "SENML_JSON"] {
        leshan.say(&format!("format {format}"));
        leshan.line("format").await;
        let device = server.read(name, Path::instance(3, 0)).await;
        let text = |id| of(&device, Path::resource(3, 0, id)).as_str();
        assert_eq!(text(0), Some("Tinsmith tests"), "{format}");
        assert_eq!(text(14), Some("+00:00"), "{format}");
        let level = of(&device, Path::resource(3, 0, 9)).as_i64();
        assert_eq!(level, Some(100), "{format}");
        let error = of(&device, Path::resource_instance(3, 0, 11, 0)).as_i64();
        assert_eq!(error, Some(1), "{format}");
        assert!(leshan.line("read /3/0 ").await.ends_with("2.05"));
    }

    let offset = Path::resource(3, 0, 14);
    let written = server
        .write(name, offset, OwnedValue::String("+02:00".into()))
        .await;
    assert_eq!(written, Outcome::Done);
    assert!(leshan.line("write /3/0/14").await.ends_with("+02:00 2.04"));
    assert_eq!(
        of(&server.read(name, offset).await, offset).as_str(),
        Some("+02:00")
    );

    let executed = server.execute(name, Path::resource(3, 0, 12)).await;
    assert_eq!(executed, Outcome::Done);
    assert_eq!(leshan.line("execute").await, "execute /3/0/12 - 2.04");
    let error = server.read(name, Path::resource(3, 0, 11)).await;
    assert_eq!(
        of(&error, Path::resource_instance(3, 0, 11, 0)).as_i64(),
        Some(0)
    );

    let refused = server.execute(name, Path::resource(3, 0, 9)).await;
    assert!(
        matches!(refused, Outcome::Rejected { code: 0x85, .. }),
        "{refused:?}"
    );
    let missing = server
        .request(name, Operation::read(Path::instance(3, 7)))
        .await;
    assert!(
        matches!(missing, Outcome::Rejected { code: 0x84, .. }),
        "{missing:?}"
    );
    let links = server
        .request(
            name,
            Operation::Discover {
                path: Path::object(3),
            },
        )
        .await;
    assert!(
        matches!(&links, Outcome::Links(text) if text.contains("</3/0/9>")),
        "{links:?}"
    );

    let lifetime = Path::resource(1, 0, 1);
    let written = server.write(name, lifetime, OwnedValue::Integer(120)).await;
    assert_eq!(written, Outcome::Done);
    leshan.line("updated").await;
    let lifetime = server
        .event("an Update with the new lifetime", |event| match event {
            Event::Updated { registration, .. } => Some(registration.lifetime),
            _ => None,
        })
        .await;
    assert_eq!(lifetime, 120);

    leshan.close();
    leshan.line("deregistered").await;
    server
        .event("the deregistration", |event| {
            matches!(event, Event::Deregistered { expired: false, .. }).then_some(())
        })
        .await;
    server.handle.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn notifies() {
    let Some(class_path) = class_path() else {
        return;
    };
    let mut server = Server::start().await;
    let name = "leshan-observed";
    let address = server.handle.addresses().coap;
    let mut leshan = client(class_path, name, "--server", address);
    server.registered().await;

    let battery = Path::resource(3, 0, 9);
    let first = server.request(name, Operation::observe(battery)).await;
    let Outcome::Content(values) = first else {
        panic!("{first:?}")
    };
    assert_eq!(of(&values, battery).as_i64(), Some(100));

    for level in [42, 41, 7] {
        leshan.say(&format!("battery {level}"));
        let told = server
            .event("a notification", |event| match event {
                Event::Notified { target, values, .. } if *target == battery => {
                    of(values, battery).as_i64()
                }
                _ => None,
            })
            .await;
        assert_eq!(told, level);
    }

    let cancelled = server
        .request(name, Operation::cancel_observe(battery))
        .await;
    assert!(
        matches!(cancelled, Outcome::Done | Outcome::Content(_)),
        "the cancellation was answered {cancelled:?}"
    );
    server.handle.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn takes_a_package() {
    let Some(class_path) = class_path() else {
        return;
    };
    let mut server = Server::start().await;
    let name = "leshan-updated";
    let address = server.handle.addresses().coap;
    let mut leshan = client(class_path, name, "--server", address);
    server.registered().await;

    let body: Arc<[u8]> = (0..20_011u32).map(|i| (i * 7 + i / 256) as u8).collect();
    let digest: String = Sha256::digest(&body)
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();
    let path = Path::resource(5, 0, 0);
    let push = Operation::Push {
        path,
        body: Arc::clone(&body).into(),
        from: 0,
        tag: *b"leshan-1",
    };
    assert_eq!(server.request(name, push).await, Outcome::Done);
    assert_eq!(
        leshan.line("package").await,
        format!("package {} {digest}", body.len())
    );
    let state = Path::resource(5, 0, 3);
    assert_eq!(server.read_integer(name, state).await, 2);
    assert_eq!(
        server.execute(name, Path::resource(5, 0, 2)).await,
        Outcome::Done
    );
    assert_eq!(server.read_integer(name, state).await, 0);
    assert_eq!(server.read_integer(name, Path::resource(5, 0, 5)).await, 1);
    server.handle.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bootstraps() {
    let Some(class_path) = class_path() else {
        return;
    };
    let mut server = Server::start().await;
    let name = "leshan-bootstrapped";
    let address = server.handle.addresses().bootstrap.expect("configured");
    let mut leshan = client(class_path, name, "--bootstrap", address);

    let error = server
        .event("the bootstrap", |event| match event {
            Event::Bootstrapped { error, .. } => Some(error.clone()),
            _ => None,
        })
        .await;
    assert_eq!(error, None);
    leshan.line("bootstrapped").await;
    let registration = server.registered().await;
    assert_eq!(&*registration.endpoint, name);
    assert_eq!(registration.lifetime, 300);
    leshan.line("registered").await;
    assert_eq!(
        server.read_integer(name, Path::resource(1, 0, 0)).await,
        123
    );
    server.handle.shutdown().await;
}
