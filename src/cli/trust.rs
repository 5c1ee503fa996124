//! Whom a command trusts over https.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use ureq::tls::{Certificate, RootCerts, TlsConfig, TlsProvider};

/// The authorities in a PEM file, or without one those of this machine.
pub(super) fn tls(file: Option<&Path>) -> Result<TlsConfig> {
    let roots = match file {
        Some(file) => of_file(file)?,
        None => rustls_native_certs::load_native_certs().certs,
    };
    if roots.is_empty() {
        bail!("this machine trusts no certificate authority; name one with --ca");
    }
    let roots = roots
        .iter()
        .map(|root| Certificate::from_der(root).to_owned());
    Ok(TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        .root_certs(RootCerts::Specific(Arc::new(roots.collect())))
        .unversioned_rustls_crypto_provider(Arc::new(ring::default_provider()))
        .build())
}

fn of_file(file: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let name = || format!("--ca {}", file.display());
    let text = std::fs::read(file).with_context(name)?;
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let all = all.with_context(name)?;
    if all.is_empty() {
        bail!("--ca {} has no certificate", file.display());
    }
    Ok(all)
}
