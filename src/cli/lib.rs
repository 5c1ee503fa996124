//! The command line: one file per command.

mod api;
mod audit;
mod bearer;
mod builds;
mod compile;
mod compile_child;
mod completions;
mod config_file;
mod credential;
mod date;
mod demo;
mod device;
mod host_device;
mod key;
mod login;
mod model;
mod onnx_file;
mod out;
mod package;
mod serve;
mod store;
mod table;
mod token;
mod trust;
mod update;

pub use out::failed;

use std::io::IsTerminal;

use anyhow::Context;
use clap::{Parser, Subcommand};
use tinsmith_build_job::{CompileError, Samples, Task, child};
use tracing::Level;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::prelude::*;

/// An LwM2M server with a model compiler inside.
///
/// Devices bootstrap and register over CoAP; Tinsmith reads what they are made of, compiles a
/// model for exactly that device, sends it over the air, watches its trial and commits or rolls
/// back. To see all of it on this machine: tinsmith demo
#[derive(Parser)]
#[command(name = "tinsmith", version, propagate_version = true)]
pub struct Cli {
    /// Log more: -v for what happens, -vv for every message (or set RUST_LOG).
    #[arg(short, long, global = true, action = clap::ArgAction::Count, display_order = 900)]
    pub verbose: u8,
    /// How to log: lines for people, or one JSON document for each.
    #[arg(
        long,
        global = true,
        env = "TINSMITH_LOG_FORMAT",
        value_name = "FORMAT",
        default_value = "text",
        hide_default_value = true,
        display_order = 901
    )]
    pub log_format: LogFormat,
    #[command(subcommand)]
    command: Command,
}

/// The form of log lines.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub enum LogFormat {
    /// A line for people; in colours on a terminal.
    Text,
    /// A JSON document.
    Json,
}

#[derive(Subcommand)]
enum Command {
    Demo(demo::Demo),
    Serve(Box<serve::Serve>),
    #[command(subcommand)]
    Device(device::Device),
    #[command(subcommand)]
    Model(model::Model),
    #[command(subcommand)]
    Build(builds::Build),
    Compile(compile::Compile),
    #[command(subcommand)]
    Key(key::Key),
    #[command(subcommand)]
    Package(package::Package),
    #[command(subcommand)]
    Store(store::Keep),
    #[command(subcommand)]
    Token(token::Token),
    #[command(subcommand)]
    Credential(credential::Credential),
    Login(login::Login),
    Audit(audit::Audit),
    Update(update::Update),
    Rollback(update::Rollback),
    Cancel(update::Cancel),
    /// Be a device, to try a server by hand.
    HostDevice(Box<host_device::HostDevice>),
    Completions(completions::Completions),
    Man(completions::Man),
    /// Compile what standard input says.
    #[command(hide = true)]
    CompileChild,
}

/// The compiler, which the program gives to the commands; they do not link it.
#[derive(Clone, Copy)]
pub struct Compiler {
    /// Name and version; part of every build key.
    pub version: &'static str,
    /// Compiles in this process.
    pub compile: child::Compile,
    /// Puts weights that lie beside an ONNX file into it; see `tinsmith_compiler::embed`.
    pub embed: Embed,
    /// What a float model says of each sample; see `tinsmith_compiler::float_scores`.
    pub float_scores: FloatScores,
}

/// An ONNX file, and how a file beside it is read by its name, to the file with its weights inside;
/// none if they are.
pub type Embed =
    fn(&[u8], &mut dyn FnMut(&str) -> Result<Vec<u8>, String>) -> Result<Option<Vec<u8>>, String>;

/// Name, ONNX file, task and samples of a model to the class, value or reconstruction error of each
/// sample.
pub type FloatScores = fn(&str, &[u8], Task, &Samples) -> Result<Vec<f64>, CompileError>;

fn needed(compiler: Option<Compiler>) -> anyhow::Result<Compiler> {
    compiler.context("this program was built without the compiler (feature 'compiler')")
}

/// Does what the command line asks for.
pub fn run(cli: Cli, compiler: Option<Compiler>) -> anyhow::Result<()> {
    match cli.command {
        Command::Demo(command) => command.run(needed(compiler)?),
        Command::Serve(command) => command.run(compiler),
        Command::Device(command) => command.run(),
        Command::Model(command) => command.run(compiler),
        Command::Build(command) => command.run(),
        Command::Compile(command) => {
            let compiler = needed(compiler)?;
            command.run(compiler)
        }
        Command::Key(command) => command.run(),
        Command::Package(command) => command.run(),
        Command::Store(command) => command.run(),
        Command::Token(command) => command.run(),
        Command::Credential(command) => command.run(),
        Command::Login(command) => command.run(),
        Command::Audit(command) => command.run(),
        Command::Update(command) => command.run(),
        Command::Rollback(command) => command.run(),
        Command::Cancel(command) => command.run(),
        Command::HostDevice(command) => command.run(),
        Command::Completions(command) => command.run(),
        Command::Man(command) => command.run(),
        Command::CompileChild => compile_child::run(needed(compiler)?),
    }
}

/// Logs to standard error; quiet unless asked.
pub fn log(cli: &Cli) {
    let level = match cli.verbose {
        0 => Level::WARN,
        1 => Level::INFO,
        2 => Level::DEBUG,
        _ => Level::TRACE,
    };
    let asked = std::env::var("RUST_LOG").ok();
    let filter = asked
        .and_then(|text| text.parse().ok())
        .unwrap_or_else(|| Targets::new().with_default(level));
    let lines = tracing_subscriber::fmt::layer()
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    let lines = match cli.log_format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().boxed(),
    };
    tracing_subscriber::registry()
        .with(lines.with_filter(filter))
        .init();
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_command_line_is_well_formed() {
        use clap::CommandFactory;
        super::Cli::command().debug_assert();
    }
}
