use ed25519_dalek::{Signer as _, SigningKey};
use proptest::prelude::*;

use super::*;

fn hex<const N: usize>(text: &str) -> [u8; N] {
    core::array::from_fn(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap())
}

/// RFC 8032 §7.1: public key, message, signature.
const VECTORS: [(&str, &str, &str); 3] = [
    (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
];

#[test]
fn the_vectors_of_rfc_8032() {
    for (key, message, signature) in VECTORS {
        let key = hex(key);
        let message: Vec<u8> = (0..message.len() / 2)
            .map(|i| u8::from_str_radix(&message[2 * i..2 * i + 2], 16).unwrap())
            .collect();
        let signature = hex(signature);
        assert!(is_good(&key));
        assert!(holds(&key, &message, &signature));
        for bit in 0..512 {
            let mut other = signature;
            other[bit / 8] ^= 1 << (bit % 8);
            assert!(!holds(&key, &message, &other), "bit {bit} of the signature");
        }
        for bit in 0..256 {
            let mut other = key;
            other[bit / 8] ^= 1 << (bit % 8);
            assert!(!holds(&other, &message, &signature), "bit {bit} of the key");
        }
        let longer = [&message[..], b"x"].concat();
        assert!(!holds(&key, &longer, &signature));
    }
}

#[test]
fn integers_at_the_edges() {
    use super::field::{add, bytes, least, mul, small, sub};
    let p = words(&hex::<32>(
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    ));
    let most = [u32::MAX; 8];
    // 2^256 - 1 is 37 modulo p.
    assert_eq!(least(&most), small(37));
    assert_eq!(least(&p), small(0));
    assert_eq!(least(&add(&most, &most)), small(74));
    assert_eq!(least(&mul(&most, &most)), small(37 * 37));
    assert_eq!(least(&sub(&small(0), &most)), least(&sub(&p, &small(37))));
    assert_eq!(
        least(&sub(&small(1), &small(38))),
        least(&sub(&p, &small(37)))
    );
    assert_eq!(least(&sub(&most, &p)), small(37));
    assert_eq!(words(&bytes(&p)), p);
}

/// Another S with the same value modulo the order (RFC 8032 §8.4).
#[test]
fn a_signature_has_one_form() {
    let (key, _, signature) = VECTORS[0];
    let signature: [u8; 64] = hex(signature);
    let mut s = words(&signature[32..]);
    let mut carry = 0;
    for (word, order) in s.iter_mut().zip(ORDER) {
        let sum = u64::from(*word) + u64::from(order) + carry;
        (*word, carry) = (sum as u32, sum >> 32);
    }
    let mut other = signature;
    for (place, word) in other[32..].chunks_exact_mut(4).zip(s) {
        place.copy_from_slice(&word.to_le_bytes());
    }
    assert!(!holds(&hex(key), b"", &other));
}

#[test]
fn points_of_small_order_and_no_points_are_no_keys() {
    let mut identity = [0; 32];
    identity[0] = 1;
    let order_4 = [0; 32];
    let order_8 = hex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05");
    // A point of large order: y is 18, written as 18 + p.
    let other_form = [0xff; 32];
    let mut off = [0; 32];
    off[0] = 2;
    for key in [identity, order_4, order_8, other_form, off] {
        assert!(!is_good(&key), "{key:02x?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn as_the_whole_crate_does_it(
        secret in any::<[u8; 32]>(),
        message in proptest::collection::vec(any::<u8>(), 0..200),
        flip in proptest::option::of(0usize..512),
    ) {
        let signer = SigningKey::from_bytes(&secret);
        let mut signature = signer.sign(&message);
        if let Some(bit) = flip {
            let mut bytes = signature.to_bytes();
            bytes[bit / 8] ^= 1 << (bit % 8);
            signature = ed25519_dalek::Signature::from_bytes(&bytes);
        }
        let theirs = signer.verifying_key().verify_strict(&message, &signature).is_ok();
        let ours = holds(signer.verifying_key().as_bytes(), &message, &signature.to_bytes());
        prop_assert_eq!(ours, theirs);
        prop_assert_eq!(ours, flip.is_none());
    }

    /// Also of bytes that are no point, and of points of small order added to others.
    #[test]
    fn points_are_those_of_the_whole_crate(
        first in any::<[u8; 32]>(),
        second in any::<[u8; 32]>(),
        small in 0usize..8,
    ) {
        let theirs = |bytes| curve25519_dalek::edwards::CompressedEdwardsY(bytes).decompress();
        let (a, b) = (theirs(first), theirs(second));
        let (ours, other) = (Point::decompress(&first), Point::decompress(&second));
        prop_assert_eq!(ours.is_some(), a.is_some());
        let (Some(a), Some(ours)) = (a, ours) else {
            return Ok(());
        };
        prop_assert_eq!(ours.compress(), a.compress().0);
        prop_assert_eq!(ours.add(&ours).compress(), (a + a).compress().0);
        if let (Some(b), Some(other)) = (b, other) {
            prop_assert_eq!(ours.add(&other).compress(), (a + b).compress().0);
            let mut minus = other;
            minus.negate();
            prop_assert_eq!(ours.add(&minus).compress(), (a - b).compress().0);
        }
        let torsion = curve25519_dalek::constants::EIGHT_TORSION[small];
        let sum = Point::decompress(&torsion.compress().0).unwrap().add(&ours);
        prop_assert_eq!(sum.compress(), (torsion + a).compress().0);
    }

    #[test]
    fn remainders_are_those_of_the_whole_crate(wide in any::<[u8; 64]>()) {
        let theirs = curve25519_dalek::Scalar::from_bytes_mod_order_wide(&wide);
        prop_assert_eq!(reduce(&wide), words(theirs.as_bytes()));
    }
}
