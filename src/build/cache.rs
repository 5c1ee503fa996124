//! What was built, by build key: a record in the store, module and report as files.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use futures_executor::block_on;
use serde::{Deserialize, Serialize};
use tinsmith_digest::Digest;
use tinsmith_order::{Artefact, Unbuilt};
use tinsmith_store::{self as store, Batch, Files, Key, Kind, Op, RecordError, Store, Stored};

use crate::compile::{Built, later};

/// Version of [`Record`] as stored; schema 1 is read too.
const SCHEMA: u16 = 2;

/// A build as stored; the module and the report are files. The names of the fields are keys;
/// their order is that of schema 1.
#[derive(Serialize, Deserialize)]
struct Record {
    artefact: Artefact,
    report: Digest,
}

fn record_key(build: &Digest) -> Key {
    Key::new(Kind::BUILD, build.0)
}

fn read(stored: &Stored) -> Result<Record, RecordError> {
    store::decode(1..=SCHEMA, &stored.bytes)
}

pub(crate) struct Cache {
    store: Arc<dyn Store>,
    files: Files,
    /// Modules that are being sent, each once for all devices.
    modules: Mutex<HashMap<Digest, Weak<[u8]>>>,
}

impl Cache {
    pub(crate) fn new(store: Arc<dyn Store>, files: Files) -> Self {
        Self {
            store,
            files,
            modules: Mutex::new(HashMap::new()),
        }
    }

    /// The build of a key, if it is there and whole.
    pub(crate) fn get(&self, key: &Digest) -> Option<Artefact> {
        let stored = block_on(self.store.get(&record_key(key))).ok()??;
        let record = read(&stored).ok()?;
        // A file that is gone or damaged is built again.
        let whole = self.files.verify(&record.artefact.module).ok()?;
        whole.then_some(Artefact {
            cached: true,
            ..record.artefact
        })
    }

    /// Keeps a build.
    pub(crate) fn put(&self, key: &Digest, built: Built) -> Result<Artefact, Unbuilt> {
        let Built {
            module,
            report,
            artefact,
        } = built;
        self.files.put(&module).map_err(|e| later(&e))?;
        let report = self.files.put(&report).map_err(|e| later(&e))?;
        let record = Record {
            artefact: artefact.clone(),
            report,
        };
        let bytes = store::encode(SCHEMA, &record).map_err(|e| later(&e))?;
        let key = record_key(key);
        let old = block_on(self.store.get(&key)).map_err(|e| later(&e))?;
        let mut batch = Batch::default();
        if let Some(old) = old.filter(|old| read(old).is_err()) {
            batch.ops.push(Op::set_aside(&key, &old));
        }
        batch.ops.push(Op::Put(key, bytes));
        block_on(self.store.commit(batch)).map_err(|e| later(&e))?;
        Ok(artefact)
    }

    /// A module's file; in memory once, as long as somebody is sent it.
    pub(crate) fn module(&self, digest: &Digest) -> Result<Arc<[u8]>, String> {
        let mut modules = self.modules.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(module) = modules.get(digest).and_then(Weak::upgrade) {
            return Ok(module);
        }
        let module = self.files.get(digest);
        let module: Arc<[u8]> = module
            .map_err(|e| format!("the module {} can't be read: {e}", digest.short()))?
            .into();
        modules.retain(|_, module| module.strong_count() > 0);
        modules.insert(*digest, Arc::downgrade(&module));
        Ok(module)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lwm2m_objects::hex;
    use tinsmith_store::Version;

    /// Of the version before schema 2.
    const OLD: &str = "\
        0001a200a6005820a65f1b5ba7ee5f5424f3f99f8ea4dc20fe3333c2fdbb453121757eb2dd93a1ea0119\
        38b40219120003181b04f4056e74696e736d69746820302e312e300158200e1a3e87bbf4a543fb296ebf\
        bb8f684f01002856b0210eaa0c423a1d2051dfd0";
    const NEW: &str = "\
        0002a2686172746566616374a6666d6f64756c655820a65f1b5ba7ee5f5424f3f99f8ea4dc20fe3333c2\
        fdbb453121757eb2dd93a1ea6c6d6f64756c655f62797465731938b46b6172656e615f62797465731912\
        006a636f6d70696c655f6d73181b66636163686564f468636f6d70696c65726e74696e736d6974682030\
        2e312e30667265706f727458200e1a3e87bbf4a543fb296ebfbb8f684f01002856b0210eaa0c423a1d20\
        51dfd0";

    #[test]
    fn the_bytes_of_both_schemas() {
        let bytes = hex::decode(OLD).unwrap();
        let version = Version(1);
        let record = read(&Stored { version, bytes }).unwrap();
        assert_eq!(record.artefact.module_bytes, 14_516);
        assert_eq!(record.artefact.compiler, "tinsmith 0.1.0");
        let bytes = store::encode(SCHEMA, &record).unwrap();
        assert_eq!(hex::encode(&bytes), NEW);
        assert_eq!(
            read(&Stored { version, bytes }).unwrap().report,
            record.report
        );
    }
}
