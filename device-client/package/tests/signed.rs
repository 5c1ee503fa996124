//! Signed packages: what is taken, and that nothing else is.
#![cfg(all(feature = "alloc", feature = "ed25519", feature = "es256"))]

use ed25519_dalek::Signer as _;
use p256::ecdsa::signature::hazmat::PrehashSigner as _;
use proptest::prelude::*;
use tinsmith_package::{
    Algorithm, Anchors, Authentication, Head, KeyId, Kind, MAX_ANCHORS, MAX_HEAD, Manifest,
    PackageError, Parsed, Scheme, Signature, TrustAnchor, Unsupported, Untrusted, VENDOR_ID,
    sha256, to_be_signed,
};

const PAYLOAD: &[u8] = &[0xa5; 300];

fn head() -> Head<'static> {
    Head {
        sequence: 7,
        kind: Kind::Module,
        slot: None,
        vendor_id: VENDOR_ID,
        class_id: [9; 16],
        digest: sha256(PAYLOAD),
        size: PAYLOAD.len() as u32,
        abi: 1,
        arena_bytes: 4096,
        trial_s: 600,
        model_name: "motion",
        model_version: "1.2.0",
        source_digest: [5; 32],
        compiler: "tinsmith",
    }
}

fn anchor(algorithm: Algorithm, secret: u8) -> TrustAnchor {
    let secret = [secret; 32];
    match algorithm {
        Algorithm::EdDsa => {
            let key = ed25519_dalek::SigningKey::from_bytes(&secret).verifying_key();
            TrustAnchor::new(algorithm, key.as_bytes()).expect("it is a key")
        }
        Algorithm::Es256 => {
            let key = p256::ecdsa::SigningKey::from_slice(&secret).expect("it is a key");
            let point = key.verifying_key().to_sec1_point(false);
            TrustAnchor::new(algorithm, &point.as_bytes()[1..]).expect("it is a key")
        }
    }
}

fn sign(algorithm: Algorithm, secret: u8, message: &[u8]) -> [u8; 64] {
    let secret = [secret; 32];
    match algorithm {
        Algorithm::EdDsa => ed25519_dalek::SigningKey::from_bytes(&secret)
            .sign(message)
            .to_bytes(),
        Algorithm::Es256 => {
            let key = p256::ecdsa::SigningKey::from_slice(&secret).expect("it is a key");
            let signature: p256::ecdsa::Signature =
                key.sign_prehash(&sha256(message)).expect("it is a key");
            signature.to_bytes().into()
        }
    }
}

/// The head of a package that is signed, up to the payload.
fn signed(algorithm: Algorithm, secret: u8, key_id: KeyId) -> Vec<u8> {
    let manifest = Manifest::of(&head()).expect("the texts fit");
    let bytes = sign(algorithm, secret, &manifest.to_be_signed(algorithm));
    manifest.prefix(Some(&Signature {
        algorithm,
        key_id,
        bytes,
    }))
}

fn anchors(all: &[TrustAnchor]) -> Anchors {
    let mut anchors = Anchors::EMPTY;
    for anchor in all {
        assert!(anchors.add(*anchor));
    }
    anchors
}

fn authentication(package: &[u8]) -> Authentication<'_> {
    match Head::parse(package) {
        Ok(Parsed::Complete {
            authentication,
            head: read,
            ..
        }) => {
            assert_eq!(read, head());
            authentication
        }
        other => panic!("{other:?}"),
    }
}

const SCHEMES: [Scheme; 2] = [Scheme::ED25519, Scheme::ES256];

const BOTH: [Algorithm; 2] = [Algorithm::EdDsa, Algorithm::Es256];

#[test]
fn a_signature_is_taken_from_an_anchor_and_from_nobody_else() {
    for algorithm in BOTH {
        let (ours, other) = (anchor(algorithm, 1), anchor(algorithm, 2));
        let package = signed(algorithm, 1, *ours.id());
        let read = authentication(&package);
        assert_eq!(
            read.verify(&anchors(&[other, ours]), &SCHEMES),
            Ok(Some(*ours.id()))
        );
        let unknown = Err(Untrusted::UnknownKey(*ours.id()));
        assert_eq!(read.verify(&anchors(&[other]), &SCHEMES), unknown);
        // Without anchors everything is taken, from nobody.
        assert_eq!(read.verify(&Anchors::EMPTY, &SCHEMES), Ok(None));
        // Somebody else signs under our name.
        let forged = signed(algorithm, 2, *ours.id());
        let forged = authentication(&forged).verify(&anchors(&[ours]), &SCHEMES);
        assert_eq!(forged, Err(Untrusted::Forged));
    }
}

#[test]
fn an_unsigned_package_is_taken_only_without_anchors() {
    let package = Manifest::of(&head()).unwrap().prefix(None);
    let read = authentication(&package);
    assert_eq!(read.verify(&Anchors::EMPTY, &SCHEMES), Ok(None));
    let ours = anchors(&[anchor(Algorithm::EdDsa, 1)]);
    assert_eq!(read.verify(&ours, &SCHEMES), Err(Untrusted::Unsigned));
}

/// Every bit of a signed head counts: it is refused when it is read, or when it is verified.
#[test]
fn every_flipped_bit_is_refused() {
    for algorithm in BOTH {
        let ours = anchor(algorithm, 1);
        let package = signed(algorithm, 1, *ours.id());
        let ours = anchors(&[ours]);
        for bit in 0..8 * package.len() {
            let mut flipped = package.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            if let Ok(Parsed::Complete { authentication, .. }) = Head::parse(&flipped) {
                assert!(authentication.verify(&ours, &SCHEMES).is_err(), "bit {bit}");
            }
        }
    }
}

#[test]
fn every_truncation_needs_more() {
    let package = signed(Algorithm::EdDsa, 1, [3; 8]);
    assert_eq!(
        package.len(),
        Manifest::of(&head()).unwrap().prefix(None).len() + 86
    );
    assert!(package.len() <= MAX_HEAD);
    for cut in 0..package.len() {
        assert_eq!(Head::parse(&package[..cut]), Ok(Parsed::NeedMore), "{cut}");
    }
}

/// One signature of the one form; anything else can't be verified.
#[test]
fn other_authentication_blocks_are_unsupported() {
    let package = signed(Algorithm::EdDsa, 1, [3; 8]);
    // d8 6b a3 02 58 7f 82 58 24 82 2f 58 20 <32> 58 54 d2 84 43 a1 01 27 a1 04 48 <8> f6 58 40 <64>
    assert_eq!(package[..7], [0xd8, 0x6b, 0xa3, 2, 0x58, 0x7d, 0x82]);
    let block = 45;
    assert_eq!(package[block..block + 4], [0x58, 0x54, 0xd2, 0x84]);
    for (at, value) in [
        (2, 0xd1),
        (3, 0x83),
        (4, 0x42),
        (7, 0x28),
        (8, 0xa0),
        (9, 5),
        (19, 0xf7),
    ] {
        let mut other = package.clone();
        other[block + at] = value;
        assert_eq!(
            Head::parse(&other),
            Err(PackageError::Unsupported(Unsupported::Authentication)),
            "{at}"
        );
    }
    let mut two = package.clone();
    two[6] = 0x83;
    two[5] += 1;
    two.insert(block + 86, 0x40);
    assert_eq!(
        Head::parse(&two),
        Err(PackageError::Unsupported(Unsupported::Authentication))
    );
}

#[test]
fn anchors_are_read_back_and_named_by_their_thumbprint() {
    for algorithm in BOTH {
        let ours = anchor(algorithm, 1);
        let (bytes, len) = ours.encode();
        assert_eq!(TrustAnchor::parse(&bytes[..len], &SCHEMES), Some(ours));
        for cut in 0..len {
            assert_eq!(TrustAnchor::parse(&bytes[..cut], &SCHEMES), None);
        }
        assert_eq!(
            TrustAnchor::parse(&[&bytes[..len], b"\x00"].concat(), &SCHEMES),
            None
        );
        for bit in 0..8 * len {
            let mut flipped = bytes;
            flipped[bit / 8] ^= 1 << (bit % 8);
            // Another key may be one; this one is not found under two names.
            let other = TrustAnchor::parse(&flipped[..len], &SCHEMES);
            assert!(other.is_none_or(|other| other.id() != ours.id()));
        }
        // RFC 9679 §3: without alg.
        let thumbprint = match algorithm {
            Algorithm::EdDsa => [&[0xa3, 1, 1][..], &bytes[5..len]].concat(),
            Algorithm::Es256 => [&[0xa4, 1, 2][..], &bytes[5..len]].concat(),
        };
        assert_eq!(sha256(&thumbprint)[..8], *ours.id());
    }
}

#[test]
fn sets_of_anchors_are_bounded_and_name_nobody_twice() {
    let all: Vec<_> = (1..=5).map(|n| anchor(Algorithm::EdDsa, n)).collect();
    let set = |all: &[TrustAnchor]| {
        let mut bytes = vec![0x80 | all.len() as u8];
        for anchor in all {
            let (encoded, len) = anchor.encode();
            bytes.extend_from_slice(&encoded[..len]);
        }
        bytes
    };
    let four = set(&all[..MAX_ANCHORS]);
    assert_eq!(
        Anchors::parse(&four, &SCHEMES),
        Some(anchors(&all[..MAX_ANCHORS]))
    );
    assert_eq!(Anchors::parse(&set(&all), &SCHEMES), None);
    assert_eq!(Anchors::parse(&set(&[]), &SCHEMES), None);
    assert_eq!(Anchors::parse(&set(&[all[0], all[0]]), &SCHEMES), None);
    assert_eq!(
        Anchors::parse(&[&four[..], b"\x00"].concat(), &SCHEMES),
        None
    );
    let mut full = anchors(&all[..MAX_ANCHORS]);
    assert!(!full.add(all[4]));
    assert!(full.add(all[0]));
}

/// Example 0 of draft-ietf-suit-manifest, appendix B: digest, key and signature by others.
#[test]
fn the_signature_of_the_draft_is_verified() {
    let bytes = |text: &str| -> Vec<u8> {
        let digits = text.as_bytes().chunks(2);
        let digits = digits.map(|two| std::str::from_utf8(two).unwrap());
        digits
            .map(|two| u8::from_str_radix(two, 16).unwrap())
            .collect()
    };
    let key = bytes(
        "8496811aae0baaabd26157189eecda26beaa8bf11b6f3fe6e2b5659c85dbc0ad\
         3b1f2a4b6c098131c0a36dacd1d78bd381dcdfb09c052db33991db7338b4a896",
    );
    let digest = bytes("6658ea560262696dd1f13b782239a064da7c6c5cbaf52fded428a6fc83c7e5af");
    let signature = bytes(
        "56acf3c133338f558bbbac1e73a62bffac2a0067d0f7a2e860e20b9119a61d96\
         4af04fb56c2c7618d3d74558c14f5daf7cafa8771b34ec42160f5c94250a57eb",
    );
    let anchor = TrustAnchor::new(Algorithm::Es256, &key).unwrap();
    let bytes: [u8; 64] = signature.try_into().unwrap();
    let authentication = Authentication {
        digest: digest.try_into().unwrap(),
        signature: Some(Signature {
            algorithm: Algorithm::Es256,
            key_id: *anchor.id(),
            bytes: &bytes,
        }),
    };
    let verified = authentication.verify(&anchors(&[anchor]), &SCHEMES);
    assert_eq!(verified, Ok(Some(*anchor.id())));
}

/// RFC 9052 §4.4, by hand.
#[test]
fn what_is_signed_is_a_sig_structure() {
    let expected = [
        &b"\x84\x6aSignature1\x43\xa1\x01\x27\x40\x58\x24\x82\x2f\x58\x20"[..],
        &[7; 32],
    ];
    assert_eq!(
        to_be_signed(Algorithm::EdDsa, &[7; 32])[..],
        expected.concat()
    );
    assert_eq!(to_be_signed(Algorithm::Es256, &[7; 32])[15], 0x26);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_anchors_and_blocks_never_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..120),
        at in 45_usize..131,
        patch in proptest::collection::vec(any::<u8>(), 1..12),
    ) {
        let _ = TrustAnchor::parse(&bytes, &SCHEMES);
        let _ = Anchors::parse(&bytes, &SCHEMES);
        let ours = anchor(Algorithm::EdDsa, 1);
        let mut package = signed(Algorithm::EdDsa, 1, *ours.id());
        let end = (at + patch.len()).min(package.len());
        let same = package[at..end] == patch[..end - at];
        package[at..end].copy_from_slice(&patch[..end - at]);
        if let Ok(Parsed::Complete { authentication, .. }) = Head::parse(&package) {
            prop_assert_eq!(authentication.verify(&anchors(&[ours]), &SCHEMES).is_ok(), same);
        }
    }
}
