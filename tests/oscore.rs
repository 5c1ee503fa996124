//! Devices with OSCORE against `tinsmith serve`, ours and aiocoap: contexts, restarts, names, revocation.
//!
//! aiocoap is installed from PyPI. Where that does not work its test says so and passes; with
//! `TINSMITH_REQUIRE_TOOLS` set, as `test.sh` sets it, it fails instead.
#![cfg(feature = "compiler")]

mod common;

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use common::process::{Device, Server, run, wait};
use serde_json::{Value, json};

const NAME: &str = "py-1";

fn here() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/server/tests/aiocoap")
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
struct Python {
    child: Child,
    lines: Receiver<String>,
}

impl Python {
    fn start(python: &Path, port: u16, context: &Path) -> Self {
        let mut command = Command::new(python);
        command.arg(here().join("device.py"));
        command.arg(port.to_string()).arg(context).arg(NAME);
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
        Python { child, lines }
    }

    fn says(&self, expected: &str) {
        let line = self.lines.recv_timeout(Duration::from_secs(60));
        assert_eq!(line.expect("it says something"), expected);
    }

    fn update(&mut self) {
        let input = self.child.stdin.as_mut().expect("piped");
        input.write_all(b"update\n").expect("written");
        self.says("updated 2.04");
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Makes a context by the command line, and the folder that aiocoap wants.
fn credential(server: &Server, folder: &Path) -> PathBuf {
    let url = server.url();
    let made = run(&[
        "credential",
        "new",
        NAME,
        "--oscore",
        "--for",
        "management",
        "--id-context",
        "37cbf321",
        "--server",
        &url,
        "--json",
    ]);
    let made: Value = serde_json::from_slice(&made.stdout).unwrap_or_else(|_| panic!("{made:?}"));
    let its = &made["oscore"];
    assert_eq!(
        (&its["recipient_id"], &its["id_context"]),
        (&json!("01"), &json!("37cbf321"))
    );
    let settings = json!({
        "sender-id_hex": its["sender_id"],
        "recipient-id_hex": its["recipient_id"],
        "id-context_hex": its["id_context"],
        "secret_hex": made["key"],
        "salt_hex": its["master_salt"],
        "window": 32,
    });
    let context = folder.join("context");
    std::fs::create_dir_all(&context).expect("a folder");
    let file = context.join("settings.json");
    std::fs::write(file, settings.to_string()).expect("written");
    context
}

#[test]
fn a_device_with_aiocoap_and_those_that_want_its_name() {
    let Some(python) = python() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let store = folder.path().join("store");
    let mut server = Server::start(&store, &[]);
    let context = credential(&server, folder.path());
    let mut device = Python::start(&python, server.coap.port(), &context);
    device.says("registered 2.01");
    let shown = server.get(&format!("devices/{NAME}"));
    assert_eq!(shown["security"], "oscore", "{shown}");
    let maker = format!("devices/{NAME}/resources/3/0/0");
    let read = |server: &Server| server.get(&maker).to_string();
    assert!(read(&server).contains("aiocoap"));

    // Who has no context does not get the name.
    let stranger = Device::start(
        NAME,
        server.bootstrap,
        "nrf52840",
        &folder.path().join("stranger"),
    );
    wait("the stranger is refused", 30, || {
        let lines = stranger.lines(0);
        lines.iter().any(|line| line.contains("4.03")).then_some(())
    });
    wait("it is in the audit log", 10, || {
        let log = server.get("audit").to_string();
        (log.contains("device.bootstrap") && log.contains(NAME)).then_some(())
    });
    drop(stranger);

    // Killed, it asks at once, and the device shows that it is fresh.
    for _ in 0..2 {
        server.restart();
        assert!(read(&server).contains("aiocoap"));
        device.update();
    }

    let listed = server.get("credentials").to_string();
    let secret = std::fs::read_to_string(context.join("settings.json")).expect("text");
    let secret: Value = serde_json::from_str(&secret).expect("JSON");
    let secret = secret["secret_hex"].as_str().expect("text");
    assert!(!listed.contains(secret), "{listed}");
    let identity = server.get("credentials")["credentials"][0]["identity"].clone();
    let identity = identity.as_str().expect("text");
    let removed = run(&["credential", "remove", identity, "--server", &server.url()]);
    assert!(removed.status.success(), "{removed:?}");
    let asked = server.ask("GET", &format!("{maker}?timeout=2"), &Value::Null);
    assert_ne!(asked.expect("an answer").0, 200);
}

/// Bootstrapped, registered and updated with OSCORE all the way, over the death of either side.
#[test]
fn our_device_gets_a_context_of_its_own_and_a_model() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut server = Server::start(&folder.path().join("store"), &[]);
    let url = server.url();
    let made = run(&[
        "credential",
        "new",
        "own-1",
        "--oscore",
        "--server",
        &url,
        "--json",
    ]);
    let made: Value = serde_json::from_slice(&made.stdout).unwrap_or_else(|_| panic!("{made:?}"));
    let flash = folder.path().join("flash");
    let mut device = Device::start_oscore("own-1", server.bootstrap, &made, &flash);
    server.registered("own-1");
    assert_eq!(server.get("devices/own-1")["security"], "oscore");
    let listed = server.get("credentials");
    let listed = listed["credentials"].as_array().expect("a list");
    let own = listed.iter().find(|entry| entry["purpose"] == "management");
    let own = own.unwrap_or_else(|| panic!("{listed:?}"));
    assert_eq!(
        (&own["kind"], &own["origin"]),
        (&json!("oscore"), &json!("used"))
    );

    server.want("own-1", "motion");
    server.installed("own-1", "motion");
    let maker = "devices/own-1/resources/3/0/0?timeout=5";
    let answers = |server: &Server| {
        wait("the device answers", 60, || {
            let (status, read) = server.ask("GET", maker, &Value::Null)?;
            (status == 200).then(|| assert!(read.to_string().contains("Tinsmith"), "{read}"))
        });
    };
    server.restart();
    answers(&server);
    let said = device.line_count();
    device.restart();
    wait("it registers again", 60, || {
        let lines = device.lines(said);
        lines
            .iter()
            .any(|line| line.contains("registered at"))
            .then_some(())
    });
    answers(&server);
    server.installed("own-1", "motion");

    // Its first context is of no use for anything else, its own none when it is taken away.
    let identity = own["identity"].as_str().expect("text");
    let removed = run(&["credential", "remove", identity, "--server", &server.url()]);
    assert!(removed.status.success(), "{removed:?}");
    let asked = server.ask(
        "GET",
        "devices/own-1/resources/3/0/0?timeout=2",
        &Value::Null,
    );
    assert_ne!(asked.expect("an answer").0, 200);
}
