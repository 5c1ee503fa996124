//! Round trips, truncations, flipped bits, arbitrary bytes and the checks a device makes.
#![cfg(feature = "alloc")]

use proptest::prelude::*;
use tinsmith_package::{
    EncodeError, Head, Kind, MAX_HEAD, MAX_JUMP, PackageError, Parsed, Receiver, Refusal,
    Unsupported, VENDOR_ID, encode, encode_prefix, module_class_id, request_tag, sha256,
};

fn head(payload: &[u8]) -> Head<'static> {
    Head {
        sequence: 7,
        kind: Kind::Module,
        slot: None,
        vendor_id: VENDOR_ID,
        class_id: module_class_id(&[9; 16]),
        digest: sha256(payload),
        size: payload.len() as u32,
        abi: 1,
        arena_bytes: 4096,
        trial_s: 600,
        model_name: "motion",
        model_version: "1.2.0",
        source_digest: [5; 32],
        compiler: "tinsmith 0.1.0 (portable int8, numerics 1, per channel)",
    }
}

fn receiver() -> Receiver {
    Receiver {
        module_class: module_class_id(&[9; 16]),
        firmware_class: None,
        abi: 1,
        arena_bytes: 4096,
        slot_bytes: 64 * 1024,
        sequence_floor: 6,
    }
}

const PAYLOAD: &[u8] = &[0xa5; 300];

#[test]
fn round_trip() {
    for slot in [None, Some(0), Some(255)] {
        for kind in [Kind::Module, Kind::Firmware] {
            let head = Head {
                slot,
                kind,
                ..head(PAYLOAD)
            };
            let package = encode(&head, PAYLOAD).unwrap();
            assert_eq!(package, encode(&head, PAYLOAD).unwrap());
            let Parsed::Complete {
                head: read,
                payload_offset,
                payload_len,
                ..
            } = Head::parse(&package).unwrap()
            else {
                panic!("incomplete");
            };
            assert_eq!(read, head);
            assert_eq!(&package[payload_offset..], PAYLOAD);
            assert_eq!(payload_len, 300);
            assert_eq!(package[..payload_offset], encode_prefix(&head).unwrap());
            assert_eq!(
                request_tag(&package[..payload_offset], PAYLOAD),
                sha256(&package)[..8]
            );
        }
    }
}

/// Packages in the field and in stores depend on these bytes.
#[test]
fn the_encoding_does_not_change() {
    let digest = sha256(&encode(&head(PAYLOAD), PAYLOAD).unwrap());
    let text: String = digest[..8]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(text, "4cfc5dcd579b4f02");
}

#[test]
fn the_longest_head_fits() {
    let (name, version, compiler) = ("n".repeat(64), "v".repeat(32), "c".repeat(64));
    let head = Head {
        sequence: u64::MAX,
        kind: Kind::Firmware,
        slot: Some(255),
        size: u32::MAX,
        abi: u32::MAX,
        arena_bytes: u32::MAX,
        trial_s: u32::MAX,
        model_name: &name,
        model_version: &version,
        compiler: &compiler,
        ..head(PAYLOAD)
    };
    let prefix = encode_prefix(&head).unwrap();
    assert_eq!(prefix.len(), 454);
    assert!(prefix.len() <= MAX_HEAD);
    assert!(
        matches!(Head::parse(&prefix), Ok(Parsed::Complete { head: read, .. }) if read == head)
    );

    let name = "n".repeat(65);
    assert_eq!(
        encode_prefix(&Head {
            model_name: &name,
            ..head
        }),
        Err(EncodeError::TextTooLong {
            field: "model name",
            len: 65,
            limit: 64
        })
    );
}

#[test]
fn every_truncation_needs_more() {
    let package = encode(&head(PAYLOAD), PAYLOAD).unwrap();
    let offset = package.len() - PAYLOAD.len();
    for cut in 0..offset {
        assert_eq!(
            Head::parse(&package[..cut]),
            Ok(Parsed::NeedMore),
            "cut at {cut}"
        );
    }
    assert!(matches!(
        Head::parse(&package[..offset]),
        Ok(Parsed::Complete { .. })
    ));
}

#[test]
fn every_flipped_bit_of_the_head_is_refused() {
    let package = encode(&head(PAYLOAD), PAYLOAD).unwrap();
    for bit in 0..8 * (package.len() - PAYLOAD.len()) {
        let mut flipped = package.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(
            !matches!(Head::parse(&flipped), Ok(Parsed::Complete { .. })),
            "bit {bit} was not noticed"
        );
    }
}

/// The manifest changed and its digest made to fit again: the profile itself must hold.
#[test]
fn every_flipped_bit_of_the_manifest_is_refused_or_read_back() {
    let package = encode(&head(PAYLOAD), PAYLOAD).unwrap();
    let (manifest, digest) = manifest_and_digest(&package);
    let prefix_len = package.len() - PAYLOAD.len();
    for bit in 8 * manifest.start..8 * manifest.end {
        let mut flipped = package.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let fixed = sha256(&flipped[manifest.start - 3..manifest.end]);
        flipped[digest.clone()].copy_from_slice(&fixed);
        if let Ok(Parsed::Complete { head, .. }) = Head::parse(&flipped) {
            assert_eq!(
                encode_prefix(&head).unwrap(),
                flipped[..prefix_len],
                "bit {bit}"
            );
        }
    }
}

fn manifest_and_digest(package: &[u8]) -> (core::ops::Range<usize>, core::ops::Range<usize>) {
    // d8 6b a3 02 58 27 81 58 24 82 2f 58 20 <32 bytes> 03 59 hh ll <manifest>
    assert_eq!(
        package[..13],
        [
            0xd8, 0x6b, 0xa3, 2, 0x58, 39, 0x81, 0x58, 36, 0x82, 0x2f, 0x58, 32
        ]
    );
    assert_eq!(package[45..47], [3, 0x59]);
    let len = usize::from(u16::from_be_bytes([package[47], package[48]]));
    (49..49 + len, 13..45)
}

#[test]
fn trailing_bytes_inside_the_manifest_are_refused() {
    let package = encode(&head(PAYLOAD), PAYLOAD).unwrap();
    let (manifest, digest) = manifest_and_digest(&package);
    let mut longer = package.clone();
    longer.insert(manifest.end, 0);
    let len = (manifest.len() + 1) as u16;
    longer[47..49].copy_from_slice(&len.to_be_bytes());
    let fixed = sha256(&longer[manifest.start - 3..=manifest.end]);
    longer[digest].copy_from_slice(&fixed);
    assert_eq!(Head::parse(&longer), Err(PackageError::Malformed));
}

#[test]
fn what_is_no_envelope_is_refused_at_the_first_byte() {
    assert_eq!(Head::parse(&[]), Ok(Parsed::NeedMore));
    assert_eq!(Head::parse(&[0]), Err(PackageError::Malformed));
    assert_eq!(Head::parse(b"\x7fELF"), Err(PackageError::Malformed));
    assert_eq!(
        Head::parse(&[0xd8, 0x6c]),
        Err(Unsupported::Envelope.into())
    );
    let tag_and_claim = [0xd8, 0x6b, 0xa3, 2, 0x59, 0xff, 0xff];
    assert_eq!(Head::parse(&tag_and_claim), Err(PackageError::HeadTooLong));
}

#[test]
fn a_signed_package_is_refused_by_a_reader_that_cannot_verify() {
    let package = encode(&head(PAYLOAD), PAYLOAD).unwrap();
    let mut signed = package.clone();
    signed[5] += 2;
    signed[6] = 0x82;
    signed.splice(45..45, [0x41, 0xf6]);
    assert_eq!(
        Head::parse(&signed),
        Err(Unsupported::Authentication.into())
    );
}

#[test]
fn the_device_refuses_what_it_cannot_run() {
    let fits = head(PAYLOAD);
    assert_eq!(fits.check(&receiver()), Ok(()));
    for (head, refusal) in [
        (
            Head {
                vendor_id: [0; 16],
                ..fits.clone()
            },
            Refusal::Vendor,
        ),
        (
            Head {
                class_id: [0; 16],
                ..fits.clone()
            },
            Refusal::Class,
        ),
        (
            Head {
                kind: Kind::Firmware,
                ..fits.clone()
            },
            Refusal::Component,
        ),
        (
            Head {
                abi: 2,
                ..fits.clone()
            },
            Refusal::Abi {
                package: 2,
                device: 1,
            },
        ),
        (
            Head {
                sequence: 6,
                ..fits.clone()
            },
            Refusal::Sequence {
                package: 6,
                floor: 6,
            },
        ),
        (
            Head {
                sequence: 7 + MAX_JUMP,
                ..fits.clone()
            },
            Refusal::Sequence {
                package: 7 + MAX_JUMP,
                floor: 6,
            },
        ),
        (
            Head {
                size: 65_537,
                ..fits.clone()
            },
            Refusal::Storage {
                needed: 65_537,
                available: 65_536,
            },
        ),
        (
            Head {
                arena_bytes: 4097,
                ..fits.clone()
            },
            Refusal::Arena {
                needed: 4097,
                available: 4096,
            },
        ),
    ] {
        assert_eq!(head.check(&receiver()), Err(refusal));
    }
    let last = Head {
        sequence: 6 + MAX_JUMP,
        ..fits
    };
    assert_eq!(last.check(&receiver()), Ok(()));
}

#[test]
fn a_head_for_another_payload_is_not_encoded() {
    assert_eq!(
        encode(&head(PAYLOAD), b"other"),
        Err(EncodeError::PayloadMismatch)
    );
    let wrong = Head {
        digest: [0; 32],
        ..head(PAYLOAD)
    };
    assert_eq!(encode(&wrong, PAYLOAD), Err(EncodeError::PayloadMismatch));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..1500)) {
        let _ = Head::parse(&bytes);
    }

    #[test]
    fn arbitrary_manifests_never_panic(
        at in 49_usize..400,
        patch in proptest::collection::vec(any::<u8>(), 1..12),
    ) {
        let mut package = encode(&head(PAYLOAD), PAYLOAD).unwrap();
        let (manifest, digest) = manifest_and_digest(&package);
        let end = (at + patch.len()).min(manifest.end);
        if at < end {
            package[at..end].copy_from_slice(&patch[..end - at]);
            let fixed = sha256(&package[manifest.start - 3..manifest.end]);
            package[digest].copy_from_slice(&fixed);
        }
        let prefix_len = package.len() - PAYLOAD.len();
        if let Ok(Parsed::Complete { head, .. }) = Head::parse(&package) {
            prop_assert_eq!(encode_prefix(&head).unwrap(), &package[..prefix_len]);
        }
    }
}
