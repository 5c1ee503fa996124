//! Keys that a server has for itself.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use lwm2m_objects::hex;
use tinsmith_security::{Keys, Seal};
use tinsmith_server::{SecureConfig, random};
use tinsmith_store::{Store, private};

use super::own::{OwnFiles, own};
use crate::key::{Sealing, master};

/// What is chosen about DTLS.
pub(crate) struct Dtls {
    /// Management listener.
    pub(crate) management: SocketAddr,
    /// Bootstrap listener.
    pub(crate) bootstrap: SocketAddr,
    /// Whether nobody comes in without.
    pub(crate) only: bool,
    /// The server's own key and certificate, and the authorities of devices.
    pub(crate) own: OwnFiles,
}

/// In the store's folder, and in no backup.
const ASSOCIATIONS: &str = "associations.key";

/// Reads the keys of devices. After a `loss` no association goes on: record numbers of it may be
/// used that the store does not know of.
pub(super) async fn secure(
    dtls: Dtls,
    sealing: &Sealing,
    folder: &Path,
    store: &Arc<dyn Store>,
    loss: bool,
) -> Result<SecureConfig> {
    let seal: Arc<dyn Seal> = Arc::new(master(folder, sealing)?.key().clone());
    let keys = Keys::open(Arc::clone(store), seal, dtls.only).await?;
    Ok(SecureConfig {
        management: dtls.management,
        bootstrap: Some(dtls.bootstrap),
        keys: Arc::new(keys),
        own: Some(own(&dtls.own, folder)?),
        association_key: file(&folder.join(ASSOCIATIONS), loss)?,
    })
}

/// A key in a file; made if it is not there, or to be made anew.
fn file(path: &Path, anew: bool) -> Result<[u8; 32]> {
    let place = path.display().to_string();
    match std::fs::read_to_string(path) {
        Ok(text) if !anew => parse(&text, &place),
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot read {place}"))
        }
        _ => {
            let key = random()?;
            let digits = format!("{}\n", hex::encode(&key));
            private::write(path, digits.as_bytes())
                .with_context(|| format!("cannot write {place}"))?;
            Ok(key)
        }
    }
}

fn parse(text: &str, place: &str) -> Result<[u8; 32]> {
    let key = hex::decode(text.trim()).and_then(|bytes| bytes.try_into().ok());
    let Some(key) = key else {
        bail!("a sealing key has 64 hexadecimal digits: {place}");
    };
    Ok(key)
}
