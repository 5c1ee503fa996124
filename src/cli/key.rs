//! `tinsmith key`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use tinsmith_board_host::read_anchor;
use tinsmith_keys::{Algorithm, Entry, Keyring, Master, Origin};
use tinsmith_store::private;

use crate::date::date;
use crate::out;
use crate::table::table;

/// The keys that packages are signed with.
///
/// They lie in the store's folder, sealed. A running server takes up what changes here.
#[derive(Subcommand)]
pub(super) enum Key {
    /// Make a key, or name a command that signs with one. It signs from now on; devices are told to
    /// trust it beside those that are there, at their next bootstrap.
    New {
        /// For devices that verify this one.
        #[arg(long, value_enum, default_value_t = Kind::Ed25519)]
        algorithm: Kind,
        /// A command that signs: it gets what is to be signed on standard input, and has 10 s to
        /// write the 64 bytes of the signature to standard output.
        #[arg(long, value_name = "COMMAND", requires = "public")]
        command: Option<String>,
        /// The public key that it signs for, a COSE_Key in hexadecimal digits.
        #[arg(long, value_name = "HEX", requires = "command")]
        public: Option<String>,
        #[command(flatten)]
        place: Place,
    },
    /// List the keys, the newest first.
    List {
        #[command(flatten)]
        place: Place,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Make a key that takes the place of the newest of its algorithm. Devices that trust only the
    /// old one go on to get what the old one signs, until they have bootstrapped again.
    Rotate {
        /// Of this algorithm.
        #[arg(long, value_enum, default_value_t = Kind::Ed25519)]
        algorithm: Kind,
        #[command(flatten)]
        place: Place,
    },
    /// Remove a key that no longer signs. At their next bootstrap, devices stop to run what only it
    /// has signed.
    Remove {
        /// Its id.
        id: String,
        #[command(flatten)]
        place: Place,
    },
    /// Print a public key, a COSE_Key in hexadecimal digits: what a device trusts.
    ExportPublic {
        /// Its id; without one, the newest.
        id: Option<String>,
        #[command(flatten)]
        place: Place,
    },
}

/// Where the keys are.
#[derive(Args)]
pub(super) struct Place {
    /// Folder of the store.
    #[arg(
        long,
        env = "TINSMITH_STORE",
        default_value = "tinsmith-data",
        value_name = "DIR"
    )]
    store: PathBuf,
    #[command(flatten)]
    sealing: Sealing,
}

/// What seals the keys.
#[derive(Args, Clone, Default)]
pub(super) struct Sealing {
    /// The file with the key that seals the others, 64 hexadecimal digits; made if it is not there.
    /// Keep it away from backups of the store. [default: sealing.key in the store's folder]
    #[arg(long, env = "TINSMITH_SEALING_KEY", value_name = "FILE")]
    pub(super) sealing_key: Option<PathBuf>,
}

/// The variable that has the sealing key itself.
const SECRET: &str = "TINSMITH_SEALING_SECRET";

/// An algorithm of signatures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Kind {
    /// Ed25519 (EdDSA).
    Ed25519,
    /// ECDSA on P-256 (ES256).
    Es256,
}

impl From<Kind> for Algorithm {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Ed25519 => Self::EdDsa,
            Kind::Es256 => Self::Es256,
        }
    }
}

/// What seals keys in a store's folder.
pub(super) fn master(store: &Path, sealing: &Sealing) -> Result<Master> {
    let master = match std::env::var(SECRET) {
        Ok(secret) => Master::parse(&secret, SECRET),
        Err(_) => {
            let standard = store.join("sealing.key");
            Master::open(sealing.sealing_key.as_ref().unwrap_or(&standard))
        }
    };
    Ok(master?)
}

/// The keys of a store; the first one is made if there is none.
pub(super) fn open(store: &Path, sealing: &Sealing) -> Result<Keyring> {
    private::folder(store)
        .with_context(|| format!("cannot make the folder {}", store.display()))?;
    let master = master(store, sealing)?;
    let ring = Keyring::open(&store.join("keys"), master)?;
    if ring.list()?.is_empty() {
        ring.make(Algorithm::EdDsa)?;
    }
    Ok(ring)
}

impl Place {
    fn open(&self) -> Result<Keyring> {
        open(&self.store, &self.sealing)
    }
}

impl Key {
    pub(super) fn run(self) -> Result<()> {
        match self {
            Self::New {
                algorithm,
                command,
                public,
                place,
            } => {
                let ring = place.open()?;
                let made = match (command, public) {
                    (Some(command), Some(public)) => {
                        let anchor = read_anchor(&public)
                            .context("--public: not a COSE_Key of Ed25519 or P-256")?;
                        ring.take_command(&command, &anchor)?
                    }
                    _ => ring.make(algorithm.into())?,
                };
                out::print(&format!("{}\n", made.id))
            }
            Self::Rotate { algorithm, place } => {
                let ring = place.open()?;
                let algorithm = Algorithm::from(algorithm);
                let anchors = ring.anchors()?;
                if anchors.iter().all(|a| a.algorithm() != algorithm) {
                    bail!("there is no key of that algorithm yet: tinsmith key new");
                }
                let made = ring.make(algorithm)?;
                out::print(&format!("{}\n", made.id))
            }
            Self::Remove { id, place } => Ok(place.open()?.remove(&id)?),
            Self::List { place, json } => {
                let keys = place.open()?.list()?;
                if json {
                    let keys: Vec<Value> = keys.iter().map(document).collect();
                    return out::json(&json!({ "keys": keys }));
                }
                let rows: Vec<Vec<String>> = keys.iter().map(row).collect();
                out::print(&table(&["ID", "ALGORITHM", "MADE", "WHERE"], &rows))
            }
            Self::ExportPublic { id, place } => {
                let keys = place.open()?.list()?;
                let wanted = |key: &&Entry| id.as_ref().is_none_or(|id| key.id == *id);
                let key = keys.iter().find(wanted).context("there is no such key")?;
                out::print(&format!("{}\n", key.public))
            }
        }
    }
}

fn algorithm(key: &Entry) -> &'static str {
    match key.anchor().map(|anchor| anchor.algorithm()) {
        Some(Algorithm::EdDsa) => "ed25519",
        Some(Algorithm::Es256) => "es256",
        None => "-",
    }
}

fn row(key: &Entry) -> Vec<String> {
    let place = match &key.origin {
        Origin::Sealed(_) => "sealed in the store".to_owned(),
        Origin::Command(command) => format!("command: {command}"),
    };
    let made = date(key.created.saturating_mul(1000));
    vec![key.id.clone(), algorithm(key).to_owned(), made, place]
}

fn document(key: &Entry) -> Value {
    let command = match &key.origin {
        Origin::Sealed(_) => None,
        Origin::Command(command) => Some(command),
    };
    json!({
        "id": key.id,
        "algorithm": algorithm(key),
        "public": key.public,
        "made": key.created.saturating_mul(1000),
        "command": command,
    })
}
