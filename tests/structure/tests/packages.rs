//! Each crate can be published by itself: it takes no file from outside its folder, and asks for
//! versions of the crates that it needs.

use std::path::{Component, Path, PathBuf};
use std::process::Command;

use tinsmith_structure::metadata::{Kind, Metadata, Package};
use tinsmith_structure::source::{code, files};
use tinsmith_structure::{none, read, root};

fn members() -> Metadata {
    Metadata::load(".", "x86_64-unknown-linux-gnu")
}

/// `a/b/../c` as `a/c`.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(plain.pop()),
            Component::CurDir => {}
            part => plain.push(part),
        }
    }
    plain
}

/// The files that a line takes in at compile time.
fn taken(line: &str) -> impl Iterator<Item = &str> {
    let takes = ["include_str!", "include_bytes!", "include!", "#[path"];
    let rest = takes.iter().find_map(|take| line.split_once(take));
    let literals = rest
        .map_or("", |(_, rest)| rest)
        .split('"')
        .skip(1)
        .step_by(2);
    literals.filter(|literal| !matches!(*literal, "CARGO_MANIFEST_DIR" | "OUT_DIR"))
}

/// Whether a file belongs to the package, not to one in a folder below.
fn belongs(package: &Package, file: &Path) -> bool {
    let mut folders = file
        .ancestors()
        .skip(1)
        .take_while(|f| *f != package.folder);
    !folders.any(|folder| folder.join("Cargo.toml").exists())
}

#[test]
fn nothing_is_included_from_outside_a_crate() {
    let mut faults = Vec::new();
    for (name, package) in members().members() {
        // The root package holds the whole-program tests; nobody is served by publishing them.
        let whole_program = name == "tinsmith";
        for file in files(&package.folder, "rs") {
            if !belongs(package, &file)
                || whole_program && file.starts_with(package.folder.join("tests"))
            {
                continue;
            }
            for (number, line) in code(&read(&file)) {
                let whole = line.contains("CARGO_MANIFEST_DIR");
                for literal in taken(line) {
                    let base = if whole {
                        Some(&*package.folder)
                    } else {
                        file.parent()
                    };
                    let literal = literal.trim_start_matches('/');
                    let path = plain(&base.expect("a file has a folder").join(literal));
                    if !path.starts_with(&package.folder) {
                        faults.push(format!("{}:{number}: {literal}", file.display()));
                    }
                }
            }
        }
    }
    none(&faults);
}

#[test]
fn each_crate_can_be_packaged() {
    let workspace = members();
    let private = workspace.members().into_values().filter(|p| !p.publish);
    let excluded = private.flat_map(|p| ["--exclude".to_owned(), p.name.clone()]);
    let output = Command::new(env!("CARGO"))
        .current_dir(root())
        .args([
            "package",
            "--offline",
            "--locked",
            "--workspace",
            "--no-verify",
            "--allow-dirty",
        ])
        .args(excluded)
        .output()
        .expect("cargo can be called");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
}

#[test]
fn path_dependencies_have_versions() {
    let mut faults = Vec::new();
    for (name, package) in members().members() {
        let needed = package.declared.iter().filter(|d| d.kind != Kind::Dev);
        for declared in needed.filter(|d| package.publish && d.path.is_some()) {
            if declared.version == "*" {
                faults.push(format!(
                    "{name} asks for no version of {}",
                    declared.package
                ));
            }
        }
    }
    none(&faults);
}

#[test]
fn what_is_published_says_what_it_is() {
    let mut faults = Vec::new();
    for (name, package) in members().members() {
        if package.description.is_empty() || package.license.is_none() {
            faults.push(format!("{name} has no description or no licence"));
        }
    }
    none(&faults);
}
