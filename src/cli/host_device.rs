//! `tinsmith host-device`.

use std::path::PathBuf;

use anyhow::Context;
use tinsmith_board_host::{Config, Factory, Psk, TrustAnchor, read_anchor, run};

/// Be a device: the client of a microcontroller as a process, its flash in a file.
#[derive(clap::Args)]
pub(super) struct HostDevice {
    /// Endpoint name.
    #[arg(long)]
    endpoint: String,
    #[command(flatten)]
    first: First,
    /// What a server with DTLS knows the device's key by.
    #[arg(long, value_name = "NAME", requires = "key")]
    identity: Option<String>,
    /// The key that such a server has, in hexadecimal digits; better in the environment, where
    /// others don't see it.
    #[arg(long, value_name = "HEX", env = "TINSMITH_KEY", hide_env_values = true)]
    key: Option<String>,
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
    /// The bootstrap server: coap://ADDRESS:PORT, or coaps:// with DTLS.
    #[arg(long, value_name = "URI")]
    bootstrap: Option<String>,
    /// A server to register at without a bootstrap: coap://ADDRESS:PORT, or coaps:// with DTLS.
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
        let psk = match (self.identity, self.key) {
            (Some(identity), Some(key)) => {
                let key = hex(&key).context("--key has no hexadecimal digits")?;
                Some(Psk { identity, key })
            }
            _ => None,
        };
        let config = Config {
            endpoint: self.endpoint,
            factory: self.first.factory(),
            psk,
            target: self.target,
            flash: self.flash,
            trust_anchors: self.trust_anchor,
            log: !self.quiet,
        };
        Ok(run(&config)?)
    }
}

fn hex(digits: &str) -> Option<Vec<u8>> {
    let pairs = digits.as_bytes().chunks(2);
    let byte = |pair: &[u8]| {
        let [high, low] = pair else { return None };
        let digit = |c: &u8| char::from(*c).to_digit(16);
        Some((digit(high)? << 4 | digit(low)?) as u8)
    };
    pairs.map(byte).collect()
}
