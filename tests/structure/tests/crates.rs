//! Who may know whom, crate by crate, and the table of it in `docs/architecture.md`.

use std::collections::BTreeMap;
use std::fmt::Write;

use tinsmith_structure::metadata::{Kind, Metadata, Package};
use tinsmith_structure::{bless, none, root};

const HOST: &str = "x86_64-unknown-linux-gnu";
const BOARD: &str = "device-client/boards/qemu-mps2";

/// What each crate may know of the workspace, besides what its tests need. From the bottom up.
const MAY_KNOW: &[(&str, &[&str])] = &[
    ("lwm2m-objects", &[]),
    ("tinsmith-coap", &[]),
    ("tinsmith-dtls", &[]),
    ("tinsmith-oscore", &["tinsmith-coap", "tinsmith-dtls"]),
    ("tinsmith-models", &[]),
    ("tinsmith-peer", &[]),
    ("tinsmith-module", &["lwm2m-objects"]),
    ("tinsmith-package", &["lwm2m-objects"]),
    ("tinsmith-targets", &["lwm2m-objects"]),
    ("tinsmith-digest", &["lwm2m-objects"]),
    (
        "tinsmith-client",
        &[
            "lwm2m-objects",
            "tinsmith-coap",
            "tinsmith-dtls",
            "tinsmith-module",
            "tinsmith-oscore",
            "tinsmith-package",
        ],
    ),
    (
        "tinsmith-board-host",
        &[
            "lwm2m-objects",
            "tinsmith-client",
            "tinsmith-module",
            "tinsmith-package",
            "tinsmith-targets",
        ],
    ),
    (
        "tinsmith-embassy",
        &[
            "lwm2m-objects",
            "tinsmith-client",
            "tinsmith-module",
            "tinsmith-package",
            "tinsmith-targets",
        ],
    ),
    (
        "tinsmith-board-qemu-mps2",
        &[
            "lwm2m-objects",
            "temperature-sensor",
            "tinsmith-client",
            "tinsmith-embassy",
            "tinsmith-module",
        ],
    ),
    (
        "temperature-sensor",
        &["lwm2m-objects", "tinsmith-client", "tinsmith-board-host"],
    ),
    ("tinsmith-store", &["tinsmith-digest"]),
    ("tinsmith-access", &["tinsmith-digest", "tinsmith-store"]),
    (
        "tinsmith-lwm2m",
        &[
            "lwm2m-objects",
            "tinsmith-coap",
            "tinsmith-oscore",
            "tinsmith-peer",
            "tinsmith-store",
        ],
    ),
    ("tinsmith-dtls-server", &["tinsmith-dtls", "tinsmith-peer"]),
    (
        "tinsmith-transport",
        &["tinsmith-dtls-server", "tinsmith-peer"],
    ),
    ("tinsmith-seal", &[]),
    (
        "tinsmith-security",
        &[
            "lwm2m-objects",
            "tinsmith-dtls-server",
            "tinsmith-lwm2m",
            "tinsmith-oscore",
            "tinsmith-seal",
            "tinsmith-store",
        ],
    ),
    (
        "tinsmith-order",
        &["lwm2m-objects", "tinsmith-digest", "tinsmith-package"],
    ),
    (
        "tinsmith-keys",
        &[
            "lwm2m-objects",
            "tinsmith-order",
            "tinsmith-package",
            "tinsmith-seal",
            "tinsmith-store",
        ],
    ),
    (
        "tinsmith-update",
        &[
            "lwm2m-objects",
            "tinsmith-digest",
            "tinsmith-lwm2m",
            "tinsmith-order",
            "tinsmith-store",
        ],
    ),
    (
        "tinsmith-build-job",
        &["lwm2m-objects", "tinsmith-digest", "tinsmith-module"],
    ),
    ("tinsmith-samples", &["tinsmith-build-job"]),
    (
        "tinsmith-compiler",
        &[
            "lwm2m-objects",
            "tinsmith-build-job",
            "tinsmith-digest",
            "tinsmith-module",
        ],
    ),
    (
        "tinsmith-build",
        &[
            "lwm2m-objects",
            "tinsmith-build-job",
            "tinsmith-digest",
            "tinsmith-models",
            "tinsmith-order",
            "tinsmith-samples",
            "tinsmith-store",
            "tinsmith-targets",
        ],
    ),
    (
        "tinsmith-server",
        &[
            "tinsmith-lwm2m",
            "tinsmith-security",
            "tinsmith-store",
            "tinsmith-transport",
            "tinsmith-update",
        ],
    ),
    (
        "tinsmith-inference",
        &[
            "lwm2m-objects",
            "tinsmith-build-job",
            "tinsmith-digest",
            "tinsmith-lwm2m",
            "tinsmith-server",
        ],
    ),
    (
        "tinsmith-http",
        &[
            "lwm2m-objects",
            "tinsmith-access",
            "tinsmith-build",
            "tinsmith-digest",
            "tinsmith-inference",
            "tinsmith-lwm2m",
            "tinsmith-security",
            "tinsmith-server",
            "tinsmith-store",
            "tinsmith-update",
        ],
    ),
    (
        "tinsmith-cli",
        &[
            "lwm2m-objects",
            "tinsmith-access",
            "tinsmith-board-host",
            "tinsmith-build",
            "tinsmith-build-job",
            "tinsmith-digest",
            "tinsmith-http",
            "tinsmith-inference",
            "tinsmith-keys",
            "tinsmith-lwm2m",
            "tinsmith-order",
            "tinsmith-package",
            "tinsmith-samples",
            "tinsmith-security",
            "tinsmith-server",
            "tinsmith-store",
            "tinsmith-targets",
            "tinsmith-update",
        ],
    ),
    ("tinsmith", &["tinsmith-cli", "tinsmith-compiler"]),
];

/// The crates that exist for tests only; they may know all others, and none of the others them.
const TESTERS: &[&str] = &[
    "tinsmith-bench",
    "tinsmith-fuzz",
    "tinsmith-structure",
    "tinsmith-world",
];

/// Who may name a crate from outside in its `Cargo.toml`; tests may use it besides.
const MAY_NAME: &[(&str, &[&str])] = &[
    (
        "tokio",
        &[
            "tinsmith-transport",
            "tinsmith-server",
            "tinsmith-http",
            "tinsmith-cli",
        ],
    ),
    ("axum", &["tinsmith-http"]),
    ("clap", &["tinsmith-cli", "tinsmith"]),
    ("anyhow", &["tinsmith-cli"]),
    ("ureq", &["tinsmith-cli"]),
    ("rustls", &["tinsmith-http", "tinsmith-cli"]),
    ("tokio-rustls", &["tinsmith-http"]),
    ("sled", &["tinsmith-store"]),
    ("tract-onnx", &["tinsmith-compiler"]),
    (
        "getrandom",
        &["tinsmith-server", "tinsmith-board-host", "tinsmith-keys"],
    ),
    ("openssl", &["tinsmith-dtls-server"]),
    ("openssl-sys", &["tinsmith-dtls-server"]),
];

/// What may not be below a crate at all, by whatever way: it would be built with it.
const NEVER_BELOW: &[(&[&str], &[&str], &str)] = &[
    (
        &[
            "lwm2m-objects",
            "tinsmith-coap",
            "tinsmith-dtls",
            "tinsmith-dtls-server",
            "tinsmith-oscore",
            "tinsmith-module",
            "tinsmith-package",
            "tinsmith-client",
            "tinsmith-board-host",
            "tinsmith-targets",
            "tinsmith-models",
            "tinsmith-digest",
            "tinsmith-store",
            "tinsmith-access",
            "tinsmith-lwm2m",
            "tinsmith-order",
            "tinsmith-update",
            "tinsmith-build-job",
            "tinsmith-samples",
            "tinsmith-compiler",
            "tinsmith-build",
        ],
        &["tokio", "axum", "ureq"],
        "only the shell and what is above it waits for sockets",
    ),
    (
        &[
            "tinsmith-build",
            "tinsmith-compiler",
            "tinsmith-order",
            "tinsmith-samples",
            "tinsmith-build-job",
        ],
        &["tinsmith-coap", "tinsmith-lwm2m", "tinsmith-client"],
        "compiler and build service are of use to a program that knows nothing of CoAP",
    ),
    (
        &[
            "tinsmith-store",
            "tinsmith-transport",
            "tinsmith-coap",
            "tinsmith-dtls",
            "tinsmith-dtls-server",
            "tinsmith-oscore",
        ],
        &["tinsmith-lwm2m", "tinsmith-update"],
        "these know nothing of LwM2M's rules",
    ),
];

/// The only crates with the compiler below them, tests included: no other test builds tract.
const WITH_COMPILER: &[&str] = &["tinsmith", "tinsmith-bench", "tinsmith-compiler"];

fn declared(package: &Package, kinds: &[Kind]) -> Vec<String> {
    let declared = package.declared.iter().filter(|d| kinds.contains(&d.kind));
    declared.map(|d| d.package.clone()).collect()
}

/// The crates of the workspace and the firmware.
fn crates<'a>(workspace: &'a Metadata, firmware: &'a Metadata) -> BTreeMap<&'a str, &'a Package> {
    let members = workspace.members().into_iter();
    members.chain(firmware.members()).collect()
}

fn load() -> (Metadata, Metadata) {
    let firmware = Metadata::load(BOARD, "thumbv7em-none-eabihf");
    (Metadata::load(".", HOST), firmware)
}

#[test]
fn crates_know_whom_they_may() {
    let (workspace, firmware) = load();
    let crates = crates(&workspace, &firmware);
    let mut faults = Vec::new();
    for (name, package) in &crates {
        if TESTERS.contains(name) {
            continue;
        }
        let Some((_, allowed)) = MAY_KNOW.iter().find(|(of, _)| of == name) else {
            faults.push(format!("MAY_KNOW does not list {name}"));
            continue;
        };
        for other in declared(package, &[Kind::Normal]) {
            if crates.contains_key(other.as_str()) && !allowed.contains(&other.as_str()) {
                faults.push(format!("{name} knows {other} and may not"));
            }
        }
    }
    for (name, _) in MAY_KNOW.iter().filter(|(of, _)| !crates.contains_key(of)) {
        faults.push(format!("MAY_KNOW lists {name}, which is gone"));
    }
    none(&faults);
}

#[test]
fn tokio_and_the_like_stay_where_they_are() {
    let (workspace, firmware) = load();
    let mut faults = Vec::new();
    for (name, package) in crates(&workspace, &firmware) {
        if TESTERS.contains(&name) {
            continue;
        }
        for other in declared(package, &[Kind::Normal, Kind::Build]) {
            let rule = MAY_NAME.iter().find(|(of, _)| *of == other);
            if rule.is_some_and(|(_, who)| !who.contains(&name)) {
                faults.push(format!("{name} depends on {other} and may not"));
            }
        }
    }
    none(&faults);
}

#[test]
fn what_is_below_a_crate() {
    let (workspace, _) = load();
    let members = workspace.members();
    let mut faults = Vec::new();
    for (who, never, why) in NEVER_BELOW {
        for name in *who {
            let Some(package) = members.get(name) else {
                faults.push(format!("NEVER_BELOW lists {name}, which is gone"));
                continue;
            };
            let below = workspace.below(package, &[Kind::Normal, Kind::Build]);
            for other in never.iter().filter(|other| below.contains(*other)) {
                faults.push(format!("{name} has {other} below it: {why}"));
            }
        }
    }
    for (name, package) in &members {
        let below = workspace.below(package, &[Kind::Normal, Kind::Build, Kind::Dev]);
        for other in ["tinsmith-compiler", "tract-onnx"] {
            if below.contains(other) && !WITH_COMPILER.contains(name) {
                faults.push(format!("{name} or its tests build {other}"));
            }
        }
    }
    none(&faults);
}

/// How many crates are stacked below one.
fn height(crates: &BTreeMap<&str, &Package>, name: &str) -> usize {
    let below = declared(crates[name], &[Kind::Normal]);
    let below = below.iter().filter(|d| crates.contains_key(d.as_str()));
    below.map(|d| 1 + height(crates, d)).max().unwrap_or(0)
}

#[test]
fn the_table_of_crates_is_true() {
    let (workspace, firmware) = load();
    let crates = crates(&workspace, &firmware);
    let mut order: Vec<&str> = crates.keys().copied().collect();
    order.sort_by_key(|name| (TESTERS.contains(name), height(&crates, name), *name));
    let mut table = String::from("| crate | folder | what | knows |\n|---|---|---|---|\n");
    for name in order {
        let package = crates[name];
        let folder = package
            .folder
            .strip_prefix(root())
            .expect("in the repository");
        let folder = folder.display().to_string();
        let mut known: Vec<String> = declared(package, &[Kind::Normal])
            .into_iter()
            .filter(|other| crates.contains_key(other.as_str()))
            .map(|other| other.trim_start_matches("tinsmith-").to_owned())
            .collect();
        known.sort();
        let _ = writeln!(
            table,
            "| {} | {} | {} | {} |",
            name.trim_start_matches("tinsmith-"),
            if folder.is_empty() { "." } else { &folder },
            package.description,
            known.join(", ")
        );
    }
    bless("docs/architecture.md", "crates", &table);
}
