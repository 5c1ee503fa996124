//! The server with clients of others: OpenSSL, GnuTLS, and libcoap on each of them.
//!
//! Where their programs are missing a test says so and passes; with `TINSMITH_REQUIRE_TOOLS` set,
//! as `test.sh` sets it, it fails instead.

#[path = "common/host.rs"]
mod host;

use std::net::SocketAddr;
use std::process::{Command, Output as Ended};
use std::time::Duration;

use host::{Host, IDENTITY, KEY, Peer, have};
use tinsmith_dtls_server::{Config, Failure};

fn key_digits() -> String {
    KEY.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn s_client(host: &Host, cipher: &str, key: &str, options: &[&str]) -> Peer {
    let mut command = Command::new("openssl");
    command.args(["s_client", "-dtls1_2", "-quiet", "-no_ign_eof"]);
    // Newer versions think CCM_8 too short for their default level.
    command.args(["-cipher", &format!("{cipher}:@SECLEVEL=0")]);
    command.args(["-psk_identity", IDENTITY, "-psk", key]);
    command.args(["-connect", &host.address.to_string()]);
    Peer::start(command.args(options))
}

#[test]
fn openssl() {
    if !have("openssl") {
        return;
    }
    for cipher in ["PSK-AES128-CCM8", "PSK-AES128-CCM", "PSK-AES128-GCM-SHA256"] {
        for options in [&[][..], &["-mtu", "256"]] {
            let host = Host::start(Config::default());
            let mut peer = s_client(&host, cipher, &key_digits(), options);
            peer.tell("from the device\n");
            host.until(cipher, |seen| !seen.data.is_empty());
            assert_eq!(host.seen().data, [b"from the device\n"]);
            peer.tell("and more\n");
            host.until(cipher, |seen| seen.data.len() == 2);
            peer.says("from the device\nand more\n");
            peer.end();
            host.until("close_notify", |seen| seen.gone == 1);
        }
    }
}

#[test]
fn openssl_with_another_key_or_name() {
    if !have("openssl") {
        return;
    }
    let config = Config {
        handshake_time: Duration::from_secs(3),
        ..Config::default()
    };
    let host = Host::start(config);
    let liar = s_client(&host, "PSK-AES128-CCM8", "0102", &[]);
    host.until("a failure", |seen| !seen.failures.is_empty());
    let wrong = Failure::WrongKey(IDENTITY.as_bytes().to_vec());
    assert_eq!(host.seen().failures, [wrong]);
    drop(liar);
    let host = Host::start(Config::default());
    let options = ["-psk_identity", "somebody"];
    let stranger = s_client(&host, "PSK-AES128-CCM8", &key_digits(), &options);
    host.until("a failure", |seen| !seen.failures.is_empty());
    let unknown = Failure::UnknownIdentity(b"somebody".to_vec());
    assert_eq!(host.seen().failures, [unknown]);
    drop(stranger);
    let host = Host::start(Config::default());
    let other = s_client(&host, "PSK-AES256-CBC-SHA", &key_digits(), &[]);
    host.until("a failure", |seen| !seen.failures.is_empty());
    assert!(matches!(host.seen().failures[..], [Failure::Refused(_)]));
    assert!(host.seen().data.is_empty());
    drop(other);
}

#[test]
fn gnutls() {
    if !have("gnutls-cli") {
        return;
    }
    for cipher in ["+AES-128-CCM-8", "+AES-128-CCM", "+AES-128-GCM"] {
        let host = Host::start(Config::default());
        let mut command = Command::new("gnutls-cli");
        let priority = format!("NORMAL:-VERS-ALL:+VERS-DTLS1.2:-KX-ALL:+PSK:-CIPHER-ALL:{cipher}");
        command.args(["--udp", "--priority", &priority]);
        command.args(["--pskusername", IDENTITY, "--pskkey", &key_digits()]);
        command.args(["--port", &host.address.port().to_string(), "127.0.0.1"]);
        let mut peer = Peer::start(&mut command);
        peer.tell("say this again\n");
        host.until(cipher, |seen| !seen.data.is_empty());
        assert_eq!(host.seen().data, [b"say this again\n"]);
        peer.says("say this again");
    }
}

fn libcoap_with(program: &str, key: &str, address: SocketAddr) -> Ended {
    let mut command = Command::new(program);
    command.args(["-m", "get", "-B", "20", "-u", IDENTITY, "-k", key]);
    command.arg(format!("coaps://{address}/rd"));
    command.output().expect("it starts")
}

/// A request by CoAP from clients on OpenSSL and on GnuTLS.
#[test]
fn libcoap() {
    for program in ["coap-client-openssl", "coap-client-gnutls"] {
        if !have(program) {
            continue;
        }
        let host = Host::start(Config::default());
        for _ in 0..3 {
            let key = std::str::from_utf8(KEY).expect("letters");
            let ended = libcoap_with(program, key, host.address);
            let said = String::from_utf8_lossy(&ended.stdout);
            assert!(said.contains("welcome"), "{program}: {ended:?}");
        }
        assert_eq!(host.seen().failures, []);
        assert_eq!(host.seen().data.len(), 3);
    }
}

/// Flights in small datagrams are put together, and ours keep the size that was set.
#[test]
fn small_datagrams() {
    if !have("openssl") {
        return;
    }
    let config = Config {
        mtu: 256,
        ..Config::default()
    };
    let host = Host::start(config);
    let options = ["-mtu", "256"];
    let mut peer = s_client(&host, "PSK-AES128-CCM8", &key_digits(), &options);
    peer.tell("small\n");
    host.until("its data", |seen| !seen.data.is_empty());
    assert!(host.seen().longest <= 256, "{}", host.seen().longest);
}
