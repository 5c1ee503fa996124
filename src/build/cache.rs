//! What was built, by build key: a record in the store, module and report as files.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use futures_executor::block_on;
use serde::{Deserialize, Serialize};
use tinsmith_digest::Digest;
use tinsmith_order::{Artefact, Unbuilt};
use tinsmith_store::{
    self as store, Batch, Files, Key, Kind, Op, RecordError, Store, StoreError, Stored,
};

use crate::compile::{Built, later};

/// Version of [`Record`] as stored; schema 1 is read too.
const SCHEMA: u16 = 2;
/// Records removed with one commit.
const PIECE: usize = 1000;

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

/// A build that is kept.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Build {
    /// Its name: the build key.
    pub key: Digest,
    /// Of its report: what was compiled, for which kind of device.
    #[serde(flatten)]
    pub subject: Subject,
    /// What was built.
    #[serde(flatten)]
    pub artefact: Artefact,
}

/// What a build is of, as its report says; empty if that is gone or damaged.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Subject {
    /// Name of the model.
    pub model: Option<String>,
    /// Version of the model.
    pub version: Option<String>,
    /// Name of the platform.
    pub target: Option<String>,
}

pub(crate) struct Cache {
    store: Arc<dyn Store>,
    files: Files,
    /// Who writes or removes files takes turns.
    turn: Mutex<()>,
    /// Modules that are being sent, each once for all devices.
    modules: Mutex<HashMap<Digest, Weak<[u8]>>>,
}

impl Cache {
    pub(crate) fn new(store: Arc<dyn Store>, files: Files) -> Self {
        Self {
            store,
            files,
            turn: Mutex::new(()),
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
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
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

    /// At most `limit` builds, those behind `after`, in the order of their keys.
    pub(crate) fn list(
        &self,
        after: Option<Digest>,
        limit: usize,
    ) -> Result<Vec<Build>, StoreError> {
        let after = after.map(|after| record_key(&after));
        let scan = self.store.scan(Kind::BUILD, &[], after.as_ref(), limit);
        let build = |(key, stored): (Key, Stored)| {
            let record = read(&stored).ok()?;
            let report = self.files.get(&record.report).ok();
            let subject = report.and_then(|report| serde_json::from_slice(&report).ok());
            Some(Build {
                key: Digest(key.id.try_into().ok()?),
                subject: subject.unwrap_or_default(),
                artefact: record.artefact,
            })
        };
        Ok(block_on(scan)?.into_iter().filter_map(build).collect())
    }

    /// Removes a build, or all that can be read, with the files that no other has; how many there
    /// were.
    pub(crate) fn remove(&self, key: Option<&Digest>) -> Result<usize, StoreError> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut gone, mut kept) = (HashSet::new(), HashSet::new());
        let mut ops = Vec::new();
        for (found, stored) in block_on(self.store.load(Kind::BUILD))? {
            let Ok(record) = read(&stored) else {
                continue;
            };
            let files = [record.artefact.module, record.report];
            if key.is_none_or(|key| found.id == key.0) {
                gone.extend(files);
                ops.push(Op::Delete(found));
            } else {
                kept.extend(files);
            }
        }
        let count = ops.len();
        while !ops.is_empty() {
            let some = ops.split_off(ops.len().saturating_sub(PIECE));
            let expect = Vec::new();
            block_on(self.store.commit(Batch { expect, ops: some }))?;
        }
        for file in gone.difference(&kept) {
            if let Err(error) = self.files.remove(file) {
                tracing::warn!(%file, %error, "a file of a removed build stays");
            }
        }
        Ok(count)
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

    fn built(module: &[u8], target: &str) -> Built {
        let report = format!(r#"{{"model":"m","version":"1","target":"{target}","macs":3}}"#);
        Built {
            module: module.to_vec(),
            report: report.into_bytes(),
            artefact: Artefact {
                module: Digest::of(module),
                module_bytes: 1,
                arena_bytes: 2,
                compile_ms: 3,
                cached: false,
                compiler: "c".into(),
            },
        }
    }

    #[test]
    fn builds_are_listed_and_removed_with_what_no_other_needs() {
        let folder = tempfile::tempdir().unwrap();
        let files = Files::open(folder.path()).unwrap();
        let cache = Cache::new(Arc::new(store::MemoryStore::new()), files.clone());
        let keys = [1, 2, 3].map(|n| Digest([n; 32]));
        // The first two differ in the device only.
        for (key, (module, target)) in
            keys.iter()
                .zip([("same", "a"), ("same", "b"), ("other", "a")])
        {
            cache.put(key, built(module.as_bytes(), target)).unwrap();
        }
        let all = cache.list(None, 10).unwrap();
        assert_eq!(all.iter().map(|b| b.key).collect::<Vec<_>>(), keys);
        assert_eq!(all[1].subject.target.as_deref(), Some("b"));
        assert_eq!(cache.list(Some(keys[0]), 1).unwrap()[0].key, keys[1]);

        assert_eq!(cache.remove(Some(&keys[0])).unwrap(), 1);
        assert_eq!(cache.remove(Some(&keys[0])).unwrap(), 0);
        assert!(cache.get(&keys[0]).is_none() && cache.get(&keys[1]).is_some());
        assert_eq!(files.list().unwrap().len(), 4);
        assert_eq!(cache.remove(None).unwrap(), 2);
        assert!(files.list().unwrap().is_empty());
    }
}
