//! All models by name and version: those shipped inside the program, and those added.

mod stored;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use tinsmith_digest::Digest;
use tinsmith_store::{Batch, Files, Kind, Op, Store};

use crate::error::MAX_MODELS;
use crate::version::compare;
use crate::{Model, ZooError, shipped};
use stored::{Id, Stored};

/// A version of a model.
enum Entry {
    Usable(Arc<Model>),
    /// Its record can't be read.
    Unreadable(String),
    /// A file of it is gone or damaged.
    Damaged(String),
}

impl Entry {
    fn model(&self) -> Option<&Arc<Model>> {
        match self {
            Entry::Usable(model) => Some(model),
            Entry::Unreadable(_) | Entry::Damaged(_) => None,
        }
    }
}

/// The versions of a model, oldest first. That of a record that can't be read may be unknown: then
/// it is empty.
type Versions = Vec<(String, Entry)>;

/// All models by name and version. A version is never changed: what is added under a name and a
/// version stays so until it is removed.
pub struct Zoo {
    models: RwLock<BTreeMap<String, Versions>>,
    keep: Option<(Arc<dyn Store>, Files)>,
}

impl Zoo {
    /// The shipped models only.
    pub fn shipped() -> Self {
        let zoo = Self {
            models: RwLock::default(),
            keep: None,
        };
        for model in shipped::models() {
            zoo.insert(Arc::new(model));
        }
        zoo
    }

    /// The shipped models and those in the store.
    ///
    /// # Errors
    /// The store fails.
    pub async fn open(store: Arc<dyn Store>, files: Files) -> Result<Self, ZooError> {
        let mut zoo = Self::shipped();
        for (key, record) in store.load(Kind::MODEL).await? {
            let Id { name, version } = Id::of(&key);
            match stored::restore(&key, &record.bytes, &files) {
                Ok(model) => zoo.insert(Arc::new(model)),
                Err((version_inside, error)) => {
                    let id = String::from_utf8_lossy(&key.id).into_owned();
                    tracing::warn!(name = id, %error, "an added model can't be read");
                    let version = version_inside.unwrap_or(version);
                    let entry = match error {
                        ZooError::Unreadable { reason, .. } => Entry::Unreadable(reason),
                        error => Entry::Damaged(error.to_string()),
                    };
                    zoo.put(&name, version, entry);
                }
            }
        }
        zoo.keep = Some((store, files));
        Ok(zoo)
    }

    /// The newest version of a model.
    ///
    /// # Errors
    /// There is none, or it can't be used.
    pub fn find(&self, name: &str) -> Result<Arc<Model>, ZooError> {
        self.find_version(name, None)
    }

    /// A version of a model; without one, the newest.
    ///
    /// # Errors
    /// There is none, or it can't be used.
    pub fn find_version(&self, name: &str, version: Option<&str>) -> Result<Arc<Model>, ZooError> {
        let models = self.lock();
        let Some(versions) = models.get(name) else {
            let known: Vec<_> = models.keys().take(50).map(String::as_str).collect();
            return Err(unknown(name, &known));
        };
        let wanted = |of: &str| version.is_none_or(|version| version == of || of.is_empty());
        let found = versions.iter().rfind(|(of, _)| wanted(of));
        let Some((found, entry)) = found else {
            let known: Vec<_> = versions.iter().map(|(of, _)| of.as_str()).collect();
            let name = format!("{name} {}", version.unwrap_or_default());
            return Err(unknown(&name, &known));
        };
        let name = named(name, found);
        match entry {
            Entry::Usable(model) => Ok(model.clone()),
            Entry::Unreadable(reason) => Err(ZooError::Unreadable {
                name,
                reason: reason.clone(),
            }),
            Entry::Damaged(reason) => Err(ZooError::Damaged {
                name,
                reason: reason.clone(),
            }),
        }
    }

    /// The version of a model that has this ONNX file.
    ///
    /// # Errors
    /// There is none, or it can't be used.
    pub fn exact(
        &self,
        name: &str,
        version: &str,
        source: &Digest,
    ) -> Result<Arc<Model>, ZooError> {
        let model = self.find_version(name, Some(version))?;
        if model.source == *source {
            return Ok(model);
        }
        let known = format!("version {version} with another ONNX file");
        let name = format!("{name} {version} ({})", source.short());
        Err(unknown(&name, &[&known]))
    }

    /// All models in the order of their names, the oldest version of each first.
    pub fn list(&self) -> Vec<Arc<Model>> {
        let models = self.lock();
        let entries = models.values().flatten();
        entries
            .filter_map(|(_, entry)| entry.model().cloned())
            .collect()
    }

    /// The versions of a model that can be used, oldest first.
    pub fn versions(&self, name: &str) -> Vec<String> {
        let models = self.lock();
        let entries = models.get(name).into_iter().flatten();
        let usable = entries.filter(|(_, entry)| entry.model().is_some());
        usable.map(|(version, _)| version.clone()).collect()
    }

    /// Added models whose records can't be read, and why; they are left as they are.
    pub fn unreadable(&self) -> BTreeMap<String, String> {
        self.told(|entry| match entry {
            Entry::Unreadable(reason) => Some(reason),
            _ => None,
        })
    }

    /// Added models whose files are gone or damaged, and how; they can be added again.
    pub fn damaged(&self) -> BTreeMap<String, String> {
        self.told(|entry| match entry {
            Entry::Damaged(reason) => Some(reason),
            _ => None,
        })
    }

    /// By the name of the model, and of the version if others can be used.
    fn told(&self, why: impl Fn(&Entry) -> Option<&String>) -> BTreeMap<String, String> {
        let mut told = BTreeMap::new();
        for (name, versions) in &*self.lock() {
            for (version, entry) in versions {
                if let Some(reason) = why(entry) {
                    let only = versions.len() == 1;
                    let name = if only {
                        name.clone()
                    } else {
                        named(name, version)
                    };
                    told.insert(name, reason.clone());
                }
            }
        }
        told
    }

    /// Adds a version of a model. Durable when this returns. False: it was there already, with the
    /// same bytes. Those that add and remove take turns.
    ///
    /// # Errors
    /// The version is there with other bytes, or can't be kept.
    pub async fn add(&self, model: Model) -> Result<(Arc<Model>, bool), ZooError> {
        let (name, version) = (model.card.name.clone(), model.card.version.clone());
        {
            let models = self.lock();
            let versions = models.get(&name).map_or(&[][..], Vec::as_slice);
            let entries = versions.iter().map(|(_, entry)| entry);
            if entries.filter_map(Entry::model).any(|old| old.shipped) {
                return Err(ZooError::Shipped(name));
            }
            let same = |(of, _): &&(String, Entry)| *of == version || of.is_empty();
            match versions.iter().find(same) {
                Some((_, Entry::Usable(old))) if old.is_same(&model) => {
                    return Ok((old.clone(), false));
                }
                Some((_, Entry::Usable(_))) => {
                    return Err(ZooError::Immutable { name, version });
                }
                Some((_, Entry::Unreadable(reason))) => {
                    let reason = reason.clone();
                    return Err(ZooError::Unreadable { name, reason });
                }
                Some((_, Entry::Damaged(_))) | None => {}
            }
            let count: usize = models.values().map(Vec::len).sum();
            if count >= MAX_MODELS {
                return Err(ZooError::Full);
            }
        }
        self.keep(&model).await?;
        let model = Arc::new(model);
        self.insert(model.clone());
        Ok((model, true))
    }

    /// Removes a version of a model, and the files that no other has. Durable when this returns.
    /// Those that add and remove take turns.
    ///
    /// # Errors
    /// It is not there, is shipped, or can't be removed from the store.
    pub async fn remove(&self, name: &str, version: &str) -> Result<(), ZooError> {
        match self.find_version(name, Some(version)) {
            Ok(model) if model.shipped => return Err(ZooError::Shipped(name.to_owned())),
            Ok(_) | Err(ZooError::Damaged { .. }) => {}
            Err(error) => return Err(error),
        }
        if let Some((store, files)) = &self.keep {
            let keys = [Id::key(name, version), Id::old_key(name)];
            let mut ops = Vec::new();
            let (mut gone, mut kept) = (Vec::new(), Vec::new());
            for (key, record) in store.load(Kind::MODEL).await? {
                let stored = Stored::read(&record.bytes).ok();
                let is_it = stored.as_ref().is_some_and(|s| s.version() == version);
                let files = stored.iter().flat_map(Stored::files);
                if keys.contains(&key) && is_it {
                    gone.extend(files);
                    ops.push(Op::Delete(key));
                } else {
                    kept.extend(files);
                }
            }
            let expect = Vec::new();
            store.commit(Batch { expect, ops }).await?;
            for file in gone.iter().filter(|file| !kept.contains(file)) {
                if let Err(error) = files.remove(file) {
                    tracing::warn!(%file, %error, "a file of a removed model stays");
                }
            }
        }
        let mut models = self.lock_mut();
        if let Some(versions) = models.get_mut(name) {
            versions.retain(|(of, _)| of != version);
            if versions.is_empty() {
                models.remove(name);
            }
        }
        Ok(())
    }

    /// Stores a model as it is now. Durable when this returns.
    pub(crate) async fn keep(&self, model: &Model) -> Result<(), ZooError> {
        if let Some((store, files)) = &self.keep {
            let batch = stored::batch(model, files)?;
            store.commit(batch).await?;
        }
        Ok(())
    }

    fn insert(&self, model: Arc<Model>) {
        let (name, version) = (model.card.name.clone(), model.card.version.clone());
        self.put(&name, version, Entry::Usable(model));
    }

    fn put(&self, name: &str, version: String, entry: Entry) {
        let mut models = self.lock_mut();
        let versions = models.entry(name.to_owned()).or_default();
        versions.retain(|(of, _)| *of != version);
        let at = versions.partition_point(|(of, _)| compare(of, &version).is_lt());
        versions.insert(at, (version, entry));
    }

    fn lock(&self) -> RwLockReadGuard<'_, BTreeMap<String, Versions>> {
        self.models.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_mut(&self) -> RwLockWriteGuard<'_, BTreeMap<String, Versions>> {
        self.models.write().unwrap_or_else(PoisonError::into_inner)
    }
}

fn named(name: &str, version: &str) -> String {
    if version.is_empty() {
        return name.to_owned();
    }
    format!("{name} {version}")
}

fn unknown(name: &str, known: &[&str]) -> ZooError {
    ZooError::Unknown {
        name: name.chars().take(120).collect(),
        known: known.join(", "),
    }
}
