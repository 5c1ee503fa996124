//! Documents and comments name what exists: links, files, rules of the arithmetic, standards.

use std::collections::BTreeSet;

use tinsmith_structure::citations::{SOURCES, citations, files, standard, texts};
use tinsmith_structure::{none, read, root};

/// Documents by path from the root.
fn documents() -> Vec<(String, String)> {
    let all = files().into_iter();
    let all = all.filter(|(file, _)| file.extension().is_some_and(|e| e == "md"));
    all.map(|(file, text)| {
        let name = file.strip_prefix(root()).expect("below the root");
        (name.display().to_string(), text)
    })
    .collect()
}

#[test]
fn links_lead_somewhere() {
    let mut faults = Vec::new();
    for (name, text) in documents() {
        let folder = root().join(&name);
        let folder = folder.parent().expect("a file has a folder");
        for link in text.split("](").skip(1) {
            let link = link.split(')').next().unwrap_or_default();
            let file = link.split('#').next().unwrap_or_default();
            let outside = link.contains("://") || file.is_empty();
            if !outside && !folder.join(file).exists() {
                faults.push(format!("{name}: {link} is not there"));
            }
        }
    }
    none(&faults);
}

/// A path from the root in backticks: it begins with a folder of ours.
fn is_path(text: &str) -> bool {
    let tops = [
        "src/",
        "docs/",
        "tests/",
        "examples/",
        "models/",
        "device-client/",
        "lwm2m-objects/",
    ];
    let placeholder = |text: &str| {
        let capitals = |part: &str| part.len() > 1 && part.chars().all(|c| c.is_ascii_uppercase());
        text.split(['/', '.']).any(capitals)
    };
    tops.iter().any(|top| text.starts_with(top))
        && !text.contains([' ', '{', '*', '<', '['])
        && !placeholder(text)
}

#[test]
fn files_that_documents_name_are_there() {
    let mut faults = Vec::new();
    for (name, text) in documents() {
        let mut fenced = false;
        for line in text.lines() {
            fenced ^= line.starts_with("```");
            let ticks = line.split('`').skip(1).step_by(2);
            for path in ticks.filter(|path| !fenced && is_path(path)) {
                let here = root().join(&name).with_file_name(path);
                if !root().join(path).exists() && !here.exists() {
                    faults.push(format!("{name}: {path} is not there"));
                }
            }
        }
    }
    none(&faults);
}

#[test]
fn rules_of_the_arithmetic_that_are_cited_exist() {
    let numerics = read(&root().join("docs/numerics.md"));
    let rules: BTreeSet<&str> = numerics
        .lines()
        .filter_map(|line| line.strip_prefix("## ")?.split(' ').next())
        .collect();
    let mut cited = 0;
    let mut faults = Vec::new();
    for (file, text) in files() {
        for (line, text) in texts(&file, &text) {
            let words = text.split(|c: char| !c.is_ascii_alphanumeric());
            let numbered = |word: &&str| {
                let digits = word.strip_prefix('N');
                digits.is_some_and(|d| !d.is_empty() && d.bytes().all(|b| b.is_ascii_digit()))
            };
            for rule in words.filter(numbered) {
                cited += 1;
                if !rules.contains(rule) {
                    faults.push(format!("{}:{line}: {rule}", file.display()));
                }
            }
        }
    }
    assert!(cited > 40, "only {cited} citations were found");
    none(&faults);
}

/// Words in backticks.
fn ticked(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

#[test]
fn what_is_promised_is_shown_by_a_test() {
    let text = read(&root().join("docs/security.md"));
    let mut faults = Vec::new();
    let (mut promises, mut inside) = (0, false);
    for line in text.lines() {
        if !line.starts_with('|') {
            inside = false;
        } else if line == "| promise | shown by |" {
            inside = true;
        } else if inside && !line.starts_with("|-") {
            promises += 1;
            let cells: Vec<&str> = line.trim_matches('|').split('|').collect();
            let shown = cells.last().copied().unwrap_or_default();
            let files = ticked(shown).filter(|word| word.contains('/'));
            let files: Vec<String> = files.map(|file| read(&root().join(file))).collect();
            let tests: Vec<&str> = ticked(shown).filter(|word| !word.contains('/')).collect();
            let is_test = |name: &str| {
                let function = format!("fn {name}(");
                files.iter().any(|file| file.contains(&function))
            };
            if tests.is_empty() || !tests.iter().all(|name| is_test(name)) {
                faults.push(format!("docs/security.md: {line}"));
            }
        }
    }
    assert!(promises > 10, "only {promises} promises were found");
    none(&faults);
}

/// A citation with its clause in another form: `section 4.2`, or nothing before the number.
fn misformed(text: &str) -> Option<String> {
    let places = text
        .match_indices("RFC ")
        .chain(text.match_indices("LwM2M TS "));
    places.into_iter().find_map(|(at, _)| {
        let (source, rest) = standard(&text[at..])?;
        let rest = rest.trim_start_matches([',', ' ']);
        let words = ["sections ", "section ", "clause ", "appendix ", "table "];
        let number = words
            .iter()
            .find_map(|word| rest.strip_prefix(word))
            .unwrap_or(rest);
        let bare = number.starts_with(|c: char| c.is_ascii_digit()) && number.contains('.');
        let worded = number != rest;
        let near: String = rest.chars().take(20).collect();
        (worded || bare && source.starts_with("LwM2M")).then(|| format!("{source} {near}"))
    })
}

#[test]
fn standards_are_cited_in_one_form() {
    let mut faults = Vec::new();
    for (file, text) in files() {
        for (line, text) in texts(&file, &text) {
            let at = format!("{}:{line}", file.display());
            if let Some(near) = misformed(&text) {
                faults.push(format!("{at}: '{near}' instead of 'RFC 7252 §4.2'"));
            }
            for citation in citations(&text) {
                if !SOURCES.iter().any(|(source, _)| *source == citation.source) {
                    faults.push(format!("{at}: {} is not in SOURCES", citation.source));
                }
            }
        }
    }
    none(&faults);
}
