//! `tinsmith audit`.

use std::time::SystemTime;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::api::Server;
use super::date::{date, parse_date};
use super::device::text;
use super::out;
use super::table::table;

/// Show what was changed over HTTP: who, what, when, from where, and how it ended.
#[derive(clap::Args)]
pub(super) struct Audit {
    /// Only what is younger than 90s, 30m, 12h or 7d, or not older than a date as 2026-11-26 or
    /// 2026-11-26T05:50:00Z (UTC).
    #[arg(long, value_name = "WHEN")]
    since: Option<String>,
    /// Only the last N entries.
    #[arg(long, value_name = "N")]
    last: Option<u64>,
    #[command(flatten)]
    server: Server,
    /// Print JSON: a document for each entry, a line each.
    #[arg(long)]
    json: bool,
}

impl Audit {
    pub(super) fn run(self) -> Result<()> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let now = now.context("the clock is before 1970")?.as_millis() as u64;
        let since = self.since.as_deref().map(|text| moment(text, now));
        let since = since.transpose()?.unwrap_or(0);
        let mut query = format!("since={since}&limit=1000");
        if let Some(last) = self.last {
            query.push_str(&format!("&last={last}"));
        }
        let mut rows = Vec::new();
        let mut after = String::new();
        loop {
            let page = self.server.get(&format!("/api/v1/audit?{query}{after}"))?;
            for entry in page["entries"].as_array().into_iter().flatten() {
                if self.json {
                    out::print(&line(entry))?;
                } else {
                    rows.push(row(entry));
                }
            }
            match page["next"].as_u64() {
                Some(next) => after = format!("&after={next}"),
                None => break,
            }
        }
        if self.json {
            return Ok(());
        }
        let heading = [
            "TIME", "WHO", "ROLE", "FROM", "WHAT", "TO", "DETAIL", "OUTCOME",
        ];
        out::print(&table(&heading, &rows))
    }
}

/// A document on one line.
fn line(entry: &Value) -> String {
    let text = out::json_text(entry);
    let value: Vec<&str> = text.lines().map(str::trim_start).collect();
    format!("{}\n", value.join(""))
}

fn row(entry: &Value) -> Vec<String> {
    if let Some(why) = entry["unreadable"].as_str() {
        let number = &entry["number"];
        let mut row = vec!["-".to_owned(); 7];
        row.push(format!("entry {number} can't be read: {why}"));
        return row;
    }
    let detail = entry["detail"].as_object();
    let detail: Vec<String> = detail
        .into_iter()
        .flatten()
        .map(|(name, value)| format!("{name}={}", text(value)))
        .collect();
    let outcome = match &entry["outcome"] {
        Value::Null => "unknown".to_owned(),
        outcome if outcome["done"] == json!(true) => "done".to_owned(),
        outcome => text(&outcome["answer"]),
    };
    vec![
        entry["at"].as_u64().map_or_else(|| "-".to_owned(), date),
        text(&entry["who"]["name"]),
        text(&entry["who"]["role"]),
        text(&entry["from"]),
        text(&entry["operation"]),
        text(&entry["target"]),
        detail.join(" "),
        outcome,
    ]
}

/// A wall time (ms): so long ago, or a date.
fn moment(text: &str, now: u64) -> Result<u64> {
    let units = [("s", 1), ("m", 60), ("h", 3600), ("d", 86_400)];
    let ago = units.iter().find_map(|(unit, seconds)| {
        let count: u64 = text.strip_suffix(unit)?.parse().ok()?;
        count.checked_mul(seconds * 1000)
    });
    if let Some(ago) = ago {
        return Ok(now.saturating_sub(ago));
    }
    match parse_date(text) {
        Some(at) => Ok(at),
        None => bail!("--since '{text}': expected 90s, 30m, 12h, 7d or a date as 2026-11-26"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_an_age_or_a_date() {
        let now = 1_795_648_360_000;
        assert_eq!(moment("90s", now).unwrap(), now - 90_000);
        assert_eq!(moment("2h", now).unwrap(), now - 7_200_000);
        assert_eq!(moment("1d", now).unwrap(), now - 86_400_000);
        assert_eq!(moment("999999d", now).unwrap(), 0);
        assert_eq!(moment("2026-11-25T23:12:40Z", now).unwrap(), now);
        for wrong in ["", "h", "-1h", "18446744073709551615d", "yesterday"] {
            assert!(moment(wrong, now).is_err(), "{wrong}");
        }
    }

    #[test]
    fn hostile_text_stays_in_its_line() {
        let entry = json!({
            "number": 1, "at": 7, "operation": "token.make", "target": "/\n\u{1b}[2J", "from": "x",
            "who": { "name": "a\u{9b}\nforged", "role": "admin" },
            "detail": { "name": "\u{202e}" }, "outcome": null,
        });
        let json = line(&entry);
        assert_eq!(json.lines().count(), 1);
        assert_eq!(serde_json::from_str::<Value>(&json).unwrap(), entry);
        let table = table(&["X"; 8], &[row(&entry)]);
        assert_eq!(table.lines().count(), 2);
        for text in [&json, &table] {
            let bad = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
            assert!(!text.contains(bad), "{text:?}");
        }
    }
}
