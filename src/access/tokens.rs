//! The tokens of a server: the digest, name and role of each.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use tinsmith_digest::Digest;
use tinsmith_store::{self as store, Batch, Key, Kind, RecordError, Store, StoreError};

use crate::{Role, Secret};

/// The most tokens of a server.
pub const MAX_TOKENS: usize = 1000;
/// The most bytes of a token's name.
pub const MAX_NAME: usize = 64;
/// Version of the records.
const SCHEMA: u16 = 1;
/// The use of a token is written down at most so often (ms).
const USED_EVERY: u64 = 3_600_000;

/// What is known of a token; times are wall time in milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// Unique.
    pub name: String,
    /// What it allows.
    pub role: Role,
    /// When it was made.
    pub made: u64,
    /// When it was used last, as far as is known: an hour of it may be lost with the process.
    pub used: Option<u64>,
    /// From when on it is worth nothing.
    pub expires: Option<u64>,
}

impl Token {
    fn is_live(&self, now: u64) -> bool {
        self.expires.is_none_or(|at| now < at)
    }
}

/// A token to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// 1 to [`MAX_NAME`] bytes without control characters, unique.
    pub name: String,
    /// What it allows.
    pub role: Role,
    /// Wall time (ms) from when on it is worth nothing.
    pub expires: Option<u64>,
}

/// Why a token was not made or removed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// The name can't be one.
    #[error("the name of a token has 1 to {MAX_NAME} bytes and no control characters")]
    Name,
    /// Another token has the name.
    #[error("there is a token '{0}' already; remove it first, or choose another name")]
    Exists(String),
    /// No token has the name.
    #[error("no token '{0}'; see: tinsmith token list")]
    Unknown(String),
    /// Without it nobody could make another.
    #[error("'{0}' is the last admin token that does not expire; make another one first")]
    LastAdmin(String),
    /// There are too many.
    #[error("there are {MAX_TOKENS} tokens; remove one first")]
    Full,
    /// The record can't be written.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The store failed; nothing changed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The tokens of a server, in memory and in the store, by the digests of their secrets.
pub struct Tokens {
    store: Arc<dyn Store>,
    table: Mutex<HashMap<Digest, Token>>,
}

impl Tokens {
    /// Reads them. A record that can't be read opens nothing and is left as it is.
    ///
    /// # Errors
    /// The store failed.
    pub async fn open(store: Arc<dyn Store>) -> Result<Self, StoreError> {
        let mut table = HashMap::new();
        for (key, stored) in store.load(Kind::TOKEN).await? {
            let digest = <[u8; 32]>::try_from(&key.id[..]).map(Digest);
            match (digest, store::decode(SCHEMA..=SCHEMA, &stored.bytes)) {
                (Ok(digest), Ok(token)) => drop(table.insert(digest, token)),
                (Err(_), _) => tracing::warn!("the key of a token can't be read"),
                (_, Err(error)) => tracing::warn!(%error, "the record of a token can't be read"),
            }
        }
        let table = Mutex::new(table);
        Ok(Tokens { store, table })
    }

    /// All, in the order of their names.
    pub fn list(&self) -> Vec<Token> {
        let mut all: Vec<Token> = self.lock().values().cloned().collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }

    /// Whether there is an admin token that has not expired.
    pub fn has_admin(&self, now: u64) -> bool {
        let admin = |token: &Token| token.role == Role::Admin && token.is_live(now);
        self.lock().values().any(admin)
    }

    /// Makes a token of a secret; durable when this returns.
    ///
    /// # Errors
    /// Its name, too many, or the store.
    pub async fn make(&self, now: u64, secret: &Secret, named: Named) -> Result<Token, TokenError> {
        let Named {
            name,
            role,
            expires,
        } = named;
        if name.is_empty() || name.len() > MAX_NAME || name.chars().any(char::is_control) {
            return Err(TokenError::Name);
        }
        let token = Token {
            name,
            role,
            made: now,
            used: None,
            expires,
        };
        let digest = secret.digest();
        let committed = {
            let mut table = self.lock();
            if table.values().any(|other| other.name == token.name) {
                return Err(TokenError::Exists(token.name));
            }
            if table.len() >= MAX_TOKENS {
                return Err(TokenError::Full);
            }
            let committed = self.write(&digest, &token)?;
            table.insert(digest, token.clone());
            committed
        };
        if let Err(error) = committed.await {
            self.lock().remove(&digest);
            return Err(error.into());
        }
        Ok(token)
    }

    /// Removes a token; from now on it opens nothing. Durable when this returns.
    ///
    /// # Errors
    /// There is none, it is the last of its kind, or the store.
    pub async fn remove(&self, now: u64, name: &str) -> Result<Token, TokenError> {
        let (digest, token, committed) = {
            let mut table = self.lock();
            let mut found = table.iter().filter(|(_, token)| token.name == name);
            let unknown = || TokenError::Unknown(name.chars().take(MAX_NAME).collect());
            let digest = *found.next().ok_or_else(unknown)?.0;
            let lasting = |token: &Token| token.role == Role::Admin && token.expires.is_none();
            let others = table.iter().filter(|(other, _)| **other != digest);
            let mut others = others.map(|(_, token)| token);
            if table.get(&digest).is_some_and(lasting) && !others.any(lasting) {
                return Err(TokenError::LastAdmin(name.to_owned()));
            }
            let token = table.remove(&digest).ok_or_else(unknown)?;
            let batch = Batch::delete(Key::new(Kind::TOKEN, digest.0));
            (digest, token, self.store.commit(batch))
        };
        if let Err(error) = committed.await {
            if token.is_live(now) {
                self.lock().insert(digest, token);
            }
            return Err(error.into());
        }
        Ok(token)
    }

    /// The token of which a text is the secret, and its digest, if it has not expired.
    pub fn open_with(&self, now: u64, text: &str) -> Option<(Digest, Token)> {
        let digest = text.parse::<Secret>().ok()?.digest();
        Some((digest, self.of(now, &digest)?))
    }

    /// The token with a digest, if it has not expired; it is being used.
    pub fn of(&self, now: u64, digest: &Digest) -> Option<Token> {
        let mut table = self.lock();
        let token = table.get_mut(digest).filter(|token| token.is_live(now))?;
        let before = token.used;
        token.used = Some(before.map_or(now, |used| used.max(now)));
        if before.is_none_or(|used| used / USED_EVERY != now / USED_EVERY) {
            // Nobody waits for it, and it is no change that somebody made.
            drop(self.write(digest, token));
        }
        Some(token.clone())
    }

    /// Queues the record of a token; in the order of changes as long as the table is locked.
    fn write(
        &self,
        digest: &Digest,
        token: &Token,
    ) -> Result<impl Future<Output = Result<store::Version, StoreError>> + use<>, RecordError> {
        let record = store::encode(SCHEMA, token)?;
        let key = Key::new(Kind::TOKEN, digest.0);
        Ok(self.store.commit(Batch::put(key, record)))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Digest, Token>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
