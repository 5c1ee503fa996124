//! Certificate and key of the HTTP listener, and their new ones while it runs.

use std::convert::Infallible;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(2);

/// PEM files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate, then those that lead to one that clients trust.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// Why there can be no TLS.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file can't be read.
    #[error("cannot read {path}: {source}", path = path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file is no PEM, or has none of what it should have.
    #[error("{path} has no {what}: {source}", path = path.display())]
    Pem {
        /// Which.
        path: PathBuf,
        /// What it should have.
        what: &'static str,
        /// What was found wrong.
        source: pem::Error,
    },
    /// Certificate and key do not belong together, or are of a kind that can't be used.
    #[error("{certificate} and {key} can't be used: {source}",
            certificate = certificate.display(), key = key.display())]
    Pair {
        /// The certificate.
        certificate: PathBuf,
        /// The key.
        key: PathBuf,
        /// What was found wrong.
        source: rustls::Error,
    },
}

impl TlsFiles {
    fn load(&self) -> Result<TlsAcceptor, TlsError> {
        let no_pem = |path: &Path, what, source| TlsError::Pem {
            path: path.to_owned(),
            what,
            source,
        };
        let path = &self.certificate;
        let certificates = CertificateDer::pem_slice_iter(&read(path)?)
            .collect::<Result<Vec<_>, _>>()
            .and_then(|all| match all.is_empty() {
                true => Err(pem::Error::NoItemsFound),
                false => Ok(all),
            })
            .map_err(|source| no_pem(path, "certificate", source))?;
        let path = &self.key;
        let key = PrivateKeyDer::from_pem_slice(&read(path)?)
            .map_err(|source| no_pem(path, "private key", source))?;
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(|builder| {
                builder
                    .with_no_client_auth()
                    .with_single_cert(certificates, key)
            });
        let mut config = config.map_err(|source| TlsError::Pair {
            certificate: self.certificate.clone(),
            key: self.key.clone(),
            source,
        })?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }

    /// Changes when a file does.
    fn stamp(&self) -> [Option<(SystemTime, u64, u64)>; 2] {
        [&self.certificate, &self.key].map(|path| {
            let found = std::fs::metadata(path).ok()?;
            Some((found.modified().ok()?, found.len(), found.ino()))
        })
    }
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|source| TlsError::File {
        path: path.to_owned(),
        source,
    })
}

/// What new connections are accepted with.
#[derive(Clone)]
pub(crate) struct Tls {
    files: TlsFiles,
    acceptor: Arc<RwLock<TlsAcceptor>>,
}

impl Tls {
    pub(crate) fn open(files: TlsFiles) -> Result<Self, TlsError> {
        let acceptor = Arc::new(RwLock::new(files.load()?));
        Ok(Tls { files, acceptor })
    }

    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        let acceptor = self.acceptor.read();
        acceptor.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes what is in the files from now on.
    fn reload(&self) -> Result<(), TlsError> {
        let new = self.files.load()?;
        *self
            .acceptor
            .write()
            .unwrap_or_else(PoisonError::into_inner) = new;
        Ok(())
    }

    /// Takes new files when they come, for ever. As long as they can't be used, e.g. since only one
    /// of them is there yet, the old ones stay.
    pub(crate) async fn follow(self) -> Infallible {
        let mut seen = self.files.stamp();
        loop {
            tokio::time::sleep(LOOK).await;
            let now = self.files.stamp();
            if now == seen {
                continue;
            }
            seen = now;
            match self.reload() {
                Ok(()) => tracing::info!("the HTTP listener has a new certificate"),
                Err(error) => {
                    tracing::warn!("the HTTP listener keeps its certificate: {error}");
                }
            }
        }
    }
}
