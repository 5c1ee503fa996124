//! The commands as a user runs them.
#![cfg(feature = "compiler")]

mod common;

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use common::process::{Device, Server, run, tinsmith, wait, write};
use serde_json::Value;

fn model_file(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("models")
        .join(path)
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("text")
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("text")
}

/// Exit code 0; standard output.
fn good(arguments: &[&str]) -> String {
    let output = run(arguments);
    assert!(
        output.status.success(),
        "{arguments:?}: {}",
        stderr(&output)
    );
    stdout(&output)
}

/// Exit code 0, and one JSON document on standard output.
fn good_json(arguments: &[&str]) -> Value {
    let text = good(&[arguments, &["--json"]].concat());
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{arguments:?}: {e}: {text}"))
}

/// Exit code 1, nothing on standard output, one line on standard error that says all of `words`.
fn bad(arguments: &[&str], words: &[&str]) {
    let output = run(arguments);
    let error = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {error}");
    assert_eq!(stdout(&output), "", "{arguments:?}");
    assert!(
        error.starts_with("error: ") && !error.contains("panicked"),
        "{arguments:?}: {error}"
    );
    assert_eq!(
        error.trim_end().lines().count(),
        1,
        "{arguments:?}: {error}"
    );
    for word in words {
        assert!(
            error.contains(word),
            "{arguments:?} does not say '{word}': {error}"
        );
    }
}

/// A server with a device that has registered.
struct Site {
    folder: tempfile::TempDir,
    server: Server,
    _device: Device,
}

impl Site {
    fn new(target: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let server = Server::start(&folder.path().join("store"), &[]);
        let device = Device::start(
            "dev",
            server.bootstrap,
            target,
            &folder.path().join("flash"),
        );
        server.registered("dev");
        Self {
            folder,
            server,
            _device: device,
        }
    }
}

#[test]
fn every_command_has_help() {
    for command in [
        vec![],
        vec!["demo"],
        vec!["serve"],
        vec!["device"],
        vec!["device", "list"],
        vec!["device", "show"],
        vec!["model"],
        vec!["model", "list"],
        vec!["model", "show"],
        vec!["model", "add"],
        vec!["model", "remove"],
        vec!["build", "list"],
        vec!["build", "remove"],
        vec!["device", "remove"],
        vec!["device", "history"],
        vec!["rollback"],
        vec!["compile"],
        vec!["update"],
        vec!["cancel"],
        vec!["completions"],
        vec!["man"],
    ] {
        let text = good(&[&command[..], &["--help"]].concat());
        assert!(text.contains("Usage: tinsmith"), "{command:?}: {text}");
        assert!(text.lines().count() > 5, "{command:?}: {text}");
    }
    let output = run(&["frobnicate"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("frobnicate"));
}

#[test]
fn serve_says_where_it_is_and_what_comes_next() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = folder.path().join("data");
    let mut child = tinsmith()
        .args([
            "serve",
            "--coap",
            "127.0.0.1:0",
            "--bootstrap",
            "127.0.0.1:0",
        ])
        .args(["--http", "127.0.0.1:0", "--store"])
        .arg(&store)
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program starts");
    wait("the store is made", 30, || store.exists().then_some(()));
    std::thread::sleep(std::time::Duration::from_millis(300));
    // SIGTERM ends it in good order.
    let pid = nix::unistd::Pid::from_raw(child.id() as i32);
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).expect("it runs");
    let mut text = String::new();
    child
        .stdout
        .take()
        .expect("a pipe")
        .read_to_string(&mut text)
        .expect("text");
    assert!(child.wait().expect("an end").success(), "{text}");
    for word in [
        "coap://127.0.0.1:",
        "http://127.0.0.1:",
        "tinsmith update",
        "--server http",
    ] {
        assert!(text.contains(word), "no '{word}' in: {text}");
    }
    assert!(text.contains(&store.display().to_string()), "{text}");

    let store = store.display().to_string();
    let file = write(&folder.path().join("file"), b"");
    bad(
        &["serve", "--coap", "192.0.2.1:0", "--store", &store],
        &["192.0.2.1", "listen"],
    );
    bad(
        &["serve", "--store", &format!("{file}/store")],
        &["store", &file],
    );
    bad(
        &["serve", "--store", &store, "--bootstrap-uri", "*"],
        &["PATTERN=coap://"],
    );
    // The parser's own errors exit with 2 and name the option.
    let output = run(&["serve", "--store", &store, "--shards", "99"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("'99' for '--shards <N>'"));
}

#[test]
fn two_servers_on_one_store_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = folder.path().join("store");
    let server = Server::start(&store, &[]);
    let address = server.coap.to_string();
    let store = store.display().to_string();
    let any = "127.0.0.1:0";
    bad(
        &["serve", "--store", &store, "--coap", any, "--http", any],
        &["store", &store],
    );
    let other = folder.path().join("other").display().to_string();
    bad(
        &[
            "serve",
            "--store",
            &other,
            "--coap",
            &address,
            "--bootstrap",
            any,
            "--http",
            any,
        ],
        &["cannot listen", &address],
    );
}

#[test]
fn models_are_listed_shown_and_added() {
    let site = Site::new("nrf52840");
    let url = site.server.url();
    let text = good(&["model", "list", "--server", &url]);
    for name in ["motion", "maintenance", "fashion"] {
        assert!(text.contains(name), "{text}");
    }
    let all = good_json(&["model", "list", "--server", &url]);
    assert!(all["models"].as_array().expect("models").len() >= 3);
    let text = good(&["model", "show", "motion", "--server", &url]);
    assert!(
        text.contains("upstairs") && text.contains("3,128"),
        "{text}"
    );
    let shown = good_json(&["model", "show", "motion", "--server", &url]);
    assert_eq!(shown["card"]["name"], "motion");
    bad(
        &["model", "show", "moton", "--server", &url],
        &["'moton'", "motion"],
    );

    let card = std::fs::read(model_file("motion/card.json")).expect("a card");
    let mut card: Value = serde_json::from_slice(&card).expect("JSON");
    card["name"] = "mine".into();
    card["version"] = "2.0.0".into();
    let card = write(
        &site.folder.path().join("card.json"),
        card.to_string().as_bytes(),
    );
    let onnx = model_file("motion/model.onnx").display().to_string();
    let calibration = model_file("motion/calibration.npz").display().to_string();
    let test = model_file("motion/test.npz").display().to_string();
    let add = |card: &str, onnx: &str, calibration: &str| {
        [
            "model",
            "add",
            onnx,
            "--card",
            card,
            "--calibration",
            calibration,
            "--server",
            &url,
        ]
        .map(str::to_owned)
    };
    let files = add(&card, &onnx, &calibration);
    let mut arguments: Vec<&str> = files.iter().map(String::as_str).collect();
    arguments.extend(["--test", &test]);
    let added = good_json(&arguments);
    assert_eq!(
        (&added["name"], &added["version"]),
        (&"mine".into(), &"2.0.0".into())
    );
    assert!(good(&["model", "list", "--server", &url]).contains("mine"));

    // What was added can be installed, and is there after a restart.
    let done = good_json(&["update", "dev", "--model", "mine", "--server", &url]);
    assert_eq!(done["state"], "installed");
    let mut site = site;
    site.server.restart();
    assert!(good(&["model", "list", "--server", &url]).contains("mine"));

    let refuse = |files: [String; 9], words: &[&str]| {
        bad(&files.each_ref().map(String::as_str), words);
    };
    refuse(
        add("/nowhere.json", &onnx, &calibration),
        &["cannot read /nowhere.json"],
    );
    let shipped = model_file("motion/card.json").display().to_string();
    refuse(add(&shipped, &onnx, &calibration), &["motion"]);
    let broken = write(&site.folder.path().join("broken.json"), b"{\"name\": 7}");
    refuse(add(&broken, &onnx, &calibration), &["card"]);
    refuse(add(&card, &onnx, &onnx), &["npz"]);
    // What would fail at the first device is refused when it is added; the old one stays.
    refuse(add(&card, &card, &calibration), &["mine", "not ONNX"]);
    let other = model_file("fashion/calibration.npz").display().to_string();
    refuse(add(&card, &onnx, &other), &["[1, 28, 28]", "[3, 128]"]);
    let kept = good_json(&["model", "show", "mine", "--server", &url]);
    assert_eq!(kept["version"], "2.0.0");
}

#[test]
fn devices_are_listed_shown_and_updated() {
    let site = Site::new("nrf52840");
    let url = site.server.url();
    let text = good(&["device", "list", "--server", &url]);
    assert!(text.contains("dev") && text.contains("yes"), "{text}");
    let all = good_json(&["device", "list", "--server", &url]);
    assert_eq!(all["devices"][0]["endpoint"], "dev");

    let text = good(&["update", "dev", "--model", "motion", "--server", &url]);
    assert_eq!(text.trim(), "dev: runs motion 1.0.0");
    let done = good_json(&["update", "dev", "--model", "maintenance", "--server", &url]);
    assert_eq!(
        (&done["state"], &done["endpoint"]),
        (&"installed".into(), &"dev".into())
    );
    assert!(
        done["last"]["artefact"]["module_bytes"].as_u64() > Some(1000),
        "{done:#}"
    );

    let text = good(&["device", "show", "dev", "--server", &url]);
    for word in [
        "nrf52840",
        "active maintenance",
        "capability",
        "the device commits",
    ] {
        assert!(text.contains(word), "no '{word}' in: {text}");
    }
    let shown = good_json(&["device", "show", "dev", "--server", &url]);
    assert_eq!(shown["desired"]["model"], "maintenance");

    bad(&["device", "show", "nobody", "--server", &url], &["nobody"]);
    bad(
        &["update", "dev", "--model", "moton", "--server", &url],
        &["'moton'", "motion"],
    );
    // A mistyped name makes no device.
    bad(
        &["update", "dve", "--model", "motion", "--server", &url],
        &["'dve'", "--expect"],
    );
    bad(&["device", "show", "dve", "--server", &url], &["'dve'"]);
    // A device that was never seen gets it when it registers.
    let update = [
        "update",
        "later",
        "--model",
        "motion",
        "--expect",
        "--no-wait",
        "--server",
        &url,
    ];
    assert!(good(&update).contains("when the device registers"));
}

#[test]
fn a_device_that_is_too_small_is_refused_by_name_and_number() {
    let site = Site::new("stm32l053");
    let url = site.server.url();
    let update = ["update", "dev", "--model", "fashion", "--server", &url];
    bad_last_line(&update, &["refused", "byte"]);
    let output = run(&[&update[..], &["--json"]].concat());
    assert_eq!(output.status.code(), Some(1));
    let value: Value = serde_json::from_str(&stdout(&output)).expect("one JSON document");
    assert_eq!(value["state"], "refused");
}

/// Exit code 1; progress, then one line with all of `words`.
fn bad_last_line(arguments: &[&str], words: &[&str]) {
    let output = run(arguments);
    let error = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert_eq!(stdout(&output), "");
    let last = error.trim_end().lines().last().unwrap_or_default();
    assert!(last.starts_with("error: dev: "), "{error}");
    for word in words {
        assert!(last.contains(word), "no '{word}' in: {last}");
    }
}

#[test]
fn without_a_server_every_command_says_so() {
    let socket = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}", socket.local_addr().expect("an address"));
    drop(socket);
    let words = [url.as_str(), "tinsmith serve"];
    bad(&["device", "list", "--server", &url], &words);
    bad(&["device", "show", "x", "--json", "--server", &url], &words);
    bad(&["model", "list", "--server", &url], &words);
    bad(&["model", "show", "x", "--server", &url], &words);
    bad(
        &[
            "update", "x", "--model", "motion", "--json", "--server", &url,
        ],
        &words,
    );
    bad(&["device", "list", "--server", "not a url"], &["not a url"]);
}

#[test]
fn compile_writes_a_module_and_a_report() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("motion.tsm").display().to_string();
    let report = good_json(&["compile", "motion", "--target", "nrf52840", "-o", &file]);
    for key in [
        "model",
        "target",
        "module_bytes",
        "weights_bytes",
        "code_bytes",
        "arena_bytes",
        "macs",
        "metric",
        "metric_float",
        "metric_int8",
        "compile_ms",
    ] {
        assert!(!report[key].is_null(), "no {key}: {report:#}");
    }
    let layers = report["layers"].as_array().expect("rows");
    assert!(layers.len() > 3 && layers.iter().all(|layer| layer["op"].is_string()));
    let module = std::fs::read(&file).expect("the module");
    assert_eq!(report["module_bytes"], module.len());
    common::modules::check(&module);

    // The same by path, and the whole test set is measured.
    let path = |name: &str| model_file(&format!("motion/{name}")).display().to_string();
    let (onnx, calibration, test) = (
        path("model.onnx"),
        path("calibration.npz"),
        path("test.npz"),
    );
    let base = [
        "compile",
        &onnx,
        "--target",
        "nrf52840",
        "--calibration",
        &calibration,
    ];
    let by_path = good_json(&[&base[..], &["--test", &test]].concat());
    assert_eq!(by_path["samples"], report["samples"]);
    assert_eq!(by_path["metric_int8"], report["metric_int8"]);
    let text = good(&base);
    assert!(
        text.contains("fully_connected") && text.contains("arena"),
        "{text}"
    );
}

#[test]
fn compile_says_what_is_wrong() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| model_file(&format!("motion/{name}")).display().to_string();
    let (onnx, calibration) = (path("model.onnx"), path("calibration.npz"));
    let good_onnx = std::fs::read(&onnx).expect("a model");
    let file = |name: &str, bytes: &[u8]| write(&folder.path().join(name), bytes);
    let compile = |onnx: &str, words: &[&str]| {
        let base = [
            "compile",
            onnx,
            "--target",
            "nrf52840",
            "--calibration",
            &calibration,
        ];
        bad(&base, words);
        bad(&[&base[..], &["--json"]].concat(), words);
    };
    compile(&file("empty.onnx", b""), &["empty"]);
    compile(&file("noise.onnx", &[0x5A; 3000]), &["noise"]);
    for cut in [1, 100, good_onnx.len() / 2, good_onnx.len() - 1] {
        compile(&file("cut.onnx", &good_onnx[..cut]), &["cut"]);
    }
    // The same length, so that the file stays well formed.
    let unknown = replace(&good_onnx, b"\x22\x04Relu", b"\x22\x04Rulu");
    compile(&file("unknown.onnx", &unknown), &["Rulu"]);

    let base = ["compile", onnx.as_str(), "--target", "nrf52840"];
    let with = |more: &[&'static str]| [&base[..], more].concat();
    bad(&base, &["--calibration"]);
    bad(&with(&["--calibration", "/nowhere.npz"]), &["/nowhere.npz"]);
    bad(
        &["compile", "moton", "--target", "nrf52840"],
        &["moton", "motion"],
    );
    bad(
        &["compile", "motion", "--target", "z80"],
        &["z80", "nrf52840"],
    );
    let wrong = path("../fashion/calibration.npz");
    bad(
        &[&base[..], &["--calibration", &wrong]].concat(),
        &["28", "128"],
    );
    let text = file("text.npz", b"no samples");
    bad(
        &[&base[..], &["--calibration", &text]].concat(),
        &["text.npz", ".npz"],
    );
    let test = ["--calibration", &calibration, "--test", &calibration];
    bad(&[&base[..], &test].concat(), &["'y'"]);
    bad(
        &[
            "compile",
            "motion",
            "--target",
            "nrf52840",
            "-o",
            "/nowhere/m",
        ],
        &["/nowhere/m"],
    );
    bad(&["compile", "fashion", "--target", "stm32l053"], &["byte"]);
}

fn replace(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let at = bytes
        .windows(from.len())
        .position(|window| window == from)
        .expect("it is there");
    [&bytes[..at], to, &bytes[at + from.len()..]].concat()
}
