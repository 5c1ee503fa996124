//! What the checks of the repository's structure share. They read sources and `cargo metadata` and
//! build nothing, so they run in seconds: `cargo test -p tinsmith-structure`.

pub mod citations;
pub mod metadata;
pub mod modules;
pub mod source;

use std::path::{Path, PathBuf};

/// The repository's folder.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors()
        .nth(2)
        .expect("this crate is tests/structure")
        .to_path_buf()
}

/// Compares a part of a document with what it should be. With `TINSMITH_BLESS` set the document is
/// rewritten instead. The part is what stands between `<!-- name -->` and `<!-- /name -->`.
pub fn bless(document: &str, name: &str, wanted: &str) {
    let path = root().join(document);
    let text = read(&path);
    let (open, close) = (format!("<!-- {name} -->\n"), format!("<!-- /{name} -->"));
    let found = text.split_once(&open).and_then(|(before, rest)| {
        let (part, after) = rest.split_once(&close)?;
        Some((before, part, after))
    });
    let (before, part, after) =
        found.unwrap_or_else(|| panic!("{document} has no part {name} between its markers"));
    if part == wanted {
        return;
    }
    assert!(
        std::env::var_os("TINSMITH_BLESS").is_some(),
        "{document}: the part {name} is not what the sources say; rewrite it with\n    \
         TINSMITH_BLESS=1 cargo test --release -p tinsmith-structure\nIt should be:\n{wanted}"
    );
    let text = format!("{before}{open}{wanted}{close}{after}");
    std::fs::write(&path, text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
}

/// The text of a file of the repository.
pub fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Fails with one fault a line.
pub fn none(faults: &[String]) {
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}
