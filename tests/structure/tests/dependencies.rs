//! What the project depends on: licences, crates that are old or twice there, crates that nobody
//! uses.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use tinsmith_structure::metadata::{Kind, Metadata, Package};
use tinsmith_structure::source::{code, files, has_word};
use tinsmith_structure::{none, read};

/// Licences that ask for no more than their text; a crate needs one of them.
const LICENCES: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "BlueOak-1.0.0",
    "ISC",
    "MIT",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Crates that are not to be used, and what to use instead.
const BANNED: &[(&str, &str)] = &[
    ("openssl", "only for DTLS handshakes"),
    ("native-tls", "rustls"),
    ("chrono", "times are seconds and milliseconds since 1970"),
    ("lazy_static", "std::sync::LazyLock"),
    ("once_cell", "std::sync::OnceLock"),
    ("async-trait", "async fn in traits"),
    ("serde_cbor", "minicbor"),
    ("sled", "a store behind the Store trait"),
];

/// Banned or unmaintained crates that stay: who may depend on them, and why.
const REASONS: &[(&str, &str, &str)] = &[
    (
        "openssl",
        "tinsmith-dtls-server",
        "handshakes of DTLS 1.2 with certificates and raw public keys; nothing in Rust has them all",
    ),
    (
        "serde_cbor",
        "tinsmith-store",
        "unmaintained; the records of stores that exist are written with it",
    ),
    (
        "sled",
        "tinsmith-store",
        "no release since 2021; stores that exist are its files, and it survives the kills of \
         tests/kill.rs",
    ),
];

/// Crates of which two versions are built, and why.
const TWICE: &[(&str, &str)] = &[
    ("coap-message", "coap-lite takes both; both are traits only"),
    ("embedded-hal", "cortex-m takes both; both are traits only"),
    ("getrandom", "ring's is older than ours"),
    ("half", "serde_cbor's is older than tract's"),
    (
        "hashbrown",
        "tract's string-interner's is older than indexmap's",
    ),
    ("itertools", "criterion's is older than tract's"),
    ("nb", "as embedded-hal"),
    ("ndarray", "ndarray-npy's is older than tract's"),
    ("parking_lot", "sled's is older than tokio's"),
    ("parking_lot_core", "as parking_lot"),
    (
        "syn",
        "of derive macros, at build time; half of them have moved to the new one",
    ),
];

fn workspaces() -> Vec<Metadata> {
    let host = "x86_64-unknown-linux-gnu";
    vec![
        Metadata::load(".", host),
        Metadata::load("device-client/boards/qemu-mps2", "thumbv7em-none-eabihf"),
    ]
}

/// Firmware that is built and not run: what HALs bring with them is theirs to tidy up.
fn boards() -> Vec<Metadata> {
    let boards = ["nrf52840-dk", "nucleo-f767zi"];
    let folders = boards.map(|board| format!("device-client/boards/{board}"));
    folders
        .map(|folder| Metadata::load(&folder, "thumbv7em-none-eabihf"))
        .into()
}

/// Whether an SPDX expression can be met by the licences allowed.
fn allowed(expression: &str) -> bool {
    let expression = expression.replace('/', " OR ");
    let depth_split = |word: &str| -> Vec<String> {
        let mut parts = vec![String::new()];
        let mut depth = 0;
        for token in expression.split(' ') {
            depth += token.matches('(').count();
            if depth == 0 && token == word {
                parts.push(String::new());
            } else {
                let part = parts.last_mut().expect("never empty");
                part.push_str(if part.is_empty() { "" } else { " " });
                part.push_str(token);
            }
            depth -= token.matches(')').count();
        }
        parts
    };
    let (any, all) = (depth_split("OR"), depth_split("AND"));
    if any.len() > 1 {
        return any.iter().any(|part| allowed(part));
    }
    if all.len() > 1 {
        return all.iter().all(|part| allowed(part));
    }
    match expression
        .strip_prefix('(')
        .and_then(|e| e.strip_suffix(')'))
    {
        Some(inner) => allowed(inner),
        None => LICENCES.contains(&expression.as_str()),
    }
}

#[test]
fn licences_are_read_as_spdx_means_them() {
    assert!(allowed("MIT OR GPL-3.0"));
    assert!(allowed("GPL-3.0/Apache-2.0"));
    assert!(allowed("(MIT OR Apache-2.0) AND Unicode-3.0"));
    assert!(!allowed("(MIT OR Apache-2.0) AND GPL-3.0"));
    assert!(!allowed("GPL-3.0"));
    assert!(allowed("Apache-2.0 WITH LLVM-exception"));
}

#[test]
fn licences() {
    let mut faults = Vec::new();
    for workspace in workspaces().into_iter().chain(boards()) {
        for package in workspace.packages.values() {
            let license = package.license.as_deref().unwrap_or("no licence");
            if !allowed(license) {
                faults.push(format!("{} {}: {license}", package.name, package.version));
            }
        }
    }
    none(&faults);
}

#[test]
fn banned_crates() {
    let mut faults = Vec::new();
    let mut used = BTreeSet::new();
    for workspace in workspaces() {
        for (name, package) in workspace.members() {
            for declared in &package.declared {
                let banned = BANNED
                    .iter()
                    .find(|(banned, _)| *banned == declared.package);
                let Some((banned, instead)) = banned else {
                    continue;
                };
                let reason = REASONS.iter().find(|r| r.0 == *banned && r.1 == name);
                match reason {
                    Some(reason) => drop(used.insert(reason)),
                    None => faults.push(format!("{name} depends on {banned}: {instead}")),
                }
            }
        }
    }
    for reason in REASONS.iter().filter(|reason| !used.contains(reason)) {
        faults.push(format!("REASONS lists what is gone: {reason:?}"));
    }
    none(&faults);
}

#[test]
fn crates_that_are_built_twice() {
    let mut versions: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for workspace in workspaces() {
        let mut here: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
        for package in workspace.packages.values() {
            let of = here.entry(&package.name).or_default();
            of.insert(package.version.clone());
        }
        here.retain(|_, versions| versions.len() > 1);
        versions.extend(here.into_iter().map(|(name, of)| (name.to_owned(), of)));
    }
    let mut faults: Vec<String> = versions
        .iter()
        .filter(|(name, _)| !TWICE.iter().any(|(twice, _)| twice == name))
        .map(|(name, versions)| format!("{name} is there as {versions:?}"))
        .collect();
    for (twice, _) in TWICE
        .iter()
        .filter(|(twice, _)| !versions.contains_key(*twice))
    {
        faults.push(format!("TWICE lists {twice}, which is there once"));
    }
    none(&faults);
}

/// The sources of a package in which a dependency of a kind may be used, as one text.
fn sources(package: &Package, kind: Kind) -> String {
    let inside = |file: &PathBuf| {
        // Other packages in folders below have sources of their own.
        let between = file
            .ancestors()
            .skip(1)
            .take_while(|f| *f != package.folder);
        !between
            .into_iter()
            .any(|folder| folder.join("Cargo.toml").exists())
    };
    let apart = |file: &PathBuf, folders: &[&str]| {
        let inside = file.strip_prefix(&package.folder).expect("found below it");
        let first = inside.components().next();
        first.is_some_and(|f| folders.iter().any(|folder| f.as_os_str() == *folder))
    };
    let all = files(&package.folder, "rs").into_iter().filter(inside);
    let build = package.folder.join("build.rs");
    let for_tests = ["tests", "examples", "benches"];
    all.filter(|file| match kind {
        Kind::Build => *file == build,
        Kind::Normal => *file != build && !apart(file, &for_tests),
        Kind::Dev => true,
    })
    .map(|file| match kind {
        Kind::Dev => read(&file),
        _ => lines(&file),
    })
    .collect()
}

fn lines(file: &Path) -> String {
    let text = read(file);
    let lines = code(&text).map(|(_, line)| line);
    lines.collect::<Vec<_>>().join("\n") + "\n"
}

#[test]
fn dependencies_are_used() {
    let mut faults = Vec::new();
    for workspace in workspaces() {
        for (name, package) in workspace.members() {
            let text = [Kind::Normal, Kind::Dev, Kind::Build].map(|kind| sources(package, kind));
            for declared in &package.declared {
                let word = declared.name.replace('-', "_");
                let text = match declared.kind {
                    Kind::Normal if !declared.optional => &text[0],
                    Kind::Build => &text[2],
                    _ => &text[1],
                };
                if !has_word(text, &word) {
                    faults.push(format!("{name} does not use {word} ({:?})", declared.kind));
                }
            }
        }
    }
    none(&faults);
}
