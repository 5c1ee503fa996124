//! Accounts: one instance of LwM2M OSCORE (21), and which account it belongs to.

use lwm2m_objects::Value;
use lwm2m_objects::ids::lwm2m_oscore as ids;
use tinsmith_oscore::{AES_CCM_16_64_128, HKDF_SHA_256, MAX_ID, MAX_SALT, MAX_SECRET, Master};

use super::{Accounts, Security, empty_if};
use crate::config::OscoreFactory;
use crate::text::Bytes;
use crate::zero::Flag;

/// Longest ID Context, in bytes; keys that are derived again need the rest of what OSCORE has room
/// for.
const MAX_CONTEXT: usize = 32;
/// The instance of a context from the factory: one that no bootstrap server writes by chance.
pub(super) const FACTORY_ID: u16 = u16::MAX - 1;
/// HMAC with SHA-256 as COSE numbers it (RFC 8152 §7.1): what [`HKDF_SHA_256`] is made of.
const HMAC_SHA_256: i64 = 5;

/// One instance of object 21 (LwM2M TS 1.2 §E.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Oscore {
    pub(crate) id: u16,
    pub(super) secret: Bytes<MAX_SECRET>,
    pub(super) sender: Bytes<MAX_ID>,
    pub(super) recipient: Bytes<MAX_ID>,
    pub(super) salt: Bytes<MAX_SALT>,
    pub(super) has_context: Flag,
    pub(super) context: Bytes<MAX_CONTEXT>,
}

impl Oscore {
    pub(crate) const fn new(id: u16) -> Self {
        Self {
            id,
            secret: Bytes::EMPTY,
            sender: Bytes::EMPTY,
            recipient: Bytes::EMPTY,
            salt: Bytes::EMPTY,
            has_context: Flag::No,
            context: Bytes::EMPTY,
        }
    }

    /// None if OSCORE can't take it.
    pub(super) fn from_factory(factory: &OscoreFactory<'_>) -> Option<Self> {
        let mut new = Self::new(FACTORY_ID);
        new.secret.set(factory.master_secret)?;
        new.sender.set(factory.sender_id)?;
        new.recipient.set(factory.recipient_id)?;
        new.salt.set(factory.master_salt)?;
        new.has_context = factory.id_context.is_some().into();
        new.context.set(factory.id_context.unwrap_or_default())?;
        new.master().map(|_| new)
    }

    /// The keys are those of the factory.
    pub(crate) fn is_of(&self, factory: &OscoreFactory<'_>) -> bool {
        Self::from_factory(factory).is_some_and(|factory| self.has_keys_of(&factory))
    }

    fn has_keys_of(&self, other: &Self) -> bool {
        *self
            == Self {
                id: self.id,
                ..*other
            }
    }

    /// None if it is not complete.
    pub(crate) fn master(&self) -> Option<Master> {
        let secret = self.secret.as_slice();
        let (sender, recipient) = (self.sender.as_slice(), self.recipient.as_slice());
        let master = Master::new(secret, self.salt.as_slice(), sender, recipient).ok()?;
        match self.has_context.is_yes() {
            true => master.with_context(self.context.as_slice()).ok(),
            false => Some(master),
        }
    }

    /// What its keys are made of.
    pub(crate) fn parts(&self) -> [&[u8]; 6] {
        let has_context: &[u8] = match self.has_context.is_yes() {
            true => &[1],
            false => &[0],
        };
        [
            self.secret.as_slice(),
            self.salt.as_slice(),
            self.sender.as_slice(),
            self.recipient.as_slice(),
            has_context,
            self.context.as_slice(),
        ]
    }

    pub(super) fn set(&mut self, resource: u16, value: Value<'_>) -> Option<()> {
        let one_of = |allowed: &[i64]| allowed.contains(&value.as_i64()?).then_some(());
        match resource {
            ids::OSCORE_MASTER_SECRET => self.secret.set(value.as_bytes()?)?,
            ids::OSCORE_SENDER_ID => self.sender.set(value.as_bytes()?)?,
            ids::OSCORE_RECIPIENT_ID => self.recipient.set(value.as_bytes()?)?,
            ids::OSCORE_AEAD_ALGORITHM => one_of(&[AES_CCM_16_64_128])?,
            ids::OSCORE_HMAC_ALGORITHM => one_of(&[HKDF_SHA_256, HMAC_SHA_256])?,
            ids::OSCORE_MASTER_SALT => self.salt.set(value.as_bytes()?)?,
            ids::OSCORE_ID_CONTEXT => {
                self.context.set(value.as_bytes()?)?;
                self.has_context = Flag::Yes;
            }
            _ => return None,
        }
        Some(())
    }
}

impl Accounts {
    pub(super) fn oscore_mut(&mut self, id: u16) -> Option<&mut Oscore> {
        self.oscore.iter_mut().flatten().find(|s| s.id == id)
    }

    /// The context of the account with this instance of object 0.
    pub(crate) fn context(&self, security: u16) -> Option<&Oscore> {
        let mut all = self.security.iter().flatten();
        self.context_of(all.find(|s| s.id == security)?)
    }

    fn context_of(&self, security: &Security) -> Option<&Oscore> {
        let id = security.oscore()?;
        self.oscore.iter().flatten().find(|s| s.id == id)
    }

    /// Each account that names a context has one, complete and for itself: two servers with the same
    /// keys would make the same numbers be used twice.
    pub(super) fn contexts_fit(&self) -> bool {
        let named = || {
            let all = self.security.iter().flatten();
            all.filter(|s| s.oscore().is_some())
        };
        named().all(|security| {
            let Some(context) = self.context_of(security) else {
                return false;
            };
            let others = named().filter_map(|other| self.context_of(other));
            context.master().is_some() && others.filter(|o| o.has_keys_of(context)).count() == 1
        })
    }

    /// Forgets the contexts that no account names.
    pub(crate) fn forget_unused_contexts(&mut self) {
        let Self {
            security, oscore, ..
        } = self;
        for context in oscore {
            empty_if(context, |c| {
                !security.iter().flatten().any(|s| s.oscore() == Some(c.id))
            });
        }
    }
}
