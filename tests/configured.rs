//! The server as its file, its environment and its command line configure it.
#![cfg(feature = "compiler")]

mod common;

use std::path::Path;
use std::process::Output;

use common::process::{Server, run, write};
use serde_json::Value;

#[test]
fn the_example_of_a_file_is_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/deploy/tinsmith.toml");
    let file = file.display().to_string();
    // What the command line says counts more: no port of the example is taken.
    let extra = ["--config".to_owned(), file.clone()];
    let server = Server::start(&folder.path().join("store"), &extra);
    server.get("server");

    // With every option that it shows.
    let text = std::fs::read_to_string(file).expect("a file");
    let option = |line: &str| {
        let line = line.strip_prefix("# ").unwrap_or(line);
        let name = line.split_once(" = ").map_or("", |(name, _)| name);
        let is = !name.is_empty() && name.bytes().all(|c| c.is_ascii_lowercase() || c == b'-');
        is.then(|| line.to_owned())
    };
    let options: Vec<String> = text.lines().filter_map(option).collect();
    assert!(options.len() >= 11, "{options:?}");
    let all = write(
        &folder.path().join("all.toml"),
        options.join("\n").as_bytes(),
    );
    let extra = ["--config".to_owned(), all];
    Server::start(&folder.path().join("other"), &extra).get("server");
}

fn said(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8(output.stderr.clone()).expect("text")
}

#[test]
fn what_is_wrong_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = write(&folder.path().join("wrong.toml"), b"compile-limit = 0\n");
    let text = said(&run(&["serve", "--config", &file]));
    assert!(text.contains("compile-limit must be 1 to 86400"), "{text}");
    let file = write(&folder.path().join("wrong.toml"), b"max-unproven = -1\n");
    let text = said(&run(&["serve", "--config", &file]));
    assert!(text.contains("line 1"), "{text}");
}

#[test]
fn the_environment_opens_a_store_that_has_lost_something() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = folder.path().join("store");
    let mut server = Server::start(&store, &[]);
    server.want("dev", "motion");
    server.kill();
    std::fs::remove_file(store.join("proof")).expect("a file");
    let serve = |loss: &str| {
        let mut command = common::process::serve(&store);
        command
            .env("TINSMITH_ACCEPT_LOSS", loss)
            .env("TINSMITH_TRUST_LOOPBACK", "1")
            .env("TINSMITH_MAX_UNPROVEN", "10")
            .env("TINSMITH_COMPILE_LIMIT", "60");
        command
    };
    let output = serve("0").output().expect("the program runs");
    assert!(said(&output).contains("--accept-loss"));
    let mut child = serve("1")
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut line = String::new();
    let stdout = child.stdout.take().expect("a pipe");
    std::io::BufRead::read_line(&mut std::io::BufReader::new(stdout), &mut line).expect("text");
    child.kill().expect("it runs");
    let _ = child.wait();
    let addresses: Value = serde_json::from_str(&line).expect("one line of JSON");
    assert!(addresses["http"].is_string(), "{line}");
}
