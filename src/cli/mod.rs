//! The command line: one file per command.

#[cfg(feature = "server")]
mod api;
#[cfg(feature = "compiler")]
mod compile;
#[cfg(feature = "compiler")]
mod compile_child;
#[cfg(all(feature = "server", feature = "compiler"))]
mod demo;
#[cfg(feature = "server")]
mod device;
#[cfg(feature = "server")]
mod host_device;
#[cfg(feature = "server")]
mod model;
#[cfg(feature = "server")]
mod serve;
mod table;
#[cfg(feature = "server")]
mod update;

use clap::{Parser, Subcommand};

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
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    #[cfg(all(feature = "server", feature = "compiler"))]
    Demo(demo::Demo),
    #[cfg(feature = "server")]
    Serve(serve::Serve),
    #[cfg(feature = "server")]
    #[command(subcommand)]
    Device(device::Device),
    #[cfg(feature = "server")]
    #[command(subcommand)]
    Model(model::Model),
    #[cfg(feature = "compiler")]
    Compile(compile::Compile),
    #[cfg(feature = "server")]
    Update(update::Update),
    /// Be a device, to try a server by hand.
    #[cfg(feature = "server")]
    HostDevice(host_device::HostDevice),
    /// Compile what standard input says.
    #[cfg(feature = "compiler")]
    #[command(hide = true)]
    CompileChild,
}

/// Does what the command line asks for.
pub fn run(cli: Cli) -> anyhow::Result<()> {
    match cli.command {
        #[cfg(all(feature = "server", feature = "compiler"))]
        Command::Demo(command) => command.run(),
        #[cfg(feature = "server")]
        Command::Serve(command) => command.run(),
        #[cfg(feature = "server")]
        Command::Device(command) => command.run(),
        #[cfg(feature = "server")]
        Command::Model(command) => command.run(),
        #[cfg(feature = "compiler")]
        Command::Compile(command) => command.run(),
        #[cfg(feature = "server")]
        Command::Update(command) => command.run(),
        #[cfg(feature = "server")]
        Command::HostDevice(command) => command.run(),
        #[cfg(feature = "compiler")]
        Command::CompileChild => compile_child::run(),
    }
}

/// Logs to standard error; quiet unless asked.
pub fn log(verbose: u8) {
    let level = match verbose {
        0 => "warn",
        1 => "info",
        2 => "debug",
        _ => "trace",
    };
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(level));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
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
