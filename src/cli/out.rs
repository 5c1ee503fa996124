//! What is printed. Names, labels, diagnostics and the like come from devices, models and callers,
//! so nothing that a terminal would obey leaves here.

use std::borrow::Cow;
use std::fmt::Display;
use std::io::{ErrorKind, Write, stderr, stdout};
use std::process::ExitCode;

use serde_json::Value;

/// Standard output was closed by who reads it, e.g. `head`.
#[derive(Debug, thiserror::Error)]
#[error("standard output is closed")]
struct Closed;

/// True if a terminal obeys it or shows something else: control characters, and those that hide or
/// turn what stands beside them.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{61c}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
        )
}

/// A text of somebody else, on one line and without anything that a terminal obeys.
pub(super) fn plain(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if is_hidden(c) {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    Cow::Owned(shown)
}

/// Prints lines of our own; what they quote went through [`plain`].
pub(super) fn print(text: &str) -> anyhow::Result<()> {
    write(text.as_bytes())
}

/// Prints bytes as they are.
pub(super) fn write(bytes: &[u8]) -> anyhow::Result<()> {
    let mut out = stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(Closed.into()),
        result => Ok(result?),
    }
}

/// Prints a document.
pub(super) fn json(value: &Value) -> anyhow::Result<()> {
    print(&json_text(value))
}

/// A document, in which a terminal finds nothing to obey.
pub(super) fn json_text(value: &Value) -> String {
    escaped(&format!("{value:#}\n"))
}

/// The same on one line.
pub(super) fn json_line(value: &Value) -> String {
    escaped(&format!("{value}\n"))
}

fn escaped(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if c == '\n' || !is_hidden(c) {
            shown.push(c);
        } else {
            // All of them are in the first plane.
            shown.push_str(&format!("\\u{:04x}", u32::from(c)));
        }
    }
    shown
}

/// A line on standard error, whether somebody reads it or not.
pub(super) fn say(line: impl Display) {
    let _ = writeln!(stderr(), "{line}");
}

/// Tells why a command failed; the program's exit code. Output that nobody wants any more is no
/// failure.
pub fn failed(error: &anyhow::Error) -> ExitCode {
    if error.is::<Closed>() {
        return ExitCode::SUCCESS;
    }
    say(format_args!("error: {}", plain(&format!("{error:#}"))));
    ExitCode::FAILURE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_obeys_is_left() {
        let forged = "dev\x1b[2K\nforged\u{9b}31m\u{202e}\u{feff}\r\t\u{7f}é日";
        let shown = plain(forged);
        assert!(!shown.chars().any(is_hidden), "{shown:?}");
        assert!(shown.starts_with("dev\\u{1b}[2K\\nforged\\u{9b}31m"));
        assert!(shown.ends_with("é日"), "{shown}");
        assert!(matches!(plain("motion-1 é"), Cow::Borrowed(_)));

        let value = serde_json::json!({ "name": forged });
        let text = json_text(&value);
        assert!(!text.chars().any(|c| c != '\n' && is_hidden(c)), "{text:?}");
        let read: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(read, value);
    }
}
