//! A store folder of the version before schema 2 opens, with everything in it.
//!
//! `tests/fixtures/store-v1` was left by that version: the device `steady` runs the added model
//! `gait` and has two durable requests, `cut-off` was in the middle of a transfer, and `absent` is
//! to run a model but never came.
#![cfg(feature = "compiler")]

mod common;

use std::path::Path;

use common::process::{Server, wait};
use serde_json::Value;

/// A copy, since opening a store changes it.
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

fn check(server: &Server) {
    let list = server.get("devices");
    let names: Vec<_> = list["devices"].as_array().expect("a list").iter().collect();
    let names: Vec<_> = names.iter().map(|d| d["endpoint"].as_str()).collect();
    assert_eq!(names, [Some("absent"), Some("cut-off"), Some("steady")]);

    let steady = server.get("devices/steady");
    assert_eq!(steady["state"], "installed", "{steady:#}");
    assert_eq!(steady["desired"]["model"], "gait");
    assert_eq!(steady["desired"]["version"], "7.1");
    assert_eq!(steady["last"]["transfer_ms"], 40);
    assert_eq!(steady["registration"]["location"], "/rd/46-ba7d30b9a924");
    assert_eq!(steady["slots"][0]["state"], "active");
    assert_eq!(steady["platform"], "nrf52840-dk");

    let cut = server.get("devices/cut-off");
    assert_eq!(cut["desired"]["model"], "motion", "{cut:#}");
    assert_eq!(cut["attempt"]["step"], "sending");
    assert_eq!(cut["attempt"]["sequence"], 1_795_648_360_u64);
    assert_eq!(cut["attempt"]["package"][1], 14_806);
    assert_eq!(cut["online"], true);

    let absent = server.get("devices/absent");
    assert_eq!(absent["state"], "waiting", "{absent:#}");
    assert_eq!(absent["online"], false);

    let model = server.get("models/gait");
    assert_eq!(model["version"], "7.1");
    assert_eq!(model["calibration_samples"], 16);
    assert_eq!(server.get("models")["unreadable"], Value::Null);
}

#[test]
fn a_store_of_the_version_before_opens() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = folder.path().join("store");
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/store-v1");
    copy(&fixture, &store);
    let mut server = Server::start(&store, &[]);
    check(&server);

    // A decision is written with the new schema; the others stay as they were.
    server.want("absent", "gait");
    server.restart();
    check_decision(&server);
    check(&server);
}

fn check_decision(server: &Server) {
    wait("the decision", 10, || {
        let absent = server.get("devices/absent");
        (absent["desired"]["model"] == "gait").then_some(())
    });
}
