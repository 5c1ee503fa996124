//! `tinsmith device`.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Result;
use clap::Subcommand;
use serde_json::{Value, json};

use super::api::{Server, segment};
use super::date::date;
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
    /// Show everything that happened to a device and is still known, oldest first.
    History {
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
                    out::print(&list(&devices, now()))
                }
            }
            Self::History {
                device,
                server,
                json,
            } => history(&device, &server, json),
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

fn history(device: &str, server: &Server, json: bool) -> Result<()> {
    let path = format!("/api/v1/devices/{}/history?limit=1000", segment(device));
    let mut entries = Vec::new();
    let mut after = String::new();
    loop {
        let mut page = server.get(&format!("{path}{after}"))?;
        if let Some(some) = page["entries"].as_array_mut() {
            entries.append(some);
        }
        match page["next"].as_u64() {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    if json {
        return out::json(&json!({ "entries": entries }));
    }
    out::print(&entries.iter().map(happened).collect::<String>())
}

/// A line of the timeline.
fn happened(entry: &Value) -> String {
    let at = entry["at"].as_u64().map_or("-".to_owned(), date);
    format!("{at}  {}\n", plain(&text(&entry["text"])))
}

/// A mark for a device that takes packages of anybody.
fn open(device: &Value) -> &'static str {
    match device["trust"].as_str() {
        Some("open") => " (no trust anchor)",
        _ => "",
    }
}

fn list(value: &Value, now: u64) -> String {
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
                ago(&device["seen"], now),
                text(&device["platform"]),
                text(&device["desired"]["model"]),
                text(&device["state"]),
                format!("{}{}", text(&device["detail"]), open(device)),
            ]
        })
        .collect();
    if rows.is_empty() {
        return "No devices yet. A device bootstraps or registers by itself; its addresses are \
                printed by tinsmith serve.\n"
            .to_owned();
    }
    table(
        &[
            "DEVICE", "ONLINE", "SEEN", "PLATFORM", "MODEL", "STATE", "DETAIL",
        ],
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
        match (&value["online"], &value["registered"]) {
            (Value::Bool(true), _) => "yes",
            (_, Value::Bool(true)) => "no: registered, but not reachable",
            _ => "no: not registered",
        }
        .to_owned(),
    );
    line("seen", value["seen"].as_u64().map_or("-".to_owned(), date));
    line("address", text(&value["address"]));
    line(
        "security",
        match value["security"].as_str() {
            Some("none") => "none: in the clear, and nobody has proved the name".to_owned(),
            Some(_) => text(&value["identity"]),
            None => "-".to_owned(),
        },
    );
    line("lwm2m", text(&value["registration"]["version"]));
    line("state", text(&value["state"]));
    line("detail", text(&value["detail"]));
    let anchors = value["trust_anchors"].as_array().into_iter().flatten();
    let anchors: Vec<String> = anchors.map(text).collect();
    line(
        "packages",
        match value["trust"].as_str() {
            Some("anchored") => format!("signed with {}", anchors.join(" or ")),
            Some(_) => "of anybody: it has no trust anchor".to_owned(),
            None => "-".to_owned(),
        },
    );
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
        out.push_str("  ");
        out.push_str(&happened(entry));
    }
    out
}

/// Wall time (ms) now.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}

/// How long ago a wall time (ms) was, in its largest unit.
fn ago(value: &Value, now: u64) -> String {
    let Some(at) = value.as_u64() else {
        return "-".to_owned();
    };
    match now.saturating_sub(at) / 1000 {
        s if s < 120 => format!("{s} s ago"),
        s if s < 7200 => format!("{} min ago", s / 60),
        s if s < 172_800 => format!("{} h ago", s / 3600),
        s => format!("{} d ago", s / 86_400),
    }
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

    #[test]
    fn an_empty_list_says_what_to_do() {
        assert!(list(&json!({ "devices": [] }), 0).contains("tinsmith serve"));
    }

    #[test]
    fn who_was_not_heard_is_told_apart_from_who_is_there() {
        let devices = json!({ "devices": [
            { "endpoint": "here", "online": true, "seen": 100_000 },
            { "endpoint": "lost", "online": false, "registered": true, "seen": 100_000 },
            { "endpoint": "gone", "online": false, "registered": false },
        ] });
        let out = list(&devices, 7_300_000);
        let lines: Vec<_> = out.lines().skip(1).collect();
        assert!(
            lines[0].contains("yes") && lines[0].contains("2 h ago"),
            "{out}"
        );
        assert!(
            lines[1].contains("no ") && lines[1].contains("2 h ago"),
            "{out}"
        );
        assert!(!lines[2].contains("ago"), "{out}");
        assert!(show(&devices["devices"][1]).contains("registered, but not reachable"));
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
        assert!(out.contains("1970-01-01T01:02:03.004Z  wanted"), "{out}");
        assert!(!out.contains("address"), "{out}");
    }
}
