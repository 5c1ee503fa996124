//! `tinsmith token`.

use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use anyhow::{Context, Result};
use clap::Subcommand;
use serde_json::{Value, json};
use tinsmith_access::{Audit, Named, Role, Secret, Tokens, audit};
use tinsmith_http::admin;
use tinsmith_store::{SledStore, Store};

use super::api::{Server, segment};
use super::date::date;
use super::device::text;
use super::out::{self, plain};
use super::store::problem;
use super::table::table;

const DAY: u64 = 86_400_000;

/// Make, list or remove tokens: who may use a server over HTTP, and for what.
#[derive(Subcommand)]
pub(super) enum Token {
    /// Make a token and print it, once: the server keeps only its digest.
    New {
        /// What it is called in lists and in the audit log.
        name: String,
        /// viewer looks, operator decides what devices run, admin makes tokens.
        #[arg(long)]
        role: Role,
        /// Days until it is worth nothing; without it, it lasts until it is removed.
        #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=36_500))]
        expires: Option<u32>,
        /// In the store of --store itself, of a server that does not run: when every admin token is
        /// lost.
        #[arg(long, requires = "store")]
        offline: bool,
        #[command(flatten)]
        server: Server,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// List the tokens.
    List {
        #[command(flatten)]
        server: Server,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Remove a token; from then on it opens nothing, and browsers that it let in are out.
    Remove {
        /// Its name.
        name: String,
        #[command(flatten)]
        server: Server,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

impl Token {
    pub(super) fn run(self) -> Result<()> {
        match self {
            Self::New {
                name,
                role,
                expires,
                offline,
                server,
                json,
            } => {
                let answer = match server.store.as_deref().filter(|_| offline) {
                    Some(folder) => make(folder, &name, role, expires)?,
                    None => {
                        let body = json!({ "name": name, "role": role, "expires_days": expires });
                        server.post("/api/v1/tokens", &body)?
                    }
                };
                if json {
                    return out::json(&answer);
                }
                out::print(&format!("{}\n", plain(&text(&answer["token"]))))
            }
            Self::List { server, json } => {
                let answer = server.get("/api/v1/tokens")?;
                if json {
                    return out::json(&answer);
                }
                out::print(&list(
                    answer["tokens"].as_array().map_or(&[], Vec::as_slice),
                ))
            }
            Self::Remove { name, server, json } => {
                let answer = server.delete(&format!("/api/v1/tokens/{}", segment(&name)))?;
                if json {
                    return out::json(&answer);
                }
                out::print(&format!("removed {}\n", plain(&name)))
            }
        }
    }
}

/// Makes a token in the store of a server that does not run.
fn make(folder: &Path, name: &str, role: Role, expires: Option<u32>) -> Result<Value> {
    if !folder.join("records").is_dir() {
        anyhow::bail!("there is no store in {}", folder.display());
    }
    let store = SledStore::open(folder).map_err(|error| problem(folder, &error))?;
    let store: Arc<dyn Store> = Arc::new(store);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let now = now.context("the clock is before 1970")?.as_millis() as u64;
    let secret = Secret::new(&tinsmith_server::random()?);
    let expires = expires.map(|days| now + u64::from(days) * DAY);
    let named = Named {
        name: name.to_owned(),
        role,
        expires,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    runtime.block_on(async {
        let tokens = Tokens::open(store.clone()).await?;
        let log = Audit::open(store.clone(), audit::MAX_KEPT).await?;
        admin::make(&tokens, &log, now, &secret, named).await
    })?;
    let token = secret.reveal();
    Ok(json!({ "name": name, "role": role, "made": now, "expires": expires, "token": token }))
}

fn list(tokens: &[Value]) -> String {
    let time = |value: &Value| value.as_u64().map_or_else(|| "-".to_owned(), date);
    let row = |token: &Value| {
        let expires = match token["expired"].as_bool() {
            Some(true) => "expired".to_owned(),
            _ => time(&token["expires"]),
        };
        vec![
            text(&token["name"]),
            text(&token["role"]),
            time(&token["made"]),
            time(&token["used"]),
            expires,
        ]
    };
    let rows: Vec<Vec<String>> = tokens.iter().map(row).collect();
    table(&["NAME", "ROLE", "MADE", "USED", "EXPIRES"], &rows)
}
