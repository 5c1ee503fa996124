//! Messages of a server, put together from fragments in any order (RFC 6347 §4.2.3).

#[cfg(feature = "rpk")]
use crate::bytes::{Reader, Writer};
use crate::client::error::Misbehaved;
#[cfg(feature = "rpk")]
use crate::client::message::is_of_server;
use crate::client::message::{Fragment, HEADER, whole_header};
use crate::client::offer::Kind;

/// Longest message that is put together.
const ROOM: usize = Kind::LAST.longest_message();
/// How far a message may be ahead: a flight of a server has five.
#[cfg(feature = "rpk")]
const FAR: u16 = 8;
/// Bytes that are left for the message that is expected before it is known: a ServerHello has less.
#[cfg(feature = "rpk")]
const FIRST: usize = 128;

/// The message that is expected next. Fragments lie where they belong, so neither their order nor
/// their number costs anything.
///
/// With key pairs, whose flights come in several datagrams, fragments of later messages are kept in
/// the rest of the room, as far as it goes. Those that are not kept come again with their flight.
pub(super) struct Assembly {
    /// The message at the front, what is kept at the end.
    room: [u8; ROOM],
    /// A bit for each byte of the message that is there.
    there: [u8; ROOM / 8],
    /// How many of them there are, header included; none without a message.
    len: usize,
    /// Bytes that are kept: fragments, each with its header.
    #[cfg(feature = "rpk")]
    kept: usize,
}

impl Assembly {
    pub(super) const EMPTY: Self = Self {
        room: [0; ROOM],
        there: [0; ROOM / 8],
        len: 0,
        #[cfg(feature = "rpk")]
        kept: 0,
    };

    /// Takes a fragment of the message, which has at most so many bytes; whether all of it is there now.
    pub(super) fn add(
        &mut self,
        fragment: &Fragment<'_>,
        longest: usize,
    ) -> Result<bool, Misbehaved> {
        let whole = self.begin(fragment.kind, fragment.len, fragment.sequence, longest)?;
        for (i, byte) in fragment.bytes.iter().enumerate() {
            self.put(HEADER + fragment.offset + i, *byte);
        }
        Ok(self.len == whole)
    }

    /// Makes place for this message, if it is not there yet; how many bytes it has.
    fn begin(
        &mut self,
        kind: u8,
        len: usize,
        sequence: u16,
        longest: usize,
    ) -> Result<usize, Misbehaved> {
        let header = whole_header(kind, len, sequence);
        let whole = HEADER + len;
        let Some(place) = self
            .room
            .first_chunk_mut()
            .filter(|_| whole <= longest.min(ROOM))
        else {
            return Err(Misbehaved::TooLong(kind));
        };
        if self.len == 0 || *place != header {
            #[cfg(feature = "rpk")]
            if whole > ROOM - self.kept {
                self.kept = 0;
            }
            *place = header;
            self.there = [0; ROOM / 8];
            self.len = HEADER;
        }
        Ok(whole)
    }

    /// A byte of the message.
    fn put(&mut self, at: usize, byte: u8) {
        if at < ROOM {
            self.room[at] = byte;
            let (bits, bit) = (&mut self.there[at / 8], 1 << (at % 8));
            if *bits & bit == 0 {
                *bits |= bit;
                self.len += 1;
            }
        }
    }

    /// All of it, once it is there, with the header that it had in one piece.
    pub(super) fn message(&self) -> &[u8] {
        self.room.get(..self.len).unwrap_or_default()
    }

    /// Without the header.
    pub(super) fn body(&self) -> &[u8] {
        self.room.get(HEADER..self.len).unwrap_or_default()
    }

    pub(super) const fn clear(&mut self) {
        self.len = 0;
    }
}

#[cfg(feature = "rpk")]
impl Assembly {
    /// Keeps a fragment of a message after the one that is expected, whose number this is.
    pub(super) fn keep(&mut self, fragment: &Fragment<'_>, expected: u16) {
        let Fragment {
            kind,
            len,
            sequence,
            offset,
            bytes,
        } = *fragment;
        let says_nothing = bytes.is_empty() && len > 0;
        let is_far = sequence.saturating_sub(expected) > FAR;
        if says_nothing || is_far || !is_of_server(kind) || HEADER + len > ROOM {
            return;
        }
        let known = |other: Fragment<'_>| {
            let until = other.offset + other.bytes.len();
            (other.kind, other.len, other.sequence) == (kind, len, sequence)
                && (other.offset..=until).contains(&offset)
                && offset + bytes.len() <= until
        };
        let mut others = Reader(self.room.get(ROOM - self.kept..).unwrap_or_default());
        if core::iter::from_fn(|| Fragment::read(&mut others)).any(known) {
            return;
        }
        let size = HEADER + bytes.len();
        let start = (ROOM - self.kept).saturating_sub(size);
        let is_free = start >= self.whole().max(FIRST);
        let Some(place) = self.room.get_mut(start..).filter(|_| is_free) else {
            return;
        };
        let mut writer = Writer::new(place);
        writer.u8(kind);
        writer.u24(len);
        writer.u16(sequence);
        writer.u24(offset);
        writer.u24(bytes.len());
        writer.put(bytes);
        self.kept += size;
    }

    /// Bytes of the message that is expected, as far as it is known.
    fn whole(&self) -> usize {
        match Fragment::read(&mut Reader(&self.room)) {
            Some(message) if self.len > 0 => HEADER + message.len,
            _ => 0,
        }
    }

    /// Adds what is kept of the message with this number, as [`add`](Self::add) does; its type when
    /// all of it is there.
    pub(super) fn take_up(
        &mut self,
        sequence: u16,
        longest: usize,
    ) -> Result<Option<u8>, Misbehaved> {
        let mut at = ROOM - self.kept;
        let mut later = false;
        while let Some(kept) = self
            .room
            .get(at..)
            .map(Reader)
            .as_mut()
            .and_then(Fragment::read)
        {
            let (kind, offset, len) = (kept.kind, kept.offset, kept.bytes.len());
            let from = at + HEADER;
            at = from + len;
            later |= kept.sequence > sequence;
            if kept.sequence == sequence {
                let whole = self.begin(kind, kept.len, sequence, longest)?;
                if self.kept == 0 {
                    break;
                }
                for i in 0..len {
                    let byte = self.room.get(from + i).copied().unwrap_or_default();
                    self.put(HEADER + offset + i, byte);
                }
                if self.len == whole {
                    return Ok(Some(kind));
                }
            }
        }
        if !later {
            self.kept = 0;
        }
        Ok(None)
    }

    /// Forgets what is kept.
    pub(super) const fn keep_nothing(&mut self) {
        self.kept = 0;
    }
}
