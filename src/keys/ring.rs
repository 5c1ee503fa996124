//! The keys of a server: which signs, and which devices are told to trust.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use lwm2m_objects::hex;
use serde::{Deserialize, Serialize};
use tinsmith_order::Sign;
use tinsmith_package::{Algorithm, KeyId, MAX_ANCHORS, Manifest, Scheme, Signature, TrustAnchor};
use tinsmith_store::private;

use crate::command::{self, CommandError};
use crate::key::Secret;
use crate::seal::{Master, SealError};

const SCHEMA: u32 = 1;
const FILE: &str = "keys.json";
const SCHEMES: [Scheme; 2] = [Scheme::ED25519, Scheme::ES256];

/// Why there is no key, or no signature.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The folder or the file.
    #[error("the keys in {}: {error}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// The file has another form.
    #[error("{} is no file of keys: {reason}", path.display())]
    Form {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Sealing.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The command that signs.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// It signs otherwise than its public key says.
    #[error("the signature is not that of the public key {0}")]
    Wrong(String),
    /// There is no such key.
    #[error("there is no key {0}")]
    Unknown(String),
    /// The last one stays.
    #[error("{0} is the only key of its algorithm: rotate it first")]
    Last(String),
    /// More than devices can trust.
    #[error("a device trusts at most {MAX_ANCHORS} keys: remove one first")]
    TooMany,
}

/// Where a key is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// Here: nonce and text of AES-256-GCM, in hexadecimal digits.
    Sealed(String),
    /// Behind a command.
    Command(String),
}

/// A key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its key id, in hexadecimal digits.
    pub id: String,
    /// The public key: COSE_Key, in hexadecimal digits.
    pub public: String,
    /// Seconds since 1970.
    pub created: u64,
    /// Where it is.
    pub origin: Origin,
}

impl Entry {
    /// The public key; none if the file was changed by hand.
    #[must_use]
    pub fn anchor(&self) -> Option<TrustAnchor> {
        TrustAnchor::parse(&hex::decode(&self.public)?, &SCHEMES)
    }
}

#[derive(Serialize, Deserialize)]
struct Stored {
    schema: u32,
    /// The newest first.
    keys: Vec<Entry>,
}

/// The keys of a server. The newest of an algorithm signs; devices trust all of them.
#[derive(Debug)]
pub struct Keyring {
    folder: PathBuf,
    master: Master,
    /// Changes come one after the other.
    turn: Mutex<()>,
}

impl Keyring {
    /// The keys in a folder, which is made if it is not there.
    ///
    /// # Errors
    /// It can't be made or read.
    pub fn open(folder: &Path, master: Master) -> Result<Self, KeyError> {
        let file = |error| KeyError::File {
            path: folder.to_owned(),
            error,
        };
        private::folder(folder).map_err(file)?;
        let ring = Self {
            folder: folder.to_owned(),
            master,
            turn: Mutex::new(()),
        };
        ring.list()?;
        Ok(ring)
    }

    fn path(&self) -> PathBuf {
        self.folder.join(FILE)
    }

    /// All keys, the newest first. The file is read each time: another process may change it.
    ///
    /// # Errors
    /// It can't be read.
    pub fn list(&self) -> Result<Vec<Entry>, KeyError> {
        let path = self.path();
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(KeyError::File { path, error }),
        };
        let form = |reason: String| KeyError::Form {
            path: path.clone(),
            reason,
        };
        let stored: Stored =
            serde_json::from_slice(&text).map_err(|error| form(error.to_string()))?;
        if stored.schema != SCHEMA {
            return Err(form(format!("schema {}", stored.schema)));
        }
        match stored.keys.iter().find(|key| key.anchor().is_none()) {
            Some(bad) => Err(form(format!("the public key of {}", bad.id))),
            None => Ok(stored.keys),
        }
    }

    fn save(&self, keys: Vec<Entry>) -> Result<(), KeyError> {
        let path = self.path();
        let schema = SCHEMA;
        let text = serde_json::to_vec_pretty(&Stored { schema, keys });
        let text = text.map_err(|error| KeyError::Form {
            path: path.clone(),
            reason: error.to_string(),
        })?;
        private::write(&path, &text).map_err(|error| KeyError::File { path, error })
    }

    fn add(&self, anchor: &TrustAnchor, origin: Origin) -> Result<Entry, KeyError> {
        let mut keys = self.list()?;
        if keys.len() >= MAX_ANCHORS {
            return Err(KeyError::TooMany);
        }
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let entry = Entry {
            id: hex::encode(anchor.id()),
            public: public(anchor),
            created: since.map_or(0, |since| since.as_secs()),
            origin,
        };
        keys.retain(|key| key.id != entry.id);
        keys.insert(0, entry.clone());
        self.save(keys)?;
        Ok(entry)
    }

    /// Makes a key, which signs from now on.
    ///
    /// # Errors
    /// It can't be made or stored.
    pub fn make(&self, algorithm: Algorithm) -> Result<Entry, KeyError> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let secret = Secret::new(algorithm)?;
        let anchor = secret.public().ok_or(SealError::Random)?;
        let sealed = self.master.seal(anchor.id(), secret.bytes())?;
        self.add(&anchor, Origin::Sealed(hex::encode(&sealed)))
    }

    /// Takes a command that signs with the key of which this is the public one: it signs from now
    /// on. It is tried first.
    ///
    /// # Errors
    /// It does not sign, or with another key.
    pub fn take_command(&self, command: &str, public: &TrustAnchor) -> Result<Entry, KeyError> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let message = tinsmith_package::to_be_signed(public.algorithm(), &[0; 32]);
        let bytes = command::sign(command, &message, command::LIMIT)?;
        verified(public, &[0; 32], bytes)?;
        self.add(public, Origin::Command(command.to_owned()))
    }

    /// Removes a key that is not the newest of its algorithm: devices are not told to trust it any
    /// more.
    ///
    /// # Errors
    /// There is no such key, or it is the newest.
    pub fn remove(&self, id: &str) -> Result<(), KeyError> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let mut keys = self.list()?;
        let algorithm = |key: &Entry| key.anchor().map(|anchor| anchor.algorithm());
        let at = keys.iter().position(|key| key.id == id);
        let at = at.ok_or_else(|| KeyError::Unknown(id.to_owned()))?;
        let newest = keys
            .iter()
            .position(|key| algorithm(key) == algorithm(&keys[at]));
        if newest == Some(at) {
            return Err(KeyError::Last(id.to_owned()));
        }
        keys.remove(at);
        self.save(keys)
    }

    /// The public keys, the newest first: what devices trust.
    ///
    /// # Errors
    /// The file can't be read.
    pub fn anchors(&self) -> Result<Vec<TrustAnchor>, KeyError> {
        Ok(self.list()?.iter().filter_map(Entry::anchor).collect())
    }

    fn sign_with(
        &self,
        key: &Entry,
        anchor: &TrustAnchor,
        manifest: &Manifest,
    ) -> Result<Signature<[u8; 64]>, KeyError> {
        let message = manifest.to_be_signed(anchor.algorithm());
        let bytes = match &key.origin {
            Origin::Command(command) => command::sign(command, &message, command::LIMIT)?,
            Origin::Sealed(sealed) => {
                let sealed = hex::decode(sealed).unwrap_or_default();
                let secret = self.master.unseal(anchor.id(), &sealed)?;
                let secret = Secret::from_bytes(anchor.algorithm(), &secret);
                let signature = secret.and_then(|secret| secret.sign(&message));
                signature.ok_or(SealError::Damaged)?
            }
        };
        verified(anchor, manifest.digest(), bytes)
    }
}

/// The signature, if it is that of the key: what a device would refuse is not sent.
fn verified(
    anchor: &TrustAnchor,
    digest: &[u8; 32],
    bytes: [u8; 64],
) -> Result<Signature<[u8; 64]>, KeyError> {
    let signature = Signature {
        algorithm: anchor.algorithm(),
        key_id: *anchor.id(),
        bytes,
    };
    match signature.is_of(anchor, digest, &SCHEMES) {
        true => Ok(signature),
        false => Err(KeyError::Wrong(hex::encode(anchor.id()))),
    }
}

impl Sign for Keyring {
    fn sign(
        &self,
        manifest: &Manifest,
        algorithms: &[i64],
        trusted: &[KeyId],
    ) -> Result<Option<Signature<[u8; 64]>>, String> {
        if algorithms.is_empty() {
            return Ok(None);
        }
        let keys = self.list().map_err(|error| error.to_string())?;
        let keys = keys.iter().filter_map(|key| Some((key, key.anchor()?)));
        let mut fit = keys.filter(|(_, anchor)| {
            algorithms.contains(&anchor.algorithm().number())
                && (trusted.is_empty() || trusted.contains(anchor.id()))
        });
        let Some((key, anchor)) = fit.next() else {
            return Err(match trusted {
                [] => format!("there is no key for the algorithms {algorithms:?} of the device"),
                _ => {
                    let ids: Vec<String> = trusted.iter().map(|id| hex::encode(id)).collect();
                    let ids = ids.join(", ");
                    format!("the device trusts only keys that this server does not have: {ids}")
                }
            });
        };
        let signature = self.sign_with(key, &anchor, manifest);
        signature.map(Some).map_err(|error| error.to_string())
    }
}

/// A public key as text.
fn public(anchor: &TrustAnchor) -> String {
    let (bytes, len) = anchor.encode();
    hex::encode(&bytes[..len])
}

#[cfg(test)]
#[path = "ring_tests.rs"]
mod tests;
