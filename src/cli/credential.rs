//! `tinsmith credential`.

mod export;
mod import;
mod line;

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::{Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::api::{Server, segment};
use super::date::date;
use super::device::text;
use super::out::{self, plain};
use super::table::table;

/// Entries asked for at a time.
const PAGE: usize = 1000;

/// Make, list or remove what devices come in by: keys, raw public keys and names of certificates for
/// DTLS, contexts for OSCORE.
#[derive(Subcommand)]
pub(super) enum Credential {
    /// Make a key for a device, or for those whose names fit a pattern, and print it, once.
    ///
    /// From then on nobody else comes in under these names. With a key for bootstrap a device gets
    /// one of its own for management.
    New {
        /// Endpoint name, or a pattern with * and ?.
        endpoints: String,
        /// What it opens.
        #[arg(long = "for", value_name = "PURPOSE", default_value = "bootstrap")]
        purpose: Purpose,
        /// What the device gives as its PSK identity. [default: as ENDPOINTS]
        #[arg(long, value_name = "NAME")]
        identity: Option<String>,
        /// The key of a device that has one, 32 to 128 hexadecimal digits; better in the
        /// environment, where others don't see it. Without it one is made.
        #[arg(long, value_name = "HEX", env = "TINSMITH_KEY", hide_env_values = true)]
        key: Option<String>,
        /// Instead of a key that both have: the device's public key, PEM or hexadecimal digits of
        /// its SubjectPublicKeyInfo or of the SHA-256 digest of that; or @FILE with it.
        #[arg(long, value_name = "KEY", conflicts_with_all = ["key", "identity", "certificate"])]
        raw_key: Option<String>,
        /// Instead of a key: the name in the device's certificate, or a pattern for it; common
        /// name, DNS name or URI. Without a NAME each device has its endpoint name in it. The
        /// certificate is from an authority of `serve --coaps-ca`.
        #[arg(
            long,
            value_name = "NAME",
            num_args = 0..=1,
            default_missing_value = "",
            conflicts_with_all = ["key", "identity"]
        )]
        certificate: Option<String>,
        /// Only if this authority vouches for the certificate: the subject or common name of one of
        /// `serve --coaps-ca`, hexadecimal digits of the SHA-256 digest of its SubjectPublicKeyInfo,
        /// or @FILE with its certificate.
        #[arg(long, value_name = "WHO", requires = "certificate")]
        authority: Option<String>,
        #[command(flatten)]
        oscore: Box<Oscore>,
        #[command(flatten)]
        server: Server,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// List them; the keys themselves are never told.
    List {
        #[command(flatten)]
        server: Server,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Make keys known that devices have already, from a file; what is there already stays as it is.
    ///
    /// A line each: CSV with endpoint, identity, key and use (bootstrap or management), in this order
    /// or as a first line with these names says, or JSON objects with these members. Without an
    /// identity it is the endpoint's name, without a use bootstrap. Keys are 16 to 64 bytes in
    /// hexadecimal digits or base64. Each line that can't be taken is named with its number, and the
    /// others are.
    Import {
        /// The file; - for standard input.
        file: PathBuf,
        /// Only say what would be done.
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        server: Server,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Write who comes in, and by what, a line each: CSV with endpoint, identity, kind, use, origin and
    /// made (ms since 1970). The keys themselves are never told.
    Export {
        #[command(flatten)]
        server: Server,
        /// Print JSON objects, a line each.
        #[arg(long)]
        json: bool,
    },
    /// Print the server's own public key, which devices with raw public keys have to know:
    /// hexadecimal digits of its SubjectPublicKeyInfo.
    Server {
        #[command(flatten)]
        server: Server,
    },
    /// Remove what an identity comes in by: who came in with it is out at once.
    Remove {
        /// Its identity.
        identity: String,
        #[command(flatten)]
        server: Server,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

/// What makes a context for OSCORE.
#[derive(clap::Args)]
pub(super) struct Oscore {
    /// Instead of a key for DTLS: what a device with OSCORE has, for one endpoint name. The key is the
    /// master secret; what is not given is made. Keys that were used at another server must not
    /// be given: two messages with the same number give both away.
    #[arg(long, conflicts_with_all = ["identity", "raw_key", "certificate"])]
    oscore: bool,
    /// The device's Sender ID, 2 to 14 hexadecimal digits; no two devices have the same.
    #[arg(long, value_name = "HEX", requires = "oscore")]
    sender_id: Option<String>,
    /// The device's Recipient ID, which is the server's Sender ID. [default: 01, for bootstrap 00]
    #[arg(long, value_name = "HEX", requires = "oscore")]
    recipient_id: Option<String>,
    /// ID Context. [default: none]
    #[arg(long, value_name = "HEX", requires = "oscore")]
    id_context: Option<String>,
    /// Master Salt. [default: with a key that is given none]
    #[arg(long, value_name = "HEX", requires = "oscore")]
    master_salt: Option<String>,
}

impl Oscore {
    fn body(&self) -> Option<Value> {
        let given = [
            ("sender_id", &self.sender_id),
            ("recipient_id", &self.recipient_id),
            ("id_context", &self.id_context),
            ("master_salt", &self.master_salt),
        ];
        let given = given.into_iter().filter_map(|(name, value)| {
            let value = value.clone()?;
            Some((name.to_owned(), Value::String(value)))
        });
        self.oscore.then(|| Value::Object(given.collect()))
    }
}

/// What a key opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Purpose {
    /// The bootstrap server, which gives the device another key.
    Bootstrap,
    /// Management.
    Management,
}

impl Purpose {
    fn name(self) -> &'static str {
        match self {
            Self::Bootstrap => "bootstrap",
            Self::Management => "management",
        }
    }
}

impl Credential {
    pub(super) fn run(self) -> Result<()> {
        match self {
            Self::New {
                endpoints,
                purpose,
                identity,
                key,
                raw_key,
                certificate,
                authority,
                oscore,
                server,
                json,
            } => {
                let raw_key = raw_key.map(|text| named(&text)).transpose()?;
                let authority = authority.map(|text| named(&text)).transpose()?;
                let mut body = json!({
                    "endpoints": endpoints,
                    "identity": identity,
                    "purpose": purpose.name(),
                    "key": key,
                    "raw_key": raw_key,
                    "certificate": certificate,
                    "authority": authority,
                });
                if let Some(oscore) = oscore.body() {
                    body["oscore"] = oscore;
                }
                let answer = server.post("/api/v1/credentials", &body)?;
                if json {
                    return out::json(&answer);
                }
                out::print(&made(&answer))
            }
            Self::List { server, json } => {
                let all = all(&server)?;
                if json {
                    return out::json(&json!({ "credentials": all }));
                }
                out::print(&list(&all))
            }
            Self::Import {
                file,
                dry_run,
                server,
                json,
            } => import::run(&file, dry_run, &server, json),
            Self::Export { server, json } => export::run(&server, json),
            Self::Server { server } => {
                let told = server.get("/api/v1/server")?;
                match told["public_key"].as_str() {
                    Some(key) => out::print(&format!("{}\n", plain(key))),
                    None => bail!("this server has no DTLS"),
                }
            }
            Self::Remove {
                identity,
                server,
                json,
            } => {
                let path = format!("/api/v1/credentials/{}", segment(&identity));
                let answer = server.delete(&path)?;
                if json {
                    return out::json(&answer);
                }
                out::print(&format!("removed {}\n", plain(&identity)))
            }
        }
    }
}

/// What is told of a new one.
fn made(answer: &Value) -> String {
    let mut lines = format!("identity {}\n", plain(&text(&answer["identity"])));
    if let Some(key) = answer["key"].as_str() {
        lines.push_str(&format!("key      {}\n", plain(key)));
    }
    for (name, title) in [
        ("sender_id", "sender ID, of the device"),
        ("recipient_id", "recipient ID"),
        ("id_context", "ID context"),
        ("master_salt", "master salt"),
    ] {
        if let Some(value) = answer["oscore"][name].as_str() {
            lines.push_str(&format!("{title}: {}\n", plain(value)));
        }
    }
    lines
}

/// What it says, or what is in the file that it names.
fn named(text: &str) -> Result<String> {
    match text.strip_prefix('@') {
        Some(file) => std::fs::read_to_string(file).with_context(|| format!("cannot read {file}")),
        None => Ok(text.to_owned()),
    }
}

fn all(server: &Server) -> Result<Vec<Value>> {
    let mut all = Vec::new();
    each_page(server, |mut entries| {
        all.append(&mut entries);
        Ok(())
    })?;
    Ok(all)
}

fn each_page(server: &Server, mut take: impl FnMut(Vec<Value>) -> Result<()>) -> Result<()> {
    let mut path = format!("/api/v1/credentials?limit={PAGE}");
    loop {
        let mut page = server.get(&path)?;
        if let Some(entries) = page["credentials"].as_array_mut() {
            take(std::mem::take(entries))?;
        }
        match page["next"].as_str() {
            Some(next) => {
                path = format!("/api/v1/credentials?limit={PAGE}&after={}", segment(next));
            }
            None => return Ok(()),
        }
    }
}

fn list(entries: &[Value]) -> String {
    let row = |entry: &Value| {
        vec![
            text(&entry["identity"]),
            text(&entry["kind"]),
            text(&entry["endpoints"]),
            text(&entry["purpose"]),
            text(&entry["origin"]),
            entry["made"].as_u64().map_or_else(|| "-".to_owned(), date),
        ]
    };
    let rows: Vec<Vec<String>> = entries.iter().map(row).collect();
    table(
        &["IDENTITY", "KIND", "ENDPOINTS", "FOR", "ORIGIN", "MADE"],
        &rows,
    )
}
