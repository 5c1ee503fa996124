//! The firmware on a Cortex-M4 in QEMU against the real server, beside the same device as a process
//! of the host: push, inference, power cut, inference. Every answer is the same, bit for bit.
//!
//! Without QEMU or without the firmware the test says so and passes; with `TINSMITH_REQUIRE_TOOLS`
//! set, as `test.sh` sets it, it fails instead.
#![cfg(feature = "compiler")]

mod common;

use std::path::Path;
use std::process::Stdio;

use common::process::{Device, Server, wait};
use common::qemu;
use tinsmith_samples::test_set;

const TARGET: &str = "qemu-mps2-an386";
const QEMU: &str = "qemu-1";
const HOST: &str = "host-1";
const MODELS: [&str; 4] = ["motion", "maintenance", "fashion", "fashion-resnet"];
const SAMPLES: usize = 100;

/// Both devices give the same for the first samples of the model's test set.
fn compare(server: &Server, model: &str) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let path = root.join("models").join(model).join("test.npz");
    let file = std::fs::read(&path).expect("shipped");
    let set = test_set(&file).expect("shipped");
    for (index, sample) in set.x.iter().take(SAMPLES).enumerate() {
        let on_qemu = server.infer(QEMU, sample);
        let on_host = server.infer(HOST, sample);
        assert_eq!(on_qemu, on_host, "{model}, sample {index}");
    }
}

#[test]
fn the_firmware_does_what_the_host_device_does() {
    let Some(elf) = qemu::firmware("firmware") else {
        return;
    };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let server = Server::start_for_guests(&folder.path().join("server"), &[]);
    let psram = folder.path().join("psram");
    let bootstrap = ["--port".to_owned(), server.bootstrap.port().to_string()];
    let start = || qemu::start(&elf, QEMU, &bootstrap, &psram, Stdio::inherit());
    let mut guest = start();
    let _host = Device::start(HOST, server.bootstrap, TARGET, &folder.path().join("flash"));
    server.registered(QEMU);
    server.registered(HOST);

    for model in MODELS {
        server.want(QEMU, model);
        server.want(HOST, model);
        server.installed(QEMU, model);
        server.installed(HOST, model);
        compare(&server, model);
    }

    let registered = || {
        let device = server.get(&format!("devices/{QEMU}"));
        device["registration"]["registered"].as_u64()
    };
    let before = registered();
    guest.kill();
    let _guest = start();
    wait("the firmware registers again", 120, || {
        registered().filter(|at| Some(*at) != before)
    });
    server.installed(QEMU, MODELS[3]);
    compare(&server, MODELS[3]);
}
