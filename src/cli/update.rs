//! `tinsmith update`, `tinsmith rollback` and `tinsmith cancel`.

use std::io::{IsTerminal, Write, stderr};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use serde_json::{Value, json};

use super::api::{Server, segment};
use super::device::text;
use super::out::{self, plain};

/// Have a device run a model, and follow the update to its end.
///
/// The server builds the model for that device, sends it, watches its trial and commits. A device
/// that is not there gets it when it registers; this command then waits for it, see --no-wait and
/// --timeout.
#[derive(clap::Args)]
pub(super) struct Update {
    /// Endpoint name.
    device: String,
    /// A model of the zoo: its name, or NAME@VERSION; without a version the newest.
    #[arg(long)]
    model: String,
    /// Seconds the device waits for the commit before it rolls back by itself; 0: it commits
    /// by itself once its self test has passed.
    #[arg(long, default_value_t = 600, value_name = "SECONDS")]
    trial: u32,
    /// The device may be one that was never seen: it gets the model when it registers.
    #[arg(long)]
    expect: bool,
    #[command(flatten)]
    follow: Follow,
    #[command(flatten)]
    server: Server,
}

/// Want no model of a device any more: its update ends where it is, what runs stays.
#[derive(clap::Args)]
pub(super) struct Cancel {
    /// Endpoint name.
    device: String,
    #[command(flatten)]
    server: Server,
    /// Print what is known of the device as JSON.
    #[arg(long)]
    json: bool,
}

/// Have a device run the model that it ran before, and follow that to its end.
///
/// What still lies in a slot of the device is activated and not sent again. While an update is under
/// way or has failed, the model before is the one that runs.
#[derive(clap::Args)]
pub(super) struct Rollback {
    /// Endpoint name.
    device: String,
    #[command(flatten)]
    follow: Follow,
    #[command(flatten)]
    server: Server,
}

/// What is done after a decision.
#[derive(clap::Args)]
struct Follow {
    /// Return at once; the server goes on.
    #[arg(long)]
    no_wait: bool,
    /// Give up following after so many seconds, with exit code 1; the server goes on.
    #[arg(long, value_name = "SECONDS", conflicts_with = "no_wait")]
    timeout: Option<u64>,
    /// Print the outcome as JSON.
    #[arg(long)]
    json: bool,
}

impl Update {
    pub(super) fn run(self) -> Result<()> {
        let path = format!("/api/v1/devices/{}/model", segment(&self.device));
        let (model, version) = name_and_version(&self.model);
        let mut body = json!({
            "model": model,
            "trial_s": self.trial,
            "expect": self.expect,
        });
        if let Some(version) = version {
            body["version"] = version.into();
        }
        let value = self.server.put(&path, &body)?;
        if let Some(downgrade) = value["downgrade"].as_object() {
            let version = |key| plain(&text(&downgrade[key])).into_owned();
            let (from, to) = (version("from"), version("to"));
            out::say(format_args!(
                "{}: a downgrade, {from} to {to}",
                plain(model)
            ));
        }
        self.follow
            .run(&self.server, &self.device, Some(model), value)
    }
}

impl Rollback {
    pub(super) fn run(self) -> Result<()> {
        let path = format!("/api/v1/devices/{}/rollback", segment(&self.device));
        let value = self.server.post(&path, &json!({}))?;
        self.follow.run(&self.server, &self.device, None, value)
    }
}

impl Follow {
    /// From what the server answered to the decision to its end. What it answered may be about a
    /// later decision already, on another model.
    fn run(
        &self,
        server: &Server,
        device: &str,
        model: Option<&str>,
        mut value: Value,
    ) -> Result<()> {
        let path = format!("/api/v1/devices/{}", segment(device));
        let end = self.timeout.map(Duration::from_secs);
        let end = end.and_then(|wait| Instant::now().checked_add(wait));
        let decision = ["generation", "model"].map(|name| value["desired"][name].clone());
        let is_ours = |value: &Value| {
            let desired = &value["desired"];
            [&desired["generation"], &desired["model"]] == [&decision[0], &decision[1]]
                && model.is_none_or(|model| desired["model"] == model)
        };
        let mut shown = String::new();
        let mut late = false;
        while !self.no_wait && is_ours(&value) && !settled(&value) {
            late = end.is_some_and(|end| Instant::now() >= end);
            if late {
                break;
            }
            shown = progress(&value, &shown);
            std::thread::sleep(Duration::from_millis(200));
            // Of a device that was only expected nothing is left once nothing is wanted of it.
            value = server.find(&path)?.unwrap_or_default();
        }
        if !shown.is_empty() && stderr().is_terminal() {
            out::say("");
        }
        if self.json {
            out::json(&value)?;
        }
        let detail = text(&value["detail"]);
        if !is_ours(&value) {
            bail!("{device}: replaced by another decision: {}", wanted(&value));
        }
        if late {
            let seconds = self.timeout.unwrap_or_default();
            bail!("{device}: not over after {seconds} s, the server goes on: {detail}");
        }
        match value["state"].as_str() {
            Some("refused" | "failed" | "unsupported" | "rolled_back") => {
                bail!("{device}: {detail}")
            }
            _ if self.json => Ok(()),
            _ => out::print(&format!("{}: {}\n", plain(device), plain(&detail))),
        }
    }
}

impl Cancel {
    pub(super) fn run(self) -> Result<()> {
        let path = format!("/api/v1/devices/{}/model", segment(&self.device));
        let value = self.server.delete(&path)?;
        if self.json {
            return out::json(&value);
        }
        let device = plain(&self.device);
        out::print(&format!("{device}: no model is wanted; what runs stays\n"))
    }
}

/// NAME@VERSION; no name has an @.
pub(super) fn name_and_version(text: &str) -> (&str, Option<&str>) {
    match text.split_once('@') {
        Some((name, version)) => (name, Some(version)),
        None => (text, None),
    }
}

fn settled(value: &Value) -> bool {
    let state = value["state"].as_str().unwrap_or_default();
    matches!(
        state,
        "installed" | "refused" | "failed" | "unsupported" | "idle" | "rolled_back"
    )
}

fn wanted(value: &Value) -> String {
    match &value["desired"] {
        Value::Null => "no model is wanted any more".to_owned(),
        desired => format!(
            "{} {} is wanted now (decision {})",
            text(&desired["model"]),
            text(&desired["version"]),
            desired["generation"]
        ),
    }
}

/// One line that changes on a terminal, a line per step elsewhere.
fn progress(value: &Value, shown: &str) -> String {
    let mut line = plain(&text(&value["detail"])).into_owned();
    let live = stderr().is_terminal();
    if let (true, Some([sent, total])) = (live, value["progress"].as_array().map(Vec::as_slice)) {
        line.push_str(&format!(": {sent} of {total} B"));
    }
    if line != shown {
        let mut stderr = stderr();
        let (start, end) = if live { ("\r\x1b[K", "") } else { ("", "\n") };
        let _ = write!(stderr, "{start}{line}{end}");
        let _ = stderr.flush();
    }
    line
}
