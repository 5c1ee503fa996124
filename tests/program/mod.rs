//! The program as a user starts it: a server and devices as child processes, spoken to over HTTP.
#![allow(dead_code)]

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// A child process; killed when dropped.
pub struct Process(Child);

impl Process {
    pub fn spawn(command: &mut Command) -> Self {
        let name = command.get_program().to_owned();
        Process(command.spawn().unwrap_or_else(|e| panic!("{name:?}: {e}")))
    }

    /// SIGKILL, as a power cut is.
    pub fn kill(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

pub fn tinsmith() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tinsmith"));
    command.stdin(Stdio::null());
    command
}

/// A UDP port of the loopback that was free a moment ago.
pub fn free_port() -> u16 {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("loopback");
    socket.local_addr().expect("bound").port()
}

/// `tinsmith serve` on loopback.
pub struct Server {
    process: Process,
    pub bootstrap: SocketAddr,
    http: String,
    agent: ureq::Agent,
}

impl Server {
    /// Devices whose name begins with `qemu` are sent to the address that QEMU's guests see.
    pub fn start(folder: &Path) -> Self {
        let coap = free_port();
        let mut child = tinsmith()
            .args([
                "serve",
                "--json",
                "--bootstrap",
                "127.0.0.1:0",
                "--http",
                "127.0.0.1:0",
            ])
            .args(["--coap", &format!("127.0.0.1:{coap}")])
            .args(["--bootstrap-uri", &format!("qemu*=coap://10.0.2.2:{coap}")])
            .arg("--store")
            .arg(folder)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut line = String::new();
        let output = child.stdout.take().expect("piped");
        BufReader::new(output).read_line(&mut line).expect("text");
        let process = Process(child);
        let addresses: Value = serde_json::from_str(&line)
            .unwrap_or_else(|e| panic!("the server did not say where it listens: {line:?}: {e}"));
        let address = |key: &str| addresses[key].as_str().expect("an address").to_owned();
        Server {
            process,
            bootstrap: address("bootstrap").parse().expect("an address"),
            http: format!("http://{}", address("http")),
            agent: ureq::Agent::config_builder()
                .http_status_as_error(false)
                .build()
                .into(),
        }
    }

    fn finish(result: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Value {
        let mut response = result.expect("the server answers");
        let body: Value = response.body_mut().read_json().expect("JSON");
        assert!(
            response.status().is_success(),
            "{}: {body:#}",
            response.status()
        );
        body
    }

    pub fn device(&self, endpoint: &str) -> Option<Value> {
        let url = format!("{}/api/v1/devices/{endpoint}", self.http);
        match self.agent.get(url).call() {
            Ok(response) if response.status() == 404 => None,
            result => Some(Self::finish(result)),
        }
    }

    pub fn want(&self, endpoint: &str, model: &str) {
        let url = format!("{}/api/v1/devices/{endpoint}/model", self.http);
        let body = json!({ "model": model, "trial_s": 120 });
        Self::finish(self.agent.put(url).send_json(&body));
    }

    /// What a device makes of a sample; without the time it took.
    pub fn infer(&self, endpoint: &str, sample: &[f32]) -> Value {
        let url = format!("{}/api/v1/devices/{endpoint}/infer", self.http);
        let mut answer = Self::finish(self.agent.post(url).send_json(json!({ "input": sample })));
        answer
            .as_object_mut()
            .expect("an object")
            .remove("latency_us");
        answer
    }

    /// Waits until `until` is true of the device.
    pub fn wait(
        &self,
        endpoint: &str,
        patience: Duration,
        what: &str,
        until: impl Fn(&Value) -> bool,
    ) -> Value {
        let started = Instant::now();
        loop {
            let device = self.device(endpoint).unwrap_or(Value::Null);
            if until(&device) {
                return device;
            }
            assert!(
                started.elapsed() < patience,
                "{endpoint} is not {what}: {device:#}"
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Waits until a device runs a model.
    pub fn wait_installed(&self, endpoint: &str, model: &str, patience: Duration) {
        let device = self.wait(endpoint, patience, "installed", |device| {
            let settled = ["installed", "refused", "failed", "unsupported"];
            let wanted = device["desired"]["model"] == model;
            wanted
                && device["state"]
                    .as_str()
                    .is_some_and(|state| settled.contains(&state))
        });
        assert_eq!(device["state"], "installed", "{device:#}");
    }
}

/// The device of the demo as a process.
pub fn host_device(endpoint: &str, target: &str, bootstrap: SocketAddr, flash: &Path) -> Process {
    Process::spawn(
        tinsmith()
            .args([
                "host-device",
                "--quiet",
                "--endpoint",
                endpoint,
                "--target",
                target,
            ])
            .args(["--bootstrap", &format!("coap://{bootstrap}")])
            .arg("--flash")
            .arg(flash),
    )
}
