//! Records as they are on the wire, and the datagrams that carry them.

use crate::cid::MAX_CID;

/// The outer type of a record with a Connection ID (RFC 9146 §4).
pub(crate) const TLS12_CID: u8 = 25;
/// DTLS 1.2.
pub(crate) const VERSION: [u8; 2] = [0xfe, 0xfd];
/// Bytes before a Connection ID: type, version, epoch, sequence number.
pub(crate) const BEFORE_CID: usize = 11;
/// Bytes before the fragment of a record without a Connection ID.
pub(crate) const HEADER: usize = BEFORE_CID + 2;
/// Most bytes that a record may carry (RFC 5246 §6.2.1).
pub const MAX_CONTENT: usize = 1 << 14;

/// What a record carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum ContentType {
    /// The sender's next record has the next epoch.
    ChangeCipherSpec = 20,
    /// An alert.
    Alert = 21,
    /// Handshake messages or fragments of them.
    Handshake = 22,
    /// Data of the application.
    ApplicationData = 23,
}

impl ContentType {
    /// Of its number.
    #[must_use]
    pub const fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            20 => Self::ChangeCipherSpec,
            21 => Self::Alert,
            22 => Self::Handshake,
            23 => Self::ApplicationData,
            _ => return None,
        })
    }
}

/// Epoch and sequence number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Number {
    /// How often the sender has changed its keys.
    pub epoch: u16,
    /// Below 2^48; starts from 0 in each epoch.
    pub sequence: u64,
}

impl Number {
    /// The last sequence number of an epoch.
    pub const LAST_SEQUENCE: u64 = (1 << 48) - 1;

    pub(crate) const fn to_bytes(self) -> [u8; 8] {
        ((self.epoch as u64) << 48 | self.sequence & Self::LAST_SEQUENCE).to_be_bytes()
    }

    pub(crate) const fn from_bytes(bytes: [u8; 8]) -> Self {
        let both = u64::from_be_bytes(bytes);
        Self {
            epoch: (both >> 48) as u16,
            sequence: both & Self::LAST_SEQUENCE,
        }
    }
}

/// What is in the clear before a record's fragment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header<'a> {
    /// A [`ContentType`], 25 with a Connection ID, or a type that is not known.
    pub outer_type: u8,
    /// Major and minor version as they are on the wire, 254 and 253 for DTLS 1.2.
    pub version: [u8; 2],
    /// Its number.
    pub number: Number,
    /// Connection ID, empty in a record without.
    pub cid: &'a [u8],
    /// Bytes before the fragment.
    pub len: usize,
    /// Bytes of the fragment.
    pub fragment_len: usize,
}

impl<'a> Header<'a> {
    /// Of the record at the start of `bytes`; none if it is cut off. `cid_len` is how many bytes
    /// the Connection IDs have that the receiver gives out.
    #[must_use]
    pub fn parse(bytes: &'a [u8], cid_len: usize) -> Option<Self> {
        let (front, rest) = bytes.split_first_chunk::<BEFORE_CID>()?;
        let [outer_type, major, minor, number @ ..] = *front;
        let cid_len = if outer_type == TLS12_CID { cid_len } else { 0 };
        let (cid, rest) = rest.split_at_checked(cid_len)?;
        let (length, rest) = rest.split_first_chunk::<2>()?;
        let fragment_len = usize::from(u16::from_be_bytes(*length));
        (fragment_len <= rest.len()).then_some(Self {
            outer_type,
            version: [major, minor],
            number: Number::from_bytes(number),
            cid,
            len: HEADER + cid_len,
            fragment_len,
        })
    }

    /// Bytes of the record.
    #[must_use]
    pub const fn record_len(&self) -> usize {
        self.len + self.fragment_len
    }
}

/// The Connection ID of a datagram's first record, if it has one.
#[must_use]
pub fn connection_id(datagram: &[u8], cid_len: usize) -> Option<&[u8]> {
    let header = Header::parse(datagram, cid_len)?;
    (header.outer_type == TLS12_CID).then_some(header.cid)
}

/// The records of a datagram, up to the first that is cut off.
pub const fn records(datagram: &mut [u8], cid_len: usize) -> Records<'_> {
    Records {
        rest: datagram,
        cid_len,
    }
}

/// Gives the records of a datagram one after the other.
pub struct Records<'a> {
    rest: &'a mut [u8],
    cid_len: usize,
}

impl<'a> Iterator for Records<'a> {
    type Item = &'a mut [u8];

    fn next(&mut self) -> Option<Self::Item> {
        let len = Header::parse(self.rest, self.cid_len)?.record_len();
        let (record, rest) = core::mem::take(&mut self.rest).split_at_mut_checked(len)?;
        self.rest = rest;
        Some(record)
    }
}

/// Header of a record with a Connection ID of the greatest length.
pub(crate) const MAX_HEADER: usize = HEADER + MAX_CID;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::hex;

    #[test]
    fn headers() {
        let plain = hex("16 fefd 0000 000000000003 0002 0102");
        let header = Header::parse(&plain, 5).unwrap();
        assert_eq!(header.outer_type, ContentType::Handshake as u8);
        assert_eq!((header.number.epoch, header.number.sequence), (0, 3));
        assert_eq!(
            (header.cid, header.len, header.fragment_len),
            (&[][..], 13, 2)
        );
        assert_eq!(connection_id(&plain, 5), None);
        for cut in 0..plain.len() {
            assert_eq!(Header::parse(&plain[..cut], 5), None);
        }
        let with_cid = hex("19 fefd 0001 ffffffffffff aabb 0001 00");
        let header = Header::parse(&with_cid, 2).unwrap();
        assert_eq!(header.number.sequence, Number::LAST_SEQUENCE);
        assert_eq!((header.cid, header.len), (&[0xaa, 0xbb][..], 15));
        assert_eq!(connection_id(&with_cid, 2), Some(&[0xaa, 0xbb][..]));
        assert_eq!(header.number, Number::from_bytes(header.number.to_bytes()));
    }

    #[test]
    fn a_datagram_of_several_records() {
        let mut datagram = hex("16 fefd 0000 000000000000 0001 aa \
             19 fefd 0001 000000000000 c1 0002 bbbb \
             17 fefd 0001 000000000001 0003 cccc");
        let lengths: Vec<usize> = records(&mut datagram, 1).map(|r| r.len()).collect();
        assert_eq!(lengths, [14, 16]);
    }
}
