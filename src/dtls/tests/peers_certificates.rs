//! The server with clients of others that have certificates or raw public keys.
//!
//! Where their programs are missing a test says so and passes; with `TINSMITH_REQUIRE_TOOLS` set,
//! as `test.sh` sets it, it fails instead.

#[path = "common/authority.rs"]
mod authority;
#[path = "common/host.rs"]
mod host;

use std::path::{Path, PathBuf};
use std::process::Command;

use authority::{DEVICE, Holder, Wish};
use host::{Host, Known, Peer, have};
use sha2::{Digest, Sha256};
use tinsmith_dtls_server::{Config, Failure, Own};
use tinsmith_peer::Identity;

/// Files of a device and of its server, in a folder of the test's own.
struct Files {
    folder: PathBuf,
    device: Holder,
    config: Config,
}

impl Files {
    fn new(name: &str) -> Self {
        let folder = format!("tinsmith-peers-{name}-{}", std::process::id());
        let folder = std::env::temp_dir().join(folder);
        std::fs::create_dir_all(&folder).expect("a folder");
        let root = authority::authority("root");
        let server = root.issue(Wish {
            common: "localhost",
            other: ["localhost", ""],
            for_servers: true,
            ..DEVICE
        });
        let device = root.issue(DEVICE);
        let write = |name: &str, bytes: &[u8]| {
            std::fs::write(folder.join(name), bytes).expect("it can be written");
        };
        write("root.pem", &root.pem());
        write("device.pem", &device.pem());
        write("device.key", &device.key_pem());
        write(
            "device.pub",
            &device.key.public_key_to_pem().expect("a key"),
        );
        let sec1 = device.key.ec_key().and_then(|key| key.private_key_to_pem());
        write("device.sec1", &sec1.expect("a key"));
        let own = Own::new(&server.key_pem()).expect("a key");
        let own = own
            .with_certificate(&server.pem())
            .expect("its certificate");
        let own = own.with_authorities(&root.pem()).expect("an authority");
        let config = Config {
            own: Some(own),
            ..Config::default()
        };
        Self {
            folder,
            device,
            config,
        }
    }

    fn path(&self, name: &str) -> String {
        let path: &Path = &self.folder;
        path.join(name).display().to_string()
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn device() -> Identity {
    Identity::Certificate("device 1".to_owned())
}

#[test]
fn openssl() {
    if !have("openssl") {
        return;
    }
    let files = Files::new("openssl");
    for cipher in [
        "ECDHE-ECDSA-AES128-CCM8",
        "ECDHE-ECDSA-AES128-CCM",
        "ECDHE-ECDSA-AES128-GCM-SHA256",
    ] {
        for options in [&[][..], &["-mtu", "256"]] {
            let host = Host::start(files.config.clone());
            let mut command = Command::new("openssl");
            command.args(["s_client", "-dtls1_2", "-quiet", "-no_ign_eof"]);
            command.args(["-cipher", &format!("{cipher}:@SECLEVEL=0")]);
            command.args(["-CAfile", &files.path("root.pem"), "-verify_return_error"]);
            command.args(["-cert", &files.path("device.pem")]);
            command.args(["-key", &files.path("device.key")]);
            command.args(["-servername", "localhost"]);
            command.args(["-connect", &host.address.to_string()]);
            let mut peer = Peer::start(command.args(options));
            peer.tell("from the device\n");
            host.until(cipher, |seen| !seen.data.is_empty());
            assert_eq!(host.seen().identities, [device()]);
            peer.says("from the device\n");
            peer.end();
            host.until("close_notify", |seen| seen.gone == 1);
        }
    }
}

fn gnutls_cli(host: &Host, priority: &str) -> Command {
    let mut command = Command::new("gnutls-cli");
    let priority = format!("NORMAL:-VERS-ALL:+VERS-DTLS1.2:{priority}");
    command.args(["--udp", "--priority", &priority]);
    command.args(["--port", &host.address.port().to_string()]);
    command
}

#[test]
fn gnutls() {
    if !have("gnutls-cli") {
        return;
    }
    let files = Files::new("gnutls");
    for cipher in ["AES-128-CCM-8", "AES-128-CCM", "AES-128-GCM"] {
        let host = Host::start(files.config.clone());
        let mut command = gnutls_cli(&host, &format!("-CIPHER-ALL:+{cipher}"));
        command.args(["--x509cafile", &files.path("root.pem")]);
        command.args(["--x509certfile", &files.path("device.pem")]);
        command.args(["--x509keyfile", &files.path("device.key")]);
        command.args(["--verify-hostname", "localhost", "127.0.0.1"]);
        let mut peer = Peer::start(&mut command);
        peer.tell("say this again\n");
        host.until(cipher, |seen| !seen.data.is_empty());
        assert_eq!(host.seen().identities, [device()]);
        peer.says("say this again");
    }
}

/// Raw public keys of both: RFC 7250.
#[cfg(feature = "vendored")]
#[test]
fn gnutls_with_a_raw_key() {
    if !have("gnutls-cli") {
        return;
    }
    let files = Files::new("gnutls-raw");
    let key = files.device.key.public_key_to_der().expect("a key");
    let digest = Sha256::digest(key).into();
    // Servers with a certificate, and without.
    let bare = Config {
        own: Some(Own::new(&Own::generate().expect("a key")).expect("a key")),
        ..Config::default()
    };
    for config in [files.config.clone(), bare] {
        for cipher in ["AES-128-CCM-8", "AES-128-GCM"] {
            for raw_key in [Some(digest), None] {
                let host = Host::with(config.clone(), Known { raw_key });
                let priority = format!("-CIPHER-ALL:+{cipher}:-CTYPE-ALL:+CTYPE-RAWPK");
                let mut command = gnutls_cli(&host, &priority);
                command.args(["--rawpkfile", &files.path("device.pub")]);
                command.args(["--rawpkkeyfile", &files.path("device.key")]);
                command.args(["--insecure", "127.0.0.1"]);
                let mut peer = Peer::start(&mut command);
                if raw_key.is_none() {
                    host.until("a failure", |seen| !seen.failures.is_empty());
                    let failures = host.seen().failures.clone();
                    assert!(
                        matches!(&failures[..], [Failure::NotBelieved(why)] if why.contains("nobody")),
                        "{failures:?}"
                    );
                    continue;
                }
                peer.tell("say this again\n");
                host.until(cipher, |seen| !seen.data.is_empty());
                assert_eq!(host.seen().identities, [Identity::RawKey(digest)]);
                peer.says("say this again");
            }
        }
    }
}

/// A request by CoAP from clients on OpenSSL and on GnuTLS.
#[test]
fn libcoap() {
    for program in ["coap-client-openssl", "coap-client-gnutls"] {
        if !have(program) {
            continue;
        }
        let files = Files::new(program);
        let host = Host::start(files.config.clone());
        let mut command = Command::new(program);
        command.args(["-m", "get", "-B", "20"]);
        command.args(["-c", &files.path("device.pem")]);
        command.args(["-j", &files.path("device.key")]);
        command.args(["-C", &files.path("root.pem")]);
        command.arg(format!("coaps://localhost:{}/rd", host.address.port()));
        let ended = command.output().expect("it starts");
        let said = String::from_utf8_lossy(&ended.stdout);
        assert!(said.contains("welcome"), "{program}: {ended:?}");
        assert_eq!(host.seen().identities, [device()], "{program}");
    }
}

/// The same with raw public keys, which libcoap can on GnuTLS.
#[cfg(feature = "vendored")]
#[test]
fn libcoap_with_a_raw_key() {
    let program = "coap-client-gnutls";
    if !have(program) {
        return;
    }
    let files = Files::new("libcoap-raw");
    let key = files.device.key.public_key_to_der().expect("a key");
    let digest = Sha256::digest(key).into();
    let raw_key = Some(digest);
    let host = Host::with(files.config.clone(), Known { raw_key });
    let mut command = Command::new(program);
    command.args(["-m", "get", "-B", "20", "-M", &files.path("device.sec1")]);
    command.arg(format!("coaps://{}/rd", host.address));
    let ended = command.output().expect("it starts");
    let said = String::from_utf8_lossy(&ended.stdout);
    assert!(said.contains("welcome"), "{ended:?}");
    assert_eq!(host.seen().identities, [Identity::RawKey(digest)]);
}
