//! Accounts as the journal has them.

use super::{Accounts, Security, Server};
use crate::store::codec::{Reader, Writer};

/// Version 2, of firmware with certificates, has longer keys, and usage and name after them.
const SCHEMA: u8 = if cfg!(feature = "x509") { 2 } else { 1 };
#[cfg(feature = "x509")]
const WITHOUT_CERTIFICATES: u8 = 1;

impl Accounts {
    pub(crate) fn encode(&self, buf: &mut [u8]) -> Option<usize> {
        let mut w = Writer::new(buf);
        w.u8(SCHEMA);
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
        #[cfg(feature = "x509")]
        let is_long = schema != WITHOUT_CERTIFICATES;
        #[cfg(not(feature = "x509"))]
        let is_long = true;
        if schema != SCHEMA && is_long {
            return None;
        }
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
