//! What the server keeps, when the disk or its files fail it: nothing is lost without a word, a
//! full disk is survived, a backup is a store.
#![cfg(feature = "compiler")]

mod common;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use common::process::{Process, Server, agent, run, serve, wait};
use serde_json::{Value, json};

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder") {
        let path = entry.expect("an entry").path();
        let target = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            copy(&path, &target);
        } else {
            std::fs::copy(&path, &target).expect("a file");
        }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn lost_commits_are_told_and_accepted_only_when_said() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = folder.path().join("store");
    let name = store.display().to_string();
    let mut server = Server::start(&store, &[]);
    server.want("a", "motion");
    server.kill();
    let old = folder.path().join("old");
    let parts = ["records", "journal"];
    for part in parts {
        copy(&store.join(part), &old.join(part));
    }
    server.restart();
    server.want("b", "motion");
    let busy = run(&["store", "check", "--store", &name]);
    assert!(!busy.status.success());
    assert!(text(&busy.stderr).contains("running"), "{busy:?}");
    server.kill();
    assert!(run(&["store", "check", "--store", &name]).status.success());

    for part in parts {
        std::fs::remove_dir_all(store.join(part)).expect("it is there");
        copy(&old.join(part), &store.join(part));
    }
    let check = run(&["store", "check", "--json", "--store", &name]);
    assert!(!check.status.success());
    let report: Value = serde_json::from_slice(&check.stdout).expect("JSON");
    let loss = report["loss"].as_str().expect("a loss");
    assert!(
        loss.contains("commits that were durable are missing"),
        "{loss}"
    );
    let any = "127.0.0.1:0";
    let serve = [
        "serve",
        "--coap",
        any,
        "--bootstrap",
        any,
        "--http",
        any,
        "--store",
        &name,
    ];
    let refused = run(&serve);
    assert!(!refused.status.success());
    let said = text(&refused.stderr);
    assert!(
        said.contains("missing") && said.contains("--accept-loss"),
        "{said}"
    );

    let server = Server::start(&store, &["--accept-loss".to_owned()]);
    let list = server.get("devices");
    let names: Vec<_> = list["devices"].as_array().expect("a list").iter().collect();
    assert_eq!(names.len(), 1, "{list:#}");
    drop(server);
    drop(Server::start(&store, &[]));
}

#[test]
fn a_backup_of_a_running_server_is_restored() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(&folder.path().join("store"), &[]);
    server.want("a", "motion");
    let file = folder.path().join("backup").display().to_string();
    let made = run(&[
        "store",
        "backup",
        &file,
        "--json",
        "--server",
        &server.url(),
    ]);
    assert!(made.status.success(), "{made:?}");
    let made: Value = serde_json::from_slice(&made.stdout).expect("JSON");
    assert!(made["records"].as_u64() >= Some(1), "{made}");
    drop(server);

    let other = folder.path().join("other");
    let name = other.display().to_string();
    let restored = run(&["store", "restore", &file, "--store", &name]);
    assert!(restored.status.success(), "{restored:?}");
    assert!(run(&["store", "check", "--store", &name]).status.success());
    let again = run(&["store", "restore", &file, "--store", &name]);
    assert!(text(&again.stderr).contains("not empty"), "{again:?}");
    let offline = folder.path().join("offline").display().to_string();
    let offline = run(&["store", "backup", &offline, "--store", &name]);
    assert!(offline.status.success(), "{offline:?}");
    let server = Server::start(&other, &[]);
    assert_eq!(server.get("devices/a")["desired"]["model"], "motion");
}

/// A small disk.
struct Disk(tempfile::TempDir);

impl Disk {
    fn new(size: &str) -> Option<Self> {
        let folder = tempfile::tempdir().expect("a folder");
        let options = format!("size={size}");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "tmpfs"])
            .arg(folder.path())
            .output();
        match mounted {
            Ok(output) if output.status.success() => Some(Self(folder)),
            other => {
                eprintln!("skipped: no small disk can be mounted here ({other:?})");
                None
            }
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

fn ready(server: &str) -> Option<u16> {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .build()
        .into();
    let answer = agent.get(format!("{server}/readyz")).call().ok()?;
    Some(answer.status().as_u16())
}

#[test]
fn a_full_disk_is_told_once_and_survived() {
    let Some(disk) = Disk::new("56m") else { return };
    let mut child = serve(&disk.0.path().join("store"))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let log = Arc::new(Mutex::new(Vec::new()));
    let (lines, stderr) = (log.clone(), child.stderr.take().expect("a pipe"));
    std::thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            lines.lock().expect("no panic").push(line);
        }
    });
    let mut line = String::new();
    let stdout = child.stdout.take().expect("a pipe");
    BufReader::new(stdout).read_line(&mut line).expect("text");
    let _process = Process::own(child);
    let addresses: Value = serde_json::from_str(&line).expect("one line of JSON");
    let url = format!("http://{}", addresses["http"].as_str().expect("an address"));
    let want = |device: &str| {
        let agent = agent();
        let path = format!("{url}/api/v1/devices/{device}/model");
        let answer = agent
            .put(path)
            .send_json(json!({ "model": "motion", "expect": true }));
        let mut answer = answer.expect("the server answers");
        let body: Value = answer.body_mut().read_json().expect("JSON");
        (answer.status().as_u16(), body)
    };
    assert_eq!(want("a").0, 200);
    assert_eq!(ready(&url), Some(200));

    let filler = disk.0.path().join("filler");
    std::fs::write(&filler, vec![1; 30 << 20]).expect("room for it");
    assert_eq!(ready(&url), Some(503));
    let end = Instant::now() + Duration::from_secs(3);
    let mut tries = 0;
    while Instant::now() < end {
        let (status, body) = want(&format!("b-{tries}"));
        assert_eq!(status, 507, "{body}");
        assert_eq!(body["error"]["code"], "disk_full");
        tries += 1;
    }
    assert!(tries > 10);

    std::fs::remove_file(&filler).expect("it is there");
    wait("the server is ready again", 5, || {
        (ready(&url) == Some(200)).then_some(())
    });
    assert_eq!(want("c").0, 200);
    let log = log.lock().expect("no panic").clone();
    assert!(log.iter().any(|line| line.contains("full")), "{log:#?}");
    assert!(log.len() < 10, "{} lines: {:#?}", log.len(), &log[..10]);
}
