//! Accounts as the journal has them. Those with OSCORE have a version of their own: firmware without
//! it knows them as something else, and does not talk to their servers in the clear.

#[cfg(feature = "oscore")]
use super::Oscore;
use super::{Accounts, Security, Server};
use crate::store::codec::{Reader, Writer};

/// Added to 1 in a record's version: with OSCORE contexts; of firmware with certificates, which has
/// longer keys, and usage and name after them.
const CONTEXTS: u8 = 1;
const LONG: u8 = 2;

impl Accounts {
    pub(crate) fn encode(&self, buf: &mut [u8]) -> Option<usize> {
        let mut w = Writer::new(buf);
        let has_contexts = self.has_contexts();
        let long = if cfg!(feature = "x509") { LONG } else { 0 };
        w.u8(1 + long + u8::from(has_contexts));
        w.u8(self.security.iter().flatten().count() as u8);
        for s in self.security.iter().flatten() {
            w.u16(s.id);
            w.short(s.uri.as_bytes());
            w.u8(u8::from(s.bootstrap.is_yes()));
            w.u8(s.mode);
            key(&mut w, s.identity.as_slice());
            key(&mut w, s.server_key.as_slice());
            key(&mut w, s.secret.as_slice());
            #[cfg(feature = "x509")]
            {
                w.u8(s.usage);
                w.short(s.name.as_bytes());
            }
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
            w.short(s.binding.as_bytes());
        }
        if has_contexts {
            self.encode_contexts(&mut w);
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

    fn read(&mut self, data: &[u8]) -> Option<()> {
        let mut r = Reader::new(data);
        let schema = r.u8()?;
        let (is_long, has_contexts) = known(schema)?;
        for i in 0..usize::from(r.u8()?) {
            let place = self.security.get_mut(i)?;
            let s = place.insert(Security::new(r.u16()?));
            s.uri.set(r.text()?)?;
            s.bootstrap = (r.u8()? != 0).into();
            s.mode = r.u8()?;
            s.identity.set(read_key(&mut r, is_long)?)?;
            s.server_key.set(read_key(&mut r, is_long)?)?;
            s.secret.set(read_key(&mut r, is_long)?)?;
            #[cfg(feature = "x509")]
            if is_long {
                s.usage = r.u8()?;
                s.name.set(r.text()?)?;
            }
            s.short_id = r.u16()?;
            s.hold_off = r.u32()?;
        }
        for i in 0..usize::from(r.u8()?) {
            let place = self.server.get_mut(i)?;
            let s = place.insert(Server::new(r.u16()?));
            s.short_id = r.u16()?;
            s.lifetime = r.u32()?;
            s.pmin = r.u32()?;
            s.pmax = r.u32()?;
            s.disable_timeout = r.u32()?;
            s.store_notifications = (r.u8()? != 0).into();
            s.binding.set(r.text()?)?;
        }
        if has_contexts {
            self.read_contexts(&mut r)?;
        }
        Some(())
    }
}

/// Whether a record of this version has long keys, and contexts; none if it is not read.
fn known(schema: u8) -> Option<(bool, bool)> {
    let what = schema.checked_sub(1)?;
    let (is_long, has_contexts) = (what & LONG != 0, what & CONTEXTS != 0);
    let is_known = what <= LONG | CONTEXTS
        && (cfg!(feature = "x509") || !is_long)
        && (cfg!(feature = "oscore") || !has_contexts);
    is_known.then_some((is_long, has_contexts))
}

#[cfg(not(feature = "oscore"))]
impl Accounts {
    #[allow(clippy::unused_self)]
    const fn has_contexts(&self) -> bool {
        false
    }

    #[allow(clippy::unused_self)]
    const fn encode_contexts(&self, _: &mut Writer<'_>) {}

    #[allow(clippy::unused_self, clippy::unnecessary_wraps)]
    const fn read_contexts(&mut self, _: &mut Reader<'_>) -> Option<()> {
        Some(())
    }
}

#[cfg(feature = "oscore")]
impl Accounts {
    fn has_contexts(&self) -> bool {
        let named = self.security.iter().flatten().any(|s| s.oscore().is_some());
        named || self.oscore.iter().any(Option::is_some)
    }

    fn encode_contexts(&self, w: &mut Writer<'_>) {
        for s in self.security.iter().flatten() {
            w.u16(s.oscore);
        }
        w.u8(self.oscore.iter().flatten().count() as u8);
        for s in self.oscore.iter().flatten() {
            w.u16(s.id);
            w.short(s.secret.as_slice());
            w.short(s.sender.as_slice());
            w.short(s.recipient.as_slice());
            w.short(s.salt.as_slice());
            w.u8(u8::from(s.has_context.is_yes()));
            w.short(s.context.as_slice());
        }
    }

    fn read_contexts(&mut self, r: &mut Reader<'_>) -> Option<()> {
        for s in self.security.iter_mut().flatten() {
            s.oscore = r.u16()?;
        }
        for i in 0..usize::from(r.u8()?) {
            let s = self.oscore.get_mut(i)?.insert(Oscore::new(r.u16()?));
            s.secret.set(r.short()?)?;
            s.sender.set(r.short()?)?;
            s.recipient.set(r.short()?)?;
            s.salt.set(r.short()?)?;
            s.has_context = (r.u8()? != 0).into();
            s.context.set(r.short()?)?;
        }
        Some(())
    }
}

#[cfg(not(feature = "x509"))]
fn key(w: &mut Writer<'_>, bytes: &[u8]) {
    w.short(bytes);
}

/// With a length of two bytes.
#[cfg(feature = "x509")]
fn key(w: &mut Writer<'_>, bytes: &[u8]) {
    w.u16(bytes.len() as u16);
    w.bytes(bytes);
}

#[cfg(not(feature = "x509"))]
fn read_key<'a>(r: &mut Reader<'a>, _: bool) -> Option<&'a [u8]> {
    r.short()
}

#[cfg(feature = "x509")]
fn read_key<'a>(r: &mut Reader<'a>, is_long: bool) -> Option<&'a [u8]> {
    if !is_long {
        return r.short();
    }
    let len = r.u16()?;
    r.take(len.into())
}
