//! Records on the wire: against OpenSSL's AES, changed in every bit, cut, padded, replayed.

mod common;

use common::{AEADS, cid, hex, open_pair};
use proptest::prelude::*;
use tinsmith_dtls::{
    Aead, Alert, AlertDescription, Content, ContentType, MAX_CID, MAX_CONTENT, MAX_OVERHEAD,
    Number, OpenError, Protection, SealError, SoftAes, records,
};

/// `GET /rd?ep=tinsmith` as application data 0x010203 of epoch 1, protected by the AES of OpenSSL:
/// without Connection ID, and with `c1c2c3` and five bytes of padding.
const KNOWN: [(Aead, &str, &str); 3] = [
    (
        Aead::Ccm8,
        "17fefd0001000000010203 0023 0001000000010203
         70b351fbd18e92c47fa8c11714cb2aa235f50a 8c281326cecdb19e",
        "19fefd0001000000010203c1c2c3 0029 0001000000010203
         70b351fbd18e92c47fa8c11714cb2aa235f50aab39be2d16ab e0b087d5cfb73648",
    ),
    (
        Aead::Ccm,
        "17fefd0001000000010203 002b 0001000000010203
         70b351fbd18e92c47fa8c11714cb2aa235f50a f70a4ae29d8d3b6c31f9b88029337ac9",
        "19fefd0001000000010203c1c2c3 0031 0001000000010203
         70b351fbd18e92c47fa8c11714cb2aa235f50aab39be2d16ab 9543d911238c0ba104d69f22b4f08d1f",
    ),
    (
        Aead::Gcm,
        "17fefd0001000000010203 002b 0001000000010203
         2224ecd6945fb2214098b82a3d7a6c5753b108 10b3d6768157a5a02e45102ac0dc3296",
        "19fefd0001000000010203c1c2c3 0031 0001000000010203
         2224ecd6945fb2214098b82a3d7a6c5753b1089946beec245a aff2e732d5a0508b8f5a595452f0f037",
    ),
];
const CONTENT: &[u8] = b"GET /rd?ep=tinsmith";

#[test]
fn the_records_of_openssl() {
    let key = core::array::from_fn(|i| i as u8);
    let number = Number {
        epoch: 1,
        sequence: 0x01_0203,
    };
    let mut aes = SoftAes::new();
    for (aead, plain, with_cid) in KNOWN {
        let protection = Protection::new(aead, &key, &[0xa0, 0xa1, 0xa2, 0xa3]);
        for (known, cid, padding) in [(plain, &[][..], 0), (with_cid, &[0xc1, 0xc2, 0xc3], 5)] {
            let mut record = hex(known);
            let mut buffer = [0xee; 100];
            buffer[..CONTENT.len()].copy_from_slice(CONTENT);
            let kind = ContentType::ApplicationData;
            let len = CONTENT.len();
            let made = protection.seal(&mut aes, number, cid, kind, &mut buffer, len, padding);
            assert_eq!(buffer[..made.unwrap()], record[..], "{aead:?}");
            assert_eq!(made, Ok(len + padding + protection.overhead(cid.len())));
            let opened = protection.open(&mut aes, cid, &mut record).unwrap();
            assert_eq!((opened.number, opened.content_type), (number, kind as u8));
            assert_eq!(opened.content, CONTENT, "{aead:?}");
        }
    }
}

#[test]
fn suites_by_number() {
    for (suite, aead) in [
        (0xc0a8, Some(Aead::Ccm8)),
        (0xc0a4, Some(Aead::Ccm)),
        (0x00a8, Some(Aead::Gcm)),
        (0xc0ae, Some(Aead::Ccm8)),
        (0xc0ac, Some(Aead::Ccm)),
        (0xc02b, Some(Aead::Gcm)),
        // PSK with CBC, and with AES-256.
        (0x00ae, None),
        (0xc0a9, None),
    ] {
        assert_eq!(Aead::of_suite(suite), aead, "{suite:04x}");
    }
}

#[test]
fn both_ends_with_connection_ids_of_every_length() {
    let mut aes = SoftAes::new();
    for aead in AEADS {
        for client_cid in 0..=MAX_CID {
            let server_cid = MAX_CID - client_cid;
            let (mut client, mut server) =
                open_pair(aead, cid(client_cid, 0xa0), cid(server_cid, 0));
            for (from, to) in [(0, 1), (1, 0), (0, 1)] {
                let ends = [&mut client, &mut server];
                let mut buffer = [0; 1152 + MAX_OVERHEAD];
                buffer[..1152].fill(7);
                let len = ends[from].overhead() + 1152;
                let kind = ContentType::ApplicationData;
                let made = ends[from].seal(&mut aes, kind, &mut buffer, 1152);
                assert_eq!(made, Ok(len));
                let outer = if ends[to].own_cid().is_empty() {
                    23
                } else {
                    25
                };
                assert_eq!(buffer[0], outer);
                let opened = ends[to].open(&mut aes, &mut buffer[..len]).unwrap();
                assert!(opened.newest);
                assert_eq!(opened.content, Content::Data(&mut [7; 1152]));
            }
        }
    }
}

#[test]
fn padding_hides_the_length_and_is_left_out_without_a_connection_id() {
    let mut aes = SoftAes::new();
    let kind = ContentType::ApplicationData;
    for (len, padding) in [(0, 0), (0, 100), (5, 95), (100, 0)] {
        let (mut client, mut server) = open_pair(Aead::Ccm8, cid(0, 0), cid(4, 9));
        let mut buffer = [0; 200];
        buffer[..len].fill(1);
        let made = client.seal_padded(&mut aes, kind, &mut buffer, len, padding);
        let made = made.unwrap();
        assert_eq!(made, client.overhead() + len + padding);
        let opened = server.open(&mut aes, &mut buffer[..made]).unwrap();
        assert_eq!(opened.content, Content::Data(&mut vec![1; len]));

        buffer[..len].fill(2);
        let made = server.seal_padded(&mut aes, kind, &mut buffer, len, padding);
        let made = made.unwrap();
        assert_eq!(made, server.overhead() + len);
        let opened = client.open(&mut aes, &mut buffer[..made]).unwrap();
        assert_eq!(opened.content, Content::Data(&mut vec![2; len]));
    }
}

#[test]
fn alerts() {
    let mut aes = SoftAes::new();
    let (mut client, mut server) = open_pair(Aead::Ccm8, cid(0, 0), cid(8, 1));
    for alert in [
        Alert::CLOSE_NOTIFY,
        Alert::fatal(AlertDescription::DECRYPT_ERROR),
        Alert::warning(AlertDescription::NO_RENEGOTIATION),
    ] {
        let mut buffer = [0; MAX_OVERHEAD + 2];
        let made = client.seal_alert(&mut aes, alert, &mut buffer).unwrap();
        let opened = server.open(&mut aes, &mut buffer[..made]).unwrap();
        assert_eq!(opened.content, Content::Alert(alert));
    }
    let mut buffer = [0; 100];
    let made = client.seal(&mut aes, ContentType::Alert, &mut buffer, 3);
    let made = made.unwrap();
    let opened = server.open(&mut aes, &mut buffer[..made]);
    assert_eq!(opened, Err(OpenError::Malformed));
}

#[test]
fn no_bit_may_be_changed_and_no_byte_be_missing() {
    let mut aes = SoftAes::new();
    for aead in AEADS {
        for cid_len in [0, 3] {
            let (mut client, server) = open_pair(aead, cid(0, 0), cid(cid_len, 0xc0));
            let mut record = [0x41; 80];
            let kind = ContentType::ApplicationData;
            let made = client.seal_padded(&mut aes, kind, &mut record, 20, 2);
            let record = &record[..made.unwrap()];
            for bit in 0..record.len() * 8 {
                let mut changed = record.to_vec();
                changed[bit / 8] ^= 1 << (bit % 8);
                let mut end = server.clone();
                assert!(
                    end.open(&mut aes, &mut changed).is_err(),
                    "{aead:?} bit {bit}"
                );
                assert_eq!(end, server);
            }
            for len in 0..record.len() {
                // Also with a length that says so.
                let mut cut = record[..len].to_vec();
                let mut end = server.clone();
                assert!(end.open(&mut aes, &mut cut).is_err(), "{aead:?} of {len}");
                if let Some(fragment) = len.checked_sub(13 + cid_len) {
                    let place = 11 + cid_len;
                    cut[place..place + 2].copy_from_slice(&(fragment as u16).to_be_bytes());
                    assert!(end.open(&mut aes, &mut cut).is_err(), "{aead:?} of {len}");
                }
                assert_eq!(end, server);
            }
            let mut longer = [record, &[0]].concat();
            assert_eq!(
                server.clone().open(&mut aes, &mut longer),
                Err(OpenError::Malformed)
            );
            assert!(server.clone().open(&mut aes, &mut record.to_vec()).is_ok());
        }
    }
}

#[test]
fn records_that_are_not_for_us() {
    let mut aes = SoftAes::new();
    let kind = ContentType::ApplicationData;
    let mut seal = |own: usize, first: u8| {
        let (mut client, _) = open_pair(Aead::Ccm8, cid(0, 0), cid(own, first));
        let mut buffer = vec![0; 100];
        let made = client.seal(&mut aes, kind, &mut buffer, 5).unwrap();
        buffer.truncate(made);
        buffer
    };
    let (mut without, mut with, mut other) = (seal(0, 0), seal(4, 1), seal(4, 2));
    let mut of_handshake = seal(0, 0);
    of_handshake[4] = 0;
    let mut aes = SoftAes::new();
    let (_, mut server) = open_pair(Aead::Ccm8, cid(0, 0), cid(4, 1));
    let foreign = Err(OpenError::ForeignCid);
    assert_eq!(server.open(&mut aes, &mut without.clone()), foreign);
    assert_eq!(server.open(&mut aes, &mut other), foreign);
    let (_, mut classic) = open_pair(Aead::Ccm8, cid(0, 0), cid(0, 0));
    assert!(classic.open(&mut aes, &mut with.clone()).is_err());
    assert_eq!(
        classic.open(&mut aes, &mut of_handshake),
        Err(OpenError::Epoch)
    );
    assert!(server.open(&mut aes, &mut with).is_ok());
    assert!(classic.open(&mut aes, &mut without).is_ok());
}

#[test]
fn a_record_is_taken_once_and_in_any_order() {
    let mut aes = SoftAes::new();
    let (mut client, mut server) = open_pair(Aead::Gcm, cid(0, 0), cid(2, 0));
    let all: Vec<Vec<u8>> = (0..100u8)
        .map(|n| {
            let mut buffer = vec![n; 60];
            let made = client.seal(&mut aes, ContentType::ApplicationData, &mut buffer, 1);
            buffer.truncate(made.unwrap());
            buffer
        })
        .collect();
    let mut open = |n: usize| {
        let mut record = all[n].clone();
        let opened = server.open(&mut aes, &mut record)?;
        assert_eq!(opened.sequence, n as u64 + 1);
        assert_eq!(opened.content, Content::Data(&mut [n as u8]));
        Ok(opened.newest)
    };
    assert_eq!(open(1), Ok(true));
    assert_eq!(open(0), Ok(false));
    assert_eq!(open(1), Err(OpenError::Replayed));
    assert_eq!(open(80), Ok(true));
    assert_eq!(open(80), Err(OpenError::Replayed));
    assert_eq!(open(80 - 63), Ok(false));
    assert_eq!(open(80 - 64), Err(OpenError::TooOld));
    assert_eq!(open(0), Err(OpenError::TooOld));
}

#[test]
fn what_does_not_fit() {
    let mut aes = SoftAes::new();
    let kind = ContentType::ApplicationData;
    let (mut client, mut server) = open_pair(Aead::Ccm8, cid(0, 0), cid(4, 1));
    let mut small = [0; 50];
    let fits = 50 - client.overhead();
    let before = client.clone();
    for (len, padding, error) in [
        (fits + 1, 0, SealError::Space),
        (fits, 1, SealError::Space),
        (MAX_CONTENT, 0, SealError::TooLong),
        (usize::MAX, 0, SealError::TooLong),
        (0, usize::MAX, SealError::TooLong),
    ] {
        let made = client.seal_padded(&mut aes, kind, &mut small, len, padding);
        assert_eq!(made, Err(error), "{len} {padding}");
    }
    assert_eq!(client, before);
    assert_eq!(client.seal(&mut aes, kind, &mut small, fits), Ok(50));
    let mut large = vec![3; MAX_CONTENT + MAX_OVERHEAD];
    let made = client.seal(&mut aes, kind, &mut large, MAX_CONTENT - 1);
    let opened = server.open(&mut aes, &mut large[..made.unwrap()]).unwrap();
    assert_eq!(opened.content, Content::Data(&mut vec![3; MAX_CONTENT - 1]));
}

proptest! {
    #[test]
    fn any_bytes_are_dropped(mut bytes in prop::collection::vec(any::<u8>(), 0..200), own in 0usize..6) {
        let mut aes = SoftAes::new();
        let (_, server) = open_pair(Aead::Ccm8, cid(0, 0), cid(own, 0xc0));
        // Not even the header must be wrong.
        for (place, byte) in bytes.iter_mut().zip([if own == 0 { 23 } else { 25 }, 254, 253, 0, 1]) {
            *place = byte;
        }
        for record in records(&mut bytes, own) {
            let mut end = server.clone();
            prop_assert!(end.open(&mut aes, record).is_err());
            prop_assert_eq!(&end, &server);
        }
    }

    #[test]
    fn a_datagram_carries_the_records_put_into_it(
        contents in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..100), 1..6),
        own in 0usize..6,
        aead in 0usize..3,
        tail in prop::collection::vec(any::<u8>(), 0..13),
    ) {
        let mut aes = SoftAes::new();
        let (mut client, mut server) = open_pair(AEADS[aead], cid(0, 0), cid(own, 0xc0));
        let mut datagram = Vec::new();
        for content in &contents {
            let mut buffer = content.clone();
            buffer.resize(content.len() + MAX_OVERHEAD, 0);
            let made = client.seal(&mut aes, ContentType::ApplicationData, &mut buffer, content.len());
            datagram.extend_from_slice(&buffer[..made.unwrap()]);
        }
        datagram.extend_from_slice(&tail);
        let mut opened = Vec::new();
        for record in records(&mut datagram, own) {
            match server.open(&mut aes, record).unwrap().content {
                Content::Data(data) => opened.push(data.to_vec()),
                other => panic!("{other:?}"),
            }
        }
        prop_assert_eq!(opened, contents);
    }
}
