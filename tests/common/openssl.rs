//! Keys and certificates, made by OpenSSL's command.

use std::path::Path;
use std::process::Command;

/// A folder for them; none, and said so, without the command. With `TINSMITH_REQUIRE_TOOLS` set it
/// has to be there.
pub(crate) fn folder() -> Option<tempfile::TempDir> {
    let version = Command::new("openssl").arg("version").output();
    if version.is_ok() {
        return Some(tempfile::tempdir().expect("a folder"));
    }
    let required = std::env::var_os("TINSMITH_REQUIRE_TOOLS").is_some();
    assert!(!required, "openssl is missing");
    println!("skipped: openssl is missing");
    None
}

/// Runs the command in a folder.
pub(crate) fn openssl(folder: &Path, line: &str) {
    let mut command = Command::new("openssl");
    let ended = command.args(line.split(' ')).current_dir(folder).output();
    let ended = ended.expect("it was there before");
    assert!(ended.status.success(), "{line}: {ended:?}");
}

/// A key in `NAME.key`; PKCS #8 in `NAME.p8`, its SubjectPublicKeyInfo in `NAME.spki` and, in PEM,
/// `NAME.pub`.
pub(crate) fn key(folder: &Path, name: &str) {
    for line in [
        "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out NAME.key",
        "pkcs8 -topk8 -nocrypt -in NAME.key -outform DER -out NAME.p8",
        "pkey -in NAME.key -pubout -outform DER -out NAME.spki",
        "pkey -in NAME.key -pubout -out NAME.pub",
    ] {
        openssl(folder, &line.replace("NAME", name));
    }
}
