//! `tinsmith host-device`.

use std::path::PathBuf;

use anyhow::Context;
use lwm2m_objects::hex;
use tinsmith_board_host::{Config, Factory, KeyPair, Known, Oscore, Psk, TrustAnchor, run};

use super::key::anchor;

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
    /// The OSCORE master secret that its first server has too, in hexadecimal digits; better in the
    /// environment.
    #[arg(
        long,
        value_name = "HEX",
        env = "TINSMITH_OSCORE_SECRET",
        hide_env_values = true
    )]
    oscore_secret: Option<String>,
    /// The OSCORE master salt.
    #[arg(
        long,
        value_name = "HEX",
        default_value = "",
        requires = "oscore_secret"
    )]
    oscore_salt: String,
    /// The OSCORE id of the device, its Sender ID.
    #[arg(
        long,
        value_name = "HEX",
        default_value = "",
        requires = "oscore_secret"
    )]
    sender_id: String,
    /// The OSCORE id of the server, the device's Recipient ID.
    #[arg(
        long,
        value_name = "HEX",
        default_value = "",
        requires = "oscore_secret"
    )]
    recipient_id: String,
    /// The OSCORE ID Context.
    #[arg(long, value_name = "HEX", requires = "oscore_secret")]
    id_context: Option<String>,
    #[command(flatten)]
    pair: Pair,
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

/// A key pair for a server with DTLS instead of that. Files are PEM, DER or
/// hexadecimal digits, keys of P-256.
#[derive(clap::Args)]
struct Pair {
    /// The device's private key.
    #[arg(long, value_name = "FILE", conflicts_with = "identity")]
    private_key: Option<PathBuf>,
    /// The server's public key, as `tinsmith credential server` prints it: raw public keys.
    #[arg(
        long,
        value_name = "FILE",
        requires = "private_key",
        conflicts_with = "certificate"
    )]
    server_key: Option<PathBuf>,
    /// The device's certificate, for a server with one.
    #[arg(long, value_name = "FILE", requires = "private_key")]
    certificate: Option<PathBuf>,
    /// The certificate of the server: it and no other.
    #[arg(
        long,
        value_name = "FILE",
        requires = "certificate",
        conflicts_with = "authority"
    )]
    server_certificate: Option<PathBuf>,
    /// The certificate of an authority above the server's.
    #[arg(long, value_name = "FILE", requires = "certificate")]
    authority: Option<PathBuf>,
    /// The name in the server's certificate, if it has not the address; with --authority.
    #[arg(
        long,
        value_name = "NAME",
        requires = "certificate",
        default_value = ""
    )]
    server_name: String,
}

impl Pair {
    fn read(self) -> anyhow::Result<Option<KeyPair>> {
        let Some(private) = self.private_key else {
            return Ok(None);
        };
        let server = match (&self.server_certificate, &self.authority) {
            (Some(file), _) => Some(Known::Certificate(file)),
            (None, Some(file)) => Some(Known::Authority(file)),
            (None, None) => None,
        };
        Ok(Some(match (&self.server_key, &self.certificate, server) {
            (Some(server), None, _) => KeyPair::raw(&private, server)?,
            (None, Some(own), Some(server)) => {
                KeyPair::certificates(&private, own, server, self.server_name)?
            }
            _ => anyhow::bail!(
                "--private-key is for --server-key, or for --certificate with \
                 --server-certificate or --authority"
            ),
        }))
    }
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
                let key = digits("key", &key)?;
                Some(Psk { identity, key })
            }
            _ => None,
        };
        let oscore = match &self.oscore_secret {
            Some(secret) => Some(Oscore {
                secret: digits("oscore-secret", secret)?,
                salt: digits("oscore-salt", &self.oscore_salt)?,
                sender_id: digits("sender-id", &self.sender_id)?,
                recipient_id: digits("recipient-id", &self.recipient_id)?,
                id_context: match &self.id_context {
                    Some(context) => Some(digits("id-context", context)?),
                    None => None,
                },
            }),
            None => None,
        };
        let config = Config {
            endpoint: self.endpoint,
            factory: self.first.factory(),
            psk,
            oscore,
            key_pair: self.pair.read()?,
            target: self.target,
            flash: self.flash,
            trust_anchors: self.trust_anchor,
            log: !self.quiet,
        };
        Ok(run(&config)?)
    }
}

/// The bytes that an option gives.
fn digits(option: &str, text: &str) -> anyhow::Result<Vec<u8>> {
    hex::decode(text).with_context(|| format!("--{option} has no hexadecimal digits"))
}
