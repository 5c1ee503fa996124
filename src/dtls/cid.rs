//! The Connection IDs that the server gives out: a version, the worker, and six bytes that no other
//! association of it has, three of which count and three can't be guessed.

use tinsmith_dtls::{Cid, connection_id};

/// Bytes of a Connection ID of ours.
pub const CID_LEN: usize = 8;

const VERSION: u8 = 1;
/// Associations of a worker are counted with so many bits.
const COUNTER_BITS: u32 = 24;

/// The number of a worker's association: the worker, then a counter.
pub(crate) const fn number(worker: u8, counter: u32) -> u32 {
    (worker as u32) << COUNTER_BITS | counter & ((1 << COUNTER_BITS) - 1)
}

/// The Connection ID of an association.
pub(crate) fn make(number: u32, unguessable: [u8; 3]) -> Cid {
    let [worker, a, b, c] = number.to_be_bytes();
    let [x, y, z] = unguessable;
    Cid::new(&[VERSION, worker, a, b, c, x, y, z]).unwrap_or(Cid::EMPTY)
}

/// The association that a Connection ID names.
pub(crate) fn number_of(cid: &[u8]) -> Option<u32> {
    match *cid {
        [VERSION, worker, a, b, c, _, _, _] => Some(u32::from_be_bytes([worker, a, b, c])),
        _ => None,
    }
}

/// The worker whose datagram it is; none if it names none, as those of handshakes and of peers
/// without Connection IDs do: they belong to where their address leads.
#[must_use]
pub fn worker(datagram: &[u8]) -> Option<u8> {
    Some(worker_of(number_of(connection_id(datagram, CID_LEN)?)?))
}

/// The worker that gave out the number of an association.
pub(crate) const fn worker_of(number: u32) -> u8 {
    (number >> COUNTER_BITS) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_id_names_worker_and_association() {
        let number = number(3, 0x0001_0203);
        let cid = make(number, [7, 8, 9]);
        assert_eq!(cid.as_bytes(), [1, 3, 1, 2, 3, 7, 8, 9]);
        assert_eq!(number_of(cid.as_bytes()), Some(number));
        assert_eq!(number_of(&[2, 3, 1, 2, 3, 7, 8, 9]), None);
        assert_eq!(number_of(&[1, 3, 1]), None);
        let mut datagram = vec![25, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 0, 0];
        datagram.extend_from_slice(cid.as_bytes());
        datagram.extend_from_slice(&[0, 1, 0]);
        assert_eq!(worker(&datagram), Some(3));
        datagram[0] = 23;
        assert_eq!(worker(&datagram), None);
    }
}
