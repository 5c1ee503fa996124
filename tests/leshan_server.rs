//! The device as a process against Leshan's server library, without DTLS and over Scandium:
//! `tests/peers/leshan`.
//!
//! Without Java 17 and Maven (or without the packages that Maven fetches) the tests say so and
//! pass; with `TINSMITH_REQUIRE_TOOLS` set, as `test.sh` sets it, they fail instead.

mod common;

use std::net::SocketAddr;

use common::leshan::{Leshan, class_path};
use common::process::Device;

const KEY: &str = "000102030405060708090a0b0c0d0e0f";

/// A server, and where it listens.
struct Site {
    leshan: Leshan,
    coap: String,
    coaps: SocketAddr,
}

impl Site {
    async fn start(class_path: &str, arguments: &[&str]) -> Self {
        let mut leshan = Leshan::start(class_path, "Site", arguments);
        let coap = leshan.line("listens coap://").await;
        let coaps = leshan.line("listens coaps://").await;
        let (_, coap) = coap.split_once(' ').expect("a URI");
        let (_, coaps) = coaps.split_once("://").expect("a URI");
        let (_, port) = coaps.rsplit_once(':').expect("a port");
        let port = port.parse().expect("a port");
        Self {
            leshan,
            coap: coap.to_owned(),
            coaps: SocketAddr::from(([127, 0, 0, 1], port)),
        }
    }

    /// Says a request and gives the code of its answer and the rest.
    async fn ask(&mut self, what: &str, endpoint: &str, rest: &str) -> (String, String) {
        self.leshan.say(&format!("{what} {endpoint} {rest}"));
        let path = rest.split(' ').next().expect("a path");
        let start = format!("{what} {endpoint} {path} ");
        let line = self.leshan.line(&start).await;
        let (code, content) = line[start.len()..].split_once(' ').expect("two words");
        (code.to_owned(), content.to_owned())
    }

    async fn succeeds(&mut self, what: &str, endpoint: &str, rest: &str) -> String {
        let (code, content) = self.ask(what, endpoint, rest).await;
        assert!(code.starts_with("2."), "{what} {rest}: {code} {content}");
        content
    }

    /// Every operation, in every content format that the device announces or knows.
    async fn manages(&mut self, endpoint: &str) {
        for format in ["", " TLV", " SENML_CBOR", " SENML_JSON", " LWM2M_CBOR"] {
            let (code, device) = self.ask("read", endpoint, &format!("/3/0{format}")).await;
            if code == "4.06" {
                println!("the device has no{format}");
                continue;
            }
            assert_eq!(code, "2.05", "{format}: {device}");
            assert!(device.contains("nrf52840-dk"), "{format}: {device}");
        }
        let links = self.succeeds("discover", endpoint, "/3").await;
        assert!(links.contains("</3/0/0>"), "{links}");
        // Lifetime: written, read again, and told to the server by an update.
        self.succeeds("write", endpoint, "/1/0/1 TEXT 77").await;
        self.leshan.told(&format!("updated {endpoint}")).await;
        let lifetime = self.succeeds("read", endpoint, "/1/0/1").await;
        assert!(lifetime.contains("value=77"), "{lifetime}");
        self.succeeds("observe", endpoint, "/1/0/1").await;
        self.succeeds("write", endpoint, "/1/0/1 TEXT 78").await;
        let told = format!("notified {endpoint} /1/0/1 2.05 ");
        let told = self.leshan.told(&told).await;
        assert!(told.contains("value=78"), "{told}");
        // Registration Update Trigger.
        self.succeeds("execute", endpoint, "/1/0/8").await;
        self.leshan.told(&format!("updated {endpoint}")).await;
        for (what, rest, expected) in [
            ("read", "/0/0", "4.04"),
            ("read", "/5/0/0", "4.05"),
            ("read", "/3/0/4", "4.05"),
            ("read", "/99", "4.04"),
            ("execute", "/3/0/0", "4.05"),
            ("write", "/3/0/0 TEXT somebody", "4.05"),
        ] {
            let (code, content) = self.ask(what, endpoint, rest).await;
            assert_eq!(code, expected, "{what} {rest}: {content}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn manages_a_device() {
    let Some(class_path) = class_path() else {
        return;
    };
    let mut site = Site::start(class_path, &[]).await;
    let folder = tempfile::tempdir().expect("a folder");
    let flash = folder.path().join("flash");
    let server = ["--server", &site.coap];
    let _device = Device::start_at("plain", server, "nrf52840", &flash);
    let registered = site.leshan.line("registered plain ").await;
    assert!(registered.contains("1.1"), "{registered}");
    site.manages("plain").await;
}

/// Without Connection IDs, with none in records to the server, and with one of six bytes there.
#[tokio::test(flavor = "multi_thread")]
async fn manages_a_device_with_a_pre_shared_key() {
    let Some(class_path) = class_path() else {
        return;
    };
    for cid in [&[][..], &["--cid", "0"], &["--cid", "6"]] {
        let mut site = Site::start(class_path, cid).await;
        let folder = tempfile::tempdir().expect("a folder");
        let flash = folder.path().join("flash");
        site.leshan.say(&format!("psk secret its-identity {KEY}"));
        site.leshan.line("allowed secret").await;
        let server = ("--server", site.coaps);
        let mut device = Device::start_secure("secret", server, ("its-identity", KEY), &flash);
        let registered = site.leshan.line("registered secret ").await;
        assert!(registered.contains("its-identity"), "{registered}");
        site.manages("secret").await;

        // It comes again: with the association that it kept if the server can tell it by an ID,
        // with a handshake otherwise.
        device.restart();
        site.leshan.line("registered secret ").await;
        site.succeeds("read", "secret", "/3/0/0").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_another_key_nobody_is_managed() {
    let Some(class_path) = class_path() else {
        return;
    };
    let mut site = Site::start(class_path, &[]).await;
    let folder = tempfile::tempdir().expect("a folder");
    let start = |endpoint: &str, identity: &str, key: &str| {
        let server = ("--server", site.coaps);
        let flash = folder.path().join(endpoint);
        Device::start_secure(endpoint, server, (identity, key), &flash)
    };
    let other = "ff".repeat(16);
    let devices = [
        start("another-key", "its-identity", &other),
        start("another-identity", "nobody", KEY),
        start("another-name", "its-identity", KEY),
    ];
    site.leshan.say(&format!("psk secret its-identity {KEY}"));
    site.leshan.line("allowed secret").await;
    let _right = start("secret", "its-identity", KEY);
    site.leshan.line("registered secret ").await;
    site.manages("secret").await;
    for device in devices {
        let lines = device.lines(0).concat();
        assert!(!lines.contains("registered"), "{lines}");
    }
}
