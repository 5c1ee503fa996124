//! Which token a command shows.

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tinsmith_access::Secret;
use tinsmith_http::admin::FILE;
use ureq::http::Uri;

use crate::config_file::ConfigFile;
use crate::out;

/// A token, and where it is from.
pub(super) struct Bearer {
    pub(super) secret: Secret,
    from: String,
}

impl fmt::Display for Bearer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.from)
    }
}

/// Where folders of stores on this machine may be, the first that has a token counts.
pub(super) struct Bearers {
    store: Option<PathBuf>,
    config: Option<PathBuf>,
    default: PathBuf,
}

impl Bearers {
    /// By the environment of this process.
    pub(super) fn of_this_process() -> Self {
        let path = |name| std::env::var_os(name).map(PathBuf::from);
        Bearers {
            store: path("TINSMITH_STORE"),
            config: path("TINSMITH_CONFIG"),
            default: tinsmith_server::Config::default().store,
        }
    }

    /// The token for a server: the one that is given, or else that of a store's folder. One that
    /// nobody named is shown to servers on this machine only.
    pub(super) fn find(
        &self,
        token: Option<&str>,
        store: Option<&Path>,
        server: &str,
    ) -> Result<Option<Bearer>> {
        let found = if let Some(token) = token {
            let secret = token.trim().parse().context("--token or TINSMITH_TOKEN")?;
            let from = "that was given".to_owned();
            Some(Bearer { secret, from })
        } else if let Some(store) = store {
            Some(read(&store.join(FILE))?)
        } else if is_here(server) {
            let candidates = self.candidates().into_iter();
            let mut found = candidates
                .map(|folder| folder.join(FILE))
                .filter(|f| f.exists());
            found.next().map(|file| read(&file)).transpose()?
        } else {
            None
        };
        if found.is_some() && !is_here(server) && server.starts_with("http:") {
            out::say(format_args!(
                "warning: the token goes to {server} without encryption"
            ));
        }
        Ok(found)
    }

    fn candidates(&self) -> Vec<PathBuf> {
        // A file that is wrong is told by who is configured by it.
        let file = ConfigFile::read(self.config.as_deref()).unwrap_or_default();
        let mut all: Vec<PathBuf> = self.store.iter().cloned().chain(file.store).collect();
        all.push(self.default.clone());
        all
    }
}

fn read(file: &Path) -> Result<Bearer> {
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("cannot read the token in {}", file.display()))?;
    let from = format!("in {}", file.display());
    let secret = text.trim().parse().with_context(|| from.clone())?;
    Ok(Bearer { secret, from })
}

/// Whether a URL is of this machine.
fn is_here(server: &str) -> bool {
    let Ok(uri) = server.parse::<Uri>() else {
        return false;
    };
    let host = uri.host().unwrap_or_default();
    let number = host.trim_start_matches('[').trim_end_matches(']');
    let ip = number.parse::<IpAddr>();
    host.eq_ignore_ascii_case("localhost") || ip.is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_is_this_machine() {
        for here in [
            "http://127.0.0.1:8080",
            "http://localhost",
            "https://LOCALHOST:1/",
            "http://[::1]:8080",
            "http://127.9.9.9",
        ] {
            assert!(is_here(here), "{here}");
        }
        for there in [
            "http://127.0.0.1.evil.example",
            "http://localhost.evil.example",
            "http://127.0.0.1@evil.example",
            "http://192.0.2.1",
            "http://[2001:db8::1]",
            "",
            "not a url",
        ] {
            assert!(!is_here(there), "{there}");
        }
    }

    #[test]
    fn a_token_that_nobody_named_stays_on_this_machine() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let secret = |byte| Secret::new(&[byte; 32]);
        for (name, byte) in [
            ("named", 1),
            ("environment", 2),
            ("file", 3),
            ("default", 4),
        ] {
            std::fs::create_dir(path(name)).unwrap();
            let text = format!("{}\n", secret(byte).reveal());
            std::fs::write(path(name).join(FILE), text).unwrap();
        }
        let config = path("tinsmith.toml");
        std::fs::write(&config, format!("store = {:?}\n", path("file"))).unwrap();
        let (here, there) = ("http://127.0.0.1:8080", "https://tin.example");
        let mut bearers = Bearers {
            store: Some(path("environment")),
            config: Some(config),
            default: path("default"),
        };
        let find = |bearers: &Bearers, token: Option<&str>, store: Option<&str>, server: &str| {
            let store = store.map(path);
            let found = bearers.find(token, store.as_deref(), server).unwrap();
            found.map(|bearer| bearer.secret)
        };
        let given = secret(9);
        for server in [here, there] {
            let found = find(&bearers, Some(given.reveal()), Some("named"), server);
            assert_eq!(found, Some(secret(9)));
            assert_eq!(find(&bearers, None, Some("named"), server), Some(secret(1)));
        }
        assert_eq!(find(&bearers, None, None, there), None);
        assert_eq!(find(&bearers, None, None, here), Some(secret(2)));
        bearers.store = Some(path("nowhere"));
        assert_eq!(find(&bearers, None, None, here), Some(secret(3)));
        bearers.config = None;
        assert_eq!(find(&bearers, None, None, here), Some(secret(4)));
        bearers.default = path("nowhere");
        assert_eq!(find(&bearers, None, None, here), None);
        assert!(bearers.find(Some("secret"), None, here).is_err());
        assert!(bearers.find(None, Some(&path("nowhere")), here).is_err());
    }
}
