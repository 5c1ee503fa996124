//! Citations of standards in comments and documents, in a form that can be counted:
//! `RFC 7252 §4.2`, `LwM2M TS 1.1 §6.2`.

use std::collections::BTreeMap;
use std::path::Path;

use crate::source;

/// The standards that are cited, as they are named, with their titles.
pub const SOURCES: &[(&str, &str)] = &[
    ("LwM2M TS 1.0", "Lightweight Machine to Machine, 1.0"),
    (
        "LwM2M TS 1.1",
        "Lightweight Machine to Machine, 1.1: core and transport",
    ),
    ("LwM2M TS 1.2", "Lightweight Machine to Machine, 1.2"),
    ("RFC 2104", "HMAC"),
    ("RFC 4231", "Test vectors for HMAC with SHA-2"),
    ("RFC 4279", "Pre-shared keys for TLS"),
    ("RFC 4648", "Base64"),
    ("RFC 5246", "TLS 1.2"),
    ("RFC 5288", "AES-GCM for TLS"),
    ("RFC 5289", "ECDHE with AES-GCM for TLS"),
    ("RFC 5487", "Pre-shared keys with AES-GCM for TLS"),
    ("RFC 5746", "Renegotiation"),
    ("RFC 6298", "Retransmission timer"),
    ("RFC 6347", "DTLS 1.2"),
    ("RFC 6655", "AES-CCM for TLS"),
    ("RFC 6690", "CoRE Link Format"),
    ("RFC 6874", "IPv6 Zone Identifiers in URIs"),
    ("RFC 7250", "Raw public keys in TLS"),
    ("RFC 7251", "ECDHE with AES-CCM for TLS"),
    ("RFC 7250", "Raw public keys in TLS and DTLS"),
    ("RFC 7252", "CoAP"),
    ("RFC 7627", "Extended master secret"),
    ("RFC 7641", "Observe"),
    (
        "RFC 7925",
        "TLS and DTLS profiles for the Internet of Things",
    ),
    ("RFC 7959", "Block-wise transfer"),
    ("RFC 8032", "EdDSA"),
    ("RFC 8132", "PATCH and FETCH"),
    ("RFC 8152", "COSE"),
    ("RFC 8259", "JSON"),
    ("RFC 8323", "CoAP over TCP"),
    ("RFC 8428", "SenML"),
    ("RFC 8442", "ECDHE with pre-shared keys for TLS"),
    ("RFC 8516", "4.29 Too Many Requests"),
    ("RFC 8613", "OSCORE"),
    ("RFC 8798", "Additional units for SenML"),
    ("RFC 8949", "CBOR"),
    ("RFC 8974", "Extended tokens"),
    ("RFC 9052", "COSE: structures"),
    ("RFC 9053", "COSE: algorithms"),
    ("RFC 9146", "Connection ID for DTLS 1.2"),
    ("RFC 9175", "Echo, Request-Tag"),
    ("RFC 9679", "COSE Key Thumbprint"),
];

/// A citation.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Citation {
    /// The standard, `RFC 7252`.
    pub source: String,
    /// The clause, `4.2`; empty for the whole.
    pub clause: String,
}

/// Texts that may cite: each run of comment lines of a source file, each paragraph of a document,
/// with the number of its first line.
pub fn texts(file: &Path, text: &str) -> Vec<(usize, String)> {
    let mark = match file.extension().and_then(|e| e.to_str()) {
        Some("rs") => "//",
        Some("py" | "sh") => "#",
        _ => "",
    };
    let mut texts: Vec<(usize, String)> = Vec::new();
    let mut last = 0;
    for (index, line) in text.lines().enumerate() {
        let number = index + 1;
        let Some((_, comment)) = line.split_once(mark) else {
            continue;
        };
        let comment = comment.trim_start_matches(['/', '!', '#']).trim();
        if comment.is_empty() {
            continue;
        }
        match texts.last_mut() {
            Some((_, text)) if last + 1 == number => {
                text.push(' ');
                text.push_str(comment);
            }
            _ => texts.push((number, comment.to_owned())),
        }
        last = number;
    }
    texts
}

/// The citations of a text.
pub fn citations(text: &str) -> Vec<Citation> {
    let mut found = Vec::new();
    for (at, _) in text
        .match_indices("RFC ")
        .chain(text.match_indices("LwM2M TS "))
    {
        let Some((source, mut rest)) = standard(&text[at..]) else {
            continue;
        };
        let mut clauses = 0;
        while let Some((clause, after)) = clause(rest) {
            found.push(Citation {
                source: source.clone(),
                clause,
            });
            rest = after;
            clauses += 1;
        }
        if clauses == 0 {
            let clause = String::new();
            found.push(Citation { source, clause });
        }
    }
    found
}

/// `RFC 7252` or `LwM2M TS 1.1` at the start of a text, and what follows.
pub fn standard(text: &str) -> Option<(String, &str)> {
    let prefix = ["RFC ", "LwM2M TS "]
        .into_iter()
        .find(|p| text.starts_with(p))?;
    let rest = &text[prefix.len()..];
    let number = rest
        .split(|c: char| !c.is_ascii_digit() && c != '.')
        .next()?
        .trim_end_matches('.');
    let end = prefix.len() + number.len();
    (!number.is_empty()).then(|| (text[..end].to_owned(), &text[end..]))
}

/// `§4.2` at the start of a text, after a space or as the next of a list, and what follows.
fn clause(text: &str) -> Option<(String, &str)> {
    let joints = [", ", " and ", " to ", " "];
    let rest = joints
        .iter()
        .find_map(|joint| text.strip_prefix(joint)?.strip_prefix('§'))?;
    let end = rest
        .find(|c: char| !c.is_ascii_alphanumeric() && !".-".contains(c))
        .unwrap_or(rest.len());
    let clause = rest[..end].trim_end_matches(['.', '-']);
    (!clause.is_empty()).then(|| (clause.to_owned(), &rest[clause.len()..]))
}

/// How often each clause is cited in the repository.
pub fn count() -> BTreeMap<Citation, usize> {
    let mut count = BTreeMap::new();
    for (file, text) in files() {
        for (_, text) in texts(&file, &text) {
            for citation in citations(&text) {
                *count.entry(citation).or_insert(0) += 1;
            }
        }
    }
    count
}

/// Sources, scripts and documents.
pub fn files() -> Vec<(std::path::PathBuf, String)> {
    let root = crate::root();
    let kinds = ["rs", "py", "sh", "md"];
    let all = kinds.iter().flat_map(|kind| source::files(&root, kind));
    // This crate talks about citations.
    let all = all.filter(|file| !file.starts_with(root.join("tests/structure")));
    all.map(|file| {
        let text = crate::read(&file);
        (file, text)
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cited(text: &str) -> Vec<String> {
        let all = citations(text).into_iter();
        all.map(|c| format!("{}|{}", c.source, c.clause)).collect()
    }

    #[test]
    fn clauses_and_lists_of_them() {
        let text = "as RFC 7252 §4.2, §4.3 says (LwM2M TS 1.1 §6.4.3-1; RFC 8428).";
        assert_eq!(
            cited(text),
            [
                "RFC 7252|4.2",
                "RFC 7252|4.3",
                "RFC 8428|",
                "LwM2M TS 1.1|6.4.3-1"
            ]
        );
        assert_eq!(
            cited("RFC 7252 §4 and §5. Then"),
            ["RFC 7252|4", "RFC 7252|5"]
        );
        assert_eq!(cited("RFC 8949 §A"), ["RFC 8949|A"]);
    }

    #[test]
    fn comments_over_several_lines_are_one_text() {
        let text = "//! As RFC 7252\n//! §4.2 says.\nlet a = 1; // RFC 7641\n";
        let texts = texts(Path::new("a.rs"), text);
        assert_eq!(texts[0], (1, "As RFC 7252 §4.2 says. RFC 7641".to_owned()));
    }
}
