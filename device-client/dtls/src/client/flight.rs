//! What we send until it is answered.

use crate::aes::Aes;
use crate::association::Association;
use crate::bytes::Writer;
use crate::client::message::{FINISHED, HEADER, whole_header};
use crate::record::{ContentType, Number, VERSION};

/// Longest ClientHello: with a cookie of 255 bytes.
const ROOM: usize = 400;
const VERIFY_DATA: usize = 12;

/// A ClientHello; or a ClientKeyExchange, ChangeCipherSpec and Finished. Records are made anew
/// each time it is sent, with new numbers.
pub(super) struct Flight {
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

    /// The first message.
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
        let mut len = clear_record(ContentType::Handshake, self.message(), clear, out)?;
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
