//! Signed packages as an operator has them: keys, anchors by bootstrap, a key that changes.
#![cfg(feature = "compiler")]

mod common;

use std::path::Path;

use common::process::{Device, Process, Server, run, tinsmith, wait};
use serde_json::{Value, json};

/// What the command prints.
fn key(store: &Path, arguments: &[&str]) -> String {
    let store = store.display().to_string();
    let output = run(&[&["key"], arguments, &["--store", &store]].concat());
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {error}");
    String::from_utf8(output.stdout)
        .expect("text")
        .trim()
        .to_owned()
}

fn ids(store: &Path) -> Vec<String> {
    let list: Value = serde_json::from_str(&key(store, &["list", "--json"])).expect("JSON");
    let keys = list["keys"].as_array().expect("keys");
    let ids = keys.iter().map(|key| key["id"].as_str().expect("an id"));
    ids.map(str::to_owned).collect()
}

#[test]
fn devices_run_what_the_server_has_signed_also_after_its_key_has_changed() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = folder.path().join("store");
    let server = Server::start(&store, &[]);
    let first = ids(&store);
    assert_eq!(first.len(), 1, "made at the first start");

    let flash = folder.path().join("dev.flash");
    let _device = Device::start("dev", server.bootstrap, "nrf52840", &flash);
    server.registered("dev");
    server.want("dev", "motion");
    server.installed("dev", "motion");
    let shown = server.get("devices/dev");
    assert_eq!(
        (&shown["trust"], &shown["trust_anchors"]),
        (&json!("anchored"), &json!(first)),
        "{shown:#}"
    );

    // The device knows the old key, which tells it of the new one.
    let old = key(&store, &["export-public"]);
    let second = key(&store, &["rotate"]);
    assert_eq!(ids(&store), [second.clone(), first[0].clone()]);
    let trusts = |endpoint: &str, keys: &[&String]| {
        wait("other anchors", 20, || {
            let shown = server.get(&format!("devices/{endpoint}"));
            (shown["trust_anchors"] == json!(keys)).then_some(())
        });
    };
    trusts("dev", &[&second, &first[0]]);
    server.want("dev", "maintenance");
    server.installed("dev", "maintenance");

    // A new one gets both; which of them signs is the newest.
    let flash = folder.path().join("new.flash");
    let _new = Device::start("new", server.bootstrap, "nrf52840", &flash);
    server.registered("new");
    server.want("new", "motion");
    server.installed("new", "motion");
    let shown = server.get("devices/new");
    assert_eq!(shown["trust_anchors"], json!([second, first[0]]));

    key(&store, &["remove", &first[0]]);
    for (endpoint, runs) in [("dev", "maintenance"), ("new", "motion")] {
        trusts(endpoint, &[&second]);
        server.installed(endpoint, runs);
    }

    // Nothing is left that a device would take which knows the old one only.
    let flash = folder.path().join("late.flash").display().to_string();
    let coap = format!("coap://{}", server.coap);
    let mut late = tinsmith();
    late.args(["host-device", "--endpoint", "late", "--target", "nrf52840"])
        .args(["--quiet", "--server", &coap, "--flash", &flash])
        .args(["--trust-anchor", &old]);
    let _late = Process::spawn(&mut late);
    server.registered("late");
    server.want("late", "fashion");
    let end = server.settled("late");
    assert_eq!(end["state"], "failed", "{end:#}");
    let detail = end["detail"].as_str().unwrap_or_default();
    assert!(detail.contains(&first[0]), "{detail}");

    let entries = server.get("audit?limit=1000")["entries"].clone();
    let entries = entries.as_array().expect("entries");
    let keys = entries.iter().filter_map(|entry| {
        let operation = entry["operation"].as_str()?;
        operation
            .starts_with("key.")
            .then_some((operation, &entry["detail"]["id"]))
    });
    assert_eq!(
        keys.collect::<Vec<_>>(),
        [
            ("key.make", &json!(second)),
            ("key.remove", &json!(first[0]))
        ]
    );
}

#[test]
fn keys_of_the_factory_hold_without_a_bootstrap() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = folder.path().join("store");
    let server = Server::start(&store, &[]);
    let public = key(&store, &["export-public"]);
    let start = |endpoint: &str, more: &[&str]| {
        let flash = folder.path().join(endpoint).display().to_string();
        let mut command = tinsmith();
        command
            .args([
                "host-device",
                "--endpoint",
                endpoint,
                "--target",
                "nrf52840",
                "--quiet",
            ])
            .args([
                "--server",
                &format!("coap://{}", server.coap),
                "--flash",
                &flash,
            ])
            .args(more);
        Process::spawn(&mut command)
    };
    let _with = start("with", &["--trust-anchor", &public]);
    let _without = start("without", &[]);
    for (endpoint, trust) in [("with", "anchored"), ("without", "open")] {
        server.registered(endpoint);
        server.want(endpoint, "motion");
        server.installed(endpoint, "motion");
        assert_eq!(server.get(&format!("devices/{endpoint}"))["trust"], trust);
    }
    let output = run(&["device", "list", "--server", &server.url()]);
    let list = String::from_utf8(output.stdout).expect("text");
    let marked: Vec<&str> = list
        .lines()
        .filter(|line| line.contains("no trust anchor"))
        .collect();
    assert_eq!(marked.len(), 1, "{list}");
    assert!(marked[0].starts_with("without"), "{list}");
}

#[test]
fn what_is_wrong_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = folder.path().join("store").display().to_string();
    let bad = |arguments: &[&str], word: &str| {
        let output = run(&[&["key"], arguments, &["--store", &store]].concat());
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {error}");
        assert!(error.contains(word), "no '{word}' in: {error}");
    };
    bad(&["remove", "00"], "there is no key 00");
    bad(&["rotate", "--algorithm", "es256"], "tinsmith key new");
    let list = ids(Path::new(&store));
    bad(&["remove", &list[0]], "rotate it first");
    bad(&["export-public", "00"], "there is no such key");
    bad(&["new", "--command", "true", "--public", "00"], "COSE_Key");
    let public = key(Path::new(&store), &["export-public"]);
    bad(
        &["new", "--command", "true", "--public", &public],
        "wrote 0 bytes",
    );
    assert_eq!(ids(Path::new(&store)), list, "nothing has changed");
}
