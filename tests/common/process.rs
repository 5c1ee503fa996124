//! The server and devices as processes; none outlives its test.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

/// The admin token of servers under test; every command shows it.
pub(crate) const TOKEN: &str =
    "tinsmith_0000000000000000000000000000000000000000000000000000000000000001";

/// The program under test.
pub(crate) fn tinsmith() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tinsmith"));
    command
        .stdin(Stdio::null())
        .env_remove("RUST_LOG")
        .env_remove("TINSMITH_SERVER")
        .env_remove("TINSMITH_KEY")
        .env("TINSMITH_COAPS", "127.0.0.1:0")
        .env("TINSMITH_COAPS_BOOTSTRAP", "127.0.0.1:0")
        .env("TINSMITH_TOKEN", TOKEN);
    command
}

/// `serve` with a store, on free ports of this machine; its addresses come as JSON.
pub(crate) fn serve(store: &Path) -> Command {
    serve_at(store, [SocketAddr::from(([127, 0, 0, 1], 0)); 5])
}

const LISTENERS: [&str; 5] = [
    "--coap",
    "--bootstrap",
    "--http",
    "--coaps",
    "--coaps-bootstrap",
];

fn serve_at(store: &Path, at: [SocketAddr; 5]) -> Command {
    provision(store);
    let mut command = tinsmith();
    command.args(["serve", "--json", "--store"]).arg(store);
    // What tests ask for is not limited by how fast they ask.
    command.env("TINSMITH_HTTP_RATE", "1000000");
    for (option, address) in LISTENERS.iter().zip(at) {
        command.args([*option, &address.to_string()]);
    }
    command
}

/// Puts the token into the folder of a store that is to be, as an operator may.
pub(crate) fn provision(store: &Path) {
    std::fs::create_dir_all(store).expect("a folder");
    let file = store.join("admin-token");
    if !file.exists() {
        std::fs::write(file, TOKEN).expect("a file");
    }
}

/// A client of the HTTP API that shows the token.
pub(crate) fn agent() -> ureq::Agent {
    let config = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(Duration::from_secs(60)));
    let show = |mut request: ureq::http::Request<ureq::SendBody<'_>>,
                next: ureq::middleware::MiddlewareNext<'_>| {
        let value = format!("Bearer {TOKEN}").parse().expect("a header");
        request.headers_mut().insert("Authorization", value);
        next.handle(request)
    };
    config.middleware(show).build().into()
}

/// Runs a command to its end.
pub(crate) fn run(arguments: &[&str]) -> Output {
    tinsmith()
        .args(arguments)
        .output()
        .expect("the program starts")
}

/// Asks again and again until there is an answer; panics with `what` after `seconds`.
pub(crate) fn wait<T>(what: &str, seconds: u64, mut ask: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + Duration::from_secs(seconds);
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < end, "no end after {seconds} s: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Kills a process as a power cut would.
pub(crate) fn kill_now(pid: u32) {
    let pid = Pid::from_raw(i32::try_from(pid).expect("a process id"));
    kill(pid, Signal::SIGKILL).expect("the process is there");
}

/// A process that is killed when its test ends.
pub(crate) struct Process(Child);

impl Process {
    pub(crate) fn spawn(command: &mut Command) -> Self {
        let name = command.get_program().to_owned();
        Process(command.spawn().unwrap_or_else(|e| panic!("{name:?}: {e}")))
    }

    /// One that was spawned.
    pub(crate) fn own(child: Child) -> Self {
        Process(child)
    }

    /// SIGKILL, as a power cut is.
    pub(crate) fn kill(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// `tinsmith serve`.
pub(crate) struct Server {
    process: Process,
    store: PathBuf,
    extra: Vec<String>,
    pub(crate) coap: SocketAddr,
    pub(crate) bootstrap: SocketAddr,
    pub(crate) http: SocketAddr,
    pub(crate) coaps: SocketAddr,
    pub(crate) coaps_bootstrap: SocketAddr,
}

impl Server {
    /// Starts a server on ports that are free.
    pub(crate) fn start(store: &Path, extra: &[String]) -> Self {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        Self::launch(store, extra, [any; 5]).expect("the server starts")
    }

    /// The same, for devices that know this machine as 10.0.2.2: `qemu-1` is to have no security at
    /// its management server, `qemu-oscore` OSCORE, others whose names begin with `qemu` DTLS.
    pub(crate) fn start_for_guests(store: &Path, extra: &[String]) -> Self {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let sockets = [0; 2].map(|_| std::net::UdpSocket::bind(any).expect("loopback"));
        let [coap, coaps] = sockets.each_ref().map(|s| s.local_addr().expect("bound"));
        drop(sockets);
        let mut all = extra.to_vec();
        for (pattern, scheme, port) in [
            ("qemu-oscore", "coap+oscore", coap.port()),
            ("qemu-1", "coap", coap.port()),
            ("qemu*", "coaps", coaps.port()),
        ] {
            let uri = format!("{pattern}={scheme}://10.0.2.2:{port}");
            all.extend(["--bootstrap-uri".to_owned(), uri]);
        }
        Self::launch(store, &all, [coap, any, any, coaps, any]).expect("the server starts")
    }

    fn launch(store: &Path, extra: &[String], at: [SocketAddr; 5]) -> Option<Self> {
        let child = serve_at(store, at)
            .args(extra)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut process = Process(child);
        let mut line = String::new();
        let stdout = process.0.stdout.take().expect("a pipe");
        BufReader::new(stdout).read_line(&mut line).expect("text");
        if line.is_empty() {
            return None;
        }
        let addresses: Value = serde_json::from_str(&line).expect("one line of JSON");
        let address = |name: &str| {
            let text = addresses[name].as_str().expect("an address");
            text.parse().expect("an address")
        };
        Some(Self {
            process,
            store: store.to_owned(),
            extra: extra.to_vec(),
            coap: address("coap"),
            bootstrap: address("bootstrap"),
            http: address("http"),
            coaps: address("coaps"),
            coaps_bootstrap: address("coaps_bootstrap"),
        })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.0.id()
    }

    /// kill -9.
    pub(crate) fn kill(&mut self) {
        let _ = self.process.0.kill();
        let _ = self.process.0.wait();
    }

    /// Starts it again, on the same store and the same ports.
    pub(crate) fn restart(&mut self) {
        self.kill();
        let at = [
            self.coap,
            self.bootstrap,
            self.http,
            self.coaps,
            self.coaps_bootstrap,
        ];
        let (store, extra) = (self.store.clone(), self.extra.clone());
        *self = wait("the server starts again", 30, || {
            Self::launch(&store, &extra, at)
        });
    }

    /// `http://...`, as the commands take it.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.http)
    }

    /// An HTTP request: status and JSON; `None` if there is no server.
    pub(crate) fn ask(&self, method: &str, path: &str, body: &Value) -> Option<(u16, Value)> {
        let agent = agent();
        let url = format!("{}/api/v1/{path}", self.url());
        let response = match method {
            "GET" => agent.get(url).call(),
            "PUT" => agent.put(url).send_json(body),
            "DELETE" => agent.delete(url).call(),
            _ => agent.post(url).send_json(body),
        };
        let mut response = response.ok()?;
        let status = response.status().as_u16();
        Some((status, response.body_mut().read_json().ok()?))
    }

    /// GET; panics unless the answer is 200.
    pub(crate) fn get(&self, path: &str) -> Value {
        self.insist("GET", path, &Value::Null)
    }

    /// POST; panics unless the answer is 200.
    pub(crate) fn post(&self, path: &str, body: &Value) -> Value {
        self.insist("POST", path, body)
    }

    /// A request that a new registration of the device cancelled (409) is made again.
    fn insist(&self, method: &str, path: &str, body: &Value) -> Value {
        wait(&format!("{method} {path}"), 10, || {
            match self.ask(method, path, body) {
                Some((200, value)) => Some(value),
                Some((409, _)) => None,
                other => panic!("{method} {path}: {other:?}"),
            }
        })
    }

    /// The device shall run a model; durable if this is true. False: the server is gone.
    pub(crate) fn try_want(&self, endpoint: &str, model: &str) -> bool {
        let path = format!("devices/{endpoint}/model");
        let answer = self.ask("PUT", &path, &json!({ "model": model, "expect": true }));
        assert!(
            matches!(answer, None | Some((200, _))),
            "{path}: {answer:?}"
        );
        answer.is_some()
    }

    /// The device shall run a model; durable when this returns.
    pub(crate) fn want(&self, endpoint: &str, model: &str) {
        assert!(self.try_want(endpoint, model), "the server answers");
    }

    /// Waits until the device has registered.
    pub(crate) fn registered(&self, endpoint: &str) {
        wait("the device registers", 60, || {
            let (status, device) = self.ask("GET", &format!("devices/{endpoint}"), &Value::Null)?;
            (status == 200 && device["online"] == true).then_some(())
        });
    }

    /// Waits until the device runs a model.
    pub(crate) fn installed(&self, endpoint: &str, model: &str) {
        let device = self.settled(endpoint);
        assert_eq!(device["state"], "installed", "{device:#}");
        assert_eq!(device["desired"]["model"], model, "{device:#}");
    }

    /// What a device makes of a sample, without the time it took.
    pub(crate) fn infer(&self, endpoint: &str, sample: &[f32]) -> Value {
        let path = format!("devices/{endpoint}/infer");
        let mut answer = self.post(&path, &json!({ "input": sample }));
        answer["latency_us"] = Value::Null;
        answer
    }

    /// Waits for the end of the update under way, good or bad.
    pub(crate) fn settled(&self, endpoint: &str) -> Value {
        let mut last = Value::Null;
        let end = Instant::now() + Duration::from_secs(90);
        while Instant::now() < end {
            if let Some((200, device)) =
                self.ask("GET", &format!("devices/{endpoint}"), &Value::Null)
            {
                let state = device["state"].as_str().unwrap_or_default();
                if matches!(state, "installed" | "refused" | "failed" | "unsupported") {
                    return device;
                }
                last = device;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!(
            "the update of {endpoint} does not end: {} ({}), timeline {:#}",
            last["state"], last["detail"], last["timeline"]
        );
    }
}

/// `tinsmith host-device`.
pub(crate) struct Device {
    process: Process,
    arguments: Vec<String>,
    key: Option<String>,
    lines: Arc<Mutex<Vec<String>>>,
    pub(crate) endpoint: String,
}

impl Device {
    /// Starts a device that knows nothing but its name and the bootstrap server.
    pub(crate) fn start(endpoint: &str, bootstrap: SocketAddr, target: &str, flash: &Path) -> Self {
        let uri = format!("coap://{bootstrap}");
        Self::start_at(endpoint, ["--bootstrap", &uri], target, flash)
    }

    /// Starts a device with a server, by `--bootstrap` or `--server` and its URI.
    pub(crate) fn start_at(endpoint: &str, server: [&str; 2], target: &str, flash: &Path) -> Self {
        let [option, uri] = server;
        let flash = flash.display().to_string();
        let arguments = ["host-device", "--endpoint", endpoint, option, uri];
        let made_of = ["--target", target, "--flash", &flash];
        let arguments = [&arguments[..], &made_of].concat();
        let arguments = arguments.into_iter().map(str::to_owned).collect();
        Self::run(endpoint, arguments, None)
    }

    /// Starts a device with a server, by `--bootstrap` or `--server`, that has DTLS, and the key for
    /// it: identity and hexadecimal digits.
    pub(crate) fn start_secure(
        endpoint: &str,
        (option, server): (&str, SocketAddr),
        (identity, key): (&str, &str),
        flash: &Path,
    ) -> Self {
        let arguments = [
            "host-device",
            "--endpoint",
            endpoint,
            option,
            &format!("coaps://{server}"),
            "--identity",
            identity,
            "--target",
            "nrf52840",
            "--flash",
            &flash.display().to_string(),
        ];
        let arguments = arguments.map(str::to_owned).to_vec();
        Self::run(endpoint, arguments, Some(key.to_owned()))
    }

    /// Starts a device with a management server that has DTLS, and options for a key pair.
    pub(crate) fn start_with_pair(
        endpoint: &str,
        server: SocketAddr,
        options: &[String],
        flash: &Path,
    ) -> Self {
        let arguments = [
            "host-device",
            "--endpoint",
            endpoint,
            "--server",
            &format!("coaps://{server}"),
            "--target",
            "nrf52840",
            "--flash",
            &flash.display().to_string(),
        ];
        let arguments = arguments.map(str::to_owned).into_iter();
        let arguments = arguments.chain(options.iter().cloned()).collect();
        Self::run(endpoint, arguments, None)
    }

    /// Starts a device that knows nothing but the bootstrap server, and a context for it as
    /// `tinsmith credential new --oscore --json` prints it.
    pub(crate) fn start_oscore(
        endpoint: &str,
        bootstrap: SocketAddr,
        context: &Value,
        flash: &Path,
    ) -> Self {
        let text = |value: &Value| value.as_str().expect("digits").to_owned();
        let its = &context["oscore"];
        let mut arguments = vec!["host-device".to_owned()];
        for (option, value) in [
            ("--endpoint", endpoint.to_owned()),
            ("--bootstrap", format!("coap://{bootstrap}")),
            ("--target", "nrf52840".to_owned()),
            ("--flash", flash.display().to_string()),
            ("--oscore-secret", text(&context["key"])),
            ("--oscore-salt", text(&its["master_salt"])),
            ("--sender-id", text(&its["sender_id"])),
            ("--recipient-id", text(&its["recipient_id"])),
        ] {
            arguments.extend([option.to_owned(), value]);
        }
        Self::run(endpoint, arguments, None)
    }

    fn run(endpoint: &str, arguments: Vec<String>, key: Option<String>) -> Self {
        let lines = Arc::default();
        Self {
            process: Self::launch(&arguments, key.as_deref(), &lines),
            arguments,
            key,
            lines,
            endpoint: endpoint.to_owned(),
        }
    }

    fn launch(arguments: &[String], key: Option<&str>, lines: &Arc<Mutex<Vec<String>>>) -> Process {
        let mut child = tinsmith()
            .envs(key.map(|key| ("TINSMITH_KEY", key)))
            .args(arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let stderr = child.stderr.take().expect("a pipe");
        let lines = lines.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                lines.lock().expect("no panic").push(line);
            }
        });
        Process(child)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.0.id()
    }

    /// SIGKILL, as a power cut is.
    pub(crate) fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again with the flash as it is now.
    pub(crate) fn restart(&mut self) {
        let _ = self.process.0.kill();
        let _ = self.process.0.wait();
        self.process = Self::launch(&self.arguments, self.key.as_deref(), &self.lines);
    }

    /// What it said from line `from` on.
    pub(crate) fn lines(&self, from: usize) -> Vec<String> {
        self.lines
            .lock()
            .expect("no panic")
            .iter()
            .skip(from)
            .cloned()
            .collect()
    }

    /// How many lines it said.
    pub(crate) fn line_count(&self) -> usize {
        self.lines.lock().expect("no panic").len()
    }
}

/// Writes a file for a test.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> String {
    std::fs::write(path, bytes).expect("a file can be written");
    path.display().to_string()
}
