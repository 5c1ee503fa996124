//! The client with servers of others: OpenSSL, GnuTLS, and libcoap on each of them.

#[path = "common/peer.rs"]
mod peer;

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use peer::{Device, Peer, free_port, have};
use tinsmith_dtls::{Aead, Credentials, HandshakeError};

const IDENTITY: &str = "tinsmith-peer-1";
const KEY: &[u8] = b"sixteen byte key";

fn key_digits() -> String {
    KEY.iter().map(|byte| format!("{byte:02x}")).collect()
}

const fn credentials(key: &'static [u8]) -> Credentials<'static> {
    let identity = IDENTITY.as_bytes();
    Credentials::Psk { identity, key }
}

fn openssl_server(options: &[&str], cipher: &str) -> Peer {
    let port = free_port();
    let mut command = Command::new("openssl");
    command.args(["s_server", "-dtls1_2", "-nocert", "-quiet"]);
    // Newer versions think CCM_8 too short for their default level.
    command.args(["-cipher", &format!("{cipher}:@SECLEVEL=0")]);
    command.args(["-psk_identity", IDENTITY, "-psk", &key_digits()]);
    command.args(["-accept", &format!("127.0.0.1:{port}")]);
    Peer::start(command.args(options), port)
}

#[test]
fn openssl() {
    if !have("openssl") {
        return;
    }
    let suites: [(&'static [Aead], &str); 3] = [
        (&[Aead::Ccm8], "PSK-AES128-CCM8"),
        (&[Aead::Ccm8, Aead::Ccm], "PSK-AES128-CCM"),
        (&[Aead::Gcm], "PSK-AES128-GCM-SHA256"),
    ];
    let options: [&[&str]; 3] = [
        &[],
        &["-listen"],
        // Each message in fragments.
        &["-psk_hint", "tinsmith", "-mtu", "256", "-listen"],
    ];
    for (aead, cipher) in suites {
        for options in options {
            let mut peer = openssl_server(options, cipher);
            let mut device = Device::new(peer.address, credentials(KEY));
            device.connect(aead);
            let open = device.run(Device::is_open);
            assert!(open, "{cipher} {options:?}: {:?}", device.failed);
            // It has no Connection IDs.
            let association = device.client.association().expect("open");
            assert!(association.peer_cid().is_empty());
            device.send(b"from the device\n");
            peer.says("from the device");
            peer.tell("from the server\n");
            assert!(
                device.run(|d| !d.received.is_empty()),
                "{cipher} {options:?}"
            );
            assert_eq!(device.received[0], b"from the server\n");
        }
    }
}

#[test]
fn openssl_closes_and_another_handshake_follows() {
    if !have("openssl") {
        return;
    }
    let peer = openssl_server(&[], "PSK-AES128-CCM8");
    for _ in 0..3 {
        let mut device = Device::new(peer.address, credentials(KEY));
        device.connect(&[Aead::Ccm8]);
        assert!(device.run(Device::is_open), "{:?}", device.failed);
        device.send(b"once more\n");
        peer.says("once more");
        device.client.close();
        device.run(|d| d.client.next_deadline().is_none());
    }
}

#[test]
fn openssl_with_another_key_or_no_suite_of_ours() {
    if !have("openssl") {
        return;
    }
    let peer = openssl_server(&[], "PSK-AES128-GCM-SHA256");
    let mut device = Device::new(peer.address, credentials(KEY));
    device.connect(&[Aead::Ccm8]);
    assert!(!device.run(Device::is_open));
    assert!(
        matches!(device.failed, Some(HandshakeError::Refused(_))),
        "{:?}",
        device.failed
    );
    let peer = openssl_server(&[], "PSK-AES128-CCM8");
    let mut device = Device::new(peer.address, credentials(b"another key"));
    device.connect(&[Aead::Ccm8]);
    let open = device.run_for(Duration::from_secs(3), Device::is_open);
    assert!(!open);
}

#[test]
fn gnutls() {
    if !have("gnutls-serv") {
        return;
    }
    let folder = std::env::temp_dir().join(format!("tinsmith-dtls-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let passwords: PathBuf = folder.join("psk");
    std::fs::write(&passwords, format!("{IDENTITY}:{}\n", key_digits())).expect("a file");
    let suites: [(&'static [Aead], &str); 3] = [
        (&[Aead::Ccm8], "+AES-128-CCM-8"),
        (&[Aead::Ccm], "+AES-128-CCM"),
        (&[Aead::Gcm], "+AES-128-GCM"),
    ];
    for (aead, cipher) in suites {
        let port = free_port();
        let mut command = Command::new("gnutls-serv");
        command.args(["--udp", "--echo", "--port", &port.to_string()]);
        command.arg("--pskpasswd").arg(&passwords);
        let priority = format!("NORMAL:-VERS-ALL:+VERS-DTLS1.2:-KX-ALL:+PSK:-CIPHER-ALL:{cipher}");
        command.args(["--priority", &priority]);
        let peer = Peer::start(&mut command, port);
        let mut device = Device::new(peer.address, credentials(KEY));
        device.connect(aead);
        let open = device.run(Device::is_open);
        assert!(open, "{cipher}: {:?}", device.failed);
        device.send(b"echo this\n");
        assert!(device.run(|d| !d.received.is_empty()), "{cipher}");
        assert_eq!(device.received[0], b"echo this\n");
    }
    std::fs::remove_dir_all(folder).expect("it is ours");
}

/// A request to CoAP servers on OpenSSL and on GnuTLS.
#[test]
fn libcoap() {
    for program in ["coap-server-openssl", "coap-server-gnutls"] {
        if !have(program) {
            continue;
        }
        for hint in ["", "tinsmith"] {
            let port = free_port();
            let mut command = Command::new(program);
            command.args(["-A", "127.0.0.1", "-p", &port.to_string()]);
            command.args(["-k", std::str::from_utf8(KEY).expect("letters"), "-h", hint]);
            let peer = Peer::start(&mut command, port + 1);
            let mut device = Device::new(peer.address, credentials(KEY));
            device.connect(&[Aead::Ccm8, Aead::Gcm]);
            let open = device.run(Device::is_open);
            assert!(open, "{program}: {:?}", device.failed);
            // GET of the root, confirmable, message 0x1234.
            device.send(&[0x40, 1, 0x12, 0x34]);
            assert!(device.run(|d| !d.received.is_empty()), "{program}");
            // 2.05 in its acknowledgement.
            assert_eq!(
                device.received[0][..4],
                [0x60, 0x45, 0x12, 0x34],
                "{program}"
            );
        }
    }
}
