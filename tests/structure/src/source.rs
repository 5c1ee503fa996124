//! Source files and the code in them.

use std::path::{Path, PathBuf};

/// The files below a folder whose names end in `extension`, in order; without hidden folders and
/// what is built.
pub fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    collect(folder, extension, &mut found);
    found.sort();
    found
}

fn collect(folder: &Path, extension: &str, found: &mut Vec<PathBuf>) {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    for entry in entries {
        let path = entry.expect("a folder can be listed").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_dir() {
            if name != "target" && !name.starts_with('.') {
                collect(&path, extension, found);
            }
        } else if path.extension().is_some_and(|found| found == extension) {
            found.push(path);
        }
    }
}

/// The code of a file line by line, each with its number: without comments and without the tests
/// at its end.
pub fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let tests = text.find("\nmod tests {").unwrap_or(text.len());
    text[..tests]
        .lines()
        .enumerate()
        .map(|(number, line)| (number + 1, line.split("//").next().unwrap_or_default()))
}

/// Whether `word` stands in the text by itself, not as a part of a longer name.
pub fn has_word(text: &str, word: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word)
        .any(|(at, _)| !text[..at].ends_with(part) && !text[at + word.len()..].starts_with(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_whole() {
        assert!(has_word("use nix::fcntl;", "nix"));
        assert!(!has_word("unix phoenix_nix nixie", "nix"));
    }

    #[test]
    fn comments_and_tests_are_no_code() {
        let text =
            "use a; // tokio\n/// tokio\nfn f() {}\n\n#[cfg(test)]\nmod tests {\n tokio\n}\n";
        let code: Vec<_> = code(text).map(|(_, line)| line).collect();
        assert_eq!(code, ["use a; ", "", "fn f() {}", "", "#[cfg(test)]"]);
    }
}
