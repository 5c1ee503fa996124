//! What happened to a device before its timeline: records of [`PIECE`] entries each.
//!
//! An entry has a number: those of the first piece are 0 to [`PIECE`] - 1, and so on; those of the
//! timeline follow the last piece.

use serde::{Deserialize, Serialize};

use super::record::Entry;
pub use super::record::PIECE;
use tinsmith_store::{self as store, Key, Kind, RecordError};

/// Version of the records.
const SCHEMA: u16 = 1;

/// As stored.
#[derive(Serialize, Deserialize)]
struct Piece {
    entries: Vec<Entry>,
}

/// The key of a piece: endpoint, number (u64, big endian). No name has the byte 0, so the pieces of
/// one device stand together.
pub fn key(endpoint: &str, piece: u64) -> Key {
    let mut id = endpoint.as_bytes().to_vec();
    id.extend_from_slice(&piece.to_be_bytes());
    Key::new(Kind::HISTORY, id)
}

/// What the keys of a device's pieces begin with.
pub fn prefix(endpoint: &str) -> Vec<u8> {
    let mut id = endpoint.as_bytes().to_vec();
    id.push(0);
    id
}

/// The number of a piece.
pub fn number(key: &Key) -> Option<u64> {
    let (_, number) = key.id.split_last_chunk::<8>()?;
    Some(u64::from_be_bytes(*number))
}

/// The record of a piece.
pub(super) fn encode(entries: &[Entry]) -> Result<Vec<u8>, RecordError> {
    let entries = entries.to_vec();
    store::encode(SCHEMA, &Piece { entries })
}

/// The entries of a piece.
///
/// # Errors
/// The record can't be read.
pub fn decode(record: &[u8]) -> Result<Vec<Entry>, RecordError> {
    store::decode(SCHEMA..=SCHEMA, record).map(|piece: Piece| piece.entries)
}

#[cfg(test)]
mod tests {
    use super::*;
    use lwm2m_objects::hex;

    #[test]
    fn the_bytes_of_a_piece() {
        let entries = vec![Entry {
            at: 25,
            text: "t".into(),
        }];
        let record = encode(&entries).unwrap();
        assert_eq!(
            hex::encode(&record),
            "0001a167656e747269657381a2626174181964746578746174"
        );
        assert_eq!(decode(&record).unwrap(), entries);
        let key = key("dev", 258);
        assert_eq!(key.to_bytes(), b"\0\0\x07dev\0\0\0\0\0\0\x01\x02");
        assert_eq!(number(&key), Some(258));
        assert!(key.id.starts_with(&prefix("dev")));
    }
}
