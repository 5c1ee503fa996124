//! Files: modules, targets, models as people export them, samples.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::common::process::{Device, Server, run, write};
use super::{failed, good, server, text};

fn model_file(path: &str) -> String {
    let models: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
    models.join(path).display().to_string()
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
