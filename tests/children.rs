//! Files of unknown origin are opened in a child only, and no child outlives the server.
#![cfg(feature = "compiler")]

mod common;

use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use common::process::{Server, tinsmith, wait, write};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

/// Values of a sample that the model `motion` takes.
const VALUES: usize = 384;

/// An archive of some hundred KB that has 470 MB of zeros in it.
fn bomb() -> Vec<u8> {
    let samples = 470_000_000 / (4 * VALUES);
    let mut header =
        format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({samples}, 3, 128), }}");
    while (10 + header.len() + 1) % 64 != 0 {
        header.push(' ');
    }
    header.push('\n');
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default();
    zip.start_file("x.npy", options).expect("a file");
    zip.write_all(b"\x93NUMPY\x01\x00").expect("memory");
    let length = u16::try_from(header.len()).expect("a short header");
    zip.write_all(&length.to_le_bytes()).expect("memory");
    zip.write_all(header.as_bytes()).expect("memory");
    let zeros = vec![0; 4 * VALUES * 1000];
    let mut left = 4 * VALUES * samples;
    while left > 0 {
        let part = left.min(zeros.len());
        zip.write_all(&zeros[..part]).expect("memory");
        left -= part;
    }
    zip.finish().expect("memory").into_inner()
}

/// `tinsmith model add` with the bomb, under way.
fn add(server: &Server, folder: &Path) -> Child {
    let models = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("models/motion");
    let card = std::fs::read_to_string(models.join("card.json")).expect("the card");
    let card = card.replace("\"motion\"", "\"bomb\"");
    let card = write(&folder.join("card.json"), card.as_bytes());
    let bomb = write(&folder.join("bomb.npz"), &bomb());
    tinsmith()
        .args(["model", "add"])
        .arg(models.join("model.onnx"))
        .args([
            "--card",
            &card,
            "--calibration",
            &bomb,
            "--server",
            &server.url(),
        ])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts")
}

/// Compiling children of a server.
fn children(server: u32) -> Vec<u32> {
    let entries = std::fs::read_dir("/proc").expect("Linux");
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let child = |pid: &u32| {
        let read = |name: &str| std::fs::read_to_string(format!("/proc/{pid}/{name}"));
        let status = read("status").unwrap_or_default();
        read("cmdline").is_ok_and(|line| line.contains("compile-child"))
            && status.contains(&format!("PPid:\t{server}\n"))
    };
    pids.filter(child).collect()
}

fn is_there(pid: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"));
    status.is_ok_and(|status| !status.contains("State:\tZ"))
}

#[test]
fn a_bomb_goes_off_in_the_child() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(&folder.path().join("store"), &[]);
    let mut adding = add(&server, folder.path());
    let mut slowest = Duration::ZERO;
    while adding.try_wait().expect("it runs").is_none() {
        let asked = Instant::now();
        let answer = server.ask("GET", "server", &Value::Null);
        assert!(matches!(answer, Some((200, _))), "{answer:?}");
        slowest = slowest.max(asked.elapsed());
        std::thread::sleep(Duration::from_millis(10));
    }
    let output = adding.wait_with_output().expect("it ended");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{said}");
    assert!(said.contains("MiB of memory"), "{said}");
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
    let status = format!("/proc/{}/status", server.pid());
    let status = std::fs::read_to_string(status).expect("the server runs");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let peak: u64 = peak
        .and_then(|text| text.trim().strip_suffix(" kB")?.parse().ok())
        .expect("a size");
    assert!(peak < 300_000, "{peak} kB");
}

#[test]
fn children_end_with_the_server_and_it_ends_at_once() {
    for signal in [Signal::SIGTERM, Signal::SIGKILL] {
        let folder = tempfile::tempdir().expect("a folder");
        let server = Server::start(&folder.path().join("store"), &[]);
        let mut adding = add(&server, folder.path());
        let child = wait("a child compiles", 20, || {
            children(server.pid()).first().copied()
        });
        let pid = i32::try_from(server.pid()).expect("a process id");
        let told = Instant::now();
        kill(Pid::from_raw(pid), signal).expect("it is there");
        wait("the server ends", 5, || {
            (!is_there(server.pid())).then_some(())
        });
        assert!(
            told.elapsed() < Duration::from_secs(2),
            "{:?}",
            told.elapsed()
        );
        wait("its child ends", 1, || (!is_there(child)).then_some(()));
        let _ = adding.kill();
        let _ = adding.wait();
    }
}
