//! One end of a DTLS association, fed with steps: datagrams of anybody, records that the peer has
//! sealed, with any number and content, and what was stored. What opens is what was sealed, once.

use std::collections::BTreeSet;

use tinsmith_dtls::{
    Aead, Alert, Association, Cid, Content, ContentType, EPOCH, Keys, MAX_OVERHEAD, Number, Opened,
    Protection, Role, SoftAes, Start, Window, records,
};

const AEADS: [Aead; 3] = [Aead::Ccm8, Aead::Ccm, Aead::Gcm];
const TYPES: [ContentType; 4] = [
    ContentType::ChangeCipherSpec,
    ContentType::Alert,
    ContentType::Handshake,
    ContentType::ApplicationData,
];

fn of(opened: &Opened<'_>) -> (ContentType, Vec<u8>) {
    match &opened.content {
        Content::Data(data) => (ContentType::ApplicationData, data.to_vec()),
        Content::Handshake(message) => (ContentType::Handshake, message.to_vec()),
        Content::Alert(alert) => (ContentType::Alert, alert.to_bytes().to_vec()),
    }
}

/// What was stored survives, or is refused.
fn stored(bytes: &[u8]) {
    if let Ok(association) = Association::decode(bytes) {
        let mut again = vec![0; association.encoded_len()];
        assert_eq!(association.encode(&mut again), Ok(bytes.len()));
        assert_eq!(again, bytes);
    }
}

pub(crate) fn run(data: &[u8]) {
    let [first, steps @ ..] = data else { return };
    let aead = AEADS[usize::from(first & 3) % 3];
    let cid_len = usize::from(first >> 2 & 7);
    let cid = Cid::new(&[0xc1; 8][..cid_len]).expect("short");
    let keys = Keys {
        client: Protection::new(aead, &[1; 16], &[2; 4]),
        server: Protection::new(aead, &[3; 16], &[4; 4]),
    };
    let mut end = Association::new(&Start {
        role: Role::Server,
        keys: &keys,
        own_cid: cid,
        peer_cid: Cid::EMPTY,
        next_number: 1,
        received: Window::NEW,
    });
    let mut aes = SoftAes::new();
    let mut taken = BTreeSet::new();
    let mut rest = steps;
    while let [step, length, tail @ ..] = rest {
        let (argument, tail) = tail.split_at(tail.len().min(usize::from(*length)));
        rest = tail;
        match step % 4 {
            0 => {
                let mut datagram = argument.to_vec();
                for record in records(&mut datagram, cid_len) {
                    assert!(end.open(&mut aes, record).is_err(), "nobody sealed this");
                }
            }
            1 | 2 => {
                let sequence = u64::from(*length) + u64::from(step >> 4 & 7) * 64;
                let epoch = EPOCH + u16::from(step & 0x80 != 0);
                let kind = TYPES[usize::from(step >> 2 & 3)];
                let mut record = argument.to_vec();
                record.resize(argument.len() + MAX_OVERHEAD + 8, 0);
                let number = Number { epoch, sequence };
                let made = keys.client.seal(
                    &mut aes,
                    number,
                    cid.as_bytes(),
                    kind,
                    &mut record,
                    argument.len(),
                    usize::from(step >> 5),
                );
                record.truncate(made.expect("there is room"));
                if let Ok(opened) = end.open(&mut aes, &mut record) {
                    assert_eq!(of(&opened), (kind, argument.to_vec()));
                    assert_eq!(opened.sequence, sequence);
                    assert!(taken.insert(sequence), "taken twice");
                }
            }
            _ => {
                stored(argument);
                let mut bytes = vec![0; end.encoded_len()];
                assert_eq!(end.encode(&mut bytes), Ok(bytes.len()));
                stored(&bytes);
                end = Association::decode(&bytes).expect("it was encoded");
                let _ = Alert::from_bytes(argument);
            }
        }
    }
}
