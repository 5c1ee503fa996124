//! `tinsmith update`.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use anyhow::{Result, bail};
use serde_json::{Value, json};

use super::api::{Server, segment};
use super::device::text;

/// Have a device run a model, and follow the update to its end.
///
/// The server builds the model for that device, sends it, watches its trial and commits. A device
/// that is not there gets it when it registers; this command then waits for it, see --no-wait.
#[derive(clap::Args)]
pub(super) struct Update {
    /// Endpoint name.
    device: String,
    /// Name of a model in the zoo.
    #[arg(long)]
    model: String,
    /// Seconds the device waits for the commit before it rolls back by itself; 0: it commits
    /// by itself once its self test has passed.
    #[arg(long, default_value_t = 600, value_name = "SECONDS")]
    trial: u32,
    /// Return at once; the server goes on.
    #[arg(long)]
    no_wait: bool,
    #[command(flatten)]
    server: Server,
    /// Print the outcome as JSON.
    #[arg(long)]
    json: bool,
}

impl Update {
    pub(super) fn run(self) -> Result<()> {
        let path = format!("/api/v1/devices/{}", segment(&self.device));
        let body = json!({ "model": self.model, "trial_s": self.trial });
        let mut value = self.server.put(&format!("{path}/model"), &body)?;
        let generation = value["desired"]["generation"].clone();
        let mut shown = String::new();
        while !self.no_wait && !settled(&value, &generation) {
            shown = progress(&value, &shown);
            std::thread::sleep(Duration::from_millis(200));
            value = self.server.get(&path)?;
        }
        if !shown.is_empty() && std::io::stderr().is_terminal() {
            eprintln!();
        }
        if self.json {
            println!("{value:#}");
        }
        let detail = text(&value["detail"]);
        match value["state"].as_str() {
            Some("installed") if !self.json => println!("{}: {detail}", self.device),
            Some("refused" | "failed" | "unsupported") => bail!("{}: {detail}", self.device),
            _ if !self.json => println!("{}: {detail}", self.device),
            _ => {}
        }
        Ok(())
    }
}

fn settled(value: &Value, generation: &Value) -> bool {
    let replaced = value["desired"]["generation"] != *generation;
    let state = value["state"].as_str().unwrap_or_default();
    replaced
        || matches!(
            state,
            "installed" | "refused" | "failed" | "unsupported" | "idle"
        )
}

/// One line that changes on a terminal, a line per step elsewhere.
fn progress(value: &Value, shown: &str) -> String {
    let mut line = text(&value["detail"]);
    let live = std::io::stderr().is_terminal();
    if let (true, Some([sent, total])) = (live, value["progress"].as_array().map(Vec::as_slice)) {
        line.push_str(&format!(": {sent} of {total} B"));
    }
    if line != shown {
        let mut stderr = std::io::stderr();
        let (start, end) = if live { ("\r\x1b[K", "") } else { ("", "\n") };
        let _ = write!(stderr, "{start}{line}{end}");
        let _ = stderr.flush();
    }
    line
}
