//! `tinsmith host-device`.

use std::path::PathBuf;

use tinsmith_board_host::{Config, run};

/// Be a device: the client of a microcontroller as a process, its flash in a file.
#[derive(clap::Args)]
pub(super) struct HostDevice {
    /// Endpoint name.
    #[arg(long)]
    endpoint: String,
    /// The bootstrap server: coap://ADDRESS:PORT.
    #[arg(long, value_name = "URI")]
    bootstrap: String,
    /// What the device is made of (a wrong name lists all), or a file like those in
    /// device-client/boards/targets.
    #[arg(long, value_name = "NAME|FILE")]
    target: String,
    /// The file that is its flash; made if it is not there.
    #[arg(long, value_name = "FILE")]
    flash: PathBuf,
    /// Say nothing on standard error.
    #[arg(long)]
    quiet: bool,
}

impl HostDevice {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let config = Config {
            endpoint: self.endpoint,
            bootstrap: self.bootstrap,
            target: self.target,
            flash: self.flash,
            log: !self.quiet,
        };
        Ok(run(&config)?)
    }
}
