//! Observations (RFC 7641, LwM2M TS 1.1 §6.4): what is observed, and when to notify.
//!
//! After any change the observed values are hashed; a notification is due when the hash differs
//! from that of the last one sent, not before pmin and at the latest after pmax.

use core::net::SocketAddr;

use lwm2m_objects::format::ContentFormat;
use lwm2m_objects::{Path, Records, Value};
use tinsmith_coap::observe::Observer;
use tinsmith_coap::{Code, MessageId, OptionNumber, Reliability, Token};

use crate::client::Client;
use crate::link::{MAX_CONFIRMABLE, Role, instant};
use crate::objects::{Tree, Under};
use crate::platform::{Now, Platform};
use crate::read::{Read, read_format};

/// Largest block of a notification, so that it fits the retransmission buffer.
const NOTIFY_BLOCK: usize = 512;
const _: () = assert!(NOTIFY_BLOCK + 64 <= MAX_CONFIRMABLE);

/// Room for one observation.
#[derive(Clone, Copy, Debug, Default)]
pub struct Observation {
    entry: Option<Entry>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    peer: usize,
    observer: Observer,
    path: Path,
    accept: Option<ContentFormat>,
    /// Hash of what the server was last told.
    told: u32,
    /// `Client::changes` when `told` was last compared.
    seen: u32,
    /// Monotonic milliseconds.
    told_at: u64,
    /// The values differ from `told`.
    due: bool,
    /// The last attempt found an unacknowledged notification in the way; its end wakes us.
    blocked: bool,
}

impl Observation {
    /// None.
    pub const EMPTY: Self = Self { entry: None };
}

/// FNV-1a over paths and values.
fn hash(records: &dyn Records) -> u32 {
    let mut hash = 0x811C_9DC5u32;
    let mut add = |bytes: &[u8]| {
        for byte in bytes {
            hash = (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
        }
    };
    records.visit(&mut |path, value| {
        for id in path.ids() {
            add(&id.to_le_bytes());
        }
        match value {
            Value::String(t) | Value::Corelnk(t) => add(t.as_bytes()),
            Value::Opaque(b) => add(b),
            Value::Integer(n) | Value::Time(n) => add(&n.to_le_bytes()),
            Value::UnsignedInteger(n) => add(&n.to_le_bytes()),
            Value::Float(x) => add(&x.to_bits().to_le_bytes()),
            Value::Boolean(b) => add(&[u8::from(b)]),
            Value::Objlnk(l) => {
                add(&l.object.to_le_bytes());
                add(&l.instance.to_le_bytes());
            }
        }
    });
    hash
}

impl Client<'_> {
    /// A GET with Observe 0. Gives the sequence for the answer, none if the table is full: then the
    /// answer is that of a plain read (RFC 7641 §4.1).
    pub(crate) fn observe(
        &mut self,
        now: Now,
        peer: usize,
        token: Token,
        path: Path,
        accept: Option<ContentFormat>,
        platform: &dyn Platform,
    ) -> Option<u32> {
        let told = hash(&Under {
            tree: Tree {
                client: self,
                platform,
                now,
            },
            path,
        });
        let observer = Observer::new(instant(now), token);
        let entry = Entry {
            peer,
            observer,
            path,
            accept,
            told,
            seen: self.changes,
            told_at: now.mono,
            due: false,
            blocked: false,
        };
        let same = |o: &&mut Observation| {
            o.entry
                .is_some_and(|e| e.peer == peer && (e.observer.token() == token || e.path == path))
        };
        if let Some(old) = self.observations.iter_mut().find(same) {
            old.entry = Some(entry);
            return Some(observer.sequence());
        }
        let free = self.observations.iter_mut().find(|o| o.entry.is_none())?;
        free.entry = Some(entry);
        Some(observer.sequence())
    }

    /// A GET with Observe 1.
    pub(crate) fn stop_observing(&mut self, peer: usize, token: Token, path: &Path) {
        self.forget(|e| e.peer == peer && (e.observer.token() == token || e.path == *path));
    }

    pub(crate) fn cancel_observation(&mut self, peer: usize, token: Token) {
        self.forget(|e| e.peer == peer && e.observer.token() == token);
    }

    pub(crate) fn cancel_by_message_id(&mut self, peer: usize, id: MessageId) {
        self.forget(|e| e.peer == peer && e.observer.is_reset_by(id));
    }

    pub(crate) fn forget_observations(&mut self, peer: usize) {
        self.forget(|e| e.peer == peer);
    }

    fn forget(&mut self, which: impl Fn(&Entry) -> bool) {
        for o in self.observations.iter_mut() {
            if o.entry.as_ref().is_some_and(&which) {
                o.entry = None;
            }
        }
    }

    pub(crate) fn notification_confirmed(&mut self, now: Now, peer: usize, token: Token) {
        for entry in self
            .observations
            .iter_mut()
            .filter_map(|o| o.entry.as_mut())
        {
            if entry.peer == peer && entry.observer.token() == token {
                entry.observer.confirmed(instant(now));
            }
        }
    }

    /// pmin and pmax of the server, milliseconds.
    fn periods(&self, peer: usize) -> (u64, Option<u64>) {
        let role = self
            .peers
            .get(peer)
            .and_then(|p| p.link.as_ref())
            .map(|l| l.role);
        let Some(Role::Server { instance, .. }) = role else {
            return (0, None);
        };
        let server = self
            .accounts
            .server
            .iter()
            .flatten()
            .find(|s| s.id == instance);
        let pmin = server.map_or(0, |s| u64::from(s.pmin) * 1000);
        let pmax = server.map_or(0, |s| u64::from(s.pmax) * 1000);
        (pmin, (pmax > 0 && pmax >= pmin).then_some(pmax))
    }

    pub(crate) fn notification_deadlines(&self) -> impl Iterator<Item = u64> {
        self.observations.iter().filter_map(|o| {
            let entry = o.entry.as_ref().filter(|e| !e.blocked)?;
            let (pmin, pmax) = self.periods(entry.peer);
            let due = entry.due.then_some(entry.told_at + pmin);
            let late = pmax.map(|p| entry.told_at + p);
            due.into_iter().chain(late).min()
        })
    }

    pub(crate) fn poll_notifications(
        &mut self,
        now: Now,
        buf: &mut [u8],
        platform: &mut dyn Platform,
    ) -> Option<(SocketAddr, usize)> {
        for i in 0..self.observations.len() {
            let Some(mut entry) = self.observations[i].entry else {
                continue;
            };
            let (pmin, pmax) = self.periods(entry.peer);
            if entry.seen != self.changes && !self.inference.is_quiet(&entry.path) {
                let tree = Tree {
                    client: self,
                    platform,
                    now,
                };
                entry.due = hash(&Under {
                    tree,
                    path: entry.path,
                }) != entry.told;
                entry.seen = self.changes;
                self.observations[i].entry = Some(entry);
            }
            let late = pmax.is_some_and(|p| entry.told_at + p <= now.mono);
            if !(late || (entry.due && entry.told_at + pmin <= now.mono)) {
                continue;
            }
            if let Some(sent) = self.notify(now, i, entry, buf, platform) {
                return Some(sent);
            }
        }
        None
    }

    fn notify(
        &mut self,
        now: Now,
        i: usize,
        mut entry: Entry,
        buf: &mut [u8],
        platform: &mut dyn Platform,
    ) -> Option<(SocketAddr, usize)> {
        let mut payload = [0; NOTIFY_BLOCK];
        let tree = Tree {
            client: self,
            platform,
            now,
        };
        let told = hash(&Under {
            tree,
            path: entry.path,
        });
        let tree = Tree {
            client: self,
            platform,
            now,
        };
        let read = read_format(&tree, &entry.path, entry.accept)
            .and_then(|format| Read::block(tree, entry.path, format, None, &mut payload));
        let tag = self.etag(now);
        let link = self.peers.get_mut(entry.peer)?.link.as_mut()?;
        let token = entry.observer.token();
        let Ok(read) = read else {
            // What was observed is gone: say so and end (RFC 7641 §3.2).
            let sent = link.coap.notify(
                instant(now),
                token,
                Code::NOT_FOUND,
                Reliability::NonConfirmable,
                buf,
                |_| Ok(()),
            );
            self.observations[i].entry = None;
            return sent.ok().map(|(len, _)| (link.address, len));
        };
        let (sequence, reliability) = entry.observer.next(instant(now), Reliability::Confirmable);
        let sent = link
            .coap
            .notify(instant(now), token, Code::CONTENT, reliability, buf, |b| {
                if read.needs_etag() {
                    b.option(OptionNumber::ETAG, &tag)?;
                }
                b.uint(OptionNumber::OBSERVE, sequence)?;
                read.write(&payload, b)
            });
        let Ok((len, id)) = sent else {
            if let Some(entry) = self.observations[i].entry.as_mut() {
                entry.blocked = true;
            }
            return None;
        };
        entry.blocked = false;
        entry.observer.sent(id);
        entry.told = told;
        entry.told_at = now.mono;
        entry.due = false;
        entry.seen = self.changes;
        self.observations[i].entry = Some(entry);
        Some((link.address, len))
    }
}
