//! Leshan as processes: `tests/peers/leshan`.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(30);

/// The class path of the compiled peer; none after saying why, if it can't be had and need not.
pub(crate) fn class_path() -> Option<&'static str> {
    static CLASS_PATH: OnceLock<Result<String, String>> = OnceLock::new();
    match CLASS_PATH.get_or_init(build) {
        Ok(path) => Some(path),
        Err(reason) if std::env::var_os("TINSMITH_REQUIRE_TOOLS").is_some() => panic!("{reason}"),
        Err(reason) => {
            println!("skipped: no Leshan: {reason}");
            None
        }
    }
}

fn build() -> Result<String, String> {
    let peer = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/leshan");
    let mut maven = Command::new("mvn");
    maven.args(["-q", "-B", "compile", "dependency:build-classpath"]);
    let ended = maven.current_dir(&peer).stdin(Stdio::null()).output();
    let ended = ended.map_err(|error| {
        format!("cannot run mvn (apt-get install openjdk-17-jdk-headless maven): {error}")
    })?;
    if !ended.status.success() {
        let said = String::from_utf8_lossy(&ended.stdout).into_owned();
        return Err(format!("mvn failed: {said}"));
    }
    let target = peer.join("target");
    let libraries = std::fs::read_to_string(target.join("classpath.txt"));
    let libraries = libraries.map_err(|error| format!("no class path from mvn: {error}"))?;
    Ok(format!(
        "{}:{}",
        target.join("classes").display(),
        libraries.trim()
    ))
}

/// A class of the peer as a child process; killed when dropped.
pub(crate) struct Leshan {
    child: Child,
    input: Option<ChildStdin>,
    lines: mpsc::UnboundedReceiver<String>,
    passed: Vec<String>,
}

impl Leshan {
    /// `main` is `Main`, the client, or `Site`, the server.
    pub(crate) fn start(class_path: &str, main: &str, arguments: &[&str]) -> Self {
        let mut child = Command::new("java")
            .args(["-cp", class_path, &format!("tinsmith.peer.{main}")])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("java, which maven needs too");
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().expect("piped"));
        let (tx, lines) = mpsc::unbounded_channel();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                println!("leshan: {line}");
                if tx.send(line).is_err() {
                    break;
                }
            }
        });
        Self {
            child,
            input,
            lines,
            passed: Vec::new(),
        }
    }

    pub(crate) fn say(&mut self, line: &str) {
        let input = self.input.as_mut().expect("open");
        writeln!(input, "{line}").expect("leshan reads");
        input.flush().expect("leshan reads");
    }

    /// The first line from now on that starts with `start`; others are passed over, but for those
    /// of a failure.
    pub(crate) async fn line(&mut self, start: &str) -> String {
        let pass = |line: &str| {
            assert!(!line.starts_with("failed"), "waiting for {start:?}: {line}");
        };
        self.find(start, pass).await
    }

    /// The same, or one that was passed over; each is given once.
    pub(crate) async fn told(&mut self, start: &str) -> String {
        let passed = self.passed.iter().position(|line| line.starts_with(start));
        match passed {
            Some(at) => self.passed.remove(at),
            None => self.line(start).await,
        }
    }

    /// The first from now on, whatever else it says.
    pub(crate) async fn any(&mut self, start: &str) -> String {
        self.find(start, |_| ()).await
    }

    /// All lines until now that nobody waited for.
    pub(crate) fn said(&mut self) -> Vec<String> {
        while let Ok(line) = self.lines.try_recv() {
            self.passed.push(line);
        }
        std::mem::take(&mut self.passed)
    }

    async fn find(&mut self, start: &str, pass: impl Fn(&str)) -> String {
        let find = async {
            loop {
                let line = self.lines.recv().await.expect("leshan runs");
                if line.starts_with(start) {
                    return line;
                }
                pass(&line);
                self.passed.push(line);
            }
        };
        timeout(PATIENCE, find)
            .await
            .unwrap_or_else(|_| panic!("leshan never said {start:?}"))
    }

    /// Closes its input: it ends, a client after it has deregistered.
    pub(crate) fn close(&mut self) {
        self.input = None;
    }
}

impl Drop for Leshan {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
