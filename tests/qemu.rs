//! The firmware on a Cortex-M4 in QEMU against the real server, beside the same device as a process
//! of the host: push, inference, power cut, inference. Every answer is the same, bit for bit.
//!
//! Without QEMU or without the firmware the test says so and passes; with `TINSMITH_REQUIRE_TOOLS`
//! set, as `test.sh` sets it, it fails instead.
#![cfg(feature = "compiler")]

mod common;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use common::process::{Device, Process, Server, wait};
use tinsmith_samples::test_set;

const TARGET: &str = "qemu-mps2-an386";
const QEMU: &str = "qemu-1";
const HOST: &str = "host-1";
const MODELS: [&str; 4] = ["motion", "maintenance", "fashion", "fashion-resnet"];
const SAMPLES: usize = 100;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The firmware's image, where cargo puts it, or what is missing.
fn firmware() -> Result<PathBuf, String> {
    let qemu = Command::new("qemu-system-arm")
        .arg("--version")
        .stdout(Stdio::null())
        .status();
    if !qemu.is_ok_and(|status| status.success()) {
        return Err("no QEMU: apt-get install qemu-system-arm".into());
    }
    let board = root().join("device-client/boards/qemu-mps2");
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or(board.join("target"), PathBuf::from);
    let elf = target.join("thumbv7em-none-eabihf/release/firmware");
    if elf.exists() {
        return Ok(elf);
    }
    Err(format!(
        "no firmware at {}: run cargo build --release in {}",
        elf.display(),
        board.display()
    ))
}

fn qemu(elf: &Path, server: &Server, flash: &Path) -> Process {
    Process::spawn(
        Command::new(root().join("device-client/boards/qemu-mps2/run.sh"))
            .args(["--endpoint", QEMU])
            .args(["--port", &server.bootstrap.port().to_string()])
            .arg("--flash")
            .arg(flash)
            .arg(elf)
            .stdin(Stdio::null()),
    )
}

/// Both devices give the same for the first samples of the model's test set.
fn compare(server: &Server, model: &str) {
    let path = root().join("models").join(model).join("test.npz");
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
    let elf = match firmware() {
        Ok(elf) => elf,
        Err(reason) if std::env::var_os("TINSMITH_REQUIRE_TOOLS").is_some() => panic!("{reason}"),
        Err(reason) => {
            println!("skipped: {reason}");
            return;
        }
    };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let server = Server::start_for_guests(&folder.path().join("server"));
    let psram = folder.path().join("psram");
    let mut guest = qemu(&elf, &server, &psram);
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
    let _guest = qemu(&elf, &server, &psram);
    wait("the firmware registers again", 120, || {
        registered().filter(|at| Some(*at) != before)
    });
    server.installed(QEMU, MODELS[3]);
    compare(&server, MODELS[3]);
}
