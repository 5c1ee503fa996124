//! Accounts as the journal has them. Those with OSCORE have a version of their own: firmware without
//! it knows them as something else, and does not talk to their servers in the clear.

#[cfg(feature = "oscore")]
use super::Oscore;
use super::{Accounts, Security, Server};
use crate::store::codec::{Reader, Writer};

const SCHEMA: u8 = 1;
#[cfg(feature = "oscore")]
const SCHEMA_OSCORE: u8 = 2;

impl Accounts {
    pub(crate) fn encode(&self, buf: &mut [u8]) -> Option<usize> {
        let mut w = Writer::new(buf);
        w.u8(self.schema());
        w.u8(self.security.iter().flatten().count() as u8);
        for s in self.security.iter().flatten() {
            w.u16(s.id);
            w.short(s.uri.as_bytes());
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
            w.short(s.binding.as_bytes());
        }
        #[cfg(feature = "oscore")]
        if self.schema() == SCHEMA_OSCORE {
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
        if !Self::knows(schema) {
            return None;
        }
        for i in 0..usize::from(r.u8()?) {
            let place = self.security.get_mut(i)?;
            let s = place.insert(Security::new(r.u16()?));
            s.uri.set(r.text()?)?;
            s.bootstrap = (r.u8()? != 0).into();
            s.mode = r.u8()?;
            s.identity.set(r.short()?)?;
            s.server_key.set(r.short()?)?;
            s.secret.set(r.short()?)?;
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
        #[cfg(feature = "oscore")]
        if schema == SCHEMA_OSCORE {
            self.read_contexts(&mut r)?;
        }
        Some(())
    }
}

#[cfg(not(feature = "oscore"))]
impl Accounts {
    const fn schema(&self) -> u8 {
        SCHEMA
    }

    const fn knows(schema: u8) -> bool {
        schema == SCHEMA
    }
}

#[cfg(feature = "oscore")]
impl Accounts {
    fn schema(&self) -> u8 {
        let named = self.security.iter().flatten().any(|s| s.oscore().is_some());
        match named || self.oscore.iter().any(Option::is_some) {
            true => SCHEMA_OSCORE,
            false => SCHEMA,
        }
    }

    const fn knows(schema: u8) -> bool {
        matches!(schema, SCHEMA | SCHEMA_OSCORE)
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
