//! The server's own key and certificate for DTLS, and the authorities of devices.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, bail};
use tinsmith_security::Own;
use tinsmith_server::ServerHandle;
use tinsmith_store::private;

/// In the store's folder; in no backup.
const KEY: &str = "dtls-key.pem";
/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(2);

/// Files with them, in PEM.
#[derive(Clone, Debug, Default)]
pub(crate) struct OwnFiles {
    /// The server's certificates, then those of the authorities between.
    pub(crate) certificates: Vec<PathBuf>,
    /// The key of each; none: one in the store's folder, without a certificate.
    pub(crate) keys: Vec<PathBuf>,
    /// Authorities of devices.
    pub(crate) authorities: Option<PathBuf>,
    /// What they have revoked; DER too.
    pub(crate) revocations: Vec<PathBuf>,
}

impl OwnFiles {
    /// Whether it can be meant so.
    fn check(&self) -> Result<()> {
        let (certificates, keys) = (self.certificates.len(), self.keys.len());
        if certificates > 0 && keys == 0 {
            bail!("--coaps-cert needs --coaps-key");
        }
        if keys > certificates.max(1) || certificates > keys {
            bail!(
                "there are {certificates} --coaps-cert and {keys} --coaps-key: each certificate \
                 needs its key, in the same order"
            );
        }
        if !self.revocations.is_empty() && self.authorities.is_none() {
            bail!("--coaps-crl needs --coaps-ca: its authority has to be known");
        }
        Ok(())
    }
}

/// Reads them. A key that nobody named is made if it is not there.
pub(super) fn own(files: &OwnFiles, folder: &Path) -> Result<Own> {
    files.check()?;
    let (path, key) = match files.keys.first() {
        Some(path) => (path.clone(), read(path)?),
        None => {
            let path = folder.join(KEY);
            let key = made(&path)?;
            (path, key)
        }
    };
    let wrong = |path: &Path| path.display().to_string();
    let mut own = Own::new(&key).with_context(|| wrong(&path))?;
    for (index, path) in files.certificates.iter().enumerate() {
        let chain = read(path)?;
        own = match files.keys.get(index) {
            Some(key) if index > 0 => own.and(&read(key)?, &chain),
            _ => own.with_certificate(&chain),
        }
        .with_context(|| match files.keys.get(index) {
            Some(key) => format!("{} with the key in {}", wrong(path), wrong(key)),
            None => wrong(path),
        })?;
    }
    if let Some(path) = &files.authorities {
        let authorities = read(path)?;
        own = own
            .with_authorities(&authorities)
            .with_context(|| wrong(path))?;
    }
    for path in &files.revocations {
        let list = read(path)?;
        own = own.with_revocations(&list).with_context(|| wrong(path))?;
    }
    for old in own.old() {
        tracing::warn!("DTLS: {old}");
    }
    Ok(own)
}

/// Changes when a file does.
fn stamp(files: &OwnFiles, folder: &Path) -> Vec<Option<(SystemTime, u64, u64)>> {
    let made = files.keys.is_empty().then(|| folder.join(KEY));
    let all = files.certificates.iter().chain(&files.keys);
    let all = all.chain(&files.authorities).chain(&files.revocations);
    let stamp = |path: &PathBuf| {
        let found = std::fs::metadata(path).ok()?;
        Some((found.modified().ok()?, found.len(), found.ino()))
    };
    all.chain(&made).map(stamp).collect()
}

/// Takes new files when they come, for ever. As long as they can't be used, e.g. since only one of
/// them is there yet, what was read last counts.
pub(super) async fn follow(files: OwnFiles, folder: PathBuf, server: ServerHandle) {
    let mut seen = stamp(&files, &folder);
    loop {
        tokio::time::sleep(LOOK).await;
        let now = stamp(&files, &folder);
        if now == seen {
            continue;
        }
        seen = now;
        match own(&files, &folder) {
            Ok(own) => {
                server.renew(own);
                tracing::info!("DTLS: new certificates, authorities or revocation lists are taken");
            }
            Err(error) => {
                tracing::warn!(
                    "DTLS keeps certificates, authorities and revocation lists: {error:#}"
                );
            }
        }
    }
}

fn read(path: &Path) -> Result<zeroize::Zeroizing<Vec<u8>>> {
    let read = std::fs::read(path).map(zeroize::Zeroizing::new);
    read.with_context(|| format!("cannot read {}", path.display()))
}

fn made(path: &Path) -> Result<zeroize::Zeroizing<Vec<u8>>> {
    match std::fs::read(path) {
        Ok(key) => Ok(key.into()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let key = Own::generate()?;
            private::write(path, &key)
                .with_context(|| format!("cannot write {}", path.display()))?;
            Ok(key)
        }
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_key_is_made_once_and_is_for_its_owner() {
        let folder = tempfile::tempdir().unwrap();
        let files = OwnFiles::default();
        let first = own(&files, folder.path()).unwrap().public_key().unwrap();
        let again = own(&files, folder.path()).unwrap().public_key().unwrap();
        assert_eq!(first, again);
        let file = folder.path().join(KEY);
        let mode = std::fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        std::fs::write(&file, "no key").unwrap();
        assert!(own(&files, folder.path()).is_err());
    }

    #[test]
    fn what_does_not_go_together_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let none = folder.path().join("none.pem");
        for (certificates, keys, lists, expected) in [
            (1, 0, 0, "--coaps-key"),
            (2, 1, 0, "2 --coaps-cert and 1 --coaps-key"),
            (1, 2, 0, "1 --coaps-cert and 2 --coaps-key"),
            (0, 2, 0, "0 --coaps-cert and 2 --coaps-key"),
            (1, 1, 0, "none.pem"),
            (0, 0, 1, "--coaps-ca"),
        ] {
            let files = OwnFiles {
                certificates: vec![none.clone(); certificates],
                keys: vec![none.clone(); keys],
                revocations: vec![none.clone(); lists],
                ..OwnFiles::default()
            };
            let error = own(&files, folder.path()).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
        let files = OwnFiles {
            authorities: Some(folder.path().join("none.pem")),
            ..OwnFiles::default()
        };
        let error = own(&files, folder.path()).unwrap_err().to_string();
        assert!(error.contains("none.pem"), "{error}");
    }
}
