//! aiocoap as a device with OSCORE: registered, read and written in blocks, observed; before and
//! after a restart of the server.
//!
//! It is installed from PyPI. Where that does not work a test says so and passes; with
//! `TINSMITH_REQUIRE_TOOLS` set, as `test.sh` sets it, it fails instead.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use lwm2m_objects::{OwnedValue, Path as Resource};
use tinsmith_lwm2m::{Event, Identity, Operation, Outcome};
use tinsmith_security::{Context, Key, Keys, Origin, Purpose, Seal};
use tinsmith_server::{Config, SecureConfig, ServerHandle, StartError, Told, start};
use tinsmith_store::{MemoryStore, Store};

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
const NAME: &str = "py-1";

fn here() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/aiocoap")
}

/// The interpreter that has aiocoap; none, and said so, if it can't be made.
fn python() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("aiocoap");
    let python = folder.join("bin/python");
    let runs = |command: &mut Command| {
        let command = command.stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    let works = || {
        let version = "import aiocoap.oscore, aiocoap.meta as m; assert m.version == '0.4.17'";
        runs(Command::new(&python).args(["-c", version]))
    };
    if !works() {
        runs(Command::new("python3").args(["-m", "venv"]).arg(&folder));
        let install = ["-m", "pip", "install", "--quiet", "-r"];
        let requirements = here().join("requirements.txt");
        runs(Command::new(&python).args(install).arg(requirements));
    }
    if !works() {
        let required = std::env::var_os("TINSMITH_REQUIRE_TOOLS").is_some();
        assert!(!required, "aiocoap can't be installed");
        println!("skipped: python3, its venv or aiocoap from PyPI is missing");
        return None;
    }
    Some(python)
}

/// aiocoap as a process, ended with the test.
struct Device {
    child: Child,
    lines: Receiver<String>,
}

impl Device {
    fn start(python: &Path, server: SocketAddr) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("aiocoap-device");
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).expect("a folder");
        let settings = r#"{"sender-id_hex": "0a0b", "recipient-id_hex": "01", "window": 32,
            "id-context_hex": "37cbf321",
            "secret_hex": "0102030405060708090a0b0c0d0e0f10", "salt_hex": "9e7ca92223786340"}"#;
        std::fs::write(folder.join("settings.json"), settings).expect("written");
        let mut command = Command::new(python);
        command.arg(here().join("device.py"));
        command.arg(server.port().to_string()).arg(folder).arg(NAME);
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("it starts");
        let stdout = child.stdout.take().expect("piped");
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Device { child, lines }
    }

    fn says(&self, expected: &str) {
        let line = self.lines.recv_timeout(PATIENCE);
        assert_eq!(line.expect("it says something"), expected);
    }

    fn update(&mut self) {
        let input = self.child.stdin.as_mut().expect("piped");
        input.write_all(b"update\n").expect("written");
        self.says("updated 2.04");
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn serve(store: &MemoryStore, coap: SocketAddr) -> ServerHandle {
    let begun = std::time::Instant::now();
    loop {
        match try_serve(store, coap).await {
            Ok(server) => return server,
            // The threads of the one before are about to end.
            Err(StartError::Bind { .. }) if begun.elapsed() < PATIENCE => {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Err(error) => panic!("{error}"),
        }
    }
}

async fn try_serve(store: &MemoryStore, coap: SocketAddr) -> Result<ServerHandle, StartError> {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let store: Arc<dyn Store> = Arc::new(store.restart());
    let seal: Arc<dyn Seal> = Arc::new(Key::new(&[1; 32]));
    let keys = Keys::open(Arc::clone(&store), seal, true).await;
    let keys = keys.expect("it can be read");
    let context = Context {
        endpoint: NAME.into(),
        purpose: Purpose::Management,
        origin: Origin::Given,
        made: 0,
        device: vec![0x0a, 0x0b],
        server: vec![1],
        id_context: Some(vec![0x37, 0xcb, 0xf3, 0x21]),
        secret: (1..=16).collect::<Vec<u8>>().into(),
        salt: vec![0x9e, 0x7c, 0xa9, 0x22, 0x23, 0x78, 0x63, 0x40],
    };
    // It is there already after a restart.
    let _ = keys.add_context(context).await;
    let config = Config {
        coap,
        bootstrap_listener: None,
        shards: 2,
        secure: Some(SecureConfig {
            management: any,
            bootstrap: None,
            keys: Arc::new(keys),
            associations: Key::new(&[2; 32]),
            own: None,
        }),
        ..Config::default()
    };
    start(config, store, Arc::new(|_, _| {})).await
}

fn path(text: &str) -> Resource {
    text.parse().expect("a path")
}

async fn ask(server: &ServerHandle, operation: Operation) -> Outcome {
    let asked = server.request(NAME, operation, 30_000).await;
    asked.expect("an outcome")
}

async fn value(server: &ServerHandle, resource: &str) -> OwnedValue {
    match ask(server, Operation::read(path(resource))).await {
        Outcome::Content(mut values) => values.remove(0).value,
        other => panic!("{other:?}"),
    }
}

/// Waits for so many notifications.
async fn notified(told: &mut tokio::sync::broadcast::Receiver<Told>, count: usize) {
    let wait = async {
        let mut seen = 0;
        while seen < count {
            if let Ok(Told::Device(event)) = told.recv().await
                && matches!(*event, Event::Notified { .. })
            {
                seen += 1;
            }
        }
    };
    let waited = tokio::time::timeout(PATIENCE, wait).await;
    waited.expect("it notifies");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_with_aiocoap() {
    let Some(python) = python() else { return };
    let store = MemoryStore::new();
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let server = serve(&store, any).await;
    let coap = server.addresses().coap;
    let mut device = Device::start(&python, coap);
    device.says("registered 2.01");
    let known = server
        .device(NAME)
        .await
        .expect("an answer")
        .expect("it is there");
    assert_eq!(known.identity, Some(Identity::Oscore(vec![0x0a, 0x0b])));

    let maker = value(&server, "/3/0/0").await;
    assert_eq!(maker, OwnedValue::String("aiocoap".into()));
    let large = OwnedValue::Opaque(b"0123456789".repeat(300));
    assert_eq!(value(&server, "/19/0/0").await, large);
    let other = OwnedValue::Opaque(b"abcdefgh".repeat(500));
    let target = path("/19/0/0");
    let write = Operation::write(target, vec![(target, other.clone())], true);
    assert_eq!(ask(&server, write).await, Outcome::Done);
    assert_eq!(value(&server, "/19/0/0").await, other);

    let mut told = server.subscribe();
    let observed = ask(&server, Operation::observe(path("/3303/0/5700"))).await;
    assert!(matches!(observed, Outcome::Content(_)), "{observed:?}");
    notified(&mut told, 3).await;
    device.update();
    server.shutdown().await;

    // Another process: it is asked at once, shows that it is fresh, and notifies again.
    let server = serve(&store, coap).await;
    let mut told = server.subscribe();
    let maker = value(&server, "/3/0/0").await;
    assert_eq!(maker, OwnedValue::String("aiocoap".into()));
    device.update();
    notified(&mut told, 3).await;
    let keys = Arc::clone(server.keys().expect("they are there"));
    assert_eq!(keys.remove_context("oscore:0a0b").await, Ok(true));
    let read = ask(&server, Operation::read(path("/3/0/0"))).await;
    assert!(!read.is_success(), "{read:?}");
    server.shutdown().await;
}
