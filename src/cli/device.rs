//! `tinsmith device`.

use anyhow::Result;
use clap::Subcommand;
use serde_json::Value;

use super::api::{Server, segment};
use super::out::{self, plain};
use super::table::table;

/// Look at devices, or remove one.
#[derive(Subcommand)]
pub(super) enum Device {
    /// List the devices and what they run.
    List {
        #[command(flatten)]
        server: Server,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show everything that is known of a device: what it is made of, its slots, its timeline.
    Show {
        /// Endpoint name.
        device: String,
        #[command(flatten)]
        server: Server,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Forget everything of a device: its registration, what is wanted and was done, and what waits
    /// for it. One that is still there registers again, as a new one.
    Remove {
        /// Endpoint name.
        device: String,
        #[command(flatten)]
        server: Server,
    },
}

impl Device {
    pub(super) fn run(self) -> Result<()> {
        match self {
            Self::List { server, json } => {
                let devices = server.get("/api/v1/devices")?;
                if json {
                    out::json(&devices)
                } else {
                    out::print(&list(&devices))
                }
            }
            Self::Remove { device, server } => {
                server.delete(&format!("/api/v1/devices/{}", segment(&device)))?;
                out::print(&format!("removed {}\n", plain(&device)))
            }
            Self::Show {
                device,
                server,
                json,
            } => {
                let value = server.get(&format!("/api/v1/devices/{}", segment(&device)))?;
                if json {
                    out::json(&value)
                } else {
                    out::print(&show(&value))
                }
            }
        }
    }
}

fn list(value: &Value) -> String {
    let rows: Vec<Vec<String>> = value["devices"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|device| {
            vec![
                text(&device["endpoint"]),
                if device["online"] == true {
                    "yes"
                } else {
                    "no"
                }
                .to_owned(),
                text(&device["platform"]),
                text(&device["desired"]["model"]),
                text(&device["state"]),
                text(&device["detail"]),
            ]
        })
        .collect();
    if rows.is_empty() {
        return "No devices yet. A device bootstraps or registers by itself; its addresses are \
                printed by tinsmith serve.\n"
            .to_owned();
    }
    table(
        &["DEVICE", "ONLINE", "PLATFORM", "MODEL", "STATE", "DETAIL"],
        &rows,
    )
}

fn show(value: &Value) -> String {
    let mut out = String::new();
    let mut line = |name: &str, text: String| {
        if text != "-" {
            out.push_str(&format!("{name:<12} {}\n", plain(&text)));
        }
    };
    line("device", text(&value["endpoint"]));
    line(
        "online",
        if value["online"] == true { "yes" } else { "no" }.to_owned(),
    );
    line("address", text(&value["address"]));
    line("lwm2m", text(&value["registration"]["version"]));
    line("state", text(&value["state"]));
    line("detail", text(&value["detail"]));
    let platform = &value["capability"]["platform"];
    line("platform", text(&platform["platform_name"]));
    line("part", text(&platform["soc_part"]));
    line("arena", bytes(&platform["arena_total"]));
    line("storage", bytes(&platform["model_storage_total"]));
    line("capability", text(&value["capability_digest"]));
    for unit in value["capability"]["units"]
        .as_array()
        .into_iter()
        .flatten()
    {
        let extensions: Vec<String> = unit["extensions"]
            .as_array()
            .into_iter()
            .flatten()
            .map(text)
            .collect();
        let mhz = unit["clock_max"].as_u64().unwrap_or(0) / 1_000_000;
        let name = text(&unit["name"]);
        line(
            "unit",
            format!("{name}, {mhz} MHz {}", extensions.join(" ")),
        );
    }
    for region in value["capability"]["regions"]
        .as_array()
        .into_iter()
        .flatten()
    {
        let size = bytes(&region["size"]);
        line("memory", format!("{} {size}", text(&region["name"])));
    }
    for slot in value["slots"].as_array().into_iter().flatten() {
        let what = match slot["model"].as_str() {
            Some("") | None => String::new(),
            Some(model) => format!(" {model} {}", text(&slot["version"])),
        };
        line(
            "slot",
            format!("{} {}{what}", slot["instance"], text(&slot["state"])),
        );
    }
    let timeline = value["timeline"].as_array().into_iter().flatten();
    for entry in timeline {
        out.push_str(&format!(
            "  {}  {}\n",
            time(&entry["at"]),
            plain(&text(&entry["text"]))
        ));
    }
    out
}

/// Wall time of a day, UTC.
fn time(value: &Value) -> String {
    let ms = value.as_u64().unwrap_or(0);
    let (s, ms) = (ms / 1000, ms % 1000);
    format!(
        "{:02}:{:02}:{:02}.{ms:03}Z",
        s / 3600 % 24,
        s / 60 % 60,
        s % 60
    )
}

fn bytes(value: &Value) -> String {
    value.as_u64().map_or("-".to_owned(), |n| format!("{n} B"))
}

pub(super) fn text(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_empty_list_says_what_to_do() {
        assert!(list(&json!({ "devices": [] })).contains("tinsmith serve"));
    }

    #[test]
    fn shows_what_is_there_and_nothing_else() {
        let value = json!({
            "endpoint": "dev", "online": true, "state": "installed",
            "slots": [{ "instance": 0, "state": "active", "model": "motion", "version": "1" }],
            "timeline": [{ "at": 3_723_004, "text": "wanted: motion 1" }],
        });
        let out = show(&value);
        assert!(out.contains("slot         0 active motion 1"), "{out}");
        assert!(out.contains("01:02:03.004Z  wanted"), "{out}");
        assert!(!out.contains("address"), "{out}");
    }
}
