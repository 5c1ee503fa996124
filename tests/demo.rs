//! `tinsmith demo`, whole, as a person runs it.
#![cfg(feature = "compiler")]

use std::collections::BTreeSet;
use std::process::{Command, Stdio};

use serde_json::Value;

fn text<'a>(row: &'a Value, key: &str) -> &'a str {
    row[key]
        .as_str()
        .unwrap_or_else(|| panic!("{key} is not text in {row}"))
}

fn number(row: &Value, key: &str) -> f64 {
    row[key]
        .as_f64()
        .unwrap_or_else(|| panic!("{key} is not a number in {row}"))
}

/// Samples in the stored test set, from the model's card.
fn stored_samples(model: &str) -> u64 {
    let path = format!("{}/models/{model}/card.json", env!("CARGO_MANIFEST_DIR"));
    let card = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
    let card: Value = serde_json::from_str(&card).expect("a card is JSON");
    card["metric"]["n"]
        .as_u64()
        .expect("a card says how many samples there are")
}

/// Takes up to a minute and both cores: `test.sh` runs it by itself.
#[test]
#[ignore = "takes a minute; run with --ignored"]
fn runs_to_the_end() {
    let output = Command::new(env!("CARGO_BIN_EXE_tinsmith"))
        .args(["demo", "--json"])
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .expect("the program starts");
    let summary = String::from_utf8(output.stdout).expect("text");
    println!("{summary}");
    assert!(output.status.success(), "{}", output.status);
    let summary: Value = serde_json::from_str(&summary).expect("one JSON document");
    let rows = summary["devices"].as_array().expect("a list of devices");

    let installed: Vec<&Value> = rows
        .iter()
        .filter(|row| text(row, "result") == "installed")
        .collect();
    let distinct = |key| {
        installed
            .iter()
            .map(|row| text(row, key))
            .collect::<BTreeSet<_>>()
            .len()
    };
    assert!(distinct("model") >= 3, "three different models run");
    assert!(distinct("target") >= 2, "on two kinds of device");
    for row in &installed {
        assert_eq!(
            row["samples"].as_u64(),
            Some(stored_samples(text(row, "model"))),
            "{row}"
        );
        let loss = number(row, "metric_float") - number(row, "metric_device");
        assert!(
            loss.abs() <= 0.01,
            "int8 is more than a point from float: {row}"
        );
        for key in ["module_bytes", "arena_bytes", "compile_ms", "transfer_ms"] {
            assert!(number(row, key) >= 0.0, "{key}: {row}");
        }
    }
    assert!(
        installed.iter().any(|row| row["cached"] == true),
        "two equal devices cost one compile"
    );

    let refused: Vec<&Value> = rows
        .iter()
        .filter(|row| text(row, "result") == "refused")
        .collect();
    assert!(!refused.is_empty(), "one device is too small on purpose");
    assert_eq!(installed.len() + refused.len(), rows.len());
    for row in refused {
        assert!(
            text(row, "detail").contains("byte"),
            "says how much is missing: {row}"
        );
        assert!(row["transfer_ms"].is_null(), "nothing was sent: {row}");
    }
}
