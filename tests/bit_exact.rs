//! Specification, kernels and a device as a process agree on every output of every shipped model.
//! The firmware in QEMU is held to the same values by the test of its board.
#![cfg(feature = "compiler")]

mod common;

use common::modules::{compile, computed, expected, golden_inputs, shipped, spread, test_inputs};
use common::process::{Device, Server};
use serde_json::{Value, json};
use tinsmith_module::Module;

/// Test inputs of each model that the specification runs; it is slow on purpose.
const BY_SPEC: usize = 150;
/// Test inputs of each model that a device runs.
const BY_DEVICE: usize = 50;
const TARGET: &str = "nrf52840";

fn hex(bytes: &[u8]) -> String {
    tinsmith_digest::encode_hex(bytes)
}

#[test]
fn specification_and_kernels_agree() {
    let folder = tempfile::tempdir().expect("a folder");
    for model in shipped() {
        let image = compile(&model, TARGET, folder.path());
        let module = Module::parse(image.bytes()).expect("a module");
        let goldens = golden_inputs(&module);
        assert!(goldens.len() >= 2, "{model}");
        let tests = test_inputs(&model, &module);
        let mut arena = vec![0; module.arena_bytes()];
        let by_kernels: Vec<Vec<u8>> = tests
            .iter()
            .map(|input| computed(&module, input, &mut arena))
            .collect();
        let pairs: Vec<(&Vec<u8>, &Vec<u8>)> = tests.iter().zip(&by_kernels).collect();
        let chosen: Vec<_> = spread(&pairs, BY_SPEC).collect();
        assert!(chosen.len() >= 100, "{model}: {} test inputs", chosen.len());
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        std::thread::scope(|scope| {
            for part in chosen.chunks(chosen.len().div_ceil(threads)) {
                let (module, model) = (&module, &model);
                scope.spawn(move || {
                    for (input, output) in part {
                        assert_eq!(
                            &expected(module, input),
                            *output,
                            "{model} on {}",
                            hex(input)
                        );
                    }
                });
            }
        });
        for golden in &goldens {
            let output = computed(&module, golden, &mut arena);
            assert_eq!(expected(&module, golden), output, "{model}, a golden input");
        }
        let (g, s, k) = (goldens.len(), chosen.len(), tests.len());
        println!("{model}: {g} golden and {s} of {k} test inputs equal; kernels ran all");
    }
}

#[test]
fn a_device_agrees() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(&folder.path().join("store"), &[]);
    let flash = folder.path().join("flash");
    let device = Device::start("exact", server.bootstrap, TARGET, &flash);
    server.registered("exact");
    let resource = |id: u16| format!("devices/{}/resources/27304/0/{id}", device.endpoint);
    let done = |method: &str, id: u16, body: &Value| {
        let answer = server.ask(method, &resource(id), body);
        assert!(
            matches!(answer, Some((200, _))),
            "/27304/0/{id}: {answer:?}"
        );
    };
    for model in shipped() {
        let image = compile(&model, TARGET, folder.path());
        let module = Module::parse(image.bytes()).expect("a module");
        server.want("exact", &model);
        let shown = server.settled("exact");
        assert_eq!(shown["state"], "installed", "{model}: {shown:#}");
        let digest = tinsmith_digest::Digest::of(image.bytes()).to_string();
        let installed = &shown["last"]["artefact"]["module"];
        assert_eq!(
            *installed,
            digest.as_str(),
            "{model}: the same module as compile's"
        );
        let tests = test_inputs(&model, &module);
        let mut inputs = golden_inputs(&module);
        inputs.extend(spread(&tests, BY_DEVICE).cloned());
        for input in &inputs {
            done("PUT", 5, &json!({ "value": { "hex": hex(input) } }));
            done("POST", 4, &json!({}));
            let answer = server.get(&resource(6));
            let output = answer["values"][0]["value"]["hex"]
                .as_str()
                .unwrap_or_default();
            assert_eq!(
                output,
                hex(&expected(&module, input)),
                "{model} on {}",
                hex(input)
            );
        }
        println!("{model}: {} inputs equal on the device", inputs.len());
    }
}
