//! Checks every crate of the workspace by itself, with no features, with each of its features and
//! with its default ones: built together they lend each other features, and what one of them
//! forgot would not be missed.
//!
//! `each_crate [FOLDER...]`: those in these folders only.

use std::collections::BTreeSet;
use std::process::{Command, ExitCode};

use tinsmith_structure::metadata::{Metadata, Package};

/// The feature sets of a crate, as arguments.
fn sets(package: &Package) -> BTreeSet<Vec<String>> {
    let mut sets: BTreeSet<Vec<String>> = [Vec::new()].into();
    if !package.features.is_empty() {
        sets.insert(vec!["--no-default-features".to_owned()]);
    }
    for feature in package.features.iter().filter(|name| *name != "default") {
        let only = ["--no-default-features", "--features", feature];
        sets.insert(only.map(str::to_owned).to_vec());
    }
    sets
}

fn main() -> ExitCode {
    let workspace = Metadata::load(".", "x86_64-unknown-linux-gnu");
    let root = tinsmith_structure::root();
    let folders: Vec<_> = std::env::args().skip(1).map(|of| root.join(of)).collect();
    let is_meant = |package: &Package| {
        let mut within = folders.iter().map(|of| package.folder.starts_with(of));
        folders.is_empty() || within.any(|is_within| is_within)
    };
    let mut checked = 0;
    let mut failed = false;
    for (name, package) in workspace.members() {
        if !is_meant(package) {
            continue;
        }
        checked += 1;
        for set in sets(package) {
            println!("{name} {}", set.join(" "));
            let status = Command::new(env!("CARGO"))
                .current_dir(&root)
                .args(["clippy", "--quiet", "--locked", "--release", "-p", name])
                .args(&set)
                .args(["--", "-D", "warnings"])
                .status();
            failed |= !status.is_ok_and(|status| status.success());
        }
    }
    if checked == 0 {
        eprintln!("no crate is in {folders:?}");
    }
    if failed || checked == 0 {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}
