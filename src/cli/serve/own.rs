//! The server's own key and certificate for DTLS, and the authorities of devices.

use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use tinsmith_security::Own;
use tinsmith_store::private;

/// In the store's folder; in no backup.
const KEY: &str = "dtls-key.pem";

/// Files with them, in PEM.
#[derive(Clone, Debug, Default)]
pub(crate) struct OwnFiles {
    /// The server's certificate, then those of the authorities between.
    pub(crate) certificate: Option<PathBuf>,
    /// Its key; none: one in the store's folder.
    pub(crate) key: Option<PathBuf>,
    /// Authorities of devices.
    pub(crate) authorities: Option<PathBuf>,
}

/// Reads them. A key that nobody named is made if it is not there.
pub(super) fn own(files: &OwnFiles, folder: &Path) -> Result<Own> {
    if files.certificate.is_some() && files.key.is_none() {
        bail!("--coaps-cert needs --coaps-key");
    }
    let (path, key) = match &files.key {
        Some(path) => (path.clone(), read(path)?),
        None => {
            let path = folder.join(KEY);
            let key = made(&path)?;
            (path, key)
        }
    };
    let wrong = |path: &Path| path.display().to_string();
    let mut own = Own::new(&key).with_context(|| wrong(&path))?;
    if let Some(path) = &files.certificate {
        let chain = read(path)?;
        own = own.with_certificate(&chain).with_context(|| wrong(path))?;
    }
    if let Some(path) = &files.authorities {
        let authorities = read(path)?;
        own = own
            .with_authorities(&authorities)
            .with_context(|| wrong(path))?;
    }
    Ok(own)
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
        let files = OwnFiles {
            certificate: Some(folder.path().join("none.pem")),
            ..OwnFiles::default()
        };
        let error = own(&files, folder.path()).unwrap_err().to_string();
        assert!(error.contains("--coaps-key"), "{error}");
        let files = OwnFiles {
            authorities: Some(folder.path().join("none.pem")),
            ..OwnFiles::default()
        };
        let error = own(&files, folder.path()).unwrap_err().to_string();
        assert!(error.contains("none.pem"), "{error}");
    }
}
