//! Leshan's client library over Scandium against the program: pre-shared keys, raw public keys and
//! certificates, with and without Connection IDs. `tests/peers/leshan`.
//!
//! Without Java 17, Maven (or the packages that Maven fetches) and OpenSSL's command the tests say so
//! and pass; with `TINSMITH_REQUIRE_TOOLS` set, as `test.sh` sets it, they fail instead.

mod common;

use std::path::Path;

use common::leshan::{Leshan, class_path};
use common::openssl::{folder, key, openssl};
use common::process::{Server, run};
use serde_json::{Value, json};

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
    /// None without OpenSSL's command.
    fn new() -> Option<Self> {
        let folder = folder()?;
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
        Some(Self {
            folder,
            server,
            coaps,
        })
    }

    /// The digits of a file.
    fn digits(&self, name: &str) -> String {
        let bytes = std::fs::read(self.folder.path().join(name)).expect("it is there");
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// `tinsmith credential new ENDPOINT --for PURPOSE ...`.
    fn credential(&self, endpoint: &str, purpose: &str, options: &[&str]) -> Value {
        let url = self.server.url();
        let mut all = vec!["credential", "new", endpoint, "--for", purpose];
        all.extend_from_slice(&["--json", "--server", &url]);
        all.extend_from_slice(options);
        let ended = run(&all);
        assert!(ended.status.success(), "{ended:?}");
        serde_json::from_slice(&ended.stdout).expect("JSON")
    }

    /// A client that knows the server for management.
    fn leshan(&self, class_path: &str, endpoint: &str, options: &[&str]) -> Leshan {
        let uri = format!("coaps://{}", self.coaps);
        let arguments = [&[endpoint, "--server", &uri, "60"][..], options].concat();
        Leshan::start(class_path, "Main", &arguments)
    }

    /// A client that knows nothing but the bootstrap server.
    fn stranger(&self, class_path: &str, endpoint: &str, options: &[&str]) -> Leshan {
        let uri = format!("coaps://{}", self.server.coaps_bootstrap);
        let arguments = [&[endpoint, "--bootstrap", &uri][..], options].concat();
        Leshan::start(class_path, "Main", &arguments)
    }

    /// The options that show a key of files in this ending, to a server that has the same.
    fn shows(&self, way: &str, name: &str, ending: &str) -> Vec<String> {
        let own = self.digits(&format!("{name}.{ending}"));
        let key = self.digits(&format!("{name}.p8"));
        let server = self.digits(&format!("server.{ending}"));
        vec![way.to_owned(), own, key, server]
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

/// Without Connection IDs, with none in records to the client, and with one of six bytes there; and
/// without saying the name that the server knows.
const CIDS: [&[&str]; 4] = [&[], &["--cid", "0"], &["--cid", "6"], &["--unnamed"]];

#[test]
fn with_a_pre_shared_key() {
    let Some(class_path) = class_path() else {
        return;
    };
    let Some(site) = Site::new() else { return };
    for (n, cid) in CIDS.into_iter().enumerate() {
        let endpoint = format!("leshan-psk-{n}");
        let told = site.credential(&endpoint, "management", &[]);
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
    let Some(site) = Site::new() else { return };
    let told = site.credential("leshan-x509-*", "management", &["--certificate"]);
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
    let Some(site) = Site::new() else { return };
    let url = site.server.url();
    let told = run(&["credential", "server", "--server", &url]);
    let server = String::from_utf8_lossy(&told.stdout).trim().to_owned();
    assert_eq!(server, site.digits("server.spki"));
    for (n, cid) in CIDS.into_iter().enumerate() {
        let endpoint = format!("leshan-rpk-{n}");
        key(site.folder.path(), &endpoint);
        let file = site.folder.path().join(format!("{endpoint}.pub"));
        let told = site.credential(
            &endpoint,
            "management",
            &["--raw-key", &format!("@{}", file.display())],
        );
        assert_eq!(told["kind"], "raw-key");
        let own = site.digits(&format!("{endpoint}.spki"));
        let key = site.digits(&format!("{endpoint}.p8"));
        let options = [cid, &["--rpk", &own, &key, &server]].concat();
        site.is_managed(class_path, &endpoint, &options);
    }
}

/// What a device shows at the bootstrap server, and with what: the same ways as for management. It
/// gets a pre-shared key each time, with which it registers.
#[tokio::test(flavor = "multi_thread")]
async fn bootstraps() {
    let Some(class_path) = class_path() else {
        return;
    };
    let Some(site) = Site::new() else { return };
    let told = site.credential("leshan-psk", "bootstrap", &[]);
    let psk = told["key"].as_str().expect("a key");
    site.credential("leshan-x509", "bootstrap", &["--certificate"]);
    certificate(site.folder.path(), "leshan-x509");
    let mut ways = vec![
        (
            "leshan-psk",
            vec!["--psk".into(), "leshan-psk".into(), psk.into()],
        ),
        ("leshan-x509", site.shows("--x509", "leshan-x509", "der")),
    ];
    if cfg!(feature = "vendored") {
        key(site.folder.path(), "leshan-rpk");
        let file = site.folder.path().join("leshan-rpk.pub");
        let file = format!("@{}", file.display());
        site.credential("leshan-rpk", "bootstrap", &["--raw-key", &file]);
        ways.push(("leshan-rpk", site.shows("--rpk", "leshan-rpk", "spki")));
    }
    for (endpoint, options) in &ways {
        let mut options: Vec<&str> = options.iter().map(String::as_str).collect();
        options.insert(0, "--unnamed");
        let mut leshan = site.stranger(class_path, endpoint, &options);
        leshan.line("bootstrapped").await;
        leshan.line("registered").await;
        site.server.registered(endpoint);
    }
    let listed = site.server.get("credentials");
    let listed = listed["credentials"].as_array().expect("a list");
    let identities = listed.iter().filter_map(|entry| entry["identity"].as_str());
    let identities: Vec<&str> = identities.collect();
    for (endpoint, _) in &ways {
        let own = format!("{endpoint}/");
        let own = identities
            .iter()
            .filter(|identity| identity.starts_with(&own));
        assert_eq!(own.count(), 1, "{identities:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn is_not_bootstrapped_with_what_it_must_not_have() {
    let Some(class_path) = class_path() else {
        return;
    };
    let Some(site) = Site::new() else { return };
    let told = site.credential("leshan-bad", "bootstrap", &[]);
    let key = told["key"].as_str().expect("a key");
    let told = site.credential("leshan-other", "bootstrap", &[]);
    let other = told["key"].as_str().expect("a key");
    let wrong = "ff".repeat(16);
    // Another key, which no end can tell from a damaged record; an identity that nobody has; the
    // identity and key of another device.
    let mut ends = [
        ["--psk", "leshan-bad", &wrong],
        ["--psk", "leshan-nobody", &wrong],
        ["--psk", "leshan-other", other],
    ]
    .map(|options| site.stranger(class_path, "leshan-bad", &options));
    let refused = ends[2].any("failed bootstrap").await;
    assert!(refused.starts_with("failed bootstrap 4.03"), "{refused}");
    ends[1].any("failed bootstrap").await;
    let mut right = site.stranger(class_path, "leshan-bad", &["--psk", "leshan-bad", key]);
    right.line("bootstrapped").await;
    let silent = ends[0].said();
    assert_eq!(silent, [""; 0]);
}
