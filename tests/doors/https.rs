//! The HTTP listener with TLS, and commands that trust it or not.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::{Duration, Instant};

use crate::common::process::{Server, run, serve, tinsmith, wait};

/// A file of `tests/fixtures/tls`.
fn fixture(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tls");
    folder.join(name)
}

struct Site {
    folder: tempfile::TempDir,
    server: Server,
}

impl Site {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn new(certificate: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        put(certificate, folder.path());
        let option = |name: &str, file: &str| [name.to_owned(), path(file).display().to_string()];
        let extra = [
            option("--http-cert", "cert.pem"),
            option("--http-key", "key.pem"),
        ]
        .concat();
        let server = Server::start(&path("store"), &extra);
        Self { folder, server }
    }

    fn list(&self, authority: Option<&str>) -> Output {
        let url = format!("https://localhost:{}", self.server.http.port());
        let mut command = tinsmith();
        command.args(["device", "list", "--server", &url]);
        if let Some(authority) = authority {
            command.arg("--ca").arg(fixture(authority));
        }
        command.output().expect("the program starts")
    }
}

/// Certificate and key as the server reads them.
fn put(name: &str, folder: &Path) {
    for (from, to) in [("pem", "cert.pem"), ("key", "key.pem")] {
        let from = fixture(&format!("{name}.{from}"));
        fs::copy(from, folder.join(to)).expect("a file");
    }
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

#[test]
fn commands_speak_https_to_whom_they_trust() {
    let site = Site::new("first");
    let good = site.list(Some("ca.pem"));
    assert!(good.status.success(), "{}", text(&good));
    // Authorities of this machine have not signed it, nor has it signed itself.
    for authority in [None, Some("foreign.pem"), Some("second.pem")] {
        let bad = site.list(authority);
        assert!(!bad.status.success());
        let said = text(&bad);
        assert!(
            said.contains("is not trusted") || said.contains("trusts no"),
            "{said}"
        );
    }
    for (file, words) in [("first.key", "no certificate"), ("nothing", "nothing")] {
        let bad = site.list(Some(file));
        assert!(text(&bad).contains(words), "{}", text(&bad));
    }
    // Another name than the certificate has.
    let url = format!("https://127.0.0.2:{}", site.server.http.port());
    let ca = fixture("ca.pem").display().to_string();
    let other = run(&["device", "list", "--server", &url, "--ca", &ca]);
    assert!(!other.status.success(), "{}", text(&other));
    // A session's cookie is for https only.
    let url = format!("https://localhost:{}", site.server.http.port());
    let login = run(&["login", "--server", &url, "--ca", &ca]);
    assert!(
        text(&login).starts_with(&format!("{url}/login?code=")),
        "{}",
        text(&login)
    );
}

#[test]
fn expired_and_foreign_certificates_are_not_trusted() {
    for name in ["expired", "foreign"] {
        let site = Site::new(name);
        let said = text(&site.list(Some("ca.pem")));
        assert!(said.contains("is not trusted"), "{name}: {said}");
    }
}

#[test]
fn a_new_certificate_is_taken() {
    let site = Site::new("first");
    assert!(site.list(Some("ca.pem")).status.success());
    // Half of the new pair, and nonsense, change nothing.
    fs::copy(fixture("foreign.pem"), site.path("cert.pem")).expect("a file");
    std::thread::sleep(Duration::from_secs(3));
    assert!(site.list(Some("ca.pem")).status.success());
    fs::write(site.path("key.pem"), "nonsense").expect("a file");
    std::thread::sleep(Duration::from_secs(3));
    assert!(site.list(Some("ca.pem")).status.success());
    put("foreign", site.folder.path());
    wait("the new certificate", 20, || {
        site.list(Some("foreign.pem"))
            .status
            .success()
            .then_some(())
    });
    assert!(!site.list(Some("ca.pem")).status.success());
}

#[test]
fn files_that_are_wrong_are_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let nonsense = folder.path().join("nonsense");
    fs::write(&nonsense, "nonsense").expect("a file");
    let key = fixture("first.key");
    let cert = fixture("first.pem");
    for (cert, key, words) in [
        (&cert, &nonsense, "no private key"),
        (&nonsense, &key, "no certificate"),
        (&cert, &fixture("second.key"), "can't be used"),
        (&fixture("nothing"), &key, "cannot read"),
    ] {
        let output = serve(&folder.path().join("store"))
            .arg("--http-cert")
            .arg(cert)
            .arg("--http-key")
            .arg(key)
            .output()
            .expect("the program starts");
        assert_eq!(output.status.code(), Some(1));
        assert!(text(&output).contains(words), "{}", text(&output));
    }
    let output = serve(&folder.path().join("store"))
        .arg("--http-cert")
        .arg(&cert)
        .output()
        .expect("the program starts");
    assert!(text(&output).contains("together"), "{}", text(&output));
}

#[test]
fn other_machines_are_not_served_in_the_clear() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = folder.path().join("store");
    let refused = run(&[
        "serve",
        "--store",
        &store.display().to_string(),
        "--coap",
        "127.0.0.1:0",
        "--bootstrap",
        "127.0.0.1:0",
        "--http",
        "0.0.0.0:0",
    ]);
    let said = text(&refused);
    assert_eq!(refused.status.code(), Some(1));
    for word in ["--http-cert", "--http-plain"] {
        assert!(said.contains(word), "{said}");
    }
    assert!(!store.exists());
    let config = folder.path().join("tinsmith.toml");
    fs::write(&config, "http-plain = true\n").expect("a file");
    let log = folder.path().join("log");
    let mut child = tinsmith()
        .args([
            "serve",
            "--json",
            "--coap",
            "127.0.0.1:0",
            "--bootstrap",
            "127.0.0.1:0",
        ])
        .args(["--http", "0.0.0.0:0", "--store"])
        .arg(&store)
        .arg("--config")
        .arg(&config)
        .stdout(std::process::Stdio::piped())
        .stderr(fs::File::create(&log).expect("a file"))
        .spawn()
        .expect("the program starts");
    let mut byte = [0];
    let stdout = child.stdout.as_mut().expect("a pipe");
    stdout.read_exact(&mut byte).expect("it runs");
    child.kill().expect("it runs");
    let _ = child.wait();
    let log = fs::read_to_string(&log).expect("the log");
    assert!(
        log.contains("WARN") && log.contains("not encrypted"),
        "{log}"
    );
}

#[test]
fn half_handshakes_keep_nobody_out() {
    let site = Site::new("first");
    let mut open = Vec::new();
    for number in 0..700 {
        let mut stream = TcpStream::connect(site.server.http).expect("the server listens");
        let start: &[u8] = match number % 3 {
            0 => b"",
            1 => b"\x16\x03\x01\x02",
            _ => b"GET / HTTP/1.1\r\n\r\n",
        };
        let _ = stream.write_all(start);
        open.push(stream);
    }
    let asked = Instant::now();
    let good = site.list(Some("ca.pem"));
    assert!(good.status.success(), "{}", text(&good));
    assert!(asked.elapsed() < Duration::from_secs(10));
}
