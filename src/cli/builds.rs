//! `tinsmith build`.

use anyhow::{Result, bail};
use clap::Subcommand;
use serde_json::{Value, json};

use super::api::{Server, segment};
use super::device::text;
use super::out::{self, plain};
use super::table::table;

/// Look at the modules that a server keeps, or remove them.
///
/// A build is a module of one model for one kind of device. What is removed and needed again is built
/// again.
#[derive(Subcommand)]
pub(super) enum Build {
    /// List the builds.
    List {
        #[command(flatten)]
        server: Server,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Remove a build, or all.
    Remove {
        /// Its key, or the first digits of it.
        #[arg(required_unless_present = "all")]
        key: Option<String>,
        /// All builds.
        #[arg(long, conflicts_with = "key")]
        all: bool,
        #[command(flatten)]
        server: Server,
    },
}

impl Build {
    pub(super) fn run(self) -> Result<()> {
        match self {
            Self::List { server, json } => {
                let builds = all(&server)?;
                if json {
                    return out::json(&json!({ "builds": builds }));
                }
                out::print(&list(&builds))
            }
            Self::Remove { key, server, .. } => {
                let path = match &key {
                    None => "/api/v1/builds".to_owned(),
                    Some(key) => {
                        format!("/api/v1/builds/{}", segment(&whole(&all(&server)?, key)?))
                    }
                };
                let answer = server.delete(&path)?;
                out::print(&format!("removed {}\n", answer["removed"]))
            }
        }
    }
}

fn all(server: &Server) -> Result<Vec<Value>> {
    let mut builds = Vec::new();
    let mut path = "/api/v1/builds".to_owned();
    loop {
        let mut page = server.get(&path)?;
        if let Some(some) = page["builds"].as_array_mut() {
            builds.append(some);
        }
        match page["next"].as_str() {
            Some(next) => path = format!("/api/v1/builds?after={}", segment(next)),
            None => return Ok(builds),
        }
    }
}

/// The key that begins so.
fn whole(builds: &[Value], start: &str) -> Result<String> {
    let keys = builds.iter().map(|build| text(&build["key"]));
    let found: Vec<String> = keys.filter(|key| key.starts_with(start)).collect();
    match found.as_slice() {
        [only] => Ok(only.clone()),
        [] => bail!("no build {}; see: tinsmith build list", plain(start)),
        several => bail!("{} builds begin with {}", several.len(), plain(start)),
    }
}

fn list(builds: &[Value]) -> String {
    if builds.is_empty() {
        return "No builds: a module is built when a device needs it.\n".to_owned();
    }
    let row = |build: &Value| {
        let short = |name: &str| text(&build[name]).chars().take(12).collect();
        vec![
            short("key"),
            text(&build["model"]),
            text(&build["version"]),
            text(&build["target"]),
            text(&build["module_bytes"]),
            text(&build["arena_bytes"]),
            short("module"),
        ]
    };
    let rows: Vec<Vec<String>> = builds.iter().map(row).collect();
    table(
        &[
            "BUILD", "MODEL", "VERSION", "TARGET", "BYTES", "ARENA", "MODULE",
        ],
        &rows,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_digits_name_a_build() {
        let builds = ["abc1", "abd2"].map(|key| json!({ "key": key }));
        assert_eq!(whole(&builds, "abd").unwrap(), "abd2");
        assert!(
            whole(&builds, "ab")
                .unwrap_err()
                .to_string()
                .contains("2 builds")
        );
        assert!(
            whole(&builds, "x")
                .unwrap_err()
                .to_string()
                .contains("no build x")
        );
    }
}
