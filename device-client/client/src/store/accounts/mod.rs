//! Accounts: the instances of LwM2M Security (0) and LwM2M Server (1), as bootstrap writes them.
//!
//! They are staged while a bootstrap runs and swapped in one step at its end; in the journal they
//! are one record, so a cut leaves the old set or the new one.

mod security;
mod server;
mod stored;
#[cfg(test)]
mod tests;

use lwm2m_objects::{Path, Value, ids};

use crate::config::Factory;
use crate::text::Text;
use crate::zero::Flag;
#[cfg(feature = "dtls")]
use security::PRE_SHARED_KEY;
pub(crate) use security::Security;
pub(crate) use server::Server;

/// Instances of each of the two objects: the bootstrap server and two management servers.
pub(crate) const MAX_INSTANCES: usize = 3;

/// Short Server Id of a management server that a device has from the factory.
const FACTORY_SHORT_ID: u16 = 1;

/// A set of accounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Accounts {
    pub(crate) security: [Option<Security>; MAX_INSTANCES],
    pub(crate) server: [Option<Server>; MAX_INSTANCES],
}

/// Why a bootstrap server's write is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AccountError {
    /// No room for another instance.
    Full,
    /// The resource does not exist or does not take the value.
    Value,
}

impl Accounts {
    pub(crate) const EMPTY: Self = Self {
        security: [None; MAX_INSTANCES],
        server: [None; MAX_INSTANCES],
    };

    /// Becomes the same set as another.
    pub(crate) fn copy_from(&mut self, other: &Self) {
        *self = *other;
    }

    /// Becomes what a device leaves the factory with.
    ///
    /// False if the URI is too long, or identity or key.
    pub(crate) fn reset(&mut self, factory: Factory<'_>) -> bool {
        self.clear();
        let Some(uri) = Text::new(factory.uri()) else {
            return false;
        };
        let security = self.security[0].insert(Security::new(0));
        security.uri = uri;
        #[cfg(feature = "dtls")]
        if let Factory::SecureBootstrap(secure) | Factory::SecureServer(secure) = factory {
            security.mode = PRE_SHARED_KEY;
            let identity = security.identity.set(secure.identity);
            if identity.and(security.secret.set(secure.key)).is_none() {
                return false;
            }
        }
        if factory.is_bootstrap() {
            security.bootstrap = Flag::Yes;
        } else {
            security.short_id = FACTORY_SHORT_ID;
            self.server[0].insert(Server::new(0)).short_id = FACTORY_SHORT_ID;
        }
        true
    }

    /// They are of a device that left the factory so, and are enough to register.
    pub(crate) fn suit(&self, factory: Factory<'_>) -> bool {
        if factory.is_bootstrap() {
            return self.is_consistent();
        }
        let mut servers = self.servers();
        self.are_usable() && servers.any(|(_, s)| s.uri.as_str() == factory.uri())
    }

    /// Identity and key for a server with DTLS.
    #[cfg(feature = "dtls")]
    pub(crate) fn credentials(&self, id: u16) -> tinsmith_dtls::Credentials<'_> {
        let security = self.security.iter().flatten().find(|s| s.id == id);
        tinsmith_dtls::Credentials {
            identity: security.map_or(&[], |s| s.identity.as_slice()),
            key: security.map_or(&[], |s| s.secret.as_slice()),
        }
    }

    /// URI of a server with DTLS.
    #[cfg(feature = "dtls")]
    pub(crate) fn uri(&self, id: u16) -> &str {
        let security = self.security.iter().flatten().find(|s| s.id == id);
        security.map_or("", |s| s.uri.as_str())
    }

    /// The account of the bootstrap server.
    pub(crate) fn bootstrap(&self) -> Option<&Security> {
        self.security
            .iter()
            .flatten()
            .find(|s| s.bootstrap.is_yes())
    }

    /// The management servers with their security instances, by instance of object 1.
    pub(crate) fn servers(&self) -> impl Iterator<Item = (&Server, &Security)> {
        self.server.iter().flatten().filter_map(|server| {
            let security = self.security.iter().flatten();
            let security = security
                .filter(|s| !s.bootstrap.is_yes())
                .find(|s| s.short_id == server.short_id);
            Some((server, security?))
        })
    }

    pub(crate) fn server(&self, id: u16) -> Option<&Server> {
        self.server.iter().flatten().find(|s| s.id == id)
    }

    pub(crate) fn server_mut(&mut self, id: u16) -> Option<&mut Server> {
        self.server.iter_mut().flatten().find(|s| s.id == id)
    }

    /// Makes an instance as if it had never been written.
    pub(crate) fn create(&mut self, object: u16, id: u16) -> Result<(), AccountError> {
        let room = match object {
            ids::LWM2M_SECURITY => place(&mut self.security, Security::new(id), |s| s.id == id),
            ids::LWM2M_SERVER => place(&mut self.server, Server::new(id), |s| s.id == id),
            _ => return Err(AccountError::Value),
        };
        if room {
            Ok(())
        } else {
            Err(AccountError::Full)
        }
    }

    /// Whether an instance would take the value.
    pub(crate) fn check(path: &Path, value: Value<'_>) -> Result<(), AccountError> {
        let (Some(object), Some(resource)) = (path.object_id(), path.resource_id()) else {
            return Err(AccountError::Value);
        };
        let taken = match object {
            ids::LWM2M_SECURITY => Security::new(0).set(resource, value),
            ids::LWM2M_SERVER => Server::new(0).set(resource, value),
            _ => None,
        };
        taken.ok_or(AccountError::Value)
    }

    /// Takes one value of an instance that was created.
    pub(crate) fn set(&mut self, path: &Path, value: Value<'_>) -> Result<(), AccountError> {
        let (Some(object), Some(id), Some(resource)) =
            (path.object_id(), path.instance_id(), path.resource_id())
        else {
            return Err(AccountError::Value);
        };
        let done = match object {
            ids::LWM2M_SECURITY => self
                .security
                .iter_mut()
                .flatten()
                .find(|s| s.id == id)
                .and_then(|s| s.set(resource, value)),
            ids::LWM2M_SERVER => self.server_mut(id).and_then(|s| s.set(resource, value)),
            _ => None,
        };
        done.ok_or(AccountError::Value)
    }

    /// Bootstrap-Delete; the bootstrap server's own account stays (LwM2M TS 1.1 §6.1.7.6).
    ///
    /// False if the path names something that can't be deleted.
    pub(crate) fn delete(&mut self, path: &Path) -> bool {
        let (object, id) = (path.object_id(), path.instance_id());
        if path.depth() > 2
            || !matches!(object, None | Some(ids::LWM2M_SECURITY | ids::LWM2M_SERVER))
        {
            return false;
        }
        let bootstrap = self.bootstrap().map(|s| s.id);
        if object == Some(ids::LWM2M_SECURITY) && id.is_some() && id == bootstrap {
            return false;
        }
        for s in &mut self.security {
            let here =
                |s: &Security| object != Some(ids::LWM2M_SERVER) && id.is_none_or(|id| s.id == id);
            if s.as_ref().is_some_and(|s| !s.bootstrap.is_yes() && here(s)) {
                *s = None;
            }
        }
        for s in &mut self.server {
            let here =
                |s: &Server| object != Some(ids::LWM2M_SECURITY) && id.is_none_or(|id| s.id == id);
            if s.as_ref().is_some_and(here) {
                *s = None;
            }
        }
        true
    }

    /// There is room for an instance if `others` are made before it.
    pub(crate) fn may_create(&self, object: u16, id: u16, others: &[Option<u16>]) -> bool {
        fn free<T>(all: &[Option<T>], id: u16, others: &[Option<u16>], of: fn(&T) -> u16) -> bool {
            let here = |id: u16| all.iter().flatten().any(|s| of(s) == id);
            let new = others.iter().flatten().filter(|id| !here(**id)).count();
            here(id) || all.iter().flatten().count() + new < all.len()
        }
        match object {
            ids::LWM2M_SECURITY => free(&self.security, id, others, |s| s.id),
            ids::LWM2M_SERVER => free(&self.server, id, others, |s| s.id),
            _ => false,
        }
    }

    /// The instance is there.
    pub(crate) fn has(&self, object: u16, id: u16) -> bool {
        match object {
            ids::LWM2M_SECURITY => self.security.iter().flatten().any(|s| s.id == id),
            ids::LWM2M_SERVER => self.server(id).is_some(),
            _ => false,
        }
    }

    /// If the bootstrap account `old` was overwritten by a management account, it moves to a free
    /// instance; if there are two now, the written one counts.
    pub(crate) fn keep_bootstrap_account(&mut self, old: Option<Security>) {
        let Some(old) = old else {
            return;
        };
        let all = self.security.iter().flatten();
        let count = all.filter(|s| s.bootstrap.is_yes()).count();
        if count == 0 {
            let taken = |id: u16| self.security.iter().flatten().any(|s| s.id == id);
            let free = (0..=MAX_INSTANCES as u16).find(|id| !taken(*id));
            let free = free.unwrap_or(old.id);
            place(&mut self.security, Security { id: free, ..old }, |s| {
                s.id == free
            });
        } else if count > 1 {
            for s in &mut self.security {
                if *s == Some(old) {
                    *s = None;
                }
            }
        }
    }

    /// What Bootstrap-Finish asks: exactly one bootstrap account, at least one management server,
    /// and every server with an address that can be used.
    pub(crate) fn is_consistent(&self) -> bool {
        let all = self.security.iter().flatten();
        all.filter(|s| s.bootstrap.is_yes()).count() == 1 && self.are_usable()
    }

    /// There are management servers, and all of them can be used.
    fn are_usable(&self) -> bool {
        let servers = self.servers().count();
        let all = self.server.iter().flatten().count();
        let addresses = self
            .servers()
            .all(|(_, security)| security.server().is_some());
        servers > 0 && servers == all && addresses && self.servers_are_told_apart()
    }

    /// Short ids, and the addresses by which their messages are known.
    fn servers_are_told_apart(&self) -> bool {
        let servers = || {
            self.servers()
                .map(|(s, security)| (s.short_id, security.server().map(|s| s.address)))
        };
        servers().all(|(id, address)| {
            let same = servers().filter(|(i, a)| *i == id || *a == address);
            same.count() == 1
        })
    }

    fn clear(&mut self) {
        self.security.fill(None);
        self.server.fill(None);
    }
}

/// Puts `new` in the place of the one that `same` finds, or into a free one.
fn place<T: Copy>(all: &mut [Option<T>], new: T, same: impl Fn(&T) -> bool) -> bool {
    let at = all
        .iter()
        .position(|s| s.as_ref().is_some_and(&same))
        .or_else(|| all.iter().position(Option::is_none));
    match at {
        Some(at) => {
            all[at] = Some(new);
            true
        }
        None => false,
    }
}
