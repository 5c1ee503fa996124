//! OSCORE contexts, beside pre-shared keys and rules.

use std::sync::Arc;

use tinsmith_lwm2m::{IssuedOscore, OscoreContext, OscoreContexts, OscoreStart};
use tinsmith_seal::Seal;
use tinsmith_store::{Batch, Op, RecordError, StoreError, Stored};
use tracing::{info, warn};
use zeroize::Zeroizing;

use super::{KeyError, Keys, MAX_KEYS};
use crate::context::Context;
use crate::contexts::Known;
use crate::entry::{Origin, Purpose};

/// Told of the device's ID of a context that was taken away.
pub type RevokeContext = Box<dyn Fn(&str, &[u8]) + Send + Sync>;

/// Bytes of what a device gets at bootstrap.
const SECRET: usize = 16;
const SALT: usize = 8;
const ID: usize = 4;
/// How often an ID is made that is another's; each is one of 2^32.
const TRIES: u32 = 64;

/// The server's ID in contexts for management that it makes. For bootstrap it is another, so that a
/// device with both knows who speaks.
#[must_use]
pub const fn server_id(purpose: Purpose) -> &'static [u8] {
    match purpose {
        Purpose::Bootstrap => &[0],
        Purpose::Management => &[1],
    }
}

/// How the keys of a context were used, as the store says.
pub(super) fn start(context: &Context, record: Option<&Stored>, seal: &dyn Seal) -> OscoreStart {
    match record.and_then(|record| context.read_numbers(&record.bytes, seal)) {
        None => OscoreStart::Lost,
        Some(used) if used.is_empty() => OscoreStart::Fresh,
        Some(used) => OscoreStart::Stored(used),
    }
}

impl Keys {
    /// Who is told of contexts that were taken away; the first one counts.
    pub fn on_revoke_context(&self, revoke: RevokeContext) {
        let _ = self.revoke_context.set(revoke);
    }

    /// Adds a context; durable when this returns. Keys that were here before go on with their
    /// numbers.
    ///
    /// # Errors
    /// It can't be one, the device's ID is another's, there are too many, or the store failed.
    pub async fn add_context(&self, context: Context) -> Result<(), KeyError> {
        context.check()?;
        let identity = context.identity();
        if self.contexts.get(&context.device).is_some() || self.has_identity(&identity) {
            return Err(KeyError::Exists(identity));
        }
        if self.contexts.len() >= MAX_KEYS {
            return Err(KeyError::Full);
        }
        let key = Context::store_key(&context.device);
        let mut batch = Batch {
            expect: vec![(key.clone(), None)],
            ops: vec![Op::Put(key, context.record(&*self.seal)?)],
        };
        let numbers = context.numbers_key();
        let known = self.store.get(&numbers).await?;
        let mut start = start(&context, known.as_ref(), &*self.numbers);
        if known.is_none() {
            start = OscoreStart::Fresh;
            let fresh = self.fresh(&context)?;
            batch.expect.push((numbers, None));
            batch.ops.push(fresh);
        }
        match self.store.commit(batch).await {
            Ok(_) => {}
            Err(StoreError::Conflict { .. }) => return Err(KeyError::Exists(identity)),
            Err(error) => return Err(error.into()),
        }
        let known = Known::new(context, start).filter(|known| self.contexts.insert(known.clone()));
        known.map(|_| ()).ok_or(KeyError::Exists(identity))
    }

    /// Removes a context and ends what was begun with it; false if there is none. Durable when this
    /// returns. How its keys were used is kept, as they may be given again.
    ///
    /// # Errors
    /// The store failed.
    pub async fn remove_context(&self, identity: &str) -> Result<bool, KeyError> {
        // From now on it opens nothing, whatever the store does.
        let id = self.contexts.id(identity);
        let Some(removed) = id.and_then(|id| self.contexts.remove(&id)) else {
            return Ok(false);
        };
        self.context_revoked(&removed.context);
        let batch = Batch::delete(Context::store_key(&removed.context.device));
        if let Err(error) = self.store.commit(batch).await {
            self.contexts.insert(removed);
            return Err(error.into());
        }
        Ok(true)
    }

    fn fresh(&self, context: &Context) -> Result<Op, RecordError> {
        let record = context.numbers(&[], &*self.numbers);
        let record = record.map_err(RecordError::Content)?;
        Ok(Op::Put(context.numbers_key(), record))
    }

    fn context_revoked(&self, context: &Context) {
        if let Some(revoke) = self.revoke_context.get() {
            revoke(&context.endpoint, &context.device);
        }
    }

    /// Forgets a context that was made here, and with it how its keys were used: they never come
    /// again.
    pub(super) fn drop_context(&self, context: &Context) -> [Op; 2] {
        self.contexts.remove(&context.device);
        self.context_revoked(context);
        [
            Op::Delete(Context::store_key(&context.device)),
            Op::Delete(context.numbers_key()),
        ]
    }

    /// The first use of a context ends what the device had before.
    pub(super) fn context_registers(&self, device: &[u8], endpoint: &str) -> Vec<Op> {
        let is_new = self.contexts.get(device);
        if is_new.is_none_or(|context| context.origin != Origin::Issued) {
            return Vec::new();
        }
        let mut ops = Vec::new();
        for context in self.contexts.issued(endpoint) {
            if context.device != device {
                ops.extend(self.drop_context(&context));
            }
        }
        for entry in self.table.issued(endpoint) {
            ops.push(self.drop_key(&entry.identity));
        }
        if let Some(context) = self.contexts.used(device) {
            match context.record(&*self.seal) {
                Ok(record) => ops.push(Op::Put(Context::store_key(device), record)),
                Err(error) => warn!(%endpoint, %error, "a context can't be stored"),
            }
        }
        info!(%endpoint, "registers with its new OSCORE context");
        ops
    }

    /// Makes a context for a device that bootstraps.
    pub(super) fn issue_context(
        &self,
        wall: u64,
        endpoint: &str,
        random: [u8; 32],
    ) -> Result<IssuedOscore, String> {
        let random = Zeroizing::new(random);
        let mut ops = Vec::new();
        for context in self.contexts.issued(endpoint) {
            if context.origin == Origin::Issued {
                // The device has begun anew.
                ops.extend(self.drop_context(&context));
            }
        }
        if self.contexts.len() >= MAX_KEYS {
            return Err("there are too many contexts".to_owned());
        }
        let (secret, rest) = random.split_at(SECRET);
        let (salt, rest) = rest.split_at(SALT);
        let first = rest.first_chunk::<ID>().copied().unwrap_or_default();
        let first = u32::from_be_bytes(first);
        let context = Context {
            endpoint: endpoint.to_owned(),
            purpose: Purpose::Management,
            origin: Origin::Issued,
            made: wall,
            device: Vec::new(),
            server: server_id(Purpose::Management).to_vec(),
            id_context: None,
            secret: Zeroizing::new(secret.to_vec()),
            salt: salt.to_vec(),
        };
        let context = (0..TRIES).find_map(|more| {
            let context = Context {
                device: first.wrapping_add(more).to_be_bytes().to_vec(),
                ..context.clone()
            };
            let known = Known::new(context.clone(), OscoreStart::Fresh)?;
            (context.check().is_ok() && self.contexts.insert(known)).then_some(context)
        });
        let why = || "this name can get no OSCORE context".to_owned();
        let context = context.ok_or_else(why)?;
        let record = context.record(&*self.seal);
        let made = record.and_then(|record| Ok((record, self.fresh(&context)?)));
        let (record, fresh) = made.map_err(|error| {
            self.contexts.remove(&context.device);
            error.to_string()
        })?;
        ops.push(Op::Put(Context::store_key(&context.device), record));
        ops.push(fresh);
        Ok(IssuedOscore {
            secret: context.secret,
            salt: context.salt,
            sender: context.device,
            recipient: context.server,
            ops,
        })
    }
}

impl OscoreContexts for Keys {
    fn context(&self, kid: &[u8]) -> Option<Arc<OscoreContext>> {
        self.contexts.shown(kid)
    }

    fn record(&self, shown: &OscoreContext, encoded: &[u8]) -> Option<Op> {
        let context = self.contexts.get(shown.master.recipient())?;
        match context.numbers(encoded, &*self.numbers) {
            Ok(record) => Some(Op::Put(context.numbers_key(), record)),
            Err(error) => {
                warn!(endpoint = %shown.endpoint, %error, "a context can't be stored");
                None
            }
        }
    }
}

#[cfg(test)]
mod tests;
