//! Keys that a server has for itself.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use tinsmith_keys::Master;
use tinsmith_security::{Keys, Seal};
use tinsmith_server::SecureConfig;
use tinsmith_store::Store;

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
    let path = folder.join(ASSOCIATIONS);
    let associations = match loss {
        true => Master::make(&path),
        false => Master::open(&path),
    }?;
    let numbers: Arc<dyn Seal> = Arc::new(associations.key().clone());
    let keys = Keys::open_with(Arc::clone(store), (seal, numbers), dtls.only).await?;
    Ok(SecureConfig {
        management: dtls.management,
        bootstrap: Some(dtls.bootstrap),
        keys: Arc::new(keys),
        own: Some(own(&dtls.own, folder)?),
        associations: associations.key().clone(),
    })
}
