//! Observations (RFC 7641, LwM2M TS 1.1 §6.4): what is observed, and when to notify.
//!
//! After any change the observed values are hashed; a notification is due when the hash differs
//! from that of the last one sent, not before pmin and at the latest after pmax.

use core::net::SocketAddr;

use lwm2m_objects::format::ContentFormat;
use lwm2m_objects::{Path, Records, Value};
use tinsmith_coap::observe::Observer;
use tinsmith_coap::{Code, MessageId, Reliability, Token};

use super::{Build, Link, MAX_CONFIRMABLE, Session};
use crate::device::Device;
use crate::handler::Origin;
use crate::objects::Tree;
use crate::platform::{Now, instant};
use crate::read::{BLOCK, Read, ReadRequest, read_format};
use crate::zero::Live;

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
    _live: Live,
    observer: Observer,
    path: Path,
    accept: Option<ContentFormat>,
    /// Hash of what the server was last told.
    told: u32,
    /// `Log::changes` when `told` was last compared.
    seen: u32,
    /// Something at a path of it was said to have changed since then.
    stale: bool,
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

    #[cfg(test)]
    pub(crate) const fn is_some(&self) -> bool {
        self.entry.is_some()
    }
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

impl Session<'_> {
    /// A GET with Observe 0. Gives the sequence for the answer, none if the table is full: then the
    /// answer is that of a plain read (RFC 7641 §4.1).
    fn observe(&mut self, request: &ReadRequest, tree: &Tree<'_>) -> Option<u32> {
        let ReadRequest {
            token,
            path,
            accept,
            ..
        } = *request;
        let view = &tree.view;
        let told = hash(&tree.under(path));
        let observer = Observer::new(instant(view.now), token);
        let entry = Entry {
            _live: Live::Live,
            observer,
            path,
            accept,
            told,
            seen: view.device.log.changes,
            stale: false,
            told_at: view.now.mono,
            due: false,
            blocked: false,
        };
        let same = |o: &&mut Observation| {
            o.entry
                .is_some_and(|e| e.observer.token() == token || e.path == path)
        };
        let (link, observations) = self.parts();
        let oscore = &mut link?.oscore;
        if let Some(old) = observations.iter_mut().find(same) {
            let before = old.entry.replace(entry);
            if let Some(before) = before.filter(|e| e.observer.token() != token) {
                oscore.forget(before.observer.token());
            }
            return Some(observer.sequence());
        }
        let mut room = observations.iter_mut().take(oscore.max_observed());
        let free = room.find(|o| o.entry.is_none())?;
        free.entry = Some(entry);
        Some(observer.sequence())
    }

    /// Encodes what a GET asks for as options and payload of its answer, and begins or ends its
    /// observation.
    pub(crate) fn read(
        &mut self,
        tree: &Tree<'_>,
        request: &ReadRequest,
    ) -> Result<(Read, Option<u32>), Code> {
        let path = request.path;
        let format = read_format(tree, &path, request.accept)?;
        let read = Read::measure(tree, path, format, request.asked, BLOCK)?;
        let first = request.asked.is_none_or(|b| b.num == 0);
        let mut sequence = None;
        match request.observe {
            Some(0) if first && format != ContentFormat::LINK => {
                sequence = self.observe(request, tree);
            }
            Some(1) => self.stop_observing(request.token, &path),
            _ => {}
        }
        Ok((read, sequence))
    }

    /// A GET with Observe 1.
    fn stop_observing(&mut self, token: Token, path: &Path) {
        self.forget(|e| e.observer.token() == token || e.path == *path);
    }

    pub(crate) fn cancel_observation(&mut self, token: Token) {
        self.forget(|e| e.observer.token() == token);
    }

    pub(crate) fn cancel_by_message_id(&mut self, id: MessageId) {
        self.forget(|e| e.observer.is_reset_by(id));
    }

    pub(crate) fn forget_observations(&mut self) {
        self.forget(|_| true);
    }

    fn forget(&mut self, which: impl Fn(&Entry) -> bool) {
        let (mut link, observations) = self.parts();
        for o in observations {
            if let Some(entry) = o.entry.take_if(|e| which(e))
                && let Some(link) = &mut link
            {
                link.oscore.forget(entry.observer.token());
            }
        }
    }

    fn entries(&mut self) -> impl Iterator<Item = &mut Entry> {
        self.parts().1.iter_mut().filter_map(|o| o.entry.as_mut())
    }

    pub(crate) fn notification_confirmed(&mut self, now: Now, token: Token) {
        for entry in self.entries() {
            if entry.observer.token() == token {
                entry.observer.confirmed(instant(now));
            }
        }
    }

    /// What is at, above or below `path` has changed.
    pub(crate) fn mark_changed(&mut self, path: &Path) {
        for entry in self.entries() {
            entry.stale |= entry.path.starts_with(path) || path.starts_with(&entry.path);
        }
    }

    /// When the next notification is due, monotonic milliseconds.
    pub(crate) fn notification_deadline(&self, device: &Device<'_>) -> Option<u64> {
        let (pmin, pmax) = periods(self.link(), device);
        let deadlines = self.observations().iter().filter_map(|o| {
            let entry = o.entry.as_ref().filter(|e| !e.blocked)?;
            let due = entry.due.then_some(entry.told_at + pmin);
            let late = pmax.map(|p| entry.told_at + p);
            due.into_iter().chain(late).min()
        });
        deadlines.min()
    }

    pub(crate) fn poll_notifications(
        &mut self,
        tree: &Tree<'_>,
        out: &mut [u8],
    ) -> Option<(SocketAddr, usize)> {
        let (now, device) = (tree.view.now, tree.view.device);
        let (link, observations) = self.parts();
        let link = link?;
        let (pmin, pmax) = periods(Some(link), device);
        for observation in observations {
            let Some(entry) = observation.entry.as_mut() else {
                continue;
            };
            if (entry.stale || entry.seen != device.log.changes) && !is_quiet(tree, &entry.path) {
                entry.due = hash(&tree.under(entry.path)) != entry.told;
                entry.seen = device.log.changes;
                entry.stale = false;
            }
            let late = pmax.is_some_and(|p| entry.told_at + p <= now.mono);
            if !(late || (entry.due && entry.told_at + pmin <= now.mono)) {
                continue;
            }
            let (sent, goes_on) = notify(link, entry, tree, out);
            if !goes_on {
                observation.entry = None;
            }
            if let Some(len) = sent {
                return Some((link.address, len));
            }
        }
        None
    }
}

/// pmin and pmax of the server, milliseconds.
fn periods(link: Option<&Link>, device: &Device<'_>) -> (u64, Option<u64>) {
    let Some(Origin::Server { instance, .. }) = link.map(|l| l.origin) else {
        return (0, None);
    };
    let server = device.accounts.server(instance);
    let pmin = server.map_or(0, |s| u64::from(s.pmin) * 1000);
    let pmax = server.map_or(0, |s| u64::from(s.pmax) * 1000);
    (pmin, (pmax > 0 && pmax >= pmin).then_some(pmax))
}

fn is_quiet(tree: &Tree<'_>, path: &Path) -> bool {
    let object = path.object_id().and_then(|id| tree.objects.find(id));
    object.is_some_and(|(object, _)| object.is_quiet(&tree.view, path))
}

/// Sends what is observed: the length of the datagram, and whether the observation goes on.
fn notify(
    link: &mut Link,
    entry: &mut Entry,
    tree: &Tree<'_>,
    out: &mut [u8],
) -> (Option<usize>, bool) {
    let (now, path) = (tree.view.now, entry.path);
    let read = read_format(tree, &path, entry.accept)
        .and_then(|format| Read::measure(tree, path, format, None, NOTIFY_BLOCK));
    let mut observer = entry.observer;
    let token = observer.token();
    let mut send = |code, reliability, build: &mut Build<'_>| {
        let sent = link
            .coap
            .notify(instant(now), token, code, reliability, out, build);
        sent.ok()
    };
    let Ok(read) = read else {
        // What was observed is gone: say so and end (RFC 7641 §3.2).
        let sent = send(
            Code::NOT_FOUND,
            Reliability::NonConfirmable,
            &mut |_| Ok(()),
        );
        return (sent.map(|(len, _)| len), false);
    };
    let (sequence, reliability) = observer.next(instant(now), Reliability::Confirmable);
    let sent = send(Code::CONTENT, reliability, &mut |b| {
        read.write(tree, Some(sequence), b)
    });
    let Some((len, id)) = sent else {
        entry.blocked = true;
        return (None, true);
    };
    entry.blocked = false;
    observer.sent(id);
    entry.observer = observer;
    entry.told = hash(&tree.under(path));
    entry.told_at = now.mono;
    entry.due = false;
    entry.seen = tree.view.device.log.changes;
    entry.stale = false;
    (Some(len), true)
}
