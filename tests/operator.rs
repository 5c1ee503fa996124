//! What an operator asks for besides the usual: other decisions, time limits, pipes, configuration.
#![cfg(feature = "compiler")]

mod common;

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use common::process::{Device, Process, Server, agent, run, serve, tinsmith, wait, write};
use serde_json::{Value, json};

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("text")
}

fn failed(output: &Output) -> String {
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(!error.contains("panicked"), "{error}");
    error
}

fn good(arguments: &[&str]) -> Output {
    let output = run(arguments);
    assert!(
        output.status.success(),
        "{arguments:?}: {}",
        text(&output.stderr)
    );
    output
}

fn server() -> (tempfile::TempDir, Server) {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(&folder.path().join("store"), &[]);
    (folder, server)
}

fn model_file(path: &str) -> String {
    let models: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
    models.join(path).display().to_string()
}

/// Follows an update of a device that never comes, until `meanwhile` is done.
fn follow(server: &Server, meanwhile: impl FnOnce()) -> Output {
    let child = tinsmith()
        .args(["update", "absent", "--model", "motion", "--expect"])
        .args(["--server", &server.url()])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    wait("the decision", 30, || {
        let (status, device) = server.ask("GET", "devices/absent", &Value::Null)?;
        (status == 200 && device["desired"]["model"] == "motion").then_some(())
    });
    meanwhile();
    child.wait_with_output().expect("an end")
}

#[test]
fn another_decision_is_told_and_no_success() {
    let (_folder, server) = server();
    let error = failed(&follow(&server, || server.want("absent", "maintenance")));
    let last = error.lines().last().unwrap_or_default();
    assert!(
        last.contains("replaced") && last.contains("maintenance 1.0.0"),
        "{error}"
    );

    let error = failed(&follow(&server, || {
        let url = server.url();
        let output = good(&["cancel", "absent", "--json", "--server", &url]);
        let device: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!(
            (&device["desired"], &device["state"]),
            (&Value::Null, &json!("idle"))
        );
    }));
    let last = error.lines().last().unwrap_or_default();
    assert!(last.contains("no model is wanted any more"), "{error}");
    // Nothing is kept of a device that nobody saw and nobody wants anything of.
    let (status, _) = server
        .ask("GET", "devices/absent", &Value::Null)
        .expect("an answer");
    assert_eq!(status, 404);
    let error = failed(&run(&["cancel", "nobody", "--server", &server.url()]));
    assert!(error.contains("'nobody'"), "{error}");
}

#[test]
fn following_can_end_before_the_update() {
    let (_folder, server) = server();
    let began = Instant::now();
    let url = server.url();
    let update = ["update", "absent", "--model", "motion", "--expect"];
    let output = run(&[&update[..], &["--timeout", "1", "--server", &url]].concat());
    let error = failed(&output);
    assert!(error.contains("not over after 1 s"), "{error}");
    assert!(began.elapsed() < Duration::from_secs(20));
    assert_eq!(server.get("devices/absent")["desired"]["model"], "motion");
}

#[test]
fn a_closed_pipe_is_a_quiet_end() {
    for arguments in [
        &["compile", "motion", "--target", "nrf52840"][..],
        &["compile", "motion", "--target", "nrf52840", "--json"],
        &["completions", "bash"],
    ] {
        let mut child = tinsmith()
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        drop(child.stdout.take());
        let output = child.wait_with_output().expect("an end");
        assert_eq!(text(&output.stderr), "", "{arguments:?}");
        assert!(output.status.success(), "{arguments:?}");
    }
    // A server goes on without anybody to read where it is.
    let folder = tempfile::tempdir().expect("a folder");
    let any = "127.0.0.1:0";
    let mut child = tinsmith()
        .args(["serve", "--coap", any, "--bootstrap", any, "--http", any])
        .arg("--store")
        .arg(folder.path().join("store"))
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program starts");
    drop(child.stdout.take());
    std::thread::sleep(Duration::from_secs(1));
    assert!(child.try_wait().expect("a process").is_none());
    child.kill().expect("it runs");
    let _ = child.wait();
}

#[test]
fn a_module_goes_to_standard_output() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("module");
    let path = file.display().to_string();
    let base = ["compile", "motion", "--target", "nrf52840", "-o"];
    good(&[&base[..], &[&path]].concat());
    let module = std::fs::read(&file).expect("a module");
    let output = good(&[&base[..], &["-"]].concat());
    assert!(output.stdout == module, "{} bytes", output.stdout.len());
    assert!(text(&output.stderr).contains("fully_connected"));
    let output = good(&[&base[..], &["-", "--json"]].concat());
    assert!(output.stdout == module, "{} bytes", output.stdout.len());
    let report: Value = serde_json::from_slice(&output.stderr).expect("JSON");
    assert_eq!(report["module_bytes"], module.len());
    assert!(!Path::new("-").exists());
}

#[test]
fn a_target_is_the_same_everywhere() {
    let folder = tempfile::tempdir().expect("a folder");
    let targets = Path::new(env!("CARGO_MANIFEST_DIR")).join("device-client/boards/targets");
    let own = std::fs::read(targets.join("nrf52840-dk.json")).expect("a target");
    let own = write(&folder.path().join("my-board"), &own);
    let server = Server::start(&folder.path().join("store"), &[]);
    let own = own.as_str();
    for (index, target) in ["nrf52840", "nrf52840-dk", "NRF52840", "nrf52840-", own]
        .into_iter()
        .enumerate()
    {
        let output = good(&["compile", "motion", "--target", target, "--json"]);
        let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!(report["target"], "nrf52840-dk", "{target}");
        let name = format!("dev{index}");
        let flash = folder.path().join(&name);
        let _device = Device::start(&name, server.bootstrap, target, &flash);
        server.registered(&name);
    }
    let flash = folder.path().join("none").display().to_string();
    for target in ["z80", "nrf52", "/nowhere.json"] {
        let compile = failed(&run(&["compile", "motion", "--target", target]));
        let bootstrap = format!("coap://{}", server.bootstrap);
        let device = failed(&run(&[
            "host-device",
            "--endpoint",
            "x",
            "--bootstrap",
            &bootstrap,
            "--flash",
            &flash,
            "--target",
            target,
        ]));
        assert_eq!(compile, device);
        assert!(compile.contains(target), "{compile}");
    }
}

#[test]
fn test_labels_must_be_the_models() {
    let folder = tempfile::tempdir().expect("a folder");
    let onnx = model_file("motion/model.onnx");
    let calibration = model_file("motion/calibration.npz");
    // Two samples and their labels, as numpy stores them.
    let npz = |labels: [f32; 2]| {
        let bytes =
            |values: &[f32]| -> Vec<u8> { values.iter().flat_map(|v| v.to_le_bytes()).collect() };
        let x = npy("(2, 3, 128)", &bytes(&[0.5; 2 * 384]));
        archive(&[("x.npy", &x), ("y.npy", &npy("(2,)", &bytes(&labels)))])
    };
    let with = |labels: [f32; 2]| {
        let test = write(&folder.path().join("test.npz"), &npz(labels));
        let target = ["compile", onnx.as_str(), "--target", "nrf52840"];
        let data = ["--calibration", calibration.as_str(), "--test", &test];
        run(&[target, data].concat())
    };
    assert!(with([0.0, 1.0]).status.success());
    for labels in [[0.0, 77.0], [0.0, 0.5], [0.0, -1.0]] {
        let error = failed(&with(labels));
        let label = labels[1].to_string();
        assert!(
            error.contains("sample 1") && error.contains(&label),
            "{error}"
        );
        assert!(error.contains("a class from 0 to "), "{error}");
    }
}

/// Bytes of a file with one piece of text in the place of another that is as long.
fn with_text(file: &str, old: &str, new: &str) -> Vec<u8> {
    assert_eq!(old.len(), new.len());
    let mut bytes = std::fs::read(file).expect("a model");
    let mut places = 0;
    for at in 0..=bytes.len() - old.len() {
        if bytes[at..].starts_with(old.as_bytes()) {
            bytes[at..at + old.len()].copy_from_slice(new.as_bytes());
            places += 1;
        }
    }
    assert!(places > 0, "{old}");
    bytes
}

/// Neither in what is refused nor in what is compiled.
#[test]
fn names_in_an_onnx_file_are_no_commands_to_a_terminal() {
    let folder = tempfile::tempdir().expect("a folder");
    let model = model_file("motion/model.onnx");
    let calibration = model_file("motion/calibration.npz");
    let compile = |onnx: &[u8]| {
        let path = write(&folder.path().join("model.onnx"), onnx);
        let target = ["compile", path.as_str(), "--target", "nrf52840"];
        run(&[&target[..], &["--calibration", &calibration]].concat())
    };
    let quiet = |text: &str| {
        assert!(
            !text.chars().any(|c| c.is_control() && c != '\n'),
            "{text:?}"
        );
        assert!(text.contains("\\u{1b}[2J"), "{text}");
    };
    let name = "/features/features.2/Relu";
    let named = with_text(&model, name, "\x1b[2J/features.2/Relu\x07\x08\r\n\t");
    let output = compile(&named);
    assert!(output.status.success());
    quiet(&text(&output.stdout));
    // The operator's name too.
    let unknown = with_text(&model, "MaxPool*", "\x1b[2Jxyz*");
    quiet(&failed(&compile(&unknown)));
}

/// A model of PyTorch in two files, and one of which int8 leaves too little.
#[test]
fn a_model_in_two_files_and_one_that_int8_spoils() {
    let folder = tempfile::tempdir().expect("a folder");
    let exports = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/compiler/pytorch");
    let file = |name: &str| exports.join(name).display().to_string();
    let compile = |onnx: &str, calibration: &str, more: &[&str]| {
        let target = ["compile", onnx, "--target", "nrf52840"];
        run(&[&target[..], &["--calibration", calibration], more].concat())
    };
    let (onnx, samples) = (file("waves.onnx"), file("waves.npz"));
    assert!(compile(&onnx, &samples, &[]).status.success());
    let alone = std::fs::read(&onnx).expect("a model");
    let alone = write(&folder.path().join("alone.onnx"), &alone);
    let error = failed(&compile(&alone, &samples, &[]));
    assert!(error.contains("copy it beside the model"), "{error}");

    let mut values = [0.5_f32; 16 * 64];
    values[15 * 64] = 1e6;
    let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    let outlier = archive(&[("x.npy", &npy("(16, 1, 64)", &bytes))]);
    let outlier = write(&folder.path().join("outlier.npz"), &outlier);
    let error = failed(&compile(&onnx, &outlier, &[]));
    assert!(error.contains("loses too much in int8"), "{error}");
    assert!(error.contains("--allow-low-sqnr"), "{error}");
    let allowed = compile(&onnx, &outlier, &["--allow-low-sqnr"]);
    assert!(allowed.status.success());
    assert!(text(&allowed.stdout).contains("warning"), "{allowed:?}");

    // The same of a server, which is sent one file.
    let (_folder, server) = server();
    let card = json!({
        "name": "waves", "version": "1.0.0", "task": "classify", "description": "waves",
        "inputs": [{ "name": "input", "shape": [1, 64], "units": "V" }],
        "labels": ["sine", "square", "triangle"],
    });
    let card = write(
        &folder.path().join("card.json"),
        card.to_string().as_bytes(),
    );
    let add = |more: &[&str]| {
        let model = ["model", "add", onnx.as_str(), "--card", card.as_str()];
        let url = server.url();
        let data = ["--calibration", outlier.as_str(), "--server", url.as_str()];
        run(&[&model[..], &data, more].concat())
    };
    let error = failed(&add(&[]));
    assert!(error.contains("loses too much in int8"), "{error}");
    assert!(add(&["--allow-low-sqnr"]).status.success());
    assert_eq!(server.get("models/waves")["allow_low_sqnr"], true);
}

fn npy(shape: &str, data: &[u8]) -> Vec<u8> {
    let mut header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}");
    while (10 + header.len() + 1) % 64 != 0 {
        header.push(' ');
    }
    header.push('\n');
    let mut file = b"\x93NUMPY\x01\x00".to_vec();
    file.extend_from_slice(&(header.len() as u16).to_le_bytes());
    file.extend_from_slice(header.as_bytes());
    file.extend_from_slice(data);
    file
}

/// A zip file whose entries are stored as they are.
fn archive(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let (mut file, mut directory) = (Vec::new(), Vec::new());
    for (name, data) in entries {
        let mut fields = Vec::new();
        fields.extend_from_slice(&[20, 0, 0, 0, 0, 0, 0, 0, 0x21, 0]);
        fields.extend_from_slice(&crc32(data).to_le_bytes());
        for _ in 0..2 {
            fields.extend_from_slice(&(data.len() as u32).to_le_bytes());
        }
        fields.extend_from_slice(&(name.len() as u16).to_le_bytes());
        fields.extend_from_slice(&[0, 0]);
        let offset = file.len() as u32;
        file.extend_from_slice(b"PK\x03\x04");
        file.extend_from_slice(&fields);
        file.extend_from_slice(name.as_bytes());
        file.extend_from_slice(data);
        directory.extend_from_slice(b"PK\x01\x02\x14\x00");
        directory.extend_from_slice(&fields);
        directory.extend_from_slice(&[0; 10]);
        directory.extend_from_slice(&offset.to_le_bytes());
        directory.extend_from_slice(name.as_bytes());
    }
    let (offset, len) = (file.len() as u32, directory.len() as u32);
    file.extend_from_slice(&directory);
    file.extend_from_slice(b"PK\x05\x06\0\0\0\0");
    for _ in 0..2 {
        file.extend_from_slice(&(entries.len() as u16).to_le_bytes());
    }
    file.extend_from_slice(&len.to_le_bytes());
    file.extend_from_slice(&offset.to_le_bytes());
    file.extend_from_slice(&[0, 0]);
    file
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg())
        })
    })
}

#[test]
fn a_file_and_the_environment_configure_the_server() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = folder.path().join("from-file");
    let any = "127.0.0.1:0";
    let file = format!(
        "coap = \"{any}\"\nbootstrap = \"{any}\"\nhttp = \"192.0.2.1:1\"\nstore = {:?}\n",
        store.display().to_string()
    );
    let path = write(&folder.path().join("tinsmith.toml"), file.as_bytes());
    let mut child = tinsmith()
        .args([
            "-v",
            "--log-format",
            "json",
            "serve",
            "--json",
            "--config",
            &path,
        ])
        .env("TINSMITH_HTTP", any)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    wait("the store is made", 30, || store.exists().then_some(()));
    std::thread::sleep(Duration::from_millis(500));
    child.kill().expect("it runs");
    let output = child.wait_with_output().expect("an end");
    let addresses: Value = serde_json::from_slice(&output.stdout).expect("one line of JSON");
    assert_eq!(addresses["store"], json!(store));
    assert!(
        addresses["http"]
            .as_str()
            .expect("an address")
            .starts_with("127.0.0.1:")
    );
    // Every log line is a document, and nothing is coloured.
    let log = text(&output.stderr);
    assert!(log.lines().count() > 0);
    for line in log.lines() {
        let line: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        assert_eq!(line["level"], "INFO");
    }

    let wrong = write(
        &folder.path().join("wrong.toml"),
        b"shards = 1\nshrads = 2\n",
    );
    let error = failed(&run(&["serve", "--config", &wrong]));
    assert!(
        error.contains("line 2") && error.contains("shrads"),
        "{error}"
    );
    let error = failed(&run(&["serve", "--config", "/nowhere.toml"]));
    assert!(error.contains("/nowhere.toml"), "{error}");
}

#[test]
fn what_happens_is_logged_counted_and_watched() {
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("log");
    let mut child = serve(&folder.path().join("store"))
        .arg("-v")
        .stdout(Stdio::piped())
        .stderr(std::fs::File::create(&log).expect("a file"))
        .spawn()
        .expect("the program starts");
    let mut line = Vec::new();
    let mut stdout = child.stdout.take().expect("a pipe");
    while line.last() != Some(&b'\n') {
        let mut byte = [0];
        assert_eq!(stdout.read(&mut byte).expect("text"), 1);
        line.push(byte[0]);
    }
    let addresses: Value = serde_json::from_slice(&line).expect("one line of JSON");
    let address = |name: &str| addresses[name].as_str().expect("an address").to_owned();
    let url = format!("http://{}", address("http"));
    let bootstrap = address("bootstrap").parse().expect("an address");
    let _device = Device::start("dev", bootstrap, "nrf52840", &folder.path().join("flash"));
    let update = [
        "update", "dev", "--model", "motion", "--expect", "--server", &url,
    ];
    good(&update);

    let get = |path: &str| {
        let mut response = agent()
            .get(format!("{url}{path}"))
            .call()
            .expect("an answer");
        response.body_mut().read_to_string().expect("text")
    };
    assert!(get("/healthz").contains("ok"));
    assert!(get("/readyz").contains("ready"));
    let metrics = get("/metrics");
    for line in [
        "tinsmith_registrations_total{event=\"registered\"} 1",
        "tinsmith_bootstraps_total{result=\"done\"} 1",
        "tinsmith_updates_total{result=\"installed\"} 1",
    ] {
        assert!(
            metrics.lines().any(|found| found == line),
            "{line}: {metrics}"
        );
    }
    child.kill().expect("it runs");
    let _ = child.wait();
    let log = std::fs::read_to_string(&log).expect("the log");
    assert!(!log.contains('\x1b'), "{log}");
    for words in [
        &["INFO", "bootstrapped", "endpoint=dev"][..],
        &["INFO", "registered", "endpoint=dev", "lifetime=300"],
        &["INFO", "endpoint=dev", "decision=1", "step=\"sending\""],
        &[
            "INFO",
            "endpoint=dev",
            "decision=1",
            "step=\"installed\"",
            "runs motion 1.0.0",
        ],
    ] {
        let has = |line: &str| words.iter().all(|word| line.contains(word));
        assert!(log.lines().any(has), "no line with {words:?}: {log}");
    }
}

#[test]
fn shells_and_man_are_served() {
    for shell in ["bash", "zsh", "fish"] {
        let script = text(&good(&["completions", shell]).stdout);
        assert!(
            script.contains("update") && script.contains("timeout"),
            "{shell}"
        );
    }
    let folder = tempfile::tempdir().expect("a folder");
    let pages = folder.path().join("man1");
    good(&["man", &pages.display().to_string()]);
    for page in ["tinsmith.1", "tinsmith-serve.1", "tinsmith-device-list.1"] {
        let page = std::fs::read_to_string(pages.join(page)).expect(page);
        assert!(page.contains(".TH"), "{page}");
    }
    assert!(!pages.join("tinsmith-compile-child.1").exists());
}

#[test]
fn a_device_registers_without_a_bootstrap() {
    let (folder, server) = server();
    let flash = folder.path().join("flash").display().to_string();
    let uri = format!("coap://{}", server.coap);
    let arguments = ["host-device", "--endpoint", "alone", "--target", "nrf52840"];
    let mut command = tinsmith();
    command
        .args(arguments)
        .args(["--flash", &flash, "--server", &uri]);
    let _device = Process::spawn(command.stderr(Stdio::null()));
    server.registered("alone");
    let shown = server.get("devices/alone/resources/1/0/0");
    assert_eq!(shown["values"][0]["value"], 1, "{shown:#}");
    for wrong in [&[][..], &["--server", &uri, "--bootstrap", &uri]] {
        let output = run(&[&arguments, &["--flash", &flash][..], wrong].concat());
        assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
    }
}
