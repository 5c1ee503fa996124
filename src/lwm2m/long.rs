//! Datagrams that are longer than we take.

use tinsmith_coap::{Block, Code, Message, MessageType, OptionNumber, Szx, stateless};

/// Blocks of the largest size.
const HINT: Block = Block {
    num: 0,
    more: false,
    szx: Szx::MAX,
};

/// The answer to a datagram of which only the first bytes are here: to a request 4.13, with the
/// size of blocks that we take (RFC 7959 §2.9.3), to another confirmable message a Reset. Nothing to
/// anything else.
pub fn refuse_long(beginning: &[u8]) -> Option<Vec<u8>> {
    let token = usize::from(beginning.first()? & 0x0f);
    // Options may be cut off: what is needed stands before them.
    let head = Message::parse(beginning.get(..4 + token)?).ok()?;
    if !head.code().is_request() {
        let is_confirmable = head.message_type() == MessageType::Confirmable;
        return is_confirmable.then(|| stateless::reset(&head).to_vec());
    }
    let mut answer = [0; 32];
    let code = Code::REQUEST_ENTITY_TOO_LARGE;
    let len = stateless::reply(&head, head.message_id(), code, &mut answer, |b| {
        b.block(OptionNumber::BLOCK1, HINT).map(drop)
    });
    Some(answer.get(..len.ok()?)?.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_told_and_others_reset() {
        let long = |first: u8, code: u8| {
            let mut bytes = vec![0xbb; 2048];
            bytes[..6].copy_from_slice(&[first, code, 1, 2, 7, 8]);
            bytes
        };
        let answer = refuse_long(&long(0x42, 0x02)).unwrap();
        let answer = Message::parse(&answer).unwrap();
        assert_eq!(answer.code(), Code::REQUEST_ENTITY_TOO_LARGE);
        assert_eq!(answer.message_type(), MessageType::Acknowledgement);
        assert_eq!(
            (answer.message_id(), answer.token().as_bytes()),
            (0x102, &[7, 8][..])
        );
        assert_eq!(answer.block1().unwrap(), Block::new(0, false, Szx::MAX));
        let answer = refuse_long(&long(0x52, 0x03)).unwrap();
        let answer = Message::parse(&answer).unwrap();
        assert_eq!(answer.message_type(), MessageType::NonConfirmable);
        // A response, a notification, an acknowledgement, another protocol.
        assert_eq!(refuse_long(&long(0x42, 0x45)), Some(vec![0x70, 0, 1, 2]));
        for (first, code) in [(0x52, 0x45), (0x62, 0x45), (0x82, 2), (0x4f, 2)] {
            assert_eq!(refuse_long(&long(first, code)), None);
        }
        assert_eq!(refuse_long(&[]), None);
        assert_eq!(refuse_long(&[0x44, 2, 0, 1, 9]), None);
    }
}
