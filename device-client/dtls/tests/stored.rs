//! Associations that survive a restart: what is written down, and that no number is used twice.

mod common;

use common::{AEADS, cid, hex, open_pair, pair};
use proptest::prelude::*;
use tinsmith_dtls::{
    Aead, Association, Content, ContentType, MAX_CID, MAX_ENCODED, Number, OpenError, SealError,
    SoftAes, Start, StoredError, Window,
};

fn encode(association: &Association) -> Vec<u8> {
    let mut bytes = vec![0; association.encoded_len()];
    assert_eq!(association.encode(&mut bytes), Ok(bytes.len()));
    bytes
}

fn seal(association: &mut Association, content: &[u8]) -> Result<Vec<u8>, SealError> {
    let mut buffer = content.to_vec();
    buffer.resize(content.len() + association.overhead(), 0);
    let kind = ContentType::ApplicationData;
    association.seal(&mut SoftAes::new(), kind, &mut buffer, content.len())?;
    Ok(buffer)
}

fn open(association: &mut Association, record: &[u8]) -> Result<Vec<u8>, OpenError> {
    match association
        .open(&mut SoftAes::new(), &mut record.to_vec())?
        .content
    {
        Content::Data(data) => Ok(data.to_vec()),
        other => panic!("{other:?}"),
    }
}

/// The bytes of version 1, as stores and devices have them.
#[test]
fn the_bytes() {
    let (_, mut server) = pair(Aead::Gcm, cid(0, 0), cid(3, 0xa1));
    server.reserve(255);
    let bytes = hex("01 01 03
         c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1 c2c2c2c2
         51515151515151515151515151515151 52525252
         0000000000000100
         0000000000000000 0000000000000000
         03 a1a2a3 00");
    assert_eq!(encode(&server), bytes);
    let restored = Association::decode(&bytes).unwrap();
    assert_eq!((restored.next_number(), restored.numbers_left()), (256, 0));
    assert_eq!(restored.own_cid(), server.own_cid());
    assert_eq!(
        (restored.role(), restored.aead()),
        (server.role(), Aead::Gcm)
    );
}

#[test]
fn a_server_that_restarts_goes_on_without_a_handshake() {
    for aead in AEADS {
        let (mut client, mut server) = pair(aead, cid(0, 0), cid(8, 1));
        client.use_all_numbers();
        let mark = server.reserve(1000);
        let durable = encode(&server);
        server.confirm_reserved(mark);
        let replies: Vec<_> = (0..5)
            .map(|_| seal(&mut server, b"before").unwrap())
            .collect();
        let request = seal(&mut client, b"request").unwrap();
        assert_eq!(open(&mut server, &request).unwrap(), b"request");
        // Its effect is committed together with what was received.
        let durable_later = encode(&server);

        let mut server = Association::decode(&durable_later).unwrap();
        assert_eq!(open(&mut server, &request), Err(OpenError::Replayed));
        assert_eq!(seal(&mut server, b"too early"), Err(SealError::Unreserved));
        let mark = server.reserve(1000);
        server.confirm_reserved(mark);
        let after = seal(&mut server, b"after").unwrap();
        for reply in &replies {
            assert_ne!(reply[..11], after[..11], "a number was used twice");
            open(&mut client, reply).unwrap();
        }
        assert_eq!(open(&mut client, &after).unwrap(), b"after");
        let request = seal(&mut client, b"next").unwrap();
        assert_eq!(open(&mut server, &request).unwrap(), b"next");
        // From the older state the numbers go on at the same mark.
        let older = Association::decode(&durable).unwrap();
        assert_eq!(older.next_number(), 1001);
    }
}

#[test]
fn numbers_wait_for_the_mark_to_be_durable() {
    let (mut client, _) = pair(Aead::Ccm8, cid(0, 0), cid(0, 0));
    assert_eq!(seal(&mut client, b"x"), Err(SealError::Unreserved));
    let mark = client.reserve(2);
    assert_eq!((mark, client.numbers_left()), (3, 0));
    assert_eq!(seal(&mut client, b"x"), Err(SealError::Unreserved));
    client.confirm_reserved(mark);
    assert_eq!(client.numbers_left(), 2);
    // A mark that nobody gave out.
    client.confirm_reserved(u64::MAX);
    assert_eq!(client.numbers_left(), 2);
    // A smaller reservation takes nothing back.
    assert_eq!(client.reserve(1), 3);
    assert!(seal(&mut client, b"x").is_ok());
    assert!(seal(&mut client, b"x").is_ok());
    assert_eq!(seal(&mut client, b"x"), Err(SealError::Unreserved));
}

#[test]
fn numbers_end() {
    let keys = common::keys(Aead::Ccm8);
    let start = |next_number| Start {
        role: tinsmith_dtls::Role::Client,
        keys: &keys,
        own_cid: cid(0, 0),
        peer_cid: cid(0, 0),
        next_number,
        received: Window::NEW,
    };
    let mut last = Association::new(&start(Number::LAST_SEQUENCE));
    assert_eq!(last.reserve(u64::MAX), Number::LAST_SEQUENCE + 1);
    last.confirm_reserved(u64::MAX);
    let record = seal(&mut last, b"the last").unwrap();
    assert_eq!(record[3..11], hex("0001 ffffffffffff"));
    assert_eq!(seal(&mut last, b"x"), Err(SealError::Exhausted));
    let mut restored = Association::decode(&encode(&last)).unwrap();
    assert_eq!(seal(&mut restored, b"x"), Err(SealError::Exhausted));
    let mut beyond = Association::new(&start(u64::MAX));
    beyond.use_all_numbers();
    assert_eq!(seal(&mut beyond, b"x"), Err(SealError::Exhausted));
    let (_, mut server) = open_pair(Aead::Ccm8, cid(0, 0), cid(0, 0));
    assert_eq!(open(&mut server, &record).unwrap(), b"the last");
    assert_eq!(open(&mut server, &record), Err(OpenError::Replayed));
    assert!(Association::decode(&encode(&server)).is_ok());
}

#[test]
fn what_is_no_association() {
    let (client, _) = pair(Aead::Ccm8, cid(3, 1), cid(5, 2));
    let bytes = encode(&client);
    assert!(bytes.len() <= MAX_ENCODED);
    for len in 0..bytes.len() {
        assert_eq!(client.encode(&mut vec![0; len]), Err(StoredError::Space));
        assert_eq!(
            Association::decode(&bytes[..len]),
            Err(StoredError::Malformed)
        );
    }
    let changed = |at: usize, to: u8| {
        let mut bytes = bytes.clone();
        bytes[at] = to;
        Association::decode(&bytes)
    };
    assert_eq!(changed(0, 2), Err(StoredError::Version(2)));
    assert_eq!(changed(1, 2), Err(StoredError::Malformed));
    assert_eq!(changed(2, 9), Err(StoredError::Aead(9)));
    // A mark beyond the last number, a window that can't be.
    assert_eq!(changed(43, 1), Err(StoredError::Malformed));
    assert_eq!(changed(66, 1), Err(StoredError::Malformed));
    assert_eq!(changed(67, 4), Err(StoredError::Malformed));
    assert_eq!(changed(67, MAX_CID as u8 + 1), Err(StoredError::Malformed));
    assert_eq!(
        Association::decode(&[&bytes[..], &[0]].concat()),
        Err(StoredError::Malformed)
    );
}

#[test]
fn nothing_prints_a_key() {
    let (client, _) = pair(Aead::Ccm8, cid(0, 0), cid(2, 7));
    let keys = common::keys(Aead::Ccm8);
    for text in [format!("{client:?}"), format!("{keys:?}")] {
        // The keys are c1.. and 51..
        for secret in ["c1", "193", "0x51", "81, 81"] {
            assert!(!text.contains(secret), "{text}");
        }
    }
}

proptest! {
    #[test]
    fn encoded_and_decoded(
        aead in 0usize..3,
        cids in (0..=MAX_CID, 0..=MAX_CID),
        received in prop::collection::vec(0u64..500, 0..50),
        reserve in 0u64..1 << 40,
    ) {
        let (mut client, mut server) = open_pair(AEADS[aead], cid(cids.0, 1), cid(cids.1, 2));
        let records: Vec<_> = (0..501).map(|_| seal(&mut client, b"").unwrap()).collect();
        for number in received {
            let _ = open(&mut server, &records[number as usize]);
        }
        let (_, mut other) = pair(AEADS[aead], cid(cids.0, 1), cid(cids.1, 2));
        other.reserve(reserve);
        for association in [&client, &server, &other] {
            let bytes = encode(association);
            prop_assert!(bytes.len() <= MAX_ENCODED);
            let restored = Association::decode(&bytes).unwrap();
            prop_assert_eq!(encode(&restored), bytes);
            prop_assert_eq!(restored.received(), association.received());
            prop_assert!(restored.next_number() >= association.next_number());
        }
    }

    #[test]
    fn any_bytes_are_refused_or_encoded_again(mut bytes in prop::collection::vec(any::<u8>(), 0..=MAX_ENCODED)) {
        for (place, byte) in bytes.iter_mut().zip([1, 0, 1]) {
            *place = byte;
        }
        if let Ok(association) = Association::decode(&bytes) {
            prop_assert_eq!(encode(&association), bytes);
        }
    }
}
