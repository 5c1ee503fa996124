//! Checks every crate of the workspace by itself, with no features, with each of its features and
//! with its default ones: built together they lend each other features, and what one of them
//! forgot would not be missed.

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
    let mut failed = false;
    for (name, package) in workspace.members() {
        for set in sets(package) {
            println!("{name} {}", set.join(" "));
            let status = Command::new(env!("CARGO"))
                .current_dir(tinsmith_structure::root())
                .args(["clippy", "--quiet", "--locked", "--release", "-p", name])
                .args(&set)
                .args(["--", "-D", "warnings"])
                .status();
            failed |= !status.is_ok_and(|status| status.success());
        }
    }
    if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}
