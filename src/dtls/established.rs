//! Associations after their handshakes: OpenSSL has no part in this.

use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::sync::Arc;

use tinsmith_dtls::{
    Alert, AlertDescription, Content, ContentType, MAX_OVERHEAD, SealError, SoftAes, Window,
    records,
};

use crate::cid::CID_LEN;
use crate::config::{NotSent, Output};
use crate::kept::{self, Unreadable};
use crate::server::Server;

const CLIENT_HELLO: u8 = 1;

/// What a record asks for.
enum Wish {
    Data(Vec<u8>),
    End(Alert),
    Renegotiate,
    Nothing,
}

impl Server {
    /// Takes the records of an association; false if none is authentic and new.
    pub(crate) fn records(
        &mut self,
        now: u64,
        number: u32,
        from: SocketAddr,
        datagram: &mut [u8],
    ) -> bool {
        let mut any = false;
        for record in records(datagram, CID_LEN) {
            let Some(entry) = self.associations.get_mut(number) else {
                break;
            };
            let Ok(opened) = entry.association.open(&mut SoftAes::new(), record) else {
                continue;
            };
            let moved = opened.newest && from != entry.address;
            let wish = match opened.content {
                Content::Data(data) => Wish::Data(data.to_vec()),
                Content::Alert(alert) if alert.ends() => Wish::End(alert),
                Content::Handshake([CLIENT_HELLO, ..]) => Wish::Renegotiate,
                Content::Alert(_) | Content::Handshake(_) => Wish::Nothing,
            };
            any = true;
            entry.heard = now;
            if moved {
                // Without a Connection ID it would not have been found here.
                entry.address = from;
                self.keep(number);
            }
            match wish {
                Wish::Data(data) => self.received(number, data),
                Wish::End(alert) => {
                    let closes = alert.description == AlertDescription::CLOSE_NOTIFY;
                    self.end(number, closes.then_some(Alert::CLOSE_NOTIFY));
                }
                Wish::Renegotiate => {
                    let refused = AlertDescription::NO_RENEGOTIATION;
                    self.alert(number, Alert::warning(refused));
                }
                Wish::Nothing => {}
            }
        }
        any
    }

    pub(crate) fn received(&mut self, number: u32, data: Vec<u8>) {
        if let Some(entry) = self.associations.get(number) {
            self.outputs.push_back(Output::Received {
                peer: entry.peer(number),
                identity: Arc::clone(&entry.identity),
                data,
                window: *entry.association.received(),
            });
        }
    }

    /// Sends data to the peer of an association, wherever it is.
    ///
    /// # Errors
    /// Nothing was sent.
    pub fn send(&mut self, number: u32, data: &[u8]) -> Result<(), NotSent> {
        self.seal(number, ContentType::ApplicationData, data)
    }

    fn alert(&mut self, number: u32, alert: Alert) {
        // Whom it does not reach finds out by itself.
        let _ = self.seal(number, ContentType::Alert, &alert.to_bytes());
    }

    fn seal(&mut self, number: u32, kind: ContentType, data: &[u8]) -> Result<(), NotSent> {
        let entry = self.associations.get_mut(number).ok_or(NotSent::Gone)?;
        let mut record = Vec::with_capacity(data.len() + MAX_OVERHEAD);
        record.extend_from_slice(data);
        record.resize(data.len() + entry.association.overhead(), 0);
        let aes = &mut SoftAes::new();
        let sealed = match kind {
            // An alert that can't go now is not worth waiting for.
            ContentType::Alert if entry.association.numbers_left() == 0 => return Ok(()),
            _ => entry.association.seal(aes, kind, &mut record, data.len()),
        };
        let address = entry.address;
        let low = self.config.reserve.is_some_and(|count| {
            entry.asked.is_none() && entry.association.numbers_left() <= count / 2
        });
        if low {
            self.keep(number);
        }
        match sealed {
            Ok(len) => {
                record.truncate(len);
                self.transmit(address, record);
                Ok(())
            }
            Err(SealError::Unreserved) => match self.associations.wait(number, data) {
                true => Ok(()),
                false => Err(NotSent::Waiting),
            },
            Err(SealError::Exhausted) => {
                self.end(number, None);
                Err(NotSent::Gone)
            }
            Err(_) => Err(NotSent::TooLong),
        }
    }

    /// Ends an association from our side.
    pub fn close(&mut self, number: u32) {
        self.end(number, Some(Alert::CLOSE_NOTIFY));
    }

    /// Ends an association and tells its peer.
    pub(crate) fn end(&mut self, number: u32, alert: Option<Alert>) {
        if let Some(alert) = alert {
            self.alert(number, alert);
        }
        self.remove(number);
    }

    pub(crate) fn remove(&mut self, number: u32) {
        if let Some(entry) = self.associations.remove(number) {
            if self.config.reserve.is_some() {
                self.outputs.push_back(Output::Forget(number));
            }
            self.outputs.push_back(Output::Gone(entry.peer(number)));
        }
    }

    /// Has the association kept as it is now, with numbers for the records to come.
    pub(crate) fn keep(&mut self, number: u32) {
        let Some(count) = self.config.reserve else {
            return;
        };
        let Some(entry) = self.associations.get_mut(number) else {
            return;
        };
        let mark = entry.association.reserve(count);
        if let Some(record) = kept::write(entry) {
            entry.asked = NonZeroU64::new(mark);
            self.outputs.push_back(Output::Keep {
                number,
                mark,
                record,
            });
        }
    }

    /// What [`Output::Keep`] gave out is durable, or could not be made so.
    pub fn kept(&mut self, number: u32, mark: u64, durable: bool) {
        let Some(entry) = self.associations.get_mut(number) else {
            return;
        };
        if entry.asked == NonZeroU64::new(mark) {
            entry.asked = None;
        }
        if durable {
            entry.association.confirm_reserved(mark);
        }
        for data in self.associations.waited(number) {
            if durable && self.send(number, &data).is_err() {
                break;
            }
        }
    }

    /// Takes an association that was kept under this number, and what is known to have been received
    /// since, before anything else is done. One whose key was taken away or changed since ends at
    /// once. The number must be [its own](crate::Siblings::owner).
    ///
    /// # Errors
    /// The record can't be read; it belongs to another version, or was changed.
    pub fn restore(
        &mut self,
        now: u64,
        number: u32,
        record: &[u8],
        since: Option<Window>,
    ) -> Result<(), Unreadable> {
        let mut entry = kept::read(now, record).ok_or(Unreadable)?;
        if let Some(since) = since {
            entry.association.has_received(since);
        }
        let has_no_cid = entry.association.own_cid().is_empty();
        let own = entry.association.own_cid().as_bytes();
        let is_its_own = own.is_empty() || crate::cid::number_of(own) == Some(number);
        let free = self.associations.get(number).is_none()
            && self.siblings.owner(number) == usize::from(self.config.worker)
            && (!own.is_empty() || self.associations.at(entry.address).is_none());
        if number == 0 || !is_its_own || !free {
            return Err(Unreadable);
        }
        let is_let_in = self.lets_in(&entry.identity, &entry.by).is_some();
        let (address, identity) = (entry.address, Arc::clone(&entry.identity));
        let is_of_one = entry.is_of_one;
        self.associations.insert(number, entry);
        // A crash may leave what was replaced at another server beside what replaced it. The device
        // uses one of the two; if that is the one that ends here, it makes a new handshake.
        if is_of_one {
            self.only(&identity, number);
        }
        if has_no_cid
            && self.siblings.servers() > 1
            && let Some(old) = self.siblings.strays(address, number)
        {
            self.replaced(old);
        }
        if !is_let_in {
            self.deny(number);
        }
        Ok(())
    }
}
