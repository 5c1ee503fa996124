//! Accounts: the instances of LwM2M Security (0) and LwM2M Server (1), as bootstrap writes them.
//!
//! They are staged while a bootstrap runs and swapped in one step at its end; in the journal they
//! are one record, so a cut leaves the old set or the new one.

use lwm2m_objects::{Path, Value};

use crate::store::codec::{Reader, Writer};
use crate::text::{Bytes, Text};
use crate::zero::Flag;

/// Instances of each of the two objects: the bootstrap server and two management servers.
pub(crate) const MAX_INSTANCES: usize = 3;

const SCHEMA: u8 = 1;

/// One instance of object 0 (LwM2M TS 1.1 §E.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Security {
    pub(crate) id: u16,
    pub(crate) uri: Text<96>,
    pub(crate) bootstrap: Flag,
    /// 3: NoSec. Other modes are kept for the layer that knows them.
    pub(crate) mode: u8,
    pub(crate) identity: Bytes<64>,
    pub(crate) server_key: Bytes<64>,
    pub(crate) secret: Bytes<64>,
    pub(crate) short_id: u16,
    /// Seconds before a Bootstrap-Request.
    pub(crate) hold_off: u32,
}

impl Security {
    pub(crate) const fn new(id: u16) -> Self {
        Self {
            id,
            uri: Text::EMPTY,
            bootstrap: Flag::No,
            mode: 3,
            identity: Bytes::EMPTY,
            server_key: Bytes::EMPTY,
            secret: Bytes::EMPTY,
            short_id: 0,
            hold_off: 0,
        }
    }

    fn set(&mut self, resource: u16, value: Value<'_>) -> Option<()> {
        match resource {
            0 => self.uri = Text::new(value.as_str()?)?,
            1 => self.bootstrap = value.as_bool()?.into(),
            2 => self.mode = u8::try_from(value.as_i64()?).ok().filter(|m| *m <= 4)?,
            3 => self.identity = Bytes::new(value.as_bytes()?)?,
            4 => self.server_key = Bytes::new(value.as_bytes()?)?,
            5 => self.secret = Bytes::new(value.as_bytes()?)?,
            10 => self.short_id = u16::try_from(value.as_i64()?).ok()?,
            11 => self.hold_off = u32::try_from(value.as_i64()?).ok()?,
            // SMS, bootstrap account timeout, SNI, OSCORE: accepted, without a use yet.
            6..=9 | 12..=17 => {}
            _ => return None,
        }
        Some(())
    }
}

/// One instance of object 1 (LwM2M TS 1.1 §E.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Server {
    pub(crate) id: u16,
    pub(crate) short_id: u16,
    /// Seconds.
    pub(crate) lifetime: u32,
    /// Default Minimum Period, seconds.
    pub(crate) pmin: u32,
    /// Default Maximum Period, seconds; 0: none.
    pub(crate) pmax: u32,
    /// Seconds.
    pub(crate) disable_timeout: u32,
    pub(crate) store_notifications: Flag,
    pub(crate) binding: Text<8>,
}

impl Server {
    pub(crate) const fn new(id: u16) -> Self {
        Self {
            id,
            short_id: 0,
            lifetime: 86_400,
            pmin: 0,
            pmax: 0,
            disable_timeout: 86_400,
            store_notifications: Flag::No,
            binding: Text::EMPTY,
        }
    }

    /// Takes a value; none if the resource is not there or does not take it.
    pub(crate) fn set(&mut self, resource: u16, value: Value<'_>) -> Option<()> {
        let seconds = |v: Value<'_>| u32::try_from(v.as_i64()?).ok();
        match resource {
            0 => self.short_id = u16::try_from(value.as_i64()?).ok().filter(|s| *s > 0)?,
            1 => self.lifetime = seconds(value)?.max(1),
            2 => self.pmin = seconds(value)?,
            3 => self.pmax = seconds(value)?,
            5 => self.disable_timeout = seconds(value)?,
            6 => self.store_notifications = value.as_bool()?.into(),
            7 => {
                let text = value.as_str().filter(|t| t.contains('U'))?;
                self.binding = Text::new(text)?;
            }
            // Priorities, retry timers, preferred transport: accepted, without a use yet.
            10..=26 => {}
            _ => return None,
        }
        Some(())
    }
}

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

    /// Becomes what a device leaves the factory with: the bootstrap server.
    ///
    /// False if the URI is too long.
    pub(crate) fn reset(&mut self, uri: &str) -> bool {
        self.clear();
        let Some(uri) = Text::new(uri) else {
            return false;
        };
        self.security[0] = Some(Security {
            uri,
            bootstrap: Flag::Yes,
            ..Security::new(0)
        });
        true
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
            0 => place(&mut self.security, Security::new(id), |s| s.id == id),
            1 => place(&mut self.server, Server::new(id), |s| s.id == id),
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
            0 => Security::new(0).set(resource, value),
            1 => Server::new(0).set(resource, value),
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
            0 => self
                .security
                .iter_mut()
                .flatten()
                .find(|s| s.id == id)
                .and_then(|s| s.set(resource, value)),
            1 => self.server_mut(id).and_then(|s| s.set(resource, value)),
            _ => None,
        };
        done.ok_or(AccountError::Value)
    }

    /// Bootstrap-Delete; the bootstrap server's own account stays (LwM2M TS 1.1 §6.1.7.6).
    ///
    /// False if the path names something that can't be deleted.
    pub(crate) fn delete(&mut self, path: &Path) -> bool {
        let (object, id) = (path.object_id(), path.instance_id());
        if path.depth() > 2 || !matches!(object, None | Some(0 | 1)) {
            return false;
        }
        let bootstrap = self.bootstrap().map(|s| s.id);
        if object == Some(0) && id.is_some() && id == bootstrap {
            return false;
        }
        for s in &mut self.security {
            let here = |s: &Security| object != Some(1) && id.is_none_or(|id| s.id == id);
            if s.as_ref().is_some_and(|s| !s.bootstrap.is_yes() && here(s)) {
                *s = None;
            }
        }
        for s in &mut self.server {
            let here = |s: &Server| object != Some(0) && id.is_none_or(|id| s.id == id);
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
            0 => free(&self.security, id, others, |s| s.id),
            1 => free(&self.server, id, others, |s| s.id),
            _ => false,
        }
    }

    /// The instance is there.
    pub(crate) fn has(&self, object: u16, id: u16) -> bool {
        match object {
            0 => self.security.iter().flatten().any(|s| s.id == id),
            1 => self.server(id).is_some(),
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
        let bootstrap = self
            .security
            .iter()
            .flatten()
            .filter(|s| s.bootstrap.is_yes())
            .count();
        let servers = self.servers().count();
        let all = self.server.iter().flatten().count();
        let addresses = self
            .servers()
            .all(|(_, s)| s.mode == 3 && crate::uri::parse(s.uri.as_str()).is_some());
        bootstrap == 1
            && servers > 0
            && servers == all
            && addresses
            && self.servers_are_told_apart()
    }

    /// Short ids, and the addresses by which their messages are known.
    fn servers_are_told_apart(&self) -> bool {
        let servers = || {
            self.servers()
                .map(|(s, security)| (s.short_id, crate::uri::parse(security.uri.as_str())))
        };
        servers().all(|(id, address)| {
            let same = servers().filter(|(i, a)| *i == id || *a == address);
            same.count() == 1
        })
    }

    pub(crate) fn encode(&self, buf: &mut [u8]) -> Option<usize> {
        let mut w = Writer::new(buf);
        w.u8(SCHEMA);
        w.u8(self.security.iter().flatten().count() as u8);
        for s in self.security.iter().flatten() {
            w.u16(s.id);
            w.short(s.uri.as_str().as_bytes());
            w.u8(u8::from(s.bootstrap.is_yes()));
            w.u8(s.mode);
            w.short(s.identity.as_slice());
            w.short(s.server_key.as_slice());
            w.short(s.secret.as_slice());
            w.u16(s.short_id);
            w.u32(s.hold_off);
        }
        w.u8(self.server.iter().flatten().count() as u8);
        for s in self.server.iter().flatten() {
            w.u16(s.id);
            w.u16(s.short_id);
            w.u32(s.lifetime);
            w.u32(s.pmin);
            w.u32(s.pmax);
            w.u32(s.disable_timeout);
            w.u8(u8::from(s.store_notifications.is_yes()));
            w.short(s.binding.as_str().as_bytes());
        }
        w.finish()
    }

    /// Takes what [`encode`](Self::encode) has written; false, and empty, if it is something else.
    pub(crate) fn decode(&mut self, data: &[u8]) -> bool {
        self.clear();
        let read = self.read(data).is_some();
        if !read {
            self.clear();
        }
        read
    }

    fn clear(&mut self) {
        self.security.fill(None);
        self.server.fill(None);
    }

    fn read(&mut self, data: &[u8]) -> Option<()> {
        let mut r = Reader::new(data);
        if r.u8()? != SCHEMA {
            return None;
        }
        for i in 0..usize::from(r.u8()?) {
            *self.security.get_mut(i)? = Some(Security {
                id: r.u16()?,
                uri: r.text()?,
                bootstrap: (r.u8()? != 0).into(),
                mode: r.u8()?,
                identity: r.short_bytes()?,
                server_key: r.short_bytes()?,
                secret: r.short_bytes()?,
                short_id: r.u16()?,
                hold_off: r.u32()?,
            });
        }
        for i in 0..usize::from(r.u8()?) {
            *self.server.get_mut(i)? = Some(Server {
                id: r.u16()?,
                short_id: r.u16()?,
                lifetime: r.u32()?,
                pmin: r.u32()?,
                pmax: r.u32()?,
                disable_timeout: r.u32()?,
                store_notifications: (r.u8()? != 0).into(),
                binding: r.text()?,
            });
        }
        Some(())
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::journal::MAX_DATA;

    fn factory() -> Accounts {
        let mut a = Accounts::EMPTY;
        assert!(a.reset("coap://127.0.0.1:5683"));
        a
    }

    fn decoded(data: &[u8]) -> Option<Accounts> {
        let mut a = full();
        a.decode(data).then_some(a)
    }

    fn full() -> Accounts {
        let mut a = factory();
        a.create(0, 1).unwrap();
        a.set(
            &Path::resource(0, 1, 0),
            Value::String("coap://127.0.0.1:5783"),
        )
        .unwrap();
        a.set(&Path::resource(0, 1, 10), Value::Integer(7)).unwrap();
        a.create(1, 0).unwrap();
        a.set(&Path::resource(1, 0, 0), Value::Integer(7)).unwrap();
        a.set(&Path::resource(1, 0, 1), Value::Integer(300))
            .unwrap();
        a.set(&Path::resource(1, 0, 7), Value::String("U")).unwrap();
        a
    }

    #[test]
    fn accounts_survive_the_journal() {
        let a = full();
        let mut buf = [0; MAX_DATA];
        let n = a.encode(&mut buf).unwrap();
        assert_eq!(decoded(&buf[..n]), Some(a));
        for short in 0..n {
            assert_ne!(decoded(&buf[..short]), Some(a));
        }
    }

    #[test]
    fn the_largest_set_fits_a_record() {
        let mut a = Accounts::EMPTY;
        for i in 0..MAX_INSTANCES {
            let mut s = Security::new(i as u16);
            s.uri = Text::new(&"u".repeat(96)).unwrap();
            s.identity = Bytes::new(&[1; 64]).unwrap();
            s.server_key = s.identity;
            s.secret = s.identity;
            a.security[i] = Some(s);
            a.server[i] = Some(Server::new(i as u16));
        }
        assert!(a.encode(&mut [0; MAX_DATA]).is_some());
    }

    #[test]
    fn delete_spares_the_bootstrap_account() {
        let mut a = full();
        assert!(a.is_consistent());
        assert!(a.delete(&Path::ROOT));
        assert_eq!(a, factory());
        assert!(!a.is_consistent());
        assert!(!a.delete(&Path::object(3)));
        assert!(!a.delete(&Path::instance(0, 0)), "the bootstrap account");
        let mut a = full();
        assert!(a.delete(&Path::object(1)));
        assert!(a.server.iter().all(Option::is_none));
        assert_eq!(a.security.iter().flatten().count(), 2);
    }

    #[test]
    fn a_management_account_may_be_written_over_the_bootstrap_account() {
        let before = factory();
        let mut a = before;
        a.create(0, 0).unwrap();
        a.set(
            &Path::resource(0, 0, 0),
            Value::String("coap://127.0.0.1:5783"),
        )
        .unwrap();
        a.set(&Path::resource(0, 0, 10), Value::Integer(7)).unwrap();
        a.keep_bootstrap_account(before.bootstrap().copied());
        assert_eq!(
            a.bootstrap().map(|s| (s.id, s.uri)),
            before.bootstrap().map(|s| (1, s.uri))
        );
        let mut a = before;
        a.create(0, 4).unwrap();
        a.set(&Path::resource(0, 4, 1), Value::Boolean(true))
            .unwrap();
        a.keep_bootstrap_account(before.bootstrap().copied());
        assert_eq!(a.bootstrap().map(|s| s.id), Some(4));
        assert_eq!(a.security.iter().flatten().count(), 1);
    }

    #[test]
    fn a_server_without_security_is_inconsistent() {
        let mut a = full();
        a.create(1, 1).unwrap();
        a.set(&Path::resource(1, 1, 0), Value::Integer(8)).unwrap();
        assert!(!a.is_consistent());
        let mut a = full();
        a.set(&Path::resource(0, 1, 2), Value::Integer(0)).unwrap();
        assert!(!a.is_consistent(), "PSK without DTLS");
    }

    #[test]
    fn short_ids_and_addresses_are_unique() {
        for (ids, hosts, good) in [
            ([7, 8], [1, 2], true),
            ([7, 8], [1, 1], false),
            ([7, 7], [1, 2], false),
        ] {
            let mut a = Accounts::EMPTY;
            for i in 0..2 {
                let uri = format!("coap://10.0.0.{}", hosts[i]);
                a.security[i] = Some(Security {
                    uri: Text::new(&uri).unwrap(),
                    short_id: ids[i],
                    ..Security::new(i as u16)
                });
                a.server[i] = Some(Server {
                    short_id: ids[i],
                    ..Server::new(i as u16)
                });
            }
            a.security[2] = Some(Security {
                bootstrap: Flag::Yes,
                ..Security::new(2)
            });
            assert_eq!(a.is_consistent(), good, "{ids:?} {hosts:?}");
            // The last two of three.
            a.server.rotate_right(1);
            assert_eq!(a.is_consistent(), good, "{ids:?} {hosts:?}");
        }
    }

    #[test]
    fn values_out_of_range_are_refused() {
        let mut a = full();
        for (path, value) in [
            (Path::resource(1, 0, 0), Value::Integer(0)),
            (Path::resource(1, 0, 1), Value::Integer(-1)),
            (Path::resource(1, 0, 7), Value::String("S")),
            (Path::resource(0, 1, 2), Value::Integer(9)),
            (Path::resource(0, 1, 99), Value::Integer(9)),
            (Path::resource(0, 9, 0), Value::String("x")),
        ] {
            assert_eq!(a.set(&path, value), Err(AccountError::Value), "{path:?}");
        }
        assert_eq!(a.create(1, 1), Ok(()));
        assert_eq!(a.create(1, 2), Ok(()));
        assert_eq!(a.create(1, 3), Err(AccountError::Full));
    }
}
