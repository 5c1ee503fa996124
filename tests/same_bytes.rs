//! The same build key gives the same bytes, also when the compiler itself was built for another
//! CPU and has more or fewer cores.
//!
//! Builds the program a second time, so it runs by itself: after `cargo test --release --workspace`
//!
//! ```text
//! cargo test --release --workspace --test same_bytes -- --ignored --nocapture
//! ```
#![cfg(all(feature = "compiler", target_os = "linux"))]

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use common::modules::shipped;
use serde_json::Value;

/// AVX2 and FMA: what could change the results of floating point arithmetic.
const CPU: &str = "x86-64-v3";
const TARGETS: [&str; 2] = ["nrf52840", "stm32f767"];

fn this_machine_has_it() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        ["avx2", "fma", "bmi1", "bmi2", "lzcnt", "movbe", "f16c"]
            .iter()
            .all(|flag| {
                let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
                let flag = if *flag == "lzcnt" { "abm" } else { flag };
                info.split_whitespace().any(|word| word == flag)
            })
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        false
    }
}

/// Hard links of a folder's files, so that a build there finds the dependencies built already and
/// changes nothing here.
fn link(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap_or_else(|e| panic!("{}: {e}", to.display()));
    for entry in fs::read_dir(from).unwrap_or_else(|e| panic!("{}: {e}", from.display())) {
        let entry = entry.expect("a folder can be listed");
        let (path, copy) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            link(&path, &copy);
        } else if !copy.exists() {
            let _ = fs::hard_link(&path, &copy).or_else(|_| fs::copy(&path, &copy).map(drop));
        }
    }
}

/// The program with this workspace's packages built for [`CPU`].
fn build() -> PathBuf {
    let program = Path::new(env!("CARGO_BIN_EXE_tinsmith"));
    let release = program.parent().expect("target/release");
    let folder = release.parent().expect("target").join("same-bytes");
    let profile = release.file_name().expect("release");
    for part in ["deps", "build", ".fingerprint"] {
        link(&release.join(part), &folder.join(profile).join(part));
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut command = Command::new(env!("CARGO"));
    command
        .current_dir(root)
        // As the tests are built, so that the dependencies have the same features.
        .args(["test", "--no-run", "--workspace", "--test", "same_bytes"])
        .env("CARGO_TARGET_DIR", &folder)
        .env("RUSTC_WORKSPACE_WRAPPER", root.join("tests/target-cpu.sh"))
        .env("TINSMITH_TARGET_CPU", CPU)
        .stdin(Stdio::null());
    if profile == "release" {
        command.arg("--release");
    }
    let output = command.output().expect("cargo runs");
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{log}");
    let compiled = log
        .lines()
        .filter(|line| line.trim_start().starts_with("Compiling"));
    println!("built for {CPU}: {} packages", compiled.count());
    folder.join(profile).join("tinsmith")
}

fn task(model: &Path) -> String {
    let card = fs::read(model.join("card.json")).expect("a card");
    let card: Value = serde_json::from_slice(&card).expect("JSON");
    card["task"].as_str().expect("a task").to_owned()
}

/// The module that `program` makes; `one_core`: as if the machine had no other.
fn compile(program: &Path, model: &str, target: &str, one_core: bool) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("module");
    let model = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("models")
        .join(model);
    let mut command = if one_core {
        let mut command = Command::new("taskset");
        command.args(["-c", "0"]).arg(program);
        command
    } else {
        Command::new(program)
    };
    command
        .arg("compile")
        .arg(model.join("model.onnx"))
        .args(["--target", target, "--task", &task(&model), "--calibration"])
        .arg(model.join("calibration.npz"))
        .arg("-o")
        .arg(&file);
    let output = command.output().expect("the program starts");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    fs::read(file).expect("the module")
}

#[test]
#[ignore = "builds the program again; run with --ignored"]
fn for_any_cpu_and_number_of_cores() {
    if !this_machine_has_it() {
        println!("skipped: this machine can't run programs for {CPU}");
        return;
    }
    let program = Path::new(env!("CARGO_BIN_EXE_tinsmith"));
    let other = build();
    let bytes = |path: &Path| fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    assert_ne!(bytes(program), bytes(&other), "two different programs");
    for model in shipped() {
        for target in TARGETS {
            let module = compile(program, &model, target, false);
            common::modules::check(&module);
            for one_core in [false, true] {
                assert!(
                    module == compile(&other, &model, target, one_core),
                    "{model} for {target} differs when built by a program for {CPU}"
                );
            }
            let again = compile(program, &model, target, true);
            assert!(module == again, "{model} for {target} differs on one core");
            println!(
                "{model} for {target}: {} B, the same four times",
                module.len()
            );
        }
    }
}
