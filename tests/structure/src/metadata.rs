//! What cargo knows of a workspace and of all that it depends on.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

/// What a dependency is needed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The crate itself.
    Normal,
    /// Its tests, examples and benchmarks.
    Dev,
    /// Its build script.
    Build,
}

impl Kind {
    fn of(value: &Value) -> Self {
        match value.as_str() {
            Some("dev") => Self::Dev,
            Some("build") => Self::Build,
            _ => Self::Normal,
        }
    }
}

/// A dependency as a `Cargo.toml` states it.
#[derive(Clone, Debug)]
pub struct Declared {
    /// Name of the package.
    pub package: String,
    /// Name in the sources.
    pub name: String,
    /// What it is needed for.
    pub kind: Kind,
    /// Whether only a feature brings it.
    pub optional: bool,
    /// The version asked for, `*` if none is.
    pub version: String,
    /// Its folder, if it is not from a registry.
    pub path: Option<PathBuf>,
}

/// A package.
#[derive(Clone, Debug)]
pub struct Package {
    /// Name.
    pub name: String,
    /// Version.
    pub version: String,
    /// One sentence.
    pub description: String,
    /// SPDX expression.
    pub license: Option<String>,
    /// Its folder.
    pub folder: PathBuf,
    /// Whether it is part of the workspace.
    pub member: bool,
    /// Whether it may be published.
    pub publish: bool,
    /// Names of its features.
    pub features: BTreeSet<String>,
    /// What its `Cargo.toml` states.
    pub declared: Vec<Declared>,
    /// What is built for it, as ids; with the features that the whole workspace asks for.
    pub resolved: Vec<(String, BTreeSet<Kind>)>,
}

/// A workspace on one platform.
#[derive(Debug)]
pub struct Metadata {
    /// By id.
    pub packages: BTreeMap<String, Package>,
}

impl Metadata {
    /// Reads the workspace in a folder of the repository as it is built for `platform`.
    pub fn load(folder: &str, platform: &str) -> Self {
        let output = Command::new(env!("CARGO"))
            .current_dir(crate::root().join(folder))
            .args(["metadata", "--locked", "--format-version", "1"])
            .args(["--filter-platform", platform])
            .output()
            .expect("cargo can be called");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "cargo metadata: {errors}");
        let all: Value = serde_json::from_slice(&output.stdout).expect("cargo writes JSON");
        let members: BTreeSet<&str> = list(&all["workspace_members"])
            .iter()
            .filter_map(Value::as_str)
            .collect();
        let mut packages: BTreeMap<String, Package> = list(&all["packages"])
            .iter()
            .map(|package| {
                let id = text(&package["id"]);
                let member = members.contains(id.as_str());
                (id, self::package(package, member))
            })
            .collect();
        for node in list(&all["resolve"]["nodes"]) {
            let resolved = list(&node["deps"]).iter().map(|dep| {
                let kinds = list(&dep["dep_kinds"]).iter();
                let kinds = kinds.map(|kind| Kind::of(&kind["kind"])).collect();
                (text(&dep["pkg"]), kinds)
            });
            if let Some(package) = packages.get_mut(&text(&node["id"])) {
                package.resolved = resolved.collect();
            }
        }
        Self { packages }
    }

    /// The packages of the workspace, by name.
    pub fn members(&self) -> BTreeMap<&str, &Package> {
        let members = self.packages.values().filter(|package| package.member);
        members
            .map(|package| (package.name.as_str(), package))
            .collect()
    }

    /// The names of all that is built for a member: of `kinds` for itself, and for whatever is
    /// below it what that needs to be built.
    pub fn below(&self, member: &Package, kinds: &[Kind]) -> BTreeSet<&str> {
        let wanted = |package: &Package, kinds: &[Kind]| -> Vec<String> {
            let resolved = package.resolved.iter();
            let wanted = resolved.filter(|(_, of)| of.iter().any(|kind| kinds.contains(kind)));
            wanted.map(|(id, _)| id.clone()).collect()
        };
        let mut waiting = wanted(member, kinds);
        let mut seen = BTreeSet::new();
        while let Some(id) = waiting.pop() {
            if seen.insert(id.clone()) {
                waiting.extend(wanted(&self.packages[&id], &[Kind::Normal, Kind::Build]));
            }
        }
        let names = seen.iter().map(|id| self.packages[id].name.as_str());
        names.filter(|name| *name != member.name).collect()
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn package(value: &Value, member: bool) -> Package {
    let manifest = PathBuf::from(text(&value["manifest_path"]));
    let declared = list(&value["dependencies"]).iter().map(|dependency| {
        let package = text(&dependency["name"]);
        Declared {
            name: dependency["rename"].as_str().unwrap_or(&package).to_owned(),
            package,
            kind: Kind::of(&dependency["kind"]),
            optional: dependency["optional"] == true,
            version: text(&dependency["req"]),
            path: dependency["path"].as_str().map(PathBuf::from),
        }
    });
    let features = value["features"].as_object();
    Package {
        name: text(&value["name"]),
        version: text(&value["version"]),
        description: text(&value["description"]),
        license: value["license"].as_str().map(str::to_owned),
        folder: manifest.parent().map(PathBuf::from).unwrap_or_default(),
        member,
        publish: value["publish"].is_null(),
        features: features
            .into_iter()
            .flat_map(|f| f.keys().cloned())
            .collect(),
        declared: declared.collect(),
        resolved: Vec::new(),
    }
}
