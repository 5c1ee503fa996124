//! Trust anchors, sets of them, and the signature of a package: what is read is written back the
//! same, and nothing is taken that was not signed.

use std::sync::LazyLock;

use tinsmith_package::{
    Algorithm, Anchors, Authentication, Head, KeyId, Parsed, Scheme, TrustAnchor,
};

const SCHEMES: [Scheme; 2] = [Scheme::ED25519, Scheme::ES256];

/// The public key of RFC 8032 §7.1, test 3: nobody here can sign for it.
const KEY: [u8; 32] = [
    0xfc, 0x51, 0xcd, 0x8e, 0x62, 0x18, 0xa1, 0xa3, 0x8d, 0xa4, 0x7e, 0xd0, 0x02, 0x30, 0xf0, 0x58,
    0x08, 0x16, 0xed, 0x13, 0xba, 0x33, 0x03, 0xac, 0x5d, 0xeb, 0x91, 0x15, 0x48, 0x90, 0x80, 0x25,
];

static ANCHOR: LazyLock<Option<TrustAnchor>> =
    LazyLock::new(|| TrustAnchor::new(Algorithm::EdDsa, &KEY));

pub(crate) fn run(data: &[u8]) {
    if let Some(anchor) = TrustAnchor::parse(data, &SCHEMES) {
        let (bytes, len) = anchor.encode();
        assert_eq!(&bytes[..len], data);
    }
    if let Some(set) = Anchors::parse(data, &SCHEMES) {
        let mut written = vec![0x80 | set.len() as u8];
        for anchor in &set {
            let (bytes, len) = anchor.encode();
            written.extend_from_slice(&bytes[..len]);
        }
        assert_eq!(written, data);
    }
    if let Ok(Parsed::Complete { authentication, .. }) = Head::parse(data) {
        verify(&authentication);
    }
}

fn verify(authentication: &Authentication<'_>) {
    assert_eq!(authentication.verify(&Anchors::EMPTY, &SCHEMES), Ok(None));
    let mut anchors = Anchors::EMPTY;
    assert!(ANCHOR.is_some_and(|anchor| anchors.add(anchor)));
    let verified: Result<Option<KeyId>, _> = authentication.verify(&anchors, &SCHEMES);
    assert!(verified.is_err(), "a signature of nobody's key");
}
