//! `tinsmith compile-child`: the process that compiles, under limits.

use std::process::ExitCode;

use tinsmith_build_job::child;

use crate::Compiler;

/// Its exit code tells the parent how it went; nothing else may be printed.
pub(super) fn run(compiler: Compiler) -> anyhow::Result<()> {
    std::process::exit(
        match child::serve(compiler.compile, tinsmith_samples::READERS) {
            code if code == ExitCode::SUCCESS => 0,
            _ => 1,
        },
    )
}
