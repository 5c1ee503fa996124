//! `tinsmith serve`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail};

use tinsmith_http::{self as http, App};
use tinsmith_lwm2m::{BootstrapConfig, Limits, Rule};
use tinsmith_server::{self as server, Config, ServerHandle};
use tinsmith_store::{Files, SledStore, Store};
use tinsmith_update::StartJob;

use crate::Compiler;
use tinsmith_build::{self as build, Builder, Zoo};

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
    /// Registrations that a shard keeps of senders that have not answered yet; who was not heard for
    /// the longest time makes room.
    #[arg(long, default_value_t = Limits::default().strangers, value_name = "N")]
    max_unproven: usize,
    /// The same of one IPv4 address or IPv6 /64.
    #[arg(long, default_value_t = Limits::default().strangers_per_source, value_name = "N")]
    max_unproven_per_source: usize,
    /// Senders on this machine need not prove their address: for simulators and benchmarks.
    #[arg(long)]
    trust_loopback: bool,
    /// Print the addresses as one line of JSON.
    #[arg(long)]
    json: bool,
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
        let store = self.store.clone();
        let config = self.config()?;
        runtime()?.block_on(async {
            let running = start(config, compiler).await?;
            announce(&running, &store, json);
            server::terminated()
                .await
                .context("cannot wait for signals")?;
            running.server.shutdown().await;
            Ok(())
        })
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
            limits: Limits {
                strangers: self.max_unproven,
                strangers_per_source: self.max_unproven_per_source,
                exempt_loopback: self.trust_loopback,
                ..Limits::default()
            },
            ..Config::default()
        })
    }
}

/// Starts a server with store, zoo, builder and HTTP.
pub(super) async fn start(config: Config, compiler: Option<Compiler>) -> Result<Running> {
    let folder = config.store.clone();
    let open = || format!("cannot open the store in {}", folder.display());
    let store: Arc<dyn Store> = match SledStore::open(&folder.join("records")) {
        Err(error) if error.to_string().contains("acquire lock") => bail!(
            "the store in {} belongs to a tinsmith that is running; stop that one, or name another \
             folder with --store",
            folder.display()
        ),
        opened => Arc::new(opened.with_context(open)?),
    };
    let files = Files::open(&folder.join("files")).with_context(open)?;
    let zoo = Arc::new(Zoo::open(store.clone(), files.clone()).await?);
    let exe = std::env::current_exe().context("cannot find this program's own file")?;
    let compiler = compiler.map(|compiler| build::Compiler {
        exe,
        version: compiler.version.to_owned(),
    });
    let builder = Builder::new(compiler, zoo.clone(), store.clone(), files)
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
