//! What we send until it is answered.

use crate::aes::Aes;
use crate::association::Association;
#[cfg(feature = "rpk")]
use crate::bytes::Reader;
use crate::bytes::Writer;
#[cfg(feature = "rpk")]
use crate::client::message::Fragment;
use crate::client::message::{FINISHED, HEADER, whole_header};
use crate::record::{ContentType, Number, VERSION};

/// Longest ClientHello: with a cookie of 255 bytes.
#[cfg(not(feature = "x509"))]
const ROOM: usize = 400;
/// Longest certificate of ours, and the two messages that follow it.
#[cfg(feature = "x509")]
const ROOM: usize = crate::MAX_CERTIFICATE + 192;
const VERIFY_DATA: usize = 12;

/// A ClientHello; or a ClientKeyExchange, what belongs to it with key pairs, ChangeCipherSpec and
/// Finished. Records are made anew each time it is sent, with new numbers.
pub(super) struct Flight {
    /// Messages in the clear, one after the other.
    message: [u8; ROOM],
    len: usize,
    finished: Option<[u8; HEADER + VERIFY_DATA]>,
}

impl Flight {
    pub(super) const EMPTY: Self = Self {
        message: [0; ROOM],
        len: 0,
        finished: None,
    };

    /// A new flight that starts with the message that `write` writes into the room it is given,
    /// and measures; false if it does not fit.
    pub(super) fn start(&mut self, write: impl FnOnce(&mut [u8]) -> Option<usize>) -> bool {
        self.finished = None;
        let len = write(&mut self.message);
        self.len = len.unwrap_or_default();
        len.is_some()
    }

    /// Adds a message in the same way; none if it does not fit, else the message.
    #[cfg(feature = "rpk")]
    pub(super) fn add(&mut self, write: impl FnOnce(&mut [u8]) -> Option<usize>) -> Option<&[u8]> {
        let place = self.message.get_mut(self.len..)?;
        let len = write(place)?;
        self.len += len;
        place.get(..len)
    }

    /// The messages in the clear; of a ClientHello there is one.
    pub(super) fn message(&self) -> &[u8] {
        self.message.get(..self.len).unwrap_or_default()
    }

    /// Adds ChangeCipherSpec and a Finished; the latter is what is given.
    pub(super) fn finish(&mut self, sequence: u16, data: [u8; VERIFY_DATA]) -> &[u8] {
        let finished = self.finished.insert([0; HEADER + VERIFY_DATA]);
        finished[..HEADER].copy_from_slice(&whole_header(FINISHED, VERIFY_DATA, sequence));
        finished[HEADER..].copy_from_slice(&data);
        finished
    }

    /// Writes all of it as one datagram; none if there is no room. `clear` is the next record
    /// number before the keys.
    pub(super) fn write(
        &self,
        clear: &mut u64,
        association: Option<&mut Association>,
        aes: &mut dyn Aes,
        out: &mut [u8],
    ) -> Option<usize> {
        let mut len = 0;
        for message in messages(self.message()) {
            let rest = out.get_mut(len..)?;
            len += clear_record(ContentType::Handshake, message, clear, rest)?;
        }
        if let (Some(finished), Some(association)) = (&self.finished, association) {
            let rest = out.get_mut(len..)?;
            len += clear_record(ContentType::ChangeCipherSpec, &[1], clear, rest)?;
            let rest = out.get_mut(len..)?;
            rest.get_mut(..finished.len())?.copy_from_slice(finished);
            let sealed = association.seal(aes, ContentType::Handshake, rest, finished.len());
            len += sealed.ok()?;
        }
        Some(len)
    }
}

/// The messages that follow each other; each has a record for itself.
#[cfg(feature = "rpk")]
fn messages(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut reader = Reader(bytes);
    core::iter::from_fn(move || {
        let all = reader.0;
        let message = Fragment::read(&mut reader)?;
        all.get(..HEADER + message.len)
    })
}

#[cfg(not(feature = "rpk"))]
fn messages(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    core::iter::once(bytes)
}

/// A record before any keys are agreed.
pub(super) fn clear_record(
    content_type: ContentType,
    content: &[u8],
    clear: &mut u64,
    out: &mut [u8],
) -> Option<usize> {
    let mut writer = Writer::new(out);
    let number = Number {
        epoch: 0,
        sequence: *clear,
    };
    writer.u8(content_type as u8);
    writer.put(&VERSION);
    writer.put(&number.to_bytes());
    writer.u16(content.len() as u16);
    writer.put(content);
    let len = writer.finish()?;
    *clear += 1;
    Some(len)
}
