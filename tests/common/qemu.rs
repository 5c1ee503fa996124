//! The firmware on a Cortex-M4 in QEMU.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::process::Process;

fn board() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("device-client/boards/qemu-mps2")
}

/// An image, where cargo (and `test.sh`) puts it; none, and said so, without it or QEMU. With
/// `TINSMITH_REQUIRE_TOOLS` set both have to be there.
pub(crate) fn firmware(name: &str) -> Option<PathBuf> {
    let missing = match find(name) {
        Ok(elf) => return Some(elf),
        Err(missing) => missing,
    };
    let required = std::env::var_os("TINSMITH_REQUIRE_TOOLS").is_some();
    assert!(!required, "{missing}");
    println!("skipped: {missing}");
    None
}

fn find(name: &str) -> Result<PathBuf, String> {
    let qemu = Command::new("qemu-system-arm")
        .arg("--version")
        .stdout(Stdio::null())
        .status();
    if !qemu.is_ok_and(|status| status.success()) {
        return Err("no QEMU: apt-get install qemu-system-arm".into());
    }
    let target = std::env::var_os("CARGO_TARGET_DIR");
    let target = target.map_or(board().join("target"), PathBuf::from);
    let elf = target.join("thumbv7em-none-eabihf/release").join(name);
    let missing = format!("no {}: test.sh has how it is built", elf.display());
    elf.exists().then_some(elf).ok_or(missing)
}

/// Starts it, with its flash in a file and options of `run.sh`; what it says goes to `console`.
pub(crate) fn start(
    elf: &Path,
    endpoint: &str,
    options: &[String],
    flash: &Path,
    console: Stdio,
) -> Process {
    Process::spawn(
        Command::new(board().join("run.sh"))
            .args(["--endpoint", endpoint])
            .args(options)
            .arg("--flash")
            .arg(flash)
            .arg(elf)
            .stdin(Stdio::null())
            .stdout(console),
    )
}
