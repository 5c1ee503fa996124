//! `tinsmith credential export`.

use anyhow::Result;
use serde_json::Value;

use super::each_page;
use crate::api::Server;
use crate::device::text;
use crate::out::{self, plain};

const COLUMNS: [(&str, &str); 6] = [
    ("endpoint", "endpoints"),
    ("identity", "identity"),
    ("kind", "kind"),
    ("use", "purpose"),
    ("origin", "origin"),
    ("made", "made"),
];

pub(super) fn run(server: &Server, json: bool) -> Result<()> {
    if !json {
        let names: Vec<_> = COLUMNS.iter().map(|(name, _)| *name).collect();
        out::print(&format!("{}\n", names.join(",")))?;
    }
    each_page(server, |entries| {
        let lines = entries.iter().map(|entry| match json {
            true => out::json_line(entry),
            false => line(entry) + "\n",
        });
        out::print(&lines.collect::<String>())
    })
}

fn line(entry: &Value) -> String {
    let fields = COLUMNS.iter().map(|(_, member)| match &entry[*member] {
        Value::Number(number) => number.to_string(),
        other => quoted(&plain(&text(other))),
    });
    fields.collect::<Vec<_>>().join(",")
}

/// As RFC 4180 §2 has it.
fn quoted(text: &str) -> String {
    match text.contains([',', '"', '\n', '\r']) || text.trim() != text {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_an_entry() {
        let entry = serde_json::json!({
            "endpoints": "a,b", "identity": "say \"x\"", "kind": "psk",
            "purpose": "bootstrap", "origin": "given", "made": 7,
        });
        assert_eq!(
            line(&entry),
            "\"a,b\",\"say \"\"x\"\"\",psk,bootstrap,given,7"
        );
    }
}
