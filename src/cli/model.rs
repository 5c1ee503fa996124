//! `tinsmith model`.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Subcommand;
use serde_json::Value;

use super::api::{Server, segment};
use super::device::text;
use super::out::{self, plain};
use super::table::table;
use super::update::name_and_version;
use super::{Compiler, onnx_file};

/// Look at models, add or remove one.
#[derive(Subcommand)]
pub(super) enum Model {
    /// List the models of the zoo.
    List {
        #[command(flatten)]
        server: Server,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show a model's card.
    Show {
        /// Name in the zoo, or NAME@VERSION; without a version the newest.
        name: String,
        #[command(flatten)]
        server: Server,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Remove a version of a model that no device wants.
    Remove {
        /// NAME@VERSION; the name is enough if there is one version.
        name: String,
        #[command(flatten)]
        server: Server,
    },
    /// Add a model to the zoo of a server. A version that is there is never changed.
    Add {
        /// The ONNX file: float32, static shapes, batch 1.
        onnx: PathBuf,
        /// The model card (JSON; keys as in models/README.md).
        #[arg(long, value_name = "FILE")]
        card: PathBuf,
        /// Calibration samples: .npz with array x, or .npy.
        #[arg(long, value_name = "FILE")]
        calibration: PathBuf,
        /// Held-out samples: .npz with arrays x and y.
        #[arg(long, value_name = "FILE")]
        test: Option<PathBuf>,
        /// Build it even if a layer has a signal to noise below 10 dB, or an output below 20 dB.
        #[arg(long)]
        allow_low_sqnr: bool,
        #[command(flatten)]
        server: Server,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

impl Model {
    pub(super) fn run(self, compiler: Option<Compiler>) -> Result<()> {
        match self {
            Self::List { server, json } => {
                let models = server.get("/api/v1/models")?;
                if json {
                    out::json(&models)
                } else {
                    out::print(&list(&models))
                }
            }
            Self::Show { name, server, json } => {
                let model = server.get(&path(&name))?;
                if json {
                    out::json(&model)
                } else {
                    out::print(&show(&model))
                }
            }
            Self::Remove { name, server } => {
                let (model, version) = name_and_version(&name);
                let version = match version {
                    Some(version) => version.to_owned(),
                    None => only_version(&server.get(&path(&name))?)?,
                };
                server.delete(&path(&format!("{model}@{version}")))?;
                let (model, version) = (plain(model), plain(&version));
                out::print(&format!("removed {model} {version}\n"))
            }
            Self::Add {
                onnx,
                card,
                calibration,
                test,
                allow_low_sqnr,
                server,
                json,
            } => {
                let read = |path: &PathBuf| {
                    std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))
                };
                let path = match allow_low_sqnr {
                    true => "/api/v1/models?allow_low_sqnr=true",
                    false => "/api/v1/models",
                };
                let mut files = vec![
                    ("card", read(&card)?),
                    ("onnx", onnx_file::read(&onnx, compiler)?),
                    ("calibration", read(&calibration)?),
                ];
                if let Some(test) = &test {
                    files.push(("test", read(test)?));
                }
                let model = server.post_files(path, &files)?;
                if json {
                    out::json(&model)
                } else {
                    let (name, version) = (text(&model["name"]), text(&model["version"]));
                    out::print(&format!("added {} {}\n", plain(&name), plain(&version)))
                }
            }
        }
    }
}

/// Of NAME or NAME@VERSION.
fn path(name: &str) -> String {
    let (name, version) = name_and_version(name);
    let path = format!("/api/v1/models/{}", segment(name));
    match version {
        Some(version) => format!("{path}/versions/{}", segment(version)),
        None => path,
    }
}

fn only_version(model: &Value) -> Result<String> {
    let versions: Vec<String> = model["versions"]
        .as_array()
        .into_iter()
        .flatten()
        .map(text)
        .collect();
    match versions.as_slice() {
        [only] => Ok(only.clone()),
        _ => bail!("which version? There are: {}", versions.join(", ")),
    }
}

fn list(value: &Value) -> String {
    let unusable = ["unreadable", "damaged"].into_iter().flat_map(|how| {
        let names = value[how].as_object().into_iter().flatten();
        names.map(move |(name, reason)| {
            let reason = format!("{how}: {}", text(reason));
            let empty = || "-".to_owned();
            vec![name.clone(), empty(), empty(), empty(), reason]
        })
    });
    let rows: Vec<Vec<String>> = value["models"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|model| {
            vec![
                text(&model["name"]),
                text(&model["version"]),
                text(&model["task"]),
                metric(&model["metric"]),
                text(&model["description"]),
            ]
        })
        .chain(unusable)
        .collect();
    table(
        &["MODEL", "VERSION", "TASK", "FLOAT METRIC", "DESCRIPTION"],
        &rows,
    )
}

fn show(value: &Value) -> String {
    let card = &value["card"];
    let title = format!("{} {}", text(&card["name"]), text(&card["version"]));
    let description = text(&card["description"]);
    let mut out = format!("{}\n{}\n\n", plain(&title), plain(&description));
    let mut line = |name: &str, text: String| {
        out.push_str(&format!("{name:<12} {}\n", plain(&text)));
    };
    line("task", text(&card["task"]));
    for input in card["inputs"].as_array().into_iter().flatten() {
        let shape = format!("{} {}", text(&input["name"]), input["shape"]);
        line("input", format!("{shape} {}", text(&input["units"])));
    }
    let labels: Vec<String> = card["labels"]
        .as_array()
        .into_iter()
        .flatten()
        .map(text)
        .collect();
    if !labels.is_empty() {
        line("labels", labels.join(", "));
    }
    line("metric", metric(&card["metric"]));
    line(
        "calibration",
        format!("{} samples", value["calibration_samples"]),
    );
    line("test", format!("{} samples", value["test_samples"]));
    line("data", text(&card["data"]["name"]));
    line("licence", text(&card["licence"]));
    line(
        "onnx",
        format!(
            "{} B, sha256 {}",
            value["onnx_bytes"],
            text(&value["source"])
        ),
    );
    out
}

fn metric(value: &Value) -> String {
    match value["float"].as_f64() {
        Some(float) => format!("{} {float:.4}", text(&value["name"])),
        None => "-".to_owned(),
    }
}
