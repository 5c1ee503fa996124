//! Following what was decided, and leaving it; pipes.

use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::common::process::{Server, run, tinsmith, wait};
use super::{failed, good, server, text};

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
