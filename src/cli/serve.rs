//! `tinsmith serve`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};

use tinsmith_http::{self as http, App};
use tinsmith_lwm2m::{BootstrapConfig, Rule};
use tinsmith_server::{self as server, Config, ServerHandle};
use tinsmith_store::{Files, Health, SledStore, Store};
use tinsmith_update::StartJob;

use crate::Compiler;
use crate::store::problem;
use tinsmith_build::{self as build, Builder, Zoo};
use tinsmith_build_job::child;

/// How often it is seen whether the store still works.
const HEALTH_EVERY: Duration = Duration::from_millis(500);

/// How long what is under way may take after a signal.
const LAST_SECOND: Duration = Duration::from_secs(1);

/// Run the server.
///
/// Devices bootstrap at the bootstrap listener or register at the management listener; operators
/// and consoles use HTTP. Everything that was promised is in the store: the server can be killed
/// at any moment and goes on where it was.
#[derive(clap::Args)]
pub(super) struct Serve {
    /// Management listener: CoAP over UDP; devices register here.
    #[arg(long, default_value = "0.0.0.0:5683", value_name = "ADDR")]
    coap: SocketAddr,
    /// Bootstrap listener: CoAP over UDP; devices that know nothing begin here.
    #[arg(long, default_value = "0.0.0.0:5783", value_name = "ADDR")]
    bootstrap: SocketAddr,
    /// HTTP listener. There is no login yet: keep it on loopback.
    #[arg(long, default_value = "127.0.0.1:8080", value_name = "ADDR")]
    http: SocketAddr,
    /// Folder of the store.
    #[arg(long, default_value = "tinsmith-data", value_name = "DIR")]
    store: PathBuf,
    /// Start also if the store has lost something that was durable, with what is there.
    #[arg(long)]
    accept_loss: bool,
    /// How long a build may take up to the verified module.
    #[arg(long, default_value_t = child::LIMIT.as_secs(), value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    compile_limit: u64,
    /// Threads that own devices, 1 to 16.
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=16))]
    shards: usize,
    /// Server URI that devices whose names fit PATTERN (with * and ?) get at bootstrap; the first
    /// that fits counts. Without one: this server's management listener, as seen from here.
    #[arg(long, value_name = "PATTERN=URI")]
    bootstrap_uri: Vec<String>,
    /// Registration lifetime that devices get at bootstrap.
    #[arg(long, default_value_t = 300, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..))]
    lifetime: u32,
    /// Print the addresses as one line of JSON.
    #[arg(long)]
    json: bool,
}

/// What is chosen about a start, beside the server's configuration.
pub(super) struct Choices {
    /// Whether a store that has lost something is opened.
    pub(super) accept_loss: bool,
    /// How long a build may take.
    pub(super) limit: Duration,
}

impl Default for Choices {
    fn default() -> Self {
        Self {
            accept_loss: false,
            limit: child::LIMIT,
        }
    }
}

/// A server with everything around it.
pub(super) struct Running {
    pub(super) server: ServerHandle,
    pub(super) zoo: Arc<Zoo>,
    pub(super) http: SocketAddr,
}

impl Serve {
    pub(super) fn run(self, compiler: Option<Compiler>) -> Result<()> {
        let json = self.json;
        let choices = Choices {
            accept_loss: self.accept_loss,
            limit: Duration::from_secs(self.compile_limit),
        };
        let store = self.store.clone();
        let config = self.config()?;
        let runtime = runtime()?;
        let ended = runtime.block_on(async {
            let running = start(config, compiler, choices).await?;
            announce(&running, &store, json);
            let ended = tokio::select! {
                signal = server::terminated() => signal.context("cannot wait for signals"),
                reason = failed(running.server.store()) => Err(anyhow!(
                    "the store in {} failed: {reason}", store.display()
                )),
            };
            // What was promised is durable already.
            let _ = tokio::time::timeout(LAST_SECOND, running.server.shutdown()).await;
            ended
        });
        runtime.shutdown_timeout(LAST_SECOND / 2);
        // Threads that compile for nobody end with the process, and children with them.
        ended
    }

    fn config(self) -> Result<Config> {
        let rule = |pattern: &str, uri: &str| Rule {
            pattern: pattern.to_owned(),
            server_uri: uri.to_owned(),
            lifetime: self.lifetime,
            ..Rule::default()
        };
        let mut rules = Vec::new();
        for text in &self.bootstrap_uri {
            match text.split_once('=') {
                Some((pattern, uri)) if uri.starts_with("coap://") => {
                    rules.push(rule(pattern, uri));
                }
                _ => bail!("--bootstrap-uri '{text}': expected PATTERN=coap://HOST:PORT"),
            }
        }
        rules.push(rule("*", ""));
        Ok(Config {
            coap: self.coap,
            bootstrap_listener: Some(self.bootstrap),
            http: self.http,
            store: self.store,
            shards: self.shards,
            bootstrap: BootstrapConfig { rules },
            ..Config::default()
        })
    }
}

/// Waits until the store can't be used in this process any more. Who supervises it starts another.
async fn failed(store: &Arc<dyn Store>) -> String {
    loop {
        if let Health::Failed(reason) = store.health() {
            return reason;
        }
        tokio::time::sleep(HEALTH_EVERY).await;
    }
}

/// Starts a server with store, zoo, builder and HTTP.
pub(super) async fn start(
    config: Config,
    compiler: Option<Compiler>,
    choices: Choices,
) -> Result<Running> {
    let folder = config.store.clone();
    let open = || format!("cannot open the store in {}", folder.display());
    let opened = if choices.accept_loss {
        SledStore::open_with_loss(&folder)
    } else {
        SledStore::open(&folder)
    };
    let store: Arc<dyn Store> = Arc::new(opened.map_err(|error| problem(&folder, &error))?);
    let files = Files::open(&folder.join("files")).with_context(open)?;
    let zoo = Arc::new(Zoo::open(store.clone(), files.clone()).await?);
    let exe = std::env::current_exe().context("cannot find this program's own file")?;
    let compiler = compiler.map(|compiler| build::Compiler {
        exe,
        version: compiler.version.to_owned(),
        limit: choices.limit,
    });
    let builder = Builder::new(compiler, zoo.clone(), store.clone(), files.clone())
        .context("cannot start the build service")?;
    let jobs = builder.clone();
    let start_job: StartJob = Arc::new(move |request, done| jobs.start(request, done));
    let http = config.http;
    let server = server::start(config, store, start_job)
        .await
        .map_err(|error| match &error {
            server::StartError::Bind { .. } => {
                anyhow!("{error}; choose another address with --coap or --bootstrap")
            }
            _ => error.into(),
        })?;
    let app = App {
        server: server.clone(),
        zoo: zoo.clone(),
        builder,
        files,
    };
    let http = http::serve(http, app)
        .await
        .map_err(|error| anyhow!("cannot listen on {http}: {error}; choose another with --http"))?;
    Ok(Running { server, zoo, http })
}

pub(super) fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")
}

fn announce(running: &Running, store: &std::path::Path, json: bool) {
    let addresses = running.server.addresses();
    if json {
        let line = serde_json::json!({
            "coap": addresses.coap.to_string(),
            "bootstrap": addresses.bootstrap.map(|a| a.to_string()),
            "http": running.http.to_string(),
            "store": store,
        });
        println!("{line}");
        return;
    }
    println!("tinsmith {}", env!("CARGO_PKG_VERSION"));
    println!("  devices register at   {}", reached(addresses.coap));
    if let Some(bootstrap) = addresses.bootstrap {
        println!("  devices bootstrap at  {}", reached(bootstrap));
    }
    println!("  operators use         http://{}", running.http);
    println!("  everything is kept in {}", store.display());
    println!();
    println!("Next:");
    println!("  tinsmith model list                    what can be installed");
    println!("  tinsmith device list                   who is there");
    println!("  tinsmith update DEVICE --model motion  build, send, try and commit");
    if running.http.port() != 8080 {
        println!("(with --server http://{} behind each)", running.http);
    }
}

/// A CoAP listener as a device would write it.
fn reached(address: SocketAddr) -> String {
    if address.ip().is_unspecified() {
        let port = address.port();
        return format!("coap://ADDRESS:{port} (every address of this machine)");
    }
    format!("coap://{address}")
}
