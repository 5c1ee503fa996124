//! `tinsmith serve`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use clap::builder::FalseyValueParser;

use tinsmith_http::{self as http, App};
use tinsmith_keys::Keyring;
use tinsmith_lwm2m::{BootstrapConfig, Limits, Rule, TrustAnchors};
use tinsmith_server::{self as server, Config, ServerHandle};
use tinsmith_store::{Files, Health, SledStore, Store};
use tinsmith_update::{Sign, StartJob};

use crate::Compiler;
use crate::config_file::ConfigFile;
use crate::key::{self, Sealing};
use crate::out::{self, plain};
use crate::store::problem;
use tinsmith_build::{self as build, Builder, Zoo};
use tinsmith_build_job::child;

/// The longest that a build may take (s).
const COMPILE_LIMIT: u64 = 86_400;

/// How often it is seen whether the store still works.
const HEALTH_EVERY: Duration = Duration::from_millis(500);

/// How often it is seen whether keys were made or removed.
const KEYS_EVERY: Duration = Duration::from_secs(1);

/// How long what is under way may take after a signal.
const LAST_SECOND: Duration = Duration::from_secs(1);

/// Run the server.
///
/// Devices bootstrap at the bootstrap listener or register at the management listener; operators
/// and consoles use HTTP. Everything that was promised is in the store: the server can be killed
/// at any moment and goes on where it was.
#[derive(clap::Args)]
pub(super) struct Serve {
    /// A TOML file with these options by their names; the environment and the command line count
    /// more.
    #[arg(long, env = "TINSMITH_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Management listener: CoAP over UDP; devices register here. [default: 0.0.0.0:5683]
    #[arg(long, env = "TINSMITH_COAP", value_name = "ADDR")]
    coap: Option<SocketAddr>,
    /// Bootstrap listener: CoAP over UDP; devices that know nothing begin here. [default:
    /// 0.0.0.0:5783]
    #[arg(long, env = "TINSMITH_BOOTSTRAP", value_name = "ADDR")]
    bootstrap: Option<SocketAddr>,
    /// HTTP listener. There is no login yet: keep it on loopback. [default: 127.0.0.1:8080]
    #[arg(long, env = "TINSMITH_HTTP", value_name = "ADDR")]
    http: Option<SocketAddr>,
    /// A name under which operators reach the HTTP listener, besides localhost, its address and
    /// those of loopback; may be given several times. Requests that name another host are refused.
    #[arg(
        long,
        env = "TINSMITH_HTTP_HOST",
        value_name = "NAME",
        value_delimiter = ','
    )]
    http_host: Vec<String>,
    /// Folder of the store. [default: tinsmith-data]
    #[arg(long, env = "TINSMITH_STORE", value_name = "DIR")]
    store: Option<PathBuf>,
    /// Start also if the store has lost something that was durable, with what is there.
    #[arg(long, env = "TINSMITH_ACCEPT_LOSS", value_parser = FalseyValueParser::new())]
    accept_loss: bool,
    /// Entries of history that are kept of a device, beside its timeline. [default: 1024]
    #[arg(long, env = "TINSMITH_HISTORY", value_name = "N")]
    history: Option<usize>,
    /// How long a build may take up to the verified module. [default: 20]
    #[arg(long, env = "TINSMITH_COMPILE_LIMIT", value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=COMPILE_LIMIT))]
    compile_limit: Option<u64>,
    /// Threads that own devices, 1 to 16. [default: 1]
    #[arg(long, env = "TINSMITH_SHARDS", value_name = "N", value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=16))]
    shards: Option<usize>,
    /// Server URI that devices whose names fit PATTERN (with * and ?) get at bootstrap; the first
    /// that fits counts. Without one: this server's management listener, as seen from here.
    #[arg(
        long,
        env = "TINSMITH_BOOTSTRAP_URI",
        value_name = "PATTERN=URI",
        value_delimiter = ','
    )]
    bootstrap_uri: Vec<String>,
    /// Registration lifetime that devices get at bootstrap. [default: 300]
    #[arg(long, env = "TINSMITH_LIFETIME", value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..))]
    lifetime: Option<u32>,
    /// Registrations that a shard keeps of senders that have not answered yet; who was not heard for
    /// the longest time makes room. [default: 20000]
    #[arg(long, env = "TINSMITH_MAX_UNPROVEN", value_name = "N")]
    max_unproven: Option<usize>,
    /// The same of one IPv4 address or IPv6 /64. [default: 256]
    #[arg(long, env = "TINSMITH_MAX_UNPROVEN_PER_SOURCE", value_name = "N")]
    max_unproven_per_source: Option<usize>,
    /// Senders on this machine need not prove their address: for simulators and benchmarks.
    #[arg(long, env = "TINSMITH_TRUST_LOOPBACK", value_parser = FalseyValueParser::new())]
    trust_loopback: bool,
    #[command(flatten)]
    sealing: Sealing,
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
    /// Names of the HTTP listener.
    pub(super) hosts: Vec<String>,
    /// What seals the keys that packages are signed with.
    pub(super) sealing: Sealing,
}

impl Default for Choices {
    fn default() -> Self {
        Self {
            accept_loss: false,
            limit: child::LIMIT,
            hosts: Vec::new(),
            sealing: Sealing::default(),
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
        let (config, choices) = self.config()?;
        let store = config.store.clone();
        let runtime = runtime()?;
        let ended = runtime.block_on(async {
            let running = start(config, choices, compiler).await?;
            // Whoever started it may not want to read it.
            let _ = announce(&running, &store, json);
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

    /// With what the file says.
    fn config(self) -> Result<(Config, Choices)> {
        let file = ConfigFile::read(self.config.as_deref())?;
        let standard = Config::default();
        let lifetime = self.lifetime.or(file.lifetime).unwrap_or(300);
        if lifetime == 0 {
            bail!("lifetime must be at least 1 second");
        }
        let rule = |pattern: &str, uri: &str| Rule {
            pattern: pattern.to_owned(),
            server_uri: uri.to_owned(),
            lifetime,
            ..Rule::default()
        };
        let mut rules = Vec::new();
        for text in or(self.bootstrap_uri, file.bootstrap_uri) {
            match text.split_once('=') {
                Some((pattern, uri)) if uri.starts_with("coap://") => {
                    rules.push(rule(pattern, uri));
                }
                _ => bail!("--bootstrap-uri '{text}': expected PATTERN=coap://HOST:PORT"),
            }
        }
        rules.push(rule("*", ""));
        let bootstrap = self.bootstrap.or(file.bootstrap);
        let limits = Limits::default();
        let strangers = self.max_unproven.or(file.max_unproven);
        let per_source = self.max_unproven_per_source;
        let per_source = per_source.or(file.max_unproven_per_source);
        let limit = self.compile_limit.or(file.compile_limit);
        let limit = limit.map_or(child::LIMIT, Duration::from_secs);
        if limit.is_zero() || limit.as_secs() > COMPILE_LIMIT {
            bail!("compile-limit must be 1 to {COMPILE_LIMIT} seconds");
        }
        let config = Config {
            coap: self.coap.or(file.coap).unwrap_or(standard.coap),
            bootstrap_listener: bootstrap.or(standard.bootstrap_listener),
            http: self.http.or(file.http).unwrap_or(standard.http),
            store: self.store.or(file.store).unwrap_or(standard.store),
            shards: self.shards.or(file.shards).unwrap_or(standard.shards),
            bootstrap: BootstrapConfig {
                rules,
                ..BootstrapConfig::default()
            },
            limits: Limits {
                strangers: strangers.unwrap_or(limits.strangers),
                strangers_per_source: per_source.unwrap_or(limits.strangers_per_source),
                exempt_loopback: self.trust_loopback || file.trust_loopback,
                ..limits
            },
            history: self.history.or(file.history).unwrap_or(standard.history),
            ..Config::default()
        };
        let choices = Choices {
            accept_loss: self.accept_loss || file.accept_loss,
            limit,
            hosts: or(self.http_host, file.http_host),
            sealing: Sealing {
                sealing_key: self.sealing.sealing_key.or(file.sealing_key),
            },
        };
        Ok((config, choices))
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

/// Keeps what devices get at bootstrap as the keys are: another process may change them.
async fn tell_anchors(keys: Arc<Keyring>, anchors: TrustAnchors) {
    loop {
        set_anchors(&keys, &anchors);
        tokio::time::sleep(KEYS_EVERY).await;
    }
}

fn set_anchors(keys: &Keyring, anchors: &TrustAnchors) {
    match keys.anchors() {
        Ok(keys) => {
            let encoded = keys.iter().map(|anchor| {
                let (bytes, len) = anchor.encode();
                bytes.get(..len).unwrap_or_default().to_vec()
            });
            anchors.set(encoded.collect());
        }
        // What was read last counts.
        Err(error) => tracing::error!(%error, "the keys can't be read"),
    }
}

fn or(list: Vec<String>, other: Vec<String>) -> Vec<String> {
    if list.is_empty() { other } else { list }
}

/// Starts a server with store, zoo, builder and HTTP.
pub(super) async fn start(
    config: Config,
    choices: Choices,
    compiler: Option<Compiler>,
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
    let keys = Arc::new(key::open(&folder, &choices.sealing)?);
    let anchors = config.bootstrap.trust_anchors.clone();
    // Before the first device asks.
    set_anchors(&keys, &anchors);
    tokio::spawn(tell_anchors(keys.clone(), anchors));
    let signer: Arc<dyn Sign> = keys;
    let builder = Builder::new(
        compiler,
        zoo.clone(),
        store.clone(),
        files.clone(),
        Some(signer),
    )
    .context("cannot start the build service")?;
    let jobs = builder.clone();
    let start_job: StartJob = Arc::new(move |request, done| jobs.start(request, done));
    let address = config.http;
    let scratch = folder.join("incoming");
    std::fs::create_dir_all(&scratch).with_context(open)?;
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
        zoo_turn: Arc::default(),
        builder,
        files,
        scratch,
    };
    let http = http::serve(
        &http::Config {
            address,
            hosts: choices.hosts,
        },
        app,
    )
    .await
    .map_err(|error| anyhow!("cannot listen on {address}: {error}; choose another with --http"))?;
    Ok(Running { server, zoo, http })
}

pub(super) fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")
}

fn announce(running: &Running, store: &std::path::Path, json: bool) -> Result<()> {
    let addresses = running.server.addresses();
    if json {
        let line = serde_json::json!({
            "coap": addresses.coap.to_string(),
            "bootstrap": addresses.bootstrap.map(|a| a.to_string()),
            "http": running.http.to_string(),
            "store": store,
        });
        return out::print(&format!("{line}\n"));
    }
    let mut text = format!("tinsmith {}\n", env!("CARGO_PKG_VERSION"));
    let mut line = |line: String| {
        text.push_str(&plain(&line));
        text.push('\n');
    };
    line(format!(
        "  devices register at   {}",
        reached(addresses.coap)
    ));
    if let Some(bootstrap) = addresses.bootstrap {
        line(format!("  devices bootstrap at  {}", reached(bootstrap)));
    }
    line(format!("  operators use         http://{}", running.http));
    line(format!("  everything is kept in {}", store.display()));
    text.push_str(
        "\nNext:\n\
         \x20 tinsmith model list                    what can be installed\n\
         \x20 tinsmith device list                   who is there\n\
         \x20 tinsmith update DEVICE --model motion  build, send, try and commit\n",
    );
    if running.http.port() != 8080 {
        let http = running.http;
        text.push_str(&format!("(with --server http://{http} behind each)\n"));
    }
    out::print(&text)
}

/// A CoAP listener as a device would write it.
fn reached(address: SocketAddr) -> String {
    if address.ip().is_unspecified() {
        let port = address.port();
        return format!("coap://ADDRESS:{port} (every address of this machine)");
    }
    format!("coap://{address}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_tells_the_true_defaults() {
        use clap::Args;
        let command = Serve::augment_args(clap::Command::new("serve"));
        let limits = Limits::default();
        for (option, value) in [
            ("history", Config::default().history as u64),
            ("compile_limit", child::LIMIT.as_secs()),
            ("max_unproven", limits.strangers as u64),
            (
                "max_unproven_per_source",
                limits.strangers_per_source as u64,
            ),
        ] {
            let argument = command.get_arguments().find(|a| a.get_id() == option);
            let help = argument.and_then(clap::Arg::get_help).unwrap().to_string();
            let told = format!("[default: {value}]");
            assert!(help.contains(&told), "--{option}: {told} in {help:?}");
        }
    }
}
