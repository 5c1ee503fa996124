//! `tinsmith compile-child`: the process that compiles, under limits.

/// Its exit code tells the parent how it went; nothing else may be printed.
pub(super) fn run() -> anyhow::Result<()> {
    std::process::exit(match crate::compiler::child::main() {
        code if code == std::process::ExitCode::SUCCESS => 0,
        _ => 1,
    })
}
