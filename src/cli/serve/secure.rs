//! Keys that a server has for itself.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use lwm2m_objects::hex;
use tinsmith_security::{Key, Keys, Seal};
use tinsmith_server::{SecureConfig, random};
use tinsmith_store::{Store, private};

use super::own::own;
use super::start::Dtls;

/// The variable that has the sealing key itself.
const SECRET: &str = "TINSMITH_SEALING_SECRET";
/// In the store's folder; none is in backups.
const SEALING: &str = "sealing.key";
const ASSOCIATIONS: &str = "associations.key";

/// Reads the keys of devices. After a `loss` no association goes on: record numbers of it may be
/// used that the store does not know of.
pub(super) async fn secure(
    dtls: Dtls,
    folder: &Path,
    store: &Arc<dyn Store>,
    loss: bool,
) -> Result<SecureConfig> {
    let sealing = match std::env::var(SECRET) {
        Ok(text) => parse(&text, SECRET)?,
        Err(_) => match dtls.sealing_key {
            Some(path) => file(&path, false)?,
            None => file(&folder.join(SEALING), false)?,
        },
    };
    let seal: Arc<dyn Seal> = Arc::new(Key::new(&sealing));
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
fn file(path: &PathBuf, anew: bool) -> Result<[u8; 32]> {
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
