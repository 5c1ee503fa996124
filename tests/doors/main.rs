//! Who may do what over HTTP: tokens, roles, sessions, limits, TLS, and the record of what was done.
#![cfg(feature = "compiler")]

#[path = "../common/mod.rs"]
mod common;

mod audit;
mod browser;
mod https;
mod roles;
mod tokens;

use std::process::{Command, Output};
use std::time::Duration;

use common::process::{Server, run, tinsmith};
use serde_json::Value;
use ureq::http::Response;
use ureq::{Agent, Body};

pub(crate) fn server(extra: &[&str]) -> (tempfile::TempDir, Server) {
    let folder = tempfile::tempdir().expect("a folder");
    let extra: Vec<String> = extra.iter().map(|option| (*option).to_owned()).collect();
    let server = Server::start(&folder.path().join("store"), &extra);
    (folder, server)
}

pub(crate) fn stranger() -> Agent {
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .timeout_global(Some(Duration::from_secs(60)));
    config.build().into()
}

/// A request with headers and without a body.
pub(crate) fn ask(url: &str, method: &str, headers: &[(&str, &str)]) -> Response<Body> {
    let mut request = ureq::http::Request::builder().method(method).uri(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(()).expect("a request");
    stranger().run(request).expect("an answer")
}

pub(crate) fn status(url: &str, method: &str, headers: &[(&str, &str)]) -> u16 {
    ask(url, method, headers).status().as_u16()
}

pub(crate) fn json_of(mut response: Response<Body>) -> Value {
    response.body_mut().read_json().expect("JSON")
}

/// Makes a token by the command line.
pub(crate) fn token(server: &Server, name: &str, role: &str) -> String {
    let url = server.url();
    let made = run(&[
        "token", "new", name, "--role", role, "--server", &url, "--json",
    ]);
    let made: Value = serde_json::from_slice(&made.stdout).expect("JSON");
    made["token"].as_str().expect("a token").to_owned()
}

pub(crate) fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

pub(crate) fn said(output: &Output) -> String {
    String::from_utf8([&output.stdout[..], &output.stderr].concat()).expect("text")
}

/// The program without the token of the tests.
pub(crate) fn plain() -> Command {
    let mut command = tinsmith();
    command
        .env_remove("TINSMITH_TOKEN")
        .env_remove("TINSMITH_STORE")
        .env_remove("TINSMITH_CONFIG");
    command
}

pub(crate) fn audit_of(server: &Server) -> Vec<Value> {
    let page = server.get("audit?limit=1000");
    page["entries"].as_array().expect("a list").clone()
}
