//! `tinsmith host-device`.

use std::path::PathBuf;

use tinsmith_board_host::{Config, Factory, TrustAnchor, read_anchor, run};

/// Be a device: the client of a microcontroller as a process, its flash in a file.
#[derive(clap::Args)]
pub(super) struct HostDevice {
    /// Endpoint name.
    #[arg(long)]
    endpoint: String,
    #[command(flatten)]
    first: First,
    /// What the device is made of (a wrong name lists all), or a file like those in
    /// device-client/boards/targets.
    #[arg(long, value_name = "NAME|FILE")]
    target: String,
    /// The file that is its flash; made if it is not there.
    #[arg(long, value_name = "FILE")]
    flash: PathBuf,
    /// A public key whose packages it takes before a bootstrap gives others, as `tinsmith key
    /// export-public` prints it; may be given several times.
    #[arg(long, value_name = "HEX", value_parser = anchor)]
    trust_anchor: Vec<TrustAnchor>,
    /// Say nothing on standard error.
    #[arg(long)]
    quiet: bool,
}

fn anchor(text: &str) -> Result<TrustAnchor, &'static str> {
    read_anchor(text).ok_or("it is no public key, as `tinsmith key export-public` prints it")
}

/// The server that it knows first.
#[derive(clap::Args)]
#[group(required = true, multiple = false)]
struct First {
    /// The bootstrap server: coap://ADDRESS:PORT.
    #[arg(long, value_name = "URI")]
    bootstrap: Option<String>,
    /// A server to register at without a bootstrap: coap://ADDRESS:PORT.
    #[arg(long, value_name = "URI")]
    server: Option<String>,
}

impl First {
    fn factory(self) -> Factory {
        match self.server {
            Some(server) => Factory::Server(server),
            None => Factory::Bootstrap(self.bootstrap.unwrap_or_default()),
        }
    }
}

impl HostDevice {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let config = Config {
            endpoint: self.endpoint,
            factory: self.first.factory(),
            target: self.target,
            flash: self.flash,
            trust_anchors: self.trust_anchor,
            log: !self.quiet,
        };
        Ok(run(&config)?)
    }
}
