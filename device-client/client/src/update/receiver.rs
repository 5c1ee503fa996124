//! Takes a package block by block: its head into memory, its payload straight to a slot.
//!
//! The receiver knows nothing of CoAP or of the state of Object 5: it says which flash operation
//! comes next and what a block means. Bytes go to flash in whole write units; a unit that is
//! erased is erased just before its first byte is programmed, so that a transfer that goes on after
//! a reset begins with an erased unit.

use tinsmith_package::MAX_HEAD;

use crate::flash::{FlashLayout, Region};
use crate::store::codec::{Reader, Writer};
use crate::text::Bytes;

const SCHEMA: u8 = 1;

/// Bytes of a package head and two blocks of 1,024 bytes.
pub(crate) const RECEIVE: usize = 2048 + 64;

/// Request-Tag of the transfer; none if the server sends none.
pub(crate) type Tag = Option<Bytes<8>>;

/// What a block means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Block {
    /// Its bytes (or the last of them) are new and are in the buffer now.
    Taken,
    /// Everything in it was taken before.
    Duplicate,
    /// Bytes before it are missing.
    Gap,
    /// It goes over the end of the package, or the package ends before its end.
    WrongLength,
}

/// What to do with the flash next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Erase one unit.
    Erase { offset: u32, len: u32 },
    /// Program the first `len` bytes of the buffer.
    Program { offset: u32, len: u32 },
    /// Sync, since a whole erase unit is full or the payload is complete.
    Sync,
}

/// A transfer whose head is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Payload {
    /// Offset of the payload in the package.
    pub(crate) head_len: u32,
    /// Bytes of the payload.
    pub(crate) len: u32,
    /// Payload bytes programmed.
    written: u32,
    /// Bytes of the slot that are erased or programmed, from its start.
    erased: u32,
    /// Payload bytes that survive a reset: whole erase units.
    pub(crate) durable: u32,
    synced: bool,
}

/// One transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Receiver {
    pub(crate) tag: Tag,
    /// Bytes of the package held without a gap.
    pub(crate) received: u32,
    /// Bytes in the buffer: of the head, then of the payload before they fill a write unit.
    pub(crate) buffered: usize,
    pub(crate) payload: Option<Payload>,
    /// No block has come since a reset.
    resumed: bool,
}

impl Receiver {
    /// Nothing received yet.
    pub(crate) const fn new(tag: Tag) -> Self {
        Self {
            tag,
            received: 0,
            buffered: 0,
            payload: None,
            resumed: false,
        }
    }

    /// The transfer as if its last byte had just arrived.
    pub(crate) fn completed(mut self) -> Self {
        self.received = self.total().unwrap_or(self.received);
        if let Some(p) = &mut self.payload {
            (p.written, p.erased) = (p.len, p.len);
        }
        self
    }

    /// Bytes of the whole package, once its head is known.
    pub(crate) fn total(&self) -> Option<u32> {
        self.payload.map(|p| p.head_len + p.len)
    }

    /// /27303/x/22. After a reset, down to a multiple of the largest block: what was held lies at
    /// an odd offset behind the head, and the rest of the transfer should not be in small blocks.
    pub(crate) fn told(&self) -> u32 {
        if self.resumed && !self.is_complete() {
            self.received & !1023
        } else {
            self.received
        }
    }

    /// All bytes have arrived.
    pub(crate) fn is_complete(&self) -> bool {
        self.total() == Some(self.received)
    }

    /// Looks at a block at `offset` and copies what is new of it into `buf`.
    pub(crate) fn take(
        &mut self,
        offset: u32,
        bytes: &[u8],
        last: bool,
        buf: &mut [u8; RECEIVE],
    ) -> Block {
        let Some(end) = u32::try_from(bytes.len())
            .ok()
            .and_then(|n| offset.checked_add(n))
        else {
            return Block::WrongLength;
        };
        if offset > self.received {
            return Block::Gap;
        }
        if let Some(total) = self.total()
            && (end > total || last != (end == total))
        {
            return Block::WrongLength;
        }
        if end <= self.received {
            return Block::Duplicate;
        }
        let new = &bytes[(self.received - offset) as usize..];
        let Some(place) = buf.get_mut(self.buffered..self.buffered + new.len()) else {
            return Block::WrongLength;
        };
        place.copy_from_slice(new);
        self.buffered += new.len();
        self.received = end;
        self.resumed = false;
        Block::Taken
    }

    /// Whether the bytes that are there agree with what the head says. No if the package has more
    /// bytes, or ended before.
    pub(crate) fn fits(&self, head_len: usize, len: u32, last: bool) -> bool {
        let known = head_len <= self.buffered && head_len <= MAX_HEAD;
        let total = (head_len as u32).checked_add(len);
        let received = self.received;
        known && total.is_some_and(|total| received <= total && last == (received == total))
    }

    /// The head is complete: what follows it in the buffer is payload, which [`fits`](Self::fits).
    pub(crate) fn begin_payload(&mut self, head_len: usize, len: u32, buf: &mut [u8; RECEIVE]) {
        let head_len = head_len.min(self.buffered);
        move_down(&mut buf[..self.buffered], head_len);
        self.buffered -= head_len;
        self.payload = Some(Payload {
            head_len: head_len as u32,
            len,
            written: 0,
            erased: 0,
            durable: 0,
            synced: true,
        });
    }

    /// [`step`](Self::step) would give something.
    pub(crate) fn has_work(&self, layout: &FlashLayout) -> bool {
        let Some(p) = &self.payload else { return false };
        let unit = layout.write_unit as usize;
        !p.synced || self.buffered >= unit || (self.is_complete() && self.buffered > 0)
    }

    /// What to do next; none if the receiver waits for bytes.
    pub(crate) fn step(
        &self,
        slot: &Region,
        layout: &FlashLayout,
        buf: &mut [u8; RECEIVE],
    ) -> Option<Step> {
        let p = self.payload?;
        if !p.synced {
            return Some(Step::Sync);
        }
        let all = self.is_complete();
        let mut len = self.buffered as u32 / layout.write_unit * layout.write_unit;
        if all && self.buffered > 0 {
            len = layout.pad(self.buffered as u32);
            buf.get_mut(self.buffered..len as usize)?.fill(0xFF);
        }
        if len == 0 {
            return None;
        }
        if p.written == p.erased {
            return Some(Step::Erase {
                offset: slot.offset + p.erased,
                len: slot.erase_unit,
            });
        }
        let len = len.min(p.erased - p.written);
        Some(Step::Program {
            offset: slot.offset + p.written,
            len,
        })
    }

    /// A step is done.
    pub(crate) fn done(&mut self, step: Step, slot: &Region, buf: &mut [u8; RECEIVE]) {
        let all = self.is_complete();
        let Some(p) = &mut self.payload else { return };
        match step {
            Step::Erase { len, .. } => p.erased += len,
            Step::Program { len, .. } => {
                let used = (len as usize).min(self.buffered);
                move_down(&mut buf[..self.buffered], used);
                self.buffered -= used;
                p.written += len;
                let unit = p.written / slot.erase_unit > p.durable / slot.erase_unit;
                p.synced = !(unit || (all && self.buffered == 0));
            }
            Step::Sync => {
                p.synced = true;
                p.durable = p.written / slot.erase_unit * slot.erase_unit;
            }
        }
    }

    /// What the journal keeps of a transfer whose head is known.
    pub(crate) fn encode(&self, buf: &mut [u8]) -> Option<usize> {
        let p = self.payload?;
        let mut w = Writer::new(buf);
        w.u8(SCHEMA);
        match &self.tag {
            Some(tag) => {
                w.u8(1);
                w.short(tag.as_slice());
            }
            None => w.u8(0),
        }
        w.u32(p.head_len);
        w.u32(p.len);
        w.u32(p.durable);
        w.finish()
    }

    /// The transfer as it goes on after a reset.
    pub(crate) fn decode(data: &[u8]) -> Option<Self> {
        let mut r = Reader::new(data);
        if r.u8()? != SCHEMA {
            return None;
        }
        let tag = if r.u8()? == 1 {
            Some(Bytes::new(r.short()?)?)
        } else {
            None
        };
        let (head_len, len, durable) = (r.u32()?, r.u32()?, r.u32()?);
        head_len.checked_add(len)?;
        // The last unit is padded: durable may lie behind the payload's end.
        let held = durable.min(len);
        Some(Self {
            tag,
            received: head_len + held,
            buffered: 0,
            payload: Some(Payload {
                head_len,
                len,
                written: durable,
                erased: durable,
                durable,
                synced: true,
            }),
            resumed: true,
        })
    }
}

/// Moves the bytes from `from` on to the start, in pieces that don't overlap: without any that do, a
/// device needs no `memmove`, 1.6 KB of its flash.
fn move_down(mut bytes: &mut [u8], from: usize) {
    while from > 0 && from < bytes.len() {
        let (place, source) = bytes.split_at_mut(from);
        let len = from.min(source.len());
        place[..len].copy_from_slice(&source[..len]);
        bytes = &mut bytes[len..];
    }
}

#[cfg(test)]
#[path = "receiver_tests.rs"]
mod tests;
