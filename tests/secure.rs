//! Devices over DTLS, as processes: keys, who may have which name, restarts, revocation.
#![cfg(feature = "compiler")]

mod common;

use std::path::Path;
use std::time::Duration;

use common::process::{Device, Server, run, tinsmith, wait};
use common::proxy::Proxy;
use serde_json::{Value, json};

/// Makes a key by the command line; identity and key.
fn credential(server: &Server, endpoints: &str, purpose: &str) -> (String, String) {
    let url = server.url();
    let made = run(&[
        "credential",
        "new",
        endpoints,
        "--for",
        purpose,
        "--server",
        &url,
        "--json",
    ]);
    let made: Value = serde_json::from_slice(&made.stdout).unwrap_or_else(|_| panic!("{made:?}"));
    let text = |name: &str| made[name].as_str().expect("text").to_owned();
    (text("identity"), text("key"))
}

fn credentials(server: &Server) -> Vec<Value> {
    let list = server.get("credentials");
    list["credentials"].as_array().expect("a list").clone()
}

/// Complete handshakes for management since the start of the server.
fn handshakes(server: &Server) -> u64 {
    let url = format!("{}/metrics", server.url());
    let mut response = common::process::agent().get(url).call().expect("an answer");
    let text = response.body_mut().read_to_string().expect("text");
    let name = "tinsmith_dtls_handshakes_total{listener=\"management\",result=\"completed\"} ";
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|count| count.parse().ok()).expect("a count")
}

fn log_of(folder: &Path, extra: &[&str]) -> Server {
    let extra: Vec<String> = extra.iter().map(|option| (*option).to_owned()).collect();
    Server::start(&folder.join("store"), &extra)
}

#[test]
fn a_device_gets_a_key_of_its_own_and_an_update() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut server = log_of(folder.path(), &["--secure-only"]);
    let (identity, key) = credential(&server, "pump-1", "bootstrap");
    let mut device = Device::start_secure(
        "pump-1",
        ("--bootstrap", server.coaps_bootstrap),
        (&identity, &key),
        &folder.path().join("flash"),
    );
    server.registered("pump-1");
    let all = credentials(&server);
    assert_eq!(all.len(), 2, "{all:?}");
    let own = all
        .iter()
        .find(|entry| entry["origin"] == "used")
        .expect("a key that the device got");
    assert_eq!(own["endpoints"], "pump-1");
    assert_eq!(own["purpose"], "management");
    assert!(all.iter().all(|entry| entry["key"] == Value::Null));

    let shown = server.get("devices/pump-1");
    assert_eq!(shown["security"], "psk", "{shown}");
    let identity = own["identity"].as_str().expect("text");
    assert_eq!(shown["identity"], format!("psk {identity}"));

    server.want("pump-1", "motion");
    server.installed("pump-1", "motion");

    // Whoever has another key, or none, is not let in under the name.
    let (other, its_key) = credential(&server, "pump-2", "management");
    let thief = Device::start_secure(
        "pump-1",
        ("--server", server.coaps),
        (&other, &its_key),
        &folder.path().join("thief"),
    );
    wait("the thief is refused", 20, || {
        let lines = thief.lines(0);
        lines.iter().any(|line| line.contains("4.03")).then_some(())
    });
    server.registered("pump-1");

    // Server and device die; nothing is lost, and the key is not a new one.
    server.restart();
    device.restart();
    server.registered("pump-1");
    server.installed("pump-1", "motion");
    assert!(credentials(&server).contains(own));
}

#[test]
fn an_association_outlives_the_server_and_ends_with_its_key() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut server = log_of(folder.path(), &[]);
    let (identity, key) = credential(&server, "tag-?", "management");
    let _device = Device::start_secure(
        "tag-1",
        ("--server", server.coaps),
        (&identity, &key),
        &folder.path().join("flash"),
    );
    server.registered("tag-1");
    assert_eq!(handshakes(&server), 1);
    for _ in 0..3 {
        server.restart();
        let read = server.get("devices/tag-1/resources/3/0/0");
        assert!(read.to_string().contains("Tinsmith"), "{read}");
        assert_eq!(handshakes(&server), 0);
    }

    // A stranger without a key does not get the name.
    let stranger = Device::start(
        "tag-2",
        server.bootstrap,
        "nrf52840",
        &folder.path().join("stranger"),
    );
    wait("the stranger is refused", 20, || {
        let lines = stranger.lines(0);
        lines.iter().any(|line| line.contains("4.03")).then_some(())
    });
    wait("it is in the audit log", 5, || {
        let log = server.get("audit").to_string();
        let written = log.contains("device.bootstrap") && log.contains("tag-2");
        written.then_some(())
    });

    let removed = run(&["credential", "remove", &identity, "--server", &server.url()]);
    assert!(removed.status.success(), "{removed:?}");
    wait("the device is out", 20, || {
        let (_, read) = server.ask(
            "GET",
            "devices/tag-1/resources/3/0/0?timeout=1",
            &Value::Null,
        )?;
        read.get("error").map(|_| ())
    });
    std::thread::sleep(Duration::from_millis(100));
    server.restart();
    let (status, _) = server
        .ask(
            "GET",
            "devices/tag-1/resources/3/0/0?timeout=1",
            &Value::Null,
        )
        .expect("an answer");
    assert_ne!(status, 200);
}

#[test]
fn keys_are_sealed_and_never_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = folder.path().join("store");
    let server = Server::start(&store, &[]);
    let secret = "00112233445566778899aabbccddeeff";
    let url = server.url();
    let new = |identity: &str| {
        tinsmith()
            .args(["credential", "new", "dev-*", "--identity", identity])
            .args(["--for", "management", "--server", &url])
            .env("TINSMITH_KEY", secret)
            .output()
            .expect("the program starts")
    };
    let made = new("group");
    assert!(made.status.success(), "{made:?}");
    assert!(!String::from_utf8_lossy(&made.stdout).contains(secret));
    let again = new("group");
    assert!(String::from_utf8_lossy(&again.stderr).contains("has a key already"));
    for (method, path, body) in [
        ("GET", "credentials", Value::Null),
        ("GET", "audit", Value::Null),
        (
            "POST",
            "credentials",
            json!({ "endpoints": "x", "purpose": "management", "key": "0011" }),
        ),
    ] {
        let (_, answer) = server.ask(method, path, &body).expect("an answer");
        let text = answer.to_string();
        assert!(!text.contains(secret) && !text.contains("0011\""), "{text}");
    }
    drop(server);
    let key: Vec<u8> = (0..16).map(|n| n * 0x11).collect();
    let mut found = 0;
    for file in walk(&store) {
        let bytes = std::fs::read(&file).expect("a file");
        let has = |needle: &[u8]| bytes.windows(needle.len()).any(|part| part == needle);
        assert!(!has(&key) && !has(secret.as_bytes()), "{}", file.display());
        found += usize::from(has(b"group"));
    }
    assert!(found > 0, "the record is there");
}

#[test]
fn keys_come_from_a_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = log_of(folder.path(), &[]);
    let url = server.url();
    let (secret, in_base64) = (
        "00112233445566778899aabbccddeeff",
        "ABEiM0RVZneImaq7zN3u/w==",
    );
    let file = folder.path().join("keys.csv");
    let lines = format!(
        "endpoint,identity,key,use\n\
         tag-1,one,{secret},management\n\
         \"tag-2\",,{in_base64},bootstrap\n\
         tag-3,three,0011,management\n\
         tag-4,one,{secret},management\n\
         ,five,{secret},management\n"
    );
    std::fs::write(&file, lines).expect("written");
    let file = file.display().to_string();
    let import = |more: &[&str]| {
        let command = ["credential", "import", &file, "--json", "--server", &url];
        let done = run(&[&command[..], more].concat());
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(!done.status.success(), "{done:?}");
        let said = text(&done.stderr);
        for (line, what) in [
            (4, "16 to 64 bytes"),
            (5, "other names"),
            (6, "no endpoint"),
        ] {
            let expected = format!("keys.csv:{line}: ");
            let told = said.lines().find(|told| told.contains(&expected));
            assert!(told.is_some_and(|told| told.contains(what)), "{said}");
        }
        assert!(!said.contains(secret) && !text(&done.stdout).contains(secret));
        let told: Value = serde_json::from_slice(&done.stdout).expect("JSON");
        let count = |name: &str| told[name].as_u64().expect("a number");
        let lines = told["refused"].as_array().expect("a list").len();
        (count("added"), count("unchanged"), lines)
    };
    assert_eq!(import(&["--dry-run"]), (2, 0, 3));
    assert_eq!(credentials(&server).len(), 0);
    assert_eq!(import(&[]), (2, 0, 3));
    let first = credentials(&server);
    assert_eq!(import(&[]), (0, 2, 3));
    assert_eq!(credentials(&server), first);
    let _device = Device::start_secure(
        "tag-1",
        ("--server", server.coaps),
        ("one", secret),
        &folder.path().join("flash"),
    );
    server.registered("tag-1");

    let export = run(&["credential", "export", "--server", &url]);
    let text = String::from_utf8(export.stdout).expect("text");
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines[0], "endpoint,identity,kind,use,origin,made");
    assert!(
        lines[1].starts_with("tag-1,one,psk,management,given,"),
        "{text}"
    );
    assert!(
        lines[2].starts_with("tag-2,tag-2,psk,bootstrap,given,"),
        "{text}"
    );
    assert_eq!(lines.len(), 3);
    let audit = server.get("audit").to_string();
    assert!(
        audit.contains("credential.import") && audit.contains("keys.csv"),
        "{audit}"
    );
    assert!(!text.contains(secret) && !audit.contains(secret));
}

#[test]
fn a_key_file_that_is_replaced_is_taken() {
    let public = |server: &Server| server.get("server")["public_key"].to_string();
    let folder = tempfile::tempdir().expect("a folder");
    let [one, other] = ["one", "other"].map(|name| folder.path().join(name));
    let key = |store: &Path| store.join("dtls-key.pem");
    let first = Server::start(&one, &[]);
    let known = public(&first);
    drop(first);
    let server = Server::start(&other, &[]);
    let before = public(&server);
    assert_ne!(before, known);
    // Half of one is not taken.
    std::fs::write(key(&other), "-----BEGIN PRIVATE KEY-----").expect("written");
    std::thread::sleep(Duration::from_secs(5));
    assert_eq!(public(&server), before);
    std::fs::copy(key(&one), key(&other)).expect("copied");
    wait("the new key is taken", 20, || {
        (public(&server) == known).then_some(())
    });
}

fn walk(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        match path.is_dir() {
            true => files.extend(walk(&path)),
            false => files.push(path),
        }
    }
    files
}

#[test]
fn a_restored_backup_goes_on_with_no_association() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut server = log_of(folder.path(), &[]);
    let (identity, key) = credential(&server, "tag-1", "management");
    let mut device = Device::start_secure(
        "tag-1",
        ("--server", server.coaps),
        (&identity, &key),
        &folder.path().join("flash"),
    );
    server.registered("tag-1");
    let backup = folder.path().join("backup").display().to_string();
    let saved = run(&["store", "backup", &backup, "--server", &server.url()]);
    assert!(saved.status.success(), "{saved:?}");
    server.kill();
    let store = folder.path().join("store");
    let kept = folder.path().join("sealing.key");
    std::fs::rename(store.join("sealing.key"), &kept).expect("made by serve");
    std::fs::remove_dir_all(&store).expect("removed");
    let restored = run(&[
        "store",
        "restore",
        &backup,
        "--store",
        &store.display().to_string(),
    ]);
    assert!(restored.status.success(), "{restored:?}");
    // The key that seals the others is not in the backup.
    assert!(!store.join("sealing.key").exists());
    std::fs::rename(&kept, store.join("sealing.key")).expect("moved");
    server.restart();
    // Record numbers may have been used since the backup: the device has to make another handshake.
    let path = "devices/tag-1/resources/3/0/0";
    let read = server.ask("GET", &format!("{path}?timeout=1"), &Value::Null);
    assert_ne!(read.expect("an answer").0, 200);
    device.restart();
    // It gives the association up when three timeouts have passed: 14 to 21 s.
    wait("it is read again", 30, || {
        let (status, _) = server.ask("GET", &format!("{path}?timeout=1"), &Value::Null)?;
        (status == 200).then_some(())
    });
    assert_eq!(handshakes(&server), 1);
}

/// `TINSMITH_KILLS` says how many; every second time the device's address changes too.
#[test]
fn kills_of_the_server_and_new_addresses_need_no_handshake() {
    let kills = common::times("TINSMITH_KILLS", 50);
    let folder = tempfile::tempdir().expect("a folder");
    let front = Proxy::socket();
    let uri = format!("tag-1=coaps://{}", front.local_addr().expect("bound"));
    let mut server = log_of(folder.path(), &["--lifetime", "2", "--bootstrap-uri", &uri]);
    let network = Proxy::new(front, server.coaps);
    let (identity, key) = credential(&server, "tag-1", "bootstrap");
    let device = Device::start_secure(
        "tag-1",
        ("--bootstrap", server.coaps_bootstrap),
        (&identity, &key),
        &folder.path().join("flash"),
    );
    server.registered("tag-1");
    assert_eq!(handshakes(&server), 1);
    let mut longest = Duration::ZERO;
    for kill in 0..kills {
        if kill % 2 == 1 {
            network.rebind();
        }
        server.restart();
        let begun = std::time::Instant::now();
        wait("the device answers", 20, || {
            let path = "devices/tag-1/resources/3/0/0?timeout=1";
            let (status, _) = server.ask("GET", path, &Value::Null)?;
            (status == 200).then_some(())
        });
        longest = longest.max(begun.elapsed());
        assert_eq!(handshakes(&server), 0, "kill {kill}");
    }
    let lines = device.lines(0);
    let lost = lines
        .iter()
        .find(|line| line.contains("did not register us"));
    assert_eq!(lost, None);
    println!("{kills} kills, the device answered after at most {longest:?}");
}
