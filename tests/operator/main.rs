//! What an operator asks for besides the usual: other decisions, time limits, pipes, files,
//! configuration.
#![cfg(feature = "compiler")]

#[path = "../common/mod.rs"]
mod common;

mod configured;
mod decisions;
mod files;

use std::process::Output;

use common::process::{Server, run};

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("text")
}

pub(crate) fn failed(output: &Output) -> String {
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(!error.contains("panicked"), "{error}");
    error
}

pub(crate) fn good(arguments: &[&str]) -> Output {
    let output = run(arguments);
    assert!(
        output.status.success(),
        "{arguments:?}: {}",
        text(&output.stderr)
    );
    output
}

pub(crate) fn server() -> (tempfile::TempDir, Server) {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(&folder.path().join("store"), &[]);
    (folder, server)
}
