//! Accounts: the instances of LwM2M Security (0), LwM2M Server (1) and, for servers with it, LwM2M
//! OSCORE (21), as bootstrap writes them.
//!
//! They are staged while a bootstrap runs and swapped in one step at its end; in the journal they
//! are one record, so a cut leaves the old set or the new one.

#[cfg(feature = "dtls")]
mod credentials;
#[cfg(feature = "oscore")]
mod oscore;
mod security;
mod server;
mod stored;
#[cfg(test)]
mod tests;

use lwm2m_objects::{Path, Value, ids};

use crate::config::Factory;
use crate::platform::Now;
use crate::text::Text;
use crate::zero::Flag;
#[cfg(feature = "oscore")]
pub(crate) use oscore::Oscore;
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
    #[cfg(feature = "oscore")]
    pub(crate) oscore: [Option<Oscore>; MAX_INSTANCES],
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
        #[cfg(feature = "oscore")]
        oscore: [None; MAX_INSTANCES],
    };

    /// Becomes the same set as another.
    pub(crate) fn copy_from(&mut self, other: &Self) {
        *self = *other;
    }

    /// Becomes what a device leaves the factory with.
    ///
    /// False if the URI is too long, or identity or key, or OSCORE can't take its part.
    pub(crate) fn reset(&mut self, factory: Factory<'_>) -> bool {
        self.clear();
        let Some(uri) = Text::new(factory.uri()) else {
            return false;
        };
        let security = self.security[0].insert(Security::new(0));
        security.uri = uri;
        #[cfg(feature = "dtls")]
        if security.set_factory(factory).is_none() {
            return false;
        }
        #[cfg(feature = "oscore")]
        if let Factory::OscoreBootstrap(context) | Factory::OscoreServer(context) = factory {
            security.oscore = oscore::FACTORY_ID;
            let Some(context) = Oscore::from_factory(&context) else {
                return false;
            };
            self.oscore[0] = Some(context);
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
        let room =
            match object {
                ids::LWM2M_SECURITY => place(&mut self.security, |s| s.id == id)
                    .map(|place| *place = Some(Security::new(id))),
                ids::LWM2M_SERVER => place(&mut self.server, |s| s.id == id)
                    .map(|place| *place = Some(Server::new(id))),
                #[cfg(feature = "oscore")]
                ids::LWM2M_OSCORE => place(&mut self.oscore, |s| s.id == id)
                    .map(|place| *place = Some(Oscore::new(id))),
                _ => return Err(AccountError::Value),
            };
        room.ok_or(AccountError::Full)
    }

    /// Whether an instance would take the value.
    // Its frame, with an instance, is no part of the caller's.
    #[inline(never)]
    pub(crate) fn check(path: &Path, value: Value<'_>) -> Result<(), AccountError> {
        let (Some(object), Some(resource)) = (path.object_id(), path.resource_id()) else {
            return Err(AccountError::Value);
        };
        let taken = match object {
            ids::LWM2M_SECURITY => Security::new(0).set(resource, value),
            ids::LWM2M_SERVER => Server::new(0).set(resource, value),
            #[cfg(feature = "oscore")]
            ids::LWM2M_OSCORE => Oscore::new(0).set(resource, value),
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
            #[cfg(feature = "oscore")]
            ids::LWM2M_OSCORE => self.oscore_mut(id).and_then(|s| s.set(resource, value)),
            _ => None,
        };
        done.ok_or(AccountError::Value)
    }

    /// Bootstrap-Delete; the bootstrap server's own account stays (LwM2M TS 1.1 §6.1.7.6).
    ///
    /// False if the path names something that can't be deleted.
    pub(crate) fn delete(&mut self, path: &Path) -> bool {
        let (object, id) = (path.object_id(), path.instance_id());
        if path.depth() > 2 || object.is_some_and(|object| !Self::are_of(object)) {
            return false;
        }
        let bootstrap = self.bootstrap().map(|s| (s.id, s.oscore()));
        let protected = bootstrap.and_then(|(id, context)| match object? {
            ids::LWM2M_SECURITY => Some(id),
            ids::LWM2M_OSCORE => context,
            _ => None,
        });
        if id.is_some() && id == protected {
            return false;
        }
        let here = |of: u16, its: u16| {
            object.is_none_or(|object| object == of) && id.is_none_or(|id| its == id)
        };
        for s in &mut self.security {
            empty_if(s, |s| {
                !s.bootstrap.is_yes() && here(ids::LWM2M_SECURITY, s.id)
            });
        }
        for s in &mut self.server {
            empty_if(s, |s| here(ids::LWM2M_SERVER, s.id));
        }
        #[cfg(feature = "oscore")]
        for s in &mut self.oscore {
            let own = bootstrap.and_then(|(_, context)| context);
            empty_if(s, |s| own != Some(s.id) && here(ids::LWM2M_OSCORE, s.id));
        }
        true
    }

    /// Its instances are parts of accounts.
    pub(crate) fn are_of(object: u16) -> bool {
        match object {
            ids::LWM2M_SECURITY | ids::LWM2M_SERVER => true,
            #[cfg(feature = "oscore")]
            ids::LWM2M_OSCORE => true,
            _ => false,
        }
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
            #[cfg(feature = "oscore")]
            ids::LWM2M_OSCORE => free(&self.oscore, id, others, |s| s.id),
            _ => false,
        }
    }

    /// The instance is there.
    pub(crate) fn has(&self, object: u16, id: u16) -> bool {
        match object {
            ids::LWM2M_SECURITY => self.security.iter().flatten().any(|s| s.id == id),
            ids::LWM2M_SERVER => self.server(id).is_some(),
            #[cfg(feature = "oscore")]
            ids::LWM2M_OSCORE => self.oscore.iter().flatten().any(|s| s.id == id),
            _ => false,
        }
    }

    /// If the bootstrap account `old` was overwritten by a management account, it moves to a free
    /// instance; if there are two now, the written one counts.
    pub(crate) fn keep_bootstrap_account(&mut self, old: Option<&Security>) {
        let Some(old) = old else {
            return;
        };
        let all = self.security.iter().flatten();
        let count = all.filter(|s| s.bootstrap.is_yes()).count();
        if count == 0 {
            let taken = |id: u16| self.security.iter().flatten().any(|s| s.id == id);
            let free = (0..=MAX_INSTANCES as u16).find(|id| !taken(*id));
            let free = free.unwrap_or(old.id);
            if let Some(place) = place(&mut self.security, |s| s.id == free) {
                place.insert(*old).id = free;
            }
        } else if count > 1 {
            for s in &mut self.security {
                empty_if(s, |s| s == old);
            }
        }
    }

    /// What Bootstrap-Finish asks: exactly one bootstrap account, at least one management server,
    /// and every server with an address that can be used.
    pub(crate) fn is_consistent(&self) -> bool {
        let all = self.security.iter().flatten();
        all.filter(|s| s.bootstrap.is_yes()).count() == 1 && self.are_usable()
    }

    /// Whether the keys of all servers are keys, each with its own private one: what takes too long
    /// to be looked at more than once.
    #[cfg(feature = "rpk")]
    pub(crate) fn keys_are_usable(&self, now: Now) -> bool {
        let pairs = self.security.iter().flatten();
        let mut pairs = pairs.filter(|s| s.has_key_pair());
        pairs.all(|s| s.credentials(now).are_usable())
    }

    #[cfg(not(feature = "rpk"))]
    #[allow(clippy::unused_self)]
    pub(crate) const fn keys_are_usable(&self, _: Now) -> bool {
        true
    }

    #[cfg(not(feature = "oscore"))]
    const fn contexts_fit(&self) -> bool {
        true
    }

    /// There are management servers, and all of them can be used.
    fn are_usable(&self) -> bool {
        let servers = self.servers().count();
        let all = self.server.iter().flatten().count();
        let addresses = self
            .servers()
            .all(|(_, security)| security.server().is_some());
        let told_apart = addresses && self.servers_are_told_apart();
        servers > 0 && servers == all && told_apart && self.contexts_fit()
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
        #[cfg(feature = "oscore")]
        self.oscore.fill(None);
    }
}

/// The place of the one that `same` finds, or a free one.
fn place<T>(all: &mut [Option<T>], same: impl Fn(&T) -> bool) -> Option<&mut Option<T>> {
    let at = all
        .iter()
        .position(|s| s.as_ref().is_some_and(&same))
        .or_else(|| all.iter().position(Option::is_none));
    all.get_mut(at?)
}

/// Empties a place, without a copy of what was there.
fn empty_if<T>(place: &mut Option<T>, unwanted: impl Fn(&T) -> bool) {
    if place.as_ref().is_some_and(unwanted) {
        *place = None;
    }
}
