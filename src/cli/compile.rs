//! `tinsmith compile`.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};

use super::out::{self, plain};
use super::table::table;
use super::{Compiler, onnx_file};
use lwm2m_objects::capability::Capability;
use tinsmith_build::Zoo;
use tinsmith_build_job::{
    FloatCheck, Options, PortReport, Progress, Report, Request, Samples, Task, child,
};
use tinsmith_samples as samples;

/// Compile a model for a target; needs no server.
///
/// Reads an ONNX file, quantizes it to int8 with the calibration samples, plans its memory, checks
/// the result against the reference arithmetic, and writes the module that the device runs.
#[derive(clap::Args)]
pub(super) struct Compile {
    /// An ONNX file (float32, static shapes, batch 1), or the name of a shipped model.
    model: String,
    /// The device it is for (a wrong name lists them all), or a file like those in
    /// device-client/boards/targets.
    #[arg(long, value_name = "NAME|FILE")]
    target: String,
    /// Calibration samples: .npz with array x (or one for each input, by its name), or .npy. A
    /// shipped model has its own.
    #[arg(long, value_name = "FILE")]
    calibration: Option<PathBuf>,
    /// Labelled samples to measure float and int8 on: .npz with such arrays and y. A shipped model
    /// has its own.
    #[arg(long, value_name = "FILE")]
    test: Option<PathBuf>,
    /// What the output of an ONNX file means; classify if not given. A shipped model has its own.
    #[arg(long, value_name = "TASK")]
    task: Option<TaskName>,
    /// How long it may take up to the verified module.
    #[arg(long, default_value_t = child::LIMIT.as_secs(), value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    limit: u64,
    /// Build it even if a layer has a signal to noise below 10 dB, or an output below 20 dB.
    #[arg(long)]
    allow_low_sqnr: bool,
    /// Where to write the module; `-` is standard output, and the report goes to standard error.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum TaskName {
    /// One score per class.
    Classify,
    /// A real number.
    Regress,
    /// The input again; the difference is an anomaly score.
    Reconstruct,
}

impl From<TaskName> for Task {
    fn from(name: TaskName) -> Self {
        match name {
            TaskName::Classify => Task::Classify,
            TaskName::Regress => Task::Regress,
            TaskName::Reconstruct => Task::Reconstruct,
        }
    }
}

impl Compile {
    pub(super) fn run(self, compiler: Compiler) -> Result<()> {
        let request = self.request(compiler)?;
        let limit = Duration::from_secs(self.limit);
        let exe = std::env::current_exe().context("cannot find this program's own file")?;
        let live = std::io::stderr().is_terminal() && !self.json;
        let mut progress = |progress: Progress| {
            if live {
                let percent = (progress.fraction * 100.0).round();
                eprint!("\r\x1b[K{percent:3} % {}", progress.stage);
                let _ = std::io::stderr().flush();
            }
        };
        let compiled = child::compile(&exe, &request, limit, &mut progress);
        if live {
            eprint!("\r\x1b[K");
        }
        let compiled = compiled?;
        let mut report = if self.json {
            out::json_text(&serde_json::to_value(&compiled.report)?)
        } else {
            text(&compiled.report)
        };
        let Some(path) = &self.output else {
            return out::print(&report);
        };
        if path.as_os_str() == "-" {
            out::say(report.trim_end());
            return out::write(&compiled.module);
        }
        std::fs::write(path, &compiled.module)
            .with_context(|| format!("cannot write {}", path.display()))?;
        if !self.json {
            let path = path.to_string_lossy();
            report.push_str(&format!("\nwrote {}\n", plain(&path)));
        }
        out::print(&report)
    }

    fn request(&self, compiler: Compiler) -> Result<Request> {
        let target = &self.target;
        let capability = capability(target)?;
        let path = Path::new(&self.model);
        let mut request = if path.exists() {
            let onnx = onnx_file::read(path, Some(compiler))?;
            let calibration = self.calibration.as_ref().ok_or_else(|| {
                anyhow!(
                    "--calibration is missing: the int8 scales of {} are measured on samples of \
                     its input (.npz with array x, or one for each input, or .npy)",
                    self.model
                )
            })?;
            Request {
                name: path
                    .file_stem()
                    .unwrap_or_default()
                    .to_string_lossy()
                    .into_owned(),
                version: String::new(),
                onnx,
                task: self.task.map_or(Task::Classify, Into::into),
                labels: Vec::new(),
                capability,
                options: Options::new(calibrated(calibration)?),
                test: None,
            }
        } else {
            shipped(&self.model, capability)?
        };
        if !path.exists() && self.task.is_some() {
            bail!(
                "--task is for ONNX files; the shipped model '{}' has its own",
                self.model
            );
        }
        if path.exists() || self.calibration.is_none() {
            // Given with the file, or shipped with the model.
        } else if let Some(calibration) = &self.calibration {
            request.options = Options::new(calibrated(calibration)?);
        }
        request.options.allow_low_sqnr = self.allow_low_sqnr;
        if let Some(test) = &self.test {
            let set = samples::test_set(&read(test)?)
                .with_context(|| format!("cannot use {}", test.display()))?;
            request.test = Some(set);
        }
        Ok(request)
    }
}

fn shipped(name: &str, capability: Capability) -> Result<Request> {
    let zoo = Zoo::shipped();
    let model = zoo
        .find(name)
        .map_err(|error| anyhow!("no file '{name}', and {error}"))?;
    let mut request = model.request(capability)?;
    request.test = model.test()?;
    Ok(request)
}

fn calibrated(path: &Path) -> Result<Samples> {
    samples::samples(&read(path)?).with_context(|| format!("cannot use {}", path.display()))
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

pub(super) fn capability(target: &str) -> Result<Capability> {
    let text = tinsmith_targets::text(target)?;
    tinsmith_targets::parse(&text).with_context(|| format!("{target} is not a target file"))
}

fn shape(extents: &[usize]) -> String {
    let extents: Vec<String> = extents.iter().map(ToString::to_string).collect();
    extents.join("x")
}

fn text(report: &Report) -> String {
    let mut out = String::new();
    let mut line = |name: &str, text: String| {
        let (name, text) = (plain(name), plain(&text));
        out.push_str(&format!("{name:<10} {text}\n"));
    };
    line("model", report.model.clone());
    line("target", report.target.clone());
    line(
        "module",
        format!(
            "{} B, of them weights {} B",
            report.module_bytes, report.weights_bytes
        ),
    );
    for (what, ports) in [("inputs", &report.inputs), ("outputs", &report.outputs)] {
        if ports.len() > 1 {
            let port = |port: &PortReport| format!("{} {}", port.name, shape(&port.shape));
            line(what, ports.iter().map(port).collect::<Vec<_>>().join(", "));
        }
    }
    line("arena", format!("{} B", report.arena_bytes));
    line("MACs", report.macs.to_string());
    line(
        "float",
        match &report.float_check {
            FloatCheck::Tract { tensors } => format!("tract agrees on {tensors} tensors"),
            FloatCheck::None { reason } => format!("by our evaluator alone: {reason}"),
        },
    );
    if let (Some(metric), Some(float), Some(int8)) =
        (&report.metric, report.metric_float, report.metric_int8)
    {
        let agreement = report.agreement.map_or(String::new(), |a| {
            format!(", same class {:.2} %", a * 100.0)
        });
        line(
            metric,
            format!(
                "float {float:.4}, int8 {int8:.4} on {} samples{agreement}",
                report.samples
            ),
        );
    }
    line(
        "compiled",
        format!("in {} ms by {}", report.compile_ms, report.compiler),
    );
    line("sha256", report.module_digest.to_string());
    for warning in &report.warnings {
        line("warning", warning.clone());
    }
    out.push('\n');
    let rows: Vec<Vec<String>> = report
        .layers
        .iter()
        .map(|layer| {
            vec![
                layer.op.clone(),
                shape(&layer.shape),
                layer.macs.to_string(),
                layer.weights_bytes.to_string(),
                layer.arena_bytes.to_string(),
                layer
                    .sqnr_db
                    .map_or("-".to_owned(), |db| format!("{db:.1}")),
                layer.nodes.join(" "),
            ]
        })
        .collect();
    let heading = [
        "OPERATOR",
        "SHAPE",
        "MACS",
        "WEIGHTS B",
        "ARENA B",
        "SQNR dB",
        "ONNX NODES",
    ];
    out.push_str(&table(&heading, &rows));
    out
}
