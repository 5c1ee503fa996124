//! The client with a key pair and servers of others: certificates of OpenSSL, GnuTLS and libcoap on
//! both; raw public keys of GnuTLS and libcoap on it.

#[path = "common/peer.rs"]
mod peer;

use std::path::{Path, PathBuf};
use std::process::Command;

use peer::{Device, Peer, free_port, have};
use tinsmith_dtls::{
    Aead, Credentials, Flaw, HandshakeError, Misbehaved, Name, Trust, Usage, public_key_info,
};

const SUITES: [(&[Aead], &str, &str); 3] = [
    (&[Aead::Ccm8], "ECDHE-ECDSA-AES128-CCM8", "+AES-128-CCM-8"),
    (
        &[Aead::Ccm8, Aead::Ccm],
        "ECDHE-ECDSA-AES128-CCM",
        "+AES-128-CCM",
    ),
    (
        &[Aead::Gcm],
        "ECDHE-ECDSA-AES128-GCM-SHA256",
        "+AES-128-GCM",
    ),
];

/// Keys and certificates of a device, of its server and of who is above both, made by OpenSSL.
struct Files(PathBuf);

impl Files {
    /// None without OpenSSL's program.
    fn new(name: &str) -> Option<Self> {
        if !have("openssl") {
            return None;
        }
        let folder = format!("tinsmith-key-pairs-{name}-{}", std::process::id());
        let files = Self(std::env::temp_dir().join(folder));
        std::fs::create_dir_all(&files.0).expect("a folder");
        let v3 = "[server]\nsubjectAltName=DNS:server.example\nextendedKeyUsage=serverAuth\n\
                  [device]\nextendedKeyUsage=clientAuth\n[below]\nbasicConstraints=critical,CA:true";
        std::fs::write(files.0.join("v3"), v3).expect("written");
        for who in ["root", "below", "server", "device"] {
            files.openssl(&format!(
                "ecparam -name prime256v1 -genkey -noout -out {who}.sec1"
            ));
            files.openssl(&format!(
                "pkcs8 -topk8 -nocrypt -in {who}.sec1 -out {who}.key"
            ));
            files.openssl(&format!("pkey -in {who}.key -pubout -out {who}.pub"));
        }
        files.openssl("req -x509 -new -key root.key -subj /CN=root -days 9 -out root.pem");
        for (who, above) in [("below", "root"), ("server", "below"), ("device", "root")] {
            files.openssl(&format!(
                "req -new -key {who}.key -subj /CN={who} -out {who}.csr"
            ));
            files.openssl(&format!(
                "x509 -req -in {who}.csr -CA {above}.pem -CAkey {above}.key -CAcreateserial \
                 -days 9 -extfile v3 -extensions {who} -out {who}.pem"
            ));
        }
        files.openssl("pkcs8 -topk8 -nocrypt -in device.sec1 -outform DER -out device.key.der");
        for who in ["root", "server", "device"] {
            files.openssl(&format!("x509 -in {who}.pem -outform DER -out {who}.der"));
        }
        files.openssl("pkey -in server.key -pubout -outform DER -out server.info");
        let chain = [files.read("server.pem"), files.read("below.pem")].concat();
        std::fs::write(files.0.join("chain.pem"), chain).expect("written");
        Some(files)
    }

    fn openssl(&self, arguments: &str) {
        let mut command = Command::new("openssl");
        let ended = command
            .args(arguments.split_whitespace())
            .current_dir(&self.0)
            .output()
            .expect("it starts");
        assert!(ended.status.success(), "{arguments}: {ended:?}");
    }

    fn path(&self, name: &str) -> String {
        let path: &Path = &self.0;
        path.join(name).display().to_string()
    }

    fn read(&self, name: &str) -> &'static [u8] {
        std::fs::read(self.0.join(name))
            .expect("it is there")
            .leak()
    }

    fn certificates(&self, usage: Usage, name: &'static str) -> Credentials<'static> {
        let certificate = match usage {
            Usage::Anchor => self.read("root.der"),
            _ => self.read("server.der"),
        };
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let now = now.expect("after 1970").as_secs() as i64;
        Credentials::Certificates {
            own: self.read("device.der"),
            private: self.read("device.key.der"),
            server: Trust {
                usage,
                certificate,
                authorities: &[],
                name: Name::Dns(name),
                now: Some(now),
            },
        }
    }

    fn raw_keys(&self) -> Credentials<'static> {
        let private = self.read("device.key.der");
        Credentials::RawKeys {
            public: public_key_info(private).expect("a key").to_vec().leak(),
            private,
            server: self.read("server.info"),
        }
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn talk(device: &mut Device, what: &str) {
    assert!(device.run(Device::is_open), "{what}: {:?}", device.failed);
    device.send(b"echo this\n");
    assert!(device.run(|d| !d.received.is_empty()), "{what}");
    assert_eq!(device.received[0], b"echo this\n");
}

#[test]
fn openssl() {
    let Some(files) = Files::new("openssl") else {
        return;
    };
    for (aeads, cipher, _) in SUITES {
        for options in [&["-listen"][..], &["-mtu", "256", "-listen"]] {
            for usage in [Usage::Issued, Usage::Anchor] {
                let port = free_port();
                let mut command = Command::new("openssl");
                command.args(["s_server", "-dtls1_2", "-quiet"]);
                command.args(["-cipher", &format!("{cipher}:@SECLEVEL=0")]);
                command.args(["-cert", &files.path("server.pem")]);
                command.args(["-key", &files.path("server.key")]);
                command.args(["-cert_chain", &files.path("below.pem")]);
                command.args(["-CAfile", &files.path("root.pem")]);
                command.args(["-Verify", "2", "-verify_return_error"]);
                command.args(["-accept", &format!("127.0.0.1:{port}")]);
                let mut peer = Peer::start(command.args(options), port);
                let credentials = files.certificates(usage, "server.example");
                assert!(credentials.are_usable());
                let mut device = Device::new(peer.address, credentials);
                device.connect(aeads);
                let open = device.run(Device::is_open);
                assert!(open, "{cipher} {usage:?}: {:?}", device.failed);
                device.send(b"from the device\n");
                peer.says("from the device");
                peer.tell("from the server\n");
                assert!(device.run(|d| !d.received.is_empty()), "{cipher}");
                assert_eq!(device.received[0], b"from the server\n");
            }
        }
    }
}

fn gnutls_server(files: &Files, ciphers: &str, options: &[&str]) -> Peer {
    let port = free_port();
    let mut command = Command::new("gnutls-serv");
    command.args(["--udp", "--echo", "--port", &port.to_string()]);
    command.args([
        "--priority",
        &format!("NORMAL:-VERS-ALL:+VERS-DTLS1.2:{ciphers}"),
    ]);
    for (option, file) in options.chunks(2).map(|pair| (pair[0], pair[1])) {
        command.args([option, &files.path(file)]);
    }
    Peer::start(command.arg("--require-client-cert"), port)
}

#[test]
fn gnutls() {
    let Some(files) = Files::new("gnutls").filter(|_| have("gnutls-serv")) else {
        return;
    };
    let options = [
        "--x509certfile",
        "chain.pem",
        "--x509keyfile",
        "server.key",
        "--x509cafile",
        "root.pem",
    ];
    for (aeads, _, cipher) in SUITES {
        // It has one client in its life.
        for usage in [Usage::Issued, Usage::Anchor] {
            let peer = gnutls_server(&files, &format!("-CIPHER-ALL:{cipher}"), &options);
            let credentials = files.certificates(usage, "server.example");
            let mut device = Device::new(peer.address, credentials);
            device.connect(aeads);
            talk(&mut device, cipher);
        }
    }
    // The server is another.
    let peer = gnutls_server(&files, "-CIPHER-ALL:+AES-128-CCM-8", &options);
    let mut device = Device::new(peer.address, files.certificates(Usage::Anchor, "other"));
    device.connect(&[Aead::Ccm8]);
    assert!(!device.run(Device::is_open));
    let name = Misbehaved::Certificate(Flaw::Name);
    assert_eq!(device.failed, Some(HandshakeError::Misbehaved(name)));
}

#[test]
fn gnutls_with_raw_keys() {
    let Some(files) = Files::new("raw").filter(|_| have("gnutls-serv")) else {
        return;
    };
    let options = ["--rawpkfile", "server.pub", "--rawpkkeyfile", "server.key"];
    for (aeads, _, cipher) in SUITES {
        let ciphers = format!("-CIPHER-ALL:{cipher}:-CTYPE-ALL:+CTYPE-RAWPK");
        let peer = gnutls_server(&files, &ciphers, &options);
        let credentials = files.raw_keys();
        assert!(credentials.are_usable());
        let mut device = Device::new(peer.address, credentials);
        device.connect(aeads);
        talk(&mut device, cipher);
        // A server with another key.
        let peer = gnutls_server(&files, &ciphers, &options);
        let Credentials::RawKeys {
            public, private, ..
        } = credentials
        else {
            unreachable!("raw keys");
        };
        let other = Credentials::RawKeys {
            public,
            private,
            server: public,
        };
        let mut device = Device::new(peer.address, other);
        device.connect(aeads);
        assert!(!device.run(Device::is_open));
        assert_eq!(device.failed, Some(Misbehaved::Stranger.into()));
    }
}

/// A request to CoAP servers on OpenSSL and on GnuTLS.
#[test]
fn libcoap() {
    let Some(files) = Files::new("libcoap") else {
        return;
    };
    for (program, raw) in [
        ("coap-server-openssl", false),
        ("coap-server-gnutls", false),
        ("coap-server-gnutls", true),
    ] {
        if !have(program) {
            continue;
        }
        let port = free_port();
        let mut command = Command::new(program);
        command.args(["-A", "127.0.0.1", "-p", &port.to_string()]);
        if raw {
            command.args(["-M", &files.path("server.sec1")]);
        } else {
            command.args(["-c", &files.path("server.pem")]);
            command.args(["-j", &files.path("server.key")]);
            command.args(["-C", &files.path("root.pem")]);
        }
        let mut peer = Peer::start(&mut command, port + 1);
        let credentials = match raw {
            true => files.raw_keys(),
            false => files.certificates(Usage::Issued, ""),
        };
        let mut device = Device::new(peer.address, credentials);
        device.connect(&[Aead::Ccm8, Aead::Gcm]);
        let open = device.run(Device::is_open);
        assert!(open, "{program} {raw}: {:?}", device.failed);
        // GET of the root, confirmable, message 0x1234.
        device.send(&[0x40, 1, 0x12, 0x34]);
        assert!(device.run(|d| !d.received.is_empty()), "{program}");
        // 2.05 in its acknowledgement.
        assert_eq!(
            device.received[0][..4],
            [0x60, 0x45, 0x12, 0x34],
            "{program}"
        );
        peer.tell("");
    }
}
