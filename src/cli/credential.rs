//! `tinsmith credential`.

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

/// Make, list or remove what devices come in by over DTLS: keys, raw public keys, names of
/// certificates.
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
                server,
                json,
            } => {
                let raw_key = raw_key.map(|text| named(&text)).transpose()?;
                let body = json!({
                    "endpoints": endpoints,
                    "identity": identity,
                    "purpose": purpose.name(),
                    "key": key,
                    "raw_key": raw_key,
                    "certificate": certificate,
                });
                let answer = server.post("/api/v1/credentials", &body)?;
                if json {
                    return out::json(&answer);
                }
                out::print(&format!(
                    "identity {}\n{}",
                    plain(&text(&answer["identity"])),
                    match answer["key"].as_str() {
                        Some(key) => format!("key      {}\n", plain(key)),
                        None => String::new(),
                    }
                ))
            }
            Self::List { server, json } => {
                let all = all(&server)?;
                if json {
                    return out::json(&json!({ "credentials": all }));
                }
                out::print(&list(&all))
            }
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

/// What it says, or what is in the file that it names.
fn named(text: &str) -> Result<String> {
    match text.strip_prefix('@') {
        Some(file) => std::fs::read_to_string(file).with_context(|| format!("cannot read {file}")),
        None => Ok(text.to_owned()),
    }
}

fn all(server: &Server) -> Result<Vec<Value>> {
    let mut all = Vec::new();
    let mut path = format!("/api/v1/credentials?limit={PAGE}");
    loop {
        let mut page = server.get(&path)?;
        if let Some(entries) = page["credentials"].as_array_mut() {
            all.append(entries);
        }
        match page["next"].as_str() {
            Some(next) => {
                path = format!("/api/v1/credentials?limit={PAGE}&after={}", segment(next));
            }
            None => return Ok(all),
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
