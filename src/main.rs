//! The `tinsmith` command.

use clap::Parser;
use tinsmith_cli::{Cli, Compiler};

#[cfg(feature = "compiler")]
const COMPILER: Option<Compiler> = Some(Compiler {
    version: tinsmith_compiler::COMPILER_VERSION,
    compile: tinsmith_compiler::compile,
    embed: tinsmith_compiler::embed,
    float_scores: tinsmith_compiler::float_scores,
});
#[cfg(not(feature = "compiler"))]
const COMPILER: Option<Compiler> = None;

/// The C library's asks the kernel for every third registration, and gives little back.
#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> std::process::ExitCode {
    let cli = Cli::parse();
    tinsmith_cli::log(&cli);
    match tinsmith_cli::run(cli, COMPILER) {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => tinsmith_cli::failed(&error),
    }
}
