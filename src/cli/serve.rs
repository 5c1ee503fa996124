//! `tinsmith serve`.

mod announce;
mod own;
mod secure;
mod signing;
mod start;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use clap::builder::FalseyValueParser;
use tinsmith_access::audit::MAX_KEPT;
use tinsmith_build_job::child;
use tinsmith_http::{self as http, TlsFiles};
use tinsmith_lwm2m::{BootstrapConfig, Limits, Rule};
use tinsmith_server::{self as server, Config, MAX_WORKERS};

use crate::Compiler;
use crate::config_file::ConfigFile;
use crate::key::Sealing;

use announce::announce;
pub(super) use own::OwnFiles;
pub(super) use secure::Dtls;
use start::failed;
pub(super) use start::{Choices, Running, runtime, start};

/// The longest that a build may take (s).
const COMPILE_LIMIT: u64 = 86_400;

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
    /// Management listener with DTLS. [default: 0.0.0.0:5684]
    #[arg(long, env = "TINSMITH_COAPS", value_name = "ADDR")]
    coaps: Option<SocketAddr>,
    /// Bootstrap listener with DTLS; devices get a key there. [default: 0.0.0.0:5784]
    #[arg(long, env = "TINSMITH_COAPS_BOOTSTRAP", value_name = "ADDR")]
    coaps_bootstrap: Option<SocketAddr>,
    /// Show this certificate to devices: PEM, the server's own first, then those of the authorities
    /// between. It needs --coaps-key. May be given several times, each with its key: a device that
    /// asks for a name (SNI) gets the one that has it, others the first. When a file is replaced, the
    /// new one is taken.
    #[arg(
        long,
        env = "TINSMITH_COAPS_CERT",
        value_name = "FILE",
        value_delimiter = ','
    )]
    coaps_cert: Vec<PathBuf>,
    /// The server's key for DTLS with certificates and raw public keys: PEM, P-256; one for each
    /// --coaps-cert, in the same order. [default: dtls-key.pem in the store's folder, made if it is
    /// not there]
    #[arg(
        long,
        env = "TINSMITH_COAPS_KEY",
        value_name = "FILE",
        value_delimiter = ','
    )]
    coaps_key: Vec<PathBuf>,
    /// Believe device certificates of these authorities: PEM. Which of their names come in, and as
    /// what, `tinsmith credential new --certificate` says.
    #[arg(long, env = "TINSMITH_COAPS_CA", value_name = "FILE")]
    coaps_ca: Option<PathBuf>,
    /// Do not believe what an authority of --coaps-ca has revoked: its list in PEM or DER; may be
    /// given several times. When a file is replaced, the new list is taken, and devices that it names
    /// are out.
    #[arg(
        long,
        env = "TINSMITH_COAPS_CRL",
        value_name = "FILE",
        value_delimiter = ','
    )]
    coaps_crl: Vec<PathBuf>,
    /// Let no device in without DTLS or OSCORE, under whatever name. Without this option only names
    /// for which there is a key need it.
    #[arg(long, env = "TINSMITH_SECURE_ONLY", value_parser = FalseyValueParser::new())]
    secure_only: bool,
    /// HTTP listener. On another address than loopback it needs --http-cert and --http-key, or
    /// --http-plain. [default: 127.0.0.1:8080]
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
    /// Speak HTTPS: a PEM file with the certificate, then those of the authorities between. When it
    /// is replaced, the new one is taken.
    #[arg(long, env = "TINSMITH_HTTP_CERT", value_name = "FILE")]
    http_cert: Option<PathBuf>,
    /// A PEM file with the private key of --http-cert.
    #[arg(long, env = "TINSMITH_HTTP_KEY", value_name = "FILE")]
    http_key: Option<PathBuf>,
    /// Speak plain HTTP on other addresses than loopback too, where everybody on the way reads the
    /// tokens: behind a proxy that speaks HTTPS.
    #[arg(long, env = "TINSMITH_HTTP_PLAIN", value_parser = FalseyValueParser::new())]
    http_plain: bool,
    /// Requests in a second of one token, and of one address that shows none; twice as many at
    /// once. [default: 500]
    #[arg(long, env = "TINSMITH_HTTP_RATE", value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    http_rate: Option<u32>,
    /// Wrong tokens in a minute of one IPv4 address or IPv6 /64. [default: 30]
    #[arg(long, env = "TINSMITH_HTTP_WRONG_TOKENS", value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    http_wrong_tokens: Option<u32>,
    /// Give /metrics to who shows no token.
    #[arg(long, env = "TINSMITH_METRICS_OPEN", value_parser = FalseyValueParser::new())]
    metrics_open: bool,
    /// Entries that are kept of the audit log. [default: 10000]
    #[arg(long, env = "TINSMITH_AUDIT", value_name = "N", value_parser = clap::value_parser!(u64).range(1..=MAX_KEPT))]
    audit: Option<u64>,
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
    /// Threads of each listener with DTLS, 1 to 16: they make handshakes, and open and seal records.
    /// [default: one for each core, at most 4]
    #[arg(long, env = "TINSMITH_DTLS_WORKERS", value_name = "N", value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=MAX_WORKERS as u64))]
    dtls_workers: Option<usize>,
    /// Server URI that devices whose names fit PATTERN (with * and ?) get at bootstrap; the first
    /// that fits counts, but who bootstraps with DTLS is never sent to a coap:// server. Without one:
    /// this server's management listener, as seen from here. With coap+oscore:// in the place of
    /// coap:// devices get keys for OSCORE (who bootstraps over it gets them anyway); `oscore` is that
    /// at this server.
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
            let rule = text.split_once('=').and_then(|(pattern, uri)| {
                let (server_uri, oscore) = server_uri(uri)?;
                Some(Rule {
                    oscore,
                    ..rule(pattern, &server_uri)
                })
            });
            rules.push(rule.with_context(|| {
                format!(
                    "--bootstrap-uri '{text}': expected PATTERN=coap://HOST:PORT, coaps://, \
                     coap+oscore:// or oscore"
                )
            })?);
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
            dtls_workers: self
                .dtls_workers
                .or(file.dtls_workers)
                .unwrap_or(standard.dtls_workers),
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
        let tls = match (
            self.http_cert.or(file.http_cert),
            self.http_key.or(file.http_key),
        ) {
            (Some(certificate), Some(key)) => Some(TlsFiles { certificate, key }),
            (None, None) => None,
            _ => bail!("--http-cert and --http-key are given together, or neither"),
        };
        if tls.is_none() && !config.http.ip().is_loopback() {
            let address = config.http;
            if !(self.http_plain || file.http_plain) {
                bail!(
                    "--http {address} can be reached from other machines: give --http-cert and \
                     --http-key for HTTPS, or --http-plain if a proxy in front speaks it"
                );
            }
            tracing::warn!(
                "HTTP on {address} is not encrypted: whoever is on the way reads the tokens"
            );
        }
        let doors = http::Choices::default();
        let positive = |name: &str, value: Option<u32>, or: u32| match value {
            Some(0) => Err(anyhow!("{name} must be at least 1")),
            value => Ok(value.unwrap_or(or)),
        };
        let wrong = self.http_wrong_tokens.or(file.http_wrong_tokens);
        let audit = self.audit.or(file.audit).unwrap_or(doors.audit);
        if !(1..=MAX_KEPT).contains(&audit) {
            bail!("audit must be 1 to {MAX_KEPT} entries");
        }
        let doors = http::Choices {
            rate: positive("http-rate", self.http_rate.or(file.http_rate), doors.rate)?,
            wrong: positive("http-wrong-tokens", wrong, doors.wrong)?,
            open_metrics: self.metrics_open || file.metrics_open,
            audit,
        };
        let any = |port| SocketAddr::from(([0, 0, 0, 0], port));
        let dtls = Dtls {
            management: self.coaps.or(file.coaps).unwrap_or(any(5684)),
            bootstrap: self
                .coaps_bootstrap
                .or(file.coaps_bootstrap)
                .unwrap_or(any(5784)),
            only: self.secure_only || file.secure_only,
            own: OwnFiles {
                certificates: or(self.coaps_cert, file.coaps_cert),
                keys: or(self.coaps_key, file.coaps_key),
                authorities: self.coaps_ca.or(file.coaps_ca),
                revocations: or(self.coaps_crl, file.coaps_crl),
            },
        };
        let choices = Choices {
            dtls: Some(dtls),
            accept_loss: self.accept_loss || file.accept_loss,
            limit,
            hosts: or(self.http_host, file.http_host),
            tls,
            doors,
            sealing: Sealing {
                sealing_key: self.sealing.sealing_key.or(file.sealing_key),
            },
        };
        Ok((config, choices))
    }
}

/// What is written to devices, and whether with OSCORE.
fn server_uri(uri: &str) -> Option<(String, bool)> {
    if uri == "oscore" {
        return Some((String::new(), true));
    }
    if let Some(rest) = uri.strip_prefix("coap+oscore://") {
        return Some((format!("coap://{rest}"), true));
    }
    let is_known = uri.starts_with("coap://") || uri.starts_with("coaps://");
    is_known.then(|| (uri.to_owned(), false))
}

fn or<T>(list: Vec<T>, other: Vec<T>) -> Vec<T> {
    if list.is_empty() { other } else { list }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_named_by_their_uris() {
        let told = |uri| server_uri(uri);
        let some = |uri: &str, oscore| Some((uri.to_owned(), oscore));
        assert_eq!(told("coap://a:1"), some("coap://a:1", false));
        assert_eq!(told("coaps://a:1"), some("coaps://a:1", false));
        assert_eq!(told("coap+oscore://a:1"), some("coap://a:1", true));
        assert_eq!(told("oscore"), some("", true));
        assert_eq!(told("http://a"), None);
    }

    #[test]
    fn the_help_tells_the_true_defaults() {
        use clap::Args;
        let command = Serve::augment_args(clap::Command::new("serve"));
        let (limits, doors) = (Limits::default(), http::Choices::default());
        for (option, value) in [
            ("history", Config::default().history as u64),
            ("compile_limit", child::LIMIT.as_secs()),
            ("http_rate", u64::from(doors.rate)),
            ("http_wrong_tokens", u64::from(doors.wrong)),
            ("audit", doors.audit),
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
