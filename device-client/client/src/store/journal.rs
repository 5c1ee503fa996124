//! A small power-fail-safe store of records in two alternating halves of a flash region.
//!
//! A half is `header, record, record, ...`, everything padded with 0xFF to the write unit:
//!
//! ```text
//! header  magic "TSJ1" | u32 sequence | u32 crc of both
//! record  u16 length of data | u8 key | u8 0x5A | u32 crc of sequence, length, key, data | data
//! ```
//!
//! The newest record of a key counts. The valid header with the higher sequence marks the half in
//! use. When it is full, the other half is erased, the newest records are copied, and its header is
//! programmed last; so a cut at any point leaves a half that is complete. A record that was torn
//! makes the rest of its half unusable: the next write moves to the other half. All integers are
//! little endian.

use crate::flash::{FlashRead, MAX_WRITE_UNIT, Region};

const MAGIC: [u8; 4] = *b"TSJ1";
const MARK: u8 = 0x5A;
const RECORD_HEAD: u32 = 8;

/// Largest data of a record in bytes.
pub(crate) const MAX_DATA: usize = 1264;
/// Bytes of buffer that the journal needs for its programs.
pub(crate) const BUFFER: usize = MAX_DATA + RECORD_HEAD as usize + MAX_WRITE_UNIT as usize;
/// Keys are 0..KEYS.
pub(crate) const KEYS: u8 = if cfg!(feature = "dtls") { 5 } else { 4 };

/// What the journal wants done next; `Program` takes the first bytes of the buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Erase { offset: u32, len: u32 },
    Program { offset: u32, len: u32 },
    Sync,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Job {
    Idle,
    /// Program the record in the buffer at the tail.
    Append {
        len: u32,
    },
    AppendSync,
    /// Erase the other half, up to `at`.
    Erase {
        at: u32,
        key: u8,
        len: u32,
    },
    /// Program the new record (in the buffer) as the first of the other half.
    First {
        key: u8,
        len: u32,
    },
    /// Copy the newest record of `next` and the keys after it.
    Copy {
        next: u8,
        key: u8,
        to: u32,
    },
    CopySync {
        to: u32,
    },
    Header {
        to: u32,
    },
    HeaderSync {
        to: u32,
    },
}

/// The place of the journal and what is under way.
#[derive(Debug)]
pub(crate) struct Journal {
    region: Region,
    write_unit: u32,
    /// The half in use and its sequence; none on a flash that was never used.
    half: Option<(u32, u32)>,
    /// Offset in the half of the first unit not programmed; `half_size` if no more may be.
    tail: u32,
    job: Job,
}

impl Journal {
    /// A journal of which nothing is known yet.
    pub(crate) const fn new(region: Region, write_unit: u32) -> Self {
        Self {
            region,
            write_unit,
            half: None,
            tail: 0,
            job: Job::Idle,
        }
    }

    /// Finds the half in use and its end.
    pub(crate) fn mount(&mut self, flash: &dyn FlashRead) {
        let journal = self;
        let sequence = |h: u32| journal.header(h, flash);
        journal.half = match (sequence(0), sequence(1)) {
            (Some(a), Some(b)) if b > a => Some((1, b)),
            (Some(a), _) => Some((0, a)),
            (None, Some(b)) => Some((1, b)),
            (None, None) => None,
        };
        let Some((half, seq)) = journal.half else {
            return;
        };
        let mut at = journal.header_size();
        while let Some((_, data)) = journal.record(half, seq, at, flash) {
            at += journal.pad(RECORD_HEAD + data.len() as u32);
        }
        let rest = flash.read(journal.start(half) + at, journal.half_size() - at);
        journal.tail = if rest.iter().all(|b| *b == 0xFF) {
            at
        } else {
            journal.half_size()
        };
    }

    /// The newest data of `key`.
    pub(crate) fn get<'f>(&self, key: u8, flash: &'f dyn FlashRead) -> Option<&'f [u8]> {
        let (half, seq) = self.half?;
        let mut found = None;
        let mut at = self.header_size();
        while let Some((k, data)) = self.record(half, seq, at, flash) {
            if k == key {
                found = Some(data);
            }
            at += self.pad(RECORD_HEAD + data.len() as u32);
        }
        found
    }

    /// True if a put may start.
    pub(crate) fn is_idle(&self) -> bool {
        self.job == Job::Idle
    }

    /// Starts to store the `len` bytes that the caller wrote to `buf[8..]` under `key`.
    ///
    /// `buf` stays the journal's until it is idle again. Returns false if the data is too long, or
    /// does not fit a half together with the other records.
    pub(crate) fn put(
        &mut self,
        key: u8,
        len: usize,
        buf: &mut [u8],
        flash: &dyn FlashRead,
    ) -> bool {
        if !self.is_idle() || key >= KEYS || len > MAX_DATA || buf.len() < BUFFER {
            return false;
        }
        let total = self.pad(RECORD_HEAD + len as u32);
        let here = self.half.filter(|_| self.tail + total <= self.half_size());
        let others = (0..KEYS)
            .filter(|k| *k != key)
            .filter_map(|k| self.get(k, flash));
        let others: u32 = others.map(|d| self.pad(RECORD_HEAD + d.len() as u32)).sum();
        if here.is_none() && self.header_size() + total + others > self.half_size() {
            return false;
        }
        let seq = match here {
            Some((_, seq)) => seq,
            None => self.half.map_or(1, |(_, seq)| seq.wrapping_add(1)),
        };
        seal(key, seq, len, total as usize, buf);
        self.job = match here {
            Some(_) => Job::Append { len: total },
            None => Job::Erase {
                at: 0,
                key,
                len: total,
            },
        };
        true
    }

    /// The operation to carry out now, none if the journal is idle.
    pub(crate) fn step(&mut self, flash: &dyn FlashRead, buf: &mut [u8]) -> Option<Step> {
        let other = self.half.map_or(0, |(h, _)| 1 - h);
        let next_seq = self.half.map_or(1, |(_, seq)| seq.wrapping_add(1));
        loop {
            return Some(match self.job {
                Job::Idle => return None,
                Job::Append { len } => {
                    let (half, _) = self.half?;
                    Step::Program {
                        offset: self.start(half) + self.tail,
                        len,
                    }
                }
                Job::AppendSync | Job::CopySync { .. } | Job::HeaderSync { .. } => Step::Sync,
                Job::Erase { at, .. } => Step::Erase {
                    offset: self.start(other) + at,
                    len: self.region.erase_unit,
                },
                Job::First { len, .. } => Step::Program {
                    offset: self.start(other) + self.header_size(),
                    len,
                },
                Job::Copy { next, key, to } => {
                    if next >= KEYS {
                        self.job = Job::CopySync { to };
                        continue;
                    }
                    let old = if next == key {
                        None
                    } else {
                        self.get(next, flash)
                    };
                    let Some(old) = old else {
                        self.job = Job::Copy {
                            next: next + 1,
                            key,
                            to,
                        };
                        continue;
                    };
                    let total = self.pad(RECORD_HEAD + old.len() as u32);
                    let start = RECORD_HEAD as usize;
                    let Some(place) = buf.get_mut(start..start + old.len()) else {
                        self.job = Job::Copy {
                            next: next + 1,
                            key,
                            to,
                        };
                        continue;
                    };
                    place.copy_from_slice(old);
                    let len = old.len();
                    seal(next, next_seq, len, total as usize, buf);
                    Step::Program {
                        offset: self.start(other) + to,
                        len: total,
                    }
                }
                Job::Header { .. } => {
                    let total = self.header_size();
                    buf[..total as usize].fill(0xFF);
                    buf[..4].copy_from_slice(&MAGIC);
                    buf[4..8].copy_from_slice(&next_seq.to_le_bytes());
                    let crc = crc32(&[&buf[..8]]);
                    buf[8..12].copy_from_slice(&crc.to_le_bytes());
                    Step::Program {
                        offset: self.start(other),
                        len: total,
                    }
                }
            });
        }
    }

    /// The operation given by [`step`](Self::step) was carried out, `ok` or not.
    ///
    /// True when the put is complete and safe. After a failure the journal moves to its other half
    /// with the next put.
    pub(crate) fn done(&mut self, ok: bool, flash: &dyn FlashRead) -> bool {
        if !ok {
            self.job = Job::Idle;
            self.tail = self.half_size();
            return false;
        }
        let other = self.half.map_or(0, |(h, _)| 1 - h);
        let next_seq = self.half.map_or(1, |(_, seq)| seq.wrapping_add(1));
        self.job = match self.job {
            Job::Idle => return false,
            Job::Append { len } => {
                self.tail += len;
                Job::AppendSync
            }
            Job::AppendSync => {
                self.job = Job::Idle;
                return true;
            }
            Job::Erase { at, key, len } if at + self.region.erase_unit < self.half_size() => {
                Job::Erase {
                    at: at + self.region.erase_unit,
                    key,
                    len,
                }
            }
            Job::Erase { key, len, .. } => Job::First { key, len },
            Job::First { key, len } => Job::Copy {
                next: 0,
                key,
                to: self.header_size() + len,
            },
            Job::Copy { next, key, to } => {
                let old = self.get(next, flash).map_or(0, <[u8]>::len) as u32;
                Job::Copy {
                    next: next + 1,
                    key,
                    to: to + self.pad(RECORD_HEAD + old),
                }
            }
            Job::CopySync { to } => Job::Header { to },
            Job::Header { to } => Job::HeaderSync { to },
            Job::HeaderSync { to } => {
                self.half = Some((other, next_seq));
                self.tail = to;
                self.job = Job::Idle;
                return true;
            }
        };
        false
    }

    fn half_size(&self) -> u32 {
        self.region.size / 2
    }

    fn start(&self, half: u32) -> u32 {
        self.region.offset + half * self.half_size()
    }

    fn pad(&self, len: u32) -> u32 {
        len.div_ceil(self.write_unit) * self.write_unit
    }

    fn header_size(&self) -> u32 {
        self.pad(12)
    }

    fn header(&self, half: u32, flash: &dyn FlashRead) -> Option<u32> {
        let bytes: [u8; 12] = flash.read(self.start(half), 12).try_into().ok()?;
        let [a, b, c, d, s0, s1, s2, s3, c0, c1, c2, c3] = bytes;
        let good =
            [a, b, c, d] == MAGIC && crc32(&[&bytes[..8]]) == u32::from_le_bytes([c0, c1, c2, c3]);
        good.then(|| u32::from_le_bytes([s0, s1, s2, s3]))
    }

    fn record<'f>(
        &self,
        half: u32,
        seq: u32,
        at: u32,
        flash: &'f dyn FlashRead,
    ) -> Option<(u8, &'f [u8])> {
        if at + RECORD_HEAD > self.half_size() {
            return None;
        }
        let head: [u8; 8] = flash
            .read(self.start(half) + at, RECORD_HEAD)
            .try_into()
            .ok()?;
        let [l0, l1, key, mark, c0, c1, c2, c3] = head;
        let len = u32::from(u16::from_le_bytes([l0, l1]));
        if mark != MARK || len as usize > MAX_DATA || at + RECORD_HEAD + len > self.half_size() {
            return None;
        }
        let data = flash.read(self.start(half) + at + RECORD_HEAD, len);
        let crc = crc32(&[&seq.to_le_bytes(), &[l0, l1, key, mark], data]);
        (crc == u32::from_le_bytes([c0, c1, c2, c3])).then_some((key, data))
    }
}

/// Completes the record whose data is at `buf[8..8 + len]`.
fn seal(key: u8, seq: u32, len: usize, total: usize, buf: &mut [u8]) {
    let [l0, l1] = (len as u16).to_le_bytes();
    let head = [l0, l1, key, MARK];
    let end = RECORD_HEAD as usize + len;
    let crc = crc32(&[&seq.to_le_bytes(), &head, &buf[RECORD_HEAD as usize..end]]);
    buf[..4].copy_from_slice(&head);
    buf[4..8].copy_from_slice(&crc.to_le_bytes());
    buf[end..total].fill(0xFF);
}

/// CRC-32 (ISO-HDLC, reflected 0xEDB88320), bit by bit: records are short and rare.
fn crc32(parts: &[&[u8]]) -> u32 {
    let mut crc = !0u32;
    for byte in parts.iter().flat_map(|p| p.iter()) {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xEDB8_8320 & 0u32.wrapping_sub(crc & 1));
        }
    }
    !crc
}

#[cfg(test)]
#[path = "journal_tests.rs"]
mod tests;
