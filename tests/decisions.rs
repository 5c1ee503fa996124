//! What an operator decides of a device beyond "run this": going back, versions, deleting.
#![cfg(feature = "compiler")]

mod common;

use std::path::Path;

use common::process::{Device, Server, run, wait, write};
use serde_json::{Value, json};

/// A server and a device that is registered.
fn pair(lifetime: &str) -> (tempfile::TempDir, Server, Device) {
    let folder = tempfile::tempdir().expect("a folder");
    let lifetime = ["--lifetime".to_owned(), lifetime.to_owned()];
    let server = Server::start(&folder.path().join("store"), &lifetime);
    let flash = folder.path().join("flash");
    let device = Device::start("dev", server.bootstrap, "nrf52840", &flash);
    server.registered("dev");
    (folder, server, device)
}

fn command(server: &Server, arguments: &[&str]) -> (bool, String) {
    let url = server.url();
    let output = run(&[arguments, &["--server", &url]].concat());
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8(text).expect("text");
    (output.status.success(), text)
}

fn active(device: &Value) -> (&Value, &Value) {
    let slots = device["slots"].as_array().expect("slots");
    let active = slots.iter().find(|slot| slot["state"] == "active");
    let active = active.expect("an active slot");
    (&active["model"], &active["instance"])
}

#[test]
fn a_device_goes_back_without_a_transfer() {
    let (_folder, server, _device) = pair("300");
    let (done, text) = command(&server, &["rollback", "dev"]);
    assert!(!done && text.contains("'dev'"), "{text}");
    for model in ["motion", "maintenance"] {
        let (done, text) = command(&server, &["update", "dev", "--model", model]);
        assert!(done, "{text}");
    }
    let (done, text) = command(&server, &["rollback", "dev"]);
    assert!(done && text.contains("runs motion 1.0.0"), "{text}");
    let device = server.get("devices/dev");
    assert_eq!(active(&device).0, "motion");
    assert_eq!(device["last"]["transfer_ms"], Value::Null, "{device:#}");
    assert_eq!(device["last"]["failure"], Value::Null);

    // The device itself goes back; nobody undoes it.
    let slot = active(&device).1;
    let path = format!("devices/dev/resources/27303/{slot}/11");
    server.post(&path, &json!({}));
    let device = wait("the server sees it", 30, || {
        let device = server.get("devices/dev");
        (device["state"] == "rolled_back").then_some(device)
    });
    let detail = device["detail"].as_str().expect("text");
    assert!(
        detail.contains("went back to maintenance 1.0.0"),
        "{detail}"
    );
    std::thread::sleep(std::time::Duration::from_secs(2));
    let device = server.get("devices/dev");
    assert_eq!(device["state"], "rolled_back");
    assert_eq!(active(&device).0, "maintenance");
    let (done, text) = command(&server, &["rollback", "dev"]);
    assert!(done && text.contains("runs maintenance 1.0.0"), "{text}");
}

/// Adds the shipped model `motion` as `mine` in a version, with so many classes renamed.
fn add(server: &Server, folder: &Path, version: &str, renamed: usize) -> (bool, String) {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/motion");
    let file = |name: &str| models.join(name).display().to_string();
    let card = std::fs::read(models.join("card.json")).expect("a card");
    let mut card: Value = serde_json::from_slice(&card).expect("JSON");
    card["name"] = "mine".into();
    card["version"] = version.into();
    for label in 0..renamed {
        card["labels"][label] = format!("class {label}").into();
    }
    let card = write(&folder.join("card.json"), card.to_string().as_bytes());
    let (onnx, calibration) = (file("model.onnx"), file("calibration.npz"));
    let files = ["--card", &card, "--calibration", &calibration];
    command(server, &[&["model", "add", &onnx], &files[..]].concat())
}

fn running(server: &Server, device: &str) -> (Value, Value) {
    let device = server.settled(device);
    assert_eq!(device["state"], "installed", "{device:#}");
    let slots = device["slots"].as_array().expect("slots").iter();
    let active = slots.clone().find(|slot| slot["state"] == "active");
    let active = active.expect("an active slot");
    (active["model"].clone(), active["version"].clone())
}

#[test]
fn versions_are_never_changed_and_the_wanted_one_is_installed() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(&folder.path().join("store"), &[]);
    let add = |version, renamed| add(&server, folder.path(), version, renamed);
    let (done, text) = add("9.0", 0);
    assert!(done && text.contains("added mine 9.0"), "{text}");
    let (done, text) = add("9.0", 0);
    assert!(done, "the same again: {text}");
    let (done, text) = add("9.0", 1);
    assert!(
        !done && text.contains("has a version 9.0 already"),
        "{text}"
    );

    // Who waits for a version gets that one.
    server.want("late", "mine");
    let (done, text) = add("10.0", 1);
    assert!(done, "{text}");
    let models = server.get("models/mine");
    assert_eq!(models["versions"], json!(["9.0", "10.0"]));
    assert_eq!(models["version"], "10.0");
    let flash = folder.path().join("flash");
    let _device = Device::start("late", server.bootstrap, "nrf52840", &flash);
    server.registered("late");
    assert_eq!(running(&server, "late"), (json!("mine"), json!("9.0")));

    let (done, text) = command(&server, &["update", "late", "--model", "mine"]);
    assert!(done && !text.contains("downgrade"), "{text}");
    assert_eq!(running(&server, "late"), (json!("mine"), json!("10.0")));
    let (done, text) = command(&server, &["update", "late", "--model", "mine@9.0"]);
    assert!(done && text.contains("a downgrade, 10.0 to 9.0"), "{text}");
    assert_eq!(running(&server, "late"), (json!("mine"), json!("9.0")));
    let (done, text) = command(&server, &["update", "late", "--model", "mine@3"]);
    assert!(!done && text.contains("9.0, 10.0"), "{text}");

    // What is wanted stays, what is not can go.
    let (done, text) = command(&server, &["model", "remove", "mine"]);
    assert!(!done && text.contains("which version"), "{text}");
    let (done, text) = command(&server, &["model", "remove", "mine@9.0"]);
    assert!(!done && text.contains("wanted by 'late'"), "{text}");
    let (done, text) = command(&server, &["model", "remove", "mine@10.0"]);
    assert!(done, "{text}");
    let (done, text) = command(&server, &["device", "remove", "late"]);
    assert!(done, "{text}");
    let (done, text) = command(&server, &["model", "remove", "mine"]);
    assert!(done && text.contains("removed mine 9.0"), "{text}");
    let (done, _) = command(&server, &["model", "show", "mine"]);
    assert!(!done);
    let (done, text) = command(&server, &["model", "remove", "motion"]);
    assert!(!done && text.contains("came with the program"), "{text}");
}

#[test]
fn devices_and_builds_are_removed() {
    // It notices at its next Update.
    let (_folder, server, _device) = pair("10");
    let (done, text) = command(&server, &["update", "dev", "--model", "motion"]);
    assert!(done, "{text}");
    let (_, text) = command(&server, &["build", "list"]);
    assert!(
        text.contains("motion") && text.contains("nrf52840"),
        "{text}"
    );
    let builds = server.get("builds");
    let key = builds["builds"][0]["key"].as_str().expect("a key");
    let (done, text) = command(&server, &["build", "remove", &key[..12]]);
    assert!(done && text.contains("removed 1"), "{text}");
    let (done, text) = command(&server, &["build", "remove", "--all"]);
    assert!(done && text.contains("removed 0"), "{text}");
    let (done, _) = command(&server, &["build", "remove", key]);
    assert!(!done);

    let (done, text) = command(&server, &["device", "remove", "dev"]);
    assert!(done && text.contains("removed dev"), "{text}");
    // It comes again as a new one, and runs what it ran.
    let device = wait("the device comes again", 60, || {
        let (status, device) = server.ask("GET", "devices/dev", &Value::Null)?;
        (status == 200 && device["slots"][0]["state"] == "active").then_some(device)
    });
    assert_eq!(device["desired"], Value::Null);
    let (done, text) = command(&server, &["device", "remove", "nobody"]);
    assert!(!done && text.contains("'nobody'"), "{text}");
}

#[test]
fn what_happened_is_read_page_by_page() {
    let (_folder, mut server, _device) = pair("300");
    for _ in 0..40 {
        server.post("devices/dev/retry", &Value::Null);
        server.want("dev", "motion");
    }
    server.installed("dev", "motion");
    let device = server.get("devices/dev");
    let timeline = device["timeline"].as_array().expect("a list").len();
    assert!((32..=64).contains(&timeline), "{timeline}");
    let read = |server: &Server, limit: usize| {
        let (mut all, mut after) = (Vec::new(), String::new());
        loop {
            let path = format!("devices/dev/history?limit={limit}{after}");
            let page = server.get(&path);
            let entries = page["entries"].as_array().expect("a list");
            assert!(entries.len() <= limit);
            all.extend(entries.iter().cloned());
            match page["next"].as_u64() {
                Some(next) => after = format!("&after={next}"),
                None => return all,
            }
        }
    };
    let all = read(&server, 1000);
    let wanted = all
        .iter()
        .filter(|entry| entry["text"] == "wanted: motion 1.0.0");
    assert_eq!(wanted.count(), 40, "{all:#?}");
    assert_eq!(all[0]["number"], 0);
    server.restart();
    let after = read(&server, 7);
    assert_eq!(after[..all.len()], all[..]);
    let (done, text) = command(&server, &["device", "history", "dev"]);
    assert!(done && text.lines().count() >= all.len(), "{text}");
    assert!(
        text.starts_with("20") && text.contains("Z  wanted: motion"),
        "{text}"
    );
}
