//! Devices with a key pair, as processes: raw public keys and certificates of both ends.
//!
//! Where OpenSSL's program is missing the tests say so and pass; with `TINSMITH_REQUIRE_TOOLS` set,
//! as `test.sh` sets it, they fail instead.
#![cfg(feature = "compiler")]

mod common;

use std::path::Path;

use common::openssl::{folder, key, openssl};
use common::process::{Device, Server, run, wait};

fn options(folder: &Path, all: &[(&str, &str)]) -> Vec<String> {
    let option = |(name, file): &(&str, &str)| match *name {
        "--server-name" => [(*name).to_owned(), (*file).to_owned()],
        _ => [(*name).to_owned(), folder.join(file).display().to_string()],
    };
    all.iter().flat_map(option).collect()
}

fn ended_well(arguments: &[&str]) -> Vec<u8> {
    let ended = run(arguments);
    assert!(ended.status.success(), "{ended:?}");
    ended.stdout
}

/// Waits until a device has said this.
fn says(device: &Device, what: &str) {
    wait(what, 30, || {
        let lines = device.lines(0);
        lines.iter().any(|line| line.contains(what)).then_some(())
    });
}

#[test]
fn raw_public_keys() {
    let Some(folder) = folder() else { return };
    let at = folder.path();
    for name in ["device", "other"] {
        key(at, name);
    }
    let mut server = Server::start(&at.join("store"), &["--secure-only".to_owned()]);
    let url = server.url();
    let told = ended_well(&["credential", "server", "--server", &url]);
    std::fs::write(at.join("server.pub"), told).expect("written");
    let public = format!("@{}", at.join("device.pub").display());
    let new = ["credential", "new", "pump-1", "--for", "management"];
    let key = ["--raw-key", &public, "--server", &url];
    ended_well(&[&new[..], &key].concat());

    let start = |endpoint, files: &[(&str, &str)], flash| {
        let options = options(at, files);
        Device::start_with_pair(endpoint, server.coaps, &options, &at.join(flash))
    };
    let good = [
        ("--private-key", "device.key"),
        ("--server-key", "server.pub"),
    ];
    let mut device = start("pump-1", &good, "flash");
    server.registered("pump-1");
    let shown = server.get("devices/pump-1");
    assert_eq!(shown["security"], "raw-key", "{shown}");
    server.want("pump-1", "motion");
    server.installed("pump-1", "motion");

    // Another's name, another key, another server.
    let thief = start("pump-2", &good, "thief");
    says(&thief, "4.03");
    let unknown = [
        ("--private-key", "other.key"),
        ("--server-key", "server.pub"),
    ];
    says(
        &start("pump-1", &unknown, "unknown"),
        "refused the DTLS handshake",
    );
    let astray = [
        ("--private-key", "device.key"),
        ("--server-key", "other.pub"),
    ];
    says(
        &start("pump-1", &astray, "astray"),
        "a key that is not its own",
    );

    server.restart();
    device.restart();
    server.registered("pump-1");
    server.installed("pump-1", "motion");
}

#[test]
fn certificates() {
    let Some(folder) = folder() else { return };
    let at = folder.path();
    let extensions =
        "[server]\nsubjectAltName=IP:127.0.0.1,DNS:server.example\n[pump-1]\n[other]\n";
    std::fs::write(at.join("v3"), extensions).expect("written");
    key(at, "root");
    openssl(
        at,
        "req -x509 -new -key root.key -subj /CN=root -days 2 -out root.pem",
    );
    openssl(
        at,
        "req -x509 -new -key root.key -subj /CN=strange -days 2 -out strange.pem",
    );
    for name in ["server", "pump-1", "other"] {
        key(at, name);
        for line in [
            "req -new -key NAME.key -subj /CN=NAME -out NAME.csr",
            "x509 -req -in NAME.csr -CA root.pem -CAkey root.key -CAcreateserial -days 1 \
             -extfile v3 -extensions NAME -out NAME.pem",
        ] {
            openssl(at, &line.replace("NAME", name));
        }
    }
    let of_server = [
        ("--coaps-key", "server.key"),
        ("--coaps-cert", "server.pem"),
        ("--coaps-ca", "root.pem"),
    ];
    let server = Server::start(&at.join("store"), &options(at, &of_server));
    let url = server.url();
    let new = ["credential", "new", "pump-*", "--for", "management"];
    ended_well(&[&new[..], &["--certificate", "--server", &url]].concat());
    let start = |files: &[(&str, &str)], flash: &str| {
        let own = [
            ("--private-key", "pump-1.key"),
            ("--certificate", "pump-1.pem"),
        ];
        let options = options(at, &[&own[..], files].concat());
        Device::start_with_pair("pump-1", server.coaps, &options, &at.join(flash))
    };
    // The server by its certificate, by who is above it and its address, or its name.
    for (n, files) in [
        &[("--server-certificate", "server.pem")][..],
        &[("--authority", "root.pem")],
        &[
            ("--authority", "root.pem"),
            ("--server-name", "server.example"),
        ],
    ]
    .iter()
    .enumerate()
    {
        let device = start(files, &format!("flash{n}"));
        says(&device, "registered");
        let shown = server.get("devices/pump-1");
        assert_eq!(shown["security"], "certificate", "{shown}");
    }
    for (n, (files, why)) in [
        (
            &[("--server-certificate", "other.pem")][..],
            "a key that is not its own",
        ),
        (
            &[("--authority", "strange.pem")],
            "no trusted authority is above",
        ),
        (
            &[("--authority", "root.pem"), ("--server-name", "other")],
            "has another name",
        ),
    ]
    .iter()
    .enumerate()
    {
        says(&start(files, &format!("bad{n}")), why);
    }
}
