//! Leshan's client library over Scandium against the program: pre-shared keys, raw public keys and
//! certificates, with and without Connection IDs. `tests/peers/leshan`.
//!
//! Without Java 17, Maven (or the packages that Maven fetches) and OpenSSL's command the tests say so
//! and pass; with `TINSMITH_REQUIRE_TOOLS` set, as `test.sh` sets it, they fail instead.

mod common;

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use common::process::{Process, Server, run};
use serde_json::{Value, json};

/// The class path of the compiled peer; none after saying why.
fn class_path() -> Option<&'static str> {
    static CLASS_PATH: OnceLock<Result<String, String>> = OnceLock::new();
    match CLASS_PATH.get_or_init(build) {
        Ok(path) => Some(path),
        Err(reason) if std::env::var_os("TINSMITH_REQUIRE_TOOLS").is_some() => panic!("{reason}"),
        Err(reason) => {
            println!("skipped: no Leshan client: {reason}");
            None
        }
    }
}

fn build() -> Result<String, String> {
    let peer = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/leshan");
    let mut maven = Command::new("mvn");
    maven.args(["-q", "-B", "compile", "dependency:build-classpath"]);
    let ended = maven.current_dir(&peer).stdin(Stdio::null()).output();
    let ended = ended.map_err(|error| format!("cannot run mvn: {error}"))?;
    if !ended.status.success() {
        let said = String::from_utf8_lossy(&ended.stdout).into_owned();
        return Err(format!("mvn failed: {said}"));
    }
    let version = Command::new("openssl").arg("version").output();
    version.map_err(|error| format!("cannot run openssl: {error}"))?;
    let target = peer.join("target");
    let libraries = std::fs::read_to_string(target.join("classpath.txt"));
    let libraries = libraries.map_err(|error| format!("no class path from mvn: {error}"))?;
    Ok(format!(
        "{}:{}",
        target.join("classes").display(),
        libraries.trim()
    ))
}

/// Runs OpenSSL's command in a folder.
fn openssl(folder: &Path, line: &str) {
    let mut command = Command::new("openssl");
    let ended = command.args(line.split(' ')).current_dir(folder).output();
    let ended = ended.expect("it was there before");
    assert!(ended.status.success(), "{line}: {ended:?}");
}

/// A key in `NAME.key`; PKCS #8 in `NAME.p8`, its SubjectPublicKeyInfo in `NAME.spki` and, in PEM,
/// `NAME.pub`.
fn key(folder: &Path, name: &str) {
    for line in [
        "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out NAME.key",
        "pkcs8 -topk8 -nocrypt -in NAME.key -outform DER -out NAME.p8",
        "pkey -in NAME.key -pubout -outform DER -out NAME.spki",
        "pkey -in NAME.key -pubout -out NAME.pub",
    ] {
        openssl(folder, &line.replace("NAME", name));
    }
}

/// A certificate in `NAME.pem` and `NAME.der`, of the authority in `root.pem`.
fn certificate(folder: &Path, name: &str) {
    key(folder, name);
    for line in [
        "req -new -key NAME.key -subj /CN=NAME -out NAME.csr",
        "x509 -req -in NAME.csr -CA root.pem -CAkey root.key -CAcreateserial -days 1 -out NAME.pem",
        "x509 -in NAME.pem -outform DER -out NAME.der",
    ] {
        openssl(folder, &line.replace("NAME", name));
    }
}

/// A server with a certificate that believes those of an authority.
struct Site {
    folder: tempfile::TempDir,
    server: Server,
    coaps: String,
}

impl Site {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let at = folder.path();
        key(at, "root");
        openssl(
            at,
            "req -new -x509 -key root.key -subj /CN=root -days 1 -out root.pem",
        );
        certificate(at, "server");
        let file = |name: &str| at.join(name).display().to_string();
        let extra = [
            ["--coaps-cert".to_owned(), file("server.pem")],
            ["--coaps-key".to_owned(), file("server.key")],
            ["--coaps-ca".to_owned(), file("root.pem")],
        ]
        .concat();
        let server = Server::start(&at.join("store"), &extra);
        let told = server.get("server");
        let coaps = told["coaps"].as_str().expect("an address").to_owned();
        Self {
            folder,
            server,
            coaps,
        }
    }

    /// The digits of a file.
    fn digits(&self, name: &str) -> String {
        let bytes = std::fs::read(self.folder.path().join(name)).expect("it is there");
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// `tinsmith credential new ENDPOINT --for management ...`.
    fn credential(&self, endpoint: &str, options: &[&str]) -> Value {
        let url = self.server.url();
        let mut all = vec!["credential", "new", endpoint, "--for", "management"];
        all.extend_from_slice(&["--json", "--server", &url]);
        all.extend_from_slice(options);
        let ended = run(&all);
        assert!(ended.status.success(), "{ended:?}");
        serde_json::from_slice(&ended.stdout).expect("JSON")
    }

    fn leshan(&self, class_path: &str, endpoint: &str, options: &[&str]) -> Process {
        let mut command = Command::new("java");
        command.args(["-cp", class_path, "tinsmith.peer.Main", endpoint]);
        command.args(["--server", &format!("coaps://{}", self.coaps), "60"]);
        command.args(options).stdin(Stdio::piped());
        Process::spawn(command.stdout(Stdio::null()).stderr(Stdio::null()))
    }

    /// It registers, and is read.
    fn is_managed(&self, class_path: &str, endpoint: &str, options: &[&str]) {
        let _leshan = self.leshan(class_path, endpoint, options);
        self.server.registered(endpoint);
        let read = self
            .server
            .get(&format!("devices/{endpoint}/resources/3/0/0"));
        assert!(read.to_string().contains("Tinsmith tests"), "{read}");
    }
}

/// Without Connection IDs, with none in records to the client, and with one of six bytes there.
const CIDS: [&[&str]; 3] = [&[], &["--cid", "0"], &["--cid", "6"]];

#[test]
fn with_a_pre_shared_key() {
    let Some(class_path) = class_path() else {
        return;
    };
    let site = Site::new();
    for (n, cid) in CIDS.into_iter().enumerate() {
        let endpoint = format!("leshan-psk-{n}");
        let told = site.credential(&endpoint, &[]);
        let key = told["key"].as_str().expect("a key");
        let options = [cid, &["--psk", &endpoint, key]].concat();
        site.is_managed(class_path, &endpoint, &options);
    }
}

#[test]
fn with_a_certificate() {
    let Some(class_path) = class_path() else {
        return;
    };
    let site = Site::new();
    let told = site.credential("leshan-x509-*", &["--certificate"]);
    assert_eq!(told["kind"], "certificate");
    let server = site.digits("server.der");
    for (n, cid) in CIDS.into_iter().enumerate() {
        let endpoint = format!("leshan-x509-{n}");
        certificate(site.folder.path(), &endpoint);
        let own = site.digits(&format!("{endpoint}.der"));
        let key = site.digits(&format!("{endpoint}.p8"));
        let options = [cid, &["--x509", &own, &key, &server]].concat();
        site.is_managed(class_path, &endpoint, &options);
    }
    // Who has no name of these is nobody, and nobody has these names without a certificate.
    let claims = site.server.ask("GET", "credentials", &Value::Null);
    let (_, claims) = claims.expect("the server answers");
    assert_eq!(claims["credentials"][0]["endpoints"], "leshan-x509-*");
    let both = json!({
        "endpoints": "x", "purpose": "management", "certificate": "", "raw_key": "00"
    });
    let answer = site.server.ask("POST", "credentials", &both);
    assert_eq!(answer.expect("the server answers").0, 400);
}

/// Raw public keys need the OpenSSL that the program brings.
#[cfg(feature = "vendored")]
#[test]
fn with_a_raw_public_key() {
    let Some(class_path) = class_path() else {
        return;
    };
    let site = Site::new();
    let url = site.server.url();
    let told = run(&["credential", "server", "--server", &url]);
    let server = String::from_utf8_lossy(&told.stdout).trim().to_owned();
    assert_eq!(server, site.digits("server.spki"));
    for (n, cid) in CIDS.into_iter().enumerate() {
        let endpoint = format!("leshan-rpk-{n}");
        key(site.folder.path(), &endpoint);
        let file = site.folder.path().join(format!("{endpoint}.pub"));
        let told = site.credential(&endpoint, &["--raw-key", &format!("@{}", file.display())]);
        assert_eq!(told["kind"], "raw-key");
        let own = site.digits(&format!("{endpoint}.spki"));
        let key = site.digits(&format!("{endpoint}.p8"));
        let options = [cid, &["--rpk", &own, &key, &server]].concat();
        site.is_managed(class_path, &endpoint, &options);
    }
}
