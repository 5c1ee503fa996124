//! The firmware on a Cortex-M4 in QEMU against the real server, with each kind of security: bootstrap,
//! registration, a read, a reset, an update; and the stack that it takes until the reset.
//!
//! It takes a firmware with all of them, which `test.sh --long` builds.
#![cfg(feature = "compiler")]

mod common;

use std::fs::File;
use std::path::Path;

use common::openssl::{folder, key, openssl};
use common::process::{Server, run, wait};
use common::qemu;
use serde_json::{Value, json};

/// The most stack that each may take, bytes.
const STACK: usize = 9 * 1024;

fn ended_well(arguments: &[&str]) -> Vec<u8> {
    let ended = run(arguments);
    assert!(ended.status.success(), "{ended:?}");
    ended.stdout
}

fn hex(file: &Path) -> String {
    let bytes = std::fs::read(file).expect("a file");
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A server that guests know as 10.0.2.2, with a certificate for that.
fn server(at: &Path) -> Server {
    let names = "[server]\nsubjectAltName=IP:127.0.0.1,IP:10.0.2.2\n[qemu-x509]\n";
    std::fs::write(at.join("v3"), names).expect("written");
    key(at, "root");
    openssl(
        at,
        "req -x509 -new -key root.key -subj /CN=root -days 2 -out root.pem",
    );
    openssl(at, "x509 -in root.pem -outform DER -out root.der");
    for name in ["server", "qemu-x509"] {
        key(at, name);
        for line in [
            "req -new -key NAME.key -subj /CN=NAME -out NAME.csr",
            "x509 -req -in NAME.csr -CA root.pem -CAkey root.key -CAcreateserial -days 1 \
             -extfile v3 -extensions NAME -out NAME.pem",
            "x509 -in NAME.pem -outform DER -out NAME.der",
        ] {
            openssl(at, &line.replace("NAME", name));
        }
    }
    key(at, "qemu-rpk");
    let file = |name: &str| at.join(name).display().to_string();
    let extra = [
        ("--coaps-key", file("server.key")),
        ("--coaps-cert", file("server.pem")),
        ("--coaps-ca", file("root.pem")),
    ];
    let extra = extra.into_iter().flat_map(|(a, b)| [a.to_owned(), b]);
    Server::start_for_guests(&at.join("store"), &extra.collect::<Vec<_>>())
}

/// Makes a credential for the bootstrap server, and what `run.sh` is told of it.
fn options(server: &Server, at: &Path, endpoint: &str) -> Vec<String> {
    let url = server.url();
    let new = |more: &[&str]| {
        let all = [
            &["credential", "new", endpoint, "--server", &url, "--json"],
            more,
        ];
        let made = ended_well(&all.concat());
        serde_json::from_slice::<Value>(&made).expect("JSON")
    };
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let file = |name: &str| hex(&at.join(name));
    let pair = |public: &str, trusted: &str| {
        vec![
            ("--public", file(public)),
            ("--private", file(&format!("{endpoint}.p8"))),
            ("--server", file(trusted)),
        ]
    };
    let (scheme, port) = match endpoint {
        "qemu-oscore" => ("coap", server.bootstrap.port()),
        _ => ("coaps", server.coaps_bootstrap.port()),
    };
    let mut options = match endpoint {
        "qemu-psk" => vec![
            ("--identity", endpoint.to_owned()),
            ("--key", text(&new(&[])["key"])),
        ],
        "qemu-rpk" => {
            let public = format!("@{}", at.join("qemu-rpk.pub").display());
            new(&["--raw-key", &public]);
            pair("qemu-rpk.spki", "server.spki")
        }
        "qemu-x509" => {
            new(&["--certificate"]);
            let mut options = pair("qemu-x509.der", "root.der");
            options.push(("--usage", "authority".to_owned()));
            options
        }
        _ => {
            let made = new(&["--oscore"]);
            let its = &made["oscore"];
            vec![
                ("--oscore-secret", text(&made["key"])),
                ("--oscore-salt", text(&its["master_salt"])),
                ("--sender-id", text(&its["sender_id"])),
                ("--recipient-id", text(&its["recipient_id"])),
            ]
        }
    };
    options.push(("--bootstrap", format!("{scheme}://10.0.2.2:{port}")));
    let options = options.into_iter();
    options.flat_map(|(a, b)| [a.to_owned(), b]).collect()
}

/// What the firmware has said of its stack before its first reset.
fn stack(console: &Path) -> usize {
    wait("the firmware resets", 30, || {
        let said = std::fs::read_to_string(console).ok()?;
        let before = said.split(" bytes of stack").next()?;
        let bytes = before.rsplit(' ').next()?;
        bytes.parse().ok()
    })
}

#[test]
#[ignore = "the firmware with all of it is built by test.sh --long"]
fn each_kind_of_security() {
    let Some(elf) = qemu::firmware("firmware-secure") else {
        return;
    };
    let Some(folder) = folder() else { return };
    let at = folder.path();
    let server = server(at);
    for (endpoint, security) in [
        ("qemu-psk", "psk"),
        ("qemu-rpk", "psk"),
        ("qemu-x509", "psk"),
        ("qemu-oscore", "oscore"),
    ] {
        let options = options(&server, at, endpoint);
        let console = at.join(format!("{endpoint}.console"));
        let output = File::create(&console).expect("a file");
        let psram = at.join(format!("{endpoint}.psram"));
        let _guest = qemu::start(&elf, endpoint, &options, &psram, output.into());
        server.registered(endpoint);
        let device = || server.get(&format!("devices/{endpoint}"));
        // It bootstraps with what it was given, and has other keys for management then.
        assert_eq!(device()["security"], security, "{endpoint}");
        let resource = |path: &str| format!("devices/{endpoint}/resources/{path}");
        let maker = server.get(&resource("3/0/0")).to_string();
        assert!(maker.contains("Tinsmith"), "{endpoint}: {maker}");

        let before = device()["registration"]["registered"].as_u64();
        server.post(&resource("3/0/4"), &json!({}));
        let stack = stack(&console);
        println!("{endpoint}: {stack} bytes of stack");
        assert!(stack <= STACK, "{endpoint}: {stack}");
        wait("the firmware registers again", 60, || {
            let registered = device()["registration"]["registered"].as_u64();
            registered.filter(|at| Some(*at) != before)
        });
        server.want(endpoint, "motion");
        server.installed(endpoint, "motion");
    }
}
