//! The file of `tinsmith serve --config`: the options of the command line by their names, as TOML.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Deserializer};

/// What a file says; the command line and the environment count more.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct ConfigFile {
    pub(super) coap: Option<SocketAddr>,
    pub(super) bootstrap: Option<SocketAddr>,
    pub(super) coaps: Option<SocketAddr>,
    pub(super) coaps_bootstrap: Option<SocketAddr>,
    #[serde(default)]
    pub(super) secure_only: bool,
    #[serde(default, deserialize_with = "one_or_more")]
    pub(super) coaps_cert: Vec<PathBuf>,
    #[serde(default, deserialize_with = "one_or_more")]
    pub(super) coaps_key: Vec<PathBuf>,
    pub(super) coaps_ca: Option<PathBuf>,
    #[serde(default, deserialize_with = "one_or_more")]
    pub(super) coaps_crl: Vec<PathBuf>,
    pub(super) http: Option<SocketAddr>,
    #[serde(default)]
    pub(super) http_host: Vec<String>,
    pub(super) http_cert: Option<PathBuf>,
    pub(super) http_key: Option<PathBuf>,
    #[serde(default)]
    pub(super) http_plain: bool,
    pub(super) http_rate: Option<u32>,
    pub(super) http_wrong_tokens: Option<u32>,
    #[serde(default)]
    pub(super) metrics_open: bool,
    pub(super) audit: Option<u64>,
    pub(super) store: Option<PathBuf>,
    pub(super) sealing_key: Option<PathBuf>,
    pub(super) shards: Option<usize>,
    pub(super) dtls_workers: Option<usize>,
    #[serde(default)]
    pub(super) bootstrap_uri: Vec<String>,
    pub(super) lifetime: Option<u32>,
    #[serde(default)]
    pub(super) accept_loss: bool,
    pub(super) history: Option<usize>,
    pub(super) compile_limit: Option<u64>,
    pub(super) max_unproven: Option<usize>,
    pub(super) max_unproven_per_source: Option<usize>,
    #[serde(default)]
    pub(super) trust_loopback: bool,
}

/// A text, or a list of them.
fn one_or_more<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<PathBuf>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "a path, or a list of paths")]
    enum Paths {
        One(PathBuf),
        More(Vec<PathBuf>),
    }
    Ok(match Paths::deserialize(from)? {
        Paths::One(path) => vec![path],
        Paths::More(paths) => paths,
    })
}

impl ConfigFile {
    /// Nothing without a path.
    pub(super) fn read(path: Option<&Path>) -> Result<Self> {
        let Some(path) = path else {
            return Ok(Self::default());
        };
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        Self::parse(&text).with_context(|| format!("{} is no configuration", path.display()))
    }

    fn parse(text: &str) -> Result<Self> {
        // The crate's own message draws the line of the file, over several lines.
        toml::from_str(text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            let line = text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1;
            anyhow::anyhow!("line {line}: {}", error.message())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_file_says() {
        let text = "store = \"/var/lib/tinsmith\"\nhttp = \"127.0.0.1:8080\"\nlifetime = 3600\n\
                    max-unproven = 5\nmax-unproven-per-source = 4\ntrust-loopback = true\n\
                    accept-loss = true\ncompile-limit = 7\nhistory = 0\ndtls-workers = 3\n";
        let file = ConfigFile::parse(text).unwrap();
        assert_eq!(file.store, Some("/var/lib/tinsmith".into()));
        assert_eq!(file.http, Some(([127, 0, 0, 1], 8080).into()));
        assert_eq!(file.lifetime, Some(3600));
        assert_eq!(
            (file.max_unproven, file.max_unproven_per_source),
            (Some(5), Some(4))
        );
        assert!(file.trust_loopback && file.accept_loss);
        assert_eq!((file.compile_limit, file.history), (Some(7), Some(0)));
        assert_eq!(file.dtls_workers, Some(3));
        assert_eq!(ConfigFile::parse("").unwrap(), ConfigFile::default());
    }

    #[test]
    fn one_certificate_or_several() {
        let text = "coaps-cert = \"a.pem\"\ncoaps-key = [\"a.key\", \"b.key\"]\n";
        let file = ConfigFile::parse(text).unwrap();
        assert_eq!(file.coaps_cert, [PathBuf::from("a.pem")]);
        assert_eq!(file.coaps_key.len(), 2);
        assert!(file.coaps_crl.is_empty());
        let error = ConfigFile::parse("\ncoaps-crl = 3\n").unwrap_err();
        assert!(error.to_string().contains("a path, or a list"), "{error}");
    }

    #[test]
    fn a_wrong_key_is_told_with_its_line() {
        let error = ConfigFile::parse("shards = 2\nshard = 3\n").unwrap_err();
        let text = error.to_string();
        assert!(text.contains("line 2") && text.contains("shard"), "{text}");
        assert_eq!(text.lines().count(), 1);
        let error = ConfigFile::parse("\ncoap = \"here\"\n").unwrap_err();
        assert!(error.to_string().contains("line 2"), "{error}");
    }
}
