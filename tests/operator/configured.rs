//! How the server is configured, what it tells, and what shells are given.

use std::io::Read;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};

use super::common::process::{Device, Process, agent, run, serve, tinsmith, wait, write};
use super::{failed, good, server, text};

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
