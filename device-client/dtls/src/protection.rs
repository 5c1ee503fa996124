//! One direction of an association: sealing and opening single records, whoever counts them.

use core::fmt;

use zeroize::Zeroize;

use crate::aead::{Aead, MAX_TAG, NONCE};
use crate::aes::{Aes, BLOCK};
use crate::bytes::{Writer, move_up};
use crate::cid::MAX_CID;
use crate::record::{
    BEFORE_CID, ContentType, HEADER, Header, MAX_CONTENT, MAX_HEADER, Number, TLS12_CID, VERSION,
};

/// Bytes of the nonce that a record carries: its epoch and number, as all senders choose.
const EXPLICIT: usize = 8;
/// Most bytes that a record has beside its content: header, nonce, inner type, tag.
pub const MAX_OVERHEAD: usize = MAX_HEADER + EXPLICIT + 1 + MAX_TAG;
/// Longest associated data, of a record with a Connection ID (RFC 9146 §5.3).
const MAX_ASSOCIATED: usize = 8 + 5 + 8 + MAX_CID + 2;

/// Key and salt of one direction.
#[derive(Clone, PartialEq, Eq)]
pub struct Protection {
    pub(crate) aead: Aead,
    pub(crate) key: [u8; BLOCK],
    pub(crate) salt: [u8; 4],
}

/// Why no record was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SealError {
    /// The buffer has no room for what a record has beside its content.
    Space,
    /// The content has more than [`MAX_CONTENT`] bytes.
    TooLong,
    /// All 2^48 numbers were used: a new handshake is needed.
    Exhausted,
    /// No number is reserved: [`Association::reserve`](crate::Association::reserve) some.
    Unreserved,
}

/// Why a record was dropped. Its bytes may have been changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OpenError {
    /// It is no record of DTLS 1.2, or not one alone, or what is in it is not what it must be.
    Malformed,
    /// Its Connection ID is another, or it has one where none was agreed or none where one was.
    ForeignCid,
    /// It is of a handshake, or its keys were never agreed.
    Epoch,
    /// Its number was there before.
    Replayed,
    /// Its number lies more than 64 before the highest.
    TooOld,
    /// It was changed on the way, or its sender has other keys.
    Inauthentic,
}

impl fmt::Display for SealError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Space => "the buffer is too small for a record",
            Self::TooLong => "the content is too long for a record",
            Self::Exhausted => "all record numbers are used",
            Self::Unreserved => "no record number is reserved",
        })
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "malformed record",
            Self::ForeignCid => "record with another Connection ID",
            Self::Epoch => "record of another epoch",
            Self::Replayed => "record that was there before",
            Self::TooOld => "record that is too old",
            Self::Inauthentic => "record that is not authentic",
        })
    }
}

impl core::error::Error for SealError {}
impl core::error::Error for OpenError {}

/// What a record had in it.
#[derive(Debug, PartialEq, Eq)]
pub struct Plain<'r> {
    /// Its number.
    pub number: Number,
    /// The (inner) content type, as it came.
    pub content_type: u8,
    /// The content, without padding.
    pub content: &'r mut [u8],
}

impl Protection {
    /// Of a key and the first four bytes of all nonces.
    #[must_use]
    pub const fn new(aead: Aead, key: &[u8; BLOCK], salt: &[u8; 4]) -> Self {
        Self {
            aead,
            key: *key,
            salt: *salt,
        }
    }

    /// How it protects.
    #[must_use]
    pub const fn aead(&self) -> Aead {
        self.aead
    }

    /// Bytes that a record for this Connection ID has beside content and padding.
    #[must_use]
    pub const fn overhead(&self, cid_len: usize) -> usize {
        HEADER + cid_len + EXPLICIT + (cid_len != 0) as usize + self.aead.tag_len()
    }

    /// Makes a record of the first `len` bytes of `buffer`, in place; how long it is. With a
    /// Connection ID its type is hidden and `padding` zeros follow the content; without, there is
    /// no padding.
    ///
    /// The caller never seals two contents with one number.
    ///
    /// # Errors
    /// There is no room or the content is too long; nothing was made then.
    #[allow(clippy::too_many_arguments)]
    pub fn seal(
        &self,
        aes: &mut dyn Aes,
        number: Number,
        cid: &[u8],
        content_type: ContentType,
        buffer: &mut [u8],
        len: usize,
        padding: usize,
    ) -> Result<usize, SealError> {
        let with_cid = !cid.is_empty();
        let inner = match with_cid {
            true => len.saturating_add(1).saturating_add(padding),
            false => len,
        };
        if inner > MAX_CONTENT {
            return Err(SealError::TooLong);
        }
        let front = HEADER + cid.len() + EXPLICIT;
        let total = front + inner + self.aead.tag_len();
        let record = buffer.get_mut(..total).ok_or(SealError::Space)?;
        if cid.len() > MAX_CID {
            return Err(SealError::Space);
        }
        move_up(record, len, front);
        let (header, rest) = record.split_at_mut(front);
        let (plain, tag) = rest.split_at_mut(inner);
        if let Some((first, zeros)) = plain[len..].split_first_mut() {
            *first = content_type as u8;
            zeros.fill(0);
        }
        let explicit = number.to_bytes();
        let outer_type = if with_cid {
            TLS12_CID
        } else {
            content_type as u8
        };
        let fragment_len = EXPLICIT + inner + self.aead.tag_len();
        let mut place = Writer::new(header);
        place.put(&[outer_type]);
        place.put(&VERSION);
        place.put(&explicit);
        place.put(cid);
        place.put(&(fragment_len as u16).to_be_bytes());
        place.put(&explicit);
        let mut associated = [0; MAX_ASSOCIATED];
        let associated = associate(&mut associated, outer_type, explicit, cid, inner);
        let nonce = self.nonce(explicit);
        let sealed = self
            .aead
            .seal(aes, &self.key, &nonce, associated, plain, tag);
        sealed.map_err(|_| SealError::TooLong)?;
        Ok(total)
    }

    /// Opens one whole record in place. `cid` is what its receiver gave out: it must be in the
    /// record, or there must be none if it is empty. Its number is not looked at.
    ///
    /// # Errors
    /// The record is to be dropped.
    pub fn open<'r>(
        &self,
        aes: &mut dyn Aes,
        cid: &[u8],
        record: &'r mut [u8],
    ) -> Result<Plain<'r>, OpenError> {
        let header = Header::parse(record, cid.len()).ok_or(OpenError::Malformed)?;
        let whole = header.record_len() == record.len();
        if !whole || header.version != VERSION || cid.len() > MAX_CID {
            return Err(OpenError::Malformed);
        }
        let with_cid = header.outer_type == TLS12_CID;
        if header.cid != cid || with_cid == cid.is_empty() {
            return Err(OpenError::ForeignCid);
        }
        let (number, outer_type, front) = (header.number, header.outer_type, header.len);
        let fragment = record.get_mut(front..).ok_or(OpenError::Malformed)?;
        let (explicit, rest) = fragment
            .split_first_chunk_mut::<EXPLICIT>()
            .ok_or(OpenError::Malformed)?;
        let inner = rest
            .len()
            .checked_sub(self.aead.tag_len())
            .filter(|inner| *inner <= MAX_CONTENT)
            .ok_or(OpenError::Malformed)?;
        let (plain, tag) = rest.split_at_mut(inner);
        let mut associated = [0; MAX_ASSOCIATED];
        let associated = associate(&mut associated, outer_type, number.to_bytes(), cid, inner);
        let nonce = self.nonce(*explicit);
        self.aead
            .open(aes, &self.key, &nonce, associated, plain, tag)
            .map_err(|_| OpenError::Inauthentic)?;
        let (content_type, len) = match with_cid {
            false => (outer_type, plain.len()),
            true => {
                let last = plain.iter().rposition(|byte| *byte != 0);
                let last = last.ok_or(OpenError::Malformed)?;
                (plain[last], last)
            }
        };
        Ok(Plain {
            number,
            content_type,
            content: &mut plain[..len],
        })
    }

    fn nonce(&self, explicit: [u8; EXPLICIT]) -> [u8; NONCE] {
        let mut nonce = [0; NONCE];
        nonce[..4].copy_from_slice(&self.salt);
        nonce[4..].copy_from_slice(&explicit);
        nonce
    }
}

/// What is authenticated beside the content: RFC 5246 §6.2.3.3 without, RFC 9146 §5.3 with a
/// Connection ID.
fn associate<'b>(
    buffer: &'b mut [u8; MAX_ASSOCIATED],
    outer_type: u8,
    number: [u8; 8],
    cid: &[u8],
    inner: usize,
) -> &'b [u8] {
    let mut place = Writer::new(buffer);
    if cid.is_empty() {
        place.put(&number);
        place.put(&[outer_type]);
        place.put(&VERSION);
    } else {
        place.put(&[0xff; 8]);
        place.put(&[TLS12_CID, cid.len() as u8, TLS12_CID]);
        place.put(&VERSION);
        place.put(&number);
        place.put(cid);
    }
    place.put(&(inner as u16).to_be_bytes());
    let len = place.finish().unwrap_or_default();
    &buffer[..len]
}

impl Drop for Protection {
    fn drop(&mut self) {
        self.key.zeroize();
        self.salt.zeroize();
    }
}

impl fmt::Debug for Protection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Protection")
            .field("aead", &self.aead)
            .finish_non_exhaustive()
    }
}

const _: () = assert!(BEFORE_CID + 2 == HEADER);
