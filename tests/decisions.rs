//! What an operator decides of a device beyond "run this": going back, versions, deleting.
#![cfg(feature = "compiler")]

mod common;

use common::process::{Device, Server, run, wait};
use serde_json::{Value, json};

/// A server and a device that is registered.
fn pair() -> (tempfile::TempDir, Server, Device) {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(&folder.path().join("store"), &[]);
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
    let (_folder, server, _device) = pair();
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
